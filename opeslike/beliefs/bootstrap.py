"""Scenarios drawn in blocks from those one has seen."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from opeslike.beliefs.belief import Belief
from opeslike.beliefs.chance import drawn, stream
from opeslike.checks import FloatArray
from opeslike.errors import OpesLikeError, PortfolioError
from opeslike.market import Market
from opeslike.parameters import Count, Whole


@dataclass(frozen=True, eq=False, repr=False)
class BlockBootstrap(Belief):
    """The stationary bootstrap: rows drawn with replacement in blocks of random length, all assets of a row together.

    Row probabilities are kept: a row that was twice as likely counts twice where it is drawn. The effective size is
    unchanged: drawing observes nothing.

    Parameters
    ----------
    block : int >= 1
        Mean length of a block, in periods.
    n : int >= 1
        Scenarios.
    seed : int >= 0
        With the last date of the market it determines the draw.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or ``arch``, which draws, is not installed.

    References
    ----------
    Politis and Romano (1994), *The stationary bootstrap*.
    """

    block: Count
    n: Count = 2000
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not has_bootstrap():
            raise PortfolioError("BlockBootstrap needs arch, which is not installed: pip install 'opeslike[bootstrap]'")

    def __call__(self, market: Market) -> Market:
        """The scenarios drawn."""
        from arch.bootstrap import StationaryBootstrap

        rows = np.arange(market.n_scenarios)
        draws = StationaryBootstrap(self.block, rows, seed=stream(self.seed, market)).bootstrap(-(-self.n // len(rows)))
        taken = np.concatenate([positions[0] for positions, _ in draws])[: self.n]
        p = market.probabilities
        if p is not None and not p[taken].any():
            raise PortfolioError(f"{self!r} drew only rows with probability 0; draw more")
        return drawn(market, market.returns[taken], None if p is None else p[taken] / p[taken].sum())


INSTALL = 'pip install "opeslike[evidence]"'


def load_bootstrap() -> Any:
    """Import ``arch.bootstrap``, which takes a second, when it is needed.

    Raises
    ------
    OpesLikeError
        If arch is not installed; the message says how to get it.
    """
    try:
        import arch.bootstrap as bootstrap
    except ImportError as error:
        raise OpesLikeError(f"intervals and tests need arch, which is not installed; run: {INSTALL}") from error
    return bootstrap


def has_bootstrap() -> bool:
    """Whether arch is installed; imports it."""
    return importlib.util.find_spec("arch") is not None


def block_length_of(series: FloatArray, kind: str = "stationary") -> int:
    """Block length by the rule of Politis and White, the mean over the columns that vary, rounded up.

    Source: Politis and White, *Automatic block-length selection for the dependent bootstrap* (2004), corrected by
    Patton, Politis and White (2009).
    """
    varying = series[:, np.ptp(series, axis=0) > 1e-14]
    if not varying.shape[1]:
        return 1
    lengths = load_bootstrap().optimal_block_length(varying)[kind]
    return max(1, math.ceil(float(lengths.mean())))


def draw_counts(dates: int, block_length: int, resamples: int, seed: int) -> FloatArray:
    """How often each date is drawn in each resample of the stationary bootstrap, shape (resamples, dates).

    Source: Politis and Romano, *The stationary bootstrap* (1994).
    """
    draws = load_bootstrap().StationaryBootstrap(block_length, np.arange(dates), seed=seed).bootstrap(resamples)
    return np.array([np.bincount(drawn[0], minlength=dates) for drawn, _ in draws], dtype=np.float64)
