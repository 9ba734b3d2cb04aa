"""Local search by successive convex models, for objectives that are not convex: the best of several starts, no gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import Constraint, Extra
from opeslike.modelling.problem import Problem
from opeslike.proof import Proof
from opeslike.solvers.solve import Solved, solve

Index = NDArray[np.intp]


def heuristic(problem: Problem, x: FloatArray, value: float, iterations: int) -> Solved:
    """The best point of a local search: nothing is certified, and the solution says so."""
    return Solved(x, Proof(value, np.inf, 0.0, problem.evaluate(x)), "local-search", iterations, "heuristic")


def successive_convex(
    model: Callable[[FloatArray], Problem],
    value: Callable[[FloatArray], float],
    starts: Sequence[FloatArray],
    solver: str = "auto",
    constraints: Extra | Sequence[Constraint] = (),
    rounds: int = 50,
) -> tuple[FloatArray, float, int]:
    """Descend from every start and keep the best stationary point found.

    At each point a convex problem with the same slope is minimised; the way to its minimiser goes downhill (a
    stationary point is reached where it does not), and is taken with a backtracking line search. See Scutari et al.
    (2014), *Decomposition by partial linearization*, and for risk parity Feng and Palomar (2015).

    Parameters
    ----------
    model : callable
        Takes a point and returns a convex problem over the same weights whose objective has the same one-sided slopes
        there.
    value : callable
        The objective itself.
    starts : sequence of ndarrays of shape (n,)
        Feasible points, or guesses, which are brought within the bounds.
    solver, constraints
        As in :func:`~opeslike.solvers.solve.solve`.
    rounds : int
        Models at most, a start.

    Returns
    -------
    (x, value, iterations)
    """
    best: tuple[FloatArray, float] | None = None
    iterations = 0
    for start in starts:
        x = model(start).bounds.repair(start)  # a guess need not be feasible
        height = value(x)
        for _ in range(0 if deadline.passed() else rounds):
            iterations += 1
            try:
                direction = solve(model(x), solver, x, constraints).x - x
            except InfeasibleError:
                raise
            except OptimizationError:  # a model that cannot be certified ends this descent, not the search
                break
            length, lower = 1.0, height
            for _ in range(30):
                trial = x + length * direction
                lower = value(trial)
                if lower < height:
                    break
                length *= 0.5
            if not lower < height:
                break
            small = height - lower <= 1e-13 * abs(height)
            x, height = trial, lower
            if small:
                break
        if best is None or height < best[1]:
            best = (x, height)
    assert best is not None
    return (*best, iterations)


def scattered(bounds: Bounds, seed: int | None, count: int) -> list[FloatArray]:
    """Feasible points: the centre, and ``count`` seeded mixtures of it with random vertices."""
    rng = np.random.default_rng(seed)
    center = bounds.center()
    if center is None:
        return [bounds.linear_minimum(np.zeros(bounds.lower.size))[0]]
    points = [center]
    for _ in range(count):
        vertex, _ = bounds.linear_minimum(rng.normal(size=center.size))
        points.append(center + rng.uniform(0.3, 0.95) * (vertex - center))
    return points


def canonical(returns: FloatArray) -> Index:
    """An order of the assets that depends on their returns alone, not on how assets and scenarios are numbered."""
    return np.lexsort(np.sort(returns, axis=0)[::-1])
