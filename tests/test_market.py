"""Market: every rule about data that can and cannot be used."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.data import load_us20
from opeslike.errors import DataError, DataWarning, PortfolioError
from opeslike.market import Market, align_columns, infer_kind, read_panel
from opeslike.sums import Spare


def prices(rows: int = 12) -> pd.DataFrame:
    g = np.random.default_rng(1)
    values = 100 * np.cumprod(1 + g.normal(0, 0.01, (rows, 3)), axis=0)
    return pd.DataFrame(values, index=pd.date_range("2020-01-01", periods=rows, name="Date"), columns=["A", "B", "C"])


def two_levels(frame: pd.DataFrame, field_first: bool) -> pd.DataFrame:
    parts = {}
    for column in frame:
        for field in ("Open", "Close", "Volume"):
            parts[(field, column) if field_first else (column, field)] = frame[column] * (1 if field == "Close" else 7)
    return pd.DataFrame(parts, index=frame.index)


def test_prices_become_simple_returns() -> None:
    frame = prices()
    market = Market.from_data(frame)
    np.testing.assert_allclose(market.returns, frame.pct_change().iloc[1:], rtol=1e-12)
    assert market.assets == ("A", "B", "C")
    assert market.dates[0] == frame.index[1]
    assert (market.n_scenarios, market.n_assets) == (11, 3)


@pytest.mark.parametrize("field_first", [False, True])
def test_two_level_columns_in_either_order(field_first: bool) -> None:
    frame = prices()
    market = Market.from_data(two_levels(frame, field_first))
    np.testing.assert_allclose(market.returns, Market.from_data(frame).returns)


@pytest.mark.parametrize("field_first", [False, True])
def test_unadjusted_closes_are_told(field_first: bool, caplog: pytest.LogCaptureFixture) -> None:
    frame = two_levels(prices(), field_first)
    Market.from_data(frame)
    assert not caplog.records
    both = frame.rename(columns={"Open": "Adj Close"}, level=0 if field_first else 1)
    market = Market.from_data(both)
    assert "Close is used, which leaves dividends out" in caplog.text
    np.testing.assert_array_equal(market.returns, Market.from_data(frame).returns)


def test_two_levels_without_close() -> None:
    with pytest.raises(DataError, match="Close"):
        Market.from_data(two_levels(prices(), False).drop(columns="Close", level=1))


def test_kind_is_inferred_and_can_be_given() -> None:
    frame = prices()
    returns = frame.pct_change().dropna()
    assert infer_kind(read_panel(frame)) == "prices"
    assert infer_kind(read_panel(returns)) == "returns"
    with pytest.raises(DataError, match="kind="):
        infer_kind(read_panel(returns.abs()))
    assert infer_kind(read_panel(returns.abs()), "returns") == "returns"
    with pytest.raises(PortfolioError, match="kind"):
        infer_kind(read_panel(frame), "levels")
    assert infer_kind(read_panel(returns.abs() * 100)) == "prices"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.assign(A=f["A"].where(f.index != "2020-01-05", np.inf)), "A on 2020-01-05.*infinite"),
        (lambda f: f.assign(B=f["B"].where(f.index != "2020-01-07", 0.0)), "B on 2020-01-07.*not positive"),
        (lambda f: f.assign(B=f["B"].where(f.index != "2020-01-07", -3.0)), "B on 2020-01-07.*not positive"),
        (lambda f: pd.concat([f, f.iloc[[4]]]), "duplicate date 2020-01-05"),
        (lambda f: f.iloc[[0, 2, 1, 3]], "ascending order at 2020-01-02"),
        (lambda f: f.set_axis(["A", "B", "A"], axis=1), "duplicate tickers: A"),
        (lambda f: f.astype({"C": object}).replace({"C": {f["C"].iloc[3]: "n/a"}}), "C on 2020-01-04: 'n/a' is not"),
        (lambda f: f.astype(object).replace({"C": {f["C"].iloc[3]: "x"}}), "C on 2020-01-04: 'x' is not a number"),
        (lambda f: f.astype(object), "A: column of type object is not numeric; convert"),
        (lambda f: f.astype(complex), "A: column of type complex128 is not numeric"),
        (lambda f: f.to_numpy() * 1j, "complex"),
        (lambda f: f.set_axis(pd.date_range("2020-01-21", periods=12).strftime("%d/%m/%Y")), "to_datetime"),
        (
            lambda f: f.where((np.arange(12)[:, None] == [0, 1, 2]) | (f.index == f.index[-1])[:, None]),
            "at least two rows",
        ),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.iloc[:1], "at least two rows"),
        (lambda f: f[[]], "no asset columns"),
    ],
)
def test_data_that_cannot_be_used(damage, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Market.from_data(damage(prices()), kind="prices")


@pytest.mark.parametrize("data", [None, "prices.csv", [[1, 2], ["a", 3]], np.zeros((2, 2, 2))])
def test_things_that_are_no_data(data: object) -> None:
    with pytest.raises(DataError):
        Market.from_data(data)


@pytest.mark.parametrize("wrong", ["a", [0.5, 0.5], np.full(11, -1.0), np.zeros(11), np.full(11, np.nan)])
def test_probabilities_that_cannot_be(wrong: object) -> None:
    with pytest.raises(PortfolioError, match="probabilities"):
        Market.from_data(prices(), probabilities=wrong)


def test_leading_gaps_shorten_the_window_and_are_told(caplog: pytest.LogCaptureFixture) -> None:
    frame = prices()
    frame.iloc[:4, 1] = np.nan
    frame.iloc[8, 2] = np.nan
    told = r"7 of 12 rows are left.*B \(values from 2020-01-05 to 2020-01-12\)"
    with caplog.at_level(logging.WARNING, "opeslike"), pytest.warns(DataWarning, match=told):
        market = Market.from_data(frame)
    assert "5 of 12 rows dropped" in caplog.text
    assert "B 4" in caplog.text
    assert "C 1" in caplog.text
    kept = frame.dropna()
    np.testing.assert_allclose(market.returns, kept.pct_change().iloc[1:], rtol=1e-12)


def test_nullable_and_integer_columns() -> None:
    frame = prices().round().astype("Int64")
    assert Market.from_data(frame).n_assets == 3
    frame.iloc[3, 0] = pd.NA
    assert Market.from_data(frame).n_scenarios == 10


@given(start=st.integers(0, 150), length=st.integers(2, 150), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_moments_of_windows_match_numpy(start: int, length: int, seed: int) -> None:
    g = np.random.default_rng(seed)
    market = Market.from_data(g.normal(0.001, 0.02, (300, 4)) * [1, 10, 0.1, 1] + [0, 5, 0, 0], kind="returns")
    for a, b in [
        (0, 100),
        (0, 105),
        (start, start + length),
        (start, start + length + 3),
        (start + 1, start + length + 3),
    ]:
        mean, covariance = market.window(a, b).mean_and_covariance()
        part = market.returns[a:b]
        np.testing.assert_allclose(mean, part.mean(axis=0), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(covariance, np.cov(part, rowvar=False), rtol=1e-8, atol=1e-14)


def test_windows_share_memory_and_probabilities_are_scaled() -> None:
    market = Market.from_data(prices())
    window = market.window(2, 7)
    assert np.shares_memory(window.returns, market.returns)
    weighted = market.with_probabilities(np.arange(11) + 1.0)
    assert weighted.probabilities.sum() == pytest.approx(1.0)
    assert weighted.window(2, 7).probabilities.sum() == pytest.approx(1.0)
    mean, covariance = weighted.mean_and_covariance()
    p = weighted.probabilities
    np.testing.assert_allclose(mean, p @ market.returns)
    np.testing.assert_allclose(covariance, np.cov(market.returns, rowvar=False, aweights=p, ddof=0))
    with pytest.raises(DataError, match="two return rows"):
        market.window(0, 1).mean_and_covariance()


def test_columns_are_matched_by_name() -> None:
    panel = read_panel(prices()[["C", "A", "B"]])
    assert align_columns(panel, ("A", "B", "C"), "test_data").assets == ("A", "B", "C")
    with pytest.raises(DataError, match="test_data comes without D and with A"):
        align_columns(panel, ("D", "B", "C"), "test_data")


# --- what is remembered, masked, or called like something else -------------------------------------------------


def test_a_clean_part_of_a_frame_that_was_refused() -> None:
    frame = load_us20(tickers="AAPL KO", start="2020")
    twice = pd.concat([frame, frame[-1:]])
    with pytest.raises(DataError, match="duplicate date 2022-12-28"):
        Market.from_data(twice)
    assert Market.from_data(twice[:80]).n_scenarios == 79  # pandas remembers, and hands on, that dates are not unique


def test_masked_values_are_missing() -> None:
    values = np.ma.masked_greater(np.array([[10.0, 20.0], [11.0, 1e9], [12.0, 21.0], [13.0, 22.0]]), 1e6)
    np.testing.assert_allclose(Market.from_data(values).returns, [[0.2, 0.05], [1 / 12, 1 / 21]])
    whole = np.ma.masked_greater(np.array([[10, 20], [11, 99], [12, 21], [13, 22]]), 50)
    np.testing.assert_allclose(Market.from_data(whole).returns, [[0.2, 0.05], [1 / 12, 1 / 21]])


@pytest.mark.parametrize("field_first", [True, False])
def test_a_ticker_called_close(field_first: bool) -> None:
    days = pd.date_range("2020-01-01", periods=3)
    columns = pd.MultiIndex.from_product([["Open", "Close"], ["Close", "KO"]])
    frame = pd.DataFrame([[1.0, 2, 10, 20], [1, 2, 11, 21], [1, 2, 12, 22]], days, columns)
    market = Market.from_data(frame if field_first else frame.swaplevel(axis=1))
    assert market.assets == ("Close", "KO")
    np.testing.assert_allclose(market.returns, [[0.1, 0.05], [1 / 11, 1 / 21]])


@pytest.mark.parametrize("second", ["2020-01-02", 7])
def test_an_index_of_several_kinds(second: object) -> None:
    frame = pd.DataFrame({"A": [1.0, 2.0, 3.0]}, pd.Index([pd.Timestamp("2020-01-01"), second, "x"], dtype=object))
    with pytest.raises(DataError, match=r"the index mixes .*Timestamp.*str.*to_datetime|mixes Timestamp and .*"):
        Market.from_data(frame)


def test_memory_is_lent_again_only_when_nobody_holds_it() -> None:
    """A slice of a slice is enough to keep it; what counts references differs from one Python to the next."""
    spare = Spare()
    first = spare.take(50, 4)
    first[:] = 1.0
    corner = first[3:9, 1:][::2]
    where = first.ctypes.data
    del first
    other = spare.take(40, 4)
    other[:] = 2.0
    assert (corner == 1.0).all()
    del corner
    again = spare.take(50, 4)
    again[:] = 3.0
    assert again.ctypes.data == where
    assert (other == 2.0).all()


def test_believed_markets_do_not_share_what_they_hold() -> None:
    market = Market.from_data(np.random.default_rng(0).normal(0.0, 0.01, (60, 3)), "returns")
    several = [market.shifted(np.full(3, by)) for by in (0.1, 0.2, 0.3, 0.4, 0.5)]
    for by, one in zip((0.1, 0.2, 0.3, 0.4, 0.5), several, strict=True):
        assert np.array_equal(one.returns, market.returns + by)
    assert np.array_equal(pickle.loads(pickle.dumps(several[2])).returns, several[2].returns)
