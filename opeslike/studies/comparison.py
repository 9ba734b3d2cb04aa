"""Comparison: results of several strategies as a table, charts and files."""

from __future__ import annotations

import itertools
import math
import os
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pandas as pd

from opeslike.accounting.result import BacktestResult
from opeslike.analysis.formats import folded
from opeslike.analysis.output import csv_text, harmless
from opeslike.errors import DataError, OutputError, PortfolioError
from opeslike.market import Kind, describe

if TYPE_CHECKING:
    from opeslike.evidence import Evidence

#: Table formats whose lines end where a terminal does; the others are for files.
_FOR_TERMINALS = re.compile(
    r"plain|presto|pretty|psql|fancy_grid|fancy_outline|((simple|rounded|heavy|mixed|double)_)?(grid|outline)|simple"
)
_NOTE = (
    "*Worst gap per period* is a certified bound: at no re-optimisation was there a portfolio better than the one "
    "found by more than that, in the strategy's own objective (growth per period for Kelly). Files of weights have a "
    "row a step, dated by its end; what a row leaves of 1 is cash."
)


@final
class Comparison(Mapping[str, BacktestResult]):
    """Results of several strategies, by name, in the order given.

    ``print`` shows the table; ``comparison["Kelly"]`` is that strategy's result.

    Parameters
    ----------
    results : mapping of name to BacktestResult
    periods_per_year : float
        252 for daily stock prices, 365 for daily crypto, 52, 12.
    risk_free : float or Series
        Annual rate, a fraction; for Sharpe and Sortino.
    fractions : mapping of name to float, optional
        Who holds a fraction of a portfolio and cash, and which; evidence judges them at full size.

    Raises
    ------
    PortfolioError
        If there is no result, or a name is not text or occurs twice.
    """

    def __init__(
        self,
        results: Mapping[str, BacktestResult],
        *,
        periods_per_year: float = 252,
        risk_free: float | pd.Series = 0.0,
        fractions: Mapping[str, float] | None = None,
    ) -> None:
        check_names(results)
        self.results, self.fractions = dict(results), dict(fractions or {})
        self._periods, self._risk_free = periods_per_year, risk_free
        self._metrics: pd.DataFrame | None = None

    def __getitem__(self, name: str) -> BacktestResult:
        """Result of that strategy."""
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.results)

    def __len__(self) -> int:
        """Count the strategies."""
        return len(self.results)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self)})"

    def __str__(self) -> str:
        """Caption and table, folded to the width of the terminal where there is one."""
        terminal = sys.stdout is not None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else None
        caption = self.caption if width is None else textwrap.fill(self.caption, width)
        return "\n\n".join([caption, self.to_text(width=width), *self.notes, *self.verdict(width=width)])

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return self.to_text("html")

    @property
    def metrics(self) -> pd.DataFrame:
        """A row a figure and a column a strategy, see :func:`~opeslike.analysis.tables.metrics_table`.

        ``Final wealth`` is in money: it starts from ``initial_capital``. Each call gives a new frame.
        """
        from opeslike.analysis.tables import StrategyRun, metrics_table

        if self._metrics is None:
            runs: dict[str, StrategyRun] = {}
            for name, result in self.results.items():
                gap: Any = "heuristic" if result.certificate == "heuristic" else result.max_gap
                runs[name] = StrategyRun(result.returns, gap=gap, turnover=result.turnover, costs=result.costs)
            self._metrics = metrics_table(runs, self._periods, self._risk_free)
            self._metrics.loc["Final wealth"] = [result["wealth"][-1] for result in self.results.values()]
        return self._metrics.copy()

    @property
    def caption(self) -> str:
        """One line: the dates and the terms all strategies share."""
        first, *others = self.results.values()
        shared = {key: value for key, value in first.settings.items() if all(r.settings[key] == value for r in others)}
        steps = first.timeline
        parts = [f"Test {describe(first.start)} to {describe(steps[-1])}, {len(steps)} steps"]
        if "cost" in shared:
            parts.append(_describe_cost(shared["cost"]))
        for key, verb in (("reopt_freq", "re-optimised"), ("rebalance_freq", "traded")):
            if (every := shared.get(key)) is not None:
                when = f"by the calendar {every}" if isinstance(every, str) else f"every {every} steps"
                parts.append(f"{verb} {when if every != 1 else 'every step'}")
        if shared.get("window") is not None:
            parts.append(f"window {shared['window']}")
        return "; ".join(parts)

    @property
    def notes(self) -> list[str]:
        """Who lost everything and when; empty if nobody did."""
        return [
            f"{name} lost everything on {describe(result.ruin_date)}."
            for name, result in self.results.items()
            if result.ruin_date is not None
        ]

    def evidence(self, benchmark: Any = None, **options: Any) -> Evidence:
        """What the differences from a benchmark can bear; ``print`` shows tables and the sentence that may be said.

        Parameters
        ----------
        benchmark : str or Series, optional
            A strategy, or dated returns; default: the one that holds equal weights, else the first.
        **options
            As for :func:`~opeslike.evidence.evidence`. Who holds a fraction and cash is judged at full size, unless
            ``fractions`` or ``equalise`` says otherwise.

        Raises
        ------
        DataError, PortfolioError
            If there are fewer than 20 dates, no other strategy, or no such benchmark.
        """
        from opeslike.evidence import evidence

        if benchmark is None:
            equal = (name for name, result in self.results.items() if result.strategy == "Uniform")
            benchmark = next(equal, next(iter(self)))
        rates: dict[str, Any] = {"risk_free": self._risk_free, "periods_per_year": self._periods}
        return evidence(self._returns(), benchmark, **{"fractions": self.fractions, **rates, **options})

    @cached_property
    def _growth(self) -> Evidence:
        return self.evidence(statistics=["growth"])

    def verdict(self, tablefmt: str = "simple", *, width: int | None = None) -> list[str]:
        """Growth beside its interval and the sentence that may be said, or why not; empty for one strategy."""
        if len(self) < 2:
            return []
        try:
            return [self._growth.to_text(tablefmt, width=width)]
        except (DataError, PortfolioError) as error:
            return [f"There is no interval: {error}."]

    def to_text(self, tablefmt: str = "simple", *, width: int | None = None) -> str:
        """The table as text.

        Parameters
        ----------
        tablefmt : str
            Any format of tabulate: "simple", "github", "grid", "html", "latex" …
        width : int, optional
            Fold the table into several, one below the other, so that no line is longer (where it can be done, and only
            in formats meant for a terminal).

        Raises
        ------
        PortfolioError
            If tabulate has no such format.
        """
        from opeslike.analysis.tables import MAX_COLUMNS, render

        frame = self.metrics
        rows = frame.shape[1] > MAX_COLUMNS  # strategies become rows where they are many
        formats = {"Final wealth": ",.2f"} if max(r.initial_capital for r in self.results.values()) >= 1e3 else None
        count = frame.shape[0 if rows else 1]

        def part(start: int, stop: int) -> str:
            some = frame.iloc[start:stop] if rows else frame.iloc[:, start:stop]
            return render(some, tablefmt, transpose=rows, formats=formats)

        return folded(part, count, width if width is not None and _FOR_TERMINALS.fullmatch(tablefmt) else math.inf)

    def to_markdown(self) -> str:
        """The table in Markdown (pipes, numbers to the right)."""
        return self.to_text("pipe")

    def plot_wealth(self, savefig: Any = False, **options: Any) -> Any:
        """Wealth of all strategies over time; see :func:`opeslike.analysis.plots.plot_wealth`."""
        from opeslike.analysis.plots import plot_wealth

        first = next(iter(self.results.values()))
        start = first.start if isinstance(first.start, pd.Timestamp) else None
        own = {"initial_wealth": first.initial_capital, "start": start, "savefig": savefig}
        return plot_wealth(self._returns(), **{**own, **options})

    def plot_drawdowns(self, savefig: Any = False, **options: Any) -> Any:
        """Loss since the peak over time; see :func:`opeslike.analysis.plots.plot_drawdowns`."""
        from opeslike.analysis.plots import plot_drawdowns

        return plot_drawdowns(self._returns(), **{"savefig": savefig, **options})

    def plot_weights(self, name: str, savefig: Any = False, **options: Any) -> Any:
        """Weights of one strategy over time; see :func:`opeslike.analysis.plots.plot_weights`.

        Raises
        ------
        PortfolioError
            If there is no strategy of that name.
        """
        from opeslike.analysis.plots import plot_weights

        if name not in self.results:
            raise PortfolioError(f"no strategy is called {name!r}; there are {', '.join(map(repr, self))}")
        return plot_weights(self.results[name].weights, **{"title": f"Weights: {name}", "savefig": savefig, **options})

    def report(self, benchmark: Any = None, title: str | None = None, *, kind: Kind | None = None) -> Any:
        """Report of all strategies: ``print`` shows the overview, ``to_html(path)`` writes one file that holds all.

        Parameters
        ----------
        benchmark : Series, array, DataFrame of one column or str, optional
            As for :meth:`BacktestResult.report <opeslike.accounting.result.BacktestResult.report>`.
        title : str, optional
            Default: "Comparison".
        kind : {"prices", "returns"}, optional
            What the benchmark is, if it cannot be told.

        Raises
        ------
        DataError
            If the benchmark cannot be used or lacks a date, which is named.
        PortfolioError
            If a parameter is out of its range.
        """
        from opeslike.analysis.report import ComparisonReport

        rates: dict[str, Any] = {"risk_free": self._risk_free, "periods_per_year": self._periods}
        return ComparisonReport(
            self.results, self.metrics, benchmark, title, kind=kind, fractions=self.fractions, **rates
        )

    def _returns(self) -> dict[str, pd.Series]:
        return {name: result.returns for name, result in self.results.items()}

    def save(
        self, folder: str | os.PathLike[str], *, plots: bool = True, html: bool = False, benchmark: Any = None
    ) -> list[Path]:
        """Write the comparison into a folder that is made beside its place and swapped in whole.

        ``table.md``; ``metrics.csv`` (full precision); ``wealth.png`` and ``drawdown.png``; ``weights/<strategy>.csv``,
        a row a step, dated by its end, and a column a ticker; ``report.html`` where it is asked for; ``manifest.json``,
        the SHA-256 of each. What an earlier comparison wrote there goes, other people's files stay; a kill or a full
        disk leaves the folder as it was.

        Parameters
        ----------
        folder : path-like
            Made if it is not there.
        plots : bool
            Whether to draw the two charts.
        html : bool
            Whether to write the report, with ``benchmark`` as for :meth:`report`.

        Returns
        -------
        list of Path
            The files written.

        Raises
        ------
        OutputError
            If the folder or a file cannot be written; the message names it.
        """
        from opeslike.analysis.drawing import picture
        from opeslike.analysis.output import write_folder

        page = ["# Comparison", self.caption, self.to_markdown(), *self.notes, *self.verdict("pipe"), _NOTE, ""]
        metrics = self.metrics.rename(columns=harmless).to_csv(lineterminator="\n")
        files: dict[str, Any] = {"table.md": "\n\n".join(page), "metrics.csv": metrics}
        if plots:
            for stem, plot in (("wealth", self.plot_wealth), ("drawdown", self.plot_drawdowns)):
                files[f"{stem}.png"] = lambda plot=plot: picture(plot(), "png", dpi=150)
        for stem, result in zip(file_stems(self), self.results.values(), strict=True):
            files[f"weights/{stem}.csv"] = weights_csv(result)
        if html:
            files["report.html"] = self.report(benchmark).to_html()
        return write_folder(folder, files)


