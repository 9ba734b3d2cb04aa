"""Objectives over scenarios: a risk of the losses of a portfolio, which a subclass names."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

from opeslike.market import Market
from opeslike.modelling.losses import Linear, Log, Loss
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import Mean, Risk
from opeslike.objectives.base import ConvexObjective
from opeslike.objectives.given import NOTHING, Given


@dataclass(eq=False, repr=False, kw_only=True)
class ScenarioObjective(ConvexObjective):
    """``minimise risk(loss(R w))``: a subclass gives the two factors."""

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss of a return."""

    def risk(self, market: Market) -> Risk:
        """The risk of losses over the scenarios of a market; their mean unless a subclass says otherwise."""
        return Mean()

    def _problem(self, market: Market, given: Given = NOTHING) -> ScenarioProblem:
        return self._under(self.risk(market), market, given)

    def _under(self, risk: Risk, market: Market, given: Given) -> ScenarioProblem:
        """The problem with this risk of the losses."""
        limits = self._feasible(market, given)
        scenarios = market.returns, market.probabilities, self.loss, risk
        return ScenarioProblem(*scenarios, *limits, labels=lambda: market.dates)

    def _valued(self, market: Market, given: Given) -> Given:
        """Of utilities that are not in returns, the mean marginal loss at the optimum without costs."""
        mandate = self._settings.mandate
        if mandate.costs is mandate.impact is None or isinstance(self.loss, (Linear, Log)):
            return given
        problem, solved = self._solve(market, replace(given, worth=0.0), None, None)
        assert isinstance(problem, ScenarioProblem)
        assert solved.q is not None
        _, slope, _ = problem.loss.evaluate(problem.scenario_returns(solved.x))
        return replace(given, worth=max(-float(solved.q @ slope), 0.0))
