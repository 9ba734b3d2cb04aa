r"""Empirical Kelly: the exact maximiser of mean log wealth over a sample.

With :math:`x_t = (r_t - r_f) / (1 + r_f)` the growth is :math:`\log(1 + r_f) + h(f)`,
:math:`h(f) = \frac1T \sum_t \log(1 + f' x_t)`. -T h is a self-concordant function: one Newton
decrement below 1 proves that the maximum exists, and bounds the distance to it in value. That bound
is the certificate; it holds whatever the iterations did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike import checks
from opeslike.errors import DataError, OptimizationError, PortfolioError
from opeslike.market import FloatArray, drop_missing
from opeslike.sizing.reading import Outcomes, Table, read_outcomes, read_table

_NEWTON_TOLERANCE = 1e-9  # on the Newton decrement, which then squares in the last step
_ITERATIONS = 100
_EXACT: dict[str, Any] = {"xtol": 1e-300, "rtol": 4 * np.finfo(np.float64).eps, "maxiter": 1000}  # to the last digits


@dataclass(frozen=True)
class EmpiricalSolution:
    """Optimal leverage over a sample, with its proof.

    Attributes
    ----------
    leverage : ndarray, shape (N,)
        Value held of each asset as a multiple of wealth; the rest is cash, or borrowed.
    assets : tuple of str
        Names of the columns.
    growth : float
        Mean log growth per period at that leverage, risk-free part included.
    gap : float
        Upper bound of the growth still missing to the maximum, per period.
    ruin_multiple : float
        Holding this multiple of ``leverage`` loses everything in the worst period of the sample
        (``inf`` where the position has no loss).
    iterations : int
        Newton steps taken.
    """

    leverage: FloatArray
    assets: tuple[str, ...]
    growth: float
    gap: float
    ruin_multiple: float
    iterations: int

    def to_series(self) -> pd.Series[float]:
        """Leverages labelled by asset."""
        return pd.Series(self.leverage, index=list(self.assets), name="leverage")


def maximize_log(x: FloatArray) -> tuple[float, float, int]:
    """Maximise mean log(1 + f x) over real f, for an ``x`` with gains and losses.

    Brent's method on the derivative. At the optimum the mean of 1 / wealth is 1, so no scenario's wealth is below
    1 / T: that brackets its root.

    Returns the maximiser, the certified gap and the number of steps.
    """
    from scipy.optimize import brentq

    scale, size = float(np.abs(x).max()), len(x)
    y, margin = x / scale, 1.0 - 0.5 / size
    bracket = -margin / float(y.max()), -margin / float(y.min())
    f, found = brentq(lambda f: (y / (1.0 + f * y)).mean(), *bracket, **_EXACT, full_output=True)
    ratio = y / (1.0 + f * y)
    decrement = abs(float(ratio.mean())) * math.sqrt(size / float(np.mean(ratio * ratio)))
    return f / scale, _concordant_gap(decrement, size), found.iterations


def ruin_bounds(returns: Outcomes, risk_free: float = 0.0, periods_per_year: float = 252) -> tuple[float, float]:
    """Leverages between which wealth stays positive in every period of the sample.

    Parameters
    ----------
    returns : Series or array_like, shape (T,)
        Simple returns per period.
    risk_free : float
        Annual rate earned by cash and paid for borrowing.
    periods_per_year : float
        Periods in a year.

    Returns
    -------
    (float, float)
        Lower and upper bound, both excluded: at the bound one period loses everything. ``-inf`` or
        ``inf`` where no period bounds that side.

    Raises
    ------
    DataError, PortfolioError
        Unusable returns; rate not above -1.
    """
    values = read_outcomes(returns, "returns")
    return excess_bounds(_excess(values, checks.per_period(risk_free, periods_per_year)))


def no_optimum(side: str, what: str = "returns") -> DataError:
    """Error of a sample without any loss, or without any gain."""
    return DataError(f"{what}: no {side} against cash, so growth has no maximum; use more rows or set max_leverage")


def excess_bounds(x: FloatArray) -> tuple[float, float]:
    """Open interval of f on which 1 + f x > 0 for every x."""
    best, worst = float(x.max()), float(x.min())
    return (-1.0 / best if best > 0 else -math.inf), (-1.0 / worst if worst < 0 else math.inf)


def solve_empirical(
    returns: Outcomes | Table,
    risk_free: float = 0.0,
    periods_per_year: float = 252,
    *,
    allow_short: bool = True,
    max_leverage: float | None = None,
) -> EmpiricalSolution:
    r"""Empirical Kelly leverage with its growth, certified gap and distance to ruin.

    .. math:: \max_f\ \frac1T \sum_t \log\left(1 + r_f + f'(r_t - r_f)\right)

    Parameters
    ----------
    returns : Series or array_like, shape (T,); DataFrame or ndarray, shape (T, N)
        Simple returns per period, or outcomes of trades. With several columns the optimum is joint.
        Rows with NaN are dropped with a log message.
    risk_free : float
        Annual rate of cash and of borrowing.
    periods_per_year : float
        Periods in a year, to convert ``risk_free``.
    allow_short : bool
        For one asset: with False a negative optimum becomes 0, the exact constrained optimum.
    max_leverage : float, optional
        For one asset: bound on abs(leverage), > 0; exact too, because growth is concave.

    Returns
    -------
    EmpiricalSolution
        ``gap`` bounds the growth missing to the (constrained) maximum.

    Raises
    ------
    DataError
        Unusable values, or no maximum: a position that never loses in the sample. More rows or
        ``max_leverage`` help.
    PortfolioError
        A parameter out of range, or limits with several assets (``Kelly(leverage=...)`` solves
        that).
    OptimizationError
        No convergence.

    Notes
    -----
    The optimum keeps at least 1 / T of wealth in the worst period, so it is always short of ruin.
    The gap is :math:`(-\lambda - \log(1 - \lambda)) / T` for the Newton decrement
    :math:`\lambda` of :math:`-T h` (Nesterov and Nemirovskii, Interior-Point Polynomial
    Algorithms in Convex Programming, 1994; Boyd and Vandenberghe, Convex Optimization, 2004,
    section 9.6).

    References
    ----------
    J. L. Kelly, "A new interpretation of information rate", Bell System Technical Journal 35, 1956.
    E. O. Thorp, "The Kelly criterion in blackjack, sports betting, and the stock market", 2006.
    """
    rate = checks.per_period(risk_free, periods_per_year)
    cap = math.inf if max_leverage is None else checks.positive("max_leverage", max_leverage)
    if np.ndim(returns) == 2:
        panel = drop_missing(read_table(returns), "returns")
        values = panel.values
        names = tuple(str(name) for name in panel.assets)
    else:
        values = read_outcomes(returns, "returns")[:, None]
        names = (str(getattr(returns, "name", None) or "0"),)
    x = _excess(values, rate)
    if x.shape[1] == 1:
        f, gap, steps = _solve_one(x[:, 0], names[0], allow_short, cap)
        leverage = np.array([f])
    else:
        if not allow_short or max_leverage is not None:
            raise PortfolioError("allow_short and max_leverage are for one asset; Kelly optimises several under limits")
        leverage, gap, steps = _solve_many(x, names)
    position = x @ leverage
    worst = float(position.min())
    growth = math.log1p(rate) + float(np.mean(np.log1p(position)))
    return EmpiricalSolution(leverage, names, growth, gap, -1.0 / worst if worst < 0 else math.inf, steps)


def kelly_empirical(
    returns: Outcomes | Table,
    risk_free: float = 0.0,
    periods_per_year: float = 252,
    *,
    allow_short: bool = True,
    max_leverage: float | None = None,
) -> Any:
    """Leverage that maximises the mean log growth of the sample, exactly.

    The parameters, the problem and the errors are those of :func:`solve_empirical`, which also
    returns the growth and the certificate.

    Returns
    -------
    float, Series or ndarray
        A float for one asset; for a frame a Series by column (the joint optimum); for a
        two-dimensional array an array of shape (N,).

    Raises
    ------
    DataError, PortfolioError, OptimizationError
        As :func:`solve_empirical`.

    Examples
    --------
    >>> kelly_empirical([2.0, -1.0])  # a coin that pays 2:1
    0.25
    """
    solution = solve_empirical(returns, risk_free, periods_per_year, allow_short=allow_short, max_leverage=max_leverage)
    if np.ndim(returns) < 2:
        return float(solution.leverage[0])
    if isinstance(returns, pd.DataFrame):
        return pd.Series(solution.leverage, index=returns.columns, name="leverage")
    return solution.leverage


def _excess(values: FloatArray, rate: float) -> FloatArray:
    return np.asarray((values - rate) / (1.0 + rate), dtype=np.float64)


def _concordant_gap(decrement: float, size: int) -> float:
    """Bound on the missing mean log growth from the Newton decrement of its T-fold sum."""
    if decrement >= 1.0:
        return math.inf
    if decrement < 1e-4:  # -l - log(1 - l) cancels; l^2 / 2 (1 + l) bounds its series from above
        return 0.5 * decrement * decrement * (1.0 + decrement) / size
    return (-decrement - math.log1p(-decrement)) / size


def _solve_one(x: FloatArray, name: str, allow_short: bool, cap: float) -> tuple[float, float, int]:
    """Signed optimum of one asset within [-cap, cap] (from 0 without shorts), its gap and steps."""
    low, high = excess_bounds(x)
    floor = -cap if allow_short else 0.0
    if not x.any():
        return 0.0, 0.0, 0  # equal to cash in every period: nothing to gain from holding it
    if math.isinf(high) or math.isinf(low):  # as much as is allowed
        limit = cap if math.isinf(high) else floor
        if math.isinf(limit):
            raise no_optimum("loss" if math.isinf(high) else "gain", f"returns of {name!r}")
        return limit, 0.0, 0
    f, gap, steps = maximize_log(x)
    # Growth is concave, so a bound that cuts off the maximiser is itself the constrained optimum.
    bounded = min(max(f, floor), cap)
    return bounded, (gap if bounded == f else 0.0), steps


def _solve_many(x: FloatArray, names: tuple[str, ...]) -> tuple[FloatArray, float, int]:
    """Damped Newton steps for several assets, each a least-squares problem."""
    size = len(x)
    scale = np.abs(x).max(axis=0)
    scale[scale == 0] = 1.0
    y = x / scale
    f = np.zeros(y.shape[1])
    wealth = np.ones(size)
    final = False
    for step in range(1, _ITERATIONS + 1):
        ratio = y / wealth[:, None]
        # The Newton step solves (R'R) d = R'1: least squares, minimum norm for tied assets.
        direction = np.linalg.lstsq(ratio, np.ones(size), rcond=None)[0]
        move = ratio @ direction
        decrement = float(np.linalg.norm(move))
        if final:
            return f / scale, _concordant_gap(decrement, size), step
        final = decrement <= _NEWTON_TOLERANCE
        length = 1.0
        if decrement > 0.25:  # below, the full step is safe and squares the decrement
            target = 0.1 * decrement * decrement
            while move.min() * length <= -1.0 or (float(np.log1p(length * move).sum()) < length * target):
                length *= 0.5
        f = f + length * direction
        wealth = 1.0 + y @ f
        if wealth.min() <= 0.0:  # by rounding only: the position has run far beyond the data
            break
    _refuse_arbitrage(y, names)
    raise OptimizationError(f"empirical Kelly did not converge in {_ITERATIONS} steps (Newton decrement {decrement:g})")


def _refuse_arbitrage(y: FloatArray, names: tuple[str, ...]) -> None:
    """DataError if some portfolio of excess returns never loses and sometimes gains."""
    from scipy.optimize import linprog

    answer = linprog(-y.mean(axis=0), A_ub=-y, b_ub=np.zeros(len(y)), bounds=(-1.0, 1.0))
    if answer.status == 0 and float((y @ answer.x).mean()) > 1e-7:
        mix = {name: round(float(v), 4) for name, v in zip(names, answer.x, strict=True) if v}
        raise no_optimum("loss", f"some mix never loses in {len(y)} rows, such as {mix} (scaled); fewer assets help")
