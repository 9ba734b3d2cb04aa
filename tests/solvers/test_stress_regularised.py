"""Random instances with regularisers, utilities and leverage: a certified optimum or a clear refusal, and nothing else.

The suite runs a sample; `OPESLIKE_STRESS=2000` runs that many.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.modelling.bounds import parse_weight_bounds
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.regularizers import REGULARIZERS
from opeslike.objectives import (
    CARA,
    CRRA,
    HARA,
    Kelly,
    KLRobustKelly,
    MaxMean,
    MeanVariance,
    MinVariance,
    QuadraticUtility,
)
from opeslike.objectives.base import ConvexObjective
from tests.solvers.instances import instance

COUNT = int(os.environ.get("OPESLIKE_STRESS", "90"))
CHUNK = 30
NAMES = (None, *REGULARIZERS)

#: returns this wild look like percent
pytestmark = pytest.mark.filterwarnings("ignore:the data look wrong")


def regularised(seed: int, returns: np.ndarray, radius: float) -> ConvexObjective:
    """Every regulariser meets every objective within ninety seeds."""
    g = np.random.default_rng([seed, 1])
    size = max(1.0, float(np.abs(returns).max()))
    kinds: list[Callable[[], ConvexObjective]] = [
        Kelly,
        lambda: CRRA(np.exp(g.uniform(-1, 4))),
        lambda: CARA(np.exp(g.uniform(-3, 4)) / size),
        lambda: QuadraticUtility(np.exp(g.uniform(-3, 1))),
        lambda: HARA(1.1 + np.exp(g.uniform(-1, 2)), 1.0, np.exp(g.uniform(1, 4))),
        lambda: MeanVariance(np.exp(g.uniform(-2, 4))),
        MaxMean,
        MinVariance,
        lambda: KLRobustKelly(radius=radius),
    ]
    optimizer = kinds[(seed // 10) % len(kinds)]()
    optimizer.set_regularizer(NAMES[seed % 10], np.exp(g.uniform(np.log(1e-6), np.log(3))) * np.abs(returns).mean())
    return optimizer


def levered(seed: int, returns: np.ndarray, radius: float) -> ConvexObjective:
    """Kelly and KL-robust Kelly with any mixture of limits, rates and fees."""
    g = np.random.default_rng([seed, 2])
    leverage = [None, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0][g.integers(7)]
    limits = {
        "leverage": leverage,
        "gross": [None, None, 1.0, 1.2, 2.0, 5.0][g.integers(6)],
        "short_fee": [0.0, 0.0, 0.02, 0.3][g.integers(4)],
        "risk_free": [0.0, 0.02, 0.1, -0.01][g.integers(4)] if leverage else 0.0,
        "borrow_spread": [0.0, 0.01, 0.1][g.integers(3)] if leverage else 0.0,
    }
    reg = (None, None, "l1", "l2", "l-inf", "variance")[seed % 6]
    strength = np.exp(g.uniform(np.log(1e-6), np.log(3))) * np.abs(returns).mean()
    if seed % 2:
        return KLRobustKelly(radius=radius, reg=reg, strength=strength, mandate=Mandate(**limits))
    return Kelly(reg=reg, strength=strength, mandate=Mandate(**limits))


@pytest.mark.parametrize("make", [regularised, levered])
@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_certified_or_refused(make: Callable[..., ConvexObjective], first: int) -> None:
    solved = 0
    for seed in range(first, first + CHUNK):
        returns, bounds, radius, tags = instance(seed)
        returns = returns[:600]
        optimizer = make(seed, returns, radius)
        what = f"seed {seed}, {type(optimizer).__name__}, {optimizer.reg}, {returns.shape}, {bounds}, {tags}"
        refusal = None
        try:
            w = optimizer.optimize(returns, bounds, kind="returns")
        except (InfeasibleError, PortfolioError) as error:
            refusal = str(error)
        if refusal is not None:
            known = ["loses everything", "lower weight bounds sum to", "outside the domain of the utility: HARA"]
            if np.min(bounds[0]) < 0 and optimizer.reg in ("entropy", "jsd", "wass-1"):
                known.append("the weight bounds allow short positions")
            assert any(reason in refusal for reason in known), f"{what}: {refusal}"
            continue
        solved += 1
        solution = optimizer.solution
        assert np.isfinite(w).all(), what
        low, high = parse_weight_bounds(bounds, range(returns.shape[1]))
        assert (w >= low - 1e-12).all(), what
        assert (w <= high + 1e-12).all(), what
        limits = optimizer.mandate
        if limits.leverage is None:
            assert abs(w.sum() - 1) < 1e-9, what
        else:
            assert w.sum() <= limits.leverage + 1e-9, what
        if limits.gross is not None:
            assert np.abs(w).sum() <= limits.gross + 1e-9, what
        assert solution.status == "optimal", f"{what}: gap {solution.gap}, tolerance {solution.tolerance}"
        assert solution.gap <= solution.tolerance, what
    assert solved >= 0.6 * CHUNK
