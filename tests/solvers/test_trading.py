"""Costs and turnover against what is held: closed forms, exact rest inside the no-trade region, limits in force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from opeslike.modelling.ambiguity import CVaR
from opeslike.modelling.feasible import feasible
from opeslike.modelling.losses import Linear, Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import KLBall, Mean, Risk
from opeslike.modelling.terms import Terms
from opeslike.solvers.conic import conic
from opeslike.solvers.interior_point import interior_point
from opeslike.solvers.solve import solve
from tests.solvers.test_linear_limits import mandate, returns


@pytest.mark.parametrize(("p", "b", "c"), [(0.6, 1.0, 0.01), (0.53, 1.2, 0.002), (0.3, 4.0, 0.05)])
def test_one_bet_with_costs(p: float, b: float, c: float) -> None:
    """Buy up to w with p b / (1 + b w) - (1 - p) / (1 - w) = c, sell down to the w with -c, stay between, to 1e-12."""

    def edge(price: float) -> float:
        return float(brentq(lambda w: p * b / (1 + b * w) - (1 - p) / (1 - w) - price, -0.8 / b, 0.99, xtol=1e-16))

    low, high = max(edge(c), 0.0), edge(-c)
    if (p, b, c) == (0.6, 1.0, 0.01):
        assert (round(low, 7), round(high, 7)) == (0.1903624, 0.2095608)
    none, one = np.zeros(0), np.ones(1)
    for held in (0.0, 0.5 * low, low + 1e-6, 0.5 * (low + high), high - 1e-6, 0.5 * (1 + high), 0.9):
        terms = Terms(0 * one, 0.99 * one, np.zeros((0, 1)), none, none, leverage=1.0)
        terms = replace(terms, held=held * one, buy=c * one, sell=c * one)
        bounds, lift = feasible(terms)
        data = np.array([[b], [-1.0]])
        problem = ScenarioProblem(data, np.array([p, 1 - p]), Log(), Mean(), bounds, None, lift)
        w = float(problem.weights(solve(problem, "interior-point").x)[0])
        if low <= held <= high:
            assert w == held
        else:
            assert w == pytest.approx(low if held < low else high, abs=1e-12)


def traded(n: int, seed: int, kind: str, **asked: object) -> tuple[Terms, np.ndarray]:
    terms = mandate(n, seed, kind)
    bounds, lift = feasible(terms)
    inside = bounds.center()
    assert inside is not None
    held = lift.weights(inside)
    return replace(terms, held=held, **asked), held


RISKS = [(Log(), Mean()), (Log(), KLBall(0.02)), (Linear(), CVaR(0.9))]


@pytest.mark.parametrize("kind", ["long", "short", "gross", "cash"])
@pytest.mark.parametrize(("loss", "risk"), RISKS)
def test_costs_and_turnover_under_every_mandate(loss: Log | Linear, risk: Risk, kind: str) -> None:
    price = np.linspace(2e-6, 4e-5, 9)
    terms, held = traded(9, 4, kind, buy=price, sell=2 * price, max_turnover=0.1, max_trade=np.full(9, 0.04))
    bounds, lift = feasible(terms)
    problem = ScenarioProblem(returns(150, 9, 4), None, loss, risk, bounds, None, lift)
    found = solve(problem, "interior-point")
    assert found.status == "optimal"
    w = lift.weights(found.x)
    assert np.abs(w - held).sum() <= 0.1 + 1e-9
    assert np.abs(w - held).max() <= 0.04 + 1e-12
    paid = float(price @ np.maximum(w - held, 0) + 2 * price @ np.maximum(held - w, 0))
    assert lift.cost is not None
    assert lift.cost @ lift(w) + lift.fixed == pytest.approx(paid, abs=1e-15)
    assert (w == held).sum() >= 3
    _, other, _, _ = conic(problem)
    assert found.proof.value <= other.value + found.proof.tolerance + 1e-9 * abs(other.value)


def test_dear_trades_are_not_made() -> None:
    terms, held = traded(8, 1, "long", buy=np.full(8, 1.0), sell=np.full(8, 1.0))
    bounds, lift = feasible(terms)
    for loss, risk in RISKS:
        found = solve(ScenarioProblem(returns(100, 8, 1), None, loss, risk, bounds, None, lift), "interior-point")
        assert (lift.weights(found.x) == held).all()


def test_the_turnover_limit_in_force() -> None:
    """Held outside the other limits, as much is allowed as leads back into them, and no more."""
    n, none = 4, np.zeros(0)
    held = np.array([0.7, 0.1, 0.1, 0.1])
    terms = Terms(np.zeros(n), np.full(n, 0.5), np.zeros((0, n)), none, none, held=held, max_turnover=0.05)
    bounds, lift = feasible(terms)
    assert lift.turnover == pytest.approx(0.4, abs=1e-8)
    found = solve(ScenarioProblem(returns(80, n), None, Log(), Mean(), bounds, None, lift))
    assert np.abs(lift.weights(found.x) - held).sum() == pytest.approx(0.4, abs=1e-8)
    _, enough = feasible(replace(terms, max_turnover=0.45))
    assert enough.turnover == 0.45


def test_few_models_lead_from_what_is_held() -> None:
    """From what is held two or three second-order models reach the optimum; nobody else is asked."""
    terms, held = traded(9, 4, "long", buy=np.full(9, 1e-5), sell=np.full(9, 1e-5), max_turnover=0.1)
    bounds, lift = feasible(terms)
    problem = ScenarioProblem(returns(150, 9, 4), None, Log(), Mean(), bounds, None, lift)
    found, other = solve(problem, "auto", lift(held)), interior_point(problem, problem.bounds.center(), 1e-8)
    assert found.solver == "active-set"
    np.testing.assert_allclose(lift.weights(found.x), lift.weights(other.x), atol=1e-8)
