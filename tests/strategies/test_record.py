"""A rule's own record is the backtest of that rule, unsized and without costs."""

import logging

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import EMPIRICAL_KELLY, OPTIMAL_F, conservative, kelly_empirical, optimal_f, trade_returns
from opeslike.strategies import (
    ConservativeSizer,
    DualMomentum,
    KellySizer,
    MovingAverageCross,
    OptimalFSizer,
    OutcomeSizer,
    Sized,
    TimeSeriesMomentum,
    TurnOfMonth,
)
from tests.strategies.tools import VOLUME, market, ohlcv, run

RULES = {
    "crossover": lambda: MovingAverageCross(fast=5, slow=20, allow_short=True),
    "dual": lambda: DualMomentum(lookback=10, n_long=2, n_short=1),
    "month": lambda: TurnOfMonth(last=3, first=6),
}


def unsized(rule, prices, first, lag, every=1):
    """Backtest of the rule from row ``first``: returns and weights by date."""
    result = run(rule, prices, split=first, cost=0.0, execution_lag=lag, reopt_freq=every)
    return result.returns, result.weights


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("name", RULES)
def test_kelly_sizer_is_kelly_of_the_unsized_backtest(name, lag):
    prices = market(3, rows=200)
    rule = RULES[name]()
    made, weights = unsized(rule, prices, 25, lag)
    window = 30
    sized = run(
        Sized(rule, KellySizer(window=window, max_leverage=8.0)), prices, split=90, cost=0.0, execution_lag=lag
    ).weights
    factor = (made.rolling(window).mean() / made.rolling(window).var()).clip(lower=0.0, upper=8.0)
    # The leverage for the step that earns the return of row u is from records to the last visible close.
    expected = weights.mul(factor.shift(1 + lag), axis=0).loc[sized.index]
    np.testing.assert_allclose(sized, expected, rtol=1e-8, atol=1e-12)
    assert sized.to_numpy().any()


def test_the_rule_may_decide_every_few_steps():
    prices = market(4, rows=200)
    rule = RULES["dual"]()
    split, every = 90, 5
    # Decisions fall on step 0 of the sized backtest: one that starts a multiple of 5 earlier decides on the same days.
    made, weights = unsized(rule, prices, split - 60, 1, every)
    sizer = KellySizer(window=40)
    tester = Backtester(prices[:split], prices[split:], cost={"const": 0})
    sized = tester.backtest(Sized(rule, sizer, every=every), reopt_freq=every).weights
    factor = (made.rolling(40).mean() / made.rolling(40).var()).clip(lower=0.0).shift(2)
    decided = np.arange(0, len(sized), every)
    expected = weights.loc[sized.index].iloc[decided].mul(factor.loc[sized.index].iloc[decided], axis=0)
    np.testing.assert_allclose(sized.iloc[decided], expected, rtol=1e-8, atol=1e-12)


def test_estimates_every_few_steps():
    prices = market(5, rows=200)
    rule = RULES["crossover"]()
    sized = run(Sized(rule, KellySizer(window=30, every=20)), prices, split=90, cost=0.0)
    daily = run(Sized(rule, KellySizer(window=30)), prices, split=90, cost=0.0)
    gross, fresh = (np.abs(r["weights"]).sum(axis=1) for r in (sized, daily))
    held = gross > 0
    for start in range(0, len(gross), 20):
        block = slice(start, start + 20)
        if held[block].any():
            assert np.ptp(gross[block][held[block]]) < 1e-12
        if held[start]:
            assert gross[start] == pytest.approx(fresh[start])


