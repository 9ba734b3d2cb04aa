"""The worst of several beliefs, each measured against the best that it would have allowed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opeslike.checks import FloatArray
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.risks import Risk, RiskPoint


@dataclass
class RivalPoint(RiskPoint):
    """The risk at one vector of losses, with the regret under each belief, shape (B,)."""

    regrets: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class RivalEnvelope(Envelope):
    """Mixtures of the beliefs: ``sum over b of share_b p_b``, which costs ``share . best``."""

    starts: tuple[int, ...] = ()
    best: FloatArray = field(default_factory=lambda: np.zeros(0))

    def shares(self, q: FloatArray) -> FloatArray:
        """What each belief has of the probabilities, at least 0 and 1 in all."""
        shares = np.maximum(np.add.reduceat(q, self.starts), 0.0)
        total = float(shares.sum())
        return shares / total if np.isfinite(total) and total > 0 else np.add.reduceat(self.nominal, self.starts)

    def mixed(self, shares: FloatArray) -> FloatArray:
        """The probabilities in which the beliefs have these shares."""
        nominal = np.add.reduceat(self.nominal, self.starts)
        sizes = np.diff((*self.starts, len(self.nominal)))
        return self.nominal * np.repeat(shares / nominal, sizes)

    def project(self, q: FloatArray) -> FloatArray:
        """The mixture with the same shares."""
        return self.mixed(self.shares(q))

    def worst(self, losses: FloatArray, q: FloatArray) -> float:
        """The mean loss less that of the best under each."""
        return float(q @ losses - self.shares(q) @ self.best)


@dataclass(frozen=True, eq=False)
class LargestRegret(Risk):
    """``max over b of sum p_bt loss_bt - best_b``, the scenarios of the beliefs one below the other.

    Parameters
    ----------
    starts : tuple of int
        First scenario of each belief.
    best : ndarray of shape (B,)
        The least mean loss under each.
    """

    starts: tuple[int, ...]
    best: FloatArray
    smooth = False

    def evaluate(self, losses: FloatArray, p: FloatArray, near: RiskPoint | None = None) -> RivalPoint:
        """The largest, and the probabilities of its belief."""
        regrets = np.add.reduceat(p * losses, self.starts) / np.add.reduceat(p, self.starts) - self.best
        worst = int(regrets.argmax())
        q = self.envelope(p).mixed(np.eye(len(regrets))[worst])
        return RivalPoint(float(regrets[worst]), q, regrets=regrets)

    def curvature(
        self, losses: FloatArray, point: RiskPoint
    ) -> tuple[FloatArray | None, list[tuple[float, FloatArray]]]:
        """Zero: under one belief the mean is linear in the losses."""
        return None, []

    def envelope(self, p: FloatArray) -> RivalEnvelope:
        """All mixtures."""
        return RivalEnvelope(p, starts=self.starts, best=self.best)

    def scaled(self, scale: float) -> LargestRegret:
        """That of losses divided by ``scale``."""
        return replace(self, best=self.best / scale)

    def expression(self, losses: Any, p: FloatArray) -> tuple[Any, list[Any]]:
        """``v >= p_b z_b - best_b`` for every belief, ``z >= loss``."""
        import cvxpy as cp

        level, above = cp.Variable(name="v"), cp.Variable(len(p), name="z")
        ends = (*self.starts[1:], len(p))
        rows = [slice(start, end) for start, end in zip(self.starts, ends, strict=True)]
        means = [p[each] / p[each].sum() @ above[each] for each in rows]
        return level, [losses <= above, *(mean - best <= level for mean, best in zip(means, self.best, strict=True))]
