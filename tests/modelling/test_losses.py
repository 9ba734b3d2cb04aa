"""Losses: derivatives, the cvxpy expression, textbook formulas, limits and domains."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.modelling.losses import Exponential, Hyperbolic, Linear, Log, Loss, Power, Quadratic

LOSSES: list[Loss] = [
    Log(),
    Log(0.25),
    Linear(),
    Power(0.5),
    Power(1.0),
    Power(2.0),
    Power(7.3),
    Exponential(0.01),
    Exponential(1.0),
    Exponential(25.0),
    Quadratic(0.5),
    Quadratic(1.0),
    Quadratic(3.0),
    Hyperbolic(2.0, 1.0, 3.0),
    Hyperbolic(1.5, 0.5, 4.0),
    Hyperbolic(6.0, 2.0, 1.5),
]
TEXTBOOK = {
    Power(2.0): lambda r: -((1 + r) ** -1.0) / -1.0,
    Power(7.3): lambda r: -((1 + r) ** -6.3) / -6.3,
    Power(0.5): lambda r: -((1 + r) ** 0.5) / 0.5,
    Power(1.0): lambda r: -np.log(1 + r),
    Exponential(1.0): lambda r: np.exp(-r),
    Exponential(25.0): lambda r: np.exp(-25 * r) / 25,
    Quadratic(0.5): lambda r: 0.25 * (1 + r) ** 2 - (1 + r),
    Hyperbolic(2.0, 1.0, 3.0): lambda r: 0.5 * (3 - (1 + r)) ** 2,
    Hyperbolic(6.0, 2.0, 1.5): lambda r: 5 / 6 * (2 * (1 + r) / -5 + 1.5) ** 6,
}


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@settings(deadline=None, max_examples=25)
@given(r=st.floats(-0.6, 0.9))
def test_derivatives_are_those_of_the_value(loss: Loss, r: float) -> None:
    h = 1e-5
    points = np.array([r - h, r, r + h])
    value, slope, bend = loss.evaluate(points)
    assert slope[1] == pytest.approx((value[2] - value[0]) / (2 * h), rel=2e-6, abs=1e-9)
    assert bend[1] == pytest.approx((slope[2] - slope[0]) / (2 * h), rel=2e-6, abs=1e-9)
    assert bend[1] >= 0


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_holding_cash_costs_nothing(loss: Loss) -> None:
    value, _, _ = loss.evaluate(np.zeros(3))
    assert value.tolist() == [0.0] * 3


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_cvxpy_expression_is_the_same_convex_function(loss: Loss) -> None:
    returns = np.array([-0.5, -0.1, -1e-4, 0.0, 1e-3, 0.2, 0.7])
    variable = cp.Variable(returns.size)
    expression = loss.expression(variable)
    assert expression.is_dcp()
    assert expression.is_convex()
    variable.value = returns
    np.testing.assert_allclose(expression.value, loss.evaluate(returns)[0], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", TEXTBOOK, ids=repr)
def test_the_offset_restores_the_textbook_formula(loss: Loss) -> None:
    returns = np.linspace(-0.5, 0.8, 14)
    rounding = 4e-16 * (1.0 + abs(loss.offset))
    ours = loss.offset + loss.evaluate(returns)[0]
    np.testing.assert_allclose(ours, TEXTBOOK[loss](returns), rtol=1e-13, atol=rounding)


@pytest.mark.parametrize("nearly", [Power(1 + 1e-9), Exponential(1e-9)])
def test_small_aversions_keep_their_digits(nearly: Loss) -> None:
    limit = Log() if isinstance(nearly, Power) else Linear()
    returns = np.array([-0.3, -0.01, 0.01, 0.4])
    for ours, theirs in zip(nearly.evaluate(returns)[:2], limit.evaluate(returns)[:2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-9)


def test_utilities_beyond_floating_point_are_infinite_without_a_warning() -> None:
    for loss in (Power(1e4), Exponential(1e5)):
        value, slope, bend = loss.evaluate(np.array([-0.5, 0.01]))
        assert value[0] == np.inf
        assert slope[0] == -np.inf
        assert bend[0] == np.inf
        assert np.isfinite(value[1])


def test_margin_of_power_utility_is_wealth() -> None:
    np.testing.assert_allclose(Power(3.0).margin(np.array([-1.0, 0.0, 0.5])), [0.0, 1.0, 1.5])


def test_hara_is_continued_by_its_maximum_and_says_where() -> None:
    loss = Hyperbolic(2.0, 1.0, 3.0)  # the base 2 - r is 0 at r = 2
    returns = np.array([1.9, 2.0, 2.5, 10.0])
    value, slope, bend = loss.evaluate(returns)
    np.testing.assert_allclose(value, [0.5 * 0.01 - 2.0, -2.0, -2.0, -2.0], rtol=1e-12)
    np.testing.assert_allclose(slope, [-0.1, 0, 0, 0], atol=1e-15)
    assert bend.tolist() == [1.0, 0.0, 0.0, 0.0]
    outside = loss.outside(returns)
    assert outside.tolist() == [False, False, True, True]
    assert "raise shift" in loss.advice()


def test_hara_whose_cash_is_outside_the_domain_still_has_a_value() -> None:
    loss = Hyperbolic(2.0, 1.0, 0.5)  # the base -0.5 - r is positive below r = -0.5 only
    value, slope, _ = loss.evaluate(np.array([-0.9, 0.0]))
    np.testing.assert_allclose(value, [0.5 * 0.4**2, 0.0])
    np.testing.assert_allclose(slope, [-0.4, 0.0])
    assert loss.offset == 0.0
