"""Primal-dual Newton for smooth objectives over a box cut by a few equalities.

Each step costs one Hessian, ``O(T N^2)``, and a Cholesky factorisation of size N. Iterates stay strictly inside the
box and on the equalities, so every one of them has a certified gap, and that gap is the stopping rule. See Wright,
*Primal-Dual Interior-Point Methods* (1997), for the predictor-corrector, and Waechter and Biegler (2006) for the
safeguards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from opeslike.modelling.problem import Point, Problem
from opeslike.solvers.certificate import linear_gap

FloatArray = NDArray[np.float64]

_STAY_INSIDE = 0.995
_SPREAD = 1e8


@dataclass(frozen=True)
class Iterate:
    """Where a solver stopped.

    ``gap`` is certified; ``multipliers`` belong to the equalities; ``q`` are worst-case probabilities where the solver
    has better ones than those that attain the risk at ``x``.
    """

    x: FloatArray
    point: Point
    gap: float
    multipliers: FloatArray
    iterations: int
    q: FloatArray | None = None


def solve_positive(matrix: FloatArray, sides: FloatArray) -> FloatArray:
    """Solve ``matrix z = sides`` by Cholesky, adding to the diagonal only where rounding left the matrix indefinite."""
    shift = 0.0
    scale = np.abs(matrix.diagonal())
    for _ in range(8):
        trial = matrix if shift == 0.0 else matrix + np.diag(shift * (scale + scale.max()))
        _, solution, info = lapack.dposv(trial, sides, lower=1)
        if info == 0:
            return np.asarray(solution)
        shift = max(1e-15, 100.0 * shift)
    return np.asarray(np.linalg.lstsq(matrix, sides, rcond=None)[0])


def newton_step(
    matrix: FloatArray, rows: FloatArray, side: FloatArray, missing: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve ``matrix d - rows' y = side``, ``rows d = missing``; returns (d, y)."""
    solved = solve_positive(matrix, np.column_stack([side, rows.T]))
    along, across = solved[:, 0], solved[:, 1:]
    if rows.shape[0] == 1:
        y = np.array([(missing[0] - rows[0] @ along) / (rows[0] @ across[:, 0])])
    else:
        y = np.linalg.lstsq(rows @ across, missing - rows @ along, rcond=None)[0]
    return along + across @ y, y


def _largest(slack: FloatArray, change: FloatArray) -> float:
    """Largest step in [0, 1] that keeps ``slack + step * change`` positive, a little short of the edge."""
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -_STAY_INSIDE / fastest) if fastest < 0 else 1.0


def interior_point(problem: Problem, start: FloatArray, aim: float, max_iterations: int = 60) -> Iterate:
    """Minimise a smooth problem from a point strictly inside its bounds.

    Parameters
    ----------
    problem : Problem
    start : ndarray of shape (n,)
        Strictly inside the box (on the coordinates that can move), on the equalities, and in the objective's domain.
    aim : float
        Certified gap at which to stop, in tolerances of the problem (1 is just optimal).
    max_iterations : int

    Returns
    -------
    Iterate
        The best iterate seen; its gap says how good it is. Stopping early (a kink, a stalled step, the iteration
        limit) is not an error here: the caller reads the gap.
    """
    bounds = problem.bounds
    free = np.flatnonzero(bounds.free)
    everything = free.size == bounds.lower.size
    rows = bounds.rows if everything else bounds.rows[:, free]
    lower, upper = bounds.lower[free], bounds.upper[free]
    index = None if everything else free

    x = start.copy()
    point = problem.evaluate(x)
    gap = linear_gap(bounds, x, point.gradient) + point.excess
    best = Iterate(x, point, gap, np.zeros(len(bounds.totals)), 0)
    if gap <= aim * problem.tolerance(point) or not point.smooth:
        return best
    below, above = x[free] - lower, upper - x[free]
    mu = gap / (2 * free.size)
    dual_low, dual_high = mu / below, mu / above
    stalled = 0
    for iteration in range(1, max_iterations + 1):
        gradient = point.gradient[free]
        curvature = problem.hessian(point, index)
        matrix = curvature + np.diag(dual_low / below + dual_high / above)
        missing = bounds.totals - bounds.rows @ x
        complementarity = (float(dual_low @ below) + float(dual_high @ above)) / (2 * free.size)

        # predictor: how far does the step to the unperturbed conditions go?
        step, y = newton_step(matrix, rows, -gradient, missing)
        low_change = -dual_low - dual_low / below * step
        high_change = -dual_high + dual_high / above * step
        primal = min(_largest(below, step), _largest(above, -step))
        dual = min(_largest(dual_low, low_change), _largest(dual_high, high_change))
        reached = (
            float((dual_low + dual * low_change) @ (below + primal * step))
            + float((dual_high + dual * high_change) @ (above - primal * step))
        ) / (2 * free.size)
        centering = min(max((reached / complementarity) ** 3, 1e-6), 1.0) if stalled == 0 else 0.5
        mu = centering * complementarity

        # corrector, with the second-order term of the complementarity products
        second_low = low_change * step if stalled == 0 else 0.0
        second_high = -high_change * step if stalled == 0 else 0.0
        push_low, push_high = (mu - second_low) / below, (mu - second_high) / above
        step, y = newton_step(matrix, rows, -gradient + push_low - push_high, missing)
        low_change = push_low - dual_low - dual_low / below * step
        high_change = push_high - dual_high + dual_high / above * step
        primal = min(_largest(below, step), _largest(above, -step))
        dual = min(_largest(dual_low, low_change), _largest(dual_high, high_change))

        direction = np.zeros_like(x)
        direction[free] = step
        primal = min(primal, 0.99 * problem.longest_step(point, direction))

        # accept by the barrier function, which the Newton step decreases
        merit = point.value - mu * (np.log(below).sum() + np.log(above).sum())
        slope = float(point.gradient @ direction) - mu * float((1.0 / below - 1.0 / above) @ step)
        noise = 1e-14 * (abs(merit) + abs(point.value)) + 1e-16
        accepted = False
        for _ in range(25):
            trial = x + primal * direction
            below_trial, above_trial = trial[free] - lower, upper - trial[free]
            if below_trial.min() > 0 and above_trial.min() > 0:
                candidate = problem.evaluate(trial, point)
                value = candidate.value - mu * (np.log(below_trial).sum() + np.log(above_trial).sum())
                if value <= merit + 1e-4 * primal * min(slope, 0.0) + noise or (slope > 0 and primal < 1e-2):
                    accepted = True
                    break
            primal *= 0.5
        if not accepted:
            stalled += 1
            if stalled > 2:
                break
            continue
        stalled = 0 if primal > 1e-3 else stalled + 1
        x, point, below, above = trial, candidate, below_trial, above_trial
        dual_low = dual_low + dual * low_change
        dual_high = dual_high + dual * high_change
        # keep the products z s within a wide band around mu, so that no dual variable gets stuck
        np.clip(dual_low, mu / (_SPREAD * below), max(_SPREAD * mu, 1e-300) / below, out=dual_low)
        np.clip(dual_high, mu / (_SPREAD * above), max(_SPREAD * mu, 1e-300) / above, out=dual_high)
        gap = linear_gap(bounds, x, point.gradient, y) + point.excess
        if gap < best.gap:
            best = Iterate(x, point, gap, y, iteration)
        if not point.smooth or gap <= aim * problem.tolerance(point):
            break
        if not math.isfinite(gap) or stalled > 3:
            break
    return best
