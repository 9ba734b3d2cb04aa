"""Sequential quadratic programming: few passes over the scenarios where there are few variables.

A second-order model of the objective has the size of the variables alone (Nocedal and Wright 2006, chapter 18). Its
minimiser is the least-squares point of a factor of the curvature among variables that are not negative, the equalities
being rows of great weight (Lawson and Hanson 1995, chapters 22 and 23). That says which variables are at their bounds;
Newton's method on the others finishes the job.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import nnls

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.named import refute
from opeslike.modelling.problem import Problem
from opeslike.solvers.active_set import active_set
from opeslike.solvers.interior_point import Iterate

#: models at most, steps from the minimiser of each, and rounds in which upper bounds that it exceeds are added to it
_MODELS, _NEWTON, _ROUNDS = 6, 4, 8
#: certified gap at which to stop, in tolerances: the last step doubles the digits
_EXACT = 1e-6
#: equalities missed by more contradict each other
_MISSED = 1e-8
#: relative to the curvature: what is added to it, for opposite parts have none between them, and what equalities weigh
_RIDGE, _WEIGHT = 1e-9, 1e7


def by_models(problem: Problem, start: FloatArray) -> Iterate | None:
    """Minimise a smooth problem over few variables by its second-order models.

    Parameters
    ----------
    problem : Problem
    start : ndarray of shape (n,)
        Where the first model is made; it need not be feasible.

    Returns
    -------
    Iterate or None
        The best point seen; the caller reads the gap.
    """
    free, best = problem.bounds.free, None
    x, moving = np.where(free, start, problem.bounds.lower), np.flatnonzero(free)
    for _ in range(_MODELS):
        if deadline.passed() or not problem.in_domain(x):
            break
        point = problem.evaluate(x)
        if not point.smooth:
            break
        guess = quadratic_minimum(problem.bounds, x, point.gradient, problem.hessian(point, moving))
        found = None if guess is None else active_set(problem, guess, _EXACT, max_iterations=_NEWTON)
        if found is None or (best is not None and not found.gap < best.gap):
            break
        x, best = found.x, found
        if best.gap <= _EXACT * problem.tolerance(best.point):
            break
    return best


def quadratic_minimum(bounds: Bounds, x: FloatArray, slope: FloatArray, curvature: FloatArray) -> FloatArray | None:
    """Minimise ``slope (v - x) + (v - x)' curvature (v - x) / 2`` over v within bounds; None where that fails.

    But for rounding, and where the curvature, which is told of the free variables alone, vanishes the shortest of
    several minimisers.

    Raises
    ------
    InfeasibleError
        If nothing is within bounds.
    """
    free, low = np.flatnonzero(bounds.free), np.minimum(np.maximum(x, bounds.lower), bounds.upper)
    low[free] = bounds.lower[free]
    m, n, width = bounds.totals.size, free.size, (bounds.upper - low)[free]
    scale = float(curvature.diagonal().mean()) or float(np.abs(slope).max()) or 1.0
    matrix = curvature / scale
    matrix.flat[:: n + 1] += _RIDGE
    factor, info = lapack.dpotrf(matrix, lower=1, clean=1)
    if info != 0:
        return None
    away = slope[free] / scale + matrix @ (low - x)[free]
    heavy = _WEIGHT / np.abs(bounds.rows).max(axis=1)
    rows = bounds.rows[:, free] * heavy[:, None]
    sides = np.concatenate([heavy * (bounds.totals - bounds.rows @ low), lapack.dtrtrs(factor, -away, lower=1)[0]])
    if not np.isfinite(sides).all():
        return None
    capped = (x >= bounds.upper)[free]
    for round_ in range(_ROUNDS):
        at = np.flatnonzero(capped)  # what is left to an upper bound is one more variable
        k = at.size
        whole = np.zeros((k + m + n, n + k))
        whole[range(k), at] = whole[range(k), range(n, n + k)] = _WEIGHT
        whole[k : k + m, :n], whole[k + m :, :n] = rows, factor.T
        try:
            y, _ = nnls(whole, np.concatenate([_WEIGHT * width[at], sides]))
        except RuntimeError:  # too many pivots
            return None
        over = (y[:n] > width) & ~capped
        if not over.any():
            low[free] += y[:n]
            full = free[at[y[n:] == 0]]
            low[full] = bounds.upper[full]
            missing = bounds.totals - bounds.rows @ low
            if np.abs(missing).max() <= _MISSED:
                return low
            refute(bounds, missing * (heavy / heavy.max()) ** 2)
            return None
        capped |= over | (round_ == _ROUNDS - 2)
    return None
