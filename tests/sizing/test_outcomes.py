"""Sizing from lists of outcomes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import (
    kelly_binary_from_outcomes,
    kelly_empirical,
    kelly_from_outcomes,
    optimal_f,
    outcome_statistics,
    trade_returns,
)

scales = st.floats(1e-3, 1e3)


@st.composite
def outcomes(draw):
    values = draw(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40))
    values = np.array([v if abs(v) > 1e-3 else 0.0 for v in values])
    assume(values.max() > 0 > values.min())
    return values


def test_statistics_leave_out_zeros():
    stats = outcome_statistics([0.02, 0.0, 0.04, -0.01, 0.0])
    assert (stats.p, stats.n) == (pytest.approx(2 / 3), 3)
    assert (stats.win, stats.loss) == (pytest.approx(0.03), pytest.approx(0.01))


def test_kelly_from_outcomes_is_a_leverage():
    # Thorp (2006), partial loss: p / a - q / b = .6 / .05 - .4 / .10.
    values = [0.10, 0.10, 0.10, -0.05, -0.05]
    assert kelly_from_outcomes(values) == pytest.approx(8.0)
    # It is not the binary fraction, which is the average loss times this.
    assert kelly_binary_from_outcomes(values) == pytest.approx(8.0 * 0.05)


@given(outcomes(), scales)
def test_scale_laws(values, c):
    leverage = kelly_from_outcomes(values)
    assert kelly_from_outcomes(c * values) == pytest.approx(leverage / c, rel=1e-9, abs=1e-9 / c)
    assert kelly_binary_from_outcomes(c * values) == pytest.approx(kelly_binary_from_outcomes(values), abs=1e-9)


@given(outcomes())
def test_zeros_change_nothing(values):
    padded = np.r_[values, np.zeros(7)]
    assert kelly_from_outcomes(padded) == pytest.approx(kelly_from_outcomes(values), rel=1e-12)
    assert kelly_empirical(padded) == pytest.approx(kelly_empirical(values), rel=1e-8, abs=1e-10)


def test_two_valued_outcomes_agree_with_the_exact_optimum():
    values = np.array([0.03] * 7 + [-0.02] * 5 + [0.0] * 4)
    assert kelly_from_outcomes(values) == pytest.approx(kelly_empirical(values), rel=1e-12)


def test_one_sided_outcomes():
    with pytest.raises(DataError, match="no loss among 2"):
        kelly_from_outcomes([0.01, 0.02])
    with pytest.raises(DataError, match="no loss"):
        kelly_binary_from_outcomes([0.01])
    with pytest.raises(DataError, match="no gain"):
        kelly_from_outcomes([-0.01, -0.02])
    assert kelly_from_outcomes([-0.01, -0.02], allow_short=False) == 0.0
    assert kelly_from_outcomes([0.01, -0.02], allow_short=False) == 0.0
    assert kelly_binary_from_outcomes([-0.01]) == 0.0
    with pytest.raises(DataError, match="all 3 are zero"):
        kelly_from_outcomes([0.0, 0.0, 0.0])


def test_vince_coin():
    # Vince, "Portfolio Management Formulas" (1990): a coin that pays 2:1 has f = .25 and a
    # geometric mean of 1.06066 per play.
    best = optimal_f([2.0, -1.0])
    assert best.f == pytest.approx(0.25, abs=1e-15)
    assert best.geometric_mean == pytest.approx(1.06066, abs=5e-6)
    assert best.geometric_mean == pytest.approx(math.sqrt(1.5 * 0.75), abs=1e-15)
    assert best.twr == pytest.approx(1.5 * 0.75, abs=1e-15)
    assert best.position == best.leverage == pytest.approx(0.25)


def test_optimal_f_position():
    best = optimal_f([0.02, 0.02, -0.01], expected_max_loss=-0.10)
    assert best.worst == 0.01
    assert best.position == pytest.approx(best.f / 0.10)
    assert optimal_f([0.02, 0.02, -0.01]).position == pytest.approx(best.f / 0.01)


@settings(deadline=None)
@given(outcomes())
def test_optimal_f_is_the_best_on_a_grid(values):
    best = optimal_f(values)
    assert 0.0 <= best.f < 1.0
    worst = -values.min()
    for f in np.linspace(0.0, 0.999, 50):
        assert np.log1p(f * values / worst).sum() <= best.log_twr + 1e-11
    if math.fsum(values) <= 0:
        assert (best.f, best.twr, best.geometric_mean) == (0.0, 1.0, 1.0)
    else:
        assert best.f / worst == pytest.approx(kelly_empirical(values), rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(outcomes(), scales)
def test_optimal_f_ignores_the_unit_and_its_position_does_not(values, c):
    assume(abs(values.mean()) > 1e-9)
    one, other = optimal_f(values), optimal_f(c * values)
    assert other.f == pytest.approx(one.f, rel=1e-9, abs=1e-10)
    assert other.twr == pytest.approx(one.twr, rel=1e-9)
    assert other.position == pytest.approx(one.position / c, rel=1e-9, abs=1e-10 / c)


def test_optimal_f_of_a_bad_game():
    assert optimal_f([1.0, -1.0]).f == 0.0
    # The mean of these is zero on paper; a plain sum in floats is positive.
    values = [0.1, 0.2, -0.3, 0.1, 0.2, -0.3]
    assert optimal_f(values).f <= 1e-12
    with pytest.raises(DataError, match="no loss"):
        optimal_f([0.1, 0.2])
    with pytest.raises(PortfolioError, match="expected_max_loss"):
        optimal_f([0.1, -0.2], expected_max_loss=0.0)
    with pytest.raises(DataError, match="one column"):
        optimal_f(pd.DataFrame({"a": [0.1], "b": [0.1]}))


def test_a_long_winning_run_does_not_overflow():
    best = optimal_f(np.r_[np.full(5000, 1.0), -0.01])
    assert best.twr == math.inf
    assert math.isfinite(best.log_twr)
    assert best.geometric_mean > 1.0


DATES = pd.bdate_range("2020-01-01", periods=8)


def test_trade_returns_by_hand():
    positions = pd.Series([0, 1, 1, 0, -1, -1, 2, 0.5], index=DATES, dtype=float)
    returns = pd.Series([np.nan, 0.1, -0.05, 0.2, 0.1, -0.2, 0.05, 0.1], index=DATES)
    trades = trade_returns(positions, returns)
    expected = [1.1 * 0.95 - 1, 0.9 * 1.2 - 1, 1.1 * 1.05 - 1]
    assert trades.to_numpy() == pytest.approx(expected)
    assert list(trades.index) == [DATES[2], DATES[5], DATES[7]]


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=60), st.integers(0, 999))
def test_trades_compound_to_the_wealth_of_the_path(positions, seed):
    returns = np.random.default_rng(seed).uniform(-0.3, 0.3, len(positions))
    trades = trade_returns(positions, returns)
    wealth = np.prod(1 + np.array(positions) * returns)
    assert np.prod(1 + trades.to_numpy()) == pytest.approx(wealth, rel=1e-12)
    sides = np.sign([0.0, *positions])
    assert len(trades) == np.count_nonzero((sides[1:] != sides[:-1]) & (sides[1:] != 0))


def test_frames_of_one_column_are_columns():
    dates = pd.bdate_range("2020-01-01", periods=4)
    held, made = pd.Series([1.0, 1.0, 0.0, -1.0], dates), pd.Series([0.1, -0.2, 0.3, 0.1], dates)
    expected = trade_returns(held, made)
    pd.testing.assert_series_equal(trade_returns(held.to_frame("A"), made.to_frame("A")), expected)
    with pytest.raises(DataError, match="positions: one column is needed, got 2"):
        trade_returns(pd.concat([held, held], axis=1), made)


def test_positions_may_be_signals():
    dates = pd.bdate_range("2020-01-01", periods=4)
    signal, made = pd.Series([False, True, True, False], dates), pd.Series([0.1, 0.1, -0.5, 0.1], dates)
    pd.testing.assert_series_equal(trade_returns(signal, made), trade_returns(signal.astype(float), made))


def test_a_total_loss_ends_a_trade_at_minus_one():
    assert trade_returns([1.0, 1.0], [-1.0, 0.5]).to_numpy() == pytest.approx([-1.0])
    assert trade_returns([0.0, 0.0], [0.1, 0.1]).empty


def test_trade_returns_refuses_bad_input():
    good = pd.Series(0.01, index=DATES)
    with pytest.raises(DataError, match="2020-01-03"):
        trade_returns(pd.Series([1, 1, np.nan, 1, 1, 1, 1, 1.0], index=DATES), good)
    with pytest.raises(DataError, match="returns: no finite value at 2020-01-02"):
        trade_returns(pd.Series(1.0, index=DATES), good.drop(DATES[1]).reindex(DATES))
    with pytest.raises(DataError, match="different dates"):
        trade_returns(pd.Series(1.0, index=DATES), good.shift(freq="D"))
    with pytest.raises(DataError, match="one length"):
        trade_returns([1.0], [0.1, 0.2])
    with pytest.raises(DataError, match="loses more than everything"):
        trade_returns([3.0], [-0.5])
    backwards = good.iloc[::-1]
    with pytest.raises(DataError, match="not in ascending order"):
        trade_returns(backwards * 0, backwards)
