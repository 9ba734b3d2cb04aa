"""Optimizer: what every portfolio objective has in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.beliefs.given import as_belief
from opeslike.checks import positive
from opeslike.deadline import time_limit
from opeslike.errors import PortfolioError
from opeslike.market import Kind, Market, cut, everyone, full
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.losses import Loss
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.regularizers import Regularizer, make_penalty, regularizer_name
from opeslike.modelling.risks import Mean, Risk
from opeslike.modelling.solution import Solution
from opeslike.modelling.terms import Terms
from opeslike.objectives.parameters import AtLeastZero, Positive, Regulariser, checks_of, one_of
from opeslike.parameters import Parameters
from opeslike.solvers.certificate import Certificate
from opeslike.solvers.solve import SOLVERS, Solved, solve

FloatArray = NDArray[np.float64]
Constraint = Callable[[Any], Any]

#: fully invested, nothing else said
FREE = Mandate()


@dataclass(eq=False, repr=False, kw_only=True)
class Optimizer(Parameters, ABC):
    """Base class of everything that turns returns into weights.

    After :meth:`optimize`, ``weights`` holds the answer, ``tickers`` the labels, and ``solution`` the certificate.

    Parameters
    ----------
    beliefs : Belief, callable from Market to Market, array of probabilities or dated Series, optional
        What the past says about the next period; see :mod:`opeslike.beliefs`. By default the past as it is.
    mandate : Mandate
        What may be held; see :class:`~opeslike.modelling.mandate.Mandate`. By default fully invested.
    solver : {"auto", "interior-point", "cvxpy"}
        "auto" uses a structure-exploiting solver where there is one and cvxpy elsewhere.
    time_limit : float > 0
        Seconds an optimisation may take; when they are over the error says what was reached.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range; names it.
    """

    #: the Backtester may pass a Market instead of a frame
    accepts_market: ClassVar[bool] = True

    beliefs: Any = None
    mandate: Mandate = FREE
    solver: Annotated[str, one_of(*SOLVERS)] = "auto"
    time_limit: Positive = 60.0

    def __post_init__(self) -> None:
        self.weights: FloatArray | None = None
        self.tickers: list[Hashable] | None = None
        self._solution: Solution | None = None
        for name, check in checks_of(type(self)).items():
            check(name, getattr(self, name))
        as_belief(self.beliefs)
        if not isinstance(self.mandate, Mandate):
            raise PortfolioError(f"mandate={self.mandate!r} must be a Mandate, such as Mandate(leverage=1)")
        if self.mandate.callables and self.solver == "interior-point":
            raise PortfolioError("constraints go through cvxpy; use solver='auto' or 'cvxpy'")

    @property
    def solution(self) -> Solution:
        """The last answer with its certificate.

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called.
        """
        if self._solution is None:
            raise PortfolioError(f"{type(self).__name__} has no solution yet; call optimize(data) first")
        return self._solution

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
        """Find the weights for the scenarios in ``data``.

        Parameters
        ----------
        data : DataFrame, ndarray or Market
            Prices or simple returns, dates x assets (two-level price columns as Yahoo gives them are fine). At least 5%
            negative values means returns, else prices; ``kind`` overrides.
        weight_bounds : pair of numbers, pair of arrays, list of pairs, or mapping of ticker to pair
            Bounds of each weight before a Kelly fraction is applied; negative lower bounds allow short positions. They
            hold besides those of the mandate; by default its own, else (0, 1), or (0, leverage).
        w : array-like of shape (N,), optional
            A starting guess, such as the last weights. It may save time and never changes a certified answer beyond the
            gap.
        kind : {"prices", "returns"}, optional
            What ``data`` holds.
        custom_mean : array-like of shape (N,), optional
            Expected returns per period instead of those of the beliefs; for objectives on mean and covariance.
        custom_cov : array-like of shape (N, N), optional
            Covariance per period instead of that of the beliefs; for objectives on mean and covariance.
        seed : int or None
            For the random starts of objectives that are not convex; the same seed gives the same answer. Others do not
            use it.

        Returns
        -------
        ndarray of shape (N,)
            Fractions of wealth to hold, in the order of the columns; the rest is cash. Assets without a price in the
            last row are not eligible: their weight is exactly 0, and nothing else depends on them.

        Raises
        ------
        DataError
            If the data cannot be used; names ticker and date.
        PortfolioError
            If a parameter is out of range, or given to an objective that has no use for it.
        InfeasibleError
            If no weights satisfy the limits.
        OptimizationError
            If no certified optimum was found.
        """
        return self._answer(self._market(data, kind), weight_bounds, w, custom_mean, custom_cov, seed=seed)

    def problem(
        self,
        data: Any,
        weight_bounds: Any = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
    ) -> Any:
        """The optimisation problem as a ``cvxpy.Problem``, to inspect or extend.

        Its variable ``weights`` holds the portfolio before a Kelly fraction is applied. Parameters are those of
        :meth:`optimize`.
        """
        from opeslike.solvers.conic import build

        market = self._market(data, kind)
        problem = self._problem(market, weight_bounds, custom_mean, custom_cov)
        scale = problem.natural_scale()
        return build(problem, self._constraints(), scale, unit=scale).problem

    def set_regularizer(self, reg: str | None = None, strength: float = 1.0) -> None:
        """Replace the regulariser; the next :meth:`optimize` uses it. What was found before is forgotten.

        Raises
        ------
        PortfolioError
            If ``reg`` is unknown, ``strength`` not a finite number >= 0, or the optimiser takes no regulariser.
        """
        self.set_params(reg=reg, strength=strength)

    def shared(self) -> tuple[Hashable, float] | None:
        """Key of the problem that is solved, and what its answer is multiplied by.

        Optimisers with equal keys find the same portfolio from the same data and bounds; each holds ``scale`` times it.
        Kelly portfolios in Thorp's form that differ in the fraction alone share one under an empty mandate.

        Returns
        -------
        (key, scale) : hashable and float
        """
        given = self.get_params(deep=False)
        free = self._settings.mandate.empty
        scale = self._scale() if free else 1.0
        if free:
            del given["mandate"]
        if self._scale() == scale == given.get("fraction"):
            del given["fraction"]
        return (type(self), *((name, _key(value)) for name, value in given.items())), scale

    def stats(self) -> dict[str, Any]:
        """Concentration of the last weights, on absolute weights scaled to sum to one.

        Returns
        -------
        dict
            ``tickers``; ``weights`` (five decimals); ``portfolio_entropy`` ``-sum u log u``; ``herfindahl_index``
            ``sum u^2``; ``gini_coefficient`` (mean absolute difference over twice the mean); ``absolute_max_weight``.

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called, or where every weight is zero.
        """
        weights = self._require_weights()
        size = float(np.abs(weights).sum())
        if size == 0:
            raise PortfolioError("every weight is zero, so shares of the portfolio are not defined")
        share = np.sort(np.abs(weights) / size)
        held = share[share > 0]
        rank = 2 * np.arange(1, share.size + 1) - share.size - 1
        return {
            "tickers": list(self.tickers or []),
            "weights": np.round(weights, 5),
            "portfolio_entropy": max(-float(held @ np.log(held)), 0.0),
            "herfindahl_index": float(share @ share),
            "gini_coefficient": float(rank @ share) / share.size,
            "absolute_max_weight": float(share[-1]),
        }

    def clean_weights(self, threshold: float = 1e-8) -> FloatArray:
        """Set positions smaller than ``threshold`` to zero and scale the rest so that the sum is kept.

        Where the sum of what is left is zero (a dollar-neutral book) nothing is rescaled. ``weights`` is replaced;
        ``solution`` keeps the answer as it was certified.

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called, or if ``threshold`` is negative.
        """
        weights = self._require_weights()
        threshold = positive("threshold", threshold, zero=True)
        kept = np.where(np.abs(weights) < threshold, 0.0, weights)
        before, after = float(weights.sum()), float(kept.sum())
        if abs(after) > 1e-6 * float(np.abs(kept).sum()) and after != before:
            kept *= before / after
        self.weights = kept
        return kept.copy()

    @abstractmethod
    def _problem(
        self, market: Market, weight_bounds: Any = None, custom_mean: Any = None, custom_cov: Any = None
    ) -> Problem:
        """Build the problem for one market."""

    def _solve(
        self,
        market: Market,
        weight_bounds: Any,
        w: FloatArray | None,
        custom_mean: Any,
        custom_cov: Any,
        seed: int | None,
    ) -> tuple[Problem, Solved]:
        """Build the problem and solve it, from a guess ``w`` before the fraction."""
        problem = self._problem(market, weight_bounds, custom_mean, custom_cov)
        start = None if w is None else problem.lift(w)
        return problem, solve(problem, self._settings.solver, start, self._constraints())

    def _answer(
        self, market: Market, weight_bounds: Any, w: Any, custom_mean: Any, custom_cov: Any, **options: Any
    ) -> FloatArray:
        """Ask about the eligible assets, keep and return the answer for all columns."""
        assets = market.assets
        moments = cut(custom_mean, assets), cut(custom_cov, assets, axes=(0, 1))
        self._timed(market, weight_bounds, cut(w, assets), *moments, **options)
        self.weights, self.tickers = full(self._require_weights(), assets), list(everyone(assets))
        return self.weights.copy()

    def _timed(self, market: Market, weight_bounds: Any, w: ArrayLike | None, *moments: Any, **options: Any) -> None:
        """Solve within the time limit and keep the answer."""
        started = time.perf_counter()
        guess = None if w is None else self._starting_guess(w, market)
        with time_limit(self._settings.time_limit):
            problem, solved = self._solve(market, weight_bounds, guess, *moments, **options)
            self._keep(market, problem, solved, time.perf_counter() - started)

    def _market(self, data: Any, kind: Kind | None) -> Market:
        """The scenarios believed in."""
        seen = Market.from_data(data, kind)
        believed = self._belief()(seen)
        if believed.assets == seen.assets:  # a belief need not know that there are others
            believed.assets = seen.assets
        return believed

    @property
    def _settings(self) -> Any:
        """Whose beliefs, mandate, solver and time limit hold."""
        return self

    def _belief(self) -> Callable[[Market], Market]:
        return as_belief(self._settings.beliefs)

    def _terms(self, market: Market, weight_bounds: Any) -> Terms:
        mandate: Mandate = self._settings.mandate
        return mandate.terms(market, weight_bounds, self._scale())

    def _constraints(self) -> tuple[Constraint, ...]:
        """What goes through cvxpy, as functions of the portfolio before the fraction."""
        scale = self._scale()
        given = self._settings.mandate.callables
        return tuple(lambda w, make=make: make(w if scale == 1 else scale * w) for make in given)

    def _rows(self, market: Market, weight_bounds: Any) -> tuple[Constraint, ...]:
        """Groups and exposures for objectives that take them through cvxpy, and the constraints."""
        terms = self._terms(market, weight_bounds)
        closed = [
            lambda w, row=row, limit=limit, sign=sign: sign * (row @ w - limit) <= 0
            for row, least, most in zip(terms.rows, terms.least, terms.most, strict=True)
            for sign, limit in ((1.0, most), (-1.0, least))
            if np.isfinite(limit)
        ]
        return (*closed, *self._constraints())

    def _scale(self) -> float:
        """What the optimised portfolio is multiplied by to give the weights held."""
        return 1.0

    def _unused(self, **given: Any) -> None:
        """Raise where something was given that the optimiser has no use for."""
        for name, value in given.items():
            if value is not None:
                raise PortfolioError(f"{type(self).__name__} has no use for {name}; leave it out")

    def _starting_guess(self, w: ArrayLike, market: Market) -> FloatArray:
        try:
            guess = np.asarray(w, dtype=np.float64)
        except (TypeError, ValueError):
            raise PortfolioError(f"w must be {market.n_assets} numbers, got {w!r}") from None
        if guess.shape != (market.n_assets,) or not np.isfinite(guess).all():
            raise PortfolioError(f"w must be {market.n_assets} finite numbers, got an array of shape {guess.shape}")
        return guess / self._scale()

    def _keep(self, market: Market, problem: Problem, solved: Solved, seconds: float) -> None:
        refusal = problem.refusal(solved.x)
        if refusal is not None:
            raise PortfolioError(refusal)
        certificate = solved.certificate
        weights = self._scale() * problem.weights(solved.x)
        self.weights = weights
        self.tickers = list(market.assets)
        self._solution = Solution(
            weights=weights.copy(),
            assets=market.assets,
            value=certificate.value + problem.offset,
            gap=None if np.isinf(certificate.gap) else certificate.gap,
            status=solved.status,
            solver=solved.solver,
            iterations=solved.iterations,
            seconds=seconds,
            tolerance=certificate.tolerance,
            # worst-case vectors of a multiple of a risk sum to that multiple
            worst_case=None if solved.q is None else solved.q / float(solved.q.sum()),
        )

    def _require_weights(self) -> FloatArray:
        if self.weights is None:
            raise PortfolioError(f"{type(self).__name__} has no weights yet; call optimize(data) first")
        return self.weights


def _key(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:  # an array or a list stands for itself
        return id(value)
    return value  # type: ignore[no-any-return]


def no_problem(self: Optimizer, *_: Any) -> Any:
    """Refuse to build a problem, for what is not one of convex optimisation.

    Raises
    ------
    PortfolioError
    """
    raise PortfolioError(f"{type(self).__name__} is not a convex problem, so it has no cvxpy form")


def heuristic(problem: Problem, x: FloatArray, value: float, iterations: int) -> Solved:
    """The best point of a local search: nothing is certified, and the solution says so."""
    certificate = Certificate(value, np.inf, 0.0, problem.evaluate(x))
    return Solved(x, certificate, "local-search", iterations, "heuristic")


@dataclass(eq=False, repr=False, kw_only=True)
class ConvexObjective(Optimizer):
    """An objective that is minimised, and may carry a regulariser.

    Parameters
    ----------
    reg : str or None
        Regulariser ``R(w)`` added to the objective: "l1" (sum of absolute weights), "l2" (sum of squares), "l-inf"
        (largest absolute weight), "entropy" (``sum w log w``), "jsd" (Jensen-Shannon divergence from equal weights),
        "variance" (of the weights), "mpad" (mean pairwise absolute deviation), "mpd" (largest weight less the
        smallest), "wass-1" (mean of ``|w_i - 1/N|``). It acts on the portfolio before a Kelly fraction is applied.
    strength : float >= 0
        What ``R(w)`` is multiplied by, in the unit of the objective; 0 leaves it out.
    beliefs, mandate, solver, time_limit
        See :class:`Optimizer`.
    """

    reg: Regulariser = None
    strength: AtLeastZero = 1.0

    def _strength(self, market: Market) -> float:
        """What the regulariser is multiplied by."""
        return self.strength

    def _feasible(
        self, market: Market, weight_bounds: Any, absolute: bool = False
    ) -> tuple[Bounds, Regularizer | None, Lift]:
        """What may be held, as bounds of variables, the regulariser, and how the variables stand for weights."""
        bounds, lift = feasible(self._terms(market, weight_bounds), absolute)
        reg = regularizer_name(self._settings.reg)
        return bounds, make_penalty(reg, self._strength(market), lift), lift

    def _box(self, market: Market, weight_bounds: Any) -> tuple[Bounds, Regularizer | None]:
        """The same for objectives that take bounds of fully invested weights, and other limits through cvxpy alone."""
        terms = self._terms(market, weight_bounds)
        if terms.financed:
            raise PortfolioError(f"{type(self).__name__} is fully invested; it takes no leverage, gross or short_fee")
        bounds = Bounds.budget(terms.lower, terms.upper)
        return bounds, make_penalty(regularizer_name(self.reg), self.strength, Lift.identity(bounds))


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

    def _limit(self, market: Market) -> Risk | None:
        """A smooth risk of the same losses that must not be positive."""
        return None

    def _problem(
        self, market: Market, weight_bounds: Any = None, custom_mean: Any = None, custom_cov: Any = None
    ) -> ScenarioProblem:
        for name, value in (("custom_mean", custom_mean), ("custom_cov", custom_cov)):
            if value is not None:
                raise PortfolioError(f"{type(self).__name__} works on scenarios, so {name} has no meaning for it")
        return self._under(self.risk(market), market, weight_bounds)

    def _under(self, risk: Risk, market: Market, weight_bounds: Any) -> ScenarioProblem:
        """The problem with this risk of the losses."""
        limits = self._feasible(market, weight_bounds)
        scenarios = market.returns, market.probabilities, self.loss, risk
        made = ScenarioProblem(*scenarios, *limits, labels=lambda: market.dates)
        made.limit = self._limit(market)
        return made
