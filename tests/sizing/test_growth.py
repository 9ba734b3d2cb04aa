"""The growth curve and its marks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import growth_curve, kelly_empirical


def returns(rows=1500, seed=0, mean=5e-4):
    return mean + 0.01 * np.random.default_rng(seed).standard_t(4, rows)


def brute(values, f, rate=0.0, borrow=0.0):
    """Growth at one leverage, period by period."""
    total = []
    for r in values:
        cash = 1.0 - f
        wealth = 1.0 + f * float(r) + cash * (rate if cash >= 0 else borrow)
        if wealth <= 0:
            return -math.inf
        total.append(math.log(wealth))
    return math.fsum(total) / len(total)


@pytest.mark.parametrize("rows", [2, 3, 15, 16, 17, 1500])
def test_against_brute_force(rows):
    values = np.r_[-0.05, 0.06, returns(rows)][:rows]
    leverages = np.r_[-3.0, -0.5, 0.0, 0.3, 1.0, 1.0001, 2.5, 8.0, 50.0, 1e4]
    curve = growth_curve(values, leverages, risk_free=0.03, borrow_spread=0.02)
    rate, borrow = 1.03 ** (1 / 252) - 1, 1.05 ** (1 / 252) - 1
    expected = [brute(values, f, rate, borrow) for f in leverages]
    assert curve.growth == pytest.approx(expected, abs=1e-14, rel=1e-13)
    assert curve.growth[-1] == -math.inf
    assert curve.at(2.5).shape == ()
    assert float(curve.at(2.5)) == pytest.approx(brute(values, 2.5, rate, borrow), abs=1e-14)


def test_extreme_factors_do_not_leave_the_float_range():
    values = np.r_[np.full(40, 1e30), np.full(40, -0.5)]
    curve = growth_curve(values, [0.5, 1.0])
    assert curve.growth == pytest.approx([brute(values, 0.5), brute(values, 1.0)], rel=1e-13)
    near_ruin = (1 - 1e-16 * 4) / 0.5
    assert float(curve.at(near_ruin)) == pytest.approx(brute(values, near_ruin), rel=1e-12)


def test_marks_without_financing():
    values = returns()
    curve = growth_curve(values)
    assert curve.optimum == pytest.approx(kelly_empirical(values), rel=1e-12)
    assert curve.optimum_growth == pytest.approx(brute(values, curve.optimum), abs=1e-15)
    assert curve.quadratic_optimum == pytest.approx(values.mean() / values.var(ddof=1))
    assert curve.ruin_leverage == pytest.approx(-1 / values.min())
    assert brute(values, curve.zero_growth_leverage) == pytest.approx(0.0, abs=1e-14)
    assert brute(values, curve.zero_growth_leverage * 1.001) < 0
    assert curve.optimum < curve.zero_growth_leverage < curve.ruin_leverage
    assert curve.marks == {
        "half optimum": 0.5 * curve.optimum,
        "optimum": curve.optimum,
        "quadratic optimum": curve.quadratic_optimum,
        "zero growth": curve.zero_growth_leverage,
        "ruin": curve.ruin_leverage,
    }


def test_zero_growth_is_at_twice_kelly_for_small_moves():
    # Thorp (2006), section 7: with continuous rebalancing g(2 f*) is the growth of cash, here zero.
    values = np.r_[np.full(51, 1e-3), np.full(49, -1e-3)]
    curve = growth_curve(values)
    assert curve.zero_growth_leverage == pytest.approx(2 * curve.optimum, rel=1e-3)
    assert curve.optimum_growth == pytest.approx(0.5 * values.mean() ** 2 / values.var(), rel=1e-3)


def test_approximation_is_the_quadratic_one():
    values = returns()
    curve = growth_curve(values, [0.0, 0.5, 1.5], risk_free=0.02, borrow_spread=0.03)
    rate, borrow = 1.02 ** (1 / 252) - 1, 1.05 ** (1 / 252) - 1
    mean, variance = values.mean(), values.var(ddof=1)
    expected = [
        rate,
        rate + 0.5 * (mean - rate) - 0.125 * variance,
        borrow + 1.5 * (mean - borrow) - 1.125 * variance,
    ]
    assert curve.approximation == pytest.approx(expected, rel=1e-12)
    assert curve.approximation == pytest.approx(curve.growth, abs=2e-5)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(-2e-3, 4e-3), st.floats(0.0, 0.1), st.floats(0.0, 0.3))
def test_optimum_is_above_every_other_leverage(seed, mean, risk_free, spread):
    values = mean + 0.02 * np.random.default_rng(seed).standard_normal(60)
    curve = growth_curve(values, risk_free=risk_free, borrow_spread=spread)
    wide = np.linspace(-20, 20, 401)
    assert np.all(curve.at(wide) <= curve.optimum_growth + 1e-15)
    step = 1e-3 * max(1.0, abs(curve.optimum))
    near = curve.at([curve.optimum - step, curve.optimum + step])
    assert near.max() < curve.optimum_growth
    assert np.all(curve.growth <= curve.optimum_growth + 1e-15)
    # Close to ruin growth falls so steeply that no float makes it zero: it changes its sign there.
    assert curve.at(curve.zero_growth_leverage * (1 - 1e-12)) >= -1e-15
    assert curve.at(curve.zero_growth_leverage * (1 + 1e-12)) <= 1e-15
    assert float(curve.at(np.nextafter(curve.ruin_leverage, np.inf) * 1.000001)) == -math.inf
    assert math.isfinite(float(curve.at(curve.ruin_leverage * 0.999999)))


def test_borrowing_cost_stops_at_full_investment():
    values = returns(mean=6e-4)
    free = growth_curve(values, risk_free=0.02)
    assert free.optimum > 1
    dear = growth_curve(values, risk_free=0.02, borrow_spread=0.5)
    assert dear.optimum == 1.0
    assert dear.quadratic_optimum == 1.0


def test_default_leverages_show_the_marks():
    curve = growth_curve(returns())
    assert curve.leverages[0] == 0.0
    assert curve.leverages[-1] > curve.zero_growth_leverage
    assert np.isfinite(curve.growth).all()
    falling = growth_curve(returns(mean=-1e-3))
    assert falling.optimum < 0
    assert falling.leverages[0] < falling.optimum
    assert falling.zero_growth_leverage == pytest.approx(0.0, abs=1e-12)


def test_negative_rate_has_no_zero_growth():
    values = np.r_[np.full(50, 0.01), np.full(50, -0.0101)] - 1e-4
    curve = growth_curve(values, risk_free=-0.05)
    assert curve.optimum_growth < 0
    assert math.isnan(curve.zero_growth_leverage)
    assert "zero growth" not in curve.marks


def test_frame():
    values = pd.Series(returns())
    curve = growth_curve(values, [0.0, 1.0, 1e3])
    frame = curve.to_frame()
    assert list(frame.columns) == ["growth", "approximation", "final_wealth"]
    assert frame.index.name == "leverage"
    assert frame["final_wealth"].to_numpy() == pytest.approx([1.0, float((1 + values).prod()), 0.0])


def test_total_loss_of_the_asset_itself():
    values = np.r_[-1.0, np.full(50, 0.1)]
    curve = growth_curve(values, risk_free=0.02)
    assert curve.optimum < 1
    assert curve.ruin_leverage == pytest.approx((1 + curve.rate) / (1 + curve.rate))
    worse = growth_curve(np.r_[-1.5, np.full(50, 0.1)])
    assert worse.ruin_leverage == pytest.approx(1 / 1.5)


def test_errors():
    with pytest.raises(DataError, match="no loss against"):
        growth_curve([0.01, 0.02])
    with pytest.raises(DataError, match="no gain against"):
        growth_curve([-0.01, -0.02])
    with pytest.raises(DataError, match="without variance"):
        growth_curve([0.01])
    with pytest.raises(DataError, match="without variance"):
        growth_curve([0.01, 0.01])
    with pytest.raises(PortfolioError, match="borrow_spread"):
        growth_curve(returns(), borrow_spread=-0.01)
    with pytest.raises(PortfolioError, match="finite numbers"):
        growth_curve(returns(), [1.0, math.nan])
    with pytest.raises(PortfolioError, match="leverages must be numbers"):
        growth_curve(returns(), "all")
    with pytest.raises(PortfolioError, match="leverage must be finite"):
        growth_curve(returns()).at([1.0, math.nan])
    with pytest.raises(PortfolioError, match="finite numbers"):
        growth_curve(returns(), np.ones((2, 2)))
