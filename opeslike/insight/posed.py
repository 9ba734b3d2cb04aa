"""A problem posed once, of which many questions are asked."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from opeslike.beliefs.belief import chances
from opeslike.checks import by_asset
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Kind, Market
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.objectives import Kelly
from opeslike.objectives.base import ConvexObjective
from opeslike.objectives.given import Given
from opeslike.solvers.solve import Solved, solve


@dataclass(frozen=True, eq=False)
class Posed:
    """An objective with the data it is asked about; every function of this room takes one in place of prices.

    Attributes
    ----------
    objective : ConvexObjective
    market : Market
        The scenarios believed in.
    given : Given
    problem : Problem
        Of the portfolio before a Kelly fraction is applied.
    scale : float
        That fraction.
    """

    objective: ConvexObjective
    market: Market
    given: Given
    problem: Problem
    scale: float

    @classmethod
    def of(cls, objective: ConvexObjective, market: Market, given: Given) -> Self:
        """Pose the problem of an objective in a market of scenarios believed in."""
        return cls(objective, market, given, objective._limited(market, given), objective._scale())

    @property
    def scenarios(self) -> ScenarioProblem:
        """The problem, where it is one over scenarios.

        Raises
        ------
        PortfolioError
            If it is one on mean and covariance.
        """
        if not isinstance(self.problem, ScenarioProblem) or self.problem.limits:
            raise PortfolioError(f"{type(self.objective).__name__} is no mean or risk of losses over scenarios alone")
        return self.problem

    def solve(self, start: FloatArray | None = None) -> Solved:
        """The certified optimum, from a point nearby."""
        return solve(self.problem, self.objective._settings.solver, start, self.objective._extra(self.market))

    def reweighted(self, probabilities: FloatArray, size: float | None = None) -> Posed:
        """The same question of other probabilities of the scenarios."""
        return self.of(self.objective, self.market.with_probabilities(probabilities, size), self.given)

    def tilted(self, slope: FloatArray) -> Posed:
        """The same problem with a cost linear in the variables."""
        problem = copy.copy(self.problem)
        problem.cost = slope if problem.cost is None else problem.cost + slope
        return replace(self, problem=problem)

    def held(self, x: FloatArray) -> FloatArray:
        """Weights held, from variables of the problem."""
        return np.asarray(self.scale * self.problem.weights(x))

    def growth(self, x: FloatArray) -> float:
        """Mean log growth per period of the weights held, what is not invested earning the mandate's rates."""
        return float(chances(self.market) @ np.log1p(self.scale * self._returns(x)))

    def _returns(self, x: FloatArray) -> FloatArray:
        lift = self.problem.lift
        returns = self.market.returns @ lift.weights(x)
        return np.asarray(returns + lift.earned(x) if lift.earning else returns)

    def weights(self, w: Any, name: str = "w") -> FloatArray:
        """Weights held, as an array: from numbers, or a mapping or Series by ticker."""
        if type(w) is np.ndarray and w.dtype == np.float64 and w.shape == (self.market.n_assets,):
            return w
        return by_asset(name, w, self.market.assets, 0.0 if hasattr(w, "items") else None)


def pose(objective: Any, data: Any, *, kind: Kind | None = None, weight_bounds: Any = None, held: Any = None) -> Posed:
    """Read data once, for several questions.

    Parameters
    ----------
    objective : ConvexObjective, optional
        Kelly() where None.
    data : prices, returns, Market or Posed
        Whatever ``optimize`` takes; what is posed already is returned as it is.
    kind, weight_bounds, held
        As in ``optimize``.

    Raises
    ------
    PortfolioError
        If the objective is not a convex one; names it.
    """
    if isinstance(data, Posed):
        return data
    objective = Kelly() if objective is None else objective
    # ratios and searches prove their answers in ways of their own
    if not isinstance(objective, ConvexObjective) or type(objective)._proof is not ConvexObjective._proof:
        name = objective.__name__ if isinstance(objective, type) else type(objective).__name__
        raise PortfolioError(f"{name} is no convex objective that was made, such as Kelly() or MeanVariance()")
    if objective._settings.mandate.counts(objective._scale()) is not None:
        raise PortfolioError("counts and least sizes of positions are not convex; ask without them")
    asked = objective._remembered()
    market = asked._market(data, kind)
    given = asked._valued(market, asked._told(market, Given(weight_bounds, kind, held=held)))
    return Posed.of(asked, market, given)
