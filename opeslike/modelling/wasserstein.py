"""Mean and covariance under a Wasserstein ball: terms in a norm of the weights, dual to the norm that moves returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.covariance import Matrix
from opeslike.modelling.feasible import Lift
from opeslike.modelling.problem import OPTIMAL, Index, Point, Problem
from opeslike.modelling.quadratic import LEAST_VARIANCE, square_root
from opeslike.modelling.regularizers import Regularizer

_LEAST_SHARE = 1e-9
#: volatilities below this share of an average asset's are rounded off at the kink
_KINK = 1e-9
#: stands for zero where something is divided by it: without risk there is nothing to divide
_TINY = 1e-300


def norm_of(bounds: Bounds, lift: Lift, dual: float) -> tuple[Bounds, Lift, FloatArray | None, float]:
    """Write a norm of the weights with kinks as a linear function of variables.

    Parameters
    ----------
    bounds, lift : Bounds and Lift
        For ``dual = 1`` with weights of either sign those that :func:`~opeslike.modelling.feasible.feasible` makes with
        ``absolute``.
    dual : float in [1, inf]
        Exponent of the norm of the weights.

    Returns
    -------
    (bounds, lift, functional, constant)
        A linear function of the variables that is the norm at the optimum: for ``dual = 1`` signs, for ``inf`` a
        level ``t`` that is a further variable, with the slacks of ``t - w >= 0`` and, where weights can be negative,
        ``t + w >= 0``. None where the norm is smooth and nothing is added.
    """
    parts, n, before = lift.parts, lift.size, bounds.lower.size
    weight_low, weight_high = lift.weights_between()
    if dual == 1.0:
        slopes, constant = parts.distance(np.zeros(n), weight_low, weight_high)
        return bounds, lift, np.concatenate([slopes, np.zeros(before - slopes.size)]), float(constant.sum())
    if not math.isinf(dual):
        return bounds, lift, None, 0.0
    sides = (1.0, -1.0) if (weight_low < 0).any() else (1.0,)
    top = 2.0 * float(np.maximum(np.abs(weight_low), np.abs(weight_high)).max())
    rows, totals, most = [], [], []
    for sign in sides:  # t - sign w - slack = 0
        rows.append(np.hstack([-sign * lift.map, np.ones((n, 1))]))
        totals.append(sign * parts.origin)
        most.append(top - sign * np.where(sign > 0, weight_low, weight_high))
    count = n * len(sides)
    old = np.hstack([bounds.rows, np.zeros((len(bounds.totals), 1 + count))])
    own = np.hstack([np.vstack(rows), -np.eye(count)])
    wider = Bounds(
        np.concatenate([bounds.lower, np.zeros(1 + count)]),
        np.concatenate([bounds.upper, [top], *most]),
        np.vstack([old, own]),
        np.concatenate([bounds.totals, *totals]),
        (*bounds.names, *[""] * count),
    )
    slacks = tuple((before + 1 + k, len(bounds.totals) + k, -1.0) for k in range(count))
    further = replace(
        lift,
        known=np.concatenate([lift.known, np.zeros(1 + count)]),
        cost=None if lift.cost is None else np.concatenate([lift.cost, np.zeros(1 + count)]),
        bounds=wider,
        slacks=(*lift.slacks, *slacks),
        level=before,
    )
    functional = np.zeros(before + 1 + count)
    functional[before] = 1.0
    return wider, further, functional, 0.0


@dataclass
class WassersteinPoint(Point):
    """A problem evaluated at ``x``, with what the Hessian needs."""

    marginal: FloatArray | None = None
    deviation: float = 0.0
    rounded: float = 0.0
    norm: float = 0.0
    pull: FloatArray | None = None


class WassersteinProblem(Problem):
    """``minimise -mean' x + (aversion / 2) (s(x) + root N(x))^2 + price N(x) + penalty(x)`` over bounds.

    ``s(x) = sqrt(x' covariance x)`` and N a norm of the weights.

    Parameters
    ----------
    mean : ndarray of shape (n,) or None
        None leaves the linear term out.
    covariance : ndarray of shape (n, n), symmetric positive semidefinite, or None
        None leaves the squared term out.
    aversion, root, price : float >= 0
    dual : float in [1, inf]
        Exponent of the norm N.
    bounds, lift : Bounds and Lift
        See :func:`norm_of` for ``dual = 1``.
    """

    def __init__(
        self,
        mean: FloatArray | None,
        covariance: Matrix | None,
        aversion: float,
        root: float,
        price: float,
        dual: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
        lift: Lift | None = None,
    ) -> None:
        lift, self.functional, self.constant = Lift.identity(bounds) if lift is None else lift, None, 0.0
        self.normed = root > 0 or price > 0
        if self.normed:
            bounds, lift, self.functional, self.constant = norm_of(bounds, lift, dual)
        super().__init__(bounds, penalty, lift)
        self.mean, self.aversion = mean, aversion
        self.covariance = None if covariance is None else np.asarray(covariance)
        self.root, self.price, self.dual = root, price, dual
        trace = 0.0 if covariance is None else float(np.trace(covariance))
        self._least = LEAST_VARIANCE * trace / self.n_assets
        self._rounding = _KINK * math.sqrt(trace / self.n_assets)

    def evaluate(self, x: FloatArray, near: WassersteinPoint | None = None) -> WassersteinPoint:
        """Value and gradient by one matrix-vector product."""
        w = self.lift.weights(x)
        slope, value = np.zeros_like(w), 0.0
        if self.mean is not None:
            slope, value = -self.mean, -float(self.mean @ w) - self.lift.earned(x)
        norm, pull = self._norm(x, w)
        marginal, deviation, rounded, excess = None, 0.0, 0.0, 0.0
        steepness = self.price
        if self.covariance is not None:
            marginal = self.covariance @ w
            variance = max(float(w @ marginal), 0.0)
            deviation = math.sqrt(variance)
            whole = deviation + self.root * norm
            value += 0.5 * self.aversion * whole * whole
            steepness += self.aversion * self.root * whole
            if self.root == 0:
                slope = slope + self.aversion * marginal
            else:
                # where the volatility vanishes it has a kink: there a slope that lies between, and what it leaves out
                rounded = max(math.sqrt(variance + self._rounding**2), _TINY)
                slope = slope + self.aversion * whole / rounded * marginal
                excess = self.aversion * whole * (deviation - variance / rounded)
        gradient = self.lift.pull(slope, 0.0 if self.mean is None else -1.0)
        if pull is not None:
            value += self.price * norm
            gradient = gradient + steepness * pull
        extra, more = self.added(x)
        gradient = gradient if more is None else gradient + more
        smooth = pull is None or self.functional is not None or norm > 0
        return WassersteinPoint(x, value + extra, gradient, smooth, excess, marginal, deviation, rounded, norm, pull)

    def _norm(self, x: FloatArray, w: FloatArray) -> tuple[float, FloatArray | None]:
        """The norm and its gradient in all variables."""
        if not self.normed:
            return 0.0, None
        if self.functional is not None:
            grown = np.concatenate(
                [self.functional, np.zeros(x.size - self.functional.size)]
            )  # limits may have come in
            return float(grown @ x) + self.constant, grown
        size = np.abs(w)
        if not size.any():  # all cash, where the norm has a kink and 0 is a slope
            return 0.0, self.lift.pull(size)
        top = max(float(size.max()), _TINY)
        norm = top * float(np.sum((size / top) ** self.dual)) ** (1.0 / self.dual)
        return norm, self.lift.pull(np.sign(w) * (size / norm) ** (self.dual - 1.0))

    def hessian(self, point: WassersteinPoint, free: Index | None = None) -> FloatArray:
        """Curvature of the square, of the volatility and of the norm."""
        h = np.zeros((self.n_assets, self.n_assets))
        steepness, whole, along = self.price, 0.0, None
        if self.covariance is not None and self.root == 0:
            h += self.aversion * self.covariance
        elif self.covariance is not None:
            assert point.marginal is not None
            whole = point.deviation + self.root * point.norm
            tilt = point.marginal / point.rounded
            h += self.aversion * whole / point.rounded * (self.covariance - np.outer(tilt, tilt))
            along = self.lift.pull(tilt)
            if point.pull is not None:
                along = along + self.root * point.pull
            steepness += self.aversion * whole * self.root
        if self.normed and self.functional is None:
            w, norm = self.lift.weights(point.x), max(point.norm, _TINY)
            share = np.maximum(np.abs(w) / norm, _LEAST_SHARE)
            pull = np.sign(w) * (np.abs(w) / norm) ** (self.dual - 1.0)
            bend = np.diag(share ** (self.dual - 2.0)) - np.outer(pull, pull)
            h += steepness * (self.dual - 1.0) / norm * bend
        h = self.lift.restricted(h, free)
        if along is not None:
            along = along if free is None else along[free]
            h = h + self.aversion * np.outer(along, along)
        more = self.bend(point.x, free)
        return h if more is None else h + more

    def tolerance(self, point: WassersteinPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's return; without expected returns, ``1e-7`` of the value.

        Without a covariance, ``1e-7`` of the largest expected return.
        """
        floor = 1e-16 * (abs(point.value) + float(np.abs(point.gradient).max(initial=0.0)))
        if self.covariance is None:
            assert self.mean is not None
            return OPTIMAL * float(np.abs(self.mean).max()) + floor
        if self.mean is None:
            return OPTIMAL * max(abs(point.value), 0.5 * self.aversion * self._least) + floor
        return OPTIMAL * math.sqrt(max(point.deviation**2, self._least)) + floor

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy."""
        import cvxpy as cp

        w = self.lift.weights(x)
        value = self.added_expression(x, scale)
        if self.mean is not None:
            value = value - (self.mean / scale) @ w - self.lift.earned(x) / scale
        norm: Any = 0.0
        if self.normed:
            norm = (
                self.functional @ x[: self.functional.size] + self.constant
                if self.functional is not None
                else cp.pnorm(w, self.dual)
            )
            value = value + self.price / scale * norm
        if self.covariance is not None:
            whole = cp.norm2(square_root(self.covariance / scale) @ w)
            if self.root > 0:
                whole = whole + self.root / math.sqrt(scale) * norm
            value = value + 0.5 * self.aversion * cp.square(cp.pos(whole))  # never negative, which cvxpy cannot see
        return value, []

    def natural_scale(self) -> float:
        """Size of the linear term, else of the variance."""
        if self.mean is not None:
            return float(np.abs(self.mean).max()) or 1.0
        assert self.covariance is not None
        return float(self.aversion * np.abs(self.covariance).max()) or 1.0
