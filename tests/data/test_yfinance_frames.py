"""Frames straight from ``yfinance.download`` are taken as they come, in both of its layouts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.objectives.distributionally_robust import KLRobustKelly
from opeslike.objectives.utility_theory import Kelly

TICKERS = ["MSFT", "AAPL", "KO"]


@pytest.fixture
def download(yahoo: Any, fake_yahoo: Any, yfinance: Any) -> Any:
    """The real ``yfinance.download``, answered by the stand-in."""
    yahoo.listings = {
        ticker: fake_yahoo.Listing(fake_yahoo.walk("2020-01-01", "2023-12-29", seed))
        for seed, ticker in enumerate(TICKERS)
    }

    def call(tickers: list[str], start: str, end: str, **options: Any) -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pandas deprecates in yfinance's code is theirs to settle
            return yfinance.download(
                tickers, start=start, end=end, auto_adjust=True, progress=False, threads=False, **options
            )

    return call


def run(train: pd.DataFrame, test: pd.DataFrame) -> list[np.ndarray]:
    radius = 1 / (len(train) + len(test) - 1) ** 0.5
    tester = Backtester(train_data=train, test_data=test, cost={"const": 20})
    half = tester.backtest(optimizer=Kelly(fraction=0.5), reopt_freq=5, clean_weights=True)
    robust = tester.backtest(optimizer=KLRobustKelly(radius=radius, fraction=1), reopt_freq=5, clean_weights=True)
    assert len(tester.get_metrics(half["returns"])) == 15
    assert half["weights"].shape == (len(test) - 1, 3)
    return [half["returns"], robust["returns"]]


@pytest.mark.parametrize("test_layout", ["ticker", "column"])
@pytest.mark.parametrize("train_layout", ["ticker", "column"])
def test_both_layouts_and_any_order_of_tickers(download: Any, train_layout: str, test_layout: str) -> None:
    train = download(TICKERS, "2020-01-01", "2023-01-01", group_by=train_layout)
    test = download(TICKERS[::-1], "2023-01-01", "2024-01-01", group_by=test_layout)
    assert train.columns.nlevels == test.columns.nlevels == 2
    top = train.columns[0][0]
    assert (top in TICKERS) == (train_layout == "ticker")

    closes = [f.xs("Close", axis=1, level=f.columns.names.index("Price"))[TICKERS] for f in (train, test)]
    expected = run(*closes)
    for got, wanted in zip(run(train, test), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-12)
