"""Named linear limits, gross exposure, cash and regularisers on the fast path: certified, and no worse than cvxpy."""

from __future__ import annotations

import numpy as np
import pytest

from opeslike.errors import InfeasibleError
from opeslike.modelling.ambiguity import CVaR, DistanceBall, WorstCase
from opeslike.modelling.feasible import feasible
from opeslike.modelling.losses import Exponential, Linear, Log
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem, VolatilityProblem
from opeslike.modelling.regularizers import make_penalty
from opeslike.modelling.risks import Entropic, KLBall, Mean
from opeslike.modelling.terms import Terms
from opeslike.modelling.transport import TransportProblem
from opeslike.modelling.wasserstein import WassersteinProblem
from opeslike.solvers.conic import conic
from opeslike.solvers.solve import solve


def returns(count: int, n: int, seed: int = 0) -> np.ndarray:
    g = np.random.default_rng(seed)
    factor = g.standard_t(4, (count, 1)) * 0.008
    own = g.standard_t(4, (count, n)) * g.uniform(0.006, 0.015, n)
    return np.asfortranarray(np.maximum(g.normal(4e-4, 4e-4, n) + factor * g.uniform(0.5, 1.5, n) + own, -0.9))


def mandate(n: int, seed: int, kind: str) -> Terms:
    """Caps and floors of groups, an exposure in a band, and what ``kind`` says."""
    g = np.random.default_rng([seed, 7])
    groups = np.zeros((2, n))
    groups[0, : n // 3], groups[1, n // 3 : 2 * n // 3] = 1.0, 1.0
    beta = g.uniform(0.5, 1.5, n)
    low, high, extra = np.zeros(n), np.ones(n), {}
    if kind != "long":
        low, high = np.full(n, -0.2), np.full(n, 0.6)
    if kind == "gross":
        extra = {"gross": 1.6, "short_fee": 1e-5}
    if kind == "cash":
        extra = {"leverage": 1.3, "cash_rate": 1e-5, "borrow_rate": 8e-5, "gross": 2.0}
    least, most = np.array([-np.inf, 0.2, 0.7 * beta.mean()]), np.array([0.25, np.inf, 1.05 * beta.mean()])
    return Terms(low, high, np.vstack([groups, beta]), least, most, ("group a", "group b", "exposure beta"), **extra)


def made(name: str, data: np.ndarray, terms: Terms, reg: str | None = None) -> Problem:
    absolute = name == "ball-inf"
    bounds, lift = feasible(terms, absolute)
    penalty = make_penalty(reg, 1e-3, lift)
    mean, covariance = data.mean(axis=0), np.cov(data.T)
    match name:
        case "variance":
            return QuadraticProblem(None, covariance, 2.0, bounds, penalty, lift)
        case "mean-variance":
            return QuadraticProblem(mean, covariance, 5.0, bounds, penalty, lift)
        case "ratio":
            return VolatilityProblem(mean, covariance, 0.05, bounds, penalty, lift)
        case "ball-2" | "ball-1" | "ball-inf":
            dual = {"ball-2": 2.0, "ball-1": np.inf, "ball-inf": 1.0}[name]
            return WassersteinProblem(mean, covariance, 5.0, 0.003, 1e-4, dual, bounds, penalty, lift)
        case "transport":
            return TransportProblem(1.0 + data, np.full(len(data), 1 / len(data)), 1e-4, bounds, penalty, lift)
    loss, risk = {
        "kelly": (Log(), Mean()),
        "kl": (Log(), KLBall(0.02)),
        "kl-wide": (Log(), KLBall(4.0)),
        "chi2": (Log(), DistanceBall(0.2)),
        "cara": (Exponential(5.0), Mean()),
        "entropic": (Linear(), Entropic(20.0)),
        "cvar": (Linear(), CVaR(0.9)),
        "worst": (Log(), WorstCase()),
    }[name]
    return ScenarioProblem(data, None, loss, risk, bounds, penalty, lift)


PROBLEMS = ["kelly", "kl", "kl-wide", "chi2", "cara", "entropic", "cvar", "worst", "variance", "mean-variance", "ratio"]
PROBLEMS += ["ball-2", "ball-1", "ball-inf"]


def check(problem: Problem, terms: Terms) -> None:
    found = solve(problem, "interior-point")
    assert found.status == "optimal"
    assert found.proof.gap <= found.proof.tolerance
    w = problem.weights(found.x)
    value = terms.rows @ w
    assert (w >= terms.lower - 1e-12).all()
    assert (w <= terms.upper + 1e-12).all()
    assert (value <= terms.most + 1e-9).all()
    assert (value >= terms.least - 1e-9).all()
    if terms.gross is not None:
        assert np.abs(w).sum() <= terms.gross + 1e-9
    if terms.leverage is None:
        assert w.sum() == pytest.approx(1.0, abs=1e-12)
    else:
        assert w.sum() <= terms.leverage + 1e-12
    _, other, _, _ = conic(problem)
    both = found.proof.tolerance + max(other.gap, 0.0) + 1e-9 * abs(other.value)
    assert found.proof.value <= other.value + both


@pytest.mark.parametrize("kind", ["long", "short", "gross", "cash"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_certified_under_limits(name: str, kind: str) -> None:
    terms = mandate(9, 3, kind)
    check(made(name, returns(120, 9, 3), terms), terms)


@pytest.mark.parametrize("reg", ["l1", "l2", "l-inf", "variance", "mpad", "mpd"])
@pytest.mark.parametrize("kind", ["long", "gross", "cash"])
@pytest.mark.parametrize("name", ["kelly", "cvar", "mean-variance"])
def test_regularisers_act_on_the_weights_under_limits(name: str, kind: str, reg: str) -> None:
    terms = mandate(8, 5, kind)
    check(made(name, returns(80, 8, 5), terms, reg), terms)


def test_wasserstein_kelly_under_limits() -> None:
    terms = mandate(6, 1, "long")
    check(made("transport", returns(60, 6, 1), terms), terms)


def test_no_linear_program_where_an_explicit_start_is_easy(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.optimize

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a linear program was solved")

    monkeypatch.setattr(scipy.optimize, "linprog", refused)
    for kind in ("long", "short", "gross", "cash"):
        for name in ("kelly", "kl", "cvar"):
            found = solve(made(name, returns(300, 12, 2), mandate(12, 2, kind)), "interior-point")
            assert found.status == "optimal"


def test_the_derivatives_in_the_variables_are_those_of_finite_differences() -> None:
    data = returns(50, 6)
    for name in ("kelly", "kl", "chi2", "mean-variance", "ratio", "ball-2"):
        problem = made(name, data, mandate(6, 0, "cash"), "l2")
        x = problem.bounds.center()
        assert x is not None
        point = problem.evaluate(x)
        hessian = problem.hessian(point)
        for i in range(x.size):
            step = np.zeros_like(x)
            step[i] = 1e-6
            up, down = problem.evaluate(x + step), problem.evaluate(x - step)
            assert (up.value - down.value) / 2e-6 == pytest.approx(point.gradient[i], abs=1e-7)
            np.testing.assert_allclose((up.gradient - down.gradient) / 2e-6, hessian[i], atol=1e-5)
        free = np.array([0, 2, 3, x.size - 1])
        np.testing.assert_allclose(problem.hessian(point, free), hessian[np.ix_(free, free)], atol=1e-14)


def test_limits_at_odds_are_named() -> None:
    n = 6
    rows = np.vstack([np.r_[np.ones(3), np.zeros(3)], np.r_[np.zeros(3), np.ones(3)]])
    both = Terms(np.zeros(n), np.ones(n), rows, np.full(2, -np.inf), np.full(2, 0.4), ("group tech", "group banks"))
    bounds, _ = feasible(both)
    with pytest.raises(InfeasibleError, match=r"group tech, group banks"):
        bounds.center()
    alone = Terms(
        np.full(n, 0.15), np.ones(n), rows, np.full(2, -np.inf), np.full(2, 0.4), ("group tech", "group banks")
    )
    with pytest.raises(InfeasibleError, match=r"the limit group tech cannot be met: at most 0\.4 .* force 0\.45"):
        feasible(alone)


def test_few_of_many_assets_under_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outsiders are priced with the multipliers of all rows."""
    from opeslike.solvers import solve as room

    data = returns(300, 150, 8)
    for name in ("kelly", "kl", "variance"):
        terms = mandate(150, 8, "long")
        few = solve(made(name, data, terms), "interior-point")
        monkeypatch.setattr(room, "MANY", 10**6)
        every = solve(made(name, data, terms), "interior-point")
        monkeypatch.undo()
        assert few.proof.value == pytest.approx(every.proof.value, abs=2 * every.proof.tolerance)
        assert few.status == every.status == "optimal"
