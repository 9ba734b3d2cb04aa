"""Risks whose worst-case probabilities lie in a box or an l2 ball: CVaR, worst case, bounded probabilities."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray, not_negative, number
from opeslike.errors import PortfolioError
from opeslike.modelling.envelopes import Envelope, SquaredDistance
from opeslike.modelling.risks import Risk, RiskPoint

BoolArray = NDArray[np.bool_]

_SUM = 1e-12
_ROUNDS = 40
_HALVINGS = 120
#: probabilities that sum to 1 but for this much do
_FILLED = 1e-14


class BoxRisk(Risk):
    """Worst mean over ``{q : floor <= q <= cap, sum q = 1}``.

    Piecewise linear in the losses: the worst scenarios get as much probability as they may have, the others as little.
    """

    smooth = False

    @abstractmethod
    def limits(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Least and greatest probability of each scenario, given the nominal ones."""

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Fill up the scenarios from the worst down; scenarios that tie on the edge share what is left."""
        floor, cap = self.limits(p)
        room = cap - floor
        missing = max(1.0 - float(floor.sum()), 0.0)
        if (room == room[0]).all():  # then the edge of the tail is an order statistic
            tail = min(max(math.ceil(missing / float(room[0]) * (1.0 - 1e-15)), 1), losses.size)
            threshold = float(np.partition(losses, losses.size - tail)[losses.size - tail])
        else:
            order = np.argsort(-losses)
            filled = np.cumsum(room[order])
            threshold = float(losses[order[min(int(np.searchsorted(filled, missing)), order.size - 1)]])
        q = np.where(losses > threshold, cap, floor)
        edge = np.where(losses == threshold, room, 0.0)
        reach = float(edge.sum())
        if reach > 0:
            q = q + edge * min(max((1.0 - float(q.sum())) / reach, 0.0), 1.0)
        return RiskPoint(float(q @ losses), q)

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """Zero, but for the kinks."""
        return None, []

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``floor' z + m nu + sum (cap - floor) (z - nu)_+`` with ``z >= losses`` (Rockafellar and Uryasev 2000)."""
        import cvxpy as cp

        floor, cap = self.limits(p)
        level, threshold = cp.Variable(p.shape[0], name="z"), cp.Variable(name="nu")
        missing = 1.0 - float(floor.sum())
        value = floor @ level + missing * threshold + (cap - floor) @ cp.pos(level - threshold)
        return value, [losses <= level]

    def envelope(self, p: FloatArray) -> Envelope:
        """The box."""
        floor, cap = self.limits(p)
        inside = bool((floor <= p).all() and (p <= cap).all())
        nominal = p if inside else floor + (cap - floor) * ((1.0 - floor.sum()) / (cap - floor).sum())
        return Envelope(nominal, cap=cap if (cap < 1.0).any() else None, floor=floor if floor.any() else None)


@dataclass(frozen=True)
class Smoothed(Risk):
    """A box risk whose corners are rounded off: nowhere above it, with the same set of worst-case probabilities.

    ``max over q of q . loss - (width / 2) sum (q - floor)^2 / (cap - floor)``, so that probabilities grow linearly over
    a ``width`` of losses at the edge of the tail (Nesterov 2005). Its minima bound those of the box risk from below,
    and its probabilities prove that.

    Parameters
    ----------
    risk : BoxRisk
    width : float > 0
        In the unit of the losses.
    """

    risk: BoxRisk
    width: float

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """The edge of the tail by safeguarded Newton steps; it is kept as ``sharpness``."""
        floor, cap = self.risk.limits(p)
        room, missing = cap - floor, 1.0 - float(floor.sum())
        edge = float(losses.max()) - self.width if near is None else near.sharpness
        low, high = float(losses.min()) - self.width, float(losses.max())
        for _ in range(_HALVINGS):
            share = (losses - edge) / self.width
            sloped = (share > 0.0) & (share < 1.0)
            share = np.minimum(np.maximum(share, 0.0), 1.0)
            off = float(room @ share) - missing
            if abs(off) <= _FILLED:
                break
            low, high = (edge, high) if off > 0 else (low, edge)
            slope = float(room[sloped].sum()) / self.width
            edge = edge + off / slope if slope > 0 else math.inf
            edge = edge if low < edge < high else 0.5 * (low + high)
        q = floor + room * share
        spent = 0.5 * self.width * float(room @ (share * share))
        return RiskPoint(float(q @ losses) - spent, q, edge, metric=np.where(sloped, room / self.width, 0.0))

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """``diag d - d d' / sum d`` with ``d`` the slopes of the probabilities."""
        d = point.metric
        total = 0.0 if d is None else float(d.sum())
        return (d, [(-1.0 / total, d)]) if d is not None and total > 0 else (None, [])

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """That of the box, a part of each excess over the edge being squared instead."""
        import cvxpy as cp

        floor, cap = self.risk.limits(p)
        level, rounded, threshold = cp.Variable(p.size, name="z"), cp.Variable(p.size), cp.Variable(name="nu")
        excess = cp.pos(level - threshold - rounded) + cp.square(rounded) / (2.0 * self.width)
        return floor @ level + (1.0 - float(floor.sum())) * threshold + (cap - floor) @ excess, [losses <= level]

    def envelope(self, p: FloatArray) -> Envelope:
        """The box."""
        return self.risk.envelope(p)


