"""Problems with limits on risk: cuts by their tangents, and the curvature of their surfaces by their prices.

Every tangent of a convex ``g`` is a row ``g(z) + g'(z) (x - z) <= most`` that no feasible point breaks; the multiplier
of its row is the price of the limit, and ``price x g''`` is what its surface adds to the curvature of the objective.
Second-order models under such rows are Newton's method on the conditions of optimality (sequential quadratic
programming). A tail has finitely many tangents: its rows stay while they hold anything, and its curvature is a guess.

Where the models fail, or are too large, the other solvers take the rows and the objective as it is. Then rows are laid
where the way from a point inside leaves the set (extended supporting hyperplanes, Veinott 1967; Kronqvist, Lundell and
Westerlund 2016), so that every answer has a feasible neighbour. The multipliers of all rows of a limit together are its
price, the same mean of their worst cases is its worst case, and with these the answer is proved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.limits import Limit
from opeslike.modelling.problem import Problem
from opeslike.proof import Proof, Witness, bound, limit_tangent, prove
from opeslike.solvers.columns import MANY
from opeslike.solvers.sequential import quadratic_minimum

Minimise = Callable[[Problem, FloatArray | None], tuple[FloatArray, Proof, int]]

#: rows are laid so often at most, and models made
_ROUNDS, _MODELS = 100, 60
#: certified gap at which to stop, in tolerances, and where any point inside will do
_AIM, _LOOSE = 1e-2, 1e3
#: a limit exceeded by less is met
_MET = 1e-10
#: what a point inside keeps clear of each limit, as a share of the level at least
_CLEAR = 1e-6
#: weights closer to a bound than this are there
_NEAR = 1e-9
#: what is left of a price that was too high
_EASE = 0.25
#: rounds without a better gap, after an optimal answer and before
_PATIENCE, _LONG_PATIENCE = 3, 12


@dataclass(frozen=True, eq=False)
class _Cut:
    """``row x <= most``, ``size`` times smaller than the tangent of the limit ``index`` with the worst case q."""

    index: int
    row: FloatArray
    most: float
    size: float
    q: FloatArray | None


def limited_point(
    problem: Problem, minimise: Minimise, start: FloatArray | None, aim: float
) -> tuple[FloatArray, Proof, int]:
    """Minimise a problem with limits on risk.

    Parameters
    ----------
    problem : Problem
        With limits.
    minimise : callable
        Solves a problem without them, from a guess: returns the minimiser, its proof and the iterations it took.
    start : ndarray of shape (n,), optional
    aim : float
        Certified gap at which to stop, in tolerances of the problem.

    Returns
    -------
    (x, proof, iterations)

    Raises
    ------
    InfeasibleError
        If no weights meet the limits.
    """
    search = Search(problem, minimise)
    return search.by_models(start, aim) or search.run(start)


class Search:
    """One problem, the rows laid so far, and points inside."""

    def __init__(self, problem: Problem, minimise: Minimise) -> None:
        self.problem, self.minimise = problem, minimise
        self.limits: tuple[Limit, ...] = problem.limits
        self.free = copy.copy(problem)
        self.free.limits = ()
        self.cuts: list[_Cut] = []
        self.prices, self.stiffness = np.zeros(len(self.limits)), np.zeros(len(self.limits))
        self.inside: FloatArray | None = None
        self.steps = 0

    def by_models(self, start: FloatArray | None, aim: float) -> tuple[FloatArray, Proof, int] | None:
        """Minimise a smooth problem over few variables by models of it under tangents, curved by the limits' prices.

        Newton's method on the conditions of optimality, full steps; None where they do not get there. The first step
        over a limit is drawn back to where the chord from a point inside meets it, and priced there.
        """
        problem, bounds, limits = self.problem, self.problem.bounds, self.limits
        x = bounds.center() if start is None else start
        if x is None or not problem.smooth or int(bounds.free.sum()) > MANY:
            return None
        n, m, multipliers, active, firm = x.size, len(bounds.totals), None, [], 1.0
        levels = np.array([limit.most for limit in limits])
        for self.steps in range(_MODELS):
            if deadline.passed() or not all(
                one.in_domain(x) for one in (problem, *(limit.measure for limit in limits))
            ):
                return None
            measured = [limit.measure.evaluate(x) for limit in limits]
            over = np.array([each.value for each in measured]) - levels
            fresh = [int(k) for k in np.flatnonzero((over > _MET) & (self.prices == 0))]
            if fresh:
                active += [k for k in fresh if k not in active]
                self.inside = self._inside(active, x)
                if self.inside is None:
                    return None
                x = self._drawn(x, over)
                for k in fresh:
                    self.prices[k] = self.estimate(k, x, self.inside)
                measured = [limit.measure.evaluate(x) for limit in limits]
                over = np.array([each.value for each in measured]) - levels
            point = self.free.evaluate(x)
            if not point.smooth:
                return None
            lost = float(self.prices @ np.maximum(over, 0.0))
            if multipliers is not None and (over.max() <= _MET or lost <= aim * problem.tolerance(point)):
                z = x if over.max() <= _MET or self.inside is None else self._drawn(x, over)
                worst = [None if limit.curved else q for limit, q in zip(limits, self.worst, strict=True)]
                witness = Witness(None, multipliers[:m], (), tuple(zip(map(float, self.prices), worst, strict=True)))
                proof = bound(problem, z, witness, point=point if z is x else None)
                if proof.gap <= aim * proof.tolerance and all(limit.over(z) <= _MET for limit in limits):
                    for j in map(int, np.flatnonzero(self.prices)):
                        self.cut(j, x, point=measured[j])
                    return z, prove(problem, z, proof.witness, point=proof.point), self.steps
            firm = min(1.0, 4.0 * firm) if over.max() > _MET else 0.5 * firm  # where the rows of a tail say it all
            curvature = self.free.hessian(point)
            for k, (limit, each) in enumerate(zip(limits, measured, strict=True)):
                if self.prices[k] > 0 and (each.smooth or not limit.curved):
                    curvature = curvature + (1.0 if limit.curved else firm) * self.prices[k] * limit.bend(x, each)
                self.cut(k, x, point=each)
            part = self._part(self.cuts).bounds
            size = part.lower.size
            at, slope, matrix = np.zeros(size), np.zeros(size), np.zeros((size, size))
            at[:n], slope[:n], matrix[:n, :n] = x, point.gradient, curvature
            at[n:] = [cut.most - float(cut.row @ x) for cut in self.cuts]
            free = np.flatnonzero(part.free)
            v = quadratic_minimum(part, at, slope, matrix[free[:, None], free])
            if v is None:
                return None
            multipliers = part.nearest(slope + matrix @ (v - at), (v > part.lower) & (v < part.upper))
            self._weigh(np.where(v[n:] > 0, 0.0, multipliers[m:]))
            self.cuts = [
                cut
                for cut, pull in zip(self.cuts, self.pulls, strict=True)
                if pull > 0 and not limits[cut.index].curved
            ]
            x = bounds.repair(bounds.within(v[:n], _NEAR))
        return None

    def run(self, start: FloatArray | None) -> tuple[FloatArray, Proof, int]:
        """Lay rows until the answer is proved."""
        self.prices[:] = 0.0
        x, proof = self._solved(self.free, start)
        best: tuple[FloatArray, Proof] | None = None
        active: list[int] = []
        last = 0
        for round_ in range(_ROUNDS):
            over = np.array([limit.over(x) for limit in self.limits])
            for k in np.flatnonzero(over > _MET):
                if k not in active:
                    active.append(int(k))
                    self.inside = self._inside(active)
            inside = x if self.inside is None else self.inside
            at = [drawn(x, inside, limit) for limit in self.limits]  # where the way from inside leaves each
            z = between(x, inside, min(at))
            feasible = max(limit.over(z) for limit in self.limits) <= _MET
            if feasible:
                found = self._proved(z, proof)
                if best is None or found.gap < best[1].gap:
                    best, last = (z, found), round_
                enough = max(_AIM * best[1].tolerance, 2.0 * proof.gap)
                patience = _PATIENCE if best[1].optimal else _LONG_PATIENCE
                if best[1].gap <= enough or round_ > last + patience:
                    break
            deadline.check(None if best is None else best[1].gap)
            for k in np.flatnonzero((over > 0) | (self.prices > 0)):
                self.cut(int(k), between(x, inside, at[k]))
                if self.stiffness[k] == 0 and self.inside is not None:
                    self.stiffness[k] = self.estimate(int(k), z, self.inside)
            x, proof = self._next(x, z)
        if best is None:
            raise OptimizationError("the limits on risk can only just be met; loosen one of them a little")
        return best[0], prove(self.problem, best[0], best[1].witness), self.steps

    def _solved(self, part: Problem, guess: FloatArray | None) -> tuple[FloatArray, Proof]:
        x, proof, taken = self.minimise(part, guess)
        self.steps += taken
        return x, proof

    def cut(self, k: int, z: FloatArray, q: FloatArray | None = None, point: Any = None) -> None:
        """Lay a row at ``z``, where what is limited may have been evaluated, by the worst case there or another."""
        limit = self.limits[k]
        point = limit.measure.evaluate(z) if point is None else point
        row, short = point.gradient, point.excess
        if q is not None:
            row, below = limit_tangent(limit, z, q)
            short = below - abs(limit.most - point.value)
        size = float(np.abs(row).max())
        if size > 0 and math.isfinite(size):
            most = limit.most - point.value + short + float(row @ z)
            q = getattr(getattr(point, "risk", None), "q", None) if q is None else q
            self.cuts.append(_Cut(k, row / size, most / size, size, q))

    def _part(self, cuts: Sequence[_Cut]) -> Problem:
        if not cuts:
            return copy.copy(self.free)
        rows, most = np.array([cut.row for cut in cuts]), np.array([cut.most for cut in cuts])
        return self.free.within(rows, most, [self.limits[cut.index].name for cut in cuts])

    def _next(self, x: FloatArray, z: FloatArray) -> tuple[FloatArray, Proof]:
        """Minimise under the rows, with the curvature of the limits at ``z``; the prices are those of the answer."""
        cuts, part = self.cuts, self._part(self.cuts)
        bend = np.zeros((z.size, z.size))
        for limit, price in zip(self.limits, self.stiffness, strict=True):
            if price > 0:
                bend += price * limit.bend(z)
        if bend.any():
            part.bowl = np.pad(bend, (0, len(cuts))), np.concatenate([z, np.zeros(len(cuts))])
        slack = np.array([max(cut.most - float(cut.row @ x), 0.0) for cut in cuts])
        x, proof = self._solved(part, np.concatenate([x, slack]))
        multipliers = proof.witness.multipliers
        m = len(self.free.bounds.totals)
        self._weigh(np.zeros(len(cuts)) if multipliers is None else multipliers[m:])
        # a price too high keeps the answer inside, where the row is slack: it falls by and by
        self.stiffness = np.where(self.prices > 0, self.prices, _EASE * self.stiffness)
        latest = {cut.index: cut for cut in cuts}
        self.cuts = [
            cut
            for cut, pull in zip(cuts, self.pulls, strict=True)
            if pull > 0 or cut is latest[cut.index] or not self.limits[cut.index].curved
        ]
        return x[: z.size], proof

    def _weigh(self, multipliers: FloatArray) -> None:
        """The prices of the limits, and their worst cases, that the multipliers of their rows say."""
        self.pulls = np.maximum(-multipliers, 0.0)
        self.prices = np.zeros(len(self.limits))
        for cut, pull in zip(self.cuts, self.pulls, strict=True):
            self.prices[cut.index] += pull / cut.size
        self.worst = [self._worst(k) for k in range(len(self.limits))]

    def _worst(self, k: int) -> FloatArray | None:
        """The mean of the worst cases of the rows of a limit, by their multipliers."""
        mine = [(pull / cut.size, cut.q) for cut, pull in zip(self.cuts, self.pulls, strict=True) if cut.index == k]
        total = sum(pull for pull, _ in mine)
        if total <= 0 or any(q is None for _, q in mine):
            return None
        return np.asarray(sum(pull / total * q for pull, q in mine if q is not None and pull > 0))

    def _proved(self, z: FloatArray, proof: Proof) -> Proof:
        """The best proof at ``z`` with what the last answer says."""
        given = proof.witness
        m = len(self.free.bounds.totals)
        y = None if given.multipliers is None else given.multipliers[:m]
        worst = self.worst if self.prices.any() else [None] * len(self.limits)
        witness = replace(given, multipliers=y, limits=tuple(zip(map(float, self.prices), worst, strict=True)))
        tries = [witness, replace(witness, multipliers=None)]
        return min((bound(self.problem, z, each) for each in tries), key=lambda one: one.gap)

    def estimate(self, k: int, z: FloatArray, inside: FloatArray) -> float:
        """The price at which the Lagrangian is level at ``z`` on the way inside."""
        way = inside - z
        gradient = self.free.evaluate(z).gradient
        for limit, price in zip(self.limits, self.prices, strict=True):
            gradient = gradient + price * limit.measure.evaluate(z).gradient
        falls = -float(self.limits[k].measure.evaluate(z).gradient @ way)
        return max(float(gradient @ way) / falls, 0.0) if falls > 0 else 0.0

    def _inside(self, active: Sequence[int], near: FloatArray | None = None) -> FloatArray | None:
        """A point that meets the given limits with room to spare, or else rows that show that there is none."""
        bounds = self.problem.bounds
        for known in (self.inside, bounds.center() if bounds.single else None):
            if known is not None and self._clear(known, active):
                return known
        *before, k = sorted(active, key=lambda k: self.limits[k].curved)  # what is smooth is quickly least, tails first
        limit, base = self.limits[k], self._inside(before) if before else None
        alone = limit.alone
        alone.limits = tuple(self.limits[i] for i in before)
        if before:
            inner = Search(alone, self.minimise)
            found = inner.by_models(near, _LOOSE)
            if found is None or limit.over(found[0]) > 0:
                found = inner.by_models(near, _AIM) or inner.run(None)
            x, proof, taken = found
            self.steps += taken
            self.cuts += [replace(cut, index=before[cut.index]) for cut in inner.cuts]
        else:
            x, proof = self._solved(alone, near)
        if limit.over(x) > 0:
            self.cut(k, x, proof.witness.q)
            guess = None if near is None else np.append(near, np.zeros(len(self.cuts)))
            self._solved(self._part(self.cuts), guess)  # raises, naming the limits
            raise InfeasibleError(f"the limit {limit.name} can only just be met; loosen it a little")
        share = 0.5
        while base is not None and share > 1e-9:
            mixed = x + share * (base - x)
            if self._clear(mixed, active):
                return mixed
            share *= 0.5
        return x if self._clear(x, active) else None

    def _drawn(self, x: FloatArray, over: FloatArray) -> FloatArray:
        """Where chords from the point inside meet the limits that x is over: feasible, for limits are convex."""
        assert self.inside is not None
        depth = np.array([limit.over(self.inside) for limit in self.limits])
        return between(x, self.inside, float((depth / (depth - over))[over > _MET].min()))

    def _clear(self, x: FloatArray, active: Sequence[int]) -> bool:
        return all(self.limits[k].over(x) < -_CLEAR * (abs(self.limits[k].most) or 1e-3) for k in active)


def drawn(x: FloatArray, inside: FloatArray, limit: Limit) -> float:
    """The largest share of the way from ``inside`` to ``x`` that meets a limit."""
    from scipy.optimize import brentq

    def over(share: float) -> float:
        return min(limit.over(between(x, inside, share)), 1e6)

    share = 1.0
    if over(share) > _MET:
        share = brentq(over, 0.0, share, xtol=1e-14) if over(0.0) < 0 else 0.0
        while over(share) > _MET and share > 0:
            share *= 1.0 - 1e-12
    return float(share)


def between(x: FloatArray, inside: FloatArray, share: float) -> FloatArray:
    """The point so far on the way from ``inside`` to ``x``."""
    return x if share == 1.0 else inside + share * (x - inside)
