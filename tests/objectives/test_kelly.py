"""Kelly and KL-robust Kelly against closed forms, linear programs and cvxpy."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opeslike import Kelly, KLRobustKelly, kl_radius
from opeslike.errors import DataError, InfeasibleError, PortfolioError
from opeslike.modelling.mandate import Mandate


def bet(p: float, win: float, loss: float = 1.0, count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Two outcomes of one bet beside cash, with their probabilities."""
    return np.array([[win, 0.0], [-loss, 0.0]]), np.array([p, 1 - p])


def sample(seed: int, count: int = 200, n: int = 6, size: float = 0.01) -> np.ndarray:
    g = np.random.default_rng(seed)
    return size * (g.standard_t(4, (count, n)) + g.normal(0.05, 0.05, n))


@pytest.mark.parametrize(
    ("p", "b", "expected"),
    [(0.52, 1.0, 0.04), (0.53, 1.0, 0.06), (0.6, 1.0, 0.2), (0.51, 1.25, 0.1180), (0.4, 1.0, 0.0)],
)
def test_binary_bet(p: float, b: float, expected: float) -> None:
    # Kelly (1956): f* = p - (1 - p) / b, never below 0
    returns, probabilities = bet(p, b)
    optimizer = Kelly(beliefs=probabilities)
    w = optimizer.optimize(returns, kind="returns")
    assert w[0] == pytest.approx(expected, abs=1e-9)
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    assert optimizer.solution.gap is not None
    assert optimizer.solution.gap <= optimizer.solution.tolerance


def test_growth_of_the_binary_bet() -> None:
    # Thorp (2006), section 2: p = .53, even money, grows by .00180108 a bet
    returns, probabilities = bet(0.53, 1.0)
    optimizer = Kelly(beliefs=probabilities)
    optimizer.optimize(returns, kind="returns")
    assert -optimizer.solution.value == pytest.approx(0.00180108, abs=1e-8)


