"""What an optimiser is given besides the data, a guess and a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opeslike.market import Kind


@dataclass(frozen=True)
class Given:
    """What ``optimize`` was given besides the data, a guess and a seed.

    ``held`` is an array in the order of the assets once the data are known, and ``worth`` what a unit of trading costs
    is worth in the unit of the objective.
    """

    weight_bounds: Any = None
    kind: Kind | None = None
    custom_mean: Any = None
    custom_cov: Any = None
    held: Any = None
    costs: Any = None
    worth: float = 1.0


NOTHING = Given()
