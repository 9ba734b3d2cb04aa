"""The kinks of a regulariser inside an interior point.

A sum of absolute values and maxima is ``h(w) = max over y of y . (A w - b)``, y in a box or a scaled simplex. Each
piece carries y and the slacks of its epigraph, eliminated one by one, so that Newton's system keeps the size of the
weights; y is feasible at every step, so ``h(v) >= y . (A v - b)`` holds for all v and certifies.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.kinks import Kinks, Peak
from opeslike.modelling.regularizers import Regularizer

FloatArray = NDArray[np.float64]

_STAY_INSIDE = 0.995


def longest(slack: FloatArray, change: FloatArray, stay: float = _STAY_INSIDE) -> float:
    """Largest step in [0, 1] that keeps ``slack + step * change`` positive, a little short of the edge."""
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -stay / fastest) if fastest < 0 else 1.0


class Piece(ABC):
    """Primal slacks and multipliers of one piece, and their last direction."""

    #: how many products of slack and multiplier there are
    count: int
    y: FloatArray

    @abstractmethod
    def add_curvature(self, matrix: FloatArray) -> None:
        """Add ``A' S A`` to the (N, N) matrix, S being how far y yields to a change of ``A w``."""

    @abstractmethod
    def pull(self) -> FloatArray:
        """``A' y``, shape (N,)."""

    @abstractmethod
    def aim(self, mu: float, second_order: float) -> FloatArray:
        """Set the target of the products; returns what y moves by at ``dw = 0``, times A', shape (N,).

        ``second_order`` says how much of the products of the last direction is corrected for.
        """

    @abstractmethod
    def follow(self, step: FloatArray) -> None:
        """Complete the direction for a step of the weights."""

    @abstractmethod
    def refine(self, step: FloatArray) -> None:
        """Add a small further step of the weights to the direction, to its own relative accuracy."""

    @abstractmethod
    def pull_of_direction(self) -> FloatArray:
        """``A' dy``, shape (N,)."""

    @abstractmethod
    def lengths(self, stay: float) -> tuple[float, float]:
        """Largest primal and dual step lengths along the direction."""

    @abstractmethod
    def products(self, primal: float = 0.0, dual: float = 0.0) -> float:
        """Sum of the products of slack and multiplier, after steps along the direction."""

    @abstractmethod
    def merit(self, mu: float, primal: float = 0.0) -> float:
        """Epigraph value and barrier of the slacks after a primal step."""

    @abstractmethod
    def merit_slope(self, mu: float) -> float:
        """Its derivative along the direction."""

    @abstractmethod
    def advance_primal(self, primal: float, w: FloatArray) -> None:
        """Move the slacks; ``w`` are the weights reached."""

    @abstractmethod
    def advance_dual(self, dual: float) -> None:
        """Move y."""

    @abstractmethod
    def shortfall(self, w: FloatArray) -> float:
        """``h(w) - y . (A w - b)``, not negative."""


