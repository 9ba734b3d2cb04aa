"""Strategies for the tests, in a module of their own so that they pickle."""

from __future__ import annotations

import logging
import os
import threading
import warnings

import numpy as np

from opeslike.errors import InfeasibleError


class Fixed:
    """Hold what it is told."""

    def __init__(self, *weights):
        self.weights = weights

    def optimize(self, data):
        return np.array(self.weights, dtype=float)


class Counting:
    """Hold less at every call, so that a second run of the same object would differ from the first."""

    def __init__(self):
        self.calls = 0

    def optimize(self, data):
        self.calls += 1
        return np.full(data.shape[1], 1.0 / data.shape[1] / self.calls)


class Failing:
    def optimize(self, data):
        raise ZeroDivisionError("no luck")


class Infeasible:
    def optimize(self, data):
        raise InfeasibleError("nothing fits")


class Talking:
    """Warn and log on the way."""

    def optimize(self, data):
        warnings.warn("only a few rows", UserWarning, stacklevel=1)
        logging.getLogger("opeslike.toys").warning("saw %d rows", len(data))
        return np.full(data.shape[1], 1.0 / data.shape[1])


class Dying:
    def optimize(self, data):
        os._exit(1)


class Locked:
    """Can be copied, but not pickled."""

    def __init__(self):
        self.lock = threading.Lock()

    def __deepcopy__(self, memo):
        return Locked()

    def optimize(self, data):
        return np.full(data.shape[1], 1.0 / data.shape[1])


class Reader:
    """Look at the account."""

    def optimize(self, data, *, state):
        return np.full(data.shape[1], min(1.0, state.wealth) / data.shape[1])
