"""Leverage from the assets' own past: rolling and expanding Kelly, optimal f and its conservative version."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from opeslike.errors import DataError
from opeslike.market import FloatArray, Kind, Market, describe, full
from opeslike.parameters import Parameters, Part, Positive, Rate, Several
from opeslike.sizing import kelly_factor
from opeslike.strategies.outcome_sizes import LONG, FromOutcomes, Unlucky, check_periods
from opeslike.strategies.past import PERIODS_PER_YEAR, Memo
from opeslike.strategies.selection import tell_waiting

_PATH_ASSETS = 16  # with more assets a joint factor for every day costs more than one for every decision


@dataclass(frozen=True, kw_only=True, repr=False)
class LeverageRule(Parameters):
    """What the rules by an asset's own past have in common: they wait until enough is known, and say so once."""

    _told: Memo[bool] = field(default_factory=Memo, init=False, compare=False)

    accepts_market: ClassVar[bool] = True

    @property
    @abstractmethod
    def needed(self) -> int:
        """Returns that must be known before anything is held."""

    @abstractmethod
    def leverages(self, market: Market) -> FloatArray:
        """Values to hold as multiples of wealth, shape (N,); at least ``needed`` returns are there."""

    def optimize(self, data: Any, *, kind: Kind | None = None) -> FloatArray:
        """Leverages for the step after the data, shape (N,).

        Parameters
        ----------
        data : Market, DataFrame, Series or array
            Prices or returns up to the last visible close.
        kind : {"prices", "returns"}, optional

        Returns
        -------
        ndarray of shape (N,)
            Values as multiples of wealth; negative is short.

        Raises
        ------
        DataError
            If the data cannot be used, or no leverage exists.
        """
        market = data if isinstance(data, Market) else Market.from_data(data, kind)
        count = market.n_scenarios
        if count >= self.needed:
            return full(self.leverages(market), market.assets)
        whole, _ = market.origin
        if not self._told.get(whole):
            self._told.put(whole, True)
            tell_waiting(type(self).__name__, self.needed, count, describe(market.dates[-1]))
        return full(np.zeros(market.n_assets), market.assets)


@dataclass(frozen=True, kw_only=True, repr=False)
class KellyFactorRule(LeverageRule):
    r"""What rolling and expanding Kelly have in common: they hold :func:`opeslike.sizing.kelly_factor`.

    One asset: :math:`f = fraction \cdot (m - r) / s^2`. Several: :math:`f = fraction \cdot S^{-1} (m - r)` jointly, or
    each on its own. What is not held is cash; beyond 1 it is borrowed. Until enough returns are known nothing is held,
    which is said once a data set, in the log.

    Parameters
    ----------
    fraction : float
        Part of the Kelly leverage to hold, in (0, 1].
    risk_free : float
        Annual rate in the formula; give the Backtester the same for the money.
    max_leverage : float, optional
        Cap, > 0, after the fraction is taken: of the gross exposure of a joint factor, else of each asset.
    allow_short : bool
        With False a negative leverage is 0; jointly, the optimum without shorts.
    use_log : bool
        Mean and variance of log returns.
    joint : bool
        One optimum over all assets (the default), or each asset on its own as if it were alone.
    min_periods : int, optional
        Returns needed before anything is held, >= 2.
    periods_per_year : float
        Converts ``risk_free``.

    Raises
    ------
    PortfolioError
        A parameter out of range; while running, a joint factor whose window does not exceed the number of assets.
    DataError
        While running: an asset without variance, or a singular covariance; names asset and date.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market", Handbook of Asset and
    Liability Management 1, 2006, sections 7 and 8.
    """

    fraction: Part = 1.0
    risk_free: Rate = 0.0
    max_leverage: Positive | None = None
    allow_short: bool = False
    use_log: bool = False
    joint: bool = True
    min_periods: Several | None = None
    periods_per_year: Positive = PERIODS_PER_YEAR
    window: Several | None = field(default=None, init=False)
    _path: Memo[FloatArray] = field(default_factory=Memo, init=False, compare=False)

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_periods(self)

    @property
    def needed(self) -> int:
        """Returns that must be known before anything is held."""
        return self.min_periods or self.window or LONG

    def leverages(self, market: Market) -> FloatArray:
        """Kelly factors, shape (N,): a row of those of all days, or worked out for today."""
        whole, start = market.origin
        count = market.n_scenarios
        path = self._path.get(whole)
        if path is None:
            path = self._path.put(whole, self._of_every_day(whole))
        # A path begins with the data set. It serves where the window of the backtest does not cut the estimate.
        if len(path) and (start == 0 or (self.window is not None and count >= self.window)):
            return np.asarray(path[start + count - 1])
        rows = count if self.window is None else min(self.window, count)
        dates, assets = market.dates[-rows:], list(market.assets)
        return np.asarray(self._factors(pd.DataFrame(market.returns[count - rows :], dates, assets, copy=False))[-1])

    def _of_every_day(self, whole: FloatArray) -> FloatArray:
        """Factors of every day of the whole data set; empty where they are better worked out one by one.

        The factor of a day depends on the returns up to that day alone, so looking up one row looks at nothing later.
        Only data that cannot change are remembered.
        """
        if not whole.flags.writeable and not (self.joint and whole.shape[1] > _PATH_ASSETS):
            try:
                return self._factors(pd.DataFrame(whole, copy=False))
            except DataError:  # on some day, perhaps one that nobody has seen yet: let each day speak for itself
                pass
        return np.empty((0, whole.shape[1]))

    def _factors(self, returns: pd.DataFrame) -> FloatArray:
        shared = {name: getattr(self, name) for name in ("risk_free", "allow_short", "use_log", "periods_per_year")}
        shared |= {"window": self.window or 2, "expanding": self.window is None, "min_periods": self.needed}
        cap = None if self.max_leverage is None else self.max_leverage / self.fraction
        factors = kelly_factor(returns, max_leverage=cap, joint=self.joint and returns.shape[1] > 1, **shared)
        return np.ascontiguousarray(factors.to_numpy(np.float64) * self.fraction)


