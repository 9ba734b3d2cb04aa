"""How figures read: the one place where numbers, dates and names become text, and tables of them."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike.market import describe

#: How a kind of figure is printed: times what, in which format, with which unit.
KINDS: dict[str, tuple[float, str, str]] = {
    "percent": (100.0, ",.2f", "%"),
    "fine money": (1.0, ",.4f", ""),
    "money": (1.0, ",.2f", ""),
    "whole money": (1.0, ",.0f", ""),
    "millions": (1e-6, ",.3f", "M"),
    "count": (1.0, ",.0f", ""),
    "number": (1.0, ",.3f", ""),
    "tiny": (1.0, ".1e", ""),
}
_NAMES = {
    "percent": "total_return annual_return annual_growth annual_volatility max_drawdown best_period worst_period "
    "hit_ratio cvar_95 time_in_market average_exposure average_gross max_gross excess_annual_return tracking_error "
    "alpha up_capture down_capture win_rate depth return average_weight contribution annual_contribution "
    "average_win_return average_loss_return average_return money_weighted_return",
    "money": "initial_capital final_wealth paid_in taken_out profit cost notional average_win average_loss expectancy "
    "money",
    "count": "periods days steps trades max_drawdown_days longest_drawdown_days solves",
}
#: The kind of a figure by its name; "number" where there is none.
KIND_OF = {name: kind for kind, names in _NAMES.items() for name in names.split()} | {"of initial capital": "percent"}
# Without dates these are positions.
KIND_OF |= {f"{spell}{end}": "count" for spell in ("", "max_drawdown_") for end in ("peak", "trough", "recovery")}
#: Where the plain name of a figure does not say it all.
LABELS = {
    "annual_return": "Annual return (compound)",
    "annual_growth": "Annual growth (log)",
    "money_weighted_return": "Money-weighted return (annual)",
    "sharpe": "Sharpe (annual)",
    "sortino": "Sortino (annual)",
    "cvar_95": "CVaR 95 per step",
    "max_drawdown_days": "Max drawdown, days",
    "longest_drawdown_days": "Longest drawdown, days",
    "best_period": "Best step",
    "worst_period": "Worst step",
    "hit_ratio": "Share of steps with a gain",
    "average_exposure": "Average net exposure",
    "average_gross": "Average gross exposure",
    "max_gross": "Largest gross exposure",
    "alpha": "Alpha (annual)",
    "cost": "Trading cost",
    "solves": "Optimisations",
    "benchmark_annual_return": "Benchmark annual return (compound)",
    "benchmark_sharpe": "Benchmark Sharpe (annual)",
    "turnover": "Turnover a year",
}


def cell(value: Any, kind: str) -> str:
    """One value as text, by a kind or a format specification: "-" where undefined, zeros without a sign."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, str) and (value is None or pd.isna(value)):
        return "-"
    if isinstance(value, pd.Timestamp | np.datetime64):
        return describe(value)
    if not isinstance(value, int | float | np.number):
        return str(value)
    scale, form, unit = KINDS.get(kind, (1.0, kind, ""))
    number = scale * float(value)
    text = format(number, ".6g" if "money" in kind and abs(number) >= 1e15 else form)
    # A small loss rounds to zero, not to minus zero.
    text = text[1:] if text.startswith("-") and not text.strip("-0.,") else text
    return text + unit if math.isfinite(number) else text


def money_kind(capital: float) -> str:
    """How money of an account of that size is printed: cents say nothing about an account of 1, nor of millions."""
    sizes = ((1e3, "fine money"), (1e6, "money"), (1e9, "whole money"))
    return next((kind for most, kind in sizes if capital < most), "millions")


def money(value: float, digits: int = 4, *, zeros: bool = False) -> str:
    """A wealth as a short label, such as 0.85, 1.2, 250,000, 3.5M or 1e-06; ``zeros`` keeps trailing ones."""
    size = abs(value)
    if size == 0.0:
        return "0"
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if limit <= size < 1e15:
            return f"{value / limit:{'#' if zeros else ''}.{digits}g}{unit}"
    if size >= 999.95:
        # From here on whole numbers do, unless more digits are asked for.
        return f"{value:,.0f}" if digits <= 4 and size < 1e15 else f"{value:,.{digits + 2 if size < 1e15 else 3}g}"
    return f"{value:{'#' if zeros else ''}.{digits}g}"


