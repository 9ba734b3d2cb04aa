"""Problems over scenarios: a risk of the losses of a portfolio."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from opeslike import deadline
from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.market import FloatArray, describe
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.convex import OPTIMAL as OPTIMAL
from opeslike.modelling.convex import Index as Index
from opeslike.modelling.convex import Point as Point
from opeslike.modelling.convex import Problem as Problem
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.feasible import Lift
from opeslike.modelling.losses import Linear, Loss
from opeslike.modelling.regularizers import Regularizer
from opeslike.modelling.risks import Risk, RiskPoint

#: no default: a problem gives what stands after the defaults of a point
_GIVEN: Any = None
#: numbers in a block of the scaled scenario matrix, and assets up to which a plain product is quicker
_BLOCK, _FEW = 1 << 17, 24


@dataclass
class ScenarioPoint(Point):
    """A scenario problem evaluated at ``x``."""

    core: FloatArray = _GIVEN
    returns: FloatArray = _GIVEN
    losses: FloatArray = _GIVEN
    slope: FloatArray = _GIVEN
    bend: FloatArray = _GIVEN
    risk: RiskPoint = _GIVEN


@dataclass(frozen=True)
class Centre:
    """Slopes of the scenarios, and the mean under some measure of slope times return and of the slope alone."""

    slope: FloatArray
    mean: FloatArray
    known: float


class ScenarioProblem(Problem):
    """``minimise risk_p(loss(R x)) + penalty(x)`` over bounds.

    Parameters
    ----------
    returns : ndarray of shape (T, N)
        Scenario matrix, one row a scenario; best stored column by column.
    probabilities : ndarray of shape (T,) or None
        None is uniform. Scenarios of probability 0 are left out.
    loss, risk : the two factors of the objective
    bounds : Bounds of the n variables
    penalty : Regularizer, optional
        Of the weights.
    lift : Lift, optional
        How the variables stand for weights; they are the weights by default.
    labels : callable, optional
        Returns the names of the T scenarios (dates), for messages.
    """

    def __init__(
        self,
        returns: FloatArray,
        probabilities: FloatArray | None,
        loss: Loss,
        risk: Risk,
        bounds: Bounds,
        penalty: Regularizer | None = None,
        lift: Lift | None = None,
        labels: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(bounds, penalty, lift)
        if probabilities is not None and not (probabilities > 0).all():
            keep = probabilities > 0
            returns, probabilities = returns[keep], probabilities[keep]
            every = labels
            labels = None if every is None else lambda: every()[keep]
        count = returns.shape[0]
        self.returns = returns
        self.probabilities = np.full(count, 1.0 / count) if probabilities is None else probabilities
        self.loss, self.risk, self.labels = loss, risk, labels

    def scenario_returns(self, x: Any) -> Any:
        """Portfolio returns in all scenarios, as numbers or as a cvxpy expression."""
        if self.lift.plain:
            return self.returns @ x
        returns = self.returns @ self.lift.weights(x)
        return returns + self.lift.earned(x) if self.lift.earning else returns

    def change(self, direction: FloatArray) -> FloatArray:
        """How the scenario returns move with the variables."""
        change = self.returns @ self.lift.moves(direction)
        if self.lift.earning:
            change += float(self.lift.known @ direction)
        return np.asarray(change)

    def pull(self, worth: FloatArray) -> FloatArray:
        """Gradient in the variables of what is worth ``worth`` per unit of return in each scenario."""
        return self.lift.pull(worth @ self.returns, float(worth.sum()) if self.lift.earning else 0.0)

    def evaluate(self, x: FloatArray, near: ScenarioPoint | None = None) -> ScenarioPoint:
        """One pass over the scenarios."""
        return self._at(x, self.scenario_returns(x), near)

    def evaluate_inside(self, x: FloatArray, near: ScenarioPoint | None = None) -> ScenarioPoint | None:
        """The same, or None outside the domain of the loss."""
        r = self.scenario_returns(x)
        return self._at(x, r, near) if self.in_domain(x, ScenarioPoint(x, math.nan, x, returns=r)) else None

    def _at(self, x: FloatArray, r: FloatArray, near: ScenarioPoint | None) -> ScenarioPoint:
        losses, slope, bend = self.loss.evaluate(r)
        worst = self.risk.evaluate(losses, self.probabilities, near.risk if near is not None else None)
        core = self.pull(worst.q * slope)
        extra, pull = self.added(x)
        smooth = self.risk.smooth and not math.isinf(worst.sharpness)
        gradient = core if pull is None else core + pull
        return ScenarioPoint(
            x, worst.value + extra, gradient, smooth, worst.excess, core, r, losses, slope, bend, worst
        )

    def hessian(self, point: ScenarioPoint, free: Index | None = None) -> FloatArray:
        """``R' diag(q loss'' + d loss'^2) R`` and the rank-one terms of the risk, in blocks of scenarios."""
        diagonal, pairs = self.risk.curvature(point.losses, point.risk)
        weight = point.risk.q * point.bend
        if diagonal is not None:
            weight = weight + diagonal * point.slope * point.slope
        h = self.gram(weight, free)
        for scale, vector in pairs:
            # under the worst case itself that product is the gradient
            direction = point.core if vector is point.risk.q else self.pull(vector * point.slope)
            direction = direction if free is None else direction[free]
            h += (scale * direction)[:, None] * direction
        more = self.bend(point.x, free)
        return h if more is None else h + more

    def gram(self, weight: FloatArray, free: Index | None = None, centre: Centre | None = None) -> FloatArray:
        """``C' diag(weight) C`` for non-negative weights, C the (T, n) returns of the variables.

        With working memory of one block of scenarios. With a ``centre`` the rows of C are multiplied by its slope and
        less its mean first, for subtracting afterwards would cancel.
        """
        assets = self.lift.touched(free)
        rows = self.returns.T if assets is None else self.returns.T[assets]
        n, count = rows.shape
        root = None if n <= _FEW and centre is None else np.sqrt(weight)
        block = max(256, _BLOCK // max(n, 1)) if root is not None else max(count, 1)
        h, along, total = np.zeros((n, n)), np.zeros(n), 0.0
        for start in range(0, count, block):
            part = slice(start, start + block)
            if root is None:  # for few assets one plain product is quicker than a symmetric one
                scaled = rows * weight
                h = scaled @ rows.T
                if self.lift.earning:
                    along, total = scaled.sum(axis=1), float(weight.sum())
                break
            own = root[part]
            if centre is None:
                scaled = rows[:, part] * own
            else:
                scaled = rows[:, part] * centre.slope[part]
                scaled -= (centre.mean if assets is None else centre.mean[assets])[:, None]
                scaled *= own
                own = (centre.slope[part] - centre.known) * own
            h += scaled @ scaled.T
            if self.lift.earning:
                along += scaled @ own
                total += float(own @ own)
        if self.lift.plain:
            return h
        return self.lift.spread(h, free, assets, along if self.lift.earning else None, total)

    def matrix(self, rows: Any = slice(None)) -> FloatArray:
        """The returns of the variables, shape (rows, n): a copy where there is more than the weights."""
        return self.lift.matrix(self.returns[rows])

    def longest_step(self, point: ScenarioPoint, direction: FloatArray) -> float:
        """Step at which the first scenario reaches the edge of the loss's domain."""
        slope = self.loss.margin_slope
        if slope == 0.0:
            return math.inf
        change = self.change(direction)
        change /= self.loss.margin(point.returns)
        fastest = slope * float(change.min() if slope > 0 else change.max())
        return -1.0 / fastest if fastest < 0 else math.inf

    def in_domain(self, x: FloatArray, point: ScenarioPoint | None = None) -> bool:
        """Whether every scenario keeps a positive margin."""
        if self.loss.margin_slope == 0.0:
            return True
        returns = self.scenario_returns(x) if point is None else point.returns
        return bool(np.minimum.reduce(self.loss.margin(returns)) > 0.0)

    def tolerance(self, point: ScenarioPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's returns, times its mean slope for losses in another unit.

        A portfolio without risk has none, so there is a floor of ``1e-11`` times the size of a typical return (taken
        from the first hundred scenarios), and one at the rounding of the values.
        """
        if point.tolerance is None:
            p = self.probabilities
            centred = point.returns - p @ point.returns
            centred *= centred
            spread = math.sqrt(float(p @ centred))
            worth = 1.0 if self.loss.in_returns else float(p @ np.abs(point.slope))
            rounding = 1e-15 * (worth + abs(point.value))
            point.tolerance = worth * OPTIMAL * max(spread, 1e-4 * self._typical) + rounding
        return point.tolerance

    @cached_property
    def _typical(self) -> float:
        first = self.returns[:100].ravel(order="K")
        return math.sqrt(float(first @ first) / max(first.size, 1))

    @property
    def offset(self) -> float:
        """What the loss leaves out, which passes through every risk."""
        return self.loss.offset

    def refusal(self, point: ScenarioPoint) -> str | None:
        """Which scenario leaves the domain of the loss, for losses that are extended beyond it."""
        returns = point.returns
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
        losses, slope, _ = self.loss.evaluate(self.scenario_returns(x))
        envelope = self.envelope()
        value = float(q @ losses) if envelope is None else envelope.worst(losses, q)
        gradient = self.pull(q * slope)
        extra, pull = self.added(x)
        return value + extra, gradient if pull is None else gradient + pull

    def envelope(self) -> Envelope | None:
        """The set of worst-case probabilities."""
        return self.risk.envelope(self.probabilities)

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """``risk(loss(R x)) + penalty`` for cvxpy; the losses are scaled, and the risk with them."""
        losses = self.loss.expression(self.scenario_returns(x)) / scale
        value, constraints = self.risk.scaled(scale).expression(losses, self.probabilities)
        return value + self.loss.offset / scale + self.added_expression(x, scale), constraints

    @property
    def smooth(self) -> bool:
        """Whether the risk has second derivatives."""
        return self.risk.smooth

    @property
    def linear(self) -> FloatArray | None:
        """Minus the mean returns, for a linear mean objective without penalty."""
        if self.bending or self.penalty is not None:
            return None
        if isinstance(self.loss, Linear) and self.envelope() is None:
            gain = -self.pull(self.probabilities)
            return gain if self.cost is None else gain + self.cost
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
        margin = self.loss.margin(self.scenario_returns(x))
        if not limited or margin.min() > 1e-6:
            worst = self._overflow(x)
            if worst is None:
                return x
            if not limited:
                raise PortfolioError(worst)
        best = self._widest_margin()
        reached = self.loss.margin(self.scenario_returns(best))
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
        returns = self.scenario_returns(x)
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

        returns = self.matrix()
        count, n = returns.shape
        slope = self.loss.margin_slope
        constant = self.loss.margin(self.scenario_returns(np.zeros(n)))
        result = linprog(
            np.r_[np.zeros(n), -1.0],
            A_ub=np.column_stack([-slope * returns, np.ones(count)]),
            b_ub=constant,
            A_eq=np.column_stack([self.bounds.rows, np.zeros(len(self.bounds.totals))]),
            b_eq=self.bounds.totals,
            bounds=[*zip(self.bounds.lower, self.bounds.upper, strict=True), (None, float(constant.max()))],
            options=deadline.options("HIGHS"),
        )
        deadline.check()
        if result.x is None:
            raise InfeasibleError(f"no portfolio with positive wealth was found: {result.message}")
        return self.bounds.repair(np.asarray(result.x[:n]))
