"""Problems on mean and covariance: ``minimise -mean'x + (aversion / 2) x' covariance x + penalty(x)``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import OPTIMAL, Index, Penalty, Point, Problem

FloatArray = NDArray[np.float64]


@dataclass
class QuadraticPoint(Point):
    """A quadratic problem evaluated at ``x``; keeps ``covariance @ x``."""

    marginal: FloatArray | None = None


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
        penalty: Penalty | None = None,
    ) -> None:
        self.mean, self.covariance, self.aversion = mean, covariance, aversion
        self.bounds, self.penalty = bounds, penalty
        self.n_assets = bounds.lower.size

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
        """``1e-7`` standard deviations of the portfolio's return; for a pure variance, ``1e-7`` of the variance."""
        floor = 1e-16 * (abs(point.value) + float(np.abs(point.gradient).max(initial=0.0)))
        if point.marginal is None:
            return OPTIMAL * abs(point.value) + floor
        variance = max(float(point.x @ point.marginal), 0.0)
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
