"""Expected-utility objectives."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Annotated

from opeslike.errors import PortfolioError
from opeslike.modelling.losses import Exponential, Hyperbolic, Log, Power, Quadratic
from opeslike.objectives.parameters import Finite, Fraction, Positive, objective, one_of
from opeslike.objectives.scenarios import ScenarioObjective


@objective
class GrowthObjective(ScenarioObjective):
    """A risk of the losses ``-log(1 + w.r)``, of which a fraction is held.

    Parameters
    ----------
    fraction : float in (0, 1]
        With ``formulation="thorp"`` the share of wealth held in the full portfolio, the rest being cash.
    formulation : {"thorp", "opes"}
        See :class:`Kelly`.
    """

    fraction: Fraction = 1.0
    formulation: Annotated[str, one_of("thorp", "opes")] = field(default="thorp", kw_only=True)

    @property
    def loss(self) -> Log:
        """The logarithmic loss, of f w in OPES's form."""
        return Log(self.fraction) if self.formulation.lower() == "opes" else Log()

    def _scale(self) -> float:
        return 1.0 if self.formulation.lower() == "opes" else float(self.fraction)


@objective
class Kelly(GrowthObjective):
    r"""Kelly criterion: maximise the expected growth rate of wealth, and hold a fraction of that portfolio.

    .. math:: \max_{w \in W} \; \sum_t p_t \log(1 + w^\top r_t)

    Parameters
    ----------
    fraction : float in (0, 1]
        With ``formulation="thorp"`` the share of wealth held in the full Kelly portfolio, the rest being cash: half
        Kelly keeps about three quarters of the growth at half the volatility.
    formulation : {"thorp", "opes"}
        "thorp" (default): solve the problem above and hold ``fraction`` times its answer. "opes": solve
        :math:`\max \sum_t p_t \log(1 + f\, w^\top r_t)` with sum(w) = 1 and hold w fully invested, as the OPES package
        defines it. There a smaller f makes the objective *less* averse to risk, so the portfolio becomes more
        concentrated; it exists for comparison. At ``fraction=1`` the two are the same.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.
    InfeasibleError
        From ``optimize``: if no weights satisfy the limits, or every feasible portfolio loses everything in some
        scenario; names it.

    Notes
    -----
    ``solution.value`` is minus the growth rate per period of the full portfolio, and ``solution.gap`` bounds the
    growth given away, per period. For long-only weights it is at most ``log max_i mean_t(x_ti / x_t.w)``, x the gross
    returns.

    References
    ----------
    Kelly (1956), *A new interpretation of information rate*; Breiman (1961); Thorp (2006), *The Kelly criterion in
    blackjack, sports betting and the stock market*; MacLean, Thorp and Ziemba (2011).

    Examples
    --------
    >>> import numpy as np
    >>> coin = np.array([[1.0, 0.0]] * 60 + [[-1.0, 0.0]] * 40)  # even money at 60%, and cash
    >>> Kelly().optimize(coin, kind="returns").round(6).tolist()
    [0.2, 0.8]
    >>> from opeslike import Mandate
    >>> half = Kelly(0.5, mandate=Mandate(leverage=1))  # the same with cash left over, and half of it
    >>> half.optimize(coin[:, :1], kind="returns").round(6).tolist()
    [0.1]
    >>> half
    Kelly(fraction=0.5, mandate=Mandate(leverage=1))
    """


@objective
class QuadraticUtility(ScenarioObjective):
    r"""Quadratic utility of wealth.

    .. math:: \min_{w \in W} \; \sum_t p_t \left[ \tfrac{\gamma}{2} (1 + w^\top r_t)^2 - (1 + w^\top r_t) \right]

    Utility depends on mean and variance alone. It falls with wealth beyond :math:`1 / \gamma` (satiation), so with
    :math:`\gamma \ge 1` the investor would rather not earn anything; values well below 1 are usual.

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, per unit of wealth.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If ``risk_aversion`` is not a finite number above 0.

    References
    ----------
    Markowitz (1959), *Portfolio selection: efficient diversification of investments*; Tobin (1958).
    """

    risk_aversion: Positive = 0.5

    @property
    def loss(self) -> Quadratic:
        """Quadratic in wealth."""
        return Quadratic(self.risk_aversion)


