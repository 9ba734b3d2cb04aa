import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.errors import OptimizationError, PortfolioError
from opeslike.strategies import HOLD, BuyAndHold, FixedLeverage, MovingAverageCross
from tests.strategies.tools import OVERLAY, SPLIT, market, run


@pytest.mark.parametrize(("fast", "slow"), [(1, 2), (5, 20), (50, 60)])
def test_crossover_against_pandas(fast, slow):
    prices = market(2)
    ratio = prices.rolling(fast).mean() / prices.rolling(slow).mean() - 1
    rule = MovingAverageCross(fast=fast, slow=slow, allow_short=True)
    np.testing.assert_allclose(rule.signals(prices), ratio.iloc[-1], rtol=1e-9)
    for lag in (0, 1):
        sides = np.sign(run(rule, prices, cost=0.0, execution_lag=lag)["weights"])
        seen = np.sign(ratio.iloc[SPLIT - lag : len(prices) - 1 - lag])
        np.testing.assert_array_equal(sides, seen)
    longs = MovingAverageCross(fast=fast, slow=slow).signals(prices)
    np.testing.assert_allclose(longs, np.maximum(ratio.iloc[-1], 0.0), rtol=1e-9)


def test_a_price_that_does_not_move_has_no_trend():
    prices = market(2) * 0 + 31.7
    for fast, slow in ((3, 7), (50, 60), (1, 2), (7, 49)):
        assert not MovingAverageCross(fast=fast, slow=slow, allow_short=True).signals(prices).any()


def test_unsized_is_gross_one_or_nothing():
    weights = run(MovingAverageCross(fast=5, slow=20), market(2), cost=0.0)["weights"]
    gross = np.abs(weights).sum(axis=1)
    assert set(np.round(gross, 12)) == {0.0, 1.0}


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("freq", [1, 4])
@pytest.mark.parametrize("overlays", [(), (OVERLAY,)])
def test_buy_and_hold_trades_once(lag, overlays, freq):
    prices = market(6, drift=0.003)
    for weights in (None, {"A": 0.5, "C": 0.7}):
        result = run(BuyAndHold(weights), prices, execution_lag=lag, overlays=overlays, rebalance_freq=freq)
        assert result["turnover"][0] > 0
        if not overlays:
            assert not result["turnover"][1:].any()
            amounts = prices.iloc[SPLIT:] / prices.iloc[SPLIT]
            bought = pd.Series(0.2, prices.columns) if weights is None else pd.Series(weights)
            kept = 1 - 1e-3 * bought.sum()
            worth = kept * (1 + ((amounts[bought.index] - 1) * bought).sum(axis=1))
            np.testing.assert_allclose(result["wealth"], worth.iloc[1:], rtol=1e-12)


def test_hold_is_for_strategies_that_see_their_account():
    class Blind:
        def optimize(self, data):
            return HOLD

    with pytest.raises(OptimizationError, match="names state"):
        run(Blind(), market())


def test_fixed_leverage_is_kept_daily():
    prices = market(1)[["A"]]
    result = run(FixedLeverage({"A": 2.0}), prices, cost=0.0, tester={"risk_free": 0.02, "borrow_spread": 0.01})
    np.testing.assert_array_equal(result["weights"], 2.0)
    move = prices["A"].pct_change().iloc[SPLIT + 1 :]
    np.testing.assert_allclose(result["returns"], 2 * move - (1.03 ** (1 / 252) - 1), rtol=1e-12)
    np.testing.assert_array_equal(run(FixedLeverage(2.0), prices, cost=0.0)["weights"], 2.0)


def test_names_are_checked():
    prices = market()
    for strategy in (FixedLeverage({"Z": 1.0}), BuyAndHold({"Z": 1.0})):
        with pytest.raises(PortfolioError, match="names Z, not among the assets"):
            Backtester(prices[:50], prices[50:]).backtest(strategy)
    with pytest.raises(PortfolioError, match="one number but there are 5 assets"):
        FixedLeverage(2.0).optimize(prices)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: MovingAverageCross(fast=0), "MovingAverageCross fast"),
        (lambda: MovingAverageCross(fast=20, slow=20), "fast must be below slow"),
        (lambda: MovingAverageCross(slow=True), "MovingAverageCross slow"),
        (lambda: MovingAverageCross(allow_short="no"), "MovingAverageCross allow_short"),
        (lambda: FixedLeverage({}), "FixedLeverage leverages is empty"),
        (lambda: FixedLeverage({"A": np.nan}), "A=nan must be a finite number"),
        (lambda: FixedLeverage("A"), "FixedLeverage leverages"),
        (lambda: FixedLeverage(True), "FixedLeverage leverages"),
        (lambda: BuyAndHold(0.5), "BuyAndHold weights"),
        (lambda: BuyAndHold({"A": "x"}), "A must be a finite number"),
    ],
)
def test_parameters_are_checked(make, named):
    with pytest.raises(PortfolioError, match=named):
        make()
