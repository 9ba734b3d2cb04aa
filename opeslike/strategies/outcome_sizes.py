"""Sizes from outcomes: what rules and sizers that apply a sizing rule to a list of outcomes have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from opeslike.checks import at_least, finite, number, optional, positive
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray
from opeslike.parameters import Parameters
from opeslike.sizing import OPTIMAL_F, SizingRule, conservative

LONG = 252  # periods before anything is held where no window says so


def check_periods(owner: Any) -> None:
    """Refuse a minimum of periods that the window can never hold."""
    if owner.window is not None and owner.min_periods is not None and owner.min_periods > owner.window:
        raise PortfolioError(
            f"{type(owner).__name__} min_periods must be at most the window ({owner.window}), got {owner.min_periods}"
        )


def _loss(name: str, value: Any) -> None:
    if finite(name, value) == 0:
        raise PortfolioError(f"{name} must not be 0")


def _sizing_rule(name: str, value: Any) -> None:
    if not isinstance(value, SizingRule):
        raise PortfolioError(f"{name} must be a SizingRule such as OPTIMAL_F, got {value!r}")


@dataclass(frozen=True, kw_only=True, repr=False)
class FromOutcomes(Parameters):
    """A sizing rule, the loss that its risk fraction is divided by, and a cap."""

    rule: SizingRule = field(default=OPTIMAL_F, init=False)
    window: int | None = None
    expected_max_loss: float | None = None
    max_leverage: float | None = None

    ranges: ClassVar = {
        "rule": _sizing_rule,
        "window": optional(at_least(2)),
        "expected_max_loss": optional(_loss),
        "max_leverage": optional(positive),
    }

    def leverage_by(self, outcomes: FloatArray) -> float:
        """Leverage, from 0 to the cap: a rule that lost is left alone, and without a loss no size is optimal."""
        leverage = max(self._leverage_of(outcomes), 0.0) if outcomes.min() < 0.0 else 0.0
        return leverage if self.max_leverage is None else min(leverage, self.max_leverage)

    def _leverage_of(self, outcomes: FloatArray) -> float:
        return self.rule.leverage(outcomes, self.expected_max_loss)


@dataclass(frozen=True, repr=False)
class Unlucky(FromOutcomes):
    """The rule applied to an unlucky resample of the outcomes."""

    rule: SizingRule = OPTIMAL_F
    n_boot: int = 100
    percentile: float = 5.0
    seed: int = 100
    block: float | None = None

    ranges: ClassVar = {
        "n_boot": at_least(1),
        "percentile": partial(number, low=0.0, high=100.0),
        "seed": at_least(0),
        "block": optional(partial(number, low=1.0)),
    }

    def _leverage_of(self, outcomes: FloatArray) -> float:
        draws = (self.n_boot, self.percentile, self.seed, self.block)
        return conservative(self.rule, outcomes, *draws, expected_max_loss=self.expected_max_loss).leverage