@objective
class CARA(ScenarioObjective):
    r"""Exponential utility: constant absolute risk aversion.

    .. math:: \min_{w \in W} \; \frac{1}{\alpha} \sum_t p_t \, e^{-\alpha\, w^\top r_t}

    Without a regulariser its optimum is that of :class:`~opeslike.objectives.risk_measures.EntropicRisk` at the same
    risk aversion.

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\alpha`, per unit of return: near 0 expected return alone counts, at 1 the choice is close to Kelly's.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If ``risk_aversion`` is not a finite number above 0, or so large that the utility of a loss in the data exceeds
        the range of floating point.

    References
    ----------
    Pratt (1964), *Risk aversion in the small and in the large*; Arrow (1965), *Aspects of the theory of risk-bearing*.
    """

    risk_aversion: Positive = 1.0

    @property
    def loss(self) -> Exponential:
        """Exponential in the return."""
        return Exponential(self.risk_aversion)


@objective
class CRRA(ScenarioObjective):
    r"""Power utility: constant relative risk aversion.

    .. math:: \max_{w \in W} \; \sum_t p_t \, \frac{(1 + w^\top r_t)^{1 - \gamma}}{1 - \gamma}

    At :math:`\gamma = 1` it is :class:`Kelly` (the limit, up to a constant). A fraction :math:`f` of Kelly is close to
    :math:`\gamma = 1 / f`.

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, without unit.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If ``risk_aversion`` is not a finite number above 0, or so large that the utility of a loss in the data exceeds
        the range of floating point.
    InfeasibleError
        From ``optimize``: if every feasible portfolio loses everything in some scenario; names it.

    References
    ----------
    Pratt (1964), *Risk aversion in the small and in the large*; Merton (1969), *Lifetime portfolio selection under
    uncertainty*.
    """

    risk_aversion: Positive = 2.0

    @property
    def loss(self) -> Power:
        """A power of wealth."""
        return Power(self.risk_aversion)


@objective
class HARA(ScenarioObjective):
    r"""Hyperbolic absolute risk aversion.

    .. math:: \max_{w \in W} \; \sum_t p_t \, \frac{1 - \gamma}{\gamma}
        \left( \frac{a\,(1 + w^\top r_t)}{1 - \gamma} + b \right)^{\gamma}

    For :math:`\gamma > 1` the base in brackets falls with wealth, and utility has its maximum where the base is 0; the
    default :math:`\gamma = 2` is a quadratic utility. Beyond that wealth the utility is not defined, and a portfolio
    that reaches it is refused.

    Parameters
    ----------
    risk_aversion : float > 1
        :math:`\gamma`.
    scale : float > 0
        :math:`a`, what wealth is multiplied by.
    shift : float
        :math:`b`; the base is positive up to wealth :math:`b (\gamma - 1) / a`.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or, from ``optimize``, the base is negative for the best weights in some
        scenario; names it.

    References
    ----------
    Merton (1971), *Optimum consumption and portfolio rules in a continuous-time model*.
    """

    risk_aversion: Positive = 2.0
    scale: Positive = 1.0
    shift: Finite = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.risk_aversion <= 1:
            raise PortfolioError(f"risk_aversion={self.risk_aversion!r} must be above 1 for HARA utility")
        if self.loss.offset == math.inf:
            raise PortfolioError(
                f"HARA utility with risk_aversion={self.risk_aversion!r} and shift={self.shift!r} exceeds the range of "
                "floating point; lower one of them"
            )

    @property
    def loss(self) -> Hyperbolic:
        """A power of what wealth leaves of the shift."""
        return Hyperbolic(float(self.risk_aversion), float(self.scale), float(self.shift))
