"""Any belief with any objective under any mandate: certified, feasible, verified; in pairs, not all three at once."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest

from opeslike.beliefs import (
    BlackLitterman,
    Decay,
    Factors,
    Given,
    Prior,
    Recentred,
    Rescaled,
    ShrunkMeans,
    Simulated,
    Stress,
    Views,
    Window,
)
from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.market import Market
from opeslike.modelling.limits import DrawdownOdds, ExpectedShortfall, Volatility
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import CVaR, Kelly, KLRobustKelly, MinVariance, WassRobustMeanVariance
from opeslike.objectives.base import Optimizer
from tests.properties.registry import ENTRIES, Entry
from tests.properties.test_objectives import returns

COUNT, N = 60, 5
BETAS = pd.DataFrame({"market": [1.4, 0.6, 1.0, 0.8, 1.2], "size": [0.3, -0.2, 0.9, -0.5, 0.1]})


FACTORS = pd.DataFrame(np.random.default_rng(9).normal(0, 0.01, (COUNT, 2)), columns=["market", "oil"])


def bleak(market: Market) -> Market:
    """Some days upside down, for whatever assets there are."""
    return Prior(-0.5 * market.returns[:8], 10.0)(market)


BENCHMARK = {0: 0.3, 1: 0.2, 2: 0.2, 3: 0.15, 4: 0.15}

BELIEFS = {
    "decay": Decay(20),
    "given": Given(np.random.default_rng(3).dirichlet(np.ones(COUNT))),
    "some days ruled out": np.where(np.arange(COUNT) % 5 == 0, 0.0, 1.0),
    "prior": bleak,
    "decay, then prior": Decay(20) | bleak,
    "bayes-stein, then views": ShrunkMeans() | Views({"mean(0) - mean(3)": 0.02, "vol(2)": "<= 0.3"}, confidence=0.8),
    "black-litterman": BlackLitterman({"mean(1)": 0.1}),
    "simulated": Simulated("t", 100, seed=5),
    "window": Window(40),
    "stress": lambda market: Stress(-0.5 * market.returns[:2], 0.03)(market),
    "recentred": Recentred(0.0004),
    "rescaled": Rescaled("oas"),
    "james-stein, about equilibrium": ShrunkMeans("james-stein", target=BlackLitterman()),
    "conditional": Decay(30).given({2: -0.02}),
    "factors": Factors(FACTORS, 3),
}
MANDATES = {
    "bounds": Mandate(bounds={1: (0.05, 0.3), "*": (0, 0.45)}),
    "groups": Mandate(groups={"a": [0, 1], "b": [2, 3]}, group_bounds={"a": (0.2, 0.35), "b": (None, 0.4)}),
    "overlapping groups": Mandate(
        groups={"a": [0, 1, 2], "b": [2, 3]}, group_bounds={"a": (0.3, 0.6), "b": (0.3, 0.5)}
    ),
    "exposures": Mandate(exposures=BETAS, exposure_bounds={"market": (0.5, 0.95), "size": (-0.1, 0.15)}),
    "leverage": Mandate(leverage=1.6, risk_free=0.02, borrow_spread=0.01),
    "cash and groups": Mandate(leverage=1.0, risk_free=0.01, groups={"a": [0, 1]}, group_bounds={"a": (None, 0.3)}),
    "shorts": Mandate(bounds=(-0.3, 0.8), gross=1.4, short_fee=0.01),
    "shorts and exposures": Mandate(
        bounds=(-0.5, 1), gross=1.8, exposures=BETAS, exposure_bounds={"size": (-0.05, 0.05)}
    ),
    "net": Mandate(bounds=(-0.5, 0.6), leverage=1.0, net=(0.1, 0.4), gross=1.2),
    "target return": Mandate(target_return=4e-4),
    "near a benchmark": Mandate(
        benchmark=BENCHMARK, max_active_share=0.25, active_bounds={0: (-0.15, 0.1), "*": (-0.2, 0.3)}
    ),
    "tracking error": Mandate(benchmark=BENCHMARK, max_tracking_error=0.06),
    "volatility": Mandate(leverage=1.0, risk_limits=[Volatility(0.16)]),
    "shortfall": Mandate(leverage=1.0, risk_limits=[ExpectedShortfall(0.017, confidence=0.9)]),
    "odds of a fall": Mandate(leverage=1.2, risk_limits=[DrawdownOdds(0.1, 0.01)]),
    "all together": Mandate(
        bounds=(0, 0.5),
        leverage=1.0,
        groups={"a": [0, 1]},
        group_bounds={"a": (None, 0.6)},
        benchmark=BENCHMARK,
        max_tracking_error=0.07,
        max_active_share=0.3,
        risk_limits=[Volatility(0.16), ExpectedShortfall(0.02, confidence=0.9), DrawdownOdds(0.3, 0.1)],
    ),
    "a constraint": Mandate(constraints=lambda w: cp.norm2(w) <= 0.6),
}

every = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
free = pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if "mandate" not in entry.tags], ids=lambda entry: entry.name
)


def under(entry: Entry, mandate: Mandate) -> Mandate:
    """A mandate for this objective: with cash where it needs that, and a benchmark of what it may hold."""
    if mandate.benchmark is not None:
        scale = entry.make()._scale()
        mandate = mandate.set_params(benchmark={asset: scale * share for asset, share in BENCHMARK.items()})
    if mandate.target_return is not None:
        mandate = mandate.set_params(target_return=entry.make()._scale() * mandate.target_return)
    return mandate.set_params(leverage=mandate.leverage or 1.0) if "cash" in entry.tags else mandate


def certified(optimizer: Optimizer, data: np.ndarray) -> np.ndarray:
    """Optimise, insist on a certified optimum, and repeat the proof from the data."""
    weights = optimizer.optimize(data, kind="returns")
    solution = optimizer.solution
    assert solution.status == "optimal"
    assert -1e-18 <= solution.gap <= solution.tolerance
    assert solution.verify(data) <= 1.01 * solution.gap + 0.1 * solution.tolerance
    return weights


def within(held: np.ndarray, mandate: Mandate, fraction: float = 1.0, market: Market | None = None) -> None:
    """The limits by hand, to 1e-9."""
    near = 1e-9
    if mandate.net is not None:
        assert mandate.net[0] - near <= held.sum() <= mandate.net[1] + near
    if mandate.benchmark is not None:
        away = held - np.array([mandate.benchmark[asset] for asset in range(N)])
        if mandate.max_active_share is not None:
            assert 0.5 * np.abs(away).sum() <= mandate.max_active_share + near
        for asset in range(N) if mandate.active_bounds else ():
            low, high = mandate.active_bounds.get(asset, mandate.active_bounds["*"])
            assert low - near <= away[asset] <= high + near
    if market is not None:
        measured(held, mandate, market)
    if isinstance(mandate.bounds, dict):
        for asset in range(N):
            low, high = mandate.bounds.get(asset, mandate.bounds["*"])
            assert low - near <= held[asset] <= high + near
    elif mandate.bounds is not None:
        assert mandate.bounds[0] - near <= held.min() <= held.max() <= mandate.bounds[1] + near
    else:
        assert held.min() >= -near
    for name, members in (mandate.groups or {}).items():
        low, high = mandate.group_bounds[name]
        assert (-np.inf if low is None else low) - near <= held[members].sum() <= high + near
    for name, (low, high) in (mandate.exposure_bounds or {}).items():
        assert low - near <= BETAS[name].to_numpy() @ held <= high + near
    if mandate.leverage is None:
        assert held.sum() == pytest.approx(fraction, abs=near)
    else:
        assert held.sum() <= fraction * mandate.leverage + near
    if mandate.gross is not None:
        assert np.abs(held).sum() <= mandate.gross + near
    if mandate.constraints:
        assert np.linalg.norm(held) <= 0.6 + near


def measured(held: np.ndarray, mandate: Mandate, market: Market) -> None:
    """Limits on mean and risk by hand, to 1e-9."""
    near, paid = 1e-9, market.returns @ held
    p = np.full(len(paid), 1 / len(paid)) if market.probabilities is None else market.probabilities
    weighted = {} if market.probabilities is None else {"ddof": 0, "aweights": p}
    covariance = np.cov(market.returns.T, **weighted)
    if mandate.target_return is not None:
        assert p @ paid >= mandate.target_return - near
    if mandate.max_tracking_error is not None:
        away = held - np.array([mandate.benchmark[asset] for asset in range(N)])
        assert np.sqrt(252 * away @ covariance @ away) <= mandate.max_tracking_error + near
    for limit in mandate.risk_limits:
        if isinstance(limit, Volatility):
            assert np.sqrt(252 * held @ covariance @ held) <= limit.most + near
        if isinstance(limit, ExpectedShortfall):
            tail = 1 - limit.confidence
            assert min(v + p @ np.maximum(-paid - v, 0) / tail for v in -paid) <= limit.most + near
        if isinstance(limit, DrawdownOdds):
            assert np.log(p @ (1 + paid) ** -(np.log(limit.odds) / np.log(1 - limit.fall))) <= 1e-7


@every
@pytest.mark.parametrize("belief", BELIEFS)
def test_any_objective_with_any_belief(entry: Entry, belief: str) -> None:
    certified(entry.make(beliefs=BELIEFS[belief]), returns(COUNT, N, seed=21))


@free
@pytest.mark.parametrize("kind", MANDATES)
def test_any_objective_under_any_mandate(entry: Entry, kind: str) -> None:
    if "invested" in entry.tags and MANDATES[kind].leverage is not None:
        pytest.skip("takes no leverage, and says so")
    mandate = under(entry, MANDATES[kind])
    optimizer = entry.make(mandate=mandate)
    if "satiated" in entry.tags and kind == "leverage":
        with pytest.raises(PortfolioError, match="utility falls with wealth"):
            optimizer.optimize(returns(COUNT, N, seed=22), kind="returns")
        return
    data = returns(COUNT, N, seed=22)
    held = certified(optimizer, data)
    within(held, mandate, optimizer._scale(), optimizer._market(data, "returns"))


@pytest.mark.parametrize("kind", MANDATES)
@pytest.mark.parametrize("belief", BELIEFS)
def test_any_belief_under_any_mandate(belief: str, kind: str) -> None:
    data = returns(COUNT, N, seed=22 if MANDATES[kind].benchmark or kind == "target return" else 23)
    for make in (Kelly, KLRobustKelly, CVaR, MinVariance, WassRobustMeanVariance):
        optimizer = make(beliefs=BELIEFS[belief], mandate=MANDATES[kind])
        within(certified(optimizer, data), MANDATES[kind], market=optimizer._market(data, "returns"))


@pytest.mark.parametrize("kind", [kind for kind in MANDATES if kind != "a constraint"])
@pytest.mark.parametrize("make", [Kelly, KLRobustKelly, CVaR, MinVariance, WassRobustMeanVariance])
def test_mandates_agree_with_cvxpy(make: type, kind: str) -> None:
    data = returns(COUNT, N, seed=22 if MANDATES[kind].benchmark or kind == "target return" else 24)
    ours, theirs = make(mandate=MANDATES[kind]), make(mandate=MANDATES[kind], solver="cvxpy")
    certified(ours, data)
    if make is MinVariance and kind == "all together":  # where cvxpy itself ends above the tolerance of a variance
        model = theirs.problem(data, kind="returns")
        model.solve(solver="CLARABEL")
        assert model.value == pytest.approx(ours.solution.value, rel=1e-5)
        return
    theirs.optimize(data, kind="returns")
    assert theirs.solution.value == pytest.approx(
        ours.solution.value, abs=ours.solution.gap + theirs.solution.gap + 1e-12
    )


@pytest.mark.parametrize("kind", ["bounds", "groups", "exposures", "shorts and exposures", "cash and groups"])
@pytest.mark.parametrize("make", [Kelly, lambda **k: Kelly(0.5, **k), KLRobustKelly, CVaR, MinVariance])
def test_the_order_of_the_columns_does_not_matter(make, kind: str) -> None:
    frame = pd.DataFrame(returns(COUNT, N, seed=25))
    order = [3, 0, 4, 1, 2]
    one, two = make(mandate=MANDATES[kind]), make(mandate=MANDATES[kind])
    weights = pd.Series(one.optimize(frame, kind="returns"))
    other = pd.Series(two.optimize(frame[order], kind="returns"), order)
    assert two.solution.value == pytest.approx(one.solution.value, abs=2 * one.solution.tolerance)
    if make is not CVaR:  # whose optimum need not be unique
        np.testing.assert_allclose(other[weights.index], weights, atol=1e-5)


@free
def test_a_mandate_that_cannot_be_met_is_named(entry: Entry) -> None:
    data = returns(COUNT, N, seed=26)
    alone = under(entry, Mandate(bounds=(0, 0.2), groups={"two": [0, 1]}, group_bounds={"two": (0.6, 1)}))
    with pytest.raises(InfeasibleError, match="group two"):
        entry.make(mandate=alone).optimize(data, kind="returns")
    limits = {
        "groups": {"a": [0, 1], "b": [1, 2]},
        "group_bounds": {"a": (0.75, 1), "b": (0.75, 1)},
        "bounds": (0, 0.4),
    }
    scale = entry.make()._scale()
    together = under(entry, Mandate(**limits)).set_params(
        bounds=(0, 0.4 * scale), group_bounds={"a": (0.75 * scale, 1), "b": (0.75 * scale, 1)}
    )
    with pytest.raises(InfeasibleError, match=r"group a.*group b"):
        entry.make(mandate=together).optimize(data, kind="returns")
