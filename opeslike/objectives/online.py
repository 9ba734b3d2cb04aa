"""Online portfolio selection: rules with regret bounds against the best constant rebalanced portfolio in hindsight."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from math import comb
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.errors import OptimizationError, PortfolioError
from opeslike.market import FloatArray, Kind, Market, describe
from opeslike.modelling.losses import Log
from opeslike.objectives.given import Given, guess_of
from opeslike.objectives.parameters import Count, Positive, objective, one_of
from opeslike.objectives.rules import Rule
from opeslike.objectives.scenarios import ScenarioObjective

#: nodes of the quadrature over two assets: exact up to twice as many periods, and to rounding far beyond
_NODES = 512
_MOST = 1_000_000
_CELLS = 1 << 20


@objective
class OnlineRule(Rule):
    """A rule that learns from returns in the order they came; where a walk only adds rows, it goes on from there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beliefs is not None:
            raise PortfolioError(f"{type(self).__name__} learns from returns as they came; it takes no beliefs")
        self._seen = _Seen()

    def _market(self, data: Any, kind: Kind | None) -> Market:
        self._seen.walking = isinstance(data, Market)
        return super()._market(data, kind)


@objective
class UniversalPortfolios(OnlineRule):
    r"""Cover's universal portfolio: the average of all constant rebalanced portfolios, weighted by their wealth so far.

    .. math:: w_{t+1} = \frac{\int b\, S_t(b)\, d\pi(b)}{\int S_t(b)\, d\pi(b)}, \qquad S_t(b) = \prod_{s \le t} (1 +
        b^\top r_s)

    over the long-only, fully invested b, with :math:`\pi` a Dirichlet distribution. Rebalanced every period without
    costs, its wealth is the average of theirs. Before any return the weights are those of :math:`\pi`: equal.

    Parameters
    ----------
    technique : {"auto", "exact", "grid", "sample"}
        How the integral is taken. "exact": Gauss-Jacobi quadrature, for two assets. "grid": the mean over all b whose
        weights are multiples of ``1 / grid_res``; Cover's own figures have two assets and ``grid_res=20``, 21 points.
        "sample": the mean over random b. "auto" is "exact" for two assets and "sample" for more.
    n_samples : int
        How many b are drawn from the Dirichlet distribution. The default of 100 is few for more than a handful of
        assets.
    dirichlet_conc : float > 0
        Concentration of the Dirichlet distribution, the same for each asset: 1 is uniform (Cover 1991), 0.5 is the one
        of Cover and Ordentlich (1996). "grid" does not use it.
    grid_res : int
        Steps of the grid in each direction.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or, from ``optimize``, "exact" is asked of other than two assets or the grid
        has more than a million points.
    OptimizationError
        From ``optimize``: if every b lost everything.

    References
    ----------
    Cover (1991), *Universal portfolios*; Cover and Ordentlich (1996), *Universal portfolios with side information*.

    Examples
    --------
    >>> import numpy as np
    >>> doubling = np.array([[1.0, 0.0], [-0.5, 0.0]])  # a stock that doubles, then halves, and cash
    >>> UniversalPortfolios().optimize(doubling, kind="returns").round(6).tolist()
    [0.5, 0.5]
    """

    technique: Annotated[str, one_of("auto", "exact", "grid", "sample")] = "auto"
    n_samples: Count = 100
    dirichlet_conc: Positive = 1.0
    grid_res: Count = 3

    def _formula(self, market: Market, given: Given, w: ArrayLike | None, seed: int | None) -> FloatArray:
        key = (market.n_assets, seed, self.technique, self.n_samples, self.dirichlet_conc, self.grid_res)
        points, weight = self._seen.points(key, lambda: self._points(market.n_assets, seed))
        start, log_wealth = self._seen.progress(market, key)
        added = _log_wealth(market.returns[start:], points)
        log_wealth = added if log_wealth is None else log_wealth + added
        self._seen.remember(market, key, log_wealth)
        top = float(log_wealth.max())
        if top == -np.inf:
            raise OptimizationError("every constant rebalanced portfolio lost everything, so none can be weighted")
        share = weight * np.exp(log_wealth - top)
        return np.asarray(share @ points / share.sum())

    def _points(self, count: int, seed: int | None) -> tuple[FloatArray, FloatArray]:
        """The b (K, N) and their weights (K,)."""
        technique = self.technique.lower()
        if technique == "auto":
            technique = "exact" if count == 2 else "sample"
        if technique == "sample":
            concentration = np.full(count, self.dirichlet_conc)
            drawn = np.random.default_rng(seed).dirichlet(concentration, self.n_samples)
            return drawn, np.ones(self.n_samples)
        if technique == "grid":
            return grid(count, self.grid_res), np.ones(comb(count + self.grid_res - 1, self.grid_res))
        if count != 2:
            raise PortfolioError(
                f"technique='exact' is for two assets and there are {count}; use 'sample' with many n_samples"
            )
        from scipy.special import roots_jacobi

        power = self.dirichlet_conc - 1.0
        node, weight = roots_jacobi(_NODES, power, power)
        return np.column_stack([0.5 * (1.0 + node), 0.5 * (1.0 - node)]), np.asarray(weight)


