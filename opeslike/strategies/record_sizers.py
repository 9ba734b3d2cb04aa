"""Sizers by the rule's own record: Kelly, optimal f, and their conservative versions."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np

from opeslike.checks import per_period as per_period_rate
from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import EMPIRICAL_KELLY, OPTIMAL_F, SizingRule, conservative
from opeslike.sizing.reading import ROUNDING
from opeslike.strategies._memo import Memo
from opeslike.strategies._parameters import check_real, check_whole
from opeslike.strategies.past import FloatArray, Past
from opeslike.strategies.record import Record
from opeslike.strategies.selection import tell_waiting, unsized
from opeslike.strategies.sizer import Sizer

Outcomes = Literal["periods", "trades"]


@dataclass(frozen=True)
class _RecordSizer(Sizer):
    """Leverage of the unsized rule, from its own record."""

    _memo: Memo[tuple[tuple[int, int], float]] = field(
        default_factory=Memo, init=False, repr=False, compare=False, kw_only=True
    )

    @property
    def needs_record(self) -> bool:
        """Always."""
        return True

    @abstractmethod
    def _rows(self, record: Record) -> slice:
        """Days of the record to estimate from."""

    @abstractmethod
    def _leverage(self, record: Record, rows: slice, past: Past) -> float:
        """Multiple of the unsized rule, >= 0."""

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Leverage times the unsized weights, shape (N,)."""
        if record is None:
            raise DataError(f"{type(self).__name__} needs the record that Sized keeps")
        rows = self._rows(record)
        span = (rows.start, rows.stop)
        known = self._memo.get(record.track)
        if known is None or known[0] != span:
            known = self._memo.put(record.track, (span, self._leverage(record, rows, past)))
        return unsized(scores) * known[1]

    def _too_few(self, needed: int, known: int, record: Record, past: Past, what: str) -> bool:
        """Whether to wait; says so at the first step."""
        if known < needed and record.step == 0:
            tell_waiting(type(self).__name__, needed, known, past.today, what)
        return known < needed


@final
@dataclass(frozen=True)
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

    window: int | None = 252
    max_leverage: float | None = None
    fraction: float = 1.0
    risk_free: float = 0.0
    min_periods: int | None = None
    use_log: bool = False
    every: int = 1

    def __post_init__(self) -> None:
        """Check the parameters."""
        Sizer.__post_init__(self)
        check_whole(self, "window", low=2, optional=True)
        check_real(self, "max_leverage", low=0.0, above=True, optional=True)
        check_real(self, "fraction", low=0.0, high=1.0, above=True)
        check_real(self, "risk_free", low=-1.0, above=True)
        check_whole(self, "min_periods", low=2, optional=True)
        check_whole(self, "every", low=1)
        if self.window is not None and self.min_periods is not None and self.min_periods > self.window:
            raise PortfolioError(
                f"KellySizer min_periods must be at most the window ({self.window}), got {self.min_periods}"
            )

    def _rows(self, record: Record) -> slice:
        return record.rows(self.window, self.every)

    def _leverage(self, record: Record, rows: slice, past: Past) -> float:
        needed = self.min_periods or self.window or 252
        if self._too_few(needed, rows.stop - rows.start, record, past, "days of the rule's record"):
            return 0.0
        made = record.returns(rows)
        if self.risk_free:
            made = made - per_period_rate(self.risk_free, past.periods_per_year) * record.net(rows)
        if self.use_log:
            if made.min() <= -1.0:
                raise DataError("KellySizer use_log: a day of the rule's record loses everything; use use_log=False")
            made = np.log1p(made)
        mean = float(made.mean())
        about = made - mean
        variance = float(about @ about) / (len(made) - 1)
        cap = math.inf if self.max_leverage is None else self.max_leverage
        if mean <= 0.0:
            return 0.0
        if variance <= (ROUNDING * (1.0 + mean)) ** 2:
            if mean <= ROUNDING:
                return 0.0
            if math.isinf(cap):
                raise DataError(f"the rule's record to {past.today} has no variance; set max_leverage")
            return cap
        return min(self.fraction * mean / variance, cap)


