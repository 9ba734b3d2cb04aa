"""Strategies side by side: one frame of figures, and its text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from opeslike.analysis.formats import cell, text_table
from opeslike.analysis.metrics import annual_figures, tail_of
from opeslike.analysis.record import RateLike, Record, SeriesLike, by_name, per_step, record
from opeslike.checks import positive
from opeslike.errors import PortfolioError

GAP = "Worst gap per period"
#: The rows of :func:`metrics_table`: which figure, times what, and how it is printed.
ROWS: dict[str, tuple[str, float, str]] = {
    "Annual return %": ("annual_return", 100, ",.2f"),
    "Annual growth (log) %": ("annual_growth", 100, ",.2f"),
    "Annual volatility %": ("annual_volatility", 100, ",.2f"),
    "Sharpe (annual)": ("sharpe", 1, ",.3f"),
    "Sortino (annual)": ("sortino", 1, ",.3f"),
    "Calmar": ("calmar", 1, ",.3f"),
    "Max drawdown %": ("max_drawdown", 100, ",.2f"),
    "CVaR 95 per period %": ("cvar_95", 100, ",.2f"),
    "Total return %": ("total_return", 100, ",.2f"),
    "Final wealth": ("final_wealth", 1, ",.4f"),
    "Annual turnover": ("turnover", 1, ",.2f"),
    "Annual costs %": ("costs", 100, ",.3f"),
    GAP: ("gap", 1, ".1e"),
}
#: More strategies than this are printed as rows.
MAX_COLUMNS = 8
# Formats in which a header may run over several lines.
_TALL = {
    *("plain", "simple", "grid", "simple_grid", "rounded_grid", "heavy_grid", "mixed_grid"),
    *("double_grid", "fancy_grid", "pretty", "psql", "rst"),
}


@dataclass(frozen=True)
class StrategyRun:
    """What the table shows of one strategy.

    Parameters
    ----------
    returns : array_like, Series or Record, shape (T,)
        Simple returns per period, after costs.
    gap : float, "heuristic" or None
        The worst certified optimality gap per period, in the objective's unit; ``"heuristic"`` (or
        infinity) where nothing is certified, None where nothing was optimised.
    turnover : array_like of shape (T,), optional
        Sum of |traded| per period, as a fraction of wealth.
    costs : array_like of shape (T,), optional
        Costs per period, as a fraction of wealth.
    """

    returns: SeriesLike
    gap: float | Literal["heuristic"] | None = None
    turnover: SeriesLike | None = None
    costs: SeriesLike | None = None


def metrics_table(
    results: Mapping[str, SeriesLike | StrategyRun] | pd.DataFrame,
    periods_per_year: float = 252,
    risk_free: RateLike = 0.0,
) -> pd.DataFrame:
    """Figures of several strategies, annual where that is the custom.

    Parameters
    ----------
    results : mapping of name to returns or StrategyRun, or DataFrame of returns
        Simple returns per period, shape (T,) each.
    periods_per_year : float
        252 for daily stock prices, 365 for daily crypto, 52, 12.
    risk_free : float, Series or ndarray of shape (T,)
        Annual rate, a fraction; for Sharpe and Sortino.

    Returns
    -------
    DataFrame of float, a row a figure and a column a strategy
        - ``Annual return %``: 100 * (prod(1 + r) ** (periods_per_year / T) - 1); -100 after ruin
        - ``Annual growth (log) %``: 100 * periods_per_year * mean(log(1 + r)); -inf after ruin
        - ``Annual volatility %``: 100 * std(r, ddof=1) * sqrt(periods_per_year)
        - ``Sharpe (annual)``, ``Sortino (annual)``: as :func:`~opeslike.analysis.metrics.sharpe_ratio` and
          :func:`~opeslike.analysis.metrics.sortino_ratio`
        - ``Calmar``: annual return / maximum drawdown
        - ``Max drawdown %``: from the peak, which starts at initial wealth; positive
        - ``CVaR 95 per period %``: minus the mean of the returns at or below the 5% quantile
        - ``Total return %``, ``Final wealth`` (initial wealth 1)
        - ``Annual turnover``: periods_per_year * mean(turnover), in multiples of wealth
        - ``Annual costs %``: 100 * periods_per_year * mean(costs)
        - ``Worst gap per period``: as given; inf for "heuristic" (no bound is known), NaN for None

        Turnover, costs and gap are there where any strategy has them. NaN where undefined.

    Raises
    ------
    DataError
        If returns, turnover or costs of a strategy (named) cannot be used.
    PortfolioError
        If there is no strategy, or a parameter is out of its range.
    """
    runs = {name: run if isinstance(run, StrategyRun) else StrategyRun(run) for name, run in by_name(results).items()}
    periods = positive("periods_per_year", periods_per_year)
    figures = {name: _figures(name, run, periods, risk_free) for name, run in runs.items()}
    columns = {name: [times * own[key] for key, times, _ in ROWS.values()] for name, own in figures.items()}
    table = pd.DataFrame(columns, pd.Index(list(ROWS), name="metric"), dtype=float)
    given = {key for run in runs.values() for key in ("turnover", "costs", "gap") if getattr(run, key) is not None}
    return table.drop(index=[row for row, (key, _, _) in ROWS.items() if key in {"turnover", "costs", "gap"} - given])


def _figures(name: str, run: StrategyRun, periods: float, risk_free: RateLike) -> dict[str, float]:
    path = record(run.returns, f"returns of {name!r}")
    if isinstance(run.gap, str) and run.gap != "heuristic":
        raise PortfolioError(f'gap of {name!r}: a number, "heuristic" or None, got {run.gap!r}')
    return {
        **annual_figures(path, risk_free, periods),
        "cvar_95": tail_of(path.values, 0.95)[1],
        "turnover": periods * _mean(run.turnover, f"turnover of {name!r}", path),
        "costs": periods * _mean(run.costs, f"costs of {name!r}", path),
        "gap": math.nan if run.gap is None else math.inf if run.gap == "heuristic" else float(run.gap),
    }


def _mean(series: SeriesLike | None, what: str, path: Record) -> float:
    return math.nan if series is None else float(per_step(series, what, path.values.size).mean())


def cells(frame: pd.DataFrame, formats: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A frame of metrics (rows) by strategies (columns) as text, each row in its own format.

    Parameters
    ----------
    frame : DataFrame
        A row a figure, such as :func:`metrics_table` returns.
    formats : mapping of row to format specification, optional
        Beyond and before ``ROWS``; rows in neither get four significant digits.

    Returns
    -------
    DataFrame of str
    """
    chosen = {row: form for row, (_, _, form) in ROWS.items()} | dict(formats or {})

    def text(row: object, value: Any) -> str:
        return "heuristic" if row == GAP and value == math.inf else cell(value, chosen.get(str(row), ",.4g"))

    lines = zip(frame.index, frame.itertuples(index=False), strict=True)
    texts = [[text(row, value) for value in line] for row, line in lines]
    return pd.DataFrame(texts, index=frame.index.map(str), columns=frame.columns.map(str))


