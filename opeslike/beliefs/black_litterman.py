"""Views on means, weighed against those of the market in equilibrium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import Belief, position
from opeslike.beliefs.language import read_views
from opeslike.beliefs.recentred import Recentred
from opeslike.beliefs.rescaled import Rescaled
from opeslike.checks import FloatArray, check_mean, share_of
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.parameters import Positive


@dataclass(frozen=True, eq=False, repr=False)
class BlackLitterman(Belief):
    r"""Scenarios with the means and covariance of Black and Litterman.

    The market in equilibrium expects :math:`\pi = \delta \Sigma w`; views :math:`P \mu = v` are believed up to an error
    of variance :math:`\Omega = \frac{1 - c}{c} \operatorname{diag}(P \tau \Sigma P')`:

    .. math:: \mu = \pi + \tau \Sigma P' (P \tau \Sigma P' + \Omega)^{-1} (v - P \pi), \qquad
              \Sigma + \tau \Sigma - \tau \Sigma P' (P \tau \Sigma P' + \Omega)^{-1} P \tau \Sigma.

    Parameters
    ----------
    views : dict
        Annual means by what they are of: ``{"mean(AAPL)": 0.12, "mean(MSFT) - mean(XOM)": 0.03}``. None at all leaves
        the equilibrium.
    market_weights : array-like of shape (N,), dict or Series, optional
        w, by ticker or position, such as capitalisations; scaled to sum to one. Equal ones if left out.
    tau : float > 0
        How uncertain the equilibrium is, as a share of the covariance.
    confidence : float in (0, 1), or dict by view
        c: how far a view moves its mean from the equilibrium to what it says, were it the only one. At 1/2 the error is
        that of He and Litterman.
    risk_aversion : float > 0
        :math:`\delta` of the market.
    periods_per_year : float > 0
        A mean per period is an annual one divided by it.

    Raises
    ------
    PortfolioError
        If a view is not understood or not an equality of means, a parameter is out of its range, or, when asked, a view
        or weight is of an asset that is not there.

    References
    ----------
    Black and Litterman (1992), *Global portfolio optimization*; He and Litterman (1999), *The intuition behind
    Black-Litterman model portfolios*; Idzorek (2005) and Walters (2014), *The Black-Litterman model in detail*, on
    confidence.
    """

    views: Mapping[str, float] = field(default_factory=dict)
    market_weights: Any = None
    tau: Positive = 0.05
    confidence: float | Mapping[str, float] = 0.5
    risk_aversion: Positive = 2.5
    periods_per_year: Positive = 252

    def __post_init__(self) -> None:
        super().__post_init__()
        for view in read_views(self.views):
            if view.measure != "mean" or view.relation:
                raise PortfolioError(f"view {view.text}: BlackLitterman takes equalities of means; use Views")
        self._confidences()

    def __call__(self, market: Market) -> Market:
        """The scenarios with these moments."""
        mean, covariance = self.moments(market)
        return Recentred(mean)(Rescaled(covariance)(market))

    def moments(self, market: Market) -> tuple[FloatArray, FloatArray]:
        """Mean (N,) and covariance (N, N) per period."""
        covariance = market.mean_and_covariance()[1]
        equilibrium = self.risk_aversion * covariance @ self._weights(market)
        views = read_views(self.views)
        pick = np.zeros((len(views), market.n_assets))
        for row, view in enumerate(views):
            for factor, asset in zip(view.factors, view.assets, strict=True):
                pick[row, position(market, asset)] += factor
        said = np.array([view.value / self.periods_per_year for view in views])
        carried = self.tau * covariance @ pick.T
        spread = pick @ carried
        c = self._confidences()
        gain = np.linalg.solve(spread + np.diag((1.0 - c) / c * spread.diagonal()), carried.T).T
        mean = equilibrium + gain @ (said - pick @ equilibrium)
        posterior = (1.0 + self.tau) * covariance - gain @ carried.T
        return mean, 0.5 * (posterior + posterior.T)

    def _weights(self, market: Market) -> FloatArray:
        given = self.market_weights
        weights = np.ones(market.n_assets) if given is None else given
        weights = pd.Series(weights) if isinstance(weights, Mapping) else weights
        weights = check_mean(weights, market.assets, "market_weights")
        if not weights.sum() > 0:
            raise PortfolioError("market_weights must have a sum above 0")
        return np.asarray(weights / weights.sum())

    def _confidences(self) -> FloatArray:
        """C of each view."""
        given = self.confidence
        named = given if isinstance(given, Mapping) else dict.fromkeys(self.views, given)
        if set(named) != set(self.views):
            raise PortfolioError("confidence must be one number, or a dict with one for each view")
        share_of("confidence", 0.5 if isinstance(given, Mapping) else given)
        return np.array([share_of(f"confidence of {view}", named[view]) for view in self.views])
