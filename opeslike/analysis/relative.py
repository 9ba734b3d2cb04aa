"""A strategy against its benchmark: figures over one span, and trailing tables of them.

Benchmarks are simple returns per period. Where both are dated Series the benchmark is matched by
date and must cover every date of the strategy; otherwise the lengths must agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from opeslike.analysis.metrics import annual_figures, sharpe_of, spread
from opeslike.analysis.record import RateLike, Record, SeriesLike, record
from opeslike.checks import positive
from opeslike.errors import PortfolioError

#: What the table shows of strategy and benchmark alike.
OWN = ("total_return", "annual_return", "annual_volatility", "sharpe", "max_drawdown")


def _pair(returns: SeriesLike, benchmark: SeriesLike) -> tuple[Record, Record]:
    """Both records, the benchmark's with the periods of the strategy."""
    path, other = record(returns), record(benchmark, "benchmark")
    matched = path.align(other, "benchmark")
    return path, other if matched is other.values else Record(matched, path.index, other.name)


def tracking_error(returns: SeriesLike, benchmark: SeriesLike, periods_per_year: float = 252) -> float:
    """Annual tracking error, ``std(r - b, ddof=1) * sqrt(periods_per_year)``; a fraction."""
    path, other = _pair(returns, benchmark)
    return spread(path.values - other.values) * math.sqrt(positive("periods_per_year", periods_per_year))


def information_ratio(returns: SeriesLike, benchmark: SeriesLike, periods_per_year: float = 252) -> float:
    """Annual information ratio, ``mean(r - b) / std(r - b, ddof=1) * sqrt(periods_per_year)``.

    NaN where the strategy is its benchmark. Source: Goodwin, *The information ratio* (1998).
    """
    path, other = _pair(returns, benchmark)
    return sharpe_of(path.values - other.values, positive("periods_per_year", periods_per_year))


def alpha_beta(
    returns: SeriesLike, benchmark: SeriesLike, risk_free: RateLike = 0.0, periods_per_year: float = 252
) -> tuple[float, float]:
    """Jensen's alpha (annual, arithmetic) and beta, by least squares on excess returns.

    ``beta = cov(x, y) / var(y)`` and ``alpha = periods_per_year * (mean(x) - beta * mean(y))`` with x, y
    the excess returns of the strategy and of the benchmark. Both NaN where the benchmark has no
    variance. Source: Jensen, *The performance of mutual funds* (1968).
    """
    path, other = _pair(returns, benchmark)
    periods = positive("periods_per_year", periods_per_year)
    rate = path.rates(risk_free, periods)
    own, theirs = path.values - rate, other.values - rate
    if not spread(theirs) > 0:
        return math.nan, math.nan
    centred = theirs - theirs.mean()
    beta = float(centred @ (own - own.mean()) / (centred @ centred))
    return periods * (float(own.mean()) - beta * float(theirs.mean())), beta


def correlation(returns: SeriesLike, benchmark: SeriesLike) -> float:
    """Pearson correlation of the returns, in [-1, 1]; NaN where either has no variance."""
    path, other = _pair(returns, benchmark)
    if not (spread(path.values) > 0 and spread(other.values) > 0):
        return math.nan
    a, b = path.values - path.values.mean(), other.values - other.values.mean()
    # Scaled first, so that tiny returns do not underflow when squared.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / math.sqrt(float((a @ a) * (b @ b))), -1.0, 1.0))


def capture_ratio(returns: SeriesLike, benchmark: SeriesLike, side: str = "up") -> float:
    """Geometric mean return over that of the benchmark, in the benchmark's up or down periods.

    Over the periods with b > 0 (``side="up"``) or b < 0 (``"down"``):
    ``(prod(1 + r) ** (1 / n) - 1) / (prod(1 + b) ** (1 / n) - 1)``. 1 is full capture; NaN where there
    is no such period. PortfolioError for another side. Source: Bacon, *Practical portfolio
    performance measurement and attribution* (2008), with geometric means.
    """
    if side not in ("up", "down"):
        raise PortfolioError(f'side must be "up" or "down", got {side!r}')
    path, other = _pair(returns, benchmark)
    chosen = other.values > 0 if side == "up" else other.values < 0
    if not chosen.any():
        return math.nan
    reference = math.expm1(Record(other.values[chosen]).log_growth)
    return math.expm1(Record(path.values[chosen]).log_growth) / reference if reference != 0.0 else math.nan


