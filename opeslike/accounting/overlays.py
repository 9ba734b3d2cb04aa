"""Overlays: rules that scale whatever a strategy wants to hold.

Let v_t be what would be held at step t without overlays: the latest target on a trading date, and between trading dates
that target drifted with prices as if no overlay had acted. The account holds

    w_t = overlay_n(... overlay_1(v_t)),

at every step, between trading dates too, and pays for the trading this takes like for any other. So an overlay at full
size causes no trade between dates, and the guarantee of the last overlay holds at every step.

Overlays see the account at P_t, before trading (wealth at the close at which they trade sizes the order anyway); the
market data they see end with the close that the strategy may see. Every run works on a copy of its overlays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Protocol, final, runtime_checkable

import numpy as np

from opeslike.accounting.ledger import Terms
from opeslike.checks import is_number, number
from opeslike.errors import DataError, OptimizationError, PortfolioError
from opeslike.market import FloatArray, describe
from opeslike.parameters import Count, Parameters, Positive, Several
from opeslike.strategies.protocol import State


@runtime_checkable
class Overlay(Protocol):
    """Anything with ``apply(weights, state)``."""

    def apply(self, weights: FloatArray, state: State) -> FloatArray:
        """Return what to hold instead of ``weights``, shape (N,); called once a step, in order."""
        ...


@final
@dataclass(repr=False)
class DrawdownScaling(Parameters):
    """Hold less as the drawdown grows: full size up to ``soft``, linearly down to nothing at ``hard``.

    With drawdown d the factor is 1 for d <= soft, ``(hard - d) / (hard - soft)`` in between and 0 for d >= hard. At
    zero nothing can win the drawdown back, so once flat the account stays flat for ``recovery`` steps and then
    re-enters at full size, with its drawdown measured from the wealth it re-enters with; None never re-enters.

    Parameters
    ----------
    soft, hard : float
        Drawdowns as fractions, ``0 <= soft < hard <= 1``.
    recovery : int, optional
        Steps to stay flat.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.
    """

    soft: float
    hard: float
    recovery: Count | None = None
    _base: float = field(default=0.0, init=False, repr=False)
    _flat: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if not (is_number(self.soft) and is_number(self.hard) and 0.0 <= self.soft < self.hard <= 1.0):
            raise PortfolioError(
                f"DrawdownScaling takes 0 <= soft < hard <= 1 (0.2 is a drawdown of 20%), got soft={self.soft!r}, "
                f"hard={self.hard!r}"
            )

    def apply(self, weights: FloatArray, state: State) -> FloatArray:
        """Scale by the drawdown at P_t."""
        return weights * self._factor(state.grown)

    def _factor(self, wealth: float) -> float:
        if self._flat:
            if self.recovery is None or self._flat < self.recovery:
                self._flat += 1
                return 0.0
            self._flat, self._base = 0, 0.0
        self._base = max(self._base, wealth)
        drawdown = 1.0 - wealth / self._base
        if drawdown <= self.soft:
            return 1.0
        if drawdown < self.hard:
            return (self.hard - drawdown) / (self.hard - self.soft)
        self._flat = 1
        return 0.0


@final
@dataclass(repr=False)
class VolatilityScaling(Parameters):
    """Scale to a target volatility: ``min(cap, target / volatility)``.

    The volatility is the one the desired weights would have had over the last ``lookback`` returns of the assets,
    ``std(R w, ddof=1) * sqrt(periods_per_year)``.

    Parameters
    ----------
    target : float
        Annual volatility, a fraction above 0.
    lookback : int
        Returns to estimate from, at least 2.
    cap : float
        Largest factor, above 0; 1 (the default) never levers up.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.
    """

    target: Positive
    lookback: Several = 20
    cap: Positive = 1.0

    def apply(self, weights: FloatArray, state: State) -> FloatArray:
        """Scale by the recent volatility of the desired weights.

        Raises
        ------
        DataError
            If fewer than ``lookback`` returns are known.
        """
        seen = state.asset_returns[-self.lookback :]
        if len(seen) < self.lookback:
            raise DataError(
                f"VolatilityScaling looks back over {self.lookback} returns but only {len(seen)} are known on "
                f"{describe(state.date)}; give more training data or a shorter lookback"
            )
        volatility = float(np.std(seen @ weights, ddof=1)) * math.sqrt(state.periods_per_year)
        # Compared as a product: an idle portfolio has no volatility to divide by.
        return weights * (self.cap if volatility * self.cap <= self.target else self.target / volatility)


@final
@dataclass(repr=False)
class LeverageCap(Parameters):
    """Keep ``sum |w|`` within ``gross`` and ``|sum w|`` within ``net`` by scaling all positions alike.

    Parameters
    ----------
    gross, net : float, optional
        Fractions of wealth, above 0; at least one of them.

    Raises
    ------
    PortfolioError
        If both are None or one is not above 0.
    """

    gross: Positive | None = None
    net: Positive | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.gross is None and self.net is None:
            raise PortfolioError("LeverageCap needs gross= or net=")

    def apply(self, weights: FloatArray, state: State) -> FloatArray:
        """Scale down to the caps; never up."""
        sizes = ((self.gross, float(np.abs(weights).sum())), (self.net, abs(float(weights.sum()))))
        return weights * min(1.0, *(cap / size for cap, size in sizes if cap is not None and size > cap), 1.0)


@final
@dataclass(repr=False)
class StopAfterRuin(Parameters):
    """Close everything, for good, once wealth has fallen to a fraction of the initial capital.

    The ledger itself stops at zero wealth; a ``floor`` above zero stops before.

    Parameters
    ----------
    floor : float
        Fraction of the initial capital in [0, 1).

    Raises
    ------
    PortfolioError
        If the floor is out of its range.
    """

    floor: Annotated[float, partial(number, low=0.0, high=1.0, open_high=True)] = 0.0
    _stopped: bool = field(default=False, init=False, repr=False)

    def apply(self, weights: FloatArray, state: State) -> FloatArray:
        """Hold nothing from the first close at or below the floor."""
        self._stopped = self._stopped or state.wealth <= self.floor * state.initial_capital
        return np.zeros_like(weights) if self._stopped else weights


def checked_overlays(overlays: Any) -> tuple[Overlay, ...]:
    """Check that every overlay is an instance with ``apply``.

    Raises
    ------
    PortfolioError
        Naming the one that is not.
    """
    if not isinstance(overlays, Sequence):
        overlays = (overlays,)
    for overlay in overlays:
        if isinstance(overlay, type) or not isinstance(overlay, Overlay):
            raise PortfolioError(f"{overlay!r} is not an overlay: pass instances with apply(weights, state)")
    return tuple(overlays)


def scaled(weights: FloatArray, overlays: Sequence[Overlay], state: State) -> FloatArray:
    """Pass weights through overlays in order.

    Raises
    ------
    OptimizationError
        If one returns the wrong shape or a number that is not finite; names overlay and date.
    """
    for overlay in overlays:
        weights = np.asarray(overlay.apply(weights, state), dtype=np.float64)
        if weights.shape != state.weights.shape or not np.isfinite(weights.sum()):
            raise OptimizationError(f"{type(overlay).__name__} on {describe(state.date)}: returned {weights}")
    return weights


def drifted_alone(terms: Terms, weights: FloatArray, step: int) -> FloatArray:
    """Desired weights after one step without overlays; nothing if that would have been ruin."""
    growth = terms.growth(weights, step)
    return terms.drifted(weights, growth, step) if growth > 0 else np.zeros_like(weights)
