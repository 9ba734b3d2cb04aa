"""Random instances: a certified optimum or a clear InfeasibleError, and nothing else.

The suite runs a sample; `OPESLIKE_STRESS=2000` runs that many.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from opeslike import Kelly, KLRobustKelly
from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import parse_weight_bounds
from tests.solvers.instances import instance

COUNT = int(os.environ.get("OPESLIKE_STRESS", "160"))
CHUNK = 20

#: returns this wild look like percent
pytestmark = pytest.mark.filterwarnings("ignore:the data look wrong")


def growth_bound(returns: np.ndarray, w: np.ndarray) -> float:
    """Cover's bound on the growth given away, for long-only weights that sum to one: no code of the package in it."""
    gross = 1.0 + returns
    return float(np.log((gross / (gross @ w)[:, None]).mean(axis=0).max()))


@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_certified_or_infeasible(first: int) -> None:
    inaccurate = 0
    for seed in range(first, first + CHUNK):
        returns, bounds, radius, tags = instance(seed)
        for optimizer in (Kelly(), KLRobustKelly(radius=radius)):
            what = f"seed {seed}, {type(optimizer).__name__}, radius {radius:.3g}, {returns.shape}, {tags}"
            try:
                w = optimizer.optimize(returns, bounds, kind="returns")
            except InfeasibleError:
                assert returns.min() <= -1.0, what
                continue
            solution = optimizer.solution
            assert np.isfinite(w).all(), what
            assert abs(w.sum() - 1) < 1e-9, what
            low, high = parse_weight_bounds(bounds, range(returns.shape[1]))
            assert (w >= low - 1e-12).all(), what
            assert (w <= high + 1e-12).all(), what
            assert solution.gap is not None, what
            assert solution.gap <= 10 * solution.tolerance, what
            inaccurate += solution.gap > solution.tolerance
            long_only = np.ndim(bounds[0]) == 0 and tuple(bounds) == (0.0, 1.0)
            if isinstance(optimizer, Kelly) and long_only and solution.solver != "closed-form":
                assert growth_bound(returns, w) <= 1e-9 + 10 * solution.tolerance, what
    assert inaccurate <= CHUNK // 10
