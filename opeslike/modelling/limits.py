"""Limits on risk: convex functions of what is held that must not exceed a level, several at once.

What a limit measures is a :class:`~opeslike.modelling.convex.Problem` of its own over the same variables, so its value,
slope, curvature, worst case and cvxpy form are those that problems have anyway, and so is its least value.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from opeslike.errors import PortfolioError
from opeslike.market import FloatArray, Market
from opeslike.modelling.ambiguity import CVaR
from opeslike.modelling.convex import Problem
from opeslike.modelling.covariance import Matrix, sample_moments
from opeslike.modelling.losses import Linear, Log, Loss
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem, VolatilityProblem
from opeslike.modelling.risks import Entropic, Multiple, Risk
from opeslike.parameters import Parameters, Positive, Share

#: scenarios at the edge of a tail from which its curvature is told, besides two for each variable
_EDGE = 20


@dataclass(frozen=True, eq=False)
class Limit:
    """``measure(x) <= most`` on the variables of a problem.

    Attributes
    ----------
    measure : Problem
    most : float
    name : str
        The limit as it is written, such as "volatility <= 0.15".
    odds : float, optional
        Where not ``most`` is written but the odds that give the aversion of an entropic risk.
    """

    measure: Problem
    most: float
    name: str
    odds: float | None = None

    @property
    def curved(self) -> bool:
        """Whether its surface bends; that of a tail is made of flat pieces."""
        return self.measure.smooth

    @property
    def alone(self) -> Problem:
        """What is least where the measure is: the variance for a volatility, which has a kink where it is 0."""
        measure = self.measure
        if not isinstance(measure, VolatilityProblem):
            return copy.copy(measure)
        lift, covariance = measure.lift, measure.covariance
        lift = replace(lift, known=np.zeros_like(lift.known), constant=0.0, cost=None)
        pull = None if measure.centre is None else covariance @ measure.centre
        return QuadraticProblem(pull, covariance, 1.0, measure.bounds, None, lift)

    def over(self, x: FloatArray) -> float:
        """By how much the limit is exceeded; infinite outside the domain of what is measured."""
        if not self.measure.in_domain(x):
            return math.inf
        return float(self.measure.evaluate(x).value) - self.most

    def bend(self, x: FloatArray, point: Any = None) -> FloatArray:
        """Second derivative of what is measured, which may have been evaluated at x.

        Of a tail, that of a smooth one through the scenarios at its edge: the mean of the worst share b of the losses
        bends by ``f / b`` times the covariance of the slopes at its edge, f being the density of the losses there.
        """
        measure: Any = self.measure
        point = measure.evaluate(x) if point is None else point
        if self.curved:
            return np.asarray(measure.hessian(point))
        p, q, losses = measure.probabilities, point.risk.q, point.losses
        near = np.argsort(np.abs(losses - losses[q > 0].min()))[: _EDGE + 2 * x.size]
        weight = np.zeros_like(p)
        weight[near] = p[near]
        total = float(weight.sum())
        density = total / max(float(np.ptp(losses[near])), 1e-300)
        mean = measure.pull(weight * point.slope) / total
        around = measure.gram(weight * point.slope**2) / total - np.outer(mean, mean)
        return np.asarray(around * (density * float((q / p).max())))

    def unit(self, x: FloatArray) -> float:
        """By how much a unit of what is written moves ``most``, at x."""
        if self.odds is None:
            return 1.0
        point: Any = self.measure.evaluate(x)
        # log E exp(a loss) / a grows by (E_q loss - its value) / a with a = log(odds) / log(1 - fall), which falls by
        # a / (odds log(1 / odds)) a unit of odds
        steeper = float(point.risk.q @ point.losses - point.value)
        return -steeper / (self.odds * math.log(self.odds))


@dataclass(frozen=True)
class Basis:
    """What limits on risk are made from: the scenarios, a problem over them, and the units.

    ``scale`` is what its weights are multiplied by to give those held; ``covariance`` is per period, ``year`` the
    periods in one.
    """

    market: Market
    problem: Problem
    scale: float = 1.0
    year: float = 252.0
    given: FloatArray | None = None

    @cached_property
    def covariance(self) -> Matrix:
        """The covariance given, else that of the scenarios under their probabilities."""
        return sample_moments(self.market)[1] if self.given is None else self.given

    def scenarios(self, loss: Loss, risk: Risk) -> ScenarioProblem:
        """A risk of the losses."""
        made = ScenarioProblem(
            self.market.returns,
            self.market.probabilities,
            loss,
            risk,
            self.problem.bounds,
            None,
            self.problem.lift,
        )
        made.cost = made.impact = None
        return made

    def volatility(self, centre: FloatArray | None = None) -> VolatilityProblem:
        """Annual standard deviation of what is held, less ``centre`` held."""
        price = self.scale * math.sqrt(self.year)
        level = None if centre is None else centre / self.scale
        made = VolatilityProblem(
            None, self.covariance, price, self.problem.bounds, None, self.problem.lift, centre=level
        )
        made.cost = made.impact = None
        return made


@dataclass(frozen=True, repr=False)
class RiskLimit(Parameters, ABC):
    """A limit on the risk of what is held, for ``Mandate(risk_limits=[...])``."""

    @abstractmethod
    def on(self, basis: Basis) -> Limit:
        """The limit on the variables of a problem."""


@dataclass(frozen=True, repr=False)
class Volatility(RiskLimit):
    r"""Largest annual volatility: :math:`\sqrt{n \, w^\top \Sigma w} \le \text{most}`.

    Sigma is the covariance per period, around the mean, of the scenarios under their probabilities (divided by T - 1
    where these are uniform), or the ``custom_cov`` of an objective that takes one; n are the periods in a year.

    Parameters
    ----------
    most : float > 0
        A year, 0.15 for 15%.

    Raises
    ------
    PortfolioError
        If the parameter is out of its range.

    References
    ----------
    Markowitz (1952), *Portfolio selection*.
    """

    most: Positive

    def on(self, basis: Basis) -> Limit:
        """On the standard deviation."""
        return Limit(basis.volatility(), self.most, f"volatility <= {self.most:g}")


@dataclass(frozen=True, repr=False)
class TrackingError(RiskLimit):
    """Largest annual volatility of what is held less the benchmark: ``Mandate(max_tracking_error=...)``.

    Parameters
    ----------
    most : float > 0
    benchmark : ndarray of shape (N,)
    """

    most: float
    benchmark: FloatArray

    def on(self, basis: Basis) -> Limit:
        """On the standard deviation of the difference."""
        return Limit(basis.volatility(self.benchmark), self.most, f"tracking error <= {self.most:g}")


@dataclass(frozen=True, repr=False)
class ExpectedShortfall(RiskLimit):
    r"""Largest expected shortfall (CVaR) per period: the mean of the worst :math:`1 - \beta` of the losses.

    .. math:: \min_\nu \; \nu + \frac{1}{1 - \beta} \sum_t p_t (-w^\top r_t - \nu)_+ \le \text{most}

    Parameters
    ----------
    most : float
        Per period; 0.03 is a mean loss of 3% on the worst days.
    confidence : float in (0, 1)
        :math:`\beta`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Rockafellar and Uryasev (2000), *Optimization of conditional value-at-risk*.
    """

    most: Positive
    confidence: Share = 0.95

    def on(self, basis: Basis) -> Limit:
        """On the mean of the tail."""
        measure = basis.scenarios(Linear(), Multiple(CVaR(self.confidence), basis.scale))
        return Limit(measure, self.most, f"expected shortfall at {self.confidence:g} <= {self.most:g}")


@dataclass(frozen=True, repr=False)
class DrawdownOdds(RiskLimit):
    r"""Largest odds that wealth ever falls below a share :math:`\alpha` of its *start*.

    .. math:: \sum_t p_t (1 + w^\top r_t)^{-\lambda} \le 1, \qquad
        \lambda = \frac{\log(\text{odds})}{\log(1 - \text{fall})}

    Whatever the number of periods, if they are independent draws from the scenarios and the same weights are held all
    the time, then :math:`P(\min_n W_n < \alpha) < \alpha^\lambda`. It says nothing about falls from a later peak.

    Parameters
    ----------
    fall : float in (0, 1)
        :math:`1 - \alpha`: 0.3 is a fall to 70% of the start.
    odds : float in (0, 1)
        Upper bound of its probability.
    lam : float > 0, optional
        :math:`\lambda` itself, instead of the two.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or ``lam`` comes with one of the others, or they do not come together.

    References
    ----------
    Busseti, Ryu and Boyd (2016), *Risk-constrained Kelly gambling*.
    """

    fall: Share | None = None
    odds: Share | None = None
    lam: Positive | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if (self.fall is None) != (self.odds is None) or (self.fall is None) == (self.lam is None):
            raise PortfolioError("DrawdownOdds takes fall and odds, or lam alone")

    def on(self, basis: Basis) -> Limit:
        """On the entropic risk of the log losses at aversion lambda."""
        lam, name = self.lam, f"drawdown risk at lam {self.lam} <= 0"
        if self.fall is not None and self.odds is not None:
            lam = math.log(self.odds) / math.log1p(-self.fall)
            name = f"odds of a fall of {self.fall:g} <= {self.odds:g}"
        assert lam is not None
        return Limit(basis.scenarios(Log(basis.scale), Entropic(float(lam))), 0.0, name, self.odds)
