"""Kelly factors through time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from opeslike.errors import DataError, PortfolioError
from opeslike.sizing import kelly_factor

DATES = pd.bdate_range("2010-01-01", periods=400)


def returns(assets=3, rows=400, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        rng.normal(5e-4, 0.01, (rows, assets)),
        index=DATES[:rows],
        columns=[f"A{i}" for i in range(assets)],
    )


def brute(values, window, rate=0.0):
    """Factor at each row from the window's own mean and variance, summed exactly."""
    out = np.full(len(values), np.nan)
    for row in range(window - 1, len(values)):
        part = [float(v) for v in values[row + 1 - window : row + 1]]
        mean = math.fsum(part) / window
        variance = math.fsum((v - mean) ** 2 for v in part) / (window - 1)
        out[row] = (mean - rate) / variance
    return out


@pytest.mark.parametrize("window", [2, 3, 20, 100, 252, 399, 400])
def test_rolling_against_brute_force(window):
    data = returns()
    factor = kelly_factor(data, window=window, allow_short=True)
    for name in data:
        expected = brute(data[name].to_numpy(), window)
        np.testing.assert_allclose(factor[name], expected, rtol=1e-9, atol=1e-9)


def test_expanding_against_pandas():
    data = returns()
    expected = data.expanding().mean() / data.expanding().var()  # ddof=1
    factor = kelly_factor(data, expanding=True, allow_short=True)
    assert factor.iloc[0].isna().all()
    pd.testing.assert_frame_equal(factor.iloc[1:], expected.iloc[1:], rtol=1e-9)
    later = kelly_factor(data, expanding=True, allow_short=True, min_periods=60)
    assert later.iloc[:59].isna().all().all()
    pd.testing.assert_frame_equal(later.iloc[59:], factor.iloc[59:], check_exact=True)


def test_min_periods_lets_a_window_grow():
    data = returns(1)["A0"]
    factor = kelly_factor(data, window=100, min_periods=10, allow_short=True)
    expected = data.rolling(100, min_periods=10).mean() / data.rolling(100, min_periods=10).var()
    pd.testing.assert_series_equal(factor, expected, rtol=1e-9)
    short = kelly_factor(data.iloc[:50], window=100, min_periods=10, allow_short=True)
    pd.testing.assert_series_equal(short, factor.iloc[:50], check_exact=True)
    assert kelly_factor(data.iloc[:50], window=100).isna().all()


def test_far_apart_magnitudes_leave_no_trace():
    """A huge early move, a huge level and then a variance of nearly nothing."""
    rng = np.random.default_rng(1)
    values = np.r_[
        rng.normal(0, 1e8, 150),
        1e6 + rng.normal(0, 1e-2, 150),
        1e-6 * rng.standard_normal(200),
    ]
    factor = kelly_factor(values, window=40, allow_short=True)
    expected = brute(values, 40)
    mixed = np.zeros(len(values), dtype=bool)
    for cut in (150, 300):
        mixed[cut - 1 : cut + 40] = True  # windows over both regimes: judged more loosely below
    clean = ~mixed & ~np.isnan(expected)
    np.testing.assert_allclose(factor[clean], expected[clean], rtol=1e-8)
    np.testing.assert_allclose(factor[39:], expected[39:], rtol=1e-5)
    # pandas' updates do keep a trace, so this test can tell the two apart
    series = pd.Series(values)
    pandas = (series.rolling(40).mean() / series.rolling(40).var()).to_numpy()[-100:]
    assert np.max(np.abs(pandas / expected[-100:] - 1)) > 1e-3


def test_scale_of_the_prices_does_not_matter():
    prices = 1e-7 * (1 + returns(1)["A0"]).cumprod()
    small = kelly_factor(prices.pct_change(), window=50, allow_short=True)
    large = kelly_factor((1e15 * prices).pct_change(), window=50, allow_short=True)
    np.testing.assert_allclose(small, large, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-3, 1e3), st.booleans(), st.booleans())
