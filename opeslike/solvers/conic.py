"""Problems through cvxpy: user constraints, and whatever the structure-exploiting solvers do not take.

This is the one place where a solver's status is translated. No status is believed: an answer is brought onto the
bounds and proved like any other, infeasibility by multipliers that show it, and otherwise the next installed solver is
tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.constraints import Constraint, Extra, UserConstraints
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.quadratic import VolatilityProblem
from opeslike.proof import Proof, Witness, prove, tangents

_TIGHT: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11, "max_iter": 500},
    "MOSEK": {},
    "ECOS": {"abstol": 1e-11, "reltol": 1e-11, "feastol": 1e-11, "max_iters": 500},
    "SCS": {"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iters": 10_000},
}
#: a rough answer after few steps
_ROUGH: dict[str, Any] = {"max_iters": 500, "eps": 1e-6}


def build(
    problem: Problem, constraints: Extra | Sequence[Constraint] = (), scale: float = 1.0, unit: float = 1.0
) -> tuple[Any, UserConstraints, list[Any]]:
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

    Returns
    -------
    (model, extra, own)
        The cvxpy problem, its variables with the user's constraints, and the constraints of the objective and of each
        limit on risk.
    """
    import cvxpy as cp

    extra = UserConstraints(problem, constraints)
    value, own = problem.expression(extra.x, scale)
    limited: list[list[Any]] = []
    for limit in problem.limits:  # of each the constraints of its measure, then the limit itself
        size = limit.measure.natural_scale()
        measured, further = limit.measure.expression(extra.x, size)
        limited.append([*further, measured <= limit.most / size])
    model = cp.Problem(cp.Minimize(unit * value), [*extra.within, *own, *chain(*limited), *extra.added])
    return model, extra, [own, *limited]


def build_ratio(problem: VolatilityProblem) -> Any:
    """Write the largest ratio ``reward / sqrt(w' covariance w)`` in cvxpy, in its convex form.

    The variable, ``scaled``, is ``y = w / reward``, and every limit on the variables x one on ``x / reward`` and the
    sum of y, which is ``1 / reward``.
    """
    import cvxpy as cp

    bounds, lift = problem.bounds, problem.lift
    y = cp.Variable(lift.size, name="scaled")
    total = cp.sum(y)
    x = y if lift.plain else cp.Variable(bounds.lower.size, name="variables")
    paid = 0.0 if problem.cost is None else problem.cost @ x + lift.fixed * total
    within = [problem.gain @ y - paid == 1, x >= bounds.lower * total, x <= bounds.upper * total, total >= 0]
    if not lift.plain:
        within += [bounds.rows @ x == bounds.totals * total, y == lift.map @ x + lift.parts.origin * total]
    return cp.Problem(cp.Minimize(cp.quad_form(y, cp.psd_wrap(np.asarray(problem.covariance)))), within)


def conic(problem: Problem, constraints: Extra | Sequence[Constraint] = ()) -> tuple[FloatArray, Proof, str, int]:
    """Solve through cvxpy with the installed solvers in turn until one answer is proved optimal.

    Returns
    -------
    (x, proof, solver, iterations)
        The best answer, whose gap the caller compares with its tolerance.

    Raises
    ------
    InfeasibleError
        If multipliers prove that no weights satisfy bounds and constraints.
    TimeLimitError
        If the time ran out before there was an answer.
    OptimizationError
        If no solver gives an answer.
    """
    import cvxpy as cp

    model, extra, own = build(problem, constraints, problem.natural_scale())
    installed = cp.installed_solvers()
    best: tuple[FloatArray, Proof, str, int] | None = None
    failures: list[str] = []
    for name in [solver for solver in _TIGHT if solver in installed]:
        if deadline.passed():
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cvxpy warns of inaccurate answers; the proof judges them here
                model.solve(solver=name, **_TIGHT[name], **deadline.options(name))
        except (cp.SolverError, ArithmeticError, ValueError) as error:
            failures.append(f"{name}: {error}")
            continue
        if model.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
            _check_infeasible(problem, extra)
            failures.append(f"{name}: infeasible, which is not so or could not be proved")
            continue
        if extra.x.value is None or not np.isfinite(extra.x.value).all():
            failures.append(f"{name}: {model.status}")
            continue
        x = problem.bounds.repair(np.asarray(extra.x.value, dtype=np.float64))
        try:
            proof = _proved(problem, x, _witness(problem, extra, own), extra)
        except OptimizationError as error:
            failures.append(f"{name}: {error}")
            continue
        if best is None or proof.gap < best[1].gap:
            best = (x, proof, name, int(model.solver_stats.num_iters or 0))
        if best[1].optimal:
            return best
    if best is None:
        deadline.check()
        raise OptimizationError(f"no solver gave an answer ({'; '.join(failures) or 'none installed'})")
    return best


