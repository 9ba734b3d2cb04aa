"""Momentum and trend: follow what has risen, leave or sell short what has fallen."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from opeslike.errors import DataError, PortfolioError
from opeslike.market import Flags, FloatArray
from opeslike.parameters import AtLeastZero, Count, Positive, Several, Whole
from opeslike.strategies.past import Past
from opeslike.strategies.selection import Selection


@dataclass(frozen=True, repr=False)
class TimeSeriesMomentum(Selection):
    r"""Each asset by its own past: long after a rise, short after a fall.

    .. math:: m_i = \log \frac{P_{t-skip}}{P_{t-skip-lookback}}

    The score is :math:`m_i` where its size exceeds ``hurdle``, else zero.

    Parameters
    ----------
    lookback : int
        Returns that are added up, >= 1.
    skip : int
        Last returns left out, >= 0 (a month at the end often reverses).
    hurdle : float
        Log return over the look-back that momentum has to exceed in size, >= 0.
    allow_short : bool
        With False a fall is not sold short.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    T. J. Moskowitz, Y. H. Ooi and L. H. Pedersen, "Time series momentum", Journal of Financial Economics 104, 2012.

    Examples
    --------
    >>> rising_and_falling = np.array([[0.01, -0.01]] * 5)
    >>> TimeSeriesMomentum(lookback=5).optimize(rising_and_falling, kind="returns").tolist()
    [0.5, -0.5]
    """

    lookback: Count = 252
    skip: Whole = 0
    hurdle: AtLeastZero = 0.0
    allow_short: bool = True

    @property
    def needed(self) -> int:
        """Look-back and what is skipped."""
        return self.lookback + self.skip

    def scores(self, past: Past) -> FloatArray:
        """Momentum where it clears the hurdle, shape (N,)."""
        momentum = log_change(past, self.lookback, self.skip)
        keep = (np.abs(momentum) if self.allow_short else momentum) > self.hurdle
        return np.where(keep, momentum, 0.0)


@dataclass(frozen=True, repr=False)
class DualMomentum(Selection):
    r"""Relative momentum ranks the assets, absolute momentum decides whether one may be held at all.

    .. math:: m_i = \log \frac{P_{t-skip}}{P_{t-skip-lookback}}

    Long the ``n_long`` assets with the largest :math:`m_i` as far as it exceeds ``hurdle``; short the ``n_short`` with
    the smallest as far as it lies below ``-hurdle``. Filters come first: an asset they exclude takes no rank. Scores
    are the momenta of what is selected. Of equal momenta the column that comes first is taken.

    Parameters
    ----------
    lookback : int
        Returns of the momentum, >= 1.
    n_long, n_short : int
        Assets on each side at most, >= 0.
    skip : int
        Last returns left out of the momentum, >= 0.
    hurdle : float
        Log return over the look-back that absolute momentum has to exceed in size, >= 0.
    vol_lookback : int
        Returns of the volatility filter, >= 2.
    max_vol : float, optional
        An asset whose annual volatility (standard deviation with divisor n - 1, times the root of the periods in a
        year) exceeds this is not held.
    volume_lookback : int
        Periods of the volume filter, >= 1.
    min_volume : float, optional
        An asset that traded less than this on average, in the unit of the data's ``Volume``, is not held; nor is one
        without any volume in those periods. Needs a frame with a ``Volume`` field.
    regime_window : int, optional
        Closes, >= 2, of the moving average of the regime filter: while the market is above its average no asset is
        sold short, while it is below none is bought.
    regime_asset : label, optional
        The asset that stands for the market. By default the average asset: equal weights, rebalanced each period.
    allow_short : bool
        With False nothing is sold short, whatever ``n_short``.

    Raises
    ------
    PortfolioError
        A parameter out of range, or ``n_long`` and ``n_short`` both zero.

    Notes
    -----
    Without filters, and with ``n_long = n_short``, the rule is symmetric: prices turned upside down (1 / P) turn every
    position around.

    References
    ----------
    G. Antonacci, *Dual Momentum Investing*, McGraw-Hill, 2014. N. Jegadeesh and S. Titman, "Returns to buying winners
    and selling losers", Journal of Finance 48, 1993.

    Examples
    --------
    >>> returns = np.array([[0.03, 0.01, 0.02, -0.01]] * 60)
    >>> DualMomentum(lookback=60, n_long=1, n_short=1).optimize(returns, kind="returns").tolist()
    [0.5, 0.0, 0.0, -0.5]
    """

    lookback: Count = 60
    n_long: Whole = 1
    n_short: Whole = 1
    skip: Whole = 0
    hurdle: AtLeastZero = 0.0
    vol_lookback: Several = 20
    max_vol: Positive | None = None
    volume_lookback: Count = 20
    min_volume: Positive | None = None
    regime_window: Several | None = None
    regime_asset: Hashable = None
    allow_short: bool = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.n_long + (self.n_short if self.allow_short else 0) == 0:
            raise PortfolioError("DualMomentum n_long and n_short leave nothing to hold; set one of them above 0")
        if self.regime_asset is not None and self.regime_window is None:
            raise PortfolioError("DualMomentum regime_asset needs regime_window, the closes of its moving average")

    @property
    def needs_volume(self) -> bool:
        """Whether the volume filter is on."""
        return self.min_volume is not None

    @property
    def needed(self) -> int:
        """Longest look-back in use."""
        return max(
            self.lookback + self.skip,
            self.vol_lookback if self.max_vol is not None else 0,
            self.volume_lookback if self.min_volume is not None else 0,
            self.regime_window - 1 if self.regime_window is not None else 0,
        )

    def scores(self, past: Past) -> FloatArray:
        """Momenta of what is selected, zero elsewhere, shape (N,)."""
        momentum = log_change(past, self.lookback, self.skip)
        allowed = self._allowed(past)
        market = self._market(past)
        answer = np.zeros(len(momentum))
        if market >= 0:
            _pick(answer, momentum, allowed & (momentum > self.hurdle), self.n_long)
        if market <= 0 and self.allow_short:
            _pick(answer, -momentum, allowed & (momentum < -self.hurdle), self.n_short, side=-1.0)
        return answer

    def _allowed(self, past: Past) -> Flags:
        """Assets that pass the volatility and the volume filter."""
        allowed = np.ones(len(past.assets), dtype=bool)
        if self.max_vol is not None:
            spread = past.returns[-self.vol_lookback :].std(axis=0, ddof=1)
            allowed &= spread * math.sqrt(past.periods_per_year) <= self.max_vol
        if self.min_volume is not None:
            if past.volume is None:
                raise DataError("DualMomentum needs volume: give a frame with a Volume field")
            traded = past.volume[-self.volume_lookback :]
            known = ~np.isnan(traded)
            count = known.sum(axis=0)
            total = np.where(known, traded, 0.0).sum(axis=0)
            allowed &= (count > 0) & (total >= self.min_volume * count)
        return np.asarray(allowed)

    def _market(self, past: Past) -> int:
        """1 above the moving average, -1 below, 0 at it or without the filter."""
        if self.regime_window is None:
            return 0
        recent = past.returns[len(past.returns) - self.regime_window + 1 :]
        if self.regime_asset is None:
            moves = recent.mean(axis=1)
        elif self.regime_asset in past.assets:
            moves = recent[:, past.assets.index(self.regime_asset)]
        else:
            raise DataError(f"DualMomentum regime_asset {self.regime_asset!r} is not among the assets")
        closes = np.cumprod(np.concatenate(([1.0], 1.0 + moves)))
        return int(np.sign(closes[-1] - closes.mean()))


@dataclass(frozen=True, repr=False)
class MovingAverageCross(Selection):
    r"""Long while the fast moving average of closes is above the slow one, for each asset on its own.

    The score is ``fast average / slow average - 1``; below zero it is a short position, or none.

    Parameters
    ----------
    fast, slow : int
        Closes in each simple average, ``1 <= fast < slow``. With ``fast=1`` the close itself is compared.
    allow_short : bool
        Whether to sell short while the fast average is below the slow one; by default the rule is long or out.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    W. Brock, J. Lakonishok and B. LeBaron, "Simple technical trading rules and the stochastic properties of stock
    returns", Journal of Finance 47, 1992.

    Examples
    --------
    >>> rising = np.linspace(100.0, 120.0, 201)[:, None]
    >>> MovingAverageCross(fast=50, slow=200).optimize(rising).tolist()
    [1.0]
    """

    fast: Count = 50
    slow: Several = 200
    allow_short: bool = False

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.fast >= self.slow:
            raise PortfolioError(f"MovingAverageCross fast must be below slow, got fast={self.fast}, slow={self.slow}")

    @property
    def needed(self) -> int:
        """``slow`` closes."""
        return self.slow - 1

    def scores(self, past: Past) -> FloatArray:
        """Fast average over slow average, less one, shape (N,)."""
        # Closes relative to the first of the window: the ratio of two averages has no unit.
        closes = np.multiply.accumulate(1.0 + past.returns[len(past.returns) - self.slow + 1 :])
        fast = np.add.reduce(closes[self.slow - 1 - self.fast :]) / self.fast
        slow = (1.0 + np.add.reduce(closes)) / self.slow
        score = fast / slow - 1.0
        return np.asarray(score if self.allow_short else np.maximum(score, 0.0))


def log_change(past: Past, lookback: int, skip: int = 0) -> FloatArray:
    """Log return of each asset over ``lookback`` periods, ``skip`` periods before the end, shape (N,)."""
    stop = len(past.returns) - skip
    return np.asarray(np.log1p(past.returns[stop - lookback : stop]).sum(axis=0))


def _pick(answer: FloatArray, strength: FloatArray, eligible: Flags, count: int, side: float = 1.0) -> None:
    """Write the scores of the strongest eligible assets into ``answer``."""
    found = np.flatnonzero(eligible)
    best = found[np.argsort(-strength[found], kind="stable")[:count]]
    answer[best] = side * strength[best]