def test_scale_law_at_zero_rate(c, expanding, joint):
    data = returns(2, 120)
    keywords = {"window": 60, "expanding": expanding, "allow_short": True, "joint": joint}
    pd.testing.assert_frame_equal(kelly_factor(c * data, **keywords), kelly_factor(data, **keywords) / c, rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 199),
    st.integers(0, 10**6),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 2.0]),
)
def test_later_data_never_changes_a_factor(cut, seed, expanding, joint, allow_short, cap):
    data = returns(3, 200)
    data.iloc[:17, 1] = np.nan
    data.iloc[90, 2] = np.nan
    changed = data.copy()
    rng = np.random.default_rng(seed)
    changed.iloc[cut:] = rng.standard_t(2, (200 - cut, 3)).clip(-0.9, 5)
    keywords = {
        "window": 30,
        "expanding": expanding,
        "joint": joint,
        "allow_short": allow_short,
        "max_leverage": cap,
        "risk_free": 0.02,
    }
    before, after = kelly_factor(data, **keywords), kelly_factor(changed, **keywords)
    pd.testing.assert_frame_equal(before.iloc[:cut], after.iloc[:cut], check_exact=True)
    shorter = kelly_factor(data.iloc[:cut], **keywords) if cut > 18 else before.iloc[:cut]
    pd.testing.assert_frame_equal(before.iloc[:cut], shorter, check_exact=True)


def test_rate_is_annual_and_compounded():
    data = returns(1)["A0"]
    factor = kelly_factor(data, window=50, risk_free=0.05, allow_short=True)
    np.testing.assert_allclose(factor, brute(data.to_numpy(), 50, 1.05 ** (1 / 252) - 1), rtol=1e-8)
    weekly = kelly_factor(data, window=50, risk_free=0.05, periods_per_year=52, allow_short=True)
    np.testing.assert_allclose(weekly, brute(data.to_numpy(), 50, 1.05 ** (1 / 52) - 1), rtol=1e-8)


def test_log_returns():
    data = returns(2)
    factor = kelly_factor(data, window=50, use_log=True, allow_short=True)
    pd.testing.assert_frame_equal(factor, kelly_factor(np.log1p(data), window=50, allow_short=True))
    broken = data.copy()
    broken.iloc[1, 1] = -1.0
    with pytest.raises(DataError, match=r"'A1' loses everything at 2010-01-04"):
        kelly_factor(broken, use_log=True)


def test_no_shorts_and_the_cap():
    data = returns(3)
    signed = kelly_factor(data, window=50, allow_short=True)
    assert (signed < 0).any().any()
    assert (signed > 3).any().any()
    pd.testing.assert_frame_equal(kelly_factor(data, window=50), signed.clip(lower=0))
    capped = kelly_factor(data, window=50, allow_short=True, max_leverage=3.0)
    pd.testing.assert_frame_equal(capped, signed.clip(-3, 3))


def test_kinds_of_input():
    data = returns(2)
    frame = kelly_factor(data, window=50)
    series = kelly_factor(data["A1"], window=50)
    assert series.name == "A1"
    pd.testing.assert_series_equal(series, frame["A1"])
    np.testing.assert_array_equal(kelly_factor(data.to_numpy(), window=50), frame)
    unnamed = kelly_factor(data["A1"].to_numpy(), window=50)
    assert unnamed.name is None
    np.testing.assert_array_equal(unnamed, series)
    assert kelly_factor(data["A1"].rename(None), window=50).name is None
    np.testing.assert_array_equal(kelly_factor(data["A1"], window=50, joint=True), series)


def test_missing_returns(caplog):
    data = returns(3)
    full = kelly_factor(data, window=50, allow_short=True)
    ragged = data.copy()
    ragged.iloc[:120, 0] = np.nan  # listed late
    ragged.iloc[[200, 201], 1] = np.nan  # two days missing
    ragged["A2"] = np.nan  # never listed
    with caplog.at_level("INFO", "opeslike.sizing"):
        factor = kelly_factor(ragged, window=50, allow_short=True)
    assert "dates without a return: {'A1': 2}" in caplog.text
    assert factor["A0"].iloc[: 120 + 49].isna().all()
    np.testing.assert_allclose(factor["A0"].iloc[169:], full["A0"].iloc[169:], rtol=1e-9)
    expected = kelly_factor(data["A1"].drop(DATES[[200, 201]]), window=50, allow_short=True)
    pd.testing.assert_series_equal(factor["A1"].drop(DATES[[200, 201]]), expected)
    assert (factor["A1"].iloc[[200, 201]] == factor["A1"].iloc[199]).all()
    assert factor["A2"].isna().all()
    assert factor.iloc[250:, :2].notna().all().all()


