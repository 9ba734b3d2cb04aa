"""Any object with optimize(data, ...) or fit(returns) works, and errors say who, when and why."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from opeslike.accounting.overlays import LeverageCap
from opeslike.backtester import Backtester
from opeslike.errors import DataError, InfeasibleError, OpesLikeError, OptimizationError, PortfolioError
from opeslike.strategies import State, Strategy
from opeslike.strategies.protocol import HOLD

ASSETS = ["AA", "BB", "CC"]


def closes(rows=60, seed=0):
    values = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(0, 0.02, (rows, 3)), axis=0)
    return pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=rows), columns=ASSETS)


def ran(strategy, prices=None, tester=None, **run):
    prices = closes() if prices is None else prices
    return Backtester(prices[:40], prices[40:], **(tester or {})).backtest(strategy, **run)


class Answers:
    def __init__(self, answer):
        self.answer = answer

    def optimize(self, data):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


THIRD = np.full(3, 1 / 3)


@pytest.mark.parametrize(
    "answer",
    [
        THIRD,
        THIRD.tolist(),
        pd.Series(THIRD),
        pd.Series(THIRD, index=["CC", "AA", "BB"]),
        {"BB": 1 / 3, "AA": 1 / 3, "CC": 1 / 3},
        THIRD.astype(np.float32).astype(float),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_weights_in_any_form(answer):
    np.testing.assert_allclose(ran(Answers(answer))["weights"], 1 / 3, rtol=1e-7)


def test_labelled_weights_are_matched_by_name():
    result = ran(Answers(pd.Series([0.1, 0.2, 0.7], index=["CC", "AA", "BB"])))
    assert result.weights.iloc[0].to_dict() == {"AA": 0.2, "BB": 0.7, "CC": 0.1}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, ["returned None"]),
        ([0.5, 0.5], ["shape (2,)", "3 assets"]),
        ([[0.5, 0.2, 0.3]], ["shape (1, 3)"]),
        (0.3, ["shape ()"]),
        ([0.5, np.nan, 0.5], ["weight of BB is nan"]),
        ([0.5, 0.5, -np.inf], ["weight of CC is -inf"]),
        (["a", "b", "c"], ["not numbers"]),
        ({"AA": 1.0}, ["lack BB, CC"]),
        (pd.Series([0.2] * 4, index=[*ASSETS, "DD"]), ["name DD"]),
        (ZeroDivisionError("float division by zero"), ["ZeroDivisionError: float division by zero"]),
        (KeyError("Close"), ["KeyError: 'Close'"]),
    ],
    ids=str,
)
def test_unusable_answers_name_strategy_date_and_cause(answer, words):
    with pytest.raises(OptimizationError) as error:
        ran(Answers(answer))
    text = str(error.value)
    assert text.startswith("Answers on 2020-02-26: ")
    for word in words:
        assert word in text
    if isinstance(answer, Exception):
        assert error.value.__cause__ is answer


@pytest.mark.parametrize("kind", [InfeasibleError, PortfolioError, DataError, OptimizationError, OpesLikeError])
def test_errors_of_this_package_keep_their_class(kind):
    class Own(kind):
        def __init__(self, number, text):
            super().__init__(text)

    for raised in (kind("no weights"), Own(3, "no weights")):
        with pytest.raises(kind, match="Answers on 2020-02-26: no weights") as error:
            ran(Answers(raised))
        assert type(error.value) is kind
        assert error.value.__cause__ is raised


def test_an_interrupt_passes_untouched():
    class Stopped:
        def optimize(self, data):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ran(Stopped())


def test_the_date_is_that_of_the_step():
    class Late:
        calls = 0

        def optimize(self, data):
            self.calls += 1
            return THIRD if self.calls < 3 else [np.nan] * 3

    with pytest.raises(OptimizationError, match="Late on 2020-03-11: "):
        ran(Late(), reopt_freq=5)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (Answers, ["Answers is a class", "Answers()"]),
        (object(), ["object is not a strategy", "optimize(data)", "fit(returns)"]),
        (lambda data: THIRD, ["function is not a strategy"]),
        (None, ["NoneType is not a strategy"]),
        (THIRD, ["ndarray is not a strategy"]),
    ],
    ids=lambda value: value.__class__.__name__,
)
def test_what_is_not_a_strategy(thing, words):
    with pytest.raises(PortfolioError) as error:
        ran(thing)
    for word in words:
        assert word in str(error.value)


def test_keywords_are_passed_only_if_the_signature_names_them():
    got = []

    class Some:
        def optimize(self, data, *, weight_bounds=None, seed=None, **kwargs):
            got.append((weight_bounds, seed, kwargs))
            return THIRD

    ran(Some(), weight_bounds=(0, 0.5), seed=7, reopt_freq=10)
    assert got == [((0, 0.5), 7, {})] * 2


def test_weight_bounds_that_cannot_be_passed_are_told(caplog):
    ran(Answers(THIRD), weight_bounds=(0, 0.5))
    assert "Answers does not take weight_bounds" in caplog.text


def test_w_is_the_last_target():
    got = []

    class Warm:
        def optimize(self, data, w="cold"):
            got.append(w)
            return np.array([len(got), 0.0, 0.0]) / 10

    class Needs:
        def optimize(self, data, w):
            got.append(w)
            return THIRD

    ran(Warm(), reopt_freq=7, rebalance_freq=100)
    assert got[0] == "cold"
    assert [w.tolist() for w in got[1:]] == [[0.1, 0, 0], [0.2, 0, 0]]
    got.clear()
    ran(Needs(), reopt_freq=10)
    assert got[0] is None
    assert got[1].tolist() == THIRD.tolist()


def test_an_answer_that_is_reused_by_the_strategy_is_copied():
    class Reuses:
        def __init__(self):
            self.buffer = np.zeros(3)

        def optimize(self, data):
            self.buffer[0] += 0.1
            return self.buffer

    held = ran(Reuses(), reopt_freq=7)["weights"][:, 0]
    assert held[[0, 7, 14]].tolist() == pytest.approx([0.1, 0.2, 0.3])


class Cleaned(Answers):
    def clean_weights(self, threshold=0.2):
        return np.where(np.abs(self.answer) < threshold, 0.0, self.answer)


def test_clean_weights_asks_the_strategy_or_keeps_the_sum():
    weights = np.array([0.5, 0.5 - 4e-9, 4e-9])
    plain = ran(Answers(weights), clean_weights=True)["weights"][0]
    assert plain[2] == 0
    assert plain.sum() == pytest.approx(1.0, abs=1e-15)
    assert ran(Answers(weights))["weights"][0, 2] == 4e-9
    own = ran(Cleaned(np.array([0.5, 0.4, 0.1])), clean_weights=True)["weights"][0]
    assert own.tolist() == [0.5, 0.4, 0.0]
    neutral = np.array([0.5, -0.5 + 1e-17, 1e-10])
    assert ran(Answers(neutral), clean_weights=True)["weights"][0].tolist() == [0.5, neutral[1], 0.0]


def test_state_is_as_of_the_last_close_seen():
    prices = closes()
    for lag in (0, 1, 3):
        states = []

        class Looks:
            def optimize(self, data, state):
                states.append(state)  # noqa: B023
                assert state.date == data.index[-1]
                return THIRD

        result = ran(Looks(), prices, {"cost": {"const": 10}, "initial_capital": 1000.0}, execution_lag=lag)
        wealth = np.concatenate(([1000.0], result["wealth"]))
        for t, state in enumerate(states):
            seen = max(t - lag, 0)
            assert state.step == t
            assert state.initial_capital == 1000
            assert state.peak == pytest.approx(wealth[: seen + 1].max())
            if t < lag:
                assert state.wealth == 1000
                assert not state.weights.any()
            elif lag == 0:
                assert state.wealth == pytest.approx(wealth[t])
            else:
                # After the trading there.
                assert state.wealth == pytest.approx(wealth[seen] * (1 - result["costs"][seen]))
                np.testing.assert_array_equal(state.weights, result["weights"][seen])
            assert state.drawdown == pytest.approx(1 - state.wealth / state.peak)
            assert state.cash == pytest.approx(1 - state.weights.sum())
            assert state.returns.tolist() == result["returns"][:seen].tolist()
            assert len(state.asset_returns) == 40 + t - lag
            assert state.trades == ()
        with pytest.raises(ValueError, match="read-only"):
            states[5].weights[0] = 1.0


def test_state_at_lag_zero_has_drifted_weights():
    states = []

    class Looks:
        def optimize(self, data, state):
            states.append(state)
            return [0.9, 0.0, 0.1]

    prices = closes()
    ran(Looks(), prices, {"cost": {"const": 0}}, execution_lag=0)
    move = prices.iloc[41] / prices.iloc[40]
    amounts = np.array([0.9 * move["AA"], 0.0, 0.1 * move["CC"]])
    np.testing.assert_allclose(states[1].weights, amounts / amounts.sum(), rtol=1e-13)


def test_state_tells_closed_trades():
    counts = []

    class InAndOut:
        def optimize(self, data, state):
            counts.append(len(state.trades))
            return [1.0 if state.step % 4 < 2 else 0.0, 0.0, 0.0]

    result = ran(InAndOut(), execution_lag=1)
    # Closed at P_2, P_6, P_10 ...; known one close later.
    assert counts == [(t + 1) // 4 for t in range(19)]
    assert len(result.trades) == 5


def test_the_protocol_is_a_type():
    assert isinstance(Answers(THIRD), Strategy)
    assert not isinstance(object(), Strategy)
    assert State.__dataclass_params__.frozen


class Estimator:
    def fit(self, X, y=None):
        assert isinstance(X, pd.DataFrame)
        assert X.columns.tolist() == ASSETS
        self.rows = getattr(self, "rows", [])
        self.rows.append((X.index[0], X.index[-1], len(X)))
        self.weights_ = THIRD
        return self


def test_estimators_are_fitted_to_returns():
    prices = closes()
    strategy = Estimator()
    ran(strategy, prices, reopt_freq=10, window=20)
    assert strategy.rows == [
        (prices.index[20], prices.index[39], 20),
        (prices.index[30], prices.index[49], 20),
    ]


def test_an_estimator_without_weights_is_named():
    class Forgetful:
        def fit(self, X):
            return self

    with pytest.raises(OptimizationError, match="Forgetful on 2020-02-26: fit\\(\\) left no weights_"):
        ran(Forgetful())


@pytest.mark.parametrize("make", ["MeanRisk", "InverseVolatility", "EqualWeighted"])
def test_skfolio(make):
    optimization = pytest.importorskip("skfolio.optimization", reason="skfolio is not installed (extra `bench`)")
    prices = closes(120, seed=3)
    tester = Backtester(prices[:80], prices[80:])
    result = tester.backtest(getattr(optimization, make)(), reopt_freq=10)
    expected = getattr(optimization, make)().fit(prices.pct_change().iloc[1:90]).weights_
    np.testing.assert_allclose(result["weights"][10], expected, atol=1e-6)
    assert result.strategy == make


def test_a_progress_bar_only_where_asked_for(capsys):
    ran(Answers(THIRD))
    assert capsys.readouterr().err == ""
    ran(Answers(THIRD), progress=True)
    assert "Answers" in capsys.readouterr().err
    ran(Answers(THIRD), progress=False)
    assert capsys.readouterr().err == ""


def test_runs_in_threads_do_not_disturb_each_other():
    class Moments:
        accepts_market = True

        def optimize(self, data):
            mean, covariance = data.mean_and_covariance()
            weights = np.abs(mean) / np.diag(covariance)
            return weights / weights.sum()

    prices = closes(900)
    tester = Backtester(prices[:40], prices[40:])
    windows = [None, 30, 60, 120] * 2
    alone = [tester.backtest(Moments(), window=window)["weights"] for window in windows]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda window: tester.backtest(Moments(), window=window)["weights"], windows))
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("overlays", [(), (LeverageCap(gross=5),)], ids=["plain", "overlay"])
def test_hold_leaves_the_holdings_alone(overlays):
    got = []

    class Patient:
        def optimize(self, data, state, w=None):
            got.append(w)
            return HOLD if state.step % 6 else THIRD

    result = ran(Patient(), overlays=overlays)
    same = ran(Answers(THIRD), rebalance_freq=6)
    np.testing.assert_allclose(result["weights"], same["weights"], rtol=1e-14)
    assert np.flatnonzero(result["turnover"]).tolist() == [0, 6, 12, 18]
    assert got[0] is None
    assert all(w.tolist() == THIRD.tolist() for w in got[1:])


@pytest.mark.parametrize(("name", "called"), [("My rule", "My rule"), ("", "Named"), (7, "Named"), (None, "Named")])
def test_a_strategy_may_name_itself(name, called):
    class Named:
        def optimize(self, data):
            return [0.2, 0.2]

    strategy = Named()
    strategy.name = name
    prices = pd.DataFrame({"A": [1.0, 2.0, 3.0, 4.0], "B": [4.0, 3.0, 2.0, 3.0]})
    result = Backtester(prices[:2], prices[2:], kind="prices").backtest(strategy)
    assert result.strategy == result.returns.name == called


def test_hold_is_for_strategies_that_name_state():
    with pytest.raises(OptimizationError, match="Answers on 2020-02-26: it returned HOLD; only a strategy that names"):
        ran(Answers(HOLD))
