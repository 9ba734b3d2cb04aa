"""Objectives on mean and covariance against closed forms, cvxpy and scikit-learn."""

from __future__ import annotations

import sys

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, InfeasibleError, PortfolioError
from opeslike.market import Market
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.quadratic import VolatilityProblem
from opeslike.objectives import MaxMean, MaxSharpe, MeanVariance, MinVariance
from opeslike.proof import prove_ratio


def sample(seed: int, count: int = 300, n: int = 6, shift: float = 0.001) -> np.ndarray:
    g = np.random.default_rng(seed)
    common = 0.01 * g.standard_t(5, (count, 1)) * g.uniform(0.3, 1.2, n)
    return common + 0.01 * g.standard_t(5, (count, n)) * g.uniform(0.5, 1.5, n) + g.normal(shift, 0.0005, n)


def sharpe(w: np.ndarray, returns: np.ndarray, rate: float = 0.0) -> float:
    path = returns @ w - rate
    return float(path.mean() / path.std(ddof=1))


@given(seed=st.integers(0, 10_000), n=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_minimum_variance_in_closed_form(seed: int, n: int) -> None:
    # S^-1 1 / 1' S^-1 1, with bounds too wide to matter
    returns = sample(seed, n=n)
    inverse = np.linalg.solve(np.atleast_2d(np.cov(returns.T)), np.ones(n))
    w = MinVariance().optimize(returns, weight_bounds=(-50, 50), kind="returns")
    np.testing.assert_allclose(w, inverse / inverse.sum(), atol=1e-7)


@given(seed=st.integers(0, 10_000), aversion=st.floats(1.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_mean_variance_in_closed_form(seed: int, aversion: float) -> None:
    # Merton (1972): minimum variance plus S^-1 (mu - m 1) / aversion
    returns = sample(seed)
    mean, covariance = returns.mean(axis=0), np.cov(returns.T)
    ones = np.linalg.solve(covariance, np.ones(6))
    least = ones / ones.sum()
    expected = least + np.linalg.solve(covariance, mean - least @ mean) / aversion
    optimizer = MeanVariance(aversion)
    w = optimizer.optimize(returns, weight_bounds=(-500, 500), kind="returns")
    np.testing.assert_allclose(w, expected, atol=1e-6 * np.abs(expected).max())
    assert optimizer.solution.status == "optimal"


@given(seed=st.integers(0, 10_000), n=st.integers(2, 8), rate=st.sampled_from([0.0, 0.01, 0.03]))
@settings(max_examples=40, deadline=None)
def test_tangency_portfolio_in_closed_form(seed: int, n: int, rate: float) -> None:
    # S^-1 (mu - r) scaled to sum one, where that sum is positive and the bounds are too wide to matter
    returns = sample(seed, n=n, shift=0.002)
    excess = returns.mean(axis=0) - ((1 + rate) ** (1 / 252) - 1)
    tangency = np.linalg.solve(np.cov(returns.T), excess)
    if tangency.sum() < 0.05 * np.abs(tangency).sum():
        return
    tangency /= tangency.sum()
    optimizer = MaxSharpe(rate)
    w = optimizer.optimize(returns, weight_bounds=(-50, 50), kind="returns")
    np.testing.assert_allclose(w, tangency, atol=1e-7 * np.abs(tangency).max())
    assert optimizer.solution.gap is not None
    assert optimizer.solution.gap <= 1e-9
    assert -optimizer.solution.value == pytest.approx(
        np.sqrt(excess @ np.linalg.solve(np.cov(returns.T), excess)), rel=1e-9
    )


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 7),
    bounds=st.sampled_from([(0.0, 1.0), (0.0, 0.6), (-0.2, 0.8), (0.05, 0.7), (-1.0, 1.0)]),
)
@settings(max_examples=40, deadline=None)
def test_maximum_sharpe_agrees_with_the_homogeneous_form(seed: int, n: int, bounds: tuple[float, float]) -> None:
    returns = sample(seed, n=n)
    excess = returns.mean(axis=0)
    low, high = np.full(n, bounds[0]), np.full(n, bounds[1])
    optimizer = MaxSharpe(0.0)
    try:
        w = optimizer.optimize(returns, weight_bounds=bounds, kind="returns")
    except InfeasibleError:
        box = Bounds.budget(low, high)
        assert box.linear_minimum(-excess)[0] @ excess <= 0
        return
    y, scale = cp.Variable(n), float(returns.std())
    root = np.linalg.cholesky(np.cov(returns.T)).T / scale
    total = cp.sum(y)
    form = [excess / scale @ y == 1, y >= low * total, y <= high * total, total >= 0]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(root @ y)), form)
    problem.solve(solver="CLARABEL")
    assert w.min() >= bounds[0] - 1e-12
    assert w.max() <= bounds[1] + 1e-12
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    assert sharpe(w, returns) == pytest.approx(-optimizer.solution.value, rel=1e-9)
    assert sharpe(w, returns) == pytest.approx(1 / np.sqrt(problem.value), rel=1e-5)
    assert optimizer.solution.gap <= optimizer.solution.tolerance == 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_no_feasible_portfolio_has_a_better_sharpe_ratio(seed: int) -> None:
    returns = sample(seed, n=5)
    best = MaxSharpe(0.02)
    best.optimize(returns, kind="returns")
    rate = 1.02 ** (1 / 252) - 1
    others = np.random.default_rng(seed).dirichlet(np.full(5, 0.7), 4000)
    assert max(sharpe(w, returns, rate) for w in others) <= -best.solution.value + best.solution.gap


