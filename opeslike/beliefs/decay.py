"""Recent scenarios count for more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opeslike.beliefs.belief import Belief
from opeslike.market import Market
from opeslike.parameters import Positive


@dataclass(frozen=True, eq=False, repr=False)
class Decay(Belief):
    r"""Exponentially decaying probabilities, :math:`p_t \propto p^0_t \, 2^{-(T - t) / h}` for scenario t of 1..T.

    The effective number of scenarios, :math:`1 / \sum_t p_t^2`, is near :math:`2.9\, h` for a long sample.

    Parameters
    ----------
    halflife : float > 0
        h, in periods: how far back a scenario counts half as much as the last one.

    Raises
    ------
    PortfolioError
        If ``halflife`` is not a finite number above 0.

    References
    ----------
    J.P. Morgan (1996), *RiskMetrics technical document*, chapter 5.

    Examples
    --------
    >>> market = Decay(halflife=1)(Market.from_data(np.array([[0.1], [0.2], [0.0]]), "returns"))
    >>> (7 * market.probabilities).round(6).tolist(), round(market.effective_size, 4)
    ([1.0, 2.0, 4.0], 2.3333)
    """

    halflife: Positive

    def __call__(self, market: Market) -> Market:
        """The same returns, the recent ones more likely."""
        age = np.arange(market.n_scenarios)[::-1]
        return market.reweighted(np.exp2(-age / self.halflife))
