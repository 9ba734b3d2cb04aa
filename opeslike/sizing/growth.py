"""Growth against leverage: the exact curve, its quadratic approximation and its marks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from opeslike import checks
from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray
from opeslike.sizing.empirical import excess_bounds, maximize_log, no_optimum
from opeslike.sizing.reading import Outcomes, read_outcomes

_FOLD = 16  # wealth factors multiplied before one logarithm is taken


@dataclass(frozen=True)
class GrowthCurve:
    """Log growth per period of constant leverages, rebalanced every period.

    Attributes
    ----------
    leverages : ndarray, shape (L,)
        Value held as a multiple of wealth; negative is short.
    growth : ndarray, shape (L,)
        Exact mean log growth per period; ``-inf`` at leverages that lose everything in some period.
    approximation : ndarray, shape (L,)
        Quadratic approximation by mean and variance, per period.
    optimum, optimum_growth : float
        The exact maximiser over all leverages and its growth per period.
    quadratic_optimum : float
        Maximiser of the approximation.
    zero_growth_leverage : float
        Largest leverage with zero growth; beyond it wealth shrinks. ``nan`` if growth is negative
        at every leverage (possible only under a negative rate).
    ruin_leverage : float
        Smallest positive leverage that loses everything in the worst period; ``inf`` without a
        loss.
    returns : ndarray, shape (T,)
        The sample.
    rate, borrow_rate : float
        Rates of cash and of borrowing per period.
    """

    leverages: FloatArray
    growth: FloatArray
    approximation: FloatArray
    optimum: float
    optimum_growth: float
    quadratic_optimum: float
    zero_growth_leverage: float
    ruin_leverage: float
    returns: FloatArray = field(repr=False)
    rate: float
    borrow_rate: float

    @property
    def marks(self) -> dict[str, float]:
        """Leverages worth a mark on a chart, by name; those that do not exist are left out."""
        names = ("half optimum", "optimum", "quadratic optimum", "zero growth", "ruin")
        best, ends = self.optimum, (self.zero_growth_leverage, self.ruin_leverage)
        marks = zip(names, (0.5 * best, best, self.quadratic_optimum, *ends), strict=True)
        return {name: value for name, value in marks if math.isfinite(value)}

    def at(self, leverage: ArrayLike) -> FloatArray:
        """Exact growth per period at any leverages, in their shape; PortfolioError unless they are finite."""
        wanted = checks.numbers("leverage", leverage)
        if not np.isfinite(wanted).all():
            raise PortfolioError(f"leverage must be finite, got {leverage!r}")
        return _growth(self.returns, wanted.ravel(), self.rate, self.borrow_rate).reshape(wanted.shape)

    def to_frame(self) -> pd.DataFrame:
        """Growth, approximation and final wealth (of 1 at the start) by leverage."""
        with np.errstate(over="ignore"):  # beyond the float range is inf, and says so
            wealth = np.exp(self.growth * len(self.returns))
        columns = {"growth": self.growth, "approximation": self.approximation, "final_wealth": wealth}
        return pd.DataFrame(columns, pd.Index(self.leverages, name="leverage"))


def growth_curve(
    returns: Outcomes,
    leverages: ArrayLike | None = None,
    risk_free: float = 0.0,
    borrow_spread: float = 0.0,
    periods_per_year: float = 252,
) -> GrowthCurve:
    r"""Exact growth of constant leverage over a sample, with financing.

    .. math::
        g(f) = \frac1T \sum_t \log\left(1 + f r_t + (1 - f)\, c(f)\right), \qquad
        c(f) = \begin{cases} r_f & f \le 1 \\ r_b & f > 1 \end{cases}

    and the approximation :math:`c(f) + f (m - c(f)) - \tfrac12 f^2 s^2` with the sample mean m
    and variance :math:`s^2` (``ddof=1``).

    Parameters
    ----------
    returns : Series or array_like, shape (T,)
        Simple returns per period, at least 2. NaN rows are dropped with a log message.
    leverages : array_like, shape (L,), optional
        Where to evaluate. 401 points from 0 (or the optimum, if that is short) to a little beyond
        zero growth where omitted.
    risk_free : float
        Annual rate earned by cash, the proceeds of a short sale included.
    borrow_spread : float
        Annual, >= 0: borrowing costs ``risk_free + borrow_spread``.
    periods_per_year : float
        Periods in a year; per period a rate is (1 + annual)^(1 / periods_per_year) - 1.

    Returns
    -------
    GrowthCurve

    Raises
    ------
    DataError
        Unusable returns, no variance, or no loss (or no gain) against the risk-free rate, so that
        no optimum exists.
    PortfolioError
        A parameter out of range.

    References
    ----------
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market",
    Handbook of Asset and Liability Management 1, 2006, sections 2 and 7.
    """
    values = read_outcomes(returns, "returns")
    rate = checks.per_period(risk_free, periods_per_year)
    spread = checks.number("borrow_spread", borrow_spread, low=0.0)
    borrow = checks.per_period(risk_free + spread, periods_per_year, "risk_free + borrow_spread")
    if len(values) < 2 or float(np.ptp(values)) == 0.0:
        raise DataError(f"returns: {len(values)} without variance; a growth curve needs both")
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    ruin = _ruin(values, rate, borrow)
    lending = _exact_optimum(values, rate)
    optimum = _kinked(lending, lending if spread == 0 else _exact_optimum(values, borrow))
    best = float(_growth(values, np.array([optimum]), rate, borrow)[0])
    zero = _zero_growth(values, optimum, best, ruin, rate, borrow)
    if leverages is None:
        end = min(0.999 * ruin, 1.15 * zero if zero > 0 else max(2.0 * abs(optimum), 1.0))
        points = np.linspace(min(0.0, 1.5 * optimum), end, 401)
    else:
        points = np.atleast_1d(checks.numbers("leverages", leverages))
        if points.ndim != 1 or not len(points) or not np.isfinite(points).all():
            raise PortfolioError("leverages must be one row of finite numbers")
    cost = np.where(points > 1.0, borrow, rate)
    growth = _growth(values, points, rate, borrow)
    approximation = cost + points * (mean - cost) - 0.5 * variance * points * points
    quadratic = _kinked((mean - rate) / variance, (mean - borrow) / variance)
    return GrowthCurve(points, growth, approximation, optimum, best, quadratic, zero, ruin, values, rate, borrow)


def _growth(values: FloatArray, leverages: FloatArray, rate: float, borrow: float) -> FloatArray:
    """Mean log wealth factor at each leverage, -inf where a factor is not positive."""
    out, starts = np.full(len(leverages), -math.inf), np.arange(0, len(values), _FOLD)
    for i, leverage in enumerate(leverages):
        factors = 1.0 + (1.0 - leverage) * (borrow if leverage > 1.0 else rate) + leverage * values
        low, high = factors.min(), factors.max()
        if low > 0:
            # A logarithm costs as much as a dozen products: it is taken of products that stay in the float range.
            folded = np.multiply.reduceat(factors, starts) if low > 1e-15 and high < 1e15 else factors
            out[i] = np.log(folded).sum() / len(values)
    return out


def _ruin(values: FloatArray, rate: float, borrow: float) -> float:
    """Smallest positive leverage at which the worst period's wealth factor is zero."""
    worst = float(values.min())
    unborrowed = (1.0 + rate) / (rate - worst) if worst < rate else math.inf
    if unborrowed <= 1.0:
        return unborrowed
    return (1.0 + borrow) / (borrow - worst) if worst < borrow else math.inf


