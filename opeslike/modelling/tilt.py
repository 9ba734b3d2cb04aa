"""A linear term beside a regulariser: expected returns that do not come from the scenarios."""

from __future__ import annotations

from typing import Any

import numpy as np

from opeslike.checks import FloatArray
from opeslike.modelling.kinks import Kinks, Peak
from opeslike.modelling.regularizers import Regularizer


class Tilted(Regularizer):
    """``cost' w + R(w)``.

    Parameters
    ----------
    cost : ndarray of shape (N,)
    inner : Regularizer, optional
        R.
    """

    def __init__(self, cost: FloatArray, inner: Regularizer | None = None) -> None:
        self.cost, self.inner = cost, inner
        self.curved = inner is not None and inner.curved
        self.interior = inner is not None and inner.interior

    @property
    def smooth(self) -> bool:  # type: ignore[override]
        """As R."""
        return self.inner is None or self.inner.smooth

    def pieces(self) -> tuple[FloatArray | None, list[Kinks | Peak]]:
        """Those of R, with the linear terms together."""
        tilt, parts = (None, []) if self.inner is None else self.inner.pieces()
        return self.cost if tilt is None else self.cost + tilt, parts

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient."""
        value = float(self.cost @ w)
        if self.inner is None:
            return value, self.cost.copy()
        extra, slope = self.inner.evaluate(w)
        return value + extra, self.cost + slope

    def hessian(self, w: FloatArray) -> FloatArray:
        """That of R."""
        return np.zeros((w.size, w.size)) if self.inner is None else self.inner.hessian(w)

    def expression(self, w: Any) -> Any:
        """``cost @ w`` plus the expression of R."""
        value = self.cost @ w
        return value if self.inner is None else value + self.inner.expression(w)
