"""Backtester: walk any strategy forward over prices nobody has seen yet."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from opeslike.accounting.account import Account
from opeslike.accounting.bands import Bands, WhenRegretExceedsCost
from opeslike.accounting.certificates import Certificates
from opeslike.accounting.costs import CostModel, CostRates
from opeslike.accounting.financing import Financing, RateTerms
from opeslike.accounting.flows import Flows, check_flows, flows_at, told
from opeslike.accounting.ledger import Blocks, Ledger, Terms
from opeslike.accounting.overlays import Overlay, checked_overlays
from opeslike.accounting.result import BacktestResult
from opeslike.accounting.schedule import Frequency, periods_in_year, scheduled, written
from opeslike.accounting.walk import walk_blocks, walk_steps
from opeslike.checks import flag, number, whole
from opeslike.data.findings import warn_about
from opeslike.errors import DataWarning, PortfolioError, RuinWarning, warn
from opeslike.market import Kind, Panel, describe
from opeslike.strategies.adapter import StrategyAdapter, blaming
from opeslike.strategies.decided import Decided
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
    periods_per_year : float, optional
        Turns annual rates into rates per step, and figures per step into annual ones. By default from the dates of the
        account: 252, 365 where some lie on weekends (coins, also beside stocks), 52, 12, 4 or 1; without dates 252.
    listed : DataFrame of bool, optional
        Dates x tickers, such as the members of an index: whether an asset may be held from that date on. By default
        whatever is quoted.
    delisted_after : int
        Dates without a quote after which an asset counts as delisted, on the last of them; until then it is suspended.
    delisting_return : float, or mapping of ticker to float
        What holders get when that happens, as a return on the last price, at least -1; in a mapping "*" stands for the
        tickers not named (else 0).
    flows : Series by date or Monthly, optional
        Money paid in, below 0 taken out, at the close of its date or the next one, before the trading there; see
        :mod:`opeslike.accounting.flows`. ``Monthly(-2_000, inflation=0.02)`` lives on the account. Returns and metrics
        stay time-weighted; dividends need no flow, they are in adjusted prices.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range; the message names it.
    DataError
        If the data cannot be used; the message names ticker, date or set. Without data (for :meth:`get_metrics` and
        :meth:`plot_wealth` alone) nothing is checked until a backtest is run.

    Notes
    -----
    Each asset has a life of its own. A strategy is asked about the *eligible* assets alone: those with a price at the
    last close it may see and enough returns (``min_history``); it sees the dates on which all of them are quoted. The
    account walks over every date on which anything is quoted. An asset without a quote keeps its last mark and cannot
    be traded; after ``delisted_after`` such dates it is paid out in cash. A price of 0, or a return of -1 after which
    nothing moves, is bankruptcy. What is missing is told in the log, ``result.universe`` and ``result.rows``; see
    "A universe that changes" in the documentation. Training rows dated on or after P_0 are dropped with a log message.
    Data are copied: changing the frames later changes nothing here.

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
        periods_per_year: float | None = None,
        listed: pd.DataFrame | None = None,
        delisted_after: int = 5,
        delisting_return: float | Mapping[Hashable, float] = 0.0,
        flows: Flows | None = None,
    ) -> None:
        self.train, self.test, self.kind = train_data, test_data, kind
        self.cost = dict(cost) if isinstance(cost, Mapping) else cost
        self._cost_model = CostModel.parse(cost)
        periods = 252.0 if periods_per_year is None else periods_per_year
        self._rates = RateTerms(risk_free, borrow_spread, short_fee, periods)
        self.initial_capital = number("initial_capital", initial_capital, 0.0, open_low=True)
        self.listed = listed
        self.delisted_after = whole("delisted_after", delisted_after, 1)
        self.delisting_return, self.flows = delisting_return, flows
        if flows is not None:
            check_flows(flows)
        if train_data is not None and test_data is not None:
            self._cost_rates(None)
            if periods_per_year is None:
                self._rates = replace(self._rates, periods_per_year=periods_in_year(self.feed.closes))
            self._financing.active  # noqa: B018  (checks the dates of the rates)
            values, assets, raw = self.feed.values, self.feed.market.assets, self.feed.raw
            index = getattr(raw, "index", pd.RangeIndex(len(values)))
            warn_about(Panel(values, assets, index), self.feed.kind, train_data, test_data)
        self.periods_per_year: float = self._rates.periods_per_year

    @cached_property
    def feed(self) -> Feed:
        """The joined data; checked when first used."""
        return join(self.train, self.test, self.kind, self.listed, self.delisted_after, self.delisting_return)

    @cached_property
    def _financing(self) -> Financing:
        return self._rates.rates(self.feed.closes)

    def _cost_rates(self, seed: int | None) -> CostRates:
        return self._cost_model.rates(self.feed.horizon, self.feed.market.assets, seed)

    def _life_settings(self, min_history: int | None) -> dict[str, Any]:
        given = self.delisting_return
        written = dict(given) if isinstance(given, Mapping) else given
        own = {"delisted_after": self.delisted_after, "delisting_return": written}
        return {"min_history": min_history, **own, "listed": self.listed is not None}

    def backtest(
        self,
        optimizer: Any,
        rebalance_freq: Frequency = 1,
        reopt_freq: Frequency = 1,
        seed: int | None = 100,
        weight_bounds: Any = None,
        clean_weights: bool = False,
        window: int | None = None,
        min_history: int | None = None,
        execution_lag: int = 1,
        entry_cost: bool = True,
        progress: bool | None = None,
        overlays: Sequence[Overlay] = (),
        bands: Bands | None = None,
        rebalance: WhenRegretExceedsCost | None = None,
        keep_solutions: bool = False,
    ) -> BacktestResult:
        """Walk one strategy forward.

        At the steps of ``reopt_freq`` the strategy is asked for new weights; then, at those of ``rebalance_freq``, the
        account trades to the latest weights. Between trades weights drift with prices.

        Parameters
        ----------
        optimizer : object
            An objective, rule or estimator, see :class:`~opeslike.strategies.protocol.Strategy`.
        rebalance_freq, reopt_freq : int, str or DateOffset
            When to trade and when to re-optimise: every so many steps, or by the calendar, a pandas offset such as
            "ME", "QE" or "W-FRI": on the last trading day at or before each of its dates. The first step always counts.
        seed : int or None
            For random costs, and for strategies whose signature names ``seed``.
        weight_bounds : tuple, optional
            Passed to strategies whose signature names it.
        clean_weights : bool
            Set positions below 1e-8 to zero, keeping the sum.
        window : int, optional
            The strategy sees the last ``window`` returns; by default all since the start of the training set.
        min_history : int, optional
            Returns an asset must have had to be eligible, at least 1; by default ``window``, or half the rows so far
            where there are fewer than that, or no window. Without any eligible asset all is cash.
        execution_lag : int
            At step t the strategy sees closes up to P_{t - execution_lag}: with 1 (the default) nothing of the close at
            which it trades, with 0 that close too.
        entry_cost : bool
            Whether the first purchase is charged; False takes the first portfolio as already held.
        progress : bool, optional
            Show a progress bar; by default only on a terminal, and only once the run has taken a second.
        overlays : sequence of Overlay
            Scale what is held at every step, in the order given; see :mod:`opeslike.accounting.overlays`.
        bands : Bands, optional
            On trading dates, leave assets alone that are close to their targets; see
            :class:`~opeslike.accounting.bands.Bands`.
        rebalance : WhenRegretExceedsCost, optional
            On trading dates, trade only when the proven regret pays for it; for strategies that have a ``regret(w)``,
            as objectives do.
        keep_solutions : bool
            Keep every solution whole in ``result.solutions``, with its witness, as long as the data; by default only
            the numbers in ``result.certificates``.

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
            If wealth reaches zero, or a withdrawal takes all there is.
        DataWarning
            If newcomers cost an estimation over a third of its rows.
        OpesLikeWarning
            If the strategy has a mandate with costs or limits on trades and trades between its decisions.
        """
        lag = whole("execution_lag", execution_lag, 0)
        window = None if window is None else whole("window", window, 1)
        min_history = None if min_history is None else whole("min_history", min_history, 1)
        seed = None if seed is None else whole("seed", seed, 0)
        flags = {"clean_weights": clean_weights, "entry_cost": entry_cost, "keep_solutions": keep_solutions}
        for name, value in (flags if progress is None else {**flags, "progress": progress}).items():
            flag(name, value)
        if bands is not None and not isinstance(bands, Bands):
            raise PortfolioError(f"bands must be Bands(absolute=..., relative=...), got {bands!r}")
        if rebalance is not None and not isinstance(rebalance, WhenRegretExceedsCost):
            raise PortfolioError(
                f"rebalance must be WhenRegretExceedsCost(horizon), got {rebalance!r}; for dates give rebalance_freq"
            )
        overlays = tuple(copy.deepcopy(overlay) for overlay in checked_overlays(overlays))
        feed = self.feed
        check_lag(feed, lag)
        reopt, trading = (
            scheduled(name, given, feed.closes)
            for name, given in (("reopt_freq", reopt_freq), ("rebalance_freq", rebalance_freq))
        )
        certificates = Certificates(keep_solutions)
        strategy: StrategyAdapter | Decided
        if isinstance(optimizer, Decided):
            strategy, reopt = optimizer, optimizer.due(feed.horizon)
        else:
            strategy = StrategyAdapter(
                optimizer,
                feed,
                weight_bounds=weight_bounds,
                clean=clean_weights,
                seed=seed,
                window=window,
                lag=lag,
                min_history=min_history,
                costs=partial(self._cost_model.expected, feed.market.assets),
                solved=certificates.add,
            )
        if strategy.cost_aware and (trading & ~reopt).any():
            text = f"{strategy.name} weighs its trades, but the account also trades between its decisions"
            warn(f"{text}; give rebalance_freq the value of reopt_freq")
        terms = Terms(feed.test_returns, self._cost_rates(seed), self._financing, self.initial_capital, entry_cost)
        lives = feed.lives
        if lives is not None:
            terms = replace(terms, quoted=feed.at_steps(lives.quoted), paid_out=lives.ends[feed.first :])
        if self.flows is not None:
            terms = replace(terms, flows=flows_at(self.flows, feed.closes))
        ruled = bool(overlays) or bands is not None or rebalance is not None
        if ruled or strategy.needs_state or lives is not None or self.flows is not None:
            account = Account(Ledger(terms), feed, lag, trading, self.periods_per_year)
            expected = self._cost_model.expected(feed.market.assets)
            pays = rebalance and (lambda to, held: rebalance.pays(strategy.regret(held), to, held, expected))
            path = walk_steps(strategy, account, overlays, bands, pays, reopt, progress)
        else:
            path = walk_blocks(strategy, Blocks(terms, np.flatnonzero(trading)), lag, reopt, progress)
        settings = {
            **{"strategy": strategy.label, "cost": self.cost, "kind": feed.kind},
            **{"initial_capital": self.initial_capital, **self._rates.describe()},
            **{"rebalance_freq": written(rebalance_freq), "reopt_freq": written(reopt_freq), "seed": seed},
            **{"weight_bounds": weight_bounds, "clean_weights": clean_weights, "window": window},
            **{"execution_lag": lag, "entry_cost": entry_cost, "overlays": [repr(overlay) for overlay in overlays]},
            **({} if bands is None else {"bands": repr(bands)}),
            **({} if rebalance is None else {"rebalance": repr(rebalance)}),
            **({} if lives is None else self._life_settings(min_history)),
            **({} if self.flows is None else {"flows": told(self.flows)}),
        }
        result = BacktestResult(
            path,
            closes=feed.closes,
            assets=feed.market.assets,
            strategy=strategy.name,
            settings=settings,
            certificates=certificates.until(terms.horizon if path.ruin is None else path.ruin),
            risk_free=self._rates.risk_free,
            periods_per_year=self.periods_per_year,
            decisions=strategy.decisions,
            targets=strategy.targets,
            listed=None if lives is None else feed.at_steps(lives.listed),
        )
        if strategy.thin is not None:
            warn(strategy.thin, DataWarning)
        if path.ruin is not None:
            how = result.ran_out or f"lost all its wealth on {describe(result.ruin_date)}"
            warn(f"{strategy.name} {how}; the path stays at zero", RuinWarning)
        return result

    def verify(self, result: BacktestResult) -> pd.Series:
        """Prove every decision of a run again, see :meth:`~opeslike.modelling.solution.Solution.verify`.

        Each is shown what it rested on then: the assets that were eligible, on the dates on which all were quoted.

        Parameters
        ----------
        result : BacktestResult
            Of this backtester, with ``keep_solutions=True``.

        Returns
        -------
        Series
            Gap by date, in the objective's unit.

        Raises
        ------
        PortfolioError
            If no solutions were kept, or nothing was proved about one; names its date.
        OptimizationError
            If a proof fails; names its date.

        Examples
        --------
        >>> from opeslike import Kelly, load_us20
        >>> prices = load_us20(tickers="AMD KO XOM", start="2018", end="2019")
        >>> tester = Backtester(prices[:"2018"], prices["2019":])
        >>> gaps = tester.verify(tester.backtest(Kelly(), reopt_freq="QE", keep_solutions=True))
        >>> len(gaps), bool(gaps.max() < 1e-8)
        (5, True)
        """
        gaps = {}
        rested = dict(zip(result.rows.index, result.decisions, strict=True))
        for date, solution in result.solutions:
            if not hasattr(solution, "verify"):
                raise PortfolioError("the solutions were not kept; run backtest(..., keep_solutions=True)")
            step, count, places = rested[date]
            with blaming(result.strategy, self.feed.closes, step):
                lag, window = result.settings["execution_lag"], result.settings["window"]
                gaps[date] = solution.verify(self.feed.seen(step, count, places, lag, window))
        return pd.Series(gaps, name="gap", dtype=np.float64)

    def get_metrics(self, returns: ArrayLike) -> dict[str, float]:
        """Figures of one series of returns, with the keys, definitions and units of OPES.

        See :func:`opeslike.analysis.metrics.opes_metrics`.
        """
        from opeslike.analysis.metrics import opes_metrics

        return opes_metrics(returns)

    def plot_wealth(
        self, returns_dict: Any, timeline: Any = None, initial_wealth: float = 1.0, savefig: Any = False, **options: Any
    ) -> Any:
        """Plot wealth over time, one line a strategy, and return the Figure.

        A window opens where there is a display. See :func:`opeslike.analysis.plots.plot_wealth`, which takes the same
        arguments and further ``options``.
        """
        from opeslike.analysis.plots import plot_wealth

        options.setdefault("show", True)
        return plot_wealth(returns_dict, timeline, initial_wealth, savefig, **options)
