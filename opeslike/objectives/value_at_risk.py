"""Minimum value-at-risk, which is not convex."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any

import numpy as np

from opeslike.errors import OptimizationError, PortfolioError
from opeslike.market import FloatArray, Market
from opeslike.modelling import ambiguity
from opeslike.modelling.bounds import Bounds, parse_weight_bounds
from opeslike.modelling.feasible import Lift
from opeslike.modelling.losses import Linear
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.regularizers import make_penalty, regularizer_name
from opeslike.modelling.risks import Mean
from opeslike.objectives.base import ConvexObjective
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.parameters import Share, objective
from opeslike.proof import Proof, Witness
from opeslike.solvers.nonconvex.local_search import canonical, heuristic, scattered
from opeslike.solvers.nonconvex.pattern_search import pattern_search
from opeslike.solvers.nonconvex.quantile import exact_quantile, minimum_quantile, values_at_risk
from opeslike.solvers.solve import Solved, solve

_STARTS = 12
_SEARCHES = 6
_TURNS = 4


@objective
class VaR(ConvexObjective):
    r"""Minimum value-at-risk: the loss that is not exceeded with probability :math:`\beta`.

    .. math:: \min_{w \in W} \; \inf \left\{ v : \sum_t p_t \, [-w^\top r_t \le v] \ge \beta \right\} + \lambda R(w)

    A quantile is not a convex function of the weights: it ignores how bad the scenarios beyond it are, so the best
    portfolio hides its losses there. The status is "heuristic" and there is no gap: the answer is the best of several
    descents, from the least CVaR, the least worst case, the centre and seeded mixtures, and of pattern searches from
    where they end. With ``exact=True`` a mixed-integer program decides which scenarios lie beyond the quantile, and its
    bound is the gap.

    Parameters
    ----------
    confidence : float in (0, 1)
        :math:`\beta`; with 0.95 a twentieth of the scenarios may be worse.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`. Not with
        ``exact``.
    exact : bool
        Solve the mixed-integer program by HiGHS, from the best descent. It takes seconds for a hundred scenarios and a
        handful of assets, and thousands are out of reach.
    time_limit : float > 0
        Seconds. When they are over, ``exact`` returns the best weights found, with the gap to the bound proved by then
        and status "heuristic".
    beliefs, mandate, solver
        See :class:`~opeslike.objectives.base.Optimizer`; groups, exposures and constraints not with ``exact``.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or ``exact`` comes with a regulariser or constraints.
    OptimizationError
        From ``optimize`` with ``exact``: if nothing was proved within the time limit.

    Notes
    -----
    ``solution.value`` is the value-at-risk per period as a positive loss (and the regulariser): an order statistic of
    the losses, without interpolation. The gap of the exact problem is that of its solver, whose tolerances are about
    1e-7 of the largest loss, and it counts as optimal within 1e-6 of that.

    References
    ----------
    Gaivoronski and Pflug (2005), *Value-at-risk in portfolio optimization: properties and computational approach*;
    Larsen, Mausser and Uryasev (2002), *Algorithms for optimization of value-at-risk*, for descents that leave the
    worst scenarios out; Benati and Rizzi (2007), for the mixed-integer program.

    Examples
    --------
    >>> import numpy as np
    >>> returns = np.array([[0.02, 0.01], [-0.04, 0.00], [0.03, 0.01], [0.01, -0.01]])
    >>> optimizer = VaR(confidence=0.75, exact=True)
    >>> [round(float(weight), 4) for weight in optimizer.optimize(returns, kind="returns")]
    [1.0, 0.0]
    >>> round(optimizer.solution.value, 6)
    -0.01
    """

    takes_counts = False

    confidence: Share = 0.95
    exact: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exact and self.reg is not None:
            raise PortfolioError("exact=True takes no regulariser; leave reg out, or use exact=False")
        if self.exact and (
            self.mandate.callables or self.mandate.groups is not None or self.mandate.exposures is not None
        ):
            raise PortfolioError("exact=True takes no extra constraints; leave them out, or use exact=False")

    def _solve(self, market: Market, given: Given, w: FloatArray | None, seed: int | None) -> tuple[Problem, Solved]:
        """Search on assets and scenarios in an order of their own, so that their numbering changes nothing."""
        if self.mandate.callables:  # these may count assets
            return self._searched(market, given, w, seed)
        own = canonical(market.returns)
        rows = np.lexsort(market.returns[:, own].T[::-1])
        ordered = Market(
            np.asfortranarray(market.returns[np.ix_(rows, own)]),
            tuple(market.assets[i] for i in own),
            market.dates[rows],
            None if market.probabilities is None else market.probabilities[rows],
        )
        if given.weight_bounds is not None:
            pairs = zip(*parse_weight_bounds(given.weight_bounds, market.assets), strict=True)
            given = replace(given, weight_bounds=dict(zip(market.assets, pairs, strict=True)))
        made, solved = self._searched(ordered, given, None if w is None else w[own], seed)
        x = np.empty(own.size)
        x[own] = solved.x
        back = np.argsort(own)
        bounds = Bounds.budget(made.bounds.lower[back], made.bounds.upper[back])
        problem = ScenarioProblem(
            market.returns,
            market.probabilities,
            Linear(),
            Mean(),
            bounds,
            make_penalty(regularizer_name(self.reg), self.strength, Lift.identity(bounds)),
        )
        return problem, replace(solved, x=x, proof=replace(solved.proof, point=problem.evaluate(x)))

    def _searched(self, market: Market, given: Given, w: FloatArray | None, seed: int | None) -> tuple[Problem, Solved]:
        terms, constraints = self._terms(market, given), self._extra(market)
        if not terms.plain or terms.active is not None or self.mandate.risky or self.uses_held:
            raise PortfolioError(
                "VaR takes no leverage, gross, short_fee, costs, limits on trades, benchmark, target_return or "
                "risk_limits; use CVaR"
            )
        if len(terms.rows):  # groups and exposures go through cvxpy here
            above, below = np.isfinite(terms.most), np.isfinite(terms.least)
            rows = np.vstack([terms.rows[above], -terms.rows[below]])
            most = np.concatenate([terms.most[above], -terms.least[below]])
            constraints = replace(constraints, makers=(lambda w: rows @ w <= most, *constraints.makers))
        bounds = Bounds.budget(terms.lower, terms.upper)
        lift = Lift.identity(bounds)
        penalty = make_penalty(regularizer_name(self.reg), self.strength, lift)
        scenarios = market.returns, market.probabilities, Linear()
        problem = ScenarioProblem(*scenarios, Mean(), bounds, penalty, lift, lambda: market.dates)
        guess = None if w is None else bounds.repair(w)
        starts = []
        for risk in (ambiguity.CVaR(self.confidence), ambiguity.WorstCase()):
            try:
                relative = ScenarioProblem(*scenarios, risk, bounds, penalty, lift)
                starts.append(solve(relative, self.solver, guess, constraints).x)
            except OptimizationError:
                if not starts and isinstance(risk, ambiguity.WorstCase):
                    raise
        if not constraints:
            starts += scattered(bounds, seed, _STARTS)
            if guess is not None:
                starts.append(guess)
        x, height, iterations = self._search(problem, starts, seed, constraints)
        if not self.exact:
            return problem, heuristic(problem, x, height, iterations)
        returns, p = problem.returns, problem.probabilities
        x, bound = exact_quantile(returns, p, self.confidence, bounds, x, self.time_limit)
        (x,), height, more = minimum_quantile(returns, p, self.confidence, bounds, None, [x], self.solver)
        tolerance = 1e-6 * float(np.abs(returns).max())
        proof = Proof(height, max(height - bound, 0.0), tolerance, problem.evaluate(x))
        status = "optimal" if proof.optimal else "heuristic"
        return problem, Solved(x, proof, "highs", iterations + more, status)

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        raise PortfolioError("bound not verified: that of the mixed-integer program is a solver's own")

    def _search(
        self, problem: ScenarioProblem, starts: list[FloatArray], seed: int | None, constraints: Any
    ) -> tuple[FloatArray, float, int]:
        """Descents, then in turn a pattern search, which gets out of shallow pits, and a descent from where it ends."""
        returns, p, bounds, penalty = problem.returns, problem.probabilities, problem.bounds, problem.penalty

        def descend(points: list[FloatArray]) -> tuple[list[FloatArray], float, int]:
            return minimum_quantile(returns, p, self.confidence, bounds, penalty, points, self.solver, constraints)

        def values(x: FloatArray) -> FloatArray:
            extra = 0.0 if penalty is None else np.array([penalty.evaluate(row)[0] for row in x])
            return values_at_risk(x, returns, p, self.confidence) + extra

        points, height, iterations = descend(starts)
        best = points[0]
        for _ in range(_TURNS if not constraints else 0):
            found, _, steps = pattern_search(values, bounds, seed, np.array(points), _SEARCHES)
            points, lower, more = descend([bounds.repair(found)])
            iterations += steps + more
            if not lower < height:
                break
            best, height = points[0], lower
        return best, height, iterations

    def _problem(self, market: Market, given: Given = NOTHING) -> Problem:
        raise PortfolioError("value-at-risk is not convex and has no cvxpy form; CVaR is its convex relative")