@dataclass(frozen=True, repr=False)
class RollingKelly(KellyFactorRule):
    """Kelly leverage from the mean and variance of the last ``window`` returns.

    Parameters
    ----------
    window : int
        Returns in each estimate, >= 2; jointly more than the number of assets. ``min_periods`` is the window unless
        given.
    fraction, risk_free, max_leverage, allow_short, use_log, joint, min_periods, periods_per_year
        See :class:`KellyFactorRule`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    Examples
    --------
    >>> returns = np.array([[0.02], [-0.01], [0.02], [-0.01]])
    >>> RollingKelly(window=4, max_leverage=3.0).optimize(returns, kind="returns").tolist()
    [3.0]
    """

    window: Several = 252


@dataclass(frozen=True, repr=False)
class ExpandingKelly(KellyFactorRule):
    """Kelly leverage from the mean and variance of all returns so far.

    Parameters
    ----------
    fraction, risk_free, max_leverage, allow_short, use_log, joint, min_periods, periods_per_year
        See :class:`KellyFactorRule`; ``min_periods`` is 252 unless given.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """


@dataclass(frozen=True, kw_only=True, repr=False)
class OutcomeRule(LeverageRule, FromOutcomes):
    """What the rules by outcomes have in common: a long position in each asset, sized by its own returns.

    Sizes are worked out anew whenever the backtest asks: ``reopt_freq=252`` with ``rebalance_freq=1`` re-estimates once
    a year and trades back to the leverage daily. Several assets are sized each on its own, as if it were alone.

    Parameters
    ----------
    window : int, optional
        Last returns to estimate from, >= 2; None (the default) takes all.
    expected_max_loss : float, optional
        Loss per unit held that a risk fraction is divided by (0.10 is 10% in one period); its sign is ignored. The
        largest loss in the sample by default.
    max_leverage : float, optional
        Cap for each asset, > 0.
    min_periods : int
        Returns needed before anything is held, >= 2. An asset without a loss among its returns is not held either,
        because then no size is optimal.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    min_periods: Several = LONG

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_periods(self)

    @property
    def needed(self) -> int:
        """Returns that must be known before anything is held."""
        return self.min_periods

    def leverages(self, market: Market) -> FloatArray:
        """Size of each asset by its own returns, shape (N,)."""
        recent = market.returns if self.window is None else market.returns[-self.window :]
        return np.array([self.leverage_by(np.ascontiguousarray(returns)) for returns in recent.T])


@dataclass(frozen=True, repr=False)
class OptimalF(OutcomeRule):
    """Vince's optimal f of an asset's own returns, over the expected maximum loss.

    Parameters
    ----------
    window, expected_max_loss, max_leverage, min_periods
        See :class:`OutcomeRule`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    R. Vince, *Portfolio Management Formulas*, Wiley, 1990.

    Examples
    --------
    >>> coin = np.array([[2.0], [-1.0]] * 5)
    >>> OptimalF(min_periods=10).optimize(coin, kind="returns").round(12).tolist()
    [0.25]
    """


@dataclass(frozen=True, repr=False)
class Conservative(Unlucky, OutcomeRule):
    """A sizing rule applied to an unlucky resample of an asset's returns, see :func:`opeslike.sizing.conservative`.

    Parameters
    ----------
    rule : SizingRule
        ``OPTIMAL_F`` (the default), ``EMPIRICAL_KELLY``, ``PARTIAL_KELLY``, ``CONTINUOUS_KELLY``, ``BINARY_KELLY`` of
        :mod:`opeslike.sizing`, or one of your own.
    n_boot : int
        Resamples, >= 1.
    percentile : float
        Place of the resample among all by its mean, in [0, 100].
    seed : int
        Every estimate draws with the same seed.
    block : float, optional
        Mean block length of the stationary bootstrap, >= 1; None draws returns independently.
    window, expected_max_loss, max_leverage, min_periods
        See :class:`OutcomeRule`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """
