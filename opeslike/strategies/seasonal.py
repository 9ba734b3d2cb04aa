"""Calendar rules: hold on certain trading days of the month, or in certain months.

What a calendar rule must know is the *date* of the day whose return it would earn. In a backtest with an execution lag
that day lies after the last visible close; its date is known in advance, because exchanges publish their trading days,
and its price is not. So these rules read the date from the backtest's calendar (``state.calendar[state.row]``, the date
of P_{t+1} for weights held from P_t) and prices never.

Where the calendar ends, and where it begins in the middle of a month, the missing days of that month are taken to be
all weekdays (all days, if the data have weekends). Unscheduled closings of an exchange are in the data's calendar
although nobody knew them in advance; this can move the last trading day of a month by a day, as in September 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray, Rows
from opeslike.parameters import Whole
from opeslike.strategies.past import Memo, Past
from opeslike.strategies.selection import Selection

_DAY = pd.Timedelta(days=1)
_LONGEST_GAP = np.timedelta64(4, "D")  # the median gap of daily data is one day


class _Places(NamedTuple):
    """Where each trading day stands in its month; one entry beyond the data is the next trading day."""

    from_start: Rows
    to_end: Rows
    month: Rows


@dataclass(frozen=True, repr=False)
class _CalendarRule(Selection):
    """Long all assets on the days that the calendar picks."""

    _memo: Memo[_Places] = field(default_factory=Memo, init=False, compare=False)

    @property
    def needed(self) -> int:
        """No price is looked at."""
        return 0

    def places(self, past: Past) -> _Places:
        """Places of the days in ``past.dates``."""
        known = self._memo.get(past.dates)
        return known if known is not None else self._memo.put(past.dates, _places(past.dates, type(self).__name__))


@dataclass(frozen=True, repr=False)
class TurnOfMonth(_CalendarRule):
    """Hold every asset on the last trading days of a month and the first of the next.

    Parameters
    ----------
    last : int
        Trading days at the end of the month whose return is earned, >= 0; 1 is the last day alone.
    first : int
        Trading days at the start of the month, >= 0.

    Raises
    ------
    PortfolioError
        A parameter out of range, or both zero.

    Notes
    -----
    Re-optimise and rebalance daily: between two decisions of a backtest nothing changes.

    References
    ----------
    J. Lakonishok and S. Smidt, "Are seasonal anomalies real? A ninety-year perspective", Review of Financial Studies 1,
    1988: days -1 to +3. R. A. Ariel, "A monthly effect in stock returns", Journal of Financial Economics 18, 1987.
    """

    last: Whole = 1
    first: Whole = 3

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.last + self.first == 0:
            raise PortfolioError("TurnOfMonth last and first are both 0: it would never hold anything")

    def scores(self, past: Past) -> FloatArray:
        """1 for every asset on the days around the turn of the month, else 0."""
        places = self.places(past)
        held = places.from_start[past.row] <= self.first or places.to_end[past.row] <= self.last
        return np.full(len(past.assets), float(held))


@dataclass(frozen=True, repr=False)
class MonthlySeasonal(_CalendarRule):
    """Hold every asset in certain calendar months; by default November to April.

    Parameters
    ----------
    months : sequence of int
        1 for January to 12 for December; the returns of all trading days in these months are earned.

    Raises
    ------
    PortfolioError
        If ``months`` is empty, names one twice or one that does not exist.

    References
    ----------
    S. Bouman and B. Jacobsen, "The Halloween indicator, 'Sell in May and go away': another puzzle", American Economic
    Review 92, 2002.
    """

    months: Sequence[int] = (11, 12, 1, 2, 3, 4)

    def __post_init__(self) -> None:
        """Check the parameter."""
        months = tuple(self.months) if isinstance(self.months, Sequence) and not isinstance(self.months, str) else ()
        known = all(isinstance(m, (int, np.integer)) and not isinstance(m, bool) and 1 <= m <= 12 for m in months)
        if not months or not known or len(set(months)) < len(months):
            raise PortfolioError(f"MonthlySeasonal months must be different numbers from 1 to 12, got {self.months!r}")

    def scores(self, past: Past) -> FloatArray:
        """1 for every asset in the chosen months, else 0."""
        return np.full(len(past.assets), float(self.places(past).month[past.row] in self.months))


def _places(dates: pd.Index, name: str) -> _Places:
    """Count the trading days of each month from both ends."""
    if not isinstance(dates, pd.DatetimeIndex):
        raise DataError(f"{name} needs dated data, but the rows are indexed by {dates.dtype}; index them by date")
    days = pd.DatetimeIndex(dates.tz_localize(None).normalize()).as_unit("ns")
    gaps = np.diff(days.unique().to_numpy())
    if len(gaps) and np.median(gaps) > _LONGEST_GAP:
        raise DataError(f"{name} needs daily data, but the rows are further apart")
    # The unknown days of the first and the last month, and the day after the data.
    step = "D" if bool((days.day_of_week >= 5).any()) else "B"
    first, last = days[0], days[-1]
    upcoming = pd.date_range(last + _DAY, periods=1, freq=step)
    before = pd.date_range(first.replace(day=1), first - _DAY, freq=step)
    after = pd.date_range(last + _DAY, upcoming[0] + pd.offsets.MonthEnd(0), freq=step)
    whole = days.union(before.as_unit("ns")).union(after.as_unit("ns"))
    month = (whole.year * 12 + whole.month).to_numpy()
    starts = np.flatnonzero(np.r_[True, month[1:] != month[:-1]])
    sizes = np.diff(np.r_[starts, len(whole)])
    from_start = np.arange(len(whole)) - np.repeat(starts, sizes) + 1
    to_end = np.repeat(sizes, sizes) - from_start + 1
    rows = whole.get_indexer(days.append(upcoming.as_unit("ns")))
    return _Places(from_start[rows], to_end[rows], whole.month.to_numpy()[rows])
