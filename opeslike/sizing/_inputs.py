"""What every sizing function asks of its arguments, checked in one place."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.errors import DataError, PortfolioError

FloatArray: TypeAlias = NDArray[np.float64]
Outcomes: TypeAlias = "pd.Series[float] | FloatArray | Sequence[float]"
Table: TypeAlias = "pd.DataFrame | FloatArray"
Seed: TypeAlias = int | np.random.Generator | None

logger = logging.getLogger("opeslike.sizing")

# Returns computed from prices carry rounding of this size whatever their own size, so a smaller
# standard deviation (in units of 1 + |mean|) is a constant return, not a risk.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


def check_number(
    name: str,
    value: float,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return ``value`` as a float if it is finite and in its range, else raise PortfolioError."""
    if np.ndim(value):
        raise PortfolioError(f"{name} must be one number, got {type(value).__name__} of shape {np.shape(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError) as exc:
        raise PortfolioError(f"{name} must be a number, got {value!r}") from exc
    below = number <= low if open_low else number < low
    above = number >= high if open_high else number > high
    if not math.isfinite(number) or below or above:
        left = ("(" if open_low or math.isinf(low) else "[") + (f"{low:g}")
        right = f"{high:g}" + (")" if open_high or math.isinf(high) else "]")
        raise PortfolioError(f"{name} must be a finite number in {left}, {right}, got {value!r}")
    return number


def check_count(name: str, value: int, *, low: int) -> int:
    """Return ``value`` as an int if it is a whole number >= low, else raise PortfolioError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise PortfolioError(f"{name} must be a whole number >= {low}, got {value!r}")
    return int(value)


def check_flag(name: str, value: bool) -> bool:
    """Return ``value`` if it is True or False, else raise PortfolioError."""
    if not isinstance(value, (bool, np.bool_)):
        raise PortfolioError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_array(name: str, values: object) -> FloatArray:
    """Return numbers as a float array of their shape, else raise PortfolioError."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise PortfolioError(f"{name} must be numbers, got {values!r}") from exc


def check_seed(seed: Seed) -> np.random.Generator:
    """Return the generator of a seed: a whole number >= 0, a generator itself, or None for fresh entropy."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else check_count("seed", seed, low=0))


def per_period_rate(annual: float, periods_per_year: float, name: str = "risk_free") -> float:
    """Rate per period, (1 + annual)^(1 / periods_per_year) - 1."""
    rate = check_number(name, annual, low=-1.0, open_low=True)
    periods = check_number("periods_per_year", periods_per_year, low=0.0, open_low=True)
    return math.expm1(math.log1p(rate) / periods)


def to_float_array(data: object, what: str) -> FloatArray:
    """Values of a pandas object, array or sequence as float64; object dtype is refused."""
    try:
        if isinstance(data, (pd.Series, pd.DataFrame)):
            dtypes = [data.dtype] if isinstance(data, pd.Series) else list(data.dtypes)
            for position, dtype in enumerate(dtypes):
                if not pd.api.types.is_numeric_dtype(dtype):
                    column = data.name if isinstance(data, pd.Series) else data.columns[position]
                    raise DataError(f"{what}: column {column!r} has dtype {dtype}; convert it to float")
            return data.to_numpy(dtype=np.float64, na_value=np.nan)
        array = np.asarray(data)
        if array.dtype.kind not in "iufb":
            raise DataError(f"{what}: dtype {array.dtype} is not numeric; convert it to float")
        return array.astype(np.float64)
    except (TypeError, ValueError) as exc:
        if isinstance(exc, DataError):
            raise
        raise DataError(f"{what}: cannot be read as numbers ({exc})") from exc


def label(index: pd.Index, position: int) -> str:
    """A row's label for an error message: the date where there is one, else the row number."""
    entry = index[position]
    if isinstance(entry, pd.Timestamp):
        return str(entry.date()) if entry == entry.normalize() else str(entry)
    return f"row {entry}"


def check_index(index: pd.Index, what: str) -> None:
    """Refuse duplicate and unsorted dates."""
    if index.has_duplicates:
        where = int(np.flatnonzero(index.duplicated())[0])
        raise DataError(f"{what}: {label(index, where)} occurs twice; keep one row a date")
    if not index.is_monotonic_increasing:
        raise DataError(f"{what}: dates are not in increasing order; call sort_index() first")


def one_column(data: Outcomes | pd.DataFrame, what: str) -> Outcomes:
    """Return the only column of a frame; anything else as it is."""
    if not isinstance(data, pd.DataFrame):
        return data
    if data.shape[1] != 1:
        raise DataError(f"{what}: one column is needed, got {data.shape[1]}; choose one")
    return data.iloc[:, 0]


def read_outcomes(outcomes: Outcomes, what: str = "outcomes") -> tuple[FloatArray, pd.Index]:
    """Read one column of outcomes: finite values without NaN, and their index.

    NaN rows are dropped with a log message; infinities, an empty or non-numeric input and more
    than one column are a DataError.
    """
    outcomes = one_column(outcomes, what)
    values = to_float_array(outcomes, what)
    if values.ndim != 1:
        raise DataError(f"{what}: one dimension is needed, got shape {values.shape}")
    index = outcomes.index if isinstance(outcomes, pd.Series) else pd.RangeIndex(len(values))
    if np.isinf(values).any():
        where = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(f"{what}: infinite value at {label(index, where)}; remove or repair it")
    missing = np.isnan(values)
    if missing.any():
        logger.info("%s: dropped %d of %d rows that are NaN", what, missing.sum(), len(values))
        values, index = values[~missing], index[~missing]
    if not len(values):
        raise DataError(f"{what}: no values left; at least one is needed")
    return values, index


def read_table(returns: Table, what: str = "returns") -> tuple[FloatArray, pd.Index, pd.Index]:
    """Read several columns: float values (NaN kept), row index, column index.

    Infinities, duplicate columns, an empty or non-numeric input are a DataError naming the culprit.
    """
    values = to_float_array(returns, what)
    index: pd.Index
    columns: pd.Index
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{what}: rows x assets are needed, got shape {values.shape}")
    if isinstance(returns, pd.DataFrame):
        index, columns = returns.index, returns.columns
    else:
        index, columns = (pd.RangeIndex(n) for n in values.shape)
    if columns.has_duplicates:
        twice = columns[columns.duplicated()][0]
        raise DataError(f"{what}: column {twice!r} occurs twice; keep one of them")
    if np.isinf(values).any():
        row, column = (int(found[0]) for found in np.nonzero(np.isinf(values)))
        raise DataError(f"{what}: infinite value of {columns[column]!r} at {label(index, row)}; remove or repair it")
    return values, index, columns


def complete_rows(values: FloatArray, columns: pd.Index, what: str) -> NDArray[np.bool_]:
    """Mask of the rows without NaN; a log message names the assets that cost rows."""
    missing = np.isnan(values)
    keep = np.logical_not(np.any(missing, axis=1))
    if not keep.all():
        cost = {str(columns[j]): int(n) for j, n in enumerate(missing.sum(axis=0)) if n}
        logger.info("%s: dropped %d rows with NaN (%s)", what, (~keep).sum(), cost)
    if not keep.any():
        raise DataError(f"{what}: every row has a NaN; drop the assets with no data")
    return np.asarray(keep, dtype=np.bool_)