def _exact_optimum(values: FloatArray, rate: float) -> float:
    """Maximiser of growth if cash and borrowing both have this rate; infinite without bound."""
    x = (values - rate) / (1.0 + rate)
    low, high = excess_bounds(x)
    if math.isinf(low) or math.isinf(high):
        return high if math.isinf(high) else low
    return maximize_log(x)[0]


def _kinked(lending: float, borrowing: float) -> float:
    """Maximiser of a concave curve that follows one rate below leverage 1 and another above."""
    best = lending if lending <= 1.0 else max(1.0, borrowing)
    if math.isinf(best):
        raise no_optimum("loss" if best > 0 else "gain")
    return best


def _zero_growth(values: FloatArray, optimum: float, best: float, ruin: float, rate: float, borrow: float) -> float:
    """Root of growth between the optimum and ruin, where it falls."""
    from scipy.optimize import brentq

    if best < 0:
        return math.nan
    if best == 0:
        return optimum

    def growth(f: float) -> float:
        return float(_growth(values, np.array([f]), rate, borrow)[0])

    # Growth falls to -inf at ruin, but only by the logarithm: come close step by step.
    for high in ruin - (ruin - optimum) * 0.5 ** np.arange(1.0, 61.0):
        if growth(high) < 0:
            return float(brentq(growth, optimum, high, xtol=1e-14, rtol=1e-14))
    return ruin  # the difference is below the resolution of a float
