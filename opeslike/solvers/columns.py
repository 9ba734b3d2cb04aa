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
from opeslike.modelling.feasible import Lift
from opeslike.modelling.parts import Parts
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.tilt import Tilted
from opeslike.proof import Witness, bound
from opeslike.solvers.interior_point import Iterate

Solver = Callable[[Problem, FloatArray | None, float], tuple[Iterate | None, str]]

#: from this many assets on it pays
MANY = 80
_FIRST = 30
_ROUNDS = 20
#: gap, in tolerances, to which tails are solved at first: prices from inside say better who else matters than corners
_ROUGH = 1e5
#: and what is held from inside where it is at its bound
_TINY = 1e-5
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
        Without a regulariser, but for a linear one.
    center : ndarray of shape (n,)
        Strictly inside the bounds and the domain.
    start : ndarray of shape (n,), optional
        A guess; what it holds is looked at first.
    aim : float
        Certified gap at which to stop, in tolerances of the problem.
    solve : callable
        Solves a problem from a guess, for the assets that can move; a tail to a gap of as many tolerances as told.

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
    envelope = problem.envelope() if isinstance(problem, ScenarioProblem) and not problem.smooth else None
    now = aim if envelope is None or envelope.divergence is not None else _ROUGH
    for _ in range(_ROUNDS):
        if 2 * inside[:count].sum() > count or deadline.passed():
            return None
        part, few = _among(problem, inside)
        try:
            found, name = solve(part, None if guess is None else guess[few], now)
        except InfeasibleError:  # the few cannot meet the limits
            return None
        if found is None:
            return None
        guess = bounds.lower.copy()
        guess[few] = found.x
        point = problem.evaluate(guess)
        y = bounds.price(point.gradient) if bounds.single else found.multipliers
        proof = bound(problem, guess, Witness(found.q, None if bounds.single else y), point=point)
        whole = replace(found, x=guess, point=point, gap=proof.gap, multipliers=y, snapped=None)
        settled = whole.gap <= max(aim * proof.tolerance, 2.0 * found.gap)
        if settled and (now == aim or whole.gap <= aim * proof.tolerance):
            return whole, name
        gradient = point.gradient
        if found.q is not None and isinstance(problem, ScenarioProblem):
            _, gradient = problem.value_under(guess, found.q)
        if bounds.budgeted:
            held = inside & (guess > bounds.lower) & (guess < bounds.upper)
            y = gradient[held].mean(keepdims=True) if held.any() else found.multipliers
        reduced = gradient - y @ bounds.rows
        cheap = np.flatnonzero(~inside & bounds.free & (reduced < 0))
        if not cheap.size and now == aim:
            return whole, name
        if bounds.single:  # under more limits what is not held comes again too often
            inside[:count] = (guess > bounds.lower + (_TINY if now > aim else 0.0))[:count]
        now = aim if settled or not cheap.size else now
        inside[cheap[np.argsort(reduced[cheap])[: max(_FIRST, int(inside.sum()))]]] = True
    return None


def _among(problem: Problem, inside: NDArray[np.bool_]) -> tuple[Problem, NDArray[np.intp]]:
    """The problem over some of its variables, the others at their lower bounds, and which they are.

    Over scenarios only the assets that can move are looked at; what the others hold is one more, which cannot.
    """
    bounds, lift, part = problem.bounds, problem.lift, copy.copy(problem)
    still = np.where(inside, 0.0, bounds.lower)
    rest, few = lift.weights(still), np.flatnonzero(inside)
    kept = few[: few.searchsorted(lift.parts.signs.size)]
    assets = np.unique(lift.parts.assets[kept])
    origin, rest[assets] = rest[assets], 0.0
    total = float(rest.sum())
    if (
        not isinstance(part, ScenarioProblem)
        or lift.level is not None
        or part.bowl is not None
        or (rest.any() and abs(total) < _HELD)
    ):
        part.bounds = replace(bounds, upper=np.where(inside, bounds.upper, bounds.lower))
        return part, np.arange(inside.size)
    columns = [part.returns.T[assets]]
    tilt = part.penalty.cost if isinstance(part.penalty, Tilted) else np.zeros(rest.size)
    slope = tilt[assets]
    if rest.any():
        columns.append((part.returns @ rest)[None] / total)
        origin, slope = np.append(origin, total), np.append(slope, float(tilt @ rest) / total)
    part.penalty = None if part.penalty is None else Tilted(slope)
    parts = [getattr(lift.parts, name)[kept] for name in ("signs", "starts", "least", "widths", "low", "high")]
    part.bounds = Bounds(
        bounds.lower[few], bounds.upper[few], bounds.rows[:, few], bounds.totals - bounds.rows @ still, bounds.names
    )
    part.cost = None if lift.cost is None else lift.cost[few]
    part.returns = np.vstack(columns).T
    part.lift = Lift(
        Parts(origin, assets.searchsorted(lift.parts.assets[kept]), *parts),
        lift.known[few],
        part.bounds,
        lift.earned(still),
        tuple(int(few.searchsorted(variable)) for variable in lift.money),
        tuple((int(few.searchsorted(variable)), row, size) for variable, row, size in lift.slacks),
        cost=part.cost,
        fixed=lift.fixed + (0.0 if lift.cost is None else float(lift.cost @ still)),
    )
    return part, few


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
