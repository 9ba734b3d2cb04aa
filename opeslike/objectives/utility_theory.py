"""Expected-utility objectives."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from opeslike.errors import PortfolioError
from opeslike.modelling.losses import Log
from opeslike.modelling.risks import Mean
from opeslike.objectives.base import Constraint, ScenarioObjective, fraction_of

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
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

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
    """

    risk = Mean()

    def __init__(
        self,
        fraction: float = 1.0,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        formulation: str = "thorp",
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

    def _scale(self) -> float:
        return self._multiple
