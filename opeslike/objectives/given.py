"""What an optimiser is given besides the data, a guess and a seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.checks import by_asset
from opeslike.errors import PortfolioError
from opeslike.market import Kind, cut, everyone


@dataclass(frozen=True)
class Given:
    """What ``optimize`` was given besides the data, a guess and a seed.

    ``held`` is an array in the order of the assets once the data are known, and ``worth`` what a unit of trading costs
    is worth in the unit of the objective; ``turnover`` is the limit in force where limits on risk ask for more.
    """

    weight_bounds: Any = None
    kind: Kind | None = None
    custom_mean: Any = None
    custom_cov: Any = None
    held: Any = None
    costs: Any = None
    worth: float = 1.0
    turnover: float | None = None

    @property
    def trading(self) -> bool:
        """Whether anything is held whose turnover is limited as it was asked."""
        return self.turnover is None and self.held is not None and bool(self.held.any())


NOTHING = Given()


def guess_of(w: ArrayLike, count: int) -> NDArray[np.float64]:
    """A starting guess as numbers.

    Raises
    ------
    PortfolioError
        If it is not ``count`` finite numbers.
    """
    try:
        guess = np.asarray(w, dtype=np.float64)
    except (TypeError, ValueError):
        raise PortfolioError(f"w must be {count} numbers, got {w!r}") from None
    if guess.shape != (count,) or not np.isfinite(guess).all():
        raise PortfolioError(f"w must be {count} finite numbers, got an array of shape {guess.shape}")
    return guess


def held_by_asset(given: Given, assets: Sequence[Hashable], wanted: bool) -> Given:
    """The same with what is held as an array, cash alone where it is ``wanted`` and nobody said.

    Raises
    ------
    PortfolioError
        If a ticker is unknown.
    """
    if given.held is None:
        return replace(given, held=np.zeros(len(assets))) if wanted else given
    every = everyone(assets)
    known = every if hasattr(given.held, "items") or np.shape(given.held) == (len(every),) else assets
    return replace(given, held=cut(by_asset("held", given.held, known, 0.0), assets))
