"""Study: many strategies walked over many samples, stored, resumed, replayed and judged."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, final

import numpy as np

from opeslike.accounting.walk import tracked
from opeslike.backtester import Backtester
from opeslike.checks import whole
from opeslike.errors import PortfolioError
from opeslike.strategies.adapter import StrategyAdapter
from opeslike.strategies.decided import Decided
from opeslike.studies.comparing import own_copies
from opeslike.studies.findings import Findings, Keys
from opeslike.studies.keys import key_of
from opeslike.studies.running import cluster_of, grouped, packed, stream
from opeslike.studies.samples import Sample, read_samples
from opeslike.studies.store import Store
from opeslike.studies.work import Plan, Units, rewalk, walk
from opeslike.studies.wrappers import resolved

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
#: pieces of work a study is cut into, at least, for several workers; never less than one a sample
_UNITS = 32


@final
class Study(Findings):
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
        self._periods = tester.periods_per_year
        self._reads: dict[str, list[str]] = {}
        for name, strategy in self.strategies.items():
            try:
                self._reads[name] = StrategyAdapter(strategy, tester.feed).reads
            except PortfolioError as error:
                raise PortfolioError(f"{name!r}: {error}") from error
        nothing = Decided("nothing", np.zeros(1, np.intp), np.zeros((1, tester.feed.market.n_assets)))
        tester.backtest(nothing, **{**self._plan.walk, "rebalance": None})  # a wrong term is told before any run

    def _planned(self, **more: Any) -> Plan:
        terms, options = ({name: self.terms[name] for name in known} for known in (TERMS, WALK))
        return Plan(terms=terms, walk={**options, "progress": False}, **more)

    @cached_property
    def _data(self) -> list[tuple[str, str]]:
        """Name and key of each sample's data."""
        return [(sample.name, key_of(sample.data, sample.first, sample.kind)) for sample in self.samples]

    @cached_property
    def _keys(self) -> list[Keys]:
        plan = self._plan
        rest = key_of(self.terms, plan.train_end, plan.start, plan.delay)
        own = {name: key_of(strategy) for name, strategy in self.strategies.items()}
        return [
            Keys(name, key_of(data, rest), {each: key_of(data, rest, mine) for each, mine in own.items()})
            for name, data in self._data
        ]

    def run(
        self, n_jobs: int | None = -1, *, client: Any = None, retry: bool = False, progress: bool | None = None
    ) -> Self:
        """Do the runs that are lacking; the result does not depend on who does them.

        Parameters
        ----------
        n_jobs : int or None
            Processes, by joblib: -1 is one a core, None as your ``joblib.parallel_config`` says; its backend is used
            in any case. Each takes one thread of BLAS.
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
            lacking = [{name: key for name, key in keys.runs.items() if key not in done} for keys in self._keys]
            self._store.tell({"strategies": self.strategies, "terms": self.terms, "samples": len(self.samples)})
            groups = grouped(self.strategies)
            todo = {number: names for number, names in enumerate(lacking) if names}
            apart = client is not None or n_jobs != 1
            # of few samples the strategies are shared out too, so that more workers have something to do
            share = -(-len(groups) * len(todo) // _UNITS) if apart else len(groups)
            starts = range(0, len(groups), max(share, 1))
            with cluster_of(client) as cluster:
                plan = replace(self._plan, parcels=packed(groups, apart))
                each = {(at, i): (slice(i, i + share), names) for at, names in todo.items() for i in starts}
                self._fill(walk, plan, each, n_jobs, cluster, progress)
        return self

    def _fill(
        self, work: Any, plan: Plan, each: dict[Any, Any], n_jobs: int | None, cluster: Any, progress: bool | None
    ) -> None:
        """Let workers do what is asked of each sample, and store what they find."""
        units = Units(self.samples, each, whole=cluster is None)
        plan = plan if cluster is None else replace(plan, samples=self.samples)
        with closing(stream(work, plan, units, n_jobs, cluster)) as found:
            for (number, *_), (about, rows) in tracked(found, "study", " parts", progress, len(units)):
                keys = self._keys[number]
                if rows:
                    self._store.add(
                        {"key": keys.key, "name": keys.name, **about}, [{**row, "sample": keys.key} for row in rows]
                    )

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
            raise PortfolioError(
                f"a replay cannot change {wrong[0]!r}: decisions might differ; it may {', '.join(REPLAYED)}"
            )
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


def _check_jobs(n_jobs: Any) -> int | None:
    if n_jobs is not None and n_jobs != -1:
        whole("n_jobs", n_jobs, 1)
    return n_jobs  # type: ignore[no-any-return]
