"""Envelopes: the sets of scenario probabilities over which a risk is the worst mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray
from opeslike.kl import relative_entropy

Rows = slice | NDArray[np.intp]

_ALL = slice(None)


class Divergence(ABC):
    """A separable convex distance of probabilities ``q`` from the nominal ones, 0 there."""

    @abstractmethod
    def value(self, q: FloatArray, nominal: FloatArray) -> float:
        """The distance."""

    @abstractmethod
    def slope(self, q: FloatArray, nominal: FloatArray, at: Rows = _ALL) -> FloatArray:
        """Its gradient, on the scenarios ``at``."""

    @abstractmethod
    def bend(self, q: FloatArray, nominal: FloatArray, at: Rows = _ALL) -> FloatArray:
        """Diagonal of its second derivative, on the scenarios ``at``."""

    @abstractmethod
    def keep(self, value: float, radius: float) -> float:
        """Share of ``q - nominal`` that may be kept so that a distance ``value > radius`` falls to ``radius``."""


@dataclass(frozen=True)
class KullbackLeibler(Divergence):
    """``sum q log(q / p)``."""

    def value(self, q: FloatArray, nominal: FloatArray) -> float:
        """Relative entropy in nats."""
        return relative_entropy(q, nominal)

    def slope(self, q: FloatArray, nominal: FloatArray, at: Rows = _ALL) -> FloatArray:
        """``log(q / p) + 1``."""
        return np.asarray(np.log(q[at] / nominal[at]) + 1.0)

    def bend(self, q: FloatArray, nominal: FloatArray, at: Rows = _ALL) -> FloatArray:
        """``1 / q``."""
        return np.asarray(1.0 / q[at])

    def keep(self, value: float, radius: float) -> float:
        """``radius / value``: KL is convex, so mixing with the nominal vector shrinks it at least in proportion."""
        return radius / value


@dataclass(frozen=True, eq=False)
class SquaredDistance(Divergence):
    """``(1/2) sum (q - p)^2 / scale``: half a squared distance in a diagonal metric."""

    scale: FloatArray

    def value(self, q: FloatArray, nominal: FloatArray) -> float:
        """Half the squared distance."""
        apart = q - nominal
        return 0.5 * float(np.sum(apart * apart / self.scale))

    def slope(self, q: FloatArray, nominal: FloatArray, at: Rows = _ALL) -> FloatArray:
        """``(q - p) / scale``."""
        return np.asarray((q[at] - nominal[at]) / self.scale[at])

    def bend(self, q: FloatArray, nominal: FloatArray, at: Rows = _ALL) -> FloatArray:
        """``1 / scale``."""
        return np.asarray(1.0 / self.scale[at])

    def keep(self, value: float, radius: float) -> float:
        """``sqrt(radius / value)``, exact."""
        return math.sqrt(radius / value)


@dataclass(frozen=True, eq=False)
class Envelope:
    """The set over which a risk is the worst mean: ``max over q of sum q_t loss_t - price * divergence(q)``.

    ``floor <= q <= cap``, ``sum q = sum nominal`` and ``divergence(q) <= radius``.

    Attributes
    ----------
    nominal : ndarray of shape (T,)
        A member; inside the box where the box has an inside. It sums to 1, or to the factor of a multiple of a risk.
    cap : ndarray of shape (T,), optional
        None where only the sum bounds q from above.
    floor : ndarray of shape (T,), optional
        None is zero.
    divergence : Divergence, optional
    radius : float, optional
        Bound of the divergence; None where there is none.
    price : float
        What a unit of divergence costs, for entropic risks; 0 where it is bounded or absent.
    """

    nominal: FloatArray
    cap: FloatArray | None = None
    floor: FloatArray | None = None
    divergence: Divergence | None = None
    radius: float | None = None
    price: float = 0.0

    def project(self, q: FloatArray) -> FloatArray:
        """A member of the set near ``q``: into the box, onto the sum, then mixed with the nominal vector as needed."""
        total = float(self.nominal.sum())
        floor = np.zeros_like(q) if self.floor is None else self.floor
        if not np.isfinite(q).all():
            return self.nominal
        q = np.maximum(q, floor)
        if self.cap is not None:
            q = np.minimum(q, self.cap)
        for _ in range(3):
            missing = total - float(q.sum())
            if abs(missing) <= 1e-16 * total:
                break
            if missing > 0 and self.cap is not None:
                room = self.cap - q
            else:
                room = q - floor
                missing = max(missing, -float(room.sum()))
            reach = float(room.sum())
            if reach <= 0:
                return self.nominal
            q = q + room * (missing / reach)
        if self.cap is not None:
            q = np.minimum(q, self.cap)
        q = np.maximum(q, floor)
        if self.divergence is not None and self.radius is not None:
            apart = self.divergence.value(q, self.nominal)
            if apart > self.radius:
                keep = self.divergence.keep(apart, self.radius)
                q = keep * q + (1.0 - keep) * self.nominal
        return q

    def worst(self, losses: FloatArray, q: FloatArray) -> float:
        """``sum q_t loss_t`` less the price of its divergence: at most the risk, for every member q."""
        value = float(q @ losses)
        if self.price > 0:
            assert self.divergence is not None
            value -= self.price * self.divergence.value(q, self.nominal)
        return value

    def scaled(self, factor: float) -> Envelope:
        """The envelope of ``factor`` times the risk: every member times ``factor``."""
        divergence = self.divergence
        if isinstance(divergence, SquaredDistance):
            divergence = SquaredDistance(factor * divergence.scale)
        return Envelope(
            factor * self.nominal,
            None if self.cap is None else factor * self.cap,
            None if self.floor is None else factor * self.floor,
            divergence,
            None if self.radius is None else factor * self.radius,
            self.price,
        )
