"""Running sums over the windows of a market, and memory for what is made of their returns."""

from __future__ import annotations

import threading
import weakref

import numpy as np

from opeslike.checks import FloatArray


class Spare:
    """Memory for the returns of windows, lent again once nobody holds it: fresh pages cost more than the writing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lent: list[tuple[FloatArray, weakref.ref[FloatArray]]] = []

    def __reduce__(self) -> tuple[type[Spare], tuple[()]]:
        """Another process, or a copy, has memory of its own."""
        return Spare, ()

    def take(self, rows: int, columns: int) -> FloatArray:
        """Room for an array of shape (rows, columns), stored column by column."""
        size = rows * columns
        with self._lock:
            free = (memory for memory, lent in self._lent if memory.size >= size and lent() is None)
            memory = next(free, None)
            if memory is None:
                memory = np.empty(size + size // 4)
            # views of views hold the array itself, as what it stands on is no array: while any is left, it lives
            flat = np.frombuffer(memory.data, count=size)
            others = [pair for pair in self._lent if pair[0] is not memory]
            self._lent = [*others[-2:], (memory, weakref.ref(flat))]
        return flat.reshape((rows, columns), order="F")


class Moments:
    """Running sums of a growing or sliding window, so that a walk-forward pays only for new rows."""

    def __init__(self, returns: FloatArray) -> None:
        self._returns, self.spare = returns, Spare()
        self._start = self._stop = -1
        self._updates = 0

    def sums(self, start: int, stop: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (shift, sum of x - shift, sum of (x - shift)(x - shift)') over rows start..stop."""
        moved = abs(start - self._start) + abs(stop - self._stop)
        known = 0 <= self._start <= start <= self._stop <= stop
        if not known or 2 * moved > stop - start or self._updates > 1000:
            self._shift = self._returns[start:stop].mean(axis=0)
            self._first, self._second = self._sums(start, stop)
            self._updates = 0
        else:
            for first, last, sign in ((self._stop, stop, 1.0), (self._start, start, -1.0)):
                if last > first:
                    sums = self._sums(first, last)
                    self._first, self._second = self._first + sign * sums[0], self._second + sign * sums[1]
            self._updates += 1
        self._start, self._stop = start, stop
        return self._shift, self._first, self._second

    def _sums(self, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        centred = self._returns[start:stop] - self._shift
        return centred.sum(axis=0), centred.T @ centred


class Shifted(Moments):
    """Running sums of rows from a start on, plus one number a column."""

    def __init__(self, returns: FloatArray, plain: Moments, start: int, by: FloatArray) -> None:
        super().__init__(returns)
        self._plain, self._offset, self._by = plain, start, by
        self.spare = plain.spare

    def sums(self, start: int, stop: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return those of the rows as they were, about what is shifted."""
        shift, first, second = self._plain.sums(self._offset + start, self._offset + stop)
        return shift + self._by, first, second
