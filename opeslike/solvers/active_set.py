"""Newton's method on the weights that are off their bounds: exact zeros at the end, and a quick start from a neighbour.

From a good guess (the interior point's answer, or last week's weights) two or three steps of ``O(T k^2)``, k the
number of weights strictly between their bounds, reach rounding error, and the weights at a bound are exactly there.
Which weights those are is settled within the second-order model of each step.
"""

from __future__ import annotations

import math

import numpy as np

from opeslike import deadline
from opeslike.market import Flags, FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Point, Problem
from opeslike.proof import box_gap
from opeslike.solvers.interior_point import KKT, Iterate

#: equalities missed by more than this are repaired, and a guess that misses them by more than that is of no use
_OFF, _INFEASIBLE = 1e-14, 1e-9
#: multipliers of coordinates that come in opposite pairs are 0 but for rounding, relative to the gradient
_NOISE = 1e-13
#: a gap of so few tolerances that gets no less is rounding
_ROUNDING = 1e-3
#: without a new second derivative a step gains less than the one before, by up to this factor
_WORSE = 10.0
#: pivots among the bounds of a model at most, beside two for each of its coordinates
_PIVOTS = 8
#: and what a step leads beyond a bound by rounding
_BESIDE = 1e-15


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
    lower, upper, rows, single = bounds.lower, bounds.upper, bounds.rows, bounds.single
    movable = upper > lower
    x = _met(bounds, bounds.within(problem.lift.settled(guess), near_bound))
    point = problem.evaluate_inside(x, near) if bounds.missed(x) <= _INFEASIBLE else None
    best: Iterate | None = None
    enough = before = math.inf
    worse, at = 0, b""
    loose = np.zeros(x.size, dtype=np.bool_)  # off their bounds, or let go of
    for iteration in range(max_iterations):
        if point is None or not point.smooth or not math.isfinite(point.value) or deadline.passed():
            return best
        gradient, above, below = point.gradient, x > lower, x < upper
        loose |= above & below
        inside = loose.nonzero()[0]
        if single:
            y = bounds.price(gradient)
        else:
            y = bounds.nearest(gradient, inside) if inside.size else bounds.linear_minimum(gradient)[1]
        gap, reduced = box_gap(bounds, x, gradient, y)
        gap += point.excess
        worse += 1
        if best is None or gap < best.gap:
            best, worse = Iterate(x, point, gap, y, iteration), 0
            if gap <= 10.0 * enough:  # the tolerance changes little on the way, and takes a pass over the scenarios
                enough = aim * problem.tolerance(point)
        if worse > 3 or best.gap <= (max(1.0, _ROUNDING / aim) if worse else 1.0) * enough:
            return best
        may = movable
        if single:  # with the coordinates off their bounds those at one that are priced no worse than they
            prices = reduced[inside]
            dear, cheap = np.maximum.reduce(prices, initial=0.0), np.minimum.reduce(prices, initial=0.0)
            may = may & (above | (reduced <= dear)) & (below | (reduced >= cheap))
        moving = may.nonzero()[0]
        if not moving.size:
            return best
        # where the last step shows that one more of its kind will do, the second derivative is that of the last point
        if _WORSE * gap * gap > enough * before or moving.tobytes() != at:
            at, across, box = moving.tobytes(), rows[:, moving], (lower[moving], upper[moving])
            matrix = problem.hessian(point, moving)
            # a risk of a linear loss is flat along the weights themselves, where the equality decides: it gets a part
            matrix += float(matrix.trace()) / moving.size * (across.T @ across)
        before, last, free = gap, x, loose[moving]
        aimed = _model_minimum(matrix, gradient[moving], across, x[moving], *box, free)
        if aimed is None:
            return best
        x = last.copy()
        x[moving], loose[moving] = aimed, free
        x = _met(bounds, x)
        there = problem.evaluate_inside(x, point)
        if there is None:
            x = _met(bounds, last + 0.9 * problem.longest_step(point, x - last) * (x - last))
            there = problem.evaluate_inside(x, point)
        point = there
    return best


def _met(bounds: Bounds, x: FloatArray) -> FloatArray:
    """The coordinates, repaired where they miss an equality by more than rounding."""
    return bounds.repair(x) if bounds.missed(x) > _OFF else x


def _model_minimum(
    matrix: FloatArray,
    gradient: FloatArray,
    rows: FloatArray,
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    free: Flags,
) -> FloatArray | None:
    """Minimise ``gradient . d + d' matrix d / 2`` at ``start + d`` between bounds, with ``rows d = 0``.

    By pivots from the start, which cost no scenarios; ``free``, which is kept up to date, tells the coordinates that
    are off their bounds. None where there is no way from there.
    """
    x, slope, missing = start.copy(), gradient, np.zeros(len(rows))
    noise = 0.0 if len(rows) == 1 else _NOISE * float(np.abs(gradient).max())
    if not free.any():
        free[:] = True
    for _ in range(_PIVOTS + 2 * gradient.size):
        inside = free.nonzero()[0]
        if inside.size == 0:
            break
        whole = inside.size == gradient.size
        part, across = (matrix, rows) if whole else (matrix[inside[:, None], inside], rows[:, inside])
        step, y = KKT(part, across).solve(-slope[inside], missing)
        if not np.isfinite(step).all():
            return None
        here, least, most = x[inside], lower[inside], upper[inside]
        there = here + step
        out = (there < least - _BESIDE) | (there > most + _BESIDE)
        if out.any():  # as far as the first bound
            edge = np.where(step < 0, least, most)[out]
            reach = (edge - here[out]) / step[out]
            blocked = reach <= float(reach.min()) * (1.0 + 1e-12) + 1e-300
            x[inside] = here + float(reach.min()) * step
            x[inside[out][blocked]], free[inside[out][blocked]] = edge[blocked], False
            slope = gradient + matrix @ (x - start)
            continue
        x[inside] = np.minimum(np.maximum(there, least), most)
        if whole:
            break
        slope = gradient + matrix @ (x - start)
        # a pinned coordinate whose multiplier has the wrong sign may move from the next step on
        reduced = slope - y @ rows
        wrong = ~free & (((x <= lower) & (reduced < -noise)) | ((x >= upper) & (reduced > noise)))
        if not wrong.any():
            break
        free |= wrong
    return x


def polished(problem: Problem, found: Iterate, near_bound: float = 1e-6) -> Iterate:
    """Replace an interior answer by the exact one with the same weights at their bounds, where that is as good."""
    guess, near_bound = (found.x, near_bound) if found.snapped is None else (found.snapped, 1e-9)
    better = active_set(problem, guess, 1e-6, max_iterations=6, near_bound=near_bound, near=found.point)
    if better is not None and better.gap <= max(found.gap, 1e-4 * problem.tolerance(found.point)):
        return Iterate(better.x, better.point, better.gap, better.multipliers, found.iterations + better.iterations)
    return found
