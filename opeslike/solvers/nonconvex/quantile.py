"""Value-at-risk: the quantile of losses, which is not convex, by local search and by a mixed-integer program."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.ambiguity import WorstCase
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import Constraint, Extra
from opeslike.modelling.losses import Linear
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.regularizers import Regularizer
from opeslike.solvers.solve import solve

#: probabilities are summed to this accuracy
_MASS = 1e-12


def tail_mask(losses: FloatArray, p: FloatArray, confidence: float) -> NDArray[np.bool_]:
    """The worst scenarios, as many as may be left out: their probabilities sum to at most ``1 - confidence``."""
    order = np.argsort(-losses, kind="stable")
    out = np.cumsum(p[order]) <= 1.0 - confidence + _MASS
    mask = np.zeros(losses.size, dtype=bool)
    mask[order[out]] = True
    return mask


def value_at_risk(losses: FloatArray, p: FloatArray, confidence: float) -> float:
    """The least loss that is not exceeded with probability ``confidence`` or more."""
    return float(losses[~tail_mask(losses, p, confidence)].max())


def values_at_risk(points: FloatArray, returns: FloatArray, p: FloatArray, confidence: float) -> FloatArray:
    """Value-at-risk of many portfolios, (K, n) to (K,)."""
    losses = -(points @ returns.T)
    if (p == p[0]).all():
        out = int((1.0 - confidence + _MASS) / p[0])
        return np.asarray(np.partition(losses, -out - 1, axis=1)[:, -out - 1])
    return np.array([value_at_risk(row, p, confidence) for row in losses])


def minimum_quantile(
    returns: FloatArray,
    p: FloatArray,
    confidence: float,
    bounds: Bounds,
    penalty: Regularizer | None,
    starts: Sequence[FloatArray],
    solver: str = "auto",
    constraints: Extra | Sequence[Constraint] = (),
    rounds: int = 30,
) -> tuple[list[FloatArray], float, int]:
    """Descend from every start; the points where the descents end, the best first.

    At each point the worst scenarios are left out, and the worst loss of the others minimised, a convex problem. That
    loss bounds the value-at-risk of its minimiser from above and is the value-at-risk where it started, so no step
    leads uphill; the search ends where leaving out the worst scenarios changes nothing.

    Parameters
    ----------
    returns : ndarray of shape (T, n)
    p : ndarray of shape (T,)
    confidence : float in (0, 1)
    bounds : Bounds
    penalty : Regularizer or None
    starts : sequence of ndarrays of shape (n,)
        Feasible points.
    solver, constraints
        As in :func:`~opeslike.solvers.solve.solve`.
    rounds : int
        Convex problems at most, a start.

    Returns
    -------
    (points, value, iterations)
        The points, the value of the first of them, and the convex problems solved.
    """

    def value(x: FloatArray) -> float:
        extra = 0.0 if penalty is None else penalty.evaluate(x)[0]
        return value_at_risk(-(returns @ x), p, confidence) + extra

    ends: list[tuple[float, FloatArray]] = []
    iterations = 0
    for start in starts:
        x, height = start, value(start)
        for _ in range(rounds):
            kept = ~tail_mask(-(returns @ x), p, confidence)
            part = ScenarioProblem(np.asfortranarray(returns[kept]), None, Linear(), WorstCase(), bounds, penalty)
            iterations += 1
            try:
                trial = solve(part, solver, x, constraints).x
            except InfeasibleError:  # no start will do
                raise
            except OptimizationError:
                break  # a step that cannot be certified ends this descent, not the search
            lower = value(trial)
            if not lower < height - 1e-12 * max(abs(height), 1e-6):
                break
            x, height = trial, lower
        ends.append((height, x))
    ends.sort(key=lambda end: end[0])
    return [x for _, x in ends], ends[0][0], iterations


def exact_quantile(
    returns: FloatArray,
    p: FloatArray,
    confidence: float,
    bounds: Bounds,
    best: FloatArray,
    time_limit: float,
) -> tuple[FloatArray, float]:
    """Minimise value-at-risk by a mixed-integer program with HiGHS, from the best point known.

    One binary variable a scenario says whether it is left out: ``-r_t . w <= v + m_t z_t`` and ``sum p_t z_t <= 1 -
    confidence``, with m_t the most that the loss can exceed the bounds on v. Scenarios whose loss cannot reach v, or
    can never fall below it, have no choice and drop out.

    Returns
    -------
    (x, bound)
        The better of the program's answer and ``best``, and a lower bound of the minimum: HiGHS's dual bound.

    Raises
    ------
    OptimizationError
        If HiGHS proves nothing within the time limit.
    """
    from scipy.optimize import Bounds as Box
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csr_array, hstack

    n = returns.shape[1]
    ceiling = value_at_risk(-(returns @ best), p, confidence)
    most = _extreme_losses(returns, bounds, sign=1.0)
    least = _extreme_losses(returns, bounds, sign=-1.0)
    # the value cannot be less than the quantile of the least losses
    floor = value_at_risk(least, p, confidence)
    scale = max(float(np.abs(most).max()), float(np.abs(least).max()), 1e-300)
    always = least > ceiling  # left out by every portfolio that is no worse than the one known
    room = 1.0 - confidence - float(p[always].sum())
    free = np.flatnonzero(~always & (most > floor))
    k = free.size
    # variables: w, v / scale, z; what is left out always has no row
    rows = hstack(
        [
            csr_array(-returns[free] / scale),
            csr_array(-np.ones((k, 1))),
            csr_array((-(most[free] - floor) / scale, (np.arange(k), np.arange(k))), (k, k)),
        ]
    )
    equal = np.zeros((len(bounds.totals), n + 1 + k))
    equal[:, :n] = bounds.rows
    mass = np.zeros((1, n + 1 + k))
    mass[0, n + 1 :] = p[free]
    found = milp(
        np.concatenate([np.zeros(n), [1.0], np.zeros(k)]),
        integrality=np.concatenate([np.zeros(n + 1), np.ones(k)]),
        bounds=Box(
            np.concatenate([bounds.lower, [floor / scale], np.zeros(k)]),
            np.concatenate([bounds.upper, [ceiling / scale], np.ones(k)]),
        ),
        constraints=[
            LinearConstraint(rows, -np.inf, 0.0),
            LinearConstraint(equal, bounds.totals, bounds.totals),
            LinearConstraint(mass, -np.inf, room + _MASS),
        ],
        options={"time_limit": min(time_limit, max(deadline.remaining(), 1e-3)), "mip_rel_gap": 0.0},
    )
    if found.mip_dual_bound is None or not np.isfinite(found.mip_dual_bound):
        raise OptimizationError(
            f"the mixed-integer program proved nothing within {time_limit:g} seconds; raise time_limit, or use "
            "exact=False"
        )
    # HiGHS works to tolerances of 1e-7 and less in these units; the bound is lowered by them
    bound = max(scale * (float(found.mip_dual_bound) - 1e-9), floor)
    if found.x is None:
        return best, bound
    x = bounds.repair(np.asarray(found.x[:n]))
    better = value_at_risk(-(returns @ x), p, confidence) < ceiling
    return (x if better else best), bound


def _extreme_losses(returns: FloatArray, bounds: Bounds, sign: float) -> FloatArray:
    """Largest (sign 1) or least (sign -1) loss of every scenario over the bounds, scenario by scenario."""
    return np.array([-float(bounds.linear_minimum(sign * row)[0] @ row) for row in returns])
