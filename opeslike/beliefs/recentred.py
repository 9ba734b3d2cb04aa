"""The scenarios one has seen, about other means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opeslike.beliefs.belief import Belief, chances
from opeslike.checks import check_mean
from opeslike.market import Market


@dataclass(frozen=True, eq=False, repr=False)
class Recentred(Belief):
    r"""Scenarios shifted to given means: :math:`x_t + m - \sum_s p_s x_s`.

    Dispersion and dependence stay. It does for Kelly and every other objective on scenarios what ``custom_mean`` does
    for those on mean and covariance.

    Parameters
    ----------
    mean : float or array-like of shape (N,)
        m, expected returns per period, as ``custom_mean``; a Series is matched by ticker, one number is for all.

    Raises
    ------
    DataError
        When asked, if the means are not finite numbers, one an asset.

    Examples
    --------
    >>> import numpy as np
    >>> Recentred(0.25)(Market.from_data(np.array([[-0.5], [0.5]]), "returns")).returns.ravel().tolist()
    [-0.25, 0.75]
    """

    mean: Any

    def __call__(self, market: Market) -> Market:
        """The scenarios, shifted."""
        mean = [self.mean] * market.n_assets if isinstance(self.mean, (int, float)) else self.mean
        return market.with_returns(
            market.returns + (check_mean(mean, market.assets, "mean") - chances(market) @ market.returns)
        )
