"""Primal and dual variables of a saddle problem: the state its interior point moves."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from opeslike.checks import FloatArray
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.regularizers import Regularizer
from opeslike.proof import Witness, bound
from opeslike.solvers.crossover import Guess
from opeslike.solvers.interior_point import Iterate
from opeslike.solvers.pieces import Pieces

#: first complementarity product of a scenario, in units of the spread of losses
_START = 0.3
#: shares of a box nearer to 0 or 1 than this are rounding
_EDGE = 1e-15


class Move(NamedTuple):
    """A direction of the primal and dual variables, or the second-order products of one."""

    x: FloatArray
    q: FloatArray
    y: FloatArray
    nu: float
    alpha: float
    z: FloatArray
    v: FloatArray
    low: FloatArray
    high: FloatArray
    s: float


class SaddleState:
    """Primal and dual variables of the saddle problem, with their slacks.

    Parameters
    ----------
    problem : ScenarioProblem
    envelope : Envelope
    start : ndarray of shape (n,)
    mu : float, optional
        First complementarity product.
    """

    def __init__(
        self,
        problem: ScenarioProblem,
        envelope: Envelope,
        start: FloatArray,
        mu: float | None = None,
    ) -> None:
        bounds = problem.bounds
        self.problem, self.envelope, self.bounds = problem, envelope, bounds
        self.free = np.flatnonzero(bounds.free)
        self.everything = self.free.size == bounds.lower.size
        self.lower, self.upper = bounds.lower[self.free], bounds.upper[self.free]
        self.x = start.copy()
        self.q = envelope.nominal.copy()
        self.total = float(self.q.sum())
        self.y = np.zeros(len(bounds.totals))
        self.returns = problem.scenario_returns(self.x)
        self.losses, self.slope, self.bend = problem.loss.evaluate(self.returns)
        spread = float(self.losses.max() - self.losses.min())
        self.unit = unit = max(spread, 1e-3 * float(np.abs(self.losses).max()), 1e-12)
        self.penalty: Regularizer | None = problem.penalty
        self.curved = problem.loss.curved or envelope.divergence is not None
        self.curved |= problem.bending
        self.capped = envelope.cap is not None
        self.v = self.room = np.zeros(0)
        self.bounded = envelope.divergence is not None and envelope.radius is not None
        if mu is None:
            mu = _START * unit * self.total / self.q.size
        if envelope.divergence is None:
            self._center(mu)
        else:
            assert envelope.cap is None
            self.deep = self.q
            self.nu = float(self.losses.max()) + 0.1 * unit
            self.z = self.nu - self.losses
            mu = float(self.deep @ self.z) / self.q.size
        self.below, self.above = self.x[self.free] - self.lower, self.upper - self.x[self.free]
        self.low, self.high = mu / self.below, mu / self.above
        self.pieces: Pieces | None = None
        self.core = problem
        if self.penalty is not None and not self.penalty.smooth:
            self.core = problem.bare()
            self.pieces = Pieces(self.penalty, problem.weights(self.x), mu)
        self.alpha, self.s = envelope.price, 1.0
        if envelope.radius is not None:
            self.s = envelope.radius
            self.alpha = mu / self.s

    def _center(self, mu: float) -> None:
        """Set q and its multipliers to the central path of the inner problem, for the losses as they are.

        There ``mu / (q - floor) - mu / (cap - q) = nu - loss``, a quadratic equation for each q; nu corrects the sum.
        """
        floor = np.zeros_like(self.q) if self.envelope.floor is None else self.envelope.floor
        width = None if self.envelope.cap is None else self.envelope.cap - floor
        missing = self.total - float(floor.sum())
        low, high = float(self.losses.min()), float(self.losses.max()) + mu * self.q.size / missing
        if width is None:
            low = float(self.losses.max()) + mu / missing
        else:
            share = min(max(missing / float(width.sum()), _EDGE), 1.0 - _EDGE)
            reach = mu / float(width.min()) * abs(1.0 / share - 1.0 / (1.0 - share))
            low, high = low - reach, high + reach
        nu = 0.5 * (low + high)
        for _ in range(60):
            pull = (nu - self.losses) / mu
            if width is None:
                deep = 1.0 / pull
                change = -float(deep @ deep) / mu
            else:
                scaled = pull * width
                root = np.sqrt(scaled * scaled + 4.0)
                deep = 2.0 * width / (scaled + 2.0 + root)
                room = 2.0 * width / (2.0 - scaled + root)
                change = -float(np.sum(1.0 / (1.0 / (deep * deep) + 1.0 / (room * room)))) / mu
            over = float(deep.sum()) - missing
            if over > 0:
                low = nu
            else:
                high = nu
            if abs(over) <= 1e-12 * missing:
                break
            nu -= over / change
            if not low < nu < high:
                nu = 0.5 * (low + high)
        self.nu, self.deep, self.q = nu, deep, floor + deep
        self.z = mu / deep
        if width is not None:
            self.room = room
            self.v = mu / room

    def advance(self, move: Move, full: FloatArray, primal: float, dual: float) -> bool:
        """Take a step; False where rounding pushed a variable onto its bound or out of the domain."""
        self.x = self.x + primal * full
        self.q = self.q + primal * move.q
        self.below, self.above = self.x[self.free] - self.lower, self.upper - self.x[self.free]
        self.deep = self.q if self.envelope.floor is None else self.deep + primal * move.q
        if self.capped:
            self.room, self.v = self.room - primal * move.q, self.v + dual * move.v
        if min(part.min(initial=np.inf) for part in (self.below, self.above, self.deep, self.room)) <= 0:
            return False
        self.s += primal * move.s
        self.alpha += dual * move.alpha
        self.nu += dual * move.nu
        self.y = move.y
        self.z = self.z + dual * move.z
        self.low, self.high = self.low + dual * move.low, self.high + dual * move.high
        if self.pieces is not None:
            self.pieces.advance(self.problem.weights(self.x), primal, dual)
        self.returns = self.problem.scenario_returns(self.x)
        self.losses, self.slope, self.bend = self.problem.loss.evaluate(self.returns)
        return math.isfinite(float(self.losses.sum()))

    def complementarity(self) -> tuple[float, int]:
        """Sum of all products of slack and multiplier, and their number."""
        total = float(self.deep @ self.z) + float(self.low @ self.below) + float(self.high @ self.above)
        count = self.q.size + 2 * self.free.size
        if self.capped:
            total += float(self.v @ self.room)
            count += self.q.size
        if self.bounded:
            total += self.alpha * self.s
            count += 1
        if self.pieces is not None:
            total += self.pieces.products()
            count += self.pieces.count
        return total, count

    def added(self) -> tuple[FloatArray, FloatArray | None]:
        """Slope and curvature of regulariser and costs on the free coordinates; those of kinks are left out."""
        _, slope = self.core.added(self.x)
        slope = np.zeros_like(self.x) if slope is None else slope
        return slope[self.free], self.core.bend(self.x, None if self.everything else self.free)

    def whole(self, step: FloatArray) -> FloatArray:
        """A step of the free coordinates as one of all."""
        if self.everything:
            return step
        whole = np.zeros_like(self.x)
        whole[self.free] = step
        return whole

    def certified(self, problem: ScenarioProblem, x: FloatArray, q: FloatArray, y: FloatArray, steps: int) -> Iterate:
        """Certify weights on the bounds, by the multipliers of the kinks as they are here."""
        slopes = () if self.pieces is None else self.pieces.slopes()
        proof = bound(problem, x, Witness(q, None if problem.bounds.single else y, slopes))
        return Iterate(x, proof.point, proof.gap, y, steps, q, slopes)

    def rounded(self, steps: int) -> Iterate | None:
        """The weights brought onto the bounds, certified; None where that leaves the domain of the loss."""
        x = self.bounds.repair(self.x)
        return self.certified(self.problem, x, self.q.copy(), self.y, steps) if self.problem.in_domain(x) else None

    def guess(self) -> Guess:
        """Which weights and scenarios look to be strictly between their bounds: slack above multiplier, in units."""
        width = self.upper - self.lower
        moving = np.zeros(self.x.size, dtype=bool)
        moving[self.free] = (self.below * self.unit > self.low * width) & (self.above * self.unit > self.high * width)
        if self.penalty is not None and self.penalty.interior:
            moving[self.free] = True
        share = self.total / min(self.q.size, self.free.size + 1)
        inner = self.deep * self.unit > self.z * share
        if self.capped:
            inner &= self.room * self.unit > self.v * np.minimum(share, self.deep + self.room)
        active = self.bounded and self.alpha * float(self.envelope.radius or 0.0) > self.s * 1e-6 * self.unit
        return Guess(self.x, self.q, self.nu, self.alpha if active or not self.bounded else 0.0, self.y, moving, inner)
