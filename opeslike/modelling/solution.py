"""Solution: an answer that carries its own proof."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Solution:
    """The outcome of one optimisation.

    Attributes
    ----------
    weights : ndarray of shape (N,)
        What to hold, as fractions of wealth, in the order of ``assets``; the rest of wealth is cash.
    assets : tuple of N labels
    value : float
        The objective at the optimiser's own scale (before a Kelly fraction is applied), in its unit; for Kelly the
        expected growth per period with its sign turned (a loss). NaN for rules that optimise nothing.
    gap : float or None
        Certified bound on ``value`` minus the best value possible, from a dual bound computed independently of the
        solver, in the unit of ``value``. None for heuristics and for rules that optimise nothing.
    tolerance : float
        The gap up to which the answer counts as optimal: 1e-7 times the standard deviation of the portfolio's returns.
    status : str
        "optimal", "closed-form" or "heuristic".
    solver : str
        Which solver found the weights.
    iterations : int
        Newton steps or solver iterations.
    seconds : float
        Wall time of the solve.
    worst_case : ndarray of shape (T,) or None
        For robust objectives, the scenario probabilities the answer is worst under.
    """

    weights: NDArray[np.float64]
    assets: tuple[Hashable, ...]
    value: float
    gap: float | None
    status: str
    solver: str
    iterations: int = 0
    seconds: float = 0.0
    tolerance: float = 0.0
    worst_case: NDArray[np.float64] | None = None

    @property
    def cash(self) -> float:
        """``1 - sum(weights)``; negative when money is borrowed."""
        return float(1.0 - self.weights.sum())

    def to_series(self) -> pd.Series:
        """Weights labelled by asset."""
        return pd.Series(self.weights, index=pd.Index(list(self.assets)), name="weight")

    def __repr__(self) -> str:
        gap = "none" if self.gap is None else f"{self.gap:.1e}"
        top = np.argsort(-np.abs(self.weights))[:3]
        held = ", ".join(f"{self.assets[i]} {self.weights[i]:.1%}" for i in top if self.weights[i] != 0)
        value = "" if np.isnan(self.value) else f"value={self.value:.6g}, "
        return f"Solution({held}; {value}gap={gap}, status={self.status!r}, solver={self.solver!r})"
