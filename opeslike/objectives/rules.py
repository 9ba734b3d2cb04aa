"""Rules whose weights are a formula of the data: nothing is optimised, so there is no gap."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Market
from opeslike.modelling.problem import Problem
from opeslike.modelling.solution import Solution
from opeslike.modelling.terms import Terms
from opeslike.objectives.base import Optimizer
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.parameters import objective


def no_problem(self: Any, market: Market, given: Given = NOTHING) -> Problem:
    """Refuse to build a problem, for what is not one of convex optimisation.

    Raises
    ------
    PortfolioError
    """
    raise PortfolioError(f"{type(self).__name__} is not a convex problem, so it has no cvxpy form")


@objective
class Rule(Optimizer):
    """A rule that gives weights without optimising anything.

    A mandate is outside what it can promise: the weights are checked against its bounds, groups, exposures and gross
    limit (and ``weight_bounds``) and refused where they break one. Cash, borrowing, fees, costs, limits on trades and
    constraints are for optimisers.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_outside(self)

    takes_counts = False
    _problem = no_problem

    def _timed(self, market: Market, given: Given, w: Any, **options: Any) -> None:
        started = time.perf_counter()
        given = self._told(market, given)
        weights = self._formula(market, given, w, **options)
        check_within(weights, self._terms(market, given), type(self).__name__)
        self.weights, self.tickers = weights, list(market.assets)
        self._solution = Solution(
            weights=weights.copy(),
            assets=market.assets,
            value=float("nan"),
            gap=None,
            status="closed-form",
            solver="closed-form",
            seconds=time.perf_counter() - started,
            held=given.held,
        )

    @abstractmethod
    def _formula(self, market: Market, given: Given, w: ArrayLike | None, seed: int | None) -> FloatArray:
        """The weights, shape (N,)."""


def check_outside(rule: Optimizer) -> None:
    """Refuse what weights that follow from a rule cannot heed.

    Raises
    ------
    PortfolioError
    """
    mandate = rule.mandate
    financed = mandate.leverage is not None or mandate.short_fee > 0
    measured = mandate.risky or mandate.target_return is not None or mandate.benchmark is not None
    if financed or measured or mandate.callables or mandate.uses_held:
        raise PortfolioError(
            f"{type(rule).__name__} is a rule, not an optimiser: it takes no leverage, short_fee, constraints, costs, "
            "max_turnover, max_trade, benchmark, target_return or risk_limits"
        )


def check_within(weights: FloatArray, terms: Terms, name: str) -> None:
    """Raise a PortfolioError that names the first limit the weights break.

    Raises
    ------
    PortfolioError
    """
    advice = "widen the limit or use an optimiser that takes limits"
    slack = 1e-12 * (1.0 + float(np.abs(weights).sum()))
    outside = np.flatnonzero((weights < terms.lower - slack) | (weights > terms.upper + slack))
    if outside.size:
        i = int(outside[0])
        raise PortfolioError(
            f"{name} holds {weights[i]:.4g} of {terms.assets[i]}, outside its bounds "
            f"[{terms.lower[i]:g}, {terms.upper[i]:g}]; widen them or use an optimiser that takes bounds"
        )
    sums = terms.rows @ weights
    for limit, value, least, most in zip(terms.names, sums, terms.least, terms.most, strict=True):
        if not least - slack <= value <= most + slack:
            raise PortfolioError(f"{name} has {value:.4g} of {limit}, outside [{least:g}, {most:g}]; {advice}")
    size = float(np.abs(weights).sum())
    if terms.gross is not None and size > terms.gross + slack:
        raise PortfolioError(f"{name} has a gross exposure of {size:.4g}, above gross={terms.gross:g}; {advice}")


def normalised(values: FloatArray) -> FloatArray:
    """Scale positive numbers to sum to one."""
    return np.asarray(values / values.sum())
