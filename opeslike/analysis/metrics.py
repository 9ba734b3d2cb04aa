"""Figures of one portfolio as pure functions of its returns.

Growth, risk and their ratios, one formula a function, annual by the square root of time. All take simple returns per
period, shape (T,), as fractions, and raise a DataError naming the date or position of a return that is NaN, infinite
or below -1. A quantity that its formula leaves undefined (no variance, no drawdown) is NaN. :func:`opes_metrics` keeps
the keys, definitions and percentages of the OPES package, so that results can be laid side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from opeslike.analysis.paths import spells
from opeslike.analysis.record import Floats, RateLike, Record, SeriesLike, as_floats, record, table_of
from opeslike.checks import positive
from opeslike.errors import DataError, PortfolioError


def opes_metrics(returns: SeriesLike) -> dict[str, float]:
    """The figures of OPES's ``get_metrics``, with its keys, definitions and units.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.

    Returns
    -------
    dict of str to float
        Rounded to five decimals; everything is per period. With ``W`` the wealth and
        ``d = 1 - W / running peak``:

        - ``sharpe``: mean(r) / std(r), std with ddof 0; NaN without variance
        - ``sortino``: mean(r) / std of the negative returns (ddof 0); NaN with fewer than two
        - ``volatility``: std(r), ddof 0, in percent; NaN without variance
        - ``growth_rate``: prod(1 + r) ** (1 / T) - 1, in percent
        - ``mean_return``: mean(r), in percent
        - ``total_return``: prod(1 + r) - 1, in percent
        - ``max_drawdown``, ``mean_drawdown``: of d, in percent, losses positive
        - ``ulcer_index``: sqrt(mean(d^2)), a fraction (Martin and McCann 1989)
        - ``var_95``: minus the 5% quantile of r, in percent
        - ``cvar_95``: minus the mean of the returns at or below that quantile, in percent
        - ``skew``, ``kurtosis``: biased; kurtosis in excess of 3; NaN without variance
        - ``omega_0``: sum of gains / sum of losses (Keating and Shadwick 2002); infinite without a
          loss, NaN with neither
        - ``hit_ratio``: share of periods with r > 0

    Raises
    ------
    DataError
        If a return is NaN, infinite or below -1 (named by date or position), or there is none.

    Notes
    -----
    Two differences from OPES: the peak of a drawdown starts at the initial wealth, so a loss in the
    first period counts, and a return that is not finite is an error, where OPES drops it.
    """
    path = record(returns)
    values, drop = path.values, path.drawdowns
    mean, scale = float(values.mean()), spread(values, ddof=0)
    losses = values[values < 0]
    var, cvar = tail_of(values, 0.95)
    gained, lost = float(np.maximum(values, 0).sum()), -float(losses.sum())
    omega = gained / lost if lost > 0 else (math.inf if gained > 0 else math.nan)
    figures = {
        "sharpe": ratio(mean, scale),
        "sortino": ratio(mean, spread(losses, ddof=0) if losses.size else math.nan),
        "volatility": 100 * scale if scale > 0 else math.nan,
        "growth_rate": 100 * path.annual_return(1.0),
        "mean_return": 100 * mean,
        "total_return": 100 * path.total_return,
        "max_drawdown": 100 * path.max_drawdown,
        "mean_drawdown": 100 * float(drop.mean()),
        "ulcer_index": math.sqrt(float(np.mean(drop**2))),
        "var_95": 100 * var,
        "cvar_95": 100 * cvar,
        "skew": skewness(path),
        "kurtosis": excess_kurtosis(path),
        "omega_0": omega,
        "hit_ratio": float(np.mean(values > 0)),
    }
    # Adding zero turns a rounded -0.0 into 0.0.
    return {key: round(float(value), 5) + 0.0 for key, value in figures.items()}


def summary(
    returns: SeriesLike,
    risk_free: RateLike = 0.0,
    periods_per_year: float = 252,
    log_returns: bool = False,
    exposure: SeriesLike | pd.DataFrame | None = None,
    start: pd.Timestamp | str | None = None,
) -> pd.Series[Any]:
    """The annual statistics of one strategy.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Returns per period: simple, or log returns with ``log_returns=True``.
    risk_free : float, Series or ndarray of shape (T,)
        Annual rate, a fraction (0.02 is 2%). A dated Series is filled forward.
    periods_per_year : float
        252 for daily stock prices, 365 for daily crypto, 52, 12.
    log_returns : bool
        Whether ``returns`` are log(1 + simple return). Then volatility, Sharpe and Sortino are those
        of the log returns (excess over log(1 + rate)); what follows from wealth is the same
        either way. ``np.log1p(r)`` turns simple returns into log returns.
    exposure : Series, array or DataFrame, optional
        What was held in each period: leverage of shape (T,), or weights of shape (T, N).
    start : date, optional
        The date of initial wealth, before the first return; dates a drawdown that begins there.

    Returns
    -------
    Series of dtype object, fractions unless said otherwise
        - ``return_kind``: "simple" or "log", as given
        - ``start``, ``end``, ``periods``: first and last date (or position), T
        - ``total_return``: prod(1 + r) - 1; ``final_wealth``: prod(1 + r)
        - ``annual_return``: prod(1 + r) ** (periods_per_year / T) - 1 (CAGR); -1 after ruin
        - ``annual_growth``: periods_per_year * mean(log(1 + r)); minus infinity after ruin
        - ``annual_volatility``: std(r, ddof=1) * sqrt(periods_per_year)
        - ``sharpe``, ``sortino``: annual, see :func:`sharpe_ratio`, :func:`sortino_ratio`
        - ``calmar``: annual_return / max_drawdown
        - ``max_drawdown``: largest fraction of a peak lost, the peak starting at initial wealth
        - ``max_drawdown_peak``, ``_trough``, ``_recovery``: its dates, NaT if not recovered
          (positions in the wealth path where there are no dates)
        - ``max_drawdown_days``: calendar days from its peak to its recovery, or to the end
        - ``max_drawdown_periods``: the same in periods
        - ``longest_drawdown_days``, ``longest_drawdown_periods``: of the longest spell below a peak
        - ``best_period``, ``worst_period``, ``hit_ratio``
        - with ``exposure``: ``time_in_market`` (share of periods with any position),
          ``average_exposure`` (mean net exposure), ``average_gross`` (mean of sum |w|),
          ``max_gross``

    Raises
    ------
    DataError
        If a return is NaN, infinite or below -1 (named by date or position), there is none, the
        rates do not cover the dates, or ``exposure`` has another length. A log return of minus
        infinity is ruin, which log statistics cannot describe: pass simple returns.
    PortfolioError
        If ``periods_per_year``, ``risk_free`` or ``start`` is out of its range.
    """
    path, logs = _from_logs(returns) if log_returns else (record(returns), None)
    values = path.values
    ends = (path.dates[0], path.dates[-1]) if path.dates is not None else (0, values.size - 1)
    figures: dict[str, Any] = {
        **{"return_kind": "log" if log_returns else "simple", "start": ends[0], "end": ends[1], "periods": values.size},
        **annual_figures(path, risk_free, positive("periods_per_year", periods_per_year), logs),
        **_worst_spells(path, start),
        **{"best_period": float(values.max()), "worst_period": float(values.min())},
        "hit_ratio": float(np.mean(values > 0)),
    }
    if exposure is not None:
        figures |= _exposure(exposure, values.size)
    return pd.Series(figures, dtype=object, name="summary")


def annual_figures(path: Record, risk_free: RateLike, periods: float, logs: Floats | None = None) -> dict[str, float]:
    """The figures that :func:`summary` and the tables of strategies share; with log returns the ratios are theirs."""
    rate = path.rates(risk_free, periods)
    measured, rate = (path.values, rate) if logs is None else (logs, np.log1p(rate))
    annual = path.annual_return(periods)
    return {
        "total_return": path.total_return,
        "final_wealth": 1.0 + path.total_return,
        "annual_return": annual,
        "annual_growth": periods * path.log_growth,
        "annual_volatility": spread(measured) * math.sqrt(periods),
        "sharpe": sharpe_of(measured - rate, periods),
        "sortino": sortino_of(measured - rate, periods),
        "calmar": ratio(annual, path.max_drawdown),
        "max_drawdown": path.max_drawdown,
    }


def _from_logs(returns: SeriesLike) -> tuple[Record, Floats]:
    logs = as_floats(returns, "log returns")
    infinite = np.flatnonzero(np.isneginf(logs))
    if infinite.size:
        raise DataError(f"log returns: minus infinity at position {infinite[0]} is ruin; pass simple returns")
    simple = np.expm1(logs)
    return record(pd.Series(simple, returns.index) if isinstance(returns, pd.Series) else simple, "log returns"), logs


def _worst_spells(path: Record, start: pd.Timestamp | str | None) -> dict[str, Any]:
    """Dates and length of the deepest spell below a peak, and the length of the longest."""
    found, undated = spells(path, start), path.dates is None
    if found.empty:
        never = math.nan if undated else pd.NaT
        worst: dict[str, Any] = dict.fromkeys(("peak", "trough", "recovery"), never)
        worst |= {"days": math.nan if undated else 0.0, "periods": 0}
        longest = worst
    else:
        worst = {key: found[key].iloc[int(np.argmax(found["depth"]))] for key in found.columns}
        longest = {"days": float(found["days"].max()), "periods": int(found["periods"].max())}
    return {
        **{f"max_drawdown_{key}": worst[key] for key in ("peak", "trough", "recovery", "days", "periods")},
        **{f"longest_drawdown_{key}": longest[key] for key in ("days", "periods")},
    }


def _exposure(exposure: Any, length: int) -> dict[str, float]:
    table, _, _ = table_of(exposure if np.ndim(exposure) == 2 else np.reshape(exposure, (-1, 1)), "exposure")
    if len(table) != length:
        raise DataError(f"exposure: {len(table)} rows for {length} returns")
    gross = np.abs(table).sum(axis=1)
    return {
        "time_in_market": float(np.mean(gross > 0)),
        "average_exposure": float(table.sum(axis=1).mean()),
        "average_gross": float(gross.mean()),
        "max_gross": float(gross.max()),
    }


def spread(values: Floats, ddof: int = 1) -> float:
    """Standard deviation, exactly 0 for a constant, NaN for too few values."""
    if values.size <= ddof:
        return math.nan
    if values.min() == values.max():
        return 0.0
    return float(values.std(ddof=ddof))


def ratio(numerator: float, denominator: float) -> float:
    """``numerator / denominator``, NaN unless the denominator is above zero."""
    return numerator / denominator if denominator > 0 else math.nan


def sharpe_of(excess: Floats, periods: float) -> float:
    """Annual Sharpe ratio of excess returns per period."""
    return ratio(float(excess.mean()), spread(excess)) * math.sqrt(periods)


def sortino_of(excess: Floats, periods: float) -> float:
    """Annual Sortino ratio of excess returns per period."""
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    return ratio(float(excess.mean()), downside) * math.sqrt(periods)


def tail_of(values: Floats, confidence: float) -> tuple[float, float]:
    """Value at risk and conditional value at risk, both as losses per period."""
    if not 0.0 < confidence < 1.0:
        raise PortfolioError(f"confidence must lie strictly between 0 and 1, got {confidence}")
    quantile = float(np.quantile(values, 1.0 - confidence))
    return -quantile, -float(values[values <= quantile].mean())


def total_return(returns: SeriesLike) -> float:
    """Total return, ``prod(1 + r) - 1``; a fraction, -1 after ruin."""
    return record(returns).total_return


def annual_return(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Compound annual growth rate, ``prod(1 + r) ** (periods_per_year / T) - 1``.

    A fraction a year; -1 after ruin. The years are T / periods_per_year, not calendar years.
    """
    return record(returns).annual_return(positive("periods_per_year", periods_per_year))


