"""Prices from Yahoo Finance through yfinance, kept in a cache on disk."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any, final

import pandas as pd

from opeslike.data.client import AnswerError, Client, NoDataError, OutageError, RateLimitError
from opeslike.data.selection import BAR, Day, read_symbols, read_tickers
from opeslike.data.updating import collect
from opeslike.panel import field_level


def load_yahoo(
    tickers: str | Iterable[str],
    start: Day = None, end: Day = None, *,
    interval: str = "1d", fields: str | Iterable[str] = "Close", group_by: str = "ticker",
    cache: bool | str | Path = True, refresh: bool = False, unfinished: bool = False, errors: str = "raise",
    retries: int = 4, timeout: float = 10.0, progress: bool | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return adjusted prices from Yahoo Finance, from the cache where that has them.

    Prices are adjusted for splits and dividends (``auto_adjust=True``), so that their ratios are
    total returns. Whatever is fetched is kept, one file a ticker, and only extended later.

    Parameters
    ----------
    tickers : str or iterable of str
        Yahoo's symbols: ``"AAPL MSFT"`` or ``["AAPL", "BTC-USD", "^GSPC"]``. Case does not matter.
    start, end : str, date or Timestamp, optional
        First and last day, **both included** (``yfinance.download`` leaves ``end`` out). Text may be
        a year or a month. Default: all there is, up to the last finished bar.
    interval : {"1d", "1wk", "1mo"}
        Length of a bar: a day, a week dated on its Monday, or a month dated on its first day.
    fields : str or iterable of str
        ``"Close"`` or another of Open, High, Low, Close, Volume gives dates x tickers; ``"OHLCV"``
        or a list of names gives two column levels.
    group_by : {"ticker", "column"}
        Which column level is on top where there are two: tickers or fields. Everything in this
        package takes both.
    cache : bool, str or Path
        ``True``: the user's cache folder; ``False``: neither read nor written; or a folder.
    refresh : bool
        Fetch everything anew, whatever the cache has.
    unfinished : bool
        Return the bar of the current day (week, month) as well. It may still change and is never
        cached; Yahoo is asked every time. Default: a bar appears once its day is over at the
        exchange.
    errors : {"raise", "warn"}
        What to do when some tickers fail: a DataError that names them, or a warning and the
        others; then ``frame.attrs["failed"]`` maps each that failed to the reason. When all fail it is
        a DataError either way.
    retries : int
        How often a request is repeated after a rate limit, with waits of about 1, 2, 4, 8 ... seconds
        (each times a random factor from 0.5 to 1.5, at most 60 before that). Where Yahoo cannot be
        reached or sends something unreadable: twice at most, and only within half a minute.
    timeout : float
        Seconds to wait for one answer.
    progress : bool, optional
        Show a progress bar. Default: only in a terminal and when it takes longer than a second.

    Returns
    -------
    DataFrame, shape (dates, tickers) or (dates, tickers x fields)
        Floats in each listing's currency, in the order of ``tickers``; the index is a DatetimeIndex
        named ``Date`` with the exchange's days, without time zone. Days are the union over all
        tickers and NaN marks those on which one did not trade: beside stocks, crypto currencies
        (seven days a week) leave NaN in the stocks' columns at weekends.

    Raises
    ------
    DataError
        A parameter out of its range, tickers that failed, no rows in the range; Yahoo cannot be
        reached and the cache does not have the range.

    Warns
    -----
    OfflineWarning
        Yahoo cannot be reached, or goes on limiting the rate, and cached prices are returned that
        may lack the latest bars. This happens only where ``end`` is left open; where an ``end`` is
        given that the cache does not reach, that ticker fails.
    OpesLikeWarning
        Some tickers failed and ``errors="warn"``; or the cache cannot be written.

    Notes
    -----
    *When the network is not touched.* The cached file goes back to ``start``, and the bar after its
    last one lies after ``end``, or is not finished yet, or was still missing twelve hours after it
    was due (a holiday). So a range in the past is fetched once, and an open end asks about once a
    day.

    *Extension.* Adjusted prices change backwards with every dividend and split. The last ten cached
    rows are therefore fetched again together with the new ones; unless all their days agree, and all
    prices to 1e-6 relative, the whole ticker is fetched anew. (What Yahoo corrects further back without
    touching those ten shows only with ``refresh=True``.) Prices served without touching the network
    are adjusted as of the day they were fetched.

    *Several processes* may use one cache: files are replaced whole, in one step. A damaged file is
    noticed by its checksum, logged and fetched anew.

    Source: Yahoo Finance through yfinance; mind Yahoo's terms of use, which allow personal use.
    """
    given = locals()
    names = read_symbols(tickers, r"[^/\\?#%]{1,32}", "ticker: Yahoo's look like AAPL, BRK-B or BTC-USD")
    return collect(_Yahoo("Yahoo", retries, timeout), read_tickers(map(str.upper, names)), given, "yahoo")


