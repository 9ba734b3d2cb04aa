"""Getting bars from the cache, from a source, or from both, and saying what did not work."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pandas as pd

from opeslike.data.cache import OVERLAP, STEP, Cache, Entry, finished
from opeslike.data.client import Client, NoDataError, OutageError
from opeslike.data.selection import BAR, check_fields, read_range, take_fields
from opeslike.errors import DataError, OfflineWarning, warn

logger = logging.getLogger(__name__)


def collect(source: Client, names: list[str], given: Mapping[str, Any], folder: str) -> pd.DataFrame:
    """Return what a loader returns.

    Parameters
    ----------
    source : Client
    names : list of str
        Tickers or symbols, as the source knows them.
    given : mapping
        The parameters of the loader, see :func:`opeslike.data.load_yahoo`.
    folder : str
        The source's own in the user's cache folder.

    Raises
    ------
    DataError
        A parameter out of its range; tickers that failed.
    """
    from tqdm.auto import tqdm

    start, end = read_range(given["start"], given["end"])
    fields = given["fields"] if isinstance(given["fields"], str) else list(given["fields"])
    if unknown := set(check_fields(fields)) - set(BAR):
        raise DataError(f"fields={fields!r}: {source.name} has {', '.join(BAR)}, no {unknown.pop()}")
    choices = {"interval": tuple(STEP), "group_by": ("ticker", "column"), "errors": ("raise", "warn")}
    for name, known in choices.items():
        if given[name] not in known:
            raise DataError(f"{name}={given[name]!r}: choose one of {', '.join(known)}")
    cache = read_folder(given["cache"], folder)
    job = Job(source, cache, start, end, *(given[name] for name in ("interval", "refresh", "unfinished")))
    hidden = None if given["progress"] is None else not given["progress"]  # None: hidden unless a terminal
    for name in tqdm(names, desc=source.name, unit="ticker", delay=1, leave=False, disable=hidden):
        job.take(name)
    job.report(given["errors"])
    frame = take_fields(pd.concat(job.bars, axis=1, sort=True).rename_axis(index="Date"), fields, source.name)
    if frame.columns.nlevels == 2 and given["group_by"] == "column":
        frame = frame.swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
    if given["errors"] == "warn":
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
    return Cache(Path(cache, *Path(name).parts[1:]))


@final
@dataclass
class Job:
    """One call of a loader: what is asked for, what came and what did not.

    Attributes
    ----------
    source : Client
        Asked where the cache does not do.
    cache : Cache or None
        Where bars are kept; ``None`` once it turns out that it cannot be written.
    start, end : Timestamp or None
        First and last day wanted; ``None`` leaves that side open.
    interval, refresh, unfinished
        As in :func:`opeslike.data.load_yahoo`.
    bars : dict of str to DataFrame
        What came, by ticker, cut to the range.
    failed : dict of str to str
        What did not come, and why.
    stale : dict of str to Timestamp
        What came from the cache only because the source is out of reach, and its last day.
    outage : str
        Why the source is out of reach, if it is.
    """

    source: Client
    cache: Cache | None
    start: pd.Timestamp | None
    end: pd.Timestamp | None
    interval: str
    refresh: bool
    unfinished: bool
    bars: dict[str, pd.DataFrame] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stale: dict[str, pd.Timestamp] = field(default_factory=dict)
    outage: str = ""

    def take(self, ticker: str) -> None:
        """Get one ticker from the cache or from the source, or note why it failed."""
        entry = None if self.cache is None else self.cache.read(ticker, self.interval)
        try:
            bars = self._bars(ticker, entry)
        except (NoDataError, OutageError) as error:
            self.outage = str(error) if isinstance(error, OutageError) else self.outage
            if entry is None or isinstance(error, NoDataError) or not self._serves(entry):
                have = "" if entry is None else f"; the cache has it from {_span(entry.bars)}"
                self.failed[ticker] = f"{error}{have}"
                return
            self.stale[ticker], bars = entry.last, entry.bars
        self.bars[ticker] = bars.loc[self.start : self.end]
        if self.bars[ticker].empty:
            self.failed[ticker] = f"no prices in the range asked for, only {_span(bars)}"
            del self.bars[ticker]

    def _serves(self, entry: Entry) -> bool:
        """Tell whether a cached entry will do while the source cannot be asked."""
        return entry.covers(self.start, self.end, utc_now()) or (self.end is None and entry.reaches(self.start))

    def _bars(self, ticker: str, entry: Entry | None) -> pd.DataFrame:
        """Return what the cache has, extended as far as that is possible, else all that the source has."""
        now, start, bars = utc_now(), self.start, None
        if entry is not None and start is not None:  # never later than the cache, so that it does not shrink
            start = None if entry.start is None else min(start, entry.start)
        if entry is not None and not self.refresh:
            if not self.unfinished and entry.covers(self.start, self.end, now):
                return entry.bars
            if entry.reaches(self.start):
                news, zone = self.source.fetch(ticker, entry.bars.index[-OVERLAP:][0], self.interval)
                bars = entry.joined(news)
                if bars is None:
                    logger.info("%s: adjusted prices have changed, all its history anew", ticker)
        if bars is None:
            bars, zone = self.source.fetch(ticker, start, self.interval)
        final_bars = finished(bars, self.interval, zone, now)
        if self.cache is not None and not final_bars.empty:
            try:
                self.cache.write(Entry(ticker, self.interval, start, now, zone, final_bars))
            except OSError as error:
                why = error.strerror or error
                advice = "prices are not kept; pass another folder as cache=, or cache=False"
                warn(f"{self.cache.folder} cannot be written ({why}): {advice}")
                self.cache = None
        shown = bars if self.unfinished else final_bars
        if shown.empty:
            raise NoDataError("no finished bar yet")
        return shown

    def report(self, errors: str) -> None:
        """Raise or warn about whatever did not go well."""
        if self.failed:
            failed = self.failed.items()
            reasons = {reason: ", ".join(name for name, other in failed if other == reason) for _, reason in failed}
            message = f"no prices for {'; '.join(f'{names}: {reason}' for reason, names in reasons.items())}"
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


def _span(bars: pd.DataFrame) -> str:
    return f"{bars.index[0].date()} to {bars.index[-1].date()}"


def utc_now() -> pd.Timestamp:
    """Return the present moment; a function of its own, so that tests can choose it."""
    return pd.Timestamp.now("UTC")
