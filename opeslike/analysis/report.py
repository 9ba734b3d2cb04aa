"""A report worth reading: text for the terminal, and one HTML file that holds everything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import pandas as pd

import opeslike.analysis.charts as charts
from opeslike.accounting.result import BacktestResult
from opeslike.analysis.charts import Chart
from opeslike.analysis.drawing import Figure, small
from opeslike.analysis.formats import Table, cell, money, money_kind
from opeslike.analysis.output import write_atomically
from opeslike.analysis.page import Page, notebook_html, page_html, page_text
from opeslike.analysis.paths import rolling_sharpe, rolling_volatility
from opeslike.analysis.record import RateLike
from opeslike.analysis.relative import trailing
from opeslike.analysis.report_tables import Source, against, all_tables, benchmark_record, evidence_tables, records_of
from opeslike.analysis.tables import cells
from opeslike.errors import PortfolioError
from opeslike.market import Kind, describe

_TILES = {
    "total_return": "Total return",
    "annual_return": "Annual return",
    "annual_volatility": "Volatility a year",
    "sharpe": "Sharpe a year",
    "max_drawdown": "Max drawdown",
    "final_wealth": "Final wealth",
}
#: Headings of a report and the keys of the tables and charts below each.
_PARTS = {
    "Performance": (
        "headline relative evidence_growth evidence_sharpe drawdowns monthly trailing",
        "wealth drawdown sharpe volatility",
    ),
    "Holdings": ("contributions", "weights exposure contributions turnover"),
    "Trades": ("trades largest_trades last_trades all_trades", ""),
    "Costs and financing": ("accounts", ""),
    "How it was made": ("settings certificates", ""),
}
#: What a comparison shows of each strategy.
_EACH = ("drawdowns", "contributions", "monthly", "trades", "accounts", "certificates")
_EACH_CHARTS = ("weights", "exposure", "contributions")


class _Report:
    """What both kinds of report have in common: tables and charts by key, and the page they make."""

    def __init__(self, sources: Sequence[Source], title: Any, default: str, tables: dict[str, Table]) -> None:
        if title is not None and (not isinstance(title, str) or not title.strip()):
            raise PortfolioError(f"title must be text, got {title!r}")
        self.title: str = default if title is None else title
        self._sources, self._tables = sources, tables

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r}, {self.caption})"

    def __str__(self) -> str:
        """The tables as text for the terminal."""
        return page_text(self._page(full=False))

    def _repr_html_(self) -> str:
        """Show the report in a notebook."""
        return page_html(self._page(full=True), "fragment.html.j2")

    @property
    def caption(self) -> str:
        """One line: dates, steps, assets and the money at the start."""
        source = self._sources[0]
        result, count = source.result, len(source.result.assets)
        rival = f", against {source.rival}" if source.benchmark is not None else ""
        return (
            f"{describe(result.start)} to {describe(result.timeline[-1])}, {len(result.timeline)} steps, "
            f"{count} asset{'s' if count != 1 else ''}, {money(result.initial_capital)} to begin with{rival}"
        )

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Charts by name, matplotlib figures; drawn when first asked for."""
        return {key: small(one) for key, one in self._charts.items()}

    def to_frame(self, name: str | None = None) -> pd.DataFrame:
        """A table as a frame of raw numbers: fractions, money, dates; by default the first.

        Raises
        ------
        PortfolioError
            If there is no such table; the message lists those there are.
        """
        name = next(iter(self._tables)) if name is None else name
        if name not in self._tables:
            raise PortfolioError(f"the report has no table {name!r}; it has {', '.join(self._tables)}")
        return self._tables[name].frame.copy()

    def to_html(self, path: str | os.PathLike[str] | None = None, *, interactive: bool = False) -> Path | str:
        """The report as one HTML file with its charts inside; nothing is fetched from anywhere.

        Parameters
        ----------
        path : path-like, optional
            Where to; its folder must exist, an existing file is replaced. Without one the text is returned.
        interactive : bool
            Draw the charts with Plotly (the extra ``plot``): values and weights at the date below the pointer, zoom,
            strategies switched on and off in the legend, the drawdown table beside its chart. The file then holds
            plotly.js, some 5 MB. Pictures, the default, suit mail and print.

        Returns
        -------
        Path or str
            The file written, or the text.

        Raises
        ------
        OutputError
            If the file cannot be written, or Plotly is not installed.
        """
        text = page_html(self._page(full=True), interactive=interactive)
        return text if path is None else write_atomically(path, text)

    @cached_property
    def _charts(self) -> dict[str, Chart]:
        """Charts of all the strategies, by key."""
        sources, first = self._sources, self._sources[0]
        records = records_of(sources)
        styles = charts.looks(records, first.rival or None)
        lines = charts.lines_of(records, None, first.origin)
        moneys = {name: money for each in sources for name, money in each.moneys.items()}
        paid = {name: replace(lines[name], money=money) for name, money in moneys.items()}
        wealth = charts.wealth_chart(lines | paid, first.result.initial_capital, log=True, styles=styles)
        made = {"wealth": wealth, "drawdown": charts.drawdown_chart(lines, styles)}
        size, periods = first.own.values.size, first.periods
        if size >= 4:  # half a year and a quarter, where there is that much
            half, quarter = (max(2, min(round(periods / part), size // 2)) for part in (2, 4))
            times = next(iter(lines.values())).times
            sharpe = {name: rolling_sharpe(path, half, first.risk_free, periods) for name, path in records.items()}
            volatility = {name: rolling_volatility(path, quarter, periods) for name, path in records.items()}
            titles = f"Rolling Sharpe, {half} steps", f"Rolling volatility, {quarter} steps"
            made["sharpe"] = charts.curves_chart(sharpe, times, "number", styles, title=titles[0])
            made["volatility"] = charts.curves_chart(volatility, times, "percent", styles, title=titles[1])
        return made

    def _chosen(self, keys: Sequence[str]) -> list[Chart]:
        return [self._charts[key] for key in keys if key in self._charts]

    def _ruins(self) -> list[str]:
        lost = [(each.name, each.result) for each in self._sources if each.result.ruin_date is not None]
        how = "lost everything on {}, and the lender {}"
        ends = [one.ran_out or how.format(describe(one.ruin_date), cell(one.lender_loss, "money")) for _, one in lost]
        return [f"{name} {end}." for (name, _), end in zip(lost, ends, strict=True)]

    def _page(self, *, full: bool) -> Page:
        raise NotImplementedError


def _holdings(source: Source, contributions: pd.DataFrame) -> dict[str, Chart]:
    """Charts of what one strategy held, by key."""
    result = source.result
    times = next(iter(charts.lines_of(source.own).values())).times
    exposure = {"gross": result.gross_exposure, "net": result.net_exposure, "cash": result.cash}
    parts = contributions["contribution"].drop(index="total")
    parts = parts[parts != 0.0]
    largest = parts.reindex(parts.abs().sort_values(ascending=False, kind="stable").index[:12]).sort_values()
    spikes: dict[str, Any] = {"kind": "spikes", "level": None, "title": "Turnover, of wealth"}
    bars = charts.Trace("", largest.index.to_numpy(), 100.0 * largest.to_numpy(), charts.LINE_COLOURS[0])
    return {
        "weights": charts.weights_chart(result.weights, times, top=8),
        "exposure": charts.curves_chart(exposure, times, "percent", kind="steps", title="Exposure, of wealth"),
        "contributions": Chart([bars], "bars", "percent", source.dated, title="Contributions to the total return"),
        "turnover": charts.curves_chart({"": result.turnover}, times, "percent", **spikes),
    }


@final
class Report(_Report, Mapping[str, pd.DataFrame]):
    """What one backtest did: tables and charts, as text, HTML or raw numbers.

    Made by :meth:`BacktestResult.report <opeslike.accounting.result.BacktestResult.report>`. ``print(report)`` gives
    text; ``report["contributions"]`` is a table of raw numbers; ``list(report)`` names the tables: ``headline``,
    ``drawdowns``, ``monthly``, ``trailing``, ``relative``,
    ``evidence_growth``, ``evidence_sharpe``, ``contributions``, ``trades``, ``largest_trades``,
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
    name : str, optional
        What to call the strategy; default: its own name.

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
        name: str | None = None,
    ) -> None:
        name = result.strategy if name is None else name
        rival = None if benchmark is None else benchmark_record(result, benchmark, kind, (name,))
        self.source = Source(name, result, rival, risk_free, periods_per_year)
        tables = all_tables(self.source)
        if rival is not None and rival is not benchmark:  # in a comparison its overview says it of all
            tables |= evidence_tables([self.source])
        super().__init__([self.source], title, name, tables)

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

    @cached_property
    def _charts(self) -> dict[str, Chart]:
        return super()._charts | _holdings(self.source, self._tables["contributions"].frame)

    def brief_html(self) -> str:
        """The headline figures and two charts, for the cell of a notebook."""
        return notebook_html(self.title, self.caption, [self._tables["headline"]], self._chosen(["wealth", "drawdown"]))

    def _page(self, *, full: bool) -> Page:
        parts = []
        for heading, (keys, shown) in _PARTS.items():
            tables = [self._tables[key] for key in keys.split() if key in self._tables]
            parts.append((heading, tables, self._chosen(shown.split()) if full else []))
        table = self._tables["headline"]
        texts = {key: values[0] for key, (_, values) in zip(table.frame.index, table.rows, strict=True)}
        tiles = {name: texts[key] for key, name in _TILES.items()}
        return Page(self.title, self.caption, self._ruins(), tiles, parts)


@final
class ComparisonReport(_Report):
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
    fractions : mapping of name to float, optional
        Who holds a fraction of a portfolio and cash; evidence judges them at full size.
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
        fractions: Mapping[str, float] | None = None,
    ) -> None:
        self.overview, self._fractions = overview, fractions
        self.reports: dict[str, Report] = {}
        rates: dict[str, Any] = {"risk_free": risk_free, "periods_per_year": periods_per_year}
        rival = None
        for name, result in results.items():
            if benchmark is not None and (rival is None or not result.timeline.equals(rival.index)):
                rival = benchmark_record(result, benchmark, kind, results)
            self.reports[name] = Report(result, rival, name=name, **rates)
        sources = [report.source for report in self.reports.values()]
        super().__init__(sources, title, "Comparison", self._overview(sources))

    def __str__(self) -> str:
        """The overview as text for the terminal; ``print(report.reports[name])`` shows one strategy."""
        return super().__str__()

    def _overview(self, sources: list[Source]) -> dict[str, Table]:
        capital = max(each.result.initial_capital for each in sources)
        texts = cells(self.overview, {"Final wealth": money_kind(capital)})
        tables = {"overview": Table("Figures", self.overview, brief=texts)}
        worst = {name: report["drawdowns"].head(1) for name, report in self.reports.items()}
        frame = pd.concat(worst.values()).set_axis([name for name, one in worst.items() if len(one)])
        tables["drawdowns"] = Table("Deepest drawdown of each", frame, "column")
        if sources[0].benchmark is not None:
            tables["relative"] = replace(against(*sources), title=f"Against {sources[0].rival}", note="")
        tables |= evidence_tables(sources, self._fractions)
        if sources[0].dated:
            past = pd.DataFrame({name: trailing(path)["total_return"] for name, path in records_of(sources).items()}).T
            tables["trailing"] = Table("Total return of the last months", past, "column", kind="percent")
        return tables

    def _settings(self) -> list[Table]:
        """What all runs share, and what each was asked to do beyond it."""
        used = pd.DataFrame({name: report["settings"]["value"] for name, report in self.reports.items()}, dtype=object)
        alike = used.eq(used.iloc[:, 0], axis=0).all(axis=1)
        alike["strategy"] = False
        shared = used.loc[alike].iloc[:, :1].set_axis(["value"], axis=1)
        each = Table("Settings of each", used.loc[~alike].T, "column", words=True)
        return [Table("Settings shared by all", shared, "column", words=True), each]

    def _page(self, *, full: bool) -> Page:
        parts = [("Overview", [*self._tables.values()], self._chosen([*self._charts]) if full else [])]
        for number, (name, report) in enumerate(self.reports.items() if full else ()):
            tables = [report._tables[key] for key in _EACH if key in report._tables]
            if number:  # the explanations are the same
                tables = [each if each.title == "Costs and financing" else replace(each, note="") for each in tables]
            parts.append((name, tables, report._chosen(_EACH_CHARTS)))
        parts.append(("How it was made", self._settings(), []))
        return Page(self.title, self.caption, self._ruins(), {}, parts)
