"""Regularisers: convex functions of the weights that are added to an objective to shape the portfolio.

All nine are convex for long-only weights with sum 1. Entropy, Jensen-Shannon and Wasserstein-1 compare the weights with
a probability distribution and have no meaning elsewhere. Those with kinks are made of absolute values and maxima of
weights and differences of weights, which is what a solver needs to know of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray
from opeslike.errors import PortfolioError
from opeslike.modelling.bounds import TOUCHING
from opeslike.modelling.feasible import Lift
from opeslike.modelling.kinks import Kinks, Peak

REGULARIZERS = ("l1", "l2", "l-inf", "entropy", "jsd", "variance", "mpad", "mpd", "wass-1")


class Regularizer(ABC):
    """``strength * R(w)``: value, derivatives, and the same for cvxpy."""

    #: whether gradient and Hessian exist on the whole set of weights
    smooth: ClassVar[bool] = True
    #: whether the second derivative is not identically zero
    curved: bool = True
    #: whether the slope at a bound is infinite, so that the best weights lie strictly inside
    interior: bool = False

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """A linear term (None: zero) and what has kinks; their sum is the regulariser, where it is not smooth."""
        return None, []

    def settled(self, w: FloatArray, within: float) -> FloatArray:
        """Weights with those that nearly touch a kink put exactly there."""
        for part in self.pieces()[1]:
            w = part.settled(w, within)
        return w

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
class SquaredSpread(Regularizer):
    """``scale * sum (w_i - c)^2``: with c = 0 the ridge, or ``centred`` with c the mean of the weights."""

    scale: float
    centred: bool

    def _apart(self, w: Any, total: Any) -> Any:
        return w - total / w.shape[0] if self.centred else w

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``2 scale (w - c)``."""
        apart = self._apart(w, w.sum())
        return self.scale * float(apart @ apart), 2.0 * self.scale * apart

    def hessian(self, w: FloatArray) -> FloatArray:
        """``2 scale I``, centred ``2 scale (I - 1 1' / N)``."""
        return np.asarray(2.0 * self.scale * (np.eye(w.size) - (1.0 / w.size if self.centred else 0.0)))

    def expression(self, w: Any) -> Any:
        """``scale * sum_squares(w - c)``."""
        import cvxpy as cp

        return self.scale * cp.sum_squares(self._apart(w, cp.sum(w)))


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Polyhedral(Regularizer):
    """``tilt . w`` and a sum of absolute values and maxima of weights and of their differences."""

    tilt: FloatArray
    parts: list[Kinks | Peak]
    curved = False

    def __post_init__(self) -> None:
        """Without kinks it is linear."""
        object.__setattr__(self, "smooth", not self.parts)

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """As given."""
        return self.tilt, self.parts

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value, and the slopes of what is largest."""
        value, slope = float(self.tilt @ w), self.tilt
        for part in self.parts:
            more, pull = part.evaluate(w)
            value, slope = value + more, slope + pull
        return value, slope

    def expression(self, w: Any) -> Any:
        """The sum of the parts."""
        return self.tilt @ w + sum(part.expression(w) for part in self.parts)


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


def make_penalty(reg: str | None, strength: float, lift: Lift) -> Regularizer | None:
    """The regulariser of that name for the weights of a problem.

    Raises
    ------
    PortfolioError
        If the regulariser needs long-only, fully invested weights and others are allowed.
    """
    if reg is None or strength == 0:
        return None
    count, total = lift.size, float(lift.bounds.totals[0] + lift.parts.origin.sum())
    invested = not lift.money and abs(total - 1.0) <= TOUCHING
    lower, upper = lift.weights_between()
    if reg in ("entropy", "jsd", "wass-1"):
        advice = "use reg='l2', 'variance' or 'mpad' instead, or long-only weights with sum 1"
        if (lower < 0).any():
            raise PortfolioError(
                f"reg={reg!r} needs weights >= 0, and the weight bounds allow short positions; {advice}"
            )
        if not invested:
            raise PortfolioError(f"reg={reg!r} needs weights that sum to 1, and cash or leverage is allowed; {advice}")
    everyone = np.arange(count)
    tilt, parts = np.zeros(count), list[Kinks | Peak]()
    match reg:
        case "l2":
            return SquaredSpread(strength, centred=False)
        case "variance":
            return SquaredSpread(strength / count, centred=True)
        case "entropy":
            return Entropy(strength, upper > lower)
        case "jsd":
            return JensenShannon(strength, upper > lower)
        case "l1":  # linear in the weights that cannot change their sign
            signs = np.where(lower >= 0, 1.0, np.where(upper <= 0, -1.0, 0.0))
            tilt, open_ = strength * signs, np.flatnonzero(signs == 0)
            if open_.size:
                parts = [Kinks(open_, None, 0.0, np.full(open_.size, strength))]
        case "l-inf":
            signs = np.ones(count) if (lower >= 0).all() else np.repeat([1.0, -1.0], count)
            parts = [Peak(np.resize(everyone, signs.size), signs, strength)]
        case "mpad":  # twice the mean times the Gini coefficient
            heads, tails = np.triu_indices(count, 1)
            parts = [Kinks(heads, tails, 0.0, np.full(heads.size, 2.0 * strength / count**2))]
        case "mpd":
            parts = [Peak(everyone, np.ones(count), strength), Peak(everyone, -np.ones(count), strength)]
        case _:
            parts = [Kinks(everyone, None, 1.0 / count, np.full(count, strength / count))]
    return Polyhedral(tilt, parts)