def annual_growth(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Log growth a year, ``periods_per_year * mean(log(1 + r))``; minus infinity after ruin.

    What the Kelly criterion maximises. Source: Kelly, *A new interpretation of information rate*
    (1956).
    """
    return positive("periods_per_year", periods_per_year) * record(returns).log_growth


def annual_volatility(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Standard deviation a year, ``std(r, ddof=1) * sqrt(periods_per_year)``; a fraction.

    NaN for a single period.
    """
    return spread(record(returns).values) * math.sqrt(positive("periods_per_year", periods_per_year))


def sharpe_ratio(returns: SeriesLike, risk_free: RateLike = 0.0, periods_per_year: float = 252) -> float:
    """Annual Sharpe ratio, ``mean(x) / std(x, ddof=1) * sqrt(periods_per_year)``.

    ``x = r - risk_free``, per period. ``risk_free`` is annual: a number, or a dated Series filled
    forward. Source: Sharpe, *The Sharpe ratio* (1994).
    """
    path, periods = record(returns), positive("periods_per_year", periods_per_year)
    return sharpe_of(path.values - path.rates(risk_free, periods), periods)


def sortino_ratio(returns: SeriesLike, risk_free: RateLike = 0.0, periods_per_year: float = 252) -> float:
    """Annual Sortino ratio, ``mean(x) / sqrt(mean(min(x, 0)^2)) * sqrt(periods_per_year)``.

    ``x = r - risk_free``, per period, so the rate is also the target. Source: Sortino and van der
    Meer, *Downside risk* (1991). (:func:`opes_metrics` divides by the standard deviation of the
    negative returns instead.)
    """
    path, periods = record(returns), positive("periods_per_year", periods_per_year)
    return sortino_of(path.values - path.rates(risk_free, periods), periods)


def calmar_ratio(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Compound annual growth rate over maximum drawdown, both over the whole sample.

    Source: Young, *Calmar ratio: a smoother tool* (1991), there over 36 months.
    """
    path = record(returns)
    return ratio(path.annual_return(positive("periods_per_year", periods_per_year)), path.max_drawdown)


def max_drawdown(returns: SeriesLike) -> float:
    """Largest fraction of a peak lost, the maximum of :func:`~opeslike.analysis.paths.drawdowns`.

    Source: Magdon-Ismail and Atiya, *Maximum drawdown* (2004).
    """
    return record(returns).max_drawdown


def value_at_risk(returns: SeriesLike, confidence: float = 0.95) -> float:
    """Historical value at risk, minus the (1 - confidence) quantile; a loss per period.

    The quantile is interpolated linearly. PortfolioError unless 0 < confidence < 1.
    """
    return tail_of(record(returns).values, confidence)[0]


def conditional_value_at_risk(returns: SeriesLike, confidence: float = 0.95) -> float:
    """Minus the mean of the returns at or below the value at risk; a loss per period.

    Source: Rockafellar and Uryasev, *Optimization of conditional value-at-risk* (2000), as the plain
    mean of the tail. PortfolioError unless 0 < confidence < 1.
    """
    return tail_of(record(returns).values, confidence)[1]


def skewness(returns: SeriesLike) -> float:
    """Third standardised moment, ``m3 / m2 ** 1.5`` (biased); NaN for constant returns."""
    return _moment(record(returns).values, 3)


def excess_kurtosis(returns: SeriesLike) -> float:
    """Fourth standardised moment less 3, ``m4 / m2 ** 2 - 3`` (biased); NaN if constant."""
    return _moment(record(returns).values, 4) - 3.0


def _moment(values: Floats, order: int) -> float:
    scale = spread(values, ddof=0)
    if not scale > 0:
        return math.nan
    return float(np.mean(((values - values.mean()) / scale) ** order))
