"""Outcomes of one thing and returns of several, read and checked in one place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from opeslike.errors import DataError
from opeslike.market import FloatArray, Panel

Outcomes: TypeAlias = "pd.Series[float] | FloatArray | Sequence[float]"
Table: TypeAlias = "pd.DataFrame | FloatArray"

logger = logging.getLogger("opeslike.sizing")

# Returns computed from prices carry rounding of this size whatever their own size, so a smaller
# standard deviation (in units of 1 + |mean|) is a constant return, not a risk.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


def to_float_array(data: object, what: str) -> FloatArray:
    """Values of a pandas object, array or sequence as float64; object dtype and text are refused."""
    if isinstance(data, (pd.Series, pd.DataFrame)):
        frame = data.to_frame() if isinstance(data, pd.Series) else data
        for column, dtype in frame.dtypes.items():
            if not pd.api.types.is_numeric_dtype(dtype):
                raise DataError(f"{what}: column {column!r} has dtype {dtype}; convert it to float")
        return data.to_numpy(dtype=np.float64, na_value=np.nan)
    try:
        array = np.asarray(data)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: cannot be read as numbers ({error})") from error
    if array.dtype.kind not in "iufb":
        raise DataError(f"{what}: dtype {array.dtype} is not numeric; convert it to float")
    return array.astype(np.float64)


def one_column(data: Outcomes | pd.DataFrame, what: str) -> Panel:
    """Values and labels of a series, or of the only column of a frame."""
    if isinstance(data, pd.DataFrame):
        if data.shape[1] != 1:
            raise DataError(f"{what}: one column is needed, got {data.shape[1]}; choose one")
        data = data.iloc[:, 0]
    values = to_float_array(data, what)
    if values.ndim != 1:
        raise DataError(f"{what}: one dimension is needed, got shape {values.shape}")
    index = data.index if isinstance(data, pd.Series) else pd.RangeIndex(len(values))
    return Panel(values, (what,), index)


def read_outcomes(outcomes: Outcomes | pd.DataFrame, what: str = "outcomes") -> FloatArray:
    """Read one column of outcomes: finite values without NaN, shape (T,).

    NaN rows are dropped with a log message; infinities, an empty or non-numeric input and more
    than one column are a DataError.
    """
    panel = one_column(outcomes, what)
    values = panel.values
    infinite, missing = np.isinf(values), np.isnan(values)
    if infinite.any():
        raise DataError(f"{what}: infinite value at {panel.date(int(infinite.argmax()))}; remove or repair it")
    if missing.any():
        logger.info("%s: dropped %d of %d rows that are NaN", what, missing.sum(), len(values))
        values = values[~missing]
    if not len(values):
        raise DataError(f"{what}: no values left; at least one is needed")
    return values


def read_table(returns: Table) -> Panel:
    """Read several columns of returns, NaN kept.

    Infinities, duplicate columns, an empty or non-numeric input are a DataError naming the culprit.
    """
    values = to_float_array(returns, "returns")
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"returns: rows x assets are needed, got shape {values.shape}")
    frame = returns if isinstance(returns, pd.DataFrame) else pd.DataFrame(values, copy=False)
    panel = Panel(values, tuple(frame.columns), frame.index)
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"returns: column {twice!r} occurs twice; keep one of them")
    refuse(np.isinf(values), panel, "has an infinite value at", "remove or repair it")
    return panel


def refuse(bad: np.ndarray, panel: Panel, what: str, advice: str) -> None:
    """DataError naming asset and date of the first entry of ``panel`` that is bad."""
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"returns: {panel.assets[column]!r} {what} {panel.date(int(row))}; {advice}")


def check_dates(panel: Panel, what: str) -> None:
    """Refuse duplicate and unsorted dates."""
    if panel.index.has_duplicates:
        twice = panel.date(int(panel.index.duplicated().argmax()))
        raise DataError(f"{what}: {twice} occurs twice; keep one row a date")
    if not panel.index.is_monotonic_increasing:
        raise DataError(f"{what}: dates are not in increasing order; call sort_index() first")


def complete_rows(panel: Panel, what: str) -> np.ndarray:
    """Numbers of the rows without NaN; a log message names the assets that cost rows."""
    missing = np.isnan(panel.values)
    rows = np.flatnonzero(~missing.any(axis=1))
    if len(rows) < len(missing):
        cost = {str(asset): int(n) for asset, n in zip(panel.assets, missing.sum(axis=0), strict=True) if n}
        logger.info("%s: dropped %d rows with NaN (%s)", what, len(missing) - len(rows), cost)
    if not len(rows):
        raise DataError(f"{what}: every row has a NaN; drop the assets with no data")
    return rows
