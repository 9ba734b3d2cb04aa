"""Objectives that are robust against errors in the scenario probabilities."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Self

from opeslike.checks import whole
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.modelling.losses import Linear, Loss
from opeslike.objectives.base import ConvexObjective, Optimizer
from opeslike.objectives.covering import WithinBall
from opeslike.objectives.parameters import Radius, objective
from opeslike.objectives.robust_kelly import (
    BayesianKelly,
    BoxRobustKelly,
    EllipsoidRobustKelly,
    KLRobustKelly,
    RiskConstrainedKelly,
)
from opeslike.objectives.scenarios import ScenarioObjective
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


@objective
class KLRobustMaxMean(WithinBall):
    r"""Maximum expected return under the worst scenario probabilities within a Kullback-Leibler ball.

    .. math:: \max_{w \in W} \; \min_{q :\, \sum_t q_t \log(q_t / p_t) \le \varepsilon} \; \sum_t q_t\, w^\top r_t
        - \lambda R(w)

    For small radii it is close to expected return less :math:`\sqrt{2 \varepsilon}` standard deviations. Its negative
    is the entropic value-at-risk at confidence :math:`1 - e^{-\varepsilon}`, so
    :class:`~opeslike.objectives.risk_measures.EVaR` is the same portfolio under another name.

    Parameters
    ----------
    radius : float, "auto" or Covering
        Radius of the ball in nats; see :class:`~opeslike.objectives.robust_kelly.KLRobustKelly`.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
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

    radius: Radius = 0.01
    loss = Linear()


@objective
class KLRobust(WithinBall):
    r"""Any expected-loss objective under the worst scenario probabilities within a Kullback-Leibler ball.

    .. math:: \min_{w \in W} \; \max_{q :\, \sum_t q_t \log(q_t / p_t) \le \varepsilon} \;
        \sum_t q_t\, \ell(w^\top r_t) + \lambda R(w)

    with the loss, regulariser, bounds, leverage and fraction of the objective given. ``KLRobust(Kelly(), radius)`` is
    ``KLRobustKelly(radius=radius)``.

    Parameters
    ----------
    objective : Kelly, BayesianKelly, QuadraticUtility, CARA, CRRA, HARA or another mean of losses over scenarios
        Its beliefs, mandate, solver, time limit and regulariser are used.
    radius : float, "auto" or Covering
        Radius of the ball in nats; see :class:`~opeslike.objectives.robust_kelly.KLRobustKelly`.
    beliefs, mandate, solver, time_limit, reg, strength
        Where the objective inside leaves them at their defaults they may be given here instead.

    Raises
    ------
    PortfolioError
        If the objective is not the mean of a loss over the scenarios, ``radius`` is out of its range, or something is
        given both here and inside.

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

    objective: ScenarioObjective
    radius: Radius = 0.01

    def __post_init__(self) -> None:
        inner = self.objective
        kind, plain = type(inner), ScenarioObjective
        if not isinstance(inner, plain) or (kind.risk, kind._own_limits, kind._problem) != (
            plain.risk,
            plain._own_limits,
            plain._problem,
        ):
            raise PortfolioError(
                f"KLRobust needs an objective that is the mean of a loss over scenarios, such as Kelly() or CRRA(2), "
                f"got {type(inner).__name__}; for expected return use KLRobustMaxMean"
            )
        super().__post_init__()
        twice = sorted(_given(self).keys() & _given(inner).keys())
        if twice:
            raise PortfolioError(f"{', '.join(twice)} given both to KLRobust and to the objective inside; give one")

    @property
    def loss(self) -> Loss:
        """That of the objective inside."""
        return self.objective.loss

    def set_regularizer(self, reg: str | None = None, strength: float = 1.0) -> None:
        """Replace the regulariser of the objective inside, which is copied."""
        self.set_params(reg=None, strength=1.0, objective__reg=reg, objective__strength=strength)

    @property
    def _settings(self) -> ScenarioObjective:
        given = _given(self)
        return self.objective.copy().set_params(**given) if given else self.objective

    def _remembered(self) -> Self:
        asked = super()._remembered()
        asked.objective = self.objective._remembered()
        return asked

    def _belief(self) -> Any:
        return self._settings._belief()

    def _scale(self) -> float:
        return self.objective._scale()

    def _strength(self, market: Market) -> float:
        return self._settings._strength(market)


def _given(optimizer: Optimizer) -> dict[str, Any]:
    """The shared parameters that differ from their defaults."""
    shared = {one.name: (getattr(optimizer, one.name), one.default) for one in fields(ConvexObjective)}
    return {name: value for name, (value, usual) in shared.items() if repr(value) != repr(usual)}


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
    whole("n", n, low=1)
    whole("dof", dof, low=1)
    if not 0.5 < confidence < 1:
        raise PortfolioError(f"confidence={confidence!r} must lie in (0.5, 1)")
    from scipy.special import chdtri

    tail = 1.0 - confidence
    return float(chdtri(dof, 2.0 * tail if dof == 1 else tail)) / (2.0 * n)
