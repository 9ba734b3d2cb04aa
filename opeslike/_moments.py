"""Running sums behind the mean and covariance of a market's windows."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@final
class Moments:
    """Running sums of a growing or sliding window, so that a walk-forward pays only for new rows."""

    def __init__(self, returns: FloatArray) -> None:
        self._returns = returns
        self._start = self._stop = -1
        self._updates = 0

    def sums(self, start: int, stop: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (shift, sum of x - shift, sum of (x - shift)(x - shift)') over rows start..stop."""
        rows = stop - start
        moved = abs(start - self._start) + abs(stop - self._stop)
        known = self._start >= 0 and self._start <= start <= self._stop <= stop
        if not known or 2 * moved > rows or self._updates > 1000:
            window = self._returns[start:stop]
            self._shift = window.mean(axis=0)
            centred = window - self._shift
            self._first, self._second = centred.sum(axis=0), centred.T @ centred
            self._updates = 0
        else:
            for block, sign in (
                (self._returns[self._stop : stop], 1.0),
                (self._returns[self._start : start], -1.0),
            ):
                if len(block):
                    centred = block - self._shift
                    self._first = self._first + sign * centred.sum(axis=0)
                    self._second = self._second + sign * (centred.T @ centred)
            self._updates += 1
        self._start, self._stop = start, stop
        return self._shift, self._first, self._second
