"""What functions with kinks are made of: absolute values and maxima of weights and of their differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Kinks:
    """``sum_k cost_k |w[heads_k] - w[tails_k] - offset|``; without tails ``|w[heads_k] - offset|``."""

    heads: Index
    tails: Index | None
    offset: float
    costs: FloatArray

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