def _witness(problem: Problem, extra: UserConstraints, own: list[list[Any]]) -> Witness:
    """What a solver's answer says: worst-case probabilities, prices of limits, the user's own variables."""

    def worst(part: Problem, constraints: list[Any]) -> FloatArray | None:
        # the multipliers of the first constraint of a risk are its worst case
        known = not isinstance(part, ScenarioProblem) or part.envelope() is None or constraints[0].dual_value is None
        return None if known else np.asarray(constraints[0].dual_value, dtype=np.float64)

    scale, limits = problem.natural_scale(), []
    for limit, constraints in zip(problem.limits, own[1:], strict=True):
        dual = constraints[-1].dual_value
        price = 0.0 if dual is None else float(np.ravel(dual)[0])
        q, size = worst(limit.measure, constraints), limit.measure.natural_scale()
        if q is not None and price > 0:
            q = q / price
        limits.append((price * scale / size, q))
    q = worst(problem, own[0]) if own[0] else None
    auxiliary = tuple(np.asarray(variable.value) for variable in extra.auxiliary)
    return Witness(q=q, limits=tuple(limits), auxiliary=auxiliary)


def _proved(problem: Problem, x: FloatArray, witness: Witness, extra: UserConstraints) -> Proof:
    """The best proof of an answer: over bounds alone, else with multipliers of the linear cone program at x."""
    plain = problem.penalty is None or problem.penalty.smooth
    proof = prove(problem, x, witness, None if plain and not extra.added else extra)  # raises where x is not feasible
    if plain and not extra.added:
        return proof
    for gradient, _, _ in tangents(problem, x, problem.evaluate(x), witness, smooth_only=True):
        cones = cone_multipliers(extra, gradient) if np.isfinite(gradient).all() else None
        if cones is not None and proof.gap > 1e-3 * proof.tolerance:
            other = prove(problem, x, replace(witness, cones=cones), extra)
            proof = other if other.gap < proof.gap else proof
    return proof


def cone_multipliers(extra: UserConstraints, gradient: FloatArray) -> FloatArray | None:
    """Multipliers of the least ``gradient . v`` over bounds and constraints, by Clarabel; None where it has none."""
    size = float(np.abs(gradient).max()) or 1.0
    _, program, solve = extra.linear(gradient / size, 1.0 / size)
    y = np.asarray(solve({**_TIGHT["CLARABEL"], **deadline.options("CLARABEL")}).z, dtype=np.float64)
    return y if y.shape == program.sides.shape and np.isfinite(y).all() else None


def _check_infeasible(problem: Problem, extra: UserConstraints) -> None:
    """Raise where it can be proved that no weights are feasible, rather than believing a solver.

    Raises
    ------
    InfeasibleError
        If the bounds are empty, or leave the domain, or multipliers of the constraints prove it: with them the lower
        bound of the cost 0 is positive.
    """
    center = problem.bounds.center()
    if center is not None:
        problem.starting_point(center)
    if not extra.added:
        return
    zero = np.zeros(problem.bounds.lower.size)
    _, program, solve = extra.linear(zero, 0.0)
    ray = np.asarray(solve({**_TIGHT["CLARABEL"], **deadline.options("CLARABEL")}).z, dtype=np.float64)
    largest = float(np.abs(ray).max(initial=0.0))
    if largest > 0 and np.isfinite(largest) and program.bound(ray / largest) > 1e-9:
        raise InfeasibleError(
            "no weights satisfy the bounds together with the given constraints, as multipliers prove; loosen one"
        )


def doubly_nonnegative(
    square: FloatArray, cost: FloatArray, most: int
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Multipliers of the least ``w' square w + cost' w`` over few ``w >= 0`` that sum to ``most``, relaxed, roughly.

        minimise square . X + cost'w  subject to  X >= 0 and semidefinite, X 1 = most w, X_ii z_i >= w_i^2,
                                                  sum w = most, 0 <= z <= 1, sum z <= most

    where X holds the products of the weights (Burer 2009).

    Returns
    -------
    (entries, rows, squares) or None
        Of ``X >= 0`` off the diagonal, shape (n, n) and not negative, of ``X 1 = most w`` and of the squares, shape
        (n,). None where the solver gives none.
    """
    import cvxpy as cp

    n = cost.size
    products = cp.Variable((n, n), PSD=True)
    weights, counted, squares = (cp.Variable(n, nonneg=True) for _ in range(3))
    known = [cp.upper_tri(products) >= 0, cp.sum(products, axis=1) == most * weights, squares <= cp.diag(products)]
    cones = cp.SOC(counted + squares, cp.vstack([2 * weights, counted - squares]), axis=0)
    within = [*known, cones, counted <= 1, cp.sum(counted) <= most, cp.sum(weights) == most]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an answer that is not accurate
            model = cp.Problem(cp.Minimize(cp.trace(square @ products) + cost @ weights), within)
            model.solve(solver="SCS", **_ROUGH, **deadline.options("SCS"))
    except (cp.SolverError, ArithmeticError, ValueError):
        return None
    found = [row.dual_value for row in known]
    if any(part is None or not np.isfinite(part).all() for part in found):
        return None
    pairs, rows, apart = map(np.ravel, found)
    entries = np.zeros((n, n))
    entries[np.triu_indices(n, 1)] = 0.5 * np.maximum(pairs, 0.0)
    return entries + entries.T, rows, apart
