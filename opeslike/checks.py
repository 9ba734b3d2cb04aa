"""Every check of a parameter, once; messages name the parameter, what it may be and what was given."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import DataError, PortfolioError

FloatArray = NDArray[np.float64]
#: the key that stands for every ticker, group or factor that is not named
REST = "*"

Check = Callable[[str, Any], Any]

#: Periods a year beyond which no calendar goes; rates per period would overflow long before.
PERIODS = (1e-3, 1e9)


def is_number(value: Any) -> bool:
    """Whether something is one finite number (True and False are none)."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Check that a parameter is one finite number in its range; ``open_low`` and ``open_high`` exclude the ends.

    Raises
    ------
    PortfolioError
        Naming the parameter and the range.
    """
    above = math.isinf(low) or f"{'>' if open_low else '>='} {low:g}"
    below = math.isinf(high) or f"{'<' if open_high else '<='} {high:g}"
    wanted = " ".join(["a finite number", " and ".join(end for end in (above, below) if isinstance(end, str))]).strip()
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
        shape = getattr(value, "shape", None)
        given = repr(value) if shape is None else f"{type(value).__name__} of shape {shape}"
        raise PortfolioError(f"{name} must be {wanted}, got {given}")
    found = float(value)
    outside = (found <= low if open_low else found < low) or (found >= high if open_high else found > high)
    if outside or not math.isfinite(found):
        raise PortfolioError(f"{name}={value!r} must be {wanted}")
    return found


def finite(name: str, value: Any) -> float:
    """Check that a parameter is a finite number.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    return number(name, value)


def positive(name: str, value: Any, *, zero: bool = False) -> float:
    """Check that a parameter is a finite number above 0 (or at least 0).

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    return number(name, value, low=0.0, open_low=not zero)


def not_negative(name: str, value: Any) -> float:
    """Check that a parameter is a finite number of at least 0.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    return number(name, value, low=0.0)


def rate(name: str, value: Any) -> float:
    """Check an annual rate, a number above -1.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    return number(name, value, low=-1.0, open_low=True)


def share_of(name: str, value: Any) -> float:
    """Check a number strictly between 0 and 1.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    if not 0 < positive(name, value) < 1:
        raise PortfolioError(f"{name}={value!r} must lie strictly between 0 and 1")
    return float(value)


def fraction_of(value: Any) -> float:
    """Check a Kelly fraction, in (0, 1].

    Raises
    ------
    PortfolioError
    """
    found = positive("fraction", value, zero=True)
    if found == 0:
        raise PortfolioError(f"fraction={value!r} must lie in (0, 1]; to hold nothing but cash, nothing is optimised")
    if found > 1:
        raise PortfolioError(f"fraction={value!r} must lie in (0, 1]; to hold more than full Kelly use leverage")
    return found


def whole(name: str, value: Any, low: int = 0) -> int:
    """Check that a parameter is a whole number of at least ``low``.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise PortfolioError(f"{name}={value!r} must be a whole number of at least {low}")
    return int(value)


def choice(name: str, value: Any, options: Sequence[str], *, exact: bool = False) -> str:
    """Check that a parameter is one of a few names, unless ``exact`` in any case; the answer has the option's.

    Raises
    ------
    PortfolioError
        Naming the parameter and its options.
    """
    found = value.lower() if isinstance(value, str) and not exact else value
    if found not in options:
        raise PortfolioError(f"{name}={value!r} is unknown; use one of {', '.join(map(repr, options))}")
    return str(found)


def flag(name: str, value: Any) -> bool:
    """Check that a parameter is True or False.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise PortfolioError(f"{name}={value!r} must be True or False")
    return bool(value)


def at_least(low: int) -> Check:
    """Check for a whole number of at least ``low``."""
    return partial(whole, low=low)


def part(name: str, value: Any) -> float:
    """Check a number above 0 and at most 1.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    return number(name, value, low=0.0, high=1.0, open_low=True)


def numbers(name: str, values: Any) -> FloatArray:
    """Numbers as a float array of their shape.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PortfolioError(f"{name} must be numbers, got {values!r}") from error


def generator(seed: int | np.random.Generator | None) -> np.random.Generator:
    """Generator of a seed: a whole number >= 0, a generator itself, or None for fresh entropy.

    Raises
    ------
    PortfolioError
    """
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else whole("seed", seed))