@final
class _Yahoo(Client):
    # Nothing on Yahoo is older; a Monday, because weekly bars are counted from the first day asked for.
    earliest = pd.Timestamp("1927-01-03")

    def expected(self) -> tuple[type[Exception], ...]:
        import yfinance
        from peewee import PeeweeException  # yfinance keeps cookies and time zones in SQLite

        own = (yfinance.exceptions.YFException, PeeweeException, OSError)  # those of curl and requests are OSErrors
        # what yfinance trips over when an answer is not as it expects
        return (*own, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

    def forget(self) -> None:
        import yfinance

        yfinance.data.YfData.cache_get.cache_clear()

    def ask(self, ticker: str, start: pd.Timestamp, interval: str) -> tuple[pd.DataFrame, str]:
        """Ask once. One ticker at a time: ``yfinance.download`` hides why a ticker failed."""
        import yfinance

        with _courteous(yfinance):
            frame = yfinance.Ticker(ticker).history(
                start=str(start.date()), interval=interval, auto_adjust=True, actions=False, timeout=self._timeout
            )
        if frame.empty:
            raise NoDataError("Yahoo has no prices for it")
        if frame.columns.nlevels == 2:  # either layout of yfinance.download, should it come
            level = field_level(frame.columns)
            frame = frame.droplevel(0 if level == 1 else 1, axis=1)
        zone = "UTC" if frame.index.tz is None else str(frame.index.tz)
        bars = frame[list(BAR)].astype("float64").rename_axis(columns=None)
        days = frame.index.tz_localize(None).normalize().to_numpy(dtype="M8[ns]")
        bars.index = pd.DatetimeIndex(days, name="Date")
        if not bars.index.is_unique or not bars.index.is_monotonic_increasing:
            raise ValueError("days twice or out of order")
        return bars, zone

    def diagnose(self, error: Exception) -> NoDataError | OutageError:
        """Tell from an exception what is wrong.

        By the names of classes: yfinance talks through curl_cffi or requests, whichever is installed,
        and both call their exceptions the same.
        """
        names = {cls.__name__ for cls in type(error).__mro__}
        words = f"{type(error).__name__}: {str(error).partition(' See https:')[0]}"
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if "YFRateLimitError" in names or status == 429:
            return RateLimitError("Yahoo limits the rate of requests")
        if "YFTzMissingError" in names or ("HTTPError" in names and status == 404):
            return NoDataError("Yahoo does not know this ticker, or no longer")
        if "YFTickerMissingError" in names:
            return NoDataError(f"Yahoo has no prices: {str(error).partition(': ')[2]}")
        if isinstance(error, OSError) and not status and not isinstance(error, JSONDecodeError):
            return OutageError(f"Yahoo cannot be reached ({words})")
        return AnswerError(f"Yahoo's answer cannot be read ({words})")


@contextmanager
def _courteous(yfinance: Any) -> Iterator[None]:
    """Have yfinance raise instead of writing to stderr; afterwards all is as it was.

    Its loggers keep their handlers; only the one of last resort, stderr, is kept out. What pandas
    deprecates in yfinance's code is of no use to our users either.
    """
    loggers, silent = [logging.getLogger(name) for name in ("yfinance", "bs4")], logging.NullHandler()
    before = yfinance.config.debug.hide_exceptions
    yfinance.config.debug.hide_exceptions = False
    for chatty in loggers:
        chatty.addHandler(silent)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=category, module="yfinance")
            yield
    finally:
        for chatty in loggers:
            chatty.removeHandler(silent)
        yfinance.config.debug.hide_exceptions = before
