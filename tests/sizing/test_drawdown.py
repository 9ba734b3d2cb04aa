"""Odds of losing a part of the starting wealth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import drawdown_odds


@pytest.mark.parametrize(("level", "odds"), [(0.8, 0.8), (0.5, 0.5), (0.2, 0.2)])
def test_full_kelly_numbers(level, odds):
    # Thorp (2006), section 7: at full Kelly the odds of ever falling to x of the start are x:
    # 80% odds of a 20% fall, 50% of a 50% fall, 20% of an 80% fall.
    assert drawdown_odds(1.0, level) == pytest.approx(odds, abs=1e-15)


@given(st.floats(0.01, 1.999), st.floats(0.01, 1.0))
def test_closed_form(c, x):
    # Thorp (2006): x^(2/c - 1) below twice Kelly.
    assert drawdown_odds(c, x) == pytest.approx(x ** (2 / c - 1), rel=1e-12)


def test_half_kelly_and_beyond_twice_kelly():
    assert drawdown_odds(0.5, 0.5) == pytest.approx(1 / 8)
    assert drawdown_odds(2.0, 0.01) == 1.0
    assert drawdown_odds(3.0, 0.01) == 1.0


@given(st.floats(0.05, 4.0), st.floats(0.05, 0.99), st.floats(0.01, 50.0))
def test_a_finite_horizon_grows_into_the_endless_one(c, x, years):
    soon = drawdown_odds(c, x, years=years, annual_sharpe=0.5)
    later = drawdown_odds(c, x, years=2 * years, annual_sharpe=0.5)
    for_ever = drawdown_odds(c, x)
    assert soon <= later + 1e-12
    assert later <= for_ever + 1e-12
    far = drawdown_odds(c, x, years=1e9, annual_sharpe=0.5)
    if abs(c - 2) > 0.01:
        assert far == pytest.approx(for_ever, abs=1e-9)


@pytest.mark.parametrize("c", [0.5, 1.0, 2.5])
def test_simulation_against_the_closed_form_shifted_for_discrete_looks(c):
    # Broadie, Glasserman and Kou, "A continuity correction for discrete barrier options" (1997):
    # looking once a period is like a barrier lower by 0.5826 standard deviations of the period.
    sharpe, years, per_year, paths = 1.0, 4.0, 252, 20_000
    lower = 0.6 * math.exp(-0.5826 * c * sharpe / math.sqrt(per_year))
    expected = drawdown_odds(c, lower, years=years, annual_sharpe=sharpe)
    found = drawdown_odds(c, 0.6, method="simulation", years=years, annual_sharpe=sharpe, n_paths=paths, seed=1)
    error = math.sqrt(expected * (1 - expected) / paths)
    assert found == pytest.approx(expected, abs=4 * error)
    assert found < drawdown_odds(c, 0.6, years=years, annual_sharpe=sharpe)


def test_simulation_is_seeded_and_counts_the_start():
    keywords = {"method": "simulation", "annual_sharpe": 0.5, "years": 1, "n_paths": 300}
    assert drawdown_odds(1.0, 0.9, **keywords) == drawdown_odds(1.0, 0.9, **keywords)
    assert drawdown_odds(1.0, 0.9, seed=1, **keywords) != drawdown_odds(1.0, 0.9, seed=2, **keywords)
    assert drawdown_odds(0.01, 1.0, **keywords) == 1.0


@pytest.mark.parametrize("block", [None, 5.0])
def test_bootstrap_of_normal_returns_agrees_with_the_simulation(block):
    rng = np.random.default_rng(0)
    values = 0.01 * rng.standard_normal(2000)
    values += 0.05 * 0.01 - values.mean()  # daily Sharpe ratio of about .05
    sharpe = float(values.mean() / values.std(ddof=1)) * math.sqrt(252)
    shared = {"years": 3, "n_paths": 4000, "seed": 3}
    found = drawdown_odds(1.0, 0.7, method="bootstrap", returns=values, block=block, **shared)
    expected = drawdown_odds(1.0, 0.7, method="simulation", annual_sharpe=sharpe, **shared)
    assert found == pytest.approx(expected, abs=5 * math.sqrt(2 * 0.25 / 4000))
    assert 0.1 < found < 0.9


def test_bootstrap_by_enumeration():
    # A coin of gains 1 and losses 1/2 has Kelly leverage .5 / .5 - .5 / 1 = 1/2: wealth times 3/2 or
    # 3/4. In two throws it is at or below 3/4 unless the first is a gain (and 9/8 after a loss then
    # does not count): odds 1/2. It is at or below 9/16 with odds 1/4.
    coin = [1.0, -0.5]
    shared = {"method": "bootstrap", "returns": coin, "years": 2, "periods_per_year": 1, "n_paths": 40_000}
    assert drawdown_odds(1.0, 0.76, **shared) == pytest.approx(0.5, abs=0.01)
    assert drawdown_odds(1.0, 0.57, **shared) == pytest.approx(0.25, abs=0.01)
    # At four times Kelly one loss is the end.
    assert drawdown_odds(4.0, 0.01, **shared) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((0.0, 0.5), {}, "kelly_multiple"),
        ((1.0, 0.0), {}, "level"),
        ((1.0, 1.1), {}, "level"),
        ((1.0, 0.5), {"years": 0.0}, "years"),
        ((1.0, 0.5), {"years": 1.0}, "annual_sharpe"),
        ((1.0, 0.5), {"method": "simulation"}, "annual_sharpe"),
        ((1.0, 0.5), {"method": "simulation", "annual_sharpe": -1.0}, "annual_sharpe"),
        ((1.0, 0.5), {"method": "bootstrap"}, "needs returns"),
        ((1.0, 0.5), {"method": "guess"}, "method=.guess. is unknown"),
        ((1.0, 0.5), {"method": "simulation", "annual_sharpe": 1.0, "years": 1e6}, "at most 10,000,000"),
        ((1.0, 0.5), {"method": "simulation", "annual_sharpe": 1.0, "seed": -1}, "seed"),
        ((1.0, 0.5), {"method": "simulation", "annual_sharpe": 1.0, "n_paths": 0}, "n_paths"),
    ],
)
def test_bad_parameters_are_named(arguments, keywords, message):
    with pytest.raises(PortfolioError, match=message):
        drawdown_odds(*arguments, **keywords)


def test_returns_without_an_optimum():
    with pytest.raises(DataError, match="no loss"):
        drawdown_odds(1.0, 0.5, method="bootstrap", returns=[0.01, 0.02])
