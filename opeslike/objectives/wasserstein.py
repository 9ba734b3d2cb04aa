"""Objectives that are robust against returns that differ from the sample by a Wasserstein distance."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any

import numpy as np

from opeslike.errors import DataError, InfeasibleError, PortfolioError, logger
from opeslike.market import Market, describe
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import Problem
from opeslike.modelling.terms import Terms
from opeslike.modelling.transport import TransportProblem
from opeslike.modelling.wasserstein import WassersteinProblem
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.moments import MomentObjective
from opeslike.objectives.parameters import AtLeastZero, Fraction, Positive, objective
from opeslike.objectives.scenarios import ScenarioObjective


def dual_exponent(name: str, ground_norm: Any) -> float:
    """Exponent of the norm dual to the ground norm: ``1 / (1 - 1 / p)``; 1 for "inf" and infinity for 1.

    Raises
    ------
    PortfolioError
        If ``ground_norm`` is not a number of at least 1, or "inf".
    """
    p = ground_norm
    if isinstance(p, str):
        p = math.inf if p.lower() == "inf" else math.nan
    if isinstance(p, bool) or not isinstance(p, (int, float, np.integer, np.floating)) or not p >= 1:
        raise PortfolioError(f"{name}={ground_norm!r} must be a number >= 1, or 'inf'")
    return math.inf if p == 1 else float(1.0 / (1.0 - 1.0 / p))


GroundNorm = Annotated[float | str, dual_exponent]


@objective
class WassersteinObjective(MomentObjective):
    """``minimise -mean' w + (aversion / 2) (s(w) + root N(w))^2 + price N(w)``, N dual to the ground norm."""

    @abstractmethod
    def _shape(self) -> tuple[float, float, float, Any]:
        """Aversion, root, price and ground norm."""

    def _problem(self, market: Market, given: Given = NOTHING) -> Problem:
        mean, covariance = self._moments(market, given)
        aversion, root, price, norm = self._shape()
        dual = dual_exponent("ground_norm", norm)
        limits = self._feasible(market, given, absolute=dual == 1.0)
        return WassersteinProblem(mean, covariance, aversion, root, price, dual, *limits)


@objective
class WassRobustMaxMean(WassersteinObjective):
    r"""Maximum expected return under the worst distribution within a type-1 Wasserstein distance.

    .. math:: \max_{w \in W} \; \mu^\top w - \varepsilon\, \lVert w \rVert_{p^*} - \lambda R(w),
        \qquad \tfrac1p + \tfrac1{p^*} = 1

    The worst distribution shifts every scenario by :math:`\varepsilon` in the direction that hurts most, so what is
    paid for doubt is a norm of the weights: with the 2-norm it spreads them out, with the infinity norm it is the gross
    exposure, which long-only portfolios cannot change.

    Parameters
    ----------
    radius : float >= 0
        :math:`\varepsilon`, in returns per period. 0 is :class:`~opeslike.objectives.markowitz.MaxMean`.
    ground_norm : number >= 1 or "inf"
        p, the norm in which moves of the return vector are measured.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Mohajerin Esfahani and Kuhn (2018), *Data-driven distributionally robust optimization using the Wasserstein metric*;
    Kantorovich and Rubinstein (1958).

    Examples
    --------
    >>> import numpy as np
    >>> means = np.array([0.002, 0.001])
    >>> calm = WassRobustMaxMean(radius=1.0, custom_mean=means).optimize(np.array([[0.1, -0.1], [-0.1, 0.1]]))
    >>> [round(float(weight), 2) for weight in calm]
    [0.5, 0.5]
    """

    uses_covariance = False
    radius: AtLeastZero = 0.01
    ground_norm: GroundNorm = 2

    def _shape(self) -> tuple[float, float, float, Any]:
        return 0.0, 0.0, self.radius, self.ground_norm


@objective
class WassRobustMinVariance(WassersteinObjective):
    r"""Minimum variance under the worst distribution within a type-2 Wasserstein distance.

    .. math:: \min_{w \in W} \; \left( \sqrt{w^\top \Sigma w} + \sqrt{\varepsilon}\, \lVert w \rVert_{p^*} \right)^2
        + \lambda R(w), \qquad \tfrac1p + \tfrac1{p^*} = 1

    Parameters
    ----------
    radius : float >= 0
        :math:`\varepsilon`, in squared returns per period (the transport cost is the squared distance). 0 is
        :class:`~opeslike.objectives.markowitz.MinVariance`.
    ground_norm : number >= 1 or "inf"
        p, the norm in which moves of the return vector are measured.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        See :class:`~opeslike.objectives.markowitz.MinVariance`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Blanchet, Chen and Zhou (2022), *Distributionally robust mean-variance portfolio selection with Wasserstein
    distances*.
    """

    uses_mean = takes_costs = False
    radius: AtLeastZero = 0.01
    ground_norm: GroundNorm = 2

    def _shape(self) -> tuple[float, float, float, Any]:
        return 2.0, math.sqrt(self.radius), 0.0, self.ground_norm


