"""Problems with limits on risk: cuts by their tangents, and the curvature of their surfaces by their prices.

Every tangent of a convex ``g`` is a row ``g(z) + g'(z) (x - z) <= most`` that no feasible point breaks, and rows are
what the other solvers take. They are laid where the way from a point inside leaves the set (extended supporting
hyperplanes, Veinott 1967; Kronqvist, Lundell and Westerlund 2016), so every answer has a feasible neighbour. For limits
that bend, ``price x g''`` at the last such point goes into the objective, the multiplier of its row being the price:
that is Newton's method on the conditions of optimality (sequential quadratic programming), with the objective as it
is. For a limit on a tail the rows alone do, and there are finitely many of them. The multipliers of all rows of a
limit together are its price, the same mean of their worst cases is its worst case, and with these the answer is proved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.limits import Limit
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.proof import Proof, Witness, bound, limit_tangent, prove
from opeslike.solvers.columns import MANY
from opeslike.solvers.sequential import quadratic_minimum

Minimise = Callable[[Problem, FloatArray | None], tuple[FloatArray, Proof, int]]

#: rows are laid so often at most, and models made
_ROUNDS, _MODELS = 100, 15
#: certified gap at which to stop, in tolerances
_AIM = 1e-2
#: a limit exceeded by less is met
_MET = 1e-10
#: what a point inside keeps clear of each limit, as a share of the level at least
_CLEAR = 1e-6
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

        Newton's method on the conditions of optimality. Where a step leaves the set it ends where the chord from a
        point inside says, which is feasible because limits are convex, and as near as the step is short.
        """
        problem, bounds, limits = self.problem, self.problem.bounds, self.limits
        x = bounds.center() if start is None else start
        flat = isinstance(problem, ScenarioProblem) and not problem.risk.smooth
        if x is None or flat or int(bounds.free.sum()) > MANY or not all(limit.curved for limit in limits):
            return None
        m, none, multipliers, active = len(bounds.totals), np.zeros(len(limits)), np.zeros(0), []
        levels = np.array([limit.most for limit in limits])
        for self.steps in range(_MODELS):
            over = np.array([limit.over(x) for limit in limits])
            fresh = [int(k) for k in np.flatnonzero((over > _MET) & (self.prices == 0))]
            if fresh:
                active += [k for k in fresh if k not in active]
                self.inside = self._inside(active, x)
                if self.inside is None or not np.isfinite(over).all():
                    return None
                depth = np.array([limit.over(self.inside) for limit in limits])
                x = between(x, self.inside, float((depth / (depth - over))[over > _MET].min()))
                for k in fresh:
                    self.prices[k] = self.estimate(k, x, self.inside)
            point, measured = self.free.evaluate(x), [limit.measure.evaluate(x) for limit in limits]
            sharp = any(not each.smooth for each, price in zip(measured, self.prices, strict=True) if price > 0)
            if sharp or not point.smooth or deadline.passed() or not problem.in_domain(x, point):
                return None
            over = np.array([each.value for each in measured]) - levels
            if multipliers.size and over.max() <= _MET:
                prices = tuple((float(price), None) for price in self.prices)
                proof = bound(problem, x, Witness(multipliers=multipliers[:m], limits=prices), point=point)
                if proof.gap <= aim * proof.tolerance:
                    return x, prove(problem, x, proof.witness, point=proof.point), self.steps
            slopes = np.array([each.gradient for each in measured])
            most = slopes @ x - over
            least = np.minimum(slopes * bounds.lower, slopes * bounds.upper).sum(axis=1)
            part = Bounds(
                np.append(bounds.lower, none),
                np.append(bounds.upper, most - least),
                np.block([[bounds.rows, np.zeros((m, none.size))], [slopes, np.eye(none.size)]]),
                np.append(bounds.totals, most),
            )
            at, slope = np.append(x, most - slopes @ x), np.append(point.gradient, none)
            curvature = np.zeros((part.lower.size, part.lower.size))
            curvature[: x.size, : x.size] = self.free.hessian(point) + sum(
                price * limit.measure.hessian(each)
                for limit, price, each in zip(limits, self.prices, measured, strict=True)
                if price > 0
            )
            v = quadratic_minimum(part, at, slope, curvature)
            if v is None:
                return None
            multipliers = part.nearest(slope + curvature @ (v - at), (v > part.lower) & (v < part.upper))
            self.prices = np.maximum(-multipliers[m:], 0.0)
            x = bounds.repair(v[: x.size])
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

    def cut(self, k: int, z: FloatArray, q: FloatArray | None = None) -> None:
        """Lay a row at ``z``."""
        limit = self.limits[k]
        if q is None:
            q = getattr(getattr(limit.measure.evaluate(z), "risk", None), "q", None)
        row, below = limit_tangent(limit, z, q)
        size = float(np.abs(row).max())
        if size > 0 and math.isfinite(size):
            value = limit.measure.evaluate(z).value
            # of the tangent at z: most - value(z) + below the measure + row z
            most = limit.most - value + (below - abs(limit.most - value)) + float(row @ z)
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
        self.pulls = np.zeros(len(cuts)) if multipliers is None else np.maximum(-multipliers[m:], 0.0)
        self.prices = np.zeros(len(self.limits))
        for cut, pull in zip(cuts, self.pulls, strict=True):
            self.prices[cut.index] += pull / cut.size
        # a price too high keeps the answer inside, where the row is slack: it falls by and by
        self.stiffness = np.where(self.prices > 0, self.prices, _EASE * self.stiffness)
        latest = {cut.index: cut for cut in cuts}
        self.worst = [self._worst(k) for k in range(len(self.limits))]
        self.cuts = [
            cut
            for cut, pull in zip(cuts, self.pulls, strict=True)
            if pull > 0 or cut is latest[cut.index] or not self.limits[cut.index].curved
        ]
        return x[: z.size], proof

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

    def point_inside(self, k: int) -> FloatArray:
        """A point that meets one limit with room to spare.

        Raises
        ------
        InfeasibleError
            If there is none; names the limits.
        """
        found = self._inside([k])
        if found is None:
            raise InfeasibleError(f"the limit {self.limits[k].name} can only just be met; loosen it a little")
        return found

    def all_inside(self, last: int) -> FloatArray | None:
        """A point that meets all limits with room to spare, where one is known; the last is the first to be in doubt.

        Raises
        ------
        InfeasibleError
            If they cannot be met together; names them.
        """
        return self._inside([k for k in range(len(self.limits)) if k != last] + [last])

    def _inside(self, active: Sequence[int], near: FloatArray | None = None) -> FloatArray | None:
        """A point that meets the given limits with room to spare, or else rows that show that there is none."""
        bounds = self.problem.bounds
        for known in (self.inside, bounds.center() if bounds.single else None):
            if known is not None and self._clear(known, active):
                return known
        *before, k = active
        limit, base = self.limits[k], self._inside(before) if before else None
        alone = limit.alone
        alone.limits = tuple(self.limits[i] for i in before)
        if before:
            inner = Search(alone, self.minimise)
            x, proof, _ = inner.by_models(near, _AIM) or inner.run(None)
            if limit.over(x) > 0 and not inner.cuts:
                x, proof, _ = inner.run(None)
            self.steps += inner.steps
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