@dataclass(frozen=True)
class CVaR(BoxRisk):
    """Conditional value-at-risk: the mean of the worst ``1 - confidence`` share of the losses.

    Every scenario may have up to ``1 / (1 - confidence)`` times its probability (Rockafellar and Uryasev 2000; Acerbi
    and Tasche 2002). Confidence 0 is the mean; from ``1 - min p`` on it is the worst case.

    Parameters
    ----------
    confidence : float in [0, 1)
    """

    confidence: float

    def __post_init__(self) -> None:
        """Check the confidence."""
        number("confidence", self.confidence, low=0.0, high=1.0, open_high=True)

    def limits(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """0 and ``p / (1 - confidence)``."""
        return np.zeros_like(p), np.minimum(p / (1.0 - self.confidence), 1.0)


@dataclass(frozen=True)
class WorstCase(BoxRisk):
    """The largest loss: scenario probabilities may be anything."""

    def limits(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """0 and 1."""
        return np.zeros_like(p), np.ones_like(p)


@dataclass(frozen=True, eq=False)
class ProbabilityBox(BoxRisk):
    """Worst mean over scenario probabilities that are known up to bounds of their own.

    Parameters
    ----------
    lower, upper : ndarray of shape (T,)
        ``0 <= lower <= upper``, and some probabilities between them sum to 1.
    """

    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        """Check that the box holds a vector of probabilities."""
        if not (np.isfinite(self.lower).all() and np.isfinite(self.upper).all() and (self.lower >= 0).all()):
            raise PortfolioError("bounds of scenario probabilities must be finite and >= 0")
        if not (self.lower <= self.upper).all():
            row = int(np.flatnonzero(self.lower > self.upper)[0])
            raise PortfolioError(
                f"scenario {row}: the lower probability {self.lower[row]:g} is above the upper {self.upper[row]:g}"
            )
        least, most = float(self.lower.sum()), float(self.upper.sum())
        if least > 1.0 + _SUM:
            raise PortfolioError(f"the lower scenario probabilities sum to {least:.6g}, more than 1; lower them")
        if most < 1.0 - _SUM:
            raise PortfolioError(f"the upper scenario probabilities sum to {most:.6g}, less than 1; raise them")

    def limits(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As given."""
        return self.lower, np.minimum(self.upper, 1.0)


@dataclass(frozen=True, eq=False)
class DistanceBall(Risk):
    """Worst mean over ``{q >= 0 : sum (q - p)^2 / scale <= radius^2, sum q = 1}``.

    While every q stays positive it is the mean plus ``radius`` times the standard deviation of the losses in the metric
    ``scale``; with ``scale = p`` (the chi-square divergence) that is the standard deviation itself.

    Parameters
    ----------
    radius : float
        At least 0.
    scale : ndarray of shape (T,), optional
        Positive; the nominal probabilities by default.
    """

    radius: float
    scale: FloatArray | None = None

    def __post_init__(self) -> None:
        """Check radius and metric."""
        not_negative("radius", self.radius)
        if self.scale is not None and not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise PortfolioError("the metric of a ball of probabilities must be finite and positive")

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Closed form on the scenarios that keep a positive probability, which are found by Newton steps."""
        scale = p if self.scale is None else self.scale
        top = float(losses.max())
        below = losses - top
        bound = self.radius * self.radius
        if bound == 0.0 or not below.any():
            return RiskPoint(float(p @ losses), p)
        tied = below == 0.0
        extra = (1.0 - float(p @ tied)) / float(scale @ tied)
        if extra * extra * float(scale @ tied) + float((p * p / scale) @ ~tied) <= bound:
            return RiskPoint(top, np.where(tied, p + extra * scale, 0.0), math.inf)
        held = np.ones(p.size, dtype=bool) if near is None or near.metric is None else near.metric > 0
        for _ in range(_ROUNDS):
            alpha, threshold = _multipliers(below, p, scale, held, bound)
            if not math.isfinite(alpha):
                break
            positive = alpha * p + scale * (below - threshold) > 0
            if (positive == held).all():
                return self._point(losses, below, p, scale, held, alpha, threshold)
            held = positive
        low, high = 0.0, -float(below.min()) / self.radius / math.sqrt(float(scale.min()))
        for _ in range(_HALVINGS):
            alpha = math.sqrt(low * high) if low > 0 else 1e-3 * high
            held, threshold = _simplex(below, p, scale, alpha)
            q = np.where(held, p + scale * (below - threshold) / alpha, 0.0)
            if float(((q - p) ** 2 / scale).sum()) > bound:
                low = alpha
            else:
                high = alpha
            if high - low <= 1e-15 * high or high < 1e-300:
                break
        held, threshold = _simplex(below, p, scale, high)
        return self._point(losses, below, p, scale, held, high, threshold)

    def _point(
        self,
        losses: FloatArray,
        below: FloatArray,
        p: FloatArray,
        scale: FloatArray,
        held: BoolArray,
        alpha: float,
        threshold: float,
    ) -> RiskPoint:
        q = np.where(held, np.maximum(p + scale * (below - threshold) / alpha, 0.0), 0.0)
        q /= float(q.sum())
        # weak duality: with the multiplier alpha the risk exceeds the mean under q by no more than this
        slack = 0.5 * alpha * max(self.radius * self.radius - float(((q - p) ** 2 / scale).sum()), 0.0)
        return RiskPoint(float(q @ losses) + slack, q, 1.0 / alpha, slack, np.where(held, scale, 0.0))

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """``(1/a)(diag s - s s' / sum s - (s d)(s d)' / sum s d^2)``, d the losses less their mean under s."""
        if point.metric is None:
            return None, []
        metric, sharpness = point.metric, point.sharpness
        size = float(metric.sum())
        tilt = metric * (losses - float(metric @ losses) / size)
        variance = float(tilt @ losses)
        pairs = [(-sharpness / size, metric)]
        if variance > 0:
            pairs.append((-sharpness / variance, tilt))
        return sharpness * metric, pairs

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``p' y + tau + radius * norm(sqrt(scale) (y - tau))`` with ``y >= losses`` and a free level ``tau``."""
        import cvxpy as cp

        if self.radius == 0:
            return p @ losses, []
        root = np.sqrt(p if self.scale is None else self.scale)
        level, threshold = cp.Variable(p.shape[0], name="y"), cp.Variable(name="tau")
        spread = cp.norm(cp.multiply(root, level - threshold), 2)
        return p @ level + self.radius * spread, [losses <= level]

    def envelope(self, p: FloatArray) -> Envelope | None:
        """The ball itself."""
        if self.radius == 0:
            return None
        scale = p if self.scale is None else self.scale
        return Envelope(p, divergence=SquaredDistance(scale), radius=0.5 * self.radius * self.radius)


def _multipliers(
    below: FloatArray, p: FloatArray, scale: FloatArray, held: BoolArray, bound: float
) -> tuple[float, float]:
    """Multipliers of ball and sum if exactly the scenarios ``held`` have positive probability."""
    size = float(scale @ held)
    if size <= 0:
        return math.inf, 0.0
    mean = float((scale * below) @ held) / size
    variance = float((scale * np.square(below - mean)) @ held)
    left = float(p @ ~held)
    rest = bound - float((p * p / scale) @ ~held) - left * left / size
    if rest <= 0 or variance <= 0:
        return math.inf, 0.0
    alpha = math.sqrt(variance / rest)
    return alpha, mean - alpha * left / size


def _simplex(below: FloatArray, p: FloatArray, scale: FloatArray, alpha: float) -> tuple[BoolArray, float]:
    """Which scenarios keep a positive probability for a given multiplier of the ball, and the threshold."""
    held = np.ones(p.size, dtype=bool)
    threshold = 0.0
    for _ in range(p.size):
        left = float(p @ ~held)
        threshold = (float((scale * below) @ held) - alpha * left) / float(scale @ held)
        positive = held & (alpha * p + scale * (below - threshold) > 0)
        if (positive == held).all():
            break
        held = positive
    return held, threshold
