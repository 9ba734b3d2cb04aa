"""Rules of thumb: weights by formula."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opeslike.market import Market
from opeslike.objectives.base import ClosedForm


class Uniform(ClosedForm):
    """Equal weights ``1 / N``.

    References
    ----------
    DeMiguel, Garlappi and Uppal (2009), *Optimal versus naive diversification: how inefficient is the 1/N portfolio
    strategy?*
    """

    def __init__(self) -> None:
        super().__init__()

    def _formula(self, market: Market) -> NDArray[np.float64]:
        return np.full(market.n_assets, 1.0 / market.n_assets)
