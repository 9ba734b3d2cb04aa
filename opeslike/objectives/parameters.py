"""Checks of the parameters that objectives are given; every message names the parameter."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import DataError, PortfolioError

FloatArray = NDArray[np.float64]


def positive(name: str, value: Any, *, zero: bool = False) -> float:
    """Check that a parameter is a finite number above 0 (or at least 0).

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    limit = ">= 0" if zero else "> 0"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise PortfolioError(f"{name}={value!r} must be a number {limit}")
    number = float(value)
    if not np.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise PortfolioError(f"{name}={value!r} must be a finite number {limit}")
    return number


def finite(name: str, value: Any) -> float:
    """Check that a parameter is a finite number.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not np.isfinite(value):
        raise PortfolioError(f"{name}={value!r} must be a finite number")
    return float(value)


def fraction_of(value: Any) -> float:
    """Check a Kelly fraction, in (0, 1].

    Raises
    ------
    PortfolioError
    """
    number = positive("fraction", value, zero=True)
    if number == 0:
        raise PortfolioError(f"fraction={value!r} must lie in (0, 1]; to hold nothing but cash, nothing is optimised")
    if number > 1:
        raise PortfolioError(f"fraction={value!r} must lie in (0, 1]; to hold more than full Kelly use leverage")
    return number


def share_of(name: str, value: Any) -> float:
    """Check a number strictly between 0 and 1.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    number = positive(name, value)
    if number >= 1:
        raise PortfolioError(f"{name}={value!r} must lie strictly between 0 and 1")
    return number


def radii_of(radius: Any) -> float | FloatArray:
    """Check radii: one number >= 0 for all scenarios, or an array of one each.

    Raises
    ------
    PortfolioError
    """
    if np.ndim(radius) == 0:
        return positive("radius", radius, zero=True)
    try:
        values = np.array(radius, dtype=np.float64)
    except (TypeError, ValueError):
        raise PortfolioError(f"radius must be a number >= 0 or one a scenario, got {radius!r}") from None
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise PortfolioError("radius must be a finite number >= 0, or one a scenario")
    return values


def _labelled(values: Any, assets: Sequence[Hashable], name: str) -> Any:
    """Bring a labelled mean or covariance into the order of the assets."""
    if not hasattr(values, "reindex"):
        return values
    missing = [str(asset) for asset in assets if asset not in values.index]
    if missing:
        raise DataError(f"{name} lacks {', '.join(missing)}")
    order = list(assets)
    return values.reindex(order) if values.ndim == 1 else values.reindex(index=order, columns=order)


def _finite(values: Any, shape: tuple[int, ...], name: str) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not numeric: {error}") from error
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} has values that are not finite")
    return array


def check_mean(values: Any, assets: Sequence[Hashable]) -> FloatArray:
    """Validate expected returns per period: (N,) numbers, or a Series labelled by asset.

    Raises
    ------
    DataError
    """
    return _finite(_labelled(values, assets, "custom_mean"), (len(assets),), "custom_mean")


def check_covariance(values: Any, assets: Sequence[Hashable]) -> FloatArray:
    """Validate a covariance per period: symmetric positive semidefinite (N, N), or a frame labelled by asset.

    Raises
    ------
    DataError
        Also where the matrix is not symmetric, or has a negative eigenvalue beyond rounding.
    """
    count = len(assets)
    matrix = _finite(_labelled(values, assets, "custom_cov"), (count, count), "custom_cov")
    scale = float(np.abs(matrix).max()) or 1.0
    if np.abs(matrix - matrix.T).max() > 1e-8 * scale:
        raise DataError("custom_cov is not symmetric")
    matrix = 0.5 * (matrix + matrix.T)
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -1e-10 * count * scale:
        raise DataError(f"custom_cov is not positive semidefinite (least eigenvalue {least:.2e})")
    return matrix
