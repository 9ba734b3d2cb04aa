"""What a strategy sees when, and that nothing sees the future."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.accounting.overlays import DrawdownScaling, LeverageCap, VolatilityScaling
from opeslike.backtester import Backtester
from opeslike.errors import DataError, PortfolioError


class Frame:
    """Trend over a frame of prices or returns; keeps what it saw."""

    def __init__(self):
        self.seen = []

    def optimize(self, data, w=None):
        self.seen.append(data)
        values = np.asarray(data)
        tilt = (
            np.exp(5 * (values[-1] / values[-min(len(values), 15)] - 1)) if (values > 0).all() else values[-5:].sum(0)
        )
        weights = tilt / np.abs(tilt).sum()
        return weights if w is None else 0.7 * weights + 0.3 * w


class FromMarket:
    accepts_market = True

    def __init__(self):
        self.seen = []

    def optimize(self, data):
        self.seen.append((data.dates[0], data.dates[-1], data.n_scenarios, np.shares_memory(data.returns, self.base)))
        score = data.returns[-10:].mean(axis=0)
        return np.exp(50 * score) / np.exp(50 * score).sum()

    base = np.empty(0)


class Fitted:
    """In the style of scikit-learn."""

    def fit(self, X, y=None):
        score = X.iloc[-10:].mean()
        self.weights_ = np.exp(50 * score.to_numpy()) / np.exp(50 * score.to_numpy()).sum()
        return self


class OfState:
    """Looks at the account: the worse it goes, the less it holds."""

    def optimize(self, data, state, **kwargs):
        values = np.asarray(data)
        tilt = values[-1] / values[-2]
        won = sum(trade.profit > 0 for trade in state.trades)
        size = (0.2 if won % 2 else 1.0) * state.wealth / state.peak
        keep = tilt > np.median(tilt)
        return size * keep / max(keep.sum(), 1)


def closes(rows=90, seed=0, scale=0.02, assets=3):
    values = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(0, scale, (rows, assets)), axis=0)
    return pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=rows), columns=list("ABCDE")[:assets])


def ran(prices, strategy, split=40, tester=None, **run):
    return Backtester(prices[:split], prices[split:], **(tester or {})).backtest(strategy, **run)


@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("window", [None, 12])
def test_data_end_with_the_close_before_the_lag(lag, window):
    prices = closes()
    strategy = Frame()
    ran(prices, strategy, reopt_freq=7, execution_lag=lag, window=window)
    assert len(strategy.seen) == 7
    for i, seen in enumerate(strategy.seen):
        last = 40 + 7 * i - lag
        first = 0 if window is None else last - window
        assert seen.index.equals(prices.index[first : last + 1])
        np.testing.assert_array_equal(seen, prices.iloc[first : last + 1])


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("window", [None, 12])
def test_markets_are_windows_of_one_array(lag, window):
    prices = closes()
    tester = Backtester(prices[:40], prices[40:])
    strategy = FromMarket()
    strategy.base = tester.feed.market.returns
    tester.backtest(strategy, reopt_freq=10, execution_lag=lag, window=window)
    for i, (first, last, rows, shared) in enumerate(strategy.seen):
        assert last == prices.index[40 + 10 * i - lag]
        assert rows == (window or 40 + 10 * i - lag)
        assert first == prices.index[40 + 10 * i - lag - rows + 1]
        assert shared


def test_market_and_frame_see_the_same_returns():
    prices = closes()

    class ByFrame:
        def optimize(self, data):
            score = data.pct_change().dropna().to_numpy()[-10:].mean(axis=0)
            return np.exp(50 * score) / np.exp(50 * score).sum()

    runs = [ran(prices, strategy, reopt_freq=3) for strategy in (FromMarket(), ByFrame(), Fitted())]
    for other in runs[1:]:
        np.testing.assert_allclose(other["weights"], runs[0]["weights"], rtol=1e-12)


def test_weights_are_held_from_close_to_close():
    prices = closes()
    result = ran(prices, FromMarket(), tester={"cost": {"const": 0}})
    moves = prices.pct_change().iloc[41:].to_numpy()
    assert result.timeline.equals(prices.index[41:])
    np.testing.assert_allclose(result["returns"], (result["weights"] * moves).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize(("rebalance", "reopt"), [(1, 4), (4, 1), (3, 5), (6, 2)])
def test_trades_and_reoptimisations_keep_their_own_calendars(rebalance, reopt):
    prices = closes()

    class Counter:
        def __init__(self):
            self.calls = 0

        def optimize(self, data):
            self.calls += 1
            return [self.calls / 100, 0.0, 0.0]

    strategy = Counter()
    result = ran(prices, strategy, rebalance_freq=rebalance, reopt_freq=reopt)
    assert strategy.calls == -(-49 // reopt)
    held = result["weights"][:, 0]
    for t in range(0, 49, rebalance):
        assert held[t] == pytest.approx((t // reopt + 1) / 100, rel=1e-15)
    moves = prices.pct_change().iloc[41:, 0].to_numpy()
    for t in range(1, 49):
        if t % rebalance:
            assert held[t] == pytest.approx(
                held[t - 1] * (1 + moves[t - 1]) / (1 + held[t - 1] * moves[t - 1]), rel=1e-13
            )


@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize("strategy", [FromMarket, Fitted, OfState], ids=lambda s: s.__name__)
def test_prices_and_returns_give_the_same_path(strategy, lag):
    """Row t of the test returns is the step from P_t; the training returns end with the move to P_0."""
    prices = closes()
    returns = prices.pct_change().dropna()
    split = prices.index[40]

    class ByReturns(OfState):
        def optimize(self, data, state, **kwargs):
            return super().optimize(np.cumprod(1 + np.asarray(data), axis=0), state=state)

    one = ran(prices, strategy(), execution_lag=lag, reopt_freq=3, rebalance_freq=2)
    tester = Backtester(returns.loc[:split], returns.loc[split:].iloc[1:], kind="returns")
    two = tester.backtest(
        ByReturns() if strategy is OfState else strategy(), execution_lag=lag, reopt_freq=3, rebalance_freq=2
    )
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=1e-11)
    np.testing.assert_allclose(two["returns"], one["returns"], rtol=0, atol=1e-13)
    assert two.timeline.equals(one.timeline)
    assert [date for date, _ in two.solutions] == [date for date, _ in one.solutions]


RUNS = [
    (Frame, {}),
    (Frame, {"window": 20, "reopt_freq": 3}),
    (FromMarket, {}),
    (FromMarket, {"window": 15, "execution_lag": 0, "rebalance_freq": 4}),
    (Fitted, {"reopt_freq": 2}),
    (OfState, {}),
    (OfState, {"execution_lag": 0, "rebalance_freq": 3}),
    (OfState, {"execution_lag": 2}),
    (Frame, {"overlays": [VolatilityScaling(0.1, 10), DrawdownScaling(0.02, 0.05, recovery=4)]}),
    (OfState, {"overlays": [DrawdownScaling(0.01, 0.03), LeverageCap(gross=0.7)], "rebalance_freq": 5}),
]


@pytest.mark.parametrize(("strategy", "run"), RUNS, ids=lambda value: getattr(value, "__name__", str(value))[:60])
@given(seed=st.integers(0, 1000), step=st.integers(0, 48))
@settings(max_examples=12, deadline=None)
@pytest.mark.filterwarnings("ignore:the data look wrong")
def test_changing_the_future_changes_nothing_before_it(strategy, run, seed, step):
    """Prices after P_step are replaced: weights up to that step and returns before it stay."""
    prices = closes(seed=seed)
    changed = prices.copy()
    changed.iloc[40 + step + 1 :] = closes(seed=seed + 5000, scale=0.05).iloc[40 + step + 1 :]
    one, two = (ran(p, strategy(), tester={"risk_free": 0.02}, **run) for p in (prices, changed))
    for key in ("weights", "costs", "turnover", "cash"):
        np.testing.assert_array_equal(one[key][: step + 1], two[key][: step + 1])
    for key in ("returns", "wealth"):
        np.testing.assert_array_equal(one[key][:step], two[key][:step])
    if step < 48:
        assert not np.array_equal(one["returns"][step:], two["returns"][step:]) or not one["weights"][step:].any()


@pytest.mark.parametrize("strategy", [Frame, FromMarket, Fitted, OfState], ids=lambda s: s.__name__)
@pytest.mark.parametrize("lag", [1, 2])
def test_with_a_lag_the_close_traded_at_does_not_matter_either(strategy, lag):
    prices = closes()
    for step in (5, 20, 40):
        changed = prices.copy()
        changed.iloc[40 + step - lag + 1 :] *= np.random.default_rng(1).uniform(
            0.8, 1.2, changed.iloc[40 + step - lag + 1 :].shape
        )
        one, two = (ran(p, strategy(), execution_lag=lag)["weights"] for p in (prices, changed))
        np.testing.assert_array_equal(one[: step + 1], two[: step + 1])
        assert not np.array_equal(one[step + 1], two[step + 1])


def test_training_set_too_short_for_the_lag():
    prices = closes()
    with pytest.raises(DataError, match="train_data has 3 usable rows before the test, but execution_lag=3 needs"):
        ran(prices, Frame(), split=3, execution_lag=3)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rebalance_freq": 0}, "rebalance_freq"),
        ({"reopt_freq": 1.5}, "reopt_freq"),
        ({"reopt_freq": True}, "reopt_freq"),
        ({"window": 0}, "window"),
        ({"execution_lag": -1}, "execution_lag"),
        ({"seed": "x"}, "seed"),
        ({"clean_weights": 1e-8}, "clean_weights=1e-08 must be True or False"),
        ({"entry_cost": "no"}, "entry_cost='no' must be True or False"),
        ({"progress": 2}, "progress=2 must be True or False"),
    ],
)
def test_bad_settings_are_named(options, word):
    with pytest.raises(PortfolioError, match=word):
        ran(closes(), Frame(), **options)
