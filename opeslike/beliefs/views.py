"""Views on means, volatilities, correlations and tails, by the probabilities nearest to those one had."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.beliefs.belief import Belief, chances, position
from opeslike.beliefs.language import View, read_views
from opeslike.checks import FloatArray, number
from opeslike.errors import InfeasibleError, OptimizationError, PortfolioError
from opeslike.kl import Pooled, pool
from opeslike.market import Market
from opeslike.parameters import Positive

#: rounds of looking for the levels from which CVaR counts
_ROUNDS = 200
#: how near the probability of the worst must come to its share, relatively
_NEAR = 1e-9
#: what linprog calls a problem without a solution
_IMPOSSIBLE = 2


@dataclass(frozen=True, eq=False, repr=False)
class Views(Belief):
    r"""Entropy pooling: the same scenarios with the probabilities that satisfy the views and move least.

    .. math:: q = \arg\min \{ \textstyle\sum_t q_t \log(q_t / p_t) : \text{views} \}, \qquad
              \text{posterior} = (1 - c)\, p + c\, q.

    With a confidence for each view, :math:`c_{(1)} < c_{(2)} < \dots` the levels, the probability between two of them
    goes to the views of that confidence or more, and the rest to p (Meucci 2008, section 6): :math:`\sum_k (c_{(k)} -
    c_{(k-1)})\, q_{\{c \ge c_{(k)}\}} + (1 - \max c)\, p`.

    Views on means and quantiles are linear in q. The others follow in stages, as Vorobets does: CVaR at its own level;
    then volatilities, about the means that the first stage gave; then correlations, at the means and volatilities of
    the second. What a stage is about is kept: its assets' means (and volatilities) become equalities.

    Parameters
    ----------
    views : dict
        From what to a number, or to text with ``<=`` or ``>=``:

        - ``"mean(A)"``: annual; also sums, ``"mean(A) - 0.5 mean(B)"``;
        - ``"vol(A)"``: annual;
        - ``"corr(A, B)"``;
        - ``"quantile(A, 5)"``: of the returns per period, here at 5%;
        - ``"cvar(A, 95)"``: mean loss per period in the worst 5%, positive for a loss.
    confidence : float in (0, 1], or dict from view to such
        c, the share of the probability on the views; views that a dict leaves out have 1.
    periods_per_year : float > 0
        An annual mean is that per period times it, a volatility times its root.

    Raises
    ------
    PortfolioError
        If a view is not understood, a parameter out of its range, or, when asked, an asset not there.
    InfeasibleError
        If no probabilities of these scenarios satisfy the views; names those that contradict each other.

    References
    ----------
    Meucci (2008), *Fully flexible views*; Meucci, Ardia and Keel (2011), *Fully flexible extreme views*; Vorobets
    (2021), *Sequential entropy pooling heuristics*.

    Examples
    --------
    >>> coin = Market.from_data(np.array([[1.0], [-1.0]]), "returns")
    >>> Views({"mean(0)": 0.2}, periods_per_year=1)(coin).probabilities.round(12).tolist()
    [0.6, 0.4]
    """

    views: Mapping[str, Any]
    confidence: float | Mapping[str, float] = 1.0
    periods_per_year: Positive = 252

    def __post_init__(self) -> None:
        super().__post_init__()
        read_views(self.views)
        several = isinstance(self.confidence, Mapping)
        for view, value in self.confidence.items() if isinstance(self.confidence, Mapping) else [("", self.confidence)]:
            if several and view not in self.views:
                raise PortfolioError(f"confidence names {view!r}, no view; the views are {', '.join(self.views)}")
            number(f"confidence of {view}" if several else "confidence", value, low=0.0, high=1.0, open_low=True)

    def __call__(self, market: Market) -> Market:
        """The same returns, with the probabilities of the views."""
        if not self.views:
            return market
        p, given = chances(market), self.confidence
        each = {view: given.get(view, 1.0) if isinstance(given, Mapping) else given for view in self.views}
        levels = sorted(set(each.values()))
        factors = np.full(len(p), 1.0 - levels[-1])
        for below, level in zip([0.0, *levels], levels, strict=False):
            held = {view: value for view, value in self.views.items() if each[view] >= level}
            q = self.pooled(market, held).q
            factors += (level - below) * np.divide(q, p, out=np.ones(len(p)), where=p > 0)
        return market.reweighted(factors)

    def pooled(self, market: Market, views: Mapping[str, Any] | None = None) -> Pooled:
        """Probabilities at full confidence, with their divergence and the bound that proves it least.

        The bound is that of the last stage, with what earlier ones found kept. ``views`` are those of the belief, or
        some of them.
        """
        search = _Search(market, read_views(self.views if views is None else views), self.periods_per_year)
        found = search.solve(("mean", "quantile", "cvar"))
        for measure in ("vol", "corr"):
            if any(view.measure == measure for view in search.views):
                search.keep(measure, found.q)
                found = search.solve((measure,))
        return found


class _Tail:
    """A view on CVaR, linear in q from a level on: where the share of the worst begins under the q that it leads to."""

    def __init__(self, view: View, loss: FloatArray, p: FloatArray, row: int) -> None:
        self.view, self.loss, self.row, self.share = view, loss, row, 1.0 - view.level / 100.0
        self.worst_first = np.argsort(-loss, kind="stable")
        if not loss.min() < view.value < loss.max():
            raise InfeasibleError(
                f"no probabilities satisfy the view {view.text}: losses lie between {loss.min():.4g} and "
                f"{loss.max():.4g}; add scenarios (Prior, Simulated) or change it"
            )
        self.level = self._begins(p)
        if self.level >= view.value:
            self.level = 0.5 * (float(loss.min()) + view.value)

    def of(self) -> FloatArray:
        """The row at this level."""
        return np.maximum(self.loss - self.level, 0.0) / self.share + (self.level - self.view.value)

    def holds(self, found: Pooled) -> bool:
        """Whether the share of the worst begins at the level, or the inequality holds without its row."""
        q = found.q
        if self._over(q, self.loss > self.level) <= _NEAR and self._over(q, self.loss >= self.level) >= -_NEAR:
            return True
        begin = self._begins(q)
        cvar = begin + float(q @ np.maximum(self.loss - begin, 0.0)) / self.share
        return self.view.relation * (cvar - self.view.value) > 0 and not found.multipliers[self.row]

    def search(self, pooled: Callable[[], Pooled], found: Pooled) -> Pooled:
        """Move the level to where it belongs, all others as they are: to where the worst begin, then by the secant."""
        low, high = float(self.loss.min()), self.view.value
        over, under = 1.0 - self.share, -self.share
        for turn in range(_ROUNDS):
            if self.holds(found):
                break
            above = self._over(found.q, self.loss > self.level)
            if above > 0:
                low, over = self.level, above
            else:
                high, under = self.level, self._over(found.q, self.loss >= self.level)
            self.level = self._begins(found.q)
            if not low < self.level < high:
                self.level = low + (high - low) * (0.5 if turn % 4 == 3 else over / (over - under))
            found = pooled()
        return found

    def _over(self, q: FloatArray, where: NDArray[np.bool_]) -> float:
        """How far the probability of some scenarios exceeds the share, relative to it."""
        return float(q @ where) / self.share - 1.0

    def _begins(self, q: FloatArray) -> float:
        reached = np.cumsum(q[self.worst_first])
        return float(self.loss[self.worst_first[min(int(np.searchsorted(reached, self.share)), len(q) - 1)]])


def _always(view: View, loss: FloatArray) -> bool:
    """Whether an inequality on CVaR holds whatever the probabilities are."""
    return bool((view.relation < 0 and loss.max() <= view.value) or (view.relation > 0 and loss.min() >= view.value))


class _Search:
    """The views so far as rows that are 0 on average under q, or at least 0, with their names."""

    def __init__(self, market: Market, views: list[View], years: float) -> None:
        self.market, self.views, self.years, self.p = market, views, years, chances(market)
        self.rows, self.at_least, self.names = list[FloatArray](), list[bool](), list[str]()
        self.tails, self.multipliers = list[_Tail](), np.zeros(0)
        self.mean, self.vol = dict[str, float](), dict[str, float]()  # what is kept, per period

    def column(self, asset: str) -> FloatArray:
        return self.market.returns[:, position(self.market, asset)]

    def add(self, row: FloatArray, relation: int, name: str) -> None:
        self.rows.append(-row if relation < 0 else row)
        self.at_least.append(relation != 0)
        self.names.append(name)

    def keep(self, measure: str, q: FloatArray) -> None:
        """Keep means (and for correlations volatilities) of the assets that views of this measure are about."""
        told = {(view.measure, view.assets) for view in self.views if view.relation == 0 and view.factors == (1.0,)}
        for asset in dict.fromkeys(asset for view in self.views if view.measure == measure for asset in view.assets):
            x = self.column(asset)
            if asset not in self.mean:
                self.mean[asset] = float(q @ x)
                if ("mean", (asset,)) not in told:
                    self.add(x - self.mean[asset], 0, f"mean({asset}), kept")
            if measure == "corr":
                square = (x - self.mean[asset]) ** 2
                self.vol[asset] = math.sqrt(float(q @ square))
                if ("vol", (asset,)) not in told:
                    self.add(square - self.vol[asset] ** 2, 0, f"vol({asset}), kept")

    def row(self, view: View) -> Any:
        """What is 0 on average where the view is an equality, and above 0 where there is more of it."""
        columns = [self.column(asset) for asset in view.assets]
        if view.measure == "mean":
            return np.asarray(view.factors) @ np.array(columns) - view.value / self.years
        if view.measure == "quantile":
            return view.level / 100.0 - (columns[0] <= view.value)
        centred = [x - self.mean[asset] for x, asset in zip(columns, view.assets, strict=True)]
        if view.measure == "vol":
            return centred[0] ** 2 - view.value**2 / self.years
        return np.asarray(centred[0] * centred[1]) - view.value * self.vol[view.assets[0]] * self.vol[view.assets[1]]

    def solve(self, measures: tuple[str, ...]) -> Pooled:
        """Add the views on these measures and find the probabilities; CVaR at the levels where it counts."""
        for view in (view for view in self.views if view.measure in measures):
            if view.measure == "cvar":
                if _always(view, -self.column(view.assets[0])):
                    continue
                self.tails.append(_Tail(view, -self.column(view.assets[0]), self.p, len(self.rows)))
                self.add(self.tails[-1].of(), view.relation, view.text)
            else:
                self.add(self.row(view), view.relation, view.text)
        found = self.pooled()
        for _ in range(_ROUNDS):
            astray = [tail for tail in self.tails if not tail.holds(found)]
            if not astray:
                return found
            found = astray[0].search(self.pooled, found)
        raise OptimizationError(f"no level was found for the view {astray[0].view.text}; ask for a quantile instead")

    def pooled(self) -> Pooled:
        """Probabilities under the rows as they are, from the last multipliers on."""
        for tail in self.tails:
            row = tail.of()
            self.rows[tail.row] = -row if tail.view.relation < 0 else row
        rows, at_least = np.array(self.rows).reshape(-1, len(self.p)), np.array(self.at_least, dtype=bool)
        found = pool(rows, at_least, self.p, np.pad(self.multipliers, (0, len(rows) - len(self.multipliers))))
        if found is None:
            raise self._contradiction(rows, at_least)
        self.multipliers = found.multipliers
        return found

    def _contradiction(self, rows: FloatArray, at_least: NDArray[np.bool_]) -> OptimizationError:
        """Views that contradict each other, and no longer do if any one of them is dropped."""
        from scipy.optimize import linprog

        z = rows[:, self.p > 0] / np.abs(rows).max(axis=1, keepdims=True)

        def possible(kept: list[int]) -> bool:
            equal, least = (z[[i for i in kept if at_least[i] == kind]] for kind in (False, True))
            sums = np.vstack([equal, np.ones(z.shape[1])])
            found = linprog(0 * sums[0], -least, np.zeros(len(least)), sums, np.append(np.zeros(len(equal)), 1.0))
            return bool(found.status != _IMPOSSIBLE)

        kept = list(range(len(z)))
        if possible(kept):
            return OptimizationError("the views are all but impossible; no probabilities were found, loosen them")
        for one in range(len(z)):
            fewer = [i for i in kept if i != one]
            kept = kept if possible(fewer) else fewer
        return InfeasibleError(
            f"no probabilities of these scenarios satisfy {'; '.join(self.names[i] for i in kept)}: "
            + ("they contradict each other" if len(kept) > 1 else "it asks for more than they hold")
            + "; change views, or add scenarios (Prior, Simulated)"
        )
