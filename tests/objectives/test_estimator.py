"""Objectives as estimators of scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike import (
    CRRA,
    CVaR,
    Kelly,
    KLRobust,
    KLRobustKelly,
    Mandate,
    MaxSharpe,
    MinVariance,
    RiskParity,
    Uniform,
    load_us20,
)
from opeslike.beliefs import Decay
from opeslike.errors import DataError, NotFittedError

PRICES = load_us20(start="2016", end="2019-12-31")
RETURNS = PRICES.pct_change(fill_method=None).dropna()
OBJECTIVES = [Kelly(0.5), KLRobustKelly(0.5), MinVariance(), MaxSharpe(), CVaR(), RiskParity(), Uniform()]
#: checks of scikit-learn that objectives cannot pass, and why
CANNOT = {
    "check_parameters_default_constructible": "a mandate is a parameter, and frozen: it may be a default",
    "check_do_not_raise_errors_in_init_or_set_params": "parameters are checked when they are given, not when fitted",
    "check_dont_overwrite_parameters": "weights and tickers are public names of OPES, which a fit sets",
    "check_estimators_unfitted": "it wants scikit-learn's NotFittedError; ours is had without importing scikit-learn",
    "check_fit1d": "a vector is the returns of one asset",
    "check_estimators_pickle": "it asks what a portfolio made on days without a price for something it holds",
    **dict.fromkeys(
        (
            "check_n_features_in_after_fitting",
            "check_complex_data",
            "check_dtype_object",
            "check_estimators_empty_data_messages",
            "check_estimator_sparse_tag",
            "check_estimator_sparse_array",
            "check_estimator_sparse_matrix",
            "check_fit2d_predict1d",
        ),
        "refused as it should be, by a DataError in the words of this package",
    ),
}
ONE_ROW = {"check_fit2d_1sample": "refused in the words of this package: a covariance needs two rows"}


@pytest.mark.parametrize("objective", OBJECTIVES[:4], ids=repr)
@pytest.mark.filterwarnings("ignore")
def test_what_scikit_learn_checks(objective: Any) -> None:
    checks = pytest.importorskip("sklearn.utils.estimator_checks", minversion=None)
    if not hasattr(checks, "estimator_checks_generator"):
        pytest.skip("needs scikit-learn 1.6")
    known = CANNOT if type(objective).__name__.endswith("Kelly") else CANNOT | ONE_ROW
    found = checks.check_estimator(objective, expected_failed_checks=known, on_fail=None, on_skip=None)
    by_status: dict[str, set[str]] = {}
    for one in found:
        by_status.setdefault(one["status"], set()).add(one["check_name"])
    assert "failed" not in by_status, by_status
    assert by_status["xfail"] == set(known)  # none is listed that would pass
    assert len(by_status["passed"]) >= 20


def test_fit_leaves_what_optimize_finds() -> None:
    fitted, optimised = Kelly().fit(RETURNS), Kelly()
    optimised.optimize(PRICES)
    np.testing.assert_array_equal(fitted.weights_, optimised.weights)
    assert fitted.n_features_in_ == 20
    assert fitted.feature_names_in_.tolist() == list(RETURNS.columns)
    assert fitted.feature_names_in_.dtype == object
    assert fitted.solution.gap <= fitted.solution.tolerance
    np.testing.assert_array_equal(Kelly().fit(PRICES, kind="prices").weights_, fitted.weights_)
    np.testing.assert_array_equal(Kelly().fit(RETURNS.to_numpy()).weights_, fitted.weights_)
    assert fitted.fit(RETURNS.iloc[:300]) is fitted
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).weights_, fitted.weights_)
    held = dict.fromkeys(RETURNS.columns, 0.05)
    near = Kelly(mandate=Mandate(max_turnover=0.1)).fit(RETURNS, held=held)
    assert np.abs(near.weights_ - 0.05).sum() <= 0.1 + 1e-9


def test_nothing_is_there_before_a_fit() -> None:
    base = pytest.importorskip("sklearn.utils.validation")
    fresh = Kelly()
    assert not any(hasattr(fresh, name) for name in ("weights_", "n_features_in_", "feature_names_in_"))
    with pytest.raises(NotFittedError, match=r"Kelly has no weights yet; call optimize\(data\) first"):
        fresh.predict(RETURNS)
    with pytest.raises(Exception, match="not fitted yet"):
        base.check_is_fitted(fresh)
    base.check_is_fitted(fresh.fit(RETURNS))
    assert not hasattr(Kelly().fit(RETURNS.to_numpy()), "feature_names_in_")
    assert not hasattr(fresh.set_params(fraction=0.5), "weights_")


def test_predictions_are_the_returns_of_the_portfolio() -> None:
    fitted = Kelly(0.5).fit(RETURNS)
    found = fitted.predict(RETURNS)
    pd.testing.assert_series_equal(found, (RETURNS @ fitted.weights_).rename("Kelly"))
    pd.testing.assert_series_equal(fitted.predict(PRICES, kind="prices"), found, check_freq=False)
    pd.testing.assert_series_equal(fitted.predict(RETURNS.iloc[:, ::-1]), found)
    array = fitted.predict(RETURNS.to_numpy())
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, found)


@pytest.mark.parametrize("lower", [0.0, -0.3], ids=["long", "short"])
def test_cash_debt_and_shorts_are_charged_as_in_the_objective(lower: float) -> None:
    terms = {"risk_free": 0.03, "borrow_spread": 0.02, "short_fee": 0.01}
    for leverage in (1.0, 1.5):
        mandate = Mandate(leverage=leverage, bounds=(lower, 0.2), gross=2.0, **terms)
        fitted = Kelly(mandate=mandate).fit(RETURNS)
        assert fitted.score(RETURNS) == pytest.approx(-fitted.solution.value, rel=1e-9)
    half = Kelly(0.5, mandate=mandate).fit(RETURNS)
    cash, rate = 1 - half.weights_.sum(), 1.03 ** (1 / 252) - 1
    short = np.minimum(half.weights_, 0).sum() * (1.01 ** (1 / 252) - 1)
    assert cash > 0
    np.testing.assert_allclose(half.predict(RETURNS), RETURNS @ half.weights_ + cash * rate + short, atol=1e-16)


def test_the_score_is_mean_log_growth_whatever_the_objective() -> None:
    for objective in OBJECTIVES:
        fitted = objective.copy().fit(RETURNS)
        assert fitted.score(RETURNS) == pytest.approx(np.log1p(RETURNS @ fitted.weights_).mean())
    assert Uniform().fit(RETURNS).score(np.vstack([RETURNS, np.full(20, -1.0)])) == -np.inf
    assert Uniform().fit(RETURNS).score(np.vstack([RETURNS, np.full(20, -1.5)])) == -np.inf


def test_prices_given_as_returns_are_told() -> None:
    with pytest.raises(DataError, match=r"AAPL: every return is above 100%; pass kind='prices' if they are prices"):
        Kelly().fit(PRICES.iloc[:50])
    with pytest.raises(DataError, match="AAPL: every return is above 100%"):
        Kelly().fit(RETURNS).score(PRICES.iloc[-60:])


def test_what_cannot_be_predicted_is_told() -> None:
    fitted = Kelly().fit(RETURNS)
    with pytest.raises(DataError, match="X comes without AAPL"):
        fitted.predict(RETURNS.drop(columns="AAPL"))
    with pytest.raises(DataError, match="with NEW which the training data lacks"):
        fitted.predict(RETURNS.assign(NEW=0.0))
    holes = RETURNS.copy()
    held, idle = (RETURNS.columns[np.flatnonzero(some)[0]] for some in (fitted.weights_, fitted.weights_ == 0))
    holes.loc["2018-03-01", idle] = np.nan
    assert len(fitted.predict(holes)) == len(holes)
    holes.loc["2018-03-02", held] = np.nan
    with pytest.raises(DataError, match=f"{held} is held and has no return on 2018-03-02"):
        fitted.predict(holes)
    gone = PRICES.copy()
    gone.loc["2018-03-02", held] = np.nan
    with pytest.raises(DataError, match=f"{held} is held and has no return on 2018-03-02"):
        fitted.predict(gone, kind="prices")


def test_polars_frames_keep_labels_and_dates() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(RETURNS.reset_index())
    fitted = Kelly().fit(frame)
    np.testing.assert_array_equal(fitted.weights_, Kelly().fit(RETURNS).weights_)
    assert fitted.feature_names_in_.tolist() == list(RETURNS.columns)
    found = fitted.predict(frame)
    assert list(found.index) == list(RETURNS.index)
    selection = pytest.importorskip("sklearn.model_selection")
    grid = {"fraction": [1.0, 0.25]}
    searches = [
        selection.GridSearchCV(Kelly(), grid, cv=selection.TimeSeriesSplit(3)).fit(data) for data in (frame, RETURNS)
    ]
    assert searches[0].best_params_ == searches[1].best_params_
    np.testing.assert_array_equal(*(search.cv_results_["mean_test_score"] for search in searches))


def test_searches_walk_over_nested_parameters() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    splits = selection.TimeSeriesSplit(3)
    robust = KLRobustKelly(0.5, beliefs=Decay(252), mandate=Mandate(costs=10))
    grid = {
        "radius": [0.0, 0.05],
        "fraction": [0.5, 1.0],
        "mandate__costs": [None, 50],
        "beliefs__halflife": [63, 500],
    }
    search = selection.GridSearchCV(robust, grid, cv=splits, n_jobs=2).fit(RETURNS)
    assert len(search.cv_results_["params"]) == 16
    for params, *scores in zip(
        search.cv_results_["params"], *(search.cv_results_[f"split{i}_test_score"] for i in range(3)), strict=True
    ):
        if params["radius"] == 0.05 and params["fraction"] == 0.5:  # each by hand
            for (train, test), score in zip(splits.split(RETURNS), scores, strict=True):
                fitted = robust.copy().set_params(**params)
                fitted.optimize(RETURNS.iloc[train], kind="returns")
                assert np.log1p(RETURNS.iloc[test] @ fitted.weights).mean() == pytest.approx(score, rel=1e-12)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert search.predict(RETURNS).index.equals(RETURNS.index)
    random = selection.RandomizedSearchCV(robust, grid, n_iter=3, cv=splits, random_state=0).fit(RETURNS)
    assert set(random.best_params_) == set(grid)
    assert repr(robust) == "KLRobustKelly(fraction=0.5, beliefs=Decay(halflife=252), mandate=Mandate(costs=10))"
    outer = selection.GridSearchCV(KLRobust(CRRA(2), 0.1), {"objective__risk_aversion": [2, 5]}, cv=splits).fit(RETURNS)
    assert len(outer.cv_results_["params"]) == 2


def test_another_score_and_pipelines() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")

    def least_risk(fitted: Any, X: Any, y: Any = None) -> float:
        return -float(np.std(fitted.predict(X)))

    search = selection.GridSearchCV(KLRobustKelly(), {"radius": [0.0, 0.3]}, scoring=least_risk, cv=3).fit(RETURNS)
    assert search.best_params_ == {"radius": 0.3}
    piped = pipeline.make_pipeline("passthrough", Kelly()).fit(RETURNS)
    assert piped.score(RETURNS) == Kelly().fit(RETURNS).score(RETURNS)
    halves = selection.cross_val_predict(Uniform(), RETURNS, cv=selection.KFold(2))
    np.testing.assert_allclose(halves, RETURNS.mean(axis=1), atol=1e-15)


def test_scikit_learn_is_not_imported_until_asked_for() -> None:
    code = (
        "import sys, numpy as np; from opeslike import Kelly\n"
        "x = np.random.default_rng(0).normal(0, .01, (50, 3)); k = Kelly().fit(x); k.predict(x), k.score(x)\n"
        "print('sklearn' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
