"""Running strategies here, in other processes or on a cluster; no problem is solved twice, errors are named."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import logging
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from logging.handlers import QueueHandler
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, NamedTuple, final

from opeslike import errors
from opeslike.accounting.certificates import FIELDS
from opeslike.accounting.result import BacktestResult
from opeslike.backtester import Backtester
from opeslike.errors import OpesLikeError, OptimizationError, PortfolioError
from opeslike.market import cut
from opeslike.studies.wrappers import asking, scalable, shared_solve

#: What copying or pickling an object that cannot be copied may raise.
UNCOPYABLE = (TypeError, ValueError, AttributeError, NotImplementedError, RecursionError, pickle.PicklingError)


class Run(NamedTuple):
    """One strategy's result or why there is none, and the warnings on the way: (message, category, file, line)."""

    name: str
    result: BacktestResult | None
    warned: list[tuple[str, type[Warning], str, int]]
    seconds: float = 0.0
    error: OpesLikeError | None = None
    choices: list[dict[str, Any]] | None = None


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

    def __init__(self, strategy: Any, scale: float, solved: list[Any], whole: bool) -> None:
        self.name = getattr(strategy, "name", type(strategy).__name__)
        self.solution: Any = None
        self.uses_held = getattr(strategy, "uses_held", None)
        self.accepts_market, self.all_assets = (getattr(strategy, n, False) for n in ("accepts_market", "all_assets"))
        ask = asking(strategy)
        self._label, decisions = repr(strategy), itertools.count()

        @functools.wraps(ask)  # the walk passes the keywords that a signature names
        def optimize(data: Any, **keywords: Any) -> Any:
            decision = next(decisions)
            if decision == len(solved):
                weights = scalable(ask(data, **keywords))
                found = getattr(strategy, "solution", None)
                if not whole and found is not None:
                    found = SimpleNamespace(**{field: getattr(found, field, None) for field in FIELDS})
                solved.append((weights, scale, found))
                self.solution = found
                return weights
            weights, of, found = solved[decision]
            weights = weights * (scale / of)
            if found is None:
                return weights
            changed = {"weights": cut(weights, found.assets) if whole else weights.copy(), "seconds": 0.0}
            self.solution = dataclasses.replace(found, **changed) if whole else SimpleNamespace(**vars(found) | changed)
            return weights

        self.optimize = optimize

    def __repr__(self) -> str:
        return self._label


