"""Files and frames as people have them: each is read right, or refused with the flag to set; none is read wrong."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike import Kelly
from opeslike.data import load_csv, load_prices, load_us20
from opeslike.errors import DataError
from opeslike.market import Market

DAYS = ["2020-12-29", "2020-12-30", "2020-12-31"]
CLOSES = [2453.2, 2461.75, 2448.0]


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


#: Name of the file, its text, the arguments beside it; all hold CLOSES on DAYS.
READ: dict[str, tuple[str, str, dict[str, Any]]] = {
    "yahoo's download": (
        *(
            "X.csv",
            lines(
                "Date,Open,High,Low,Close,Adj Close,Volume",
                "2020-12-29,1,9,1,2453.200000,7,100",
                "2020-12-30,1,9,1,2461.750000,7,100",
                "2020-12-31,1,9,1,2448.000000,7,100",
            ),
        ),
        {"fields": "Close"},
    ),
    "yahoo's page, copied": (
        *(
            "X.csv",
            lines(
                "Date\tOpen\tHigh\tLow\tClose*\tAdj Close**\tVolume",
                "Dec 31, 2020\t1\t9\t1\t2,448.00\t7.00\t1,000,000",
                "Dec 30, 2020\t1\t9\t1\t2,461.75\t7.00\t1,000,000",
                "Dec 29, 2020\t1\t9\t1\t2,453.20\t7.00\t-",
            ),
        ),
        {"fields": "Close"},
    ),
    "investing.com": (
        *(
            "X.csv",
            lines(
                '"Date","Price","Open","High","Low","Vol.","Change %"',
                '"12/31/2020","2,448.00","2,400.00","2,500.00","2,300.00","1.26M","-0.56%"',
                '"12/30/2020","2,461.75","2,400.00","2,500.00","2,300.00","956.20K","0.35%"',
                '"12/29/2020","2,453.20","2,400.00","2,500.00","2,300.00","","1.00%"',
            ),
        ),
        {},
    ),
    "investing.com in German": (
        *(
            "X.csv",
            "\ufeff"
            + lines(
                '"Datum","Zuletzt","Eröffn.","Hoch","Tief","Vol.","+/- %"',
                '"31.12.2020","2.448,00","2.400,00","2.500,00","2.300,00","1,26M","-0,56%"',
                '"30.12.2020","2.461,75","2.400,00","2.500,00","2.300,00","","0,35%"',
                '"29.12.2020","2.453,20","2.400,00","2.500,00","2.300,00","","1,00%"',
            ),
        ),
        {},
    ),
    "investing.com before 2023": (
        *(
            "X.csv",
            lines(
                '"Date","Price","Open","High","Low","Vol.","Change %"',
                '"Dec 31, 2020","2,448.00","1","1","1","1.26M","-0.56%"',
                '"Dec 30, 2020","2,461.75","1","1","1","-","0.35%"',
                '"Dec 29, 2020","2,453.20","1","1","1","-","1.00%"',
            ),
        ),
        {},
    ),
    "nasdaq.com": (
        *(
            "X.csv",
            lines(
                "Date,Close/Last,Volume,Open,High,Low",
                "12/31/2020,$2448.00,100,$1,$1,$1",
                "12/30/2020,$2461.75,100,$1,$1,$1",
                "12/29/2020,$2453.20,100,$1,$1,$1",
            ),
        ),
        {},
    ),
    "dollars and thousands": (
        *("p.csv", lines("Date,X", '2020-12-29,"$2,453.20"', '2020-12-30,"$2,461.75"', '2020-12-31,"$2,448.00"')),
        {},
    ),
    "stooq": (
        *(
            "X.csv",
            lines(
                "Date,Open,High,Low,Close,Volume",
                "2020-12-29,1,9,1,2453.2,100",
                "2020-12-30,1,9,1,2461.75,100",
                "2020-12-31,1,9,1,2448,100",
            ),
        ),
        {},
    ),
    "stooq in Polish": (
        *(
            "X.csv",
            lines(
                "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen",
                "2020-12-29,1,9,1,2453.2,100",
                "2020-12-30,1,9,1,2461.75,100",
                "2020-12-31,1,9,1,2448,100",
            ),
        ),
        {},
    ),
    "stooq in bulk": (
        *(
            "x.us.txt",
            lines(
                "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
                "X,D,20201229,000000,1,9,1,2453.2,100,0",
                "X,D,20201230,000000,1,9,1,2461.75,100,0",
                "X,D,20201231,000000,1,9,1,2448,100,0",
            ),
        ),
        {},
    ),
    "alpha vantage": (
        *(
            "X.csv",
            lines(
                "timestamp,open,high,low,close,volume",
                "2020-12-31,1,9,1,2448.0000,100",
                "2020-12-30,1,9,1,2461.7500,100",
                "2020-12-29,1,9,1,2453.2000,100",
            ),
        ),
        {},
    ),
    "alpha vantage adjusted": (
        *(
            "X.csv",
            lines(
                "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient",
                "2020-12-31,1,9,1,7,2448.0000,100,0.0,1.0",
                "2020-12-30,1,9,1,7,2461.7500,100,0.0,1.0",
                "2020-12-29,1,9,1,7,2453.2000,100,0.0,1.0",
            ),
        ),
        {"fields": "Adj Close"},
    ),
    "tiingo": (
        *(
            "X.csv",
            lines(
                "date,close,high,low,open,volume,adjClose,adjHigh",
                "2020-12-29T00:00:00.000Z,2453.2,9,1,1,100,7,7",
                "2020-12-30T00:00:00.000Z,2461.75,9,1,1,100,7,7",
                "2020-12-31T00:00:00.000Z,2448.0,9,1,1,100,7,7",
            ),
        ),
        {"fields": "Close"},
    ),
    "google sheets": (
        *(
            "X.csv",
            lines(
                "Date,Close", "12/29/2020 16:00:00,2453.2", "12/30/2020 16:00:00,2461.75", "12/31/2020 16:00:00,2448"
            ),
        ),
        {},
    ),
    "cryptodatadownload": (
        *(
            "Binance.csv",
            lines(
                "https://www.CryptoDataDownload.com",
                "Unix,Date,Symbol,Open,High,Low,Close,Volume X,Volume USDT,tradecount",
                "1609372800000,2020-12-31 00:00:00,X,1,9,1,2448.0,5,5,5",
                "1609286400000,2020-12-30 00:00:00,X,1,9,1,2461.75,5,5,5",
                "1609200000000,2020-12-29 00:00:00,X,1,9,1,2453.2,5,5,5",
            ),
        ),
        {},
    ),
    "seconds since 1970": (
        *("p.csv", lines("time,X", "1609200000,2453.2", "1609286400,2461.75", "1609372800,2448")),
        {"date_format": "s"},
    ),
    "a German export": (
        *("p.csv", lines("Datum;X", "29.12.2020;2453,2", "30.12.2020;2461,75", "31.12.2020;2448")),
        {},
    ),
    "a German export with points": (
        *("p.csv", lines("Datum;X", "29.12.2020;2.453,20", "30.12.2020;2.461,75", "31.12.2020;2.448,00")),
        {},
    ),
    "a German bank": (
        *(
            "X.csv",
            lines(
                "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen",
                "2020-12-31;1,5;9;1;2.448,00;1;10.000",
                "2020-12-30;1,5;9;1;2.461,75;1;10.000",
                "2020-12-29;1,5;9;1;2.453,20;1;10.000",
            ),
        ),
        {},
    ),
    "a German export in Excel's encoding": (
        *("p.csv", lines("Datum;X;Ölkurs", "29.12.2020;2453,2;1", "30.12.2020;2461,75;1", "31.12.2020;2448;1")),
        {"encoding": "cp1252", "tickers": "X"},
    ),
    "French blanks": (
        *("p.csv", lines("Date;X", "29/12/2020;2 453,20", "30/12/2020;2\u00a0461,75 €", "31/12/2020;2\u202f448,00")),
        {},
    ),
    "Swiss apostrophes": (
        *("p.csv", lines("Datum;X", "29.12.2020;2'453.20", "30.12.2020;2'461.75", "31.12.2020;2’448.00")),
        {},
    ),
    "Indian dates": (
        *("p.csv", lines("Date,X", "29-Dec-2020,2453.20", "30-Dec-2020,2461.75", "31-Dec-2020,2448.00")),
        {},
    ),
    "British dates": (
        *("p.csv", lines("Date,X", "29/12/2020,2453.20", "30/12/2020,2461.75", "31/12/2020,2448.00")),
        {},
    ),
    "UTF-16, as Excel saves text": (
        *("p.csv", lines("Date\tX", "2020-12-29\t2453.20", "2020-12-30\t2461.75", "2020-12-31\t2448.00")),
        {"encoding": "utf-16"},
    ),
    "lines above the header": (
        *(
            "p.csv",
            lines("Prices of X", "", "Date,X", "2020-12-29,2453.2", "2020-12-30,2461.75", "2020-12-31,2448"),
        ),
        {},
    ),
    "bars": ("p.csv", lines("Date|X", "2020-12-29|2453.2", "2020-12-30|2461.75", "2020-12-31|2448"), {}),
    "blanks after commas": (
        *("p.csv", lines("Date, X", "2020-12-29, 2453.2", '2020-12-30, "2461.75"', "2020-12-31, 2448")),
        {},
    ),
    "numbers with an exponent": (
        *("p.csv", lines("Date,X", "2020-12-29,2.4532e3", "2020-12-30,2.46175E+03", "2020-12-31,2448.")),
        {},
    ),
    "three decimals beside commas": (
        *("p.csv", lines("Date,X", "2020-12-29,2453.200", "2020-12-30,2461.750", "2020-12-31,2448.000")),
        {},
    ),
    "decimal and thousands said": (
        *("p.csv", lines("Datum;X", "29.12.2020;2.453,2", "30.12.2020;2461,75", "31.12.2020;2.448")),
        {"decimal": ",", "thousands": "."},
    ),
}

#: Text, arguments and words of what is refused: it could be read in two ways, or in none.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a point where the decimal is a comma": (
        lines("Datum;X", "29.12.2020;999,5", "30.12.2020;1.001"),
        {"sep": ";", "decimal": ","},
        r"line 3: '1\.001' of X on 2020-12-30 is not a number; pass thousands='\.'",
    ),
    "thousands or decimals, with a comma": (
        lines("Date;X", "2020-12-29;1,001", "2020-12-30;1,002"),
        {},
        r"line 2: '1,001' of X on 2020-12-29 could be .*pass decimal=',' or decimal='\.'|decimal='\.' or decimal=','",
    ),
    "thousands or decimals, with a point": (
        lines("Datum;X", "29.12.2020;1.001", "30.12.2020;999"),
        {},
        r"'1\.001' of X on 2020-12-29 could be 1\.001 or 1001\.0; pass decimal='\.' or decimal=','",
    ),
    "two notations in one file": (
        lines("Datum;X", "29.12.2020;1.001,50", "30.12.2020;1,001.50"),
        {},
        "line 3: '1,001.50' of X on 2020-12-30 is not a number",
    ),
    "an underscore": (lines("Date,X", "2020-12-29,1_00.5"), {}, "'1_00.5' of X on 2020-12-29 is not a number"),
    "Arabic digits": (lines("Date,X", "2020-12-29,٢٤٥٣"), {}, "'٢٤٥٣' of X on 2020-12-29 is not a number"),
    "Arabic digits in a date": (lines("Date,X", "٢٠٢٠-12-29,1"), {}, "'٢٠٢٠-12-29' is not a date"),
    "two currencies": (
        lines("Date,X", "2020-12-29,$5", "2020-12-30,€5"),
        {},
        r"'\$5' of X on 2020-12-29 is not a number",
    ),
    "groups that are none": (lines("Date,X", '2020-12-29,"1,00,000.5"'), {}, "'1,00,000.5' of X"),
    "a percentage": (lines("Date,X", "2020-12-29,0.5%"), {}, "'0.5%' of X on 2020-12-29 is not a number"),
    "millions": (lines("Date,X", "2020-12-29,1.5M"), {}, "'1.5M' of X on 2020-12-29 is not a number"),
    "days and months that could be either": (
        lines("Date,X", "01/02/2020,1", "01/03/2020,2"),
        {},
        "'01/02/2020' is not a date or could be two; .*pass date_format",
    ),
    "days beyond twelve in both places": (
        lines("Date,X", "13/02/2020,1", "01/14/2020,2"),
        {},
        "'01/14/2020' is not a date or could be two",
    ),
    "years of two digits": (lines("Date,X", "31.12.20,1"), {}, "'31.12.20' is not a date.*pass date_format"),
    "seconds nobody named": (lines("time,X", "1609200000,1"), {}, "'1609200000' is not a date.*pass date_format"),
    "dates in no order": (
        lines("Date,X", "2020-12-29,1", "2020-12-31,1", "2020-12-30,1"),
        {},
        "line 4: the date is out of order, 2020-12-30 after 2020-12-31; pass sort=True",
    ),
    "a line below": (
        lines("Date,X,Y", "2020-12-29,1,2", "Source: somewhere"),
        {},
        "line 3 has 1 cells where the header has 3",
    ),
    "two closes": (lines("Date,Open,High,Low,Price,Last", "2020-12-29,1,1,1,1,2"), {}, "Price occurs twice"),
    "another encoding": (lines("Datum;Öl", "2020-12-29;1"), {"encoding": "ascii"}, "pass encoding='cp1252'"),
    "an encoding that is none": (lines("Date,X", "2020-12-29,1"), {"encoding": "excel"}, "encoding='excel' is unknown"),
}


def check(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == ["X"]
    assert frame.index.name == "Date"
    assert frame.index.dtype == "datetime64[ns]"
    assert list(frame.index.strftime("%Y-%m-%d")) == DAYS
    np.testing.assert_array_equal(frame["X"].to_numpy(), CLOSES)


@pytest.mark.parametrize("name", READ)
def test_what_is_read(tmp_path: Path, name: str) -> None:
    file, text, arguments = READ[name]
    (tmp_path / file).write_text(text, encoding=arguments.get("encoding", "utf-8"))
    check(load_csv(tmp_path / file, **arguments))
    check(load_prices(tmp_path / file, **arguments))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    text, arguments, words = REFUSED[name]
    (tmp_path / "p.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        load_csv(tmp_path / "p.csv", **arguments)


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("places", [0, 1, 2, 3])
@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_no_notation_is_read_wrong(tmp_path: Path, decimal: str, grouped: bool, places: int, sep: str) -> None:
    """Whatever is not said is told from the file or asked for; a price is right or there is none."""
    values = np.round(np.random.default_rng(places).uniform(5, 5000, 8), places)
    frame = pd.DataFrame({"A": values}, pd.date_range("2020-01-01", periods=8, name="Date"))
    other = "," if decimal == "." else "."
    cells = [f"{value:,.{places}f}" if grouped else f"{value:.{places}f}" for value in values]
    cells = [cell.replace(",", "#").replace(".", decimal).replace("#", other) for cell in cells]
    text = "".join(f'{day:%Y-%m-%d}{sep}"{cell}"\n' for day, cell in zip(frame.index, cells, strict=True))
    path = tmp_path / "p.csv"
    path.write_text(f"Date{sep}A\n{text}")
    told = {"decimal": decimal, **({"thousands": other} if grouped else {})}
    if decimal != sep:
        np.testing.assert_array_equal(load_csv(path, sep=sep, **told), frame)
    try:
        found = load_csv(path)
    except DataError as error:
        assert "pass decimal=" in str(error)  # noqa: PT017
        assert places in (0, 3)
    else:
        np.testing.assert_array_equal(found, frame)


# --- frames ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    return load_us20(tickers="XOM AAPL", start="2021")


def long(prices: pd.DataFrame) -> pd.DataFrame:
    return prices.rename_axis(columns="symbol").stack().rename("close").reset_index()  # noqa: PD013


def same(frame: pd.DataFrame, prices: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(frame, prices, check_freq=False)
    assert (frame.dtypes == np.float64).all()


FRAMES = {
    "as it is": lambda p: p,
    "newest first": lambda p: p[::-1],
    "dates in a column": lambda p: p.reset_index(),
    "dates in a column called day": lambda p: p.rename_axis(index="day").reset_index(),
    "text for dates": lambda p: p.set_axis(p.index.strftime("%d.%m.%Y"), axis=0),
    "datetime.date": lambda p: p.set_axis(p.index.date, axis=0),
    "a time zone": lambda p: p.tz_localize("America/New_York"),
    "nullable": lambda p: p.convert_dtypes(),
    "Arrow-backed": lambda p: (
        pytest.importorskip("pyarrow") and p.reset_index().convert_dtypes(dtype_backend="pyarrow")
    ),
    "objects": lambda p: p.astype(object),
    "text for numbers": lambda p: p.astype(str),
    "long": long,
    "long with both in the index": lambda p: long(p).set_index(["Date", "symbol"]),
    "rows left out of a range": lambda p: p.reset_index().set_axis(np.arange(len(p)) * 2, axis=0),
    "two levels, fields on top": lambda p: pd.concat({"Close": p, "Volume": p * 0}, axis=1),
    "two levels, tickers on top": lambda p: pd.concat({"Close": p}, axis=1).swaplevel(axis=1),
    "polars": lambda p: pytest.importorskip("polars").from_pandas(p.reset_index()),
    "polars, long": lambda p: pytest.importorskip("polars").from_pandas(long(p)),
    "Arrow": lambda p: pytest.importorskip("pyarrow").Table.from_pandas(p.reset_index()),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(prices: pd.DataFrame, name: str) -> None:
    same(load_prices(FRAMES[name](prices)), prices)


@pytest.mark.parametrize("name", ["nullable", "polars", "Arrow"])
def test_portfolios_and_audits_take_them_too(prices: pd.DataFrame, name: str) -> None:
    frame = FRAMES[name](prices)
    np.testing.assert_allclose(Kelly().optimize(frame), Kelly().optimize(prices), atol=1e-12)
    assert Market.from_data(frame).assets == ("XOM", "AAPL")


def test_missing_values_of_every_kind(prices: pd.DataFrame) -> None:
    holes = prices.copy()
    holes.iloc[3, 0] = np.nan
    for name in ("nullable", "Arrow-backed", "objects", "polars", "long", "text for numbers"):
        same(load_prices(FRAMES[name](holes)), holes)


def test_parquet_and_feather(prices: pd.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    prices.to_parquet(tmp_path / "p.parquet")
    long(prices).to_feather(tmp_path / "p.feather")
    prices.reset_index().to_parquet(tmp_path / "p.pq")
    for name in ("p.parquet", "p.feather", "p.pq"):
        same(load_prices(tmp_path / name), prices)
        same(load_prices(str(tmp_path / name), tickers="AAPL", start="2022"), prices.loc["2022":, ["AAPL"]])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no more")
    for name, words in (("bad.parquet", "cannot be read as parquet"), ("none.feather", "does not exist")):
        with pytest.raises(DataError, match=words):
            load_prices(tmp_path / name)


def test_what_a_missing_package_says(prices: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    prices.to_parquet(tmp_path / "p.parquet")

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Missing optional dependency 'pyarrow'")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(DataError, match="needs pyarrow: pip install pyarrow"):
        load_prices(tmp_path / "p.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="pyarrow"):
        Market.from_data(polars.DataFrame({"d": [dt.date(2020, 1, 1)], "A": [1.0]}))


@pytest.mark.parametrize(
    ("source", "arguments", "words"),
    [
        (3, {}, "int is neither a file nor a frame"),
        (pd.DataFrame(), {}, "the frame is empty"),
        (pd.DataFrame({"A": [1.0]}), {"sep": ";"}, "sep=';' describes text"),
        (pd.DataFrame({"A": [1.0, 2.0], "B": [1.0, 2.0]}), {}, r"the frame, row 0: '1\.0' is not a date"),
        (pd.DataFrame({"date": ["2020-01-01"], "A": ["x"]}), {}, "row 0: 'x' of A on 2020-01-01 is not a number"),
        (pd.DataFrame({"date": [pd.NaT], "A": [1.0]}), {}, "row 0: NaT is not a date"),
        (pd.DataFrame({"date": ["2020-01-01"] * 2, "A": [1.0, 2]}), {}, "row 1: the date 2020-01-01 occurs twice"),
    ],
)
def test_frames_that_are_refused(source: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_prices(source, **arguments)
