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

from opeslike import kl
from opeslike.checks import FloatArray, not_negative, positive
from opeslike.modelling.envelopes import Envelope, KullbackLeibler


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

    Parameters
    ----------
    radius : float
        In nats, at least 0. Radius 0 is the mean; from ``-log min p`` on it is the worst case.
    """

    radius: float

    def __post_init__(self) -> None:
        """Check the radius."""
        not_negative("radius", self.radius)

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RiskPoint:
        """See :func:`opeslike.kl.largest_mean`."""
        known = (0.0, 0.0) if near is None else (near.sharpness, near.deviation)
        worst = kl.largest_mean(losses, p, self.radius, known)
        return RiskPoint(worst.value, worst.q, worst.sharpness, worst.excess, deviation=worst.deviation)

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
        positive("aversion", self.aversion)

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
        positive("factor", self.factor)

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
