"""Only the recent past."""

from __future__ import annotations

from dataclasses import dataclass

from opeslike.beliefs.belief import Belief
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.parameters import Count


@dataclass(frozen=True, eq=False, repr=False)
class Window(Belief):
    r"""The last n scenarios, :math:`p_t \propto p^0_t \, 1[t > T - n]`; all of them where there are no more.

    Parameters
    ----------
    n : int >= 1
        In periods.

    Raises
    ------
    PortfolioError
        If ``n`` is not a whole number of at least 1, or, when asked, all of its scenarios have probability 0.
    """

    n: Count

    def __call__(self, market: Market) -> Market:
        """The end of the market."""
        count = market.n_scenarios
        if self.n >= count:
            return market
        if market.probabilities is not None and not market.probabilities[count - self.n :].any():
            raise PortfolioError(f"Window(n={self.n}): these scenarios all have probability 0; take a longer one")
        return market.window(count - self.n, count)
