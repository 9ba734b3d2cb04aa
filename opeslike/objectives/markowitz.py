"""Objectives on mean and covariance."""

from __future__ import annotations

from dataclasses import field

import numpy as np

from opeslike.checks import per_period
from opeslike.errors import InfeasibleError
from opeslike.market import FloatArray, Market
from opeslike.modelling.covariance import Matrix
from opeslike.objectives.moments import QuadraticObjective, RatioObjective
from opeslike.objectives.parameters import Finite, Positive, objective


@objective
class MaxMean(QuadraticObjective):
    r"""Maximum expected return: everything in the best assets the bounds allow.

    .. math:: \max_{w \in W} \; \mu^\top w - \lambda R(w)

    Without a regulariser it holds a single asset wherever the bounds let it; with one it is the trade-off of expected
    return against concentration.

    Parameters
    ----------
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    References
    ----------
    Markowitz (1952), *Portfolio selection*, on why nobody should do this.
    """

    uses_covariance = False
    aversion = 0.0


@objective
class MinVariance(QuadraticObjective):
    r"""Minimum variance.

    .. math:: \min_{w \in W} \; w^\top \Sigma w + \lambda R(w)

    It needs no expected returns, which are much harder to estimate than covariances.

    Parameters
    ----------
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        "sample" divides by T - 1 and has no ridge (the OPES package adds 0.001 of the average variance to the
        diagonal). "ledoit_wolf" and "oas" shrink towards a multiple of the identity; any other estimator with
        ``fit`` and ``covariance_`` will do.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    References
    ----------
    Markowitz (1952), *Portfolio selection*; Clarke, de Silva and Thorley (2006), *Minimum-variance portfolios in the
    U.S. equity market*; Ledoit and Wolf (2004), *A well-conditioned estimator for large-dimensional covariance
    matrices*; Chen, Wiesel, Eldar and Hero (2010), on oracle approximating shrinkage.
    """

    uses_mean = takes_costs = False
    aversion = 2.0


@objective
class MeanVariance(QuadraticObjective):
    r"""Mean-variance: the best trade-off of expected return against variance.

    .. math:: \min_{w \in W} \; \tfrac{\gamma}{2} w^\top \Sigma w - \mu^\top w + \lambda R(w)

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, per unit of variance; 1 is the second-order approximation of Kelly.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        As in :class:`MinVariance`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Markowitz (1952), *Portfolio selection*.
    """

    risk_aversion: Positive = 0.5

    @property
    def aversion(self) -> float:
        """Half of what the variance is multiplied by."""
        return self.risk_aversion


@objective
class MaxSharpe(RatioObjective):
    r"""Maximum Sharpe ratio: the tangency portfolio of the feasible set.

    .. math:: \max_{w \in W} \; \frac{\mu^\top w - r_f}{\sqrt{w^\top \Sigma w}}

    Over the portfolios that beat the risk-free rate this is a convex problem in disguise: with
    :math:`y = w / (\mu^\top w - r_f)` it reads :math:`\min y^\top \Sigma y` over a cone (Schaible 1974). So the answer
    is the global maximum, for any weight bounds, and certified.

    Parameters
    ----------
    risk_free : float
        *Annual* risk-free rate, a fraction; per period :math:`(1 + r)^{1/n} - 1` with n ``periods_per_year``. (The
        OPES package takes the rate per period: its default 0.01 is one percent a *day* on daily data.)
    reg, strength
        Regulariser R and its strength lambda: the objective is then the Sharpe ratio per period less
        :math:`\lambda R(w)`, which is not convex. The answer is the best of several local searches, with status
        "heuristic" and no gap.
    periods_per_year : float > 0
        252 for daily stock prices, 365 for daily crypto, 52, 12.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        As in :class:`MinVariance`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Notes
    -----
    ``optimize`` raises :class:`~opeslike.errors.InfeasibleError` where no feasible portfolio is expected to beat the
    risk-free rate (the maximum of a negative Sharpe ratio would be the *riskiest* portfolio), and where some portfolio
    beats it without risk, so that the ratio has no maximum. ``solution.value`` is minus the Sharpe ratio per period;
    ``solution.gap`` bounds the Sharpe ratio given away, per period.

    References
    ----------
    Sharpe (1966), *Mutual fund performance*; Schaible (1974), *Parameter-free convex equivalent and dual programs of
    fractional programming problems*; Cornuejols and Tutuncu (2007), *Optimization methods in finance*, section 8.2.
    """

    risk_free: Finite = 0.01
    periods_per_year: Positive = field(default=252, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        per_period(self.risk_free, self.periods_per_year)  # an annual rate above -1

    @property
    def _rate(self) -> float:
        return per_period(self.risk_free, self.periods_per_year)

    def _gain(self, market: Market, mean: FloatArray | None, covariance: Matrix) -> FloatArray:
        assert mean is not None
        return mean - self._rate

    def _refuse(self, market: Market, best: FloatArray, gain: float) -> None:
        top = market.assets[int(np.argmax(best))]
        raise InfeasibleError(
            f"no feasible portfolio is expected to beat the risk-free rate of {self.risk_free:.4g} a year "
            f"({self._rate:.3g} per period): the best one, mostly {top}, falls short by {-gain:.3g} per period; "
            "lower risk_free, hold cash, or use MinVariance"
        )
