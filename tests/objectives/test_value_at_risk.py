"""Minimum value-at-risk: the exact program against enumeration, the search against the exact program."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import CVaR, VaR, WorstCaseLoss
from opeslike.solvers.nonconvex.quantile import value_at_risk, values_at_risk


def daily(seed: int, count: int, n: int) -> np.ndarray:
    g = np.random.default_rng(seed)
    return 0.01 * g.standard_t(4, (count, n)) + 0.0005


def by_enumeration(returns: np.ndarray, out: int) -> float:
    """Leave out every set of scenarios in turn and minimise the worst loss of the others."""
    count, n = returns.shape
    best = np.inf
    for left in combinations(range(count), out):
        kept = np.delete(returns, left, axis=0)
        found = linprog(
            np.append(np.zeros(n), 1.0),
            A_ub=np.column_stack([-kept, -np.ones(len(kept))]),
            b_ub=np.zeros(len(kept)),
            A_eq=[np.append(np.ones(n), 0.0)],
            b_eq=[1.0],
            bounds=[(0, 1)] * n + [(None, None)],
        )
        best = min(best, found.fun)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_exact_is_exact(seed: int) -> None:
    returns = daily(seed, 14, 3)
    optimizer = VaR(0.85, exact=True)  # 2 of 14 may be worse
    w = optimizer.optimize(returns, kind="returns")
    solution = optimizer.solution
    assert solution.value == pytest.approx(by_enumeration(returns, 2), abs=1e-9)
    assert solution.status == "optimal"
    assert 0 <= solution.gap <= solution.tolerance
    assert np.sort(-(returns @ w))[-3] == pytest.approx(solution.value, abs=1e-12)


def test_search_comes_near_the_exact_answer() -> None:
    """Not always there, or it would not be called a heuristic: most often exact, and never a tenth above."""
    above = []
    for seed in range(6):
        returns = daily(seed, 60, 4)
        exact, search = VaR(0.9, exact=True), VaR(0.9)
        exact.optimize(returns, kind="returns")
        search.optimize(returns, kind="returns")
        assert search.solution.status == "heuristic"
        assert search.solution.gap is None
        above.append(search.solution.value / exact.solution.value - 1)
    assert min(above) >= -1e-7
    assert max(above) <= 0.1
    assert np.sum(np.array(above) <= 1e-7) >= 4


def test_better_than_its_convex_relatives_and_seeded() -> None:
    returns = daily(7, 250, 6)
    optimizer = VaR(0.95)
    w = optimizer.optimize(returns, kind="returns")
    p = np.full(250, 1 / 250)
    for other in (CVaR(0.95), WorstCaseLoss()):
        assert optimizer.solution.value <= value_at_risk(-(returns @ other.optimize(returns, kind="returns")), p, 0.95)
    np.testing.assert_array_equal(VaR(0.95).optimize(returns, kind="returns"), w)
    np.testing.assert_array_equal(VaR(0.95).optimize(returns, kind="returns", seed=100), w)


def test_few_scenarios_left_out_is_the_worst_case() -> None:
    returns = daily(8, 15, 4)
    optimizer, worst = VaR(0.95), WorstCaseLoss()  # a twentieth of 15 is none
    optimizer.optimize(returns, kind="returns")
    worst.optimize(returns, kind="returns")
    assert optimizer.solution.value == pytest.approx(worst.solution.value, abs=1e-12)


def test_probabilities_count() -> None:
    returns = daily(9, 40, 3)
    p = np.random.default_rng(0).dirichlet(np.ones(40))
    optimizer = VaR(0.9, beliefs=p)
    w = optimizer.optimize(returns, kind="returns")
    losses = -(returns @ w)
    v = optimizer.solution.value
    assert p[losses <= v + 1e-15].sum() >= 0.9 - 1e-12
    assert p[losses < v - 1e-12].sum() < 0.9
    points = np.random.default_rng(1).dirichlet(np.ones(3), 5)
    np.testing.assert_allclose(
        values_at_risk(points, returns, p, 0.9), [value_at_risk(-(returns @ x), p, 0.9) for x in points]
    )
    even = np.full(40, 1 / 40)
    np.testing.assert_allclose(
        values_at_risk(points, returns, even, 0.9), [value_at_risk(-(returns @ x), even, 0.9) for x in points]
    )


def test_regularisers_bounds_and_constraints() -> None:
    returns = daily(10, 80, 4)
    plain, spread = VaR(0.9), VaR(0.9, "l2", 0.05)
    concentrated = np.square(plain.optimize(returns, kind="returns")).sum()
    assert np.square(spread.optimize(returns, kind="returns")).sum() < concentrated
    w = VaR(0.9).optimize(returns, (-0.2, 0.4), kind="returns")
    assert w.min() >= -0.2 - 1e-12
    assert w.max() <= 0.4 + 1e-12
    capped = VaR(0.9, mandate=Mandate(constraints=[lambda w: w[0] <= 0.05])).optimize(returns, kind="returns")
    assert capped[0] <= 0.05 + 1e-8


def test_refusals() -> None:
    returns = daily(11, 30, 3)
    with pytest.raises(PortfolioError, match="no regulariser"):
        VaR(exact=True, reg="l2")
    with pytest.raises(PortfolioError, match="no regulariser"):
        VaR(exact=True).set_regularizer("l2")
    with pytest.raises(PortfolioError, match="no extra constraints"):
        VaR(exact=True, mandate=Mandate(constraints=[lambda w: w[0] <= 0.5]))
    with pytest.raises(PortfolioError, match="confidence=1"):
        VaR(1.0)
    with pytest.raises(PortfolioError, match="CVaR"):
        VaR().problem(returns)
    with pytest.raises(InfeasibleError):
        VaR().optimize(returns, (0, 0.2), kind="returns")


def test_a_seed_is_taken_where_nothing_is_random() -> None:
    returns = daily(12, 40, 3)
    one = WorstCaseLoss().optimize(returns, kind="returns", seed=1)
    np.testing.assert_array_equal(one, WorstCaseLoss().optimize(returns, kind="returns", seed=2))