def percent(value: float) -> str:
    """A value in percent as a short label."""
    return f"{value:g}%".replace("-", "−")


def short(text: object, width: int = 44) -> str:
    """A name on one line, not too long."""
    line = " ".join(str(text).split())
    if len(line) > width and " " in line[:width]:
        line = textwrap.shorten(line, width, placeholder=" …")
    return line if len(line) <= width else line[: width - 1] + "…"


def label(name: str) -> str:
    """A figure's name as a reader wants it."""
    return LABELS.get(name) or (name[:1].upper() + name[1:].replace("_", " ") if name.isidentifier() else name)


def text_table(heads: Sequence[str], rows: Sequence[list[str]], tablefmt: str = "simple", words: bool = False) -> str:
    """Cells of text below their heads; numbers are set to the right, words to the left."""
    from tabulate import tabulate

    align = ["left", *["left" if words else "right"] * (len(heads) - 1)]
    return str(tabulate(rows, heads, tablefmt, colalign=align if rows else None, disable_numparse=True))


def folded(part: Callable[[int, int], str], count: int, width: float) -> str:
    """Text of ``count`` columns (or rows) below one another in the fewest parts that keep within ``width``.

    ``part(start, stop)`` gives the text of some of them. Where nothing keeps within, each stands alone.
    """
    for parts in range(1, count + 1):
        cuts = [count * place // parts for place in range(parts + 1)]
        texts = [part(*pair) for pair in itertools.pairwise(cuts)]
        if max(len(line) for text in texts for line in text.splitlines()) <= width:
            break
    return "\n\n".join(texts)


@dataclass(frozen=True)
class Table:
    """One table: raw numbers, and how they read.

    Attributes
    ----------
    title : str
    frame : DataFrame
        Raw values: fractions, money, dates.
    by : {"row", "column"}
        Whether the figures are the rows or the columns.
    note : str
        A sentence or two below the title; empty for none.
    corner : str
        Head of the first column.
    index : bool
        Whether the row labels are shown.
    heat : bool
        Colour the cells by their size.
    kind : str
        How a figure is printed whose name does not settle it; a kind of ``KINDS``, or a format specification.
    money : str
        The kind of money, see :func:`money_kind`.
    words : bool
        Cells are text, set to the left.
    brief : DataFrame, optional
        Printed instead of ``frame`` where that is too long to read.
    folded : bool
        Left out of the text, and closed in HTML until it is opened.
    """

    title: str
    frame: pd.DataFrame
    by: str = "row"
    note: str = ""
    corner: str = ""
    index: bool = True
    heat: bool = False
    kind: str = "number"
    money: str = "money"
    words: bool = False
    brief: pd.DataFrame | None = None
    folded: bool = False

    @property
    def shown(self) -> pd.DataFrame:
        """The frame that is printed."""
        return self.frame if self.brief is None else self.brief

    @property
    def head(self) -> list[str]:
        """Column heads as text, without the corner."""
        return [label(str(name)) if self.by == "column" else str(name) for name in self.frame.columns]

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Label and cells of each row as text."""
        kinds = [self._kind(str(name)) for name in self.frame.columns]
        lines = []
        for key, values in zip(self.shown.index, self.shown.itertuples(index=False, name=None), strict=True):
            if self.by == "row":
                kinds = [self._kind(str(key))] * len(values)
            cells = [cell(value, kind) for value, kind in zip(values, kinds, strict=True)]
            lines.append((label(str(key)) if self.by == "row" else describe(key), cells))
        return lines

    def _kind(self, name: str) -> str:
        kind = KIND_OF.get(name.removeprefix("benchmark_"), self.kind)
        return self.money if kind == "money" else kind

    @property
    def shades(self) -> list[list[float]]:
        """For a table with ``heat``: each cell's size in [-1, 1], 0 where there is nothing."""
        values = self.shown.to_numpy(dtype=np.float64)
        sizes = np.abs(values[np.isfinite(values)])
        top = float(np.quantile(sizes, 0.95)) if sizes.size else 0.0
        shades = np.clip(np.nan_to_num(values / top), -1.0, 1.0) if top > 0 else np.zeros_like(values)
        return [[round(float(shade), 2) for shade in line] for line in shades]
