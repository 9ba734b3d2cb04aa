"""Pattern search for objectives without slopes: the best of several seeded local searches, no gap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds

Batch = Callable[[FloatArray], FloatArray]

_WIDEST, _FINEST = 0.5, 1e-5
_POLL = 64


def pattern_search(
    value: Batch,
    bounds: Bounds,
    seed: int | None,
    starts: FloatArray,
    searches: int = 4,
) -> tuple[FloatArray, float, int]:
    """Minimise over a box and a budget by moving weight from one asset to another.

    From each start, transfers of a given size between two assets are tried in random batches, the best of a batch made
    if it improves, and the size halved once as many have failed in a row as there are pairs (a compass search on the
    directions ``e_i - e_j``, which span the budget's plane positively; Kolda, Lewis and Torczon 2003).

    Parameters
    ----------
    value : callable
        Objective of many points at once: (K, n) to (K,).
    bounds : Bounds
        With the budget as its only equality.
    seed : int or None
    starts : ndarray of shape (K, n)
        Feasible points; the best ``searches`` of them, apart from each other, are searched from.

    Returns
    -------
    (x, value, iterations)
    """
    rng = np.random.default_rng(seed)
    count = starts.shape[1]
    pairs = np.array([(i, j) for i in range(count) for j in range(count) if i != j], dtype=np.intp).reshape(-1, 2)
    heights = value(starts)
    chosen: list[int] = []
    for k in np.argsort(heights, kind="stable"):
        if all(np.abs(starts[k] - starts[other]).sum() > 0.2 for other in chosen):
            chosen.append(int(k))
        if len(chosen) == searches:
            break
    best, lowest, iterations = starts[chosen[0]], float(heights[chosen[0]]), 0
    for k in chosen:
        x, height, size, failed = starts[k], float(heights[k]), _WIDEST, 0
        while size >= _FINEST and len(pairs) and not deadline.passed():
            iterations += 1
            block = pairs[rng.permutation(len(pairs))[:_POLL]]
            rows = np.arange(len(block))
            moved = np.minimum(size, np.minimum((bounds.upper - x)[block[:, 0]], (x - bounds.lower)[block[:, 1]]))
            trials = np.repeat(x[None, :], len(block), axis=0)
            trials[rows, block[:, 0]] += moved
            trials[rows, block[:, 1]] -= moved
            reached = value(trials)
            top = int(np.argmin(reached))
            failed += len(block)
            if reached[top] < height:
                x, height, failed = trials[top], float(reached[top]), 0
            elif failed >= len(pairs):
                size, failed = 0.5 * size, 0
        if height < lowest:
            best, lowest = x, height
    return best, lowest, iterations