def render(
    frame: pd.DataFrame,
    tablefmt: str = "simple",
    *,
    transpose: bool | None = None,
    formats: Mapping[str, str] | None = None,
) -> str:
    """The frame as a text table.

    Parameters
    ----------
    frame : DataFrame
        A row a figure and a column a strategy, such as :func:`metrics_table` returns.
    tablefmt : str
        Any format of tabulate: "simple", "github", "grid", "html", "latex" …
    transpose : bool, optional
        Print strategies as rows. Default: where there are more than eight, so that lines stay
        within a terminal.
    formats : mapping of row to format specification, optional
        As :func:`cells` takes it.

    Returns
    -------
    str
        Numbers are aligned right. A gap that is infinite reads "heuristic", what is undefined "-".

    Raises
    ------
    PortfolioError
        If tabulate has no such format; the message lists those it has.
    """
    import tabulate

    if tablefmt not in tabulate.tabulate_formats:
        known = ", ".join(tabulate.tabulate_formats)
        raise PortfolioError(f"tablefmt {tablefmt!r} is unknown; use one of: {known}")
    text = cells(frame, formats)
    if transpose if transpose is not None else text.shape[1] > MAX_COLUMNS:
        text = text.T
    heads = ["", *(_header(name, tablefmt) for name in text.columns)]
    lines = text.itertuples(name=None)
    return text_table(heads, [[_inline(name, tablefmt), *line] for name, *line in lines], tablefmt)


def _inline(name: str, tablefmt: str) -> str:
    name = " ".join(name.split())
    return name.replace("|", "\\|") if tablefmt in ("github", "pipe") else name


def _header(name: str, tablefmt: str) -> str:
    """A column's name, over several lines where the format can show it."""
    name = _inline(name, tablefmt)
    if tablefmt not in _TALL:
        return name
    return "\n".join(textwrap.wrap(name, width=10, break_long_words=False)) or name
