"""A report worth reading: text for the terminal, and one HTML file that holds everything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pandas as pd

import opeslike.analysis.report_figures as draw
from opeslike.accounting.result import BacktestResult
from opeslike.analysis.inputs import RateLike
from opeslike.analysis.metrics import relative_metrics, trailing
from opeslike.analysis.report_format import Table, cell
from opeslike.analysis.report_page import Chart, Page, Part, deliver, page_text
from opeslike.analysis.report_tables import Source, all_tables, benchmark_returns
from opeslike.analysis.tables import FORMATS, cells
from opeslike.errors import PortfolioError
from opeslike.market import Kind, describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Charts of one strategy by key, and the heading of each.
TITLES = {
    "wealth": "Wealth",
    "drawdown": "Drawdown",
    "sharpe": "Rolling Sharpe",
    "volatility": "Rolling volatility",
    "weights": "Weights",
    "exposure": "Exposure, of wealth",
    "turnover": "Turnover, of wealth",
    "contributions": "Contributions to the total return",
}
_TILES = ("total_return", "annual_return", "annual_volatility", "sharpe", "max_drawdown", "final_wealth")
_TILE_NAMES = {"annual_return": "Annual return", "annual_volatility": "Volatility a year", "sharpe": "Sharpe a year"}
#: Headings of a report and the tables and charts below each, by key.
_PARTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "Performance",
        ("headline", "relative", "drawdowns", "monthly", "trailing"),
        ("wealth", "drawdown", "sharpe", "volatility"),
    ),
    ("Holdings", ("contributions",), ("weights", "exposure", "contributions", "turnover")),
    ("Trades", ("trades", "largest_trades", "last_trades", "all_trades"), ()),
    ("Costs and financing", ("accounts",), ()),
    ("How it was made", ("settings", "certificates"), ()),
)
_STRATEGY_TABLES = ("contributions", "monthly", "trades", "accounts", "certificates")
_STRATEGY_CHARTS = ("weights", "exposure", "contributions")


@final
class Report(Mapping[str, pd.DataFrame]):
    """What one backtest did: tables and charts, as text, HTML or raw numbers.

    Made by :meth:`BacktestResult.report <opeslike.accounting.result.BacktestResult.report>`. ``print(report)`` gives
    text; ``report["contributions"]`` is a table of raw numbers; ``list(report)`` names the tables: ``headline``,
    ``drawdowns``, ``monthly``, ``trailing``, ``relative``, ``contributions``, ``trades``, ``largest_trades``,
    ``last_trades``, ``all_trades`` (not in the text), ``accounts``, ``settings`` and ``certificates``, as far as there
    are dates, a benchmark and trades.

    Parameters
    ----------
    result : BacktestResult
    benchmark : Series, array, DataFrame of one column or str, optional
        Simple returns of the steps, or prices from P_0 on (told apart as the Backtester does); matched by date where
        both are dated. A text names an asset of the backtest.
    title : str, optional
        Default: the strategy's name.
    kind : {"prices", "returns"}, optional
        What the benchmark is, if it cannot be told.
    risk_free : float or Series
        Annual rate, a fraction; for Sharpe, Sortino, alpha and beta.
    periods_per_year : float
        252 for daily stock prices, 365 for daily crypto, 52, 12.

    Raises
    ------
    DataError
        If the benchmark cannot be used or lacks a date, which is named.
    PortfolioError
        If a parameter is out of its range.
    """

    def __init__(
        self,
        result: BacktestResult,
        benchmark: Any = None,
        title: str | None = None,
        *,
        kind: Kind | None = None,
        risk_free: RateLike = 0.0,
        periods_per_year: float = 252,
    ) -> None:
        rival = None if benchmark is None else benchmark_returns(result, benchmark, kind)
        self.source = Source(result.strategy, result, rival, risk_free, periods_per_year)
        self.title = _checked_title(title, result.strategy)
        self._tables = all_tables(self.source)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The raw numbers of a table."""
        return self._tables[name].frame.copy()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the tables."""
        return iter(self._tables)

    def __len__(self) -> int:
        """Count the tables."""
        return len(self._tables)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {self.caption})"

    def __str__(self) -> str:
        """The tables as text for the terminal."""
        return page_text(self._page({}))

    def to_frame(self, name: str = "headline") -> pd.DataFrame:
        """A table as a frame of raw numbers: fractions, money, dates.

        Raises
        ------
        PortfolioError
            If there is no such table; the message lists those there are.
        """
        if name not in self._tables:
            raise PortfolioError(f"the report has no table {name!r}; it has {', '.join(self._tables)}")
        return self[name]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Charts by name, matplotlib figures; drawn when first asked for."""
        return {key: draw_one() for key, draw_one in self._drawers().items()}

    @property
    def caption(self) -> str:
        """One line: dates, steps and assets."""
        return _caption(self.source)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> Path | str:
        """The report as one HTML file with its pictures inside.

        Parameters
        ----------
        path : path-like, optional
            Where to; its folder must exist, an existing file is replaced. Without one the text is returned.

        Returns
        -------
        Path or str
            The file written, or the text.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        return deliver(self._page(self.figures), path)

    def _drawers(self) -> dict[str, Callable[[], Figure]]:
        alone = {self.source.name: self.source}
        drawers: dict[str, Callable[[], Figure]] = {
            "wealth": lambda: draw.wealth(alone),
            "drawdown": lambda: draw.drawdown(alone),
            "weights": lambda: draw.weights(self.source),
            "exposure": lambda: draw.exposure(self.source),
            "contributions": lambda: draw.contributions(self.source, self._tables["contributions"].frame),
            "turnover": lambda: draw.turnover(self.source),
        }
        if len(self.source.result.returns) >= 4:
            drawers |= {"sharpe": lambda: draw.sharpe(alone), "volatility": lambda: draw.volatility(alone)}
        return drawers

    def _page(self, figures: Mapping[str, Figure]) -> Page:
        parts = [
            Part(
                heading,
                [self._tables[key] for key in tables if key in self._tables],
                [
                    Chart(_chart_title(key, self.source), draw.as_image(figures[key]))
                    for key in charts
                    if key in figures
                ],
            )
            for heading, tables, charts in _PARTS
        ]
        table = self._tables["headline"]
        texts = {key: values[0] for key, (_, values) in zip(table.frame.index, table.rows, strict=True)}
        tiles = [(_TILE_NAMES.get(key) or key.replace("_", " ").capitalize(), texts[key]) for key in _TILES]
        return Page(self.title, self.caption, _ruins({self.source.name: self.source.result}), tiles, parts)


@final
class ComparisonReport:
    """Several strategies on the same data: an overview, then a part for each.

    Made by :meth:`Comparison.report <opeslike.studies.Comparison.report>`. ``report.reports["Kelly"]`` is the
    :class:`Report` of one strategy.

    Parameters
    ----------
    results : mapping of name to BacktestResult
    overview : DataFrame
        A row a figure and a column a strategy, as :func:`~opeslike.analysis.tables.metrics_table` makes it.
    benchmark, title, kind, risk_free, periods_per_year
        As for :class:`Report`; the default title is "Comparison".
    """

    def __init__(
        self,
        results: Mapping[str, BacktestResult],
        overview: pd.DataFrame,
        benchmark: Any = None,
        title: str | None = None,
        *,
        kind: Kind | None = None,
        risk_free: RateLike = 0.0,
        periods_per_year: float = 252,
    ) -> None:
        self.title = _checked_title(title, "Comparison")
        self.overview = overview
        self.reports: dict[str, Report] = {}
        for name, result in results.items():
            report = Report(result, benchmark, kind=kind, risk_free=risk_free, periods_per_year=periods_per_year)
            report.source = replace(report.source, name=name)
            self.reports[name] = report
        self._tables = self._overview()

    def __repr__(self) -> str:
        return f"ComparisonReport({', '.join(self.reports)})"

    def __str__(self) -> str:
        """The overview as text for the terminal; ``print(report.reports[name])`` shows one strategy."""
        return page_text(self._page(shown=False))

    @property
    def caption(self) -> str:
        """One line: dates, steps and assets."""
        return _caption(next(iter(self.reports.values())).source)

    def to_frame(self, name: str = "overview") -> pd.DataFrame:
        """A table of all strategies, raw: ``overview``, ``relative`` (with a benchmark), ``trailing`` (with dates).

        Raises
        ------
        PortfolioError
            If there is no such table.
        """
        frames = {"overview": self.overview} | {key: table.frame for key, table in self._tables.items()}
        if name not in frames:
            raise PortfolioError(f"the report has no table {name!r}; it has {', '.join(frames)}")
        return frames[name].copy()

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Charts of all strategies by name, matplotlib figures; drawn when first asked for."""
        sources = {name: report.source for name, report in self.reports.items()}
        figures = {"wealth": draw.wealth(sources), "drawdown": draw.drawdown(sources)}
        if len(next(iter(sources.values())).result.returns) >= 4:
            figures |= {"sharpe": draw.sharpe(sources), "volatility": draw.volatility(sources)}
        return figures

    def to_html(self, path: str | os.PathLike[str] | None = None) -> Path | str:
        """The report as one HTML file, see :meth:`Report.to_html`."""
        return deliver(self._page(shown=True), path)

    def _overview(self) -> dict[str, Table]:
        sources = {name: report.source for name, report in self.reports.items()}
        first = next(iter(sources.values()))
        tables = {}
        if first.benchmark is not None:
            frame = pd.DataFrame(
                {
                    name: relative_metrics(
                        source.result.returns, source.benchmark, source.risk_free, source.periods_per_year
                    )
                    for name, source in sources.items()
                    if source.benchmark is not None
                }
            )
            own = [key for key in frame.index if f"benchmark_{key}" in frame.index or key.startswith("benchmark_")]
            tables["relative"] = Table(f"Against {first.rival}", frame.drop(index=own))
        if first.dated:
            spans = pd.DataFrame({name: trailing(s.result.returns)["total_return"] for name, s in sources.items()}).T
            if first.benchmark is not None and first.rival not in spans.index:
                spans.loc[first.rival] = trailing(first.benchmark)["total_return"]
            kinds = dict.fromkeys(spans.columns, "percent")
            tables["trailing"] = Table("Total return of the last months", spans, "column", kinds=kinds)
        return tables

    def _settings(self) -> list[Table]:
        """What all runs share, and what each was asked to do beyond it."""
        used = pd.DataFrame({name: report["settings"]["value"] for name, report in self.reports.items()}, dtype=object)
        alike = used.eq(used.iloc[:, 0], axis=0).all(axis=1)
        alike["strategy"] = False
        shared = used.loc[alike].iloc[:, :1].set_axis(["value"], axis=1)
        each = Table("Settings of each", used.loc[~alike].T, "column", words=True)
        return [Table("Settings shared by all", shared, "column", words=True), each]

    def _page(self, *, shown: bool) -> Page:
        formats = (
            {"Final wealth": ",.2f"}
            if max(r.source.result.initial_capital for r in self.reports.values()) >= 1e3
            else {}
        )
        texts = cells(self.overview, {**FORMATS, **formats})
        first = next(iter(self.reports.values()))
        figures = self.figures if shown else {}
        charts = [Chart(_chart_title(key, first.source), draw.as_image(fig)) for key, fig in figures.items()]
        parts = [Part("Overview", [Table("Figures", texts), *self._tables.values()], charts)]
        for name, report in self.reports.items() if shown else ():
            drawers = report._drawers()
            tables = [report._tables[key] for key in _STRATEGY_TABLES if key in report._tables]
            if report is not first:  # the explanations are the same
                tables = [each if each.title == "Costs and financing" else replace(each, note="") for each in tables]
            parts.append(
                Part(
                    name,
                    tables,
                    [Chart(TITLES[key], draw.as_image(drawers[key]())) for key in _STRATEGY_CHARTS],
                )
            )
        parts.append(Part("How it was made", self._settings(), []))
        ruins = _ruins({name: report.source.result for name, report in self.reports.items()})
        return Page(self.title, self.caption, ruins, [], parts)


def _checked_title(title: Any, default: str) -> str:
    if title is None:
        return default
    if not isinstance(title, str) or not title.strip():
        raise PortfolioError(f"title must be text, got {title!r}")
    return title


def _caption(source: Source) -> str:
    result = source.result
    count = len(result.assets)
    rival = f", against {source.rival}" if source.benchmark is not None else ""
    return (
        f"{describe(result.start)} to {describe(result.timeline[-1])}, {len(result.timeline)} steps, "
        f"{count} asset{'s' if count != 1 else ''}{rival}"
    )


def _ruins(results: Mapping[str, BacktestResult]) -> list[str]:
    return [
        f"{name} lost everything on {describe(result.ruin_date)}, and the lender {cell(result.lender_loss, 'money')}."
        for name, result in results.items()
        if result.ruin_date is not None
    ]


def _chart_title(key: str, source: Source) -> str:
    if key in ("sharpe", "volatility"):
        return f"{TITLES[key]}, {draw.windows(source)[key == 'volatility']} steps"
    return TITLES[key]
