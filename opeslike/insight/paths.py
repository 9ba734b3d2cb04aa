"""What doubt, risk aversion or a fraction costs: one path of portfolios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike.checks import is_number, numbers, whole
from opeslike.errors import PortfolioError
from opeslike.insight.finding import Finding
from opeslike.insight.posed import Posed, pose
from opeslike.market import FloatArray, Kind


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Finding):
    """Certified portfolios along a parameter.

    Attributes
    ----------
    parameter : str
    frame : DataFrame of shape (points, 4)
        By the parameter: ``growth`` per period of what is held, under the probabilities believed in; ``worst``, minus
        the value of the objective: for robust Kelly the worst-case growth of the full portfolio; ``gap`` and
        ``tolerance``, of the proof.
    weights : DataFrame of shape (points, N)
        Held.
    """

    parameter: str
    frame: pd.DataFrame
    weights: pd.DataFrame

    @property
    def says(self) -> str:
        """The ends of the path."""
        growth, (first, last) = self.frame["growth"], self.frame.index[[0, -1]]
        moved, gap = f"from {growth.iloc[0]:.3g} to {growth.iloc[-1]:.3g}", self.frame["gap"].max()
        over = f"from {self.parameter} {first:.3g} to {last:.3g}"
        return f"{over} growth goes {moved} a period; all gaps are at most {gap:.1e}"


def frontier(
    objective: Any, prices: Any, *, kind: Kind | None = None, weight_bounds: Any = None, **parameter: Any
) -> Frontier:
    """One path of certified portfolios over a parameter of an objective, each begun at the last.

    Parameters
    ----------
    objective : class of ConvexObjective, or one that was made
        Such as KLRobustKelly.
    prices : prices, returns or Market
    kind, weight_bounds
        As in ``optimize``.
    **parameter : int, or array-like of shape (points,)
        One: ``radius=``, ``fraction=``, ``risk_aversion=`` or any other number the objective takes. A whole number is
        that many points of a usual grid: radii from 1e-5 to 0.1 and risk aversions from 1/2 to 50 in equal ratios,
        fractions in equal steps up to 1; for others give the values.

    Returns
    -------
    Frontier

    Raises
    ------
    PortfolioError
        If it is not one parameter, the objective does not take it, or a value is out of range.
    """
    if len(parameter) != 1:
        raise PortfolioError(f"frontier takes one parameter, such as radius=100, got {', '.join(parameter) or 'none'}")
    ((name, grid),) = parameter.items()
    made = objective() if isinstance(objective, type) else objective
    if name not in made.get_params():
        raise PortfolioError(f"{type(made).__name__} has no parameter {name!r}")
    values = np.sort(_usual(name, whole(name, grid, 2)) if is_number(grid) else numbers(name, grid).ravel())
    for value in values[[0, -1]]:  # checked once: ranges are intervals
        made = made.copy().set_params(**{name: float(value)})
    first = pose(made, prices, kind=kind, weight_bounds=weight_bounds)
    points, rows, weights = list[FloatArray](), [], []
    for value in values:
        one = first.objective._remembered()
        setattr(one, name, float(value))
        posed = Posed.of(one, first.market, first.given)
        # in equal steps the optimum moves about as far as it did last
        solved = posed.solve(2.0 * points[-1] - points[-2] if len(points) > 1 else points[-1] if points else None)
        proof = solved.proof
        points.append(solved.x)
        rows.append((posed.growth(solved.x), -proof.value - posed.problem.offset, proof.gap, proof.tolerance))
        weights.append(posed.held(solved.x))
    index = pd.Index(values, name=name)
    table = pd.DataFrame(rows, index, ["growth", "worst", "gap", "tolerance"])
    return Frontier(name, table, pd.DataFrame(weights, index, list(first.market.assets)))


def _usual(name: str, count: int) -> Any:
    """The grid of a parameter."""
    grids = {
        "radius": np.geomspace(1e-5, 0.1, count),
        "risk_aversion": np.geomspace(0.5, 50.0, count),
        "fraction": np.linspace(1.0 / count, 1.0, count),
    }
    if name not in grids:
        raise PortfolioError(f"{name} has no usual grid; give its values, such as {name}=np.linspace(...)")
    return grids[name]
