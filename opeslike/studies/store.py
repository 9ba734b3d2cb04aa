"""The store of a study: one SQLite file, one row a run; what a kill interrupts is as if it had not begun."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike._version import __version__
from opeslike.errors import OutputError, logger
from opeslike.market import FloatArray

#: Layout of the file; a newer one is refused, an older one gets the columns it lacks.
FORMAT = 1
#: Figures of a run, annual fractions but for ``gap``; see :attr:`opeslike.studies.Study.frame`.
FIGURES = ("growth", "sharpe", "volatility", "max_drawdown", "final_wealth", "turnover", "costs", "gap")
_COLUMNS = {
    **{"key": "TEXT PRIMARY KEY", "sample": "TEXT", "strategy": "TEXT", "status": "TEXT", "error": "TEXT"},
    **{"seconds": "REAL", **dict.fromkeys(FIGURES, "REAL"), "more": "TEXT"},
    **dict.fromkeys(("steps", "targets", "returns"), "BLOB"),
}
_LIGHT = ("key", "status", "error", "seconds", *FIGURES)
_TABLES = {
    "about": {"name": "TEXT PRIMARY KEY", "value": "TEXT"},
    "samples": {"key": "TEXT PRIMARY KEY", "name": "TEXT", "dates": "BLOB", "assets": "TEXT"},
    "runs": _COLUMNS,
}
Row = dict[str, Any]


@final
class Store:
    """Rows of runs in a file, or in memory where there is none.

    Reading opens the file and closes it again; :meth:`writing` keeps it for this process alone until it ends, however
    it ends, and commits sample by sample.

    Parameters
    ----------
    path : path-like or None

    Raises
    ------
    OutputError
        If the file is none of these, was written by a newer version, or is being written by another process.
    """

    def __init__(self, path: Any = None) -> None:
        self.path = None if path is None else Path(path)
        self._open: sqlite3.Connection | None = None if path is not None else self._connect(":memory:")

    def __getstate__(self) -> dict[str, Any]:
        """The path alone: a connection belongs to its process."""
        return {"path": self.path, "_open": None}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep the file for this process: others are told to wait; what a killed writer left is no obstacle."""
        if self._open is not None:
            yield
            return
        with self._told(), closing(self._connect(str(self.path), "EXCLUSIVE")) as self._open:
            try:
                yield
            finally:
                self._open = None

    def add(self, sample: Row, rows: Iterable[Row]) -> None:
        """Write the runs of a sample, all or none."""
        with self._told(), self._db() as db, db:
            for table, row in (("samples", sample), *(("runs", row) for row in rows)):
                names = ", ".join(row)
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Write down what the study is, for people who find the file."""
        with self._told(), self._db() as db, db:
            told = {**facts, "made by": f"opeslike {__version__}"}
            db.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", [(k, str(v)) for k, v in told.items()])

    def light(self) -> dict[str, Row]:
        """Every run without its numbers, by key."""
        return {row["key"]: row for row in self._rows(f"SELECT {', '.join(_LIGHT)} FROM runs", ())}

    def full(self, keys: Iterable[str]) -> dict[str, Row]:
        """Some runs with all they have, by key."""
        wanted = list(keys)
        return {
            row["key"]: row
            for start in range(0, len(wanted), 500)  # SQLite takes so many values at a time
            for part in [wanted[start : start + 500]]
            for row in self._rows(f"SELECT * FROM runs WHERE key IN ({', '.join('?' * len(part))})", part)
        }

    def sample(self, key: str) -> tuple[pd.Index, list[str]]:
        """Labels of P_0..P_H of a sample, and its assets."""
        (row,) = self._rows("SELECT * FROM samples WHERE key = ?", (key,))
        return unpack_dates(row["dates"]), json.loads(row["assets"])

    def _rows(self, query: str, values: Any) -> list[Row]:
        if self._open is None and self.path is not None and not self.path.exists():
            return []
        with self._told(), self._db() as db:
            found = db.execute(query, tuple(values))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

    @contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        if self._open is not None:
            yield self._open
            return
        with closing(self._connect(str(self.path))) as db:
            yield db

    def _connect(self, path: str, locking: str = "NORMAL") -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=2.0)
        try:
            db.execute(f"PRAGMA locking_mode = {locking}")
            db.execute("PRAGMA journal_mode = WAL")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > FORMAT:
                raise OutputError(f"{path} was written by a newer opeslike (layout {version}); update this one")
            for table, columns in _TABLES.items():
                there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
                lacking = {name: kind for name, kind in columns.items() if name not in there}
                if there and lacking:
                    logger.warning(
                        "%s was written by an older opeslike: its %s lack %s", path, table, ", ".join(lacking)
                    )
                if lacking and there:
                    for name, kind in lacking.items():
                        db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
                elif lacking:
                    db.execute(f"CREATE TABLE {table} ({', '.join(f'{n} {k}' for n, k in columns.items())})")
            if version != FORMAT or locking == "EXCLUSIVE":  # writing, so that the lock is held from now on
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.commit()
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            why = str(error)
            if "locked" in why:
                why = "another process is writing it; wait until that is done, or give another store"
            elif "full" in why or "I/O" in why:
                why += "; what was stored stays: make room, and run again to go on"
            raise OutputError(f"cannot use the store {self.path}: {why}") from error


def pack_dates(closes: pd.Index) -> bytes:
    """Labels of closes, compressed."""
    if isinstance(closes, pd.DatetimeIndex):
        return zlib.compress(f"{closes.tz or ''}\n".encode() + np.diff(closes.as_unit("ns").asi8, prepend=0).tobytes())
    return zlib.compress(b"[" + json.dumps(closes.tolist(), default=str).encode(), 1)


@lru_cache(maxsize=64)  # samples share their dates
def unpack_dates(content: bytes) -> pd.Index:
    """Labels as :func:`pack_dates` left them."""
    index: pd.Index
    raw = zlib.decompress(content)
    if raw.startswith(b"["):
        index = pd.Index(json.loads(raw[1:]))
        return index
    zone, _, times = raw.partition(b"\n")
    index = pd.DatetimeIndex(np.frombuffer(times, np.int64).cumsum().view("datetime64[ns]"))
    return index.tz_localize("UTC").tz_convert(zone.decode()) if zone else index


def pack_steps(steps: NDArray[np.intp]) -> bytes:
    """Steps of decisions, compressed integers of 32 bits."""
    return zlib.compress(steps.astype(np.int32).tobytes())


def unpack_steps(content: bytes) -> NDArray[np.intp]:
    """Steps as :func:`pack_steps` left them."""
    return np.frombuffer(zlib.decompress(content), np.int32).astype(np.intp)


def pack(values: FloatArray, changes: bool = False) -> bytes:
    """Numbers in fixed point, 2^-31 of the largest, their bytes sorted by weight and compressed; NaN stays NaN.

    Halves stay halves to the last bit. ``changes`` stores the differences of rows, which are small in weights.
    """
    known = np.isfinite(values)
    exponent = int(np.frexp(np.abs(values[known]).max())[1]) if known.any() else 0
    whole = np.clip(np.rint(np.ldexp(np.where(known, values, 0.0), 31 - exponent)), 1 - 2**31, 2**31 - 1)
    fixed = np.where(known, whole, -(2.0**31)).astype(np.int32)
    if changes:
        fixed = np.diff(fixed, axis=0, prepend=np.zeros_like(fixed[:1]))  # beyond 32 bits both ways wrap alike
    head = json.dumps([exponent, changes, *values.shape]).encode()
    return head + b"\n" + zlib.compress(fixed.reshape(-1, 1).view(np.uint8).T.tobytes(), 1)


def unpack(content: bytes) -> FloatArray:
    """Numbers as :func:`pack` left them."""
    head, _, body = content.partition(b"\n")
    exponent, changes, *shape = json.loads(head)
    sorted_bytes = np.frombuffer(zlib.decompress(body), np.uint8).reshape(4, -1)
    fixed: NDArray[np.int32] = np.ascontiguousarray(sorted_bytes.T).view(np.int32).reshape(shape)
    if changes:
        fixed = np.cumsum(fixed, axis=0, dtype=np.int32)
    return np.where(fixed == -(2**31), np.nan, np.ldexp(fixed.astype(np.float64), exponent - 31))


@dataclass(frozen=True, eq=False)
class StoredReturns(Sequence[FloatArray]):
    """Returns of the samples, dates x strategies, read one sample at a time."""

    store: Store
    keys: list[list[str]]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: Any) -> Any:
        rows = self.store.full(self.keys[number])
        return np.column_stack([unpack(rows[key]["returns"]) for key in self.keys[number]])
