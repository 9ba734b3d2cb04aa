"""How much a portfolio leaves on the table, without solving for a better one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from opeslike.insight.finding import Finding
from opeslike.insight.posed import Posed, pose
from opeslike.market import FloatArray, Kind
from opeslike.modelling.problem import Point
from opeslike.proof import best_multipliers, box_gap, check_feasible, prove


@dataclass(frozen=True, eq=False, repr=False)
class Regret(Finding):
    """A certified bound on what a portfolio leaves on the table.

    Attributes
    ----------
    bound : float
        The best value exceeds that of the weights by no more, per period, in the unit of the objective: growth for
        Kelly.
    value : float
        Value of the weights, as in ``solution.value``.
    """

    bound: float
    value: float
    posed: Posed
    point: Point
    reduced: FloatArray | None

    @property
    def annual(self) -> float:
        """The bound per year of the mandate's periods."""
        return self.bound * float(self.posed.objective._settings.mandate.periods_per_year)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """``weight`` held and ``gain``: what a unit moved from the mix into each asset adds at the margin, per period.

        The gains are left out where a weight has two prices, as under a cap on gross exposure or with costs.
        """
        lift, gain = self.posed.problem.lift, None
        if self.reduced is not None and lift.direct:
            gain = (self.point.x @ self.reduced - self.reduced[: lift.size]) / self.posed.scale
        columns = {"weight": self.posed.held(self.point.x), "gain": gain}
        return pd.DataFrame(columns, index=pd.Index(list(self.posed.market.assets), name="asset"))

    @property
    def says(self) -> str:
        """The bound, a period and a year."""
        return f"at most {self.bound:.3g} a period is left on the table, {self.annual:.3%} a year"


def regret(
    w: Any, prices: Any, objective: Any = None, *, kind: Kind | None = None, weight_bounds: Any = None
) -> Regret:
    r"""What a portfolio leaves on the table, at most, without solving for a better one.

    .. math:: F(w) - F^* \le \max_{v \in W} \nabla F(w)^\top (w - v)

    for convex F over what may be held, W. For long-only Kelly that is
    :math:`\max_i \operatorname{mean}_t(x_{ti} / x_t^\top w) - 1` with x the gross returns. At an optimum it is its
    ``gap``; elsewhere it is never below what better weights would gain. One pass over the scenarios.

    Parameters
    ----------
    w : array-like of shape (N,), mapping or Series by ticker
        Weights held. They must be such as the objective could choose; constraints given in cvxpy are not looked at,
        which can only raise the bound.
    prices : prices, returns, Market or Posed
        A :class:`Posed` saves reading the data and writing the problem again.
    objective : ConvexObjective, optional
        Kelly() by default, fully invested; with its beliefs and mandate.
    kind, weight_bounds
        As in ``optimize``.

    Returns
    -------
    Regret

    Raises
    ------
    OptimizationError
        If the weights break a limit of the objective, or lose everything in some scenario.

    References
    ----------
    Frank and Wolfe (1956), *An algorithm for quadratic programming*; Jaggi (2013), *Revisiting Frank-Wolfe*, on the
    gap; Cover (1984), *An algorithm for maximizing expected log investment return*, for the bound on growth.

    Examples
    --------
    >>> import numpy as np
    >>> coin = np.array([[1.0, 0.0]] * 60 + [[-1.0, 0.0]] * 40)  # even money at 60%, and cash
    >>> round(regret([0.1, 0.9], coin, kind="returns").bound, 6)
    0.090909
    >>> round(regret([0.2, 0.8], coin, kind="returns").bound, 6)
    0.0
    """
    posed = pose(objective, prices, kind=kind, weight_bounds=weight_bounds)
    problem = posed.problem
    x = problem.lift(posed.weights(w) / posed.scale)
    if problem.limits:
        proof = prove(problem, x)
        return Regret(proof.gap, proof.value + problem.offset, posed, proof.point, proof.reduced)
    point = problem.evaluate(x)
    check_feasible(problem, x, point=point)
    gap, reduced = box_gap(problem.bounds, x, point.gradient, best_multipliers(problem.bounds, point.gradient))
    return Regret(gap + point.excess, point.value + problem.offset, posed, point, reduced)
