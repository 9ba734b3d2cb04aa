"""Minimum value-at-risk, which is not convex."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.errors import OptimizationError, PortfolioError
from opeslike.market import Kind, Market
from opeslike.modelling import ambiguity
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.losses import Linear
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.risks import Mean
from opeslike.objectives.base import Constraint, ConvexObjective
from opeslike.objectives.parameters import positive, share_of
from opeslike.proof import Proof
from opeslike.solvers.local_search import scattered
from opeslike.solvers.pattern_search import pattern_search
from opeslike.solvers.quantile import exact_quantile, minimum_quantile, values_at_risk
from opeslike.solvers.solve import Solved, solve

FloatArray = NDArray[np.float64]

_STARTS = 12
_SEARCHES = 6
_TURNS = 4


class VaR(ConvexObjective):
    r"""Minimum value-at-risk: the loss that is not exceeded with probability :math:`\beta`.

    .. math:: \min_{w \in W} \; \inf \left\{ v : \sum_t p_t \, [-w^\top r_t \le v] \ge \beta \right\} + \lambda R(w)

    A quantile is not a convex function of the weights: it ignores how bad the scenarios beyond it are, so the best
    portfolio hides its losses there. The status is "heuristic" and there is no gap: the answer is the best of several
    descents, from the least CVaR, the least worst case, the centre and seeded mixtures, and of pattern searches from
    where they end. With ``exact=True`` a
    mixed-integer program decides which scenarios lie beyond the quantile, and its bound is the gap.

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
        Seconds for the program. At the limit the best weights found are returned, with the gap to the bound proved by
        then and status "heuristic".
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`; constraints not with ``exact``.

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

    def __init__(
        self,
        confidence: float = 0.95,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        exact: bool = False,
        time_limit: float = 60.0,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        self.exact = bool(exact)
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.confidence = share_of("confidence", confidence)
        self.time_limit = positive("time_limit", time_limit)
        if self.exact and self.constraints:
            raise PortfolioError("exact=True takes no extra constraints; leave them out, or use exact=False")

    def set_regularizer(self, reg: str | None = None, strength: float = 1.0) -> None:
        """Replace the regulariser; see :meth:`ConvexObjective.set_regularizer`.

        Raises
        ------
        PortfolioError
            Also with ``exact=True``.
        """
        if reg is not None and self.exact:
            raise PortfolioError("exact=True takes no regulariser; leave reg out, or use exact=False")
        super().set_regularizer(reg, strength)

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = None,
        w: ArrayLike | None = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        seed: int | None = 100,
    ) -> FloatArray:
        """Find the weights; see :meth:`Optimizer.optimize` for the other parameters.

        Parameters
        ----------
        data, weight_bounds, w, kind, custom_mean, custom_cov
            As in :meth:`Optimizer.optimize`; ``w`` is one more start of the search.
        seed : int or None
            For the random starts; the same seed gives the same answer.
        """
        started = time.perf_counter()
        market = Market.from_data(data, kind, self.probabilities)
        problem = self._linear(market, weight_bounds, custom_mean, custom_cov)
        returns, p, bounds = problem.returns, problem.probabilities, problem.bounds
        guess = None if w is None else bounds.repair(self._starting_guess(w, market))
        starts = self._starts(problem, guess, seed)
        x, height, iterations = self._search(problem, starts, seed)
        gap: float | None = None
        status, name, tolerance = "heuristic", "local-search", 0.0
        if self.exact:
            x, bound = exact_quantile(returns, p, self.confidence, bounds, x, self.time_limit)
            (x,), height, more = minimum_quantile(returns, p, self.confidence, bounds, None, [x], self.solver)
            iterations += more
            gap, tolerance = max(height - bound, 0.0), 1e-6 * float(np.abs(returns).max())
            status, name = ("optimal" if gap <= tolerance else "heuristic"), "highs"
        proof = Proof(height, np.inf if gap is None else gap, tolerance, problem.evaluate(x))
        self._keep(market, problem, Solved(x, proof, name, iterations, status), time.perf_counter() - started)
        self._solution = replace(self.solution, gap=gap)
        assert self.weights is not None
        return self.weights.copy()

    def _search(
        self, problem: ScenarioProblem, starts: list[FloatArray], seed: int | None
    ) -> tuple[FloatArray, float, int]:
        """Descents, then in turn a pattern search, which gets out of shallow pits, and a descent from where it ends."""
        returns, p, bounds, penalty = problem.returns, problem.probabilities, problem.bounds, problem.penalty
        points, height, iterations = minimum_quantile(
            returns, p, self.confidence, bounds, penalty, starts, self.solver, self.constraints
        )
        best = points[0]

        def values(x: FloatArray) -> FloatArray:
            extra = 0.0 if penalty is None else np.array([penalty.evaluate(row)[0] for row in x])
            return values_at_risk(x, returns, p, self.confidence) + extra

        for _ in range(_TURNS if not self.constraints else 0):
            found, _, steps = pattern_search(values, bounds, seed, np.array(points), _SEARCHES)
            points, lower, more = minimum_quantile(
                returns, p, self.confidence, bounds, penalty, [bounds.repair(found)], self.solver
            )
            iterations += steps + more
            if not lower < height:
                break
            best, height = points[0], lower
        return best, height, iterations

    def _starts(self, problem: ScenarioProblem, guess: FloatArray | None, seed: int | None) -> list[FloatArray]:
        """Feasible points: the least CVaR and worst case, the centre, mixtures with random corners, and a guess."""
        starts = []
        for risk in (ambiguity.CVaR(self.confidence), ambiguity.WorstCase()):
            problem.risk = risk
            try:
                starts.append(solve(problem, self.solver, guess, self.constraints).x)
            except OptimizationError:
                if not starts and isinstance(risk, ambiguity.WorstCase):
                    raise
        problem.risk = Mean()
        if not self.constraints:
            starts += scattered(problem.bounds, seed, _STARTS)
            if guess is not None:
                starts.append(guess)
        return starts

    def _linear(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> ScenarioProblem:
        for name, value in (("custom_mean", custom_mean), ("custom_cov", custom_cov)):
            if value is not None:
                raise PortfolioError(f"VaR works on scenarios, so {name} has no meaning for it")
        bounds: Bounds = self._bounds(market, weight_bounds)
        penalty = self._penalty(bounds)
        return ScenarioProblem(
            market.returns, market.probabilities, Linear(), Mean(), bounds, penalty, labels=lambda: market.dates
        )

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        raise PortfolioError("value-at-risk is not convex and has no cvxpy form; CVaR is its convex relative")
