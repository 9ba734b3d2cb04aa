"""Scenarios that were never seen, as if they had been."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import Belief
from opeslike.checks import FloatArray, positive
from opeslike.errors import DataError
from opeslike.market import Market, cut


@dataclass(frozen=True, eq=False, repr=False)
class Prior(Belief):
    r"""The sample mixed with prior scenarios, as if these had been observed ``pseudo_count`` times in all.

    With n the effective size of the sample, c the pseudo-count and S prior scenarios, probabilities become
    :math:`\tfrac{n}{n + c} p_t` for the sample and :math:`\tfrac{c}{n + c} \tfrac1S` for each prior scenario: the
    posterior mean of the odds under a Dirichlet prior. The effective size becomes :math:`n + c`.

    Parameters
    ----------
    scenarios : array-like or DataFrame of shape (S, N)
        Simple returns per period; a frame is matched by ticker, an array by position.
    pseudo_count : float >= 0
        c, the number of observations that the prior counts for.

    Raises
    ------
    PortfolioError
        If ``pseudo_count`` is out of its range.
    DataError
        If the scenarios are not finite numbers, or, when asked, not for the assets of the market.

    References
    ----------
    Browne and Whitt (1996), *Portfolio choice and the Bayesian Kelly criterion*.
    """

    scenarios: Any
    pseudo_count: float = 100.0

    def __post_init__(self) -> None:
        positive("pseudo_count", self.pseudo_count, zero=True)
        _table(self.scenarios)

    def __call__(self, market: Market) -> Market:
        """The sample, and below it the prior scenarios."""
        prior = self.scenarios
        if isinstance(prior, pd.DataFrame):
            missing = [str(asset) for asset in market.assets if asset not in prior.columns]
            if missing:
                raise DataError(f"prior_scenarios lack {', '.join(missing)}")
            prior = prior[list(market.assets)]
        values = cut(np.asarray(prior, dtype=np.float64), market.assets, axes=(1,))
        if values.shape[1] != market.n_assets:
            raise DataError(f"prior_scenarios have {values.shape[1]} columns for {market.n_assets} assets")
        extra, size = len(values), market.effective_size
        p = (
            np.full(market.n_scenarios, 1.0 / market.n_scenarios)
            if market.probabilities is None
            else market.probabilities
        )
        share = self.pseudo_count / (size + self.pseudo_count)

        return Market(
            np.asfortranarray(np.vstack([market.returns, values])),
            market.assets,
            partial(_dates, market, extra),  # for messages alone, so not made at every solve
            np.concatenate([(1.0 - share) * p, np.full(extra, share / extra)]),
            size + self.pseudo_count,
        )


def _dates(market: Market, extra: int) -> pd.Index:
    """Dates of the sample, then names of the prior scenarios."""
    return pd.Index([*market.dates, *(f"prior scenario {row}" for row in range(extra))], dtype=object)


def _table(scenarios: Any) -> FloatArray:
    """Prior scenarios as finite numbers in two dimensions, at least one row."""
    try:
        values = np.asarray(scenarios, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"prior_scenarios are not numeric: {error}") from error
    if values.ndim != 2 or not values.size:
        raise DataError(f"prior_scenarios must be simple returns, scenarios x assets; got shape {values.shape}")
    if not np.isfinite(values).all():
        row, column = map(int, np.argwhere(~np.isfinite(values))[0])
        name = scenarios.columns[column] if isinstance(scenarios, pd.DataFrame) else f"column {column}"
        raise DataError(f"prior_scenarios have a value that is not finite: {name}, row {row}")
    return values
