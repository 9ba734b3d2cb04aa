"""Days like today count for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import Belief
from opeslike.checks import numbers
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market, describe
from opeslike.parameters import Positive


@dataclass(frozen=True, eq=False, repr=False)
class Near(Belief):
    r"""Scenarios that began in a state like today's, :math:`p_t \propto p^0_t \exp(-(s_{t-1} - s_T)^2 / (2 b^2))`.

    The state before scenario t is the last one dated before its date; today's is the last one up to the date of the
    decision. Later ones are not looked at. A scenario from before the first known state has probability 0.

    Parameters
    ----------
    indicator : Series by date
        The state s, as it was known at the close of each date, such as a volatility index; missing values are passed
        over.
    bandwidth : float > 0
        b, in the unit of the indicator.

    Raises
    ------
    PortfolioError
        If the indicator is no series of finite numbers with increasing dates, or the bandwidth not above 0.
    DataError
        If, when asked, no state is known at the decision, or none before any scenario.

    References
    ----------
    Meucci (2010), *Historical scenarios with fully flexible probabilities*, "Kernel smoothing".

    Examples
    --------
    >>> days = pd.bdate_range("2024-01-01", periods=4)
    >>> seen = Market.from_data(pd.DataFrame({"A": [0.01, -0.02, 0.03]}, days[1:]), "returns")
    >>> Near(pd.Series([10.0, 90.0, 11.0, 10.0], days), bandwidth=1.0)(seen).probabilities.round(3).tolist()
    [0.622, 0.0, 0.378]
    """

    indicator: Any
    bandwidth: Positive

    def __post_init__(self) -> None:
        super().__post_init__()
        states = self.indicator
        if not isinstance(states, pd.Series) or not states.index.is_monotonic_increasing or not states.index.is_unique:
            raise PortfolioError("indicator must be a Series by increasing dates")
        if np.isinf(numbers("indicator", states)).any():
            raise PortfolioError("indicator has values that are not finite")

    def __call__(self, market: Market) -> Market:
        """The same returns, those after a state like today's more likely."""
        states, dates = self.indicator.dropna(), market.dates
        try:
            before = states.index.searchsorted(dates, side="left") - 1
            now = int(states.index.searchsorted(dates[-1], side="right")) - 1
        except TypeError as error:
            raise DataError(f"indicator is not dated like the returns, whose last is {describe(dates[-1])}") from error
        if now < 0 or (before < 0).all():
            raise DataError(f"indicator knows no state by {describe(dates[-1])} and before; give an earlier one")
        values = states.to_numpy(np.float64)
        exponents = np.where(before < 0, -np.inf, -0.5 * ((values[before] - values[now]) / self.bandwidth) ** 2)
        likely = exponents if market.probabilities is None else exponents[market.probabilities > 0]
        if np.isinf(likely).all():
            raise DataError("indicator knows a state for no scenario that has a probability; give an earlier one")
        return market.reweighted(np.exp(np.minimum(exponents - likely.max(), 0.0)))
