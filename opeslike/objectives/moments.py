"""What objectives on mean and covariance have in common: where the two come from, and how they are solved."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.errors import DataError, PortfolioError
from opeslike.market import Kind, Market
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import UserConstraints
from opeslike.modelling.covariance import check_estimator, estimate
from opeslike.modelling.problem import Problem
from opeslike.modelling.quadratic import QuadraticProblem, VolatilityProblem
from opeslike.modelling.regularizers import make_penalty
from opeslike.objectives.base import Constraint, ConvexObjective, Given
from opeslike.objectives.parameters import check_covariance, check_mean
from opeslike.proof import Proof, Witness, prove_ratio
from opeslike.solvers.local_search import scattered, successive_convex
from opeslike.solvers.ratio import largest_gain, maximize_ratio
from opeslike.solvers.solve import Solved, solve

FloatArray = NDArray[np.float64]

#: random starts of a local search, besides the ones that are known to be good
_STARTS = 6


def mean_of(market: Market) -> FloatArray:
    """Expected returns per period, shape (N,): the sample mean, or the mean under the scenario probabilities."""
    p = market.probabilities
    return np.asarray(market.returns.mean(axis=0) if p is None else p @ market.returns)


def covariance_of(market: Market, custom_cov: Any, estimator: Any) -> FloatArray:
    """The covariance given, or an estimate; shape (N, N)."""
    return estimate(estimator, market) if custom_cov is None else check_covariance(custom_cov, market.assets)


def volatilities(market: Market, covariance: FloatArray) -> FloatArray:
    """Standard deviations, shape (N,).

    Raises
    ------
    DataError
        Naming an asset whose returns do not vary.
    """
    variance = covariance.diagonal()
    # running sums leave rounding noise where there is no variance
    flat = np.flatnonzero(variance <= 1e-20 * variance.max(initial=0.0))
    if flat.size:
        raise DataError(f"{market.assets[int(flat[0])]} has no variance; leave riskless assets out of this portfolio")
    return np.asarray(np.sqrt(variance))


class MomentObjective(ConvexObjective):
    """An objective on mean and covariance.

    Parameters
    ----------
    reg, strength
        See :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean; a Series is matched by ticker.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one; a frame is matched by ticker.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        How the covariance is estimated: the sample covariance (divided by T - 1, without a ridge), a shrinkage
        estimator of scikit-learn, or any object with ``fit(returns)`` and ``covariance_``.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.
    """

    uses_mean: ClassVar[bool] = True
    uses_covariance: ClassVar[bool] = True

    def __init__(
        self,
        *,
        reg: str | None = None,
        strength: float = 1.0,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        covariance: Any = "sample",
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.custom_mean, self.custom_cov = custom_mean, custom_cov
        self.covariance = check_estimator(covariance)

    def _moments(
        self, market: Market, custom_mean: Any, custom_cov: Any
    ) -> tuple[FloatArray | None, FloatArray | None]:
        """Mean and covariance, each None where the objective does not use it."""
        given_mean = self.custom_mean if custom_mean is None else custom_mean
        given_cov = self.custom_cov if custom_cov is None else custom_cov
        if given_mean is not None and not self.uses_mean:
            raise PortfolioError(f"{type(self).__name__} does not use expected returns; leave custom_mean out")
        if given_cov is not None and not self.uses_covariance:
            raise PortfolioError(f"{type(self).__name__} does not use a covariance; leave custom_cov out")
        mean = None if given_mean is None else check_mean(given_mean, market.assets)
        covariance = None if given_cov is None else check_covariance(given_cov, market.assets)
        if self.uses_covariance and covariance is None:
            if self.covariance == "sample":
                sample, covariance = market.mean_and_covariance()  # running sums give both
                mean = sample if mean is None and self.uses_mean else mean
            else:
                covariance = estimate(self.covariance, market)
        if self.uses_mean and mean is None:
            mean = mean_of(market)
        return mean, covariance

    def _keep_heuristic(
        self, market: Market, problem: Problem, x: FloatArray, value: float, iterations: int, started: float
    ) -> FloatArray:
        """Keep the best point of a local search: nothing is certified, and the solution says so."""
        proof = Proof(value, np.inf, 0.0, problem.evaluate(x))
        solved = Solved(x, proof, "local-search", iterations, "heuristic")
        self._keep(market, problem, solved, time.perf_counter() - started)
        self._solution = replace(self.solution, gap=None)
        return self._require_weights().copy()


class QuadraticObjective(MomentObjective):
    """``minimise -mean' w + (aversion / 2) w' covariance w``: a subclass says which terms it has."""

    aversion: float = 1.0

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        mean, covariance = self._moments(market, custom_mean, custom_cov)
        bounds = self._bounds(market, weight_bounds)
        return QuadraticProblem(mean, covariance, self.aversion, bounds, self._penalty(bounds))


class RatioObjective(MomentObjective):
    """``maximise gain' w / sqrt(w' covariance w)``: a subclass gives the gain."""

    @abstractmethod
    def _gain(self, market: Market, mean: FloatArray | None, covariance: FloatArray) -> FloatArray:
        """What is gained by a unit of each asset; raises where no feasible weights can have a positive gain."""

    def _refuse(self, market: Market, best: FloatArray, gain: float) -> None:
        """Say in the objective's own words that no feasible weights have a positive gain."""

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> VolatilityProblem:
        mean, covariance = self._moments(market, custom_mean, custom_cov)
        assert covariance is not None
        bounds = self._bounds(market, weight_bounds)
        gain = self._gain(market, mean, covariance)
        return VolatilityProblem(gain, covariance, 0.0, bounds, self._penalty(bounds))

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = (0, 1),
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
            As in :meth:`Optimizer.optimize`.
        seed : int or None
            For the random starts of the local search that a regulariser needs; without one it changes nothing.

        Raises
        ------
        InfeasibleError
            Also if no feasible weights have a positive numerator, or the ratio has no maximum.
        """
        started = time.perf_counter()
        market = Market.from_data(data, kind, self.probabilities)
        self._given = Given(weight_bounds, kind, custom_mean, custom_cov)
        guess = None if w is None else self._starting_guess(w, market)
        problem = self._problem(market, weight_bounds, custom_mean, custom_cov)
        bounds = problem.bounds
        best, gain = largest_gain(problem.gain, bounds, self.constraints)
        if gain <= 0:
            self._refuse(market, best, gain)
        if problem.penalty is not None:
            x, value, iterations = self._search(problem, guess, seed)
            return self._keep_heuristic(market, problem, x, value, iterations, started)
        solved = maximize_ratio(problem.gain, problem.covariance, bounds, self.solver, guess, self.constraints)
        self._keep(market, problem, solved, time.perf_counter() - started)
        return self._require_weights().copy()

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        problem = self._problem(market, given.weight_bounds, given.custom_mean, given.custom_cov)
        extra = UserConstraints(problem, self._extra(market)) if self.constraints else None
        return prove_ratio(problem, problem.lift(w), witness, extra)

    def _search(
        self, problem: VolatilityProblem, guess: FloatArray | None, seed: int | None
    ) -> tuple[FloatArray, float, int]:
        """Minimise ``penalty - ratio``, which is not convex."""
        gain, covariance, bounds, penalty = problem.gain, problem.covariance, problem.bounds, problem.penalty
        assert penalty is not None

        def parts(x: FloatArray) -> tuple[float, float]:
            deviation = float(np.sqrt(x @ covariance @ x))
            return float(gain @ x) / deviation, deviation

        def value(x: FloatArray) -> float:
            return penalty.evaluate(x)[0] - parts(x)[0]

        def model(x: FloatArray) -> Problem:
            # the ratio linearised in gain and volatility, all times the volatility: convex where the ratio is positive
            ratio, deviation = parts(x)
            scaled = make_penalty(self.reg, self.strength * deviation, problem.lift)
            return VolatilityProblem(gain, covariance, max(ratio, 0.0), bounds, scaled)

        plain = maximize_ratio(gain, covariance, bounds, self.solver, None, self.constraints).x
        least = solve(QuadraticProblem(None, covariance, 2.0, bounds), self.solver, None, self.constraints).x
        starts = [plain, least] if guess is None else [plain, least, bounds.repair(guess)]
        if not self.constraints:
            starts += scattered(bounds, seed, _STARTS)
        elif guess is not None:
            starts.pop()  # it need not satisfy the constraints
        return successive_convex(model, value, starts, self.solver, self.constraints)

    def problem(
        self,
        data: Any,
        weight_bounds: Any = (0, 1),
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
    ) -> Any:
        """The convex form of the problem as a ``cvxpy.Problem``, to inspect or extend.

        Its variable ``scaled`` is the portfolio divided by its gain, ``y = w / (gain' w)``; the objective is
        ``y' S y``, one over the squared ratio, and ``w = y / sum(y)``.

        Raises
        ------
        PortfolioError
            If there is a regulariser or there are extra constraints, which have no convex form.
        """
        import cvxpy as cp

        if self.reg is not None or self.constraints:
            raise PortfolioError("the convex form of a ratio takes no regulariser and no extra constraints")
        market = Market.from_data(data, kind, self.probabilities)
        made = self._problem(market, weight_bounds, custom_mean, custom_cov)
        y = cp.Variable(made.n_assets, name="scaled")
        total = cp.sum(y)
        bounds: Bounds = made.bounds
        return cp.Problem(
            cp.Minimize(cp.quad_form(y, cp.psd_wrap(made.covariance))),
            [made.gain @ y == 1, y >= bounds.lower * total, y <= bounds.upper * total, total >= 0],
        )