def test_the_bound_holds_far_from_the_optimum_too() -> None:
    # any portfolio certifies: the bound at equal weights is above the best ratio, and the optimum's own is tight
    returns = sample(3, n=5)
    mean, covariance = returns.mean(axis=0), np.cov(returns.T)
    box = Bounds.budget(np.zeros(5), np.ones(5))
    best = MaxSharpe(0.0)
    w = best.optimize(returns, kind="returns")
    for v in (np.full(5, 0.2), 0.5 * w + 0.1, w):
        proof = prove_ratio(VolatilityProblem(mean, covariance, 0.0, box), v)
        assert proof.gap - proof.value >= -best.solution.value


@pytest.mark.parametrize("solver", ["auto", "interior-point", "cvxpy"])
def test_solvers_agree_on_the_sharpe_ratio(solver: str) -> None:
    returns = sample(11)
    optimizer = MaxSharpe(solver=solver)
    optimizer.optimize(returns, weight_bounds=(0.02, 0.5), kind="returns")
    reference = MaxSharpe()
    reference.optimize(returns, weight_bounds=(0.02, 0.5), kind="returns")
    assert optimizer.solution.value == pytest.approx(reference.solution.value, abs=2e-7)
    assert optimizer.solution.gap <= 1e-7


def test_sharpe_with_extra_constraints_is_certified() -> None:
    returns = sample(5)
    optimizer = MaxSharpe(mandate=Mandate(constraints=lambda w: [w[:2] @ np.ones(2) <= 0.1, cp.norm2(w) <= 0.6]))
    w = optimizer.optimize(returns, kind="returns")
    free = MaxSharpe()
    free.optimize(returns, kind="returns")
    assert w[:2].sum() <= 0.1 + 1e-8
    assert np.linalg.norm(w) <= 0.6 + 1e-8
    assert optimizer.solution.value > free.solution.value + 1e-4  # the constraints bind
    assert optimizer.solution.gap <= 1e-7


def test_a_start_changes_nothing() -> None:
    returns = sample(8)
    plain = MaxSharpe().optimize(returns, kind="returns")
    for w in np.random.default_rng(0).dirichlet(np.ones(6), 5):
        np.testing.assert_allclose(MaxSharpe().optimize(returns, w=w, kind="returns"), plain, atol=1e-10)


def test_the_rate_is_annual() -> None:
    returns = sample(2, shift=0.002)
    excess = returns.mean(axis=0) - (1.1 ** (1 / 52) - 1)
    optimizer = MaxSharpe(0.1, periods_per_year=52)
    w = optimizer.optimize(returns, kind="returns")
    assert -optimizer.solution.value == pytest.approx(float(excess @ w) / np.sqrt(w @ np.cov(returns.T) @ w), rel=1e-12)


def test_nobody_beats_the_rate() -> None:
    falling = pd.DataFrame(sample(1) - 0.05, columns=list("ABCDEF"))
    with pytest.raises(InfeasibleError, match=r"beat the risk-free rate of 0\.05 a year.*mostly [A-F]"):
        MaxSharpe(0.05).optimize(falling, kind="returns")
    with pytest.raises(InfeasibleError, match="beat the risk-free rate"):
        MaxSharpe(reg="l2").optimize(falling, kind="returns")


def test_a_ratio_without_a_maximum_is_said_to_have_none() -> None:
    returns = np.column_stack([sample(4, n=3), np.full(300, 0.001)])
    with pytest.raises(InfeasibleError, match="without any volatility"):
        MaxSharpe().optimize(returns, kind="returns")


