"""Optimizer: what every portfolio objective has in common."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from opeslike.beliefs.given import as_belief
from opeslike.checks import check_mean
from opeslike.data.findings import warn_about
from opeslike.deadline import time_limit
from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.market import FloatArray, Kind, Market, cut, everyone, full, read_panel
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import Extra, UserConstraints
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.limits import RiskLimit
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.modelling.regularizers import Regularizer, make_penalty, regularizer_name
from opeslike.modelling.solution import Solution
from opeslike.modelling.terms import Terms
from opeslike.modelling.trading import cost_rates
from opeslike.objectives.answer import Asked
from opeslike.objectives.estimator import Estimator
from opeslike.objectives.given import NOTHING, Given, guess_of, held_by_asset
from opeslike.objectives.parameters import AtLeastZero, Positive, Regulariser, check_mandate, checks_of, one_of
from opeslike.proof import Proof, Witness, prove, shadow_prices
from opeslike.solvers.nonconvex.counts import fewest
from opeslike.solvers.solve import SOLVERS, Solved, solve

Within = TypeVar("Within", bound=Problem)

FREE = Mandate()  # fully invested, nothing else said
_ROOM = 1e-4  # turnover beyond the least that leads into limits on risk, where there is a single point


@dataclass(eq=False, repr=False, kw_only=True)
class Optimizer(Estimator):
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

    accepts_market: ClassVar[bool] = True  # the Backtester may pass a Market instead of a frame
    uses_mean: ClassVar[bool] = False
    uses_covariance: ClassVar[bool] = False
    takes_costs: ClassVar[bool] = True  # whether there is a return to charge costs to
    takes_counts: ClassVar[bool] = True  # whether a convex relaxation bounds what positions may be counted by

    beliefs: Any = None
    mandate: Mandate = FREE
    solver: Annotated[str, one_of(*SOLVERS)] = "auto"
    time_limit: Positive = 60.0

    def __post_init__(self) -> None:
        for name, check in checks_of(type(self)).items():
            check(name, getattr(self, name))
        as_belief(self.beliefs)
        if not isinstance(self.mandate, Mandate):
            raise PortfolioError(f"mandate={self.mandate!r} must be a Mandate, such as Mandate(leverage=1)")
        check_mandate(self, self.mandate)

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = None,
        w: ArrayLike | None = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        held: Any = None,
        costs: Any = None,
        seed: int | None = 100,
    ) -> FloatArray:
        """Find the weights for the scenarios in ``data``.

        Parameters
        ----------
        data : DataFrame, ndarray or Market
            Prices or simple returns, dates x assets (two-level price columns as Yahoo's are fine). At least 5% negative
            values means returns, else prices; ``kind`` overrides.
        weight_bounds : pair of numbers, pair of arrays, list of pairs, or mapping of ticker to pair
            Bounds of each weight before a Kelly fraction is applied; negative lower bounds allow short positions. They
            hold besides those of the mandate; by default its own, else (0, 1), or (0, leverage).
        w : array-like of shape (N,), optional
            A starting guess, such as the last weights. It may save time and changes no certified answer beyond its gap.
        kind : {"prices", "returns"}, optional
            What ``data`` holds.
        custom_mean, custom_cov : array-like of shape (N,) and (N, N), optional
            Mean and covariance per period instead of the beliefs'; for objectives on mean and covariance.
        held : mapping or Series by ticker, or array of shape (N,), optional
            Weights held before, drifted with prices, for the mandate's costs and limits on trades; tickers that are not
            named are not held, the rest is cash. All cash by default.
        costs : basis points by asset, optional
            What the account expects to pay for trading; counts under ``Mandate(costs="account")`` alone.
        seed : int or None
            For the random starts of objectives that are not convex: the same seed gives the same answer.

        Returns
        -------
        ndarray of shape (N,)
            Fractions of wealth, in the order of the columns; the rest is cash. Without a price in the last row: 0.

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
        given = self._given(weight_bounds, kind, custom_mean, custom_cov, held, costs)
        return self._answer(self._market(data, kind), given, w, seed=seed)

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
        """The optimisation problem as a ``cvxpy.Problem``, to inspect or extend.

        Its variable ``weights`` holds the portfolio before a Kelly fraction is applied; where cash, limits or the short
        parts of weights have variables too, all are in one called ``variables``, the parts of the weights first.
        Parameters are those of :meth:`optimize`.
        """
        from opeslike.solvers.conic import build

        market = self._market(data, kind)
        given = self._told(market, self._given(weight_bounds, kind, custom_mean, custom_cov, held, costs))
        problem = self._limited(market, self._valued(market, given))
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

    @abstractmethod
    def _problem(self, market: Market, given: Given = NOTHING) -> Problem:
        """Build the problem for one market."""

    @property
    def _own_limits(self) -> tuple[RiskLimit, ...]:
        """Limits on risk besides those of the mandate."""
        return ()

    def _limited(self, market: Market, given: Given) -> Problem:
        """The problem with its limits on risk."""
        return self._within_limits(self._problem(market, given), market, given)

    def _within_limits(self, problem: Within, market: Market, given: Given) -> Within:
        covariance = getattr(self, "custom_cov", None) if given.custom_cov is None else given.custom_cov
        problem.limits = self._settings.mandate.limits(market, problem, self._scale(), covariance, self._own_limits)
        return problem

    def _solve(self, market: Market, given: Given, w: FloatArray | None, seed: int | None) -> tuple[Problem, Solved]:
        """Build the problem and solve it, from a guess ``w`` before the fraction."""
        return self._found(self._limited(market, given), market, given, w)

    def _found(self, problem: Any, market: Market, given: Given, w: FloatArray | None) -> tuple[Problem, Solved]:
        if w is None and self.uses_held and given.held is not None and given.held.any():  # trades lead from there
            w = given.held / self._scale()
        counts = self._settings.mandate.counts(self._scale())
        if counts is not None:
            return problem, fewest(problem, counts, self._minimise, w)
        named = not (given.trading and self._settings.mandate.gives_way)  # else turnover may be wider yet
        return problem, self._minimise(problem, None if w is None else problem.lift(w), self._extra(market), named)

    def _minimise(self, problem: Any, start: FloatArray | None, constraints: Any = (), named: bool = True) -> Solved:
        """Solve a problem of this kind, certified."""
        return solve(problem, self._settings.solver, start, constraints, named)

    def _answer(self, market: Market, given: Given, w: Any, **options: Any) -> FloatArray:
        """Ask about the eligible assets, keep and return the answer for all columns."""
        assets = market.assets
        if given.custom_mean is not None or given.custom_cov is not None:
            mean, covariance = cut(given.custom_mean, assets), cut(given.custom_cov, assets, axes=(0, 1))
            given = replace(given, custom_mean=mean, custom_cov=covariance)
        self._timed(market, given, cut(w, assets), **options)
        self.weights, self.tickers = full(self._require_weights(), assets), list(everyone(assets))
        return self.weights.copy()

    def _timed(self, market: Market, given: Given, w: ArrayLike | None, **options: Any) -> None:
        """Solve within the time limit and keep the answer."""
        started = time.perf_counter()
        guess = None if w is None else guess_of(w, market.n_assets) / self._scale()
        given = self._told(market, given)
        with time_limit(self._settings.time_limit):
            try:
                valued = self._valued(market, given)
                problem, solved = self._solve(market, valued, guess, **options)
            except InfeasibleError:  # where limits on risk ask for more turnover than is allowed, the least is in force
                if not (given.trading and self._settings.mandate.gives_way):
                    raise
                valued, guess = self._widened(market, given)
                problem, solved = self._solve(market, valued, guess, **options)
            self._keep(market, problem, solved, valued, time.perf_counter() - started)

    def _given(self, weight_bounds: Any, kind: Kind | None, custom_mean: Any, custom_cov: Any, *trading: Any) -> Given:
        """Bundle what was given; refuse moments that the optimiser has no use for."""
        if custom_mean is not None and not self.uses_mean and self._settings.mandate.target_return is None:
            raise PortfolioError(f"{type(self).__name__} does not use expected returns; leave custom_mean out")
        if custom_cov is not None and not self.uses_covariance:
            raise PortfolioError(f"{type(self).__name__} does not use a covariance; leave custom_cov out")
        return Given(weight_bounds, kind, custom_mean, custom_cov, *trading)

    def _told(self, market: Market, given: Given) -> Given:
        """What is held as an array."""
        return held_by_asset(given, market.assets, self.uses_held)

    def _valued(self, market: Market, given: Given) -> Given:
        """What costs are worth in the unit of the objective."""
        return given

    def _market(self, data: Any, kind: Kind | None) -> Market:
        """The scenarios believed in; what looks wrong in prices is told."""
        panel = data if isinstance(data, Market) else read_panel(data)
        seen = Market.from_data(panel, kind)
        if panel is not seen:
            warn_about(panel, kind, data)
        believed = self._belief()(seen)
        if believed.assets == seen.assets:  # a belief need not know that there are others
            believed.assets = seen.assets
        return believed

    def _belief(self) -> Callable[[Market], Market]:
        return as_belief(self._settings.beliefs)

    def _terms(self, market: Market, given: Given) -> Terms:
        mandate: Mandate = self._settings.mandate
        mean = getattr(self, "custom_mean", None) if given.custom_mean is None else given.custom_mean
        mean = None if mean is None or mandate.target_return is None else check_mean(mean, market.assets)
        terms = mandate.terms(market, given.weight_bounds, self._scale(), given.held, given.costs, mean)
        if given.turnover is not None:
            terms = replace(terms, max_turnover=given.turnover / self._scale())
        return terms.charged(given.worth) if self.uses_held else terms

    def _widened(self, market: Market, given: Given) -> tuple[Given, FloatArray]:
        """The same with the least turnover that leads into all limits, and a little more, and where it leads."""
        mandate, one = self._settings.mandate, np.ones(market.n_assets)
        bounds, lift = feasible(replace(self._terms(market, given), max_turnover=None, impact=None, buy=one, sell=one))
        least = QuadraticProblem(None, None, 1.0, bounds, None, lift)
        least.limits = mandate.limits(market, least, self._scale(), given.custom_cov, self._own_limits)
        found = solve(least, self._settings.solver, lift(given.held / self._scale()), self._extra(market))
        given = replace(given, turnover=self._scale() * found.proof.value + _ROOM)
        return self._valued(market, given), least.weights(found.x)

    def _extra(self, market: Market) -> Extra:
        """What goes through cvxpy, of the weights held."""
        return Extra(self._settings.mandate.callables, market.assets, self._scale())

    def _keep(self, market: Market, problem: Problem, solved: Solved, given: Given, seconds: float) -> None:
        refusal = problem.refusal(solved.proof.point)
        if refusal is not None:
            raise PortfolioError(refusal)
        proof, scale, mandate, limit = solved.proof, self._scale(), self._settings.mandate, problem.lift.turnover
        weights = scale * problem.weights(solved.x)
        if self.uses_held:  # no trade is none at all, not one of the rounding of the fraction
            weights = np.where(problem.weights(solved.x) == given.held / scale, given.held, weights)
        if isinstance(problem, ScenarioProblem) and not problem.lift.plain and solved.status != "heuristic":
            held = problem.evaluate(problem.lift.settled(solved.x)).value
            if held > proof.value + 10.0 * max(proof.tolerance, proof.gap):
                raise PortfolioError(
                    "the best answer throws money away, borrowing and lending at once or paying fees for nothing: the "
                    "utility falls with wealth there; lower risk_aversion"
                )
        again = prices = self._recheck = self._asked = None
        if solved.status in ("optimal", "optimal_inaccurate") and mandate.counts() is None:
            asked = self._remembered()
            self._asked = Asked(asked, market, given, problem)
            again = partial(asked._prove_again, given, proof.witness, market.assets)
            self._recheck = partial(asked._proof, market, given, witness=proof.witness)
            if proof.reduced is not None:
                units = [(limit.name, limit.unit(solved.x)) for limit in problem.limits]
                prices = partial(shadow_prices, problem.bounds, problem.lift, proof, market.assets, scale, units)
        self.weights = weights
        self.tickers = list(market.assets)
        self._solution = Solution(
            weights=weights.copy(),
            assets=market.assets,
            value=proof.value + problem.offset,
            gap=proof.gap if proof.gap < np.inf else None,
            status=solved.status,
            solver=solved.solver,
            iterations=solved.iterations,
            seconds=seconds,
            tolerance=proof.tolerance,
            worst_case=solved.q,
            held=given.held,
            turnover_limit=None if limit is None else max(scale * limit, mandate.max_turnover),
            filled=market.filled,
            _rates=cost_rates(mandate.costs, market.assets, given.costs),
            _impact=None if given.held is None else mandate.market_impact(market.assets, given.held),
            _again=again,
            _prices=prices,
        )

    def _prove_again(
        self, given: Given, witness: Witness, assets: tuple[Hashable, ...], data: Any, weights: FloatArray
    ) -> Proof:
        """The proof of weights, from the data: see :meth:`Solution.verify`."""
        market = self._market(Market.from_data(data, given.kind), None)
        if market.assets != assets:
            raise PortfolioError(
                f"the data hold {market.n_assets} assets ({', '.join(map(str, market.assets[:3]))}, ...), not the "
                f"{len(assets)} that were optimised; verify with the data that were given to optimize"
            )
        return self._proof(market, given, weights / (self._scale() or 1.0), witness)

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        """The proof of weights before a fraction is applied."""
        problem = self._limited(market, given)
        extra = self._extra(market)
        user = UserConstraints(problem, extra) if extra or witness.cones is not None else None
        proof = prove(problem, problem.lift(w), witness, user)
        return replace(proof, value=proof.value + problem.offset)


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
        terms = self._terms(market, given)
        bounds, lift = feasible(terms, absolute)
        lift = lift if terms.impact is None else replace(lift, impact=terms.impact)
        return bounds, make_penalty(regularizer_name(self._settings.reg), self._strength(market), lift), lift

    def _box(self, market: Market, given: Given) -> tuple[Bounds, Regularizer | None]:
        """The same for searches, which take bounds of fully invested weights alone."""
        terms = self._terms(market, given)
        more = self.mandate.callables or self.mandate.risky or self.uses_held
        if more or not terms.plain or terms.active is not None or len(terms.rows):
            raise PortfolioError(f"{type(self).__name__} is a search that takes bounds only; leave other limits out")
        bounds = Bounds.budget(terms.lower, terms.upper)
        return bounds, make_penalty(regularizer_name(self.reg), self.strength, Lift.identity(bounds))
