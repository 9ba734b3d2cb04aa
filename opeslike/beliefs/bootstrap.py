"""Scenarios drawn in blocks from those one has seen."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np

from opeslike.beliefs.belief import Belief
from opeslike.beliefs.chance import drawn, stream
from opeslike.errors import PortfolioError
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
        if importlib.util.find_spec("arch") is None:
            raise PortfolioError(
                "BlockBootstrap needs arch, which is not installed; run: pip install 'opeslike[bootstrap]'"
            )

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
