"""Cash, borrowing and shorting costs as columns of the scenario matrix.

Cash and borrowed money are two assets with known returns, so an objective with leverage is the same convex problem with
two more columns; where absolute weights are capped or short positions cost a fee, the short part of each weight that
can be negative is a column as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.losses import Loss
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.regularizers import L2, Largest, Regularizer, SignedSum, Variance, make_penalty
from opeslike.modelling.risks import Risk

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Financing:
    """What money costs, per period, and how much of it may be used.

    Attributes
    ----------
    leverage : float or None
        Largest sum of weights; None is fully invested, without cash.
    cash_rate, borrow_rate, short_fee : float
        Per period; the fee is per unit of short position.
    gross : float or None
        Largest sum of absolute weights.
    """

    leverage: float | None = None
    cash_rate: float = 0.0
    borrow_rate: float = 0.0
    gross: float | None = None
    short_fee: float = 0.0


class FinancedProblem(ScenarioProblem):
    """A scenario problem in weights, short parts, cash, borrowed money and unused gross exposure, in this order.

    Parameters
    ----------
    returns : ndarray of shape (T, N)
    lower, upper : ndarrays of shape (N,)
        Bounds of the weights.
    financing : Financing
    reg, strength
        Regulariser of the weights.
    labels : callable, optional
        Returns the names of the T scenarios.
    """

    def __init__(
        self,
        returns: FloatArray,
        probabilities: FloatArray | None,
        loss: Loss,
        risk: Risk,
        lower: FloatArray,
        upper: FloatArray,
        financing: Financing,
        reg: str | None = None,
        strength: float = 1.0,
        labels: Callable[[], Any] | None = None,
    ) -> None:
        count, n = returns.shape
        short = np.flatnonzero(lower < 0)
        leverage, gross = _limits(financing, lower, upper, bool(short.size))
        self._size = n
        self._split = split = short if gross is not None or financing.short_fee > 0 else short[:0]
        k, cash, unused = split.size, leverage is not None, gross is not None
        self._cash = n + k if cash else None

        columns = np.empty((count, n + k + 2 * cash + unused), order="F")
        columns[:, :n] = returns
        columns[:, n : n + k] = -returns[:, split] - financing.short_fee
        low, high = np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
        low[:n], high[:n] = lower, upper
        low[split], high[split] = 0.0, np.maximum(upper[split], 0.0)
        low[n : n + k], high[n : n + k] = np.maximum(-upper[split], 0.0), -lower[split]
        rows = np.zeros((1 + unused, columns.shape[1]))
        rows[0, :n], rows[0, n : n + k] = 1.0, -1.0
        if leverage is not None:
            at = n + k
            columns[:, at], columns[:, at + 1] = financing.cash_rate, -financing.borrow_rate
            low[at], high[at] = max(1.0 - leverage, 0.0), max(1.0 - float(lower.sum()), 1.0 - leverage, 0.0)
            high[at + 1] = max(leverage - 1.0, 0.0)
            rows[0, at], rows[0, at + 1] = 1.0, -1.0
        if gross is not None:
            columns[:, -1] = 0.0
            high[-1] = gross
            rows[1, : n + k] = rows[1, -1] = 1.0
        totals = np.array([1.0] if gross is None else [1.0, gross])
        bounds = Bounds(low, high, rows, totals)
        penalty = _penalty(reg, strength, bounds, n, split)
        super().__init__(columns, probabilities, loss, risk, bounds, penalty, n + k, labels)

    def weights(self, x: Any) -> Any:
        """Long less short parts."""
        if not self._split.size:
            return x[: self._size]
        return _difference(self._size, self._split) @ x[: self.n_assets]

    def lift(self, w: FloatArray) -> FloatArray:
        """The variables of a portfolio: its short parts, cash and borrowed money, and unused exposure."""
        n, split = self._size, self._split
        x = np.zeros(self.bounds.lower.size)
        x[:n] = w
        x[split] = np.maximum(w[split], 0.0)
        x[n : n + split.size] = np.maximum(-w[split], 0.0)
        if self._cash is not None:
            idle = 1.0 - float(w.sum())
            x[self._cash], x[self._cash + 1] = max(idle, 0.0), max(-idle, 0.0)
        if len(self.bounds.totals) == 2:
            x[-1] = self.bounds.totals[1] - float(np.abs(w).sum())
        return x


def _limits(
    financing: Financing, lower: FloatArray, upper: FloatArray, shorts: bool
) -> tuple[float | None, float | None]:
    """Leverage, and the cap on gross exposure where it is not one on leverage; refuses what cannot be met."""
    leverage, gross = financing.leverage, financing.gross
    least = float(lower.sum())
    if gross is not None and not shorts:
        # long only: gross exposure is the sum of the weights, which is 1 or bounded by the leverage
        if leverage is None and gross < 1.0:
            raise InfeasibleError(f"gross={gross:g} is less than the 1 that fully invested weights sum to; raise it")
        leverage, gross = None if leverage is None else min(leverage, gross), None
    if leverage is None:
        Bounds.budget(lower, upper)  # raises where the bounds cannot sum to one
    elif least > leverage + 1e-12 * max(1.0, abs(least)):
        raise InfeasibleError(
            f"the lower weight bounds sum to {least:.6g}, more than the {leverage:g} that leverage and gross allow; "
            "lower them"
        )
    return leverage, gross


class _OfDifference(Regularizer):
    """A smooth regulariser of long less short parts."""

    def __init__(self, inner: Regularizer, map_: FloatArray) -> None:
        self._inner, self._map = inner, map_

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value, and slope in the parts."""
        value, slope = self._inner.evaluate(self._map @ w)
        return value, slope @ self._map

    def hessian(self, w: FloatArray) -> FloatArray:
        """Second derivative in the parts."""
        return np.asarray(self._map.T @ self._inner.hessian(self._map @ w) @ self._map)

    def expression(self, w: Any) -> Any:
        """The inner expression of the difference."""
        return self._inner.expression(self._map @ w)


def _difference(n: int, split: Index) -> FloatArray:
    """The map from long and short parts to weights."""
    map_ = np.eye(n, n + split.size)
    map_[split, n + np.arange(split.size)] = -1.0
    return map_


def _penalty(reg: str | None, strength: float, bounds: Bounds, n: int, split: Index) -> Regularizer | None:
    """The regulariser in the variables of the problem: only one part of a weight is positive at the optimum."""
    if reg is None or strength == 0 or not split.size:
        return make_penalty(reg, strength, bounds, n)
    parts = n + split.size
    if reg == "l1":
        return SignedSum(strength, np.ones(parts))
    if reg == "l-inf":
        return Largest(strength, parts, True)
    if reg == "l2":
        return _OfDifference(L2(strength), _difference(n, split))
    if reg == "variance":
        return _OfDifference(Variance(strength), _difference(n, split))
    raise PortfolioError(
        f"reg={reg!r} does not go together with short positions under gross= or short_fee=; use reg='l1', 'l2', "
        "'l-inf' or 'variance' instead"
    )
