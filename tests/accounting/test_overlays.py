import numpy as np
import pandas as pd
import pytest

from opeslike.accounting.overlays import DrawdownScaling, LeverageCap, StopAfterRuin, VolatilityScaling
from opeslike.backtester import Backtester
from opeslike.errors import DataError, OptimizationError, PortfolioError


class Hold:
    def __init__(self, *weights):
        self.weights = np.array(weights)

    def optimize(self, data):
        return self.weights


def market(seed=0, rows=400, assets=2, scale=0.02, drift=0.0):
    rng = np.random.default_rng(seed)
    index = pd.bdate_range("2015-01-01", periods=rows)
    values = 100 * np.cumprod(1 + rng.normal(drift, scale, (rows, assets)), axis=0)
    return pd.DataFrame(values, index=index, columns=list("ABCDEFG"[:assets]))


def run(strategy, overlays, prices=None, cost=0.0, **options):
    prices = market() if prices is None else prices
    tester = Backtester(prices[:100], prices[100:], cost={"const": cost}, **options.pop("tester", {}))
    return tester.backtest(strategy, overlays=overlays, **options)


def drawdowns(result):
    """Drawdown at P_t, before the step."""
    wealth = np.concatenate(([result.initial_capital], result["wealth"]))
    return (1 - wealth / np.maximum.accumulate(wealth))[:-1]


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_drawdown_scaling_is_flat_beyond_hard_and_never_above_full_size(every):
    flat_somewhere = scaled_somewhere = False
    for seed in range(6):
        prices = market(seed, drift=-0.001)
        result = run(Hold(0.6, 0.4), [DrawdownScaling(0.10, 0.13)], prices, 10, rebalance_freq=every, reopt_freq=1000)
        full = run(Hold(0.6, 0.4), [], prices, 10, rebalance_freq=every, reopt_freq=1000)
        deep = drawdowns(result)
        held, wanted = result["weights"], full["weights"]
        assert (np.abs(held) <= np.abs(wanted) + 1e-14).all()
        beyond = deep >= 0.13
        assert not held[beyond].any()
        expected = np.where(deep <= 0.10, 1.0, (0.13 - deep) / 0.03)
        inside = ~np.maximum.accumulate(beyond)
        np.testing.assert_allclose(held[inside], wanted[inside] * expected[inside, None], atol=1e-13)
        # Once out, out for good.
        if beyond.any():
            assert not held[int(np.argmax(beyond)) :].any()
            flat_somewhere = True
        scaled_somewhere |= bool(((deep > 0.10) & (deep < 0.13)).any())
    assert flat_somewhere
    assert scaled_somewhere


def test_full_size_causes_no_trade_between_dates():
    free = run(Hold(0.5, 0.5), [], cost=20, rebalance_freq=50, reopt_freq=50)
    same = run(
        Hold(0.5, 0.5), [DrawdownScaling(0.98, 0.99), LeverageCap(gross=5)], cost=20, rebalance_freq=50, reopt_freq=50
    )
    for key in ("weights", "turnover", "costs", "returns"):
        np.testing.assert_allclose(same[key], free[key], atol=1e-15)
    assert np.count_nonzero(same["turnover"]) == 6


def test_scaling_between_dates_is_charged():
    prices = market(3, drift=-0.002)
    result = run(Hold(0.5, 0.5), [DrawdownScaling(0.02, 0.5)], prices, cost=50, rebalance_freq=1000)
    acted = result["turnover"] > 0
    assert acted[1:].sum() > 50
    np.testing.assert_allclose(result["costs"], 0.005 * result["turnover"], rtol=1e-12)


def test_recovery_re_enters_after_that_many_flat_steps_with_a_new_peak():
    prices = market(4, drift=-0.003)
    result = run(Hold(0.5, 0.5), [DrawdownScaling(0.05, 0.06, recovery=10)], prices)
    out = result["weights"].sum(axis=1) == 0
    starts = np.flatnonzero(out & ~np.concatenate(([False], out[:-1])))
    ends = np.flatnonzero(out & ~np.concatenate((out[1:], [False])))
    assert len(starts) >= 3
    assert (ends - starts + 1)[:-1].tolist() == [10] * (len(starts) - 1)
    np.testing.assert_allclose(result["weights"][ends[0] + 1], [0.5, 0.5])


def test_volatility_scaling_by_hand():
    prices = market(5)
    overlay = VolatilityScaling(target=0.10, lookback=30, cap=2.0)
    result = run(Hold(0.7, 0.3), [overlay], prices)
    returns = prices.pct_change().to_numpy()
    for t in (0, 1, 57, 298):
        # With a lag of one the last return seen at step t ends at P_{t-1}, row 99 + t of the prices.
        seen = returns[70 + t : 100 + t] @ [0.7, 0.3]
        factor = min(2.0, 0.10 / (seen.std(ddof=1) * 252**0.5))
        np.testing.assert_allclose(result["weights"][t], np.array([0.7, 0.3]) * factor, rtol=1e-12)


