"""Calendar schedules, bands, and what the account tells strategies of holdings and costs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike import CRRA, Kelly, Mandate, MinVariance
from opeslike.accounting.bands import Bands, WhenRegretExceedsCost
from opeslike.accounting.overlays import LeverageCap
from opeslike.backtester import Backtester, scheduled
from opeslike.errors import PortfolioError

FREQUENCIES = ["ME", "QE", "YE", "W-FRI", "W-SUN", "2W-WED", "MS", "SME", "10D", "BME"]


def closes(rows=300, assets=3, seed=0, scale=0.02, start="2019-11-20"):
    values = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(0, scale, (rows, assets)), axis=0)
    days = pd.bdate_range(start, periods=rows)
    keep = np.random.default_rng(seed + 1).random(rows) < 0.9  # holidays
    return pd.DataFrame(values, index=days, columns=list("ABC")[:assets])[keep]


class Script:
    """Weights by call, whatever the data."""

    def __init__(self, seed=0, size=1.0):
        self.seed, self.size, self.calls = seed, size, 0

    def optimize(self, data):
        self.calls += 1
        draw = np.random.default_rng((self.seed, self.calls)).dirichlet(np.ones(data.shape[1]))
        return self.size * draw


class Watching(Script):
    """Remember what it was told."""

    def __init__(self, **options):
        super().__init__(**options)
        self.told = []

    def optimize(self, data, held=None, costs=None):
        self.told.append((len(data), held, costs))
        return super().optimize(data)


class WatchingAccount(Watching):
    """The same, walked step by step."""

    def optimize(self, data, held=None, costs=None, state=None):
        np.testing.assert_array_equal(state.weights, held)
        return super().optimize(data, held, costs)


def due_by_hand(days, frequency):
    """The last trading day at or before each date of the calendar, day by day."""
    marks = set(pd.date_range(days[0], days[-1], freq=frequency))
    due, day = {0}, days[0]
    while day <= days[-1]:
        if day in marks:
            due.add(max(i for i, close in enumerate(days) if close <= day))
        day += pd.Timedelta(days=1)
    return sorted(due - {len(days) - 1})


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("hour", [0, 16])
def test_the_calendar_is_the_last_trading_day_at_or_before(frequency, hour):
    days = closes().index
    found = scheduled("reopt_freq", frequency, days + pd.Timedelta(hours=hour))
    assert np.flatnonzero(found).tolist() == due_by_hand(days, frequency)
    assert scheduled("reopt_freq", pd.tseries.frequencies.to_offset(frequency), days).tolist() == found.tolist()


def test_a_month_that_is_not_over_has_no_last_day():
    days = pd.bdate_range("2020-01-01", "2020-03-18")
    assert days[:-1][scheduled("reopt_freq", "ME", days)].strftime("%m-%d").tolist() == ["01-01", "01-31", "02-28"]


def test_schedules_by_calendar_reach_the_walk():
    prices = closes()
    train, test = prices[:60], prices[60:]
    tester, strategy = Backtester(train, test), Script()
    result = tester.backtest(strategy, reopt_freq="QE", rebalance_freq="ME")
    trades, decisions = (due_by_hand(test.index, every) for every in ("ME", "QE"))
    assert strategy.calls == len(decisions)
    assert np.flatnonzero(result["turnover"]).tolist() == trades
    drawn = (np.random.default_rng((0, call)).dirichlet(np.ones(3)) for call in range(1, 99))
    targets = dict(zip(decisions, drawn, strict=False))
    for step in trades:
        latest = max(one for one in decisions if one <= step)
        np.testing.assert_allclose(result["weights"][step], targets[latest], rtol=1e-14)
    assert result.settings["reopt_freq"] == "QE"
    by_steps = tester.backtest(Script(), reopt_freq="QE", rebalance_freq="ME", overlays=[LeverageCap(gross=9.0)])
    np.testing.assert_allclose(by_steps["wealth"], result["wealth"], rtol=1e-12)


@pytest.mark.parametrize("frequency", ["sometimes", "4h", "-1ME", "", "0D"])
def test_calendars_that_are_none_are_named(frequency):
    prices = closes()
    with pytest.raises(PortfolioError, match="rebalance_freq="):
        Backtester(prices[:60], prices[60:]).backtest(Script(), rebalance_freq=frequency)


def test_a_calendar_needs_dates():
    values = closes().to_numpy()
    with pytest.raises(PortfolioError, match="reopt_freq='ME' needs dated prices"):
        Backtester(values[:60], values[60:]).backtest(Script(), reopt_freq="ME")


def recomputed(result, prices, first, bands, targets, trades, bps):
    """Money at every close, from targets and bands, in plain sums."""
    moves = prices.pct_change().to_numpy()[first + 1 :]
    wealth, held, target = 1.0, np.zeros(3), None
    path, turnover = [], []
    for t, move in enumerate(moves):
        target = targets.get(t, target)
        aimed = bands.trade(target, held) if t in trades else held
        traded = math.fsum(abs(a - b) for a, b in zip(aimed, held, strict=True))
        wealth *= 1.0 - traded * bps * 1e-4
        growth = 1.0 + math.fsum(a * m for a, m in zip(aimed, move, strict=True))
        wealth *= growth
        held = aimed * (1.0 + move) / growth
        path.append(wealth)
        turnover.append(traded)
    return path, turnover


@given(st.integers(0, 10_000), st.sampled_from([1, 5]), st.sampled_from(["target", "edge"]))
@settings(max_examples=30, deadline=None)
def test_banded_wealth_is_that_of_a_plain_loop(seed, every, to):
    prices = closes(150, seed=seed, scale=0.03)
    bands = Bands(absolute=0.04, relative=0.2, to=to)
    result = Backtester(prices[:60], prices[60:], {"const": 25}).backtest(
        Script(seed), rebalance_freq=every, reopt_freq=20, bands=bands
    )
    steps = len(result["returns"])
    targets = {20 * i: np.random.default_rng((seed, i + 1)).dirichlet(np.ones(3)) for i in range(-(-steps // 20))}
    wealth, turnover = recomputed(result, prices, 60, bands, targets, set(range(0, steps, every)), 25)
    np.testing.assert_allclose(result["wealth"], wealth, rtol=1e-12)
    np.testing.assert_allclose(result["turnover"], turnover, rtol=0, atol=1e-12)


def test_bands_of_no_width_change_nothing_and_wide_ones_never_trade():
    prices = closes()
    tester = Backtester(prices[:60], prices[60:], {"const": 25})
    plain = tester.backtest(Script(), reopt_freq=20)
    none = tester.backtest(Script(), reopt_freq=20, bands=Bands(absolute=0.0))
    np.testing.assert_allclose(none["wealth"], plain["wealth"], rtol=1e-12)
    wide = tester.backtest(Script(), reopt_freq=20, bands=Bands(absolute=10.0))
    assert np.flatnonzero(wide["turnover"]).tolist() == [0]
    assert wide.settings["bands"] == "Bands(absolute=10.0)"
    assert "bands" not in plain.settings
    with pytest.raises(PortfolioError, match="bands must be Bands"):
        tester.backtest(Script(), bands=0.05)


@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("reopt", [1, 3, "ME"])
def test_held_is_the_holding_at_the_last_close_seen(lag, every, reopt):
    prices = closes()
    tester = Backtester(prices[:60], prices[60:], {"const": 25}, risk_free=0.02, borrow_spread=0.01)
    walks = []
    for strategy in (Watching(size=1.2), WatchingAccount(size=1.2)):
        result = tester.backtest(strategy, rebalance_freq=every, reopt_freq=reopt, execution_lag=lag)
        moves = prices.pct_change().to_numpy()[61:]
        for seen, held, _ in strategy.told:
            close = seen - 61  # the last row seen is P_close
            if close < 0 or (lag == 0 and close == 0):
                assert not held.any()
            elif lag:
                np.testing.assert_allclose(held, result["weights"][close], rtol=1e-12)
            else:
                before, move = result["weights"][close - 1], moves[close - 1]
                grown = (1 + result["returns"][close - 1]) / (1 - result["costs"][close - 1])
                np.testing.assert_allclose(held, before * (1 + move) / grown, rtol=1e-12)
        walks.append(result["wealth"])
    np.testing.assert_allclose(walks[1], walks[0], rtol=1e-12)


def test_what_is_held_does_not_look_ahead():
    class Follow(Watching):
        def optimize(self, data, held=None):
            return 0.5 * held + 0.5 * super().optimize(data)

    prices = closes()
    for step, lag in ((30, 0), (30, 1), (70, 2)):
        changed = prices.copy()
        changed.iloc[60 + step + 1 :] *= 1.5
        one, two = (
            Backtester(p[:60], p[60:]).backtest(Follow(), execution_lag=lag, reopt_freq=7, rebalance_freq=2)["weights"]
            for p in (prices, changed)
        )
        np.testing.assert_array_equal(one[: step + 1], two[: step + 1])
        assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ({"const": 20}, [20, 20, 20]),
        ({"commission": 3, "slippage": 4}, [7, 7, 7]),
        ({"proportional": {"C": 3, "B": 2, "A": 1}}, [1, 2, 3]),
        ({"gamma": (2.0, 5.0)}, [10, 10, 10]),
        ({"inversegaussian": (8.0, 3.0)}, [8, 8, 8]),
        ({"lognormal": (1.0, 0.5)}, [math.exp(1.125)] * 3),
        ({"jump": (0.3, 1.0, 0.5)}, [0.3 * math.exp(1.125)] * 3),
    ],
    ids=str,
)
def test_strategies_that_name_costs_are_told_what_to_expect(cost, expected):
    prices, strategy = closes(), Watching()
    tester = Backtester(prices[:60], prices[60:], cost)
    tester.backtest(strategy, reopt_freq=50)
    for _, _, told in strategy.told:
        np.testing.assert_allclose(told, expected, rtol=1e-15)
    if len(cost) == 1 and "proportional" not in cost:
        drawn = tester._cost_model.rates(200_000, list("ABC"), 1).per_step
        assert drawn.mean() * 1e4 == pytest.approx(expected[0], rel=0.03)


# --- trading when the regret pays for it


def regret_by_hand(kelly, data, held):
    """Growth that the holdings give away against the best portfolio, by evaluating both."""
    w = kelly.optimize(data)
    returns = data.pct_change().dropna().to_numpy()
    return np.log1p(returns @ w).mean() - np.log1p(returns @ (held / held.sum())).mean()


def test_trades_are_those_that_their_regret_pays_for():
    data, horizon = closes(200), 40.0
    tester = Backtester(data[:100], data[100:], cost={"const": 20.0})
    rule = WhenRegretExceedsCost(horizon)
    found = tester.backtest(Kelly(), rebalance=rule, reopt_freq=10, execution_lag=0)
    always = tester.backtest(Kelly(), reopt_freq=10, execution_lag=0)
    held, targets, traded = found.weights.to_numpy(), always.weights.iloc[::10].to_numpy(), 0
    moves = data.pct_change()[100:].to_numpy()[1:]
    for step in range(1, len(held)):
        drifted = held[step - 1] * (1 + moves[step - 1])
        drifted /= 1 + held[step - 1] @ moves[step - 1]
        seen = data.iloc[: 101 + 10 * (step // 10)]  # the last decision's
        cost = 20e-4 * np.abs(targets[step // 10] - drifted).sum()
        expected = horizon * regret_by_hand(Kelly(), seen, drifted)
        if abs(expected - cost) > 1e-9:
            assert (np.abs(held[step] - drifted).sum() > 1e-12) == (expected > cost)
            traded += expected > cost
    assert 0 < traded < len(held) - 1
    assert found.turnover.sum() < always.turnover.sum()


def test_patience_and_haste():
    data = closes(200)
    tester = Backtester(data[:100], data[100:])
    kelly = Kelly(0.5, mandate=Mandate(leverage=1.5, risk_free=0.01))
    never = tester.backtest(kelly, rebalance=WhenRegretExceedsCost(1e-9))
    assert np.count_nonzero(never.turnover > 1e-12) == 1  # the first purchase
    turned = [tester.backtest(kelly, rebalance=WhenRegretExceedsCost(h)).turnover.sum() for h in (1, 20, 1e9)]
    assert turned == sorted(turned)
    always = tester.backtest(CRRA(3.0))
    free = Backtester(data[:100], data[100:], cost={"const": 0})
    costless = free.backtest(CRRA(3.0), rebalance=WhenRegretExceedsCost(5))
    np.testing.assert_allclose(costless.weights, always.weights, atol=2e-3)
    assert never.settings["rebalance"] == "WhenRegretExceedsCost(horizon=1e-09)"


def test_the_rule_asks_for_a_regret():
    data = closes(120)
    tester, rule = Backtester(data[:100], data[100:]), WhenRegretExceedsCost(5)
    for strategy in (Script(), MinVariance()):
        with pytest.raises(PortfolioError, match=r"proves no regret|certified answer in terms of returns"):
            tester.backtest(strategy, rebalance=rule)
    with pytest.raises(PortfolioError, match="horizon"):
        WhenRegretExceedsCost(0)
    with pytest.raises(PortfolioError, match="rebalance must be"):
        tester.backtest(Kelly(), rebalance="ME")


def test_the_rule_does_not_look_ahead():
    data = closes(160)
    other = data.copy()
    other.iloc[130:] *= np.linspace(1.1, 2.0, len(other) - 130)[:, None] * [1.0, 0.7, 1.2]
    runs = [
        Backtester(frame[:100], frame[100:]).backtest(Kelly(), rebalance=WhenRegretExceedsCost(10), reopt_freq=5)
        for frame in (data, other)
    ]
    np.testing.assert_array_equal(runs[0].weights[:29], runs[1].weights[:29])
