"""Outcomes of one thing and returns of several, read and checked in one place."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from opeslike.errors import DataError
from opeslike.market import FloatArray, Panel, read_panel

Outcomes: TypeAlias = "pd.Series[float] | FloatArray | Sequence[float]"
Table: TypeAlias = "pd.DataFrame | FloatArray"

logger = logging.getLogger("opeslike.sizing")

# Returns computed from prices carry rounding of this size whatever their own size, so a smaller
# standard deviation (in units of 1 + |mean|) is a constant return, not a risk.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


def one_column(data: Any, what: str) -> Panel:
    """Values and labels of a series, of an array, or of the only column of a frame; rows may share a label."""
    labelled = isinstance(data, (pd.Series, pd.DataFrame))
    if isinstance(data, pd.Series) and data.dtype == bool:  # in or out of the market
        data = data.astype(np.float64)
    try:
        panel = read_panel(data.reset_index(drop=True) if labelled else data)
    except DataError as error:
        raise DataError(f"{what}: {error}") from error
    if len(panel.assets) != 1:
        raise DataError(f"{what}: one column is needed, got {len(panel.assets)}; choose one")
    return Panel(panel.values[:, 0], (what,), data.index if labelled else panel.index)


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


def read_table(returns: Outcomes | Table) -> Panel:
    """Read returns of one asset or several, shape (T, N), NaN kept; infinities are refused."""
    panel = read_panel(returns)
    refuse(np.isinf(panel.values), panel, "has an infinite value at", "remove or repair it")
    return panel


def refuse(bad: np.ndarray, panel: Panel, what: str, advice: str) -> None:
    """DataError naming asset and date of the first entry of ``panel`` that is bad."""
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"returns: {panel.assets[column]!r} {what} {panel.date(int(row))}; {advice}")
