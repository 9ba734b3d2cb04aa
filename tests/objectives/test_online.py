"""Online portfolio selection: closed forms, regret bounds, and walks that agree with single calls."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.backtester import Backtester
from opeslike.errors import OptimizationError, PortfolioError
from opeslike.market import Market
from opeslike.objectives import BCRP, ExponentialGradient, Kelly, UniversalPortfolios
from opeslike.objectives.online import grid


def sample(seed: int, count: int = 60, n: int = 3, size: float = 0.03) -> np.ndarray:
    g = np.random.default_rng(seed)
    return np.clip(size * (g.standard_t(4, (count, n)) + 0.05), -0.6, 0.6)


# --- universal portfolios ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("technique", ["exact", "grid"])
def test_universal_starts_equal(technique: str) -> None:
    w = UniversalPortfolios(technique).optimize(np.zeros((1, 2)), kind="returns")
    np.testing.assert_allclose(w, [0.5, 0.5], atol=1e-14)


@given(a=st.floats(-0.9, 2.0), b=st.floats(-0.9, 2.0), concentration=st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=50, deadline=None)
def test_universal_after_one_period_in_closed_form(a: float, b: float, concentration: float) -> None:
    # E[u (u x + (1-u) y)] / E[u x + (1-u) y] with u ~ Beta(c, c): E u^2 = (c + 1) / (4 c + 2)
    x, y, square = 1 + a, 1 + b, (concentration + 1) / (4 * concentration + 2)
    expected = (square * x + (0.5 - square) * y) / (0.5 * (x + y))
    rule = UniversalPortfolios("exact", dirichlet_conc=concentration)
    w = rule.optimize(np.array([[a, b]]), kind="returns")
    np.testing.assert_allclose(w, [expected, 1 - expected], rtol=1e-10, atol=1e-12)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_quadrature_is_the_exact_polynomial_integral(seed: int) -> None:
    returns = sample(seed, count=30, n=2, size=0.1)
    wealth = np.polynomial.Polynomial([1.0])
    for x, y in 1 + returns:
        wealth = wealth * np.polynomial.Polynomial([y, x - y])
    moment = (wealth * np.polynomial.Polynomial([0, 1])).integ()
    expected = (moment(1) - moment(0)) / (wealth.integ()(1) - wealth.integ()(0))
    w = UniversalPortfolios().optimize(returns, kind="returns")
    assert w[0] == pytest.approx(expected, rel=1e-9)


def test_grid_is_every_multiple() -> None:
    assert len(grid(2, 20)) == 21
    assert len(grid(4, 3)) == 20
    points = grid(3, 4)
    assert len({tuple(p) for p in points}) == len(points) == 15
    np.testing.assert_allclose(points.sum(axis=1), 1)
    with pytest.raises(PortfolioError, match="points"):
        grid(50, 10)


def test_sampling_is_seeded_and_close_to_the_integral() -> None:
    returns = sample(0, n=2)
    exact = UniversalPortfolios().optimize(returns, kind="returns")
    many = UniversalPortfolios("sample", n_samples=200_000).optimize(returns, kind="returns", seed=1)
    np.testing.assert_allclose(many, exact, atol=3e-3)
    first = UniversalPortfolios().optimize(sample(1), kind="returns", seed=5)
    np.testing.assert_array_equal(first, UniversalPortfolios().optimize(sample(1), kind="returns", seed=5))
    assert not np.array_equal(first, UniversalPortfolios().optimize(sample(1), kind="returns", seed=6))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_universal_wealth_is_the_average_wealth(seed: int) -> None:
    # walked period by period the rule earns the mean of all constant rebalanced portfolios (Cover 1991, equation 1.9),
    # so at least 1 / (T + 1) of the best one for two assets (Cover and Ordentlich 1996)
    returns = sample(seed, count=20, n=2)
    rule, wealth = UniversalPortfolios("grid", grid_res=20), 1.0
    for t in range(len(returns)):
        w = rule.optimize(returns[:t], kind="returns") if t else np.array([0.5, 0.5])
        wealth *= 1 + returns[t] @ w
    everyone = np.prod(1 + returns @ grid(2, 20).T, axis=0)
    assert wealth == pytest.approx(everyone.mean(), rel=1e-12)


def test_what_loses_everything_drops_out() -> None:
    returns = np.array([[-1.0, 0.1]])
    w = UniversalPortfolios("grid", grid_res=1).optimize(returns, kind="returns")
    assert w.tolist() == [0.0, 1.0]
    with pytest.raises(OptimizationError, match="lost everything"):
        UniversalPortfolios("grid", grid_res=2).optimize(np.array([[-1.0, -1.0]]), kind="returns")


def test_universal_parameters() -> None:
    for keywords in ({"technique": "magic"}, {"n_samples": 0}, {"dirichlet_conc": 0}, {"grid_res": 2.5}):
        with pytest.raises(PortfolioError, match=next(iter(keywords))):
            UniversalPortfolios(**keywords)
    with pytest.raises(PortfolioError, match="two assets"):
        UniversalPortfolios("exact").optimize(sample(0), kind="returns")


# --- best constant rebalanced portfolio -------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_leader_is_kelly_in_hindsight(seed: int) -> None:
    returns = sample(seed)
    leader, kelly = BCRP(), Kelly()
    np.testing.assert_allclose(
        leader.optimize(returns, kind="returns"), kelly.optimize(returns, kind="returns"), atol=1e-9
    )
    assert leader.solution.value == pytest.approx(kelly.solution.value, abs=1e-14)
    everyone = np.prod(1 + returns @ grid(3, 12).T, axis=0)
    assert np.exp(-len(returns) * leader.solution.value) >= everyone.max() * (1 - 1e-12)


def test_regularised_leader_weighs_the_sum_of_logs() -> None:
    returns, strength = sample(2), 0.3
    w = BCRP("l2", strength).optimize(returns, kind="returns")
    same = Kelly(reg="l2", strength=strength / len(returns)).optimize(returns, kind="returns")
    np.testing.assert_allclose(w, same, atol=1e-9)
    # twice the data counts for twice as much against the same regulariser
    longer = BCRP("l2", 2 * strength).optimize(np.vstack([returns, returns]), kind="returns")
    np.testing.assert_allclose(longer, w, atol=1e-7)


# --- exponentiated gradient -------------------------------------------------------------------------------------------


def path(returns: np.ndarray, rate: float) -> np.ndarray:
    w = np.full(returns.shape[1], 1 / returns.shape[1])
    for x in 1 + returns:
        w = w * np.exp(rate * x / (w @ x))
        w /= w.sum()
    return w


@given(seed=st.integers(0, 1000), rate=st.floats(0.001, 5.0))
@settings(max_examples=30, deadline=None)
def test_gradient_follows_the_path(seed: int, rate: float) -> None:
    returns = sample(seed)
    rule = ExponentialGradient(rate)
    np.testing.assert_allclose(rule.optimize(returns, kind="returns"), path(returns, rate), rtol=1e-9)
    before = rule.optimize(returns[:-1], kind="returns")
    step = rule.optimize(returns, w=before, kind="returns")
    np.testing.assert_allclose(step, path(returns, rate), rtol=1e-9)


def test_gradient_step_uses_the_last_return_only() -> None:
    returns = sample(0)
    w = np.array([0.5, 0.5, 0.0])
    a = ExponentialGradient(0.5).optimize(returns, w=w, kind="returns")
    b = ExponentialGradient(0.5).optimize(returns[-1:], w=w, kind="returns")
    np.testing.assert_array_equal(a, b)
    assert a[2] == 0.0


@given(seed=st.integers(0, 1000), rate=st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=20, deadline=None)
def test_gradient_regret_is_bounded(seed: int, rate: float) -> None:
    # Helmbold et al. (1998), theorem 4.1: log(best / EG) <= log N / rate + rate T / (8 r^2), relatives in [r, 1] after
    # scaling each period by its largest
    returns = sample(seed, count=80)
    gross = 1 + returns
    rule, growth = ExponentialGradient(rate), 0.0
    w = np.full(3, 1 / 3)
    for t in range(len(returns)):
        growth += float(np.log(gross[t] @ w))
        w = rule.optimize(returns[: t + 1], w=w, kind="returns")
    leader = BCRP()
    leader.optimize(returns, kind="returns")
    least = float((gross / gross.max(axis=1, keepdims=True)).min())
    bound = np.log(3) / rate + rate * len(returns) / (8 * least**2)
    assert -len(returns) * leader.solution.value - growth <= bound


def test_gradient_refuses_what_it_cannot_use() -> None:
    with pytest.raises(PortfolioError, match="learning_rate"):
        ExponentialGradient(0)
    with pytest.raises(PortfolioError, match="long-only"):
        ExponentialGradient().optimize(sample(0), w=[1.5, -0.5, 0.0], kind="returns")
    with pytest.raises(PortfolioError, match="3 finite numbers"):
        ExponentialGradient().optimize(sample(0), w=[0.5, 0.5], kind="returns")
    frame = pd.DataFrame(np.array([[0.1, 0.1], [-1.0, -1.0]]), index=pd.to_datetime(["2020-01-02", "2020-01-03"]))
    with pytest.raises(OptimizationError, match="lost everything on 2020-01-03"):
        ExponentialGradient().optimize(frame, kind="returns")


# --- walks ------------------------------------------------------------------------------------------------------------

RULES = [
    ExponentialGradient(0.2),
    UniversalPortfolios(),
    UniversalPortfolios("grid", grid_res=5),
    BCRP(),
    BCRP("l2", 0.1),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("window", [None, 15])
@pytest.mark.parametrize("every", [1, 4])
def test_a_walk_holds_what_single_calls_give(rule: object, window: int | None, every: int) -> None:
    returns = sample(3, count=50)
    tester = Backtester(returns[:20], returns[20:], cost={"const": 0}, kind="returns")
    result = tester.backtest(rule, execution_lag=0, window=window, reopt_freq=every)
    for t in range(0, 30, every):
        seen = returns[: 20 + t] if window is None else returns[20 + t - window : 20 + t]
        fresh = copy.deepcopy(rule).optimize(np.array(seen), kind="returns")  # type: ignore[attr-defined]
        np.testing.assert_allclose(result["weights"][t], fresh, atol=1e-7)


@pytest.mark.parametrize(
    "rule", [ExponentialGradient(0.2), UniversalPortfolios()], ids=lambda rule: type(rule).__name__
)
def test_what_is_remembered_never_shows(rule: object) -> None:
    one, two = Market.from_data(sample(1), "returns"), Market.from_data(sample(2), "returns")
    calls = [one.window(0, 30), one.window(0, 40), two.window(0, 40), two.window(0, 20), one.window(5, 50), one]
    for market in calls:
        fresh = pickle.loads(pickle.dumps(rule)).optimize(np.array(market.returns), kind="returns")
        np.testing.assert_allclose(rule.optimize(market), fresh, atol=1e-13)  # type: ignore[attr-defined]
