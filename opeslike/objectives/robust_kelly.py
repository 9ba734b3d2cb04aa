"""Kelly portfolios that doubt the odds, or limit the drawdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any

import numpy as np

from opeslike.beliefs import Chain, Prior
from opeslike.checks import radii_of
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.modelling.ambiguity import DistanceBall, ProbabilityBox
from opeslike.modelling.limits import DrawdownOdds, RiskLimit
from opeslike.modelling.losses import Log
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.risks import Mean, Risk
from opeslike.objectives.covering import WithinBall
from opeslike.objectives.parameters import (
    AtLeastZero,
    Fraction,
    Positive,
    Radii,
    Radius,
    Share,
    objective,
    one_of,
)
from opeslike.objectives.scenarios import ScenarioObjective
from opeslike.objectives.utility_theory import GrowthObjective, Kelly

#: with cash, without borrowing
CASH = Mandate(leverage=1.0)


@objective
class KLRobustKelly(WithinBall, GrowthObjective):
    r"""Kelly under the worst scenario probabilities within a Kullback-Leibler ball around the empirical ones.

    .. math:: \max_{w \in W} \; \min_{q :\, \sum_t q_t \log(q_t / p_t) \le \varepsilon} \;
        \sum_t q_t \log(1 + w^\top r_t)

    Parameters
    ----------
    fraction : float in (0, 1]
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float, "auto" or Covering
        Radius of the ball in nats, at least 0; 0 is Kelly, and from ``log T`` on only the worst scenario counts.
        "auto" is ``1 / sqrt(T)``, T the number of scenarios seen, a rule of thumb without a coverage guarantee; see
        :func:`kl_radius` for radii that have one for a fixed portfolio, and
        :class:`~opeslike.objectives.covering.Covering` for one that is calibrated to the optimised one.
    formulation, reg, strength
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    beliefs, mandate, solver, time_limit
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

    radius: Radius = 0.01


@objective
class RiskConstrainedKelly(ScenarioObjective):
    r"""Kelly with a bound on the odds of a drawdown.

    .. math:: \max_{w \in W} \; \sum_t p_t \log(1 + w^\top r_t) \quad \text{subject to} \quad
        \sum_t p_t (1 + w^\top r_t)^{-\lambda} \le 1

    Whatever the number of bets, if they are independent draws from the scenarios and the same weights are held all the
    time, the constraint bounds the odds that wealth ever falls below a share :math:`\alpha` of its *start*:
    :math:`P(\min_n W_n < \alpha) < \alpha^\lambda`. It says nothing about falls from a later peak, and nothing where
    bad days come together.

    Parameters
    ----------
    max_drawdown : float in (0, 1)
        :math:`1 - \alpha`, the fall from the start that is to be rare: 0.3 is a fall to 70% of the start.
    probability : float in (0, 1)
        Upper bound of its odds. The two give :math:`\lambda = \log(\text{probability}) / \log(1 -
        \text{max\_drawdown})`.
    lam : float > 0, optional
        :math:`\lambda` itself, instead of the two.
    mandate : Mandate
        With ``leverage=1`` by default: what is not invested is cash, without which most markets allow no weights that
        meet the constraint.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or ``lam`` comes with ``max_drawdown`` or ``probability``.
    InfeasibleError
        From ``optimize``: if no weights meet the constraint.

    Notes
    -----
    The constraint is the entropic risk at aversion :math:`\lambda` of the log losses, convex and smooth. The solver
    finds its price; ``solution.gap`` holds for the constrained problem. The default, a fall of 30% with odds of
    10%, is :math:`\lambda = 6.456`. For small returns the answer is close to the fraction :math:`2 / (1 + \lambda)` of
    the Kelly portfolio.

    References
    ----------
    Busseti, Ryu and Boyd (2016), *Risk-constrained Kelly gambling*.

    Examples
    --------
    >>> import numpy as np
    >>> coin = np.array([[1.25]] * 51 + [[-1.0]] * 49)  # 5 to 4 at 51%
    >>> RiskConstrainedKelly(lam=3.0).optimize(coin, kind="returns").round(6).tolist()
    [0.058925]
    """

    max_drawdown: Share | None = None
    probability: Share | None = None
    lam: Positive | None = field(default=None, kw_only=True)
    mandate: Mandate = field(default=CASH, kw_only=True)
    loss = Log()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lam is not None and (self.max_drawdown is not None or self.probability is not None):
            raise PortfolioError("give either lam, or max_drawdown and probability")

    @property
    def _own_limits(self) -> tuple[RiskLimit, ...]:
        """The odds of a drawdown: by default a fall of 30% at odds of 10%."""
        fall = 0.3 if self.max_drawdown is None else self.max_drawdown
        odds = 0.1 if self.probability is None else self.probability
        return (DrawdownOdds(fall, odds) if self.lam is None else DrawdownOdds(lam=self.lam),)


