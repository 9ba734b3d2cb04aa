"""The exact maximiser of mean log wealth, against brute force in high precision."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import kelly_binary, kelly_empirical, kelly_partial, ruin_bounds, solve_empirical
from opeslike.sizing.empirical import _concordant_gap


def golden_section(values, low, high, digits=50, tolerance="1e-14"):
    """Maximiser of sum log(1 + f x) in decimal arithmetic, by function values alone."""
    with localcontext() as context:
        context.prec = digits
        x = [Decimal(float(v)) for v in values]

        def growth(f):
            product = Decimal(1)
            for v in x:
                product *= 1 + f * v
            return product if product > 0 else Decimal("-Infinity")

        a, b = Decimal(low), Decimal(high)
        ratio = (Decimal(5).sqrt() - 1) / 2
        c, d = b - ratio * (b - a), a + ratio * (b - a)
        at_c, at_d = growth(c), growth(d)
        while b - a > Decimal(tolerance):
            if at_c > at_d:
                b, d, at_d = d, c, at_c
                c = b - ratio * (b - a)
                at_c = growth(c)
            else:
                a, c, at_c = c, d, at_d
                d = a + ratio * (b - a)
                at_d = growth(d)
        return float((a + b) / 2)


@st.composite
def samples(draw, size=40, low=-0.9, high=3.0):
    """Outcomes with at least one clear gain and one clear loss."""
    values = draw(st.lists(st.floats(low, high), min_size=2, max_size=size))
    values = np.array([v if abs(v) > 1e-3 else 0.0 for v in values])
    assume(values.max() > 0 > values.min())
    return values


@settings(deadline=None, max_examples=40)
@given(samples())
def test_against_golden_section_in_fifty_digits(values):
    low, high = ruin_bounds(values)
    brute = golden_section(values, low, high)
    assert kelly_empirical(values) == pytest.approx(brute, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_daily_returns_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    values = 0.0005 + 0.01 * rng.standard_t(4, 500)
    brute = golden_section(values, *ruin_bounds(values), digits=60)
    assert kelly_empirical(values) == pytest.approx(brute, abs=1e-8)


def test_the_binary_bet():
    # Kelly (1956): p - q / b, as a sample of 53 gains and 47 losses at even money.
    coin = np.r_[np.ones(53), -np.ones(47)]
    assert kelly_empirical(coin) == pytest.approx(kelly_binary(0.53, 1.0), abs=1e-14)
    # Thorp (2006), partial loss: p / a - q / b.
    partial = np.r_[np.full(60, 0.10), np.full(40, -0.05)]
    assert kelly_empirical(partial) == pytest.approx(kelly_partial(0.6, 0.10, 0.05), rel=1e-13)


@settings(deadline=None)
@given(samples(), st.floats(1e-3, 1e3))
def test_scale_law_at_zero_rate(values, c):
    assert kelly_empirical(c * values) == pytest.approx(kelly_empirical(values) / c, rel=1e-9, abs=1e-12 / c)


def test_outcomes_of_very_different_size():
    # Half gains of g and half losses of l: f* = 1 / (2 l) - 1 / (2 g), partial loss of Thorp (2006).
    for gain in (1e3, 1e9, 1e30):
        assert kelly_empirical(np.r_[np.full(40, gain), np.full(40, -0.5)]) == pytest.approx(1 - 0.5 / gain, rel=1e-9)
        tiny = kelly_empirical(np.r_[np.full(40, 0.5), np.full(40, -gain)])
        assert tiny == pytest.approx(0.5 / gain - 1, rel=1e-9)
    rare = np.r_[np.full(10**5, 1e-6), -0.99]  # one loss, far beyond the gains
    wealth = 1 + kelly_empirical(rare) * rare
    assert np.mean(1 / wealth) == pytest.approx(1.0, abs=1e-12)


@settings(deadline=None)
@given(samples())
def test_sign_law(values):
    assert kelly_empirical(-values) == pytest.approx(-kelly_empirical(values), rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(samples(), st.floats(0.0, 0.2))
def test_short_of_ruin_and_certified(values, rate):
    excess = values - math.expm1(math.log1p(rate) / 252)
    assume(excess.max() > 1e-9 and excess.min() < -1e-9)
    solution = solve_empirical(values, risk_free=rate)
    low, high = ruin_bounds(values, risk_free=rate)
    assert low < solution.leverage[0] < high
    # At the optimum the mean of 1 / wealth is 1, so no period keeps less than 1 / T.
    per_period = math.expm1(math.log1p(rate) / 252)
    wealth = 1 + solution.leverage[0] * (values - per_period) / (1 + per_period)
    assert wealth.min() >= 1 / len(values) - 1e-9
    assert 0.0 <= solution.gap <= 1e-15
    assert solution.ruin_multiple > 1.0


@settings(deadline=None)
@given(samples(), st.floats(-0.99, 0.99))
def test_gap_bounds_the_shortfall_anywhere(values, where):
    """The certificate's formula at points that are not optimal."""
    low, high = ruin_bounds(values)
    best = kelly_empirical(values)
    f = best + where * ((high - best) if where > 0 else (best - low))
    ratio = values / (1 + f * values)
    decrement = abs(ratio.mean()) * math.sqrt(len(values) / np.mean(ratio**2))
    shortfall = float(np.mean(np.log1p(best * values)) - np.mean(np.log1p(f * values)))
    assert shortfall <= _concordant_gap(decrement, len(values)) + 1e-13


