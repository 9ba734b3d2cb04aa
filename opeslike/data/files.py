"""Prices from a CSV file, in the shapes people have them."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TypeAlias, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.data.selection import (
    FIELDS,
    Day,
    check_fields,
    cut,
    field_level,
    pick,
    refuse_twins,
    take_fields,
)
from opeslike.errors import DataError, OpesLikeWarning

# What spreadsheets, pandas, R and databases write where there is no price.
_MISSING = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "null", "none", "."})
_ISO = re.compile(r"(\d{4})([-/.]?)(\d\d)\2(\d\d)(?:[T ]+\d\d?:\d\d.*)?")
_FIELD = {name.lower(): name for name in FIELDS}
_DATE = frozenset({"date", "day", "datetime", "time", "timestamp"})
_TICKER = frozenset({"ticker", "symbol"})

Row: TypeAlias = tuple[int, list[str]]
Floats = NDArray[np.float64]


def load_csv(
    path: str | Path,
    *,
    tickers: str | Iterable[str] | None = None,
    start: Day = None,
    end: Day = None,
    fields: str | Iterable[str] | None = None,
    date_format: str | None = None,
    sort: bool = False,
    sep: str = ",",
    decimal: str = ".",
) -> pd.DataFrame:
    """Return prices (or returns) from a CSV file, checked line by line.

    Four shapes are recognised by their header:

    * *wide*: dates first, then one column a ticker (``Date,AAPL,MSFT``);
    * *two header lines*, as ``yfinance.download(...).to_csv(...)`` writes them, fields on top or
      tickers on top;
    * *one ticker*: ``Date,Open,High,Low,Close,Volume``; the ticker is the name of the file
      (``AAPL.csv``), in full;
    * *long*: columns ``date``, ``ticker`` (or ``symbol``) and ``close``, in any order and case, with
      other fields of a bar if there are any.

    An empty cell, ``NA``, ``NaN`` or ``null`` is a missing value (NaN). Numbers are taken as they
    are: whether they are usable as prices or returns is for the portfolio that gets them to say.

    Parameters
    ----------
    path : str or Path
        A text file in UTF-8; a name ending in ``.gz`` is decompressed.
    tickers : str or iterable of str, optional
        Some of the tickers, in the order wanted. Default: all, in the order of the file.
    start, end : str, date or Timestamp, optional
        First and last day, both included. Text may be a year or a month.
    fields : str or iterable of str, optional
        What to return of a file with several fields: one name (``"Close"``) gives a frame of dates
        x tickers; ``"OHLCV"`` or a list of names gives two column levels (ticker, field). Default:
        ``Close``, or ``Adj Close`` where there is no ``Close``; where a file has both, ``Close``
        with a warning, because it leaves dividends out.
    date_format : str, optional
        How dates are written, as for :meth:`datetime.datetime.strptime`: ``"%d/%m/%Y"``. Default:
        ISO, ``2019-12-31``, also with slashes or without separators; a time of day after it is
        dropped. Anything else needs ``date_format``, because 03/04/2019 has two meanings.
    sort : bool
        Sort rows by date instead of refusing a file that is not in ascending order.
    sep, decimal : str
        What separates cells and what marks decimals: ``sep=";", decimal=","`` in much of Europe.

    Returns
    -------
    DataFrame, shape (dates, tickers) or (dates, tickers x fields)
        Floats; the index is a DatetimeIndex named ``Date``, ascending, without time zone.

    Raises
    ------
    DataError
        The file is missing, empty or not a CSV; the header has no tickers or one twice; a line has
        too many or too few cells; a cell is neither a number nor missing; a date cannot be read,
        occurs twice or is out of order; a ticker, field or range of dates that is not there; a
        parameter of the wrong form. The message names the line, ticker and date, or the parameter.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from opeslike.data import load_csv, load_us20
    >>> with TemporaryDirectory() as folder:
    ...     load_us20(tickers="AAPL MSFT", start="2019").to_csv(Path(folder, "prices.csv"))
    ...     load_csv(Path(folder, "prices.csv"), end="2019").shape
    (252, 2)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(f"path={path!r} is not a path: give the name of a file")
    for name, mark in (("sep", sep), ("decimal", decimal)):
        if not isinstance(mark, str) or len(mark) != 1 or mark in '"\r\n':
            raise DataError(f"{name}={mark!r}: give one character")
    if sep == decimal:
        raise DataError(f"sep={sep!r} and decimal={decimal!r} are the same: a number could not be told from two cells")
    if fields is not None:
        fields = fields if isinstance(fields, str) else list(fields)
        check_fields(fields)
    table = _Table(Path(path), date_format, sep, decimal, sort)
    frame = pick(table.frame(), tickers, table.name)
    if frame.columns.nlevels == 2:
        if fields is None:
            fields = _default_field(frame, table.name)
        frame = take_fields(frame, fields, table.name)
    elif fields not in (None, "Close"):
        raise DataError(f"fields={fields!r}: {table.name} has one column a ticker and no fields")
    return cut(frame, start, end, table.name)


