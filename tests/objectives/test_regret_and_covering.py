"""Kelly between rival beliefs, and radii calibrated to cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from opeslike import Covering, Kelly, KLRobust, KLRobustKelly, Mandate, Market, RegretKelly
from opeslike.beliefs import BlockBootstrap, Decay, Empirical, Recentred, Window
from opeslike.errors import PortfolioError
from opeslike.kl import largest_mean
from opeslike.objectives import CRRA, KLRobustMaxMean

g = np.random.default_rng(11)
DATA = 0.01 * g.standard_t(5, (150, 4)) + 0.005 * g.standard_t(5, (150, 1)) + [0.0002, 0.0006, 0.001, 0.0004]
RIVALS = [Decay(20), Empirical(), Recentred([0.001, 0.0, 0.0, 0.0005])]


def growth(w: np.ndarray, rival: object) -> float:
    market = rival(Market.from_data(DATA, "returns"))  # type: ignore[operator]
    p = np.full(150, 1 / 150) if market.probabilities is None else market.probabilities
    return float(p @ np.log1p(market.returns @ w))


@pytest.mark.parametrize("mandate", [Mandate(), Mandate(leverage=1.5, risk_free=0.0), Mandate(bounds=(0.1, 0.5))])
def test_the_largest_regret_is_least(mandate: Mandate) -> None:
    torn = RegretKelly(RIVALS, mandate=mandate)
    w = torn.optimize(DATA, kind="returns")
    best = [growth(Kelly(beliefs=rival, mandate=mandate).optimize(DATA, kind="returns"), rival) for rival in RIVALS]
    regrets = np.array([top - growth(w, rival) for top, rival in zip(best, RIVALS, strict=True)])
    np.testing.assert_allclose(torn.regrets, regrets, atol=1e-8)
    assert torn.solution.value == pytest.approx(regrets.max(), abs=1e-8)
    assert torn.solution.status == "optimal"
    assert list(torn.regrets.index) == list(map(repr, RIVALS))
    # what SLSQP finds in the epigraph form is feasible to its own tolerance only: valued on the set, it is no better
    low, high = mandate.bounds or (0.0, mandate.leverage or 1.0)
    total = {
        "type": "eq" if mandate.leverage is None else "ineq",
        "fun": lambda x: (mandate.leverage or 1) - x[:-1].sum(),
    }
    limits = [
        {"type": "ineq", "fun": lambda x, i=i, r=rival: 1e3 * (x[-1] - best[i] + growth(x[:-1], r))}
        for i, rival in enumerate(RIVALS)
    ]
    start, box = np.append(np.full(4, 0.25), 0.01), [(low, high)] * 4 + [(0, 1)]
    found = minimize(lambda x: 1e3 * x[-1], start, bounds=box, constraints=[*limits, total], options={"ftol": 1e-9}).x[
        :-1
    ]
    found = torn._asked.problem.weights(torn._asked.problem.bounds.repair(torn._asked.problem.lift(found)))
    theirs = max(b - growth(found, r) for b, r in zip(best, RIVALS, strict=True))
    assert torn.solution.value - torn.solution.gap <= theirs + 1e-12
    assert theirs == pytest.approx(torn.solution.value, abs=2e-5)
    for other in np.random.default_rng(0).dirichlet(np.ones(4), 50):
        if (other >= low).all() and (other <= high).all():
            assert max(b - growth(other, r) for b, r in zip(best, RIVALS, strict=True)) >= torn.solution.value - 1e-9


def test_one_belief_twice_is_kelly() -> None:
    w = RegretKelly([Decay(30), Decay(30)]).optimize(DATA, kind="returns")
    np.testing.assert_allclose(w, Kelly(beliefs=Decay(30)).optimize(DATA, kind="returns"), atol=1e-4)
    torn = RegretKelly([Window(50), Empirical()], 0.5, beliefs=Decay(60))
    half = torn.optimize(DATA, kind="returns")
    assert half.sum() == pytest.approx(0.5)
    assert torn.solution.verify(DATA) <= torn.solution.tolerance


def test_rivals_are_beliefs() -> None:
    for wrong in ([Decay(5)], Decay(5), "ab"):
        with pytest.raises(PortfolioError, match="two beliefs or more"):
            RegretKelly(wrong)
    with pytest.raises(PortfolioError, match="class, not a belief"):
        RegretKelly([Decay, Empirical()])
    with pytest.raises(PortfolioError, match="no solution yet"):
        _ = RegretKelly(RIVALS).regrets
    pytest.importorskip("arch")
    drawn = RegretKelly([BlockBootstrap(5, 300, 1), Empirical()])
    drawn.optimize(DATA, kind="returns")
    assert drawn.solution.status == "optimal"


# --- Covering


@pytest.mark.parametrize(
    "make", [KLRobustKelly, KLRobustMaxMean, lambda radius: KLRobust(CRRA(3.0), radius)], ids=["kelly", "mean", "crra"]
)
def test_a_calibrated_radius_is_resolved_from_the_data(make: object) -> None:
    robust = make(radius=Covering(0.9, 40, seed=3))  # type: ignore[operator]
    w = robust.optimize(DATA, kind="returns")
    solution = robust.solution
    assert solution.status == "optimal"
    assert solution.verify(DATA) <= solution.tolerance  # the same seed, the same radius
    radius = robust._asked.problem.risk.radius
    assert 1e-4 < radius < 0.2
    other = make(radius=radius)  # type: ignore[operator]
    np.testing.assert_allclose(other.optimize(DATA, kind="returns"), w, atol=1e-6)
    larger = make(radius=Covering(0.99, 40, seed=3))  # type: ignore[operator]
    larger.optimize(DATA, kind="returns")
    assert larger._asked.problem.risk.radius >= radius


def test_the_radius_by_hand() -> None:
    """Each resample's radius is that at which its worst case meets the truth it was drawn from."""
    from opeslike.objectives.covering import _doubt, likely

    market = likely(Market.from_data(DATA, "returns"))
    certain = Kelly()._problem(market)
    p = np.full(150, 1 / 150)
    drawn = np.random.default_rng(5).multinomial(150, p) / 150
    w = Kelly(beliefs=lambda seen: market.with_probabilities(drawn)).optimize(DATA, kind="returns")
    found = _doubt(certain, p, drawn, np.full(4, 0.25))
    losses, kept = -np.log1p(market.returns @ w), drawn > 0
    worst = largest_mean(losses[kept], drawn[kept], found).value
    assert worst == pytest.approx(float(p @ losses), abs=1e-7)


