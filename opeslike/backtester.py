"""Backtester: walk any strategy forward over prices nobody has seen yet."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, cast, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from opeslike.accounting.account import Account
from opeslike.accounting.costs import CostModel, CostRates
from opeslike.accounting.financing import Financing, RateTerms
from opeslike.accounting.ledger import Blocks, Ledger, Path, Terms
from opeslike.accounting.overlays import Overlay, checked_overlays, drifted_alone, scaled
from opeslike.accounting.result import BacktestResult
from opeslike.errors import PortfolioError, RuinWarning
from opeslike.market import FloatArray, Kind, describe
from opeslike.strategies.adapter import StrategyAdapter
from opeslike.strategies.feed import Feed, check_lag, join

DEFAULT_COST: Mapping[str, Any] = MappingProxyType({"const": 10.0})


@final
class Backtester:
    """Walk-forward backtests of any strategy on one train/test split.

    The clock: P_0..P_H are the test closes, and step t = 0..H-1 holds its weights from P_t to P_{t+1}. See
    :meth:`backtest` for what a strategy sees when, :mod:`opeslike.accounting.ledger` for the accounting and
    :mod:`opeslike.strategies.feed` for how data are joined.

    Parameters
    ----------
    train_data, test_data : DataFrame, Series or array
        Prices or simple returns in the same format: closes (dates x tickers), OHLCV with two column levels in either
        order (``Close`` is used), a Series, or an array. Test columns are matched to train by name. With *returns*,
        test row t is the step from P_t to P_{t+1} and the last training row is the move that ended at P_0.
    cost : dict
        Trading costs in basis points of the amount traded, see :class:`~opeslike.accounting.costs.CostModel`. The
        default is 10 bps.
    kind : {"prices", "returns"}, optional
        Decided once for both sets from the values unless given.
    initial_capital : float
        Money at P_0; scales wealth and profits, not returns.
    risk_free : float or Series
        Annual rate that cash earns, a fraction. A dated Series is carried forward, with a log message about gaps.
    borrow_spread : float or Series
        Borrowing costs ``risk_free + borrow_spread`` a year.
    short_fee : float or Series
        Annual fee on the value of short positions.
    periods_per_year : float
        252 for daily stock prices, 365 for daily crypto, 52, 12; turns annual rates into rates per step.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range; the message names it.
    DataError
        If the data cannot be used; the message names ticker, date or set. Without data (for :meth:`get_metrics` and
        :meth:`plot_wealth` alone) nothing is checked until a backtest is run.

    Notes
    -----
    Rows that lack a price of some asset are dropped with a log message, so an asset that was listed late shortens the
    training set. Training rows dated on or after P_0 are dropped with a log message. An asset without any price in one
    of the sets, or whose prices stop before the test ends (delisted), is a DataError. Data are copied: changing the
    frames later changes nothing here.

    Examples
    --------
    >>> import numpy as np
    >>> class Half:
    ...     def optimize(self, data):
    ...         return [0.5, 0.5]
    >>> prices = np.array([[1.0, 1.0], [1.1, 1.0], [1.2, 1.0], [1.32, 1.0], [1.32, 1.1]]) * 100
    >>> tester = Backtester(prices[:2], prices[2:], cost={"const": 0})
    >>> tester.backtest(Half())["returns"].round(4).tolist()
    [0.05, 0.05]
    """

    def __init__(
        self,
        train_data: Any = None,
        test_data: Any = None,
        cost: Mapping[str, Any] = DEFAULT_COST,
        *,
        kind: Kind | None = None,
        initial_capital: float = 1.0,
        risk_free: float | pd.Series = 0.0,
        borrow_spread: float | pd.Series = 0.0,
        short_fee: float | pd.Series = 0.0,
        periods_per_year: float = 252,
    ) -> None:
        self.train, self.test, self.kind = train_data, test_data, kind
        self.cost = dict(cost) if isinstance(cost, Mapping) else cost
        self._cost_model = CostModel.parse(cost)
        self._rates = RateTerms(risk_free, borrow_spread, short_fee, periods_per_year)
        if not isinstance(initial_capital, Real) or not 0 < float(initial_capital) < np.inf:
            raise PortfolioError(f"initial_capital must be a finite number above 0, got {initial_capital!r}")
        self.initial_capital: float = float(initial_capital)
        self.periods_per_year: float = periods_per_year
        if train_data is not None and test_data is not None:
            self._cost_rates(None)
            self._financing.active  # noqa: B018  (checks the dates of the rates)

    @cached_property
    def feed(self) -> Feed:
        """The joined data; checked when first used."""
        return join(self.train, self.test, self.kind)

    @cached_property
    def _financing(self) -> Financing:
        return self._rates.rates(self.feed.closes)

    def _cost_rates(self, seed: int | None) -> CostRates:
        return self._cost_model.rates(self.feed.horizon, self.feed.market.assets, seed)

    def backtest(
        self,
        optimizer: Any,
        rebalance_freq: int = 1,
        reopt_freq: int = 1,
        seed: int | None = 100,
        weight_bounds: Any = None,
        clean_weights: bool = False,
        window: int | None = None,
        execution_lag: int = 1,
        entry_cost: bool = True,
        progress: bool | None = None,
        overlays: Sequence[Overlay] = (),
    ) -> BacktestResult:
        """Walk one strategy forward.

        At step t the strategy is asked for new weights where t is a multiple of ``reopt_freq``; then the account trades
        to the latest weights where t is a multiple of ``rebalance_freq``. Between trades weights drift with prices.

        Parameters
        ----------
        optimizer : object
            An objective, rule or estimator, see :class:`~opeslike.strategies.protocol.Strategy`.
        rebalance_freq, reopt_freq : int
            Steps between trades and between re-optimisations.
        seed : int or None
            For random costs, and for strategies whose signature names ``seed``.
        weight_bounds : tuple, optional
            Passed to strategies whose signature names it.
        clean_weights : bool
            Set positions below 1e-8 to zero, keeping the sum.
        window : int, optional
            The strategy sees the last ``window`` returns; by default all since the start of the training set.
        execution_lag : int
            At step t the strategy sees closes up to P_{t - execution_lag}: with 1 (the default) nothing of the close at
            which it trades, with 0 that close too.
        entry_cost : bool
            Whether the first purchase is charged; False takes the first portfolio as already held.
        progress : bool, optional
            Show a progress bar; by default only on a terminal, and only once the run has taken a second.
        overlays : sequence of Overlay
            Scale what is held at every step, in the order given; see :mod:`opeslike.accounting.overlays`.

        Returns
        -------
        BacktestResult

        Raises
        ------
        DataError
            If data are missing or too short for the lag.
        PortfolioError
            If a parameter is out of its range, or the strategy is not one.
        OptimizationError
            If the strategy raises or returns unusable weights: names strategy, date and cause. An error of this package
            keeps its class (``InfeasibleError`` stays one).

        Warns
        -----
        RuinWarning
            If wealth reaches zero.
        """
        every, reopt = _integer("rebalance_freq", rebalance_freq, 1), _integer("reopt_freq", reopt_freq, 1)
        lag = _integer("execution_lag", execution_lag, 0)
        window = None if window is None else _integer("window", window, 1)
        seed = None if seed is None else _integer("seed", seed, 0)
        for name, value in (("clean_weights", clean_weights), ("entry_cost", entry_cost)):
            _flag(name, value)
        if progress is not None:
            _flag("progress", progress)
        overlays = tuple(copy.deepcopy(overlay) for overlay in checked_overlays(overlays))
        feed = self.feed
        check_lag(feed, lag)
        strategy = StrategyAdapter(
            optimizer, feed, weight_bounds=weight_bounds, clean=clean_weights, seed=seed, window=window, lag=lag
        )
        terms = Terms(feed.test_returns, self._cost_rates(seed), self._financing, self.initial_capital, entry_cost)
        if overlays or strategy.needs_state:
            account = Account(Ledger(terms), feed, lag, every, self.periods_per_year)
            path = _walk_steps(strategy, account, overlays, every, reopt, progress)
        else:
            path = _walk_blocks(strategy, terms, every, reopt, progress)
        settings = {
            **{"strategy": strategy.label, "cost": self.cost, "kind": feed.kind},
            **{"initial_capital": self.initial_capital, **self._rates.describe()},
            **{"rebalance_freq": every, "reopt_freq": reopt, "seed": seed, "weight_bounds": weight_bounds},
            **{"clean_weights": clean_weights, "window": window, "execution_lag": lag, "entry_cost": entry_cost},
            "overlays": [repr(overlay) for overlay in overlays],
        }
        result = BacktestResult(
            path,
            closes=feed.closes,
            assets=feed.market.assets,
            strategy=strategy.name,
            settings=settings,
            solutions=[(step, found) for step, found in strategy.solutions if path.ruin is None or step <= path.ruin],
            risk_free=self._rates.risk_free,
            periods_per_year=self.periods_per_year,
        )
        if path.ruin is not None:
            text = f"{strategy.name} lost all its wealth on {describe(result.ruin_date)}; the path stays at zero"
            warnings.warn(text, RuinWarning, stacklevel=2)
        return result

    def get_metrics(self, returns: ArrayLike) -> dict[str, float]:
        """Figures of one series of returns, with the keys, definitions and units of OPES.

        See :func:`opeslike.analysis.metrics.opes_metrics`.
        """
        from opeslike.analysis.metrics import opes_metrics

        return opes_metrics(returns)

    def plot_wealth(
        self,
        returns_dict: Any,
        timeline: Any = None,
        initial_wealth: float = 1.0,
        savefig: Any = False,
        **options: Any,
    ) -> Any:
        """Plot wealth over time, one line a strategy, and return the Figure.

        A window opens where there is a display. See :func:`opeslike.analysis.plots.plot_wealth`, which takes the same
        arguments and further ``options``.
        """
        from opeslike.analysis.plots import plot_wealth

        options.setdefault("show", True)
        return plot_wealth(returns_dict, timeline, initial_wealth, savefig, **options)


def _walk_blocks(strategy: StrategyAdapter, terms: Terms, every: int, reopt: int, progress: bool | None) -> Path:
    """Nothing depends on wealth: fill whole blocks, account at the end."""
    blocks = Blocks(terms, every)
    target: FloatArray | None = None
    with _tracked(range(0, terms.horizon, reopt), strategy.name, progress) as steps:
        for step in steps:
            if step >= blocks.alive_until:
                break
            # Never None: only strategies that name state may leave their holdings alone, and they walk step by step.
            target = cast(FloatArray, strategy(step, target))
            blocks.fill(step, min(step + reopt, terms.horizon), target)
    return blocks.settle()


def _walk_steps(
    strategy: StrategyAdapter,
    account: Account,
    overlays: Sequence[Overlay],
    every: int,
    reopt: int,
    progress: bool | None,
) -> Path:
    """The reference: one step at a time, for strategies and overlays that look at the account."""
    ledger = account.ledger
    target: FloatArray | None = None
    last: FloatArray | None = None
    full = ledger.drifted
    with _tracked(range(ledger.terms.horizon), strategy.name, progress) as steps:
        for step in steps:
            if step % reopt == 0:
                # None leaves the holdings alone; the last weights aimed for stay the warm start.
                target = strategy(step, last, partial(account.for_strategy, step))
                last = last if target is None else target
            trading = step % every == 0
            if overlays:
                if trading and target is not None:
                    full = target
                held = scaled(full, overlays, account.for_overlay(step))
                alive = ledger.step(held)
                full = drifted_alone(ledger.terms, full, step)
            else:
                alive = ledger.step(target if trading else None)
            if not alive:
                break
    return ledger.path


def _tracked(steps: range, name: str, progress: bool | None) -> AbstractContextManager[Iterable[int]]:
    """Steps with a progress bar around them where one is wanted."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if not (terminal if progress is None else progress):
        return nullcontext(steps)
    from tqdm import tqdm

    bar = tqdm(steps, desc=name, unit="step", leave=False, delay=1.0 if progress is None else 0.0)
    return cast("AbstractContextManager[Iterable[int]]", bar)


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise PortfolioError(f"{name} must be True or False, got {value!r}")


def _integer(name: str, value: Any, low: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise PortfolioError(f"{name} must be an integer of at least {low}, got {value!r}")
    return int(value)
