"""Risk parity and risk budgeting."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from opeslike.checks import by_asset
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Market, cut, everyone
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Point, Problem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.objectives.given import Given
from opeslike.objectives.moments import MomentObjective, volatilities
from opeslike.objectives.parameters import objective
from opeslike.objectives.rules import check_outside, check_within, no_problem
from opeslike.proof import Proof, Witness, prove_budgets
from opeslike.solvers.nonconvex.local_search import heuristic, scattered, successive_convex
from opeslike.solvers.risk_budget import TOLERANCE, risk_budgets
from opeslike.solvers.solve import Solved


@objective
class RiskParity(MomentObjective):
    r"""Risk parity: every asset contributes the same share, or a given one, to the portfolio's variance.

    .. math:: \frac{w_i (\Sigma w)_i}{w^\top \Sigma w} = b_i, \qquad w > 0, \quad \textstyle\sum_i w_i = 1

    The weights exist and are unique. They are the minimiser of the convex function
    :math:`\tfrac12 x^\top \Sigma x - \sum_i b_i \log x_i`, scaled to sum to one, and that minimum is certified.

    Parameters
    ----------
    reg, strength
        With a regulariser R the contributions can only be nearly right: the objective is then
        :math:`\sum_i (c_i - b_i \sigma_p)^2 + \lambda R(w)` with the contributions
        :math:`c_i = w_i (\Sigma w)_i / \sigma_p` to the volatility, as the OPES package defines it. It is not convex:
        the answer is the best of several local searches, with status "heuristic" and no gap. Mind the unit: squared
        volatilities per period are small, so a small lambda goes far.
    budgets : array-like of shape (N,), Series or mapping of ticker to number, optional
        Risk budgets b, positive; scaled to sum to one. Equal by default.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        As in :class:`~opeslike.objectives.markowitz.MinVariance`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Notes
    -----
    Without a regulariser there is nothing to choose once the budgets are met, so ``optimize`` raises a
    :class:`~opeslike.errors.PortfolioError` that names the asset where ``weight_bounds`` cut the solution off.
    ``solution.value`` is the convex function at its minimiser, and ``solution.gap`` its certified gap: about half the
    squared relative error of the contributions.

    References
    ----------
    Maillard, Roncalli and Teiletche (2010), *The properties of equally weighted risk contribution portfolios*; Bruder
    and Roncalli (2012), *Managing risk exposures using the risk budgeting approach*; Spinu (2013), *An algorithm for
    computing risk parity weights*; Feng and Palomar (2015), *SCRIP: successive convex optimization methods for risk
    parity portfolio design*.
    """

    uses_mean = takes_counts = False

    budgets: Any = field(default=None, kw_only=True)
    _problem = no_problem

    def __post_init__(self) -> None:
        super().__post_init__()
        check_outside(self)

    def _solve(self, market: Market, given: Given, w: FloatArray | None, seed: int | None) -> tuple[Problem, Solved]:
        _, covariance = self._moments(market, given)
        assert covariance is not None
        volatilities(market, covariance)
        budgets = check_budgets(self.budgets, market.assets)
        x, value, gap, iterations = risk_budgets(covariance, budgets)
        exact = x / x.sum()
        if self.reg is None or self.strength == 0:
            terms = self._terms(market, given)
            problem = QuadraticProblem(None, covariance, 1.0, Bounds.budget(terms.lower, terms.upper))
            check_within(exact, terms, type(self).__name__)
            proof = Proof(value, gap, TOLERANCE, problem.evaluate(exact))
            return problem, Solved(exact, proof, "newton", iterations, "optimal")

        bounds, penalty = self._box(market, given)
        covariance = np.asarray(covariance)
        assert penalty is not None

        def spread(w: FloatArray) -> tuple[FloatArray, FloatArray]:
            """How far the contributions are from their budgets, and the derivative of that."""
            marginal = covariance @ w
            sigma = float(np.sqrt(w @ marginal))
            slope = (np.diag(marginal) + w[:, None] * covariance - np.outer(w * marginal, marginal) / sigma**2) / sigma
            return w * marginal / sigma - budgets * sigma, slope - np.outer(budgets, marginal) / sigma

        def height(w: FloatArray) -> float:
            off, _ = spread(w)
            return float(off @ off) + penalty.evaluate(w)[0]

        def model(w: FloatArray) -> Problem:
            off, slope = spread(w)
            return QuadraticProblem(-2.0 * (off - slope @ w) @ slope, slope.T @ slope, 2.0, bounds, penalty)

        starts = [bounds.repair(exact), *scattered(bounds, seed, 4)]
        if w is not None:
            starts.append(bounds.repair(w))
        problem = QuadraticProblem(None, covariance, 1.0, bounds)
        return problem, heuristic(problem, *successive_convex(model, height, starts))

    def _proof(self, market: Market, given: Given, w: FloatArray, witness: Witness) -> Proof:
        _, covariance = self._moments(market, given)
        assert covariance is not None
        check_within(w, self._terms(market, given), type(self).__name__)
        value, gap = prove_budgets(covariance, check_budgets(self.budgets, market.assets), w)
        return Proof(value, gap, TOLERANCE, Point(w, value, w))


def check_budgets(budgets: Any, assets: Sequence[Hashable]) -> FloatArray:
    """Read risk budgets: positive numbers, one an asset, scaled to sum to one.

    Raises
    ------
    PortfolioError
        Naming the asset that lacks a budget or has none above 0.
    """
    if budgets is None:
        return np.full(len(assets), 1.0 / len(assets))
    values = cut(by_asset("budgets", budgets, everyone(assets)), assets)
    bad = np.flatnonzero(values <= 0)
    if bad.size:
        i = int(bad[0])
        raise PortfolioError(f"the risk budget of {assets[i]} is {values[i]}; budgets must be above 0")
    return np.asarray(values / values.sum())
