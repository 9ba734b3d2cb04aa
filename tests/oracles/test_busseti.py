"""The finite-outcome example of Busseti, Ryu and Boyd (2016), *Risk-constrained Kelly gambling*."""

from __future__ import annotations

import numpy as np
import pytest

from opeslike.modelling.mandate import Mandate
from opeslike.objectives import Kelly, RiskConstrainedKelly


@pytest.fixture(scope="module")
def bets() -> tuple[np.ndarray, np.ndarray]:
    """100 outcomes of 20 bets, the last of which is cash: simple returns (100, 20), and their probabilities."""
    legacy = np.random.RandomState(0)
    p = legacy.uniform(size=100)
    p /= p.sum()
    gross = legacy.uniform(0.7, 1.3, (20, 100))
    for _ in range(30):
        gross[legacy.choice(20), legacy.choice(100)] = 0.1
        gross[legacy.choice(20), legacy.choice(100)] = 2.5
    gross[-1] = 1.0
    return gross.T - 1.0, p


def growth(w: np.ndarray, bets: tuple[np.ndarray, np.ndarray]) -> float:
    returns, p = bets
    return float(p @ np.log1p(returns @ w))


def test_kelly(bets) -> None:
    w = Kelly(beliefs=bets[1]).optimize(bets[0], kind="returns")
    assert growth(w, bets) == pytest.approx(0.0616913, abs=5e-8)
    held = np.flatnonzero(w > 1e-8)
    assert held.tolist() == [3, 18]
    np.testing.assert_allclose(w[held], [0.873526, 0.126474], atol=5e-7)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        # printed as 6.456, it is log(0.1) / log(0.7) = 6.45568
        (lambda p: RiskConstrainedKelly(lam=np.log(0.1) / np.log(0.7), beliefs=p), 0.0430199),
        (lambda p: RiskConstrainedKelly(0.3, 0.1, beliefs=p), 0.0430199),
        (lambda p: RiskConstrainedKelly(lam=5.5, beliefs=p), 0.0473507),
        (lambda p: RiskConstrainedKelly(lam=5.5, mandate=Mandate(), beliefs=p), 0.0473507),
        (lambda p: RiskConstrainedKelly(lam=5.5, solver="cvxpy", beliefs=p), 0.0473507),
    ],
    ids=["lambda 6.456", "30% with odds of 10%", "lambda 5.5", "lambda 5.5, fully invested", "lambda 5.5, cvxpy"],
)
def test_risk_constrained(bets, optimizer, rate) -> None:
    built = optimizer(bets[1])
    w = built.optimize(bets[0], kind="returns")
    assert growth(w, bets) == pytest.approx(rate, abs=1e-7)
    assert built.solution.status == "optimal"
    returns, p = bets
    lam = np.log(0.1) / np.log(0.7) if built.lam is None else built.lam
    assert p @ (1.0 + returns @ w) ** -lam <= 1.0 + 1e-7


def test_odds_of_a_drawdown(bets) -> None:
    """P(least wealth over 100 bets < 0.7), beside the published figures and the bound 0.7 ** lambda."""
    returns, p = bets
    rng = np.random.default_rng(1)
    outcomes = rng.choice(100, size=(40_000, 100), p=p)
    for optimizer, published in (
        (Kelly(beliefs=p), 0.398),
        (RiskConstrainedKelly(lam=6.456, beliefs=p), 0.073),
        (RiskConstrainedKelly(lam=5.5, beliefs=p), 0.099),
    ):
        w = optimizer.optimize(returns, kind="returns")
        logs = np.log1p(returns @ w)
        odds = float((np.cumsum(logs[outcomes], axis=1).min(axis=1) < np.log(0.7)).mean())
        assert odds == pytest.approx(published, abs=0.006)  # four standard errors here, and three digits there
        if isinstance(optimizer, RiskConstrainedKelly):
            assert odds < 0.7**optimizer.lam
