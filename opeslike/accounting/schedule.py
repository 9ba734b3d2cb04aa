"""When to trade and when to decide: every so many steps, or by the calendar."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.checks import whole
from opeslike.errors import PortfolioError

#: A schedule: every so many steps, or a pandas offset.
Frequency = int | str | pd.offsets.BaseOffset


def scheduled(name: str, frequency: Frequency, closes: pd.Index) -> NDArray[np.bool_]:
    """Whether something is due at each step, shape (H,).

    Parameters
    ----------
    name : str
        Of the parameter, for messages.
    frequency : int, str or DateOffset
        Every so many steps, or the last trading day at or before each date of a pandas offset; the first step always.
    closes : Index of length H + 1
        Labels of P_0..P_H. Exchanges publish their trading days in advance, so that a day is the last one of its month
        is known on the day.

    Raises
    ------
    PortfolioError
        If the frequency is neither, does not count in days or more, or the data have no dates.
    """
    due = np.zeros(len(closes) - 1, dtype=bool)
    if not isinstance(frequency, (str, pd.offsets.BaseOffset)):
        due[:: whole(name, frequency, 1)] = True
        return due
    places = calendar(name, frequency, closes)
    due[places[places < len(due)]] = True
    due[0] = True
    return due


def calendar(name: str, frequency: str | pd.offsets.BaseOffset, closes: pd.Index) -> NDArray[np.intp]:
    """Places of the last trading day at or before each date of a pandas offset.

    Raises
    ------
    PortfolioError
        If it is no offset, does not count in days or more, or the data have no dates.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # names that pandas is about to drop
            offset = pd.tseries.frequencies.to_offset(frequency)
    except (ValueError, FutureWarning) as error:
        raise PortfolioError(
            f"{name}={frequency!r} is no calendar of pandas: give steps, or an offset such as 'ME', 'QE' or 'W-FRI'"
        ) from error
    if not isinstance(closes, pd.DatetimeIndex):
        raise PortfolioError(f"{name}={frequency!r} needs dated prices; count in steps instead")
    days = closes.normalize()
    start, end = days[[0, -1]]
    if start + offset < start + pd.Timedelta(days=1):
        raise PortfolioError(f"{name}={frequency!r} must count forward in days or more")
    return np.asarray(days.searchsorted(pd.date_range(start, end, freq=offset), side="right") - 1)


def periods_in_year(closes: pd.Index) -> float:
    """Steps in a year of an account, by its own calendar.

    365 where it is dated at weekends too, else 252, 52, 12, 4 or 1, whichever is nearest; more than two a day are taken
    as they are counted. 252 where closes have no dates.
    """
    if not isinstance(closes, pd.DatetimeIndex):
        return 252.0
    days = max((closes[-1] - closes[0]) / pd.Timedelta(days=1), 1.0)
    count = 365.25 * (len(closes) - 1) / days
    if count > 2 * 365:
        return count
    if count > 300 and (closes.day_of_week >= 5).any():
        return 365.0
    return min((252.0, 52.0, 12.0, 4.0, 1.0), key=lambda usual: abs(math.log(count / usual)))


def written(frequency: Frequency) -> int | str:
    """A schedule as the settings hold it."""
    return frequency.freqstr if isinstance(frequency, pd.offsets.BaseOffset) else frequency
