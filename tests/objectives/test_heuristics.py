"""Rules and risk-based portfolios against closed forms and hand computations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, InfeasibleError, OptimizationError, PortfolioError
from opeslike.objectives import (
    REPO,
    HierarchicalRiskParity,
    InverseVolatility,
    MaxDiversification,
    MaxMean,
    MaxSharpe,
    MinVariance,
    RiskParity,
    SoftmaxMean,
    Uniform,
)
from opeslike.objectives.hierarchical import bisected, leaf_order


def sample(seed: int, count: int = 300, n: int = 6) -> np.ndarray:
    g = np.random.default_rng(seed)
    common = 0.01 * g.standard_t(5, (count, 1)) * g.uniform(-0.2, 1.2, n)
    return common + 0.01 * g.standard_t(5, (count, n)) * g.uniform(0.5, 1.5, n) + g.normal(0.0005, 0.0005, n)


def equicorrelated(deviation: np.ndarray, rho: float) -> np.ndarray:
    n = deviation.size
    return np.outer(deviation, deviation) * (rho + (1 - rho) * np.eye(n))


def anything(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.01, (5, n))


deviations = st.lists(st.floats(0.001, 0.5), min_size=2, max_size=7).map(np.array)


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_uniform() -> None:
    assert Uniform().optimize(anything(4), kind="returns").tolist() == [0.25] * 4
    assert Uniform().optimize(n_assets=5).tolist() == [0.2] * 5
    with pytest.raises(PortfolioError, match="n_assets"):
        Uniform().optimize(n_assets=0)
    with pytest.raises(DataError):
        Uniform().optimize()


def test_inverse_volatility() -> None:
    returns = sample(0)
    expected = 1 / returns.std(axis=0, ddof=1)
    w = InverseVolatility().optimize(returns, kind="returns")
    np.testing.assert_allclose(w, expected / expected.sum(), rtol=1e-12)
    w = InverseVolatility().optimize(returns[:, :2], custom_cov=np.diag([1.0, 4.0]), kind="returns")
    np.testing.assert_allclose(w, [2 / 3, 1 / 3], rtol=1e-12)


@given(temperature=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_softmax_is_regularised_maximum_mean(temperature: float, seed: int) -> None:
    returns = sample(seed)
    mean = returns.mean(axis=0)
    w = SoftmaxMean(temperature).optimize(returns, kind="returns")
    assert w.sum() == pytest.approx(1.0, abs=1e-14)
    assert (w >= 0).all()
    held = w > 1e-300
    # equal slopes mean - temperature log w where held
    slope = mean[held] - temperature * np.log(w[held])
    assert np.ptp(slope) <= 1e-9 * (np.abs(slope).max() + temperature)


def test_softmax_is_maximum_mean_with_entropy() -> None:
    returns = sample(1)
    w = MaxMean("entropy", 0.002).optimize(returns, kind="returns")
    np.testing.assert_allclose(w, SoftmaxMean(0.002).optimize(returns, kind="returns"), atol=1e-5)


def test_softmax_of_given_means() -> None:
    w = SoftmaxMean(1.0).optimize(anything(2), custom_mean=[np.log(3.0), 0.0], kind="returns")
    np.testing.assert_allclose(w, [0.75, 0.25], rtol=1e-14)


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        (Uniform(), {"custom_mean": [0.1] * 3}),
        (InverseVolatility(), {"custom_mean": [0.1] * 3}),
        (SoftmaxMean(), {"custom_cov": np.eye(3)}),
        (HierarchicalRiskParity(), {"custom_mean": [0.1] * 3}),
        (MaxDiversification(), {"custom_mean": [0.1] * 3}),
        (RiskParity(), {"custom_mean": [0.1] * 3}),
        (REPO(), {"custom_cov": np.eye(3)}),
    ],
)
def test_what_a_rule_does_not_use_is_refused(rule: object, given: dict[str, object]) -> None:
    with pytest.raises(PortfolioError, match="custom_"):
        rule.optimize(anything(3), kind="returns", **given)  # type: ignore[attr-defined]


def test_bounds_a_formula_breaks_are_named() -> None:
    frame = pd.DataFrame(anything(3), columns=["A", "B", "C"])
    with pytest.raises(PortfolioError, match=r"Uniform holds 0\.3333 of B, outside its bounds \[0, 0\.2\]"):
        Uniform().optimize(frame, weight_bounds={"B": (0, 0.2)}, kind="returns")


# --- maximum diversification ------------------------------------------------------------------------------------------


@given(deviation=deviations, rho=st.floats(0.0, 0.95))
@settings(max_examples=50, deadline=None)
def test_diversification_with_equal_correlations_is_inverse_volatility(deviation: np.ndarray, rho: float) -> None:
    # Choueifaty, Froidure and Reynier (2013), section 4; the ratio is sqrt(N / (1 + (N - 1) rho))
    n = deviation.size
    optimizer = MaxDiversification()
    w = optimizer.optimize(anything(n), custom_cov=equicorrelated(deviation, rho), kind="returns")
    np.testing.assert_allclose(w, (1 / deviation) / (1 / deviation).sum(), rtol=1e-7, atol=1e-12)
    assert -optimizer.solution.value == pytest.approx(np.sqrt(n / (1 + (n - 1) * rho)), rel=1e-10)
    assert optimizer.solution.gap <= 1e-9


@given(seed=st.integers(0, 10_000), n=st.integers(2, 8), high=st.sampled_from([1.0, 0.6]))
@settings(max_examples=30, deadline=None)
def test_diversification_is_the_sharpe_ratio_of_volatilities(seed: int, n: int, high: float) -> None:
    returns = sample(seed, n=n)
    optimizer = MaxDiversification()
    w = optimizer.optimize(returns, weight_bounds=(0, high), kind="returns")
    same = MaxSharpe(0.0)
    v = same.optimize(returns, weight_bounds=(0, high), custom_mean=returns.std(axis=0, ddof=1), kind="returns")
    np.testing.assert_allclose(w, v, atol=1e-8)
    assert -optimizer.solution.value >= 1.0 - 1e-12
    others = np.random.default_rng(seed).dirichlet(np.ones(n), 500)
    others = others[others.max(axis=1) <= high]
    covariance = np.cov(returns.T)
    for v in others:
        ratio = returns.std(axis=0, ddof=1) @ v / np.sqrt(v @ covariance @ v)
        assert ratio <= -optimizer.solution.value + optimizer.solution.gap


def test_every_asset_left_out_is_more_correlated_with_the_portfolio() -> None:
    # the core property: what is held has the same correlation with the portfolio, what is not a higher one
    returns = sample(3, n=10)
    w = MaxDiversification().optimize(returns, kind="returns")
    correlation = np.corrcoef(returns.T, returns @ w)[-1, :-1]
    held = w > 1e-9
    assert 0 < held.sum() < 10
    assert np.ptp(correlation[held]) < 1e-8
    assert correlation[~held].min() > correlation[held].max()


def test_regularised_diversification_is_a_heuristic() -> None:
    returns = sample(2)
    deviation, covariance = returns.std(axis=0, ddof=1), np.cov(returns.T)

    def height(w: np.ndarray) -> float:
        return 0.5 * float(w @ w) - float(deviation @ w) / np.sqrt(w @ covariance @ w)

    optimizer = MaxDiversification("l2", 0.5)
    w = optimizer.optimize(returns, kind="returns", seed=1)
    assert optimizer.solution.status == "heuristic"
    assert optimizer.solution.gap is None
    assert optimizer.solution.value == pytest.approx(height(w), abs=1e-12)
    others = np.random.default_rng(1).dirichlet(np.ones(6), 3000)
    assert height(w) <= min(map(height, others))


# --- risk parity ------------------------------------------------------------------------------------------------------


def contributions(w: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return w * (covariance @ w) / (w @ covariance @ w)


@given(deviation=deviations, rho=st.floats(-0.1, 0.95))
@settings(max_examples=50, deadline=None)
def test_risk_parity_with_equal_correlations_is_inverse_volatility(deviation: np.ndarray, rho: float) -> None:
    # Maillard, Roncalli and Teiletche (2010), section 2.2; rho = 0 is the uncorrelated case
    covariance = equicorrelated(deviation, rho)
    w = RiskParity().optimize(anything(deviation.size), custom_cov=covariance, kind="returns")
    np.testing.assert_allclose(w, (1 / deviation) / (1 / deviation).sum(), rtol=1e-6)


@given(a=st.floats(0.001, 0.5), b=st.floats(0.001, 0.5), rho=st.floats(-0.99, 0.99))
@settings(max_examples=50, deadline=None)
def test_risk_parity_of_two_assets(a: float, b: float, rho: float) -> None:
    # (1 / a, 1 / b) scaled, whatever the correlation
    w = RiskParity().optimize(anything(2), custom_cov=equicorrelated(np.array([a, b]), rho), kind="returns")
    np.testing.assert_allclose(w, [b / (a + b), a / (a + b)], rtol=1e-6)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_risk_budgets_are_met(seed: int, n: int) -> None:
    returns = sample(seed, n=n)
    budgets = np.random.default_rng(seed).uniform(0.05, 1, n)
    optimizer = RiskParity(budgets=budgets)
    w = optimizer.optimize(returns, kind="returns")
    covariance = np.atleast_2d(np.cov(returns.T))
    np.testing.assert_allclose(contributions(w, covariance), budgets / budgets.sum(), rtol=1e-6)
    assert (w > 0).all()
    assert w.sum() == pytest.approx(1.0, abs=1e-14)
    assert 0 <= optimizer.solution.gap <= optimizer.solution.tolerance
    assert optimizer.solution.status == "optimal"


def test_risk_parity_lies_between_minimum_variance_and_equal_weights() -> None:
    # Maillard, Roncalli and Teiletche (2010), section 3
    returns = sample(5)
    least = (returns @ MinVariance().optimize(returns, kind="returns")).std()
    parity = (returns @ RiskParity().optimize(returns, kind="returns")).std()
    assert least <= parity <= returns.mean(axis=1).std()


def test_budgets_by_ticker() -> None:
    frame = pd.DataFrame(anything(3), columns=["A", "B", "C"])
    covariance = np.eye(3)
    w = RiskParity(budgets={"C": 1, "A": 4, "B": 9}).optimize(frame, custom_cov=covariance, kind="returns")
    np.testing.assert_allclose(w, np.array([2, 3, 1]) / 6, rtol=1e-7)
    for budgets, message in (
        ({"A": 1, "B": 1}, "lacks C"),
        ({"A": 1, "B": 1, "C": 1, "D": 1}, "names D"),
        ([1, 1], "shape"),
        ([1, 0, 1], "budget of B is 0.0"),
        (["a", "b", "c"], "must be numbers"),
    ):
        with pytest.raises(PortfolioError, match=message):
            RiskParity(budgets=budgets).optimize(frame, kind="returns")


def test_bounds_that_cut_risk_parity_off_are_named() -> None:
    frame = pd.DataFrame(anything(3), columns=["A", "B", "C"])
    covariance = np.diag([1.0, 4.0, 4.0])
    assert RiskParity().optimize(frame, (0.1, 0.6), custom_cov=covariance, kind="returns")[0] == pytest.approx(0.5)
    with pytest.raises(PortfolioError, match=r"RiskParity holds 0\.5 of A, outside its bounds \[0, 0\.4\]"):
        RiskParity().optimize(frame, (0, 0.4), custom_cov=covariance, kind="returns")
    with pytest.raises(PortfolioError, match=r"of B, outside its bounds \[0\.3, 1\]"):
        RiskParity().optimize(frame, {"B": (0.3, 1)}, custom_cov=covariance, kind="returns")


def test_an_asset_without_risk_cannot_contribute() -> None:
    frame = pd.DataFrame(np.column_stack([sample(0, n=2), np.full(300, 0.0001)]), columns=["A", "B", "CASH"])
    for optimizer in (RiskParity(), InverseVolatility(), MaxDiversification(), HierarchicalRiskParity()):
        with pytest.raises(DataError, match="CASH has no variance"):
            optimizer.optimize(frame, kind="returns")


def test_perfect_hedges_have_no_risk_parity() -> None:
    with pytest.raises(OptimizationError, match="ledoit_wolf"):
        RiskParity().optimize(anything(2), custom_cov=np.array([[1.0, -1.0], [-1.0, 1.0]]), kind="returns")


def test_regularised_risk_parity_trades_contributions_for_the_penalty() -> None:
    returns = sample(4)
    covariance = np.cov(returns.T)

    def height(w: np.ndarray, strength: float) -> float:
        sigma = np.sqrt(w @ covariance @ w)
        return float(np.sum((w * (covariance @ w) / sigma - sigma / 6) ** 2) + strength * w @ w)

    exact = RiskParity().optimize(returns, kind="returns")
    barely = RiskParity("l2", 1e-13).optimize(returns, kind="returns")
    np.testing.assert_allclose(barely, exact, atol=1e-4)
    optimizer = RiskParity("l2", 1e-5)
    w = optimizer.optimize(returns, kind="returns")
    assert optimizer.solution.status == "heuristic"
    assert optimizer.solution.gap is None
    assert optimizer.solution.value == pytest.approx(height(w, 1e-5), rel=1e-9)
    others = [exact, *np.random.default_rng(0).dirichlet(np.full(6, 5.0), 3000)]
    assert height(w, 1e-5) <= min(height(v, 1e-5) for v in others)
    capped = RiskParity("l2", 1e-5).optimize(returns, weight_bounds=(0, 0.2), kind="returns")
    assert capped.max() <= 0.2 + 1e-12


# --- hierarchical risk parity -----------------------------------------------------------------------------------------


def test_hierarchical_by_hand() -> None:
    # A and B move together (0.8), C and D too (0.5), the pairs do not: order A B C D or mirrored, then two bisections.
    # Var(A, B) at inverse-variance weights (.8, .2): .64 + .16 + 2 * .16 * 1.6 = 1.312; Var(C, D) at (.5, .5): 9 * .75
    # = 6.75. Shares of the pairs: 6.75 / 8.062 and 1.312 / 8.062, split .8 / .2 and .5 / .5 inside.
    correlation = np.array([[1, 0.8, 0, 0], [0.8, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1]])
    deviation = np.array([1.0, 2.0, 3.0, 3.0])
    covariance = correlation * np.outer(deviation, deviation)
    pair = 6.75 / 8.062
    expected = [0.8 * pair, 0.2 * pair, 0.5 * (1 - pair), 0.5 * (1 - pair)]
    for method in ("single", "average", "complete", "ward"):
        for distance in ("correlation", "euclidean"):
            rule = HierarchicalRiskParity(method, distance=distance)
            w = rule.optimize(anything(4), custom_cov=covariance, kind="returns")
            np.testing.assert_allclose(w, expected, rtol=1e-12)


def test_similar_assets_become_neighbours() -> None:
    correlation = np.eye(4)
    correlation[0, 2] = correlation[2, 0] = correlation[1, 3] = correlation[3, 1] = 0.9
    order = leaf_order(correlation, "single", "correlation").tolist()
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}


@given(deviation=deviations)
@settings(max_examples=30, deadline=None)
def test_hierarchical_without_correlation_is_inverse_variance(deviation: np.ndarray) -> None:
    # whatever the order, splitting by inverse variance gives inverse-variance weights when nothing is correlated
    n = deviation.size
    w = bisected(np.diag(deviation**2), np.random.default_rng(0).permutation(n))
    np.testing.assert_allclose(w, deviation**-2.0 / np.sum(deviation**-2.0), rtol=1e-9)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), method=st.sampled_from(["single", "average", "ward"]))
@settings(max_examples=40, deadline=None)
def test_hierarchical_invariants(seed: int, n: int, method: str) -> None:
    returns = sample(seed, n=n)
    rule = HierarchicalRiskParity(method)
    w = rule.optimize(returns, kind="returns")
    assert (w > 0).all()
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    # the unit of the returns does not matter
    np.testing.assert_allclose(rule.optimize(returns * 7, kind="returns"), w, rtol=1e-9)


def test_hierarchical_parameters() -> None:
    with pytest.raises(PortfolioError, match="cluster_method='centroid'"):
        HierarchicalRiskParity("centroid")
    with pytest.raises(PortfolioError, match="distance="):
        HierarchicalRiskParity(distance="dtw")


# --- return entropy ---------------------------------------------------------------------------------------------------


def entropy_height(w: np.ndarray, returns: np.ndarray, bins: int, aversion: float) -> float:
    counts = np.histogram(returns @ w, bins=bins)[0]
    share = counts[counts > 0] / counts.sum()
    return float(-returns.mean(axis=0) @ w - aversion * share @ np.log(share))


@pytest.mark.parametrize(("seed", "bins", "aversion"), [(0, 20, 1.0), (1, 5, 0.01), (2, 40, 0.001)])
def test_return_entropy_beats_what_anybody_would_try(seed: int, bins: int, aversion: float) -> None:
    returns = sample(seed, n=4)
    optimizer = REPO(aversion)
    w = optimizer.optimize(returns, bin=bins, kind="returns")
    height = entropy_height(w, returns, bins, aversion)
    # numpy's histogram corrects cells at rounding of an edge: at most one scenario apart
    assert optimizer.solution.value == pytest.approx(height, abs=aversion * 0.03)
    others = [*np.eye(4), np.full(4, 0.25), *np.random.default_rng(0).dirichlet(np.ones(4), 2000)]
    assert height <= min(entropy_height(v, returns, bins, aversion) for v in others) + 1e-9
    assert optimizer.solution.status == "heuristic"
    assert optimizer.solution.gap is None
    np.testing.assert_array_equal(w, REPO(aversion).optimize(returns, bin=bins, kind="returns", seed=100))


def test_return_entropy_respects_bounds_and_regularisers() -> None:
    returns = sample(3, count=100, n=4)
    w = REPO().optimize(returns, weight_bounds=(0.1, 0.4), kind="returns")
    assert w.min() >= 0.1 - 1e-12
    assert w.max() <= 0.4 + 1e-12
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    heavy = REPO(reg="l2", strength=1e4).optimize(returns, kind="returns")
    np.testing.assert_allclose(heavy, 0.25, atol=0.01)
    alone = REPO().optimize(returns[:, :1], kind="returns")
    assert alone.tolist() == [1.0]


def test_return_entropy_with_one_bin_is_maximum_mean() -> None:
    returns = sample(6, count=60, n=4)
    w = REPO().optimize(returns, bin=1, kind="returns")
    np.testing.assert_allclose(w, MaxMean().optimize(returns, kind="returns"), atol=1e-4)
    for bad in (0, 2.5, True):
        with pytest.raises(PortfolioError, match="bin="):
            REPO().optimize(returns, bin=bad, kind="returns")


def test_parameters_are_checked() -> None:
    for make, message in (
        (lambda: SoftmaxMean(0), "temperature"),
        (lambda: REPO(-1), "risk_aversion"),
        (lambda: RiskParity(reg="nope"), "reg="),
    ):
        with pytest.raises(PortfolioError, match=message):
            make()


def test_infeasible_bounds_are_refused() -> None:
    for optimizer in (MaxDiversification(), REPO(), RiskParity()):
        with pytest.raises(InfeasibleError):
            optimizer.optimize(sample(0), weight_bounds=(0, 0.1), kind="returns")


# --- what every certified one must do ---------------------------------------------------------------------------------

CERTIFIED = [MaxSharpe, MaxDiversification, RiskParity]


@pytest.mark.parametrize("make", CERTIFIED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_permuted_assets_give_permuted_weights(make: type, seed: int) -> None:
    returns, order = sample(seed), np.array([3, 0, 5, 1, 4, 2])
    w = make().optimize(returns, kind="returns")
    np.testing.assert_allclose(make().optimize(returns[:, order], kind="returns"), w[order], atol=1e-9)


@pytest.mark.parametrize("make", CERTIFIED, ids=lambda make: make.__name__)
def test_the_start_does_not_matter(make: type) -> None:
    returns = sample(7)
    w = make().optimize(returns, kind="returns")
    for start in (np.eye(6)[2], w, np.full(6, 5.0), np.random.default_rng(0).dirichlet(np.ones(6))):
        optimizer = make()
        np.testing.assert_allclose(optimizer.optimize(returns, w=start, kind="returns"), w, atol=1e-9)
        assert optimizer.solution.gap <= optimizer.solution.tolerance


@pytest.mark.parametrize("make", CERTIFIED, ids=lambda make: make.__name__)
@pytest.mark.filterwarnings("ignore:the data look wrong")
def test_the_unit_of_the_returns_does_not_matter(make: type) -> None:
    # in percent, and as of prices in thousands: ratios and contributions have no unit
    keywords = {"risk_free": 0.0} if make is MaxSharpe else {}
    returns = sample(8)
    w = make(**keywords).optimize(returns, kind="returns")
    for unit in (1e-4, 100.0):
        np.testing.assert_allclose(make(**keywords).optimize(returns * unit, kind="returns"), w, atol=1e-8)
