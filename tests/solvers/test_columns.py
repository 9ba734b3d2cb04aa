"""Solving for the few assets that matter gives what solving for all of them gives."""

from __future__ import annotations

import numpy as np
import pytest

from opeslike.modelling.feasible import feasible
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import Mean
from opeslike.modelling.terms import Terms
from opeslike.objectives import (
    CVaR,
    EntropicRisk,
    Kelly,
    KLRobustKelly,
    MeanCVaR,
    MeanEVaR,
    MeanVariance,
    MinVariance,
    WorstCaseLoss,
)
from opeslike.solvers import solve as solve_module
from opeslike.solvers.columns import _among


def returns(count: int, n: int, seed: int) -> np.ndarray:
    g = np.random.default_rng(seed)
    factor = g.standard_t(5, (count, 2)) * 0.008
    own = g.standard_t(5, (count, n)) * g.uniform(0.005, 0.02, n)
    return np.maximum(g.normal(4e-4, 4e-4, n) + factor @ g.uniform(-0.2, 1.3, (2, n)) + own, -0.9)


OBJECTIVES = [
    Kelly,
    lambda: KLRobustKelly(radius=0.05),
    lambda: KLRobustKelly(radius=3.0),
    lambda: MeanVariance(4.0),
    MinVariance,
    lambda: CVaR(0.9),
    lambda: EntropicRisk(20.0),
    lambda: MeanCVaR(2.0, 0.9),
    lambda: MeanEVaR(2.0),
    WorstCaseLoss,
]


@pytest.mark.parametrize("make", OBJECTIVES)
@pytest.mark.parametrize(
    "bounds", [(0, 1), (0, 0.03), (-0.02, 0.2), (0.004, 0.5)], ids=["long", "capped", "short", "floors"]
)
def test_same_answer_as_with_all_assets(make, bounds, monkeypatch) -> None:
    data = returns(150, 100, 1)
    few = make()
    w = few.optimize(data, bounds, kind="returns")
    monkeypatch.setattr(solve_module, "MANY", 10**6)
    every = make()
    every.optimize(data, bounds, kind="returns")
    assert few.solution.status == every.solution.status == "optimal"
    assert few.solution.gap <= few.solution.tolerance
    tolerance = few.solution.tolerance + every.solution.tolerance
    assert few.solution.value == pytest.approx(every.solution.value, abs=tolerance)
    assert w.sum() == pytest.approx(1, abs=1e-12)
    assert (w >= bounds[0] - 1e-15).all()
    assert (w <= bounds[1] + 1e-15).all()


def test_the_start_and_the_order_do_not_matter() -> None:
    data = returns(200, 200, 2)
    plain = KLRobustKelly(radius=0.1)
    w = plain.optimize(data, kind="returns")
    order = np.random.default_rng(0).permutation(200)
    other = KLRobustKelly(radius=0.1)
    back = other.optimize(data[:, order], kind="returns", w=np.eye(200)[17])
    assert other.solution.value == pytest.approx(plain.solution.value, abs=2 * plain.solution.tolerance)
    np.testing.assert_allclose(back, w[order], atol=1e-5)


def test_fewer_assets_are_looked_at(monkeypatch) -> None:
    """Not a timing: the largest matrix that is factored."""
    data = returns(300, 400, 3)
    sizes = []
    from opeslike.solvers import interior_point

    cholesky = interior_point._cholesky

    def watched(matrix):
        sizes.append(len(matrix))
        return cholesky(matrix)

    monkeypatch.setattr(interior_point, "_cholesky", watched)
    Kelly().optimize(data, kind="returns")
    assert max(sizes) <= 100


def test_many_assets_that_all_matter() -> None:
    """Independent assets of equal risk: most are held, so the growing set gives way to all of them."""
    data = np.random.default_rng(4).normal(5e-4, 0.01, (1200, 120))
    for optimizer in (MinVariance(), KLRobustKelly(radius=0.5), KLRobustKelly(radius=5.0)):
        w = optimizer.optimize(data, kind="returns")
        assert optimizer.solution.status == "optimal"
        assert (w > 0).sum() > 60


def test_what_cannot_move_is_one_more_asset() -> None:
    """A part of a problem has the value of the whole, and the few columns it looks at beside what the others hold."""
    held = np.full(30, 1 / 30)
    none = np.zeros(0)
    terms = Terms(np.zeros(30), np.ones(30), np.zeros((0, 30)), none, none, held=held, max_turnover=0.1)
    bounds, lift = feasible(terms)
    problem = ScenarioProblem(
        np.random.default_rng(0).normal(0, 0.01, (50, 30)), None, Log(), Mean(), bounds, None, lift
    )
    x = lift(held)
    inside = np.ones(x.size, dtype=bool)
    inside[:60] = np.arange(60) % 30 < 4
    part, few = _among(problem, inside)
    assert part.returns.shape == (50, 5)
    one, whole = part.evaluate(x[few]), problem.evaluate(x)
    assert one.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(one.gradient, whole.gradient[few], rtol=1e-9)
    np.testing.assert_allclose(part.lift.settled(x[few]), x[few], atol=1e-15)
