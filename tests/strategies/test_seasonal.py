import numpy as np
import pandas as pd
import pytest

from opeslike.data import load_sp500
from opeslike.errors import DataError, PortfolioError
from opeslike.strategies import AllOf, AnyOf, MonthlySeasonal, MovingAverageCross, TurnOfMonth
from tests.strategies.tools import market, run


@pytest.fixture(scope="module")
def index():
    closes = load_sp500()
    return closes.to_frame() if isinstance(closes, pd.Series) else closes


def places(days):
    """Trading day of the month from both ends, by brute force."""
    months = pd.Series(days, index=days).groupby([days.year, days.month])
    return months.cumcount() + 1, months.cumcount(ascending=False) + 1


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_days_held_are_the_days_meant(index, lag):
    prices = index["2001-07-12":"2004-03-17"]
    rule = TurnOfMonth(last=2, first=3)
    result = run(rule, prices, split=20, cost=0.0, execution_lag=lag)
    start, end = places(index.index)
    meant = (start.loc[result.timeline] <= 3) | (end.loc[result.timeline] <= 2)
    np.testing.assert_array_equal(result.weights.iloc[:, 0] == 1.0, meant)
    # What it earns is the return of those days, whatever the lag: dates are known in advance.
    np.testing.assert_allclose(
        result["returns"], np.where(meant, prices.iloc[:, 0].pct_change()[result.timeline], 0.0), atol=1e-15
    )


def test_the_last_day_of_an_unfinished_month(index):
    """17 March 2004 is a Wednesday in the middle of the month; 29 October 2004 a Friday, the last trading day."""
    for end, held in (("2004-03-17", False), ("2004-10-29", True), ("2004-10-28", False)):
        result = run(TurnOfMonth(last=1, first=0), index["2003-01-02":end], split=20)
        assert bool(result["weights"][-1, 0]) is held


def test_without_a_backtest_the_next_day_counts(index):
    rule = TurnOfMonth(last=1, first=2)
    # Data to the second last day of October 2004: the position earns the last one, on Friday the 29th.
    assert rule.optimize(index[:"2004-10-28"]).tolist() == [1.0]
    assert rule.optimize(index[:"2004-10-29"]).tolist() == [1.0]
    assert rule.optimize(index[:"2004-11-01"]).tolist() == [1.0]
    assert rule.optimize(index[:"2004-11-02"]).tolist() == [0.0]
    assert MonthlySeasonal(months=(11,)).optimize(index[:"2004-10-29"]).tolist() == [1.0]
    assert MonthlySeasonal(months=(10,)).optimize(index[:"2004-10-29"]).tolist() == [0.0]


def test_markets_that_trade_at_weekends():
    prices = market(rows=400)
    prices.index = pd.date_range("2021-01-05", periods=400)
    result = run(TurnOfMonth(last=1, first=1), prices, split=10)
    held = result.weights.sum(axis=1) > 0
    days = result.timeline
    np.testing.assert_array_equal(held, (days.day == 1) | days.is_month_end)


def test_months(index):
    result = run(MonthlySeasonal(), index["2009-01-02":"2011-12-30"], split=20)
    np.testing.assert_array_equal(result["weights"][:, 0] == 1.0, ~result.timeline.month.isin([5, 6, 7, 8, 9, 10]))


def test_time_zones_and_hours_do_not_matter(index):
    prices = index["2009-01-02":"2010-12-30"]
    moved = prices.tz_localize("America/New_York")
    moved.index = moved.index + pd.Timedelta(hours=16)
    same = run(TurnOfMonth(), prices, split=20)["weights"]
    np.testing.assert_array_equal(run(TurnOfMonth(), moved, split=20)["weights"], same)


@pytest.mark.filterwarnings("ignore:the data look wrong")
def test_a_future_price_does_not_change_the_calendar(index):
    prices = index["2009-01-02":"2010-12-30"]
    other = prices.copy()
    other.iloc[100:] *= 3.0
    one, two = (run(TurnOfMonth(), p, split=50)["weights"] for p in (prices, other))
    np.testing.assert_array_equal(one, two)


def test_rules_joined(index):
    prices = index["2006-01-03":"2010-12-30"]
    month, trend = TurnOfMonth(), MovingAverageCross(fast=10, slow=50)
    parts = [run(rule, prices, split=100, cost=0.0)["weights"][:, 0] for rule in (month, trend)]
    both = run(AllOf(month, trend), prices, split=100, cost=0.0)["weights"][:, 0]
    any_of = run(AnyOf(month, trend), prices, split=100, cost=0.0)["weights"][:, 0]
    np.testing.assert_array_equal(both, parts[0] * parts[1])
    np.testing.assert_array_equal(any_of, np.maximum(*parts))
    assert 0 < both.sum() < any_of.sum()
    assert repr(AllOf(month, trend)) == f"AllOf({month!r}, {trend!r})"


def test_data_without_days():
    for prices in (market().to_numpy(), market().reset_index(drop=True)):
        with pytest.raises(DataError, match="TurnOfMonth needs dated data"):
            TurnOfMonth().optimize(prices)
        with pytest.raises(DataError, match="MonthlySeasonal needs dated data"):
            run(MonthlySeasonal(), prices)
    monthly = market()
    monthly.index = pd.date_range("2000-01-31", periods=len(monthly), freq="ME")
    with pytest.raises(DataError, match="needs daily data"):
        TurnOfMonth().optimize(monthly)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: TurnOfMonth(last=-1), "TurnOfMonth last"),
        (lambda: TurnOfMonth(first=1.5), "TurnOfMonth first"),
        (lambda: TurnOfMonth(last=0, first=0), "never hold"),
        (lambda: MonthlySeasonal(months=()), "MonthlySeasonal months"),
        (lambda: MonthlySeasonal(months=(0,)), "MonthlySeasonal months"),
        (lambda: MonthlySeasonal(months=(1, 1)), "MonthlySeasonal months"),
        (lambda: MonthlySeasonal(months=7), "MonthlySeasonal months"),
        (lambda: MonthlySeasonal(months="12"), "MonthlySeasonal months"),
        (lambda: AllOf(), "at least one rule"),
        (lambda: AnyOf(TurnOfMonth), "takes selection rules"),
    ],
)
def test_parameters_are_checked(make, named):
    with pytest.raises(PortfolioError, match=named):
        make()
