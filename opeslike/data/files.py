"""Prices from files and frames, in the shapes people have them."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pandas as pd

from opeslike.data.selection import Day, cut
from opeslike.data.shapes import Table, filled, meaning_of
from opeslike.errors import DataError
from opeslike.panel import pandas_frame

_COLUMNAR: Final = {".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather"}


def load_csv(
    path: str | Path,
    *,
    tickers: str | Iterable[str] | None = None,
    start: Day = None,
    end: Day = None,
    fields: str | Iterable[str] | None = None,
    date_format: str | None = None,
    sort: bool = False,
    sep: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str = "utf-8",
) -> pd.DataFrame:
    """Return prices (or returns) from a CSV file, checked line by line.

    Four shapes are recognised by their header:

    * *wide*: dates first, then one column a ticker (``Date,AAPL,MSFT``);
    * *two header lines*, as ``yfinance.download(...).to_csv(...)`` writes them, fields on top or
      tickers on top;
    * *one ticker*: ``Date,Open,High,Low,Close,Volume``; the ticker is the name of the file
      (``AAPL.csv``), in full. So are the files of Investing.com (``Price``), Nasdaq (``Close/Last``), Alpha
      Vantage (``timestamp``) and Stooq, in English and where they have it in German or Polish;
    * *long*: columns ``date``, ``ticker`` (or ``symbol``) and ``close``, in any order and case, with
      other fields of a bar if there are any.

    What separates cells, the form of dates and the notation of numbers are taken from the file where all of it
    leaves only one reading, and asked for where it leaves two. An empty cell, ``NA``, ``NaN`` or ``null`` is a missing
    value (NaN). Numbers are taken as they are: whether they are usable as prices or returns is for the portfolio that
    gets them to say, and :func:`opeslike.audit` tells what looks wrong.

    Parameters
    ----------
    path : str or Path
        A text file; a name ending in ``.gz`` is decompressed. Lines of one cell above the header are skipped.
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
        How dates are written, as for :meth:`datetime.datetime.strptime`: ``"%d/%m/%Y"``; or "s" or "ms", since 1970.
        Default: ISO, ``2019-12-31``, also with slashes or without separators; ``31.12.2019``; a month by its English
        name; ``31/12/2019`` if the file has a day beyond the twelfth. A time of day after it is dropped.
    sort : bool
        Sort rows by date instead of refusing a file that is in no order. (Newest first is an order.)
    sep, decimal, thousands : str, optional
        What separates cells, and what marks decimals and thousands in numbers. Default: as the file shows. With
        ``decimal`` alone no mark between thousands is allowed.
    encoding : str
        How the text is encoded; UTF-16 is recognised.

    Returns
    -------
    DataFrame, shape (dates, tickers) or (dates, tickers x fields)
        Floats; the index is a DatetimeIndex named ``Date``, ascending, without time zone.

    Raises
    ------
    DataError
        The file is missing, empty or not a CSV; the header has no tickers or one twice; a line has
        too many or too few cells; a cell is neither a number nor missing, or could be two numbers; a date cannot be
        read, or in two ways, occurs twice or is out of order; a ticker, field or range of dates that is not there; a
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
    for name, mark in (("sep", sep), ("decimal", decimal), ("thousands", thousands)):
        if mark is not None and (not isinstance(mark, str) or len(mark) != 1 or mark in '"\r\n0123456789'):
            raise DataError(f"{name}={mark!r}: give one character")
    if decimal is not None and decimal in (sep, thousands):
        twin, other = ("sep", "two cells") if decimal == sep else ("thousands", "a larger one")
        raise DataError(f"{twin}={decimal!r} and decimal={decimal!r} are the same: no number can be told from {other}")
    path = Path(path)
    rows, sep, plain = _read_rows(path, encoding, sep)
    header = [cell.strip() for cell in rows.iloc[0]]
    table = Table(header, rows.iloc[1:], str(path), "line", sort, date_format, sep, decimal, thousands, plain)
    table.check_header()
    return cut(table.frame(tickers, fields), start, end, path.name)


