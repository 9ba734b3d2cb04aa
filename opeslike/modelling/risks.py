"""Risks: convex, monotone functionals of the losses, each the worst mean over a set of scenario probabilities.

A risk returns its value together with the probabilities ``q`` that attain it. By Danskin's theorem the gradient of
``risk(loss(R w))`` is then ``R'(q * loss'(R w))``, whatever the risk.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import PortfolioError
from opeslike.modelling.envelopes import Envelope, KullbackLeibler

FloatArray = NDArray[np.float64]

_NOMINAL = 1e-12
_SHARPEST = 1e13
_INSIDE = 1e-10
_ROUGHLY = 1e-5
_FLAT = 1e-100
#: no vector of probabilities is this far from another, in nats
_ALL = 1e4


@dataclass
class RiskPoint:
    """A risk evaluated at one vector of losses.

    Attributes
    ----------
    value : float
        The risk; an upper bound of it to rounding.
    q : ndarray of shape (T,)
        Worst-case probabilities.
    sharpness : float
        For entropic risks the inverse multiplier ``1 / alpha``; 0 where ``q`` is the nominal vector, infinite at the
        worst case.
    excess : float
        A bound on how far the mean loss under ``q`` may lie below the risk; it is added to every gap.
    metric : ndarray of shape (T,), optional
        For balls of squared distance the metric on the scenarios with positive probability, 0 elsewhere.
    deviation : float
        For KL balls the standard deviation of the losses under the nominal probabilities.
    """

    value: float
    q: FloatArray
    sharpness: float = 0.0
    excess: float = 0.0
    metric: FloatArray | None = None
    deviation: float = 0.0


class Risk(ABC):
    """A convex, monotone functional of the losses under scenario probabilities ``p``."""

    #: whether second derivatives exist almost everywhere a solver goes
    smooth: bool = True

    @abstractmethod
    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Value and worst-case probabilities; ``near`` is a point evaluated shortly before, to start from."""

    @abstractmethod
    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """Second derivative in the losses, as ``diag(d) + sum c v v'``: returns d (or None) and the pairs (c, v)."""

    @abstractmethod
    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """Epigraph form for cvxpy, for convex ``losses`` (T,): an expression to minimise and its constraints.

        Where there is an envelope, the multipliers of the first constraint are worst-case probabilities.
        """

    def envelope(self, p: FloatArray) -> Envelope | None:
        """The set of worst-case probabilities; None where it is the nominal vector alone."""
        return None

    def scaled(self, scale: float) -> Risk:
        """The risk ``r`` with ``r(losses / scale) = self(losses) / scale``: itself where positively homogeneous."""
        return self


@dataclass(frozen=True)
class Mean(Risk):
    """The mean loss ``sum p_t loss_t``."""

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """The mean; ``q = p``."""
        return RiskPoint(float(p @ losses), p)

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """Zero: the mean is linear in the losses."""
        return None, []

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``p' losses``."""
        return p @ losses, []


