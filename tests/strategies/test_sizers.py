import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.backtester import Backtester
from opeslike.errors import DataError, PortfolioError
from opeslike.strategies import (
    DualMomentum,
    DynamicKelly,
    EqualWeight,
    KellySizer,
    MaxPositions,
    RiskParityVolTarget,
    Selection,
    Sized,
    TimeSeriesMomentum,
    VolatilityTarget,
)
from tests.strategies.tools import SIZERS, SPLIT, market, run

SCORES = np.array([0.3, -0.1, 0.0, 0.2, -0.4])
FREE = {name: make for name, make in SIZERS.items() if not make().needs_record}


def test_equal_weight():
    assert EqualWeight(weight=0.1).size(SCORES, market()).tolist() == [0.1, -0.1, 0.0, 0.1, -0.1]
    assert EqualWeight(0.1, allow_short=False).size(SCORES, market()).tolist() == [0.1, 0.0, 0.0, 0.1, 0.0]


def test_max_positions_takes_the_strongest():
    sizer = MaxPositions(weight=0.2, max_positions=2)
    assert sizer.size(SCORES, market()).tolist() == [0.2, 0.0, 0.0, 0.0, -0.2]
    longs = MaxPositions(weight=0.2, max_positions=2, allow_short=False)
    assert longs.size(SCORES, market()).tolist() == [0.2, 0.0, 0.0, 0.2, 0.0]
    assert MaxPositions(weight=0.2, max_positions=9).size(SCORES, market()).tolist() == [0.2, -0.2, 0.0, 0.2, -0.2]
    # Equal scores: first come, first served.
    assert sizer.size([1.0, 1.0, -1.0, 0.0, 0.0], market()).tolist() == [0.2, 0.2, 0.0, 0.0, 0.0]


def test_max_positions_prefers_what_is_held():
    """Scores of one size everywhere: whatever was bought first keeps its place, whatever the column."""

    class Sides(Selection):
        needed = 10

        def scores(self, past):
            momentum = np.log1p(past.returns[-10:]).sum(axis=0)
            return np.where(np.abs(momentum) > 0.05, np.sign(momentum), 0.0)

    prices = market(7)
    result = run(Sized(Sides(), MaxPositions(weight=0.2, max_positions=2)), prices, cost=0.0, execution_lag=0)
    held = result["weights"] != 0
    sides = run(Sides(), prices, cost=0.0, execution_lag=0)["weights"]
    assert (held.sum(axis=1) <= 2).all()
    for before, after, side_before, side_after in zip(held, held[1:], np.sign(sides), np.sign(sides[1:]), strict=False):
        kept = before & (side_before == side_after)
        assert after[kept].all()
    assert held[:, 2:].any()


def test_volatility_target_by_hand():
    prices = market(1)
    spread = prices.pct_change().iloc[-7:].std().to_numpy() * np.sqrt(252)
    np.testing.assert_allclose(VolatilityTarget().size(SCORES, prices), np.sign(SCORES) * 0.10 / spread, rtol=1e-9)
    capped = VolatilityTarget(target=0.4, max_weight=1.0).size(SCORES, prices)
    np.testing.assert_allclose(capped, np.sign(SCORES) * np.minimum(0.4 / spread, 1.0), rtol=1e-9)
    # Too few returns, or a price that does not move: the fallback.
    np.testing.assert_allclose(VolatilityTarget(lookback=500).size(SCORES, prices), np.sign(SCORES) * 0.2)
    prices["A"] = 100.0 * 1.001 ** np.arange(len(prices))
    assert VolatilityTarget().size(SCORES, prices)[0] == pytest.approx(0.2)
    prices["A"] = 100.0
    assert VolatilityTarget().size(SCORES, prices)[0] == pytest.approx(0.2)


def test_volatility_target_uses_the_year_of_the_backtest():
    prices = market(1)
    strategy = Sized(TimeSeriesMomentum(lookback=10), VolatilityTarget())
    stocks, coins = (run(strategy, prices, tester={"periods_per_year": year})["weights"] for year in (252, 365))
    np.testing.assert_allclose(coins, stocks * np.sqrt(252 / 365), rtol=1e-12)


