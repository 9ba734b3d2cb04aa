"""Contributions add up: to each step's return, to the total, and to money."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.analysis import attribution, metrics
from opeslike.errors import DataError


def market(seed, steps=40, assets=3, leverage=1.0):
    """Weights, asset returns, costs and financing; long and short, borrowed and in cash."""
    rng = np.random.default_rng(seed)
    weights = leverage * rng.normal(0.3, 0.4, (steps, assets))
    moves = rng.normal(0.001, 0.02, (steps, assets))
    return weights, moves, rng.uniform(0, 0.002, steps), rng.normal(0, 1e-4, steps)


def money_ledger(weights, moves, costs, financing):
    """Profit in money of each asset, of financing and of costs, by an account kept step by step."""
    wealth = 1.0
    earned = np.zeros(weights.shape[1] + 2)
    path = []
    for held, moved, cost, interest in zip(weights, moves, costs, financing, strict=True):
        paid = wealth * cost
        left = wealth - paid
        gains = [*(left * held * moved), left * interest, -paid]
        earned += gains
        before, wealth = wealth, wealth + sum(gains)
        path.append(wealth / before - 1)
    return earned, wealth, np.array(path)


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_money_adds_up(seed, steps, assets):
    inputs = market(seed, steps, assets)
    earned, wealth, returns = money_ledger(*inputs)
    table = attribution.contributions(*inputs, returns=returns)
    np.testing.assert_allclose(table["contribution"].iloc[:-1], earned, rtol=0, atol=1e-12)
    assert table.loc["total", "contribution"] == pytest.approx(wealth - 1, abs=1e-12)
    assert table.loc["total", "contribution"] == pytest.approx(metrics.total_return(returns), abs=1e-10)
    annual = table["annual_contribution"]
    # One good day annualised is a factor of thousands, so rounding is relative to the result.
    assert annual["total"] == pytest.approx(metrics.annual_return(returns), rel=1e-11, abs=1e-11)
    assert annual.iloc[:-1].sum() == pytest.approx(annual["total"], rel=1e-11, abs=1e-11)


def test_steps_sum_to_returns():
    inputs = market(3)
    _, _, returns = money_ledger(*inputs)
    np.testing.assert_allclose(attribution.step_contributions(*inputs).sum(axis=1), returns, atol=1e-15)


def test_average_weights_and_cash():
    weights, moves, *_ = market(4)
    table = attribution.contributions(weights, moves)
    average = table["average_weight"]
    np.testing.assert_allclose(average.iloc[:3], weights.mean(axis=0))
    assert average["cash and financing"] == pytest.approx(1 - weights.sum(axis=1).mean())
    assert average["total"] == pytest.approx(1.0)
    assert np.isnan(average["costs"])


def test_frames_are_matched_by_name():
    weights, moves, costs, financing = market(5)
    dates = pd.bdate_range("2020-01-01", periods=40)
    held = pd.DataFrame(weights, index=dates, columns=list("ABC"))
    moved = pd.DataFrame(moves, index=dates, columns=list("ABC"))
    plain = attribution.contributions(weights, moves, costs, financing)
    mixed = attribution.contributions(held, moved[["C", "A", "B"]], costs, financing)
    np.testing.assert_allclose(mixed.to_numpy(), plain.to_numpy(), rtol=1e-14)
    assert list(mixed.index[:3]) == ["A", "B", "C"]
    with pytest.raises(DataError, match="'B'"):
        attribution.contributions(held, moved[["C", "A"]])
    with pytest.raises(DataError, match="different dates"):
        attribution.contributions(held, moved.shift(freq="D"))


def test_ruin_charges_the_lender():
    weights, moves = np.array([[2.0], [3.0], [3.0]]), np.array([[0.1], [-0.5], [0.2]])
    table = attribution.contributions(weights, moves, returns=[0.2, -1.0, 0.0])
    assert table.loc["total", "contribution"] == pytest.approx(-1.0)
    assert table.loc["total", "annual_contribution"] == pytest.approx(-1.0)
    # Wealth 1.2 lost 1.8; the lender bears the 0.6 that was not there.
    assert table.loc["asset 0", "contribution"] == pytest.approx(0.2 - 1.8)
    assert table.loc["lender's loss", "contribution"] == pytest.approx(0.6)


@pytest.mark.parametrize("seed", range(30))
def test_ruin_is_an_annual_loss_of_everything(seed):
    """Rounding of the parts must not make a small remainder of it, which roots over many years would magnify."""
    weights, moves, costs, financing = market(seed, steps=60)
    moves[40] = -1.5 / weights[40].sum()
    table = attribution.contributions(weights, moves, costs, financing, periods_per_year=12)
    assert table.loc["total", "contribution"] == pytest.approx(-1.0, abs=1e-12)
    assert table["annual_contribution"].drop("total").sum() == pytest.approx(-1.0, abs=1e-12)
    assert table.loc["total", "annual_contribution"] == pytest.approx(-1.0, abs=1e-12)


def test_zero_total_return_still_annualises():
    weights, moves = np.ones((2, 1)), np.array([[0.25], [-0.2]])
    table = attribution.contributions(weights, moves, periods_per_year=2)
    assert table.loc["total", "annual_contribution"] == pytest.approx(0.0, abs=1e-15)
    assert np.isfinite(table["annual_contribution"]).all()


def test_returns_that_are_not_reproduced():
    inputs = market(6)
    _, _, returns = money_ledger(*inputs)
    returns[11] += 1e-6
    with pytest.raises(DataError, match="position 11"):
        attribution.contributions(*inputs, returns=returns)
    with pytest.raises(DataError, match="2 values for 40"):
        attribution.contributions(*inputs, returns=[0.1, 0.2])


def test_bad_input():
    weights, moves, *_ = market(7)
    with pytest.raises(DataError, match="shape"):
        attribution.contributions(weights, moves[:-1])
    with pytest.raises(DataError, match="costs"):
        attribution.contributions(weights, moves, costs=[0.1])
    moves[2, 1] = np.nan
    with pytest.raises(DataError, match=r"asset 1.*(label 2|position 2)"):
        attribution.contributions(weights, moves)
    frame = pd.DataFrame({"costs": [1.0]})
    with pytest.raises(DataError, match="called 'costs'"):
        attribution.contributions(frame, frame)
