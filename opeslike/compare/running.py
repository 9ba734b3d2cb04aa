"""Running strategies for a comparison, here or in other processes, with errors that name them."""

from __future__ import annotations

import logging
import pickle
import signal
import warnings
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from opeslike import errors
from opeslike.accounting.result import BacktestResult
from opeslike.backtester import Backtester
from opeslike.errors import OpesLikeError, OptimizationError, PortfolioError

#: What copying or pickling an object that cannot be copied may raise.
UNCOPYABLE = (TypeError, ValueError, AttributeError, NotImplementedError, RecursionError, pickle.PicklingError)


class Run(NamedTuple):
    """One strategy's result, and the warnings on the way: (message, category, file, line)."""

    result: BacktestResult
    warned: list[tuple[str, type[Warning], str, int]]


def run_all(
    tester: Backtester,
    strategies: Mapping[str, Any],
    options: Mapping[str, Any],
    workers: int,
    progress: bool | None,
) -> Generator[tuple[str, Run], None, None]:
    """Yield the run of each strategy in the order given; the first failure in that order ends it.

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
    if workers > 1:
        yield from _in_processes(tester, strategies, {**options, "progress": False}, workers)
        return
    alone = progress if len(strategies) == 1 else False
    for name, strategy in strategies.items():
        yield name, _attempt(tester, name, strategy, {**options, "progress": alone})


def _attempt(tester: Backtester, name: str, strategy: Any, options: Mapping[str, Any]) -> Run:
    """Run one strategy; an error that it caused gets its name in front."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            result = tester.backtest(strategy, **options)
    except OpesLikeError as error:
        if error.__cause__ is None:  # a parameter of the backtest: no strategy's fault
            raise
        own = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
        raise own(f"{name!r}: {error}") from error.__cause__
    return Run(result, [(str(w.message), w.category, w.filename, w.lineno) for w in caught])


def _in_processes(
    tester: Backtester, strategies: Mapping[str, Any], options: Mapping[str, Any], workers: int
) -> Generator[tuple[str, Run], None, None]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    level = logging.getLogger("opeslike").getEffectiveLevel()
    job = _pickled((tester, options, level), "the data, overlays or weight_bounds")
    parcels = {name: _pickled(item, f"{name!r}: {type(item).__name__}") for name, item in strategies.items()}
    # Spawned, not forked: a fork copies the locks of NumPy's threads but not the threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (job,)) as pool:
        futures = {name: pool.submit(_work, name, parcel) for name, parcel in parcels.items()}
        try:
            for name, future in futures.items():
                run, records = pickle.loads(future.result())
                for record in records:
                    logging.getLogger(record.name).handle(record)
                yield name, run
        except BrokenProcessPool as error:
            raise OptimizationError(
                "a worker process died; a script that uses n_jobs > 1 needs its work under "
                "if __name__ == '__main__': and otherwise memory may have run out; n_jobs=1 uses no other process"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pickled(thing: Any, what: str) -> bytes:
    try:
        return pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
    except UNCOPYABLE as error:
        raise PortfolioError(f"{what} cannot be sent to another process ({error}); use n_jobs=1") from error


class _Collector(logging.Handler):
    """Keep what a worker logs, for the parent's handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, its text put together so that it pickles."""
        record.msg, record.args = record.getMessage(), None
        self.records.append(record)


_jobs: list[Any] = []


def _start_worker(job: bytes) -> None:
    """Keep the job; it is unpacked in the first task, where an error can be told."""
    _jobs[:] = [job]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends a worker without a traceback


def _work(name: str, parcel: bytes) -> bytes:
    """Run one strategy in a worker process."""
    try:
        if isinstance(_jobs[0], bytes):
            _jobs[0] = pickle.loads(_jobs[0])
        strategy = pickle.loads(parcel)
    except (*UNCOPYABLE, ImportError) as error:
        raise PortfolioError(
            f"{name!r} cannot be rebuilt in another process ({error}); define its class in a module, or use n_jobs=1"
        ) from error
    tester, options, level = _jobs[0]
    logger, collector = logging.getLogger("opeslike"), _Collector()
    logger.setLevel(level)
    logger.addHandler(collector)
    try:
        run = _attempt(tester, name, strategy, options)
    finally:
        logger.removeHandler(collector)
    return _pickled((run, collector.records), f"{name!r}: its result")
