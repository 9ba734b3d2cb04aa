import copy
import logging
import pickle

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import EMPIRICAL_KELLY, OPTIMAL_F, conservative, kelly_empirical, kelly_factor, optimal_f
from opeslike.strategies import Conservative, ExpandingKelly, OptimalF, RollingKelly
from tests.strategies.tools import SPLIT, market, run


def shifted(prices, lag, **options):
    """kelly_factor of the returns to P_{t - lag}, NaN as nothing."""
    factors = kelly_factor(prices.pct_change().iloc[1:], **options).fillna(0.0)
    return factors.iloc[SPLIT - 1 - lag : len(prices) - 2 - lag]


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("short", [False, True])
def test_rolling_and_expanding_hold_the_factor_of_what_is_known(lag, joint, short):
    prices = market(1, assets=2)
    options = {"joint": joint, "allow_short": short, "max_leverage": 2.0, "risk_free": 0.02}
    rolling = run(RollingKelly(window=30, **options), prices, cost=0.0, execution_lag=lag)
    np.testing.assert_allclose(rolling["weights"], shifted(prices, lag, window=30, **options), rtol=1e-12)
    expanding = run(ExpandingKelly(min_periods=20, **options), prices, cost=0.0, execution_lag=lag)
    expected = shifted(prices, lag, expanding=True, min_periods=20, **options)
    np.testing.assert_allclose(expanding["weights"], expected, rtol=1e-12)
    assert (rolling["weights"] != 0).any()


def test_fraction_comes_before_the_cap():
    prices = market(2, assets=1)
    full = run(RollingKelly(window=30), prices, cost=0.0)["weights"]
    half = run(RollingKelly(window=30, fraction=0.5, max_leverage=1.5), prices, cost=0.0)["weights"]
    np.testing.assert_allclose(half, np.minimum(0.5 * full, 1.5), rtol=1e-12)
    assert full.max() > 3.0


@pytest.mark.parametrize("window", [10, 25, 40])
def test_the_window_of_the_backtest_limits_what_is_seen(window):
    """Cached or not, the answer is that of the visible returns alone."""
    prices = market(3, assets=2)
    for strategy in (
        RollingKelly(window=25, min_periods=8, max_leverage=3.0),
        ExpandingKelly(min_periods=8, max_leverage=4.0),
    ):
        held = run(strategy, prices, cost=0.0, window=window)["weights"]
        returns = prices.pct_change().iloc[1:]
        for step in (0, 7, 60):
            stop = SPLIT - 1 + step
            seen = returns.iloc[max(0, stop - window) : stop]
            np.testing.assert_allclose(held[step], strategy.optimize(seen, kind="returns"), rtol=1e-9, atol=1e-12)


def test_many_assets_are_worked_out_one_decision_at_a_time():
    rng = np.random.default_rng(0)
    returns = pd.DataFrame(rng.normal(0.001, 0.01, (160, 20)), index=pd.bdate_range("2010-01-01", periods=160))
    strategy = RollingKelly(window=60, max_leverage=2.0)
    held = Backtester(returns[:80], returns[80:], kind="returns").backtest(strategy, reopt_freq=10)["weights"]
    expected = kelly_factor(returns, window=60, max_leverage=2.0, joint=True)
    np.testing.assert_allclose(held[10], expected.iloc[88], rtol=1e-9)


def test_a_fault_of_the_future_is_not_a_fault_today():
    """Constant prices later on make a factor unbounded: the run reaches that day, and stops there by name."""
    prices = market(4, assets=1)
    flat = prices.copy()
    flat.iloc[100:] = float(flat.iloc[100, 0]) * 1.01 ** np.arange(60)[:, None]
    good = run(RollingKelly(window=20), prices, cost=0.0)["weights"]
    with pytest.raises(DataError, match=r"RollingKelly on 2015-07-\d\d: .*'A' has no variance in the window to"):
        run(RollingKelly(window=20), flat, cost=0.0)
    short = Backtester(flat[:SPLIT], flat[SPLIT:115], cost={"const": 0}).backtest(RollingKelly(window=20))
    np.testing.assert_allclose(short["weights"][:40], good[:40], rtol=1e-12)
    capped = run(RollingKelly(window=20, max_leverage=2.0), flat, cost=0.0)["weights"]
    assert (capped[-5:] == 2.0).all()


@pytest.mark.parametrize(
    ("strategy", "needed"),
    [
        (RollingKelly(window=80, max_leverage=1.0), 80),
        (ExpandingKelly(min_periods=90, max_leverage=1.0), 90),
        (OptimalF(min_periods=80, max_leverage=1.0), 80),
        (Conservative(EMPIRICAL_KELLY, min_periods=80, max_leverage=1.0), 80),
    ],
)
def test_nothing_is_held_until_enough_is_known_and_that_is_said_once(strategy, needed, caplog):
    prices = market(8, drift=0.002)
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        held = run(strategy, prices)["weights"].any(axis=1)
    first = needed - (SPLIT - 1)  # at step t there are SPLIT - 1 + t returns
    assert not held[:first].any()
    assert held[first]
    told = [record.getMessage() for record in caplog.records if "holds nothing" in record.getMessage()]
    assert len(told) == 1
    assert f"until it has {needed} returns; {SPLIT - 1} are known on 2015-04-08" in told[0]


