"""Scenario probabilities given by hand, and what else may be given as ``beliefs=``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import Belief, Empirical
from opeslike.checks import numbers
from opeslike.errors import PortfolioError
from opeslike.market import Market, describe


@dataclass(frozen=True, eq=False, repr=False)
class Given(Belief):
    """Scenario probabilities given by hand; earlier ones are replaced.

    Parameters
    ----------
    probabilities : array-like of shape (T,) or Series
        Non-negative, scaled to sum to one. A Series is matched by date, so it walks: a backtest sees at each decision
        the part that belongs to its rows. A bare array must have one number for each row.

    Raises
    ------
    PortfolioError
        If the numbers are not finite and non-negative or all zero, or, when asked, do not fit the rows; names the first
        date that lacks one.

    Examples
    --------
    >>> market = Given([1, 3])(Market.from_data(np.array([[0.1], [0.2]]), "returns"))
    >>> market.probabilities.tolist(), market.effective_size
    ([0.25, 0.75], 1.6)
    """

    probabilities: Any

    def __post_init__(self) -> None:
        p = numbers("probabilities", self.probabilities)
        if p.ndim != 1 or not np.isfinite(p).all() or (p < 0).any() or not p.sum() > 0:
            raise PortfolioError("probabilities must be one number a return row, finite, >= 0 and not all 0")

    def __call__(self, market: Market) -> Market:
        """The same returns under these probabilities."""
        p = self.probabilities
        if isinstance(p, pd.Series):
            p = p.reindex(market.dates)
            if p.isna().any():
                date = market.dates[int(np.argmax(p.isna()))]
                raise PortfolioError(f"probabilities have none for {describe(date)}; give one for every return row")
        elif np.shape(p) != (market.n_scenarios,):
            advice = "give one a row, or a Series by date, which follows a backtest"
            raise PortfolioError(f"there are {len(p)} probabilities for {market.n_scenarios} return rows; {advice}")
        return market.with_probabilities(p)


_AS_IT_IS = Empirical()


def as_belief(beliefs: Any) -> Callable[[Market], Market]:
    """What was given as ``beliefs=``: None is :class:`Empirical`, numbers are :class:`Given`, a callable is itself.

    Raises
    ------
    PortfolioError
        If it is none of these, or the numbers are no probabilities.
    """
    if beliefs is None:
        return _AS_IT_IS
    if isinstance(beliefs, type):
        raise PortfolioError(f"{beliefs.__name__} is a class, not a belief; make one: {beliefs.__name__}(...)")
    return beliefs if callable(beliefs) else Given(beliefs)
