"""Many assets: solve for the few that matter, and let the certificate say whether any other does.

A long portfolio over hundreds of assets holds a handful of them, and a Newton step costs the square of the assets it
looks at. So the others are held at their lower bounds, and the answer is certified over all of them: a single product
with the scenario matrix gives the gradient, whose price shows which asset, if any, would be worth more than what is
held. Those join, and the problem is solved again from where it was (column generation; Dantzig and Wolfe 1960).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.proof import Witness, bound
from opeslike.solvers.interior_point import Iterate

FloatArray = NDArray[np.float64]
Solver = Callable[[Problem, FloatArray | None], tuple[Iterate | None, str]]

#: from this many assets on it pays
MANY = 80
_FIRST = 30
_ROUNDS = 12


def by_columns(
    problem: Problem, center: FloatArray, start: FloatArray | None, aim: float, solve: Solver
) -> tuple[Iterate, str] | None:
    """Minimise over a growing set of assets.

    Parameters
    ----------
    problem : Problem
        With the budget as its only equality, and without a regulariser.
    center : ndarray of shape (n,)
        Strictly inside the bounds and the domain.
    start : ndarray of shape (n,), optional
        A guess; what it holds is looked at first.
    aim : float
        Certified gap at which to stop, in tolerances of the problem.
    solve : callable
        Solves a problem from a guess, for the assets that can move.

    Returns
    -------
    (iterate, solver) or None
        Certified over all assets; None where so many matter that nothing is saved.
    """
    bounds = problem.bounds
    gradient = problem.evaluate(center).gradient
    inside = np.zeros(center.size, dtype=bool)
    inside[_cheapest(bounds, gradient, max(_FIRST, center.size // 20))] = True
    if start is not None:
        inside |= bounds.free & (start > bounds.lower + 1e-9)
    guess: FloatArray | None = None
    for _ in range(_ROUNDS):
        if 2 * inside.sum() > center.size:
            return None
        part = copy.copy(problem)
        part.bounds = replace(bounds, upper=np.where(inside, bounds.upper, bounds.lower))
        found, name = solve(part, guess)
        if found is None:
            return None
        certificate = bound(problem, found.x, Witness(found.q))
        whole = Iterate(found.x, certificate.point, certificate.gap, found.multipliers, found.iterations, found.q)
        if whole.gap <= max(aim * certificate.tolerance, 2.0 * found.gap):
            return whole, name
        gradient = certificate.point.gradient
        if found.q is not None and isinstance(problem, ScenarioProblem):
            _, gradient = problem.value_under(found.x, found.q)
        held = inside & (found.x > bounds.lower) & (found.x < bounds.upper)
        price = float(gradient[held].mean()) if held.any() else float(part.bounds.price(gradient)[0])
        cheap = np.flatnonzero(~inside & bounds.free & (gradient < price))
        if not cheap.size:
            return whole, name
        inside[cheap[np.argsort(gradient[cheap])[: max(_FIRST, int(inside.sum()))]]] = True
        guess = found.x
    return None


def _cheapest(bounds: Bounds, gradient: FloatArray, count: int) -> NDArray[np.intp]:
    """The assets with the least gradient: ``count`` of them, or as many as it takes to spend the budget with ease."""
    order = np.argsort(gradient)
    order = order[bounds.free[order]]
    spent = np.cumsum((bounds.upper - bounds.lower)[order])
    needed = int(np.searchsorted(spent, 1.5 * float(bounds.totals[0] - bounds.lower.sum()))) + 1
    return order[: max(count, needed)]