class KinkPiece(Piece):
    """``sum cost |u|`` with ``u = A w - offset = p - m``; y lies in ``[-cost, cost]``."""

    def __init__(self, kinks: Kinks, w: FloatArray, mu: float) -> None:
        self.kinks, self.size = kinks, w.size
        self.count = 2 * kinks.heads.size
        cost, u = kinks.costs, self._apply(w) - kinks.offset
        width = (mu + np.sqrt(mu * mu + np.square(cost * u))) / cost
        large = 0.5 * (width + np.abs(u))
        small = mu * width / (2.0 * cost * large)
        self.p, self.m = np.where(u >= 0, large, small), np.where(u >= 0, small, large)
        self.above, self.below = mu / self.p, mu / self.m  # cost - y and cost + y, which would cancel
        self.gap = u - self.p + self.m
        self.dp = self.dm = self.dy = self.aim_p = self.aim_m = np.zeros_like(u)
        self._soften()

    def _apply(self, w: FloatArray) -> FloatArray:
        heads, tails = self.kinks.heads, self.kinks.tails
        return w[heads] if tails is None else w[heads] - w[tails]

    def _adjoint(self, y: FloatArray) -> FloatArray:
        total = np.bincount(self.kinks.heads, y, self.size)
        return np.asarray(total if self.kinks.tails is None else total - np.bincount(self.kinks.tails, y, self.size))

    def _soften(self) -> None:
        self.y = np.minimum(np.maximum(0.5 * (self.below - self.above), -self.kinks.costs), self.kinks.costs)
        self.soft = 1.0 / (self.p / self.above + self.m / self.below)

    def add_curvature(self, matrix: FloatArray) -> None:
        """Add ``A' S A``."""
        heads, tails, n = self.kinks.heads, self.kinks.tails, self.size
        diagonal = np.bincount(heads, self.soft, n)
        if tails is not None:
            diagonal += np.bincount(tails, self.soft, n)
            across = np.bincount(heads * n + tails, self.soft, n * n).reshape(n, n)
            matrix -= across + across.T
        matrix.flat[:: n + 1] += diagonal

    def pull(self) -> FloatArray:
        """``A' y``."""
        return self._adjoint(self.y)

    def aim(self, mu: float, second_order: float) -> FloatArray:
        """Set the target of the products."""
        self.aim_p = (mu + second_order * self.dp * self.dy) / self.above - self.p
        self.aim_m = (mu - second_order * self.dm * self.dy) / self.below - self.m
        self.load = self.gap - self.aim_p + self.aim_m
        return self._adjoint(self.soft * self.load)

    def follow(self, step: FloatArray) -> None:
        """Complete the direction."""
        self.dy = self.soft * (self._apply(step) + self.load)
        self._complete()

    def refine(self, step: FloatArray) -> None:
        """Add to the direction."""
        self.dy = self.dy + self.soft * self._apply(step)
        self._complete()

    def _complete(self) -> None:
        self.dp = self.aim_p + self.p / self.above * self.dy
        self.dm = self.aim_m - self.m / self.below * self.dy

    def pull_of_direction(self) -> FloatArray:
        """``A' dy``."""
        return self._adjoint(self.dy)

    def lengths(self, stay: float) -> tuple[float, float]:
        """Largest step lengths."""
        primal = min(longest(self.p, self.dp, stay), longest(self.m, self.dm, stay))
        return primal, min(longest(self.above, -self.dy, stay), longest(self.below, self.dy, stay))

    def products(self, primal: float = 0.0, dual: float = 0.0) -> float:
        """Sum of the products."""
        first = (self.p + primal * self.dp) @ (self.above - dual * self.dy)
        return float(first + (self.m + primal * self.dm) @ (self.below + dual * self.dy))

    def merit(self, mu: float, primal: float = 0.0) -> float:
        """Epigraph value and barrier."""
        p, m = self.p + primal * self.dp, self.m + primal * self.dm
        return float(self.kinks.costs @ (p + m)) - mu * float(np.log(p).sum() + np.log(m).sum())

    def merit_slope(self, mu: float) -> float:
        """Its derivative."""
        barrier = (self.dp / self.p).sum() + (self.dm / self.m).sum()
        return float(self.kinks.costs @ (self.dp + self.dm)) - mu * float(barrier)

    def advance_primal(self, primal: float, w: FloatArray) -> None:
        """Move the slacks."""
        self.p, self.m = self.p + primal * self.dp, self.m + primal * self.dm
        self.gap = self._apply(w) - self.kinks.offset - self.p + self.m

    def advance_dual(self, dual: float) -> None:
        """Move y."""
        self.above, self.below = self.above - dual * self.dy, self.below + dual * self.dy
        self._soften()

    def shortfall(self, w: FloatArray) -> float:
        """``h(w) - y . (A w - b)``."""
        u = self._apply(w) - self.kinks.offset
        return float((self.kinks.costs * np.abs(u) - self.y * u).sum())