@objective
class BCRP(ScenarioObjective):
    r"""Best constant rebalanced portfolio in hindsight, and follow the (regularised) leader.

    .. math:: \max_{w} \; \sum_t \log(1 + w^\top r_t) - \lambda R(w)

    over long-only, fully invested weights (or ``weight_bounds``). Without a regulariser this is
    :class:`~opeslike.objectives.utility_theory.Kelly` on the returns as they came. Re-optimised every period it is
    "follow the leader", with a regulariser "follow the regularised leader".

    Parameters
    ----------
    reg, strength
        Regulariser R and its strength lambda against the *sum* of log returns, so that what was learnt outweighs the
        regulariser as time goes on; see :class:`~opeslike.objectives.base.ConvexObjective` for the names.
        (The OPES package sets it against the final wealth itself.)
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Notes
    -----
    ``solution.value`` is the negative of the objective divided by the number of periods T: without a regulariser the
    final wealth is ``exp(-T * solution.value)``. ``solution.gap`` bounds the growth per period given away.

    References
    ----------
    Cover (1991), *Universal portfolios*; Hazan (2016), *Introduction to online convex optimization*, chapter 5.
    """

    loss = Log()

    def _strength(self, market: Market) -> float:
        return self.strength / market.n_scenarios


@objective
class ExponentialGradient(OnlineRule):
    r"""Exponentiated gradient: weights move towards the assets that did better than the portfolio.

    .. math:: w_{t+1, i} \propto w_{t, i} \exp\left( \eta\, \frac{1 + r_{t, i}}{1 + w_t^\top r_t} \right)

    Parameters
    ----------
    learning_rate : float > 0
        :math:`\eta`. The paper's experiments use 0.05; near 0 the weights hardly leave equal ones.

    Raises
    ------
    PortfolioError
        If ``learning_rate`` is not a finite number above 0, or, from ``optimize``, ``w`` is not N non-negative numbers,
        not all zero.
    OptimizationError
        From ``optimize``: if the portfolio lost everything on the way; names the date.

    Notes
    -----
    ``optimize(data)`` starts from equal weights and learns from every return in ``data``, in order. ``optimize(data,
    w=last)`` learns from the last return alone, starting from the weights that were held while it came in. The two
    agree where ``last`` came from the first form on all but the last row. In a backtest the whole path since the first
    visible return is followed whatever the re-optimisation frequency (from step to step only the new returns are
    computed), so the training set is learnt from as well.

    References
    ----------
    Helmbold, Schapire, Singer and Warmuth (1998), *On-line portfolio selection using multiplicative updates*.

    Examples
    --------
    >>> import numpy as np
    >>> ExponentialGradient(1.0).optimize(np.array([[0.1, -0.1]]), kind="returns").round(6).tolist()
    [0.549834, 0.450166]
    """

    learning_rate: Positive = 0.3

    def _formula(self, market: Market, given: Given, w: ArrayLike | None, seed: int | None) -> FloatArray:
        key = self.learning_rate
        if w is None or self._seen.walking:
            begin, known = self._seen.progress(market, key)
            log_weights = np.zeros(market.n_assets) if known is None else known
        else:
            begin, log_weights = market.n_scenarios - 1, self._logs(w, market)
        log_weights = self._updated(market, begin, log_weights)
        self._seen.remember(market, key, log_weights)
        weights = np.exp(log_weights)  # the largest logarithm is 0
        return np.asarray(weights / weights.sum())

    def _logs(self, w: ArrayLike, market: Market) -> FloatArray:
        held = guess_of(w, market.n_assets)
        if (held < 0).any() or held.sum() <= 0:
            raise PortfolioError("w must be non-negative weights, not all zero: this rule is long-only")
        logs = np.full(held.shape, -np.inf)  # what is not held is never bought
        np.log(held / held.sum(), out=logs, where=held > 0)
        return logs

    def _updated(self, market: Market, begin: int, log_weights: FloatArray) -> FloatArray:
        rate = self.learning_rate
        gross = 1.0 + np.ascontiguousarray(market.returns[begin:])
        for row, relative in enumerate(gross):
            held = np.exp(log_weights)
            wealth = float(relative.dot(held) / held.sum())
            if wealth <= 0:
                when = describe(market.dates[begin + row])
                raise OptimizationError(f"the portfolio lost everything on {when}; leave that row out")
            log_weights = log_weights + (rate / wealth) * relative
            log_weights -= log_weights.max()  # only differences matter, and none may overflow
        return log_weights


