"""Every convex objective, once: the parametrised suite in test_objectives.py runs over this list.

To add an objective, append an :class:`Entry`. Everything that is minimised and certified belongs here; formulas and
heuristics do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opeslike.objectives import BCRP, Kelly, KLRobustKelly, MaxMean, MeanVariance, MinVariance
from opeslike.objectives.base import Optimizer


@dataclass(frozen=True)
class Entry:
    """One objective as the suite sees it.

    Attributes
    ----------
    name : what the test is called
    make : builds the optimiser; takes the keywords of :class:`Optimizer` (solver, constraints, probabilities) and, with
        the tag "reg", reg and strength
    tags : any of
        "reg"      takes a regulariser
        "linear"   has many optima or one at a corner, so weights are not compared, only values
        "domain"   infinite where a scenario loses everything
        "small"    solved slowly: only the smallest instances
        "no-shorts" takes no negative lower bounds
        "no-probabilities" takes no scenario probabilities
    value : turns the value of the raw cvxpy problem into the unit of ``solution.value``
    """

    name: str
    make: Callable[..., Optimizer]
    tags: frozenset[str] = field(default_factory=frozenset)
    value: Callable[[float], float] = float


def entry(make: Callable[..., Optimizer], *tags: str, name: str | None = None, **parameters: Any) -> Entry:
    """An entry named after the class and its parameters."""
    given = ",".join(f"{key}={value}" for key, value in parameters.items())
    label = name or (f"{make.__name__}({given})" if given else make.__name__)

    def build(**keywords: Any) -> Optimizer:
        return make(**parameters, **keywords)

    return Entry(label, build, frozenset(tags))


ENTRIES: list[Entry] = [
    # expected utility
    entry(Kelly, "reg", "domain"),
    entry(Kelly, "reg", "domain", fraction=0.5, formulation="opes"),
    # mean and covariance
    entry(MeanVariance, "reg", risk_aversion=2.0),
    entry(MinVariance, "reg"),
    entry(MaxMean, "reg", "linear"),
    # online
    entry(BCRP, "reg", "domain", "no-probabilities"),
    # robust
    entry(KLRobustKelly, "domain", radius=0.02),
    entry(KLRobustKelly, "domain", radius=1.0),
]