@dataclass(frozen=True)
class KLBall(Risk):
    """Worst mean over the Kullback-Leibler ball ``{q : sum q log(q / p) <= radius}``, natural logarithm.

    Its dual is ``min over a >= 0 of a log E_p exp(loss / a) + a radius`` (Hu and Hong 2013). The multiplier runs to
    infinity for small radii and to 0 once the radius reaches ``-log`` of the probability of the worst scenarios, so the
    minimisation is done in ``1 / a``.

    Parameters
    ----------
    radius : float
        In nats, at least 0. Radius 0 is the mean; from ``-log min p`` on it is the worst case.
    """

    radius: float

    def __post_init__(self) -> None:
        """Check the radius."""
        if not (isinstance(self.radius, (int, float)) and math.isfinite(self.radius) and self.radius >= 0):
            raise PortfolioError(f"radius={self.radius!r} must be a finite number >= 0 (in nats)")

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Find the ``1 / a`` at which KL equals the radius, by steps on ``sqrt(2 KL)``, nearly linear in it."""
        mean = float(p @ losses)
        top = float(losses.max())
        spread = top - float(losses.min())
        target = math.sqrt(2.0 * min(self.radius, _ALL))
        if target * spread <= _NOMINAL:
            return RiskPoint(mean, p, 0.0, 0.5 * target * spread)
        below = losses - top
        gap = top - mean
        # if a share of the scenarios ties at the top, the mean is no further below than the others can pull it
        if self.radius >= -math.log1p(-min(gap / spread, 1.0 - 1e-300)):
            worst = below >= -1e-15 * max(abs(top), spread)
            share = float(p @ worst)
            if self.radius >= -math.log(share):
                return RiskPoint(top, np.where(worst, p / share, 0.0), math.inf)
        squares = below * below
        cubes = squares * below
        deviation = math.sqrt(max(float(p @ squares) - gap * gap, 1e-300))
        sharpness, inside = target / deviation, _INSIDE
        if near is not None and 0 < near.sharpness < math.inf and near.deviation > 0:
            sharpness = near.sharpness * near.deviation / deviation
            if abs(near.deviation - deviation) > 1e-3 * deviation:
                inside = _ROUGHLY  # far from the end: what it costs is quadratic in the value, and told by the excess
        low, high = 0.0, math.inf
        value, divergence, mass = math.inf, 0.0, 1.0
        q = p
        for _ in range(100):
            q = np.exp(sharpness * below)
            q *= p
            mass = float(np.add.reduce(q))
            log_mass = math.log(mass)
            shortfall = float(q @ below) / mass  # E_q loss - top
            divergence = max(sharpness * shortfall - log_mass, 0.0)
            value = min(value, top + (self.radius + log_mass) / sharpness)
            reached = math.sqrt(2.0 * divergence)
            error = reached - target
            rounding = 1e-15 * (1.0 + sharpness * gap) / target
            if -inside * target - rounding <= error <= 1e-12 * target + rounding:
                break
            if error > 0:
                high = sharpness
            else:
                low = sharpness
            # Halley's method: slope and bend of sqrt(2 KL) from the second and third moments under q
            second = float(q @ squares) / mass
            variance = second - shortfall * shortfall
            slope = sharpness * variance / reached if reached > 0 else 0.0
            step = sharpness - error / slope if slope > 0 else math.inf
            if slope > _FLAT:
                third = float(q @ cubes) / mass - shortfall * (3.0 * second - 2.0 * shortfall * shortfall)
                bend = (variance + sharpness * third - slope * slope) / reached
                step = sharpness - (sharpness - step) / max(1.0 - 0.5 * (sharpness - step) * bend / slope, 0.5)
            if not low < step < high or step > 8 * sharpness:
                step = 4 * sharpness if high == math.inf else math.sqrt(max(low, 1e-3 * high) * high)
            if abs(step - sharpness) <= 1e-15 * sharpness:
                break
            sharpness = step
            if sharpness * spread > _SHARPEST:
                worst = below >= -1e-15 * max(abs(top), spread)
                return RiskPoint(top, np.where(worst, p / float(p @ worst), 0.0), math.inf)
        q /= mass
        # q is inside the ball; by weak duality its mean loss lies below the dual value by just this much
        return RiskPoint(value, q, sharpness, max(self.radius - divergence, 0.0) / sharpness, deviation=deviation)

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """``(1/a)(diag q - q q' - (q d)(q d)' / Var_q)`` with ``d`` the losses less their mean under q."""
        if point.sharpness == 0.0 or math.isinf(point.sharpness):
            return None, []
        q, sharpness = point.q, point.sharpness
        tilt = q * (losses - float(q @ losses))
        variance = float(tilt @ losses)
        pairs = [(-sharpness, q)]
        if variance > 0:
            pairs.append((-sharpness / variance, tilt))
        return sharpness * q, pairs

    def envelope(self, p: FloatArray) -> Envelope | None:
        """The ball itself; all probabilities where it holds them all."""
        if self.radius == 0:
            return None
        if self.radius >= -math.log(float(p.min())):
            return Envelope(p)
        return Envelope(p, divergence=KullbackLeibler(), radius=self.radius)

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``tau + a radius`` with ``sum p z <= a`` and ``z >= a exp((loss - tau) / a)``: a cone a scenario."""
        import cvxpy as cp

        if self.radius == 0:
            return p @ losses, []
        count = p.shape[0]
        level = cp.Variable(name="tau")
        multiplier = cp.Variable(nonneg=True, name="alpha")
        mass = cp.Variable(count, name="z")
        cone = losses - level + cp.rel_entr(multiplier * np.ones(count), mass) <= 0
        return level + self.radius * multiplier, [cone, p @ mass <= multiplier]


