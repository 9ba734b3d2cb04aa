"""Hostile data: an answer that is one, or an error of this package; never a traceback of another, never NaN."""

from __future__ import annotations

import datetime
import decimal
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester, CVaR, Kelly, KLRobustKelly, MaxSharpe, MinVariance, RiskParity, Uniform
from opeslike.errors import OpesLikeError

DAYS = pd.bdate_range("2024-01-01", periods=60)
GOOD = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (60, 3)), axis=0))
FRAME = pd.DataFrame(GOOD, DAYS, list("ABC"))


def changed(row: Any, column: Any, value: Any) -> pd.DataFrame:
    frame = FRAME.astype(object) if isinstance(value, str | complex | list | None.__class__) else FRAME.copy()
    frame.iloc[row, column] = value
    return frame


def inputs() -> Iterator[tuple[str, Any]]:
    """Name and data of each."""
    for name, value in {
        **{"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "zero": 0.0, "negative": -5.0, "huge": 1e300, "tiny": 1e-300},
        **{"subnormal": 5e-324, "text": "abc", "number as text": "100.5", "list": [1], "complex": 1 + 2j, "None": None},
        "largest": np.finfo(float).max,
    }.items():
        for where, (row, column) in {"cell": (30, 1), "first": (0, 0), "last": (59, 2)}.items():
            yield f"{name}, {where}", changed(row, column, value)
        if not isinstance(value, list):
            yield f"{name}, column", changed(slice(None), 1, value)
            yield f"{name}, row", changed(30, slice(None), value)
    yield "nothing", None
    yield "text", "prices.csv"
    yield "number", 3.0
    yield "dict", {"A": [1, 2]}
    yield "generator", (i for i in range(3))
    yield "a class", Kelly
    yield "empty list", []
    yield "empty frame", pd.DataFrame()
    yield "no rows", FRAME.iloc[:0]
    yield "no columns", FRAME.iloc[:, :0]
    yield "one row", FRAME.iloc[:1]
    yield "two rows", FRAME.iloc[:2]
    yield "one column", FRAME[["A"]]
    yield "series", FRAME["A"]
    yield "0-d", np.array(1.0)
    yield "1-d", GOOD[:, 0]
    yield "3-d", GOOD[None]
    yield "complex", GOOD.astype(complex)
    yield "integers", (100 * GOOD).astype(np.int64)
    yield "unsigned", (100 * GOOD).astype(np.uint8)
    yield "half precision", GOOD.astype(np.float16)
    yield "booleans", GOOD > 100
    yield "objects", np.array([[decimal.Decimal(1), "2"], [3, None]], dtype=object)
    yield "decimals", FRAME.map(lambda value: decimal.Decimal(str(value)))
    yield "dates as values", pd.DataFrame({"A": DAYS, "B": DAYS}, DAYS)
    yield "spans as values", pd.DataFrame({"A": DAYS - DAYS[0]}, DAYS)
    yield "categories", FRAME.round(0).astype("category")
    yield "nullable", FRAME.astype("Float64").mask(FRAME > 105)
    yield "sparse", FRAME.astype(pd.SparseDtype("float64"))
    yield "masked", np.ma.masked_greater(GOOD, 105)
    yield "structured", np.zeros(5, dtype=[("A", float), ("B", float)])
    yield "read-only", np.broadcast_to(GOOD[:1], (60, 3))
    yield "constant", FRAME * 0 + 100
    yield "all equal columns", pd.concat([FRAME["A"]] * 3, axis=1, keys=list("ABC"))
    yield "duplicate tickers", FRAME.set_axis(list("AAB"), axis=1)
    yield "duplicate dates", FRAME.set_axis(DAYS[[0, *range(59)]])
    yield "reversed", FRAME.iloc[::-1]
    yield "shuffled", FRAME.sample(frac=1, random_state=0)
    yield "NaT", FRAME.set_axis(DAYS.insert(5, pd.NaT)[:60])
    yield "text index", FRAME.set_axis(DAYS.strftime("%d.%m.%y"))
    yield "mixed index", FRAME.set_axis([*DAYS[:30], *map(str, DAYS[30:])])
    yield "periods", FRAME.set_axis(pd.period_range("2020-01", periods=60, freq="M"))
    yield "time zone", FRAME.tz_localize("Asia/Tokyo")
    yield "dates", FRAME.set_axis([day.date() for day in DAYS])
    yield "far past", FRAME.set_axis(pd.date_range("1690-01-01", periods=60))
    yield "integers index", FRAME.set_axis(range(5, 65))
    yield "float index", FRAME.set_axis(np.linspace(0, 1, 60))
    yield "two-level index", FRAME.set_axis(pd.MultiIndex.from_product([[1, 2], range(30)]))
    yield "three-level columns", pd.concat({"x": pd.concat({"Close": FRAME}, axis=1)}, axis=1)
    yield "two levels without close", pd.concat({"Open": FRAME}, axis=1)
    yield "two levels", pd.concat({"Close": FRAME, "Volume": FRAME * 1e6}, axis=1)
    yield "odd tickers", FRAME.set_axis(["", "=cmd|x", "💣"], axis=1)
    yield "tickers of all kinds", FRAME.set_axis([1, "B", datetime.date(2024, 1, 1)], axis=1)
    yield "NaN as ticker", FRAME.set_axis([np.nan, "B", "C"], axis=1)
    yield "None as ticker", FRAME.set_axis([None, "B", "C"], axis=1)
    yield "tickers named as results", FRAME.set_axis(["costs", "total", "lender's loss"], axis=1)
    yield "returns", FRAME.pct_change().dropna()
    yield "returns in percent", 100 * FRAME.pct_change().dropna()
    yield "log prices", np.log(FRAME)
    yield "returns below -1", FRAME.pct_change().dropna() - 1.5
    yield "returns of a million", FRAME.pct_change().dropna() * 1e8
    yield "wide", pd.DataFrame(np.exp(np.random.default_rng(1).normal(0, 0.01, (4, 300)).cumsum(axis=0)))
    yield "checkerboard", FRAME.where((np.indices(FRAME.shape).sum(axis=0) % 2) == 0)
    yield "never together", pd.DataFrame({"A": [1, 2, np.nan, np.nan], "B": [np.nan, np.nan, 1, 2.0]})
    yield "rising by 1e200", pd.DataFrame({"A": [1e-200, 1.0, 1e200], "B": [1.0, 2.0, 3.0]})


INPUTS = dict(inputs())


def usable(weights: Any) -> None:
    values = np.asarray(weights, dtype=float)
    assert np.isfinite(values).all()
    assert values.sum() == pytest.approx(1.0, abs=1e-6) or values.sum() == 0.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::opeslike.errors.OpesLikeWarning")
@pytest.mark.parametrize("name", INPUTS)
def test_hostile_data_are_answered_or_refused(name: str) -> None:
    data = INPUTS[name]
    for objective in (Kelly(), KLRobustKelly(radius=0.05), MinVariance(), CVaR(), MaxSharpe(), RiskParity(), Uniform()):
        for kind in (None, "returns"):
            try:
                usable(objective.optimize(data, kind=kind))
            except OpesLikeError:
                continue
    for train, test in ((FRAME.iloc[:20], data), (data, FRAME.iloc[40:]), (data, data)):
        for strategy in (Uniform(), Kelly()):
            try:
                result = Backtester(train, test).backtest(strategy, reopt_freq=10)
                assert np.isfinite(result["wealth"]).all()
                usable(result["weights"][0])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    assert str(result.report())
            except OpesLikeError:
                continue


def test_there_are_as_many_as_were_found() -> None:
    assert len(INPUTS) >= 120
