"""The protocol of a belief: it takes the scenarios one has seen and gives those one believes in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from opeslike.checks import number, positive
from opeslike.errors import PortfolioError
from opeslike.kl import relative_entropy
from opeslike.market import FloatArray, Kind, Market
from opeslike.parameters import Parameters


class Belief(Parameters, ABC):
    """What one believes: a function from Market to Market, composed from left to right by ``|``.

    A subclass is a frozen dataclass in a module of its own (``@dataclass(frozen=True, eq=False, repr=False)``) whose
    fields say by their types what they may be, with a ``__call__``. The market it returns is a new one over the same
    assets; the one it was given is not written to. It may

    - give other probabilities: ``market.reweighted(factors)`` or ``market.with_probabilities(p, effective_size=...)``;
    - move the scenarios: ``market.with_returns(returns)``;
    - give other scenarios: ``Market(returns, market.assets, dates, p, effective_size)``.

    ``effective_size`` is how many equally likely observations the market is worth; ``radius="auto"`` and shrinkage use
    it. Left out, it is ``1 / sum p^2``. Where a belief only redraws scenarios it passes ``market.effective_size`` on.

    A belief sees the market of one decision and must depend on nothing else: in a backtest it is asked anew at every
    re-optimisation. One that draws random numbers takes an integer seed as a field and combines it with
    ``market.dates[-1]`` and a stream per ticker, so that the future and other assets change nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from opeslike.beliefs import Decay, Prior
    >>> belief = Decay(halflife=2) | Prior(np.array([[-0.5]]), pseudo_count=1)
    >>> belief
    Decay(halflife=2) | Prior(scenarios=array([[-0.5]]), pseudo_count=1)
    >>> belief(Market.from_data(np.array([[0.1], [0.2]]), "returns")).returns.ravel().tolist()
    [0.1, 0.2, -0.5]
    """

    @abstractmethod
    def __call__(self, market: Market) -> Market:
        """The scenarios believed in, with their probabilities."""

    def __or__(self, other: Any) -> Chain:
        """Ask this belief first, then the other; any callable from Market to Market will do."""
        if isinstance(other, Chain):  # leaning to the left however it was bracketed
            return (self | other.first) | other.then
        return Chain(self, other)

    def set_params(self, **params: Any) -> Self:
        """Changed copy: a belief is frozen. Nested parameters are written ``first__halflife``.

        Raises
        ------
        PortfolioError
            A name that is no parameter, or a value out of range.
        """
        return self._changed(params)

    def given(self, returns: Mapping[Hashable, float] | None = None, /, **named: float) -> Chain:
        """These scenarios if some assets return just so: ``belief.given(BAC=-0.10)``; see :class:`Conditional`."""
        return self | Conditional(dict(returns or {}) | dict(named.items()))

    def describe(self, data: Any, kind: Kind | None = None, periods_per_year: float = 252) -> pd.DataFrame:
        r"""What the belief does to the data.

        Parameters
        ----------
        data : prices, returns or Market
        kind : {"prices", "returns"}, optional
        periods_per_year : float > 0
            Means are multiplied by it, volatilities by its root.

        Returns
        -------
        DataFrame
            Columns ``before`` and ``after``; rows: effective scenarios, rows filled with drawn returns, KL moved, and
            mean and volatility of each asset. KL moved is :math:`\sum q \log(q / p)` in nats; infinite where scenarios
            were moved or are new, for no probabilities of the past ones give them.
        """
        before = Market.from_data(data, kind)
        after, years = self(before), positive("periods_per_year", periods_per_year)
        columns = {}
        for name, market, moved in (("before", before, 0.0), ("after", after, _moved(before, after))):
            p = chances(market)
            mean = p @ market.returns
            spread = np.sqrt(p @ (market.returns - mean) ** 2)
            told = market.effective_size, market.filled, moved
            columns[name] = [*told, *years * mean, *math.sqrt(years) * spread]
        rows: list[tuple[str, Hashable]] = [("effective scenarios", ""), ("filled rows", ""), ("KL moved", "")]
        rows += [(what, asset) for what in ("mean", "volatility") for asset in before.assets]
        return pd.DataFrame(columns, pd.MultiIndex.from_tuples(rows))


def chances(market: Market) -> FloatArray:
    """Scenario probabilities, shape (T,), also where they are uniform."""
    p, count = market.probabilities, market.n_scenarios
    return np.full(count, 1.0 / count) if p is None else p


def _moved(before: Market, after: Market) -> float:
    """Divergence of the believed probabilities from those of the data; infinite where scenarios differ."""
    row = before.dates.get_indexer(after.dates)
    if (row < 0).any() or not np.array_equal(before.returns[row], after.returns):
        return math.inf
    q, p = chances(after), chances(before)[row]
    seen = q > 0
    if not (p[seen] > 0).all():
        return math.inf
    return relative_entropy(q[seen], p[seen] / p[seen].sum()) - math.log(p[seen].sum())


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Belief):
    """One belief after another: ``first | then``.

    Parameters
    ----------
    first, then : Belief, or callable from Market to Market
    """

    first: Callable[[Market], Market]
    then: Callable[[Market], Market]

    def __post_init__(self) -> None:
        for part in (self.first, self.then):
            if not callable(part) or isinstance(part, type):
                raise PortfolioError(
                    f"{part!r} is no belief; those joined by | are made, such as Decay(252) | Given(p)"
                )

    def __call__(self, market: Market) -> Market:
        """What the second makes of what the first gives."""
        between = self.first(market)
        believed = self.then(between)
        believed.filled = max(believed.filled, between.filled)  # a belief need not know that rows were drawn
        return believed

    def __repr__(self) -> str:
        return f"{self.first!r} | {self.then!r}"


@dataclass(frozen=True, eq=False, repr=False)
class Empirical(Belief):
    """The past as it is: every scenario seen, equally likely unless the market says otherwise."""

    def __call__(self, market: Market) -> Market:
        """The market itself."""
        return market


@dataclass(frozen=True, eq=False, repr=False)
class Conditional(Belief):
    r"""The scenarios if some assets return just so: a stress that the others answer as they usually do.

    Each scenario moves to :math:`x_t + B (c - x_{t, A})`, with A the assets that were given, c their returns and
    :math:`B = \Sigma_{\cdot A} \Sigma_{AA}^{-1}`: the regression on them, its residuals kept. For normal scenarios that
    is the conditional distribution.

    Parameters
    ----------
    returns : mapping from ticker to float
        Returns per period.

    Raises
    ------
    PortfolioError
        If a return is not a finite number of at least -1, or, when asked, a ticker is not in the market.
    """

    returns: Mapping[Hashable, float]

    def __post_init__(self) -> None:
        if not isinstance(self.returns, Mapping) or not self.returns:
            raise PortfolioError(f"returns={self.returns!r} must give returns by ticker, such as {{'BAC': -0.10}}")
        for asset, value in self.returns.items():
            number(f"return of {asset}", value, low=-1.0)

    def __call__(self, market: Market) -> Market:
        """The scenarios, moved to where those assets return just so."""
        where = [position(market, asset) for asset in self.returns]
        centred = market.returns - chances(market) @ market.returns
        covariance = centred.T @ (centred * chances(market)[:, None])
        slopes = np.linalg.lstsq(covariance[np.ix_(where, where)], covariance[where], rcond=1e-12)[0]
        wanted = list(self.returns.values())
        returns = market.returns + (wanted - market.returns[:, where]) @ slopes
        returns[:, where] = wanted  # exactly, also where the matrix is singular
        return market.with_returns(returns)


def position(market: Market, asset: Hashable) -> int:
    """Column of an asset, also by its written name.

    Raises
    ------
    PortfolioError
        If it is not in the market.
    """
    if asset in market.assets:
        return market.assets.index(asset)
    names = [str(each) for each in market.assets]
    if str(asset) not in names:
        raise PortfolioError(f"{asset} is not among the assets: {', '.join(names)}")
    return names.index(str(asset))