def test_likely_means_are_no_farther_apart() -> None:
    from opeslike.objectives.covering import likely

    seen = Market.from_data(DATA, "returns")
    moved = likely(seen)
    assert np.ptp(moved.returns.mean(axis=0)) < np.ptp(seen.returns.mean(axis=0))
    assert moved.returns.mean() == pytest.approx(seen.returns.mean())
    alike = Market.from_data(np.tile(DATA[:, :1], 3), "returns")
    np.testing.assert_allclose(likely(alike).returns, alike.returns, rtol=0, atol=1e-18)


def test_parameters_of_covering() -> None:
    for wrong in ({"confidence": 1.0}, {"resamples": 5}, {"seed": -1}, {"block": 0}):
        with pytest.raises(PortfolioError, match=next(iter(wrong))):
            Covering(**wrong)
    assert repr(KLRobustKelly(radius=Covering(0.9))) == "KLRobustKelly(radius=Covering(confidence=0.9))"
    assert KLRobustKelly(radius=Covering(0.9)).shared() == KLRobustKelly(radius=Covering(0.9)).shared()
    with pytest.raises(PortfolioError, match="Covering"):
        KLRobustKelly(radius="wide")
    blocks = KLRobustKelly(radius=Covering(0.9, 30, block=10))
    blocks.optimize(DATA, kind="returns")
    rare = KLRobustKelly(radius=Covering(0.9, 30), beliefs=np.where(np.arange(150) % 10, 0.0, 1.0))
    rare.optimize(DATA, kind="returns")
    assert rare.solution.status == "optimal"
