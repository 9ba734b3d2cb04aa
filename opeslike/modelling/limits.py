"""A limit on a second risk, and its price: the Lagrangian of a limited problem is a problem like any other."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import Risk, RiskPoint

FloatArray = NDArray[np.float64]


@dataclass
class _PricedPoint(RiskPoint):
    """The two risks evaluated at the same losses."""

    parts: tuple[RiskPoint, RiskPoint] | None = None


@dataclass(frozen=True)
class Priced(Risk):
    """``first + price * second``; its worst-case vector sums to ``1 + price``.

    Parameters
    ----------
    first, second : Risk
        Smooth.
    price : float >= 0
    """

    first: Risk
    second: Risk
    price: float

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Sum of the two."""
        hints = near.parts if isinstance(near, _PricedPoint) and near.parts is not None else (None, None)
        one = self.first.evaluate(losses, p, hints[0])
        two = self.second.evaluate(losses, p, hints[1])
        return _PricedPoint(
            one.value + self.price * two.value,
            one.q + self.price * two.q,
            excess=one.excess + self.price * two.excess,
            parts=(one, two),
        )

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """Sum of the two."""
        assert isinstance(point, _PricedPoint)
        assert point.parts is not None
        diagonal, pairs = self.first.curvature(losses, point.parts[0])
        more, further = self.second.curvature(losses, point.parts[1])
        if more is not None:
            diagonal = self.price * more if diagonal is None else diagonal + self.price * more
        return diagonal, pairs + [(self.price * scale, vector) for scale, vector in further]

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """Sum of the two."""
        one, own = self.first.expression(losses, p)
        two, further = self.second.expression(losses, p)
        return one + self.price * two, [*own, *further]

    def scaled(self, scale: float) -> Risk:
        """Both scaled; the price has no unit."""
        return Priced(self.first.scaled(scale), self.second.scaled(scale), self.price)


def priced(problem: ScenarioProblem, price: float) -> ScenarioProblem:
    """The problem with its limit replaced by ``price`` times what it limits.

    For every price >= 0 the minimum of this problem is at most that of the limited one (weak duality), so it certifies
    answers of the limited problem.
    """
    assert problem.limit is not None
    free = copy.copy(problem)
    free.limit = None
    if price > 0:
        free.risk = Priced(problem.risk, problem.limit, price)
    return free


def limited_value(problem: ScenarioProblem, x: FloatArray) -> float:
    """What the limit is on, at ``x``; feasible where it is not positive."""
    assert problem.limit is not None
    losses, _, _ = problem.loss.evaluate(problem.scenario_returns(x))
    return problem.limit.evaluate(losses, problem.probabilities).value
