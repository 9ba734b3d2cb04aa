"""Problems: a convex function over a set of weights, as the solvers see it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.market import describe
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.losses import Linear, Loss
from opeslike.modelling.regularizers import Regularizer
from opeslike.modelling.risks import Risk, RiskPoint

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

#: "optimal" means a certified gap of at most this many standard deviations of the portfolio's return
OPTIMAL = 1e-7
_BLOCK = 1 << 17
_FEW = 24


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


class Problem(ABC):
    """Minimise a convex function of ``x`` over :class:`Bounds`.

    The first coordinates of ``x`` are the weights; further ones (cash, borrowed money) may follow.
    """

    bounds: Bounds
    n_assets: int
    penalty: Regularizer | None

    @abstractmethod
    def evaluate(self, x: FloatArray, near: Any = None) -> Any:
        """Evaluate at ``x``; ``near`` is a point evaluated shortly before."""

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

    def in_domain(self, x: FloatArray) -> bool:
        """Whether the objective is finite at ``x``."""
        return True

    def weights(self, x: Any) -> Any:
        """The weights among the variables, as numbers or as a cvxpy expression."""
        return x if self.n_assets == self.bounds.lower.size else x[: self.n_assets]

    def lift(self, w: FloatArray) -> FloatArray:
        """The variables that belong to weights."""
        return w

    @property
    def offset(self) -> float:
        """A constant left out of the value while solving."""
        return 0.0

    def refusal(self, x: FloatArray) -> str | None:
        """Why the optimum ``x`` is no answer: there the objective, extended while solving, is not defined."""
        return None


@dataclass
class ScenarioPoint(Point):
    """A scenario problem evaluated at ``x``."""

    returns: FloatArray | None = None
    losses: FloatArray | None = None
    slope: FloatArray | None = None
    bend: FloatArray | None = None
    risk: RiskPoint | None = None


class ScenarioProblem(Problem):
    """``minimise risk_p(loss(R x)) + penalty(x)`` over bounds and, where there is a limit, ``limit_p(loss(R x)) <= 0``.

    Parameters
    ----------
    returns : ndarray of shape (T, n)
        Scenario matrix, one row a scenario; best stored column by column.
    probabilities : ndarray of shape (T,) or None
        None is uniform. Scenarios of probability 0 are left out.
    loss, risk : the two factors of the objective
    bounds : Bounds on the n coordinates
    penalty : Regularizer, optional
        Acts on the first ``n_assets`` coordinates.
    n_assets : int, optional
        How many of the coordinates are weights; all by default.
    labels : callable, optional
        Returns the names of the T scenarios (dates), for messages.

    Attributes
    ----------
    limit : Risk or None
        A smooth risk of the same losses that must not be positive; None for none. See
        :func:`~opeslike.modelling.limits.priced`.
    """

    limit: Risk | None = None

    def __init__(
        self,
        returns: FloatArray,
        probabilities: FloatArray | None,
        loss: Loss,
        risk: Risk,
        bounds: Bounds,
        penalty: Regularizer | None = None,
        n_assets: int | None = None,
        labels: Callable[[], Any] | None = None,
    ) -> None:
        if probabilities is not None and not (probabilities > 0).all():
            keep = probabilities > 0
            returns, probabilities = returns[keep], probabilities[keep]
            every = labels
            labels = None if every is None else lambda: every()[keep]
        count = returns.shape[0]
        self.returns = returns
        self.probabilities = np.full(count, 1.0 / count) if probabilities is None else probabilities
        self.loss, self.risk, self.bounds, self.penalty = loss, risk, bounds, penalty
        self.n_assets = returns.shape[1] if n_assets is None else n_assets
        self.labels = labels

    def evaluate(self, x: FloatArray, near: ScenarioPoint | None = None) -> ScenarioPoint:
        """One pass over the scenarios."""
        r = self.returns @ x
        losses, slope, bend = self.loss.evaluate(r)
        worst = self.risk.evaluate(losses, self.probabilities, near.risk if near is not None else None)
        gradient = (worst.q * slope) @ self.returns
        value = worst.value
        if self.penalty is not None:
            extra, pull = self.penalty.evaluate(x[: self.n_assets])
            value += extra
            gradient[: self.n_assets] += pull
        smooth = self.risk.smooth and not math.isinf(worst.sharpness)
        return ScenarioPoint(x, value, gradient, smooth, worst.excess, r, losses, slope, bend, worst)

    def hessian(self, point: ScenarioPoint, free: Index | None = None) -> FloatArray:
        """``R' diag(q loss'' + d loss'^2) R`` and the rank-one terms of the risk, in blocks of scenarios."""
        assert point.risk is not None
        assert point.slope is not None
        assert point.bend is not None
        assert point.losses is not None
        diagonal, pairs = self.risk.curvature(point.losses, point.risk)
        weight = point.risk.q * point.bend
        if diagonal is not None:
            weight = weight + diagonal * point.slope * point.slope
        h = self.gram(weight, free)
        columns = self.returns if free is None else self.returns[:, free]
        for scale, vector in pairs:
            if vector is point.risk.q and self.penalty is None:  # that product is the gradient
                direction = point.gradient if free is None else point.gradient[free]
            else:
                direction = (vector * point.slope) @ columns
            h += (scale * direction)[:, None] * direction
        if self.penalty is not None:
            full = self.penalty.hessian(point.x[: self.n_assets])
            if free is None:
                h[: self.n_assets, : self.n_assets] += full
            else:
                inside = free < self.n_assets
                where = free[inside]
                h[np.ix_(inside, inside)] += full[np.ix_(where, where)]
        return h

    def gram(self, weight: FloatArray, free: Index | None = None) -> FloatArray:
        """``R' diag(weight) R`` for non-negative weights, with working memory of one block of scenarios."""
        if self.returns.shape[1] <= _FEW:  # for few assets one plain product is quicker than a symmetric one
            if free is None:
                return np.asarray((self.returns.T * weight) @ self.returns)
            scaled = self.returns.T[free]
            scaled *= weight
            return np.asarray((scaled @ self.returns)[:, free])
        asset_major = self.returns.T if free is None else self.returns.T[free]
        n, count = asset_major.shape
        root = np.sqrt(weight)
        block = max(256, _BLOCK // max(n, 1))
        if count <= block:
            scaled = asset_major * root
            return np.asarray(scaled @ scaled.T)
        h = np.zeros((n, n))
        for start in range(0, count, block):
            scaled = asset_major[:, start : start + block] * root[start : start + block]
            h += scaled @ scaled.T
        return h

    def longest_step(self, point: ScenarioPoint, direction: FloatArray) -> float:
        """Step at which the first scenario reaches the edge of the loss's domain."""
        slope = self.loss.margin_slope
        if slope == 0.0:
            return math.inf
        assert point.returns is not None
        change = self.returns @ direction
        change /= self.loss.margin(point.returns)
        fastest = slope * float(change.min() if slope > 0 else change.max())
        return -1.0 / fastest if fastest < 0 else math.inf

    def in_domain(self, x: FloatArray) -> bool:
        """Whether every scenario keeps a positive margin."""
        return self.loss.margin_slope == 0.0 or bool(self.loss.margin(self.returns @ x).min() > 0.0)

    def tolerance(self, point: ScenarioPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's returns, times its mean slope for losses in another unit.

        A portfolio without risk has none, so there is a floor of ``1e-11`` times the size of a typical return (taken
        from the first hundred scenarios), and one at the rounding of the values.
        """
        assert point.returns is not None
        assert point.slope is not None
        r, p = point.returns, self.probabilities
        centred = r - p @ r
        deviation = math.sqrt(float(p @ (centred * centred)))
        typical = self._typical
        worth = 1.0 if self.loss.in_returns else float(p @ np.abs(point.slope))
        return worth * OPTIMAL * max(deviation, 1e-4 * typical) + 1e-15 * (worth + abs(point.value))

    @cached_property
    def _typical(self) -> float:
        first = self.returns[:100].ravel()
        return math.sqrt(float(first @ first) / max(first.size, 1))

    @property
    def offset(self) -> float:
        """What the loss leaves out, which passes through every risk."""
        return self.loss.offset

    def refusal(self, x: FloatArray) -> str | None:
        """Which scenario leaves the domain of the loss, for losses that are extended beyond it."""
        returns = self.returns @ x
        outside = self.loss.outside(returns)
        if outside is None or not outside.any():
            return None
        row = int(np.argmax(np.where(outside, np.abs(returns), -1.0)))
        return (
            f"the best weights return {returns[row]:.4g} in {self._scenario(row)}, outside the domain of the utility: "
            f"{self.loss.advice()}"
        )

    def _scenario(self, row: int) -> str:
        label = row if self.labels is None else self.labels()[row]
        return f"scenario {row}" if isinstance(label, (int, np.integer)) else f"the scenario of {describe(label)}"

    def value_under(self, x: FloatArray, q: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient of the objective with the worst case fixed at ``q``."""
        r = self.returns @ x
        losses, slope, _ = self.loss.evaluate(r)
        envelope = self.envelope()
        value = float(q @ losses) if envelope is None else envelope.worst(losses, q)
        gradient = (q * slope) @ self.returns
        if self.penalty is not None:
            extra, pull = self.penalty.evaluate(x[: self.n_assets])
            value += extra
            gradient[: self.n_assets] += pull
        return value, gradient

    def envelope(self) -> Envelope | None:
        """The set of worst-case probabilities."""
        return self.risk.envelope(self.probabilities)

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """``risk(loss(R x)) + penalty`` for cvxpy; the losses are scaled, and the risk with them."""
        losses = self.loss.expression(self.returns @ x) / scale
        value, constraints = self.risk.scaled(scale).expression(losses, self.probabilities)
        value = value + self.loss.offset / scale
        if self.penalty is not None:
            value = value + self.penalty.expression(x[: self.n_assets]) / scale
        if self.limit is not None:
            limited, further = self.limit.scaled(scale).expression(losses, self.probabilities)
            constraints = [*constraints, *further, limited <= 0]  # conic.py reads the price of the last one
        return value, constraints

    @property
    def linear(self) -> FloatArray | None:
        """Minus the mean returns, for a linear mean objective without penalty."""
        if self.penalty is None and self.limit is None and isinstance(self.loss, Linear) and self.envelope() is None:
            return -np.asarray(self.probabilities @ self.returns)
        return None

    def natural_scale(self) -> float:
        """Root mean square of the scenario returns, times the slope of the loss at cash (or over that size)."""
        size = float(np.sqrt(np.mean(np.square(self.returns)))) or 1.0
        if self.loss.in_returns:
            return size
        _, slope, bend = self.loss.evaluate(np.zeros(1))
        return size * max(abs(float(slope[0])), size * float(bend[0]), 1e-300)

    def starting_point(self, x: FloatArray) -> FloatArray:
        """A point strictly inside bounds and domain, given one strictly inside the bounds.

        Where wealth at ``x`` is not positive in every scenario, the smallest margin over the scenarios is maximised
        by a linear program, and its solution mixed with ``x``.

        Raises
        ------
        InfeasibleError
            If every feasible portfolio leaves the domain of the loss in some scenario; the message names the worst one.
        PortfolioError
            If the utility exceeds the range of floating point.
        """
        limited = self.loss.margin_slope != 0.0
        margin = self.loss.margin(self.returns @ x)
        if not limited or margin.min() > 1e-6:
            worst = self._overflow(x)
            if worst is None:
                return x
            if not limited:
                raise PortfolioError(worst)
        best = self._widest_margin()
        reached = self.loss.margin(self.returns @ best)
        if reached.min() <= 1e-12:
            raise InfeasibleError(
                f"every feasible portfolio loses everything in {self._scenario(int(np.argmin(reached)))}; tighten the "
                "weight bounds, hold cash, or leave that row out"
            )
        widest, here = float(reached.min()), min(float(margin.min()), 0.0)
        mix = 0.5 * widest / (widest - here)
        start = np.asarray((1.0 - mix) * best + mix * x)
        worst = self._overflow(start)
        if worst is not None:
            raise PortfolioError(worst)
        return start

    def _overflow(self, x: FloatArray) -> str | None:
        """Which scenario's utility exceeds the range of floating point, for losses that can."""
        if self.loss.in_returns:
            return None
        returns = self.returns @ x
        losses, _, bend = self.loss.evaluate(returns)
        if np.isfinite(losses).all() and np.isfinite(bend).all():
            return None
        row = int(np.argmin(returns))
        return (
            f"the utility of a return of {returns[row]:.4g} in {self._scenario(row)} exceeds the range of floating "
            "point; lower risk_aversion"
        )

    def _widest_margin(self) -> FloatArray:
        from scipy.optimize import linprog

        count, n = self.returns.shape
        slope = self.loss.margin_slope
        constant = float(self.loss.margin(np.zeros(1))[0])
        result = linprog(
            np.r_[np.zeros(n), -1.0],
            A_ub=np.column_stack([-slope * self.returns, np.ones(count)]),
            b_ub=np.full(count, constant),
            A_eq=np.column_stack([self.bounds.rows, np.zeros(len(self.bounds.totals))]),
            b_eq=self.bounds.totals,
            bounds=[*zip(self.bounds.lower, self.bounds.upper, strict=True), (None, constant)],
        )
        if result.x is None:
            raise InfeasibleError(f"no portfolio with positive wealth was found: {result.message}")
        return self.bounds.repair(np.asarray(result.x[:n]))
