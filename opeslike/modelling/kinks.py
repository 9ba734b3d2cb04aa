"""What functions with kinks are made of: absolute values and maxima of weights and of their differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Kinks:
    """``sum_k cost_k |w[heads_k] - w[tails_k] - offset|``; without tails ``|w[heads_k] - offset|``."""

    heads: Index
    tails: Index | None
    offset: float
    costs: FloatArray

    def measure(self, w: Any) -> Any:
        """``u = A w - b``, whose absolute values count."""
        u = w[self.heads] - self.offset
        return u if self.tails is None else u - w[self.tails]

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and a subgradient."""
        u = self.measure(w)
        return float(self.costs @ np.abs(u)), self.pull(self.costs * np.sign(u), w.size)

    def expression(self, w: Any) -> Any:
        """The same for cvxpy."""
        import cvxpy as cp

        return self.costs @ cp.abs(self.measure(w))

    def pull(self, y: FloatArray, size: int) -> FloatArray:
        """``A' y``, shape (size,)."""
        total = np.bincount(self.heads, y, size)
        return np.asarray(total if self.tails is None else total - np.bincount(self.tails, y, size))

    def admissible(self, y: FloatArray) -> FloatArray:
        """The y near this one with ``sum cost |u| >= y . u`` for all u."""
        return np.minimum(np.maximum(y, -self.costs), self.costs)

    def shortfall(self, u: FloatArray, y: FloatArray) -> float:
        """``sum cost |u| - y . u``."""
        return float((self.costs * np.abs(u) - y * u).sum())

    def settled(self, w: FloatArray, within: float) -> FloatArray:
        """Weights with those at most ``within`` from a kink put there; runs of nearly equal weights are averaged."""
        if self.tails is not None:
            return _merged(w, within)
        w = w.copy()
        heads = self.heads[np.abs(w[self.heads] - self.offset) < within]
        w[heads] = self.offset
        return w


@dataclass(frozen=True, eq=False)
class Peak:
    """``cost * max_k signs_k w[heads_k]``."""

    heads: Index
    signs: FloatArray
    cost: float

    def measure(self, w: FloatArray) -> FloatArray:
        """``u = A w``, whose maximum counts."""
        return self.signs * w[self.heads]

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and the slope of the first that attains it."""
        u = self.measure(w)
        top = int(np.argmax(u))
        slope = np.zeros_like(w)
        slope[self.heads[top]] = self.cost * self.signs[top]
        return self.cost * float(u[top]), slope

    def expression(self, w: Any) -> Any:
        """The same for cvxpy."""
        import cvxpy as cp

        return self.cost * cp.max(cp.multiply(self.signs, w[self.heads]))

    def pull(self, y: FloatArray, size: int) -> FloatArray:
        """``A' y``, shape (size,)."""
        return np.asarray(np.bincount(self.heads, self.signs * y, size))

    def admissible(self, y: FloatArray) -> FloatArray:
        """The y near this one with ``cost max u >= y . u`` for all u: not negative, with the cost as sum."""
        y = np.maximum(y, 0.0)
        total = float(y.sum())
        return np.full(y.size, self.cost / y.size) if total <= 0 else y * (self.cost / total)

    def shortfall(self, u: FloatArray, y: FloatArray) -> float:
        """``cost max u - y . u``."""
        return float(y @ (u.max() - u))

    def settled(self, w: FloatArray, within: float) -> FloatArray:
        """Weights with those at most ``within`` from the maximum replaced by their mean."""
        size = self.signs * w[self.heads]
        tied = np.flatnonzero(size > size.max() - within)
        w = w.copy()
        w[self.heads[tied]] = self.signs[tied] * float(size[tied].mean())
        return w


def _merged(w: FloatArray, within: float) -> FloatArray:
    order = np.argsort(w, kind="stable")
    run = np.concatenate([[0], np.cumsum(np.diff(w[order]) > within)])
    merged = w.copy()
    merged[order] = (np.bincount(run, w[order]) / np.bincount(run))[run]
    return merged
