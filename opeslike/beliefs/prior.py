"""Scenarios that were never seen, as if they had been."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import Belief, chances
from opeslike.checks import FloatArray
from opeslike.errors import DataError
from opeslike.market import Market, cut
from opeslike.panel import read_array
from opeslike.parameters import AtLeastZero


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
    pseudo_count: AtLeastZero = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_scenarios(self.scenarios, "prior")

    def __call__(self, market: Market) -> Market:
        """The sample, and below it the prior scenarios."""
        size = market.effective_size + self.pseudo_count
        return mixed(market, self.scenarios, self.pseudo_count / size, size, "prior")


def mixed(market: Market, scenarios: Any, share: float, size: float, kind: str) -> Market:
    """The market, worth ``size`` observations, with further scenarios below that have this share of the probability.

    Raises
    ------
    DataError
        If the scenarios are not for the assets of the market.
    """
    if isinstance(scenarios, pd.DataFrame):
        missing = [str(asset) for asset in market.assets if asset not in scenarios.columns]
        if missing:
            raise DataError(f"{kind}_scenarios lack {', '.join(missing)}")
        scenarios = scenarios[list(market.assets)]
    values = cut(np.asarray(scenarios, dtype=np.float64), market.assets, axes=(1,))
    if values.shape[1] != market.n_assets:
        raise DataError(f"{kind}_scenarios have {values.shape[1]} columns for {market.n_assets} assets")
    extra = len(values)
    return Market(
        np.asfortranarray(np.vstack([market.returns, values])),
        market.assets,
        partial(_dates, market, extra, kind),  # for messages alone, so not made at every solve
        np.concatenate([(1.0 - share) * chances(market), np.full(extra, share / extra)]),
        size,
    )


def _dates(market: Market, extra: int, kind: str) -> pd.Index:
    """Dates of the sample, then names of the further scenarios."""
    return pd.Index([*market.dates, *(f"{kind} scenario {row}" for row in range(extra))], dtype=object)


def check_scenarios(scenarios: Any, kind: str) -> FloatArray:
    """Further scenarios as finite numbers in two dimensions, at least one row.

    Raises
    ------
    DataError
    """
    values = read_array(scenarios, f"{kind}_scenarios")
    if values.ndim != 2 or not values.size:
        raise DataError(f"{kind}_scenarios must be simple returns, scenarios x assets; got shape {values.shape}")
    if not np.isfinite(values).all():
        row, column = map(int, np.argwhere(~np.isfinite(values))[0])
        name = scenarios.columns[column] if isinstance(scenarios, pd.DataFrame) else f"column {column}"
        raise DataError(f"{kind}_scenarios have a value that is not finite: {name}, row {row}")
    return values
