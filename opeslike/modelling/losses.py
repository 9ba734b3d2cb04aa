"""Losses: convex functions of the portfolio's return in one scenario."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray


class Loss(ABC):
    """A convex function of a portfolio return ``r``, non-increasing but for quadratic utility beyond satiation.

    ``evaluate`` gives value and two derivatives for an array of returns; ``expression`` is the same function as a cvxpy
    expression. A loss with a limited domain has a *margin*, affine in ``r``, which must stay positive.

    Losses are measured from the loss of holding cash, ``loss(0) = 0``, so that nothing is lost to a large constant;
    ``offset`` is that constant, and the textbook loss is ``offset + evaluate(r)``.
    """

    #: slope of the margin in the return; 0 where the domain is the whole line
    margin_slope: float = 0.0
    #: whether the second derivative is not identically zero
    curved: bool = True
    #: whether the loss is in units of return (its slope is near -1); if not, gaps are judged against its mean slope
    in_returns: ClassVar[bool] = True

    @property
    def offset(self) -> float:
        """What was subtracted from the textbook loss."""
        return 0.0

    def outside(self, returns: FloatArray) -> NDArray[np.bool_] | None:
        """Scenarios in which a loss that ``evaluate`` extends beyond its domain is not defined; None for the others."""
        return None

    def advice(self) -> str:
        """What to do about scenarios outside the domain, for messages."""
        return "tighten the weight bounds"

    @abstractmethod
    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Value, first and second derivative at each return; shapes as ``returns``."""

    def margin(self, returns: FloatArray) -> FloatArray:
        """Distance to the edge of the domain, for losses that have one."""
        return 1.0 + (returns if self.margin_slope == 1.0 else self.margin_slope * returns)

    @abstractmethod
    def expression(self, returns: Any) -> Any:
        """Convex cvxpy expression of an affine vector of returns."""


@dataclass(frozen=True)
class Log(Loss):
    """Logarithmic loss ``-log(1 + f r)``, with domain ``1 + f r > 0``.

    Its mean is minus the growth rate of wealth per period when the fraction ``f`` of it is held in the portfolio
    (Kelly 1956; Breiman 1961). ``shift`` is a constant added to it.
    """

    fraction: float = 1.0
    shift: float = 0.0

    @property
    def offset(self) -> float:
        """The shift."""
        return self.shift

    @property
    def margin_slope(self) -> float:  # type: ignore[override]
        """The margin is the wealth factor ``1 + f r``."""
        return self.fraction

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``-log x``, ``-f / x`` and ``(f / x)^2`` at ``x = 1 + f r``."""
        wealth = 1.0 + (returns if self.fraction == 1.0 else self.fraction * returns)
        slope = -self.fraction / wealth
        logs = np.log(wealth)
        return np.negative(logs, out=logs), slope, slope * slope

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


@dataclass(frozen=True)
class Power(Loss):
    """Power loss ``-((1 + r)^(1 - g) - 1) / (1 - g)`` with domain ``1 + r > 0``.

    Constant relative risk aversion ``g`` (Arrow 1965; Pratt 1964). At ``g = 1`` its limit ``-log(1 + r)``.
    """

    aversion: float
    margin_slope = 1.0
    in_returns = False

    @property
    def offset(self) -> float:
        """``-1 / (1 - g)``; 0 at ``g = 1``."""
        return 0.0 if self.aversion == 1.0 else -1.0 / (1.0 - self.aversion)

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """With ``x = 1 + r``: the value, ``-x^-g`` and ``g x^(-g - 1)``."""
        wealth, power = 1.0 + returns, 1.0 - self.aversion
        logs = np.log1p(returns)
        if power == 0.0:
            slope = -1.0 / wealth
            return -logs, slope, slope * slope
        with np.errstate(over="ignore"):
            growth = np.expm1(power * logs)
            slope = -(1.0 + growth) / wealth
            return -growth / power, slope, -self.aversion * slope / wealth

    def expression(self, returns: Any) -> Any:
        """``exp(-(g - 1) log x)`` for ``g > 1``, which is exact for every exponent; ``power(x, 1 - g)`` below 1."""
        import cvxpy as cp

        power = 1.0 - self.aversion
        if power == 0.0:
            return -cp.log(1.0 + returns)
        grown = cp.exp(power * cp.log(1.0 + returns)) if power < 0 else cp.power(1.0 + returns, power)
        return (1.0 - grown) / power


@dataclass(frozen=True)
class Exponential(Loss):
    """Exponential loss ``(exp(-a r) - 1) / a``: constant absolute risk aversion ``a`` (Arrow 1965; Pratt 1964)."""

    aversion: float
    in_returns = False

    @property
    def offset(self) -> float:
        """``1 / a``."""
        return 1.0 / self.aversion

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The value, ``-exp(-a r)`` and ``a exp(-a r)``."""
        with np.errstate(over="ignore"):
            growth = np.expm1(-self.aversion * returns)
            return growth / self.aversion, -(1.0 + growth), self.aversion * (1.0 + growth)

    def expression(self, returns: Any) -> Any:
        """``(exp(-a r) - 1) / a``."""
        import cvxpy as cp

        return (cp.exp(-self.aversion * returns) - 1.0) / self.aversion


