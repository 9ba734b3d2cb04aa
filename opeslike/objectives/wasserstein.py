"""Objectives that are robust against returns that differ from the sample by a Wasserstein distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market, describe
from opeslike.modelling.bounds import Bounds, parse_weight_bounds
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.risks import Mean
from opeslike.modelling.transport import TransportProblem
from opeslike.modelling.wasserstein import WassersteinProblem
from opeslike.objectives.base import Constraint, ConvexObjective
from opeslike.objectives.leverage import terms_of
from opeslike.objectives.moments import MomentObjective
from opeslike.objectives.parameters import fraction_of, positive


def dual_exponent(ground_norm: Any) -> float:
    """Exponent of the norm dual to the ground norm: ``1 / (1 - 1 / p)``; 1 for "inf" and infinity for 1.

    Raises
    ------
    PortfolioError
        If ``ground_norm`` is not a number of at least 1, or "inf".
    """
    if isinstance(ground_norm, str) and ground_norm.lower() == "inf":
        return 1.0
    number = isinstance(ground_norm, (int, float, np.integer, np.floating)) and not isinstance(ground_norm, bool)
    if not number or not ground_norm >= 1:
        raise PortfolioError(f"ground_norm={ground_norm!r} must be a number >= 1, or 'inf'")
    if math.isinf(ground_norm):
        return 1.0
    return math.inf if ground_norm == 1 else float(1.0 / (1.0 - 1.0 / ground_norm))


class _BallObjective(MomentObjective):
    """An objective on moments with a norm of the weights."""

    _dual: float

    def _broken(self, market: Market, weight_bounds: Any) -> tuple[Bounds, Lift]:
        lower, upper = parse_weight_bounds(weight_bounds, market.assets)
        return feasible(terms_of(lower, upper), absolute=self._dual == 1.0)


class WassRobustMaxMean(_BallObjective):
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
    solver, constraints, probabilities
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

    def __init__(
        self,
        radius: float = 0.01,
        ground_norm: float | str = 2,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        custom_mean: ArrayLike | None = None,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg,
            strength=strength,
            custom_mean=custom_mean,
            solver=solver,
            constraints=constraints,
            probabilities=probabilities,
        )
        self.radius = positive("radius", radius, zero=True)
        self.ground_norm, self._dual = ground_norm, dual_exponent(ground_norm)

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        mean, _ = self._moments(market, custom_mean, custom_cov)
        bounds, lift = self._broken(market, weight_bounds)
        return WassersteinProblem(mean, None, 0.0, 0.0, self.radius, self._dual, bounds, self._penalty(lift), lift)


class WassRobustMinVariance(_BallObjective):
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
    solver, constraints, probabilities
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

    uses_mean = False

    def __init__(
        self,
        radius: float = 0.01,
        ground_norm: float | str = 2,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        custom_cov: ArrayLike | None = None,
        covariance: Any = "sample",
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg,
            strength=strength,
            custom_cov=custom_cov,
            covariance=covariance,
            solver=solver,
            constraints=constraints,
            probabilities=probabilities,
        )
        self.radius = positive("radius", radius, zero=True)
        self.ground_norm, self._dual = ground_norm, dual_exponent(ground_norm)

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        _, covariance = self._moments(market, custom_mean, custom_cov)
        bounds, lift = self._broken(market, weight_bounds)
        root = math.sqrt(self.radius)
        return WassersteinProblem(None, covariance, 2.0, root, 0.0, self._dual, bounds, self._penalty(lift), lift)


class WassRobustMeanVariance(_BallObjective):
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
    solver, constraints, probabilities
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

    def __init__(
        self,
        risk_aversion: float = 0.3,
        radius: float = 0.01,
        ground_norm: float | str = 2,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        covariance: Any = "sample",
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg,
            strength=strength,
            custom_mean=custom_mean,
            custom_cov=custom_cov,
            covariance=covariance,
            solver=solver,
            constraints=constraints,
            probabilities=probabilities,
        )
        self.risk_aversion = positive("risk_aversion", risk_aversion)
        self.radius = positive("radius", radius, zero=True)
        self.ground_norm, self._dual = ground_norm, dual_exponent(ground_norm)

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        mean, covariance = self._moments(market, custom_mean, custom_cov)
        bounds, lift = self._broken(market, weight_bounds)
        return WassersteinProblem(
            mean,
            covariance,
            self.risk_aversion,
            math.sqrt(self.radius),
            self.radius,
            self._dual,
            bounds,
            self._penalty(lift),
            lift,
        )


class WassRobustKelly(ConvexObjective):
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
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or weights may be negative.
    DataError
        From ``optimize``: if a return is -100% or less, which has no logarithm; names ticker and date.

    References
    ----------
    Mohajerin Esfahani and Kuhn (2018), *Data-driven distributionally robust optimization using the Wasserstein metric*,
    for the duality; Hsieh (2024), on distributionally robust Kelly portfolios.
    """

    def __init__(
        self,
        fraction: float = 1.0,
        radius: float = 0.0005,
        ground_norm: float | str = 2,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.fraction = fraction_of(fraction)
        self.radius = positive("radius", radius, zero=True)
        if dual_exponent(ground_norm) not in (1.0, 2.0):
            raise PortfolioError(f"ground_norm={ground_norm!r} must be 2 or 'inf' for WassRobustKelly")
        self.ground_norm = ground_norm

    def _scale(self) -> float:
        return self.fraction

    def _shifted(self, n_assets: int) -> bool:
        """Whether the ball only shifts the growth: the infinity norm, a single asset, or no ball."""
        return self.radius == 0 or n_assets == 1 or dual_exponent(self.ground_norm) == 1.0

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        for name, value in (("custom_mean", custom_mean), ("custom_cov", custom_cov)):
            if value is not None:
                raise PortfolioError(f"WassRobustKelly works on scenarios, so {name} has no meaning for it")
        bounds = self._bounds(market, weight_bounds)
        if (bounds.lower < 0).any():
            asset = market.assets[int(np.argmin(bounds.lower))]
            raise PortfolioError(
                f"WassRobustKelly needs weights >= 0, and the bounds let {asset} be short; use KLRobustKelly instead"
            )
        lost = market.returns <= -1.0
        if lost.any():
            row, column = map(int, np.argwhere(lost)[0])
            raise DataError(
                f"{market.assets[column]} returns {market.returns[row, column]:.4g} on {describe(market.dates[row])}, "
                "which has no log return; leave the row or the asset out, or use KLRobustKelly"
            )
        if self._shifted(market.n_assets):
            return ScenarioProblem(
                market.returns,
                market.probabilities,
                Log(shift=self.radius),
                Mean(),
                bounds,
                self._penalty(bounds),
                labels=lambda: market.dates,
            )
        p = market.probabilities
        kept = slice(None) if p is None else p > 0
        gross = 1.0 + market.returns[kept]
        probabilities = np.full(len(gross), 1.0 / len(gross)) if p is None else p[p > 0]
        return TransportProblem(gross, probabilities, self.radius, bounds, self._penalty(bounds))
