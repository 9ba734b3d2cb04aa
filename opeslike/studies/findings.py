"""What a study found: figures, returns and weights of its runs, and what the differences can bear."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from opeslike.checks import choice
from opeslike.errors import OutputError, PortfolioError
from opeslike.evidence import Evidence, evidence
from opeslike.evidence.samples import Samples as Judged
from opeslike.studies.comparison import file_stems
from opeslike.studies.samples import Sample
from opeslike.studies.store import FIGURES, Row, Store, StoredReturns, unpack, unpack_steps
from opeslike.studies.wrappers import scale_of

#: Figures that are fractions.
PERCENT = ("growth", "volatility", "max_drawdown", "costs")


class Keys(NamedTuple):
    """Name and key of a sample, and the keys of its runs by strategy."""

    name: str
    key: str
    runs: dict[str, str]


class Findings:
    """What can be asked of a study once some of its runs are stored."""

    strategies: dict[str, Any]
    samples: Sequence[Sample]
    terms: dict[str, Any]
    _store: Store
    _periods: float

    @property
    def _keys(self) -> list[Keys]:
        """Of each sample its name, its key and those of its runs."""
        raise NotImplementedError

    @property
    def frame(self) -> pd.DataFrame:
        """A row a run that is stored, by sample and strategy.

        ``status`` ("ok", "ruined" or "failed"); ``growth``, ``volatility``, ``costs`` (annual fractions);
        ``max_drawdown``; ``sharpe``; ``final_wealth`` (of 1); ``turnover`` a year; ``gap``, the worst certified one;
        ``seconds``; ``error``.
        """
        stored = self._store.light()
        runs = [
            (keys.name, name, stored[key]) for keys in self._keys for name, key in keys.runs.items() if key in stored
        ]
        columns = ["status", *FIGURES, "seconds", "error"]
        frame = pd.DataFrame([{name: row[name] for name in columns} for *_, row in runs], columns=columns)
        index = pd.MultiIndex.from_arrays([[run[i] for run in runs] for i in (0, 1)], names=["sample", "strategy"])
        return frame.set_axis(index, axis=0).astype(dict.fromkeys([*FIGURES, "seconds"], np.float64))

    def returns(self, sample: str | int = 0) -> pd.DataFrame:
        """Simple returns after costs, dates x strategies, without those that failed; kept to 2^-31 of the largest.

        Parameters
        ----------
        sample : str or int
            Its name or number.

        Raises
        ------
        PortfolioError
            If there is no such sample, or it was not run.
        """
        _, rows, closes, _ = self._one(sample)
        return pd.DataFrame({n: unpack(row["returns"]) for n, row in rows.items() if row["returns"]}, closes[1:])

    def weights(self, strategy: str, sample: str | int = 0) -> pd.DataFrame:
        """What a strategy aimed for at each decision, dates x tickers; NaN where it left its holdings alone.

        Raises
        ------
        PortfolioError
            If there is no such strategy or sample, it was not run, or it failed.
        """
        name, rows, closes, assets = self._one(sample, self._named(strategy))
        if strategy not in rows or not rows[strategy]["targets"]:
            raise PortfolioError(f"{strategy!r} has no weights on {name}: it was not run, or failed")
        return _targets(rows[strategy], closes, assets)

    def choices(self, strategy: str) -> pd.DataFrame:
        """What a :class:`Tuned` strategy chose, by sample and date: the parameters and their score.

        Raises
        ------
        PortfolioError
            If it chose nothing that is stored.
        """
        name = self._named(strategy)
        stored = self._store.full(keys.runs[name] for keys in self._keys)
        rows = [(keys.name, stored[keys.runs[name]]) for keys in self._keys if keys.runs[name] in stored]
        made = [
            {"sample": own, **each} for own, row in rows for each in json.loads(row["more"] or "{}").get("choices", [])
        ]
        if not made:
            raise PortfolioError(f"{strategy!r} made no choice that is stored; only Tuned strategies do")
        frame = pd.DataFrame(made)
        return frame.assign(date=pd.to_datetime(frame["date"])).set_index(["sample", "date"])

    def _named(self, strategy: str) -> str:
        if strategy not in self.strategies:
            raise PortfolioError(
                f"no strategy is called {strategy!r}; there are {', '.join(map(repr, self.strategies))}"
            )
        return strategy

    def _one(self, sample: str | int, strategy: str | None = None) -> tuple[str, dict[str, Row], pd.Index, list[str]]:
        """Name of a sample, its runs by strategy, its closes and its assets."""
        found = [k for k, keys in enumerate(self._keys) if sample in (k, keys.name)]
        if not found:
            first = self._keys[0].name
            raise PortfolioError(f"no sample is called {sample!r}; there are {len(self._keys)}, {first!r} the first")
        keys = self._keys[found[0]]
        stored = self._store.full(keys.runs.values() if strategy is None else [keys.runs[strategy]])
        if not stored:
            raise PortfolioError(f"{keys.name} has not been run; call run()")
        return (
            keys.name,
            {n: stored[key] for n, key in keys.runs.items() if key in stored},
            *self._store.sample(keys.key),
        )

    def __repr__(self) -> str:
        return f"Study({len(self.strategies)} strategies x {len(self.samples):,} samples)"

    def __str__(self) -> str:
        """How far it is, what failed, how much work is left, and the medians of what was found."""
        frame, total = self.frame, len(self.strategies) * len(self.samples)
        failed = frame[frame["status"] == "failed"]
        line = f"{self!r}: {len(frame):,} of {total:,} runs stored, {len(failed):,} failed"
        if 0 < len(frame) < total:
            line += (
                f"; about {(total - len(frame)) * frame['seconds'].mean():,.0f} s of work are left, over all workers"
            )
        lines = [line]
        if len(failed):
            (sample, strategy), error = failed.index[0], failed["error"].iloc[0]
            lines.append(f"The first failure, {strategy} on {sample}: {error}")
        if len(frame) > len(failed):
            from opeslike.analysis.tables import render

            lines += ["Medians over the samples:", render(self.medians, transpose=True)]
        return "\n\n".join(lines)

    @property
    def medians(self) -> pd.DataFrame:
        """Medians of the figures over the samples, a row a figure and a column a strategy."""
        shown = self.frame[self.frame["status"] != "failed"][list(FIGURES)]
        return shown.groupby(level="strategy", sort=False).median().T

    def table(
        self,
        benchmark: str | None = None,
        *,
        statistics: Sequence[str] = ("growth", "sharpe", "volatility"),
        equalise: str | None = "fraction",
        **options: Any,
    ) -> Evidence:
        """Differences from the benchmark, judged over time, all samples together; ``print`` says what may be said.

        Parameters
        ----------
        benchmark : str, optional
            Name of a strategy; default: the first.
        statistics, **options
            As for :func:`~opeslike.evidence.evidence`: ``confidence``, ``resamples``, ``block_length``, ``seed``.
        equalise : {"fraction", "volatility", "beta", None}
            With "fraction" those that hold a fraction of a portfolio and cash are judged at full size; with
            "volatility" or "beta" all at the exposure of the benchmark; None as they are.

        Raises
        ------
        PortfolioError
            If there is no such benchmark, or nothing to compare with it.
        """
        samples, notes = self._judged()
        found = evidence(
            samples,
            benchmark,
            statistics=statistics,
            equalise=None if equalise == "fraction" else equalise,
            fractions={name: scale_of(one) for name, one in self.strategies.items()}
            if equalise == "fraction"
            else None,
            risk_free=self.terms["risk_free"],
            periods_per_year=self.terms["periods_per_year"] or self._periods,
            **options,
        )
        found.notes += notes
        return found

    def plot(self, figure: str = "sharpe", savefig: Any = False, **options: Any) -> Any:
        """How a figure is spread over the samples, strategy by strategy; or what a :class:`Tuned` strategy chose when.

        Parameters
        ----------
        figure : str
            A figure of :attr:`frame`, or the name of a Tuned strategy.
        savefig, **options
            As for :func:`~opeslike.analysis.plots.plot_spreads`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        PortfolioError
            If it is neither, or nothing of it is stored.
        """
        from opeslike.analysis.spreads import plot_choices, plot_spreads

        if figure in self.strategies:
            chosen = self.choices(figure).drop(columns="score")
            names = list(chosen.columns)
            counts = pd.crosstab(
                [chosen[name] for name in names], chosen.index.get_level_values("date"), normalize="columns"
            )
            return plot_choices(counts, savefig, **options)
        if figure not in FIGURES:
            raise PortfolioError(
                f"no figure is called {figure!r}; there are {', '.join(FIGURES)}, and Tuned strategies"
            )
        given = {"title": figure.replace("_", " ").capitalize(), **self._spread(figure), **options}
        return plot_spreads(savefig=savefig, **given)

    def _spread(self, figure: str) -> dict[str, Any]:
        """Values of a figure, samples x strategies, and their unit."""
        values = (
            self.frame.reset_index().pivot_table(figure, "sample", "strategy").reindex(columns=list(self.strategies))
        )
        return {"values": values, "unit": "percent" if figure in PERCENT else "number"}

    def to_html(self, path: str | os.PathLike[str] | None = None, benchmark: str | None = None) -> Path | str:
        """One page, nothing fetched from anywhere: how far the study is, medians, spreads, and what may be said.

        Parameters
        ----------
        path : path-like, optional
            Where to; without one the text is returned.
        benchmark : str, optional
            As for :meth:`table`.

        Raises
        ------
        OutputError
            If the file cannot be written.
        PortfolioError
            If no sample is complete.
        """
        from opeslike.analysis.formats import Table
        from opeslike.analysis.output import write_atomically
        from opeslike.analysis.page import Page, page_html
        from opeslike.analysis.report_tables import judged
        from opeslike.analysis.spreads import spreads_chart

        found, given = self.table(benchmark), {each: self._spread(each) for each in ("growth", "sharpe", "volatility")}
        charts = [replace(spreads_chart(**one), title=name.capitalize()) for name, one in given.items()]
        middle = Table("Medians over the samples", self.medians.T, "column", kind=",.4g")
        judgement = "What may be said", list(judged(found).values()), ()
        caption = f"{str(self).splitlines()[0]}. {found.caption}."
        page = Page("Study", caption, (), {}, [("Figures", [middle], charts), judgement])
        return page_html(page) if path is None else write_atomically(path, page_html(page))

    def export(self, folder: str | os.PathLike[str], form: str = "parquet") -> list[Path]:
        """Write a folder, whole or not at all: ``runs``, and for each sample ``returns/`` and ``weights/``.

        Parameters
        ----------
        folder : path-like
            As for :meth:`opeslike.studies.Comparison.save`.
        form : {"parquet", "csv"}
            Parquet needs pyarrow (the extra ``arrow``).

        Returns
        -------
        list of Path

        Raises
        ------
        OutputError
            If the folder cannot be written, or pyarrow is not installed.
        """
        from opeslike.analysis.output import harmless, write_folder

        choice("form", form, ("parquet", "csv"))

        def content(frame: pd.DataFrame) -> Any:
            if form == "csv":
                return frame.rename(columns=harmless).to_csv(lineterminator="\n")
            try:
                return frame.rename(columns=str).to_parquet()
            except ImportError as error:
                raise OutputError("Parquet needs pyarrow: pip install 'opeslike[arrow]', or form='csv'") from error

        def weights(number: int) -> pd.DataFrame:
            _, rows, closes, assets = self._one(number)
            targets = {each: _targets(row, closes, assets) for each, row in rows.items() if row["targets"]}
            return pd.concat(targets, names=["strategy", "date"]) if targets else pd.DataFrame()

        files: dict[str, Any] = {f"runs.{form}": lambda: content(self.frame.reset_index())}
        stored = self._store.light()
        numbers = [k for k, keys in enumerate(self._keys) if stored.keys() & keys.runs.values()]
        for number, stem in zip(numbers, file_stems(self._keys[k].name for k in numbers), strict=True):
            files[f"returns/{stem}.{form}"] = lambda number=number: content(self.returns(number))
            files[f"weights/{stem}.{form}"] = lambda number=number: content(weights(number))
        return write_folder(folder, files)

    def _judged(self) -> tuple[Judged, list[str]]:
        """Samples in which every strategy has returns, but for strategies that have none in any."""
        stored, notes = self._store.light(), list[str]()
        good = [
            {n for n, key in keys.runs.items() if stored.get(key, {"status": "failed"})["status"] != "failed"}
            for keys in self._keys
        ]
        names = [name for name in self.strategies if any(name in own for own in good)]
        kept = [keys for keys, own in zip(self._keys, good, strict=True) if names and own >= set(names)]
        if not kept:
            raise PortfolioError("no sample has every strategy's returns; call run(), or see the errors in frame")
        notes += [f"{name} has no returns at all and is left out." for name in self.strategies if name not in names]
        if len(kept) < len(self._keys):
            notes.append(f"{len(self._keys) - len(kept):,} of {len(self._keys):,} samples lack a run and are left out.")
        closes = [self._store.sample(keys.key)[0][1:] for keys in kept]
        dates = closes[0]
        if any(not each.equals(dates) for each in closes):
            dates = dates.append(closes[1:]).unique().sort_values()
        values = StoredReturns(self._store, [[keys.runs[name] for name in names] for keys in kept])
        return Judged(tuple(names), dates, values, [dates.get_indexer(each) for each in closes]), notes


def _targets(row: Row, closes: pd.Index, assets: list[str]) -> pd.DataFrame:
    """What a stored run aimed for at each decision."""
    return pd.DataFrame(unpack(row["targets"]), closes[unpack_steps(row["steps"])], assets)
