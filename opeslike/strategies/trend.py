"""Trend: moving averages of prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from opeslike.checks import at_least, flag
from opeslike.errors import PortfolioError
from opeslike.market import FloatArray
from opeslike.strategies.past import Past
from opeslike.strategies.selection import Selection


@final
@dataclass(frozen=True, repr=False)
class MovingAverageCross(Selection):
    r"""Long while the fast moving average of closes is above the slow one, for each asset on its own.

    The score is ``fast average / slow average - 1``; below zero it is a short position, or none.

    Parameters
    ----------
    fast, slow : int
        Closes in each simple average, ``1 <= fast < slow``. With ``fast=1`` the close itself is compared.
    allow_short : bool
        Whether to sell short while the fast average is below the slow one; by default the rule is long or out.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    W. Brock, J. Lakonishok and B. LeBaron, "Simple technical trading rules and the stochastic properties of stock
    returns", Journal of Finance 47, 1992.

    Examples
    --------
    >>> rising = np.linspace(100.0, 120.0, 201)[:, None]
    >>> MovingAverageCross(fast=50, slow=200).optimize(rising).tolist()
    [1.0]
    """

    fast: int = 50
    slow: int = 200
    allow_short: bool = False

    ranges: ClassVar = {"fast": at_least(1), "slow": at_least(2), "allow_short": flag}

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if self.fast >= self.slow:
            raise PortfolioError(f"MovingAverageCross fast must be below slow, got fast={self.fast}, slow={self.slow}")

    @property
    def needed(self) -> int:
        """``slow`` closes."""
        return self.slow - 1

    def scores(self, past: Past) -> FloatArray:
        """Fast average over slow average, less one, shape (N,)."""
        # Closes relative to the first of the window: the ratio of two averages has no unit.
        closes = np.multiply.accumulate(1.0 + past.returns[len(past.returns) - self.slow + 1 :])
        fast = np.add.reduce(closes[self.slow - 1 - self.fast :]) / self.fast
        slow = (1.0 + np.add.reduce(closes)) / self.slow
        score = fast / slow - 1.0
        return np.asarray(score if self.allow_short else np.maximum(score, 0.0))
