"""Kelly between rival beliefs: nobody should be able to say that you should have known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs import as_belief
from opeslike.beliefs.belief import chances
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import Mean
from opeslike.modelling.rivals import LargestRegret, RivalPoint
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.parameters import Fraction, objective
from opeslike.objectives.utility_theory import GrowthObjective
from opeslike.solvers.solve import solve


@objective
class RegretKelly(GrowthObjective):
    r"""Kelly that regrets least: the largest growth given away under any of several beliefs, made as small as can be.

    .. math:: \min_{w \in W} \; \max_b \Big[ \max_{v \in W} \sum_t p^b_t \log(1 + v^\top r^b_t)
        - \sum_t p^b_t \log(1 + w^\top r^b_t) \Big]

    Parameters
    ----------
    rivals : sequence of at least two beliefs
        Each is anything that ``beliefs`` takes, and is asked about the scenarios that ``beliefs`` gives.
    fraction, formulation, reg, strength
        As in :class:`~opeslike.objectives.utility_theory.Kelly`; the regulariser is added to the regret.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If there are fewer than two rivals, or one is no belief.

    Notes
    -----
    Convex. The best under each belief is a certified solve, and so is the whole: at the optimum the weights are the
    Kelly portfolio of a mixture of the beliefs, those that count regretting alike. ``solution.value`` is the largest
    regret, per period; :attr:`regrets` has all of them; ``solution.worst_case`` are the probabilities of the mixture,
    the scenarios of the beliefs one below the other.

    References
    ----------
    Savage (1951), *The theory of statistical decision*, on minimax regret; Cover and Thomas (2006), *Elements of
    information theory*, section 13.1, for the mixture that is its answer.

    Examples
    --------
    >>> import numpy as np
    >>> from opeslike import Mandate
    >>> coin = np.array([[1.0], [-1.0]])  # even money, heads at 50% or at 70%
    >>> torn = RegretKelly([[0.5, 0.5], [0.7, 0.3]], mandate=Mandate(leverage=1))
    >>> torn.optimize(coin, kind="returns").round(4).tolist()
    [0.2029]
    >>> torn.regrets.round(4).tolist()
    [0.021, 0.021]
    """

    rivals: Any
    fraction: Fraction = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.rivals, Sequence) or isinstance(self.rivals, str) or len(self.rivals) < 2:
            raise PortfolioError(
                f"rivals={self.rivals!r} must be two beliefs or more, such as [Decay(252), ShrunkMeans()]"
            )
        for rival in self.rivals:
            as_belief(rival)

    @property
    def regrets(self) -> pd.Series:
        """Growth per period that the last portfolio gives away under each belief, against the best under it alone.

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called.
        """
        found = self.solution.weights / self._scale()
        if self._asked is None:
            raise PortfolioError("the data of the last optimisation are gone; call optimize again")
        problem: Any = self._asked.problem
        at: RivalPoint = problem.evaluate(problem.lift(found)).risk
        return pd.Series(at.regrets, [repr(rival) for rival in self.rivals], name="regret")

    def _problem(self, market: Market, given: Given = NOTHING) -> ScenarioProblem:
        worlds = [as_belief(rival)(market) for rival in self.rivals]
        bounds, penalty, lift = self._feasible(market, given)
        best, parts = [], []
        for world in worlds:
            p, kept = chances(world), chances(world) > 0
            alone = ScenarioProblem(
                world.returns[kept], p[kept], self.loss, Mean(), bounds, None, lift, partial(_dates, world)
            )
            best.append(solve(alone, constraints=self._extra(market)).proof.value)
            parts.append((world.returns[kept], p[kept] / len(worlds)))
        returns, chance = zip(*parts, strict=True)
        starts = np.cumsum([0, *map(len, returns)])[:-1]
        risk = LargestRegret(tuple(map(int, starts)), np.array(best))
        stacked = np.asfortranarray(np.vstack(returns)), np.concatenate(chance)
        return ScenarioProblem(*stacked, self.loss, risk, bounds, penalty, lift, partial(_dates, *worlds))


def _dates(*worlds: Market) -> list[Any]:
    """Names of the scenarios with positive probability, one world below the other."""
    return [date for world in worlds for date in world.dates[chances(world) > 0]]