@overload
def per_period(annual: float, periods_per_year: float, name: str = ...) -> float: ...
@overload
def per_period(annual: FloatArray, periods_per_year: float, name: str = ...) -> FloatArray: ...
def per_period(annual: float | FloatArray, periods_per_year: float, name: str = "risk_free") -> float | FloatArray:
    """Rate per period, (1 + annual)^(1 / periods_per_year) - 1, of a number or an array of rates checked before.

    Raises
    ------
    PortfolioError
        If the annual rate is not above -1, or the periods are not above 0.
    """
    periods = positive("periods_per_year", periods_per_year)
    if isinstance(annual, np.ndarray):
        return np.asarray(np.expm1(np.log1p(annual) / periods))
    return math.expm1(math.log1p(rate(name, annual)) / periods)


def radii_of(radius: Any) -> float | FloatArray:
    """Check radii: one number >= 0 for all scenarios, or an array of one each.

    Raises
    ------
    PortfolioError
    """
    if np.ndim(radius) == 0:
        return positive("radius", radius, zero=True)
    values = numbers("radius", radius).copy()
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise PortfolioError("radius must be a finite number >= 0, or one a scenario")
    return values


def by_asset(name: str, values: Any, assets: Sequence[Hashable], rest: float | None = None) -> FloatArray:
    """Numbers by asset in the order of the assets, shape (N,).

    Parameters
    ----------
    name : str
        Of the parameter, for messages.
    values : number, mapping or Series by ticker, or array-like of shape (N,)
        A number holds for every asset; in a mapping "*" stands for the tickers that are not named.
    assets : sequence of N labels
    rest : float, optional
        For tickers that are not named where there is no "*"; None asks for all.

    Raises
    ------
    PortfolioError
        Naming the tickers that are unknown or lack a number.
    """
    if hasattr(values, "items"):
        given = dict(values.items())
        rest = given.pop(REST, rest)
        unknown = [str(key) for key in given if key not in assets]
        lacking = [str(asset) for asset in assets if asset not in given] if rest is None else []
        if unknown or lacking:
            what = f"names {', '.join(unknown)}, not among the assets" if unknown else f"lacks {', '.join(lacking)}"
            raise PortfolioError(f"{name} {what}")
        values = [given.get(asset, rest) for asset in assets]
    array = numbers(name, values)
    if array.ndim == 0:
        array = np.full(len(assets), array)
    if array.shape != (len(assets),):
        raise PortfolioError(f"{name} must be {len(assets)} numbers, one an asset, got an array of shape {array.shape}")
    bad = ~np.isfinite(array) & (array != (np.nan if rest is None else rest))
    if bad.any():
        i = int(np.argmax(bad))
        raise PortfolioError(f"{name} of {assets[i]} must be a finite number, got {array[i]}")
    return array


def check_mean(values: Any, assets: Sequence[Hashable], name: str = "custom_mean") -> FloatArray:
    """Validate expected returns per period: (N,) numbers, or a Series labelled by asset.

    Raises
    ------
    DataError
    """
    return _finite(_labelled(values, assets, name), (len(assets),), name)


def check_covariance(values: Any, assets: Sequence[Hashable], name: str = "custom_cov") -> FloatArray:
    """Validate a covariance per period: symmetric positive semidefinite (N, N), or a frame labelled by asset.

    Raises
    ------
    DataError
        Also where the matrix is not symmetric, or has a negative eigenvalue beyond rounding.
    """
    count = len(assets)
    matrix = _finite(_labelled(values, assets, name), (count, count), name)
    scale = float(np.abs(matrix).max()) or 1.0
    if np.abs(matrix - matrix.T).max() > 1e-8 * scale:
        raise DataError(f"{name} is not symmetric")
    matrix = 0.5 * (matrix + matrix.T)
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -1e-10 * count * scale:
        raise DataError(f"{name} is not positive semidefinite (least eigenvalue {least:.2e})")
    return matrix


def _labelled(values: Any, assets: Sequence[Hashable], name: str) -> Any:
    """Bring a labelled mean or covariance into the order of the assets."""
    if not hasattr(values, "reindex") or (values.ndim == 1 and tuple(values.index) == tuple(assets)):
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
