"""Very many scenarios: a sample tells where the edge of the tail is, and never what the answer is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from opeslike.market import Market
from opeslike.objectives import BoxRobustKelly, CVaR, MeanCVaR, WorstCaseLoss
from opeslike.solvers import tail

KINDS = [(CVaR, 0.9), (CVaR, 0.99), (MeanCVaR, 0.5, 0.8), (WorstCaseLoss,), (BoxRobustKelly,)]


def scenarios(seed: int) -> Market:
    """Heavy tails, and now and then unequal probabilities or few values, so that many scenarios tie."""
    g = np.random.default_rng(seed)
    count, assets = int(g.integers(300, 1500)), int(g.integers(2, 12))
    returns = 0.01 * g.standard_t(3, (count, assets)) + 0.005 * g.standard_t(3, (count, 1)) + 0.0005
    returns = np.clip(np.round(returns, 3) if seed % 3 == 0 else returns, -0.6, None)
    return Market.from_data(returns, "returns", g.uniform(0, 1, count) ** 4 if seed % 2 else None)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_a_sample_changes_no_answer(kind: tuple[Any, ...], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    market = scenarios(seed)
    plain, found = (kind[0](*kind[1:]) for _ in range(2))
    plain.optimize(market)
    monkeypatch.setattr(tail, "_EVERY", 4)
    monkeypatch.setattr(tail, "_LARGE", 20)  # a sample of a sample of a sample
    found.optimize(market)
    assert found.solution.gap <= found.solution.tolerance
    assert abs(found.solution.value - plain.solution.value) <= plain.solution.tolerance


def test_a_sample_that_misleads_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = np.random.default_rng(5).normal(0.0005, 0.01, (800, 6))
    returns[::4] = -np.abs(returns[::4][:, ::-1]) * np.arange(1, 7)  # what is sampled is another world
    market = Market.from_data(returns, "returns")
    plain = CVaR(0.9)
    plain.optimize(market)
    monkeypatch.setattr(tail, "_EVERY", 4)
    monkeypatch.setattr(tail, "_LARGE", 20)
    found = CVaR(0.9)
    found.optimize(market)
    assert found.solution.gap <= found.solution.tolerance
    np.testing.assert_allclose(found.solution.weights, plain.solution.weights, atol=1e-6)


def test_the_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    market, looked = scenarios(1), []
    guess = tail._Tail.guess
    monkeypatch.setattr(tail, "_LARGE", 40)
    monkeypatch.setattr(tail._Tail, "guess", lambda self, *given: looked.append(found := guess(self, *given)) or found)
    CVaR(0.9).optimize(Market.from_data(np.tile(market.returns, (2, 1)), "returns"))
    assert any(found is not None for found in looked)
