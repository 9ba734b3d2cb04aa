"""The kinks of a regulariser inside an interior point.

A sum of absolute values and maxima is ``h(w) = sum over groups g of cost_g max over j in g of u_j``, the u_j affine in
the weights (an absolute value is the larger of two); that is ``max over y of y . u``, y not negative and summing to
cost_g in each group. Levels ``t_g >= u_j`` and their slacks z are eliminated, so that Newton's system keeps the size of
the weights; y is feasible at every step, so ``h(v) >= y . u(v)`` holds for all v and certifies.
"""

from __future__ import annotations

import copy

import numpy as np

from opeslike.checks import FloatArray
from opeslike.modelling.kinks import Kinks
from opeslike.modelling.regularizers import Regularizer

STAY_INSIDE = 0.995
#: no slack starts at zero
_LEAST = 1e-290


def longest(slack: FloatArray, change: FloatArray, stay: float = STAY_INSIDE) -> float:
    """Largest step in [0, 1] that keeps ``slack + step * change`` positive, a little short of the edge."""
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -stay / fastest) if fastest < 0 else 1.0


class Pieces:
    """Levels, slacks and multipliers of all kinks of a regulariser, and their last direction.

    Parameters
    ----------
    penalty : Regularizer
    w : ndarray of shape (N,)
    mu : float
        What the products of slack and multiplier start from.
    """

    def __init__(self, penalty: Regularizer, w: FloatArray, mu: float) -> None:
        tilt, parts = penalty.pieces()
        self.parts = [part for part in parts if part.heads.size]
        n = self.size = w.size
        self.tilt = np.zeros_like(w) if tilt is None else tilt
        heads, tails, signs, offsets, groups, costs, pairs = [], [], [], [], [], [], []
        count = rows = 0
        for part in self.parts:
            k = part.heads.size
            if isinstance(part, Kinks):  # |u| is the larger of u and -u
                one, two = rows + np.arange(k), rows + k + np.arange(k)
                heads.append(np.tile(part.heads, 2))
                tails.append(np.full(2 * k, n) if part.tails is None else np.tile(part.tails, 2))
                signs.append(np.repeat([1.0, -1.0], k))
                offsets.append(np.full(2 * k, part.offset))
                groups.append(count + np.tile(np.arange(k), 2))
                costs.append(part.costs)
                count, rows = count + k, rows + 2 * k
            else:
                one, two = (rows + index for index in np.triu_indices(k, 1))
                heads.append(part.heads)
                tails.append(np.full(k, n))
                signs.append(part.signs)
                offsets.append(np.zeros(k))
                groups.append(np.full(k, count))
                costs.append(np.array([part.cost]))
                count, rows = count + 1, rows + k
            pairs.append(np.array([one, two]))
        self.heads, self.tails, self.groups = (
            np.concatenate(v or [np.zeros(0, dtype=np.intp)]) for v in (heads, tails, groups)
        )
        self.signs, self.offsets, self.costs = (np.concatenate(v or [np.zeros(0)]) for v in (signs, offsets, costs))
        self.one, self.two = np.concatenate(pairs or [np.zeros((2, 0), dtype=np.intp)], axis=1)
        self.count = rows
        u = self._apply(w) - self.signs * self.offsets
        # the slacks by themselves, for the levels would swallow a small mu
        top = self._tops(u)
        above = np.bincount(self.groups, minlength=self.costs.size) * max(mu, _LEAST) / self.costs
        self.level, self.z = top + above, (top[self.groups] - u) + above[self.groups]
        inverse = 1.0 / self.z
        self.y = (self.costs / self._sums(inverse))[self.groups] * inverse
        self.gap = np.zeros_like(u)
        self.dz, self.dy, self.load = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
        self.dlevel = np.zeros_like(self.costs)
        self._soften()

    def _apply(self, w: FloatArray) -> FloatArray:
        """The part of u that is linear in the weights."""
        padded = np.append(w, 0.0)
        return np.asarray(self.signs * (padded[self.heads] - padded[self.tails]))

    def _adjoint(self, y: FloatArray) -> FloatArray:
        pull, n = self.signs * y, self.size
        return np.asarray((np.bincount(self.heads, pull, n + 1) - np.bincount(self.tails, pull, n + 1))[:n])

    def _sums(self, values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(self.groups, values, self.costs.size))

    def _tops(self, u: FloatArray) -> FloatArray:
        top = np.full(self.costs.size, -np.inf)
        np.maximum.at(top, self.groups, u)
        return top

    def _soften(self) -> None:
        """How far y yields to a change of u: a graph Laplacian whose edges join the rows of a group."""
        soft = self.y / self.z
        self.soft = soft
        self.total = self._sums(soft)
        self.edges = soft[self.one] * (soft[self.two] / self.total[self.groups[self.one]])  # a share: no overflow

    def _yielded(self, change: FloatArray) -> FloatArray:
        """The change of y: edge by edge, for a change less its mean would cancel."""
        flow = self.edges * (change[self.one] - change[self.two])
        return np.asarray(np.bincount(self.one, flow, self.count) - np.bincount(self.two, flow, self.count))

    def curvature(self) -> FloatArray:
        """Second derivative in the weights, shape (N, N)."""
        n = self.size + 1
        flat = np.zeros(n * n)
        ends = [
            (side * sign * self.signs[row], index[row])
            for side, row in ((1.0, self.one), (-1.0, self.two))
            for sign, index in ((1.0, self.heads), (-1.0, self.tails))
        ]
        for a, i in ends:
            for b, j in ends:
                flat += np.bincount(i * n + j, self.edges * a * b, n * n)
        return np.asarray(flat.reshape(n, n)[:-1, :-1])

    def pull(self) -> FloatArray:
        """The subgradient of the regulariser that the multipliers hold, shape (N,)."""
        return self.tilt + self._adjoint(self.y)

    def pull_of_direction(self) -> FloatArray:
        """How the subgradient moves along the direction."""
        return self._adjoint(self.dy)

    def aim(self, mu: float, second_order: float) -> FloatArray:
        """Set the target of the products; returns what the subgradient moves by where the weights do not.

        ``second_order`` says how much of the products of the last direction is corrected for.
        """
        self.aim_z = (mu - second_order * self.dz * self.dy) / self.y - self.z
        self.load = self.aim_z - self.gap
        return self._adjoint(self._yielded(self.load))

    def follow(self, step: FloatArray) -> None:
        """Complete the direction for a step of the weights."""
        change = self._apply(step) + self.load
        self.dlevel = self._sums(self.soft * change) / self.total
        self.dy = self._yielded(change)
        self.dz = self.aim_z - self.z / self.y * self.dy

    def refine(self, step: FloatArray) -> None:
        """Add a small further step of the weights to the direction, to its own relative accuracy."""
        change = self._apply(step)
        self.dlevel = self.dlevel + self._sums(self.soft * change) / self.total
        self.dy = self.dy + self._yielded(change)
        self.dz = self.aim_z - self.z / self.y * self.dy

    def lengths(self, stay: float = STAY_INSIDE) -> tuple[float, float]:
        """Largest primal and dual step lengths."""
        return longest(self.z, self.dz, stay), longest(self.y, self.dy, stay)

    def products(self, primal: float = 0.0, dual: float = 0.0) -> float:
        """Sum of the products of slack and multiplier after steps along the direction."""
        return float((self.z + primal * self.dz) @ (self.y + dual * self.dy))

    def merit(self, w: FloatArray, mu: float, primal: float = 0.0) -> float:
        """Value of the epigraph and barrier of its slacks; ``w`` are the weights after the step."""
        levels = float(self.costs @ (self.level + primal * self.dlevel))
        return float(self.tilt @ w) + levels - mu * float(np.log(self.z + primal * self.dz).sum())

    def merit_slope(self, step: FloatArray, mu: float) -> float:
        """Its derivative along the direction, whose weights are ``step``."""
        return float(self.tilt @ step) + float(self.costs @ self.dlevel) - mu * float((self.dz / self.z).sum())

    def advance(self, w: FloatArray, primal: float, dual: float) -> None:
        """Take the steps, which lead to the weights ``w``."""
        self.z = self.z + primal * self.dz
        self.level = self.level + primal * self.dlevel
        self.gap = self.level[self.groups] - (self._apply(w) - self.signs * self.offsets) - self.z
        y = self.y + dual * self.dy
        self.y = y * (self.costs / self._sums(y))[self.groups]
        self._soften()

    def shortfall(self, w: FloatArray) -> float:
        """Value of the regulariser above the linear bound that the subgradient gives, not negative."""
        u = self._apply(w) - self.signs * self.offsets
        return float(self.y @ (self._tops(u)[self.groups] - u))

    def slopes(self) -> tuple[FloatArray, ...]:
        """The y of every piece."""
        found, at = [], 0
        for part in self.parts:
            k = part.heads.size
            two = k if isinstance(part, Kinks) else 0  # |u| has a row for either sign
            y = self.y[at : at + k + two]
            found.append(y[:k] - y[k:] if two else y)
            at += k + two
        return tuple(found)

    def frozen(self) -> Pieces:
        """A copy that further steps do not change."""
        return copy.copy(self)
