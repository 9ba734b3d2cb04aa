"""Primal-dual Newton for a smooth objective with a regulariser that has kinks.

The same method as for smooth objectives, on the epigraph of the regulariser, whose slacks are eliminated: a step still
costs one Hessian and one factorisation of the size of the weights. The multipliers of the kinks are a subgradient at
every step, so every iterate has a certified gap.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.problem import Point, Problem
from opeslike.proof import linear_gap
from opeslike.solvers.interior_point import KKT, Iterate
from opeslike.solvers.pieces import Pieces, longest

FloatArray = NDArray[np.float64]

_TIED = 1e-7
_PATIENCE = 4
_KEEP_UP = 1e-3


def without_penalty(problem: Problem) -> Problem:
    """The same problem less its regulariser."""
    core = copy.copy(problem)
    core.penalty = None
    return core


def kinked_interior_point(problem: Problem, start: FloatArray, aim: float, max_iterations: int = 80) -> Iterate:
    """Minimise a smooth objective plus a regulariser with kinks.

    Parameters
    ----------
    problem : Problem
        Its penalty has pieces.
    start : ndarray of shape (n,)
        Strictly inside the box (on the coordinates that can move), on the equalities, and in the objective's domain.
    aim : float
        Certified gap at which to stop, in tolerances of the problem.
    max_iterations : int

    Returns
    -------
    Iterate
        The best iterate seen; its gap says how good it is.
    """
    assert problem.penalty is not None
    core, bounds, k = without_penalty(problem), problem.bounds, problem.n_assets
    free = np.flatnonzero(bounds.free)
    n = free.size
    index = None if n == bounds.lower.size else free
    rows = bounds.rows[:, free]
    limits = np.concatenate([bounds.lower[free], -bounds.upper[free]])
    held = free[free < k]  # the weights among the coordinates that move
    place = np.flatnonzero(free < k)

    x = start.copy()
    point = core.evaluate(x)
    slack = np.concatenate([x[free], -x[free]]) - limits
    # without any pull of the kinks the gap is the value of the regulariser and the linear gap of the rest
    extra, _ = problem.penalty.evaluate(x[:k])
    pieces = Pieces(problem.penalty, x[:k], 1.0)
    count = 2 * n + pieces.count
    first = max(linear_gap(bounds, x, _with(point, pieces.tilt)), 0.0) + abs(extra)
    mu = max(first, problem.tolerance(point)) / count
    pieces = Pieces(problem.penalty, x[:k], mu)
    dual = mu / slack
    gap = 0.0
    best: Iterate | None = None
    best_pieces = pieces
    careful = 0
    for iteration in range(1, max_iterations + 1):
        gradient = _with(point, pieces.pull())[free]
        ratio = dual / slack
        curvature = pieces.curvature()
        hessian = core.hessian(point, index)
        matrix = hessian.copy()
        if held.size == k == n:
            matrix += curvature
        else:
            matrix[np.ix_(place, place)] += curvature[np.ix_(held, held)]
        matrix.flat[:: n + 1] += ratio[:n] + ratio[n:]
        missing = bounds.totals - bounds.rows @ x
        # where all weights are tied the budget alone decides how they move together: give it a part in the curvature
        firmness = float(matrix.diagonal().min())
        matrix += firmness * (rows.T @ rows)
        complementarity = float(dual @ slack) + pieces.products()
        factor = KKT(matrix, rows)

        direction = np.zeros_like(x)
        step = dual_change = change = np.zeros(0)
        y = np.zeros(len(bounds.totals))
        mu = 0.0
        for corrector in (False, True):
            second = corrector and not careful
            push = (mu - (dual_change * change if second else 0.0)) / slack
            side = push[:n] - push[n:] - gradient + firmness * (missing @ rows)
            side[place] -= pieces.aim(mu, float(second))[held]
            step, y = factor.solve(side, missing)
            direction[free] = step
            pieces.follow(direction[:k])
            change = np.concatenate([step, -step])
            dual_change = push - dual - ratio * change
            if corrector:
                # at ties multipliers move by tiny differences of steps times huge factors: refine what rounding lost
                after = dual + dual_change
                left = after[:n] - after[n:] - gradient - hessian @ step + y @ rows
                left[place] -= pieces.pull_of_direction()[held]
                off = missing - rows @ step
                more, more_y = factor.solve(left + firmness * (off @ rows), off)
                step, y = step + more, y + more_y
                direction[free] = more
                pieces.refine(direction[:k])
                direction[free] = step
                change = np.concatenate([step, -step])
                dual_change -= ratio * np.concatenate([more, -more])
            length, dual_length = pieces.lengths()
            length, dual_length = min(length, longest(slack, change)), min(dual_length, longest(dual, dual_change))
            if not corrector:
                reached = float((dual + dual_length * dual_change) @ (slack + length * change))
                reached += pieces.products(length, dual_length)
                centering = 0.5 if careful else min(max((reached / complementarity) ** 3, 1e-6), 1.0)
                # the barrier must not vanish before the gap does, which a steep utility lowers by a factor e a step
                mu = max(centering * complementarity, _KEEP_UP * gap) / count
        length = min(length, 0.99 * core.longest_step(point, direction))

        # accept by the barrier function of weights and epigraph, which the Newton step decreases
        merit = point.value - mu * float(np.log(slack).sum()) + pieces.merit(x[:k], mu)
        slope = float(point.gradient[free] @ step) - mu * float((change / slack).sum())
        slope += pieces.merit_slope(direction[:k], mu)
        noise = 1e-14 * (abs(merit) + abs(point.value)) + 1e-16
        for _ in range(25):
            trial = x + length * direction
            trial_slack = np.concatenate([trial[free], -trial[free]]) - limits
            if trial_slack.min() > 0:
                candidate = core.evaluate(trial, point)
                value = candidate.value - mu * float(np.log(trial_slack).sum())
                value += pieces.merit(trial[:k], mu, length)
                if value <= merit + 1e-4 * length * min(slope, 0.0) + noise or (slope > 0 and length < 1e-2):
                    break
            length *= 0.5
        else:
            careful += 1
            if careful > 2:
                break
            continue
        careful = 0 if length > 1e-3 else careful + 1
        x, point, slack = trial, candidate, trial_slack
        dual = dual + dual_length * dual_change
        pieces.advance(x[:k], length, dual_length)
        gap = point.excess + pieces.shortfall(x[:k]) + linear_gap(bounds, x, _with(point, pieces.pull()), y)
        if best is None or gap < best.gap:
            best = Iterate(x, point, gap, y, iteration)
            best_pieces = pieces.frozen()
        if not point.smooth or not math.isfinite(gap) or careful > 3 or gap <= aim * problem.tolerance(point):
            break
        if iteration > best.iterations + _PATIENCE and best.gap <= problem.tolerance(best.point):
            break
    if best is None:  # not a single step was possible
        return Iterate(x, problem.evaluate(x), math.inf, np.zeros(len(bounds.totals)), max_iterations)
    settled = _settled(problem, core, best, best_pieces)
    return replace(settled, point=problem.evaluate(settled.x), slopes=best_pieces.slopes())


def _settled(problem: Problem, core: Problem, found: Iterate, pieces: Pieces) -> Iterate:
    """Put weights that nearly touch a bound or a kink exactly there, where the certificate stays as good."""
    assert problem.penalty is not None
    bounds, k = problem.bounds, problem.n_assets
    x = np.where(found.x - bounds.lower < _TIED, bounds.lower, found.x)
    x = np.where(bounds.upper - x < _TIED, bounds.upper, x)
    x[:k] = problem.penalty.settled(x[:k], _TIED)
    x = bounds.repair(x)
    if not core.in_domain(x):
        return found
    point = core.evaluate(x)
    gap = point.excess + linear_gap(bounds, x, _with(point, pieces.pull()), found.multipliers)
    gap += pieces.shortfall(x[:k])
    if gap > max(found.gap, 1e-3 * problem.tolerance(point)):
        return found
    return Iterate(x, point, gap, found.multipliers, found.iterations)


def _with(point: Point, pull: FloatArray) -> FloatArray:
    """Gradient of the smooth part plus a subgradient of the regulariser."""
    gradient = point.gradient.copy()
    gradient[: pull.size] += pull
    return gradient
