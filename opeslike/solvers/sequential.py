"""Sequential quadratic programming: few passes over the scenarios where there are few variables.

A second-order model of the objective has the size of the variables alone, so that all the pivots among bounds, limits
and kinks cost nothing in scenarios; two or three models reach the optimum (Nocedal and Wright 2006, chapter 18).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.problem import Point, Problem
from opeslike.modelling.quadratic import QuadraticPoint, QuadraticProblem
from opeslike.proof import box_gap
from opeslike.solvers.active_set import polished
from opeslike.solvers.interior_point import Iterate

Minimise = Callable[[Problem, FloatArray | None], tuple[Iterate | None, str]]

#: models at most
_MODELS = 6


class Model(QuadraticProblem):
    """The second-order model of a smooth problem at a point, in the variables that can move."""

    def __init__(self, problem: Problem, point: Point) -> None:
        free = np.flatnonzero(problem.bounds.free)
        curvature = np.zeros((point.x.size, point.x.size))
        curvature[free[:, None], free] = problem.hessian(point, free)
        super().__init__(curvature @ point.x - point.gradient, curvature, 1.0, problem.bounds)
        self._tolerance = problem.tolerance(point)

    def tolerance(self, point: QuadraticPoint) -> float:
        """That of the problem."""
        return self._tolerance


def by_models(problem: Problem, start: FloatArray, minimise: Minimise) -> Iterate | None:
    """Minimise a smooth problem over few variables by its second-order models.

    Parameters
    ----------
    problem : Problem
    start : ndarray of shape (n,)
        Where the first model is made; it need not be feasible.
    minimise : callable
        Solves a model from a guess: returns where it stopped, if anywhere, and who found it.

    Returns
    -------
    Iterate or None
        The best point seen; the caller reads the gap.
    """
    x, best, multipliers = start, None, None
    for iteration in range(_MODELS):
        if deadline.passed() or not problem.in_domain(x):
            break
        point = problem.evaluate(x)
        if not point.smooth:
            break
        if multipliers is not None:
            gap = box_gap(problem.bounds, x, point.gradient, multipliers)[0] + point.excess
            if best is not None and not gap < best.gap:
                break
            best = Iterate(x, point, gap, multipliers, iteration)
            if gap <= problem.tolerance(point):
                break
        found, _ = minimise(Model(problem, point), x if iteration else None)
        if found is None:
            break
        x, multipliers = problem.lift.settled(found.x), found.multipliers
    return None if best is None else polished(problem, best, 1e-9)