def test_joint_against_the_formula():
    data = returns(3)
    factor = kelly_factor(data, window=60, joint=True, allow_short=True, risk_free=0.02)
    grown = kelly_factor(data, window=60, joint=True, allow_short=True, min_periods=20)
    expanding = kelly_factor(data, expanding=True, joint=True, allow_short=True)
    assert factor.iloc[:59].isna().all().all()
    assert grown.iloc[:19].isna().all().all()
    assert expanding.iloc[:3].isna().all().all()
    for row in (59, 60, 250, 399):
        part = data.iloc[row - 59 : row + 1]
        expected = np.linalg.solve(part.cov(), part.mean() - (1.02 ** (1 / 252) - 1))
        np.testing.assert_allclose(factor.iloc[row], expected, rtol=1e-9)
    for row in (19, 40, 58):
        part = data.iloc[: row + 1]
        np.testing.assert_allclose(grown.iloc[row], np.linalg.solve(part.cov(), part.mean()), rtol=1e-9)
    for row in (10, 100, 399):
        part = data.iloc[: row + 1]
        np.testing.assert_allclose(expanding.iloc[row], np.linalg.solve(part.cov(), part.mean()), rtol=1e-8)


def test_joint_long_only_is_the_constrained_optimum():
    data = returns(3)
    signed = kelly_factor(data, window=60, joint=True, allow_short=True)
    factor = kelly_factor(data, window=60, joint=True)
    held = signed.notna().all(axis=1)
    inside = held & (signed >= 0).all(axis=1)
    pd.testing.assert_frame_equal(factor[inside], signed[inside])
    rows = np.flatnonzero(held & ~inside)
    assert len(rows) > 5
    for row in rows[:: len(rows) // 5]:
        part = data.iloc[row - 59 : row + 1]
        mean, cov = part.mean().to_numpy(), part.cov().to_numpy()
        f = factor.iloc[row].to_numpy()
        assert f.min() >= 0
        slope = mean - cov @ f  # optimal: no slope where held, none upward where not
        assert np.abs(slope[f > 0]).max(initial=0.0) <= 1e-15
        assert slope.max() <= 1e-15
        found = minimize(
            lambda w, m=mean, c=cov: 1e4 * (0.5 * w @ c @ w - w @ m), np.ones(3), bounds=[(0, None)] * 3, tol=1e-14
        )
        np.testing.assert_allclose(f, found.x, atol=1e-3)


def test_joint_cap_keeps_the_mix():
    data = returns(3)
    signed = kelly_factor(data, window=60, joint=True, allow_short=True).dropna()
    capped = kelly_factor(data, window=60, joint=True, allow_short=True, max_leverage=2.0).dropna()
    gross = signed.abs().sum(axis=1)
    assert (gross > 2).any()
    np.testing.assert_allclose(capped.abs().sum(axis=1), np.minimum(gross, 2.0), rtol=1e-12)
    np.testing.assert_allclose(capped, signed.mul(np.minimum(1.0, 2.0 / gross), axis=0), rtol=1e-12)


def test_joint_drops_rows_with_gaps(caplog):
    data = returns(2)
    data.iloc[:100, 0] = np.nan
    data.iloc[300, 1] = np.nan
    with caplog.at_level("INFO", "opeslike.sizing"):
        factor = kelly_factor(data, window=60, joint=True, allow_short=True)
    assert "'A0': 100, 'A1': 1" in caplog.text
    expected = kelly_factor(data.dropna(), window=60, joint=True, allow_short=True)
    pd.testing.assert_frame_equal(factor.loc[expected.index], expected)
    assert (factor.iloc[300] == factor.iloc[299]).all()


@pytest.mark.parametrize("expanding", [False, True])
def test_zero_variance(expanding):
    keywords = {"window": 20, "expanding": expanding}
    flat = pd.DataFrame(0.0, index=DATES, columns=["idle"])
    assert (kelly_factor(flat, **keywords)["idle"].dropna() == 0).all()  # a rule that was out of the market
    assert (kelly_factor(flat, risk_free=0.02, **keywords)["idle"].dropna() == 0).all()
    # growing by the same rate every day, up to the rounding of prices
    bond = pd.Series(100 * 1.0001 ** np.arange(400), index=DATES, name="bond").pct_change()
    known = 20 if not expanding else 2
    with pytest.raises(DataError, match=rf"'bond' has no variance in the window to {DATES[known].date()}"):
        kelly_factor(bond, **keywords)
    assert (kelly_factor(bond, max_leverage=4.0, **keywords).dropna() == 4.0).all()
    assert kelly_factor(bond, max_leverage=4.0, **keywords).notna().sum() == 400 - known
    with pytest.raises(DataError, match="'bond'"):
        kelly_factor(bond, risk_free=0.10, allow_short=True, **keywords)
    assert (kelly_factor(bond, risk_free=0.10, **keywords).dropna() == 0).all()
    short = kelly_factor(bond, risk_free=0.10, allow_short=True, max_leverage=4.0, **keywords)
    assert (short.dropna() == -4.0).all()


def test_zero_variance_in_one_window_only():
    data = returns(2)
    data.iloc[100:130, 1] = 0.001
    with pytest.raises(DataError, match=rf"'A1' .* {DATES[119].date()}"):
        kelly_factor(data, window=20)
    capped = kelly_factor(data, window=20, max_leverage=5.0)
    assert (capped["A1"].iloc[119:130] == 5.0).all()
    with pytest.raises(DataError, match=rf"'A1' .* {DATES[119].date()}"):
        kelly_factor(data, window=20, joint=True, max_leverage=5.0)


def test_joint_singular_covariance_names_the_date():
    data = returns(2)
    data["A2"] = data["A0"] + data["A1"]
    data.iloc[:250, 2] = returns(3, seed=5)["A2"].iloc[:250]
    with pytest.raises(DataError, match=rf"{DATES[309].date()} is singular"):
        kelly_factor(data, window=60, joint=True)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"window": 1}, "window=1 must be a whole number of at least 2"),
        ({"window": 10.5}, "window"),
        ({"window": True}, "window"),
        ({"window": 3, "joint": True}, "window must exceed the number of assets"),
        ({"min_periods": 1}, "min_periods=1 must be a whole number of at least 2"),
        ({"min_periods": 300}, "at most the window"),
        ({"joint": True, "min_periods": 3}, "min_periods=3 must be a whole number of at least 4"),
        ({"max_leverage": 0.0}, "max_leverage"),
        ({"max_leverage": math.inf}, "max_leverage"),
        ({"risk_free": -1.0}, "risk_free"),
        ({"risk_free": "2%"}, "risk_free"),
        ({"risk_free": pd.Series([0.02])}, r"risk_free must be a finite number > -1, got Series of shape \(1,\)"),
        ({"periods_per_year": 0}, "periods_per_year"),
        ({"use_log": "no"}, "use_log='no' must be True or False"),
        ({"joint": 1}, "joint=1 must be True or False"),
    ],
)
def test_bad_parameters_are_named(keywords, message):
    with pytest.raises(PortfolioError, match=message):
        kelly_factor(returns(3), **keywords)


