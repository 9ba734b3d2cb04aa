"""How train and test data are joined, and what is refused."""

import logging

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.errors import DataError, DataWarning, PortfolioError

TICKERS = ["CC", "AA", "BB"]


class Spy:
    """Keeps what it is given."""

    def __init__(self):
        self.seen = []

    def optimize(self, data):
        self.seen.append(data)
        columns = data.shape[1] if data.ndim == 2 else 1
        if isinstance(data, pd.DataFrame) and data.columns.nlevels == 2:
            columns = len(data.columns.unique(0 if "Close" in data.columns.get_level_values(1) else 1))
        return np.full(columns, 1 / columns)


def closes(rows=60, seed=0):
    values = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(0, 0.02, (rows, 3)), axis=0)
    return pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=rows, name="Date"), columns=TICKERS)


def two_level(prices, field_first=False, order=None):
    wide = pd.concat(
        {field: prices[order or TICKERS] * k for field, k in (("Open", 0.9), ("Close", 1.0), ("Volume", 1000))}, axis=1
    )
    return wide if field_first else wide.swaplevel(axis=1).sort_index(axis=1)


def ran(train, test, strategy=None, run=None, **options):
    return Backtester(train, test, **options).backtest(strategy or Spy(), **(run or {}))


def test_test_columns_are_matched_by_name():
    prices = closes()
    plain = ran(prices[:30], prices[30:])
    mixed = ran(prices[:30], prices[30:][["AA", "BB", "CC"]])
    np.testing.assert_array_equal(plain["returns"], mixed["returns"])
    assert mixed.weights.columns.tolist() == TICKERS


