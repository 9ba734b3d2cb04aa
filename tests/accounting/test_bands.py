"""Bands: who trades, to where, and where the money comes from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeslike.accounting.bands import Bands
from opeslike.errors import PortfolioError


@st.composite
def holdings(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 8))
    target = rng.dirichlet(np.ones(count)) * draw(st.sampled_from([1.0, 0.6, 1.5]))
    drifted = np.maximum(target * rng.normal(1, 0.3, count), 0.0) * draw(st.sampled_from([1.0, 0.7]))
    if draw(st.booleans()):
        target, drifted = target - 0.2, drifted - 0.2
    absolute, relative = draw(st.sampled_from([None, 0.0, 0.02, 0.05])), draw(st.sampled_from([0.1, 0.25]))
    bands = Bands(absolute, relative, draw(st.sampled_from(["target", "edge"])))
    return bands, target, drifted


@given(holdings())
def test_who_trades_and_what_it_takes(problem):
    bands, target, drifted = problem
    new = bands.trade(target, drifted)
    width = bands.relative * np.abs(target)
    width = width if bands.absolute is None else np.minimum(width, bands.absolute)
    off, inside = drifted - target, np.abs(drifted - target) <= width
    # Nobody ends further from the target, on the other side of it, or outside the band.
    assert (np.abs(new - target) <= np.minimum(np.abs(off), width) + 1e-12).all()
    assert ((new - target) * off >= -1e-12).all()
    # Cash ends between what it was and what the target leaves.
    cash = sorted((1 - drifted.sum(), 1 - target.sum()))
    assert cash[0] - 1e-12 <= 1 - new.sum() <= cash[1] + 1e-12
    if inside.all():
        np.testing.assert_array_equal(new, drifted)
    moved = np.flatnonzero(inside & (new != drifted))
    # Who is inside moves only to settle the cash, all in one direction.
    assert len(set(np.sign(new[moved] - drifted[moved]))) <= 1


def test_by_hand():
    target, drifted = np.array([0.5, 0.3, 0.2]), np.array([0.56, 0.26, 0.18])
    # A sells 6 points; of the 6 freed B, 4 below its target, and C, 2 below, take all they lack.
    np.testing.assert_allclose(Bands(absolute=0.05).trade(target, drifted), target, atol=1e-15)
    # To the edge A sells 1 point: B buys 2/3 of it and C the rest.
    np.testing.assert_allclose(
        Bands(absolute=0.05, to="edge").trade(target, drifted), [0.55, 0.26 + 0.02 / 3, 0.18 + 0.01 / 3], atol=1e-15
    )
    # Where the holding has cash that the target does not want, an asset inside its band stays as it is.
    np.testing.assert_array_equal(Bands(absolute=0.05).trade(np.array([0.6, 0.4]), np.array([0.4, 0.38])), [0.6, 0.38])


def test_the_narrower_of_two_bands_counts():
    both, target = Bands(0.05, 0.25), np.array([0.1, 0.5, 0.4])
    assert both.trade(target, np.array([0.13, 0.49, 0.38]))[0] == 0.1  # 3 points, but 30% of its size
    assert both.trade(target, np.array([0.1, 0.56, 0.34]))[1] == 0.5  # 12% of its size, but 6 points


def test_all_in_cash_buys_the_target():
    target = np.array([0.02, 0.03])
    np.testing.assert_array_equal(Bands(absolute=0.1).trade(target, np.zeros(2)), target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "absolute= or relative="),
        ({"absolute": -0.1}, "Bands absolute=-0.1 must be a finite number >= 0"),
        ({"relative": float("nan")}, "Bands relative"),
        ({"relative": True}, "Bands relative"),
        ({"absolute": 0.1, "to": "middle"}, "to='middle' is unknown"),
    ],
)
def test_bad_bands_are_named(options, message):
    with pytest.raises(PortfolioError, match=message):
        Bands(**options)
