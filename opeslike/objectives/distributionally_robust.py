"""Objectives that are robust against errors in the scenario probabilities."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.modelling.losses import Linear
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.risks import KLBall, Mean, Risk
from opeslike.objectives.base import Constraint, ScenarioObjective, fraction_of, positive
from opeslike.objectives.leverage import financing_of
from opeslike.objectives.robust_kelly import (
    BayesianKelly,
    BoxRobustKelly,
    EllipsoidRobustKelly,
    RiskConstrainedKelly,
)
from opeslike.objectives.utility_theory import log_loss
from opeslike.objectives.wasserstein import (
    WassRobustKelly,
    WassRobustMaxMean,
    WassRobustMeanVariance,
    WassRobustMinVariance,
)

__all__ = [
    "BayesianKelly",
    "BoxRobustKelly",
    "EllipsoidRobustKelly",
    "KLRobust",
    "KLRobustKelly",
    "KLRobustMaxMean",
    "RiskConstrainedKelly",
    "WassRobustKelly",
    "WassRobustMaxMean",
    "WassRobustMeanVariance",
    "WassRobustMinVariance",
    "kl_radius",
]


class KLRobustKelly(ScenarioObjective):
    r"""Kelly under the worst scenario probabilities within a Kullback-Leibler ball around the empirical ones.

    .. math:: \max_{w \in W} \; \min_{q :\, \sum_t q_t \log(q_t / p_t) \le \varepsilon} \;
        \sum_t q_t \log(1 + w^\top r_t)

    Parameters
    ----------
    fraction : float in (0, 1]
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float or "auto"
        Radius of the ball in nats, at least 0; 0 is Kelly, and from ``log T`` on only the worst scenario counts.
        "auto" is ``1 / sqrt(T)``, T the number of scenarios seen, a rule of thumb without a coverage guarantee; see
        :func:`kl_radius` for radii that have one.
    formulation, reg, strength
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year
        As in :class:`~opeslike.objectives.utility_theory.Kelly`; interest and fees are certain in every scenario.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Notes
    -----
    The inner problem has the dual :math:`\min_{a \ge 0} a \log \sum_t p_t (1 + w^\top r_t)^{-1/a} + a \varepsilon`.
    ``solution.worst_case`` holds the q that attains it.

    References
    ----------
    Hu and Hong (2013), *Kullback-Leibler divergence constrained distributionally robust optimization*; Hsieh (2024), on
    distributionally robust Kelly portfolios.

    Examples
    --------
    >>> import numpy as np
    >>> coin = np.array([[1.0, 0.0]] * 60 + [[-1.0, 0.0]] * 40)
    >>> float(KLRobustKelly(radius=0.01).optimize(coin, kind="returns")[0]) < 0.2
    True
    """

    def __init__(
        self,
        fraction: float = 1.0,
        radius: float | str = 0.01,
        *,
        formulation: str = "thorp",
        reg: str | None = None,
        strength: float = 1.0,
        leverage: float | None = None,
        risk_free: float = 0.0,
        borrow_spread: float = 0.0,
        gross: float | None = None,
        short_fee: float = 0.0,
        periods_per_year: float = 252,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.fraction = fraction_of(fraction)
        self.formulation = formulation
        self.loss, self._multiple = log_loss(self.fraction, formulation)
        self.radius = check_radius(radius)
        self.financing = financing_of(leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year)

    def _scale(self) -> float:
        return self._multiple

    def _risk(self, market: Market) -> Risk:
        return KLBall(radius_for(self.radius, market.n_scenarios))


class KLRobustMaxMean(ScenarioObjective):
    r"""Maximum expected return under the worst scenario probabilities within a Kullback-Leibler ball.

    .. math:: \max_{w \in W} \; \min_{q :\, \sum_t q_t \log(q_t / p_t) \le \varepsilon} \; \sum_t q_t\, w^\top r_t
        - \lambda R(w)

    For small radii it is close to expected return less :math:`\sqrt{2 \varepsilon}` standard deviations. Its negative
    is the entropic value-at-risk at confidence :math:`1 - e^{-\varepsilon}`, so
    :class:`~opeslike.objectives.risk_measures.EVaR` is the same portfolio under another name.

    Parameters
    ----------
    radius : float or "auto"
        Radius of the ball in nats; see :class:`KLRobustKelly`.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Hu and Hong (2013), *Kullback-Leibler divergence constrained distributionally robust optimization*; Ahmadi-Javid
    (2012), *Entropic value-at-risk: a new coherent risk measure*.
    """

    loss = Linear()

    def __init__(
        self,
        radius: float | str = 0.01,
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
        self.radius = check_radius(radius)

    def _risk(self, market: Market) -> Risk:
        return KLBall(radius_for(self.radius, market.n_scenarios))


class KLRobust(ScenarioObjective):
    r"""Any expected-loss objective under the worst scenario probabilities within a Kullback-Leibler ball.

    .. math:: \min_{w \in W} \; \max_{q :\, \sum_t q_t \log(q_t / p_t) \le \varepsilon} \;
        \sum_t q_t\, \ell(w^\top r_t) + \lambda R(w)

    with the loss, regulariser, bounds, leverage and fraction of the objective given. ``KLRobust(Kelly(), radius)`` is
    ``KLRobustKelly(radius=radius)``.

    Parameters
    ----------
    objective : Kelly, BayesianKelly, QuadraticUtility, CARA, CRRA, HARA or another mean of losses over scenarios
        It is copied; its solver, constraints and probabilities are used.
    radius : float or "auto"
        Radius of the ball in nats; see :class:`KLRobustKelly`.

    Raises
    ------
    PortfolioError
        If the objective is not the mean of a loss over the scenarios, or ``radius`` is out of its range.

    References
    ----------
    Hu and Hong (2013), *Kullback-Leibler divergence constrained distributionally robust optimization*.

    Examples
    --------
    >>> import numpy as np
    >>> from opeslike.objectives import CRRA
    >>> coin = np.array([[0.5, 0.0]] * 60 + [[-0.5, 0.0]] * 40)
    >>> plain, robust = CRRA(3.0), KLRobust(CRRA(3.0), radius=0.01)
    >>> bool(robust.optimize(coin, kind="returns")[0] < plain.optimize(coin, kind="returns")[0])
    True
    """

    def __init__(self, objective: ScenarioObjective, radius: float | str = 0.01) -> None:
        mean = isinstance(objective, ScenarioObjective) and isinstance(getattr(objective, "risk", None), Mean)
        if not mean or isinstance(objective, RiskConstrainedKelly):
            raise PortfolioError(
                f"KLRobust needs an objective that is the mean of a loss over scenarios, such as Kelly() or CRRA(2), "
                f"got {type(objective).__name__}; for expected return use KLRobustMaxMean"
            )
        self.objective = copy.copy(objective)
        super().__init__(
            reg=objective.reg,
            strength=objective.strength,
            solver=objective.solver,
            constraints=objective.constraints,
            probabilities=objective.probabilities,
        )
        self.radius = check_radius(radius)

    def set_regularizer(self, reg: str | None = None, strength: float = 1.0) -> None:
        """Replace the regulariser; see :meth:`ConvexObjective.set_regularizer`."""
        super().set_regularizer(reg, strength)
        self.objective.set_regularizer(reg, strength)

    def _scale(self) -> float:
        return self.objective._scale()

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        problem = self.objective._problem(market, weight_bounds, custom_mean, custom_cov)
        assert isinstance(problem, ScenarioProblem)
        problem.risk = KLBall(radius_for(self.radius, problem.probabilities.size))
        return problem


def check_radius(radius: float | str) -> float | str:
    """Check the radius of an ambiguity ball: a finite number >= 0, or "auto".

    Raises
    ------
    PortfolioError
    """
    if isinstance(radius, str):
        if radius != "auto":
            raise PortfolioError(f"radius={radius!r} must be a finite number >= 0 or 'auto'")
        return radius
    return positive("radius", radius, zero=True)


def radius_for(radius: float | str, n_scenarios: int) -> float:
    """The radius in nats: ``1 / sqrt(n)`` for "auto"."""
    return 1.0 / math.sqrt(n_scenarios) if isinstance(radius, str) else radius


def kl_radius(n: int, confidence: float = 0.95, dof: int = 1) -> float:
    r"""Radius of a KL ball from the chi-square limit of empirical likelihood.

    .. math:: \varepsilon = \chi^2_{1,\,1-2a} / (2 n) \quad (d = 1), \qquad
        \varepsilon = \chi^2_{d,\,1-a} / (2 n) \quad (d > 1)

    with a = 1 - confidence.

    Parameters
    ----------
    n : int
        Number of scenarios.
    confidence : float in (0.5, 1)
        Nominal level.
    dof : int
        With ``dof=1`` (default) the worst case over the ball is a one-sided lower confidence bound, at the given
        level and for large n, on the growth of a *fixed* portfolio, chosen without looking at the data. It does
        **not** cover the growth of the portfolio optimised on the same data, and the less so the more assets there
        are. With ``dof`` the number of assets the ball is wide enough for every portfolio at once; it is
        conservative.

    Returns
    -------
    float
        Radius in nats.

    Raises
    ------
    PortfolioError
        If ``n`` or ``dof`` is below 1, or ``confidence`` outside (0.5, 1).

    References
    ----------
    Duchi, Glynn and Namkoong (2021), *Statistics of robust optimization: a generalized empirical likelihood approach*.

    Examples
    --------
    >>> round(kl_radius(2515), 6)
    0.000538
    """
    if isinstance(n, bool) or int(n) != n or n < 1:
        raise PortfolioError(f"n={n!r} must be a whole number of scenarios >= 1")
    if isinstance(dof, bool) or int(dof) != dof or dof < 1:
        raise PortfolioError(f"dof={dof!r} must be a whole number >= 1")
    if not 0.5 < confidence < 1:
        raise PortfolioError(f"confidence={confidence!r} must lie in (0.5, 1)")
    from scipy.special import chdtri

    tail = 1.0 - confidence
    return float(chdtri(dof, 2.0 * tail if dof == 1 else tail)) / (2.0 * n)
