"""Kelly by mean and variance, through time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pandas as pd

from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray, Kind, Market, describe
from opeslike.sizing import kelly_factor
from opeslike.strategies._memo import Memo
from opeslike.strategies._parameters import check_flag, check_real, check_whole
from opeslike.strategies.past import PERIODS_PER_YEAR
from opeslike.strategies.selection import tell_waiting

_PATH_ASSETS = 16  # with more assets a joint factor for every day costs more than one for every decision


@dataclass(frozen=True, kw_only=True)
class KellyFactorStrategy(ABC):
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

    fraction: float = 1.0
    risk_free: float = 0.0
    max_leverage: float | None = None
    allow_short: bool = False
    use_log: bool = False
    joint: bool = True
    min_periods: int | None = None
    periods_per_year: float = PERIODS_PER_YEAR
    _path: Memo[FloatArray] = field(default_factory=Memo, init=False, repr=False, compare=False)
    _told: Memo[bool] = field(default_factory=Memo, init=False, repr=False, compare=False)

    accepts_market = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_real(self, "fraction", low=0.0, high=1.0, above=True)
        check_real(self, "risk_free", low=-1.0, above=True)
        check_real(self, "max_leverage", low=0.0, above=True, optional=True)
        check_real(self, "periods_per_year", low=0.0, above=True)
        check_whole(self, "min_periods", low=2, optional=True)
        for name in ("allow_short", "use_log", "joint"):
            check_flag(self, name)

    @property
    @abstractmethod
    def _window(self) -> int | None:
        """Returns in each estimate; None for all."""

    @property
    def needed(self) -> int:
        """Returns that must be known before anything is held."""
        return self.min_periods or self._window or 252

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
            If the data cannot be used, or no factor exists.
        """
        market = data if isinstance(data, Market) else Market.from_data(data, kind)
        count = market.n_scenarios
        if count < self.needed:
            if not self._told.get(market._moments):
                self._told.put(market._moments, True)
                tell_waiting(type(self).__name__, self.needed, count, describe(market.dates[-1]))
            return np.zeros(market.n_assets)
        path = self._path.get(market._moments)
        if path is None:
            path = self._remembered(market)
        # A path begins with the data set. It serves where the window of the backtest does not cut the estimate.
        if len(path) and (market._start == 0 or (self._window is not None and count >= self._window)):
            return np.asarray(path[market._start + count - 1])
        return self._now(market)

    def _remembered(self, market: Market) -> FloatArray:
        """Factors of every day of the whole data set; empty where they are better worked out one by one.

        The factor of a day depends on the returns up to that day alone, so looking up one row looks at nothing later.
        Only data that cannot change are remembered.
        """
        whole = market._moments._returns
        path = np.empty((0, market.n_assets))
        if not whole.flags.writeable and not (self.joint and market.n_assets > _PATH_ASSETS):
            try:
                path = self._factors(pd.DataFrame(whole, copy=False))
            except DataError:  # on some day, perhaps one that nobody has seen yet: let each day speak for itself
                path = path[:0]
        return self._path.put(market._moments, path)

    def _now(self, market: Market) -> FloatArray:
        """Factors on the last day of the data alone."""
        rows = market.n_scenarios if self._window is None else min(self._window, market.n_scenarios)
        recent = market.returns[market.n_scenarios - rows :]
        frame = pd.DataFrame(recent, index=market.dates[-rows:], columns=pd.Index(list(market.assets)), copy=False)
        return np.asarray(self._factors(frame)[-1])

    def _factors(self, returns: pd.DataFrame) -> FloatArray:
        cap = None if self.max_leverage is None else self.max_leverage / self.fraction
        factors = kelly_factor(
            returns,
            window=self._window or 2,
            expanding=self._window is None,
            min_periods=self.needed,
            risk_free=self.risk_free,
            max_leverage=cap,
            allow_short=self.allow_short,
            use_log=self.use_log,
            joint=self.joint and returns.shape[1] > 1,
            periods_per_year=self.periods_per_year,
        )
        return np.ascontiguousarray(factors.to_numpy(np.float64) * self.fraction)


@final
@dataclass(frozen=True)
class RollingKelly(KellyFactorStrategy):
    """Kelly leverage from the mean and variance of the last ``window`` returns.

    Parameters
    ----------
    window : int
        Returns in each estimate, >= 2; jointly more than the number of assets. ``min_periods`` is the window unless
        given.
    fraction, risk_free, max_leverage, allow_short, use_log, joint, min_periods, periods_per_year
        See :class:`KellyFactorStrategy`.

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

    window: int = 252

    def __post_init__(self) -> None:
        """Check the parameters."""
        KellyFactorStrategy.__post_init__(self)
        check_whole(self, "window", low=2)
        if self.min_periods is not None and self.min_periods > self.window:
            raise PortfolioError(
                f"RollingKelly min_periods must be at most the window ({self.window}), got {self.min_periods}"
            )

    @property
    def _window(self) -> int | None:
        return self.window


@final
@dataclass(frozen=True)
class ExpandingKelly(KellyFactorStrategy):
    """Kelly leverage from the mean and variance of all returns so far.

    Parameters
    ----------
    fraction, risk_free, max_leverage, allow_short, use_log, joint, min_periods, periods_per_year
        See :class:`KellyFactorStrategy`; ``min_periods`` is 252 unless given.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    @property
    def _window(self) -> int | None:
        return None
