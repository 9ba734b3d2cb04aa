"""The embedded prices: 20 US large caps and the S&P 500, for examples and tests."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pandas as pd

from opeslike.data.selection import Day, cut, pick
from opeslike.errors import DataError

_FILE = Path(__file__).with_name("embedded") / "us20.csv.gz"
_INDEX = "SP500"


def load_us20(
    index: bool = False, start: Day = None, end: Day = None, tickers: str | Iterable[str] | None = None
) -> pd.DataFrame:
    """Return daily adjusted closes of 20 US large caps, 1990-01-02 to 2022-12-28, from the package.

    No network is touched. The prices are for examples and tests: they are adjusted for splits and
    dividends as known at the end of 2022 and rounded to a thousandth of a dollar, so that early
    prices, some of them below a dollar, carry two to four digits. The twenty were chosen by their
    size at the *end* of the period, so whatever is measured on them is flattered (survivorship).

    Parameters
    ----------
    index : bool
        Add the S&P 500 index (price only, no dividends) as a last column ``SP500``.
    start, end : str, date or Timestamp, optional
        First and last day, both included. Text may be a year or a month.
    tickers : str or iterable of str, optional
        Some of the 20 (or ``SP500``), in the order wanted. Default: all, alphabetically.

    Returns
    -------
    DataFrame, shape (dates, tickers)
        US dollars (index points for SP500); complete, without NaN. The index is a DatetimeIndex
        named ``Date``.

    Raises
    ------
    DataError
        An unknown ticker, ``index`` not a bool, a date that is none, or no rows between ``start`` and ``end``.

    Notes
    -----
    Source: the datasets ``sp500_dataset`` and ``sp500_index`` of skfolio (BSD-3-Clause). The licence
    is in the README beside the file.

    Examples
    --------
    >>> from opeslike.data import load_us20
    >>> load_us20(tickers="AAPL MSFT", start="2019", end="2019").shape
    (252, 2)
    """
    if not isinstance(index, bool):  # load_us20("AAPL") would otherwise return all 21 columns
        raise DataError(f"index={index!r}: give True or False; tickers are named as tickers={index!r}")
    frame = _read()
    if tickers is None and not index:
        frame = frame.drop(columns=_INDEX)
    elif tickers is not None:
        chosen = pick(frame, tickers, "the embedded dataset")
        frame = chosen.assign(**{_INDEX: frame[_INDEX]}) if index else chosen
    return cut(frame, start, end, "the embedded dataset").copy()


def load_sp500(start: Day = None, end: Day = None) -> pd.Series:
    """Return the daily closes of the S&P 500 index, 1990-01-02 to 2022-12-28, from the package.

    The index leaves dividends out, about 2% a year over this time: as a benchmark for adjusted stock
    prices it is too easy by that much.

    Parameters
    ----------
    start, end : str, date or Timestamp, optional
        First and last day, both included. Text may be a year or a month.

    Returns
    -------
    Series, shape (dates,)
        Index points, named ``SP500``; the index is a DatetimeIndex named ``Date``.

    Raises
    ------
    DataError
        A date that is none, or no rows between ``start`` and ``end``.

    Notes
    -----
    Source: the dataset ``sp500_index`` of skfolio (BSD-3-Clause).

    Examples
    --------
    >>> from opeslike.data import load_sp500
    >>> float(load_sp500(end="1990-01-02").iloc[0])
    359.69
    """
    closes: pd.Series = load_us20(tickers=_INDEX, start=start, end=end)[_INDEX]
    return closes


@lru_cache(maxsize=1)
def _read() -> pd.DataFrame:
    """Read the file once a process; callers copy."""
    frame = pd.read_csv(_FILE, index_col="Date", parse_dates=["Date"], dtype=float)
    frame.index = pd.DatetimeIndex(frame.index).as_unit("ns")  # pandas 3 would parse to seconds: one unit everywhere
    frame.attrs["audited"] = True  # what looks wrong is right: UnitedHealth lost a third on 1998-08-06
    return frame
