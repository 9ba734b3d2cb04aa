"""Certificates of a run: what each re-optimisation proved, a few numbers a date."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: What is noted of a :class:`~opeslike.modelling.solution.Solution`, and its type.
FIELDS = {
    **{"gap": "float64", "tolerance": "float64", "status": "object", "solver": "object", "seconds": "float64"},
    "filled": "float64",
}


@final
class Certificates:
    """Collect the solutions of a run.

    Parameters
    ----------
    whole : bool
        Keep the solutions too: a witness is as long as the data, so ten years of weeks are 16 MB, their numbers 20 kB.
    """

    def __init__(self, whole: bool = False) -> None:
        self._whole = whole
        self._steps: list[int] = []
        self._rows: list[list[Any]] = []  # of the FIELDS
        self._solutions: list[Any] = []

    def add(self, step: int, solution: Any) -> None:
        """Note the answer of one step."""
        self._steps.append(step)
        self._rows.append([getattr(solution, field, None) for field in FIELDS])
        if self._whole:
            self._solutions.append(solution)

    def until(self, last: int) -> Certificates:
        """Forget what came after step ``last``."""
        count = sum(step <= last for step in self._steps)
        for kept in (self._steps, self._rows, self._solutions):
            del kept[count:]
        return self

    def frame(self, closes: pd.Index) -> pd.DataFrame:
        """One row a re-optimisation, dated by P_t; columns as in :data:`FIELDS`, a gap of NaN where there is none."""
        return pd.DataFrame({field: self.column(field) for field in FIELDS}, closes[self._steps])

    def column(self, field: str) -> NDArray[Any]:
        """One of the :data:`FIELDS` of every solution; a number that there is none of is NaN."""
        place = list(FIELDS).index(field)
        return np.array([row[place] for row in self._rows], dtype=FIELDS[field])

    def solutions(self, closes: pd.Index) -> list[tuple[Any, Any]]:
        """Whole solutions, dated by P_t; empty unless they were to be kept."""
        return list(zip(closes[self._steps], self._solutions, strict=False))
