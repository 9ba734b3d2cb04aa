"""Running strategies for a comparison, here or in other processes; no problem is solved twice, errors are named."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import os
import pickle
import threading
import time
import warnings
from collections.abc import Generator, Hashable, Mapping
from logging.handlers import QueueHandler
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from opeslike import errors
from opeslike.accounting.certificates import FIELDS
from opeslike.accounting.result import BacktestResult
from opeslike.backtester import Backtester
from opeslike.errors import OpesLikeError, OptimizationError, PortfolioError
from opeslike.market import cut

#: What copying or pickling an object that cannot be copied may raise.
UNCOPYABLE = (TypeError, ValueError, AttributeError, NotImplementedError, RecursionError, pickle.PicklingError)


class Run(NamedTuple):
    """One strategy's result, and the warnings on the way: (message, category, file, line)."""

    name: str
    result: BacktestResult
    warned: list[tuple[str, type[Warning], str, int]]


@final
class SolvedOnce:
    """A strategy that holds a multiple of a portfolio others hold as well: whoever is asked first solves for all.

    Parameters
    ----------
    strategy : Optimizer
    scale : float
        What it multiplies the common portfolio by.
    solved : list
        What was found at each decision so far, shared by those that solve the same problem.
    whole : bool
        Keep solutions whole, not only the numbers of their certificates.
    """

    accepts_market = True

    def __init__(self, strategy: Any, scale: float, solved: list[Any], whole: bool) -> None:
        self.name = getattr(strategy, "name", type(strategy).__name__)
        self.solution: Any = None
        self.uses_held = getattr(strategy, "uses_held", None)
        self._label, decisions = repr(strategy), itertools.count()

        @functools.wraps(strategy.optimize)  # the walk passes the keywords that a signature names
        def optimize(data: Any, **keywords: Any) -> NDArray[np.float64]:
            decision = next(decisions)
            if decision == len(solved):
                weights = np.array(strategy.optimize(data, **keywords))
                found = strategy.solution
                if not whole:
                    found = SimpleNamespace(**{field: getattr(found, field) for field in FIELDS})
                solved.append((weights, scale, found))
                self.solution = found
                return weights
            weights, of, found = solved[decision]
            weights = weights * (scale / of)
            changed = {"weights": cut(weights, found.assets) if whole else weights.copy(), "seconds": 0.0}
            self.solution = dataclasses.replace(found, **changed) if whole else SimpleNamespace(**vars(found) | changed)
            return np.asarray(weights)

        self.optimize = optimize

    def __repr__(self) -> str:
        return self._label


def run_all(
    tester: Backtester, strategies: Mapping[str, Any], options: Mapping[str, Any], workers: int, progress: bool | None
) -> Generator[Run, None, None]:
    """Yield the run of each strategy, those that share their solves together; the first failure ends it.

    Parameters
    ----------
    tester : Backtester
    strategies : mapping of name to strategy
    options : mapping
        Arguments of :meth:`~opeslike.backtester.Backtester.backtest`.
    workers : int
        With 1 everything runs here.
    progress : bool or None
        For a bar of the run's own where there is one strategy; several are counted by the caller.
    """
    groups = _groups(strategies)
    options = {**options, "progress": progress if len(strategies) == 1 else False}
    if min(workers, len(groups)) > 1:
        yield from _in_processes(tester, groups, options, workers)
        return
    for group in groups:
        yield from _together(tester, group, options)


def _groups(strategies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Strategies that solve the same problems, in the order of their first members; the largest leads."""
    groups: dict[Hashable, dict[str, tuple[Any, float]]] = {}
    for name, strategy in strategies.items():
        hook = getattr(strategy, "shared", None)
        key, scale = (hook() if callable(hook) else None) or ((None, name), 1.0)
        groups.setdefault(key, {})[name] = strategy, scale
    return [
        {name: strategy for name, (strategy, _) in sorted(group.items(), key=lambda item: -item[1][1])}
        for group in groups.values()
    ]


def _together(tester: Backtester, group: Mapping[str, Any], options: Mapping[str, Any]) -> Generator[Run, None, None]:
    """Run the strategies of one group, one after the other."""
    solved: list[Any] = []
    for name, strategy in group.items():
        if len(group) > 1:
            strategy = SolvedOnce(strategy, strategy.shared()[1], solved, options["keep_solutions"] is True)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("default")
                result = tester.backtest(strategy, **options)
        except OpesLikeError as error:
            if error.__cause__ is None:  # a parameter of the backtest: no strategy's fault
                raise
            own = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
            raise own(f"{name!r}: {error}") from error.__cause__
        yield Run(name, result, [(str(w.message), w.category, w.filename, w.lineno) for w in caught])


def _in_processes(
    tester: Backtester, groups: list[dict[str, Any]], options: Mapping[str, Any], workers: int
) -> Generator[Run, None, None]:
    """Run groups in other processes, as joblib is configured; its default, loky, bounds the threads of BLAS."""
    from concurrent.futures.process import BrokenProcessPool

    from cloudpickle import dumps
    from joblib import Parallel, delayed

    level = logging.getLogger("opeslike").getEffectiveLevel()
    what = "the data, overlays or weight_bounds"
    try:
        job = dumps((tester, options, level, os.getpid()))
        parcels = []
        for group in groups:
            for name, strategy in group.items():
                what = f"{name!r}: {type(strategy).__name__}"
                dumps(strategy)
            parcels.append((list(group), dumps(group)))
    except UNCOPYABLE as error:
        raise PortfolioError(f"{what} cannot be sent to another process ({error}); use n_jobs=1") from error
    parallel = Parallel(min(workers, len(groups)), return_as="generator")
    try:
        for runs, records in parallel(delayed(_work)(job, *parcel) for parcel in parcels):
            for record in records:
                logging.getLogger(record.name).handle(record)
            yield from runs
    except BrokenProcessPool as error:
        raise OptimizationError(
            "a worker process died; perhaps memory ran out: fewer n_jobs need less, and n_jobs=1 uses no other process"
        ) from error


def _work(job: bytes, names: list[str], parcel: bytes) -> tuple[list[Run], list[logging.LogRecord]]:
    """Run one group in a worker process; also return what was logged."""
    try:
        tester, options, level, parent = pickle.loads(job)
        group = pickle.loads(parcel)
    except (*UNCOPYABLE, ImportError) as error:
        raise PortfolioError(
            f"{', '.join(map(repr, names))} cannot be rebuilt in another process ({error}); define the class in a "
            "module, or use n_jobs=1"
        ) from error
    _end_with(parent)
    logger, queue = logging.getLogger("opeslike"), SimpleQueue[logging.LogRecord]()
    logger.setLevel(level)
    logger.addHandler(handler := QueueHandler(queue))
    try:
        runs = list(_together(tester, group, options))
    finally:
        logger.removeHandler(handler)
    return runs, [queue.get() for _ in range(queue.qsize())]


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() == parent and parent not in _watched:
        _watched.add(parent)
        threading.Thread(target=watch, daemon=True).start()
