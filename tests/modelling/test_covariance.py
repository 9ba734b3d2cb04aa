"""The covariance of few scenarios of many assets answers as the matrix does, and the matrix is not made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from opeslike.market import Market
from opeslike.modelling.covariance import ScenarioCovariance, sample_moments
from opeslike.modelling.limits import Volatility
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import Kelly, MaxDiversification, MaxSharpe, MeanVariance, MinVariance, RiskParity

ROWS, ASSETS = 60, 600


def few_rows(weighted: bool) -> Market:
    g = np.random.default_rng(7)
    common = 0.01 * g.standard_t(5, (ROWS, 1)) * g.uniform(0.5, 1.5, ASSETS)
    returns = common + 0.01 * g.standard_normal((ROWS, ASSETS)) * g.uniform(0.2, 3.0, ASSETS) + 0.003
    return Market.from_data(returns, "returns", g.uniform(0, 1, ROWS) if weighted else None)


@pytest.mark.parametrize("weighted", [False, True])
def test_products_and_entries_are_those_of_the_matrix(weighted: bool) -> None:
    market = few_rows(weighted)
    g, (mean, covariance) = np.random.default_rng(1), sample_moments(market)
    expected_mean, expected = market.mean_and_covariance()
    assert isinstance(covariance, ScenarioCovariance)
    size = np.abs(expected).max()
    np.testing.assert_allclose(mean, expected_mean, rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.asarray(covariance), expected, rtol=0, atol=1e-14 * size)
    np.testing.assert_allclose(covariance.diagonal(), expected.diagonal(), rtol=1e-12)
    for held in (ASSETS, 5):
        w = np.zeros(ASSETS)
        w[g.choice(ASSETS, held, replace=False)] = g.standard_normal(held)
        np.testing.assert_allclose(covariance @ w, expected @ w, rtol=0, atol=1e-13 * size * np.abs(w).sum())
        np.testing.assert_array_equal(w @ covariance, covariance @ w)
    first, second = g.choice(ASSETS, 9), g.choice(ASSETS, 4)
    np.testing.assert_allclose(covariance[np.ix_(first, second)], expected[np.ix_(first, second)], atol=1e-14 * size)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [MinVariance, MeanVariance, MaxSharpe, MaxDiversification])
@pytest.mark.parametrize("limits", [{}, {"bounds": (0, 0.05)}, {"max_turnover": 0.3}, {"groups": True}], ids=str)
def test_answers_are_those_of_the_matrix_which_is_not_made(
    kind: Any, limits: dict[str, Any], weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, held = few_rows(weighted), np.full(ASSETS, 1 / ASSETS)
    if "groups" in limits:
        names = list(market.assets)
        limits = {"groups": {"a": names[:300], "b": names[300:]}, "group_bounds": {"a": (0, 0.3)}}
    given = {"held": held} if "max_turnover" in limits else {}
    plain, quick = kind(mandate=Mandate(**limits)), kind(mandate=Mandate(**limits))
    expected = plain.optimize(market, custom_cov=market.mean_and_covariance()[1], **given)
    if "max_turnover" not in limits and kind is not MaxDiversification:  # else it is solved over all
        monkeypatch.setattr(ScenarioCovariance, "__array__", None)
    w = quick.optimize(market, **given)
    assert quick.solution.gap <= quick.solution.tolerance
    assert abs(quick.solution.value - plain.solution.value) <= quick.solution.gap + plain.solution.gap + 1e-12
    np.testing.assert_allclose(w, expected, atol=1e-5)
    quick.solution.verify(market)


@pytest.mark.parametrize("weighted", [False, True])
def test_risk_budgets_are_met_without_the_matrix(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    market = few_rows(weighted)
    covariance = market.mean_and_covariance()[1]
    budgets = np.random.default_rng(3).uniform(0.1, 1.0, ASSETS)
    monkeypatch.setattr(ScenarioCovariance, "__array__", None)
    w = RiskParity(budgets=budgets).optimize(market)
    np.testing.assert_allclose(w * (covariance @ w) / (w @ covariance @ w), budgets / budgets.sum(), rtol=1e-9)


def test_a_limit_on_volatility_is_met() -> None:
    market = few_rows(False)
    covariance = market.mean_and_covariance()[1]
    kelly = Kelly(mandate=Mandate(risk_limits=[Volatility(0.25)]))
    w = kelly.optimize(market)
    assert kelly.solution.gap <= kelly.solution.tolerance
    assert np.sqrt(252 * (w @ covariance @ w)) == pytest.approx(0.25, abs=1e-6)


def test_few_assets_go_the_other_way() -> None:
    market = few_rows(False)
    assert isinstance(sample_moments(Market.from_data(market.returns[:, :50], "returns"))[1], np.ndarray)