@dataclass(frozen=True)
class Quadratic(Loss):
    """Quadratic loss ``(g / 2)(1 + r)^2 - (1 + r)`` less its value at 0; it grows again beyond wealth ``1 / g``."""

    aversion: float
    in_returns = False

    @property
    def offset(self) -> float:
        """``g / 2 - 1``."""
        return 0.5 * self.aversion - 1.0

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(g - 1) r + (g / 2) r^2`` and its derivatives."""
        bend = self.aversion
        slope = (bend - 1.0) + bend * returns
        return returns * ((bend - 1.0) + 0.5 * bend * returns), slope, np.full_like(returns, bend)

    def expression(self, returns: Any) -> Any:
        """``(g - 1) r + (g / 2) r^2``."""
        import cvxpy as cp

        return (self.aversion - 1.0) * returns + 0.5 * self.aversion * cp.square(returns)


@dataclass(frozen=True)
class Hyperbolic(Loss):
    """Hyperbolic absolute risk aversion: ``((g - 1) / g) (B^g - B_0^g)`` with ``B = b - a (1 + r) / (g - 1)``.

    ``B_0`` is the base at ``r = 0`` (Merton 1971). For ``g > 1`` the base falls with wealth, and utility is at its
    maximum where it reaches 0. Beyond, the loss is continued by that maximum, which keeps it convex; an answer that
    goes there is outside the domain, and ``outside`` says so.
    """

    aversion: float
    scale: float
    shift: float
    in_returns = False

    @property
    def _cash(self) -> float:
        """The base at ``r = 0``, 0 where that is outside the domain."""
        return max(self.shift - self.scale / (self.aversion - 1.0), 0.0)

    @property
    def offset(self) -> float:
        """``((g - 1) / g) B_0^g``; infinite where it overflows."""
        cash = self._cash
        logarithm = self.aversion * math.log(cash) if cash > 0 else -math.inf
        return (self.aversion - 1.0) / self.aversion * math.exp(logarithm) if logarithm < 700 else math.inf

    def base(self, returns: FloatArray) -> FloatArray:
        """``b - a (1 + r) / (g - 1)``, what is raised to the power ``g``."""
        return self.shift - self.scale / (self.aversion - 1.0) * (1.0 + returns)

    def outside(self, returns: FloatArray) -> NDArray[np.bool_]:
        """Where the base is negative."""
        return self.base(returns) < 0

    def advice(self) -> str:
        """Which parameters to change."""
        wealth = self.shift * (self.aversion - 1.0) / self.scale
        return (
            f"HARA utility with scale={self.scale:g}, shift={self.shift:g} and risk_aversion={self.aversion:g} ends at "
            f"wealth {wealth:.6g}; raise shift or lower scale"
        )

    def evaluate(self, returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The value, ``-a B^(g - 1)`` and ``a^2 B^(g - 2)``; constant beyond the domain."""
        power, base, cash = self.aversion, self.base(returns), self._cash
        inside = base > 0
        kept = np.where(inside, base, 1.0)
        with np.errstate(over="ignore"):
            raised = kept ** (power - 2.0)
            bend = np.where(inside, self.scale * self.scale * raised, 0.0)
            slope = np.where(inside, -self.scale * raised * kept, 0.0)
            if cash > 0:
                change = -self.scale / ((power - 1.0) * cash) * returns  # B / B_0 - 1
                logs = np.log1p(np.where(inside, change, 0.0))
                value = self.offset * np.where(inside, np.expm1(power * logs), -1.0)
            else:
                value = np.where(inside, (power - 1.0) / power * raised * kept * kept, 0.0)
        return value, slope, bend

    def expression(self, returns: Any) -> Any:
        """``((g - 1) / g) power(pos(B), g)`` less the offset."""
        import cvxpy as cp

        factor = self.scale / (self.aversion - 1.0)
        base = (self.shift - factor) - factor * returns
        return (self.aversion - 1.0) / self.aversion * cp.power(cp.pos(base), self.aversion) - self.offset
