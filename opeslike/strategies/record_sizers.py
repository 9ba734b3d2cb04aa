"""Sizers by the rule's own record: Kelly, optimal f, and their conservative versions."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from opeslike.checks import per_period
from opeslike.errors import DataError
from opeslike.market import FloatArray
from opeslike.parameters import Count, Part, Positive, Rate, Several
from opeslike.sizing import EMPIRICAL_KELLY
from opeslike.sizing.factors import bounded_factor
from opeslike.strategies.outcome_sizes import LONG, FromOutcomes, Rule, Unlucky, check_periods
from opeslike.strategies.past import Memo, Past
from opeslike.strategies.record import Record
from opeslike.strategies.selection import tell_waiting, unsized
from opeslike.strategies.sizers import Sizer


@dataclass(frozen=True, kw_only=True, repr=False)
class _RecordSizer(Sizer):
    """Leverage of the unsized rule, from its own record."""

    window: Several | None = None
    every: Count = 1
    _memo: Memo[tuple[tuple[int, int], float]] = field(default_factory=Memo, init=False, compare=False)

    needs_record: ClassVar[bool] = True

    @abstractmethod
    def leverage(self, record: Record, rows: slice, past: Past) -> float:
        """Multiple of the unsized rule, >= 0."""

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Leverage times the unsized weights, shape (N,)."""
        if record is None:
            raise DataError(f"{type(self).__name__} needs the record that Sized keeps")
        rows = record.rows(past, self.window, self.every)
        span = (rows.start, rows.stop)
        known = self._memo.get(record)
        if known is None or known[0] != span:
            known = self._memo.put(record, (span, self.leverage(record, rows, past)))
        return unsized(scores) * known[1]

    def _too_few(self, needed: int, known: int, past: Past, what: str) -> bool:
        """Whether to wait; says so at the first step."""
        if known < needed and past.step == 0:
            tell_waiting(type(self).__name__, needed, known, past.today, what)
        return known < needed


@dataclass(frozen=True, repr=False)
class KellySizer(_RecordSizer):
    r"""Kelly leverage of the rule by the mean and variance of its own unsized returns.

    .. math:: f = fraction \cdot \max\left(0, \frac{m}{s^2}\right)

    with m and :math:`s^2` (divisor n - 1) of the rule's returns over the last ``window`` days, those without a position
    included, less the risk-free rate on its net exposure. A rule that lost is left alone, not turned around.

    Parameters
    ----------
    window : int, optional
        Days of the record, >= 2; None takes all of it.
    max_leverage : float, optional
        Cap of the gross exposure, > 0.
    fraction : float
        Part of the Kelly leverage to hold, in (0, 1]; the cap applies afterwards.
    risk_free : float
        Annual rate.
    min_periods : int, optional
        Days needed before anything is held, >= 2: by default the window, or 252 without one.
    use_log : bool
        Mean and variance of log returns.
    every : int
        Steps between estimates, >= 1.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    DataError
        While running: the record has no variance but a positive mean, and there is no ``max_leverage``.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market", Handbook of Asset and
    Liability Management 1, 2006.
    """

    window: Several | None = 252
    max_leverage: Positive | None = None
    fraction: Part = 1.0
    risk_free: Rate = 0.0
    min_periods: Several | None = None
    use_log: bool = False
    every: Count = 1

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_periods(self)

    def leverage(self, record: Record, rows: slice, past: Past) -> float:
        """Kelly factor of the rule's returns, >= 0 and at most the cap."""
        needed = self.min_periods or self.window or LONG
        if self._too_few(needed, rows.stop - rows.start, past, "days of the rule's record"):
            return 0.0
        made = record.made[rows]
        if self.risk_free:
            made = made - per_period(self.risk_free, past.periods_per_year) * record.net[rows]
        if self.use_log:
            if made.min() <= -1.0:
                raise DataError("KellySizer use_log: a day of the rule's record loses everything; use use_log=False")
            made = np.log1p(made)
        mean, variance = np.array([made.mean()]), np.array([made.var(ddof=1)])
        factor = self.fraction * float(bounded_factor(mean, variance, 0.0, math.inf, allow_short=False)[0])
        leverage = factor if self.max_leverage is None else min(factor, self.max_leverage)
        if math.isinf(leverage):
            raise DataError(f"the rule's record to {past.today} has no variance; set max_leverage")
        return leverage


