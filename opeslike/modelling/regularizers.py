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

from opeslike.errors import PortfolioError
from opeslike.modelling.bounds import TOUCHING
from opeslike.modelling.feasible import Lift
from opeslike.modelling.kinks import Kinks, Peak

FloatArray = NDArray[np.float64]

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
class SignedSum(Regularizer):
    """``strength * sum s_i w_i``: the l1 norm where every weight has a known sign."""

    strength: float
    signs: FloatArray
    curved = False

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``strength * s``."""
        return self.strength * float(self.signs @ w), self.strength * self.signs

    def expression(self, w: Any) -> Any:
        """``strength * s' w``."""
        return (self.strength * self.signs) @ w


@dataclass(frozen=True, eq=False)
class L1(Regularizer):
    """``strength * sum |w_i|``; ``signs`` holds the sign of the weights that cannot change it, 0 for the others."""

    strength: float
    signs: FloatArray
    smooth = False

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``strength * sign(w)``."""
        return self.strength * float(np.abs(w).sum()), self.strength * np.sign(w)

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """A kink at 0 for every weight that can change sign."""
        open_ = np.flatnonzero(self.signs == 0)
        return self.strength * self.signs, [Kinks(open_, None, 0.0, np.full(open_.size, self.strength))]

    def expression(self, w: Any) -> Any:
        """``strength * norm1(w)``."""
        import cvxpy as cp

        return self.strength * cp.norm1(w)


@dataclass(frozen=True)
class Largest(Regularizer):
    """``strength * max |w_i|``."""

    strength: float
    count: int
    long_only: bool
    smooth = False

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and the slope of the largest weight."""
        i = int(np.argmax(np.abs(w)))
        slope = np.zeros_like(w)
        slope[i] = self.strength * np.sign(w[i])
        return self.strength * float(abs(w[i])), slope

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """The maximum of the weights, and of their negatives where they can be short."""
        heads, signs = np.arange(self.count), np.ones(self.count)
        if not self.long_only:
            heads, signs = np.tile(heads, 2), np.concatenate([signs, -signs])
        return None, [Peak(heads, signs, self.strength)]

    def expression(self, w: Any) -> Any:
        """``strength * norm_inf(w)``."""
        import cvxpy as cp

        return self.strength * cp.norm_inf(w)


@dataclass(frozen=True)
class PairwiseDeviation(Regularizer):
    """``(strength / N^2) sum_i sum_j |w_i - w_j|``: mean pairwise absolute deviation, twice the mean times the Gini."""

    strength: float
    count: int
    smooth = False

    def _ranks(self) -> FloatArray:
        """Slope of the k-th smallest weight."""
        count = self.count
        rank = np.arange(1, count + 1, dtype=np.float64)
        return 2.0 * self.strength / count**2 * (2.0 * rank - count - 1.0)

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """By sorting: the k-th smallest weight counts ``2 (2 k - N - 1) / N^2``."""
        order = np.argsort(w, kind="stable")
        slope = np.empty_like(w)
        slope[order] = self._ranks()
        return float(slope @ w), slope

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """A kink for every pair of assets."""
        heads, tails = np.triu_indices(self.count, 1)
        return None, [Kinks(heads, tails, 0.0, np.full(heads.size, 2.0 * self.strength / self.count**2))]

    def expression(self, w: Any) -> Any:
        """Sum of the absolute differences of all pairs."""
        import cvxpy as cp

        heads, tails = np.triu_indices(self.count, 1)
        return 2.0 * self.strength / self.count**2 * cp.norm1(w[heads] - w[tails])


@dataclass(frozen=True)
class Spread(Regularizer):
    """``strength * (max w_i - min w_i)``: the maximum pairwise deviation."""

    strength: float
    count: int
    smooth = False

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and the slopes of the largest and the smallest weight."""
        top, bottom = int(np.argmax(w)), int(np.argmin(w))
        slope = np.zeros_like(w)
        slope[top] += self.strength
        slope[bottom] -= self.strength
        return self.strength * float(w[top] - w[bottom]), slope

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """The maximum of the weights and that of their negatives."""
        heads, ones = np.arange(self.count), np.ones(self.count)
        return None, [Peak(heads, ones, self.strength), Peak(heads, -ones, self.strength)]

    def expression(self, w: Any) -> Any:
        """``strength * (max(w) - min(w))``."""
        import cvxpy as cp

        return self.strength * (cp.max(w) - cp.min(w))


@dataclass(frozen=True)
class Wasserstein(Regularizer):
    """``(strength / N) sum |w_i - 1/N|``: Wasserstein-1 distance of equal weights from the weights, as samples."""

    strength: float
    count: int
    smooth = False

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and ``(strength / N) sign(w_i - 1/N)``."""
        away = w - 1.0 / self.count
        scale = self.strength / self.count
        return scale * float(np.abs(away).sum()), scale * np.sign(away)

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """A kink at 1/N for every weight."""
        costs = np.full(self.count, self.strength / self.count)
        return None, [Kinks(np.arange(self.count), None, 1.0 / self.count, costs)]

    def expression(self, w: Any) -> Any:
        """``(strength / N) norm1(w - 1/N)``."""
        import cvxpy as cp

        return self.strength / self.count * cp.norm1(w - 1.0 / self.count)


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
    match reg:
        case "l1":
            signs = np.where(lower >= 0, 1.0, np.where(upper <= 0, -1.0, 0.0))
            return SignedSum(strength, signs) if signs.all() else L1(strength, signs)
        case "l2":
            return L2(strength)
        case "l-inf":
            return Largest(strength, count, bool((lower >= 0).all()))
        case "entropy":
            return Entropy(strength, upper > lower)
        case "jsd":
            return JensenShannon(strength, upper > lower)
        case "variance":
            return Variance(strength)
        case "mpad":
            return PairwiseDeviation(strength, count)
        case "mpd":
            return Spread(strength, count)
        case _:
            return Wasserstein(strength, count)
