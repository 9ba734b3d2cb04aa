"""Mean and covariance under a Wasserstein ball: terms in a norm of the weights, dual to the norm that moves returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import OPTIMAL, Index, Point, Problem
from opeslike.modelling.quadratic import LEAST_VARIANCE, square_root
from opeslike.modelling.regularizers import Regularizer

FloatArray = NDArray[np.float64]

_LEAST_SHARE = 1e-9
#: volatilities below this share of an average asset's are rounded off at the kink
_KINK = 1e-9


def lifted_bounds(bounds: Bounds, dual: float) -> tuple[Bounds, FloatArray | None]:
    """Write a norm with kinks as a linear function of further variables.

    Parameters
    ----------
    bounds : Bounds of n weights
    dual : float in [1, inf]
        Exponent of the norm of the weights.

    Returns
    -------
    (bounds, functional)
        Bounds of the weights and the further variables, and the vector whose product with them is the norm at the
        optimum. The functional is None where the norm is smooth and nothing is added.

        - ``dual = 1`` with weights of known sign: the signed sum. Otherwise ``x = a - b`` with ``a, b >= 0``, and the
          sum of a and b.
        - ``dual = inf``: a level t with ``t - x >= 0`` and, where weights can be negative, ``t + x >= 0``.
    """
    lower, upper, n = bounds.lower, bounds.upper, bounds.lower.size
    eye, none = np.eye(n), np.zeros((n, n))
    most = np.maximum(np.abs(lower), np.abs(upper))
    if dual == 1.0:
        signs = np.where(lower >= 0, 1.0, np.where(upper <= 0, -1.0, 0.0))
        if signs.all():
            return bounds, signs
        rows = np.block([[bounds.rows, np.zeros((len(bounds.totals), 2 * n))], [eye, -eye, eye]])
        low, high = np.concatenate([lower, np.zeros(2 * n)]), np.concatenate([upper, 2 * most, 2 * most])
        functional = np.concatenate([np.zeros(n), np.ones(2 * n)])
        return Bounds(low, high, rows, np.concatenate([bounds.totals, np.zeros(n)])), functional
    if math.isinf(dual):
        shorts = bool((lower < 0).any())
        top = 2.0 * float(most.max())
        count = 1 + n + n * shorts
        rows = np.zeros((len(bounds.totals) + n + n * shorts, n + count))
        first = len(bounds.totals)
        rows[:first, :n] = bounds.rows
        rows[first : first + n] = np.hstack([-eye, np.ones((n, 1)), -eye, *([none] * shorts)])
        if shorts:
            rows[first + n :] = np.hstack([eye, np.ones((n, 1)), none, -eye])
        low = np.concatenate([lower, np.zeros(count)])
        high = np.concatenate([upper, [top], top - lower, *([top + upper] * shorts)])
        functional = np.zeros(n + count)
        functional[n] = 1.0
        return Bounds(low, high, rows, np.concatenate([bounds.totals, np.zeros(n + n * shorts)])), functional
    return bounds, None


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
    bounds : Bounds of the n weights
    """

    def __init__(
        self,
        mean: FloatArray | None,
        covariance: FloatArray | None,
        aversion: float,
        root: float,
        price: float,
        dual: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
    ) -> None:
        self.mean, self.covariance, self.aversion = mean, covariance, aversion
        self.root, self.price, self.dual, self.penalty = root, price, dual, penalty
        self.n_assets = bounds.lower.size
        self.bounds, self.functional = bounds, None
        self.normed = root > 0 or price > 0
        if self.normed:
            self.bounds, self.functional = lifted_bounds(bounds, dual)
        trace = 0.0 if covariance is None else float(np.trace(covariance))
        self._least = LEAST_VARIANCE * trace / self.n_assets
        self._rounding = _KINK * math.sqrt(trace / self.n_assets)

    def evaluate(self, x: FloatArray, near: WassersteinPoint | None = None) -> WassersteinPoint:
        """Value and gradient by one matrix-vector product."""
        n = self.n_assets
        w = x[:n]
        gradient = np.zeros_like(x)
        value = 0.0
        if self.mean is not None:
            gradient[:n] = -self.mean
            value = -float(self.mean @ w)
        norm, pull = self._norm(x)
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
                gradient[:n] += self.aversion * marginal
            else:
                # where the volatility vanishes it has a kink: there a slope that lies between, and what it leaves out
                rounded = math.sqrt(variance + self._rounding**2)
                gradient[:n] += self.aversion * whole / rounded * marginal
                excess = self.aversion * whole * (deviation - variance / rounded)
        value += self.price * norm
        if pull is not None:
            gradient += steepness * pull
        if self.penalty is not None:
            extra, slope = self.penalty.evaluate(w)
            value += extra
            gradient[:n] += slope
        return WassersteinPoint(x, value, gradient, True, excess, marginal, deviation, rounded, norm, pull)

    def _norm(self, x: FloatArray) -> tuple[float, FloatArray | None]:
        """The norm and its gradient in all variables."""
        if not self.normed:
            return 0.0, None
        if self.functional is not None:
            return float(self.functional @ x), self.functional
        size = np.abs(x)
        top = float(size.max())
        norm = top * float(np.sum((size / top) ** self.dual)) ** (1.0 / self.dual)
        return norm, np.sign(x) * (size / norm) ** (self.dual - 1.0)

    def hessian(self, point: WassersteinPoint, free: Index | None = None) -> FloatArray:
        """Curvature of the square, of the volatility and of the norm."""
        n, size = self.n_assets, point.x.size
        h = np.zeros((size, size))
        steepness = self.price
        if self.covariance is not None and self.root == 0:
            h[:n, :n] = self.aversion * self.covariance
        elif self.covariance is not None:
            assert point.marginal is not None
            whole = point.deviation + self.root * point.norm
            along = np.zeros(size)
            along[:n] = point.marginal / point.rounded
            h[:n, :n] = self.covariance - np.outer(along[:n], along[:n])
            h *= self.aversion * whole / point.rounded
            if point.pull is not None:
                along = along + self.root * point.pull
            h += self.aversion * np.outer(along, along)
            steepness += self.aversion * whole * self.root
        if self.normed and self.functional is None:
            assert point.pull is not None
            share = np.maximum(np.abs(point.x) / point.norm, _LEAST_SHARE)
            bend = np.diag(share ** (self.dual - 2.0)) - np.outer(point.pull, point.pull)
            h += steepness * (self.dual - 1.0) / point.norm * bend
        if self.penalty is not None:
            h[:n, :n] += self.penalty.hessian(point.x[:n])
        return h if free is None else h[np.ix_(free, free)]

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

    def lift(self, w: FloatArray) -> FloatArray:
        """The weights and the further variables that belong to them."""
        if self.bounds.lower.size == w.size:
            return w
        if self.dual == 1.0:
            return np.concatenate([w, np.maximum(w, 0.0), np.maximum(-w, 0.0)])
        top = float(np.abs(w).max())
        parts = [w, np.array([top]), top - w]
        if self.bounds.lower.size > 2 * w.size + 1:
            parts.append(top + w)
        return np.concatenate(parts)

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy."""
        import cvxpy as cp

        w = x[: self.n_assets]
        value: Any = 0.0
        if self.mean is not None:
            value = value - (self.mean / scale) @ w
        norm: Any = 0.0
        if self.normed:
            norm = self.functional @ x if self.functional is not None else cp.pnorm(w, self.dual)
            value = value + self.price / scale * norm
        if self.covariance is not None:
            whole = cp.norm2(square_root(self.covariance / scale) @ w)
            if self.root > 0:
                whole = whole + self.root / math.sqrt(scale) * norm
            value = value + 0.5 * self.aversion * cp.square(cp.pos(whole))  # never negative, which cvxpy cannot see
        if self.penalty is not None:
            value = value + self.penalty.expression(w) / scale
        return value, []

    def natural_scale(self) -> float:
        """Size of the linear term, else of the variance."""
        if self.mean is not None:
            return float(np.abs(self.mean).max()) or 1.0
        assert self.covariance is not None
        return float(self.aversion * np.abs(self.covariance).max()) or 1.0
