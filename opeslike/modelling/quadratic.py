"""Problems on mean and covariance: variance, volatility and the penalty as terms of a convex objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import OPTIMAL, Index, Point, Problem
from opeslike.modelling.regularizers import Regularizer

FloatArray = NDArray[np.float64]

#: a portfolio with less variance than this share of an average asset's counts as having this much, in tolerances
LEAST_VARIANCE = 1e-6


@dataclass
class QuadraticPoint(Point):
    """A quadratic problem evaluated at ``x``; keeps ``covariance @ x``."""

    marginal: FloatArray | None = None


@dataclass
class VolatilityPoint(QuadraticPoint):
    """A problem with a volatility term evaluated at ``x``; keeps ``sqrt(x' covariance x)`` too."""

    deviation: float = 0.0


class QuadraticProblem(Problem):
    """``minimise -mean' x + (aversion / 2) x' covariance x + penalty(x)`` over bounds.

    Parameters
    ----------
    mean : ndarray of shape (n,) or None
        None leaves the linear term out.
    covariance : ndarray of shape (n, n), symmetric positive semidefinite, or None
        None leaves the quadratic term out.
    aversion : float
        Weight of the quadratic term.
    """

    def __init__(
        self,
        mean: FloatArray | None,
        covariance: FloatArray | None,
        aversion: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
    ) -> None:
        self.mean, self.covariance, self.aversion = mean, covariance, aversion
        self.bounds, self.penalty = bounds, penalty
        self.n_assets = bounds.lower.size
        self._least = 0.0 if covariance is None else LEAST_VARIANCE * float(np.trace(covariance)) / self.n_assets

    def evaluate(self, x: FloatArray, near: QuadraticPoint | None = None) -> QuadraticPoint:
        """Value and gradient by one matrix-vector product."""
        gradient = np.zeros_like(x) if self.mean is None else -self.mean
        value = float(gradient @ x)
        marginal = None
        if self.covariance is not None:
            marginal = self.covariance @ x
            value += 0.5 * self.aversion * float(x @ marginal)
            gradient = gradient + self.aversion * marginal
        if self.penalty is not None:
            extra, pull = self.penalty.evaluate(x)
            value += extra
            gradient = gradient + pull
        return QuadraticPoint(x, value, gradient, marginal=marginal)

    def hessian(self, point: QuadraticPoint, free: Index | None = None) -> FloatArray:
        """``aversion * covariance`` and the curvature of the penalty."""
        n = self.n_assets
        h = np.zeros((n, n)) if self.covariance is None else self.aversion * self.covariance
        if self.penalty is not None:
            h = h + self.penalty.hessian(point.x)
        return h if free is None else h[np.ix_(free, free)]

    def tolerance(self, point: QuadraticPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's return; for a pure variance, ``1e-7`` of the variance.

        Without a covariance, ``1e-7`` of the largest expected return. A portfolio whose variance is below ``1e-6`` of
        an average asset's is taken to have that much: relative to no variance at all nothing could be certified.
        """
        floor = 1e-16 * (abs(point.value) + float(np.abs(point.gradient).max(initial=0.0)))
        if point.marginal is None:
            size = abs(point.value) if self.mean is None else float(np.abs(self.mean).max())
            return OPTIMAL * size + floor
        variance = max(float(point.x @ point.marginal), self._least)
        return OPTIMAL * (variance * self.aversion if self.mean is None else math.sqrt(variance)) + floor

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy."""
        import cvxpy as cp

        value: Any = 0.0
        if self.mean is not None:
            value = value - (self.mean / scale) @ x
        if self.covariance is not None:
            value = value + cp.quad_form(x, cp.psd_wrap(0.5 * self.aversion / scale * self.covariance))
        if self.penalty is not None:
            value = value + self.penalty.expression(x) / scale
        return value, []

    @property
    def linear(self) -> FloatArray | None:
        """Minus the mean, where there is nothing else."""
        return -self.mean if self.mean is not None and self.covariance is None and self.penalty is None else None

    def natural_scale(self) -> float:
        """Size of the linear term, else of the quadratic one."""
        if self.mean is not None:
            return float(np.abs(self.mean).max()) or 1.0
        if self.covariance is not None:
            return float(self.aversion * np.abs(self.covariance).max()) or 1.0
        return 1.0


class VolatilityProblem(Problem):
    """``minimise price * sqrt(x' covariance x) - gain' x + penalty(x)`` over bounds.

    At the price that equals the best ratio ``gain' x / sqrt(x' covariance x)`` its minimiser attains that ratio.

    Parameters
    ----------
    gain : ndarray of shape (n,)
    covariance : ndarray of shape (n, n), symmetric positive semidefinite
    price : float >= 0
        Gain wanted for a unit of volatility.
    """

    def __init__(
        self,
        gain: FloatArray,
        covariance: FloatArray,
        price: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
    ) -> None:
        self.gain, self.covariance, self.price = gain, covariance, price
        self.bounds, self.penalty = bounds, penalty
        self.n_assets = bounds.lower.size
        self._least = math.sqrt(LEAST_VARIANCE * float(np.trace(covariance)) / self.n_assets)

    def evaluate(self, x: FloatArray, near: VolatilityPoint | None = None) -> VolatilityPoint:
        """Value and gradient by one matrix-vector product; there is a kink where the volatility vanishes."""
        marginal = self.covariance @ x
        deviation = math.sqrt(max(float(x @ marginal), 0.0))
        value = self.price * deviation - float(self.gain @ x)
        smooth = deviation > 1e-6 * self._least
        # at the kink 0 is a subgradient of the volatility
        gradient = self.price / deviation * marginal - self.gain if smooth else -self.gain
        if self.penalty is not None:
            extra, pull = self.penalty.evaluate(x)
            value += extra
            gradient = gradient + pull
        return VolatilityPoint(x, value, gradient, smooth, marginal=marginal, deviation=deviation)

    def hessian(self, point: VolatilityPoint, free: Index | None = None) -> FloatArray:
        """``price / s (covariance - m m' / s^2)``, m the covariance times x and s the volatility."""
        assert point.marginal is not None
        part = np.ix_(free, free) if free is not None else (slice(None), slice(None))
        along = (point.marginal if free is None else point.marginal[free]) / point.deviation
        h: FloatArray = self.price / point.deviation * (self.covariance[part] - np.outer(along, along))
        return h if self.penalty is None else h + self.penalty.hessian(point.x)[part]

    def tolerance(self, point: VolatilityPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's return (at least ``1e-3`` of an average asset's)."""
        floor = 1e-16 * (abs(point.value) + float(np.abs(point.gradient).max(initial=0.0)))
        return OPTIMAL * max(point.deviation, self._least) + floor

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy."""
        import cvxpy as cp

        value = self.price / scale * cp.norm2(square_root(self.covariance) @ x) - (self.gain / scale) @ x
        if self.penalty is not None:
            value = value + self.penalty.expression(x) / scale
        return value, []

    def natural_scale(self) -> float:
        """Size of the linear term."""
        return float(np.abs(self.gain).max()) or 1.0


def square_root(covariance: FloatArray) -> FloatArray:
    """A matrix ``A`` with ``A'A = covariance``; eigenvalues below rounding count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)