@given(
    p=st.floats(0.05, 0.95),
    win=st.floats(0.05, 3.0),
    loss=st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_partial_loss(p: float, win: float, loss: float) -> None:
    # f* = p / loss - (1 - p) / win, within [0, 1]
    returns, probabilities = bet(p, win, loss)
    w = Kelly(beliefs=probabilities).optimize(returns, kind="returns")
    assert w[0] == pytest.approx(min(max(p / loss - (1 - p) / win, 0.0), 1.0), abs=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_fraction_is_a_share_of_the_full_portfolio(seed: int) -> None:
    returns = sample(seed)
    full = Kelly().optimize(returns, kind="returns")
    half = Kelly(fraction=0.5).optimize(returns, kind="returns")
    np.testing.assert_allclose(half, 0.5 * full, atol=1e-12)
    assert Kelly(fraction=0.25).optimize(returns, kind="returns").sum() == pytest.approx(0.25)


def test_opes_formulation_is_fully_invested_and_concentrates_as_the_fraction_falls() -> None:
    returns = sample(1, 400, 8, 0.3)
    returns = np.maximum(returns, -0.9)
    weights = {f: Kelly(f, formulation="opes").optimize(returns, kind="returns") for f in (1.0, 0.5, 0.1)}
    for w in weights.values():
        assert w.sum() == pytest.approx(1.0)
    concentration = [float((w**2).sum()) for w in weights.values()]
    assert concentration[0] < concentration[1] < concentration[2]
    np.testing.assert_allclose(weights[1.0], Kelly().optimize(returns, kind="returns"), atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("short", [False, True])
def test_kelly_agrees_with_cvxpy(seed: int, short: bool) -> None:
    g = np.random.default_rng(seed)
    returns = sample(seed, int(g.integers(10, 250)), int(g.integers(2, 20)))
    bounds = (-0.2, 0.6) if short else (0, 1)
    optimizer = Kelly()
    optimizer.optimize(returns, bounds, kind="returns")
    problem = optimizer.problem(returns, bounds, kind="returns")
    problem.solve(solver=cp.CLARABEL)
    assert optimizer.solution.value == pytest.approx(problem.value, abs=1e-7)


@pytest.mark.parametrize("seed", range(12))
def test_robust_kelly_agrees_with_cvxpy(seed: int) -> None:
    g = np.random.default_rng(seed)
    count = int(g.integers(20, 250))
    returns = sample(seed, count, int(g.integers(2, 12)), 0.1)
    returns = np.maximum(returns, -0.9)
    radius = float(np.exp(g.uniform(np.log(1e-3), np.log(0.9 * np.log(count)))))
    optimizer = KLRobustKelly(radius=radius)
    optimizer.optimize(returns, kind="returns")
    problem = optimizer.problem(returns, kind="returns")
    problem.solve(solver=cp.CLARABEL)
    assert problem.status in ("optimal", "optimal_inaccurate")
    assert optimizer.solution.value == pytest.approx(problem.value, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_cvxpy_solver_is_certified_too(seed: int) -> None:
    returns = sample(seed, 150, 5)
    ours, theirs = Kelly(), Kelly(solver="cvxpy")
    ours.optimize(returns, kind="returns")
    theirs.optimize(returns, kind="returns")
    assert theirs.solution.solver.startswith("cvxpy/")
    assert theirs.solution.gap <= theirs.solution.tolerance
    assert abs(ours.solution.value - theirs.solution.value) <= theirs.solution.tolerance


@pytest.mark.parametrize("seed", range(4))
def test_radius_zero_is_kelly(seed: int) -> None:
    returns = sample(seed)
    kelly, robust = Kelly(), KLRobustKelly(radius=0)
    np.testing.assert_allclose(
        kelly.optimize(returns, kind="returns"), robust.optimize(returns, kind="returns"), atol=1e-10
    )


@pytest.mark.parametrize("seed", range(6))
def test_radius_beyond_log_t_is_the_worst_case(seed: int) -> None:
    returns = sample(seed, 60, 8, 0.05)
    count, n = returns.shape
    optimizer = KLRobustKelly(radius=float(np.log(count)) + 1e-9)
    optimizer.optimize(returns, kind="returns")
    # the best worst wealth is a linear program
    program = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.column_stack([-returns, np.ones(count)]),
        b_ub=np.ones(count),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, 1)] * n + [(None, None)],
    )
    assert optimizer.solution.value == pytest.approx(-np.log(program.x[-1]), abs=1e-9)


@pytest.mark.parametrize("radius", [1e-8, 1e-4, 0.02, 0.5, 3.0, 5.0, 9.0])
def test_robust_growth_lies_between_worst_case_and_kelly(radius: float) -> None:
    returns = sample(3, 300, 5, 0.02)
    values = []
    for r in (0.0, radius, 2 * radius):
        optimizer = KLRobustKelly(radius=r)
        optimizer.optimize(returns, kind="returns")
        values.append(optimizer.solution.value)
        q = optimizer.solution.worst_case
        assert q is not None
        assert q.sum() == pytest.approx(1.0)
        inside = q > 0
        assert float(q[inside] @ np.log(q[inside] * len(q))) <= r * (1 + 1e-9) + 1e-12
    assert values[0] <= values[1] + 1e-12
    assert values[1] <= values[2] + 1e-12


def test_radius_auto_is_one_over_root_n() -> None:
    returns = sample(0, 225, 4)
    auto, given_radius = KLRobustKelly(radius="auto"), KLRobustKelly(radius=1 / 15)
    np.testing.assert_array_equal(
        auto.optimize(returns, kind="returns"), given_radius.optimize(returns, kind="returns")
    )


def test_kl_radius() -> None:
    # chi-square quantiles: 2.705543 (1 degree, 90%), 11.070498 (5 degrees, 95%)
    assert kl_radius(252) == pytest.approx(2.705543 / 504, rel=1e-6)
    assert kl_radius(252, 0.95, dof=5) == pytest.approx(11.070498 / 504, rel=1e-6)
    with pytest.raises(PortfolioError, match="confidence"):
        kl_radius(252, 0.4)
    with pytest.raises(PortfolioError, match="n="):
        kl_radius(0)
    with pytest.raises(PortfolioError, match="dof"):
        kl_radius(10, dof=0)


@pytest.mark.parametrize("fraction", [0, 7, -1, float("nan"), "half", True, None])
def test_bad_fraction(fraction: object) -> None:
    for kind in (Kelly, KLRobustKelly):
        with pytest.raises(PortfolioError, match="fraction"):
            kind(fraction=fraction)


@pytest.mark.parametrize("radius", [-1, float("nan"), float("inf"), "small", None])
def test_bad_radius(radius: object) -> None:
    with pytest.raises(PortfolioError, match="radius"):
        KLRobustKelly(radius=radius)


def test_bad_choices() -> None:
    with pytest.raises(PortfolioError, match="formulation"):
        Kelly(formulation="half")
    with pytest.raises(PortfolioError, match="solver"):
        Kelly(solver="magic")
    with pytest.raises(PortfolioError, match="constraints"):
        Kelly(mandate=Mandate(constraints=[3]))
    with pytest.raises(PortfolioError, match="custom_mean"):
        Kelly().optimize(sample(0), kind="returns", custom_mean=np.zeros(6))


def test_before_optimize() -> None:
    for use in (lambda k: k.solution, lambda k: k.stats(), lambda k: k.clean_weights()):
        with pytest.raises(PortfolioError, match="optimize"):
            use(Kelly())


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0.5, 1.0), "lower weight bounds sum to 3"),
        ((0.0, 0.1), "upper weight bounds sum to 0.6"),
    ],
)
def test_bounds_that_cannot_sum_to_one(bounds: tuple[float, float], message: str) -> None:
    with pytest.raises(InfeasibleError, match=message):
        Kelly().optimize(sample(0), bounds, kind="returns")