def _describe_cost(cost: Mapping[str, Any]) -> str:
    if list(cost) == ["const"] and isinstance(cost["const"], (int, float)):
        return f"costs {cost['const']:g} bps"
    return "costs in bps: " + ", ".join(f"{key} {value}" for key, value in cost.items())


def weights_csv(result: BacktestResult) -> str:
    """Weights of a run, a row a step and a column an asset, in full precision."""
    dated = isinstance(result.timeline, pd.DatetimeIndex)
    rows = zip(result.timeline.astype(str), result["weights"].tolist(), strict=True)
    return csv_text(["Date" if dated else "Step", *result.assets], ([label, *row] for label, row in rows))


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder, and the ones above it, unless it is there.

    Raises
    ------
    OutputError
        If that is not possible, or nothing can be written into it.
    """
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise OutputError(f"cannot write into {folder!r}: it is not the name of a folder")
    path = Path(folder)
    probe = path / f".probe.{os.getpid()}.partial"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write into {path}: {error.strerror or error}") from error
    return path


def file_stems(names: Iterable[str]) -> list[str]:
    """File names that any system takes, different from each other even where case does not count."""
    stems: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:40] or "strategy"
        if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem):  # Windows keeps these for devices
            stem = f"_{stem}"
        taken = {other.casefold() for other in stems}
        numbered = (stem if n == 1 else f"{stem}-{n}" for n in itertools.count(1))
        stems.append(next(candidate for candidate in numbered if candidate.casefold() not in taken))
    return stems


def check_names(strategies: Any) -> None:
    """Check that there is a mapping whose names are text and differ in more than blanks.

    Raises
    ------
    PortfolioError
    """
    if not isinstance(strategies, Mapping):
        raise PortfolioError(f"strategies must be a dict of name -> strategy, got {type(strategies).__name__}")
    if not strategies:
        raise PortfolioError('no strategy to compare: pass one at least, such as {"Kelly": Kelly()}')
    for name in strategies:
        if not isinstance(name, str) or not name.strip():
            raise PortfolioError(f"names of strategies must be text, got {name!r}")
    short, count = Counter(" ".join(name.split()) for name in strategies).most_common(1)[0]
    if count > 1:
        raise PortfolioError(f"two strategies are called {short!r}; give each a name of its own")
