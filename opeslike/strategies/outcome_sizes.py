"""Sizes from outcomes: what rules and sizers that apply a sizing rule to a list of outcomes have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from opeslike.checks import finite, number
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray
from opeslike.parameters import Count, Parameters, Positive, Several, Whole
from opeslike.sizing import OPTIMAL_F, SizingRule, conservative

LONG = 252  # periods before anything is held where no window says so


def check_periods(owner: Any) -> None:
    """Refuse a minimum of periods that the window can never hold."""
    window, least = owner.window, owner.min_periods
    if window is not None and least is not None and least > window:
        raise PortfolioError(f"{type(owner).__name__} min_periods must be at most the window ({window}), got {least}")


def _loss(name: str, value: Any) -> None:
    if finite(name, value) == 0:
        raise PortfolioError(f"{name} must not be 0")


def _sizing_rule(name: str, value: Any) -> None:
    if not isinstance(value, SizingRule):
        raise PortfolioError(f"{name} must be a SizingRule such as OPTIMAL_F, got {value!r}")


Rule = Annotated[SizingRule, _sizing_rule]


@dataclass(frozen=True, kw_only=True, repr=False)
class FromOutcomes(Parameters):
    """A sizing rule, the loss that its risk fraction is divided by, and a cap."""

    rule: Rule = field(default=OPTIMAL_F, init=False)
    window: Several | None = None
    expected_max_loss: Annotated[float, _loss] | None = None
    max_leverage: Positive | None = None

    def leverage_by(self, outcomes: FloatArray) -> float:
        """Leverage, from 0 to the cap: a rule that lost is left alone, and without a loss no size is optimal."""
        leverage = max(self._leverage_of(outcomes), 0.0) if outcomes.min() < 0.0 else 0.0
        return leverage if self.max_leverage is None else min(leverage, self.max_leverage)

    def _leverage_of(self, outcomes: FloatArray) -> float:
        return self.rule.leverage(outcomes, self.expected_max_loss)


@dataclass(frozen=True, repr=False)
class Unlucky(FromOutcomes):
    """The rule applied to an unlucky resample of the outcomes."""

    rule: Rule = OPTIMAL_F
    n_boot: Count = 100
    percentile: Annotated[float, partial(number, low=0.0, high=100.0)] = 5.0
    seed: Whole = 100
    block: Annotated[float, partial(number, low=1.0)] | None = None

    def _leverage_of(self, outcomes: FloatArray) -> float:
        draws = (self.n_boot, self.percentile, self.seed, self.block)
        return conservative(self.rule, outcomes, *draws, expected_max_loss=self.expected_max_loss).leverage
