"""Returns seen as a path: wealth, what was lost of it, months, and figures over a moving window."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.analysis.record import Floats, RateLike, Record, SeriesLike, locate, record
from opeslike.checks import positive
from opeslike.errors import PortfolioError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@overload
def wealth(returns: pd.Series[Any], initial: float = ...) -> pd.Series[Any]: ...
@overload
def wealth(returns: npt.ArrayLike, initial: float = ...) -> Floats: ...
def wealth(returns: SeriesLike, initial: float = 1.0) -> pd.Series[Any] | Floats:
    """Wealth after each period, ``initial * prod(1 + r)``.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period. After a return of -1 wealth stays 0.
    initial : float
        Wealth before the first period, in money or 1.

    Returns
    -------
    Series or ndarray of shape (T,)
        As the input; in the unit of ``initial``.

    Raises
    ------
    DataError
        If a return is NaN, infinite or below -1, or there is none.
    PortfolioError
        If ``initial`` is not a finite number above 0.
    """
    path = record(returns)
    values = positive("initial wealth", initial) * path.wealth[1:]
    return path.wrap(values, "wealth") if isinstance(returns, pd.Series) else values


@overload
def drawdowns(returns: pd.Series[Any]) -> pd.Series[Any]: ...
@overload
def drawdowns(returns: npt.ArrayLike) -> Floats: ...
def drawdowns(returns: SeriesLike) -> pd.Series[Any] | Floats:
    """Fraction of the peak lost, ``1 - W_t / max(1, W_1 .. W_t)``, in [0, 1].

    The peak starts at initial wealth, so a loss in the first period counts.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.

    Returns
    -------
    Series or ndarray of shape (T,)
        As the input; 0.25 is a quarter below the peak, 1 is ruin.

    Raises
    ------
    DataError
        If a return is NaN, infinite or below -1, or there is none.
    """
    path = record(returns)
    return path.wrap(path.drawdowns, "drawdown") if isinstance(returns, pd.Series) else path.drawdowns.copy()


def drawdown_table(returns: SeriesLike, top: int = 5, start: pd.Timestamp | str | None = None) -> pd.DataFrame:
    """The worst spells below a peak, deepest first.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.
    top : int
        How many spells at most.
    start : date, optional
        The date of initial wealth, before the first return. Without it a spell that begins there
        is dated by the first return.

    Returns
    -------
    DataFrame
        Columns ``depth`` (fraction of the peak), ``peak``, ``trough``, ``recovery`` (NaT where
        the peak was not reached again), ``days`` and ``periods`` from the peak to the recovery, or
        to the end where there is none. Without dates, ``peak``, ``trough`` and ``recovery`` are
        positions in the wealth path (0 is before the first period, NaN for no recovery) and
        ``days`` is NaN.

    Raises
    ------
    DataError
        If the returns cannot be used.
    PortfolioError
        If ``top`` is below 1 or ``start`` is after the first return.
    """
    if top < 1:
        raise PortfolioError(f"top must be 1 or more, got {top}")
    deepest_first = spells(record(returns), start).sort_values("depth", ascending=False, kind="stable")
    return deepest_first.head(top).reset_index(drop=True)


def spells(path: Record, start: pd.Timestamp | str | None = None) -> pd.DataFrame:
    """Every spell below a peak in order of time, with the columns of :func:`drawdown_table`."""
    drop = np.concatenate(([0.0], path.drawdowns))
    edges = np.flatnonzero(np.diff(np.concatenate((drop > 0.0, [False])).astype(np.int8)))
    peak, last = edges[::2], edges[1::2]
    pairs = zip(peak, last, strict=True)
    trough = np.array([a + int(np.argmax(drop[a : b + 1])) for a, b in pairs], dtype=np.int64)
    unfinished = last >= path.values.size
    end = np.where(unfinished, last, last + 1)
    table: dict[str, Any] = {"depth": drop[trough]}
    stamps = _stamps(path, None if start is None else pd.Timestamp(start))
    if stamps is None:
        recovery = np.where(unfinished, np.nan, end)
        table |= {"peak": peak, "trough": trough, "recovery": recovery, "days": np.full(peak.size, np.nan)}
    else:
        table |= {"peak": stamps[peak], "trough": stamps[trough], "recovery": stamps[end].where(~unfinished)}
        table["days"] = (stamps[end] - stamps[peak]).days.to_numpy(dtype=np.float64)
    return pd.DataFrame(table | {"periods": end - peak})


def _stamps(path: Record, start: pd.Timestamp | None) -> pd.DatetimeIndex | None:
    """The date of each position of the wealth path, or None where the returns have none."""
    if path.dates is None:
        return None
    if start is None:
        start = path.dates[0]
    elif (start.tz is None) != (path.dates.tz is None) or start > path.dates[0]:
        raise PortfolioError(
            f"start {start} must be a date no later than the first return ({locate(path.index, 0)}), "
            "with a time zone only where the returns have one"
        )
    return pd.DatetimeIndex(pd.DatetimeIndex([start]).append(path.dates))


def monthly_returns(returns: SeriesLike) -> pd.DataFrame:
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
    path = record(returns)
    dates = path.dates_for("the monthly table")
    long = pd.DataFrame({"gross": 1.0 + path.values, "Year": dates.year, "month": dates.month})
    gross = long.pivot_table("gross", "Year", "month", aggfunc="prod")
    years = pd.RangeIndex(dates[0].year, dates[-1].year + 1, name="Year")
    table = gross.reindex(index=years, columns=range(1, 13)).set_axis(list(MONTHS), axis=1)
    return (table.assign(Year=table.prod(axis=1, min_count=1)) - 1.0).rename_axis(columns=None)


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
    path, periods = record(returns), positive("periods_per_year", periods_per_year)
    return path.wrap(_rolling_moments(path.values, window)[1] * math.sqrt(periods), "volatility")


def rolling_sharpe(
    returns: SeriesLike, window: int = 126, risk_free: RateLike = 0.0, periods_per_year: float = 252
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
    path, periods = record(returns), positive("periods_per_year", periods_per_year)
    mean, std = _rolling_moments(path.values - path.rates(risk_free, periods), window)
    # x / NaN is NaN without a warning, x / 0 is not.
    return path.wrap(mean / np.where(std > 0, std, np.nan) * math.sqrt(periods), "sharpe")


def _rolling_moments(values: Floats, window: int) -> tuple[Floats, Floats]:
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
