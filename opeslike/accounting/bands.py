"""When not to trade: an asset within its band, or a portfolio whose regret does not pay for the trade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from opeslike.checks import FloatArray
from opeslike.errors import PortfolioError
from opeslike.parameters import AtLeastZero, Parameters, Positive


@final
@dataclass(frozen=True, repr=False)
class Bands(Parameters):
    r"""No-trade bands around the targets, looked at on trading dates.

    With target :math:`w_i` and drifted holding :math:`d_i` asset i is left exactly alone while
    :math:`|d_i - w_i| \le b_i`, where :math:`b_i` is the narrower of ``absolute`` and :math:`\text{relative} \cdot
    |w_i|`; else it trades to the target or to the near edge of its band. What these trades free or need beyond the cash
    of holding and target goes to, or comes from, the other assets in proportion to how far each is from its target
    on that side, so that bands never borrow and never leave money idle by themselves. An account all in cash buys its
    target in full.

    Parameters
    ----------
    absolute : float, optional
        Fraction of wealth, at least 0: 0.05 is five points.
    relative : float, optional
        Share of the target's size, at least 0: 0.25 lets 20% run from 15% to 25%.
    to : {"target", "edge"}
        Where an asset outside its band trades to. The edge costs less, the target comes less often.

    Raises
    ------
    PortfolioError
        If neither width is given, one is negative, or ``to`` is unknown.

    References
    ----------
    Masters (2003), *Rebalancing*; Swedroe and Grogan (2014) on the 5/25 rule, ``Bands(0.05, 0.25)``.

    Examples
    --------
    >>> Bands(absolute=0.05).trade(np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.22, 0.18])).round(3).tolist()
    [0.5, 0.3, 0.2]
    >>> Bands(absolute=0.05).trade(np.array([0.5, 0.3, 0.2]), np.array([0.52, 0.27, 0.21])).round(3).tolist()
    [0.52, 0.27, 0.21]
    """

    absolute: AtLeastZero | None = None
    relative: AtLeastZero | None = None
    to: Literal["target", "edge"] = "target"

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.absolute is None and self.relative is None:
            raise PortfolioError("Bands needs absolute= or relative=, such as Bands(absolute=0.05)")

    def trade(self, target: FloatArray, drifted: FloatArray) -> FloatArray:
        """What to hold instead of ``drifted``, shape (N,)."""
        if not drifted.any():
            return target
        off = drifted - target
        width = np.full(len(target), np.inf if self.absolute is None else self.absolute)
        if self.relative is not None:
            width = np.minimum(width, self.relative * np.abs(target))
        kept = np.where(np.abs(off) <= width, off, 0.0 if self.to == "target" else np.clip(off, -width, width))
        # Cash after the trade lies between that of the holding and that of the target.
        total = float(off.sum())
        excess = float(kept.sum()) - min(max(float(kept.sum()), min(total, 0.0)), max(total, 0.0))
        if excess != 0.0:
            giving = np.maximum(kept, 0.0) if excess > 0 else np.minimum(kept, 0.0)
            kept = kept - giving * (excess / giving.sum())
        return np.where(kept == off, drifted, target + kept)


@final
@dataclass(frozen=True, repr=False)
class WhenRegretExceedsCost(Parameters):
    r"""Trade only when what the holdings are proven to give away pays for the trade.

    .. math:: \text{horizon} \cdot \text{regret}(d) > \textstyle\sum_i c_i\, |w_i - d_i|

    with d the drifted holdings, w the target and c the account's expected costs. The regret is the value of d against
    that of the target and its certified gap, under the problem of the strategy's last decision: nothing is known that
    the decision did not know. An account all in cash buys its target. Limits that drift has broken are not mended until
    then.

    Parameters
    ----------
    horizon : float > 0
        Periods that a trade is expected to last.

    Raises
    ------
    PortfolioError
        If ``horizon`` is not a finite number above 0.

    References
    ----------
    Magill and Constantinides (1976), *Portfolio selection with transactions costs*, on regions of no trade; Sun, Fan,
    Chen, Schouwenaars and Albota (2006), *Optimal rebalancing for institutional portfolios*.

    Examples
    --------
    >>> rule = WhenRegretExceedsCost(horizon=21)
    >>> target, drifted = np.array([0.5, 0.5]), np.array([0.54, 0.46])
    >>> rule.pays(1e-6, target, drifted, np.full(2, 10.0)), rule.pays(1e-5, target, drifted, np.full(2, 10.0))
    (False, True)
    """

    horizon: Positive = 21.0

    def pays(self, regret: float, target: FloatArray, drifted: FloatArray, costs: FloatArray) -> bool:
        """Whether to trade, for a regret per period and costs in basis points of what is traded, shape (N,)."""
        return self.horizon * regret > 1e-4 * float(costs @ np.abs(target - drifted))
