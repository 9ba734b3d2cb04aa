"""Bands: trade an asset only when it has drifted far enough from its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import PortfolioError
from opeslike.parameters import AtLeastZero, Parameters

FloatArray = NDArray[np.float64]


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
