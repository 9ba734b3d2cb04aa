"""How far each weight may be moved before growth suffers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from opeslike.checks import positive
from opeslike.insight.finding import Finding
from opeslike.insight.posed import Posed, pose
from opeslike.market import FloatArray, Kind

#: how near the price of a weight must bring the value to what may be given up, relatively, or the ends to each other
_NEAR, _CLOSE = 1e-4, 1e-7
#: solves an end takes at most, and until it is taken for one of a function with corners
_SOLVES, _SMOOTH = 40, 6


@dataclass(frozen=True, eq=False, repr=False)
class Ranges(Finding):
    """For each weight the certified span over all portfolios within a given value of the best.

    Attributes
    ----------
    within_annual : float
        What may be given up, per year.
    frame : DataFrame of shape (N, 5)
        By asset: ``weight`` of the best portfolio; ``low`` and ``high``, which no portfolio within it exceeds;
        ``least`` and ``most``, the extremes found among such portfolios. Where the two agree the span is exact.
    """

    within_annual: float
    frame: pd.DataFrame

    @property
    def says(self) -> str:
        """How wide the spans are."""
        width = (self.frame["high"] - self.frame["low"]).sort_values()
        return (
            f"giving up at most {self.within_annual:.2%} a year leaves {width.index[-1]} the most room, "
            f"{width.iloc[-1]:.1%}, and {width.index[0]} the least, {width.iloc[0]:.1%}"
        )


def ranges(
    objective: Any, prices: Any, within_annual: float = 0.001, *, kind: Kind | None = None, weight_bounds: Any = None
) -> Ranges:
    r"""For each weight the least and the most it can be in any portfolio within a given value of the best.

    .. math:: \min / \max \; w_i \quad \text{over} \quad \{ w \in W : F(w) \le F^* + \delta \}

    Two convex problems a weight, each the path of :math:`F(w) \pm t\, w_i` to the price t at which :math:`F - F^*` is
    :math:`\delta`. Weak duality proves the end at every t: :math:`w_i \ge (\min_w [F + t w_i] - F^* - \delta) / t`.

    Parameters
    ----------
    objective : ConvexObjective
    prices : prices, returns, Market or Posed
    within_annual : float > 0
        What may be given up per year, in the unit of the objective (growth for Kelly): :math:`\delta` is that divided
        by the mandate's ``periods_per_year``.
    kind, weight_bounds
        As in ``optimize``.

    Returns
    -------
    Ranges

    References
    ----------
    Boyd and Vandenberghe (2004), *Convex optimization*, section 5.4; near-optimal portfolios: van der Schans and de
    Graaf (2018), *Robust optimization by constructing near-optimal portfolios*.
    """
    posed = pose(objective, prices, kind=kind, weight_bounds=weight_bounds)
    years = float(posed.objective._settings.mandate.periods_per_year)
    room = positive("within_annual", within_annual) / years
    best = posed.solve()
    rows, lift = [], posed.problem.lift
    price = room  # the first guess: a unit of weight for all that may be given up
    for i in range(lift.size):
        ends = []
        for sign in (1.0, -1.0):
            unit = np.zeros(lift.size)
            unit[i] = sign
            proven, reached, price = _end(posed, best.x, best.proof.value, room, unit, price)
            ends.append((sign * proven, sign * reached))
        (low, least), (high, most) = ends
        rows.append((float(posed.problem.weights(best.x)[i]), low, high, least, most))
    table = posed.scale * np.array(rows)
    index = pd.Index(list(posed.market.assets), name="asset")
    return Ranges(within_annual, pd.DataFrame(table, index, ["weight", "low", "high", "least", "most"]))


def _end(
    posed: Posed, best: FloatArray, value: float, room: float, unit: FloatArray, price: float
) -> tuple[float, float, float]:
    """The least ``unit . w`` within ``room`` of the value: what is proven, what is reached, and the price of it."""
    problem, lift = posed.problem, posed.problem.lift
    slope = lift.pull(unit)
    constant = float(unit @ lift.weights(np.zeros(slope.size)))
    here = float(slope @ best)
    corner, _ = problem.bounds.linear_minimum(slope)
    proven, reached = float(slope @ corner), here
    if not problem.limits and problem.in_domain(corner) and problem.evaluate(corner).value <= value + room:
        return proven + constant, proven + constant, price
    x, cheap, dear = best, (0.0, here, 0.0), (math.inf, float(slope @ corner), math.inf)  # price, weight, what is lost
    for turn in range(_SOLVES):
        solved = posed.tilted(price * slope).solve(x)
        x = solved.x
        there, lost = float(slope @ x), solved.proof.value - price * float(slope @ x) - value
        proven = max(proven, there + (lost - solved.proof.gap - room) / price)
        cheap, dear = ((price, there, lost), dear) if lost <= room else (cheap, (price, there, lost))
        # losses are convex: on the way between two portfolios they are no more than in proportion
        share = (room - cheap[2]) / (dear[2] - cheap[2])
        reached = min(reached, cheap[1] + (share * (dear[1] - cheap[1]) if share else 0.0))
        if abs(lost - room) <= _NEAR * room or reached - proven <= _CLOSE:
            break
        price *= min(max(math.sqrt(room / max(lost, 1e-300)), 0.05), 20.0)
        if turn > _SMOOTH or not cheap[0] < price < dear[0]:  # where the two lines cross, as for linear pieces
            price = (dear[2] - cheap[2]) / (cheap[1] - dear[1]) if cheap[0] and dear[0] < math.inf else 0.3 * price
    return min(proven, reached) + constant, reached + constant, price