def test_outcome_sizers_use_days_and_trades_of_the_record():
    prices = market(11, rows=260, drift=0.002)
    rule = MovingAverageCross(fast=5, slow=20)
    lag, split = 1, 200
    # The first day that the rule can decide: 19 returns make 20 closes, and the lag.
    made, weights = unsized(rule, prices, 19 + lag, lag)
    known = slice(None, prices.index[split - lag])
    made, sides = made.loc[known], np.sign(weights).loc[known]
    days = made[sides.any(axis=1)]
    moves = prices.pct_change().loc[made.index]
    trades = [trade_returns(sides[name], moves[name]) for name in prices]
    pooled = pd.concat([part for part in trades if len(part)])

    def leverage(sizer):
        weights = run(Sized(rule, sizer), prices, split=split, cost=0.0)["weights"][0]
        assert weights.any()
        return np.abs(weights).sum()

    assert leverage(OptimalFSizer(expected_max_loss=0.5)) == pytest.approx(optimal_f(days, 0.5).position)
    assert leverage(OptimalFSizer()) == pytest.approx(optimal_f(days).position)
    by_trade = optimal_f(pooled, 0.5).position
    assert leverage(OptimalFSizer(outcomes="trades", expected_max_loss=-0.5, min_outcomes=5)) == pytest.approx(by_trade)
    exact = kelly_empirical(days.to_numpy())
    assert leverage(OutcomeSizer()) == pytest.approx(exact)
    assert leverage(OutcomeSizer(max_leverage=0.25)) == pytest.approx(0.25)
    careful = ConservativeSizer(EMPIRICAL_KELLY, percentile=50, seed=5)
    assert leverage(careful) == pytest.approx(
        conservative(EMPIRICAL_KELLY, days.to_numpy(), percentile=50, seed=5).leverage
    )
    assert leverage(OutcomeSizer(OPTIMAL_F, expected_max_loss=0.5)) == pytest.approx(optimal_f(days, 0.5).position)


@pytest.mark.parametrize(
    ("sizer", "what"),
    [
        (KellySizer(window=60), "60 days of the rule's record; 48 are known"),
        (OptimalFSizer(min_outcomes=60), "60 days with a position of the rule; 48 are known"),
        (OptimalFSizer(outcomes="trades", min_outcomes=100), "100 trades of the rule"),
    ],
)
def test_nothing_is_held_until_the_record_is_long_enough(sizer, what, caplog):
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        weights = run(Sized(TimeSeriesMomentum(lookback=10), sizer), market(3))["weights"]
    assert not weights[:5].any()
    told = [r.getMessage() for r in caplog.records if "holds nothing" in r.getMessage()]
    assert len(told) == 1
    assert what in told[0]


def test_the_window_of_the_backtest_limits_the_record():
    prices = market(3, rows=200)
    rule = TimeSeriesMomentum(lookback=10)
    made, weights = unsized(rule, prices, 25, 1)
    held = run(Sized(rule, KellySizer(window=None, min_periods=20)), prices, split=90, cost=0.0, window=35).weights
    factor = (made.rolling(35).mean() / made.rolling(35).var()).clip(lower=0.0).shift(2)
    np.testing.assert_allclose(held, weights.mul(factor, axis=0).loc[held.index], rtol=1e-8, atol=1e-12)


def test_rates_and_logs():
    prices = market(3, rows=200, assets=1, drift=0.002)
    rule = MovingAverageCross(fast=1, slow=2, allow_short=True)
    made, weights = unsized(rule, prices, 25, 1)
    rate = 1.05 ** (1 / 252) - 1
    excess = made - rate * weights.iloc[:, 0]
    logs = np.log1p(excess)
    for sizer, x in ((KellySizer(40, risk_free=0.05), excess), (KellySizer(40, risk_free=0.05, use_log=True), logs)):
        held = run(Sized(rule, sizer), prices, split=90, cost=0.0).weights
        factor = (x.rolling(40).mean() / x.rolling(40).var()).clip(lower=0.0).shift(2)
        np.testing.assert_allclose(held, weights.mul(factor, axis=0).loc[held.index], rtol=1e-8, atol=1e-12)


