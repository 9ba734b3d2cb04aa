"""Returns seen month by month, and ratios over a moving window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from opeslike.analysis.inputs import (
    Floats,
    Path,
    RateLike,
    SeriesLike,
    checked_periods,
    checked_returns,
    dated,
    rate_per_period,
)
from opeslike.errors import PortfolioError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def monthly_returns(returns: pd.Series[Any]) -> pd.DataFrame:
    """Compound return of each month, years by months, and of each year.

    Parameters
    ----------
    returns : Series, shape (T,)
        Simple returns per period, with a DatetimeIndex.

    Returns
    -------
    DataFrame, one row a year
        Columns Jan..Dec and Year: ``prod(1 + r) - 1`` over the periods dated in it, a fraction. The
        first and the last month count as far as they go; NaN where a month has no period.

    Raises
    ------
    DataError
        If the returns have no dates or cannot be used.
    """
    path = checked_returns(returns)
    dates = dated(path, "the monthly table")
    years, months = dates.year.to_numpy(), dates.month.to_numpy()
    rows = np.arange(years[0], years[-1] + 1)
    gross = np.ones((rows.size, 12))
    filled = np.zeros((rows.size, 12), dtype=bool)
    np.multiply.at(gross, (years - years[0], months - 1), 1.0 + path.values)
    filled[years - years[0], months - 1] = True
    table = pd.DataFrame(np.where(filled, gross - 1.0, np.nan), index=rows, columns=list(MONTHS))
    table["Year"] = np.where(filled.any(axis=1), gross.prod(axis=1) - 1.0, np.nan)
    table.index.name = "Year"
    return table


def rolling_volatility(returns: SeriesLike, window: int = 63, periods_per_year: float = 252) -> pd.Series[Any]:
    """Annual volatility over the last ``window`` periods.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.
    window : int
        Periods looked back on, 2 or more; at most T.
    periods_per_year : float
        Periods a year.

    Returns
    -------
    Series, shape (T,)
        ``std(r, ddof=1) * sqrt(periods_per_year)``; NaN in the first window - 1 periods.

    Raises
    ------
    DataError
        If the returns cannot be used.
    PortfolioError
        If ``window`` or ``periods_per_year`` is out of its range.
    """
    path, periods = checked_returns(returns), checked_periods(periods_per_year)
    _, std = _rolling_moments(path.values, path, window)
    return path.wrap(std * math.sqrt(periods), "volatility")


def rolling_sharpe(
    returns: SeriesLike,
    window: int = 126,
    risk_free: RateLike = 0.0,
    periods_per_year: float = 252,
) -> pd.Series[Any]:
    """Annual Sharpe ratio over the last ``window`` periods.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.
    window : int
        Periods looked back on, 2 or more; at most T.
    risk_free : float, Series or ndarray of shape (T,)
        Annual rate, a fraction.
    periods_per_year : float
        Periods a year.

    Returns
    -------
    Series, shape (T,)
        ``mean(x) / std(x, ddof=1) * sqrt(periods_per_year)``, x the excess returns; NaN in the
        first window - 1 periods and where a window has no variance.

    Raises
    ------
    DataError
        If the returns cannot be used.
    PortfolioError
        If ``window``, ``risk_free`` or ``periods_per_year`` is out of its range.
    """
    path, periods = checked_returns(returns), checked_periods(periods_per_year)
    excess = path.values - rate_per_period(risk_free, path, periods, "risk_free")
    mean, std = _rolling_moments(excess, path, window)
    # x / NaN is NaN without a warning, x / 0 is not.
    return path.wrap(mean / np.where(std > 0, std, np.nan) * math.sqrt(periods), "sharpe")


def _rolling_moments(values: Floats, path: Path, window: int) -> tuple[Floats, Floats]:
    """Mean and std (ddof 1) of each full window, NaN before the first.

    Each window is summed afresh: a running sum leaves noise of 1e-10 where the variance is zero,
    and a Sharpe ratio of millions after ruin.
    """
    if not 2 <= window <= values.size:
        raise PortfolioError(f"window must lie between 2 and the {values.size} periods given, got {window}")
    views = np.lib.stride_tricks.sliding_window_view(values, window)
    mean, std = np.full(values.size, np.nan), np.full(values.size, np.nan)
    mean[window - 1 :] = views.mean(axis=1)
    constant = views.max(axis=1) == views.min(axis=1)
    std[window - 1 :] = np.where(constant, 0.0, views.std(axis=1, ddof=1))
    return mean, std
