"""Getting bars from the cache, from a source, or from both, and saying what did not work."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import pandas as pd

from opeslike.data.cache import OVERLAP, STEP, Cache, Entry, finished
from opeslike.data.client import Client, NoDataError, OutageError
from opeslike.data.selection import BAR, Day, check_fields, read_range, take_fields
from opeslike.errors import DataError, OfflineWarning, warn

logger = logging.getLogger(__name__)


def collect(
    source: Client, names: list[str], start: Day, end: Day, cache: Cache | None, *, interval: str,
    fields: str | Iterable[str], group_by: str, refresh: bool, unfinished: bool, errors: str, progress: bool | None,
) -> pd.DataFrame:  # fmt: skip
    """Return what a loader returns; the parameters are those of :func:`opeslike.data.load_yahoo`.

    Raises
    ------
    DataError
        A parameter out of its range; tickers that failed.
    """
    from tqdm import tqdm

    first, last = read_range(start, end)
    fields = fields if isinstance(fields, str) else list(fields)
    if unknown := set(check_fields(fields)) - set(BAR):
        raise DataError(f"fields={fields!r}: {source.name} has {', '.join(BAR)}, no {unknown.pop()}")
    choices = (("interval", interval, STEP), ("group_by", group_by, ("ticker", "column")))
    for name, value, known in (*choices, ("errors", errors, ("raise", "warn"))):
        if value not in known:
            raise DataError(f"{name}={value!r}: choose one of {', '.join(known)}")
    job = Job(first, last, interval, cache, refresh, unfinished, source)
    hidden = None if progress is None else not progress  # None: hidden unless a terminal
    for name in tqdm(names, desc=source.name, unit="ticker", delay=1, leave=False, disable=hidden):
        job.take(name)
    job.report(errors)
    frame = take_fields(pd.concat(job.bars, axis=1, sort=True).rename_axis(index="Date"), fields, source.name)
    if frame.columns.nlevels == 2 and group_by == "column":
        frame = frame.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
    if errors == "warn":
        frame.attrs["failed"] = dict(job.failed)
    return frame


def read_folder(cache: bool | str | Path, name: str) -> Cache | None:
    """Return the cache that ``cache=`` asks for; in the user's folder each source has one of its own.

    Raises
    ------
    DataError
        It is neither True, False nor a folder.
    """
    if cache is False:
        return None
    if cache is True:
        from platformdirs import user_cache_path

        return Cache(user_cache_path("opeslike", appauthor=False) / name)
    if not isinstance(cache, (str, Path)) or not str(cache).strip() or "\0" in str(cache):
        raise DataError(f"cache={cache!r}: give True for the user's folder, False for none, or the path of a folder")
    return Cache(Path(cache))


@final
@dataclass
class Job:
    """One call of a loader: what is asked for, what came and what did not.

    Attributes
    ----------
    start, end : Timestamp or None
        First and last day wanted; ``None`` leaves that side open.
    interval : str
        A key of :data:`opeslike.data.cache.STEP`.
    cache : Cache or None
        Where bars are kept; ``None`` once it turns out that it cannot be written.
    refresh, unfinished : bool
        As in :func:`opeslike.data.load_yahoo`.
    source : Client
        Asked where the cache does not do.
    bars : dict of str to DataFrame
        What came, by ticker, cut to the range.
    failed : dict of str to str
        What did not come, and why.
    stale : dict of str to Timestamp
        What came from the cache only because the source is out of reach, and its last day.
    outage : str
        Why the source is out of reach, if it is.
    """

    start: pd.Timestamp | None
    end: pd.Timestamp | None
    interval: str
    cache: Cache | None
    refresh: bool
    unfinished: bool
    source: Client
    bars: dict[str, pd.DataFrame] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stale: dict[str, pd.Timestamp] = field(default_factory=dict)
    outage: str = ""

    def take(self, ticker: str) -> None:
        """Get one ticker from the cache or from the source, or note why it failed."""
        entry = None if self.cache is None else self.cache.read(ticker, self.interval)
        try:
            bars = self._bars(ticker, entry)
        except NoDataError as error:
            self.failed[ticker] = f"{error}{_cached(entry)}"
            return
        except OutageError as error:
            self.outage = str(error)
            if entry is None or not self._serves(entry):
                self.failed[ticker] = f"{error}{_cached(entry)}"
                return
            self.stale[ticker], bars = entry.last, entry.bars
        rows = bars.loc[self.start : self.end]
        if rows.empty:
            have = f"{bars.index[0].date()} to {bars.index[-1].date()}"
            self.failed[ticker] = f"no prices in the range asked for, only {have}"
            return
        self.bars[ticker] = rows

    def _serves(self, entry: Entry) -> bool:
        """Tell whether a cached entry will do while the source cannot be asked."""
        if entry.covers(self.start, self.end, utc_now()):
            return True
        return self.end is None and entry.reaches(self.start)

    def _bars(self, ticker: str, entry: Entry | None) -> pd.DataFrame:
        now = utc_now()
        start = self._first_day(entry)
        if self.refresh:
            entry = None
        if entry is not None and not self.unfinished and entry.covers(self.start, self.end, now):
            return entry.bars
        bars = None
        if entry is not None and entry.reaches(self.start):
            news, zone = self.source.fetch(ticker, entry.bars.index[-OVERLAP:][0], self.interval)
            bars = entry.joined(news)
            if bars is None:
                logger.info("%s: adjusted prices have changed, all its history anew", ticker)
        if bars is None:
            bars, zone = self.source.fetch(ticker, start, self.interval)
        final_bars = finished(bars, self.interval, zone, now)
        if not final_bars.empty:
            self._keep(Entry(ticker, self.interval, start, now, zone, final_bars))
        shown = bars if self.unfinished else final_bars
        if shown.empty:
            raise NoDataError("no finished bar yet")
        return shown

    def _first_day(self, entry: Entry | None) -> pd.Timestamp | None:
        """Return the day to ask from: never later than the cache, so that it does not shrink."""
        if entry is None or self.start is None:
            return self.start
        return None if entry.start is None else min(self.start, entry.start)

    def _keep(self, entry: Entry) -> None:
        if self.cache is None:
            return
        try:
            self.cache.write(entry)
        except OSError as error:
            warn(
                f"{self.cache.folder} cannot be written ({error.strerror or error}): prices are not "
                "kept; pass another folder as cache=, or cache=False"
            )
            self.cache = None

    def report(self, errors: str) -> None:
        """Raise or warn about whatever did not go well."""
        if self.failed:
            by_reason: dict[str, list[str]] = {}
            for ticker, reason in self.failed.items():
                by_reason.setdefault(reason, []).append(ticker)
            reasons = [f"{', '.join(tickers)}: {reason}" for reason, tickers in by_reason.items()]
            message = f"no prices for {'; '.join(reasons)}"
            if errors == "raise" or not self.bars:
                if self.outage:
                    message += ". Read prices of your own with load_csv(path), or the examples with load_us20()"
                elif self.bars:
                    message += f". Pass errors='warn' to go on with {', '.join(self.bars)}"
                raise DataError(message)
            logger.warning(message)
            warn(message)
        if self.stale:
            ends = ", ".join(f"{ticker} to {day.date()}" for ticker, day in self.stale.items())
            message = f"{self.outage}: prices come from the cache ({ends})"
            logger.warning(message)
            warn(message, OfflineWarning)


def _cached(entry: Entry | None) -> str:
    if entry is None:
        return ""
    first = entry.bars.index[0].date()
    return f"; the cache has it from {first} to {entry.last.date()}"


def utc_now() -> pd.Timestamp:
    """Return the present moment; a function of its own, so that tests can choose it."""
    return pd.Timestamp.now("UTC")