@pytest.mark.parametrize("bounds", [(1, 0), (0, None), "all", (0, 1, 2), {"XYZ": (0, 1)}, [(0, 1)] * 5])
def test_malformed_bounds(bounds: object) -> None:
    with pytest.raises(PortfolioError, match="bound"):
        Kelly().optimize(sample(0), bounds, kind="returns")


def test_bounds_in_all_their_forms() -> None:
    returns = pd.DataFrame(sample(5, 150, 4), columns=list("ABCD"))
    low, high = np.array([0.1, 0.0, 0.0, 0.2]), np.array([0.4, 0.5, 1.0, 0.9])
    forms = [
        (low, high),
        list(zip(low, high, strict=True)),
        (pd.Series(low[::-1], list("DCBA")), pd.Series(high, list("ABCD"))),
        dict(zip("ABCD", zip(low, high, strict=True), strict=True)),
    ]
    weights = [Kelly().optimize(returns, form, kind="returns") for form in forms]
    for w in weights:
        np.testing.assert_array_equal(w, weights[0])
        assert (w >= low).all()
        assert (w <= high).all()
    partial = Kelly().optimize(returns, {"B": (0.0, 0.05)}, kind="returns")
    assert partial[1] <= 0.05


def test_ruin_in_every_portfolio_names_the_date() -> None:
    dates = pd.date_range("2020-01-01", periods=30)
    returns = pd.DataFrame(sample(1, 30, 2), index=dates, columns=["A", "B"])
    returns.iloc[7] = [-1.5, -2.0]
    with pytest.raises(InfeasibleError, match="2020-01-08"):
        Kelly().optimize(returns, kind="returns")
    # with cash to retreat to it is feasible
    returns["cash"] = 0.0
    w = Kelly().optimize(returns, kind="returns")
    assert 1 + returns.iloc[7] @ w > 0


def test_returns_below_minus_one_keep_wealth_positive() -> None:
    returns = sample(2, 100, 3, 0.3)
    returns[:, 2] = 0.001
    returns[10, 0] = -2.5
    returns[:, 0] += 0.2
    optimizer = Kelly()
    w = optimizer.optimize(returns, kind="returns")
    assert (1 + returns @ w).min() > 0
    assert optimizer.solution.gap <= optimizer.solution.tolerance


def test_user_constraints_are_kept_and_certified() -> None:
    returns = sample(4, 250, 6)
    free = Kelly()
    free.optimize(returns, kind="returns")
    previous = np.full(6, 1 / 6)
    optimizer = Kelly(
        mandate=Mandate(
            constraints=[lambda w: cp.norm1(w - previous) <= 0.3, lambda w: [w[0] + w[1] <= 0.4, cp.sum(w[:3]) == 0.5]]
        )
    )
    w = optimizer.optimize(returns, kind="returns")
    assert np.abs(w - previous).sum() <= 0.3 + 1e-7
    assert w[0] + w[1] <= 0.4 + 1e-7
    assert w[:3].sum() == pytest.approx(0.5, abs=1e-7)
    solution = optimizer.solution
    assert solution.gap <= solution.tolerance
    assert solution.value >= free.solution.value
    # the certificate can fail: a worse feasible point has a larger gap
    assert solution.value - optimizer.problem(returns, kind="returns").solve(solver=cp.CLARABEL) <= 1e-7