def test_gap_formula_is_continuous_where_its_branches_meet():
    below, above = _concordant_gap(0.99999e-4, 10), _concordant_gap(1.00001e-4, 10)
    assert below == pytest.approx(above, rel=1e-3)
    assert _concordant_gap(1.0, 10) == math.inf


def linear_bound(x, f):
    """Growth missing to the best position, by one linear programme over all solvent positions."""
    wealth = 1 + x @ f
    slope = (x / wealth[:, None]).mean(axis=0)
    best = linprog(-slope, A_ub=-x, b_ub=np.ones(len(x)), bounds=(None, None))
    assert best.status == 0
    return math.log1p(max(0.0, -best.fun - slope @ f))


@pytest.mark.parametrize("seed", range(6))
def test_several_assets_against_an_independent_dual_bound(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0.02, 0.2, (80, 4)) * np.array([1.0, 3.0, 0.1, 0.01])
    x = np.maximum(x, -0.95)
    solution = solve_empirical(x)
    assert solution.gap <= 1e-15
    assert linear_bound(x, solution.leverage) <= 1e-7
    nudged = solution.leverage * (1 + rng.normal(0, 0.01, 4))
    assert np.mean(np.log1p(x @ nudged)) <= np.mean(np.log1p(x @ solution.leverage))


def test_several_assets_labels_rate_and_missing_rows(caplog):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(0.001, 0.02, (300, 2)), columns=["A", "B"])
    frame.iloc[5, 1] = np.nan
    with caplog.at_level("INFO", "opeslike.sizing"):
        leverage = kelly_empirical(frame, risk_free=0.03)
    assert "'B': 1" in caplog.text
    assert list(leverage.index) == ["A", "B"]
    rate = 1.03 ** (1 / 252) - 1
    excess = (frame.dropna() - rate).to_numpy()
    slope = (excess / (1 + rate + excess @ leverage.to_numpy())[:, None]).mean(axis=0)
    assert slope == pytest.approx([0.0, 0.0], abs=1e-14)


def test_joint_optimum_of_one_column_is_the_single_one():
    rng = np.random.default_rng(4)
    values = rng.normal(0.001, 0.02, 200)
    assert kelly_empirical(values[:, None]) == pytest.approx([kelly_empirical(values)], abs=0)
    twin = kelly_empirical(np.column_stack([values, values]))
    assert twin.sum() == pytest.approx(kelly_empirical(values), rel=1e-10)  # ties share the position


def test_limits_of_one_asset_are_exact():
    falling = np.array([-0.02, 0.01, -0.02, 0.015])
    assert kelly_empirical(falling) < 0
    assert kelly_empirical(falling, allow_short=False) == 0.0
    assert kelly_empirical(falling, max_leverage=2.0) == -2.0
    assert kelly_empirical([0.01, 0.02], max_leverage=3.0) == 3.0  # never loses
    assert kelly_empirical([-0.01, -0.02], allow_short=False) == 0.0
    assert kelly_empirical([0.0, 0.0]) == 0.0  # cash by another name
    capped = solve_empirical([2.0, -1.0], max_leverage=0.1)
    assert (capped.leverage[0], capped.gap) == (0.1, 0.0)


def test_ruin_bounds():
    assert ruin_bounds([0.5, -0.25]) == (-2.0, 4.0)
    assert ruin_bounds([0.5, 0.25]) == (-2.0, math.inf)
    assert ruin_bounds([-0.5]) == (-math.inf, 2.0)


def test_no_optimum_is_an_error():
    with pytest.raises(DataError, match=r"'SPY': no loss.*max_leverage"):
        kelly_empirical(pd.Series([0.01, 0.02], name="SPY"))
    with pytest.raises(DataError, match="no gain"):
        kelly_empirical([-0.01, -0.02])
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="some mix never loses"):
        kelly_empirical(rng.normal(0, 0.01, (4, 6)))
    hedged = rng.normal(0, 0.01, 50)
    with pytest.raises(DataError, match="some mix never loses"):
        kelly_empirical(np.column_stack([hedged, 0.001 - hedged]))


def test_bad_input_is_named():
    with pytest.raises(PortfolioError, match="for one asset"):
        kelly_empirical(np.array([[0.1, -0.1], [-0.1, 0.2]]), allow_short=False)
    with pytest.raises(PortfolioError, match="risk_free"):
        kelly_empirical([0.1, -0.1], risk_free=-1.0)
    with pytest.raises(PortfolioError, match="periods_per_year"):
        kelly_empirical([0.1, -0.1], periods_per_year=0)
    with pytest.raises(PortfolioError, match="max_leverage"):
        kelly_empirical([0.1, -0.1], max_leverage=-1)
    dated = pd.Series([0.1, np.inf], index=pd.to_datetime(["2020-01-02", "2020-01-03"]))
    with pytest.raises(DataError, match="2020-01-03"):
        kelly_empirical(dated)
    with pytest.raises(DataError, match="dtype object"):
        kelly_empirical(pd.Series(["a", "b"], dtype=object))
    with pytest.raises(DataError, match="no values left"):
        kelly_empirical([math.nan])
    with pytest.raises(DataError, match="every row has a NaN"):
        kelly_empirical(np.array([[0.1, math.nan], [math.nan, 0.1]]))
    with pytest.raises(DataError, match="'B' has an infinite value at row 1"):
        kelly_empirical(pd.DataFrame({"A": [0.1, 0.2], "B": [0.1, np.inf]}))
    with pytest.raises(DataError, match="'A' occurs twice"):
        kelly_empirical(pd.DataFrame([[0.1, 0.2]], columns=["A", "A"]))
