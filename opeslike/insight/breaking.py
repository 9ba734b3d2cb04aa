"""How wrong the odds may be before a portfolio is no better than cash, or another one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import chances
from opeslike.errors import OptimizationError, PortfolioError
from opeslike.insight.finding import Finding
from opeslike.insight.posed import Posed, pose
from opeslike.kl import Pooled, pool
from opeslike.market import FloatArray, Kind
from opeslike.objectives import KLRobustKelly

#: radii of the path on which an asset leaves the optimum, and how near to it, relatively, it is followed
_GRID, _NEAR = 40, 1e-3
#: a weight above this is held
_HELD = 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class Breakdown(Finding):
    """The KL radius at which a portfolio breaks down.

    Attributes
    ----------
    radius : float
        In nats: for all odds nearer to those believed in than this the weights grow faster. 0 where they do not even
        under the odds believed in, infinite where they do in every scenario.
    bound : float
        The radius is at least this: the dual value that proves it.
    worst_case : Series of shape (T,)
        The nearest odds under which the two grow alike, by date.
    """

    radius: float
    bound: float
    worst_case: pd.Series
    versus: str
    posed: Posed

    @cached_property
    def assets(self) -> pd.Series:
        """The radius at which each asset first leaves the KL-robust Kelly portfolio, to a thousandth; NaN: never in it.

        Under the mandate and the beliefs of the objective; worked out when first asked for. Infinite for assets that
        are held however large the ball.
        """
        settings = self.posed.objective._settings
        last: dict[str, Any] = {}

        def held(radius: float) -> FloatArray:
            robust = KLRobustKelly(radius=radius, mandate=settings.mandate, solver=settings.solver)
            solved = Posed.of(robust, self.posed.market, self.posed.given).solve(last.get("x"))
            last["x"] = solved.x
            return np.asarray(np.abs(robust._problem(self.posed.market, self.posed.given).weights(solved.x)))

        grid = np.geomspace(1e-6, -math.log(float(chances(self.posed.market).max())), _GRID)
        path = np.array([held(radius) for radius in (0.0, *grid)]) > _HELD
        found = np.where(path[0], math.inf, math.nan)
        for i in np.flatnonzero(path[0] & ~path.all(axis=0)):
            out = int(np.argmin(path[:, i]))
            low, high = (0.0, grid[0]) if out == 1 else (grid[out - 2], grid[out - 1])
            while high - low > _NEAR * high and high > 1e-9:
                middle = math.sqrt(low * high) if low > 0 else 0.1 * high
                low, high = (middle, high) if held(middle)[i] > _HELD else (low, middle)
            found[i] = high
        return pd.Series(found, pd.Index(list(self.posed.market.assets), name="asset"), name="radius")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """``radius`` at which each asset leaves the KL-robust optimum."""
        return self.assets.to_frame()

    @property
    def says(self) -> str:
        """The radius, and what it is worth."""
        if self.radius == 0:
            return f"the weights grow no faster than {self.versus} even under the odds believed in"
        if math.isinf(self.radius):
            return f"the weights grow faster than {self.versus} in every scenario"
        within = f"all odds within {self.radius:.4g} nats of those believed"
        return f"the weights grow faster than {self.versus} under {within}"


def breakdown(
    w: Any, prices: Any, versus: Any = "cash", objective: Any = None, *, kind: Kind | None = None
) -> Breakdown:
    r"""The radius of doubt at which a portfolio's worst-case growth falls to that of cash, or of another portfolio.

    .. math:: \min_q \Big\{ \sum_t q_t \log \frac{q_t}{p_t} : \sum_t q_t \log(1 + w^\top r_t)
        \le \sum_t q_t \log(1 + v^\top r_t) \Big\}

    with v cash or the other weights. The q that attains it is the exponential tilt of p, found by Newton's method on
    the dual, whose value proves that nothing nearer will do.

    Parameters
    ----------
    w : array-like of shape (N,), mapping or Series by ticker
        Weights held; the rest is cash, or borrowed, at the rates of the objective's mandate.
    prices : prices, returns, Market or Posed
    versus : "cash", or weights as ``w``
    objective : ConvexObjective, optional
        Whose beliefs and mandate hold; Kelly() by default.
    kind : {"prices", "returns"}, optional

    Returns
    -------
    Breakdown

    Raises
    ------
    PortfolioError
        If weights do not fit the assets, or lose everything in some scenario.

    References
    ----------
    Meucci (2008), *Fully flexible views*, for the dual; Hansen and Sargent (2008), *Robustness*, for radii as doubt.

    Examples
    --------
    >>> import numpy as np
    >>> coin = np.array([[1.0]] * 60 + [[-1.0]] * 40)  # even money at 60%
    >>> found = breakdown([0.2], coin, kind="returns")  # Kelly's stake grows until heads come at 55%
    >>> round(found.radius, 6)
    0.005077
    """
    posed = pose(objective, prices, kind=kind)
    named = isinstance(versus, str)
    if named and versus != "cash":
        raise PortfolioError(f"versus={versus!r} must be 'cash', or weights")
    other = np.zeros(posed.market.n_assets) if named else posed.weights(versus, "versus")
    better = _logs(posed, posed.weights(w), "w") - _logs(posed, other, "versus")
    p = chances(posed.market)
    against = "cash" if named else "the other weights"
    if float(p @ better) <= 0 or (better[p > 0] > 0).all():
        radius = 0.0 if float(p @ better) <= 0 else math.inf
        return Breakdown(radius, radius, pd.Series(p, posed.market.dates), against, posed)
    found = nearest(better, p)
    return Breakdown(found.divergence, found.bound, pd.Series(found.q, posed.market.dates), against, posed)


def nearest(values: FloatArray, p: FloatArray) -> Pooled:
    """The odds nearest to p under which the mean of the values is 0.

    Raises
    ------
    OptimizationError
        If none were proved nearest.
    """
    found = pool(values[None, :], np.zeros(1, dtype=bool), p)
    if found is None:
        raise OptimizationError("the odds at which the two grow alike were not found: they differ in too few scenarios")
    return found


def _logs(posed: Posed, w: FloatArray, name: str) -> FloatArray:
    """Log growth in each scenario, with the rest at the mandate's rates."""
    wealth = 1.0 + posed.market.returns @ w + posed.objective._settings.mandate.carried(w)
    if not wealth.min() > 0:
        worst = posed.market.dates[int(wealth.argmin())]
        raise PortfolioError(f"{name} loses everything in the scenario of {worst}, where growth is not defined")
    return np.asarray(np.log(wealth))
