"""What a worker does of a study: the runs of one sample, made or replayed, as rows of the store."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from opeslike.analysis.metrics import annual_figures
from opeslike.analysis.record import record
from opeslike.backtester import Backtester
from opeslike.errors import DataError, OpesLikeError, PortfolioError, RuinWarning
from opeslike.strategies.decided import Decided
from opeslike.studies.running import Run, together, unpacked
from opeslike.studies.samples import Sample
from opeslike.studies.store import Row, pack, pack_dates, pack_steps, unpack, unpack_steps

#: Rows of one sample: its own, and those of its runs.
Found = tuple[Row, list[Row]]


@final
@dataclass(frozen=True)
class Plan:
    """On which terms samples are walked.

    Attributes
    ----------
    train_end : date or None
    terms, walk : mapping
        Arguments of a Backtester and of its ``backtest``.
    parcels : sequence
        Strategies, group by group, as :func:`~opeslike.studies.running.packed` leaves them.
    samples : sequence of Sample
        Where they do not come with the work.
    start, delay
        Of a replay, see :meth:`opeslike.studies.Study.replay`.
    """

    train_end: Any
    terms: Mapping[str, Any]
    walk: Mapping[str, Any]
    parcels: Sequence[tuple[list[str], Any]] = ()
    samples: Sequence[Sample] = ()
    start: Any = None
    delay: int = 0

    def tester(self, sample: Sample, told: bool = False) -> Backtester:
        """The backtester of a sample; what looks wrong in its prices is not said again where it was ``told``.

        Raises
        ------
        PortfolioError
            If nobody says where its training rows end.
        DataError
            If that leaves none, or none to test on.
        """
        first = sample.first
        if first is None:
            if self.train_end is None:
                raise PortfolioError(f"{sample.name} is not split: give train_end=, the last day to train on")
            first = sample.data.index.slice_indexer(None, self.train_end).stop
        if self.start is not None:
            first = max(first, int(sample.data.index.searchsorted(pd.Timestamp(self.start))))
        if not 0 < first < len(sample.data):
            raise DataError(f"{sample.name}: nothing is left to train or to test on; move train_end, or start")
        terms = {**self.terms, "kind": sample.kind or self.terms["kind"]}
        parts = sample.data.iloc[:first], sample.data.iloc[first:]
        for part in parts if told else ():
            part.attrs["audited"] = True
        return Backtester(*parts, **terms)


def walk(plan: Plan, sample: int | Sample, part: slice, wanted: Mapping[str, str]) -> Found:
    """Make the runs of a sample that are wanted, name -> key, of some groups of strategies."""
    sample = plan.samples[sample] if isinstance(sample, int) else sample
    rows: list[Row] = []
    left = dict(wanted)
    about: Row = {}
    for names, parcel in plan.parcels[part]:
        if not left.keys() & set(names):
            continue
        try:
            if not about:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("default")
                    tester = plan.tester(sample)
                    about = _about(tester)
                said = [(str(each.message), each.category, each.filename, each.lineno) for each in caught]
            runs = together(tester, unpacked(names, parcel), plan.walk)
            for run in (run for run in runs if run.name in left):
                told = run._replace(warned=said + run.warned)
                rows.append(_row(plan, tester.periods_per_year, left.pop(run.name), told))
        except OpesLikeError as error:  # of the sample: it fails whoever walks it
            rows += [
                _row(plan, 252, left.pop(name), Run(name, None, [], error=error)) for name in names if name in left
            ]
    return about or {"dates": pack_dates(pd.RangeIndex(0)), "assets": "[]"}, rows


def rewalk(plan: Plan, sample: int | Sample, stored: Mapping[str, tuple[str, Row]]) -> Found:
    """Replay the runs of a sample, name -> (key, row): account for the decisions that are stored; nothing is solved."""
    tester = plan.tester(plan.samples[sample] if isinstance(sample, int) else sample, told=True)
    rows, feed = [], tester.feed
    for name, (key, row) in stored.items():
        steps, targets, returns = unpack_steps(row["steps"]), unpack(row["targets"]), unpack(row["returns"])
        later = plan.delay - (len(returns) - feed.horizon)  # a later start is an earlier decision
        until = int(np.argmin(returns)) + 1 + later if row["status"] == "ruined" else None
        steps = np.maximum(steps + later, 0) if later <= 0 else steps + later
        last = np.append(np.diff(steps) > 0, True) & (steps < feed.horizon)  # of those made before the start
        steps, targets = steps[last], targets[last]
        if not len(steps) or steps[0] > 0:
            steps, targets = np.append(0, steps), np.vstack((np.zeros((1, len(feed.market.assets))), targets))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuinWarning)  # the row says it
            result = tester.backtest(Decided(name, steps, targets, until), **plan.walk)
        same = ("steps", "targets") if later == 0 else ()
        known = {kept: row[kept] for kept in ("gap", "seconds", "more", *same)}
        rows.append(_row(plan, tester.periods_per_year, key, Run(name, result, []), known))
    return _about(tester), rows


def _about(tester: Backtester) -> Row:
    feed = tester.feed
    return {"dates": pack_dates(feed.closes), "assets": json.dumps(list(feed.market.assets), default=str)}


def _row(plan: Plan, periods: float, key: str, run: Run, known: Row | None = None) -> Row:
    """What the store keeps of a run; of a replay some is known."""
    row: Row = {"key": key, "strategy": run.name, "status": "failed", "seconds": run.seconds, "error": None}
    if run.result is None:
        return {**row, "error": str(run.error)}
    result, rate = run.result, plan.terms["risk_free"]
    path = record(result.returns if isinstance(rate, pd.Series) else result["returns"])
    figures = annual_figures(path, rate, periods)
    found = {
        **{"growth": figures["annual_growth"], "volatility": figures["annual_volatility"]},
        **{name: figures[name] for name in ("sharpe", "max_drawdown", "final_wealth")},
        **{name: periods * float(result[name].mean()) for name in ("turnover", "costs")},
    }
    if known is None:
        more = {"choices": run.choices, "warnings": sorted({text for text, *_ in run.warned})}
        gap = math.inf if result.certificate == "heuristic" else result.max_gap
        known = {"gap": gap, "more": json.dumps({name: each for name, each in more.items() if each}, default=str)}
    if "steps" not in known:
        steps, targets = result.decided
        known = {**known, "steps": pack_steps(steps), "targets": pack(targets, changes=True)}
    status = "ok" if result.ruin_date is None else "ruined"
    return {**row, **found, **known, "status": status, "returns": pack(result["returns"])}


@dataclass(frozen=True)
class Units(Mapping[Any, tuple[Any, ...]]):
    """Arguments of the workers by (number of the sample, ...); a sample is cut when it is its turn, or by them."""

    samples: Sequence[Sample]
    each: dict[Any, Any]
    whole: bool

    def __getitem__(self, unit: Any) -> tuple[Any, ...]:
        return self.samples[unit[0]] if self.whole else unit[0], *self.each[unit]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)