def test_strategies_travel_light():
    prices = market(4)
    strategy = RollingKelly(window=20, max_leverage=1.0)
    expected = run(strategy, prices)["weights"]
    for other in (pickle.loads(pickle.dumps(strategy)), copy.deepcopy(strategy)):
        assert other == strategy
        assert repr(other) == repr(strategy)
        np.testing.assert_array_equal(run(other, prices)["weights"], expected)
    assert len(pickle.dumps(strategy)) < 1000


def test_optimal_f_and_its_conservative_version():
    prices = market(5, drift=0.002)
    returns = prices.pct_change().iloc[1:]
    held = OptimalF(expected_max_loss=0.1, min_periods=50).optimize(prices)
    np.testing.assert_allclose(held, [optimal_f(returns[name], 0.1).position for name in prices], rtol=1e-9)
    careful = Conservative(OPTIMAL_F, expected_max_loss=0.1, min_periods=50, percentile=20, seed=3).optimize(prices)
    expected = [
        conservative(OPTIMAL_F, returns[name], percentile=20, seed=3, expected_max_loss=0.1).leverage for name in prices
    ]
    np.testing.assert_allclose(careful, expected, rtol=1e-9)
    assert (careful <= held).all()
    assert (careful < held).any()
    kelly = Conservative(EMPIRICAL_KELLY, min_periods=50, percentile=100, n_boot=1, window=60)
    assert kelly.optimize(prices).shape == (5,)
    capped = OptimalF(min_periods=50, max_leverage=0.7).optimize(prices)
    np.testing.assert_allclose(capped, np.minimum(OptimalF(min_periods=50).optimize(prices), 0.7))


def test_sizes_are_worked_out_when_the_backtest_asks():
    prices = market(5, drift=0.002)
    result = run(OptimalF(min_periods=20, window=40, max_leverage=3.0), prices, cost=0.0, reopt_freq=25)
    changes = np.flatnonzero(np.abs(np.diff(result["weights"], axis=0)).max(axis=1) > 0) + 1
    assert changes.tolist() == [25, 50, 75]


def test_an_asset_without_a_loss_is_not_held():
    prices = market(5)
    prices["A"] = 100 * 1.001 ** np.arange(len(prices))
    assert OptimalF(min_periods=50).optimize(prices)[0] == 0.0


def test_empirical_kelly_by_the_back_door():
    """Conservative with every outcome in place: one resample at percentile 100 is still a resample, not the sample."""
    returns = market(5, drift=0.002).pct_change().iloc[1:]
    exact = kelly_empirical(returns["A"], allow_short=False)
    size = Conservative(EMPIRICAL_KELLY, min_periods=50, percentile=50, n_boot=401).optimize(
        returns[["A"]], kind="returns"
    )
    assert size[0] == pytest.approx(exact, rel=0.35)
    assert size[0] != exact


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: RollingKelly(window=1), "RollingKelly window"),
        (lambda: RollingKelly(window=20, min_periods=30), "min_periods must be at most"),
        (lambda: RollingKelly(fraction=0.0), "RollingKelly fraction"),
        (lambda: RollingKelly(fraction=1.5), "RollingKelly fraction"),
        (lambda: RollingKelly(max_leverage=-1.0), "RollingKelly max_leverage"),
        (lambda: RollingKelly(risk_free=-1.0), "RollingKelly risk_free"),
        (lambda: RollingKelly(joint=1), "RollingKelly joint"),
        (lambda: ExpandingKelly(min_periods=1), "ExpandingKelly min_periods"),
        (lambda: ExpandingKelly(periods_per_year=0), "ExpandingKelly periods_per_year"),
        (lambda: OptimalF(expected_max_loss=0.0), "OptimalF expected_max_loss"),
        (lambda: OptimalF(window=100), "min_periods must be at most"),
        (lambda: OptimalF(max_leverage=0.0), "OptimalF max_leverage"),
        (lambda: Conservative("optimal f"), "Conservative rule"),
        (lambda: Conservative(percentile=101), "Conservative percentile"),
        (lambda: Conservative(n_boot=0), "Conservative n_boot"),
        (lambda: Conservative(block=0.5), "Conservative block"),
        (lambda: Conservative(seed=-1), "Conservative seed"),
    ],
)
def test_parameters_are_checked(make, named):
    with pytest.raises(PortfolioError, match=named):
        make()


def test_a_joint_window_must_exceed_the_assets():
    with pytest.raises(PortfolioError, match="window must exceed the number of assets"):
        run(RollingKelly(window=5), market())
