"""What the cells of a file say: numbers and dates as people write them, refused where they could mean two things."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np

from opeslike.checks import FloatArray

#: What spreadsheets, pandas, R and databases write where there is no price.
MISSING: Final = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "null", "none", "."})
_THOUSANDS: Final = (",", ".", " ", "'")
_SAME: Final = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"})
_MONEY: Final = re.compile(r"([+-]?)([$€£¥]?) ?(.*?) ?([$€£¥]?)")

#: A time of day after a date, which is dropped; and the forms of a date, tried on the first cell.
_TIME: Final = re.compile(r"[T ,]+\d\d?:\d\d.*$", re.ASCII)
_FORMS: Final = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%b %d, %Y", "%b %d %Y", "%B %d, %Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y"),
)


def read_numbers(
    cells: Sequence[str], decimal: str | None, thousands: str | None, plain: bool
) -> tuple[FloatArray, int, str]:
    """Read all cells of a file in one notation: the only one that fits them all.

    ``1,5`` settles that the comma marks decimals and ``2,453.20`` that it marks thousands; ``1,001`` alone settles
    nothing, nor does ``1.001``, unless bare commas separate the cells. One sign of a currency is left aside.

    Parameters
    ----------
    cells : sequence of n str
    decimal, thousands : str or None
        What is known of the notation; where only ``decimal`` is, there is no mark between thousands.
    plain : bool
        Whether a comma cannot be part of a bare cell, so that a point is the decimal mark.

    Returns
    -------
    values : ndarray of shape (n,)
        NaN where missing.
    bad : int
        The place of the first cell that is no number, or could be two; -1 where there is none.
    trouble : str
        What is wrong with it, and what to do.
    """
    text = "".join(cells)
    if decimal in (None, ".") and thousands is None and text.isascii() and "_" not in text:
        with suppress(ValueError):
            try:
                values = np.fromiter(map(float, cells), np.float64, len(cells))
            except ValueError:  # an empty cell or a bad one
                values = np.array([float("nan" if cell.strip().lower() in MISSING else cell) for cell in cells])
            if decimal == "." or plain or "." not in text:
                return values, -1, ""
    cells = [cell.strip().translate(_SAME) for cell in cells]
    money = [_MONEY.fullmatch(cell) for cell in cells]
    if len({sign for match in money if match for sign in match.group(2, 4) if sign}) < 2:
        cells = [match[1] + match[3] if match else cell for match, cell in zip(money, cells, strict=True)]
    places = [place for place, cell in enumerate(cells) if cell.lower() not in MISSING]
    text = "".join(cells)

    def stops_at(notation: tuple[str, str | None]) -> int:
        fits = _pattern(*notation).fullmatch
        return next((place for place in places if not fits(cells[place])), len(cells))

    marks = [mark for mark in _THOUSANDS if mark in text]
    decimals = (decimal,) if decimal else (".", ",") if not plain or "," in text else (".",)
    between = (thousands,) if thousands else (None,) if decimal else (None, *marks)
    reach = {pair: stops_at(pair) for pair in product(decimals, between) if pair[0] != pair[1]}
    values = np.full(len(cells), np.nan)
    if fitting := [pair for pair, stop in reach.items() if stop == len(cells)]:
        readings = [[_number(cells[place], *pair) for place in places] for pair in fitting]
        for place, *found in zip(places, *readings, strict=True):
            if len(set(found)) > 1:
                either = " or ".join(f"decimal={mark!r}" for mark, _ in fitting)
                return values, place, f"could be {' or '.join(map(str, found))}; pass {either}"
        values[places] = readings[0]
        return values, -1, ""
    bad = max(reach.values())
    more = [mark for mark in marks if thousands is None and decimal and stops_at((decimal, mark)) > bad]
    return values, bad, "is not a number" + (f"; pass thousands={more[0]!r} if that marks thousands" if more else "")


@lru_cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """Return what a number looks like; groups of thousands are whole, and the first does not start with 0."""
    grouped = "" if thousands is None else rf"[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|"
    point = re.escape(decimal)
    number = rf"[+-]?(?=\D?\d)(?:{grouped}\d*)(?:{point}\d*)?(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?"
    return re.compile(number, re.ASCII | re.IGNORECASE)


def _number(cell: str, decimal: str, thousands: str | None) -> float:
    return float((cell.replace(thousands, "") if thousands else cell).replace(decimal, "."))


def read_days(cells: Sequence[str], date_format: str | None) -> dict[str, dt.date | None]:
    """Read the dates of a file in the one form that fits most of them, the first among them.

    Parameters
    ----------
    cells : sequence of str
    date_format : str or None
        As for :meth:`datetime.datetime.strptime`, or "s" or "ms" for the time since 1970. By default ISO; day, month
        and year between points; the name of a month; ``31/12/2019`` where some cell shows which is the day.

    Returns
    -------
    dict
        Of each cell its day; None where it is not one, or all where they could be two.
    """
    forms = [form for form in (_FORMS if date_format is None else (date_format,)) if _day(cells[0], form)]
    readings = [{cell: _day(cell, form) for cell in dict.fromkeys(cells)} for form in forms]
    fewest = min((list(reading.values()).count(None) for reading in readings), default=0)
    best = [reading for reading in readings if list(reading.values()).count(None) == fewest]
    return best[0] if best and all(other == best[0] for other in best) else dict.fromkeys(cells)


def is_day(cell: str, date_format: str | None = None) -> bool:
    """Tell whether a cell holds a date, if perhaps one that could be two."""
    return any(_day(cell, form) for form in (_FORMS if date_format is None else (date_format,)))


def _day(cell: str, form: str) -> dt.date | None:
    text = _TIME.sub("", cell.strip()) if form in _FORMS else cell.strip()
    with suppress(ValueError, OverflowError, OSError):
        if form in ("s", "ms"):
            day = dt.datetime.fromtimestamp(int(text) / (1 if form == "s" else 1000), dt.UTC)
        else:
            day = dt.datetime.strptime(text, form)
        whole = cell.isascii() and (form != "%Y%m%d" or len(text) == 8)
        return day.date() if whole and 1678 <= day.year <= 2261 else None  # what a nanosecond timestamp can hold
    return None
