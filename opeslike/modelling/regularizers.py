"""Regularisers: convex functions of the weights that are added to an objective to shape the portfolio.

All nine are convex for long-only weights with sum 1. Entropy, Jensen-Shannon and Wasserstein-1 compare the weights with
a probability distribution and have no meaning elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import PortfolioError
from opeslike.modelling.bounds import Bounds

FloatArray = NDArray[np.float64]

REGULARIZERS = ("l1", "l2", "l-inf", "entropy", "jsd", "variance", "mpad", "mpd", "wass-1")


class Regularizer(ABC):
    """``strength * R(w)``: value, derivatives, and the same for cvxpy."""

    #: whether gradient and Hessian exist on the whole set of weights
    smooth: ClassVar[bool] = True
    #: whether the slope at a bound is infinite, so that the best weights lie strictly inside
    interior: ClassVar[bool] = False

    @abstractmethod
    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient (a subgradient at a kink) at the weights."""

    def hessian(self, w: FloatArray) -> FloatArray:
        """Second derivative, shape (N, N)."""
        return np.zeros((w.size, w.size))

    @abstractmethod
    def expression(self, w: Any) -> Any:
        """The same as a convex cvxpy expression of the weights."""


@dataclass(frozen=True)
class L2(Regularizer):
    """``strength * sum w_i^2`` (ridge)."""

    strength: float

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``2 strength w``."""
        return self.strength * float(w @ w), 2.0 * self.strength * w

    def hessian(self, w: FloatArray) -> FloatArray:
        """``2 strength I``."""
        return np.asarray(np.diag(np.full(w.size, 2.0 * self.strength)))

    def expression(self, w: Any) -> Any:
        """``strength * sum_squares(w)``."""
        import cvxpy as cp

        return self.strength * cp.sum_squares(w)


@dataclass(frozen=True)
class Variance(Regularizer):
    """``strength * (1/N) sum (w_i - mean w)^2``."""

    strength: float

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``2 strength (w - mean w) / N``."""
        centred = w - w.mean()
        scale = self.strength / w.size
        return scale * float(centred @ centred), 2.0 * scale * centred

    def hessian(self, w: FloatArray) -> FloatArray:
        """``(2 strength / N) (I - 1 1' / N)``."""
        count = w.size
        return np.asarray(2.0 * self.strength / count * (np.eye(count) - 1.0 / count))

    def expression(self, w: Any) -> Any:
        """``(strength / N) * sum_squares(w - mean(w))``."""
        import cvxpy as cp

        count = w.shape[0]
        return self.strength / count * cp.sum_squares(w - cp.sum(w) / count)


@dataclass(frozen=True)
class Entropy(Regularizer):
    """``strength * sum w_i log w_i``, the negative entropy of the weights.

    Weights that cannot ``move`` from 0 are left out.
    """

    strength: float
    moves: NDArray[np.bool_]
    interior = True

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``strength (log w + 1)``; the slope at 0 is minus infinity."""
        held = w > 0
        logs = np.where(self.moves, -np.inf, 0.0)
        np.log(w, out=logs, where=held)
        return self.strength * float(w[held] @ logs[held]), self.strength * (logs + 1.0)

    def hessian(self, w: FloatArray) -> FloatArray:
        """``strength diag(1 / w)``, 0 where a weight is fixed."""
        return np.asarray(np.diag(np.divide(self.strength, w, out=np.zeros_like(w), where=self.moves)))

    def expression(self, w: Any) -> Any:
        """``-strength * sum(entr(w))``."""
        import cvxpy as cp

        return -self.strength * cp.sum(cp.entr(w))


@dataclass(frozen=True)
class JensenShannon(Regularizer):
    """``strength`` times the Jensen-Shannon divergence of the weights from ``u = 1/N``, in nats (Lin 1991)."""

    strength: float
    moves: NDArray[np.bool_]
    interior = True

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``(strength / 2) log(2 w / (w + u))``; the slope at 0 is minus infinity."""
        u = 1.0 / w.size
        middle = 0.5 * (w + u)
        held = w > 0
        logs = np.where(self.moves, -np.inf, 0.0)
        np.log(w / middle, out=logs, where=held)
        value = float(w[held] @ logs[held]) + u * float(np.log(u / middle).sum())
        return 0.5 * self.strength * value, 0.5 * self.strength * logs

    def hessian(self, w: FloatArray) -> FloatArray:
        """``(strength / 2) diag(u / (w (w + u)))``."""
        u = 1.0 / w.size
        bend = np.divide(0.5 * self.strength * u, w * (w + u), out=np.zeros_like(w), where=self.moves)
        return np.asarray(np.diag(bend))

    def expression(self, w: Any) -> Any:
        """``(strength / 2) (rel_entr(w, m) + rel_entr(u, m))`` with ``m`` the mean of ``w`` and ``u``."""
        import cvxpy as cp

        count = w.shape[0]
        u = np.full(count, 1.0 / count)
        middle = 0.5 * (w + u)
        return 0.5 * self.strength * cp.sum(cp.rel_entr(w, middle) + cp.rel_entr(u, middle))


def regularizer_name(reg: Any) -> str | None:
    """Check the name of a regulariser; case does not matter.

    Raises
    ------
    PortfolioError
        If it is unknown; the message lists the names.
    """
    if reg is None:
        return None
    name = reg.lower() if isinstance(reg, str) else reg
    if name not in REGULARIZERS:
        raise PortfolioError(f"reg={reg!r} is unknown; use None or one of {', '.join(map(repr, REGULARIZERS))}")
    return str(name)


def make_penalty(reg: str | None, strength: float, bounds: Bounds, n_assets: int | None = None) -> Regularizer | None:
    """The regulariser of that name for the first ``n_assets`` coordinates of a set of weights.

    Raises
    ------
    PortfolioError
        If the regulariser needs long-only, fully invested weights and the set has others.
    """
    if reg is None or strength == 0:
        return None
    count = bounds.lower.size if n_assets is None else n_assets
    if reg in ("entropy", "jsd", "wass-1"):
        _check_simplex(reg, bounds, count)
    moves = bounds.free[:count]
    if reg == "l2":
        return L2(strength)
    if reg == "variance":
        return Variance(strength)
    if reg == "entropy":
        return Entropy(strength, moves)
    if reg == "jsd":
        return JensenShannon(strength, moves)
    raise PortfolioError(f"reg={reg!r} is not there yet")


def _check_simplex(reg: str, bounds: Bounds, count: int) -> None:
    advice = "use reg='l2', 'variance' or 'mpad' instead, or long-only weights with sum 1"
    if (bounds.lower[:count] < 0).any():
        raise PortfolioError(f"reg={reg!r} needs weights >= 0, and the weight bounds allow short positions; {advice}")
    invested = bounds.single and count == bounds.lower.size and (bounds.rows == 1).all() and bounds.totals[0] == 1
    if not invested:
        raise PortfolioError(f"reg={reg!r} needs weights that sum to 1, and cash or leverage is allowed; {advice}")
