"""A strategy against a benchmark, and trailing spans."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from opeslike.analysis import metrics, relative
from opeslike.errors import DataError, PortfolioError


def test_against_a_least_squares_fit(returns, benchmark):
    rate = 1.02 ** (1 / 252) - 1
    design = np.column_stack((np.ones(returns.size), benchmark - rate))
    (intercept, slope), *_ = np.linalg.lstsq(design, returns - rate, rcond=None)
    alpha, beta = relative.alpha_beta(returns, benchmark, 0.02)
    assert beta == pytest.approx(slope, rel=1e-10)
    assert alpha == pytest.approx(252 * intercept, rel=1e-8)


def test_formulas(returns, benchmark):
    active = returns - benchmark
    got = relative.relative_metrics(returns, benchmark, 0.02)
    assert got["tracking_error"] == pytest.approx(active.std() * 252**0.5, rel=1e-12)
    assert got["information_ratio"] == pytest.approx(active.mean() / active.std() * 252**0.5, rel=1e-12)
    assert got["correlation"] == pytest.approx(returns.corr(benchmark), rel=1e-10)
    assert got["win_rate"] == (active > 0).mean()
    assert got["benchmark_sharpe"] == metrics.sharpe_ratio(benchmark, 0.02)
    assert got["excess_annual_return"] == pytest.approx(
        metrics.annual_return(returns) - metrics.annual_return(benchmark), rel=1e-9
    )
    up = benchmark > 0
    expected = ((1 + returns[up]).prod() ** (1 / up.sum()) - 1) / ((1 + benchmark[up]).prod() ** (1 / up.sum()) - 1)
    assert got["up_capture"] == pytest.approx(expected, rel=1e-9)


def test_agrees_with_the_single_functions(returns, benchmark):
    got = relative.relative_metrics(returns, benchmark)
    assert got["tracking_error"] == relative.tracking_error(returns, benchmark)
    assert got["information_ratio"] == relative.information_ratio(returns, benchmark)
    assert got["correlation"] == relative.correlation(returns, benchmark)
    assert got["up_capture"] == relative.capture_ratio(returns, benchmark, "up")
    assert got["down_capture"] == relative.capture_ratio(returns, benchmark, "down")
    assert (got["alpha"], got["beta"]) == relative.alpha_beta(returns, benchmark)


def test_the_benchmark_against_itself(benchmark):
    got = relative.relative_metrics(benchmark, benchmark)
    assert got["beta"] == pytest.approx(1.0)
    assert got["alpha"] == pytest.approx(0.0, abs=1e-12)
    assert got["correlation"] == pytest.approx(1.0)
    assert got["up_capture"] == got["down_capture"] == 1.0
    assert got["tracking_error"] == 0.0
    assert math.isnan(got["information_ratio"])


def test_doubled_benchmark(benchmark):
    got = relative.relative_metrics(2 * benchmark, benchmark)
    assert got["beta"] == pytest.approx(2.0)
    assert got["alpha"] == pytest.approx(0.0, abs=1e-12)


def test_benchmark_without_variance(returns):
    flat = pd.Series(0.0, index=returns.index)
    got = relative.relative_metrics(returns, flat)
    assert got[["alpha", "beta", "correlation", "up_capture", "down_capture"]].isna().all()


def test_ruin_stays_finite(ruined, benchmark):
    got = relative.relative_metrics(ruined, benchmark)
    assert got["total_return"] == got["annual_return"] == -1.0
    assert np.isfinite(got.to_numpy(dtype=float)).all()


def test_matched_by_date_not_by_position(returns, benchmark):
    shuffled = pd.concat([pd.Series([0.5], index=[returns.index[0] - pd.Timedelta(days=5)]), benchmark])
    assert relative.tracking_error(returns, shuffled) == relative.tracking_error(returns, benchmark)


def test_missing_benchmark_date_is_named(returns, benchmark):
    with pytest.raises(DataError, match=returns.index[3].date().isoformat()):
        relative.tracking_error(returns, benchmark.drop(returns.index[3]))


def test_other_length(returns):
    with pytest.raises(DataError, match="3 values for 520 returns"):
        relative.tracking_error(returns, [0.1, 0.2, 0.3])


def test_bad_side(returns, benchmark):
    with pytest.raises(PortfolioError, match="side"):
        relative.capture_ratio(returns, benchmark, "sideways")


class TestTrailing:
    def test_each_span_is_its_own_sample(self, returns, benchmark):
        table = relative.trailing(returns, benchmark, months=(1, 12), risk_free=0.01)
        since = returns.index[-1] - pd.DateOffset(months=12)
        inside = returns.index > since
        expected = relative.relative_metrics(returns[inside], benchmark[inside], 0.01)
        pd.testing.assert_series_equal(table.loc["12m"], expected, check_names=False, rtol=1e-12)
        assert list(table.index) == ["1m", "12m", "all"]
        pd.testing.assert_series_equal(
            table.loc["all"], relative.relative_metrics(returns, benchmark, 0.01), check_names=False
        )

    def test_short_history_leaves_a_gap(self, returns):
        table = relative.trailing(returns.iloc[-100:], months=(3, 6))
        assert table.loc["6m"].isna().all()
        assert table.loc["3m"].notna().all()

    def test_a_calendar_year_counts_as_twelve_months(self):
        dates = pd.bdate_range("2019-01-02", "2019-12-31")
        table = relative.trailing(pd.Series(0.001, index=dates), months=(12,))
        assert table.loc["12m", "total_return"] == pytest.approx(1.001 ** len(dates) - 1)

    def test_needs_dates_and_months(self, returns):
        with pytest.raises(DataError, match="dates"):
            relative.trailing(returns.to_numpy())
        with pytest.raises(PortfolioError, match="months"):
            relative.trailing(returns, months=(0,))