@dataclass(frozen=True, kw_only=True, repr=False)
class OutcomeSizerBase(_RecordSizer, FromOutcomes):
    """What the sizers by outcomes have in common: a leverage from the outcomes of the rule's own record.

    Parameters
    ----------
    outcomes : {"periods", "trades"}
        Returns of the days with a position, or one compounded return a trade of the unsized rule; both before costs and
        financing.
    expected_max_loss : float, optional
        Loss per unit held that a risk fraction is divided by, in the unit of the outcomes (with "periods" 0.10 is 10%
        in one day); its sign is ignored. The largest loss among the outcomes by default. A rule whose unit is a
        leverage is not divided.
    max_leverage : float, optional
        Cap of the gross exposure, > 0.
    window : int, optional
        Days of the record, >= 2; None (the default) takes all of it.
    min_outcomes : int
        Outcomes needed before anything is held, >= 2. Without a loss among them nothing is held either, because then no
        size is optimal.
    every : int
        Steps between estimates, >= 1; they fall on steps 0, every, 2 every ... of a backtest.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    outcomes: Literal["periods", "trades"] = "periods"
    min_outcomes: Several = 30

    def leverage(self, record: Record, rows: slice, past: Past) -> float:
        """Size by the outcomes of the record."""
        by_trade = self.outcomes == "trades"
        made = record.trade_outcomes(rows, past) if by_trade else record.period_outcomes(rows)
        what = "trades of the rule" if by_trade else "days with a position of the rule"
        return 0.0 if self._too_few(self.min_outcomes, len(made), past, what) else self.leverage_by(made)


@dataclass(frozen=True, repr=False)
class OutcomeSizer(OutcomeSizerBase):
    """Any sizing rule applied to the outcomes of the selection's own record.

    Parameters
    ----------
    rule : SizingRule
        ``EMPIRICAL_KELLY`` (the default), ``PARTIAL_KELLY``, ``CONTINUOUS_KELLY``, ``BINARY_KELLY`` or ``OPTIMAL_F`` of
        :mod:`opeslike.sizing`, or one of your own.
    outcomes, expected_max_loss, max_leverage, window, min_outcomes, every
        See :class:`OutcomeSizerBase`.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """

    rule: Rule = EMPIRICAL_KELLY


@dataclass(frozen=True, repr=False)
class OptimalFSizer(OutcomeSizerBase):
    """Vince's optimal f of the selection's own record, over the expected maximum loss.

    Parameters
    ----------
    outcomes, expected_max_loss, max_leverage, window, min_outcomes, every
        See :class:`OutcomeSizerBase`.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    R. Vince, *Portfolio Management Formulas*, Wiley, 1990.
    """


@dataclass(frozen=True, repr=False)
class ConservativeSizer(Unlucky, OutcomeSizerBase):
    """A sizing rule applied to an unlucky resample of the outcomes, see :func:`opeslike.sizing.conservative`.

    Parameters
    ----------
    rule : SizingRule
        As in :class:`OutcomeSizer`; optimal f by default.
    n_boot : int
        Resamples, >= 1.
    percentile : float
        Place of the resample among all by its mean, in [0, 100].
    seed : int
        Every estimate draws with the same seed.
    block : float, optional
        Mean block length of the stationary bootstrap, >= 1; None draws outcomes independently.
    outcomes, expected_max_loss, max_leverage, window, min_outcomes, every
        See :class:`OutcomeSizerBase`.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.
    """