def test_constraints_that_cannot_be_used() -> None:
    returns = sample(4, 50, 3)
    whole = cp.Variable(integer=True)
    for make, message in [
        (lambda w: w[0] <= whole, "whole numbers"),
        (lambda w: cp.norm(w) >= 0.5, "convex"),
        (lambda w: "w[0] < 1", "cvxpy constraints"),
        (lambda w: cp.lambda_max(cp.diag(w)) <= 0.5, "eigenvalues"),
        (lambda w: w["D"] <= 0.5, "'D', which is not among the assets"),
    ]:
        with pytest.raises(PortfolioError, match=message):
            Kelly(mandate=Mandate(constraints=[make])).optimize(returns, kind="returns")
    with pytest.raises(InfeasibleError, match="given constraints"):
        Kelly(mandate=Mandate(constraints=[lambda w: cp.sum(w) <= 0.5])).optimize(returns, kind="returns")


def test_warm_start_does_not_change_the_answer() -> None:
    returns = sample(6, 300, 8)
    optimizer = Kelly(0.5)
    cold = optimizer.optimize(returns, kind="returns")
    warm = optimizer.optimize(returns, kind="returns", w=cold)
    np.testing.assert_allclose(warm, cold, atol=1e-9)
    assert optimizer.solution.solver == "active-set"
    with pytest.raises(PortfolioError, match="w must be"):
        optimizer.optimize(returns, kind="returns", w=[1.0, float("nan")])


def test_stats_and_cleaning() -> None:
    returns = np.maximum(sample(7, 300, 8, 0.1), -0.9)
    optimizer = Kelly(0.5)
    w = optimizer.optimize(returns, kind="returns")
    assert (w > 0).sum() > 2
    stats = optimizer.stats()
    share = np.abs(w) / np.abs(w).sum()
    assert stats["herfindahl_index"] == pytest.approx((share**2).sum())
    assert stats["absolute_max_weight"] == pytest.approx(share.max())
    gini = np.abs(share[:, None] - share[None]).mean() / (2 * share.mean())
    assert stats["gini_coefficient"] == pytest.approx(gini)
    held = share[share > 0]
    assert stats["portfolio_entropy"] == pytest.approx(-(held * np.log(held)).sum())
    assert stats["tickers"] == list(range(8))
    threshold = float(np.sort(w[w > 0])[1])
    cleaned = optimizer.clean_weights(threshold * 0.999)
    assert cleaned.sum() == pytest.approx(w.sum())
    assert (cleaned > 0).sum() == (w > 0).sum() - 1
    optimizer.weights = np.array([0.5, -0.5, 1e-9])
    np.testing.assert_array_equal(optimizer.clean_weights(), [0.5, -0.5, 0.0])
    with pytest.raises(PortfolioError, match="threshold"):
        optimizer.clean_weights(-1)


def test_prices_and_returns_give_the_same_weights() -> None:
    returns = sample(8, 120, 4)
    prices = np.vstack([np.ones(4), np.cumprod(1 + returns, axis=0)]) * [10.0, 50.0, 3.0, 700.0]
    a = Kelly().optimize(returns, kind="returns")
    b = Kelly().optimize(prices)
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_no_data_and_wrong_probabilities() -> None:
    with pytest.raises(DataError, match="no data"):
        Kelly().optimize()
    with pytest.raises(PortfolioError, match="probabilities"):
        Kelly(beliefs=[0.5, 0.5]).optimize(sample(0), kind="returns")
    with pytest.raises(PortfolioError, match="probabilities"):
        Kelly(beliefs=-np.ones(200)).optimize(sample(0), kind="returns")


def test_zero_probability_scenarios_do_not_count() -> None:
    returns = sample(9, 100, 3)
    padded = np.vstack([returns, np.full((1, 3), -5.0)])
    p = np.r_[np.full(100, 0.01), 0.0]
    a = Kelly().optimize(returns, kind="returns")
    b = Kelly(beliefs=p).optimize(padded, kind="returns")
    np.testing.assert_allclose(a, b, atol=1e-9)
