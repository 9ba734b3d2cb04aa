"""How a report prints its figures: tables of raw numbers, and their text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from opeslike.analysis.tables import format_cell
from opeslike.market import describe

#: How the figures of rows and columns are printed, by name; what is in none of them gets three decimals.
_PERCENT = frozenset(
    {"total_return", "annual_return", "annual_growth", "annual_volatility", "max_drawdown", "best_period"}
    | {"worst_period", "hit_ratio", "cvar_95", "time_in_market", "average_exposure", "average_gross", "max_gross"}
    | {"excess_annual_return", "tracking_error", "alpha", "up_capture", "down_capture", "win_rate", "depth", "return"}
    | {"average_weight", "contribution", "annual_contribution", "average_win_return", "average_loss_return"}
    | {"average_return", "of initial capital", "a year"}
)
_MONEY = frozenset(
    {"initial_capital", "final_wealth", "profit", "cost", "notional", "average_win", "average_loss", "expectancy"}
    | {"money"}
)
_COUNT = frozenset({"periods", "days", "steps", "trades", "max_drawdown_days", "longest_drawdown_days", "solves"})
#: Where the plain name of a figure does not say it all.
LABELS = {
    "annual_return": "Annual return (compound)",
    "annual_growth": "Annual growth (log)",
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
    "win_rate": "Win rate",
    "cost": "Trading cost",
    "solves": "Optimisations",
    "benchmark_annual_return": "Benchmark annual return (compound)",
    "benchmark_sharpe": "Benchmark Sharpe (annual)",
    "turnover": "Turnover a year",
}
_NUMBERS = {"number": ",.3f", "fine": ",.4f", "tiny": ".1e"}


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
    kinds : mapping of figure to "percent", "money", "count", "tiny" or "number"
        Where the name of a figure does not settle how it is printed.
    fine : bool
        Print money to four decimals instead of cents.
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
    kinds: Mapping[str, str] = field(default_factory=dict)
    fine: bool = False
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
        names = [str(name) for name in self.frame.columns]
        return [label(name) for name in names] if self.by == "column" else names

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Label and cells of each row as text."""
        lines = []
        names = [str(name) for name in self.frame.columns]
        for key, values in zip(self.shown.index, self.shown.itertuples(index=False, name=None), strict=True):
            row = str(key)
            cells = [
                self._cell(row if self.by == "row" else name, value) for name, value in zip(names, values, strict=True)
            ]
            lines.append((label(row) if self.by == "row" else describe(key), cells))
        return lines

    def _cell(self, name: str, value: Any) -> str:
        kind = self.kinds.get(name) or kind_of(name)
        return cell(value, "fine" if kind == "money" and self.fine else kind)

    @property
    def shades(self) -> list[list[float]]:
        """For a table with ``heat``: each cell's size in [-1, 1], 0 where there is nothing."""
        values = self.shown.to_numpy(dtype=np.float64)
        sizes = np.abs(values[np.isfinite(values)])
        top = float(np.quantile(sizes, 0.95)) if sizes.size else 0.0
        shades = np.clip(np.nan_to_num(values / top), -1.0, 1.0) if top > 0 else np.zeros_like(values)
        return [[round(float(shade), 2) for shade in line] for line in shades]


def label(name: str) -> str:
    """A figure's name as a reader wants it."""
    if name in LABELS:
        return LABELS[name]
    return name[:1].upper() + name[1:].replace("_", " ") if name.isidentifier() else name


def kind_of(name: str) -> str:
    """How the figure of that name is printed."""
    name = name.removeprefix("benchmark_")
    if name in _PERCENT:
        return "percent"
    if name in _MONEY:
        return "money"
    return "count" if name in _COUNT else "number"


def cell(value: Any, kind: str) -> str:
    """One value as text: "-" where undefined, true zeros without a sign."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, pd.Timestamp | np.datetime64):
        return "-" if pd.isna(value) else describe(value)
    if not isinstance(value, int | float | np.number):
        return "-" if value is None or value is pd.NaT else str(value)
    number = float(value)
    if kind == "percent":
        return format_cell("", 100 * number, {"": ",.2f"}) + ("%" if math.isfinite(number) else "")
    if kind == "money":
        return format_cell("", number, {"": ",.2f" if abs(number) < 1e15 else ".6g"})
    if kind == "count":
        return format_cell("", number, {"": ",.0f"})
    return format_cell("", number, {"": _NUMBERS[kind]})
