"""Rules whose weights are a formula of the data: nothing is optimised, so there is no gap."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.errors import OpesLikeError, PortfolioError
from opeslike.market import Kind, Market
from opeslike.modelling.bounds import parse_weight_bounds
from opeslike.modelling.problem import Problem
from opeslike.modelling.solution import Solution
from opeslike.objectives.base import Optimizer

FloatArray = NDArray[np.float64]


class Rule(Optimizer):
    """A rule that gives weights without optimising anything."""

    def __init__(self, *, probabilities: ArrayLike | None = None) -> None:
        super().__init__(probabilities=probabilities)

    @abstractmethod
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
        """Weights by the rule; see :meth:`Optimizer.optimize` for the parameters."""

    def _unused(self, **given: Any) -> None:
        """Raise where a parameter was given that the formula does not use."""
        for name, value in given.items():
            if value is not None:
                raise PortfolioError(f"{type(self).__name__} has no use for {name}; leave it out")

    def _accept(self, market: Market, weights: FloatArray, weight_bounds: Any, started: float) -> FloatArray:
        """Check the weights against the bounds, if any, and keep them."""
        if weight_bounds is not None:
            check_within(weights, weight_bounds, market, type(self).__name__)
        self.weights, self.tickers = weights, list(market.assets)
        self._solution = Solution(
            weights=weights.copy(),
            assets=market.assets,
            value=float("nan"),
            gap=None,
            status="closed-form",
            solver="closed-form",
            seconds=time.perf_counter() - started,
        )
        return weights.copy()

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        raise OpesLikeError(f"{type(self).__name__} is a formula, not an optimisation problem")


class Formula(Rule):
    """A rule whose weights are a formula of one market: a subclass gives it."""

    @abstractmethod
    def _formula(self, market: Market, custom_mean: Any, custom_cov: Any) -> FloatArray:
        """The weights, shape (N,)."""

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
            If ``weight_bounds`` are given and the formula breaks them (the message names the asset), or if
            ``custom_mean`` or ``custom_cov`` is given and the formula has no use for it.
        """
        started = time.perf_counter()
        market = Market.from_data(data, kind, self.probabilities)
        return self._accept(market, self._formula(market, custom_mean, custom_cov), weight_bounds, started)


def check_within(weights: FloatArray, weight_bounds: Any, market: Market, name: str) -> None:
    """Raise a PortfolioError naming the first asset whose weight is outside its bounds.

    Raises
    ------
    PortfolioError
    """
    lower, upper = parse_weight_bounds(weight_bounds, market.assets)
    outside = np.flatnonzero((weights < lower - 1e-12) | (weights > upper + 1e-12))
    if outside.size:
        i = int(outside[0])
        raise PortfolioError(
            f"{name} holds {weights[i]:.4g} of {market.assets[i]}, outside its bounds "
            f"[{lower[i]:g}, {upper[i]:g}]; widen them or use an optimiser that takes bounds"
        )


def normalised(values: FloatArray) -> FloatArray:
    """Scale positive numbers to sum to one."""
    return np.asarray(values / values.sum())
