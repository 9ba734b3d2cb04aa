import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, PortfolioError
from opeslike.strategies import DualMomentum, TimeSeriesMomentum
from tests.strategies.tools import market, ohlcv, run

NAMES = list("ABCDE")


def straight(*growth, rows=31):
    """Prices that grow at constant log rates."""
    return pd.DataFrame(np.exp(np.outer(np.arange(rows), growth)), columns=list("ABCDEFGH"[: len(growth)]))


def test_time_series_momentum_by_hand():
    prices = market(1)
    logs = np.log(prices)
    expected = (logs.iloc[-4] - logs.iloc[-24]).to_numpy()
    np.testing.assert_allclose(TimeSeriesMomentum(lookback=20, skip=3).signals(prices), expected, rtol=1e-10)
    kept = TimeSeriesMomentum(lookback=20, skip=3, hurdle=0.05).signals(prices)
    np.testing.assert_allclose(kept, np.where(np.abs(expected) > 0.05, expected, 0.0), rtol=1e-10)
    longs = TimeSeriesMomentum(lookback=20, skip=3, allow_short=False).signals(prices)
    np.testing.assert_allclose(longs, np.maximum(expected, 0.0), rtol=1e-10)
    assert (kept == 0).any()
    assert (longs == 0).any()


def test_dual_momentum_ranks_and_asks_for_an_absolute_rise():
    prices = straight(0.02, 0.03, 0.01, -0.01, -0.02)
    scores = DualMomentum(lookback=10, n_long=2, n_short=1).signals(prices)
    np.testing.assert_allclose(scores, [0.2, 0.3, 0.0, 0.0, -0.2], atol=1e-12)
    # All rise: there is nothing to sell short. All fall: nothing to buy.
    assert DualMomentum(lookback=10, n_long=1, n_short=3).signals(straight(0.02, 0.03, 0.01)).tolist()[2] == 0.0
    falling = DualMomentum(lookback=10, n_long=3, n_short=1).signals(straight(-0.02, -0.03, -0.01))
    np.testing.assert_allclose(falling, [0.0, -0.3, 0.0], atol=1e-12)
    # The hurdle counts on both sides.
    scores = DualMomentum(lookback=10, n_long=5, n_short=5, hurdle=0.15).signals(prices)
    np.testing.assert_allclose(scores, [0.2, 0.3, 0.0, 0.0, -0.2], atol=1e-12)
    longs = DualMomentum(lookback=10, n_long=2, n_short=2, allow_short=False).signals(prices)
    np.testing.assert_allclose(longs, [0.2, 0.3, 0.0, 0.0, 0.0], atol=1e-12)


def test_an_asset_never_stands_on_both_sides():
    scores = DualMomentum(lookback=10, n_long=9, n_short=9).signals(straight(0.02, -0.03))
    assert np.sign(scores).tolist() == [1.0, -1.0]


def test_skip_leaves_the_last_returns_out():
    prices = straight(0.02, 0.01)
    prices.iloc[-3:, 0] *= 0.1
    assert np.sign(DualMomentum(lookback=10).signals(prices)).tolist() == [-1.0, 1.0]
    assert np.sign(DualMomentum(lookback=10, skip=3).signals(prices)).tolist() == [1.0, 0.0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4), lag=st.integers(0, 1))
def test_prices_upside_down_turn_every_position_around(seed, count, lag):
    prices = market(seed)
    rule = DualMomentum(lookback=20, n_long=count, n_short=count)
    held = run(rule, prices, cost=0.0, execution_lag=lag)["weights"]
    turned = run(rule, 1e4 / prices, cost=0.0, execution_lag=lag)["weights"]
    np.testing.assert_allclose(turned, -held, atol=1e-15)
    assert np.abs(held).sum() > 0


def test_volatility_filter_frees_the_rank():
    rng = np.random.default_rng(0)
    prices = straight(0.02, 0.03, 0.01) * np.exp(rng.normal(0, [0.0, 0.1, 0.0], (31, 3)))
    rule = DualMomentum(lookback=10, n_long=1, n_short=0, vol_lookback=20, max_vol=0.5)
    assert np.sign(rule.signals(prices)).tolist() == [1.0, 0.0, 0.0]
    returns = prices.pct_change().iloc[1:]
    edge = float(returns["B"].iloc[-20:].std() * np.sqrt(252))
    assert np.sign(DualMomentum(lookback=10, n_long=2, n_short=0, max_vol=edge * 1.001).signals(prices))[1] == 1.0
    assert np.sign(DualMomentum(lookback=10, n_long=2, n_short=0, max_vol=edge * 0.999).signals(prices))[1] == 0.0


def test_volatility_is_annualised_by_the_backtest():
    prices = market(0, scale=0.01)
    rule = DualMomentum(lookback=20, n_long=5, n_short=5, max_vol=0.22)
    stocks = run(rule, prices)["weights"]
    crypto = run(rule, prices, tester={"periods_per_year": 365})["weights"]
    assert np.count_nonzero(stocks) > np.count_nonzero(crypto)


