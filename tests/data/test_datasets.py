from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import opeslike.data
from opeslike.data import load_sp500, load_us20
from opeslike.errors import DataError

FOLDER = Path(opeslike.data.__file__).with_name("embedded")
TICKERS = ["AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"]
TICKERS += ["LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"]


def test_all_of_it() -> None:
    frame = load_us20()
    assert list(frame.columns) == TICKERS
    assert frame.shape == (8313, 20)
    assert frame.index.name == "Date"
    assert frame.index.dtype == "datetime64[ns]"
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique
    assert (frame.index[0], frame.index[-1]) == (pd.Timestamp("1990-01-02"), pd.Timestamp("2022-12-28"))
    values = frame.to_numpy()
    assert values.dtype == np.float64
    assert (values > 0).all()
    assert np.isfinite(values).all()


def test_index() -> None:
    sp500 = load_sp500()
    assert sp500.name == "SP500"
    assert (sp500.iloc[0], sp500.iloc[-1]) == (359.69, 3783.22)  # the closes of 1990-01-02 and 2022-12-28
    frame = load_us20(index=True)
    assert list(frame.columns) == [*TICKERS, "SP500"]
    pd.testing.assert_series_equal(frame["SP500"], sp500)


def test_some_of_it() -> None:
    frame = load_us20(tickers="XOM AAPL", start="2019", end="2019-06")
    assert list(frame.columns) == ["XOM", "AAPL"]
    assert (frame.index[0], frame.index[-1]) == (pd.Timestamp("2019-01-02"), pd.Timestamp("2019-06-28"))
    assert list(load_us20(index=True, tickers=["XOM"]).columns) == ["XOM", "SP500"]
    one_day = load_us20(start=pd.Timestamp("2008-10-13", tz="America/New_York"), end=pd.Timestamp("2008-10-13").date())
    assert len(one_day) == 1
    assert len(load_sp500(start="2022-12-27")) == 2


def test_what_is_returned_is_the_callers() -> None:
    first = load_us20()
    first.iloc[:] = 0.0
    assert (load_us20().to_numpy() > 0).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tickers": "AAPL TSLA"}, "the embedded dataset has no TSLA: it has AAPL, AMD"),
        ({"tickers": "AAPL AAPL"}, "AAPL occurs twice"),
        ({"tickers": []}, "tickers is empty"),
        ({"tickers": 7}, "tickers must be text or a list of texts, got 7"),
        ({"index": "AAPL"}, "tickers are named as tickers='AAPL'"),
        ({"start": "2023"}, "start=2023-01-01 and end=open: the embedded dataset has 1990-01-02 to 2022-12-28"),
        ({"start": "2019-01-05", "end": "2019-01-06"}, "no rows between start=2019-01-05 and end=2019-01-06"),
        ({"start": "2019", "end": "2018"}, "start=2019-01-01 lies after end=2018-12-31"),
        ({"start": "yesterday week"}, "start='yesterday week' is not a date"),
        ({"end": pd.NaT}, "end=NaT is not a date"),
        ({"end": [2019]}, r"end=\[2019\] is not a date"),
    ],
)
def test_errors(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_us20(**arguments)


def test_file_is_small_and_the_one_described() -> None:
    packed = (FOLDER / "us20.csv.gz").read_bytes()
    assert len(packed) < 600_000
    assert packed[4:8] == bytes(4)  # no time of writing, so that the file is reproducible
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() in readme
    assert "BSD 3-Clause License" in readme
    assert "Copyright (c) 2023-2026 The skfolio developers." in readme
    assert "for examples and tests" in re.sub(r"\s+", " ", readme)


def test_file_can_be_made_again() -> None:
    found = importlib.util.find_spec("skfolio")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the files of the skfolio wheel, which is not installed")
    spec = importlib.util.spec_from_file_location(
        "make", Path(__file__).parents[2] / "docs" / "scripts" / "embedded_prices.py"
    )
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    source = Path(found.submodule_search_locations[0], "datasets", "data")
    assert make.build(source) == gzip.decompress((FOLDER / "us20.csv.gz").read_bytes())


def test_names_offered() -> None:
    loaders = ["load_ccxt", "load_csv", "load_prices", "load_sp500", "load_us20", "load_yahoo"]
    assert dir(opeslike.data) == ["Audit", "Finding", "audit", *loaders, "warn_about"]
    for name in dir(opeslike.data):
        assert getattr(opeslike.data, name).__name__ == name
    with pytest.raises(AttributeError, match="load_bloomberg"):
        opeslike.data.load_bloomberg  # noqa: B018
