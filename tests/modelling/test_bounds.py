"""Bounds: linear minimisation against HiGHS, centres, repairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import Bounds
from opeslike.proof import linear_gap


def random_bounds(seed: int, rows: int = 1, signs: bool = False) -> Bounds:
    g = np.random.default_rng(seed)
    n = int(g.integers(2, 12))
    lower = g.uniform(-1, 0.2, n)
    upper = lower + g.uniform(0, 1, n) * (g.random(n) > 0.2)
    matrix = np.ones((1, n)) if rows == 1 else np.vstack([np.ones(n), g.choice([0.0, 1.0, -1.0], (rows - 1, n))])
    if signs:
        matrix[0] = g.choice([1.0, -1.0, 2.0], n)
    inside = lower + g.uniform(0.1, 0.9) * (upper - lower)
    return Bounds(lower, upper, matrix, matrix @ inside)


@given(seed=st.integers(0, 10_000), rows=st.sampled_from([1, 1, 2]), signs=st.booleans())
@settings(max_examples=150, deadline=None)
def test_linear_minimum_matches_highs(seed: int, rows: int, signs: bool) -> None:
    bounds = random_bounds(seed, rows, signs)
    cost = np.random.default_rng(seed + 1).normal(size=bounds.lower.size)
    x, _ = bounds.linear_minimum(cost)
    program = linprog(cost, A_eq=bounds.rows, b_eq=bounds.totals, bounds=np.c_[bounds.lower, bounds.upper])
    assert cost @ x == pytest.approx(program.fun, abs=1e-9)
    np.testing.assert_allclose(bounds.rows @ x, bounds.totals, atol=1e-9)
    assert (x >= bounds.lower - 1e-12).all()
    assert (x <= bounds.upper + 1e-12).all()
    # the certificate's form of the same number
    assert linear_gap(bounds, program.x, cost) == pytest.approx(0.0, abs=1e-9)
    other = bounds.repair(0.5 * (bounds.lower + bounds.upper))
    assert linear_gap(bounds, other, cost) == pytest.approx(cost @ other - program.fun, abs=1e-9)


@given(seed=st.integers(0, 10_000), rows=st.sampled_from([1, 2]), signs=st.booleans())
@settings(max_examples=80, deadline=None)
def test_centre_is_inside(seed: int, rows: int, signs: bool) -> None:
    bounds = random_bounds(seed, rows, signs)
    center = bounds.center()
    if center is None:
        return
    free = bounds.free
    assert (center[free] > bounds.lower[free]).all()
    assert (center[free] < bounds.upper[free]).all()
    np.testing.assert_allclose(bounds.rows @ center, bounds.totals, atol=1e-9)


@given(seed=st.integers(0, 10_000), rows=st.sampled_from([1, 2]))
@settings(max_examples=80, deadline=None)
def test_repair_lands_on_the_set(seed: int, rows: int) -> None:
    bounds = random_bounds(seed, rows)
    center = bounds.center()
    if center is None:
        return
    off = center + 1e-7 * np.random.default_rng(seed).normal(size=center.size)
    x = bounds.repair(off)
    np.testing.assert_allclose(bounds.rows @ x, bounds.totals, atol=1e-13)
    assert (x >= bounds.lower).all()
    assert (x <= bounds.upper).all()


def test_single_points_and_empty_sets() -> None:
    corner = Bounds.budget(np.array([0.4, 0.6]), np.array([1.0, 1.0]))
    np.testing.assert_array_equal(corner.only_point(), [0.4, 0.6])
    assert corner.center() is None
    full = Bounds.budget(np.zeros(2), np.array([0.3, 0.7]))
    np.testing.assert_array_equal(full.only_point(), [0.3, 0.7])
    with pytest.raises(InfeasibleError, match="sum to 1"):
        Bounds.budget(np.full(3, 0.5), np.ones(3))
    clash = Bounds(np.zeros(2), np.ones(2), np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([1.0, 1.5]))
    for use in (clash.center, lambda: clash.linear_minimum(np.ones(2))):
        with pytest.raises(InfeasibleError, match="no weights"):
            use()
