"""Prices after a date change no weight before it, for every objective there is: found by listing them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike import objectives
from opeslike.backtester import Backtester
from opeslike.beliefs import Decay, ShrunkMeans

SPLIT, ROWS, ASSETS = 60, 85, ["AA", "BB", "CC", "DD"]
#: Objectives that need to be told something.
NEEDS: dict[str, Callable[[], Any]] = {
    "BayesianKelly": lambda: objectives.BayesianKelly(np.random.default_rng(0).normal(0, 0.02, (30, 4)), 20.0),
    "KLRobust": lambda: objectives.KLRobust(objectives.CRRA(3.0), 0.05),
    "RegretKelly": lambda: objectives.RegretKelly([Decay(20), ShrunkMeans()]),
    "RiskConstrainedKelly": lambda: objectives.RiskConstrainedKelly(lam=3.0),
}
NAMES = [
    name
    for name in objectives.__all__
    if inspect.isclass(kind := getattr(objectives, name)) and hasattr(kind, "optimize") and not inspect.isabstract(kind)
]


def make(name: str) -> Any:
    return NEEDS[name]() if name in NEEDS else getattr(objectives, name)()


def closes(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    returns = rng.normal([0.0008, 0.0002, 0.0004, -0.0002], [0.02, 0.01, 0.015, 0.01], (ROWS, 4))
    index = pd.bdate_range("2020-01-01", periods=ROWS, name="Date")
    return pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), index, ASSETS)


def weights(optimizer: Any, prices: pd.DataFrame, **options: Any) -> np.ndarray:
    tester = Backtester(prices[:SPLIT], prices[SPLIT:])
    return np.asarray(tester.backtest(optimizer, reopt_freq=4, **options)["weights"])


@pytest.mark.parametrize(("lag", "window"), [(1, None), (0, 25)])
@pytest.mark.parametrize("name", NAMES)
def test_no_weight_depends_on_the_future(name: str, lag: int, window: int | None) -> None:
    prices, cut = closes(3), 9
    other = prices.copy()
    # P_cut is the first close that differs
    other.iloc[SPLIT + cut :] *= np.exp(np.random.default_rng(4).normal(0, 0.05, (ROWS - SPLIT - cut, 4)).cumsum(0))
    options = {"execution_lag": lag, "window": window}
    optimizer = make(name)
    held = weights(optimizer, prices, **options)
    again, fresh = weights(optimizer, other, **options), weights(make(name), other, **options)
    np.testing.assert_array_equal(again, fresh)  # nothing is remembered from the run before
    np.testing.assert_array_equal(held[:cut], fresh[:cut])
    if name != "Uniform":
        assert not np.array_equal(held[cut:], fresh[cut:])


def test_all_objectives_are_here() -> None:
    assert {"Kelly", "KLRobustKelly", "MeanVariance", "UniversalPortfolios", "HierarchicalRiskParity"} <= set(NAMES)
    assert len(NAMES) >= 20