@pytest.mark.parametrize("train_first", [False, True])
@pytest.mark.parametrize("test_first", [False, True])
@pytest.mark.parametrize("order", [TICKERS, ["BB", "CC", "AA"]])
def test_two_level_frames_in_either_order(train_first, test_first, order):
    prices = closes()
    spy = Spy()
    train = two_level(prices[:30], train_first)
    result = ran(train, two_level(prices[30:], test_first, order), spy)
    expected = ran(prices[:30], prices[30:])
    by_name = expected.weights[list(result.weights.columns)]
    np.testing.assert_allclose(result["returns"], expected["returns"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(result["weights"], by_name, rtol=0, atol=1e-15)
    # The strategy gets two levels, columns in the training order, rows of both sets.
    seen = spy.seen[5]
    assert seen.columns.equals(train.columns)
    assert seen.index.equals(prices.index[:35])
    np.testing.assert_array_equal(seen.iloc[:30], train)
    swapped = two_level(prices, train_first)[train.columns]
    np.testing.assert_array_equal(seen, swapped.iloc[:35])


def test_frames_of_closes_keep_names_and_index():
    prices = closes()
    prices.columns.name = "Ticker"
    spy = Spy()
    ran(prices[:30], prices[30:], spy)
    pd.testing.assert_frame_equal(spy.seen[0], prices[:30], check_freq=False)
    pd.testing.assert_frame_equal(spy.seen[9], prices[:39], check_freq=False)


def test_periods_are_dated_on_their_last_day():
    prices = closes().set_axis(pd.date_range("2015-01-31", periods=60, freq="ME"))
    dated, periods = ran(prices[:30], prices[30:]), ran(prices[:30].to_period("M"), prices[30:].to_period("M"))
    assert periods.timeline.tolist() == dated.timeline.tolist()
    np.testing.assert_array_equal(periods["returns"], dated["returns"])


def test_arrays_and_series_stay_what_they_are():
    prices = closes()
    spy = Spy()
    from_arrays = ran(prices[:30].to_numpy(), prices[30:].to_numpy(), spy)
    assert isinstance(spy.seen[0], np.ndarray)
    assert from_arrays["timeline"].tolist() == list(range(1, 30))
    np.testing.assert_array_equal(from_arrays["returns"], ran(prices[:30], prices[30:])["returns"])
    spy = Spy()
    one = ran(prices["AA"][:30], prices["AA"][30:], spy)
    assert isinstance(spy.seen[0], pd.Series)
    np.testing.assert_array_equal(spy.seen[3], prices["AA"][:33])
    assert one["weights"].shape == (29, 1)
    assert ran([[1.0], [2.0], [3.0]], [[3.0], [3.3]])["returns"] == pytest.approx([0.1 - 0.0011])


def test_data_given_to_strategies_cannot_be_written_to():
    class Vandal:
        def optimize(self, data):
            data.to_numpy()[:] = 1.0
            return [1 / 3] * 3

    prices = closes()
    before = prices.copy()
    with pytest.raises(Exception, match="read-only"):
        ran(prices[:30], prices[30:], Vandal())
    pd.testing.assert_frame_equal(prices, before)


def test_training_rows_on_or_after_the_first_test_close_are_dropped(caplog):
    prices = closes()
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        leaky = ran(prices[:40], prices[30:])
    assert "10 of 40 rows dropped because they are dated on or after 2020-02-12" in caplog.text
    np.testing.assert_array_equal(leaky["returns"], ran(prices[:30], prices[30:])["returns"])


def test_a_training_set_after_the_test_set_is_refused():
    prices = closes()
    with pytest.raises(DataError, match="train_data has no row before 2020-01-01"):
        ran(prices[30:], prices[:30])


def test_rows_counted_from_a_cut_frame_are_labels_too():
    prices = closes().reset_index(drop=True)
    spy = Spy()
    result = ran(prices[:40], prices[30:], spy)
    assert len(spy.seen[0]) == 30
    assert result["timeline"].tolist() == list(range(31, 60))
    again = ran(prices[:30], prices[30:].reset_index(drop=True))
    assert again["timeline"].tolist() == list(range(1, 30))
    np.testing.assert_array_equal(again["returns"], result["returns"])


def test_missing_values_in_the_training_set_cost_rows_only_where_an_eligible_asset_has_them(caplog):
    prices = closes()
    prices.iloc[:10, 1] = np.nan
    prices.iloc[20, 2] = np.nan
    spy = Spy()
    with caplog.at_level(logging.WARNING, logger="opeslike"), pytest.warns(DataWarning, match="18 of 29 rows"):
        ran(prices[:30], prices[30:], spy)
    assert spy.seen[0].index.equals(prices.index[[*range(10, 20), *range(21, 30)]])
    assert "listed later: AA from 2020-01-15; rows missed: BB 1" in caplog.text
    spy = Spy()
    ran(prices[:30], prices[30:], spy, run={"min_history": 25})
    assert spy.seen[0].columns.tolist() == ["CC", "BB"]
    assert spy.seen[0].index.equals(prices.index[[*range(20), *range(21, 30)]])


def test_gaps_in_the_test_set_keep_their_dates_and_are_told(caplog):
    prices = closes()
    prices.iloc[30, 0] = np.nan
    prices.iloc[40, 1] = np.nan
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        result = ran(prices[:30], prices[30:])
    assert "rows missed: CC 1, AA 1" in caplog.text
    assert result.timeline.equals(prices.index[31:])
    assert result.universe["suspended"].sum().tolist() == [1, 1, 0]
    prices.iloc[35] = np.nan
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        assert ran(prices[:30], prices[30:]).timeline.equals(prices.index[31:].delete(4))
    assert "test_data: 1 of 30 rows dropped, on which nothing is quoted" in caplog.text


def test_a_last_row_without_any_price_is_only_a_gap():
    prices = closes()
    prices.iloc[59] = np.nan
    assert len(ran(prices[:30], prices[30:])["returns"]) == 28


def returns_of(prices):
    return prices.pct_change().dropna()


def bad_price(prices, value):
    prices.iloc[35, 1] = value
    return prices


def doubled(prices):
    return prices.iloc[[*range(40), 39, *range(40, 60)]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: (None, p), ["no train_data"]),
        (lambda p: (p, None), ["no test_data"]),
        (lambda p: (p[:0], p[30:]), ["train_data has no rows"]),
        (lambda p: (p[:30], p[30:30]), ["test_data has no rows"]),
        (lambda p: (p[:30], p[30:31]), ["test_data has 1 close", "at least two"]),
        (lambda p: (p[:1], p[1:]), ["train_data has 1 usable", "at least 2"]),
        (lambda p: (p[:30], p[30:].rename(columns={"AA": "XX"})), ["test_data", "without AA", "with XX"]),
        (lambda p: (p[["AA", "BB"]][:30], p[30:]), ["test_data", "with CC"]),
        (lambda p: (p[:30], p[30:].to_numpy()), ["train_data is a DataFrame", "test_data is an array"]),
        (lambda p: (two_level(p[:30]), p[30:]), ["two column levels", "test_data is a DataFrame"]),
        (lambda p: (p[:30], p["AA"][30:]), ["test_data is a Series"]),
        (lambda p: (p[:30], returns_of(p)[30:]), ["train_data looks like prices but test_data like returns", "kind="]),
        (lambda p: (p[:30], bad_price(p, -3.0)[30:]), ["test_data", "AA on 2020-02-19", "-3.0", "not positive"]),
        (lambda p: (p[:30], bad_price(p, np.inf)[30:]), ["test_data", "AA on 2020-02-19", "infinite"]),
        (lambda p: (p[:30], doubled(p)[30:]), ["test_data", "duplicate date 2020-02-25"]),
        (lambda p: (p[:30], p[30:][::-1]), ["test_data", "ascending"]),
        (lambda p: (p[:30][["AA", "AA", "BB"]], p[30:]), ["train_data", "duplicate tickers: AA"]),
        (lambda p: (p[:30].astype(str), p[30:]), ["train_data", "not numeric"]),
        (lambda p: (p[:30], p[30:].tz_localize("UTC")), ["train_data", "test_data", "cannot be compared", "time zone"]),
        (lambda p: (p[:30].to_numpy(), p[30:].to_numpy()[:, :2]), ["test_data has 2 columns", "training data has 3"]),
        (lambda p: (p[:30].to_numpy(), p[30:].to_numpy() * 1j), ["test_data has complex numbers"]),
        (lambda p: (p[:30], p[30:].reset_index(drop=True)), ["train_data is indexed by", "index both by date"]),
        (lambda p: (two_level(p[:30]), two_level(p[30:]).drop(columns=[("AA", "Volume")])), ["AA", "Volume"]),
        (lambda p: (two_level(p[:30]).drop(columns="Close", level=1), two_level(p[30:])), ["train_data", "'Close'"]),
        (lambda p: ("AAPL", p[30:]), ["train_data", "str"]),
        (lambda p: (3.0, 4.0), ["train_data is a single number"]),
    ],
)
def test_bad_data_names_the_culprit(make, words):
    train, test = make(closes())
    with pytest.raises(DataError) as error:
        ran(train, test)
    for word in words:
        assert word in str(error.value)