def test_riskless_assets_below_the_rate_may_finance_the_rest() -> None:
    # with shorts at their bound and cash above it the best portfolio is not a tangency portfolio; the certificate holds
    g = np.random.default_rng(0)
    returns = np.column_stack([0.01 * g.standard_t(5, (250, 5)) + g.normal(0, 0.001, 5), np.zeros(250)])
    optimizer = MaxSharpe(0.02)
    w = optimizer.optimize(returns, weight_bounds=(-0.3, 2), kind="returns")
    assert optimizer.solution.gap <= 1e-7
    rate = 1.02 ** (1 / 252) - 1
    costs = g.normal(size=(2000, 2, 6))
    box = Bounds.budget(np.full(6, -0.3), np.full(6, 2.0))
    others = [0.5 * (box.linear_minimum(a)[0] + box.linear_minimum(b)[0]) for a, b in costs]
    assert max(sharpe(v, returns, rate) for v in others) <= -optimizer.solution.value + 1e-7
    assert sharpe(w, returns, rate) == pytest.approx(-optimizer.solution.value, rel=1e-9)


@pytest.mark.parametrize("reg", ["l2", "entropy", "variance"])
def test_regularised_sharpe_is_a_heuristic_no_worse_than_its_starts(reg: str) -> None:
    returns, strength = sample(6), 0.05
    value = {
        "l2": lambda w: w @ w,
        "entropy": lambda w: np.sum(w * np.log(np.maximum(w, 1e-300))),
        "variance": lambda w: np.var(w),
    }[reg]

    def height(w: np.ndarray) -> float:
        return strength * value(w) - sharpe(w, returns)

    optimizer = MaxSharpe(0.0, reg, strength)
    w = optimizer.optimize(returns, kind="returns")
    assert optimizer.solution.status == "heuristic"
    assert optimizer.solution.gap is None
    assert optimizer.solution.value == pytest.approx(height(w), abs=1e-12)
    plain = MaxSharpe(0.0).optimize(returns, kind="returns")
    others = [plain, np.full(6, 1 / 6), *np.random.default_rng(1).dirichlet(np.ones(6), 3000)]
    assert height(w) <= min(map(height, others)) + 1e-12
    # stationary: no small move between two assets goes down
    for i in range(6):
        for j in range(6):
            step = 1e-4 * (np.eye(6)[i] - np.eye(6)[j])
            if (w + step).min() >= 0:
                assert height(w + step) >= height(w) - 1e-9
    np.testing.assert_array_equal(w, MaxSharpe(0.0, reg, strength).optimize(returns, kind="returns", seed=100))


def test_maximum_mean_takes_the_best() -> None:
    returns = sample(9)
    w = MaxMean().optimize(returns, kind="returns")
    assert w[np.argmax(returns.mean(axis=0))] == 1.0
    capped = MaxMean().optimize(returns, weight_bounds=(0, 0.4), kind="returns")
    np.testing.assert_allclose(np.sort(capped)[-3:], [0.2, 0.4, 0.4], atol=1e-15)


def test_custom_moments_replace_the_sample() -> None:
    frame = pd.DataFrame(sample(0, n=3), columns=["A", "B", "C"])
    mean = pd.Series({"C": 0.01, "A": 0.03, "B": 0.02})
    covariance = pd.DataFrame(np.diag([4.0, 1.0, 2.0]), index=list("CAB"), columns=list("CAB")) * 1e-4
    assert MaxMean().optimize(frame, custom_mean=mean, kind="returns").tolist() == [1.0, 0.0, 0.0]
    w = MinVariance(custom_cov=covariance).optimize(frame, kind="returns")
    np.testing.assert_allclose(w, np.array([4, 2, 1]) / 7, atol=1e-9)
    w = MaxSharpe(0.0).optimize(frame, custom_mean=mean, custom_cov=covariance, kind="returns")
    raw = np.array([0.03 / 1, 0.02 / 2, 0.01 / 4])
    np.testing.assert_allclose(w, raw / raw.sum(), atol=1e-9)
    with pytest.raises(PortfolioError, match="does not use expected returns"):
        MinVariance().optimize(frame, custom_mean=mean, kind="returns")
    with pytest.raises(PortfolioError, match="does not use a covariance"):
        MaxMean().optimize(frame, custom_cov=covariance, kind="returns")
    with pytest.raises(DataError, match="custom_mean lacks B"):
        MaxMean().optimize(frame, custom_mean=mean.drop("B"), kind="returns")
    with pytest.raises(DataError, match="not positive semidefinite"):
        MinVariance().optimize(frame, custom_cov=-covariance, kind="returns")


def test_zero_variance_is_no_obstacle() -> None:
    # cash, and fewer rows than assets: the least variance is 0
    for returns in (np.column_stack([sample(4, n=3), np.full(300, 0.0001)]), sample(4, count=8, n=12)):
        optimizer = MinVariance()
        w = optimizer.optimize(returns, weight_bounds=(-1, 1), kind="returns")
        assert (returns @ w).std() < 1e-6
        assert optimizer.solution.gap <= optimizer.solution.tolerance


