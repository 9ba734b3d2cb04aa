"""Sizers: how much to hold of what a selection selects; here by count and by volatility."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from opeslike.errors import DataError
from opeslike.market import FloatArray, Kind, cut, full
from opeslike.parameters import AtLeastZero, Count, Parameters, Part, Positive, Several
from opeslike.sizing.reading import ROUNDING
from opeslike.strategies.past import Past, read_past
from opeslike.strategies.protocol import State
from opeslike.strategies.record import Record


@dataclass(frozen=True, kw_only=True, repr=False)
class Sizer(Parameters, ABC):
    """Base class of sizers: from scores to weights, by data up to the last visible close.

    Every sizer takes these keywords. They apply in this order, after the sizer's own caps, and only ever reduce.

    Parameters
    ----------
    allow_short : bool
        With False negative scores are ignored: those assets are not held.
    allow_pyramiding : bool
        With False an open position is not added to: where the account already holds an asset on the same side, the
        weight aimed for is at most the weight last known, as of the strategy's last visible close. Reductions, exits
        and changes of side are not affected. With ``execution_lag=0`` nothing is ever bought for an open position; with
        a lag, what prices moved in between may be traded back to that weight.
    min_notional : float
        Money, >= 0: a position worth less (weight times wealth, both as of the last visible close) is not held. Outside
        a backtest wealth is 1.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    min_notional: AtLeastZero = 0.0
    allow_short: bool = True
    allow_pyramiding: bool = True

    #: Whether the sizer looks at the rule's own record.
    needs_record: ClassVar[bool] = False

    @property
    def needed(self) -> int:
        """Returns of the assets that must be known before anything is held."""
        return 0

    @abstractmethod
    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Weights by the sizer's own formula, before the common limits, shape (N,).

        Parameters
        ----------
        scores : ndarray of shape (N,)
            Finite; without negative ones where shorts are not allowed.
        past : Past
            At least :attr:`needed` returns are in it.
        record : Record or None
            What the rule itself did, for sizers with :attr:`needs_record`.
        """

    def size(self, scores: ArrayLike, data: Any, *, state: State | None = None, kind: Kind | None = None) -> FloatArray:
        """Turn scores into weights, outside a :class:`~opeslike.strategies.Sized`.

        Parameters
        ----------
        scores : array-like of shape (N,)
            Above zero long, below zero short, zero nothing.
        data : Market, DataFrame, Series or array
            Prices or returns up to the last visible close.
        state : State, optional
            The account, inside a backtest.
        kind : {"prices", "returns"}, optional

        Returns
        -------
        ndarray of shape (N,)

        Raises
        ------
        DataError
            If the data cannot be used, the scores are not N finite numbers, or the sizer needs the rule's own record,
            which only :class:`~opeslike.strategies.Sized` keeps.
        """
        if self.needs_record:
            raise DataError(f"{type(self).__name__} sizes by a rule's own record; use Sized(rule, {self!r})")
        past = read_past(data, state, kind)
        return full(self.apply(cut(np.asarray(scores, dtype=np.float64), past.assets), past, None), past.assets)

    def apply(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Weights with the common limits, shape (N,)."""
        if scores.shape != (len(past.assets),) or not np.isfinite(scores).all():
            raise DataError(f"{type(self).__name__} takes one finite score for each of {len(past.assets)} assets")
        if not self.allow_short:
            scores = np.maximum(scores, 0.0)
        if not scores.any() or len(past.returns) < self.needed:
            return np.zeros(len(scores))
        return self._limited(self.weights(scores, past, record), past)

    def _limited(self, weights: FloatArray, past: Past) -> FloatArray:
        account = past.account
        if not self.allow_pyramiding and account is not None:
            held = account.weights
            grown = (weights * held > 0) & (np.abs(weights) > np.abs(held))
            weights = np.where(grown, held, weights)
        if self.min_notional > 0:
            wealth = 1.0 if account is None else account.wealth
            weights = np.where(np.abs(weights) * wealth < self.min_notional, 0.0, weights)
        return weights


def capped(weights: FloatArray, gross: float | None) -> FloatArray:
    """Scale all weights alike so that their gross exposure is at most ``gross``."""
    total = float(np.abs(weights).sum())
    return weights if gross is None or total <= gross else weights * (gross / total)


@dataclass(frozen=True, repr=False)
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

    weight: Positive = 0.10

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Equal weights, shape (N,)."""
        return np.sign(scores) * self.weight


@dataclass(frozen=True, repr=False)
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

    weight: Positive = 0.20
    max_positions: Count = 5

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Equal weights for the strongest, shape (N,)."""
        held = np.zeros(len(scores)) if past.account is None else past.account.weights
        chosen = np.lexsort((scores * held <= 0, -np.abs(scores)))[: self.max_positions]
        answer = np.zeros(len(scores))
        answer[chosen] = np.sign(scores[chosen]) * self.weight
        return answer


@dataclass(frozen=True, repr=False)
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

    lookback: Several = 7
    target: Positive = 0.10
    fallback_vol: Positive = 0.5
    max_weight: Positive | None = None

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


@dataclass(frozen=True, repr=False)
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

    lookback: Several = 60
    ema_alpha: Part = 0.2
    target_vol: Positive = 0.15
    max_weight: Positive = 0.30
    leverage_cap: Positive = 1.5
    vol_floor: Positive = 1e-4

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
