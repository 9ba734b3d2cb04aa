"""Expected-utility objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numpy.typing import ArrayLike

from opeslike.errors import PortfolioError
from opeslike.modelling.losses import Exponential, Hyperbolic, Log, Power, Quadratic
from opeslike.modelling.risks import Mean
from opeslike.objectives.base import Constraint, ScenarioObjective, finite, fraction_of, positive
from opeslike.objectives.leverage import financing_of

FORMULATIONS = ("thorp", "opes")


def log_loss(fraction: float, formulation: str) -> tuple[Log, float]:
    """The logarithmic loss of a fractional Kelly objective, and what its optimum is multiplied by.

    Raises
    ------
    PortfolioError
    """
    if formulation == "thorp":
        return Log(), fraction
    if formulation == "opes":
        return Log(fraction), 1.0
    raise PortfolioError(f"formulation={formulation!r} is unknown; use 'thorp' or 'opes'")


class Kelly(ScenarioObjective):
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
    leverage : float > 0, optional
        Largest sum of weights. What is not invested is cash and earns ``risk_free``; above 1 money is borrowed at
        ``risk_free + borrow_spread``, both inside the objective. The default upper bound of each weight is then
        ``leverage``. None (default) is fully invested.
    risk_free, borrow_spread : float
        Annual rates; the spread is at least 0. They need ``leverage`` (1 allows cash without borrowing).
    gross : float > 0, optional
        Largest sum of absolute weights.
    short_fee : float >= 0
        Annual fee on short positions.
    periods_per_year : float > 0
        How annual rates become rates per period, ``(1 + rate)^(1 / periods_per_year) - 1``.
    solver, constraints, probabilities
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
    >>> Kelly(leverage=1).optimize(coin[:, :1], kind="returns").round(6).tolist()  # the same with cash left over
    [0.2]
    """

    risk = Mean()

    def __init__(
        self,
        fraction: float = 1.0,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        formulation: str = "thorp",
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
        self.financing = financing_of(leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year)

    def _scale(self) -> float:
        return self._multiple


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
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If ``risk_aversion`` is not a finite number above 0.

    References
    ----------
    Markowitz (1959), *Portfolio selection: efficient diversification of investments*; Tobin (1958).
    """

    risk = Mean()

    def __init__(
        self,
        risk_aversion: float = 0.5,
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
        self.loss = Quadratic(self.risk_aversion)


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
    solver, constraints, probabilities
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

    risk = Mean()

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
        self.loss = Exponential(self.risk_aversion)


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
    solver, constraints, probabilities
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

    risk = Mean()

    def __init__(
        self,
        risk_aversion: float = 2.0,
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
        self.loss = Power(self.risk_aversion)


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
    solver, constraints, probabilities
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

    risk = Mean()

    def __init__(
        self,
        risk_aversion: float = 2.0,
        scale: float = 1.0,
        shift: float = 3.0,
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
        if self.risk_aversion <= 1:
            raise PortfolioError(f"risk_aversion={risk_aversion!r} must be above 1 for HARA utility")
        self.scale = positive("scale", scale)
        self.shift = finite("shift", shift)
        self.loss = Hyperbolic(self.risk_aversion, self.scale, self.shift)
        if self.loss.offset == math.inf:
            raise PortfolioError(
                f"HARA utility with risk_aversion={risk_aversion!r} and shift={shift!r} exceeds the range of floating "
                "point; lower one of them"
            )
