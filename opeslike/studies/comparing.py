"""compare and grid: many strategies on one backtest, side by side."""

from __future__ import annotations

import copy
import inspect
import itertools
import os
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import pandas as pd

from opeslike.accounting.bands import Bands
from opeslike.accounting.flows import Flows
from opeslike.accounting.overlays import Overlay
from opeslike.accounting.result import BacktestResult
from opeslike.accounting.schedule import Frequency
from opeslike.accounting.walk import tracked
from opeslike.backtester import DEFAULT_COST, Backtester
from opeslike.checks import is_number
from opeslike.errors import PortfolioError, RuinWarning
from opeslike.market import Kind
from opeslike.strategies.adapter import StrategyAdapter
from opeslike.studies.comparison import Comparison, check_names
from opeslike.studies.running import UNCOPYABLE, Run, grouped, packed, stream, together, unpacked
from opeslike.studies.wrappers import resolved, scale_of


def compare(
    strategies: Mapping[str, Any],
    train: Any,
    test: Any,
    *,
    cost: Mapping[str, Any] = DEFAULT_COST,
    reopt_freq: Frequency = 1,
    rebalance_freq: Frequency = 1,
    clean_weights: bool = False,
    weight_bounds: Any = None,
    window: int | None = None,
    min_history: int | None = None,
    execution_lag: int = 1,
    entry_cost: bool = True,
    seed: int | None = 100,
    kind: Kind | None = None,
    initial_capital: float = 1.0,
    risk_free: float | pd.Series = 0.0,
    borrow_spread: float | pd.Series = 0.0,
    short_fee: float | pd.Series = 0.0,
    periods_per_year: float | None = None,
    listed: pd.DataFrame | None = None,
    delisted_after: int = 5,
    delisting_return: float | Mapping[Hashable, float] = 0.0,
    flows: Flows | None = None,
    overlays: Sequence[Overlay] = (),
    bands: Bands | None = None,
    keep_solutions: bool = False,
    n_jobs: int = 1,
    progress: bool | None = None,
) -> Comparison:
    """Walk several strategies forward over the same data on the same terms.

    Strategies that solve the same problem at every date, such as full, half and quarter Kelly, solve it once.

    Parameters
    ----------
    strategies : mapping of name to strategy
        Whatever :meth:`~opeslike.backtester.Backtester.backtest` takes. Each is copied first, so one object may stand
        under several names, no run disturbs another, and yours stay as they were.
    train, test : DataFrame, Series or array
        Prices or simple returns, as for :class:`~opeslike.backtester.Backtester`.
    cost, kind, initial_capital, risk_free, borrow_spread, short_fee, periods_per_year, listed, delisted_after, \
    delisting_return, flows
        As for :class:`~opeslike.backtester.Backtester`.
    reopt_freq, rebalance_freq, clean_weights, weight_bounds, window, min_history, execution_lag, entry_cost, seed, \
    overlays, bands
        As for :meth:`~opeslike.backtester.Backtester.backtest`.
    keep_solutions : bool
        As for :meth:`~opeslike.backtester.Backtester.backtest`.
    n_jobs : int
        Processes to run in, by joblib; -1 is one a core. The result does not depend on it. With more than one,
        strategies must pickle, and each process takes about a second to start, so it pays where the comparison takes
        longer than that. Strategies that share their solves run in one process.
    progress : bool, optional
        Show a progress bar; by default only on a terminal, and only once the comparison has taken a second.

    Returns
    -------
    Comparison
        ``print`` shows the table; see there for the rest.

    Raises
    ------
    DataError
        If the data cannot be used; the message names ticker, date or set.
    PortfolioError
        If a parameter is out of its range, there is no strategy, a name is not text or occurs twice, or a strategy is
        none or cannot be copied or pickled (its name is given).
    OptimizationError
        If a strategy fails: the message starts with its name. An error of this package keeps its class.

    Warns
    -----
    RuinWarning
        If a strategy loses everything.

    Examples
    --------
    >>> from opeslike import Kelly, Uniform, load_us20
    >>> prices = load_us20(tickers="AAPL JPM XOM", start="2016", end="2018-03")
    >>> table = compare({"Kelly": Kelly(), "1/N": Uniform()}, prices[:"2017"], prices["2018":], reopt_freq=21)
    >>> list(table), table["1/N"].weights.shape
    (['Kelly', '1/N'], (60, 3))
    """
    given = locals()
    terms, options = (
        {name: given[name] for name in inspect.signature(what).parameters if name in given and name != "progress"}
        for what in (Backtester, Backtester.backtest)
    )
    own = resolved(own_copies(strategies))
    tester = Backtester(train, test, **terms)
    for name, strategy in own.items():
        try:
            StrategyAdapter(strategy, tester.feed)
        except PortfolioError as error:
            raise PortfolioError(f"{name!r}: {error}") from error
    workers = min(_n_jobs(n_jobs), len(groups := grouped(own)))
    results: dict[str, BacktestResult] = {}
    options["progress"] = progress if len(own) == 1 else False
    job = tester, options, packed(groups, apart=workers > 1)
    units = {k: (k,) for k in range(len(groups))}
    with closing(stream(_walk_group, job, units, workers, ordered=True)) as done:
        runs = (run for _, group in done for run in group)
        for name, result, warned, _, failure, _ in tracked(
            runs, "compare", " strategies", progress if len(own) > 1 else False, len(own)
        ):
            if failure is not None or result is None:
                raise failure or PortfolioError(f"{name!r} has no result")
            results[name] = result
            for message, category, file, line in warned:
                if issubclass(category, RuinWarning):
                    warnings.warn(category(f"{name!r}: {message}"), stacklevel=2)
                else:
                    warnings.warn_explicit(message, category, file, line)
    results = {name: results[name] for name in own}  # those that share their solves came together
    fractions = {name: scale_of(strategy) for name, strategy in own.items()}
    return Comparison(results, periods_per_year=tester.periods_per_year, risk_free=risk_free, fractions=fractions)


