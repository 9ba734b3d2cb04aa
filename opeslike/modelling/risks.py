"""Risks: convex, monotone functionals of the losses, each the worst mean over a set of scenario probabilities.

A risk returns its value together with the probabilities ``q`` that attain it. By Danskin's theorem the gradient of
``risk(loss(R w))`` is then ``R'(q * loss'(R w))``, whatever the risk.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import PortfolioError

FloatArray = NDArray[np.float64]

_NOMINAL = 1e-12
_SHARPEST = 1e13
_INSIDE = 1e-10


@dataclass(frozen=True)
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
    """

    value: float
    q: FloatArray
    sharpness: float = 0.0
    excess: float = 0.0


@dataclass(frozen=True)
class Envelope:
    """The set of probabilities over which a risk is the worst mean.

    ``0 <= q <= cap``, ``sum q = 1`` and ``KL(q, p) <= radius``.

    ``cap`` or ``radius`` is None where that constraint is absent.
    """

    nominal: FloatArray
    cap: FloatArray | None = None
    radius: float | None = None

    def project(self, q: FloatArray) -> FloatArray:
        """A member of the set near ``q``: positive part, then mixed with the nominal vector as far as needed."""
        q = np.maximum(q, 0.0)
        total = q.sum()
        if not (np.isfinite(total) and total > 0):
            return self.nominal
        q = q / total
        weight = 0.0
        if self.radius is not None:
            divergence = relative_entropy(q, self.nominal)
            if divergence > self.radius:
                # KL is convex in q, so mixing with the nominal vector shrinks it at least proportionally
                weight = 1.0 - self.radius / divergence
        if self.cap is not None:
            over = q > self.cap
            if over.any():
                room = (self.cap - self.nominal)[over]
                weight = max(weight, float(np.max((q[over] - self.cap[over]) / (q[over] - self.cap[over] + room))))
        return q if weight == 0.0 else (1.0 - weight) * q + weight * self.nominal


def relative_entropy(q: FloatArray, p: FloatArray) -> float:
    """``sum q log(q / p)`` in nats, accurate where q is close to p."""
    ratio = q / p
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(ratio > 0, ratio * np.log(ratio), 0.0) - (ratio - 1.0)
    near = np.abs(ratio - 1.0) < 1e-4
    delta = ratio[near] - 1.0
    terms[near] = delta * delta * (0.5 - delta * (1.0 / 6.0 - delta / 12.0))
    return float(p @ terms)


class Risk(ABC):
    """A coherent functional of the losses under scenario probabilities ``p``."""

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
        """Epigraph form for cvxpy, for convex ``losses`` (T,): an expression to minimise and its constraints."""

    def envelope(self, p: FloatArray) -> Envelope | None:
        """The set of worst-case probabilities; None where it is the nominal vector alone."""
        return None


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
        """Find the ``1 / a`` at which KL equals the radius, by Newton steps on ``sqrt(2 KL)``, nearly linear in it."""
        mean = float(p @ losses)
        top = float(losses.max())
        spread = top - float(losses.min())
        target = math.sqrt(2.0 * self.radius)
        if target * spread <= _NOMINAL:
            return RiskPoint(mean, p, 0.0, 0.5 * target * spread)
        below = losses - top
        worst = below >= -1e-15 * max(abs(top), spread)
        share = float(p @ worst)
        if self.radius >= -math.log(share):
            return RiskPoint(top, np.where(worst, p / share, 0.0), math.inf)
        gap = top - mean
        squares = below * below
        sharpness = near.sharpness if near is not None and 0 < near.sharpness < math.inf else 0.0
        if sharpness == 0.0:
            sharpness = target / math.sqrt(max(float(p @ squares) - gap * gap, 1e-300))
        low, high = 0.0, math.inf
        value, divergence, mass = math.inf, 0.0, 1.0
        q = p
        for _ in range(100):
            q = p * np.exp(sharpness * below)
            mass = float(q.sum())
            log_mass = math.log(mass)
            shortfall = float(q @ below) / mass  # E_q loss - top
            divergence = max(sharpness * shortfall - log_mass, 0.0)
            value = min(value, top + (self.radius + log_mass) / sharpness)
            reached = math.sqrt(2.0 * divergence)
            error = reached - target
            rounding = 1e-15 * (1.0 + sharpness * gap) / target
            if -_INSIDE * target - rounding <= error <= 1e-12 * target + rounding:
                break
            if error > 0:
                high = sharpness
            else:
                low = sharpness
            variance = float(q @ squares) / mass - shortfall * shortfall
            slope = sharpness * variance / reached if reached > 0 else 0.0
            step = sharpness - error / slope if slope > 0 else math.inf
            if not low < step < high or step > 8 * sharpness:
                step = 4 * sharpness if high == math.inf else math.sqrt(max(low, 1e-3 * high) * high)
            if abs(step - sharpness) <= 1e-15 * sharpness:
                break
            sharpness = step
            if sharpness * spread > _SHARPEST:
                return RiskPoint(top, np.where(worst, p / share, 0.0), math.inf)
        # q is inside the ball; by weak duality its mean loss lies below the dual value by just this much
        return RiskPoint(value, q / mass, sharpness, max(self.radius - divergence, 0.0) / sharpness)

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
        """The ball itself."""
        return Envelope(p, radius=self.radius) if self.radius > 0 else None

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