@objective
class WassRobustMeanVariance(WassersteinObjective):
    r"""Mean-variance under the worst distribution within a Wasserstein distance.

    .. math:: \min_{w \in W} \; \tfrac{\gamma}{2} \left( \sqrt{w^\top \Sigma w}
        + \sqrt{\varepsilon}\, \lVert w \rVert_{p^*} \right)^2 - \mu^\top w + \varepsilon\, \lVert w \rVert_{p^*}
        + \lambda R(w), \qquad \tfrac1p + \tfrac1{p^*} = 1

    Variance and mean are each taken at their own worst case, so the sum bounds the worst case of the two together.

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, per unit of return.
    radius : float >= 0
        :math:`\varepsilon`. 0 is :class:`~opeslike.objectives.markowitz.MeanVariance`.
    ground_norm : number >= 1 or "inf"
        p, the norm in which moves of the return vector are measured.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of an estimated one.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        See :class:`~opeslike.objectives.markowitz.MeanVariance`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Blanchet, Chen and Zhou (2022), *Distributionally robust mean-variance portfolio selection with Wasserstein
    distances*.
    """

    risk_aversion: Positive = 0.3
    radius: AtLeastZero = 0.01
    ground_norm: GroundNorm = 2

    def _shape(self) -> tuple[float, float, float, Any]:
        return self.risk_aversion, math.sqrt(self.radius), self.radius, self.ground_norm


@objective
class WassRobustKelly(ScenarioObjective):
    r"""Kelly under the worst distribution of *log* returns within a type-1 Wasserstein distance.

    .. math:: \max_{w \in W} \; \min_{Q :\, W_1(Q, P) \le \varepsilon} \; E_Q \log \sum_i w_i e^{\xi_i},
        \qquad \xi_i = \log(1 + r_i)

    for long-only weights that sum to one. With the 2-norm the dual is, over a price c of transport,

    .. math:: \max_{w,\, c} \; -\varepsilon c + \sum_t p_t \max_{s \in \Delta,\, \lVert s \rVert_2 \le c} \;
        \sum_i s_i \left( \xi_{ti} + \log w_i - \log s_i \right),

    a concave problem in weights, price and shares s of wealth. With the infinity norm the worst case lowers all log
    returns by :math:`\varepsilon`: the growth falls by that, and the weights are those of Kelly.

    On *simple* returns the same ball makes the growth minus infinity for every positive radius: moving a little
    probability to a total loss costs little distance, and there the logarithm has no bottom. On log returns a total
    loss is infinitely far away.

    Parameters
    ----------
    fraction : float in (0, 1]
        Share of wealth held in the portfolio, the rest being cash; see
        :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float >= 0
        :math:`\varepsilon`, in log returns per period; 0.0005 doubts five basis points a day.
    ground_norm : 2 or "inf"
        The norm in which moves of the vector of log returns are measured.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or, with a positive radius, the mandate has ``leverage``.
    DataError
        From ``optimize`` with a positive radius: if a return is -100% or less, which has no logarithm; names ticker and
        date.
    InfeasibleError
        From ``optimize`` with a positive radius: if the bounds force a short position; names the asset.

    Notes
    -----
    Where the bounds allow short positions and the radius is positive, the optimum holds none. Let :math:`w_i < 0` and
    take any scenario t of probability :math:`p_t`. Raising :math:`\xi_{ti}` by d multiplies what is owed in i by
    :math:`e^d` and changes nothing else, so there is a finite d at which wealth :math:`\sum_j w_j e^{\xi_{tj}}` is 0.
    Moving the mass :math:`\min(p_t, \varepsilon / d) > 0` there costs at most :math:`\varepsilon` in any norm, so some
    Q of the ball gives a positive probability to ruin, and the worst expected growth is :math:`-\infty`. Every
    long-only portfolio has a finite one. The problem solved is therefore the one over :math:`w \ge 0`, exactly, and the
    log says so. At radius 0 it is Kelly, and shorts are held where they pay.

    References
    ----------
    Mohajerin Esfahani and Kuhn (2018), *Data-driven distributionally robust optimization using the Wasserstein metric*,
    for the duality; Hsieh (2024), on distributionally robust Kelly portfolios.
    """

    fraction: Fraction = 1.0
    radius: AtLeastZero = 0.0005
    ground_norm: GroundNorm = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if dual_exponent("ground_norm", self.ground_norm) not in (1.0, 2.0):
            raise PortfolioError(f"ground_norm={self.ground_norm!r} must be 2 or 'inf' for WassRobustKelly")

    @property
    def loss(self) -> Log:
        """The logarithmic loss where the ball only lowers the growth."""
        return Log(shift=self.radius)

    def _scale(self) -> float:
        return self.fraction

    def _terms(self, market: Market, given: Given) -> Terms:
        terms = super()._terms(market, given)
        if self.radius == 0 or not (terms.lower < 0).any():
            return terms
        if (terms.upper < 0).any():
            asset = market.assets[int(np.argmin(terms.upper))]
            raise InfeasibleError(
                f"the bounds force a short position in {asset}, whose worst case is ruin; raise them, use "
                "KLRobustKelly, or radius=0"
            )
        logger.info("WassRobustKelly holds no shorts, though the bounds allow them: the worst case of each is ruin")
        return replace(terms, lower=np.maximum(terms.lower, 0.0))

    def _problem(self, market: Market, given: Given = NOTHING) -> Any:
        if self.radius > 0:
            if self.mandate.leverage is not None:
                raise PortfolioError("WassRobustKelly is fully invested, up to its fraction; it takes no leverage")
            lost = np.argwhere(market.returns <= -1.0)
            if lost.size:
                row, column = map(int, lost[0])
                raise DataError(
                    f"{market.assets[column]} returns {market.returns[row, column]:.4g} on "
                    f"{describe(market.dates[row])}, which has no log return; leave the row or the asset out, or use "
                    "KLRobustKelly"
                )
        kelly = super()._problem(market, given)
        norm = dual_exponent("ground_norm", self.ground_norm)
        if self.radius == 0 or market.n_assets == 1 or norm == 1.0:
            return kelly
        return TransportProblem(
            1.0 + kelly.returns, kelly.probabilities, self.radius, kelly.bounds, kelly.penalty, kelly.lift
        )
