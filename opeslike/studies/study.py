"""Study: many strategies walked over many samples, stored, resumed, replayed and judged."""

from __future__ import annotations

import copy
import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self, final

import numpy as np
import pandas as pd

from opeslike.backtester import Backtester, tracked
from opeslike.checks import whole
from opeslike.errors import PortfolioError
from opeslike.evidence.intervals import Evidence, evidence
from opeslike.evidence.samples import Samples as Judged
from opeslike.market import FloatArray
from opeslike.strategies.adapter import StrategyAdapter
from opeslike.strategies.decided import Decided
from opeslike.studies.comparing import own_copies
from opeslike.studies.keys import key_of
from opeslike.studies.running import grouped, packed, stream
from opeslike.studies.samples import Sample, read_samples
from opeslike.studies.store import FIGURES, Row, Store, unpack, unpack_steps
from opeslike.studies.work import Plan, rewalk, walk
from opeslike.studies.wrappers import resolved, shared_solve

#: Terms of a Backtester and of its ``backtest``, with their defaults.
TERMS, WALK = (
    {name: one.default for name, one in inspect.signature(what).parameters.items() if name not in left_out}
    for what, left_out in (
        (Backtester, ("train_data", "test_data")),
        (Backtester.backtest, ("self", "optimizer", "progress", "keep_solutions")),
    )
)
#: What a replay may change: no strategy that reads neither ``held`` nor ``state`` knows of it.
REPLAYED = (
    *("cost", "initial_capital", "risk_free", "borrow_spread", "short_fee", "periods_per_year", "delisting_return"),
    *("entry_cost", "rebalance_freq", "overlays", "bands"),
)


class _Keys(NamedTuple):
    """Name and key of a sample, and the keys of its runs by strategy."""

    name: str
    key: str
    runs: dict[str, str]


