"""An on-disk cache of price bars: one file a ticker and interval.

Processes share the folder without locks. A file is only ever written whole, to a temporary name in
the same folder, and then moved over the old one in one step (``os.replace``), so a reader sees the
old file or the new one and never a part. Where two processes fetch the same ticker at once the last
to finish wins; what can be lost is one process's extension, which the next call fetches again.

Whatever else happens to a file (a full disk, a sync tool, an editor) shows in its checksum: such a
file counts as absent.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, final
from urllib.parse import quote

import numpy as np
import pandas as pd

from opeslike.data.selection import BAR

logger = logging.getLogger(__name__)

#: How long a bar lasts, by the name of the interval.
STEP: Final = {"1d": pd.DateOffset(days=1), "1wk": pd.DateOffset(days=7), "1mo": pd.DateOffset(months=1)}

#: Rows fetched again with every extension, and the fewest that prove the past unchanged.
OVERLAP: Final = 10
_FEWEST: Final = 5
_TOLERANCE: Final = 1e-6

_MAGIC: Final = "opeslike-cache 1 sha256 "
_ABANDONED: Final = 3600.0  # seconds after which nobody is writing any more
_PRICES: Final = list(BAR[:4])

#: pandas reads every digit by default from 3.1 on, and says so where it is told to
_EXACT: dict[str, Any] = {} if pd.__version__ >= "3.1" else {"float_precision": "round_trip"}


@final
@dataclass(frozen=True)
class Entry:
    """The bars of one ticker as they were at one moment.

    Attributes
    ----------
    ticker, interval : str
        What the bars are of.
    start : Timestamp or None
        The day from which the source was asked, so that a later first row means "not listed
        before"; ``None`` for everything there is.
    fetched : Timestamp
        When the source was last asked, in UTC.
    zone : str
        The exchange's time zone; the days of the bars are days there.
    bars : DataFrame, shape (dates, 5)
        Open, High, Low, Close (adjusted) and Volume of finished bars, ascending, at least one.
    """

    ticker: str
    interval: str
    start: pd.Timestamp | None
    fetched: pd.Timestamp
    zone: str
    bars: pd.DataFrame

    @property
    def last(self) -> pd.Timestamp:
        """The day of the last bar."""
        day: pd.Timestamp = self.bars.index[-1]
        return day

    def reaches(self, start: pd.Timestamp | None) -> bool:
        """Tell whether the bars begin early enough for a request from ``start``."""
        return self.start is None or (start is not None and start >= self.start)

    def covers(self, start: pd.Timestamp | None, end: pd.Timestamp | None, now: pd.Timestamp) -> bool:
        """Tell whether asking the source at ``now`` could not add a bar between ``start`` and ``end``.

        That is so where the entry reaches ``start`` and the bar after its last one

        * lies after ``end``, or
        * is not finished yet, or
        * was already missing twelve hours or more after it should have been there (a holiday, a
          delisted stock).

        Weekends count as no bars, except for what has traded on one.
        """
        if not self.reaches(start) or self.fetched > now:  # by a clock that was wrong: its last bar may be unfinished
            return False
        step, today = STEP[self.interval], day_at(now, self.zone)
        following = self.last + step
        weekends = pd.DatetimeIndex(self.bars.index).day_of_week >= 5
        if self.interval == "1d" and not weekends.any() and following.day_of_week >= 5:
            following += pd.DateOffset(days=7 - following.day_of_week)
        newest = today - step
        wanted = newest if end is None else min(end, newest)
        asked = self.fetched.tz_convert(self.zone).tz_localize(None)
        return bool(following > wanted or asked >= wanted + step + pd.Timedelta(hours=12))

    def joined(self, news: pd.DataFrame) -> pd.DataFrame | None:
        """Return these bars with ``news`` laid over their end, or None where the past has changed.

        Adjusted prices change backwards with every dividend and split, so ``news`` has to begin
        inside the entry: it must have the same days as the entry there, at least five, and every
        price equal to 1e-6 relative.
        """
        if news.empty:
            return None
        old = self.bars.loc[news.index[0] :]
        again = news.loc[: self.last]
        if len(old) < _FEWEST or not old.index.equals(again.index):
            return None
        before, after = old[_PRICES].to_numpy(), again[_PRICES].to_numpy()
        same = np.abs(after - before) <= _TOLERANCE * np.abs(before)
        if not (same | (np.isnan(before) & np.isnan(after))).all():
            return None
        return pd.concat([self.bars.loc[: news.index[0]].iloc[:-1], news])


@final
class Cache:
    """A folder of entries.

    Parameters
    ----------
    folder : Path
        Made when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, ticker: str, interval: str) -> Path:
        """Return the file of a ticker; every ticker maps to one plain file name of its own.

        All but letters, digits and ``_.-~`` is percent-encoded, so that nothing in a ticker can lead
        out of the folder; the interval in front keeps ``CON`` and ``..`` from being names by
        themselves.
        """
        return self.folder / f"{interval}-{quote(ticker, safe='')}.csv"

    def read(self, ticker: str, interval: str) -> Entry | None:
        """Return the entry of a ticker; None, with a log message, where its file is damaged."""
        path = self.path(ticker, interval)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("cache file %s cannot be read (%s): not used", path, error)
            return None
        first, _, body = content.partition(b"\n")
        about, _, table = body.partition(b"\n")
        try:
            if first == _first_line(body):
                return _parse(json.loads(about), table)
        except (LookupError, TypeError, ValueError):  # another version's, or somebody's own
            pass
        logger.warning("cache file %s is damaged (wrong checksum or content): %s anew", path, ticker)
        return None

    def write(self, entry: Entry) -> None:
        """Store an entry in one step.

        Raises
        ------
        OSError
            The folder cannot be made or written to.
        """
        about = {name: getattr(entry, name) for name in ("ticker", "interval", "zone")}
        about["start"] = None if entry.start is None else str(entry.start.date())
        about["fetched"] = entry.fetched.isoformat()
        table = entry.bars.to_csv(date_format="%Y-%m-%d", na_rep="nan", lineterminator="\n")  # keeps every bit
        body = f"{json.dumps(about)}\n{table}".encode()
        path = self.path(entry.ticker, entry.interval)
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".*.tmp"):  # by a process that was killed while it wrote
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    left.unlink()
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            draft.write_bytes(_first_line(body) + b"\n" + body)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def day_at(now: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Return the calendar day of a moment at an exchange, as midnight without time zone."""
    return now.tz_convert(zone).tz_localize(None).normalize()


def finished(bars: pd.DataFrame, interval: str, zone: str, now: pd.Timestamp) -> pd.DataFrame:
    """Return the bars whose day (week, month) is over at the exchange."""
    return bars[pd.DatetimeIndex(bars.index) + STEP[interval] <= day_at(now, zone)]


def anchor(day: pd.Timestamp, interval: str) -> pd.Timestamp:
    """Return the day a bar that contains ``day`` is dated on: its Monday, the first of its month."""
    if interval == "1wk":
        return day - pd.Timedelta(days=day.day_of_week)
    return day.replace(day=1) if interval == "1mo" else day


def _first_line(body: bytes) -> bytes:
    return (_MAGIC + hashlib.sha256(body).hexdigest()).encode()


def _parse(about: dict[str, str], table: bytes) -> Entry:
    bars = cast(pd.DataFrame, pd.read_csv(io.BytesIO(table), index_col="Date", parse_dates=["Date"], **_EXACT))
    bars = bars[list(BAR)].astype(np.float64)
    bars.index = pd.DatetimeIndex(bars.index).as_unit("ns")
    start = None if about["start"] is None else pd.Timestamp(about["start"])
    entry = Entry(about["ticker"], about["interval"], start, pd.Timestamp(about["fetched"]), about["zone"], bars)
    if bars.empty or not bars.index.is_monotonic_increasing or entry.interval not in STEP:
        raise ValueError("no bars in order")
    day_at(entry.fetched, entry.zone)
    return entry
