"""Newton's method on the weights that are off their bounds: exact zeros at the end, and a quick start from a neighbour.

From a good guess (the interior point's answer, or last week's weights) two or three steps of ``O(T k^2)``, k the
number of weights strictly between their bounds, reach rounding error, and the weights at a bound are exactly there.
"""

from __future__ import annotations

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.problem import Point, Problem
from opeslike.proof import box_gap
from opeslike.solvers.interior_point import KKT, Iterate

#: equalities missed by more than this are repaired, and a guess that misses them by more than that is of no use
_OFF, _INFEASIBLE = 1e-14, 1e-9
#: multipliers of coordinates that come in opposite pairs are 0 but for rounding, relative to the gradient
_NOISE = 1e-13


def active_set(
    problem: Problem,
    guess: FloatArray,
    aim: float,
    max_iterations: int = 12,
    near_bound: float = 1e-9,
    near: Point | None = None,
) -> Iterate | None:
    """Improve a guess by Newton steps over the coordinates that are not at a bound.

    Parameters
    ----------
    problem : Problem
    guess : ndarray of shape (n,)
    aim : float
        Certified gap at which to stop, in tolerances of the problem (1 is just optimal).
    max_iterations : int
    near_bound : float
        Coordinates closer to a bound than this start there.
    near : Point, optional
        The problem evaluated close by.

    Returns
    -------
    Iterate or None
        The best point seen; None where the guess is of no use (outside the domain, or the regulariser has kinks or
        keeps the weights off their bounds).
    """
    bounds, penalty = problem.bounds, problem.penalty
    if penalty is not None and (penalty.interior or not penalty.smooth):
        return None
    lower, upper, rows, totals = bounds.lower, bounds.upper, bounds.rows, bounds.totals
    movable = upper > lower
    x = bounds.within(problem.lift.settled(guess), near_bound)
    pinned, off = (x <= lower) | (x >= upper), bounds.missed(x)
    if off > _OFF:
        x = bounds.repair(x)
        pinned, off = pinned & ((x <= lower) | (x >= upper)), bounds.missed(x)
    if off > _INFEASIBLE or not problem.in_domain(x):
        return None

    best: Iterate | None = None
    point = near
    worse = 0
    y = np.zeros(len(totals))
    for iteration in range(max_iterations):
        if deadline.passed():
            return best
        point = problem.evaluate(x, point)
        if not point.smooth or not np.isfinite(point.value):
            return best
        free = np.flatnonzero(~pinned)
        if bounds.single:
            y = bounds.price(point.gradient)
        elif free.size:
            y = bounds.nearest(point.gradient, free)
        else:
            y = bounds.linear_minimum(point.gradient)[1]
        gap = box_gap(bounds, x, point.gradient, y)[0] + point.excess
        if best is None or gap < best.gap:
            worse = 0
            best = Iterate(x, point, gap, y, iteration)
        else:
            worse += 1
        if best.gap <= aim * problem.tolerance(best.point) or worse > 3:
            return best
        step = np.zeros(0)
        if free.size:
            across = rows[:, free]
            matrix = problem.hessian(point, free)
            # a risk of a linear loss is flat along the weights themselves, where the equality decides: it gets a part
            matrix += float(matrix.diagonal().mean()) * (across.T @ across)
            step, y = KKT(matrix, across).solve(-point.gradient[free], np.zeros(len(totals)))
        if not np.isfinite(step).all():
            return best
        # a pinned coordinate whose multiplier has the wrong sign may move from the next step on
        reduced = point.gradient - y @ rows
        noise = 0.0 if bounds.single else _NOISE * float(np.abs(point.gradient).max())
        wrong = pinned & (((x <= lower) & (reduced < -noise)) | ((x >= upper) & (reduced > noise))) & movable
        direction = np.zeros_like(x)
        direction[free] = step
        length = min(1.0, 0.9 * problem.longest_step(point, direction)) if free.size else 0.0
        trial = x + length * direction
        # a coordinate at its bound that does not move hits nothing
        hit = ~pinned & (((trial <= lower) & (direction < 0)) | ((trial >= upper) & (direction > 0)))
        if hit.any():
            with np.errstate(divide="ignore", invalid="ignore"):
                edge = np.where(direction < 0, (lower - x) / direction, (upper - x) / direction)
            edge = np.where(hit, edge, np.inf)
            length = max(float(edge.min()), 0.0)
            trial = np.minimum(np.maximum(x + length * direction, lower), upper)
            blocked = hit & (edge <= length * (1.0 + 1e-12) + 1e-300)
            trial = np.where(blocked, np.where(direction < 0, lower, upper), trial)
            pinned = (pinned & ~wrong) | blocked
        else:
            if free.size == 0 and not wrong.any():
                return best
            pinned = pinned & ~wrong
        moved = bounds.missed(trial) > _OFF
        x = bounds.repair(trial) if moved else trial
        if (moved or hit.any()) and not problem.in_domain(x):  # a plain step stops short of the edge of the domain
            return best
    return best


def polished(problem: Problem, found: Iterate, near_bound: float = 1e-6) -> Iterate:
    """Replace an interior answer by the exact one with the same weights at their bounds, where that is as good."""
    guess, near_bound = (found.x, near_bound) if found.snapped is None else (found.snapped, 1e-9)
    better = active_set(problem, guess, 1e-6, max_iterations=6, near_bound=near_bound, near=found.point)
    if better is not None and better.gap <= max(found.gap, 1e-4 * problem.tolerance(found.point)):
        return Iterate(better.x, better.point, better.gap, better.multipliers, found.iterations + better.iterations)
    return found
