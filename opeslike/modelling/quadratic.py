"""Problems on mean and covariance: variance, volatility and the penalty as terms of a convex objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.covariance import Matrix
from opeslike.modelling.feasible import Lift
from opeslike.modelling.problem import OPTIMAL, Index, Point, Problem
from opeslike.modelling.regularizers import Regularizer

#: a portfolio with less variance than this share of an average asset's counts as having this much, in tolerances
LEAST_VARIANCE = 1e-6


@dataclass
class QuadraticPoint(Point):
    """A quadratic problem evaluated at ``x``; keeps ``covariance @ w``."""

    marginal: FloatArray | None = None


@dataclass
class VolatilityPoint(QuadraticPoint):
    """A problem with a volatility term evaluated at ``x``; keeps ``sqrt(w' covariance w)`` too."""

    deviation: float = 0.0


class QuadraticProblem(Problem):
    """``minimise -mean' w + (aversion / 2) w' covariance w + penalty(w)`` over bounds.

    Parameters
    ----------
    mean : ndarray of shape (N,) or None
        None leaves the linear term out.
    covariance : ndarray of shape (N, N), symmetric positive semidefinite, or None
        None leaves the quadratic term out.
    aversion : float
        Weight of the quadratic term.
    """

    def __init__(
        self,
        mean: FloatArray | None,
        covariance: Matrix | None,
        aversion: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
        lift: Lift | None = None,
    ) -> None:
        super().__init__(bounds, penalty, lift)
        self.mean, self.covariance, self.aversion = mean, covariance, aversion
        self._slope = np.zeros(self.n_assets) if mean is None else -mean
        self._least = 0.0 if covariance is None else LEAST_VARIANCE * float(covariance.diagonal().mean())

    def evaluate(self, x: FloatArray, near: QuadraticPoint | None = None) -> QuadraticPoint:
        """Value and gradient by one matrix-vector product."""
        w, slope, marginal = self.lift.weights(x), self._slope, None
        value = float(slope @ w)
        if self.mean is not None and self.lift.earning:
            value -= self.lift.earned(x)
        if self.covariance is not None:
            marginal = self.covariance @ w
            value += 0.5 * self.aversion * float(w @ marginal)
            slope = slope + self.aversion * marginal
        gradient = self.lift.pull(slope, 0.0 if self.mean is None else -1.0)
        extra, pull = self.added(x)
        gradient = gradient if pull is None else gradient + pull
        return QuadraticPoint(x, value + extra, gradient, marginal=marginal)

    def hessian(self, point: QuadraticPoint, free: Index | None = None) -> FloatArray:
        """``aversion * covariance`` and the curvature of the penalty."""
        n, c = point.x.size if free is None else free.size, self.covariance
        h = np.zeros((n, n)) if c is None else self.aversion * self.lift.restricted(c, free)
        more = self.bend(point.x, free)
        return h if more is None else h + more

    def tolerance(self, point: QuadraticPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's return; for a pure variance, ``1e-7`` of the variance.

        Without a covariance, ``1e-7`` of the largest expected return. A portfolio whose variance is below ``1e-6`` of
        an average asset's is taken to have that much: relative to no variance at all nothing could be certified.
        """
        if point.tolerance is None:
            if point.marginal is None:
                size = abs(point.value) if self.mean is None else float(np.abs(self.mean).max())
            else:
                variance = max(float(self.lift.weights(point.x) @ point.marginal), self._least)
                size = variance * self.aversion if self.mean is None else math.sqrt(variance)
            rounding = 1e-16 * (abs(point.value) + float(np.abs(point.gradient).max(initial=0.0)))
            point.tolerance = OPTIMAL * size + rounding
        return point.tolerance

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy."""
        import cvxpy as cp

        w = self.lift.weights(x)
        value = self.added_expression(x, scale)
        if self.mean is not None:
            value = value - (self.mean / scale) @ w - self.lift.earned(x) / scale
        if self.covariance is not None:
            value = value + cp.quad_form(w, cp.psd_wrap(0.5 * self.aversion / scale * np.asarray(self.covariance)))
        return value, []

    @property
    def linear(self) -> FloatArray | None:
        """Minus the mean and the costs, where there is nothing else."""
        if self.covariance is not None or self.penalty is not None or self.bending:
            return None
        gain = self.lift.pull(self._slope, 0.0 if self.mean is None else -1.0)
        return gain if self.cost is None else gain + self.cost

    def natural_scale(self) -> float:
        """Size of the linear term, else of the quadratic one."""
        if self.mean is not None:
            return float(np.abs(self.mean).max()) or 1.0
        if self.covariance is not None:
            return float(self.aversion * np.abs(self.covariance).max()) or 1.0
        return 1.0


class VolatilityProblem(Problem):
    """``minimise price * sqrt((w - c)' covariance (w - c)) - gain' w + penalty(w)`` over bounds.

    At the price that equals the best ratio ``gain' w / sqrt(w' covariance w)`` its minimiser attains that ratio.

    Parameters
    ----------
    gain : ndarray of shape (N,) or None
        None leaves the linear term, and what is known of returns, out.
    covariance : ndarray of shape (N, N), symmetric positive semidefinite
    price : float >= 0
        Gain wanted for a unit of volatility.
    centre : ndarray of shape (N,), optional
        c, by default 0.
    """

    def __init__(
        self,
        gain: FloatArray | None,
        covariance: Matrix,
        price: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
        lift: Lift | None = None,
        centre: FloatArray | None = None,
    ) -> None:
        super().__init__(bounds, penalty, lift)
        self.worth = 0.0 if gain is None else 1.0
        self.gain = np.zeros(self.n_assets) if gain is None else gain
        self.covariance, self.price, self.centre = covariance, price, centre
        self._least = math.sqrt(LEAST_VARIANCE * float(covariance.diagonal().mean()))

    def evaluate(self, x: FloatArray, near: VolatilityPoint | None = None) -> VolatilityPoint:
        """Value and gradient by one matrix-vector product; there is a kink where the volatility vanishes."""
        w = self.lift.weights(x)
        apart = w if self.centre is None else w - self.centre
        marginal = self.covariance @ apart
        deviation = math.sqrt(max(float(apart @ marginal), 0.0))
        value = self.price * deviation - float(self.gain @ w) - self.worth * self.lift.earned(x)
        smooth = deviation > 1e-6 * self._least
        # at the kink 0 is a subgradient of the volatility
        gradient = self.lift.pull(self.price / deviation * marginal - self.gain if smooth else -self.gain, -self.worth)
        extra, pull = self.added(x)
        gradient = gradient if pull is None else gradient + pull
        return VolatilityPoint(x, value + extra, gradient, smooth, marginal=marginal, deviation=deviation)

    def reward(self, x: FloatArray) -> float:
        """The gain less what is paid for trading."""
        paid = 0.0 if self.cost is None else float(self.cost @ x) + self.lift.fixed
        return float(self.gain @ self.weights(x)) - paid

    def hessian(self, point: VolatilityPoint, free: Index | None = None) -> FloatArray:
        """``price / s (covariance - m m' / s^2)``, m the covariance times w and s the volatility."""
        assert point.marginal is not None
        along = self.lift.pull(point.marginal / point.deviation)
        along = along if free is None else along[free]
        h = self.lift.restricted(self.covariance, free) - along[:, None] * along
        h *= self.price / point.deviation
        more = self.bend(point.x, free)
        return h if more is None else h + more

    def tolerance(self, point: VolatilityPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's return (at least ``1e-3`` of an average asset's)."""
        floor = 1e-16 * (abs(point.value) + float(np.abs(point.gradient).max(initial=0.0)))
        return OPTIMAL * max(point.deviation, self._least) + floor

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy."""
        import cvxpy as cp

        w = self.lift.weights(x)
        apart = w if self.centre is None else w - self.centre
        value = self.price / scale * cp.norm2(square_root(self.covariance) @ apart) - (self.gain / scale) @ w
        return value - self.worth / scale * self.lift.earned(x) + self.added_expression(x, scale), []

    def natural_scale(self) -> float:
        """Size of the linear term, else that of the volatilities."""
        return float(np.abs(self.gain).max()) or self.price * math.sqrt(float(np.max(self.covariance))) or 1.0


def square_root(covariance: Matrix) -> FloatArray:
    """A matrix ``A`` with ``A'A = covariance``; eigenvalues below rounding count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def risky_directions(covariance: Matrix) -> FloatArray:
    """Rows that are 0 times exactly the weights without variance: eigenvectors but for those within rounding of 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors[:, values > 1e-12 * values[-1]].T)
