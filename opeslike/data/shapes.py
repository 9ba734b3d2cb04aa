"""The shapes of files and frames: which column is what, and how rows become a frame of dates x tickers."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import pandas as pd

from opeslike.checks import FloatArray
from opeslike.data.cells import is_day, read_days, read_numbers
from opeslike.data.selection import check_fields, pick, refuse_twins, take_fields
from opeslike.errors import DataError, warn
from opeslike.panel import FIELDS, field_level, is_number

#: What columns are called, in small letters without dots, stars and brackets; the first of the dates is taken.
_CALLED: Final = {
    "Date": ("date", "datetime", "timestamp", "day", "time", "datum", "data", "unix"),
    "Ticker": ("ticker", "symbol"),
    "Open": ("open", "eröffnung", "eröffn", "erster", "otwarcie"),
    "High": ("high", "hoch", "najwyzszy"),
    "Low": ("low", "tief", "najnizszy"),
    "Close": ("close", "close/last", "price", "last", "schluss", "schlusskurs", "zuletzt", "kurs", "zamkniecie"),
    "Adj Close": ("adj close", "adjusted close", "adjclose"),
    "Volume": ("volume", "vol", "volumen", "wolumen"),
    **{name: (name.lower().rstrip("?"),) for name in ("Dividends", "Stock Splits", "Capital Gains", "Repaired?")},
}
_MEANING: Final = {name: meaning for meaning, names in _CALLED.items() for name in names}


@final
@dataclass(frozen=True)
class Table:
    """A header and rows on their way to a frame; remembers what error messages need.

    ``rows`` has a column for each name of the header, cells as text or already as numbers and dates. The rest is what
    somebody said of their order, and of how dates and numbers are written; ``plain`` tells bare numbers between commas,
    where a point is the decimal mark.
    """

    header: list[Any]
    rows: pd.DataFrame
    where: str
    unit: str
    sort: bool
    date_format: str | None = None
    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    plain: bool = True

    def check_header(self) -> None:
        """Raise where the first line of a text cannot be a header, or another line is not as wide."""
        names = self.header
        if not "".join(names).isprintable():
            raise DataError(f"{self.where} is not a CSV file: its first line is not text")
        if len(names) < 2:
            other = next((mark for mark in ";\t|," if mark in names[0] and mark != self.sep), None)
            hint = f": it looks separated by {other!r}, pass sep={other!r}" if other else ""
            raise DataError(f"{self.where} has one column, not dates and tickers{hint}")
        if is_day(names[0], self.date_format):
            raise DataError(f"{self.where} has no header: its first line starts with the date {names[0]}")
        if "" in names[1:]:
            raise DataError(f"{self.where}: column {names.index('', 1) + 1} has no name")
        for line, cells in self.rows[self.rows.iloc[:, -1].isna()].iterrows():
            count, width = int(cells.notna().sum()), len(names)
            raise DataError(f"{self.where}, line {line} has {count} cells where the header has {width}")

    def frame(self, tickers: str | Iterable[str] | None, fields: str | Iterable[str] | None) -> pd.DataFrame:
        """Return the tickers and fields asked for, as dates x tickers or x (ticker, field)."""
        if fields is not None:
            fields = fields if isinstance(fields, str) else list(fields)
            check_fields(fields)
        name, rows, meanings = Path(self.where).name, self.rows, [meaning_of(cell) for cell in self.header]
        dates = [place for place, meaning in enumerate(meanings) if meaning == "Date"]
        at_day = min(dates, key=lambda place: _CALLED["Date"].index(_plain(self.header[place])), default=0)
        long = bool(dates) and "Ticker" in meanings
        kept: list[int] = list(range(1, len(meanings)))
        levels = None if long else self._two_levels()
        if levels is not None:
            at_day, (columns, rows) = 0, levels
        elif long or _is_bar_file([meaning for place, meaning in enumerate(meanings) if place != at_day]):
            at = self._fields(meanings)
            if not {"Close", "Adj Close"} & at.keys():
                raise DataError(f"{self.where} has dates and tickers but no column named close")
            ticker = "each ticker" if long else re.sub(r"(\.\w+)?(\.gz)?$", "", name, count=1)
            kept, columns = list(at.values()), pd.MultiIndex.from_product([[ticker], at])
        else:
            at_day, columns = 0, pd.Index(self.header[1:])
            refuse_twins(self.header[1:], f"the header of {self.where}")
        if rows.empty:
            raise DataError(f"{self.where} has a header but no rows")
        cells = rows[kept].set_axis(columns, axis=1)
        cells = cells if long else pick(cells, tickers, name)
        if cells.columns.nlevels == 2:
            fields = _default_field(cells, name) if fields is None else fields
            cells = take_fields(cells, fields, name)
        elif fields not in (None, "Close"):
            raise DataError(f"fields={fields!r}: {name} has one column a ticker and no fields")
        days = self._days(rows[at_day])
        if long:
            owners = rows[meanings.index("Ticker")].astype(str).str.strip().to_numpy()
            return pick(self._by_ticker(cells, days, owners), tickers, name)
        self._check_order(days, cells.index, "the date")
        labels = [column if isinstance(column, str) else " ".join(column) for column in cells.columns]
        values = self._values(cells, lambda row, column: f"{labels[column]} on {days[row].date()}")
        return pd.DataFrame(values, days, cells.columns).sort_index()

    def _two_levels(self) -> tuple[pd.MultiIndex, pd.DataFrame] | None:
        """Return (ticker, field) columns and the rows below, where there are two levels of names."""
        rows = self.rows
        if isinstance(self.header[0], tuple):
            columns = pd.MultiIndex.from_tuples(self.header[1:])
        elif self.unit == "line" and len(rows) and not is_day(str(rows.iloc[0, 0]), self.date_format):
            columns = pd.MultiIndex.from_arrays([self.header[1:], rows.iloc[0, 1:].str.strip()])
            if all(re.fullmatch(r"[\d.,]*", name) for name in columns.get_level_values(1)):
                return None  # a row whose date cannot be read
            rows = rows.iloc[1:]
            if len(rows) and not is_day(str(rows.iloc[0, 0])) and not filled(rows.iloc[0, 1:]):
                rows = rows.iloc[1:]  # that line only named the index
        else:
            return None
        if (level := field_level(columns)) is None:
            return None
        columns = columns.swaplevel() if level == 0 else columns
        refuse_twins([" ".join(column) for column in columns], f"the header of {self.where}")
        return columns, rows

    def _fields(self, meanings: list[str | None]) -> dict[str, int]:
        """Return where each field of a bar stands; of two columns that may be one, that with its very name."""
        at: dict[str, int] = {}
        for meaning in dict.fromkeys(meaning for meaning in meanings if meaning in FIELDS):
            all_places = [place for place, other in enumerate(meanings) if other == meaning]
            exact = [place for place in all_places if self.header[place].lower() == str(meaning).lower()]
            refuse_twins([self.header[all_places[0]]] * len(exact or all_places), f"the header of {self.where}")
            at[str(meaning)] = (exact or all_places)[0]
        return at

    def _by_ticker(self, cells: pd.DataFrame, days: pd.DatetimeIndex, owners: Any) -> pd.DataFrame:
        """Turn one row a date and ticker into one row a date, tickers in the order they come."""
        lines = cells.index
        for row in np.flatnonzero(owners == "")[:1]:
            raise DataError(f"{self.where}, {self.unit} {lines[row]}: no ticker on {days[row].date()}")
        for ticker, places in pd.Series(owners).groupby(owners).indices.items():
            self._check_order(days[places], lines[places], str(ticker))
        values = self._values(cells, lambda row, column: f"{owners[row]} on {days[row].date()}")
        frame: Any = pd.DataFrame(values, pd.MultiIndex.from_arrays([days, owners]), cells.columns).unstack()  # noqa: PD010
        frame = frame.droplevel(0, axis=1)
        names = list(dict.fromkeys(owners))
        if frame.columns.nlevels == 1:
            by_date: pd.DataFrame = frame[names].rename_axis(columns=None, index="Date")
            return by_date
        columns = [(name, field) for name in names for field in cells.columns.get_level_values(1)]
        bars: pd.DataFrame = frame.swaplevel(axis=1)[columns].rename_axis(columns=["Ticker", "Price"], index="Date")
        return bars

    def _days(self, cells: pd.Series) -> pd.DatetimeIndex:
        """Return the days of a column, none missing."""
        if isinstance(cells.iloc[0], str) or pd.api.types.is_numeric_dtype(cells.dtype):
            text = cells.astype(str).tolist()
            known = read_days(text, self.date_format)
            if None in known.values():
                row = next(row for row, cell in enumerate(text) if known[cell] is None)
                doubt = " or could be two" if is_day(text[row]) and not self.date_format else ""
                raise DataError(
                    f"{self.where}, {self.unit} {cells.index[row]}: {text[row]!r} is not a date{doubt}; expected "
                    f"{self.date_format or '2019-12-31'} (another form: pass date_format, e.g. '%d/%m/%Y')"
                )
            return pd.DatetimeIndex(np.array([known[cell] for cell in text], dtype="M8[ns]"), name="Date")
        days = pd.DatetimeIndex(pd.to_datetime(cells, errors="coerce"), name="Date").tz_localize(None).normalize()
        for row in np.flatnonzero(days.isna())[:1]:
            raise DataError(f"{self.where}, {self.unit} {cells.index[row]}: {cells.iloc[row]!r} is not a date")
        return days.as_unit("ns")

    def _values(self, cells: pd.DataFrame, name: Callable[[int, int], str]) -> FloatArray:
        """Return the cells as floats, NaN where missing; an error names line, ticker and date."""
        if all(map(is_number, cells.dtypes)):
            return cells.to_numpy(dtype=np.float64, na_value=np.nan)
        text = cells.to_numpy(dtype=object).ravel().tolist()
        if self.unit == "row":
            text = ["" if pd.isna(cell) else str(cell) for cell in text]
        values, bad, trouble = read_numbers(text, self.decimal, self.thousands, self.plain)
        if bad >= 0:
            row, column = divmod(bad, cells.shape[1])
            place = f"{self.where}, {self.unit} {cells.index[row]}"
            raise DataError(f"{place}: {text[bad]!r} of {name(row, column)} {trouble}")
        return values.reshape(cells.shape)

    def _check_order(self, days: pd.DatetimeIndex, lines: pd.Index, who: str) -> None:
        """Raise where a day comes twice, or rows are neither ascending nor descending nor to be sorted."""
        for row in np.flatnonzero(days.duplicated())[:1]:
            raise DataError(f"{self.where}, {self.unit} {lines[row]}: {who} {days[row].date()} occurs twice: keep one")
        if self.sort or days.is_monotonic_increasing or days.is_monotonic_decreasing:
            return
        row = int(np.argmax(days[1:] < days[:-1])) + 1
        raise DataError(
            f"{self.where}, {self.unit} {lines[row]}: {who} is out of order, {days[row].date()} after "
            f"{days[row - 1].date()}; pass sort=True to sort the rows (or date_format, if day and month are mixed up)"
        )


def _plain(name: Hashable) -> str:
    """Return a name without what surrounds it: ``<CLOSE>``, ``1. open`` and ``Vol.`` as close, open and vol."""
    return " ".join(re.sub(r"[^a-zäöüß/ ]+", " ", str(name).lower()).split())


def meaning_of(name: Hashable) -> str | None:
    """Return what a column of that name holds, as far as names go."""
    return None if isinstance(name, tuple) else _MEANING.get(_plain(name))


def _is_bar_file(meanings: list[str | None]) -> bool:
    """Tell a file of one ticker's bars by what its columns (beside the date) mean."""
    have = set(meanings)
    return {"Open", "High", "Low", "Close"} <= have or (have <= FIELDS and bool({"Close", "Adj Close"} & have))


def _default_field(bars: pd.DataFrame, source: str) -> str:
    """Return which close to take; a file with both kinds gets a warning."""
    have = set(bars.columns.get_level_values(1))
    if {"Close", "Adj Close"} <= have:
        warn(
            f"{source} has Close and Adj Close: Close is taken, which leaves dividends out; pass "
            "fields='Adj Close' for total returns, or fields='Close' to say that it is meant"
        )
    return "Close" if "Close" in have else "Adj Close"


def filled(cells: pd.Series) -> bool:
    """Tell whether any cell of a row is not blank."""
    return any(isinstance(cell, str) and cell.strip() for cell in cells)
