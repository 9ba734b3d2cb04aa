"""Growth, risk and their ratios: one formula a function, annual by the square root of time.

All take simple returns per period, shape (T,), as fractions, and raise a DataError naming the date
or position of a return that is NaN, infinite or below -1. A quantity that its formula leaves
undefined (no variance, no drawdown) is NaN.
"""

from __future__ import annotations

import math

import numpy as np

from opeslike.analysis.drawdown import drawdown_path, wealth_path
from opeslike.analysis.inputs import (
    Floats,
    RateLike,
    SeriesLike,
    checked_periods,
    checked_returns,
    rate_per_period,
)
from opeslike.errors import PortfolioError


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


def mean_log(values: Floats) -> float:
    """Mean of log(1 + r), minus infinity after ruin."""
    return -math.inf if values.min() <= -1.0 else float(np.log1p(values).mean())


def compound(values: Floats) -> float:
    """Total return of a path of simple returns."""
    return float(wealth_path(values)[-1]) - 1.0


def annualized(values: Floats, periods: float) -> float:
    """Constant annual return with the same final wealth; -1 after ruin, infinite beyond the float range."""
    growth = periods * mean_log(values)
    return math.expm1(growth) if growth < 709.0 else math.inf


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
    return compound(checked_returns(returns).values)


def annual_return(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Compound annual growth rate, ``prod(1 + r) ** (periods_per_year / T) - 1``.

    A fraction a year; -1 after ruin. The years are T / periods_per_year, not calendar years.
    """
    return annualized(checked_returns(returns).values, checked_periods(periods_per_year))


def annual_growth(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Log growth a year, ``periods_per_year * mean(log(1 + r))``; minus infinity after ruin.

    What the Kelly criterion maximises. Source: Kelly, *A new interpretation of information rate*
    (1956).
    """
    return checked_periods(periods_per_year) * mean_log(checked_returns(returns).values)


def annual_volatility(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Standard deviation a year, ``std(r, ddof=1) * sqrt(periods_per_year)``; a fraction.

    NaN for a single period.
    """
    return spread(checked_returns(returns).values) * math.sqrt(checked_periods(periods_per_year))


def sharpe_ratio(returns: SeriesLike, risk_free: RateLike = 0.0, periods_per_year: float = 252) -> float:
    """Annual Sharpe ratio, ``mean(x) / std(x, ddof=1) * sqrt(periods_per_year)``.

    ``x = r - risk_free``, per period. ``risk_free`` is annual: a number, or a dated Series filled
    forward. Source: Sharpe, *The Sharpe ratio* (1994).
    """
    path, periods = checked_returns(returns), checked_periods(periods_per_year)
    return sharpe_of(path.values - rate_per_period(risk_free, path, periods, "risk_free"), periods)


def sortino_ratio(returns: SeriesLike, risk_free: RateLike = 0.0, periods_per_year: float = 252) -> float:
    """Annual Sortino ratio, ``mean(x) / sqrt(mean(min(x, 0)^2)) * sqrt(periods_per_year)``.

    ``x = r - risk_free``, per period, so the rate is also the target. Source: Sortino and van der
    Meer, *Downside risk* (1991). (:func:`opes_metrics` divides by the standard deviation of the
    negative returns instead.)
    """
    path, periods = checked_returns(returns), checked_periods(periods_per_year)
    return sortino_of(path.values - rate_per_period(risk_free, path, periods, "risk_free"), periods)


def calmar_ratio(returns: SeriesLike, periods_per_year: float = 252) -> float:
    """Compound annual growth rate over maximum drawdown, both over the whole sample.

    Source: Young, *Calmar ratio: a smoother tool* (1991), there over 36 months.
    """
    values = checked_returns(returns).values
    return ratio(annualized(values, checked_periods(periods_per_year)), float(drawdown_path(values).max()))


def value_at_risk(returns: SeriesLike, confidence: float = 0.95) -> float:
    """Historical value at risk, minus the (1 - confidence) quantile; a loss per period.

    The quantile is interpolated linearly. PortfolioError unless 0 < confidence < 1.
    """
    return tail_of(checked_returns(returns).values, confidence)[0]


def conditional_value_at_risk(returns: SeriesLike, confidence: float = 0.95) -> float:
    """Minus the mean of the returns at or below the value at risk; a loss per period.

    Source: Rockafellar and Uryasev, *Optimization of conditional value-at-risk* (2000), as the plain
    mean of the tail. PortfolioError unless 0 < confidence < 1.
    """
    return tail_of(checked_returns(returns).values, confidence)[1]


def skewness(returns: SeriesLike) -> float:
    """Third standardised moment, ``m3 / m2 ** 1.5`` (biased); NaN for constant returns."""
    return _moment(checked_returns(returns).values, 3)


def excess_kurtosis(returns: SeriesLike) -> float:
    """Fourth standardised moment less 3, ``m4 / m2 ** 2 - 3`` (biased); NaN if constant."""
    return _moment(checked_returns(returns).values, 4) - 3.0


def _moment(values: Floats, order: int) -> float:
    scale = spread(values, ddof=0)
    if not scale > 0:
        return math.nan
    return float(np.mean(((values - values.mean()) / scale) ** order))