@final
@dataclass(frozen=True)
class _Table:
    """A CSV file on its way to a frame; remembers what error messages need."""

    path: Path
    date_format: str | None
    sep: str
    decimal: str
    sort: bool

    @property
    def name(self) -> str:
        return self.path.name

    def frame(self) -> pd.DataFrame:
        """Return the whole file: one column level (tickers) or two (ticker, field)."""
        rows = self._rows()
        _, first = next(rows, (0, []))
        if not first:
            raise DataError(f"{self.path} is empty")
        header = [name.strip() for name in first]
        self._check_header(header)
        line, second = self._next(rows)
        names = [name.lower() for name in header]
        if _TICKER & set(names) and _DATE & set(names):
            return self._long(names, chain([(line, second)], rows))
        if (columns := self._two_levels(header, second)) is not None:
            line, third = self._next(rows)
            if not any(third[1:]) and self._day(third[0]) is None:
                line, third = self._next(rows)  # that line only named the index
            frame = self._wide(columns, chain([(line, third)], rows))
            first_seen = pd.factorize(columns.get_level_values(0))[0]
            return frame.iloc[:, np.argsort(first_seen, kind="stable")]
        rows = chain([(line, second)], rows)
        if _is_bar_file(names[1:]):
            return self._one_ticker(names, rows)
        self._refuse_twins(header[1:])
        return self._wide(pd.Index(header[1:]), rows)

    def _next(self, rows: Iterator[Row]) -> Row:
        row = next(rows, None)
        if row is None:
            raise DataError(f"{self.path} has a header but no rows")
        return row[0], [cell.strip() for cell in row[1]]

    def _rows(self) -> Iterator[Row]:
        """Yield (line number, cells) of every line that is not blank; errors name the file."""
        try:
            with self._open() as file:
                reader = csv.reader(file, delimiter=self.sep, strict=True)
                for cells in reader:
                    if any(map(str.strip, cells)):
                        yield reader.line_num, cells
        except FileNotFoundError as error:
            raise DataError(f"{self.path} does not exist: check the path") from error
        except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{self.path} is not a CSV file in UTF-8: {error}") from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def _open(self) -> IO[str]:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def _check_header(self, header: list[str]) -> None:
        if not "".join(header).isprintable():
            raise DataError(f"{self.path} is not a CSV file: its first line is not text")
        if len(header) < 2:
            other = next((mark for mark in ";\t|," if mark in header[0] and mark != self.sep), None)
            hint = f": it looks separated by {other!r}, pass sep={other!r}" if other else ""
            raise DataError(f"{self.path} has one column, not dates and tickers{hint}")
        if self._day(header[0]) is not None:
            raise DataError(f"{self.path} has no header: its first line starts with the date {header[0]}")
        if "" in header[1:]:
            raise DataError(f"{self.path}: column {header.index('', 1) + 1} has no name")

    def _day(self, text: str) -> dt.date | None:
        """Return the date a cell holds, or None where it holds none."""
        text = text.strip()
        try:
            if self.date_format is not None:
                day = dt.datetime.strptime(text, self.date_format).date()
            else:
                match = _ISO.fullmatch(text)
                if match is None:
                    return None
                day = dt.date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            return None
        return day if 1678 <= day.year <= 2261 else None  # what a nanosecond timestamp can hold

    def _need_day(self, text: str, line: int) -> dt.date:
        day = self._day(text)
        if day is None:
            raise DataError(
                f"{self.path}, line {line}: {text!r} is not a date; expected "
                f"{self.date_format or '2019-12-31'} (another form: pass date_format, e.g. '%d/%m/%Y')"
            )
        return day

    def _two_levels(self, header: list[str], second: list[str]) -> pd.MultiIndex | None:
        """Return the (ticker, field) columns where the first two lines are a two-level header."""
        if len(second) != len(header) or self._day(second[0]) is not None:
            return None
        columns = pd.MultiIndex.from_arrays([header[1:], second[1:]])
        level = field_level(columns)
        if level is None:
            return None
        columns = columns.swaplevel() if level == 0 else columns
        self._refuse_twins([" ".join(column) for column in columns])
        return columns

    def _wide(self, columns: pd.Index, rows: Iterator[Row]) -> pd.DataFrame:
        """Return the frame of a file whose first column holds the dates."""
        labels = [column if isinstance(column, str) else " ".join(column) for column in columns]
        bars: dict[dt.date, Floats] = {}
        for line, cells in rows:
            self._check_width(cells, len(labels) + 1, line)
            day = self._need_day(cells[0], line)
            self._check_order(day, bars, line)
            bars[day] = self._numbers(cells[1:], line, day, labels)
        return self._sorted(pd.DataFrame(np.vstack(list(bars.values())), _index(bars), columns))

    def _one_ticker(self, names: list[str], rows: Iterator[Row]) -> pd.DataFrame:
        """Return the frame of a file with the bars of one ticker, which is the file's name."""
        at = self._fields(names, names[1:])
        ticker = self.name.removesuffix(".gz").removesuffix(".csv")
        columns = pd.MultiIndex.from_product([[ticker], at])
        return self._wide(columns, self._project(rows, len(names), [0, *at.values()]))

    def _project(self, rows: Iterator[Row], width: int, keep: list[int]) -> Iterator[Row]:
        for line, cells in rows:
            self._check_width(cells, width, line)
            yield line, [cells[i] for i in keep]

    def _long(self, names: list[str], rows: Iterator[Row]) -> pd.DataFrame:
        """Return the frame of a file with one line a date and ticker."""
        names = ["close" if name == "price" and "close" not in names else name for name in names]
        at = self._fields(names, names)
        if not {"Close", "Adj Close"} & at.keys():
            raise DataError(f"{self.path} has dates and tickers but no column named close")
        at_day = next(i for i, name in enumerate(names) if name in _DATE)
        at_ticker = next(i for i, name in enumerate(names) if name in _TICKER)
        bars: dict[str, dict[dt.date, Floats]] = {}
        for line, cells in rows:
            self._check_width(cells, len(names), line)
            day, ticker = self._need_day(cells[at_day], line), cells[at_ticker].strip()
            if not ticker:
                raise DataError(f"{self.path}, line {line}: no ticker on {day}")
            known = bars.setdefault(ticker, {})
            self._check_order(day, known, line, ticker)
            picked = [cells[i] for i in at.values()]
            known[day] = self._numbers(picked, line, day, [ticker] * len(picked))
        parts = {
            ticker: pd.DataFrame(np.vstack(list(known.values())), _index(known), list(at))
            for ticker, known in bars.items()
        }
        return pd.concat(parts, axis=1).sort_index().rename_axis(index="Date")

    def _sorted(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.sort_index() if self.sort else frame

    def _check_order(self, day: dt.date, known: dict[dt.date, Floats], line: int, ticker: str = "the date") -> None:
        """Raise where a day comes twice or, unless rows are to be sorted, before an earlier line."""
        if day in known:
            raise DataError(f"{self.path}, line {line}: {ticker} {day} occurs twice: keep one")
        if known and not self.sort and day < (before := next(reversed(known))):
            raise DataError(
                f"{self.path}, line {line}: {ticker} is out of order, {day} after {before}; pass "
                "sort=True to sort the rows (or date_format, if day and month are mixed up)"
            )

    def _fields(self, names: list[str], candidates: list[str]) -> dict[str, int]:
        """Return where each known field of a bar stands; other columns are left alone."""
        self._refuse_twins(names)
        return {_FIELD[name]: names.index(name) for name in candidates if name in _FIELD}

    def _numbers(self, cells: list[str], line: int, day: dt.date, labels: list[str]) -> Floats:
        """Return the cells as floats, NaN where missing; an error names line, ticker and date."""
        if self.decimal != ".":
            cells = [cell.replace(self.decimal, ".") for cell in cells]
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass  # an empty cell or a bad one: look at each
        values = np.full(len(cells), np.nan)
        for i, (cell, label) in enumerate(zip(cells, labels, strict=True)):
            if cell.strip().lower() in _MISSING:
                continue
            try:
                values[i] = float(cell)
            except ValueError as error:
                raise DataError(f"{self.path}, line {line}: {cell!r} of {label} on {day} is not a number") from error
        return values

    def _check_width(self, cells: list[str], width: int, line: int) -> None:
        if len(cells) != width:
            raise DataError(f"{self.path}, line {line} has {len(cells)} cells where the header has {width}")

    def _refuse_twins(self, names: list[str]) -> None:
        refuse_twins(names, f"the header of {self.path}")


def _index(days: Iterable[dt.date]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(list(days), dtype="M8[ns]"), name="Date")


def _is_bar_file(names: list[str]) -> bool:
    """Tell a file of one ticker's bars by its columns (beside the date)."""
    have = set(names)
    if {"open", "high", "low", "close"} <= have:
        return True
    return have <= _FIELD.keys() and bool({"close", "adj close"} & have)


def _default_field(bars: pd.DataFrame, source: str) -> str:
    """Return which close to take; a file with both kinds gets a warning."""
    have = set(bars.columns.get_level_values(1))
    if {"Close", "Adj Close"} <= have:
        warnings.warn(
            f"{source} has Close and Adj Close: Close is taken, which leaves dividends out; pass "
            "fields='Adj Close' for total returns, or fields='Close' to say that it is meant",
            OpesLikeWarning,
            stacklevel=3,
        )
    return "Close" if "Close" in have else "Adj Close"
