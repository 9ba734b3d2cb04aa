"""Joint Kelly factors through time, and what they share with the single ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.errors import DataError
from opeslike.sizing._inputs import ROUNDING, FloatArray, complete_rows, label

_BATCH = 1 << 18  # numbers at a time: the temporaries of one batch then fit the processor's cache
_COLLINEAR = 1e-6  # standard deviation of an asset that the others leave, relative to its own


@dataclass(frozen=True)
class FactorSettings:
    """The checked parameters of a Kelly factor."""

    window: int | None  # None: expanding
    min_periods: int
    rate: float
    cap: float | None
    allow_short: bool


def carry_forward(factors: FloatArray, present: NDArray[np.bool_]) -> FloatArray:
    """Spread factors of the dates that have a return over all dates, each kept until the next."""
    last = np.cumsum(present) - 1
    out = np.full((len(factors), len(present)), np.nan)
    seen = last >= 0
    out[:, seen] = factors[:, last[seen]]
    return out


def no_variance(name: object, date: str) -> str:
    """Message for an asset whose factor is unbounded."""
    return (
        f"returns: {name!r} has no variance in the window to {date}, so its Kelly factor is "
        "unbounded; set max_leverage, use a longer window, or drop it"
    )


def joint_factors(values: FloatArray, index: pd.Index, columns: pd.Index, settings: FactorSettings) -> FloatArray:
    """Joint factors by date, (T, N)."""
    keep = complete_rows(values, columns, "kelly_factor")
    dates = index[keep]
    complete = values[keep]
    factors = np.full(complete.shape, np.nan)
    for begin, means, covariances in _joint_moments(complete, settings):
        part = slice(begin, begin + len(means))
        factors[part] = _joint_factors(means, covariances, dates[part], columns, settings)
    return carry_forward(factors.T, keep).T


def _joint_moments(values: FloatArray, settings: FactorSettings) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """First row, means (B, N) and covariances (B, N, N; ddof=1) of batches of windows."""
    rows, count = values.shape
    first = settings.min_periods - 1
    window = rows if settings.window is None else min(settings.window, rows)
    # While windows still grow: add the cross products of a batch about the mean before it.
    mean, scatter = values[0], np.zeros((count, count))
    batch = max(1, _BATCH // count**2)
    growing = window if settings.window is None else window - 1
    for begin in range(0, growing if first < growing else 0, batch):
        end = min(begin + batch, growing)
        step = values[begin:end] - mean
        sums = np.cumsum(step, axis=0)
        products = np.cumsum(step[:, :, None] * step[:, None, :], axis=0)
        number = np.arange(begin + 1.0, end + 1.0)[:, None]
        means = mean + sums / number
        scatters = scatter + products - sums[:, :, None] * (sums / number)[:, None, :]
        mean, scatter = means[-1], scatters[-1]
        skip = max(0, first - begin)
        if skip < end - begin:
            yield begin + skip, means[skip:], scatters[skip:] / (number[skip:, :, None] - 1.0)
    if growing == rows or first >= rows:
        return
    windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
    batch = max(1, _BATCH // (count * window))
    for begin in range(0, len(windows), batch):
        part = windows[begin : begin + batch]
        means = part.mean(axis=2)
        about = part - means[:, :, None]
        yield begin + window - 1, means, about @ about.transpose(0, 2, 1) / (window - 1.0)


def _joint_factors(
    means: FloatArray,
    covariances: FloatArray,
    dates: pd.Index,
    columns: pd.Index,
    settings: FactorSettings,
) -> FloatArray:
    """Factors of a batch of dates, (B, N)."""
    scale = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    still = scale <= ROUNDING * (1.0 + np.abs(means))
    if still.any():
        row, asset = np.argwhere(still)[0]
        raise DataError(no_variance(columns[asset], label(dates, row)))
    correlation = covariances / (scale[:, :, None] * scale[:, None, :])
    roots = _cholesky(correlation, dates, columns)
    half = np.linalg.solve(roots, ((means - settings.rate) / scale)[:, :, None])
    leverage = np.linalg.solve(roots.transpose(0, 2, 1), half)[:, :, 0]
    if not settings.allow_short:
        from scipy.optimize import nnls

        for row in np.flatnonzero((leverage < 0).any(axis=1)):
            # max f'm - f'Cf / 2 over f >= 0 with C = L L' is min |L'f - L^-1 m| over f >= 0
            leverage[row] = nnls(roots[row].T, half[row, :, 0])[0]
    leverage /= scale
    if settings.cap is not None:
        gross = np.abs(leverage).sum(axis=1, keepdims=True)
        leverage *= settings.cap / np.maximum(gross, settings.cap)
    return np.asarray(leverage, dtype=np.float64)


def _cholesky(correlation: FloatArray, dates: pd.Index, columns: pd.Index) -> FloatArray:
    """Cholesky factors of a batch of correlation matrices; DataError naming the first singular."""
    try:
        roots = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        roots = np.zeros_like(correlation)
        for row, matrix in enumerate(correlation):
            try:
                roots[row] = np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                break  # its row of zeros is refused below
    # The square of a diagonal entry is the share of an asset's variance that those before it
    # do not explain.
    own = np.diagonal(roots, axis1=1, axis2=2).min(axis=1)
    if own.min() < _COLLINEAR:
        raise DataError(
            f"returns: the covariance of {[str(c) for c in columns]} in the window to "
            f"{label(dates, int(np.argmax(own < _COLLINEAR)))} is singular; drop the asset that "
            "the others determine, or use a longer window"
        )
    return np.asarray(roots, dtype=np.float64)