@final
class Study:
    """Walk strategies over samples on the same terms, and say what the result can bear.

    Every run is stored as soon as its sample is done, by a key made of its data, its terms and all parameters of its
    strategy. :meth:`run` does what is lacking: an interrupted study goes on, and one to which a strategy was added runs
    that alone. A strategy that fails is a row with its error.

    Parameters
    ----------
    strategies : mapping of name to strategy
        Whatever :meth:`~opeslike.backtester.Backtester.backtest` takes; :class:`Fraction`, :class:`Windowed` and
        :class:`Tuned` of a strategy, or of another's name.
    samples : Samples, list or dict of frames
        :func:`random_universes`, :func:`windows`, :func:`splits`, :func:`resampled`, or frames of prices.
    train_end : date, optional
        Last day of the training rows; samples that come split need none.
    store : path-like, optional
        A file that SQLite keeps; default: in memory.
    **terms
        As for :func:`~opeslike.studies.compare`: ``cost``, ``reopt_freq``, ``rebalance_freq``, ``risk_free`` ...

    Raises
    ------
    PortfolioError
        If a term is unknown or out of its range, or what should be a strategy is none (its name is given).
    DataError
        If the first sample cannot be used.

    Examples
    --------
    >>> from opeslike import Kelly, Uniform, load_us20
    >>> from opeslike.studies import Fraction, random_universes
    >>> universes = random_universes(load_us20(start="2015", end="2017-03"), count=3, size=4)
    >>> strategies = {"Kelly": Kelly(), "Half": Fraction("Kelly"), "1/N": Uniform()}
    >>> study = Study(strategies, universes, train_end="2016", reopt_freq=21).run(n_jobs=1)
    >>> study.frame["status"].value_counts().to_dict()
    {'ok': 9}
    """

    def __init__(
        self,
        strategies: Mapping[str, Any],
        samples: Any,
        *,
        train_end: Any = None,
        store: str | os.PathLike[str] | None = None,
        **terms: Any,
    ) -> None:
        self.strategies = resolved(own_copies(strategies))
        self.samples: Sequence[Sample] = read_samples(samples)
        known = {**TERMS, **WALK}
        if unknown := [name for name in terms if name not in known]:
            raise PortfolioError(f"a study has no term {unknown[0]!r}; it has {', '.join(known)}")
        self.terms = {**known, **terms}
        self._plan = self._planned(train_end=train_end)
        self._store = Store(store)
        tester = self._plan.tester(self.samples[0])
        self._reads: dict[str, list[str]] = {}
        for name, strategy in self.strategies.items():
            try:
                self._reads[name] = StrategyAdapter(strategy, tester.feed).reads
            except PortfolioError as error:
                raise PortfolioError(f"{name!r}: {error}") from error
        nothing = Decided("nothing", np.zeros(1, np.intp), np.zeros((1, tester.feed.market.n_assets)))
        tester.backtest(nothing, **self._plan.walk)  # a wrong term is told before any run

    def _planned(self, **more: Any) -> Plan:
        terms, options = ({name: self.terms[name] for name in known} for known in (TERMS, WALK))
        return Plan(terms=terms, walk={**options, "progress": False}, **more)

    @cached_property
    def _data(self) -> list[tuple[str, str]]:
        """Name and key of each sample's data."""
        return [(sample.name, key_of(sample.data, sample.first, sample.kind)) for sample in self.samples]

    @cached_property
    def _keys(self) -> list[_Keys]:
        plan = self._plan
        rest = key_of(self.terms, plan.train_end, plan.start, plan.delay)
        own = {name: key_of(strategy) for name, strategy in self.strategies.items()}
        return [
            _Keys(name, key_of(data, rest), {each: key_of(data, rest, mine) for each, mine in own.items()})
            for name, data in self._data
        ]

    # ---- running ------------------------------------------------------------------------------------------------

    def run(
        self, n_jobs: int | None = -1, *, client: Any = None, retry: bool = False, progress: bool | None = None
    ) -> Self:
        """Do the runs that are lacking; the result does not depend on who does them.

        Parameters
        ----------
        n_jobs : int or None
            Processes, by joblib: -1 is one a core, None as your ``joblib.parallel_config`` says, whose backend is used in
            any case. Each takes one thread of BLAS.
        client : distributed.Client or str, optional
            A Dask cluster instead, or its address ("tcp://..."). The samples go to each worker once; workers may die.
        retry : bool
            Do those that failed again.
        progress : bool, optional
            A bar with the time left; by default on a terminal.

        Returns
        -------
        Study
            This one.

        Raises
        ------
        OutputError
            If the store cannot be written, or another process is writing it.
        OptimizationError
            If workers die again and again.
        """
        _check_jobs(n_jobs)
        with self._store.writing():
            stored = self._store.light()
            done = {key for key, row in stored.items() if not (retry and row["status"] == "failed")}
            lacking = [
                {name: key for name, key in keys.runs.items() if key not in done} for keys in self._keys
            ]
            self._store.tell({"strategies": self.strategies, "terms": self.terms, "samples": len(self.samples)})
            groups = grouped(self.strategies)
            todo = {number: names for number, names in enumerate(lacking) if names}
            # few samples are done group by group, so that more workers have something to do
            parts: list[int | None] = [*range(len(groups))] if len(todo) < 32 else [None]
            with _cluster(client) as cluster:
                plan = replace(self._plan, parcels=packed(groups, cluster is not None or n_jobs != 1))
                each = {(number, part): (part, names) for number, names in todo.items() for part in parts}
                self._fill(walk, plan, each, n_jobs, cluster, progress)
        return self

    def _fill(
        self, work: Any, plan: Plan, each: dict[Any, Any], n_jobs: int | None, cluster: Any, progress: bool | None
    ) -> None:
        """Let workers do what is asked of each sample, and store what they find."""
        units = _Units(self.samples, each, whole=cluster is None)
        plan = plan if cluster is None else replace(plan, samples=self.samples)
        found = stream(work, plan, units, n_jobs, cluster)
        for (number, *_), (about, rows) in tracked(found, "study", " parts", progress, len(units)):
            keys = self._keys[number]
            if rows:
                self._store.add({"key": keys.key, "name": keys.name, **about}, [{**row, "sample": keys.key} for row in rows])

    def replay(
        self,
        strategies: Sequence[str] | None = None,
        *,
        start: Any = None,
        delay: int = 0,
        n_jobs: int | None = 1,
        **terms: Any,
    ) -> Study:
        """Account again for the decisions that are stored, on other terms; nothing is solved.

        Parameters
        ----------
        strategies : sequence of str, optional
            Some of them; by default all.
        start : date, optional
            Begin on that day, with the target then in force.
        delay : int
            Steps by which every decision is traded later; until the first one all is cash.
        n_jobs : int or None
        **terms
            ``cost``, ``initial_capital``, ``risk_free``, ``borrow_spread``, ``short_fee``, ``periods_per_year``,
            ``delisting_return``, ``entry_cost``, ``rebalance_freq``, ``overlays``, ``bands``.

        Returns
        -------
        Study
            In memory.

        Raises
        ------
        PortfolioError
            If a strategy would have decided otherwise on these terms, because it reads ``held``, ``costs`` or ``state``
            (all are named), a term is none of these, or a run that was ruined would live on.
        """
        if wrong := [name for name in terms if name not in REPLAYED]:
            raise PortfolioError(f"a replay cannot change {wrong[0]!r}: decisions might differ; it may {', '.join(REPLAYED)}")
        if self._plan.start is not None or self._plan.delay:
            raise PortfolioError("a replay that was moved in time is not replayed; replay the study itself")
        chosen = list(self.strategies) if strategies is None else [self._named(name) for name in strategies]
        if told := {name: self._reads[name] for name in chosen if self._reads[name]}:
            listed = ", ".join(f"{name!r} (reads {' and '.join(reads)})" for name, reads in told.items())
            raise PortfolioError(f"{listed} cannot be replayed: on other terms it would decide otherwise; leave it out")
        other = copy.copy(self)
        vars(other).pop("_keys", None)
        other.strategies = {name: self.strategies[name] for name in chosen}
        other.terms, other._store = {**self.terms, **terms}, Store()
        other._plan = other._planned(train_end=self._plan.train_end, start=start, delay=whole("delay", delay, 0))
        each = {}
        for number, (mine, its) in enumerate(zip(self._keys, other._keys, strict=True)):
            stored = self._store.full(mine.runs[name] for name in chosen)
            rows = {name: (its.runs[name], stored[mine.runs[name]]) for name in chosen if mine.runs[name] in stored}
            failed = [{**row, "key": key, "sample": its.key} for key, row in rows.values() if row["status"] == "failed"]
            if failed:
                other._store.add({"key": its.key, "name": its.name}, failed)
            each[number,] = ({name: pair for name, pair in rows.items() if pair[1]["status"] != "failed"},)
        other._fill(rewalk, other._plan, {k: v for k, v in each.items() if v[0]}, _check_jobs(n_jobs), None, False)
        return other

    # ---- what was found -----------------------------------------------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """A row a run that is stored, by sample and strategy.

        ``status`` ("ok", "ruined" or "failed"); ``growth``, ``volatility``, ``costs`` (annual fractions);
        ``max_drawdown``; ``sharpe``; ``final_wealth`` (of 1); ``turnover`` a year; ``gap``, the worst certified one;
        ``seconds``; ``error``.
        """
        stored = self._store.light()
        runs = [(keys.name, name, stored[key]) for keys in self._keys for name, key in keys.runs.items() if key in stored]
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
        row = rows[strategy]
        return pd.DataFrame(unpack(row["targets"]), closes[unpack_steps(row["steps"])], assets)

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
        made = [{"sample": own, **each} for own, row in rows for each in json.loads(row["more"] or "{}").get("choices", [])]
        if not made:
            raise PortfolioError(f"{strategy!r} made no choice that is stored; only Tuned strategies do")
        frame = pd.DataFrame(made)
        return frame.assign(date=pd.to_datetime(frame["date"])).set_index(["sample", "date"])

    def _named(self, strategy: str) -> str:
        if strategy not in self.strategies:
            raise PortfolioError(f"no strategy is called {strategy!r}; there are {', '.join(map(repr, self.strategies))}")
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
        return keys.name, {n: stored[key] for n, key in keys.runs.items() if key in stored}, *self._store.sample(keys.key)

    def __repr__(self) -> str:
        return f"Study({len(self.strategies)} strategies x {len(self.samples):,} samples)"

    def __str__(self) -> str:
        """How far it is, what failed, how much work is left, and the medians of what was found."""
        frame, total = self.frame, len(self.strategies) * len(self.samples)
        failed = frame[frame["status"] == "failed"]
        line = f"{self!r}: {len(frame):,} of {total:,} runs stored, {len(failed):,} failed"
        if 0 < len(frame) < total:
            line += f"; about {(total - len(frame)) * frame['seconds'].mean():,.0f} s of work are left, over all workers"
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

    # ---- what it can bear ---------------------------------------------------------------------------------------

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
            With "fraction" those that hold a fraction of a portfolio and cash are judged at full size; with "volatility"
            or "beta" all at the exposure of the benchmark; None as they are.

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
            fractions={name: scale_of(one) for name, one in self.strategies.items()} if equalise == "fraction" else None,
            risk_free=self.terms["risk_free"],
            periods_per_year=self.terms["periods_per_year"],
            **options,
        )
        found.notes += notes
        return found

    def _judged(self) -> tuple[Judged, list[str]]:
        """Samples in which every strategy has returns, but for strategies that have none in any."""
        stored, notes = self._store.light(), []
        good = [{n for n, key in keys.runs.items() if stored.get(key, {"status": "failed"})["status"] != "failed"} for keys in self._keys]
        names = [name for name in self.strategies if any(name in own for own in good)]
        kept = [keys for keys, own in zip(self._keys, good, strict=True) if names and own >= set(names)]
        if not kept:
            raise PortfolioError("no sample has every strategy's returns; call run(), or see the errors in frame")
        for name in self.strategies:
            if name not in names:
                notes.append(f"{name} has no returns at all and is left out.")
        if len(kept) < len(self._keys):
            notes.append(f"{len(self._keys) - len(kept):,} of {len(self._keys):,} samples lack a run and are left out.")
        closes = [self._store.sample(keys.key)[0][1:] for keys in kept]
        dates = closes[0]
        if any(not each.equals(dates) for each in closes):
            dates = dates.append(closes[1:]).unique().sort_values()
        values = _Stored(self._store, [[keys.runs[name] for name in names] for keys in kept])
        return Judged(tuple(names), dates, values, [dates.get_indexer(each) for each in closes]), notes


def scale_of(strategy: Any) -> float:
    """The multiple of a portfolio that a strategy holds, the rest in cash."""
    found = shared_solve(strategy)
    return 1.0 if found is None or not found[1] else found[1]


@dataclass(frozen=True, eq=False)
class _Stored(Sequence[FloatArray]):
    """Returns of the samples, dates x strategies, read one sample at a time."""

    store: Store
    keys: list[list[str]]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: Any) -> Any:
        rows = self.store.full(self.keys[number])
        return np.column_stack([unpack(rows[key]["returns"]) for key in self.keys[number]])


@dataclass(frozen=True)
class _Units(Mapping[Any, tuple[Any, ...]]):
    """Arguments of the workers by (number of the sample, ...); the sample is cut when it is its turn, or left to them."""

    samples: Sequence[Sample]
    each: dict[Any, Any]
    whole: bool

    def __getitem__(self, unit: Any) -> tuple[Any, ...]:
        return self.samples[unit[0]] if self.whole else unit[0], *self.each[unit]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)


def _check_jobs(n_jobs: Any) -> int | None:
    if n_jobs is not None and n_jobs != -1:
        whole("n_jobs", n_jobs, 1)
    return n_jobs  # type: ignore[no-any-return]


@contextmanager
def _cluster(client: Any) -> Iterator[Any]:
    """A Dask client, made and closed where an address is given."""
    if isinstance(client, str):
        from distributed import Client

        with Client(client, set_as_default=False) as made:
            yield made
    else:
        yield client
