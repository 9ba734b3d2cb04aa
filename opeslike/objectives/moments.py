"""What objectives on mean and covariance have in common: where the two come from, and how they are solved."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import field
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.beliefs.covariance import check_estimator, estimate
from opeslike.checks import check_covariance, check_mean
from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray, Kind, Market
from opeslike.modelling.constraints import UserConstraints
from opeslike.modelling.covariance import Matrix, sample_moments
from opeslike.modelling.problem import Problem
from opeslike.modelling.quadratic import QuadraticProblem, VolatilityProblem
from opeslike.modelling.regularizers import make_penalty, regularizer_name
from opeslike.objectives.base import ConvexObjective
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.parameters import objective
from opeslike.proof import Proof, Witness, prove_ratio
from opeslike.solvers.nonconvex.local_search import heuristic, scattered, successive_convex
from opeslike.solvers.ratio import largest_gain, maximize_ratio
from opeslike.solvers.solve import Solved, solve

#: random starts of a local search, besides the ones that are known to be good
_STARTS = 6


#: sample, shrunk, or by an estimator of scikit-learn's kind
Covariance = Annotated[Any, lambda _, value: check_estimator(value)]


def mean_of(market: Market, custom_mean: Any = None) -> FloatArray:
    """Expected returns per period, shape (N,): those given, else the mean of the scenarios."""
    return market.mean() if custom_mean is None else check_mean(custom_mean, market.assets)


def covariance_of(market: Market, custom_cov: Any, estimator: Any) -> FloatArray:
    """The covariance given, or an estimate; shape (N, N)."""
    return (
        estimate(check_estimator(estimator), market)
        if custom_cov is None
        else check_covariance(custom_cov, market.assets)
    )


def volatilities(market: Market, covariance: Matrix) -> FloatArray:
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


@objective
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
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.
    """

    uses_mean = True
    uses_covariance = True

    custom_mean: Any = field(default=None, kw_only=True)
    custom_cov: Any = field(default=None, kw_only=True)
    covariance: Covariance = field(default="sample", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._given(None, None, self.custom_mean, self.custom_cov)

    def _moments(self, market: Market, given: Given) -> tuple[FloatArray | None, Matrix | None]:
        """Mean and covariance, each None where the objective does not use it."""
        given_mean = self.custom_mean if given.custom_mean is None else given.custom_mean
        given_cov = self.custom_cov if given.custom_cov is None else given.custom_cov
        mean = None if given_mean is None else check_mean(given_mean, market.assets)
        covariance: Matrix | None = None if given_cov is None else check_covariance(given_cov, market.assets)
        if self.uses_covariance and covariance is None:
            estimator = check_estimator(self.covariance)
            if isinstance(estimator, str) and estimator == "sample":
                sample, covariance = sample_moments(market)
                mean = sample if mean is None and self.uses_mean else mean
            else:
                covariance = estimate(estimator, market)
        if self.uses_mean and mean is None:
            mean = mean_of(market)
        return mean, covariance


@objective
class QuadraticObjective(MomentObjective):
    """``minimise -mean' w + (aversion / 2) w' covariance w``: a subclass says which terms it has."""

    @property
    @abstractmethod
    def aversion(self) -> float:
        """Twice what the variance is multiplied by."""

    def _problem(self, market: Market, given: Given = NOTHING) -> Problem:
        mean, covariance = self._moments(market, given)
        return QuadraticProblem(mean, covariance, self.aversion, *self._feasible(market, given))


@objective
class RatioObjective(MomentObjective):
    """``maximise gain' w / sqrt(w' covariance w)``: a subclass gives the gain."""

    @abstractmethod
    def _gain(self, market: Market, mean: FloatArray | None, covariance: Matrix) -> FloatArray:
        """What is gained by a unit of each asset; raises where no feasible weights can have a positive gain."""

    def _refuse(self, market: Market, best: FloatArray, gain: float) -> None:
        """Say in the objective's own words that no feasible weights have a positive gain."""

    def _problem(self, market: Market, given: Given = NOTHING) -> VolatilityProblem:
        mean, covariance = self._moments(market, given)
        assert covariance is not None
        if self.mandate.leverage is not None or self.mandate.short_fee > 0 or self.mandate.impact is not None:
            raise PortfolioError(f"{type(self).__name__} is fully invested; it takes no leverage, short_fee or impact")
        if self.mandate.risky:
            raise PortfolioError(
                f"{type(self).__name__} takes no risk_limits or max_tracking_error; use MeanVariance, or active_bounds"
            )
        gain = self._gain(market, mean, covariance)
        return VolatilityProblem(gain, covariance, 0.0, *self._feasible(market, given))

    def _solve(self, market: Market, given: Given, w: FloatArray | None, seed: int | None) -> tuple[Problem, Solved]:
        problem = self._problem(market, given)
        constraints = self._extra(market)
        best, gain = largest_gain(problem, constraints)
        if gain <= 0:
            self._refuse(market, problem.weights(best), gain)
        if problem.penalty is not None:
            if problem.cost is not None or self.mandate.counts() is not None:
                raise PortfolioError("a ratio with a regulariser takes no costs, max_positions or min_position")
            return problem, self._search(problem, None if w is None else problem.lift(w), seed, constraints)
        return self._found(problem, market, given, w)

    def _minimise(self, problem: Any, start: FloatArray | None, constraints: Any = (), named: bool = True) -> Solved:
        return maximize_ratio(problem, self.solver, start, constraints)

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        problem = self._problem(market, given)
        extra = self._extra(market)
        return prove_ratio(problem, problem.lift(w), witness, UserConstraints(problem, extra) if extra else None)

    def _search(
        self, problem: VolatilityProblem, guess: FloatArray | None, seed: int | None, constraints: Any
    ) -> Solved:
        """Minimise ``penalty - ratio``, which is not convex."""
        gain, covariance, bounds, penalty = problem.gain, problem.covariance, problem.bounds, problem.penalty
        lift = problem.lift
        assert penalty is not None

        def parts(x: FloatArray) -> tuple[float, float]:
            w = lift.weights(x)
            deviation = math.sqrt(max(float(w @ (covariance @ w)), 0.0))
            return float(gain @ w) / deviation if deviation > 0 else -math.inf, deviation

        def value(x: FloatArray) -> float:
            return penalty.evaluate(lift.weights(x))[0] - parts(x)[0]

        def model(x: FloatArray) -> Problem:
            # the ratio linearised in gain and volatility, all times the volatility: convex where the ratio is positive
            ratio, deviation = parts(x)
            scaled = make_penalty(regularizer_name(self.reg), self.strength * deviation, problem.lift)
            return VolatilityProblem(gain, covariance, max(ratio, 0.0), bounds, scaled, lift)

        plain = maximize_ratio(problem, self.solver, None, constraints).x
        least = solve(QuadraticProblem(None, covariance, 2.0, bounds, None, lift), self.solver, None, constraints).x
        starts = [plain, least] if guess is None else [plain, least, bounds.repair(guess)]
        if not constraints:
            starts += scattered(bounds, seed, _STARTS)
        elif guess is not None:
            starts.pop()  # it need not satisfy the constraints
        return heuristic(problem, *successive_convex(model, value, starts, self.solver, constraints))

    def problem(
        self,
        data: Any,
        weight_bounds: Any = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        held: Any = None,
        costs: Any = None,
    ) -> Any:
        """The convex form of the problem as a ``cvxpy.Problem``, to inspect or extend.

        Its variable ``scaled`` is the portfolio divided by its gain, ``y = w / (gain' w)``; the objective is
        ``y' S y``, one over the squared ratio, and ``w = y / sum(y)``.

        Raises
        ------
        PortfolioError
            If there is a regulariser or there are constraints=, which have no convex form.
        """
        from opeslike.solvers.conic import build_ratio

        market = self._market(data, kind)
        if self.reg is not None or self._extra(market):
            raise PortfolioError("the convex form of a ratio takes no regulariser and no extra constraints")
        given = self._told(market, self._given(weight_bounds, kind, custom_mean, custom_cov, held, costs))
        made = self._problem(market, given)
        return build_ratio(made)
