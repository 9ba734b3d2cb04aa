"""The stationary bootstrap over dates, from the package arch, and p-values of many tests together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from opeslike.errors import OpesLikeError
from opeslike.evidence.samples import FloatArray

#: What gives intervals to those who have none.
INSTALL = 'pip install "opeslike[evidence]"'


@dataclass(frozen=True, eq=False)
class Resampled:
    """Bootstrap of one statistic's differences.

    Attributes
    ----------
    block_length : int
        Mean length of the blocks, in periods.
    error : ndarray of shape (differences,)
        Standard error.
    half_width : ndarray of shape (differences,)
        Of the symmetric interval of each difference alone.
    p_value, adjusted_p : ndarray of shape (differences,)
        Two-sided; each alone, and all differences of this statistic together.
    """

    block_length: int
    error: FloatArray
    half_width: FloatArray
    p_value: FloatArray
    adjusted_p: FloatArray


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
        raise OpesLikeError(
            f"intervals and tests need the package arch, which is not installed; run: {INSTALL}"
        ) from error
    return bootstrap


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


def step_down(observed: FloatArray, resampled: FloatArray) -> FloatArray:
    """P-values of many tests together, by the step-down of Romano and Wolf.

    Each is compared with the maximum, in every resample, over the tests that are no more significant than itself.
    They hold the odds of any false rejection at the nominal level, whatever the dependence.

    Parameters
    ----------
    observed : ndarray of shape (tests,)
        Statistics, large where significant.
    resampled : ndarray of shape (resamples, tests)
        The same under the null.

    Source: Romano and Wolf, *Efficient computation of adjusted p-values for resampling-based stepdown multiple
    testing* (2016).
    """
    order = np.argsort(-observed, kind="stable")
    highest = np.maximum.accumulate(resampled[:, order[::-1]], axis=1)[:, ::-1]
    p = (1 + (highest >= observed[order]).sum(axis=0)) / (1 + len(resampled))
    return np.asarray(np.maximum.accumulate(p)[np.argsort(order)])


def resample(
    differences: FloatArray,
    influence: FloatArray,
    confidence: float,
    resamples: int,
    block_length: int | None,
    seed: int,
) -> Resampled:
    """Bootstrap differences of shape (K,) through their influences of shape (dates, K)."""
    dates = len(influence)
    length = block_length or block_length_of(influence)
    drawn = np.abs(draw_counts(dates, length, resamples, seed) @ influence / dates)
    error = np.sqrt((drawn**2).mean(axis=0))
    size, tiny = np.abs(differences), 1e-12  # identical strategies differ by rounding: that is no difference
    scale = np.maximum(error, tiny)
    observed, null = np.where(size > tiny, size / scale, 0.0), drawn / scale
    alone = (1 + (null >= observed).sum(axis=0)) / (1 + resamples)
    return Resampled(length, error, np.quantile(drawn, confidence, axis=0), alone, step_down(observed, null))
