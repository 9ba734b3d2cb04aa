"""Figures of one path: against OPES, hand computations, closed forms and laws."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from opeslike.analysis import metrics, paths
from opeslike.errors import DataError, PortfolioError

PATHS = hnp.arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.floats(-0.3, 0.4).map(lambda value: round(value, 6)),
)
OPES_KEYS = [
    *("sharpe", "sortino", "volatility", "growth_rate", "mean_return"),
    *("total_return", "max_drawdown", "mean_drawdown", "ulcer_index", "var_95"),
    *("cvar_95", "skew", "kurtosis", "omega_0", "hit_ratio"),
]


class TestOpesMetrics:
    @pytest.mark.parametrize("seed", range(5))
    def test_agrees_with_opes(self, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backtester = pytest.importorskip("opes.backtester", reason="the peer package OPES is not installed")
        rng = np.random.default_rng(seed)
        values = rng.standard_t(4, 400) * 0.01 + 3e-4
        values[0] = abs(values[0])  # a first loss is the one place where we differ
        theirs = object.__new__(backtester.Backtester).get_metrics(values)
        ours = metrics.opes_metrics(values)
        assert list(ours) == list(theirs)
        # Both round to five decimals, so a tie may fall either way.
        np.testing.assert_allclose(list(ours.values()), [float(v) for v in theirs.values()], rtol=0, atol=1.001e-5)

    def test_by_hand(self):
        got = metrics.opes_metrics([0.1, -0.2, 0.05, -0.1])
        mean, std = -0.0375, math.sqrt(np.mean(np.square([0.1375, -0.1625, 0.0875, -0.0625])))
        wealth = [1.1, 0.88, 0.924, 0.8316]
        drops = [0.0, 0.2, 1 - 0.924 / 1.1, 1 - 0.8316 / 1.1]
        assert list(got) == OPES_KEYS
        assert got["mean_return"] == round(100 * mean, 5)
        assert got["volatility"] == round(100 * std, 5)
        assert got["sharpe"] == round(mean / std, 5)
        assert got["sortino"] == round(mean / 0.05, 5)  # std of -.2 and -.1
        assert got["total_return"] == round(100 * (wealth[-1] - 1), 5)
        assert got["growth_rate"] == round(100 * (wealth[-1] ** 0.25 - 1), 5)
        assert got["max_drawdown"] == round(100 * max(drops), 5)
        assert got["mean_drawdown"] == round(100 * np.mean(drops), 5)
        assert got["ulcer_index"] == round(math.sqrt(np.mean(np.square(drops))), 5)
        # The 5% quantile of four values lies 15% of the way from the worst to the second worst.
        assert got["var_95"] == 18.5
        assert got["cvar_95"] == 20.0
        assert got["omega_0"] == 0.5
        assert got["hit_ratio"] == 0.5

    def test_moments_agree_with_scipy(self, returns):
        from scipy import stats

        assert metrics.skewness(returns) == pytest.approx(stats.skew(returns), rel=1e-12)
        assert metrics.excess_kurtosis(returns) == pytest.approx(stats.kurtosis(returns), rel=1e-12)

    def test_peak_starts_at_initial_wealth(self):
        assert metrics.opes_metrics([-0.1, 0.01])["max_drawdown"] == 10.0

    def test_no_loss_leaves_sortino_undefined_and_omega_infinite(self):
        got = metrics.opes_metrics([0.01, 0.02])
        assert math.isnan(got["sortino"])
        assert got["omega_0"] == math.inf

    def test_constant_returns_have_no_ratio(self):
        # 0.001 is not a binary fraction: a naive std is 2e-19, and a naive Sharpe 4e15.
        got = metrics.opes_metrics(np.full(7, 0.001))
        assert all(math.isnan(got[key]) for key in ("sharpe", "sortino", "volatility", "skew", "kurtosis"))
        assert math.isnan(metrics.opes_metrics(np.zeros(3))["omega_0"])

    def test_ruin_is_finite(self, ruined):
        got = metrics.opes_metrics(ruined)
        assert got["growth_rate"] == got["total_return"] == -100.0
        assert got["max_drawdown"] == 100.0
        assert all(math.isfinite(value) for value in got.values())

    @given(PATHS)
    @settings(max_examples=60, deadline=None)
    def test_bounds(self, values):
        got = metrics.opes_metrics(values)
        assert 0 <= got["mean_drawdown"] <= got["max_drawdown"] <= 100
        assert got["cvar_95"] >= got["var_95"] - 1e-5
        assert got["growth_rate"] <= got["mean_return"] + 1e-5
        assert all(isinstance(value, float) for value in got.values())


class TestBadReturns:
    @pytest.mark.parametrize("call", [metrics.opes_metrics, metrics.summary, paths.wealth, paths.drawdowns])
    def test_nan_names_its_date(self, call, returns):
        returns.iloc[17] = np.nan
        with pytest.raises(DataError, match=returns.index[17].date().isoformat()):
            call(returns)

    def test_infinity_names_its_position(self):
        with pytest.raises(DataError, match="position 2"):
            metrics.opes_metrics([0.0, 0.1, np.inf])

    def test_more_than_everything(self):
        with pytest.raises(DataError, match=r"position 1 is a loss of more than everything"):
            metrics.opes_metrics([0.1, -1.2])

    @pytest.mark.parametrize("bad", [[], [[0.1]], ["a"], [None, 0.1], 0.1])
    def test_unusable(self, bad):
        with pytest.raises(DataError):
            metrics.opes_metrics(bad)

    def test_dates_must_rise(self, returns):
        swapped = returns.iloc[[0, 2, 1, 3]]
        with pytest.raises(DataError, match=swapped.index[2].date().isoformat()):
            metrics.summary(swapped)

    def test_percent_instead_of_fractions(self):
        with pytest.raises(DataError, match="percent"):
            metrics.opes_metrics(np.full(1000, 5.0))
        with pytest.raises(DataError, match="percent"):
            metrics.summary(np.full(1000, 30.0))
        assert metrics.annual_return([30.0]) == math.inf  # 31 to the power of 252 is beyond the float range


class TestSummary:
    def test_formulas(self, returns):
        got = metrics.summary(returns, risk_free=0.03, periods_per_year=250)
        rate = 1.03 ** (1 / 250) - 1
        excess = returns - rate
        gross = (1 + returns).prod()
        assert got["total_return"] == pytest.approx(gross - 1, rel=1e-12)
        assert got["annual_return"] == pytest.approx(gross ** (250 / 520) - 1, rel=1e-12)
        assert got["annual_growth"] == pytest.approx(250 * np.log(gross) / 520, rel=1e-10)
        assert got["annual_volatility"] == pytest.approx(returns.std() * 250**0.5, rel=1e-12)
        assert got["sharpe"] == pytest.approx(excess.mean() / excess.std() * 250**0.5, rel=1e-12)
        downside = np.sqrt((np.minimum(excess, 0) ** 2).mean())
        assert got["sortino"] == pytest.approx(excess.mean() / downside * 250**0.5, rel=1e-12)
        assert got["calmar"] == pytest.approx(got["annual_return"] / got["max_drawdown"], rel=1e-12)
        assert got["return_kind"] == "simple"

    def test_agrees_with_the_single_functions(self, returns):
        got = metrics.summary(returns, 0.02, 252)
        assert got["sharpe"] == metrics.sharpe_ratio(returns, 0.02)
        assert got["sortino"] == metrics.sortino_ratio(returns, 0.02)
        assert got["calmar"] == metrics.calmar_ratio(returns)
        assert got["annual_return"] == metrics.annual_return(returns)
        assert got["annual_growth"] == metrics.annual_growth(returns)
        assert got["annual_volatility"] == metrics.annual_volatility(returns)
        assert got["total_return"] == metrics.total_return(returns)
        assert got["max_drawdown"] == metrics.max_drawdown(returns)

    def test_drawdown_dates_and_calendar_days(self):
        index = pd.to_datetime(["2020-01-03", "2020-01-06", "2020-01-07", "2020-01-10", "2020-01-20"])
        got = metrics.summary(pd.Series([0.1, -0.2, -0.1, 0.5, 0.0], index=index))
        assert got["max_drawdown"] == pytest.approx(0.28)
        assert got["max_drawdown_peak"] == index[0]
        assert got["max_drawdown_trough"] == index[2]
        assert got["max_drawdown_recovery"] == index[3]
        assert got["max_drawdown_days"] == 7
        assert got["max_drawdown_periods"] == 3

    def test_unrecovered_runs_to_the_end(self):
        index = pd.to_datetime(["2020-01-03", "2020-01-06", "2020-01-07"])
        got = metrics.summary(pd.Series([0.1, -0.2, 0.0], index=index))
        assert got["max_drawdown_recovery"] is pd.NaT
        assert got["max_drawdown_days"] == 4

    def test_first_loss_is_dated_from_the_start_given(self):
        index = pd.to_datetime(["2020-01-06", "2020-01-07"])
        series = pd.Series([-0.1, 0.2], index=index)
        got = metrics.summary(series, start="2020-01-03")
        assert got["max_drawdown_peak"] == pd.Timestamp("2020-01-03")
        assert got["max_drawdown_days"] == 4
        assert metrics.summary(series)["max_drawdown_peak"] == index[0]
        with pytest.raises(PortfolioError, match="start"):
            metrics.summary(series, start="2020-01-07")

    def test_longest_is_not_always_the_deepest(self):
        got = metrics.summary([0.1, -0.3, 0.6, -0.01, 0.0, 0.0, 0.0])
        assert (got["max_drawdown_peak"], got["max_drawdown_trough"], got["max_drawdown_recovery"]) == (1, 2, 3)
        assert got["max_drawdown_periods"] == 2
        assert got["longest_drawdown_periods"] == 4
        assert math.isnan(got["max_drawdown_days"])

    def test_never_below_the_peak(self, dates):
        got = metrics.summary(pd.Series(0.001, index=dates))
        assert got["max_drawdown"] == 0.0
        assert got["max_drawdown_peak"] is pd.NaT
        assert got["max_drawdown_days"] == 0.0
        assert math.isnan(got["calmar"])

    def test_ruin(self, ruined):
        got = metrics.summary(ruined, risk_free=0.02)
        assert got["annual_return"] == got["total_return"] == -1.0
        assert got["annual_growth"] == -math.inf
        assert got["max_drawdown"] == 1.0
        assert got["calmar"] == -1.0
        assert got["max_drawdown_trough"] == ruined.index[5]
        assert all(math.isfinite(got[key]) for key in ("sharpe", "sortino", "annual_volatility"))

    def test_log_returns(self, returns):
        logs = np.log1p(returns)
        simple, log = metrics.summary(returns, 0.02), metrics.summary(logs, 0.02, log_returns=True)
        assert log["return_kind"] == "log"
        for key in ("total_return", "annual_return", "annual_growth", "max_drawdown", "max_drawdown_days"):
            assert log[key] == pytest.approx(simple[key], rel=1e-9)
        assert log["annual_volatility"] == pytest.approx(logs.std() * 252**0.5, rel=1e-12)
        excess = logs - np.log(1.02) / 252
        assert log["sharpe"] == pytest.approx(excess.mean() / excess.std() * 252**0.5, rel=1e-9)

    def test_log_returns_cannot_describe_ruin(self):
        with pytest.raises(DataError, match=r"position 1 is ruin"):
            metrics.summary([0.1, -np.inf], log_returns=True)

    def test_dated_rate_is_filled_forward(self, returns):
        rates = pd.Series([0.01, 0.05], index=[returns.index[0] - pd.Timedelta(days=3), returns.index[260]])
        daily = np.where(np.arange(520) < 260, 1.01, 1.05) ** (1 / 252) - 1
        excess = returns - daily
        expected = excess.mean() / excess.std() * 252**0.5
        assert metrics.summary(returns, rates)["sharpe"] == pytest.approx(expected, rel=1e-12)
        # A holiday without a rate takes the one before, as in the ledger of a backtest.
        holed = pd.concat([rates, pd.Series([np.nan], index=[returns.index[100]])]).sort_index()
        assert metrics.summary(returns, holed)["sharpe"] == pytest.approx(expected, rel=1e-12)

    def test_rate_that_starts_too_late(self, returns):
        rates = pd.Series([0.01], index=[returns.index[4]])
        with pytest.raises(DataError, match=returns.index[0].date().isoformat()):
            metrics.summary(returns, rates)

    @pytest.mark.parametrize("rate", [np.nan, np.inf, -1.0, "2%", None])
    def test_bad_rate(self, returns, rate):
        with pytest.raises(PortfolioError, match="risk_free"):
            metrics.summary(returns, rate)

    @pytest.mark.parametrize("periods", [0, -1, np.nan, np.inf, "daily"])
    def test_bad_periods(self, returns, periods):
        with pytest.raises(PortfolioError, match="periods_per_year"):
            metrics.summary(returns, periods_per_year=periods)

    def test_exposure(self):
        got = metrics.summary([0.1, 0.0, 0.1, 0.0], exposure=[[1.0, -0.5], [0, 0], [0.5, 0.5], [0, 0]])
        assert got["time_in_market"] == 0.5
        assert got["average_exposure"] == pytest.approx(0.375)
        assert got["average_gross"] == pytest.approx(0.625)
        assert got["max_gross"] == 1.5
        assert metrics.summary([0.1, 0.0], exposure=[2.0, 0.0])["average_exposure"] == 1.0
        with pytest.raises(DataError, match="3 rows for 2 returns"):
            metrics.summary([0.1, 0.0], exposure=[1.0, 1.0, 1.0])

    def test_single_period(self):
        got = metrics.summary([0.1])
        assert got["total_return"] == pytest.approx(0.1)
        assert math.isnan(got["annual_volatility"])


class TestPaths:
    def test_wealth_keeps_type_and_labels(self, returns):
        series = paths.wealth(returns, initial=100.0)
        assert series.index.equals(returns.index)
        assert series.iloc[-1] == pytest.approx(100 * (1 + returns).prod(), rel=1e-12)
        array = paths.wealth(returns.to_numpy())
        assert isinstance(array, np.ndarray)
        with pytest.raises(PortfolioError, match="initial"):
            paths.wealth(returns, initial=0.0)

    def test_drawdown_table_orders_by_depth(self, returns):
        table = paths.drawdown_table(returns, top=3)
        assert table["depth"].is_monotonic_decreasing
        assert table["depth"][0] == metrics.max_drawdown(returns)
        below = paths.drawdowns(returns)
        assert (below[table["trough"]].to_numpy() == table["depth"].to_numpy()).all()
        with pytest.raises(PortfolioError, match="top"):
            paths.drawdown_table(returns, top=0)

    def test_drawdown_table_without_a_spell(self):
        assert paths.drawdown_table([0.1, 0.1]).empty

    @given(PATHS)
    @settings(max_examples=60, deadline=None)
    def test_drawdown_against_a_plain_loop(self, values):
        peak = wealth = 1.0
        expected = []
        for value in values:
            wealth *= 1 + value
            peak = max(peak, wealth)
            expected.append(1 - wealth / peak)
        np.testing.assert_allclose(paths.drawdowns(values), expected, rtol=0, atol=1e-12)

    @given(PATHS)
    @settings(max_examples=60, deadline=None)
    def test_spells_cover_every_period_below_the_peak(self, values):
        below = paths.drawdowns(values) > 0
        table = paths.drawdown_table(values, top=100)
        covered = np.zeros(values.size + 1, dtype=bool)
        for row in table.itertuples():
            end = int(row.peak + row.periods)
            covered[int(row.peak) + 1 : end if not math.isnan(row.recovery) else end + 1] = True
        assert (covered[1:] == below).all()

    @given(PATHS, st.floats(0.1, 0.9))
    @settings(max_examples=40, deadline=None)
    def test_ratios_do_not_depend_on_leverage(self, values, scale):
        full, part = metrics.sharpe_ratio(values), metrics.sharpe_ratio(scale * values)
        if not (math.isnan(full) or math.isnan(part)):
            assert part == pytest.approx(full, rel=1e-6, abs=1e-9)

    def test_tail(self):
        values = np.arange(-50, 51) / 1000
        assert metrics.value_at_risk(values, 0.9) == pytest.approx(0.04)
        assert metrics.conditional_value_at_risk(values, 0.9) == pytest.approx(0.045)
        with pytest.raises(PortfolioError, match="confidence"):
            metrics.value_at_risk(values, 1.0)


class TestMonthsAndWindows:
    def test_monthly_table_compounds(self, returns):
        table = paths.monthly_returns(returns)
        march = returns["2018-03"]
        assert table.loc[2018, "Mar"] == pytest.approx((1 + march).prod() - 1, rel=1e-12)
        assert table.loc[2019, "Year"] == pytest.approx((1 + returns["2019"]).prod() - 1, rel=1e-12)
        whole = (1 + table["Year"]).prod() - 1
        assert whole == pytest.approx(metrics.total_return(returns), rel=1e-12)
        assert list(table.columns[:2]) == ["Jan", "Feb"]

    def test_months_without_data(self):
        series = pd.Series([0.1, 0.2], index=pd.to_datetime(["2019-11-05", "2021-02-03"]))
        table = paths.monthly_returns(series)
        assert list(table.index) == [2019, 2020, 2021]
        assert table.loc[2020].isna().all()
        assert table.notna().to_numpy().sum() == 4
        with pytest.raises(DataError, match="dates"):
            paths.monthly_returns([0.1])

    def test_rolling_agrees_with_pandas(self, returns):
        got = paths.rolling_volatility(returns, 63)
        pd.testing.assert_series_equal(got, returns.rolling(63).std() * 252**0.5, check_names=False, rtol=1e-9)
        got = paths.rolling_sharpe(returns, 126, risk_free=0.02)
        excess = returns - (1.02 ** (1 / 252) - 1)
        expected = excess.rolling(126).mean() / excess.rolling(126).std() * 252**0.5
        pd.testing.assert_series_equal(got, expected, check_names=False, rtol=1e-8)

    def test_rolling_sharpe_after_ruin_is_undefined_not_huge(self, ruined):
        assert paths.rolling_sharpe(ruined, 20).iloc[40:].isna().all()
        assert (paths.rolling_volatility(ruined, 20).iloc[40:] == 0.0).all()

    @pytest.mark.parametrize("window", [1, 521])
    def test_bad_window(self, returns, window):
        with pytest.raises(PortfolioError, match="window"):
            paths.rolling_sharpe(returns, window)


def test_import_is_cheap():
    code = (
        "import sys, opeslike.analysis.metrics, opeslike.analysis;"
        "print([m for m in ('scipy.stats', 'scipy.optimize', 'matplotlib', 'cvxpy', 'yfinance', 'tabulate')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
