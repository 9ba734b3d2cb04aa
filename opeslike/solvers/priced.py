"""A limit on a tail by its price: the tail, so many times, beside the objective.

Every tangent of a tail is flat, and there are as many as there are ways to choose the worst scenarios: rows would come
in their dozens. At a price k >= 0 the Lagrangian ``F + k (tail - most)`` is a problem for the saddle-point solver, with
F as what is added. What is over the limit at its minimiser falls as the price rises, so the right price is the root of
a decreasing function of one variable; the minimisers at the two nearest prices, one on each side, are mixed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import OptimizationError
from opeslike.modelling.limits import Limit
from opeslike.modelling.problem import Index, Point, Problem, ScenarioPoint, ScenarioProblem
from opeslike.modelling.risks import Multiple
from opeslike.proof import Proof, Witness, bound, prove
from opeslike.solvers.limited import Minimise, Search, between, drawn

#: prices looked at, and the certified gap in tolerances that ends the search
_PRICES, _AIM = 60, 1e-2
#: how far the first prices are apart, and what a step keeps clear of the ends it lies between
_APART, _CLEAR = 2.0, 1e-3
#: a step of the price from which on it is asked whether there is one
_DEAR = 100.0
#: a limit exceeded by less is met
_MET = 1e-10


class Priced(ScenarioProblem):
    """``price`` times what a limit on a tail measures, and a smooth problem over the same variables."""

    def __init__(self, limit: Limit, main: Problem, price: float) -> None:
        tail = limit.measure
        assert isinstance(tail, ScenarioProblem)
        risk = Multiple(tail.risk, price)
        super().__init__(tail.returns, tail.probabilities, tail.loss, risk, main.bounds, main.penalty, main.lift)
        self.cost = self.impact = None  # those of the smooth problem count
        self.main, self.level = main.bare(), price * limit.most

    def added(self, x: FloatArray) -> tuple[float, FloatArray | None]:
        """The smooth problem, and what is added to any."""
        value, gradient = super().added(x)
        point = self.main.evaluate(x)
        return value + point.value - self.level, point.gradient if gradient is None else point.gradient + gradient

    def bend(self, x: FloatArray, free: Index | None = None) -> FloatArray | None:
        """Second derivative of the same."""
        own, more = self.main.hessian(self.main.evaluate(x), free), super().bend(x, free)
        return own if more is None else own + more

    @property
    def bending(self) -> bool:
        """Whether it is not identically zero."""
        return True

    def tolerance(self, point: ScenarioPoint) -> float:
        """That of the smooth problem."""
        return self.main.tolerance(self.main.evaluate(point.x))

    def in_domain(self, x: FloatArray, point: Point | None = None) -> bool:
        """Whether the smooth problem is finite."""
        return self.main.in_domain(x)

    def longest_step(self, point: ScenarioPoint, direction: FloatArray) -> float:
        """The longest of the smooth problem."""
        return self.main.longest_step(self.main.evaluate(point.x), direction)

    def starting_point(self, x: FloatArray) -> FloatArray:
        """A point strictly inside bounds and domain."""
        return self.main.starting_point(x)

    def within(self, rows: FloatArray, most: FloatArray, names: Sequence[str]) -> Self:
        """The same under further limits."""
        part = super().within(rows, most, names)
        part.main = self.main.within(rows, most, names)
        return part


def priceable(problem: Problem) -> int | None:
    """Which limit of a problem is on a tail, where the problem is smooth and so can stand beside it."""
    if isinstance(problem, Priced) or (isinstance(problem, ScenarioProblem) and not problem.risk.smooth):
        return None
    return next((k for k, limit in enumerate(problem.limits) if not limit.curved), None)


def priced_point(
    problem: Problem, k: int, minimise: Minimise, start: FloatArray | None
) -> tuple[FloatArray, Proof, int]:
    """As :func:`~opeslike.solvers.limited.limited_point`, of a smooth problem whose limit number k is on a tail.

    ``minimise`` solves a problem with the other limits.

    Raises
    ------
    InfeasibleError
        If no weights meet the limits.
    OptimizationError
        If the price is not found.
    """
    limit, others = problem.limits[k], problem.limits[:k] + problem.limits[k + 1 :]
    free = copy.copy(problem)
    free.limits = others
    steps = 0

    def whole(given: Witness, price: float) -> Witness:
        """The witness of a Lagrangian as one of the problem."""
        rest = given.limits or ((0.0, None),) * len(others)
        own = (price, None if price == 0 or given.q is None else given.q / price)
        return replace(given, q=given.q if price == 0 else None, limits=(*rest[:k], own, *rest[k:]))

    x, proof, taken = minimise(free, start)
    steps += taken
    if limit.over(x) <= _MET:
        return x, prove(problem, x, whole(proof.witness, 0.0)), steps
    search = Search(problem, minimise)
    inside = search.point_inside(k)
    price = search.estimate(k, between(x, inside, drawn(x, inside, limit)), inside) or 1.0
    low, high = (-math.inf, x, limit.over(x), proof.witness), (math.inf, inside, limit.over(inside), Witness())
    best: tuple[FloatArray, Proof] | None = None
    at, ratio, side, weights = math.log(price), _APART, 0, [1.0, 1.0]
    for _ in range(_PRICES):
        deadline.check(None if best is None else best[1].gap)
        part = Priced(limit, free, math.exp(at))
        part.limits = others
        x, proof, taken = minimise(part, x)
        steps += taken
        found = (at, x, limit.over(x), whole(proof.witness, math.exp(at)))
        now = 1 if found[2] > 0 else -1
        low, high = (found, high) if now > 0 else (low, found)
        mixed = between(low[1], high[1], drawn(low[1], high[1], limit))
        for witness in (low[3], high[3]):
            if len(witness.limits) == len(problem.limits):
                for each in (witness, replace(witness, multipliers=None)):
                    judged = bound(problem, mixed, each)
                    if best is None or judged.gap < best[1].gap:
                        best = mixed, judged
        if best is not None and best[1].gap <= _AIM * best[1].tolerance:
            break
        if math.isinf(high[0]) and ratio > _DEAR and others:
            search.all_inside(k)  # raises where the limits cannot be met together, whatever the price
        if math.isinf(low[0]) or math.isinf(high[0]):
            at += now * math.log(ratio)
            ratio *= ratio
            continue
        width = high[0] - low[0]
        if width <= 1e-15 * abs(at):
            break
        # false position; an end that stays counts half as much each time (Illinois)
        stays = 1 if now > 0 else 0
        weights[stays], weights[1 - stays] = (0.5 * weights[stays] if side == now else 1.0), 1.0
        side = now
        one, other = weights[0] * low[2], weights[1] * high[2]
        at = low[0] + width * min(max(one / (one - other), _CLEAR), 1.0 - _CLEAR)
    if best is None:
        raise OptimizationError(f"no price was found for the limit {limit.name}; loosen it a little")
    return best[0], prove(problem, best[0], best[1].witness), steps
