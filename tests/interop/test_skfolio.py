"""Objectives as estimators of skfolio."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest

from opeslike import Kelly, KLRobustKelly, Mandate, load_us20
from opeslike.errors import PortfolioError
from opeslike.interop import skfolio as interop
from opeslike.interop.skfolio import wrap

RETURNS = load_us20(start="2015", end="2019-12-31").pct_change(fill_method=None).dropna()


@pytest.fixture(scope="module")
def skfolio() -> Any:
    pytest.importorskip("skfolio")
    import skfolio.model_selection
    import skfolio.optimization

    return skfolio


def test_it_is_an_estimator_of_skfolio(skfolio: Any) -> None:
    from sklearn.base import clone

    kelly = Kelly(0.5)
    wrapped = wrap(kelly, portfolio_params={"name": "half"})
    assert isinstance(wrapped, skfolio.optimization.BaseOptimization)
    assert wrapped.objective is kelly
    assert repr(clone(wrapped)) == repr(wrapped)
    assert wrapped.get_params()["objective__fraction"] == 0.5
    assert type(pickle.loads(pickle.dumps(wrapped))) is interop.Wrapped
    portfolio = wrapped.fit(RETURNS).predict(RETURNS)
    expected = Kelly(0.5).fit(RETURNS)
    np.testing.assert_array_equal(wrapped.weights_, expected.weights_)
    np.testing.assert_allclose(portfolio.returns, expected.predict(RETURNS), atol=1e-15)
    assert portfolio.name == "half"
    assert wrapped.feature_names_in_.tolist() == list(RETURNS.columns)
    assert wrapped.objective_.solution.gap <= wrapped.objective_.solution.tolerance
    assert kelly.weights is None


def test_splits_of_skfolio_see_what_a_loop_would(skfolio: Any) -> None:
    selection = skfolio.model_selection
    walk = selection.WalkForward(train_size=504, test_size=63)
    found = selection.cross_val_predict(wrap(KLRobustKelly()), RETURNS, cv=walk)
    for portfolio, (train, test) in zip(found, walk.split(RETURNS), strict=True):
        fitted = KLRobustKelly().fit(RETURNS.iloc[train])
        np.testing.assert_allclose(portfolio.returns, fitted.predict(RETURNS.iloc[test]), atol=1e-15)
    purged = selection.CombinatorialPurgedCV(n_folds=5, n_test_folds=2)
    population = selection.cross_val_predict(wrap(KLRobustKelly()), RETURNS, cv=purged)
    assert len(population) == purged.n_test_paths


def test_searches_of_scikit_learn_walk_over_the_objective(skfolio: Any) -> None:
    from sklearn.model_selection import GridSearchCV

    purged = skfolio.model_selection.CombinatorialPurgedCV(n_folds=4, n_test_folds=2)
    splits = [(train, np.concatenate(test)) for train, test in purged.split(RETURNS)]
    grid = {"objective__radius": [0.0, 0.1]}
    search = GridSearchCV(wrap(KLRobustKelly()), grid, cv=splits).fit(RETURNS)
    by_hand = [
        np.mean(
            [
                wrap(KLRobustKelly(radius=radius)).fit(RETURNS.iloc[train]).predict(RETURNS.iloc[test]).sharpe_ratio
                for train, test in splits
            ]
        )
        for radius in grid["objective__radius"]
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-12)


def test_previous_weights_are_what_is_held(skfolio: Any) -> None:
    selection = skfolio.model_selection
    limited = wrap(Kelly(mandate=Mandate(max_turnover=0.1)))
    assert limited.needs_previous_weights
    assert not wrap(Kelly()).needs_previous_weights
    assert wrap(Kelly(), fallback="previous_weights").needs_previous_weights
    walk = selection.WalkForward(train_size=504, test_size=126)
    found = selection.cross_val_predict(limited, RETURNS, cv=walk)
    weights = np.array([portfolio.weights for portfolio in found])
    assert np.abs(np.diff(weights, axis=0)).sum(axis=1).max() <= 0.1 + 1e-9


def test_what_is_no_objective_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortfolioError, match=r"wrap takes an objective such as Kelly\(\), got 3"):
        wrap(3)  # type: ignore[arg-type]
    interop._wrapped.cache_clear()
    monkeypatch.setitem(sys.modules, "skfolio.optimization", None)
    with pytest.raises(PortfolioError, match="this needs skfolio: pip install skfolio"):
        wrap(Kelly())
    with pytest.raises(AttributeError, match="'nonsense'"):
        interop.nonsense  # noqa: B018