def grouped(strategies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Strategies that solve the same problems, in the order of their first members; the largest leads."""
    groups: dict[Hashable, dict[str, tuple[Any, float]]] = {}
    for name, strategy in strategies.items():
        key, scale = shared_solve(strategy) or ((None, name), 1.0)
        groups.setdefault(key, {})[name] = strategy, scale
    return [
        {name: strategy for name, (strategy, _) in sorted(group.items(), key=lambda item: -item[1][1])}
        for group in groups.values()
    ]


def together(tester: Backtester, group: Mapping[str, Any], options: Mapping[str, Any]) -> Generator[Run, None, None]:
    """Run the strategies of one group, one after the other; a failure of a strategy is its own.

    Raises
    ------
    OpesLikeError
        If data or parameters of the backtest cannot be used.
    """
    solved: list[Any] = []
    for name, strategy in group.items():
        start, result, failure = time.perf_counter(), None, None
        asked = strategy
        if len(group) > 1:
            found = shared_solve(strategy)
            assert found is not None
            asked = SolvedOnce(strategy, found[1], solved, options.get("keep_solutions") is True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                result = tester.backtest(asked, **options)
            except OpesLikeError as error:
                if error.__cause__ is None:  # a parameter of the backtest: no strategy's fault
                    raise
                own = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
                failure = own(f"{name!r}: {error}")
                failure.__cause__ = error.__cause__
        warned = [(str(w.message), w.category, w.filename, w.lineno) for w in caught]
        yield Run(name, result, warned, time.perf_counter() - start, failure, getattr(strategy, "choices", None))


def packed(groups: list[dict[str, Any]], apart: bool) -> list[tuple[list[str], Any]]:
    """Groups ready for :func:`unpacked`: pickled where they go to other processes, so that who cannot is named.

    Raises
    ------
    PortfolioError
    """
    from cloudpickle import dumps

    for name, strategy in ((name, one) for group in groups for name, one in group.items() if apart):
        try:
            dumps(strategy)
        except UNCOPYABLE as error:
            what = f"{name!r}: {type(strategy).__name__}"
            raise PortfolioError(f"{what} cannot be sent to another process ({error}); use n_jobs=1") from error
    return [(list(group), dumps(group) if apart else group) for group in groups]


def unpacked(names: list[str], parcel: Any) -> dict[str, Any]:
    """A group's own copies of its strategies.

    Raises
    ------
    PortfolioError
        If they cannot be rebuilt here.
    """
    try:
        return pickle.loads(parcel) if isinstance(parcel, bytes) else copy.deepcopy(parcel)
    except (*UNCOPYABLE, ImportError) as error:
        raise PortfolioError(
            f"{', '.join(map(repr, names))} cannot be rebuilt in another process ({error}); define the class in a "
            "module, or use n_jobs=1"
        ) from error


def stream(
    work: Callable[..., Any],
    job: Any,
    units: Mapping[Any, tuple[Any, ...]],
    n_jobs: int | None = 1,
    client: Any = None,
    ordered: bool = False,
) -> Generator[tuple[Any, Any], None, None]:
    """Yield the key of each unit and ``work(job, *unit)``: here, by joblib as it is configured, or on a Dask cluster.

    What a worker that died had under way is done again; where nothing gets done three times in a row, that is told.

    Parameters
    ----------
    work : callable
    job : object
        What all units share; sent to each worker of a cluster once.
    units : mapping of key to arguments
        Only as many as are under way are made, where the mapping makes them.
    n_jobs : int or None
        Processes; None as joblib is configured. With 1, or one unit, everything runs here.
    client : distributed.Client, optional
    ordered : bool
        In the order of the units, not as they are done.

    Raises
    ------
    OptimizationError
        If workers die again and again.
    PortfolioError
        If the job cannot be pickled.
    """
    if client is None and (n_jobs == 1 or len(units) < 2 or _workers(n_jobs) == 1):
        yield from ((key, work(job, *units[key])) for key in units)
        return
    from cloudpickle import dumps

    try:
        told = dumps((job, work, logging.getLogger("opeslike").getEffectiveLevel(), os.getpid()))
    except UNCOPYABLE as error:
        what = "the data, overlays or weight_bounds"
        raise PortfolioError(f"{what} cannot be sent to another process ({error}); use n_jobs=1") from error
    pending, deaths, lost = list(units), 0, _losses(client)
    seen: set[str] = set()
    while pending:
        before = len(pending)
        calls = ((key, units[key]) for key in list(pending))
        try:
            with closing(
                _by_joblib(told, calls, n_jobs, ordered) if client is None else _by_dask(client, told, calls)
            ) as done:
                for key, found, records in done:
                    pending.remove(key)
                    for record in records:
                        if ordered or record.getMessage() not in seen:  # not once a sample
                            seen.add(record.getMessage())
                            logging.getLogger(record.name).handle(record)
                    yield key, found
        except lost as error:
            deaths = 1 if len(pending) < before else deaths + 1
            if deaths == 3:
                raise OptimizationError(
                    "a worker process died, three times in a row; perhaps memory ran out: fewer n_jobs need less, and "
                    "n_jobs=1 uses no other process"
                ) from error


def _workers(n_jobs: int | None) -> int:
    from joblib import effective_n_jobs

    return int(effective_n_jobs(n_jobs))


def _losses(client: Any) -> tuple[type[BaseException], ...]:
    """What tells that workers died."""
    if client is not None:
        from distributed import CancelledError, KilledWorker

        return KilledWorker, CancelledError
    from concurrent.futures.process import BrokenProcessPool

    return (BrokenProcessPool,)


def _by_joblib(told: bytes, calls: Iterable[Any], n_jobs: int | None, ordered: bool) -> Generator[Any, None, None]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.parallel import get_active_backend

    # of the default pool's workers those that wait for work, or are still being made, end with their parent too
    loky = type(get_active_backend()[0]).__name__ == "LokyBackend"
    own = {"backend": "loky", "initializer": _begun, "initargs": (os.getpid(),)} if loky else {}
    with parallel_config(**own):
        parallel = Parallel(n_jobs, return_as="generator" if ordered else "generator_unordered")
        done = parallel(delayed(_remotely)(told, key, unit) for key, unit in calls)
    try:
        for found in done:  # noqa: UP028 - "yield from" would close it where it may still warn
            yield found
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # who stops early, as at a failure, does so on purpose
            done.close()


def _by_dask(client: Any, told: bytes, calls: Iterable[Any]) -> Generator[Any, None, None]:
    from distributed import as_completed

    (sent,) = client.scatter([told], broadcast=True, hash=False)
    futures = [client.submit(_remotely, sent, key, unit, pure=False) for key, unit in calls]
    try:
        yield from (found for _, found in as_completed(futures, client.loop, with_results=True))  # type: ignore[no-untyped-call]
    finally:
        client.cancel([future for future in futures if not future.done()])


def _remotely(told: bytes, key: Any, unit: tuple[Any, ...]) -> tuple[Any, Any, list[logging.LogRecord]]:
    """Do a unit in another process, with one thread of BLAS; also return what was logged."""
    from threadpoolctl import threadpool_limits

    job, work, level, parent = _unpickled(told)
    _end_with(parent)
    logger, queue = logging.getLogger("opeslike"), SimpleQueue[logging.LogRecord]()
    logger.setLevel(level)
    logger.addHandler(handler := QueueHandler(queue))
    try:
        with threadpool_limits(1):
            found = work(job, *unit)
    finally:
        logger.removeHandler(handler)
    return key, found, [queue.get() for _ in range(queue.qsize())]


@functools.lru_cache(maxsize=1)  # what all units share is read once a process
def _unpickled(told: bytes) -> tuple[Any, Callable[..., Any], int, int]:
    return pickle.loads(told)  # type: ignore[no-any-return]


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


def _begun(parent: int) -> None:
    """A process begins: without a parent there is nothing to do."""
    if os.getppid() != parent:
        os._exit(1)
    _end_with(parent)


@contextmanager
def cluster_of(client: Any) -> Iterator[Any]:
    """A Dask client, made and closed where an address is given."""
    if isinstance(client, str):
        from distributed import Client

        with Client(client, set_as_default=False) as made:  # type: ignore[no-untyped-call]
            yield made
    else:
        yield client
