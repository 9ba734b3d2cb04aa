"""Problems: a convex function over a set of weights, as the solvers see it."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.bounds import Bounds
from opeslike.modelling.feasible import Lift
from opeslike.modelling.regularizers import Regularizer

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

#: "optimal" means a certified gap of at most this many standard deviations of the portfolio's return
OPTIMAL = 1e-7


@dataclass
class Point:
    """A problem evaluated at ``x``: value and gradient, and what the Hessian needs later.

    ``smooth`` is False where the objective has a kink within rounding, so that second derivatives mean nothing.
    """

    x: FloatArray
    value: float
    gradient: FloatArray
    smooth: bool = True
    excess: float = 0.0
    tolerance: float | None = field(default=None, kw_only=True)  # that of the problem, once asked for


class Problem(ABC):
    """Minimise a convex function of variables ``x`` over :class:`Bounds`.

    The variables stand for weights by a :class:`Lift`: ``lift(w)`` are the variables of weights, ``lift.weights(x)``
    the weights of variables. Besides what the weights and the return known beforehand are worth, the objective has a
    regulariser of the weights and a ``cost`` linear in the variables.
    """

    def __init__(self, bounds: Bounds, penalty: Regularizer | None, lift: Lift | None) -> None:
        self.bounds, self.penalty = bounds, penalty
        self.lift = Lift.identity(bounds) if lift is None else lift
        self.cost = self.lift.cost

    @property
    def n_assets(self) -> int:
        """The number of weights."""
        return self.lift.size

    def weights(self, x: Any) -> Any:
        """The weights among the variables, as numbers or as a cvxpy expression."""
        return self.lift.weights(x)

    @abstractmethod
    def evaluate(self, x: FloatArray, near: Any = None) -> Any:
        """Evaluate at ``x``; ``near`` is a point evaluated shortly before."""

    def added(self, x: FloatArray) -> tuple[float, FloatArray | None]:
        """Value and gradient of what does not come from scenarios or moments: the regulariser and the costs."""
        value, gradient = 0.0, None
        if self.penalty is not None:
            value, slope = self.penalty.evaluate(self.lift.weights(x))
            gradient = self.lift.pull(slope)
        if self.cost is not None:
            value += float(self.cost @ x) + self.lift.fixed
            gradient = self.cost if gradient is None else gradient + self.cost
        return value, gradient

    def bend(self, x: FloatArray, free: Index | None = None) -> FloatArray | None:
        """Second derivative of the same."""
        if self.penalty is None or not self.penalty.curved:
            return None
        return self.lift.restricted(self.penalty.hessian(self.lift.weights(x)), free)

    @property
    def bending(self) -> bool:
        """Whether it has one that is not identically zero."""
        return self.penalty is not None and self.penalty.curved

    def added_expression(self, x: Any, scale: float) -> Any:
        """The same divided by ``scale``, for cvxpy."""
        value: Any = 0.0 if self.penalty is None else self.penalty.expression(self.lift.weights(x)) / scale
        return value if self.cost is None else value + ((self.cost / scale) @ x + self.lift.fixed / scale)

    def bare(self) -> Self:
        """The same problem less its regulariser."""
        core = copy.copy(self)
        core.penalty = None
        return core

    @abstractmethod
    def hessian(self, point: Any, free: Index | None = None) -> FloatArray:
        """Second derivative, on the coordinates ``free`` only where given."""

    @abstractmethod
    def tolerance(self, point: Any) -> float:
        """The certified gap up to which an answer counts as optimal."""

    @abstractmethod
    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """Objective divided by ``scale``, and its constraints, for cvxpy; the bounds are not among them."""

    @property
    def linear(self) -> FloatArray | None:
        """The cost vector where the objective is linear in ``x``, else None."""
        return None

    def natural_scale(self) -> float:
        """A typical size of differences in the objective, for solvers that want numbers near one."""
        return 1.0

    def longest_step(self, point: Any, direction: FloatArray) -> float:
        """Largest step along ``direction`` that stays in the domain of the objective; infinite without one."""
        return math.inf

    def starting_point(self, x: FloatArray) -> FloatArray:
        """A point strictly inside bounds and domain, given one strictly inside the bounds."""
        return x

    def in_domain(self, x: FloatArray, point: Any = None) -> bool:
        """Whether the objective is finite at ``x``; ``point`` is the problem evaluated there, if that was done."""
        return True

    @property
    def offset(self) -> float:
        """A constant left out of the value while solving."""
        return 0.0

    def refusal(self, point: Any) -> str | None:
        """Why the optimum is no answer: there the objective, extended while solving, is not defined."""
        return None
