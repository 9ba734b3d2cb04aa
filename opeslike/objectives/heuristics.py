"""Portfolios that avoid expected returns, or optimisation: by formula, by risk contributions, by diversification."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.checks import whole
from opeslike.market import FloatArray, Kind, Market
from opeslike.modelling.covariance import Matrix
from opeslike.objectives.given import Given
from opeslike.objectives.hierarchical import HierarchicalRiskParity
from opeslike.objectives.moments import RatioObjective, covariance_of, mean_of, volatilities
from opeslike.objectives.parameters import Positive, objective
from opeslike.objectives.return_entropy import REPO
from opeslike.objectives.risk_parity import RiskParity
from opeslike.objectives.rules import Rule, normalised

__all__ = [
    "REPO",
    "HierarchicalRiskParity",
    "InverseVolatility",
    "MaxDiversification",
    "RiskParity",
    "SoftmaxMean",
    "Uniform",
]


@objective
class Uniform(Rule):
    """Equal weights ``1 / N``.

    References
    ----------
    DeMiguel, Garlappi and Uppal (2009), *Optimal versus naive diversification: how inefficient is the 1/N portfolio
    strategy?*
    """

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = None,
        w: ArrayLike | None = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        held: Any = None,
        costs: Any = None,
        seed: int | None = 100,
        n_assets: int | None = None,
    ) -> FloatArray:
        """Equal weights; without data, for ``n_assets`` unnamed assets.

        Raises
        ------
        PortfolioError
            If ``n_assets`` is not a whole number above 0, or ``weight_bounds`` are given and broken.
        """
        if data is None and n_assets is not None:
            data, kind = np.zeros((1, whole("n_assets", n_assets, low=1))), "returns"
        given = {"custom_mean": custom_mean, "custom_cov": custom_cov, "held": held, "costs": costs}
        return super().optimize(data, weight_bounds, w, kind=kind, **given)

    def _formula(self, market: Market, given: Given, w: Any, seed: Any) -> FloatArray:
        return np.full(market.n_assets, 1.0 / market.n_assets)


@objective
class InverseVolatility(Rule):
    r"""Weights proportional to one over volatility.

    .. math:: w_i = \frac{1 / \sigma_i}{\sum_j 1 / \sigma_j}

    It is risk parity for equally correlated assets. ``optimize`` takes ``custom_cov``, whose diagonal it uses.

    Parameters
    ----------
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    References
    ----------
    Maillard, Roncalli and Teiletche (2010), *The properties of equally weighted risk contribution portfolios*.
    """

    uses_covariance = True

    def _formula(self, market: Market, given: Given, w: Any, seed: Any) -> FloatArray:
        return normalised(1.0 / volatilities(market, covariance_of(market, given.custom_cov, "sample")))


@objective
class SoftmaxMean(Rule):
    r"""Weights by the softmax of expected returns.

    .. math:: w_i = \frac{e^{\mu_i / \tau}}{\sum_j e^{\mu_j / \tau}}

    It maximises :math:`\mu^\top w - \tau \sum_i w_i \log w_i` over the simplex, so it is maximum mean with an entropy
    regulariser.

    Parameters
    ----------
    temperature : float > 0
        :math:`\tau`, in returns per period: large values give equal weights, small ones the best asset alone. Daily
        mean returns are of the order 0.001, so the default of 1 is all but 1/N on daily data.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If ``temperature`` is not a finite number above 0.

    References
    ----------
    Bridle (1990), on the softmax; Jaynes (1957), *Information theory and statistical mechanics*, on why it maximises
    entropy.
    """

    uses_mean = True

    temperature: Positive = 1.0

    def _formula(self, market: Market, given: Given, w: Any, seed: Any) -> FloatArray:
        mean = mean_of(market, given.custom_mean)
        # the largest exponent is 0, so nothing overflows at any temperature
        return normalised(np.exp((mean - mean.max()) / self.temperature))


@objective
class MaxDiversification(RatioObjective):
    r"""Maximum diversification: the largest ratio of average volatility to portfolio volatility.

    .. math:: \max_{w \in W} \; \frac{\sigma^\top w}{\sqrt{w^\top \Sigma w}}

    Like :class:`~opeslike.objectives.markowitz.MaxSharpe` it is a convex problem in disguise, so the answer is the
    global maximum, for any weight bounds, and certified. It is the maximum Sharpe ratio where expected excess returns
    are proportional to volatilities.

    Parameters
    ----------
    reg, strength
        Regulariser R and its strength lambda: the objective is then the ratio less :math:`\lambda R(w)`, which is not
        convex. The answer is the best of several local searches, with status "heuristic" and no gap.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        As in :class:`~opeslike.objectives.markowitz.MinVariance`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Notes
    -----
    ``solution.value`` is minus the ratio, which is at least 1 for long-only weights.

    References
    ----------
    Choueifaty and Coignard (2008), *Toward maximum diversification*; Choueifaty, Froidure and Reynier (2013),
    *Properties of the most diversified portfolio*.
    """

    uses_mean = takes_costs = False

    def _gain(self, market: Market, mean: FloatArray | None, covariance: Matrix) -> FloatArray:
        return volatilities(market, covariance)