class PeakPiece(Piece):
    """``cost * max u`` with ``u = A w = level - z``; y is not negative and sums to cost."""

    def __init__(self, peak: Peak, w: FloatArray, mu: float) -> None:
        self.peak, self.size, self.count = peak, w.size, peak.heads.size
        u = self._apply(w)
        self.level = float(u.max()) + self.count * mu / peak.cost
        self.z = self.level - u
        self.y = peak.cost / self.z / float((1.0 / self.z).sum())
        self.gap = np.zeros_like(u)
        self.dz = self.dy = self.load = np.zeros_like(u)
        self.dlevel = 0.0
        self._soften()

    def _apply(self, w: FloatArray) -> FloatArray:
        return self.peak.signs * w[self.peak.heads]

    def _adjoint(self, y: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(self.peak.heads, self.peak.signs * y, self.size))

    def _soften(self) -> None:
        self.soft = self.y / self.z
        self.total = float(self.soft.sum())

    def add_curvature(self, matrix: FloatArray) -> None:
        """Add ``A' S A``."""
        # diag(s) - s s' / sum(s): the diagonal as a sum of what is off it, for the difference would cancel
        across = np.outer(self.soft, self.soft) / self.total
        np.fill_diagonal(across, 0.0)
        inner = np.diag(across.sum(axis=1)) - across
        heads, signs = self.peak.heads, self.peak.signs
        inner *= np.outer(signs, signs)
        for start in range(0, heads.size, self.size):  # one block of all weights, or two with signs
            rows = slice(start, start + self.size)
            for other in range(0, heads.size, self.size):
                matrix += inner[rows, other : other + self.size]

    def pull(self) -> FloatArray:
        """``A' y``."""
        return self._adjoint(self.y)

    def aim(self, mu: float, second_order: float) -> FloatArray:
        """Set the target of the products."""
        self.aim_z = (mu - second_order * self.dz * self.dy) / self.y - self.z
        self.load = self.aim_z - self.gap
        level = float(self.soft @ self.load) / self.total
        return self._adjoint(self.soft * (self.load - level))

    def follow(self, step: FloatArray) -> None:
        """Complete the direction."""
        change = self._apply(step) + self.load
        self.dlevel = float(self.soft @ change) / self.total
        self.dy = self.soft * (change - self.dlevel)
        self.dz = self.aim_z - self.z / self.y * self.dy

    def refine(self, step: FloatArray) -> None:
        """Add to the direction."""
        change = self._apply(step)
        level = float(self.soft @ change) / self.total
        self.dlevel += level
        self.dy = self.dy + self.soft * (change - level)
        self.dz = self.aim_z - self.z / self.y * self.dy

    def pull_of_direction(self) -> FloatArray:
        """``A' dy``."""
        return self._adjoint(self.dy)

    def lengths(self, stay: float) -> tuple[float, float]:
        """Largest step lengths."""
        return longest(self.z, self.dz, stay), longest(self.y, self.dy, stay)

    def products(self, primal: float = 0.0, dual: float = 0.0) -> float:
        """Sum of the products."""
        return float((self.z + primal * self.dz) @ (self.y + dual * self.dy))

    def merit(self, mu: float, primal: float = 0.0) -> float:
        """Epigraph value and barrier."""
        z = self.z + primal * self.dz
        return self.peak.cost * (self.level + primal * self.dlevel) - mu * float(np.log(z).sum())

    def merit_slope(self, mu: float) -> float:
        """Its derivative."""
        return self.peak.cost * self.dlevel - mu * float((self.dz / self.z).sum())

    def advance_primal(self, primal: float, w: FloatArray) -> None:
        """Move the slacks."""
        self.z = self.z + primal * self.dz
        self.level += primal * self.dlevel
        self.gap = self.level - self._apply(w) - self.z

    def advance_dual(self, dual: float) -> None:
        """Move y."""
        y = self.y + dual * self.dy
        self.y = y * (self.peak.cost / float(y.sum()))
        self._soften()

    def shortfall(self, w: FloatArray) -> float:
        """``h(w) - y . (A w - b)``."""
        u = self._apply(w)
        return float(self.y @ (float(u.max()) - u))