def test_a_record_with_volume():
    prices = ohlcv(market(5, rows=200))
    rule = VOLUME["dual volume"]()
    made, weights = unsized(rule, prices, 25, 1)
    held = run(Sized(rule, KellySizer(window=30)), prices, split=90, cost=0.0).weights
    factor = (made.rolling(30).mean() / made.rolling(30).var()).clip(lower=0.0).shift(2)
    np.testing.assert_allclose(held, weights.mul(factor, axis=0).loc[held.index], rtol=1e-8, atol=1e-12)
    assert held.to_numpy().any()


def test_outside_a_backtest_the_record_ends_with_the_data():
    prices = market(3, rows=200, drift=0.002)
    rule = TimeSeriesMomentum(lookback=10)
    made, _ = unsized(rule, prices, 25, 0)
    x = made.iloc[-50:]
    expected = rule.optimize(prices) * max(x.mean() / x.var(), 0.0)
    np.testing.assert_allclose(Sized(rule, KellySizer(window=50)).optimize(prices), expected, rtol=1e-9)


def test_a_record_without_variance():
    steady = pd.DataFrame({"A": 100 * 1.001 ** np.arange(200)}, index=pd.bdate_range("2010-01-01", periods=200))
    rule = TimeSeriesMomentum(lookback=10)
    with pytest.raises(DataError, match="no variance; set max_leverage"):
        run(Sized(rule, KellySizer(window=20)), steady, cost=0.0)
    held = run(Sized(rule, KellySizer(window=20, max_leverage=2.0)), steady, cost=0.0)["weights"]
    assert (held == 2.0).all()
    still = steady * 0 + 100.0
    assert not run(Sized(rule, KellySizer(window=20)), still, cost=0.0)["weights"].any()


def test_the_same_instance_on_other_data():
    strategy = Sized(TimeSeriesMomentum(lookback=10), KellySizer(window=30, max_leverage=2.0))
    for seed in (1, 2, 1):
        for lag in (0, 1):
            fresh = Sized(TimeSeriesMomentum(lookback=10), KellySizer(window=30, max_leverage=2.0))
            prices = market(seed)
            one = run(strategy, prices, execution_lag=lag)["weights"]
            np.testing.assert_array_equal(one, run(fresh, prices, execution_lag=lag)["weights"])


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: KellySizer(window=1), "KellySizer window"),
        (lambda: KellySizer(window=20, min_periods=21), "min_periods must be at most"),
        (lambda: KellySizer(fraction=0.0), "KellySizer fraction"),
        (lambda: KellySizer(max_leverage=0.0), "KellySizer max_leverage"),
        (lambda: KellySizer(risk_free=-2.0), "KellySizer risk_free"),
        (lambda: KellySizer(every=0), "KellySizer every"),
        (lambda: OptimalFSizer(outcomes="days"), "OptimalFSizer outcomes"),
        (lambda: OptimalFSizer(expected_max_loss=0), "OptimalFSizer expected_max_loss"),
        (lambda: OptimalFSizer(min_outcomes=1), "OptimalFSizer min_outcomes"),
        (lambda: OptimalFSizer(window=1), "OptimalFSizer window"),
        (lambda: OptimalFSizer(max_leverage=-1), "OptimalFSizer max_leverage"),
        (lambda: OutcomeSizer(rule=optimal_f), "OutcomeSizer rule"),
        (lambda: ConservativeSizer(rule=None), "ConservativeSizer rule"),
        (lambda: ConservativeSizer(n_boot=0), "ConservativeSizer n_boot"),
        (lambda: ConservativeSizer(percentile=-1), "ConservativeSizer percentile"),
        (lambda: ConservativeSizer(block=0.0), "ConservativeSizer block"),
        (lambda: ConservativeSizer(seed=1.5), "ConservativeSizer seed"),
    ],
)
def test_parameters_are_checked(make, named):
    with pytest.raises(PortfolioError, match=named):
        make()
