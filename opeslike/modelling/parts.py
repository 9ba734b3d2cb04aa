"""Weights broken at levels where a limit or a cost bends: each side is a variable, which makes it linear."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of weights: part j adds ``signs_j x_j`` to the weight of ``assets_j``, from ``starts_j`` off its origin.

    ``low <= x <= high``; a part that ends where the next one begins is no wider than ``widths``, and one with nothing
    on the other side may be negative (``least`` is minus infinity).
    """

    origin: FloatArray
    assets: Index
    signs: FloatArray
    starts: FloatArray
    least: FloatArray
    widths: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def whole(cls, lower: FloatArray, upper: FloatArray) -> Parts:
        """The weights themselves."""
        n = lower.size
        zeros, endless = np.zeros(n), np.full(n, np.inf)
        return cls(zeros, np.arange(n), np.ones(n), zeros, -endless, endless, lower, upper)

    @classmethod
    def of(cls, lower: FloatArray, upper: FloatArray, *levels: FloatArray) -> Parts:
        """Weights within bounds, broken at the ``levels`` (each of shape (N,)) that lie between them."""
        if not levels:
            return cls.whole(lower, upper)
        n = lower.size
        origin, broken = np.zeros(n), np.zeros(n, dtype=bool)
        inside = [(level > lower) & (level < upper) for level in levels]
        for level, within in zip(levels, inside, strict=True):
            origin = np.where(within & ~broken, level, origin)
            broken |= within
        columns: list[tuple[Any, ...]] = []
        for sign in (1.0, -1.0):
            away = [np.where(w, sign * (level - origin), 0.0) for level, w in zip(levels, inside, strict=True)]
            edges = np.sort([np.where(t > 0, t, np.inf) for t in [*away, np.full(n, np.inf)]], axis=0)
            edges = np.vstack([np.zeros(n), edges])
            nearest, farthest = (lower - origin, upper - origin) if sign > 0 else (origin - upper, origin - lower)
            for start, end in itertools.pairwise(edges):
                begin = np.where(np.isinf(start), 0.0, start)
                low, high = (np.minimum(np.maximum(edge - begin, 0.0), end - begin) for edge in (nearest, farthest))
                first = (sign > 0) & (start == 0)
                whole = first & ~broken
                low, high = np.where(whole, lower, low), np.where(whole, upper, high)
                kept = np.flatnonzero((np.isfinite(start) & broken & (high > 0)) | first)
                least = np.where(whole, -np.inf, 0.0)
                table = (kept, np.full(kept.size, sign), *(v[kept] for v in (start, least, end - begin, low, high)))
                columns.append(table)
        assets, *others = (np.concatenate(column) for column in zip(*columns, strict=True))
        return cls(origin, assets.astype(np.intp), *others)

    def distance(self, level: FloatArray, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``|w - level|`` as linear functions: slopes in the parts, and constants (N,); broken at ``level``."""
        middle = self.origin[self.assets] + self.signs * (self.starts + 0.5 * (self.low + self.high))
        slopes = self.signs * np.where(middle >= level[self.assets], 1.0, -1.0)
        side = np.where(0.5 * (lower + upper) >= level, 1.0, -1.0)
        inside = (level > lower) & (level < upper)
        constant = np.where(inside, np.abs(self.origin - level), side * (self.origin - level))
        return slopes, constant
