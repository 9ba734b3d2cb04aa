"""Optimizer: what every portfolio objective has in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.beliefs.given import as_belief
from opeslike.deadline import time_limit
from opeslike.errors import PortfolioError
from opeslike.market import Kind, Market
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import Extra, UserConstraints
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.losses import Loss
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.regularizers import Regularizer, make_penalty, regularizer_name
from opeslike.modelling.risks import Mean, Risk
from opeslike.modelling.solution import Solution
from opeslike.modelling.terms import Terms
from opeslike.objectives.answer import Answer
from opeslike.objectives.parameters import AtLeastZero, Positive, Regulariser, checks_of, one_of
from opeslike.proof import Proof, Witness, prove, shadow_prices
from opeslike.solvers.solve import SOLVERS, Solved, solve

FloatArray = NDArray[np.float64]

#: fully invested, nothing else said
FREE = Mandate()


@dataclass(frozen=True)
class Given:
    """What ``optimize`` was given besides the data, a guess and a seed."""

    weight_bounds: Any = None
    kind: Kind | None = None
    custom_mean: Any = None
    custom_cov: Any = None


NOTHING = Given()


@dataclass(eq=False, repr=False, kw_only=True)
class Optimizer(Answer, ABC):
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
    uses_mean: ClassVar[bool] = False
    uses_covariance: ClassVar[bool] = False

    beliefs: Any = None
    mandate: Mandate = FREE
    solver: Annotated[str, one_of(*SOLVERS)] = "auto"
    time_limit: Positive = 60.0

    def __post_init__(self) -> None:
        self._forget()
        for name, check in checks_of(type(self)).items():
            check(name, getattr(self, name))
        as_belief(self.beliefs)
        if not isinstance(self.mandate, Mandate):
            raise PortfolioError(f"mandate={self.mandate!r} must be a Mandate, such as Mandate(leverage=1)")
        if self.mandate.callables and self.solver == "interior-point":
            raise PortfolioError("constraints go through cvxpy; use solver='auto' or 'cvxpy'")

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
            Fractions of wealth to hold, in the order of the columns; the rest is cash.

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
        given = self._given(weight_bounds, kind, custom_mean, custom_cov)
        return self._timed(self._market(data, kind), given, w, seed=seed)

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

        Its variable ``weights`` holds the portfolio before a Kelly fraction is applied; where cash, limits or the short
        parts of weights have variables too, all are in one called ``variables``, the parts of the weights first.
        Parameters are those of :meth:`optimize`.
        """
        from opeslike.solvers.conic import build

        market = self._market(data, kind)
        problem = self._problem(market, self._given(weight_bounds, kind, custom_mean, custom_cov))
        scale = problem.natural_scale()
        return build(problem, self._extra(market), scale, unit=scale)[0]

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

    @abstractmethod
    def _problem(self, market: Market, given: Given = NOTHING) -> Problem:
        """Build the problem for one market."""

    def _solve(self, market: Market, given: Given, w: FloatArray | None, seed: int | None) -> tuple[Problem, Solved]:
        """Build the problem and solve it, from a guess ``w`` before the fraction."""
        problem = self._problem(market, given)
        start = None if w is None else problem.lift(w)
        return problem, solve(problem, self._settings.solver, start, self._extra(market))

    def _timed(self, market: Market, given: Given, w: ArrayLike | None, **options: Any) -> FloatArray:
        """Solve within the time limit and keep the answer."""
        started = time.perf_counter()
        guess = None if w is None else self._starting_guess(w, market)
        with time_limit(self._settings.time_limit):
            problem, solved = self._solve(market, given, guess, **options)
            self._keep(market, problem, solved, given, time.perf_counter() - started)
        return self._require_weights().copy()

    def _given(self, weight_bounds: Any, kind: Kind | None, custom_mean: Any, custom_cov: Any) -> Given:
        """Bundle what was given; refuse moments that the optimiser has no use for."""
        if custom_mean is not None and not self.uses_mean:
            raise PortfolioError(f"{type(self).__name__} does not use expected returns; leave custom_mean out")
        if custom_cov is not None and not self.uses_covariance:
            raise PortfolioError(f"{type(self).__name__} does not use a covariance; leave custom_cov out")
        return Given(weight_bounds, kind, custom_mean, custom_cov)

    def _market(self, data: Any, kind: Kind | None) -> Market:
        """The scenarios believed in."""
        return self._belief()(Market.from_data(data, kind))

    @property
    def _settings(self) -> Any:
        """Whose beliefs, mandate, solver and time limit hold."""
        return self

    def _belief(self) -> Callable[[Market], Market]:
        return as_belief(self._settings.beliefs)

    def _terms(self, market: Market, given: Given) -> Terms:
        mandate: Mandate = self._settings.mandate
        return mandate.terms(market, given.weight_bounds, self._scale())

    def _extra(self, market: Market) -> Extra:
        """What goes through cvxpy, as functions of the weights held."""
        return Extra(self._settings.mandate.callables, market.assets, self._scale())

    def _starting_guess(self, w: ArrayLike, market: Market) -> FloatArray:
        try:
            guess = np.asarray(w, dtype=np.float64)
        except (TypeError, ValueError):
            raise PortfolioError(f"w must be {market.n_assets} numbers, got {w!r}") from None
        if guess.shape != (market.n_assets,) or not np.isfinite(guess).all():
            raise PortfolioError(f"w must be {market.n_assets} finite numbers, got an array of shape {guess.shape}")
        return guess / self._scale()

    def _keep(self, market: Market, problem: Problem, solved: Solved, given: Given, seconds: float) -> None:
        refusal = problem.refusal(solved.proof.point)
        if refusal is not None:
            raise PortfolioError(refusal)
        proof, scale = solved.proof, self._scale()
        weights = scale * problem.weights(solved.x)
        if isinstance(problem, ScenarioProblem) and not problem.lift.plain and solved.status != "heuristic":
            held = problem.evaluate(problem.lift.settled(solved.x)).value
            if held > proof.value + 10.0 * max(proof.tolerance, proof.gap):
                raise PortfolioError(
                    "the best answer throws money away, borrowing and lending at once or paying fees for nothing: the "
                    "utility falls with wealth there; lower risk_aversion"
                )
        again = prices = self._recheck = None
        if solved.status in ("optimal", "optimal_inaccurate"):
            asked = self._remembered()
            again = partial(asked._prove_again, given, proof.witness, market.assets)
            self._recheck = partial(asked._proof, market, given, witness=proof.witness)
            if proof.reduced is not None:
                prices = partial(shadow_prices, problem.bounds, problem.lift, proof, market.assets, scale)
        self.weights = weights
        self.tickers = list(market.assets)
        self._solution = Solution(
            weights=weights.copy(),
            assets=market.assets,
            value=proof.value + problem.offset,
            gap=None if np.isinf(proof.gap) else proof.gap,
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
        market = self._market(data, given.kind)
        if market.assets != assets:
            raise PortfolioError(
                f"the data hold {market.n_assets} assets ({', '.join(map(str, market.assets[:3]))}, ...), not the "
                f"{len(assets)} that were optimised; verify with the data that were given to optimize"
            )
        return self._proof(market, given, weights / (self._scale() or 1.0), witness)

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        """The proof of weights before a fraction is applied."""
        problem = self._problem(market, given)
        extra = self._extra(market)
        user = UserConstraints(problem, extra) if extra or witness.cones is not None else None
        proof = prove(problem, problem.lift(w), witness, user)
        return replace(proof, value=proof.value + problem.offset)


def _key(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:  # an array or a list stands for itself
        return id(value)
    return value  # type: ignore[no-any-return]


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
        self, market: Market, given: Given, absolute: bool = False
    ) -> tuple[Bounds, Regularizer | None, Lift]:
        """What may be held, as bounds of variables, the regulariser, and how the variables stand for weights."""
        bounds, lift = feasible(self._terms(market, given), absolute)
        reg = regularizer_name(self._settings.reg)
        return bounds, make_penalty(reg, self._strength(market), lift), lift

    def _box(self, market: Market, given: Given) -> tuple[Bounds, Regularizer | None]:
        """The same for searches, which take bounds of fully invested weights alone."""
        terms = self._terms(market, given)
        if terms.financed or len(terms.rows) or self.mandate.callables:
            raise PortfolioError(f"{type(self).__name__} is a search that takes bounds only; leave other limits out")
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

    def _problem(self, market: Market, given: Given = NOTHING) -> ScenarioProblem:
        return self._under(self.risk(market), market, given)

    def _under(self, risk: Risk, market: Market, given: Given) -> ScenarioProblem:
        """The problem with this risk of the losses."""
        limits = self._feasible(market, given)
        scenarios = market.returns, market.probabilities, self.loss, risk
        made = ScenarioProblem(*scenarios, *limits, labels=lambda: market.dates)
        made.limit = self._limit(market)
        return made
