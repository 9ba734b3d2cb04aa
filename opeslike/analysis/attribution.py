"""Which asset earned what: contributions that add up to the portfolio's return."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.accounting.result import COSTS, FINANCING, LENDER
from opeslike.analysis.record import Floats, Record, SeriesLike, locate, per_step, record, table_of
from opeslike.checks import positive
from opeslike.errors import DataError

TOTAL = "total"


def step_contributions(
    weights: pd.DataFrame | npt.ArrayLike,
    asset_returns: pd.DataFrame | npt.ArrayLike,
    costs: SeriesLike | float = 0.0,
    financing: SeriesLike | float = 0.0,
) -> pd.DataFrame:
    """Contribution of each asset, of financing and of costs to the return of each step.

    A step pays its costs first, then grows: ``R_t = (1 - c_t) * (sum_i w_ti * r_ti + f_t) - c_t``. So
    asset i contributes ``(1 - c_t) * w_ti * r_ti``, financing ``(1 - c_t) * f_t`` and costs ``-c_t``. Where
    the sum is below -1 the rest is the lender's loss, which appears as a positive column.

    Parameters
    ----------
    weights : DataFrame or array, shape (T, N)
        Held during each step, as fractions of wealth after costs; the rest is cash.
    asset_returns : DataFrame or array, shape (T, N)
        Simple returns of the same steps; columns are matched by name where both are frames.
    costs : Series, array of shape (T,) or float
        Costs paid, as a fraction of wealth at the start of the step.
    financing : Series, array of shape (T,) or float
        Interest earned less interest and fees paid, as a fraction of wealth after costs.

    Returns
    -------
    DataFrame, shape (T, N + 2) or (T, N + 3)
        The assets, ``cash and financing``, ``costs`` and, where there was any, ``lender's loss``. Rows sum to
        the portfolio's return.

    Raises
    ------
    DataError
        If shapes, dates or tickers differ, a value is not finite (the ticker and date are named), or
        an asset bears the name of one of the other columns.
    """
    held, moved, index, names = _matched(weights, asset_returns)
    paid = per_step(costs, "costs", len(held))
    earned = per_step(financing, "financing", len(held))
    kept = 1.0 - paid
    parts = np.column_stack((held * moved * kept[:, None], earned * kept, -paid))
    labels = [*names, FINANCING, COSTS]
    # Beyond everything the lender pays.
    beyond = np.maximum(-1.0 - parts.sum(axis=1), 0.0)
    if beyond.any():
        parts, labels = np.column_stack((parts, beyond)), [*labels, LENDER]
    return pd.DataFrame(parts, index=index, columns=labels)


def contributions(
    weights: pd.DataFrame | npt.ArrayLike,
    asset_returns: pd.DataFrame | npt.ArrayLike,
    costs: SeriesLike | float = 0.0,
    financing: SeriesLike | float = 0.0,
    *,
    returns: SeriesLike | None = None,
    periods_per_year: float = 252,
) -> pd.DataFrame:
    """Average weight and contribution of each asset; they add up to the portfolio's return.

    Steps are linked by the path of wealth: the contribution of a step counts with the wealth at its
    start, ``sum_t W_{t-1} * c_ti`` with ``W_0 = 1``. That is the profit in money over the initial wealth, so
    the contributions of assets, financing and costs sum to the total return exactly, and none
    needs smoothing. The annual contribution is the total one scaled by annual return / total return,
    and sums to the compound annual return.

    Parameters
    ----------
    weights, asset_returns, costs, financing
        As :func:`step_contributions` takes them.
    returns : Series or array of shape (T,), optional
        The portfolio's returns, to be reproduced to 1e-10 a step.
    periods_per_year : float
        Periods a year.

    Returns
    -------
    DataFrame
        Rows: the assets, ``cash and financing``, ``costs``, ``lender's loss`` where there was one, ``total``.
        Columns: ``average_weight`` (mean over the steps; for financing that of cash, negative if
        borrowed), ``contribution`` and ``annual_contribution``, all fractions.

    Raises
    ------
    DataError
        As :func:`step_contributions`; and if the steps do not reproduce ``returns`` (the worst step
        is named).
    PortfolioError
        If ``periods_per_year`` is not above 0.
    """
    periods = positive("periods_per_year", periods_per_year)
    steps = step_contributions(weights, asset_returns, costs, financing)
    parts = steps.to_numpy()
    path = _reproduced(np.maximum(parts.sum(axis=1), -1.0), returns, steps.index)
    earned = path.wealth[:-1] @ parts
    total = float(earned.sum())
    scale = _annual_scale(float(path.wealth[-1]), total, len(parts) / periods)
    held = np.asarray(weights, dtype=np.float64).mean(axis=0)
    average = np.full(parts.shape[1], np.nan)
    average[: held.size], average[held.size] = held, 1.0 - held.sum()
    columns = {"average_weight": average, "contribution": earned, "annual_contribution": earned * scale}
    table = pd.DataFrame(columns, steps.columns)
    table.loc[TOTAL] = [float(np.nansum(average)), total, total * scale]
    return table


def _annual_scale(wealth: float, total: float, years: float) -> float:
    """Annual return over total return; its limit where the total is zero, 1 after ruin.

    Ruin is told by the wealth: the total of the parts may differ from -1 by rounding.
    """
    if wealth <= 0.0 or total <= -1.0:
        return 1.0
    growth = min(math.log1p(total) / years, 700.0)  # beyond it no float goes
    return math.expm1(growth) / total if total != 0.0 else 1.0 / years


def _reproduced(summed: Floats, returns: SeriesLike | None, index: pd.Index[Any]) -> Record:
    """The portfolio's record, which the parts must add up to."""
    path = record(summed if returns is None else returns)
    if path.values.size != summed.size:
        raise DataError(f"returns: {path.values.size} values for {summed.size} rows of weights")
    # After ruin there is nothing left to contribute to.
    error = np.where(path.wealth[:-1] > 0.0, np.abs(summed - path.values), 0.0)
    worst = int(np.argmax(error))
    if error[worst] > 1e-10:
        raise DataError(
            f"weights, asset returns, costs and financing give {summed[worst]:.12g} "
            f"{locate(index, worst)}, where the portfolio returned {path.values[worst]:.12g}; "
            "pass the weights held, and every cost and interest"
        )
    return path


def _matched(
    weights: pd.DataFrame | npt.ArrayLike, asset_returns: pd.DataFrame | npt.ArrayLike
) -> tuple[Floats, Floats, pd.Index[Any], list[str]]:
    if isinstance(weights, pd.DataFrame) and isinstance(asset_returns, pd.DataFrame):
        missing = [name for name in weights.columns if name not in asset_returns.columns]
        if missing:
            raise DataError(f"asset returns: no column for {missing[0]!r}")
        asset_returns = asset_returns[list(weights.columns)]
        if not asset_returns.index.equals(weights.index):
            raise DataError("weights and asset returns have different dates")
    held, index, names = table_of(weights, "weights")
    moved, other_index, other_names = table_of(asset_returns, "asset returns")
    if held.shape != moved.shape:
        raise DataError(f"weights of shape {held.shape}, asset returns of shape {moved.shape}")
    if index is None:
        index, names = other_index, other_names
    reserved = {FINANCING, COSTS, LENDER, TOTAL}.intersection(names)
    if reserved:
        raise DataError(f"an asset is called {reserved.pop()!r}, as a row of the table; rename it")
    return held, moved, pd.RangeIndex(len(held)) if index is None else index, names