def test_regime_filter_blocks_one_side():
    # A and B rise, C falls; the market is led by the named asset.
    prices = straight(0.02, 0.01, -0.03)
    options = {"lookback": 10, "n_long": 1, "n_short": 1, "regime_window": 15}
    assert np.sign(DualMomentum(**options, regime_asset="A").signals(prices)).tolist() == [1.0, 0.0, 0.0]
    assert np.sign(DualMomentum(**options, regime_asset="C").signals(prices)).tolist() == [0.0, 0.0, -1.0]
    # The average asset: the mean return of the three is about zero here, above with a stronger A.
    assert np.sign(DualMomentum(**options).signals(straight(0.06, 0.01, -0.03))).tolist() == [1.0, 0.0, 0.0]
    assert np.sign(DualMomentum(**options).signals(straight(0.01, 0.01, -0.05))).tolist() == [0.0, 0.0, -1.0]


def test_regime_compares_the_close_with_its_own_average():
    prices = market(3)
    for window in (2, 5, 30):
        for name in NAMES:
            close = prices[name]
            bull = close.iloc[-1] > close.iloc[-window:].mean()
            rule = DualMomentum(lookback=20, n_long=5, n_short=5, regime_window=window, regime_asset=name)
            sides = np.sign(rule.signals(prices))
            assert (sides >= 0).all() if bull else (sides <= 0).all()
            assert sides.any()


def test_volume_filter():
    prices = ohlcv(market(3))
    traded = prices["Volume"].iloc[-5:].mean()
    rule = DualMomentum(
        lookback=20, n_long=5, n_short=5, volume_lookback=5, min_volume=float(traded.sort_values().iloc[2])
    )
    held = rule.signals(prices) != 0
    np.testing.assert_array_equal(held, (traded >= traded.sort_values().iloc[2]).to_numpy())
    # Missing days do not count; an asset without any is not held.
    prices.loc[prices.index[-5:], ("Volume", "A")] = np.nan
    prices.loc[prices.index[-4:], ("Volume", "B")] = np.nan
    prices.loc[prices.index[-5], ("Volume", "B")] = 100.0
    held = rule.signals(prices) != 0
    assert held[:2].tolist() == [False, True]


def test_volume_is_asked_for_where_it_lacks():
    rule = DualMomentum(lookback=20, min_volume=1.0)
    assert not rule.accepts_market
    with pytest.raises(DataError, match="needs volume"):
        rule.signals(market())
    with pytest.raises(DataError, match="no 'Volume' field"):
        rule.signals(pd.concat({"Close": market()}, axis=1))
    with pytest.raises(DataError, match="which B lacks"):
        rule.signals(ohlcv(market()).drop(columns=[("Volume", "B")]))
    with pytest.raises(DataError, match="needs volume"):
        run(rule, market())


def test_unknown_regime_asset():
    with pytest.raises(DataError, match="'ZZ' is not among the assets"):
        DualMomentum(lookback=5, regime_window=5, regime_asset="ZZ").signals(market())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: DualMomentum(lookback=0), "DualMomentum lookback"),
        (lambda: DualMomentum(lookback=2.5), "DualMomentum lookback"),
        (lambda: DualMomentum(skip=-1), "DualMomentum skip"),
        (lambda: DualMomentum(n_long=-1), "DualMomentum n_long"),
        (lambda: DualMomentum(n_long=0, n_short=0), "n_long and n_short"),
        (lambda: DualMomentum(n_long=0, n_short=1, allow_short=False), "n_long and n_short"),
        (lambda: DualMomentum(hurdle=-0.1), "DualMomentum hurdle"),
        (lambda: DualMomentum(vol_lookback=1), "DualMomentum vol_lookback"),
        (lambda: DualMomentum(max_vol=0.0), "DualMomentum max_vol"),
        (lambda: DualMomentum(max_vol=float("nan")), "DualMomentum max_vol"),
        (lambda: DualMomentum(volume_lookback=0), "DualMomentum volume_lookback"),
        (lambda: DualMomentum(min_volume=-1.0), "DualMomentum min_volume"),
        (lambda: DualMomentum(regime_window=1), "DualMomentum regime_window"),
        (lambda: DualMomentum(regime_asset="A"), "regime_asset needs regime_window"),
        (lambda: DualMomentum(allow_short=1), "DualMomentum allow_short"),
        (lambda: TimeSeriesMomentum(lookback=0), "TimeSeriesMomentum lookback"),
        (lambda: TimeSeriesMomentum(skip=-1), "TimeSeriesMomentum skip"),
        (lambda: TimeSeriesMomentum(hurdle="x"), "TimeSeriesMomentum hurdle"),
        (lambda: TimeSeriesMomentum(allow_short=None), "TimeSeriesMomentum allow_short"),
    ],
)
def test_parameters_are_checked(make, named):
    with pytest.raises(PortfolioError, match=named):
        make()
