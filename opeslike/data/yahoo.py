"""Prices from Yahoo Finance through yfinance, kept in a cache on disk."""

from __future__ import annotations

import logging
import random
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Final, final

import pandas as pd

from opeslike.data.cache import STEP, Cache, anchor
from opeslike.data.selection import (
    BAR,
    Day,
    check_fields,
    read_range,
    read_tickers,
    take_fields,
)
from opeslike.data.updating import Job, NoDataError, OutageError
from opeslike.errors import DataError
from opeslike.panel import field_level

logger = logging.getLogger(__name__)

# Nothing on Yahoo is older; a Monday, because weekly bars are counted from the first day asked for.
_EARLIEST: Final = pd.Timestamp("1927-01-03")
_TICKER: Final = re.compile(r"[!-~]{1,32}")
_LONGEST_WAIT: Final = 60.0
# A network that is down seldom comes back within seconds; a rate limit does lift. Where packets vanish a single
# attempt can take a minute, because yfinance waits long for its cookie.
_FEWER_RETRIES: Final = 2
_PATIENCE: Final = 30.0

# Names of their own, so that tests need not wait.
_sleep: Callable[[float], None] = time.sleep
_clock: Callable[[], float] = time.monotonic


def load_yahoo(
    tickers: str | Iterable[str],
    start: Day = None,
    end: Day = None,
    *,
    interval: str = "1d",
    fields: str | Iterable[str] = "Close",
    group_by: str = "ticker",
    cache: bool | str | Path = True,
    refresh: bool = False,
    unfinished: bool = False,
    errors: str = "raise",
    retries: int = 4,
    timeout: float = 10.0,
    progress: bool | None = None,
) -> pd.DataFrame:
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
    names = _check_tickers(tickers)
    first, last = read_range(start, end)
    fields = fields if isinstance(fields, str) else list(fields)
    wanted = check_fields(fields)
    if unknown := set(wanted) - set(BAR):
        raise DataError(f"fields={fields!r}: load_yahoo has {', '.join(BAR)}, no {unknown.pop()}")
    _check_choice("interval", interval, tuple(STEP))
    _check_choice("group_by", group_by, ("ticker", "column"))
    _check_choice("errors", errors, ("raise", "warn"))
    if not isinstance(retries, int) or retries < 0:
        raise DataError(f"retries={retries!r}: give a whole number >= 0")
    if not timeout > 0:
        raise DataError(f"timeout={timeout!r}: give seconds > 0")

    job = Job(first, last, interval, _folder(cache), refresh, unfinished, _Client(retries, timeout))
    for name in _with_progress(names, progress):
        job.take(name)
    job.report(errors)
    bars = pd.concat(job.bars, axis=1, sort=True).rename_axis(index="Date")
    frame = take_fields(bars, fields, "Yahoo")
    if frame.columns.nlevels == 2 and group_by == "column":
        frame = frame.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
    if errors == "warn":
        frame.attrs["failed"] = dict(job.failed)
    return frame


def _check_tickers(tickers: str | Iterable[str]) -> list[str]:
    names = read_tickers(tickers)
    for name in names:
        if not _TICKER.fullmatch(name) or set(name) & set("/\\?#%"):
            raise DataError(f"{name!r} is not a ticker: Yahoo's look like AAPL, BRK-B or BTC-USD")
    return read_tickers([name.upper() for name in names])


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DataError(f"{name}={value!r}: choose one of {', '.join(choices)}")


def _folder(cache: bool | str | Path) -> Cache | None:
    if cache is False:
        return None
    if cache is True:
        from platformdirs import user_cache_path

        return Cache(user_cache_path("opeslike", appauthor=False) / "yahoo")
    return Cache(Path(cache))


def _with_progress(names: list[str], progress: bool | None) -> Iterable[str]:
    from tqdm import tqdm

    hidden = None if progress is None else not progress  # None: hidden unless a terminal
    bar: Iterable[str] = tqdm(names, desc="Yahoo", unit="ticker", delay=1, leave=False, disable=hidden)
    return bar


@final
class _Client:
    """yfinance with patience: retries, and once Yahoo is out of reach no further requests."""

    def __init__(self, retries: int, timeout: float) -> None:
        self._retries = retries
        self._timeout = timeout
        self._down = ""

    def fetch(self, ticker: str, start: pd.Timestamp | None, interval: str) -> tuple[pd.DataFrame, str]:
        """Return all bars from a day until now, the last maybe unfinished, and their time zone."""
        if self._down:
            raise OutageError(self._down)
        import yfinance
        from peewee import PeeweeException  # yfinance keeps cookies and time zones in SQLite

        expected = (
            yfinance.exceptions.YFException,
            PeeweeException,
            OSError,  # of which those of curl and requests are subclasses
            # what yfinance trips over when an answer is not as it expects
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        )
        first = anchor(_EARLIEST if start is None else start, interval)
        attempt, begun = 0, _clock()
        while True:
            try:
                with _courteous(yfinance):
                    return self._history(yfinance.Ticker(ticker), first, interval)
            except expected as error:
                trouble, reason = _diagnose(error)
                if trouble is _Trouble.NO_DATA:
                    raise NoDataError(reason) from error
                retries = self._retries
                if trouble is not _Trouble.RATE_LIMIT:
                    retries = min(retries, _FEWER_RETRIES if _clock() < begun + _PATIENCE else 0)
                if attempt >= retries:
                    if trouble is not _Trouble.ANSWER:  # it would be the same for other tickers
                        self._down = reason
                    raise OutageError(reason) from error
                wait = min(2.0**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.5)
                logger.info("%s: %s; again in %.1f s", ticker, reason, wait)
                _sleep(wait)
                # yfinance remembers answers in memory, bad ones included
                yfinance.data.YfData.cache_get.cache_clear()
                attempt += 1

    def _history(self, ticker: Any, start: pd.Timestamp, interval: str) -> tuple[pd.DataFrame, str]:
        """Ask once. One ticker at a time: ``yfinance.download`` hides why a ticker failed."""
        frame = ticker.history(
            start=str(start.date()),
            interval=interval,
            auto_adjust=True,
            actions=False,
            timeout=self._timeout,
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


class _Trouble(Enum):
    RATE_LIMIT = auto()
    NO_CONNECTION = auto()
    ANSWER = auto()  # there is an answer, but not one that can be read
    NO_DATA = auto()


def _diagnose(error: Exception) -> tuple[_Trouble, str]:
    """Tell from an exception what is wrong, and in words.

    By the names of classes: yfinance talks through curl_cffi or requests, whichever is installed,
    and both call their exceptions the same.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    words = f"{type(error).__name__}: {str(error).partition(' See https:')[0]}"
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if "YFRateLimitError" in names or status == 429:
        return _Trouble.RATE_LIMIT, "Yahoo limits the rate of requests"
    if "YFTzMissingError" in names or ("HTTPError" in names and status == 404):
        return _Trouble.NO_DATA, "Yahoo does not know this ticker, or no longer"
    if "YFTickerMissingError" in names:
        return _Trouble.NO_DATA, f"Yahoo has no prices: {str(error).partition(': ')[2]}"
    if isinstance(error, OSError) and not status and not isinstance(error, JSONDecodeError):
        return _Trouble.NO_CONNECTION, f"Yahoo cannot be reached ({words})"
    return _Trouble.ANSWER, f"Yahoo's answer cannot be read ({words})"
