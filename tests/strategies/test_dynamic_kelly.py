import numpy as np
import pytest

from opeslike.sizing import kelly_binary
from opeslike.strategies import DualMomentum, DynamicKelly, Sized, Trade
from tests.strategies.tools import market, run


def trade(made):
    return Trade("A", 1, 0, 1, 100.0, 100.0 * made, 0.0, False)


def test_the_prior_alone():
    sizer = DynamicKelly(win_rate=0.58, win_loss_ratio=2.0)
    assert sizer.odds(()) == (0.58, 2.0)
    weights = sizer.size([1.0, -1.0, 0.0, 0.0, 0.0], market())
    np.testing.assert_allclose(weights, [0.37, -0.37, 0, 0, 0])  # .58 - .42 / 2
    halved = DynamicKelly(kelly_fraction=0.5).size([1.0, -1.0, 0.0, 0.0, 0.0], market())
    np.testing.assert_allclose(halved, [0.185, -0.185, 0, 0, 0])
    capped = DynamicKelly(max_leverage=0.5).size([1.0, -1.0, 1.0, 1.0, 0.0], market())
    np.testing.assert_allclose(capped, [0.125, -0.125, 0.125, 0.125, 0])
    hopeless = DynamicKelly(win_rate=0.3, win_loss_ratio=1.0).size(np.ones(5), market())
    assert not hopeless.any()


def test_trades_are_blended_in_by_their_number():
    sizer = DynamicKelly(win_rate=0.5, win_loss_ratio=2.0, prior_trades=10)
    made = [0.03, -0.01, 0.05, 0.0, -0.03]
    p, b = sizer.odds([trade(m) for m in made])
    assert p == pytest.approx((10 * 0.5 + 2) / (10 + 4))
    assert b == pytest.approx((5 * 2.0 + 2 * (0.04 / 0.02)) / (5 + 2))
    many = DynamicKelly(win_rate=0.5, win_loss_ratio=2.0, prior_trades=10)
    p, b = many.odds([trade(m) for m in made * 5000])
    assert p == pytest.approx(0.5, abs=1e-3)
    assert b == pytest.approx(2.0)
    only = DynamicKelly(win_rate=0.5, win_loss_ratio=7.0, prior_trades=0)
    assert only.odds(()) == (0.5, 7.0)
    assert only.odds([trade(0.01)]) == (1.0, 7.0)
    assert only.odds([trade(m) for m in (0.02, -0.01, -0.01)]) == (pytest.approx(1 / 3), pytest.approx(2.0))


def test_counting_on_equals_counting_anew():
    rng = np.random.default_rng(0)
    trades = [trade(m) for m in rng.normal(0, 0.02, 50)]
    growing = DynamicKelly()
    for count in (0, 1, 7, 7, 30, 50):
        assert growing.odds(trades[:count]) == DynamicKelly().odds(trades[:count])
    other = [trade(m) for m in rng.normal(0, 0.02, 60)]
    assert growing.odds(other) == DynamicKelly().odds(other)
    assert growing.odds(other[:3]) == DynamicKelly().odds(other[:3])


@pytest.mark.parametrize("lag", [0, 1])
def test_weights_follow_the_trades_closed_so_far(lag):
    prices = market(2, rows=260, assets=3, scale=0.03)
    sizer = DynamicKelly(prior_trades=4)
    rule = DualMomentum(lookback=5)
    result = run(Sized(rule, sizer), prices, execution_lag=lag, rebalance_freq=3, reopt_freq=3)
    trades = result.trades[~result.trades["open"]]
    closes = prices.index[60:]
    seen = set()
    for step in range(0, len(result["weights"]), 3):
        # Closed by the trading before P_t with lag 0, at P_{t - lag} or before with a lag.
        last = closes[step - max(lag, 1)] if step >= max(lag, 1) else None
        known = trades[trades["exit"] <= last] if last is not None else trades.iloc[:0]
        made = known["profit"] / known["notional"]
        p, b = DynamicKelly(prior_trades=4).odds([trade(m) for m in made])
        weights = result["weights"][step]
        np.testing.assert_allclose(np.abs(weights[weights != 0]), kelly_binary(p, b), rtol=1e-9)
        seen.add(round(kelly_binary(p, b), 6))
    assert len(seen) > 5
    # One instance serves another run, which starts from the prior again.
    again = run(Sized(rule, sizer), prices, execution_lag=lag, rebalance_freq=3, reopt_freq=3)
    np.testing.assert_array_equal(again["weights"], result["weights"])


def test_the_log_says_once_a_run_that_nothing_is_held_any_more(caplog):
    losing = market(1, rows=300, drift=0.0)
    strategy = Sized(DualMomentum(lookback=1), DynamicKelly(win_rate=0.4, win_loss_ratio=1.6, prior_trades=1))
    for _ in range(2):
        caplog.clear()
        result = run(strategy, losing, cost=100.0)
        said = [record.getMessage() for record in caplog.records if "DynamicKelly" in record.name + record.getMessage()]
        assert len(said) == 1
        assert "ask for no bet" in said[0]
        first = int(np.argmax(~result["weights"].any(axis=1)))
        assert not result["weights"][first + 2 :].any()
        # Known the day before it is acted on.
        assert f"on {(losing.index[60:][first - 1]).date()}" in said[0]
        assert f"after {(result.trades['exit'] < losing.index[60 + first]).sum()} closed trades" in said[0]
    hopeless = Sized(DualMomentum(lookback=1), DynamicKelly(win_rate=0.3, win_loss_ratio=1.0))
    for _ in range(2):
        caplog.clear()
        assert not run(hopeless, losing)["weights"].any()
        assert len([record for record in caplog.records if "after 0 closed trades" in record.getMessage()]) == 1