@objective
class BayesianKelly(Kelly):
    r"""Kelly on the sample mixed with prior scenarios, as if the prior had been observed ``pseudo_count`` times.

    .. math:: \max_{w \in W} \; \frac{T}{T + c} \sum_t p_t \log(1 + w^\top r_t)
        + \frac{c}{T + c} \cdot \frac{1}{S} \sum_s \log(1 + w^\top r^0_s)

    With c = 0 it is Kelly on the sample; with c large, Kelly on the prior. It is the posterior mean of the odds under a
    Dirichlet prior on the T + S scenarios. A prior of pessimistic days, or of days from another market, draws the
    portfolio towards caution the more, the shorter the sample.

    Parameters
    ----------
    prior_scenarios : array-like or DataFrame of shape (S, N)
        Simple returns per period; a frame is matched by ticker, an array by position.
    pseudo_count : float >= 0
        c, the number of observations that the prior counts for.
    fraction, reg, strength, formulation
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`; the prior is added to what the beliefs make of the sample.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.
    DataError
        If the prior scenarios are not finite numbers, or, from ``optimize``, not for the assets of the data.

    References
    ----------
    Browne and Whitt (1996), *Portfolio choice and the Bayesian Kelly criterion*.

    Examples
    --------
    >>> import numpy as np
    >>> heads = np.array([[1.0]] * 7 + [[-1.0]] * 3)
    >>> fair = np.array([[1.0], [-1.0]])
    >>> from opeslike import Mandate
    >>> kelly = BayesianKelly(fair, pseudo_count=10, mandate=Mandate(leverage=1))
    >>> kelly.optimize(heads, kind="returns").round(6).tolist()
    [0.2]
    """

    prior_scenarios: Any
    pseudo_count: AtLeastZero = 100.0
    fraction: Fraction = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        Prior(self.prior_scenarios, self.pseudo_count)

    def _belief(self) -> Callable[[Market], Market]:
        return Chain(super()._belief(), Prior(self.prior_scenarios, self.pseudo_count))


@objective
class BoxRobustKelly(GrowthObjective):
    r"""Kelly under the worst scenario probabilities that are each known up to a share of themselves.

    .. math:: \max_{w \in W} \; \min_{q} \; \sum_t q_t \log(1 + w^\top r_t) \quad \text{over} \quad
        |q_t - p_t| \le \eta\, p_t, \; q \ge 0, \; \textstyle\sum_t q_t = 1

    Parameters
    ----------
    fraction : float in (0, 1]
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float >= 0 or array-like of shape (T,)
        :math:`\eta`, one for all scenarios or one each. 0 is Kelly; 0.5 lets every probability be half to one and a
        half times its nominal value.
    formulation, reg, strength
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or, from ``optimize``, an array of radii does not fit the scenarios.

    Notes
    -----
    The worst case puts :math:`(1 + \eta) p` on the bad half of the scenarios and :math:`(1 - \eta) p` on the good one:
    the mean less :math:`\eta` times the mean absolute deviation of the log returns from their median, for
    :math:`\eta \le 1` and uniform probabilities.

    References
    ----------
    Sun and Boyd (2018), *Distributional robust Kelly gambling*.
    """

    radius: Radii = 0.25

    def risk(self, market: Market) -> Risk:
        """Worst mean over the box."""
        radius, count, p = radii_of(self.radius), market.n_scenarios, market.probabilities
        if isinstance(radius, np.ndarray) and radius.size != count:
            raise PortfolioError(f"radius has {radius.size} values for {count} scenarios; give one each, or one number")
        if not np.any(radius):
            return Mean()
        p = np.full(count, 1.0 / count) if p is None else p
        held = p > 0  # the problem leaves out the other scenarios
        return ProbabilityBox(np.maximum(p * (1.0 - radius), 0.0)[held], np.minimum(p * (1.0 + radius), 1.0)[held])


@objective
class EllipsoidRobustKelly(GrowthObjective):
    r"""Kelly under the worst scenario probabilities within an ellipsoid around the nominal ones.

    .. math:: \max_{w \in W} \; \min_{q} \; \sum_t q_t \log(1 + w^\top r_t) \quad \text{over} \quad
        \sum_t (q_t - p_t)^2 / s_t \le \varepsilon^2, \; q \ge 0, \; \textstyle\sum_t q_t = 1

    Parameters
    ----------
    fraction : float in (0, 1]
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float >= 0
        :math:`\varepsilon`; 0 is Kelly.
    metric : {"l2", "chi-square"}
        "l2" (default): :math:`s_t = 1`, a Euclidean ball. "chi-square": :math:`s_t = p_t`; the same radius then means
        the same whatever the number of scenarios: while all q stay positive, the objective is the growth less
        :math:`\varepsilon` standard deviations of the log returns. With uniform probabilities the ball of radius
        :math:`\varepsilon` in one is that of :math:`\varepsilon \sqrt T` in the other.
    formulation, reg, strength
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Sun and Boyd (2018), *Distributional robust Kelly gambling*; Duchi and Namkoong (2019), *Variance-based
    regularization with convex objectives*, on the chi-square ball.
    """

    radius: AtLeastZero = 0.002
    metric: Annotated[str, one_of("l2", "chi-square")] = field(default="l2", kw_only=True)

    def risk(self, market: Market) -> Risk:
        """Worst mean over the ellipsoid."""
        if self.metric.lower() == "chi-square":
            return DistanceBall(self.radius)
        p = market.probabilities
        return DistanceBall(self.radius, np.ones(market.n_scenarios if p is None else int((p > 0).sum())))
