"""What factors explain of each asset as it was, the rest drawn anew for each asset alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import Belief, chances
from opeslike.beliefs.chance import stream
from opeslike.checks import numbers
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market, describe
from opeslike.parameters import Whole


@dataclass(frozen=True, eq=False, repr=False)
class Factors(Belief):
    r"""Scenarios of a factor model: :math:`a_i + b_i' f_t + e_{i, \rho_i(t)}`.

    Intercepts and betas come from a regression of each asset on the factors, weighted by the probabilities. Its
    residuals are drawn with replacement for each asset on its own, so that what assets have in common is what the
    factors explain; drawn residuals are centred, so means stay.
    No return is below -1. Dates, probabilities and effective size are unchanged.

    Parameters
    ----------
    factors : DataFrame by date, one column a factor
        Returns (or changes) of factors over the same periods as the returns.
    seed : int >= 0
        With the last date of the market and the ticker it determines the draw.

    Raises
    ------
    PortfolioError
        If the factors are no frame of numbers by unique dates.
    DataError
        When asked, naming the first date without factors, or if there are no more rows than coefficients.

    References
    ----------
    Sharpe (1963), *A simplified model for portfolio analysis*; Freedman (1981), *Bootstrapping regression models*.
    """

    factors: Any
    seed: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.factors, pd.DataFrame) or not self.factors.size or not self.factors.index.is_unique:
            raise PortfolioError("factors must be a DataFrame by unique dates with a column for each factor")
        numbers("factors", self.factors)

    def __call__(self, market: Market) -> Market:
        """The scenarios drawn."""
        dates, p, count = market.dates, chances(market), market.n_scenarios
        factors = self.factors.reindex(dates).to_numpy(np.float64)
        if not np.isfinite(factors).all():
            date = dates[int(np.argmin(np.isfinite(factors).all(axis=1)))]
            raise DataError(f"factors have no finite values for {describe(date)}; give them for every return row")
        if count <= factors.shape[1] + 1:
            raise DataError(f"{count} return rows do not determine {factors.shape[1] + 1} coefficients; give more")
        known = np.column_stack([np.ones(count), factors])
        root = np.sqrt(p)[:, None]
        explained = known @ np.linalg.lstsq(known * root, market.returns * root, rcond=None)[0]
        residuals = market.returns - explained
        for column, ticker in enumerate(market.assets):
            drawn = residuals[stream(self.seed, market, ticker).choice(count, count, p=p), column]
            explained[:, column] += drawn - p @ drawn
        return market.with_returns(np.maximum(explained, -1.0))
