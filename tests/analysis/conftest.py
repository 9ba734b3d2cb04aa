"""Shared inputs: a seeded market, and matplotlib imported once outside the warning filter."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

with warnings.catch_warnings():
    # The oldest matplotlib uses names that a newer pyparsing deprecates; that is theirs to settle.
    warnings.simplefilter("ignore", DeprecationWarning)
    import matplotlib.figure  # noqa: F401


@pytest.fixture
def dates():
    return pd.bdate_range("2018-01-02", periods=520)


@pytest.fixture
def returns(dates):
    rng = np.random.default_rng(7)
    return pd.Series(rng.normal(4e-4, 0.012, dates.size), index=dates, name="strategy")


@pytest.fixture
def benchmark(dates, returns):
    rng = np.random.default_rng(8)
    return 0.7 * returns + pd.Series(rng.normal(1e-4, 0.006, dates.size), index=dates)


@pytest.fixture
def ruined(dates):
    """Gains, then ruin in the sixth period, then zeros."""
    values = np.zeros(dates.size)
    values[:6] = [0.1, -0.05, 0.2, 0.0, -0.5, -1.0]
    return pd.Series(values, index=dates)