@pytest.mark.parametrize("name", ["ledoit_wolf", "oas"])
def test_shrinkage_is_that_of_scikit_learn(name: str) -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    estimator = covariance.LedoitWolf() if name == "ledoit_wolf" else covariance.OAS()
    returns = sample(7, count=40)
    expected = estimator.fit(returns).covariance_
    reference = MinVariance(custom_cov=expected).optimize(returns, kind="returns")
    for given_as in (name, type(estimator)()):
        w = MinVariance(covariance=given_as).optimize(returns, kind="returns")
        np.testing.assert_allclose(w, reference, atol=1e-10)
    given_as = type(estimator)()
    MeanVariance(covariance=given_as).optimize(returns, kind="returns")
    assert not hasattr(given_as, "covariance_")  # the caller's object is left as it was
    plain = MinVariance().optimize(returns, kind="returns")
    assert np.abs(plain - reference).max() > 1e-4


def test_any_estimator_will_do() -> None:
    class Diagonal:
        def fit(self, returns: np.ndarray) -> Diagonal:
            self.covariance_ = np.diag(returns.var(axis=0))
            return self

    class Broken:
        def fit(self, returns: np.ndarray) -> None:
            raise ValueError("no luck")

    class Empty:
        def fit(self, returns: np.ndarray) -> None:
            return None

    returns = sample(3)
    w = MinVariance(covariance=Diagonal()).optimize(returns, kind="returns")
    np.testing.assert_allclose(w, (1 / returns.var(axis=0)) / (1 / returns.var(axis=0)).sum(), atol=1e-9)
    with pytest.raises(PortfolioError, match="Broken failed: no luck"):
        MinVariance(covariance=Broken()).optimize(returns, kind="returns")
    with pytest.raises(PortfolioError, match="Empty left no finite covariance_"):
        MinVariance(covariance=Empty()).optimize(returns, kind="returns")
    with pytest.raises(PortfolioError, match="no scenario probabilities"):
        MinVariance(covariance=Diagonal(), beliefs=np.ones(300)).optimize(returns, kind="returns")


@pytest.mark.parametrize("bad", ["shrunk", 3, np.ndarray])
def test_unknown_estimators_are_refused(bad: object) -> None:
    with pytest.raises(PortfolioError, match="covariance="):
        MinVariance(covariance=bad)


def test_missing_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(PortfolioError, match=r"pip install 'opeslike\[sklearn\]'"):
        MinVariance(covariance="oas")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MeanVariance(0), "risk_aversion"),
        (lambda: MaxSharpe(-1.5), "risk_free"),
        (lambda: MaxSharpe(float("nan")), "risk_free"),
        (lambda: MaxSharpe(periods_per_year=0), "periods_per_year"),
        (lambda: MaxMean("l3"), "reg='l3'"),
        (lambda: MinVariance("l2", -1), "strength"),
    ],
)
def test_parameters_are_checked(make: object, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        make()  # type: ignore[operator]


def test_scenario_probabilities_weight_the_moments() -> None:
    returns = sample(10, count=50)
    p = np.random.default_rng(0).dirichlet(np.ones(50))
    centred = returns - p @ returns
    w = MaxSharpe(0.0, beliefs=p).optimize(returns, weight_bounds=(-0.2, 1), kind="returns")
    other = MaxSharpe(0.0).optimize(
        returns, weight_bounds=(-0.2, 1), custom_mean=p @ returns, custom_cov=(centred.T * p) @ centred, kind="returns"
    )
    np.testing.assert_allclose(w, other, atol=1e-9)


def test_moments_of_windows_are_those_of_fresh_data() -> None:
    market = Market.from_data(sample(12, count=400), "returns")
    for start, stop in ((0, 300), (0, 301), (5, 310), (200, 400)):
        window = market.window(start, stop)
        fresh = MeanVariance(3.0).optimize(np.array(window.returns), kind="returns")
        np.testing.assert_allclose(MeanVariance(3.0).optimize(window), fresh, atol=1e-8)


def test_the_convex_form_can_be_inspected() -> None:
    returns = sample(1)
    optimizer = MaxSharpe(0.0)
    w = optimizer.optimize(returns, kind="returns")
    problem = optimizer.problem(returns, kind="returns")
    problem.solve(solver="CLARABEL")
    y = problem.var_dict["scaled"].value
    np.testing.assert_allclose(y / y.sum(), w, atol=1e-3)
    with pytest.raises(PortfolioError, match="convex form"):
        MaxSharpe(reg="l2").problem(returns, kind="returns")
