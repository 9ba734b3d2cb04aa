"""Losses: convex functions of the portfolio's return in one scenario."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Loss(ABC):
    """A convex, non-increasing function of a portfolio return ``r``.

    ``evaluate`` gives value and two derivatives for an array of returns; ``expression`` is the same function as a cvxpy
    expression. A loss with a limited domain has a *margin*, affine in ``r``, which must stay positive.
    """

    #: slope of the margin in the return; 0 where the domain is the whole line
    margin_slope: float = 0.0
    #: whether the second derivative is not identically zero
    curved: bool = True

    @abstractmethod
    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Value, first and second derivative at each return; shapes as ``returns``."""

    def margin(self, returns: FloatArray) -> FloatArray:
        """Distance to the edge of the domain, for losses that have one."""
        return 1.0 + self.margin_slope * returns

    @abstractmethod
    def expression(self, returns: Any) -> Any:
        """Convex cvxpy expression of an affine vector of returns."""


@dataclass(frozen=True)
class Log(Loss):
    """Logarithmic loss ``-log(1 + f r)``, with domain ``1 + f r > 0``.

    Its mean is minus the growth rate of wealth per period when the fraction ``f`` of it is held in the portfolio
    (Kelly 1956; Breiman 1961).
    """

    fraction: float = 1.0

    @property
    def margin_slope(self) -> float:  # type: ignore[override]
        """The margin is the wealth factor ``1 + f r``."""
        return self.fraction

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``-log x``, ``-f / x`` and ``(f / x)^2`` at ``x = 1 + f r``."""
        wealth = 1.0 + self.fraction * returns
        slope = self.fraction / wealth
        return -np.log(wealth), -slope, slope * slope

    def expression(self, returns: Any) -> Any:
        """``-cp.log(1 + f r)``."""
        import cvxpy as cp

        return -cp.log(1.0 + self.fraction * returns)


@dataclass(frozen=True)
class Linear(Loss):
    """Linear loss ``-r``: its mean is minus the expected return."""

    curved = False

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``-r``, ``-1`` and ``0``."""
        return -returns, np.full_like(returns, -1.0), np.zeros_like(returns)

    def expression(self, returns: Any) -> Any:
        """``-r``."""
        return -returns
