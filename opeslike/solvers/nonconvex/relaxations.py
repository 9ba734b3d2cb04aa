"""Bounds for counted positions that are quicker, or nearer, than the relaxation which forgets the count.

Each looks at plain, fully invested, long or short weights and gives a proved lower bound over all choices below a node.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray
from opeslike.modelling.ambiguity import BoxRisk, CVaR, Smoothed, WorstCase
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import OPTIMAL, Problem, ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.proof import Proof, Witness, bound
from opeslike.solvers.active_set import active_set
from opeslike.solvers.interior_point import interior_point

BoolArray = NDArray[np.bool_]

#: a smoothed tail has an edge this wide, in standard deviations of the return, and is solved to so many tolerances
_WIDTH, _ROUGH = 0.1, 300.0
#: for so many assets more than are held, and then for more, so often
_BESIDE, _ROUNDS = 10, 3
#: with so many times the scenarios of the tail; again where the gap is larger than so many widths
_TAILS, _LOOSE = 4, 0.03
#: and with an edge so much narrower where it could decide
_NARROWER = 0.15
#: weights below this share of the largest are those of an interior point
_SMALL = 1e-3
#: thresholds of the count that are tried at a node, and first; the count is met well enough within this share of one
_THRESHOLDS, _FIRST, _COUNTED = 4, 12, 0.02


@dataclass(frozen=True, eq=False)
class Estimate:
    """A proved lower bound, the value at the weights found, those, and what the nodes below start from."""

    bound: float
    value: float
    w: FloatArray
    hint: FloatArray


@dataclass(frozen=True, eq=False)
class Node:
    """Bounds of the weights, who is kept, and bound, weights and hint of the relaxation, or of that above."""

    lower: FloatArray
    upper: FloatArray
    kept: BoolArray
    bound: float
    w: FloatArray
    hint: FloatArray | None = None


#: bounds a node, which is closed where that reaches a level
Estimator = Callable[[Node, float], Estimate | None]


def plain(problem: Problem) -> bool:
    """Whether weights of a given sum are all there is to a problem."""
    added = problem.limits or problem.penalty is not None or problem.impact is not None
    return problem.lift.plain and problem.bounds.budgeted and not added


def estimator(problem: Problem, x: FloatArray) -> Estimator | None:
    """The quick bound there is for a problem, given what solves its plain relaxation, or None."""
    if not plain(problem):
        return None
    if isinstance(problem, ScenarioProblem) and isinstance(problem.risk, (CVaR, WorstCase)):
        return _Tail(problem, _WIDTH * problem.tolerance(problem.evaluate(x)) / OPTIMAL)
    return None


@dataclass(frozen=True, eq=False)
class _Tail:
    """The relaxation of a tail's risk, by the assets and scenarios that matter.

    Corners of a risk cost a saddle point; rounded off a little they cost a few steps of Newton's method. The worst
    scenarios at the weights known are looked at, and those that are worst at what is found.
    """

    problem: ScenarioProblem
    width: float

    def __call__(self, node: Node, level: float) -> Estimate | None:
        w, lower, upper = node.w, node.lower, node.upper
        problem, p, width = copy.copy(self.problem), self.problem.probabilities, self.width
        problem.bounds = replace(problem.bounds, lower=lower, upper=upper)
        inside = (w > 0) | (lower < 0) | (lower > 0)
        if node.hint is not None:
            inside[np.argsort(np.where(upper > lower, node.hint, np.inf))[: int(inside.sum()) + _BESIDE]] = True
        rows = np.zeros(p.size, dtype=bool)
        proof: Proof | None = None
        for _ in range(_ROUNDS):
            losses = problem.loss.evaluate(problem.scenario_returns(w))[0]
            tail = int((problem.risk.evaluate(losses, p).q > 0).sum())
            rows[np.argpartition(-losses, min(_TAILS * tail, p.size - 1))[: _TAILS * tail]] = True
            box = Bounds(lower[inside], upper[inside], np.ones((1, int(inside.sum()))), problem.bounds.totals)
            center = box.center()
            if center is None:
                break
            risk = Smoothed(cast(BoxRisk, problem.risk), width)
            few = ScenarioProblem(problem.returns[:, inside][rows], p[rows], problem.loss, risk, box)
            found = interior_point(few, center, _ROUGH)
            w, q = np.zeros(w.size), np.zeros(p.size)
            w[inside], q[rows] = found.x, cast(Any, found.point).risk.q
            better = bound(problem, w, Witness(q))
            proof = better if proof is None or better.gap < proof.gap else proof
            if better.reduced is not None:
                inside |= (better.reduced < 0) & (upper > lower)
            if better.gap <= _LOOSE * width:
                if not proof.value - proof.gap < level <= proof.value:
                    break
                width *= _NARROWER  # a sharper edge may decide
        if proof is None or proof.reduced is None:
            return None
        return Estimate(proof.value - proof.gap, proof.value, _cleared(proof.point.x), proof.reduced)


def _cleared(w: FloatArray) -> FloatArray:
    """Weights less those that only an interior point leaves."""
    return np.where(np.abs(w) < _SMALL * float(np.abs(w).max()), 0.0, w)


@dataclass(frozen=True, eq=False)
class _Counted:
    """``sum d_i w_i^2 / z_i`` at the best z, each at a price of ``threshold^2``: linear, then square, in the weight.

    Over ``0 <= z_i <= 1`` with ``sum z <= most`` it never exceeds ``sum d_i w_i^2`` where so few weights differ from 0
    (the perspective of a square; Frangioni and Gentile 2006). Of assets that are kept z is 1.
    """

    d: FloatArray
    kept: BoolArray
    threshold: float
    most: float
    curved: ClassVar[bool] = True

    def counted(self, w: FloatArray) -> FloatArray:
        """The z of those that are not kept."""
        z = np.minimum(np.sqrt(self.d) * np.abs(w) / self.threshold, 1.0)
        return np.where(self.kept, 0.0, z)

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient."""
        z, square = self.counted(w), self.d * w * w
        far = self.kept | (z >= 1.0)
        size = self.threshold * np.sqrt(self.d)
        value = np.where(far, square, 2.0 * size * np.abs(w))
        count = float((~self.kept & far).sum()) - self.most
        return float(value.sum()) + self.threshold**2 * count, 2.0 * np.where(far, self.d * w, size * np.sign(w))

    def hessian(self, w: FloatArray) -> FloatArray:
        """Second derivative."""
        return np.diag(2.0 * self.d * (self.kept | (self.counted(w) >= 1.0)))


