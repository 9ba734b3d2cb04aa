"""Every convex objective, once: the parametrised suite in test_objectives.py runs over this list.

To add an objective, append an :class:`Entry`. Everything that is minimised and certified belongs here; formulas and
heuristics do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opeslike.beliefs import Decay, Prior, Recentred, as_belief
from opeslike.market import Market
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import (
    BCRP,
    BayesianKelly,
    BoxRobustKelly,
    EllipsoidRobustKelly,
    KLRobust,
    KLRobustKelly,
    KLRobustMaxMean,
    MaxMean,
    MeanVariance,
    MinVariance,
    RegretKelly,
    RiskConstrainedKelly,
    WassRobustKelly,
    WassRobustMaxMean,
    WassRobustMeanVariance,
    WassRobustMinVariance,
)
from opeslike.objectives.base import Optimizer
from opeslike.objectives.risk_measures import CVaR, EntropicRisk, EVaR, MeanCVaR, MeanEVaR, WorstCaseLoss
from opeslike.objectives.scenarios import ScenarioObjective
from opeslike.objectives.utility_theory import CARA, CRRA, HARA, Kelly, QuadraticUtility


@dataclass(frozen=True)
class Entry:
    """One objective as the suite sees it.

    Attributes
    ----------
    name : what the test is called
    make : builds the optimiser; takes the keywords of :class:`Optimizer` (beliefs, mandate, solver, time_limit) and,
        with the tag "reg", reg and strength
    tags : any of
        "reg"      takes a regulariser
        "linear"   has many optima or one at a corner, so weights are not compared, only values
        "small"    slow in cvxpy: only small instances are compared with it
        "cash"     holds cash, so weights need not sum to 1
        "mandate"  has a mandate of its own
        "invested" takes no leverage
        "satiated" would rather not earn anything
        "counts"   the same asset under two names is worth more than under one
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

    return Entry(label, build, frozenset({*tags, "mandate"} if "mandate" in parameters else tags))


class MirrorPrior(BayesianKelly):
    """A prior for whatever assets the data has: the first ten days, upside down."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(np.zeros((1, 1)), 15.0, **keywords)

    def _belief(self) -> Callable[[Market], Market]:
        return lambda market: Prior(-0.8 * market.returns[:10], self.pseudo_count)(as_belief(self.beliefs)(market))


def within_ball(inner: Callable[..., ScenarioObjective], radius: float, **parameters: Any) -> Callable[..., Optimizer]:
    """A KL ball around another objective."""

    def build(**keywords: Any) -> KLRobust:
        return KLRobust(inner(**parameters, **keywords), radius)

    return build


def upside_down(market: Market) -> Market:
    """As if half of every return had gone the other way."""
    return market.with_returns(-0.5 * market.returns)


RIVALS = [None, Decay(10), upside_down]

ENTRIES: list[Entry] = [
    # expected utility
    entry(Kelly, "reg"),
    entry(Kelly, "reg", fraction=0.5, formulation="opes"),
    entry(Kelly, "cash", mandate=Mandate(leverage=1.0, risk_free=0.02)),
    entry(Kelly, "cash", mandate=Mandate(leverage=1.8, risk_free=0.02, borrow_spread=0.01)),
    entry(Kelly, "cash", mandate=Mandate(leverage=2.0, gross=2.5, risk_free=0.03, borrow_spread=0.02, short_fee=0.01)),
    entry(Kelly, mandate=Mandate(gross=1.5, short_fee=0.02)),
    entry(QuadraticUtility, "reg"),
    entry(QuadraticUtility, "reg", "satiated", risk_aversion=1.2),
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
    entry(BCRP, "reg"),
    # robust
    entry(KLRobustKelly, "reg", radius=0.02),
    entry(KLRobustKelly, radius=1.0),
    entry(KLRobustKelly, "cash", radius=0.05, mandate=Mandate(leverage=1.5, risk_free=0.02, borrow_spread=0.01)),
    entry(KLRobustMaxMean, "reg"),
    entry(KLRobustMaxMean, radius=0.5),
    entry(within_ball(CRRA, 0.05, risk_aversion=3.0), "reg", name="KLRobust(CRRA)"),
    entry(within_ball(QuadraticUtility, 0.2), name="KLRobust(QuadraticUtility)"),
    entry(within_ball(CARA, 1.5, risk_aversion=4.0), name="KLRobust(CARA)"),
    entry(within_ball(HARA, 0.01), name="KLRobust(HARA)"),
    entry(within_ball(MirrorPrior, 0.1), name="KLRobust(BayesianKelly)"),
    entry(BoxRobustKelly, "reg", radius=0.4),
    entry(BoxRobustKelly, "cash", radius=2.0, fraction=0.5, mandate=Mandate(leverage=1.0)),
    entry(EllipsoidRobustKelly, "reg", radius=0.01),
    entry(EllipsoidRobustKelly, radius=0.3, metric="chi-square"),
    entry(EllipsoidRobustKelly, radius=3.0, metric="chi-square"),
    entry(MirrorPrior, "reg", name="BayesianKelly"),
    entry(RegretKelly, "reg", name="RegretKelly", rivals=[Decay(20), Recentred(0.0005)]),
    entry(RegretKelly, "cash", name="RegretKelly(three)", rivals=RIVALS, mandate=Mandate(leverage=1.5, risk_free=0.02)),
    entry(RiskConstrainedKelly, "reg", "cash"),
    entry(RiskConstrainedKelly, "cash", lam=5.0, mandate=Mandate(leverage=2.0, risk_free=0.02, borrow_spread=0.01)),
    # robust against moved returns
    entry(WassRobustMaxMean, "counts", "reg"),
    entry(WassRobustMaxMean, "counts", "linear", radius=0.0005, ground_norm=1),
    entry(WassRobustMaxMean, "reg", "linear", radius=0.001, ground_norm="inf"),
    entry(WassRobustMaxMean, "counts", radius=0.002, ground_norm=1.5),
    entry(WassRobustMinVariance, "counts", "reg", radius=1e-5),
    entry(WassRobustMinVariance, "counts", radius=1e-6, ground_norm=1),
    entry(WassRobustMinVariance, radius=1e-5, ground_norm="inf"),
    entry(WassRobustMeanVariance, "counts", "reg", risk_aversion=2.0, radius=1e-4),
    entry(WassRobustMeanVariance, "counts", radius=1e-5, ground_norm=1),
    entry(WassRobustMeanVariance, "counts", radius=1e-4, ground_norm=4),
    entry(WassRobustKelly, "counts", "reg", "invested", "small"),
    entry(WassRobustKelly, "counts", "invested", "small", radius=0.01, fraction=0.5),
    entry(WassRobustKelly, "invested", radius=0.002, ground_norm="inf"),
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