@pytest.mark.filterwarnings("ignore:the data look wrong")
def test_prices_or_percent_given_as_returns():
    prices = closes(400)
    prices.iloc[3, 0] = np.nan
    with pytest.raises(DataError, match=r"train_data: .*every return is above 100%; pass kind='prices'"):
        ran(prices[:300], prices[300:], kind="returns")
    percent = 100 * prices.pct_change(fill_method=None) + 20
    percent.iloc[5] = 0.5
    with pytest.raises(DataError, match="divide by 100 if they are percent"):
        ran(percent[:300], percent[300:], kind="returns")
    once = returns_of(closes(400))
    once.iloc[3, 0] = 900.0  # no proof of anything
    assert ran(once[:300], once[300:], kind="returns")["returns"].size == 99


def test_an_unknown_kind_is_refused():
    prices = closes()
    with pytest.raises(PortfolioError, match="kind='levels'"):
        ran(prices[:30], prices[30:], kind="levels")


def test_kind_is_decided_once_for_both_sets():
    returns = returns_of(closes())
    # A test set this quiet could not be told from prices alone.
    quiet = returns[40:].abs()
    result = ran(returns[:40], quiet)
    assert len(result["returns"]) == len(quiet)
    with pytest.raises(DataError, match="kind='prices'"):
        ran(quiet[:10], quiet[10:])
    assert len(ran(quiet[:10], quiet[10:], kind="returns")["returns"]) == len(quiet) - 10


def test_data_are_checked_and_copied_when_given():
    prices = closes()
    with pytest.raises(DataError, match="test_data has no rows"):
        Backtester(prices[:30], prices[30:30])
    with pytest.raises(PortfolioError, match="lacks BB"):
        Backtester(prices[:30], prices[30:], cost={"proportional": {"AA": 1, "CC": 1}})
    with pytest.raises(DataError, match="risk_free starts on 2020-02-13"):
        Backtester(prices[:30], prices[30:], risk_free=pd.Series([0.01], index=prices.index[31:32]))
    tester = Backtester(prices[:30], prices[30:])
    before = tester.backtest(Spy())["returns"]
    prices.iloc[:] = 1.0
    np.testing.assert_array_equal(tester.backtest(Spy())["returns"], before)


def test_without_data_the_backtester_still_measures():
    with pytest.raises(DataError, match="no train_data"):
        Backtester().backtest(Spy())
    assert Backtester().get_metrics([0.01, -0.02, 0.03])["total_return"] == pytest.approx(
        100 * (1.01 * 0.98 * 1.03 - 1), abs=1e-5
    )