@dataclass(frozen=True, eq=False)
class Perspective:
    """The perspective relaxation of a quadratic problem with ``covariance - diag(separable)`` positive semidefinite."""

    problem: QuadraticProblem
    separable: FloatArray
    most: int

    def __call__(self, node: Node, level: float) -> Estimate | None:
        """The bound of a node."""
        w, hint, kept = node.w, node.hint, node.kept
        problem = copy.copy(self.problem)
        problem.bounds = replace(problem.bounds, lower=node.lower, upper=node.upper)
        center = problem.bounds.center()
        assert self.problem.covariance is not None
        problem.covariance = np.asarray(self.problem.covariance) - np.diag(self.separable)
        d, room = 0.5 * problem.aversion * self.separable, float(self.most - kept.sum())
        if room <= 0 or center is None:
            return None
        size = np.where(kept, 0.0, np.sqrt(d) * w)
        threshold = float(size.sum()) / room if hint is None else float(hint[0])
        best: Estimate | None = None
        for _ in range(_FIRST if hint is None else _THRESHOLDS):
            if not threshold > 0:
                break
            problem.impact = cast(Any, _Counted(d, kept, threshold, room))
            found = active_set(problem, w, _ROUGH)
            if found is None or found.gap > _ROUGH * problem.tolerance(cast(Any, found.point)):
                found = interior_point(problem, center, _ROUGH)
            proof = bound(problem, found.x)
            if best is None or proof.value - proof.gap > best.bound:
                best = Estimate(proof.value - proof.gap, proof.value, _cleared(found.x), np.array([threshold]))
            count = float(cast(Any, problem.impact).counted(found.x).sum())
            if best.bound >= level or abs(count - room) <= _COUNTED:
                break
            w = found.x
            threshold *= max(count / room, 0.5)
        return best
