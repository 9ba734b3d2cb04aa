from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opeslike.data import load_csv, load_us20
from opeslike.errors import DataError, OpesLikeWarning
from opeslike.market import Market

BAR = ["Open", "High", "Low", "Close", "Volume"]


def write(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def bars() -> pd.DataFrame:
    """Bars of two tickers as yfinance.download(group_by="ticker") returns them."""
    days = pd.date_range("2020-01-01", periods=6, freq="B", name="Date")
    columns = pd.MultiIndex.from_product([["MSFT", "AAPL"], BAR], names=["Ticker", "Price"])
    return pd.DataFrame(np.random.default_rng(1).uniform(50, 60, (6, 10)), days, columns)


def check(frame: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert frame.index.name == "Date"
    assert frame.index.dtype == "datetime64[ns]"
    assert list(frame.columns) == list(expected.columns)
    assert list(frame.index) == list(expected.index)
    np.testing.assert_array_equal(frame.to_numpy(), expected.to_numpy())


def closes(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.xs("Close", axis=1, level=1)


# --- the shapes ------------------------------------------------------------------------------------------------


def test_wide_round_trip(tmp_path: Path) -> None:
    frame = load_us20(index=True, start="2018")
    frame.to_csv(tmp_path / "prices.csv")
    check(load_csv(tmp_path / "prices.csv"), frame)
    frame.to_csv(tmp_path / "prices.csv.gz")
    check(load_csv(str(tmp_path / "prices.csv.gz")), frame)
    part = load_csv(tmp_path / "prices.csv", tickers="XOM,AAPL", start="2019-02", end="2019")
    check(part, frame.loc["2019-02":"2019", ["XOM", "AAPL"]])


@pytest.mark.parametrize("index_name", ["Date", None])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("top", ["tickers", "fields"])
def test_both_layouts_of_yfinance(tmp_path: Path, bars: pd.DataFrame, top: str, named: bool, index_name: str) -> None:
    shown = bars if top == "tickers" else bars.swaplevel(axis=1).sort_index(axis=1)
    shown = shown.rename_axis(index=index_name)
    if not named:
        shown.columns.names = [None, None]
    path = tmp_path / "prices.csv"
    shown.to_csv(path)
    assert set(load_csv(path).columns) == {"MSFT", "AAPL"}
    check(load_csv(path, tickers="MSFT AAPL"), closes(bars))
    check(load_csv(path, tickers="MSFT AAPL", fields="OHLCV"), bars)
    check(load_csv(path, tickers="AAPL", fields=["Close", "Low"]), bars[[("AAPL", "Close"), ("AAPL", "Low")]])
    check(load_csv(path, tickers="AAPL", fields="Volume"), bars["AAPL"][["Volume"]].set_axis(["AAPL"], axis=1))


@pytest.mark.parametrize("fields", ["Close", "OHLCV"])
def test_a_market_takes_what_is_loaded(tmp_path: Path, bars: pd.DataFrame, fields: str) -> None:
    bars.to_csv(tmp_path / "prices.csv")
    market = Market.from_data(load_csv(tmp_path / "prices.csv", fields=fields), kind="prices")
    assert market.assets == ("MSFT", "AAPL")
    np.testing.assert_allclose(market.returns, closes(bars).pct_change().iloc[1:].to_numpy(), rtol=1e-12)


def test_one_ticker_is_named_by_the_file(tmp_path: Path, bars: pd.DataFrame) -> None:
    path = tmp_path / "BRK-B.csv"
    bars["AAPL"].to_csv(path)
    check(load_csv(path), bars["AAPL"][["Close"]].set_axis(["BRK-B"], axis=1))
    assert list(load_csv(path, fields="OHLCV")["BRK-B"].columns) == BAR
    bars["AAPL"].assign(Exchange="NMS").rename(columns=str.lower).to_csv(path)  # columns of no use are left alone
    check(load_csv(path), bars["AAPL"][["Close"]].set_axis(["BRK-B"], axis=1))


def test_dates_with_a_time_and_zone(tmp_path: Path, bars: pd.DataFrame) -> None:
    # as yfinance.Ticker(...).history() writes them, with the offset changing in March
    days = pd.DatetimeIndex(["2020-03-05", "2020-03-06", "2020-03-09"], tz="America/New_York", name="Date")
    bars["AAPL"].iloc[:3].set_index(days).to_csv(tmp_path / "AAPL.csv")
    assert "-04:00" in (tmp_path / "AAPL.csv").read_text()
    assert list(load_csv(tmp_path / "AAPL.csv").index) == list(days.tz_localize(None))


def test_long(tmp_path: Path, bars: pd.DataFrame) -> None:
    parts = [bars[name].assign(Symbol=name).reset_index() for name in ("MSFT", "AAPL")]
    stacked = pd.concat(parts)
    path = tmp_path / "prices.csv"
    stacked.to_csv(path, index=False)
    check(load_csv(path), closes(bars))
    stacked.sort_values("Date").rename(columns=str.lower).to_csv(path, index=False)
    check(load_csv(path, fields="OHLCV", tickers="MSFT AAPL"), bars)
    stacked[["Date", "Symbol", "Close"]].rename(columns={"Close": "price"}).to_csv(path, index=False)
    check(load_csv(path), closes(bars))


def test_long_leaves_nan_where_a_ticker_has_no_row(tmp_path: Path) -> None:
    text = "date,ticker,close\n2020-01-02,A,1\n2020-01-03,A,2\n2020-01-03,NA,5\n2020-01-06,NA,6\n"
    frame = load_csv(write(tmp_path, text))
    np.testing.assert_array_equal(frame.to_numpy(), [[1, np.nan], [2, 5], [np.nan, 6]])
    assert list(frame.columns) == ["A", "NA"]  # a ticker, not a missing value


def test_missing_cells(tmp_path: Path) -> None:
    text = "Date,A,B\n2020-01-02,1,\n2020-01-03,NaN,2\n2020-01-06,null,N/A\n\n2020-01-07, 3 ,-4e-2\n"
    values = load_csv(write(tmp_path, text)).to_numpy()
    np.testing.assert_array_equal(values, [[1, np.nan], [np.nan, 2], [np.nan, np.nan], [3, -0.04]])


def test_european_file(tmp_path: Path) -> None:
    path = write(tmp_path, "Datum;A;B\n02.01.2020;1,5;2\n03.01.2020;1,25;\n")
    frame = load_csv(path, sep=";", decimal=",", date_format="%d.%m.%Y")
    np.testing.assert_array_equal(frame.to_numpy(), [[1.5, 2], [1.25, np.nan]])
    assert frame.index[1] == pd.Timestamp("2020-01-03")


@pytest.mark.parametrize("text", ["2020-01-31", "2020/01/31", "2020.01.31", "20200131", "2020-01-31T16:00:00Z"])
def test_dates_that_need_no_format(tmp_path: Path, text: str) -> None:
    assert load_csv(write(tmp_path, f"Date,A\n{text},1\n")).index[0] == pd.Timestamp("2020-01-31")


def test_sorting_on_demand(tmp_path: Path) -> None:
    wide = write(tmp_path, "Date,A\n2020-01-03,2\n2020-01-02,1\n")
    long = write(tmp_path, "date,ticker,close\n2020-01-03,A,2\n2020-01-02,A,1\n", "long.csv")
    for path in (wide, long):
        assert load_csv(path, sort=True)["A"].to_list() == [1, 2]


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes("Date,A\n2020-01-02,1\n".encode("utf-8-sig"))
    assert list(load_csv(path).columns) == ["A"]


def test_adjusted_close(tmp_path: Path) -> None:
    both = write(tmp_path, "Date,Open,High,Low,Close,Adj Close\n2020-01-02,1,1,1,2,1.5\n", "A.csv")
    with pytest.warns(OpesLikeWarning, match="leaves dividends out") as caught:
        assert load_csv(both)["A"].item() == 2
    assert caught[0].filename == __file__
    assert load_csv(both, fields="Close")["A"].item() == 2
    assert load_csv(both, fields="Adj Close")["A"].item() == 1.5
    only = write(tmp_path, "Date,Adj Close\n2020-01-02,1.5\n", "A.csv")
    assert load_csv(only)["A"].item() == 1.5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    values=st.lists(st.lists(st.floats(allow_infinity=False), min_size=2, max_size=2), min_size=1, max_size=5),
    first=st.dates(pd.Timestamp("1700-01-01").date(), pd.Timestamp("2200-01-01").date()),
)
def test_every_bit_of_a_number_is_read(tmp_path: Path, values: list[list[float]], first: Any) -> None:
    days = pd.DatetimeIndex(pd.date_range(first, periods=len(values)), name="Date", freq=None)
    frame = pd.DataFrame(values, days, ["A", "B"])
    path = tmp_path / "prices.csv"
    frame.to_csv(path)
    check(load_csv(path), frame)


# --- what is refused -------------------------------------------------------------------------------------------

HEAD = "Date,AAPL,MSFT\n2020-01-02,1,2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("Date,AAPL\n", "has a header but no rows"),
        ("Price,Close\nTicker,AAPL\nDate,\n", "has a header but no rows"),
        ("2020-01-02,1,2\n2020-01-03,1,2\n", "no header: its first line starts with the date 2020-01-02"),
        ("Date\n2020-01-02\n", "has one column, not dates and tickers"),
        ("Date,AAPL,\n2020-01-02,1,2\n", "column 3 has no name"),
        ("Date,AAPL,MSFT,AAPL\n2020-01-02,1,2,3\n", "ticker AAPL occurs twice in the header"),
        ("Price,Close,Open\nTicker,A\nDate,,\n2020-01-02,1,2\n", "line 2 has 2 cells where the header has 3"),
        ("Price,Close,Close\nTicker,A,A\nDate,,\n2020-01-02,1,2\n", "A Close occurs twice"),
        (HEAD + "2020-01-03,1\n", "line 3 has 2 cells where the header has 3"),
        (HEAD + "2020-01-03,1,2,3\n", "line 3 has 4 cells"),
        (HEAD + "2020-01-03,1,oops\n", "line 3: 'oops' of MSFT on 2020-01-03 is not a number"),
        (HEAD + '2020-01-03,"1,000",2\n', "line 3: '1,000' of AAPL on 2020-01-03"),
        (HEAD + "2020-02-30,1,2\n", "line 3: '2020-02-30' is not a date"),
        (HEAD + "03/01/2020,1,2\n", "line 3: '03/01/2020' is not a date.*pass date_format"),
        (HEAD + ",1,2\n", "line 3: '' is not a date"),
        ("n,AAPL\n0,1\n1,2\n", "line 2: '0' is not a date"),
        (HEAD + "2020-01-02,1,2\n", "line 3: the date 2020-01-02 occurs twice"),
        (
            HEAD + "2020-01-01,1,2\n2020-01-03,1,2\n",
            "line 3: the date is out of order, 2020-01-01 after 2020-01-02; pass sort=True",
        ),
        ("date,ticker,close\n2020-01-02,A,1\n2020-01-02,A,1\n", "line 3: A 2020-01-02 occurs twice"),
        (
            "date,ticker,close\n2020-01-02,A,1\n2020-01-01,A,1\n2020-01-03,A,1\n",
            "line 3: A is out of order, 2020-01-01 after 2020-01-02",
        ),
        ("date,ticker,close\n2020-01-02,A,x\n", "line 2: 'x' of A on 2020-01-02 is not a number"),
        ("date,ticker,close\n2020-01-02,,1\n", "line 2: no ticker on 2020-01-02"),
        ("date,ticker,volume\n2020-01-02,A,1\n", "no column named close"),
        ("date,ticker,close,close\n2020-01-02,A,1,1\n", "close occurs twice"),
        ('Date,AAPL\n2020-01-02,"1\n', "is not a CSV file"),
        ("PK\x03\x04\x00,\x00\n", "is not a CSV file: its first line is not text"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_csv(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        load_csv(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="cannot be read: "):
        load_csv(tmp_path)
    path = tmp_path / "x.csv"
    path.write_bytes(b"Date,A\n2020-01-02,\xff\xfe\n")
    with pytest.raises(DataError, match=r"is not a CSV file in UTF-8"):
        load_csv(path)
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"Date,A\n2020-01-02,1\n")[:-9])
    with pytest.raises(DataError, match=r"is not a CSV file in UTF-8"):
        load_csv(path)
    path.write_bytes(b"Date,A\n2020-01-02,1\n")
    with pytest.raises(DataError, match=r"is not a CSV file in UTF-8"):
        load_csv(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tickers": "AAPL TSLA"}, r"prices\.csv has no TSLA: it has AAPL, MSFT"),
        ({"tickers": []}, "tickers is empty"),
        ({"start": "2021"}, r"start=2021-01-01 and end=open: prices\.csv has 2020-01-02 to 2020-01-02"),
        ({"start": "2021", "end": "2020"}, "lies after"),
        ({"fields": "OHLCV"}, "has one column a ticker and no fields"),
        ({"fields": "Price"}, "fields='Price': give one or several of Open"),
        ({"fields": []}, r"fields=\[\]"),
        ({"date_format": "%d/%m/%Y"}, "'2020-01-02' is not a date; expected %d/%m/%Y"),
        ({"sep": ""}, "sep='': give one character"),
        ({"sep": "ab"}, "sep='ab': give one character"),
        ({"sep": '"'}, "sep='\"': give one character"),
        ({"decimal": 3}, "decimal=3: give one character"),
        ({"sep": ";"}, "has one column, not dates and tickers: it looks separated by ',', pass sep=','"),
        ({"sep": ",", "decimal": ","}, "sep=',' and decimal=',' are the same"),
    ],
)
def test_bad_parameters(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_csv(write(tmp_path, HEAD), **arguments)


@pytest.mark.parametrize("path", [None, 3, ["prices.csv"]])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(DataError, match="is not a path"):
        load_csv(path)


def test_missing_field(tmp_path: Path) -> None:
    path = write(tmp_path, "Ticker,A,A,B\nPrice,Close,Open,Close\nDate,,,\n2020-01-02,1,2,3\n")
    with pytest.raises(DataError, match="has no Open of B: it has Close"):
        load_csv(path, fields=["Open"])