def test_bad_data_is_named():
    data = returns(2)
    with pytest.raises(DataError, match="occurs twice; keep one row a date"):
        kelly_factor(pd.concat([data.iloc[:5], data.iloc[4:9]]), window=3)
    with pytest.raises(DataError, match="increasing"):
        kelly_factor(data.iloc[::-1], window=3)
    with pytest.raises(DataError, match="'A0' occurs twice"):
        kelly_factor(data.rename(columns={"A1": "A0"}), window=3)
    with pytest.raises(DataError, match="dtype object"):
        kelly_factor(data.astype(object), window=3)
    with pytest.raises(DataError, match="rows x assets"):
        kelly_factor(data.iloc[:0], window=3)
    with pytest.raises(DataError, match="one or two dimensions"):
        kelly_factor(np.zeros((2, 2, 2)), window=3)
    with pytest.raises(DataError, match="every row has a NaN"):
        kelly_factor(data * np.nan, window=3, joint=True)
    prices = 30 * (1 + data).cumprod()
    with pytest.raises(DataError, match=r"'A0' is below 0.5, so these look like prices; pass their pct_change"):
        kelly_factor(prices, window=3)
    broken = data.copy()
    broken.iloc[1, 1] = np.inf
    with pytest.raises(DataError, match=r"'A1' has an infinite value at 2010-01-04"):
        kelly_factor(broken, window=3)
