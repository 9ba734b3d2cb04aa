"""Problems through cvxpy: user constraints, and whatever the structure-exploiting solvers do not take.

This is the one place where a solver's status is translated. No status is believed: the answer is brought onto the
bounds and certified like any other, and where the certificate does not hold the next installed solver is tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import InfeasibleError, OptimizationError, PortfolioError
from opeslike.modelling.limits import limited_value
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.solvers.certificate import Certificate, certify, linear_gap
from opeslike.solvers.limited import limited_certificate
from opeslike.solvers.relaxation import relaxed_gap, settled, smooth_gradient

FloatArray = NDArray[np.float64]
Constraint = Callable[[Any], Any]

_TIGHT: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11, "max_iter": 500},
    "MOSEK": {},
    "ECOS": {"abstol": 1e-11, "reltol": 1e-11, "feastol": 1e-11, "max_iters": 500},
    "SCS": {"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iters": 100_000},
}
_CUTS = 60
_VIOLATION = 1e-8


@dataclass(frozen=True)
class ConicModel:
    """A problem in cvxpy, with its weight variable and the constraints the user added."""

    problem: Any
    weights: Any
    added: list[Any]
    scale: float
    own: list[Any]


def build(
    problem: Problem, constraints: Sequence[Constraint] = (), scale: float = 1.0, unit: float = 1.0
) -> ConicModel:
    """Write a problem in cvxpy.

    Parameters
    ----------
    problem : Problem
    constraints : sequence of callables
        Each takes the cvxpy weights (N,) and returns a constraint or a list of constraints.
    scale : float
        The losses are divided by it, so that a solver sees numbers near one.
    unit : float
        The objective is multiplied by it; with ``unit=scale`` its value is in the problem's own unit.

    Raises
    ------
    PortfolioError
        If a constraint is not one, brings variables of its own, or is of a cone type that cannot be certified.
    """
    import cvxpy as cp

    bounds = problem.bounds
    x = cp.Variable(bounds.lower.size, name="weights")
    value, own = problem.expression(x, scale)
    box = [x >= bounds.lower, x <= bounds.upper, bounds.rows @ x == bounds.totals]
    added: list[Any] = []
    weights = problem.weights(x)
    for make in constraints:
        made = make(weights)
        added.extend(_checked(item, x, cp) for item in (made if isinstance(made, (list, tuple)) else [made]))
    return ConicModel(cp.Problem(cp.Minimize(unit * value), [*box, *own, *added]), x, added, scale, own)


def _checked(item: Any, x: Any, cp: Any) -> Any:
    if not isinstance(item, cp.constraints.constraint.Constraint):
        raise PortfolioError(f"constraints must return cvxpy constraints of the weights, got {item!r}")
    if any(variable.id != x.id for variable in item.variables()):
        raise PortfolioError(f"the constraint {item} has variables of its own; write it in the weights alone")
    kinds = (cp.constraints.Inequality, cp.constraints.Equality, cp.constraints.NonPos, cp.constraints.Zero)
    if not isinstance(item, kinds):
        raise PortfolioError(f"the constraint {item} is not an inequality or equality; write cones as norm(...) <= ...")
    if not item.is_dcp():
        raise PortfolioError(f"the constraint {item} is not convex by cvxpy's rules")
    return item


def conic(problem: Problem, constraints: Sequence[Constraint] = ()) -> tuple[FloatArray, Certificate, str, int]:
    """Solve through cvxpy with the installed solvers in turn until one answer is certified.

    Returns
    -------
    (x, certificate, solver, iterations)
        The certificate of the best answer, which the caller compares with its tolerance.

    Raises
    ------
    InfeasibleError
        If a solver proves that no weights satisfy bounds and constraints.
    OptimizationError
        If no solver gives an answer.
    """
    import cvxpy as cp

    model = build(problem, constraints, problem.natural_scale())
    installed = cp.installed_solvers()
    kinked = problem.penalty is not None and not problem.penalty.smooth
    best: tuple[FloatArray, Certificate, str, int] | None = None
    failures: list[str] = []
    for name in [solver for solver in _TIGHT if solver in installed]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cvxpy warns of inaccurate answers; the certificate judges them here
                model.problem.solve(solver=name, **_TIGHT[name])
        except cp.SolverError as error:
            failures.append(f"{name}: {error}")
            continue
        status = model.problem.status
        if status == cp.INFEASIBLE:
            extra = " together with the given constraints" if constraints else ""
            raise InfeasibleError(f"no weights satisfy the bounds{extra} (proved by {name})")
        if model.weights.value is None:
            failures.append(f"{name}: {status}")
            continue
        x = problem.bounds.repair(np.asarray(model.weights.value, dtype=np.float64))
        if not problem.in_domain(x):
            failures.append(f"{name}: the answer leaves the domain of the objective")
            continue
        try:
            certificate = _certified(problem, x, model)
        except OptimizationError as error:
            failures.append(f"{name}: {error}")
            continue
        if kinked and not certificate.optimal:
            tied = settled(problem, x)
            if problem.in_domain(tied) and _violation(model, tied) <= _VIOLATION:
                other = _certified(problem, tied, model)
                x, certificate = (tied, other) if other.gap < certificate.gap else (x, certificate)
        iterations = int(model.problem.solver_stats.num_iters or 0)
        if best is None or certificate.gap < best[1].gap:
            best = (x, certificate, name, iterations)
        if best[1].optimal:
            break
    if best is None:
        raise OptimizationError(f"no solver gave an answer ({'; '.join(failures) or 'none installed'})")
    return best


def _certified(problem: Problem, x: FloatArray, model: ConicModel) -> Certificate:
    if isinstance(problem, ScenarioProblem) and problem.limit is not None:
        over = limited_value(problem, x)
        if over > _VIOLATION:
            raise OptimizationError(f"the answer exceeds the limit on risk by {over:.1e}")
        price = model.own[-1].dual_value
        price = 0.0 if price is None else float(np.ravel(price)[0])
        return limited_certificate(problem, x, price, lambda lagrangian: _certified(lagrangian, x, model))
    linear = problem.penalty is None or problem.penalty.smooth
    q = _worst_case(problem, model)
    return certify(problem, x, q) if linear and not model.added else certify_constrained(problem, x, model, q)


def _worst_case(problem: Problem, model: ConicModel) -> FloatArray | None:
    """Worst-case probabilities: the multipliers of the first constraint of a risk that has several candidates."""
    if not isinstance(problem, ScenarioProblem) or problem.envelope() is None or not model.own:
        return None
    dual = model.own[0].dual_value
    return None if dual is None else np.asarray(dual, dtype=np.float64)


def certify_constrained(problem: Problem, x: FloatArray, model: ConicModel, q: FloatArray | None = None) -> Certificate:
    """Certify an answer under convex user constraints, or with a regulariser that has kinks.

    Every constraint ``c(v) <= 0`` is replaced by linear cuts ``c(u) + grad c(u) . (v - u) <= 0``, valid for each u by
    convexity. The linear program over the bounds and the cuts relaxes the true set, so its dual value, computed from
    multipliers that are exactly feasible, bounds the gap from above. Cuts at x alone are enough where the constraints
    are smooth; at kinks (turnover limits) more are added where the program's answer violates a constraint.

    Raises
    ------
    OptimizationError
        If ``x`` violates a constraint by more than 1e-8.
    """
    point = problem.evaluate(x)
    tolerance = problem.tolerance(point)
    violation = _violation(model, x)
    if violation > _VIOLATION:
        raise OptimizationError(f"the answer violates a given constraint by {violation:.1e}")
    cuts, limits = _cuts(model, x)
    tangent, excess = point.gradient, point.excess
    envelope = problem.envelope() if isinstance(problem, ScenarioProblem) else None
    if q is not None and envelope is not None:
        # near a kink of the risk the solver's probabilities, not just any worst case, give the tangent
        assert isinstance(problem, ScenarioProblem)
        value, other = problem.value_under(x, envelope.project(q))
        shortfall = max(point.value + point.excess - value, 0.0)
        bounds = problem.bounds
        if not point.smooth or shortfall + linear_gap(bounds, x, other) < excess + linear_gap(bounds, x, tangent):
            tangent, excess = other, shortfall
    gradient = smooth_gradient(problem, x, tangent)
    gap = np.inf
    for _ in range(_CUTS):
        vertex, bound = relaxed_gap(problem, x, gradient, np.array(cuts), np.array(limits))
        gap = min(gap, bound + excess)
        if gap <= tolerance or vertex is None or _violation(model, vertex) <= 1e-12:
            break
        more, more_limits = _cuts(model, vertex)
        cuts += more
        limits += more_limits
    return Certificate(point.value, float(gap), tolerance, point)


def _pieces(model: ConicModel) -> list[tuple[Any, bool]]:
    """Expressions that must be <= 0, and whether they must be 0."""
    return [(item.expr, "Equality" in type(item).__name__ or "Zero" in type(item).__name__) for item in model.added]


def _violation(model: ConicModel, x: FloatArray) -> float:
    model.weights.value = x
    worst = 0.0
    for expression, equal in _pieces(model):
        value = np.asarray(expression.value)
        worst = max(worst, float(np.abs(value).max() if equal else value.max()))
    return worst


def _cuts(model: ConicModel, at: FloatArray) -> tuple[list[FloatArray], list[float]]:
    """Rows a and limits c with ``a . v <= c`` for every v that satisfies the user's constraints."""
    model.weights.value = at
    cuts: list[FloatArray] = []
    limits: list[float] = []
    for expression, equal in _pieces(model):
        jacobian = expression.grad.get(model.weights)
        if jacobian is None:
            continue
        dense = jacobian.toarray() if hasattr(jacobian, "toarray") else np.asarray(jacobian)
        dense = dense.reshape(at.size, -1).T
        values = np.atleast_1d(np.asarray(expression.value, dtype=np.float64)).ravel(order="F")
        for row, value in zip(dense, values, strict=True):
            for sign in (1.0, -1.0) if equal else (1.0,):
                cuts.append(sign * row)
                limits.append(sign * float(row @ at - value))
    return cuts, limits
