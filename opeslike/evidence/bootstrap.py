"""P-values and intervals by the stationary bootstrap over dates."""

from __future__ import annotations

import numpy as np

from opeslike.beliefs.bootstrap import block_length_of, draw_counts
from opeslike.checks import FloatArray


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
    differences: FloatArray, influence: FloatArray, confidence: float, draws: int, block_length: int | None, seed: int
) -> dict[str, FloatArray]:
    """Bootstrap differences of shape (K,) through their influences of shape (dates, K).

    Returns
    -------
    dict of ndarray of shape (K,)
        Standard ``error``; ``low`` and ``high`` end of the symmetric interval; two-sided ``p_value`` of each alone and
        ``adjusted_p`` of all together; ``block_length``, the mean length of the blocks in periods.
    """
    length = block_length or block_length_of(influence)
    drawn = np.abs(draw_counts(len(influence), length, draws, seed) @ influence / len(influence))
    error, half = np.sqrt((drawn**2).mean(axis=0)), np.quantile(drawn, confidence, axis=0)
    size, tiny = np.abs(differences), 1e-12  # identical strategies differ by rounding: that is no difference
    scale = np.maximum(error, tiny)
    observed, null = np.where(size > tiny, size / scale, 0.0), drawn / scale
    alone = (1 + (null >= observed).sum(axis=0)) / (1 + draws)
    return {
        "error": error,
        "low": differences - half,
        "high": differences + half,
        "p_value": alone,
        "adjusted_p": step_down(observed, null),
        "block_length": np.full(len(size), float(length)),
    }
