import logging

import numpy as np
import pandas as pd
import pytest

from opeslike.accounting.financing import RateTerms
from opeslike.backtester import Backtester
from opeslike.errors import DataError, PortfolioError

CLOSES = pd.bdate_range("2020-01-01", periods=6)


def test_annual_rates_compound_to_themselves_over_a_year():
    rates = RateTerms(0.02, 0.03, 0.01, 252).rates(CLOSES)
    assert (1 + rates.lend[0]) ** 252 == pytest.approx(1.02, rel=1e-13)
    assert (1 + rates.borrow[0]) ** 252 == pytest.approx(1.05, rel=1e-13)
    assert (1 + rates.short[0]) ** 252 == pytest.approx(1.01, rel=1e-13)
    assert len(rates.lend) == 5


def test_a_dated_series_is_carried_forward_and_gaps_are_told(caplog):
    series = pd.Series([0.01, np.nan, 0.03], index=[CLOSES[0], CLOSES[1], CLOSES[3]])
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        rates = RateTerms(series, 0.0, 0.0, 1).rates(CLOSES)
    assert rates.lend == pytest.approx([0.01, 0.01, 0.01, 0.03, 0.03])
    assert "3 of 5 test dates" in caplog.text
    assert "2020-01-02" in caplog.text


def test_a_rate_known_on_the_day_of_the_close_applies_from_that_close(caplog):
    series = pd.Series([0.01, 0.02, 0.03, 0.04, 0.05], index=CLOSES[:5])
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        rates = RateTerms(series, 0.0, 0.0, 1).rates(CLOSES)
    assert rates.lend == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])
    assert not caplog.records


@pytest.mark.parametrize("rate", [5.25, pd.Series([0.02, 5.25], index=CLOSES[:2])], ids=["number", "dated"])
def test_percentages_are_told_from_fractions(rate, caplog):
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        RateTerms(0.2, 0.5, 1.0, 252)
        assert not caplog.records
        RateTerms(rate, 0.0, 0.0, 252)
    assert "risk_free goes up to 5.25, which is 525% a year" in caplog.text
    assert "divide percentages by 100" in caplog.text


def test_rates_that_start_too_late_name_both_dates():
    series = pd.Series([0.01], index=[CLOSES[2]])
    with pytest.raises(DataError, match=r"risk_free starts on 2020-01-03, after the first test close on 2020-01-01"):
        RateTerms(series, 0.0, 0.0, 252).rates(CLOSES)


def test_dated_rates_need_dated_prices():
    series = pd.Series([0.01], index=[CLOSES[2]])
    with pytest.raises(DataError, match="index both by date"):
        RateTerms(0.0, 0.0, series, 252).rates(pd.RangeIndex(6))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"risk_free": float("nan")}, ["risk_free", "annual fraction"]),
        ({"risk_free": -1}, ["risk_free", "-1"]),
        ({"risk_free": "2%"}, ["risk_free", "'2%'"]),
        ({"risk_free": pd.DataFrame({"DFF": [0.02]})}, ["risk_free", "got DataFrame"]),
        ({"borrow_spread": -0.01}, ["borrow_spread", "-0.01", "at least 0"]),
        ({"short_fee": -0.01}, ["short_fee"]),
        ({"periods_per_year": 0}, ["periods_per_year"]),
        ({"initial_capital": 0}, ["initial_capital"]),
        ({"initial_capital": float("inf")}, ["initial_capital"]),
        ({"borrow_spread": pd.Series([0.01, -0.02], index=CLOSES[:2])}, ["borrow_spread", "-0.02", "2020-01-02"]),
        ({"risk_free": pd.Series([0.01, 0.02], index=CLOSES[1::-1])}, ["risk_free", "ascending"]),
        ({"risk_free": pd.Series(["a"], index=CLOSES[:1])}, ["risk_free", "numbers"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_rates_name_the_parameter(options, words):
    with pytest.raises(PortfolioError) as error:
        Backtester(**options)
    for word in words:
        assert word in str(error.value)


class Levered:
    def __init__(self, *weights):
        self.weights = weights

    def optimize(self, data):
        return np.array(self.weights)


def test_a_short_levered_path_by_hand():
    closes = pd.DataFrame({"A": [1, 1, 100, 110, 99, 104], "B": [1, 1, 50, 49, 51, 48]}, dtype=float)
    closes.index = CLOSES
    rate = pd.Series([0.02, 0.04], index=[CLOSES[0], CLOSES[3]])
    tester = Backtester(
        *(closes[:2], closes[2:]),
        **{"cost": {"const": 20}, "initial_capital": 1000.0, "periods_per_year": 252},
        **{"risk_free": rate, "borrow_spread": 0.01, "short_fee": 0.005},
    )
    result = tester.backtest(Levered(1.6, -0.3), rebalance_freq=2, reopt_freq=100)

    def per_day(annual):
        return (1 + annual) ** (1 / 252) - 1

    money, a, b = 1000.0, 0.0, 0.0
    wealth = []
    lend = [0.02, 0.04, 0.04]
    for t, (up_a, up_b) in enumerate([(110 / 100, 49 / 50), (99 / 110, 51 / 49), (104 / 99, 48 / 51)]):
        if t % 2 == 0:
            money -= 0.002 * (abs(1.6 * money - a) + abs(-0.3 * money - b))
            a, b = 1.6 * money, -0.3 * money
        cash = money - a - b
        cash *= 1 + per_day(lend[t] + 0.01)
        cash -= per_day(0.005) * abs(b)
        a, b = a * up_a, b * up_b
        money = a + b + cash
        wealth.append(money)
    assert result["wealth"] == pytest.approx(wealth, rel=1e-12)
    assert (result.financing < 0).all()
    assert result.cash.iloc[0] == pytest.approx(-0.3)
    assert result.leverage.iloc[0] == pytest.approx(1.9)
    assert result.net_exposure.iloc[0] == pytest.approx(1.3)
