"""Objectives that minimise a measure of loss, alone or against expected return."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

from opeslike.market import Market
from opeslike.modelling import ambiguity
from opeslike.modelling.losses import Linear
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import Entropic, KLBall, Multiple, Risk
from opeslike.modelling.tilt import Tilted
from opeslike.objectives.given import NOTHING, Given
from opeslike.objectives.moments import mean_of
from opeslike.objectives.parameters import Positive, Share, objective
from opeslike.objectives.scenarios import ScenarioObjective
from opeslike.objectives.value_at_risk import VaR

__all__ = ["CVaR", "EVaR", "EntropicRisk", "MeanCVaR", "MeanEVaR", "VaR", "WorstCaseLoss"]


@objective
class CVaR(ScenarioObjective):
    r"""Minimum conditional value-at-risk (expected shortfall): the mean of the worst :math:`1 - \beta` of the losses.

    .. math:: \min_{w \in W} \; \min_{\nu} \; \nu + \frac{1}{1 - \beta} \sum_t p_t \left(-w^\top r_t - \nu\right)_+
        + \lambda R(w)

    Parameters
    ----------
    confidence : float in (0, 1)
        :math:`\beta`; 0.95 looks at the worst twentieth of the scenarios. From ``1 - 1/T`` on only the worst scenario
        counts.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    Notes
    -----
    ``solution.value`` is the CVaR per period as a positive loss, ``solution.worst_case`` the probabilities
    under which it is the mean loss: ``p / (1 - confidence)`` in the tail, 0 elsewhere. With a tail of k scenarios the
    weights rest on k observations; about ten an asset is little enough.

    References
    ----------
    Rockafellar and Uryasev (2000), *Optimization of conditional value-at-risk*; Acerbi and Tasche (2002), *On the
    coherence of expected shortfall*.

    Examples
    --------
    >>> import numpy as np
    >>> returns = np.array([[0.02, 0.01], [-0.04, 0.00], [0.03, 0.01], [0.01, -0.01]])
    >>> CVaR(confidence=0.75).optimize(returns, kind="returns").round(6).tolist()
    [0.166667, 0.833333]
    """

    confidence: Share = 0.95
    loss = Linear()

    def risk(self, market: Market) -> Risk:
        """Mean of the tail."""
        return ambiguity.CVaR(self.confidence)


@objective
class EVaR(ScenarioObjective):
    r"""Minimum entropic value-at-risk, the tightest upper bound of value-at-risk by exponential moments.

    .. math:: \min_{w \in W} \; \min_{s > 0} \; \frac{1}{s} \left( \log \sum_t p_t e^{-s\, w^\top r_t}
        - \log(1 - \beta) \right) + \lambda R(w)

    It is the worst expected loss over all probabilities within :math:`-\log(1 - \beta)` nats of the nominal ones, so
    the portfolio is that of :class:`~opeslike.objectives.distributionally_robust.KLRobustMaxMean` with that radius.

    Parameters
    ----------
    confidence : float in (0, 1)
        :math:`\beta`.
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
    Ahmadi-Javid (2012), *Entropic value-at-risk: a new coherent risk measure*.
    """

    confidence: Share = 0.85
    loss = Linear()

    def risk(self, market: Market) -> Risk:
        """Worst mean over a KL ball."""
        return KLBall(-math.log1p(-self.confidence))


@objective
class EntropicRisk(ScenarioObjective):
    r"""Minimum entropic risk: the certain loss that is as bad as the portfolio for exponential utility.

    .. math:: \min_{w \in W} \; \frac{1}{\theta} \log \sum_t p_t e^{-\theta\, w^\top r_t} + \lambda R(w)

    The weights are those of :class:`~opeslike.objectives.utility_theory.CARA`; the value is in units of return.

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\theta`, per unit of return. For small values it is close to mean-variance with that aversion.
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
    Follmer and Schied (2002), *Convex measures of risk and trading constraints*.
    """

    risk_aversion: Positive = 1.0
    loss = Linear()

    def risk(self, market: Market) -> Risk:
        """Entropic risk."""
        return Entropic(self.risk_aversion)


@objective
class WorstCaseLoss(ScenarioObjective):
    r"""Minimax: the portfolio whose worst scenario is least bad.

    .. math:: \min_{w \in W} \; \max_t \; -w^\top r_t + \lambda R(w)

    Probabilities play no part, except that scenarios of probability 0 are left out.

    Parameters
    ----------
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
    Young (1998), *A minimax portfolio selection rule with linear programming solution*.
    """

    loss = Linear()

    def risk(self, market: Market) -> Risk:
        """Largest loss."""
        return ambiguity.WorstCase()


@objective
class MeanRiskObjective(ScenarioObjective):
    """``minimise aversion * risk(-R w) - mean' w``: a subclass gives the risk."""

    uses_mean = True

    risk_aversion: Positive = 0.5
    custom_mean: Any = field(default=None, kw_only=True)
    loss = Linear()

    def _problem(self, market: Market, given: Given = NOTHING) -> ScenarioProblem:
        problem = super()._problem(market, given)
        mean = mean_of(market, self.custom_mean if given.custom_mean is None else given.custom_mean)
        problem.penalty = Tilted(-mean, problem.penalty)
        return problem


@objective
class MeanCVaR(MeanRiskObjective):
    r"""Expected return against conditional value-at-risk.

    .. math:: \min_{w \in W} \; \gamma\, \mathrm{CVaR}_\beta(-w^\top r) - \mu^\top w + \lambda R(w)

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, expected return per period given up for a unit of CVaR per period.
    confidence : float in (0, 1)
        :math:`\beta`; see :class:`CVaR`.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean; the scenarios give the risk alone.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Krokhmal, Palmquist and Uryasev (2002), *Portfolio optimization with conditional value-at-risk objective and
    constraints*.
    """

    confidence: Share = 0.95

    def risk(self, market: Market) -> Risk:
        """Multiple of the mean of the tail."""
        return Multiple(ambiguity.CVaR(self.confidence), self.risk_aversion)


@objective
class MeanEVaR(MeanRiskObjective):
    r"""Expected return against entropic value-at-risk.

    .. math:: \min_{w \in W} \; \gamma\, \mathrm{EVaR}_\beta(-w^\top r) - \mu^\top w + \lambda R(w)

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, expected return per period given up for a unit of EVaR per period.
    confidence : float in (0, 1)
        :math:`\beta`; see :class:`EVaR`.
    reg, strength
        Regulariser R and its strength lambda; see :class:`~opeslike.objectives.base.ConvexObjective`.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean; the scenarios give the risk alone.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Ahmadi-Javid and Fallah-Tafti (2019), *Portfolio optimization with entropic value-at-risk*.
    """

    confidence: Share = 0.85

    def risk(self, market: Market) -> Risk:
        """Multiple of the worst mean over a KL ball."""
        return Multiple(KLBall(-math.log1p(-self.confidence)), self.risk_aversion)
