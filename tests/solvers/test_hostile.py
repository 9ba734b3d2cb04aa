"""Problems that once ended in a warning, a ZeroDivisionError, a budget off by 1e-8 or a long detour."""

from __future__ import annotations

import numpy as np
import pytest

from opeslike import KLRobustKelly, Mandate, RiskConstrainedKelly
from opeslike.errors import InfeasibleError
from opeslike.modelling.ambiguity import CVaR, ProbabilityBox, WorstCase
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.losses import Exponential, Linear, Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.modelling.regularizers import make_penalty
from opeslike.modelling.risks import KLBall
from opeslike.modelling.terms import Terms
from opeslike.modelling.wasserstein import WassersteinProblem
from opeslike.objectives import MeanCVaR, VaR
from opeslike.objectives.hierarchical import HierarchicalRiskParity
from opeslike.proof import Witness, prove
from opeslike.solvers import saddle, tail
from opeslike.solvers import solve as room
from opeslike.solvers.nonconvex.local_search import successive_convex
from opeslike.solvers.pieces import Pieces
from opeslike.solvers.solve import solve


def terms(lower: np.ndarray, upper: np.ndarray, **further: float) -> Terms:
    none = np.zeros(0)
    return Terms(lower, upper, np.zeros((0, lower.size)), none, none, **further)


def fat_tails(count: int, n: int, seed: int = 0) -> np.ndarray:
    g = np.random.default_rng(seed)
    factor = g.standard_t(4, (count, 1)) * 0.008
    own = g.standard_t(4, (count, n)) * 0.012
    return np.asfortranarray(np.maximum(factor * g.uniform(0.5, 1.5, n) + own + g.normal(4e-4, 2e-4, n), -0.9))