def load_prices(source: Any, **options: Any) -> pd.DataFrame:
    """Return prices from a file of any kind this package reads, or from another library's frame.

    Parameters
    ----------
    source : str, Path, DataFrame or Series
        A CSV file, for :func:`load_csv`; a Parquet (``.parquet``, ``.pq``) or Feather file (``.feather``,
        ``.arrow``), which need pyarrow; a pandas frame, Arrow-backed and nullable ones included; or anything with
        ``to_pandas``, such as a frame of polars. The shapes are those of :func:`load_csv`; dates are the index, or
        a column.
    **options
        As for :func:`load_csv`; of a frame and of Parquet and Feather files: ``tickers``, ``start``, ``end``,
        ``fields``, ``date_format`` and ``sort``.

    Returns
    -------
    DataFrame
        As from :func:`load_csv`.

    Raises
    ------
    DataError
        As :func:`load_csv`; pyarrow is needed and not there.

    Examples
    --------
    >>> import pandas as pd
    >>> long = pd.DataFrame({"date": ["2020-01-02", "2020-01-03"], "symbol": "A", "close": [1.0, 1.5]})
    >>> load_prices(long)["A"].tolist()
    [1.0, 1.5]
    """
    where, name = "the frame", "the frame"
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        kind = _COLUMNAR.get(path.suffix.lower())
        if kind is None:
            return load_csv(path, **options)
        where, name, frame = str(path), path.name, _read_columnar(path, kind)
    else:
        frame = pandas_frame(source)
        if isinstance(frame, pd.Series):
            frame = frame.to_frame()
        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"{type(source).__name__} is neither a file nor a frame: give a path or a DataFrame")
    choices = {key: options.pop(key, None) for key in ("tickers", "start", "end", "fields", "date_format", "sort")}
    if options:
        name, value = next(iter(options.items()))
        raise DataError(f"{name}={value!r} describes text: {where} holds numbers, leave it out")
    if not isinstance(frame.index, pd.RangeIndex):
        dated = "Date" in map(meaning_of, frame.columns) and not isinstance(frame.index, pd.DatetimeIndex)
        frame = (frame if dated or frame.index.nlevels > 1 else frame.rename_axis(index="Date")).reset_index(drop=dated)
    if frame.empty:
        raise DataError(f"{where} is empty")
    header = [column if isinstance(column, tuple) else str(column) for column in frame.columns.to_flat_index()]
    body = frame.set_axis(range(frame.shape[1]), axis=1)
    table = Table(header, body, where, "row", bool(choices["sort"]), choices["date_format"])
    return cut(table.frame(choices["tickers"], choices["fields"]), choices["start"], choices["end"], name)


def _read_columnar(path: Path, kind: str) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = getattr(pd, f"read_{kind}")(path)
    except ImportError as error:
        raise DataError(f"{path} needs pyarrow: pip install pyarrow, or save the prices as CSV") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: check the path") from error
    except (OSError, ValueError) as error:  # pyarrow's errors are subclasses
        raise DataError(f"{path} cannot be read as {kind}: {error}") from error
    return frame


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file that somebody named; ``.gz`` is decompressed, UTF-16 recognised.

    Raises
    ------
    DataError
        It is missing, a device, or no text in that encoding; names it.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise DataError(f"{path} is a device, which may never end: give a file")
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        return content.decode("utf-16" if wide else "utf-8-sig" if encoding == "utf-8" else encoding)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: check the path") from error
    except (LookupError, UnicodeEncodeError) as error:
        raise DataError(f"encoding={encoding!r} is unknown: such as 'utf-8' or 'cp1252'") from error
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        advice = "save it as UTF-8, or pass encoding='cp1252' if it is one of Excel's"
        raise DataError(f"{path} is not a CSV file in {encoding.upper()}: {error}; {advice}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_rows(path: Path, encoding: str, sep: str | None) -> tuple[pd.DataFrame, str, bool]:
    """Return the rows of a file, cells as text, by their line; the separator, and whether bare commas are it."""
    text = read_text(path, encoding)
    if not text.strip():
        raise DataError(f"{path} is empty")
    sep, skipped = _sniff(text, sep)
    try:
        rows = pd.read_csv(
            io.StringIO(text, newline=""), sep=sep, skiprows=skipped, header=None, dtype=str, na_filter=False,
            skip_blank_lines=False, engine="python", quotechar='"', skipinitialspace=True,
        )  # fmt: skip
    except (pd.errors.ParserError, UnicodeError) as error:
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            width, line, cells = found.groups()
            raise DataError(f"{path}, line {line} has {cells} cells where the header has {width}") from error
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from error
    rows.index += skipped + 1
    blank = [line for line in rows.index[rows[0].fillna("").str.strip() == ""] if not filled(rows.loc[line])]
    plain = sep == "," and not re.search(r'"\d+\.\d+"', text)
    return rows.drop(index=blank), sep, plain


def _sniff(text: str, given: str | None) -> tuple[str, int]:
    """Return the separator under which most of the first lines have equally many cells, and the lines to skip."""
    head = text[:100_000].splitlines()[:30]
    best = (0, 0, ",", 0)
    for sep in (given,) if given else ",;\t|":
        counts = [len(cells) if any(map(str.strip, cells)) else 0 for cells in csv.reader(head, delimiter=sep)]
        widths = Counter(count for count in counts if count > 1)
        if widths:
            width, lines = max(widths.items(), key=lambda item: (item[1], item[0]))
            first = counts.index(width)
            skipped = first if max(counts[:first], default=0) < 2 else 0
            best = max(best, (lines, width, sep, skipped), key=lambda found: found[:2])
    first_line = next(place for place, line in enumerate(head) if line.strip())
    return (best[2], max(best[3], first_line)) if best[0] else (given or ",", first_line)
