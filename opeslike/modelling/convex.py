"""Problems: a convex function over a set of weights, as the solvers see it."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import TOUCHING, Bounds
from opeslike.modelling.feasible import Lift
from opeslike.modelling.regularizers import Regularizer

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

    Attributes
    ----------
    limits : tuple of Limit
        What must not exceed a level; see :mod:`opeslike.modelling.limits`.
    bowl : pair of ndarrays of shape (n, n) and (n,), or None
        ``(x - c)' B (x - c) / 2`` in the objective, which solvers of problems with limits put there.
    """

    limits: tuple[Any, ...] = ()
    bowl: tuple[FloatArray, FloatArray] | None = None

    def __init__(self, bounds: Bounds, penalty: Regularizer | None, lift: Lift | None) -> None:
        self.bounds, self.penalty = bounds, penalty
        self.lift = Lift.identity(bounds) if lift is None else lift
        self.cost, self.impact = self.lift.cost, self.lift.impact

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

    def evaluate_inside(self, x: FloatArray, near: Any = None) -> Any:
        """Evaluate at ``x``, or None where the objective is not finite there."""
        return self.evaluate(x, near) if self.in_domain(x) else None

    def added(self, x: FloatArray) -> tuple[float, FloatArray | None]:
        """Value and gradient of what does not come from scenarios or moments: the regulariser and the costs."""
        value, gradient = 0.0, None
        if self.penalty is not None:
            value, slope = self.penalty.evaluate(self.lift.weights(x))
            gradient = self.lift.pull(slope)
        if self.cost is not None:
            value += float(self.cost @ x) + self.lift.fixed
            gradient = self.cost if gradient is None else gradient + self.cost
        if self.impact is not None:
            paid, slope = self.impact.evaluate(self.lift.weights(x))
            value, pull = value + paid, self.lift.pull(slope)
            gradient = pull if gradient is None else gradient + pull
        if self.bowl is not None:
            pull = self.bowl[0] @ (x - self.bowl[1])
            value += 0.5 * float(pull @ (x - self.bowl[1]))
            gradient = pull if gradient is None else gradient + pull
        return value, gradient

    def bend(self, x: FloatArray, free: Index | None = None) -> FloatArray | None:
        """Second derivative of the same."""
        own = None if self.bowl is None else self.bowl[0] if free is None else self.bowl[0][np.ix_(free, free)]
        curved = [part for part in (self.penalty, self.impact) if part is not None and part.curved]
        if not curved:
            return own
        h = np.sum([part.hessian(self.lift.weights(x)) for part in curved], axis=0)
        more = self.lift.restricted(h, free)
        return more if own is None else more + own

    @property
    def bending(self) -> bool:
        """Whether it has one that is not identically zero."""
        smooth = self.bowl is not None or self.impact is not None
        return smooth or (self.penalty is not None and self.penalty.curved)

    def added_expression(self, x: Any, scale: float) -> Any:
        """The same divided by ``scale``, for cvxpy."""
        value: Any = 0.0 if self.penalty is None else self.penalty.expression(self.lift.weights(x)) / scale
        if self.impact is not None:
            value = value + self.impact.expression(self.lift.weights(x), scale)
        if self.bowl is not None:
            import cvxpy as cp

            value = value + cp.quad_form(x - self.bowl[1], cp.psd_wrap(0.5 / scale * self.bowl[0]))
        return value if self.cost is None else value + ((self.cost / scale) @ x + self.lift.fixed / scale)

    def bare(self) -> Self:
        """The same problem less its regulariser."""
        core = copy.copy(self)
        core.penalty = None
        return core

    def within(self, rows: FloatArray, most: FloatArray, names: Sequence[str]) -> Self:
        """The same problem with the further limits ``rows x <= most``, which a slack variable each closes.

        Raises
        ------
        InfeasibleError
            If one of them cannot be met within the bounds; names it.
        """
        part, bounds, lift = copy.copy(self), self.bounds, self.lift
        count, n = len(rows), bounds.lower.size
        width = most - np.minimum(rows * bounds.lower, rows * bounds.upper).sum(axis=1)
        none = np.zeros(count)
        for i in map(int, np.flatnonzero(width < -TOUCHING * (1.0 + np.abs(most)))[:1]):
            raise InfeasibleError(f"no weights within their bounds meet the limit {names[i]}")
        part.bounds = Bounds(
            np.concatenate([bounds.lower, none]),
            np.concatenate([bounds.upper, width]),
            np.block([[bounds.rows, np.zeros((len(bounds.rows), count))], [rows, np.eye(count)]]),
            np.concatenate([bounds.totals, most]),
            (*bounds.names, *names),
        )
        part.lift = replace(
            lift,
            known=np.concatenate([lift.known, none]),
            cost=None if lift.cost is None else np.concatenate([lift.cost, none]),
            forced=None if lift.forced is None else np.concatenate([lift.forced, none]),
            bounds=part.bounds,
            offsets=(*lift.offsets, *none),
            slacks=(*lift.slacks, *((n + i, len(bounds.rows) + i, 1.0) for i in range(count))),
        )
        part.cost = None if self.cost is None else np.concatenate([self.cost, none])
        if self.bowl is not None:
            grown = np.pad(self.bowl[0], (0, count))
            part.bowl = grown, np.concatenate([self.bowl[1], none])
        return part

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
    def smooth(self) -> bool:
        """Whether what there is besides the regulariser has second derivatives; a tail has none."""
        return True

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