@pytest.mark.parametrize("dual", [1.0, 1.5, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("mean", [None, np.full(2, 0.01)])
def test_no_risk_at_all_under_a_wasserstein_ball(dual: float, mean: np.ndarray | None) -> None:
    bounds, lift = feasible(terms(np.zeros(2), np.ones(2)), absolute=dual == 1.0)
    problem = WassersteinProblem(mean, np.zeros((2, 2)), 2.0, 0.1, 0.0, dual, bounds, None, lift)
    found = solve(problem)
    assert found.status == "optimal"
    assert found.x[:2].sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dual", [1.0, 1.5, 3.0, np.inf])
def test_budgets_under_every_norm(dual: float, seed: int) -> None:
    g = np.random.default_rng(seed)
    n = int(g.integers(2, 12))
    data = g.normal(5e-4, 0.01, (60, n)) * 10.0 ** g.uniform(-2, 1, n)
    low = -0.3 if seed % 2 else 0.0
    bounds, lift = feasible(terms(np.full(n, low), np.ones(n)), absolute=dual == 1.0)
    radius = float(10.0 ** g.uniform(-8, 1))
    problem = WassersteinProblem(
        data.mean(axis=0), np.cov(data.T), 2.0, np.sqrt(radius), radius, dual, bounds, None, lift
    )
    found = solve(problem)
    assert found.status == "optimal"
    assert problem.weights(found.x).sum() == pytest.approx(1.0, abs=1e-12)


def test_a_box_as_wide_as_rounding() -> None:
    """Weights between .5 (1 - 2e-8) and 1: nothing may be put on a bound that is a thousandth of the box away."""
    bounds, lift = feasible(terms(np.full(2, 0.5 * (1 - 2e-8)), np.ones(2)))
    mean = np.array([-0.00034821, -0.00029683])
    problem = WassersteinProblem(mean, None, 0.0, 0.0, 16.18, np.inf, bounds, None, lift)
    found = solve(problem, "interior-point")
    assert found.status == "optimal"
    assert found.x[:2].sum() == pytest.approx(1.0, abs=1e-12)


def test_repair_where_nothing_can_move() -> None:
    fixed = Bounds(np.ones(1), np.ones(1), np.ones((1, 1)), np.array([1.0 + 1e-12]))
    assert fixed.repair(np.array([0.3])).tolist() == [1.0]


def test_probabilities_that_are_known() -> None:
    """Two scenarios, the second with 1e-12 of the mass, known up to a tenth: the box has no room to speak of."""
    p = np.array([1.0 - 1e-12, 1e-12])
    data = -np.array([[0.0143, 0.0047, 0.0002], [0.0031, 0.0064, 0.0001]])
    bounds, lift = feasible(terms(np.zeros(3), np.full(3, 2.0), leverage=2.0, borrow_rate=4e-5))
    problem = ScenarioProblem(data, p, Log(), ProbabilityBox(0.9 * p, np.minimum(1.1 * p, 1.0)), bounds, None, lift)
    assert np.abs(problem.weights(solve(problem).x)).max() == pytest.approx(0.0, abs=1e-12)


def test_a_loss_that_overflows_ends_a_crossover_without_a_warning() -> None:
    g = np.random.default_rng(3)
    data = g.normal(0, 0.01, (60, 3))
    data[5, 1] = 1e7
    bounds, lift = feasible(terms(np.full(3, -5.0), np.full(3, 5.0)))
    found = solve(ScenarioProblem(data, None, Exponential(2.0), KLBall(4.15), bounds, None, lift))
    assert found.proof.gap <= 10 * found.proof.tolerance


def test_slacks_of_kinks_survive_a_tiny_barrier() -> None:
    spread = make_penalty("mpd", 0.7, Lift.identity(Bounds.budget(np.zeros(4), np.ones(4))))
    pieces = Pieces(spread, np.array([0.25, 0.25, 0.25, 0.25]) * 1e8, 1e-30)
    assert (pieces.z > 0).all()
    assert np.isfinite(pieces.pull()).all()


def test_a_wide_ball_takes_no_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interior point that meets the kinks is left early, and not repeated from the centre."""
    starts = []
    original = room.interior_point

    def counted(*arguments: object) -> object:
        starts.append(ScenarioProblem.evaluate)
        return original(*arguments)

    monkeypatch.setattr(room, "interior_point", counted)
    evaluations = []
    evaluate = ScenarioProblem.evaluate

    def watched(self: ScenarioProblem, *arguments: object) -> object:
        evaluations.append(1)
        return evaluate(self, *arguments)

    monkeypatch.setattr(ScenarioProblem, "evaluate", watched)
    data = fat_tails(500, 10)
    for radius in (5.0, 5.5, 6.0):
        starts.clear()
        evaluations.clear()
        found = solve(ScenarioProblem(data, None, Log(), KLBall(radius), Bounds.budget(np.zeros(10), np.ones(10))))
        assert found.status == "optimal"
        assert len(starts) <= 1
        assert len(evaluations) <= 100


def test_the_crossover_ends_in_the_corner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact zeros and a gap of rounding, which the interior path alone does not reach."""
    data = fat_tails(500, 10)
    for loss, risk in ((Linear(), CVaR(0.95)), (Linear(), WorstCase()), (Log(), KLBall(6.1))):
        problem = ScenarioProblem(data, None, loss, risk, Bounds.budget(np.zeros(10), np.ones(10)))
        with_it = solve(problem, "interior-point")
        assert with_it.proof.gap <= 1e-5 * with_it.proof.tolerance
        small = with_it.x < 1e-6
        assert small.any()
        assert (with_it.x[small] == 0).all()
        monkeypatch.setattr(saddle, "crossover", lambda *_: None)
        monkeypatch.setattr(tail, "crossover", lambda *_: None)
        without = solve(problem, "interior-point")
        monkeypatch.undo()
        assert without.proof.gap > 1e-5 * without.proof.tolerance


def test_the_tail_looks_at_few_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a timing: the scenarios that go into Newton's matrices, against those of the saddle problem of all."""
    data = fat_tails(4000, 12)
    problem = ScenarioProblem(data, None, Linear(), CVaR(0.95), Bounds.budget(np.zeros(12), np.ones(12)))
    seen = []
    gram = ScenarioProblem.gram

    def watched(self: ScenarioProblem, weight: np.ndarray, *arguments: object) -> np.ndarray:
        seen.append(weight.size)
        return gram(self, weight, *arguments)

    monkeypatch.setattr(ScenarioProblem, "gram", watched)
    found = solve(problem, "interior-point")
    few = sum(seen)
    seen.clear()
    monkeypatch.setattr(tail, "tail_point", lambda *_: None)
    every = solve(problem, "interior-point")
    assert every.proof.value == pytest.approx(found.proof.value, abs=2 * found.proof.tolerance)
    assert few < 0.5 * sum(seen)


def test_the_order_of_the_columns_does_not_matter_to_a_tree() -> None:
    for seed in range(17):
        g = np.random.default_rng(seed)
        data = fat_tails(200, int(g.integers(3, 15)), seed)
        order = g.permutation(data.shape[1])
        plain, other = HierarchicalRiskParity(), HierarchicalRiskParity()
        w = plain.optimize(data, kind="returns")
        np.testing.assert_allclose(other.optimize(data[:, order], kind="returns"), w[order], atol=1e-12)


def test_the_order_of_rows_and_columns_does_not_matter_to_value_at_risk() -> None:
    for seed in range(3):
        g = np.random.default_rng(seed)
        data = fat_tails(80, 5, seed)
        w = VaR(0.9).optimize(data, kind="returns", seed=1)
        columns, rows = g.permutation(5), g.permutation(80)
        other = VaR(0.9).optimize(data[rows][:, columns], kind="returns", seed=1)
        np.testing.assert_allclose(other, w[columns], atol=1e-6)


def test_a_proof_of_all_cash() -> None:
    """A robust optimum that holds nothing sits on a kink: zero is put there exactly, and proved."""
    bounds, lift = feasible(terms(np.full(6, -0.2), np.full(6, 0.5), leverage=1.5))
    problem = ScenarioProblem(fat_tails(400, 6), None, Log(), KLBall(0.5), bounds, None, lift)
    found = solve(problem)
    assert (problem.weights(found.x) == 0).all()
    assert prove(problem, found.x, Witness(found.q, found.proof.witness.multipliers)).optimal


@pytest.mark.parametrize("solver", ["auto", "cvxpy"])
def test_a_limit_that_the_only_weights_there_are_cannot_meet(solver: str) -> None:
    """Said at once: cvxpy, with nothing to choose, was asked until the time ran out."""
    data = np.random.default_rng(0).choice([-0.5, -0.1, 0.0, 0.1, 0.6], (128, 2)) - 0.05
    kelly = RiskConstrainedKelly(lam=0.3, mandate=Mandate(leverage=1, gross=2.5), solver=solver, time_limit=20)
    with pytest.raises(InfeasibleError, match=r"drawdown risk at lam 0\.3 <= 0"):
        kelly.optimize(data, (np.full(2, 0.5), np.full(2, 0.5)), kind="returns")


def test_nothing_to_move_under_many_limits() -> None:
    """Several equalities and not one variable that is free: a factorisation of size 0 was asked for."""
    n = 9
    groups = {"a": list(range(4)), "b": list(range(4, n))}
    met = (0.0, 4 / n - 1e-13)  # but for rounding
    mandate = Mandate(leverage=1, short_fee=0.01, groups=groups, group_bounds={"a": met})
    fixed = np.full(n, 1 / n)
    kelly = KLRobustKelly(radius=3.0, mandate=mandate)
    w = kelly.optimize(fat_tails(25, n), (fixed, fixed), kind="returns")
    np.testing.assert_allclose(w, fixed, atol=1e-12)
    assert kelly.solution.status == "optimal"


def test_a_first_order_method_does_not_take_all_the_time() -> None:
    """Where Clarabel's answer is not proved good enough SCS is asked, which ends by itself."""
    g = np.random.default_rng(2000715)
    g.uniform(size=2), g.choice(16)
    data, _ = 0.01 * g.standard_t(2, (125, 19)) + g.normal(0, 0.002, 19), g.random()
    rare = g.pareto(0.5, 125) + 1e-300
    kelly = KLRobustKelly(
        radius=8.893246498761949e-10,
        fraction=0.1,
        reg="l1",
        strength=9.811033178133402e-05,
        beliefs=rare,
        solver="cvxpy",
        time_limit=20,
    )
    kelly.optimize(np.maximum(data, -1.0), kind="returns")
    assert kelly.solution.status == "optimal"
    assert kelly.solution.iterations <= 10_000


def test_a_probability_that_rounding_pushes_onto_its_cap() -> None:
    """A step ends there; the next one divided by 0 (a warning is an error in these tests)."""
    g = np.random.default_rng(2000665)
    g.uniform(size=2), g.choice(16), g.normal(size=240 * 22), g.normal(size=22)
    data = g.normal(0.001, 0.02, (240, 5)) @ g.normal(0, 1, (5, 22))
    g.random()
    objective = MeanCVaR(
        confidence=0.5,
        reg="variance",
        strength=0.061151199145406794,
        risk_aversion=22.270653774634464,
        beliefs=g.random(240),
        solver="interior-point",
    )
    w = objective.optimize(data, kind="returns")
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    assert objective.solution.verify(data) <= 10 * objective.solution.tolerance


def test_a_search_from_a_guess_off_the_budget() -> None:
    """Half the best weights have less variance than any that sum to one; a search began there and ended there."""
    bounds, _ = feasible(terms(np.zeros(3), np.ones(3)))
    model = QuadraticProblem(None, np.eye(3), 2.0, bounds)
    x, value, _ = successive_convex(lambda x: model, lambda x: float(x @ x), [np.full(3, 1 / 6)])
    np.testing.assert_allclose(x, 1 / 3, atol=1e-9)
    assert value == pytest.approx(1 / 3)