@dataclass(frozen=True)
class Entropic(Risk):
    """Entropic risk ``(1 / a) log E_p exp(a loss)`` (Follmer and Schied 2002).

    It is the worst mean less ``KL(q, p) / a``, convex but not positively homogeneous.

    Parameters
    ----------
    aversion : float > 0
        ``a``, per unit of loss. Near 0 it is the mean plus ``a / 2`` times the variance; for large a the worst case.
    """

    aversion: float

    def __post_init__(self) -> None:
        """Check the aversion."""
        if not (isinstance(self.aversion, (int, float)) and math.isfinite(self.aversion) and self.aversion > 0):
            raise PortfolioError(f"aversion={self.aversion!r} must be a finite number > 0")

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Log-sum-exp from the largest loss, or from the mean where the exponents are small."""
        reference = float(losses.max())
        exponents = self.aversion * (losses - reference)
        if float(exponents.min()) > -1e-2:
            # log(1 + mean of expm1) keeps the digits that log of nearly 1 would lose
            reference = float(p @ losses)
            extra = float(p @ np.expm1(self.aversion * (losses - reference)))
            q = p * np.exp(self.aversion * (losses - reference)) / (1.0 + extra)
            return RiskPoint(reference + math.log1p(extra) / self.aversion, q, self.aversion)
        q = p * np.exp(exponents)
        mass = float(q.sum())
        return RiskPoint(reference + math.log(mass) / self.aversion, q / mass, self.aversion)

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """``a (diag q - q q')``."""
        return self.aversion * point.q, [(-self.aversion, point.q)]

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``(1 / a) log_sum_exp(a z + log p)`` with ``z >= losses``."""
        import cvxpy as cp

        level = cp.Variable(p.shape[0], name="z")
        return cp.log_sum_exp(self.aversion * level + np.log(p)) / self.aversion, [losses <= level]

    def envelope(self, p: FloatArray) -> Envelope | None:
        """All probabilities, at a price of ``1 / a`` a nat."""
        return Envelope(p, divergence=KullbackLeibler(), price=1.0 / self.aversion)

    def scaled(self, scale: float) -> Risk:
        """Aversion is per unit of loss."""
        return Entropic(self.aversion * scale)


@dataclass(frozen=True)
class Multiple(Risk):
    """``factor`` times another risk; its worst-case vector sums to ``factor``."""

    risk: Risk
    factor: float

    def __post_init__(self) -> None:
        """Check the factor."""
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise PortfolioError(f"factor={self.factor!r} must be a finite number > 0")

    @property
    def smooth(self) -> bool:  # type: ignore[override]
        """As the other risk."""
        return self.risk.smooth

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """Everything times the factor."""
        at = self.risk.evaluate(losses, p, near)
        return replace(at, value=self.factor * at.value, q=self.factor * at.q, excess=self.factor * at.excess)

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """Everything times the factor."""
        diagonal, pairs = self.risk.curvature(losses, replace(point, q=point.q / self.factor))
        scaled = [(self.factor * scale, vector) for scale, vector in pairs]
        return None if diagonal is None else self.factor * diagonal, scaled

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``factor`` times the other expression."""
        value, constraints = self.risk.expression(losses, p)
        return self.factor * value, constraints

    def envelope(self, p: FloatArray) -> Envelope | None:
        """Every member times the factor."""
        inner = self.risk.envelope(p)
        return None if inner is None else inner.scaled(self.factor)

    def scaled(self, scale: float) -> Risk:
        """The factor stays."""
        return Multiple(self.risk.scaled(scale), self.factor)