def relative_metrics(
    returns: SeriesLike, benchmark: SeriesLike, risk_free: RateLike = 0.0, periods_per_year: float = 252
) -> pd.Series[Any]:
    """Every figure of this module over the whole span.

    Parameters
    ----------
    returns, benchmark : array_like or Series, shape (T,)
        Simple returns per period.
    risk_free : float, Series or ndarray of shape (T,)
        Annual rate, a fraction.
    periods_per_year : float
        Periods a year.

    Returns
    -------
    Series of float, fractions
        ``total_return``, ``annual_return``, ``annual_volatility``, ``sharpe``, ``max_drawdown``, the
        benchmark's as ``benchmark_total_return`` and so on, ``excess_annual_return`` (difference of the two
        annual returns), ``tracking_error``, ``information_ratio``, ``alpha``, ``beta``, ``correlation``,
        ``up_capture``, ``down_capture``, ``win_rate`` (share of periods with r > b).

    Raises
    ------
    DataError
        If either series cannot be used, lengths differ or a date has no benchmark.
    PortfolioError
        If ``risk_free`` or ``periods_per_year`` is out of its range.
    """
    path, other = _pair(returns, benchmark)
    figures = _figures(path, other, risk_free, positive("periods_per_year", periods_per_year))
    return pd.Series(figures, dtype=float, name="relative")


def trailing(
    returns: SeriesLike,
    benchmark: SeriesLike | None = None,
    months: Sequence[int] = (1, 3, 6, 12),
    risk_free: RateLike = 0.0,
    periods_per_year: float = 252,
) -> pd.DataFrame:
    """The figures of :func:`relative_metrics` over the last 1, 3, 6 and 12 months, and over all.

    Parameters
    ----------
    returns : Series, shape (T,)
        Simple returns per period, with a DatetimeIndex.
    benchmark : array_like or Series, shape (T,), optional
        Simple returns per period. Without it only the strategy's own columns are there.
    months : sequence of int
        Calendar months looked back on from the last date.
    risk_free : float, Series or ndarray of shape (T,)
        Annual rate, a fraction.
    periods_per_year : float
        Periods a year.

    Returns
    -------
    DataFrame
        A row a span ("1m", "3m" … and "all"), a column a figure, fractions. A row is NaN where the
        history does not reach back far enough, give or take the longest step between two dates. Annual
        figures of a span under a year extrapolate it; read its total return instead.

    Raises
    ------
    DataError
        If the returns have no dates, either series cannot be used, or a date has no benchmark.
    PortfolioError
        If a number of months is below 1, or a rate is out of its range.
    """
    path = record(returns)
    dates = path.dates_for("the trailing table")
    other = None if benchmark is None else _pair(path, benchmark)[1]
    periods = positive("periods_per_year", periods_per_year)
    annual = path.annual_rates(risk_free)
    if any(count < 1 for count in months):
        raise PortfolioError(f"months must be 1 or more, got {tuple(months)}")
    # The first return began one step before its date.
    slack = pd.Timedelta(dates.to_series().diff().max()) if dates.size > 1 else pd.Timedelta(0)
    full = _figures(path, other, annual, periods)
    rows: dict[str, dict[str, float]] = {}
    for count in months:
        cut = dates[-1] - pd.DateOffset(months=int(count))
        first, row = int(dates.searchsorted(cut, side="right")), dict.fromkeys(full, math.nan)
        if dates[0] - slack <= cut:
            row = _figures(path.tail(first), other and other.tail(first), annual[first:], periods)
        rows[f"{count}m"] = row
    return pd.DataFrame.from_dict(rows | {"all": full}, orient="index", dtype=float)


def _figures(path: Record, other: Record | None, risk_free: RateLike, periods: float) -> dict[str, float]:
    own = _own(path, risk_free, periods)
    if other is None:
        return own
    theirs = _own(other, risk_free, periods)
    alpha, beta = alpha_beta(path, other, risk_free, periods)
    return {
        **own,
        **{f"benchmark_{key}": value for key, value in theirs.items()},
        "excess_annual_return": own["annual_return"] - theirs["annual_return"],
        "tracking_error": tracking_error(path, other, periods),
        "information_ratio": information_ratio(path, other, periods),
        "alpha": alpha,
        "beta": beta,
        "correlation": correlation(path, other),
        "up_capture": capture_ratio(path, other, "up"),
        "down_capture": capture_ratio(path, other, "down"),
        "win_rate": float(np.mean(path.values > other.values)),
    }


def _own(path: Record, risk_free: RateLike, periods: float) -> dict[str, float]:
    figures = annual_figures(path, risk_free, periods)
    return {key: figures[key] for key in OWN}
