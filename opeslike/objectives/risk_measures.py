"""Objectives that minimise a measure of loss, alone or against expected return."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.market import Kind, Market
from opeslike.modelling import ambiguity, risks
from opeslike.modelling.losses import Linear
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.tilt import Tilted
from opeslike.objectives.base import Constraint, ScenarioObjective
from opeslike.objectives.moments import mean_of
from opeslike.objectives.parameters import check_mean, positive, share_of
from opeslike.objectives.value_at_risk import VaR

FloatArray = NDArray[np.float64]

__all__ = ["CVaR", "EVaR", "EntropicRisk", "MeanCVaR", "MeanEVaR", "VaR", "WorstCaseLoss"]


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
    solver, constraints, probabilities
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

    loss = Linear()

    def __init__(
        self,
        confidence: float = 0.95,
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
        self.confidence = share_of("confidence", confidence)
        self.risk = ambiguity.CVaR(self.confidence)


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
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Ahmadi-Javid (2012), *Entropic value-at-risk: a new coherent risk measure*.
    """

    loss = Linear()

    def __init__(
        self,
        confidence: float = 0.85,
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
        self.confidence = share_of("confidence", confidence)
        self.risk = risks.KLBall(-math.log1p(-self.confidence))


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
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Follmer and Schied (2002), *Convex measures of risk and trading constraints*.
    """

    loss = Linear()

    def __init__(
        self,
        risk_aversion: float = 1.0,
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
        self.risk_aversion = positive("risk_aversion", risk_aversion)
        self.risk = risks.Entropic(self.risk_aversion)


class WorstCaseLoss(ScenarioObjective):
    r"""Minimax: the portfolio whose worst scenario is least bad.

    .. math:: \min_{w \in W} \; \max_t \; -w^\top r_t + \lambda R(w)

    Probabilities play no part, except that scenarios of probability 0 are left out.

    Parameters
    ----------
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
    Young (1998), *A minimax portfolio selection rule with linear programming solution*.
    """

    loss = Linear()
    risk = ambiguity.WorstCase()

    def __init__(
        self,
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

    def optimize(
        self,
        data: Any = None,
        weight_bounds: Any = None,
        w: ArrayLike | None = None,
        *,
        kind: Kind | None = None,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        seed: int | None = None,
    ) -> FloatArray:
        """Find the weights; see :meth:`Optimizer.optimize` for the other parameters.

        Parameters
        ----------
        data, weight_bounds, w, kind, custom_mean, custom_cov
            As in :meth:`Optimizer.optimize`.
        seed : int, optional
            Taken because scripts for OPES pass it; nothing is random here.
        """
        return super().optimize(data, weight_bounds, w, kind=kind, custom_mean=custom_mean, custom_cov=custom_cov)


class MeanRiskObjective(ScenarioObjective):
    """``minimise aversion * risk(-R w) - mean' w``: a subclass gives the risk."""

    loss = Linear()

    def __init__(
        self,
        risk_aversion: float,
        *,
        reg: str | None,
        strength: float,
        custom_mean: ArrayLike | None,
        solver: str,
        constraints: Sequence[Constraint],
        probabilities: ArrayLike | None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.risk_aversion = positive("risk_aversion", risk_aversion)
        self.custom_mean = custom_mean

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        given = self.custom_mean if custom_mean is None else custom_mean
        mean = mean_of(market) if given is None else check_mean(given, market.assets)
        problem = super()._problem(market, weight_bounds, None, custom_cov)
        assert isinstance(problem, ScenarioProblem)
        problem.penalty = Tilted(-mean, problem.penalty)
        return problem


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
    solver, constraints, probabilities
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

    def __init__(
        self,
        risk_aversion: float = 0.5,
        confidence: float = 0.95,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        custom_mean: ArrayLike | None = None,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            risk_aversion,
            reg=reg,
            strength=strength,
            custom_mean=custom_mean,
            solver=solver,
            constraints=constraints,
            probabilities=probabilities,
        )
        self.confidence = share_of("confidence", confidence)
        self.risk = risks.Multiple(ambiguity.CVaR(self.confidence), self.risk_aversion)


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
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Ahmadi-Javid and Fallah-Tafti (2019), *Portfolio optimization with entropic value-at-risk*.
    """

    def __init__(
        self,
        risk_aversion: float = 0.5,
        confidence: float = 0.85,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        custom_mean: ArrayLike | None = None,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            risk_aversion,
            reg=reg,
            strength=strength,
            custom_mean=custom_mean,
            solver=solver,
            constraints=constraints,
            probabilities=probabilities,
        )
        self.confidence = share_of("confidence", confidence)
        self.risk = risks.Multiple(risks.KLBall(-math.log1p(-self.confidence)), self.risk_aversion)