def grid(strategy: Callable[..., Any], name: str | None = None, /, **parameters: Any) -> dict[str, Any]:
    """Name and make one strategy for each combination of parameters, for :func:`compare`.

    Parameters
    ----------
    strategy : class or callable
        Called with keyword parameters.
    name : str, optional
        A format of the parameters, such as ``"{fraction:g} Kelly"``; default ``"Kelly(fraction=0.5)"``.
    **parameters
        A list, tuple or range is varied, the last one fastest; anything else is the same for all and left out of the
        name.

    Returns
    -------
    dict of name to strategy

    Raises
    ------
    PortfolioError
        If nothing is varied, a list is empty, or two combinations get the same name.

    Examples
    --------
    >>> from opeslike import Kelly
    >>> list(grid(Kelly, fraction=[1, 0.5]))
    ['Kelly(fraction=1)', 'Kelly(fraction=0.5)']
    """
    varied = {key: value for key, value in parameters.items() if isinstance(value, (list, tuple, range))}
    if not varied or not all(len(values) for values in varied.values()):
        raise PortfolioError("grid needs at least one list of values, and none empty: grid(Kelly, fraction=[1, 0.5])")
    made: dict[str, Any] = {}
    for values in itertools.product(*varied.values()):
        chosen = dict(zip(varied, values, strict=True))
        plain = ", ".join(f"{key}={value!r}" for key, value in chosen.items())
        label = f"{getattr(strategy, '__name__', type(strategy).__name__)}({plain})"
        try:
            label = label if name is None else name.format(**{**parameters, **chosen})
        except (KeyError, IndexError, ValueError) as error:
            hint = ", ".join(f"{{{key}}}" for key in varied)
            raise PortfolioError(f"name={name!r} cannot be filled in ({error}); it may use {hint}") from error
        if label in made:
            raise PortfolioError(f"two strategies of the grid are called {label!r}; name every parameter that varies")
        made[label] = strategy(**{**parameters, **chosen})
    return made


def _walk_group(job: Any, number: int) -> Iterable[Run]:
    """The runs of one group; the first failure ends a comparison, so no later one is begun before it is looked at."""
    tester, options, parcels = job
    runs = together(tester, unpacked(*parcels[number]), options)
    return runs if not isinstance(parcels[number][1], bytes) else list(runs)


def own_copies(strategies: Any) -> dict[str, Any]:
    """A copy of each, so that what one run leaves in an object is seen by no other."""
    check_names(strategies)
    own: dict[str, Any] = {}
    for name, strategy in strategies.items():
        try:
            own[name] = copy.deepcopy(strategy)
        except (*UNCOPYABLE, copy.Error) as error:
            kind = type(strategy).__name__
            raise PortfolioError(
                f"{name!r}: {kind} cannot be copied ({error}); give it a __deepcopy__, or use Backtester.backtest"
            ) from error
    return own


def _n_jobs(value: Any) -> int:
    if not is_number(value) or not isinstance(value, int) or (value < 1 and value != -1):
        raise PortfolioError(f"n_jobs must be an integer of at least 1, or -1 for all cores, got {value!r}")
    return value if value > 0 else os.cpu_count() or 1
