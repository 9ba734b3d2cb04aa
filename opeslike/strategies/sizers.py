"""Sizers by count and by volatility."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from opeslike.sizing.reading import ROUNDING
from opeslike.strategies._parameters import check_real, check_whole
from opeslike.strategies.past import FloatArray, Past
from opeslike.strategies.record import Record
from opeslike.strategies.sizer import Sizer, capped


@final
@dataclass(frozen=True)
class EqualWeight(Sizer):
    """The same weight for every position: ``sign(score) * weight``.

    The gross exposure is ``weight`` times the number of positions; nothing caps it but
    :class:`~opeslike.accounting.overlays.LeverageCap`.

    Parameters
    ----------
    weight : float
        Fraction of wealth, > 0.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    Examples
    --------
    >>> returns = np.array([[0.01, -0.01, 0.0]] * 3)
    >>> EqualWeight(weight=0.1).size([2.0, -1.0, 0.0], returns, kind="returns").tolist()
    [0.1, -0.1, 0.0]
    """

    weight: float = 0.10

    def __post_init__(self) -> None:
        """Check the parameters."""
        Sizer.__post_init__(self)
        check_real(self, "weight", low=0.0, above=True)

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Equal weights, shape (N,)."""
        return np.sign(scores) * self.weight


@final
@dataclass(frozen=True)
class MaxPositions(Sizer):
    """The same weight for the strongest few: the ``max_positions`` largest scores in size.

    Longs and shorts share the places. Of equal scores an asset that is already held on that side comes first, then the
    column that comes first.

    Parameters
    ----------
    weight : float
        Fraction of wealth in each position, > 0.
    max_positions : int
        >= 1.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    weight: float = 0.20
    max_positions: int = 5

    def __post_init__(self) -> None:
        """Check the parameters."""
        Sizer.__post_init__(self)
        check_real(self, "weight", low=0.0, above=True)
        check_whole(self, "max_positions", low=1)

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Equal weights for the strongest, shape (N,)."""
        held = np.zeros(len(scores)) if past.account is None else past.account.weights
        chosen = np.lexsort((scores * held <= 0, -np.abs(scores)))[: self.max_positions]
        answer = np.zeros(len(scores))
        answer[chosen] = np.sign(scores[chosen]) * self.weight
        return answer


@final
@dataclass(frozen=True)
class VolatilityTarget(Sizer):
    r"""Every position on its own has the same annual volatility.

    .. math:: w_i = \mathrm{sign}_i \frac{target}{s_i \sqrt{K}}

    with :math:`s_i` the standard deviation (divisor n - 1) of the last ``lookback`` returns, K the periods in a year.

    Parameters
    ----------
    lookback : int
        Returns to estimate from, >= 2.
    target : float
        Annual volatility of a position, a fraction > 0.
    fallback_vol : float
        Annual volatility assumed while fewer than ``lookback`` returns are known, and for an asset that did not move in
        them, > 0.
    max_weight : float, optional
        Largest weight of a position in size, > 0; a calm week can otherwise ask for any leverage. No cap by default.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    A. Moreira and T. Muir, "Volatility-managed portfolios", Journal of Finance 72, 2017.
    """

    lookback: int = 7
    target: float = 0.10
    fallback_vol: float = 0.5
    max_weight: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        Sizer.__post_init__(self)
        check_whole(self, "lookback", low=2)
        for name in ("target", "fallback_vol"):
            check_real(self, name, low=0.0, above=True)
        check_real(self, "max_weight", low=0.0, above=True, optional=True)

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Target over volatility, shape (N,)."""
        volatility = np.zeros(len(scores))
        if len(past.returns) >= self.lookback:
            recent = past.returns[-self.lookback :]
            volatility = recent.std(axis=0, ddof=1) * math.sqrt(past.periods_per_year)
            # What returns of rounded prices vary by is no risk.
            still = volatility <= ROUNDING * math.sqrt(past.periods_per_year) * (1.0 + np.abs(recent).max(axis=0))
            volatility[still] = 0.0
        size = self.target / np.where(volatility > 0.0, volatility, self.fallback_vol)
        if self.max_weight is not None:
            size = np.minimum(size, self.max_weight)
        return np.asarray(np.sign(scores) * size)


@final
@dataclass(frozen=True)
class RiskParityVolTarget(Sizer):
    r"""Positions in inverse proportion to their volatility, together at a target volatility.

    1. Volatility of each asset: :math:`\sigma_i^2 = \sum_k a (1 - a)^k r_{i,t-k}^2 / \sum_k a (1 - a)^k` over the last
       ``lookback`` returns, with a = ``ema_alpha``; at least ``vol_floor``.
    2. :math:`u_i = \mathrm{sign}_i / \sigma_i`, scaled to gross exposure 1. This is risk parity where all correlations
       are equal.
    3. Scaled to ``target_vol`` by the standard deviation (divisor n - 1, at least ``vol_floor``) that u would have had
       over the last ``lookback`` returns, so hedges between longs and shorts count.
    4. No weight beyond ``max_weight`` in size (what is cut off is not given to others), then all weights alike scaled
       down to gross exposure ``leverage_cap``. Both can leave the portfolio below its target.

    Parameters
    ----------
    lookback : int
        Returns to estimate from, >= 2; nothing is held until they are known.
    ema_alpha : float
        Weight of the newest squared return, in (0, 1]; 0.2 forgets half in three periods.
    target_vol : float
        Annual volatility of the portfolio, a fraction > 0.
    max_weight : float
        Fraction of wealth, > 0.
    leverage_cap : float
        Gross exposure, > 0.
    vol_floor : float
        Per period, > 0: keeps an asset that hardly moved from taking everything.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    S. Maillard, T. Roncalli and J. Teiletche, "The properties of equally weighted risk contribution portfolios",
    Journal of Portfolio Management 36, 2010. J. P. Morgan, *RiskMetrics Technical Document*, 1996.
    """

    lookback: int = 60
    ema_alpha: float = 0.2
    target_vol: float = 0.15
    max_weight: float = 0.30
    leverage_cap: float = 1.5
    vol_floor: float = 1e-4

    def __post_init__(self) -> None:
        """Check the parameters."""
        Sizer.__post_init__(self)
        check_whole(self, "lookback", low=2)
        check_real(self, "ema_alpha", low=0.0, high=1.0, above=True)
        for name in ("target_vol", "max_weight", "leverage_cap", "vol_floor"):
            check_real(self, name, low=0.0, above=True)

    @property
    def needed(self) -> int:
        """The look-back."""
        return self.lookback

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Inverse volatilities at the target, shape (N,)."""
        recent = past.returns[-self.lookback :]
        decay = (1.0 - self.ema_alpha) ** np.arange(self.lookback - 1.0, -1.0, -1.0)
        volatility = np.sqrt((decay / decay.sum()) @ (recent * recent))
        mix = np.sign(scores) / np.maximum(volatility, self.vol_floor)
        mix /= np.abs(mix).sum()
        together = max(float((recent @ mix).std(ddof=1)), self.vol_floor) * math.sqrt(past.periods_per_year)
        scaled = np.clip(mix * (self.target_vol / together), -self.max_weight, self.max_weight)
        return capped(scaled, self.leverage_cap)