class _Seen:
    """What the last call worked out, so that a walk over windows of one market pays for new returns only.

    Nothing depends on it: where the data are not the same memory with rows added, the work starts over.
    """

    def __init__(self) -> None:
        self.walking = False  # whether the last call brought a Market, as a backtest does
        self._points_key: Any = None
        self._points: tuple[FloatArray, FloatArray] | None = None
        self._key: Any = None
        self._returns: FloatArray | None = None
        self._state: FloatArray | None = None

    def __reduce__(self) -> tuple[type[_Seen], tuple[()]]:
        """A copy, or what another process is sent, remembers nothing."""
        return _Seen, ()

    def points(self, key: Any, make: Callable[[], tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
        """The points made for ``key``, made anew where it changed."""
        if self._points is None or key != self._points_key:
            self._points, self._points_key = make(), key
        return self._points

    def progress(self, market: Market, key: Any) -> tuple[int, FloatArray | None]:
        """How many of the leading rows the remembered state already includes, and that state."""
        old, new = self._returns, market.returns
        if old is None or self._state is None or key != self._key or not self.walking:
            return 0, None
        same = old.ctypes.data == new.ctypes.data and old.strides == new.strides and old.shape[1] == new.shape[1]
        return (len(old), self._state) if same and len(new) >= len(old) else (0, None)

    def remember(self, market: Market, key: Any, state: FloatArray) -> None:
        """Keep a state; the returns are kept too, so that their memory cannot be given to others."""
        if self.walking:
            self._returns, self._key, self._state = market.returns, key, state


def grid(count: int, steps: int) -> FloatArray:
    """All long-only weights that sum to one and are multiples of ``1 / steps``; shape (K, N).

    Raises
    ------
    PortfolioError
        If there are more than a million.
    """
    size = comb(count + steps - 1, steps)
    if size > _MOST:
        raise PortfolioError(
            f"a grid with grid_res={steps} for {count} assets has {size} points; lower it or use technique='sample'"
        )
    points = np.zeros((size, count))
    for row, chosen in enumerate(combinations_with_replacement(range(count), steps)):
        for asset in chosen:
            points[row, asset] += 1.0
    return points / steps


def _log_wealth(returns: FloatArray, points: FloatArray) -> FloatArray:
    """Log wealth of each constant rebalanced portfolio, shape (K,); minus infinity where it lost everything."""
    total = np.zeros(len(points))
    block = max(1, _CELLS // len(points))
    for start in range(0, len(returns), block):
        gross = 1.0 + returns[start : start + block] @ points.T
        total += np.log(gross, out=np.full_like(gross, -np.inf), where=gross > 0).sum(axis=0)
    return total
