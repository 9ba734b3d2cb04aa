"""Scenarios drawn from a distribution fitted to those one has seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from opeslike.beliefs.belief import Belief, chances
from opeslike.beliefs.chance import drawn, stream
from opeslike.checks import number
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market
from opeslike.parameters import Several, Whole, one_of


@dataclass(frozen=True, eq=False, repr=False)
class Simulated(Belief):
    r"""Scenarios drawn from a normal or t distribution with the mean and covariance of the market.

    Scenario i is :math:`m + s_i \sum_t \sqrt{p_t}\, g_{it} (x_t - m)` with independent standard normal :math:`g_{it}`,
    so it has covariance :math:`S = \sum_t p_t (x_t - m)(x_t - m)'` (with uniform p divided by T - 1), and an asset's
    returns do not depend on which others there are. For t :math:`s_i^2 = (\nu - 2) / \chi^2_\nu`. Scenarios come in
    pairs about the mean, which they keep. No return is below -1.
    The effective size is unchanged: simulation observes nothing.

    Parameters
    ----------
    distribution : {"normal", "t"}
    n : int >= 2
        Scenarios; an even number, for pairs.
    seed : int >= 0
        With the last date of the market it determines the draw.
    dof : float > 2
        :math:`\nu` of the t distribution.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.
    DataError
        When asked, of fewer than two rows.
    """

    distribution: Annotated[str, one_of("normal", "t")] = "normal"
    n: Several = 2000
    seed: Whole = 0
    dof: Annotated[float, partial(number, low=2.0, open_low=True)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n % 2:
            raise PortfolioError(f"n={self.n} must be even: scenarios come in pairs about the mean")

    def __call__(self, market: Market) -> Market:
        """The scenarios drawn."""
        count, p, half = market.n_scenarios, market.probabilities, self.n // 2
        if count < 2:
            raise DataError("a distribution needs at least two return rows; give more data, or a longer window")
        mean = chances(market) @ market.returns
        roots = np.full(count, (count - 1.0) ** -0.5) if p is None else np.sqrt(p)
        random = stream(self.seed, market)
        moved = random.standard_normal((half, count)) @ ((market.returns - mean) * roots[:, None])
        if self.distribution.lower() == "t":
            moved *= np.sqrt((self.dof - 2.0) / random.chisquare(self.dof, half))[:, None]
        return drawn(market, np.vstack([mean + moved, mean - moved]))
