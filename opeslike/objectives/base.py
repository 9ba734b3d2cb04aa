"""Optimizer: what every portfolio objective has in common."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.deadline import time_limit
from opeslike.errors import OpesLikeError, PortfolioError
from opeslike.market import Kind, Market
from opeslike.modelling.bounds import Bounds, parse_weight_bounds
from opeslike.modelling.constraints import Extra, UserConstraints
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.losses import Loss
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.regularizers import Regularizer, make_penalty, regularizer_name
from opeslike.modelling.risks import Risk
from opeslike.modelling.solution import Solution
from opeslike.objectives.leverage import Financing, terms_of
from opeslike.objectives.parameters import finite as finite
from opeslike.objectives.parameters import fraction_of as fraction_of
from opeslike.objectives.parameters import positive as positive
from opeslike.proof import Proof, Witness, prove, shadow_prices
from opeslike.solvers.solve import SOLVERS, Solved, solve

FloatArray = NDArray[np.float64]
Constraint = Callable[[Any], Any]


@dataclass(frozen=True)
class Given:
    """What ``optimize`` was given besides the data and a guess."""

    weight_bounds: Any = None
    kind: Kind | None = None
    custom_mean: Any = None
    custom_cov: Any = None


class Optimizer(ABC):
    """Base class of everything that turns returns into weights.

    After :meth:`optimize`, ``weights`` holds the answer, ``tickers`` the labels, and ``solution`` the certificate.

    Parameters
    ----------
    solver : {"auto", "interior-point", "cvxpy"}
        "auto" uses a structure-exploiting solver where there is one and cvxpy elsewhere.
    constraints : sequence of callables
        Each takes the weights as a cvxpy expression of shape (N,) and returns a convex constraint or a list of them,
        for example ``lambda w: [w[:3] @ np.ones(3) <= 0.4]``. They hold for the portfolio before a Kelly fraction is
        applied, go through cvxpy, and are certified like everything else.
    probabilities : array-like of shape (T,), optional
        Scenario probabilities; uniform by default.
    """

    #: the Backtester may pass a Market instead of a frame
    accepts_market: ClassVar[bool] = True
    #: seconds that one optimisation may take
    time_limit: float = 60.0

    def __init__(
        self,
        *,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        if solver not in SOLVERS:
            raise PortfolioError(f"solver={solver!r} is unknown; use one of {', '.join(map(repr, SOLVERS))}")
        if callable(constraints):
            constraints = (constraints,)
        for item in constraints:
            if not callable(item):
                raise PortfolioError(f"constraints must be callables of the weights, got {item!r}")
        if constraints and solver == "interior-point":
            raise PortfolioError("constraints go through cvxpy; use solver='auto' or 'cvxpy'")
        self.solver = solver
        self.constraints = tuple(constraints)
        self.probabilities = probabilities
        self.weights: FloatArray | None = None
        self.tickers: list[Hashable] | None = None
        self._solution: Solution | None = None
        self._given = Given()

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
    ) -> FloatArray:
        """Find the weights for the scenarios in ``data``.

        Parameters
        ----------
        data : DataFrame, ndarray or Market
            Prices or simple returns, dates x assets (two-level price columns as Yahoo gives them are fine). At least 5%
            negative values means returns, else prices; ``kind`` overrides.
        weight_bounds : pair of numbers, pair of arrays, list of pairs, or mapping of ticker to pair
            Bounds of each weight; negative lower bounds allow short positions. Default (0, 1), or (0, leverage) for
            objectives with ``leverage=``.
        w : array-like of shape (N,), optional
            A starting guess, such as the last weights. It may save time and never changes the answer beyond the gap.
        kind : {"prices", "returns"}, optional
            What ``data`` holds.
        custom_mean : array-like of shape (N,), optional
            Expected returns per period instead of the sample mean; for objectives on mean and covariance.
        custom_cov : array-like of shape (N, N), optional
            Covariance per period instead of the sample one; for objectives on mean and covariance.

        Returns
        -------
        ndarray of shape (N,)
            Fractions of wealth to hold, in the order of the columns; the rest is cash.

        Raises
        ------
        DataError
            If the data cannot be used; names ticker and date.
        PortfolioError
            If a parameter is out of range.
        InfeasibleError
            If no weights satisfy the bounds.
        OptimizationError
            If no certified optimum was found.
        """
        started = time.perf_counter()
        market = Market.from_data(data, kind, self.probabilities)
        self._given = Given(weight_bounds, kind, custom_mean, custom_cov)
        problem = self._problem(market, weight_bounds, custom_mean, custom_cov)
        guess = None if w is None else problem.lift(self._starting_guess(w, market))
        with time_limit(self.time_limit):
            solved = solve(problem, self.solver, guess, self._extra(market))
        self._keep(market, problem, solved, time.perf_counter() - started)
        assert self.weights is not None
        return self.weights.copy()

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

        market = Market.from_data(data, kind, self.probabilities)
        problem = self._problem(market, weight_bounds, custom_mean, custom_cov)
        scale = problem.natural_scale()
        return build(problem, self._extra(market), scale, unit=scale)[0]

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
        count = share.size
        held = share[share > 0]
        rank = 2 * np.arange(1, count + 1) - count - 1
        return {
            "tickers": list(self.tickers or []),
            "weights": np.round(weights, 5),
            "portfolio_entropy": max(-float(held @ np.log(held)), 0.0),
            "herfindahl_index": float(share @ share),
            "gini_coefficient": float(rank @ share) / count,
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
    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        """Build the problem for one market."""

    def _bounds(self, market: Market, weight_bounds: Any) -> Bounds:
        lower, upper = parse_weight_bounds(weight_bounds, market.assets)
        return Bounds.budget(lower, upper)

    def _scale(self) -> float:
        """What the optimised portfolio is multiplied by to give the weights held."""
        return 1.0

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
        proof = solved.proof
        weights = self._scale() * problem.weights(solved.x)
        again = prices = None
        if solved.status in ("optimal", "optimal_inaccurate"):
            asked = copy.copy(self)
            asked.weights = asked.tickers = asked._solution = None
            again = partial(asked._prove_again, self._given, proof.witness, market.assets)
            if proof.reduced is not None:
                prices = partial(shadow_prices, problem.bounds, problem.lift, proof, market.assets, self._scale())
        self.weights = weights
        self.tickers = list(market.assets)
        self._solution = Solution(
            weights=weights.copy(),
            assets=market.assets,
            value=proof.value + problem.offset,
            gap=proof.gap,
            status=solved.status,
            solver=solved.solver,
            iterations=solved.iterations,
            seconds=seconds,
            tolerance=proof.tolerance,
            worst_case=solved.q,
            _again=again,
            _prices=prices,
        )

    def _prove_again(
        self, given: Given, witness: Witness, assets: tuple[Hashable, ...], data: Any, weights: FloatArray
    ) -> Proof:
        """The proof of weights, from the data: see :meth:`Solution.verify`."""
        market = Market.from_data(data, given.kind, self.probabilities)
        if market.assets != assets:
            raise PortfolioError(
                f"the data hold {market.n_assets} assets ({', '.join(map(str, market.assets[:3]))}, ...), not the "
                f"{len(assets)} that were optimised; verify with the data that were given to optimize"
            )
        return self._proof(market, given, weights / (self._scale() or 1.0), witness)

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        """The proof of weights before a fraction is applied."""
        problem = self._problem(market, given.weight_bounds, given.custom_mean, given.custom_cov)
        extra = self._extra(market)
        user = UserConstraints(problem, extra) if extra or witness.cones is not None else None
        proof = prove(problem, problem.lift(w), witness, user)
        return replace(proof, value=proof.value + problem.offset)

    def _extra(self, market: Market) -> Extra:
        """The user's own constraints."""
        return Extra(self.constraints, market.assets)

    def _require_weights(self) -> FloatArray:
        if self.weights is None:
            raise PortfolioError(f"{type(self).__name__} has no weights yet; call optimize(data) first")
        return self.weights


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
    solver, constraints, probabilities
        See :class:`Optimizer`.
    """

    def __init__(
        self,
        *,
        reg: str | None = None,
        strength: float = 1.0,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(solver=solver, constraints=constraints, probabilities=probabilities)
        self.set_regularizer(reg, strength)

    def set_regularizer(self, reg: str | None = None, strength: float = 1.0) -> None:
        """Replace the regulariser; the next :meth:`optimize` uses it. See the class for the parameters.

        Raises
        ------
        PortfolioError
            If ``reg`` is unknown, or ``strength`` not a finite number >= 0.
        """
        self.reg = regularizer_name(reg)
        self.strength = positive("strength", strength, zero=True)

    def _penalty(self, bounds: Bounds | Lift) -> Regularizer | None:
        """The regulariser for a set of weights; entropy, jsd and wass-1 need long-only weights with sum 1."""
        return make_penalty(self.reg, self.strength, Lift.identity(bounds) if isinstance(bounds, Bounds) else bounds)


class ScenarioObjective(ConvexObjective):
    """``minimise risk(loss(R w))``: a subclass gives the two factors."""

    loss: Loss
    risk: Risk
    #: cash, borrowing and shorting costs; None is fully invested without costs
    financing: Financing | None = None

    def _risk(self, market: Market) -> Risk:
        """The risk for a market; fixed unless a parameter depends on the number of scenarios."""
        return self.risk

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        for name, value in (("custom_mean", custom_mean), ("custom_cov", custom_cov)):
            if value is not None:
                raise PortfolioError(f"{type(self).__name__} works on scenarios, so {name} has no meaning for it")
        most = 1.0 if self.financing is None or self.financing.leverage is None else self.financing.leverage
        lower, upper = parse_weight_bounds(weight_bounds, market.assets, (0.0, most))
        bounds, lift = feasible(terms_of(lower, upper, self.financing))
        return ScenarioProblem(
            market.returns,
            market.probabilities,
            self.loss,
            self._risk(market),
            bounds,
            self._penalty(lift),
            lift,
            labels=lambda: market.dates,
        )


class ClosedForm(Optimizer):
    """A rule whose weights are a formula: nothing is optimised, so there is no gap."""

    @abstractmethod
    def _formula(self, market: Market) -> FloatArray:
        """The weights."""

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = None,
        w: ArrayLike | None = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
    ) -> FloatArray:
        """Weights by formula; see :meth:`Optimizer.optimize` for the parameters.

        Raises
        ------
        PortfolioError
            If ``weight_bounds`` are given and the formula breaks them; the message names the asset.
        """
        started = time.perf_counter()
        market = Market.from_data(data, kind, self.probabilities)
        weights = self._formula(market)
        if weight_bounds is not None:
            lower, upper = parse_weight_bounds(weight_bounds, market.assets)
            outside = np.flatnonzero((weights < lower - 1e-12) | (weights > upper + 1e-12))
            if outside.size:
                i = int(outside[0])
                raise PortfolioError(
                    f"{type(self).__name__} holds {weights[i]:.4g} of {market.assets[i]}, outside its bounds "
                    f"[{lower[i]:g}, {upper[i]:g}]; widen them or use an optimiser that takes bounds"
                )
        self.weights, self.tickers = weights, list(market.assets)
        seconds = time.perf_counter() - started
        self._solution = Solution(
            weights.copy(), market.assets, float("nan"), None, "closed-form", "closed-form", 0, seconds
        )
        return weights.copy()

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        raise OpesLikeError(f"{type(self).__name__} is a formula, not an optimisation problem")
