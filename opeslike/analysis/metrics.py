"""Performance figures as pure functions of returns.

Per period unless a name says ``annual``; fractions unless said otherwise. :func:`opes_metrics` is the
exception: it keeps the keys, definitions and percentages of the OPES package, so that results can be
laid side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.analysis.attribution import contributions, step_contributions
from opeslike.analysis.drawdown import (
    describe_spells,
    drawdown_path,
    drawdown_table,
    drawdowns,
    episodes,
    max_drawdown,
    wealth,
)
from opeslike.analysis.inputs import (
    Floats,
    Path,
    RateLike,
    SeriesLike,
    as_floats,
    checked_periods,
    checked_returns,
    rate_per_period,
)
from opeslike.analysis.periods import monthly_returns, rolling_sharpe, rolling_volatility
from opeslike.analysis.ratios import (
    annual_growth,
    annual_return,
    annual_volatility,
    annualized,
    calmar_ratio,
    compound,
    conditional_value_at_risk,
    excess_kurtosis,
    mean_log,
    ratio,
    sharpe_of,
    sharpe_ratio,
    skewness,
    sortino_of,
    sortino_ratio,
    spread,
    tail_of,
    total_return,
    value_at_risk,
)
from opeslike.analysis.relative import (
    alpha_beta,
    capture_ratio,
    correlation,
    information_ratio,
    relative_metrics,
    tracking_error,
    trailing,
)
from opeslike.errors import DataError

__all__ = [
    "alpha_beta",
    "annual_growth",
    "annual_return",
    "annual_volatility",
    "calmar_ratio",
    "capture_ratio",
    "conditional_value_at_risk",
    "contributions",
    "correlation",
    "drawdown_table",
    "drawdowns",
    "excess_kurtosis",
    "information_ratio",
    "max_drawdown",
    "monthly_returns",
    "opes_metrics",
    "relative_metrics",
    "rolling_sharpe",
    "rolling_volatility",
    "sharpe_ratio",
    "skewness",
    "sortino_ratio",
    "step_contributions",
    "summary",
    "total_return",
    "tracking_error",
    "trailing",
    "value_at_risk",
    "wealth",
]


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
    values = checked_returns(returns).values
    mean, scale = float(values.mean()), spread(values, ddof=0)
    losses = values[values < 0]
    drop = drawdown_path(values)
    var, cvar = tail_of(values, 0.95)
    gained, lost = float(np.maximum(values, 0).sum()), -float(losses.sum())
    omega = gained / lost if lost > 0 else (math.inf if gained > 0 else math.nan)
    figures = {
        "sharpe": ratio(mean, scale),
        "sortino": ratio(mean, spread(losses, ddof=0) if losses.size else math.nan),
        "volatility": 100 * scale if scale > 0 else math.nan,
        "growth_rate": 100 * annualized(values, 1.0),
        "mean_return": 100 * mean,
        "total_return": 100 * compound(values),
        "max_drawdown": 100 * float(drop.max()),
        "mean_drawdown": 100 * float(drop.mean()),
        "ulcer_index": math.sqrt(float(np.mean(drop**2))),
        "var_95": 100 * var,
        "cvar_95": 100 * cvar,
        "skew": skewness(values),
        "kurtosis": excess_kurtosis(values),
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
    periods = checked_periods(periods_per_year)
    if log_returns:
        path, measured = _from_logs(returns)
    else:
        path = checked_returns(returns)
        measured = path.values
    rate = rate_per_period(risk_free, path, periods, "risk_free")
    excess = measured - (np.log1p(rate) if log_returns else rate)
    values = path.values
    growth = mean_log(values)
    cagr = annualized(values, periods)
    deepest = float(drawdown_path(values).max())
    total = compound(values)
    ends = (path.dates[0], path.dates[-1]) if path.dates is not None else (0, values.size - 1)
    figures: dict[str, Any] = {
        "return_kind": "log" if log_returns else "simple",
        "start": ends[0],
        "end": ends[1],
        "periods": values.size,
        "total_return": total,
        "final_wealth": 1.0 + total,
        "annual_return": cagr,
        "annual_growth": periods * growth,
        "annual_volatility": spread(measured) * math.sqrt(periods),
        "sharpe": sharpe_of(excess, periods),
        "sortino": sortino_of(excess, periods),
        "calmar": ratio(cagr, deepest),
        "max_drawdown": deepest,
        **_worst_spells(path, start),
        "best_period": float(values.max()),
        "worst_period": float(values.min()),
        "hit_ratio": float(np.mean(values > 0)),
    }
    if exposure is not None:
        figures |= _exposure(exposure, values.size)
    return pd.Series(figures, dtype=object, name="summary")


def _from_logs(returns: SeriesLike) -> tuple[Path, Floats]:
    logs = as_floats(returns, "log returns")
    infinite = np.flatnonzero(np.isneginf(logs))
    if infinite.size:
        raise DataError(f"log returns: minus infinity at position {infinite[0]} is ruin; pass simple returns")
    simple: npt.ArrayLike | pd.Series[Any] = np.expm1(logs)
    if isinstance(returns, pd.Series):
        simple = pd.Series(simple, index=returns.index)
    return checked_returns(simple, "log returns"), logs


def _worst_spells(path: Path, start: pd.Timestamp | str | None) -> dict[str, Any]:
    """Dates and length of the deepest spell below a peak, and the length of the longest."""
    spells = describe_spells(episodes(path), path, start)
    undated = path.dates is None
    if spells.empty:
        never = math.nan if undated else pd.NaT
        worst: dict[str, Any] = {"peak": never, "trough": never, "recovery": never}
        worst |= {"days": math.nan if undated else 0.0, "periods": 0}
        longest = worst
    else:
        deepest = int(np.argmax(spells["depth"]))
        worst = {str(key): spells[key].iloc[deepest] for key in spells.columns}
        longest = {"days": float(spells["days"].max()), "periods": int(spells["periods"].max())}
    return {
        **{f"max_drawdown_{key}": worst[key] for key in ("peak", "trough", "recovery")},
        "max_drawdown_days": worst["days"],
        "max_drawdown_periods": worst["periods"],
        "longest_drawdown_days": longest["days"],
        "longest_drawdown_periods": longest["periods"],
    }


def _exposure(exposure: SeriesLike | pd.DataFrame, length: int) -> dict[str, float]:
    held = as_floats(exposure, "exposure", ndim=np.ndim(exposure) if np.ndim(exposure) == 2 else 1)
    if len(held) != length:
        raise DataError(f"exposure: {len(held)} rows for {length} returns")
    if not np.isfinite(held).all():
        first = int(np.argmax(~np.isfinite(held.reshape(length, -1)).all(axis=1)))
        raise DataError(f"exposure: not finite at position {first}")
    table = held.reshape(length, -1)
    gross = np.abs(table).sum(axis=1)
    return {
        "time_in_market": float(np.mean(gross > 0)),
        "average_exposure": float(table.sum(axis=1).mean()),
        "average_gross": float(gross.mean()),
        "max_gross": float(gross.max()),
    }
