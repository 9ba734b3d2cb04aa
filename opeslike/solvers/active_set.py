"""Newton's method on the weights that are off their bounds: exact zeros at the end, and a quick start from a neighbour.

From a good guess (the interior point's answer, or last week's weights) two or three steps of ``O(T k^2)``, k the
number of weights strictly between their bounds, reach rounding error, and the weights at a bound are exactly there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.problem import Point, Problem
from opeslike.proof import linear_gap
from opeslike.solvers.interior_point import Iterate, solve_positive

FloatArray = NDArray[np.float64]


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
    problem : Problem with a single equality
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
        The best point seen; None where the guess is of no use (outside the domain, or the problem has several
        equalities).
    """
    bounds = problem.bounds
    if not bounds.single or (problem.penalty is not None and problem.penalty.interior):
        return None
    lower, upper, row, total = bounds.lower, bounds.upper, bounds.rows[0], float(bounds.totals[0])
    x = np.where(guess - lower <= near_bound, lower, np.where(upper - guess <= near_bound, upper, guess))
    x = np.minimum(np.maximum(x, lower), upper)
    pinned = (x <= lower) | (x >= upper)
    if abs(total - float(row @ x)) > 1e-14:
        x = bounds.repair(x)
        pinned &= (x <= lower) | (x >= upper)
    if abs(total - float(row @ x)) > 1e-9 or not problem.in_domain(x):
        return None

    best: Iterate | None = None
    point = near
    worse = 0
    for iteration in range(max_iterations):
        point = problem.evaluate(x, point)
        if not point.smooth or not np.isfinite(point.value):
            return best
        gap = linear_gap(bounds, x, point.gradient) + point.excess
        if best is None or gap < best.gap:
            worse = 0
            best = Iterate(x, point, gap, np.zeros(1), iteration)
        else:
            worse += 1
        if best.gap <= aim * problem.tolerance(best.point) or worse > 3:
            return best
        free = np.flatnonzero(~pinned)
        if free.size:
            across = row[free]
            sides = np.empty((free.size, 2))
            sides[:, 0], sides[:, 1] = -point.gradient[free], across
            matrix = problem.hessian(point, free)
            # a risk of a linear loss is flat along the weights themselves, where the equality decides: it gets a part
            matrix += float(matrix.diagonal().mean()) * across[:, None] * across
            solved = solve_positive(matrix, sides)
            price = float(row[free] @ solved[:, 1])
            y = -float(row[free] @ solved[:, 0]) / price if price != 0 else 0.0
            step = solved[:, 0] + y * solved[:, 1]
        else:
            step = np.zeros(0)
            y = _edge_price(point.gradient, row, x, lower, upper)
        # a pinned coordinate whose multiplier has the wrong sign may move from the next step on
        reduced = point.gradient - y * row
        wrong = pinned & (((x <= lower) & (reduced < 0)) | ((x >= upper) & (reduced > 0))) & (upper > lower)
        if not np.isfinite(step).all():
            return best
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
        moved = abs(total - float(row @ trial)) > 1e-14
        x = bounds.repair(trial) if moved else trial
        if (moved or hit.any()) and not problem.in_domain(x):  # a plain step stops short of the edge of the domain
            return best
    return best


def _edge_price(gradient: FloatArray, row: FloatArray, x: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Multiplier of the equality where every coordinate is at a bound: the price of the best one to move."""
    price = gradient / np.where(row == 0, 1.0, row)
    # a coordinate with a negative coefficient lowers the total by rising
    can_lower = np.where(row < 0, x < upper, x > lower) & (row != 0)
    can_raise = np.where(row < 0, x > lower, x < upper) & (row != 0)
    high = float(price[can_lower].max()) if can_lower.any() else -np.inf
    low = float(price[can_raise].min()) if can_raise.any() else np.inf
    return 0.5 * (high + low) if np.isfinite(high) and np.isfinite(low) else 0.0
