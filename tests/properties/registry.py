"""Every convex objective, once: the parametrised suite in test_objectives.py runs over this list.

To add an objective, append an :class:`Entry`. Everything that is minimised and certified belongs here; formulas and
heuristics do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opeslike.objectives import BCRP, KLRobustKelly, MaxMean, MeanVariance, MinVariance
from opeslike.objectives.base import Optimizer
from opeslike.objectives.risk_measures import CVaR, EntropicRisk, EVaR, MeanCVaR, MeanEVaR, WorstCaseLoss
from opeslike.objectives.utility_theory import CARA, CRRA, HARA, Kelly, QuadraticUtility


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
    entry(Kelly, "reg"),
    entry(Kelly, "reg", fraction=0.5, formulation="opes"),
    entry(Kelly, "cash", leverage=1.0, risk_free=0.02),
    entry(Kelly, "cash", leverage=1.8, risk_free=0.02, borrow_spread=0.01),
    entry(Kelly, "cash", leverage=2.0, gross=2.5, risk_free=0.03, borrow_spread=0.02, short_fee=0.01),
    entry(Kelly, gross=1.5, short_fee=0.02),
    entry(QuadraticUtility, "reg"),
    entry(QuadraticUtility, "reg", risk_aversion=1.2),
    entry(CARA, "reg"),
    entry(CARA, "reg", risk_aversion=40.0),
    entry(CRRA, "reg"),
    entry(CRRA, "reg", risk_aversion=0.5),
    entry(CRRA, "reg", risk_aversion=25.0),
    entry(HARA, "reg"),
    entry(HARA, "reg", risk_aversion=3.5, scale=0.8, shift=1.0),
    # mean and covariance
    entry(MeanVariance, "reg", risk_aversion=2.0),
    entry(MinVariance, "reg"),
    entry(MaxMean, "reg", "linear"),
    # online
    entry(BCRP, "reg", "no-probabilities"),
    # robust
    entry(KLRobustKelly, radius=0.02),
    entry(KLRobustKelly, radius=1.0),
    # measures of loss
    entry(CVaR, "reg", "linear", confidence=0.9),
    entry(CVaR, "linear", confidence=0.5),
    entry(EVaR, "reg"),
    entry(EntropicRisk, "reg", risk_aversion=5.0),
    entry(EntropicRisk, risk_aversion=200.0),
    entry(WorstCaseLoss, "reg", "linear"),
    entry(MeanCVaR, "reg", "linear"),
    entry(MeanEVaR, "reg", risk_aversion=2.0),
]
