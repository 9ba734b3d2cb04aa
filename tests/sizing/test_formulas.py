"""Closed forms, held to published numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeslike.errors import PortfolioError
from opeslike.sizing import (
    growth_binary,
    growth_continuous,
    kelly_binary,
    kelly_continuous,
    kelly_multivariate,
    kelly_partial,
    kelly_payout,
)

odds = st.floats(0.01, 50.0)
probability = st.floats(0.0, 1.0)


def test_even_money_coin():
    # Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market" (2006),
    # section 2: f* = p - q at even money; growth for p = .53 from Kelly (1956): 1 + p log p + q log q.
    assert kelly_binary(0.53, 1.0) == pytest.approx(0.06, abs=1e-15)
    assert growth_binary(0.53, 1.0) == pytest.approx(0.00180108, abs=5e-9)
    kelly_1956 = math.log(2) + 0.53 * math.log(0.53) + 0.47 * math.log(0.47)
    assert growth_binary(0.53, 1.0) == pytest.approx(kelly_1956, abs=1e-15)


def test_payout_notation_includes_the_stake():
    # f* = p - (1 - p) / (payout - 1): p = .52 at even money pays 2 and stakes 4%.
    assert kelly_payout(0.52, 2.0) == pytest.approx(0.04, abs=1e-15)


def test_coin_of_risk_constrained_kelly():
    # Busseti, Ryu, Boyd, "Risk-constrained Kelly gambling" (2016): b = 1.25, p = .51.
    assert kelly_binary(0.51, 1.25) == pytest.approx(0.1180, abs=1e-12)


def test_unfavourable_bet_is_left_alone():
    assert kelly_binary(0.4, 1.0) == 0.0
    assert kelly_payout(0.4, 2.0) == 0.0
    assert growth_binary(0.4, 1.0) == 0.0


def test_growth_of_staking_everything():
    assert growth_binary(0.9, 1.0, fraction=1.0) == -math.inf
    assert growth_binary(1.0, 1.0, fraction=1.0) == pytest.approx(math.log(2))
    assert growth_binary(0.0, 1.0, fraction=0.5) == pytest.approx(math.log(0.5))


@given(probability, odds)
def test_binary_kelly_is_the_best_fraction(p, b):
    best = kelly_binary(p, b)
    assert 0.0 <= best <= 1.0
    top = growth_binary(p, b)
    for fraction in np.linspace(0.0, 1.0, 21):
        assert growth_binary(p, b, float(fraction)) <= top + 1e-12


@given(probability, odds)
def test_partial_loss_of_everything_is_the_binary_bet(p, b):
    assert max(0.0, kelly_partial(p, b, 1.0)) == pytest.approx(kelly_binary(p, b), abs=1e-12)


@given(probability, odds, st.floats(0.01, 1.0), st.floats(1e-3, 1e3))
def test_partial_kelly_scales_inversely_with_the_outcomes(p, win, loss, c):
    expected = kelly_partial(p, win, loss) / c
    assert kelly_partial(p, c * win, c * loss) == pytest.approx(expected, rel=1e-9, abs=1e-9 / c)


def test_partial_kelly_formula_and_sign():
    # Thorp (2006): f* = p / loss - q / win; lose 5% or win 10% with p = .6.
    assert kelly_partial(0.6, 0.10, 0.05) == pytest.approx(8.0)
    assert kelly_partial(0.4, 0.05, 0.10) == pytest.approx(-8.0)  # the same bet, sold


def test_continuous_numbers_of_thorp():
    # Thorp (2006), section 7: m = .11, s = .15, r = .06.
    f = kelly_continuous(0.11, 0.15**2, 0.06)
    assert f == pytest.approx(2.2222, abs=5e-5)
    growth = growth_continuous([f, 1.0, 2.0], 0.11, 0.15**2, 0.06)
    assert growth == pytest.approx([0.115556, 0.09875, 0.115], abs=5e-7)
    assert growth[0] == pytest.approx(0.06 + 0.05**2 / (2 * 0.15**2), abs=1e-15)
    assert growth_continuous(2 * f, 0.11, 0.15**2, 0.06) == pytest.approx(0.06)  # twice Kelly: cash


def test_several_assets_against_the_closed_form_of_two():
    # Thorp (2006), section 8: f* = S^-1 (m - r).
    mean, s, rho, rate = np.array([0.10, 0.07]), np.array([0.2, 0.1]), 0.3, 0.02
    covariance = np.array([[s[0] ** 2, rho * s[0] * s[1]], [rho * s[0] * s[1], s[1] ** 2]])
    sharpe = (mean - rate) / s
    expected = (sharpe - rho * sharpe[::-1]) / (s * (1 - rho**2))
    assert kelly_multivariate(mean, covariance, rate) == pytest.approx(expected, rel=1e-12)
    assert kelly_continuous(mean, covariance, rate) == pytest.approx(expected, rel=1e-12)


def test_labelled_means_are_put_in_the_order_of_the_covariance():
    names = ["A", "B"]
    covariance = pd.DataFrame([[0.04, 0.006], [0.006, 0.01]], names, names)
    expected = kelly_multivariate([0.10, 0.07], covariance.to_numpy(), 0.02)
    mean = pd.Series({"B": 0.07, "A": 0.10})
    for found in (kelly_multivariate(mean, covariance, 0.02), kelly_continuous(mean, covariance, 0.02)):
        pd.testing.assert_series_equal(found, pd.Series(expected, names, name="leverage"), rtol=1e-14)
    assert list(kelly_multivariate([0.10, 0.07], covariance, 0.02).index) == names
    with pytest.raises(PortfolioError, match="different assets"):
        kelly_multivariate(pd.Series({"A": 0.10, "C": 0.07}), covariance)
    with pytest.raises(PortfolioError, match="same names in the same order"):
        kelly_multivariate(mean, covariance[["B", "A"]])


def test_independent_assets_are_sized_one_by_one():
    mean, variance = np.array([0.1, 0.05, -0.02]), np.array([0.04, 1e-6, 0.3])
    each = [kelly_continuous(float(m), float(v), 0.01) for m, v in zip(mean, variance, strict=True)]
    assert kelly_multivariate(mean, np.diag(variance), 0.01) == pytest.approx(each, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: kelly_binary(1.1, 1.0), "p=1.1 must"),
        (lambda: kelly_binary(math.nan, 1.0), "p=nan must"),
        (lambda: kelly_binary(0.5, 0.0), "b=0.0 must"),
        (lambda: kelly_binary("half", 1.0), "p must"),
        (lambda: kelly_payout(0.5, 1.0), "payout=1.0 must"),
        (lambda: growth_binary(0.5, 1.0, 1.5), "fraction=1.5 must"),
        (lambda: kelly_partial(0.5, 0.1, -0.1), "loss=-0.1 must"),
        (lambda: kelly_partial(0.5, math.inf, 0.1), "win=inf must"),
        (lambda: kelly_continuous(0.1, 0.0), "variance=0.0 must"),
        (lambda: kelly_continuous(0.1, 0.04, math.nan), "risk_free=nan must"),
        (lambda: growth_continuous(1.0, 0.1, -0.04), "variance=-0.04 must"),
        (lambda: kelly_multivariate([0.1, 0.1], [[0.04]]), "N x N"),
        (lambda: kelly_multivariate([0.1, math.nan], np.eye(2)), "finite"),
        (lambda: kelly_multivariate([0.1, 0.1], [[1.0, 0.5], [0.1, 1.0]]), "symmetric"),
        (lambda: kelly_multivariate([0.1, 0.1], np.ones((2, 2))), "positive definite"),
        (lambda: kelly_multivariate([0.1, 0.1], [[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (lambda: kelly_multivariate([0.1, 0.1], [[1.0, 0.0], [0.0, 0.0]]), "positive definite"),
        (lambda: kelly_multivariate(["a", 0.1], np.eye(2)), "mean must be numbers"),
        (lambda: kelly_multivariate([0.1, 0.1], [[1.0, 0.0], [0.0]]), "covariance must be numbers"),
        (lambda: growth_continuous("twice", 0.1, 0.04), "leverage must be numbers"),
    ],
)
def test_bad_parameters_are_named(call, name):
    with pytest.raises(PortfolioError, match=name):
        call()
