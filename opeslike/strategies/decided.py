"""Decided: decisions that were made before, walked again without asking anybody."""

from __future__ import annotations

from itertools import repeat
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import PortfolioError
from opeslike.market import FloatArray


@final
class Decided:
    """What a strategy aimed for at each of its decisions; the backtester takes it in place of the strategy.

    Costs, rates, overlays, bands and the days of trading may differ from those it decided under: that is a replay.

    Parameters
    ----------
    name : str
    steps : ndarray of int, shape (D,)
        When each decision was made, ascending, from 0 on.
    targets : ndarray of shape (D, N)
    until : int, optional
        First step it knows nothing of, because the account that asked it was ruined before.

    Raises
    ------
    PortfolioError
        If the walk lives past ``until``.
    """

    cost_aware: ClassVar = False
    needs_state: ClassVar = False
    thin: ClassVar[str | None] = None

    def __init__(self, name: str, steps: NDArray[np.intp], targets: FloatArray, until: int | None = None) -> None:
        self.name = self.label = name
        self._steps, self.until = np.asarray(steps), until
        self.decisions: list[Any] = list(zip(self._steps.tolist(), repeat(0), repeat(None), strict=False))
        self.targets = targets

    def due(self, horizon: int) -> NDArray[np.bool_]:
        """At which steps of a walk a decision was made, or is lacking."""
        due = np.zeros(horizon, dtype=bool)
        due[self._steps] = True
        due[slice(self.until, None if self.until is not None else 0)] = True
        return due

    def __call__(self, step: int, *_: Any) -> FloatArray:
        """The target of the last decision."""
        if self.until is not None and step >= self.until:
            raise PortfolioError(
                f"{self.name} made no decision after step {self.until - 1}, where it was ruined, and these terms would "
                "have let it live on: run it afresh"
            )
        return self.at(step)

    def regret(self, held: FloatArray) -> float:
        """Decisions made before prove none.

        Raises
        ------
        PortfolioError
        """
        raise PortfolioError(f"{self.name} is replayed and proves no regret, so a trade cannot wait for it")

    def at(self, steps: Any) -> FloatArray:
        """The targets in force at some steps."""
        return np.asarray(self.targets[self._steps.searchsorted(steps, "right") - 1])