def test_risk_parity_by_hand():
    prices = market(2)
    returns = prices.pct_change().iloc[-60:]
    ema = returns.pow(2).ewm(alpha=0.2, adjust=True).mean().iloc[-1].pow(0.5).to_numpy()
    mix = np.sign(SCORES) / ema
    mix /= np.abs(mix).sum()
    volatility = float((returns @ mix).std() * np.sqrt(252))
    wide = RiskParityVolTarget(max_weight=10.0, leverage_cap=50.0).size(SCORES, prices)
    np.testing.assert_allclose(wide, mix * 0.15 / volatility, rtol=1e-9)
    assert float((returns @ wide).std() * np.sqrt(252)) == pytest.approx(0.15)
    by_asset = RiskParityVolTarget(max_weight=0.2, leverage_cap=50.0).size(SCORES, prices)
    np.testing.assert_allclose(by_asset, np.clip(wide, -0.2, 0.2), rtol=1e-9)
    gross = RiskParityVolTarget(max_weight=10.0, leverage_cap=0.5).size(SCORES, prices)
    np.testing.assert_allclose(gross, mix * 0.5, rtol=1e-9)


def test_risk_parity_floor_and_history(caplog):
    prices = market(2)
    prices["A"] = 100.0
    held = RiskParityVolTarget().size(SCORES, prices)
    assert np.isfinite(held).all()
    assert held[0] == 0.3
    alone = RiskParityVolTarget(max_weight=1e9, leverage_cap=1e9).size([1.0, 0, 0, 0, 0], prices)
    np.testing.assert_allclose(alone[0], 0.15 / (1e-4 * np.sqrt(252)))
    strategy = Sized(TimeSeriesMomentum(lookback=10), RiskParityVolTarget(lookback=SPLIT + 20))
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        weights = run(strategy, market(2))["weights"]
    assert not weights[:21].any()
    assert weights[21].any()
    assert [r.getMessage() for r in caplog.records if "holds nothing" in r.getMessage()] == [
        "RiskParityVolTarget holds nothing until it has 80 returns; 59 are known on 2015-04-08"
    ]


@pytest.mark.parametrize("name", FREE)
@settings(max_examples=15, deadline=None)
@given(scores=st.lists(st.sampled_from([-1.0, -0.2, 0.0, 0.4, 2.0]), min_size=5, max_size=5), seed=st.integers(0, 99))
def test_the_side_of_a_position_is_the_sign_of_its_score(name, scores, seed):
    sizer, prices = FREE[name](), market(seed)
    weights = sizer.size(scores, prices)
    assert ((weights == 0) | (np.sign(weights) == np.sign(scores))).all()
    if sizer.allow_short:
        # Long and short are treated alike.
        np.testing.assert_array_equal(sizer.size(-np.array(scores), prices), -weights)
    else:
        assert (weights >= 0).all()


@pytest.mark.parametrize("name", SIZERS)
def test_no_selection_no_position(name):
    strategy = Sized(TimeSeriesMomentum(lookback=10, hurdle=50.0), SIZERS[name]())
    assert not run(strategy, market())["weights"].any()


@pytest.mark.parametrize("name", SIZERS)
def test_every_sizer_can_do_without_shorts(name):
    from dataclasses import replace

    rule = TimeSeriesMomentum(lookback=10)
    sizer = replace(SIZERS[name](), allow_short=False)
    weights = run(Sized(rule, sizer), market(3))["weights"]
    assert (weights >= 0).all()
    # The record, too, is that of a rule without shorts.
    longs = run(Sized(TimeSeriesMomentum(lookback=10, allow_short=False), sizer), market(3))["weights"]
    np.testing.assert_allclose(weights, longs, rtol=1e-12)


@pytest.mark.parametrize("name", ["equal", "volatility", "dynamic"])
def test_without_pyramiding_an_open_position_is_never_added_to(name):
    from dataclasses import replace

    prices = market(3)
    sizer = replace(SIZERS[name](), allow_pyramiding=False)
    rule = TimeSeriesMomentum(lookback=10)
    result = run(Sized(rule, sizer), prices, cost=0.0, execution_lag=0)
    held = result["weights"]
    gross = 1.0 + result["returns"]
    drifted = held[:-1] * (1 + result.asset_returns.to_numpy()[:-1]) / gross[:-1, None]
    same = held[1:] * drifted > 0
    assert same.any()
    assert (np.abs(held[1:])[same] <= np.abs(drifted)[same] * (1 + 1e-12)).all()
    # With it, some are.
    free = run(Sized(rule, SIZERS[name]()), prices, cost=0.0, execution_lag=0)
    drifted = free["weights"][:-1] * (1 + free.asset_returns.to_numpy()[:-1]) / (1 + free["returns"][:-1, None])
    same = free["weights"][1:] * drifted > 0
    assert (np.abs(free["weights"][1:])[same] > np.abs(drifted)[same] * (1 + 1e-9)).any()