class Pieces:
    """All pieces of a regulariser with kinks, and its linear term.

    Parameters
    ----------
    penalty : Regularizer
    w : ndarray of shape (N,)
    mu : float
        What the products of slack and multiplier start from.
    """

    def __init__(self, penalty: Regularizer, w: FloatArray, mu: float) -> None:
        tilt, parts = penalty.pieces()
        self.tilt = np.zeros_like(w) if tilt is None else tilt
        self.parts: list[Piece] = [
            KinkPiece(part, w, mu) if isinstance(part, Kinks) else PeakPiece(part, w, mu)
            for part in parts
            if part.heads.size
        ]
        self.count = sum(part.count for part in self.parts)

    def curvature(self) -> FloatArray:
        """``A' S A`` of all pieces, shape (N, N)."""
        matrix = np.zeros((self.tilt.size, self.tilt.size))
        for part in self.parts:
            part.add_curvature(matrix)
        return matrix

    def pull(self) -> FloatArray:
        """The subgradient of the regulariser that the pieces hold, shape (N,)."""
        return sum((part.pull() for part in self.parts), self.tilt)

    def pull_of_direction(self) -> FloatArray:
        """How the subgradient moves along the direction."""
        return sum((part.pull_of_direction() for part in self.parts), np.zeros_like(self.tilt))

    def aim(self, mu: float, second_order: float) -> FloatArray:
        """Set the targets; see :meth:`Piece.aim`."""
        return sum((part.aim(mu, second_order) for part in self.parts), np.zeros_like(self.tilt))

    def follow(self, step: FloatArray) -> None:
        """Complete the direction for a step of the weights."""
        for part in self.parts:
            part.follow(step)

    def refine(self, step: FloatArray) -> None:
        """Add a small further step of the weights to the direction."""
        for part in self.parts:
            part.refine(step)

    def lengths(self, stay: float = _STAY_INSIDE) -> tuple[float, float]:
        """Largest primal and dual step lengths."""
        pairs = [(1.0, 1.0), *(part.lengths(stay) for part in self.parts)]
        return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)

    def products(self, primal: float = 0.0, dual: float = 0.0) -> float:
        """Sum of the products of slack and multiplier after steps along the direction."""
        return sum(part.products(primal, dual) for part in self.parts)

    def merit(self, w: FloatArray, mu: float, primal: float = 0.0) -> float:
        """Value of the epigraph and barrier of its slacks; ``w`` are the weights after the step."""
        return float(self.tilt @ w) + sum(part.merit(mu, primal) for part in self.parts)

    def merit_slope(self, step: FloatArray, mu: float) -> float:
        """Its derivative along the direction, whose weights are ``step``."""
        return float(self.tilt @ step) + sum(part.merit_slope(mu) for part in self.parts)

    def advance(self, w: FloatArray, primal: float, dual: float) -> None:
        """Take the steps, which lead to the weights ``w``."""
        for part in self.parts:
            part.advance_primal(primal, w)
            part.advance_dual(dual)

    def shortfall(self, w: FloatArray) -> float:
        """Value of the regulariser above the linear bound that the subgradient gives, not negative."""
        return sum(part.shortfall(w) for part in self.parts)

    def slopes(self) -> tuple[FloatArray, ...]:
        """The y of every piece."""
        return tuple(part.y for part in self.parts)

    def frozen(self) -> Pieces:
        """A copy that further steps do not change."""
        other = copy.copy(self)
        other.parts = [copy.copy(part) for part in self.parts]
        return other
