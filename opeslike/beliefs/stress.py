"""Scenarios that may happen with a stated probability."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from opeslike.beliefs.belief import Belief
from opeslike.beliefs.prior import check_scenarios, mixed
from opeslike.checks import number
from opeslike.market import Market


@dataclass(frozen=True, eq=False, repr=False)
class Stress(Belief):
    r"""Further scenarios that happen with probability :math:`\pi` in all; the others keep :math:`(1 - \pi)\, p_t`.

    They are not observations: the effective size is unchanged. :class:`~opeslike.beliefs.prior.Prior` counts them as
    such.

    Parameters
    ----------
    scenarios : array-like or DataFrame of shape (S, N)
        Simple returns per period, equally likely; a frame is matched by ticker, an array by position.
    probability : float in [0, 1)
        Of all of them together, per period.

    Raises
    ------
    PortfolioError
        If the probability is out of its range.
    DataError
        If the scenarios are not finite numbers, or, when asked, not for the assets of the market.
    """

    scenarios: Any
    probability: Annotated[float, partial(number, low=0.0, high=1.0, open_high=True)]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scenarios(self.scenarios, "stress")

    def __call__(self, market: Market) -> Market:
        """The market, and below it the scenarios."""
        if not self.probability:
            return market
        return mixed(market, self.scenarios, self.probability, market.effective_size, "stress")