def test_without_pyramiding_and_a_lag_the_known_weight_is_the_limit():
    prices = market(3)
    result = run(Sized(TimeSeriesMomentum(lookback=10), VolatilityTarget(allow_pyramiding=False)), prices, cost=0.0)
    held = result["weights"]
    same = held[1:] * held[:-1] > 0
    assert (np.abs(held[1:])[same] <= np.abs(held[:-1])[same]).all()


def test_min_notional_is_money():
    prices = market(3)
    rule = DualMomentum(lookback=10, n_long=2, n_short=2)
    for capital, some in ((1000.0, True), (10.0, False)):
        tester = Backtester(prices[:SPLIT], prices[SPLIT:], cost={"const": 0}, initial_capital=capital)
        result = tester.backtest(Sized(rule, EqualWeight(weight=0.1, min_notional=50.0)))
        assert result["weights"].any() == some
    # Wealth and weight both as of the last visible close: exactly at the limit it is held.
    tester = Backtester(prices[:SPLIT], prices[SPLIT:], cost={"const": 0}, initial_capital=500.0)
    result = tester.backtest(Sized(rule, EqualWeight(weight=0.1, min_notional=50.0)), execution_lag=0)
    wealth = np.r_[500.0, result["wealth"][:-1]]
    np.testing.assert_array_equal(result["weights"].any(axis=1), wealth * 0.1 >= 50.0)
    assert 0 < result["weights"].any(axis=1).sum() < len(wealth)


def test_scores_are_checked():
    for bad in ([1.0], [1.0, np.nan, 0, 0, 0], np.ones((5, 1))):
        with pytest.raises(DataError, match="one finite score for each of 5 assets"):
            EqualWeight().size(bad, market())
    with pytest.raises(DataError, match="use Sized"):
        KellySizer().size(SCORES, market())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: EqualWeight(weight=0.0), "EqualWeight weight"),
        (lambda: EqualWeight(weight=np.inf), "EqualWeight weight"),
        (lambda: EqualWeight(min_notional=-1.0), "EqualWeight min_notional"),
        (lambda: EqualWeight(allow_short=1), "EqualWeight allow_short"),
        (lambda: EqualWeight(allow_pyramiding=None), "EqualWeight allow_pyramiding"),
        (lambda: MaxPositions(max_positions=0), "MaxPositions max_positions"),
        (lambda: MaxPositions(weight="a"), "MaxPositions weight"),
        (lambda: VolatilityTarget(lookback=1), "VolatilityTarget lookback"),
        (lambda: VolatilityTarget(target=0.0), "VolatilityTarget target"),
        (lambda: VolatilityTarget(fallback_vol=0.0), "VolatilityTarget fallback_vol"),
        (lambda: VolatilityTarget(max_weight=0.0), "VolatilityTarget max_weight"),
        (lambda: RiskParityVolTarget(lookback=1), "RiskParityVolTarget lookback"),
        (lambda: RiskParityVolTarget(ema_alpha=0.0), "RiskParityVolTarget ema_alpha"),
        (lambda: RiskParityVolTarget(ema_alpha=1.1), "RiskParityVolTarget ema_alpha"),
        (lambda: RiskParityVolTarget(target_vol=-0.1), "RiskParityVolTarget target_vol"),
        (lambda: RiskParityVolTarget(max_weight=0.0), "RiskParityVolTarget max_weight"),
        (lambda: RiskParityVolTarget(leverage_cap=0.0), "RiskParityVolTarget leverage_cap"),
        (lambda: RiskParityVolTarget(vol_floor=0.0), "RiskParityVolTarget vol_floor"),
        (lambda: DynamicKelly(win_rate=1.0), "DynamicKelly win_rate"),
        (lambda: DynamicKelly(win_loss_ratio=0.0), "DynamicKelly win_loss_ratio"),
        (lambda: DynamicKelly(kelly_fraction=1.5), "DynamicKelly kelly_fraction"),
        (lambda: DynamicKelly(max_leverage=0.0), "DynamicKelly max_leverage"),
        (lambda: DynamicKelly(prior_trades=-1.0), "DynamicKelly prior_trades"),
        (lambda: Sized(EqualWeight(), EqualWeight()), "Sized selection"),
        (lambda: Sized(DualMomentum(), DualMomentum()), "Sized sizer"),
        (lambda: Sized(DualMomentum(), EqualWeight(), every=0), "Sized every"),
    ],
)
def test_parameters_are_checked(make, named):
    with pytest.raises(PortfolioError, match=named):
        make()
