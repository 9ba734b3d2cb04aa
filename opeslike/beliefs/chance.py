"""Random numbers of a seed and a decision alone, so that the future and other assets change nothing."""

from __future__ import annotations

import zlib
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.checks import FloatArray
from opeslike.market import Market, describe


def stream(seed: int, market: Market, ticker: Any = "") -> np.random.Generator:
    """Generator of a seed, the last date of the market and, where each asset draws for itself, a ticker."""
    return np.random.default_rng([seed, *(zlib.crc32(str(word).encode()) for word in (market.dates[-1], ticker))])


def drawn(market: Market, returns: FloatArray, probabilities: FloatArray | None = None) -> Market:
    """Drawn scenarios, worth as many observations as those they are drawn from and named after the decision."""
    values = np.maximum(returns, -1.0, order="F")  # nothing falls by more than all of it
    dates = partial(_names, market, len(values))
    return Market(values, market.assets, dates, probabilities, market.effective_size)


def _names(market: Market, count: int) -> pd.Index:
    last = describe(market.dates[-1])
    return pd.Index([f"scenario {row} of {last}" for row in range(count)], dtype=object)
