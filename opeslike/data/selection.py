"""What all loaders share: reading ``tickers``, ``start`` and ``end``, and cutting a frame by them."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from opeslike.errors import DataError
from opeslike.panel import FIELDS

#: A day as people write it; ``None`` leaves that side open.
Day: TypeAlias = str | dt.date | pd.Timestamp | None

#: The columns of a bar, in the order Yahoo and this package write them.
BAR = ("Open", "High", "Low", "Close", "Volume")


def read_tickers(tickers: str | Iterable[str]) -> list[str]:
    """Return the tickers as a list; a string may hold several, split by blanks or commas.

    Parameters
    ----------
    tickers : str or iterable of str
        ``"AAPL MSFT"``, ``"AAPL,MSFT"`` or ``["AAPL", "MSFT"]``.

    Returns
    -------
    list of str
        In the order given.

    Raises
    ------
    DataError
        Nothing given, something that is not text, or a ticker given twice.
    """
    if not isinstance(tickers, Iterable):
        raise DataError(f"tickers must be text or a list of texts, got {tickers!r}")
    names = tickers.replace(",", " ").split() if isinstance(tickers, str) else list(tickers)
    if not names:
        raise DataError("tickers is empty: name at least one")
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"tickers must be text, got {name!r}")
    names = [name.strip() for name in names]
    refuse_twins(names, "tickers")
    return names


def read_symbols(given: str | Iterable[str], form: str, what: str) -> list[str]:
    """Return tickers as a list; a DataError where one is not of printable characters in this form."""
    names = read_tickers(given)
    for name in names:
        if not re.fullmatch(form, name) or not re.fullmatch("[!-~]+", name):
            raise DataError(f"{name!r} is not a {what}")
    return names


def refuse_twins(names: Sequence[str], where: str) -> None:
    """Raise a DataError naming the first ticker that occurs twice in ``names``."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"ticker {twice[0]} occurs twice in {where}: keep one")


def read_day(value: Day, name: str) -> pd.Timestamp | None:
    """Return midnight of the day meant by ``value``, without a time zone.

    Text may be a year or a month, as in pandas: ``start="2019"`` is 2019-01-01 and ``end="2019"``
    is 2019-12-31. A time of day is dropped; so is a time zone, keeping the local date.

    Parameters
    ----------
    value : str, date, Timestamp or None
        The day; ``None`` stays ``None``.
    name : {"start", "end"}
        The parameter, for the error and for the side a year or month is rounded to.

    Raises
    ------
    DataError
        ``value`` is not a date.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str):
            period = pd.Period(value)
            day = period.end_time if name == "end" else period.start_time
        else:
            day = pd.Timestamp(value)
        if pd.isna(day):
            raise ValueError
    except (ValueError, TypeError, OverflowError, AttributeError) as error:  # the last of a period that is NaT
        raise DataError(f"{name}={value!r} is not a date: write it as 2019-12-31") from error
    return day.tz_localize(None).normalize()


def read_range(start: Day, end: Day) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return both ends as days; a DataError where ``start`` lies after ``end``."""
    first, last = read_day(start, "start"), read_day(end, "end")
    if first is not None and last is not None and first > last:
        raise DataError(f"start={first.date()} lies after end={last.date()}")
    return first, last


def cut(frame: pd.DataFrame, start: Day, end: Day, source: str) -> pd.DataFrame:
    """Return the rows of a frame from ``start`` to ``end``, both included.

    Raises
    ------
    DataError
        No row lies there; the message says which dates ``source`` has.
    """
    first, last = read_range(start, end)
    kept = np.ones(len(frame), dtype=bool)  # by comparison: a slice asks for order, and for years that it can hold
    kept &= True if first is None else frame.index >= first
    kept &= True if last is None else frame.index <= last
    rows = frame if kept.all() else frame[kept]
    if rows.empty:
        have = f"has {frame.index[0].date()} to {frame.index[-1].date()}"
        raise DataError(f"no rows between start={_show(first)} and end={_show(last)}: {source} {have}")
    return rows


def pick(frame: pd.DataFrame, tickers: str | Iterable[str] | None, source: str, level: int = 0) -> pd.DataFrame:
    """Return the columns of ``tickers`` in that order; all of them where it is ``None``.

    Parameters
    ----------
    frame : DataFrame
        Columns are tickers, or have the tickers in column level ``level`` of two.
    tickers : str, iterable of str or None
        As in :func:`read_tickers`.
    source : str
        Where the frame comes from, for the error.
    level : int
        The column level that holds tickers.

    Raises
    ------
    DataError
        A ticker that is not there; the message lists those that are.
    """
    if tickers is None:
        return frame
    names = read_tickers(tickers)
    have = list(dict.fromkeys(frame.columns.get_level_values(level)))
    if missing := [name for name in names if name not in have]:
        more = f" and {len(have) - 50} more" if len(have) > 50 else ""
        raise DataError(f"{source} has no {', '.join(missing)}: it has {', '.join(map(str, have[:50]))}{more}")
    if frame.columns.nlevels == 1:
        return frame[names]
    return pd.concat([frame.loc[:, frame.columns.get_level_values(level) == name] for name in names], axis=1)


def check_fields(fields: str | Iterable[str]) -> list[str]:
    """Return ``fields`` as a list; a DataError where one is not the name of a field."""
    if fields == "OHLCV":
        return list(BAR)
    names = [fields] if isinstance(fields, str) else list(fields)
    if not names or not all(isinstance(name, str) and name in FIELDS for name in names):
        raise DataError(f"fields={fields!r}: give one or several of {', '.join(BAR)}, or 'OHLCV' for all five")
    refuse_twins(names, "fields")
    return names


def take_fields(bars: pd.DataFrame, fields: str | Iterable[str], source: str) -> pd.DataFrame:
    """Return one field as dates x tickers, or several with the column levels (ticker, field).

    Parameters
    ----------
    bars : DataFrame
        Two column levels, tickers on top.
    fields : str or iterable of str
        One name gives one column level; ``"OHLCV"`` or a list gives two.
    source : str
        Where the bars come from, for the error.

    Raises
    ------
    DataError
        A field no ticker, or not every ticker, has.
    """
    names = check_fields(fields)
    tickers = list(dict.fromkeys(bars.columns.get_level_values(0)))
    wanted = [(ticker, name) for ticker in tickers for name in names]
    if missing := [key for key in wanted if key not in bars.columns]:
        have = ", ".join(bars[missing[0][0]].columns)
        raise DataError(f"{source} has no {missing[0][1]} of {missing[0][0]}: it has {have}")
    chosen = bars[wanted]
    if isinstance(fields, str) and fields != "OHLCV":
        return chosen.droplevel(1, axis=1).rename_axis(columns=None)
    return chosen.rename_axis(columns=["Ticker", "Price"])


def _show(day: pd.Timestamp | None) -> str:
    return "open" if day is None else str(day.date())
