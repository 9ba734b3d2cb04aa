"""Many assets: solve for the few that matter, and let the certificate say whether any other does.

A long portfolio over hundreds of assets holds a handful of them, and a Newton step costs the square of the assets it
looks at. So the others are held at their lower bounds, and the answer is certified over all of them: a single product
with the scenario matrix gives the gradient, and the multipliers of all equalities show which asset, if any, would be
worth more than what is held. Those join, and the problem is solved again from where it was (column generation; Dantzig
and Wolfe 1960).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.proof import Witness, bound
from opeslike.solvers.interior_point import Iterate

Solver = Callable[[Problem, FloatArray | None], tuple[Iterate | None, str]]

#: from this many assets on it pays
MANY = 80
_FIRST = 30
_ROUNDS = 12
#: what a guess holds more of than this is looked at from the start
_HELD = 1e-9
#: how many parts are looked at from the start for each limit and sign
_FROM_EACH = 5


def by_columns(
    problem: Problem, center: FloatArray, start: FloatArray | None, aim: float, solve: Solver
) -> tuple[Iterate, str] | None:
    """Minimise over a growing set of assets.

    Parameters
    ----------
    problem : Problem
        Without a regulariser.
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
    bounds, count = problem.bounds, problem.lift.parts.signs.size
    inside = np.ones(center.size, dtype=bool)
    inside[:count] = False
    inside[_cheapest(bounds, problem.evaluate(center).gradient, max(_FIRST, count // 20), count)] = True
    if start is not None:
        inside |= bounds.free & (start > bounds.lower + _HELD)
    guess: FloatArray | None = None
    for _ in range(_ROUNDS):
        if 2 * inside[:count].sum() > count or deadline.passed():
            return None
        part = copy.copy(problem)
        part.bounds = replace(bounds, upper=np.where(inside, bounds.upper, bounds.lower))
        try:
            found, name = solve(part, guess)
        except InfeasibleError:  # the few cannot meet the limits
            return None
        if found is None:
            return None
        y = bounds.price(found.point.gradient) if bounds.single else found.multipliers
        proof = bound(problem, found.x, Witness(found.q, None if bounds.single else y))
        whole = replace(found, point=proof.point, gap=proof.gap, multipliers=y)
        if whole.gap <= max(aim * proof.tolerance, 2.0 * found.gap):
            return whole, name
        gradient = proof.point.gradient
        if found.q is not None and isinstance(problem, ScenarioProblem):
            _, gradient = problem.value_under(found.x, found.q)
        if bounds.budgeted:
            held = inside & (found.x > bounds.lower) & (found.x < bounds.upper)
            y = gradient[held].mean(keepdims=True) if held.any() else part.bounds.price(gradient)
        reduced = gradient - y @ bounds.rows
        cheap = np.flatnonzero(~inside & bounds.free & (reduced < 0))
        if not cheap.size:
            return whole, name
        inside[cheap[np.argsort(reduced[cheap])[: max(_FIRST, int(inside.sum()))]]] = True
        guess = found.x
    return None


def _cheapest(bounds: Bounds, gradient: FloatArray, count: int, parts: int) -> NDArray[np.intp]:
    """The parts with the least gradient: ``count`` of them, or as many as it takes to spend the budget with ease.

    Some that each of the other equalities counts up, and some that it counts down, are among them.
    """
    order = np.argsort(gradient[:parts])
    order = order[bounds.free[order]]
    spent = np.cumsum(((bounds.upper - bounds.lower) * (bounds.rows[0] > 0))[order])
    needed = int(np.searchsorted(spent, 1.5 * float(bounds.totals[0] - bounds.lower.sum()))) + 1
    chosen = [order[: max(count, needed)]]
    for row in bounds.rows[1:]:
        chosen += [order[row[order] > 0][:_FROM_EACH], order[row[order] < 0][:_FROM_EACH]]
    return np.unique(np.concatenate(chosen))