@dataclass(frozen=True, kw_only=True)
class OutcomeSizerBase(_RecordSizer):
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

    outcomes: Outcomes = "periods"
    expected_max_loss: float | None = None
    max_leverage: float | None = None
    window: int | None = None
    min_outcomes: int = 30
    every: int = 1

    def __post_init__(self) -> None:
        """Check the parameters."""
        Sizer.__post_init__(self)
        if self.outcomes not in ("periods", "trades"):
            raise PortfolioError(f"{type(self).__name__} outcomes must be 'periods' or 'trades', got {self.outcomes!r}")
        check_real(self, "expected_max_loss", optional=True)
        if self.expected_max_loss == 0:
            raise PortfolioError(f"{type(self).__name__} expected_max_loss must not be 0")
        check_real(self, "max_leverage", low=0.0, above=True, optional=True)
        check_whole(self, "window", low=2, optional=True)
        check_whole(self, "min_outcomes", low=2)
        check_whole(self, "every", low=1)

    @abstractmethod
    def _size(self, outcomes: FloatArray) -> float:
        """Leverage for outcomes with at least one loss."""

    def _rows(self, record: Record) -> slice:
        return record.rows(self.window, self.every)

    def _leverage(self, record: Record, rows: slice, past: Past) -> float:
        by_trade = self.outcomes == "trades"
        made = record.trade_outcomes(rows) if by_trade else record.period_outcomes(rows)
        what = "trades of the rule" if by_trade else "days with a position of the rule"
        if self._too_few(self.min_outcomes, len(made), record, past, what) or made.min() >= 0.0:
            return 0.0
        leverage = self._size(made)
        return leverage if self.max_leverage is None else min(leverage, self.max_leverage)

    def _applied(self, rule: SizingRule, outcomes: FloatArray) -> float:
        """Leverage by a rule of either unit; never below zero, a rule that lost is left alone."""
        size = max(rule(outcomes), 0.0)
        if rule.unit == "leverage":
            return size
        return size / (-float(outcomes.min()) if self.expected_max_loss is None else abs(self.expected_max_loss))


@final
@dataclass(frozen=True)
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

    rule: SizingRule = EMPIRICAL_KELLY

    def __post_init__(self) -> None:
        """Check the parameters."""
        OutcomeSizerBase.__post_init__(self)
        _check_rule(self, self.rule)

    def _size(self, outcomes: FloatArray) -> float:
        return self._applied(self.rule, outcomes)


@final
@dataclass(frozen=True)
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

    def _size(self, outcomes: FloatArray) -> float:
        return self._applied(OPTIMAL_F, outcomes)


@final
@dataclass(frozen=True)
class ConservativeSizer(OutcomeSizerBase):
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

    rule: SizingRule = OPTIMAL_F
    n_boot: int = 100
    percentile: float = 5.0
    seed: int = 100
    block: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        OutcomeSizerBase.__post_init__(self)
        _check_rule(self, self.rule)
        check_whole(self, "n_boot", low=1)
        check_real(self, "percentile", low=0.0, high=100.0)
        check_whole(self, "seed", low=0)
        check_real(self, "block", low=1.0, optional=True)

    def _size(self, outcomes: FloatArray) -> float:
        found = conservative(
            *(self.rule, outcomes, self.n_boot, self.percentile, self.seed, self.block),
            expected_max_loss=self.expected_max_loss,
        )
        return max(found.leverage, 0.0)


def _check_rule(owner: Sizer, rule: SizingRule) -> None:
    if not isinstance(rule, SizingRule):
        raise PortfolioError(f"{type(owner).__name__} rule must be a SizingRule such as OPTIMAL_F, got {rule!r}")