def test_volatility_scaling_caps_where_there_is_no_risk():
    prices = market(5)
    prices[:] = 100.0
    result = run(Hold(0.5, 0.0), [VolatilityScaling(0.1, 20, cap=1.5)], prices)
    np.testing.assert_allclose(result["weights"][:, 0], 0.75)


def test_volatility_scaling_needs_its_lookback():
    with pytest.raises(DataError, match="looks back over 150 returns but only 99"):
        run(Hold(0.5, 0.5), [VolatilityScaling(0.1, 150)])


@pytest.mark.parametrize("weights", [(2.0, 1.0), (2.0, -1.5), (-3.0, 0.5)])
@pytest.mark.parametrize("every", [1, 20])
def test_leverage_caps_hold_at_every_step(weights, every):
    prices = market(6, scale=0.01)
    result = run(Hold(*weights), [LeverageCap(gross=1.5, net=0.8)], prices, rebalance_freq=every)
    assert result.gross_exposure.max() <= 1.5 + 1e-12
    assert result.net_exposure.abs().max() <= 0.8 + 1e-12
    first = np.array(weights) * min(1.5 / np.abs(weights).sum(), 0.8 / abs(sum(weights)))
    np.testing.assert_allclose(result["weights"][0], first)


def test_overlays_compose_in_order():
    prices = market(7, scale=0.01)
    cap_last = run(Hold(1.0, 1.0), [VolatilityScaling(1.0, 20, cap=3.0), LeverageCap(gross=1.0)], prices)
    cap_first = run(Hold(1.0, 1.0), [LeverageCap(gross=1.0), VolatilityScaling(1.0, 20, cap=3.0)], prices)
    np.testing.assert_allclose(cap_last.gross_exposure, 1.0)
    np.testing.assert_allclose(cap_first.gross_exposure, 3.0)


def test_stop_after_ruin_closes_for_good():
    prices = market(8, drift=-0.004)
    result = run(Hold(0.5, 0.5), [StopAfterRuin(0.8)], prices, tester={"initial_capital": 100.0})
    wealth = np.concatenate(([100.0], result["wealth"]))[:-1]
    first = int(np.argmax(wealth <= 80))
    assert first > 0
    assert not result["weights"][first:].any()
    assert result["weights"][:first].any(axis=1).all()


def test_each_run_starts_afresh():
    prices = market(3, drift=-0.003)
    overlays = [DrawdownScaling(0.01, 0.05)]
    one, two = (run(Hold(0.5, 0.5), overlays, prices) for _ in range(2))
    assert not one["weights"][-1].any()
    np.testing.assert_array_equal(one["weights"], two["weights"])


@pytest.mark.filterwarnings("ignore:the data look wrong")
def test_a_desired_portfolio_that_would_be_ruined_is_nothing_until_the_next_date():
    prices = market(0, assets=1)
    prices.iloc[150:] *= 0.5
    result = run(Hold(3.0), [LeverageCap(gross=1.0)], prices, rebalance_freq=100)
    held = result["weights"][:, 0]
    # The crash falls into step 49.
    assert held[49] == pytest.approx(1.0)
    assert not held[50:100].any()
    assert held[100] == pytest.approx(1.0)


class Odd:
    def apply(self, weights, state):
        return weights[:1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DrawdownScaling(0.2, 0.1), ["soft=0.2", "hard=0.1"]),
        (lambda: DrawdownScaling(-0.1, 0.1), ["soft=-0.1"]),
        (lambda: DrawdownScaling(20, 40), ["soft=20", "0.2 is a drawdown of 20%"]),
        (lambda: DrawdownScaling(0.1, 0.2, recovery=0), ["recovery", "0"]),
        (lambda: VolatilityScaling(0.0), ["target"]),
        (lambda: VolatilityScaling(0.1, 1), ["lookback"]),
        (lambda: VolatilityScaling(0.1, cap=float("nan")), ["cap"]),
        (lambda: LeverageCap(), ["gross= or net="]),
        (lambda: LeverageCap(gross=-1), ["gross"]),
        (lambda: StopAfterRuin(1.0), ["floor"]),
        (lambda: run(Hold(0.5, 0.5), [LeverageCap]), ["LeverageCap", "instances"]),
        (lambda: run(Hold(0.5, 0.5), [0.5]), ["0.5 is not an overlay"]),
    ],
)
def test_bad_overlays_name_the_parameter(make, words):
    with pytest.raises(PortfolioError) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_an_overlay_that_returns_the_wrong_shape_is_named():
    with pytest.raises(OptimizationError, match="Odd on 2015-05-21"):
        run(Hold(0.5, 0.5), [Odd()])
