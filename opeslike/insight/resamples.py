"""What another sample of the same world would have led to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import chances
from opeslike.beliefs.bootstrap import block_length_of, draw_counts
from opeslike.checks import share_of, whole
from opeslike.insight.finding import Finding
from opeslike.insight.posed import Posed, pose
from opeslike.market import FloatArray, Kind, Market


@dataclass(frozen=True, eq=False, repr=False)
class Uncertainty(Finding):
    """Portfolios of resampled pasts.

    Attributes
    ----------
    weights : DataFrame of shape (resamples, N)
        What would be held.
    growth : DataFrame of shape (resamples, 2)
        Mean log growth per period of those weights: ``claimed`` in the resample they are the best of, ``true`` in the
        sample it was drawn from.
    best : Series of shape (N,)
        Held in the sample itself.
    best_growth : float
        Its growth there.
    confidence : float
    block : int
        Mean length of the blocks.
    """

    weights: pd.DataFrame
    growth: pd.DataFrame
    best: pd.Series
    best_growth: float
    confidence: float
    block: int

    @cached_property
    def frame(self) -> pd.DataFrame:
        """By asset: the weight, and the ends and the middle of the central share ``confidence`` over resamples."""
        tail = 0.5 * (1.0 - self.confidence)
        ends = self.weights.quantile([tail, 0.5, 1.0 - tail]).T
        ends.columns = pd.Index(["low", "median", "high"])
        ends.insert(0, "weight", self.best)
        return ends

    @property
    def lower_growth(self) -> float:
        """What the portfolio grows by in truth, at least, at the one-sided level ``confidence``.

        The growth in the sample less the quantile, over resamples, of what their best portfolios claim beyond the
        truth: the basic bootstrap (Davison and Hinkley 1997, section 5.2).
        """
        excess = self.growth["claimed"] - self.growth["true"]
        return self.best_growth - float(np.quantile(excess, self.confidence))

    @property
    def says(self) -> str:
        """How sure growth and weights are."""
        width = self.frame["high"] - self.frame["low"]
        truth = f"at least {self.lower_growth:.3g} in truth with {self.confidence:.0%} confidence"
        known = f"the weight of {width.idxmax()} is known to within {width.max():.0%}"
        return f"growth {self.best_growth:.3g} a period in the sample, {truth}; {known}"


def uncertainty(
    objective: Any,
    prices: Any,
    resamples: int = 500,
    seed: int = 0,
    n_jobs: int = 1,
    *,
    confidence: float = 0.95,
    block: int | None = None,
    kind: Kind | None = None,
    weight_bounds: Any = None,
) -> Uncertainty:
    """Distribution of the best weights, and of their growth, over resampled pasts.

    Rows are drawn by the stationary bootstrap, all assets of a row together, as probabilities: those of the sample
    times how often each row was drawn. Each resample is solved from the optimum of the sample and certified.

    Parameters
    ----------
    objective : ConvexObjective
        Its beliefs are asked anew about each resample.
    prices : prices, returns or Market
    resamples : int >= 2
    seed : int >= 0
    n_jobs : int
        Processes, by joblib; the answer is the same.
    confidence : float in (0, 1)
    block : int >= 1, optional
        Mean length of the blocks; by default that of Politis and White for the returns of the portfolio.
    kind, weight_bounds
        As in ``optimize``.

    Returns
    -------
    Uncertainty

    Raises
    ------
    OpesLikeError
        If ``arch``, which draws, is not installed.

    References
    ----------
    Politis and Romano (1994), *The stationary bootstrap*; Politis and White (2004), *Automatic block-length selection
    for the dependent bootstrap*; Michaud (1998), *Efficient asset management*, on resampled weights.
    """
    from joblib import Parallel, delayed

    whole("resamples", resamples, 2)
    confidence = share_of("confidence", confidence)
    posed = pose(objective, prices, kind=kind, weight_bounds=weight_bounds)
    seen = posed.market if prices is posed else Market.from_data(prices, kind)
    solved = posed.solve()
    best = posed.held(solved.x)
    length = block_length_of((seen.returns @ best)[:, None]) if block is None else whole("block", block, 1)
    counts = draw_counts(seen.n_scenarios, length, resamples, whole("seed", seed))
    ask = partial(_resampled, posed, seen, prices is posed, solved.x)
    found = Parallel(n_jobs)(delayed(ask)(drawn) for drawn in counts)
    assets = list(posed.market.assets)
    weights = pd.DataFrame([weights for weights, _, _ in found], columns=assets)
    growth = pd.DataFrame([rest for _, *rest in found], columns=["claimed", "true"])
    return Uncertainty(weights, growth, pd.Series(best, assets), posed.growth(solved.x), confidence, math.ceil(length))


def _resampled(
    posed: Posed, seen: Market, believed: bool, start: FloatArray, counts: FloatArray
) -> tuple[FloatArray, float, float]:
    """Weights of one resample, their growth there and in the sample; beliefs are asked unless ``believed`` already."""
    drawn = seen.with_probabilities(chances(seen) * counts, seen.effective_size)
    market = drawn if believed else posed.objective._belief()(drawn)
    there = Posed.of(posed.objective, market, posed.given)
    x = there.solve(start).x
    return there.held(x), there.growth(x), posed.growth(x)
