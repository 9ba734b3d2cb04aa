"""Means and covariances: formulas by hand, and those of other packages."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from opeslike.beliefs import (
    BlackLitterman,
    BlockBootstrap,
    Conditional,
    Decay,
    Empirical,
    Factors,
    Near,
    Prior,
    Recentred,
    Rescaled,
    ShrunkMeans,
    Simulated,
    Stress,
    Window,
)
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market
from opeslike.objectives import Kelly, MaxMean, MeanVariance, MinVariance


def exact(mean: list[float], covariance: np.ndarray, count: int = 30, seed: int = 0) -> Market:
    """A market with exactly this sample mean and covariance (divided by T - 1)."""
    g = np.random.default_rng(seed)
    z = g.normal(size=(count, len(mean)))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / (count - 1))).T
    frame = pd.DataFrame(z @ np.linalg.cholesky(covariance).T + mean, pd.bdate_range("2020-01-01", periods=count))
    return Market.from_data(frame.set_axis(list("ABCDEFGH")[: len(mean)], axis=1), "returns")


def moments(market: Market) -> tuple[np.ndarray, np.ndarray]:
    return market.mean_and_covariance()


COVARIANCE = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.4], [0.5, -0.4, 2.0]]) * 1e-4


def test_bayes_stein_by_hand() -> None:
    """Jorion (1986) with S = s^2 I: the least-variance portfolio is 1/N, distances are Euclidean."""
    s2, mean, count = 4e-4, [0.001, 0.003, 0.005, -0.001], 30
    seen = exact(mean, s2 * np.eye(4), count)
    common, distance = 0.002, (1 + 1 + 9 + 9) * 1e-6 / s2 * (count - 4 - 2) / (count - 1)
    pull = 6 / (6 + count * distance)
    found, covariance = moments(ShrunkMeans()(seen))
    np.testing.assert_allclose(found, (1 - pull) * np.array(mean) + pull * common, atol=1e-15)
    np.testing.assert_allclose(covariance, s2 * np.eye(4), atol=1e-17)
    stein = min(1, 2 / (count * 20e-6 / s2))
    np.testing.assert_allclose(
        ShrunkMeans("james-stein").means(seen), (1 - stein) * np.array(mean) + stein * common, atol=1e-15
    )


def test_shrinkage_with_a_general_covariance_and_targets() -> None:
    mean, count = np.array([0.001, 0.004, -0.002]), 40
    seen = exact(list(mean), COVARIANCE, count)
    inverse = np.linalg.inv(COVARIANCE)
    common = inverse.sum(axis=0) @ mean / inverse.sum()
    sigma = np.linalg.inv(COVARIANCE * (count - 1) / (count - 3 - 2))
    pull = 5 / (5 + count * (mean - common) @ sigma @ (mean - common))
    np.testing.assert_allclose(ShrunkMeans().means(seen), mean + pull * (common - mean), atol=1e-15)
    for target in (0.002, [0.001, 0.0, 0.002], pd.Series([0.002, 0.001, 0.0], ["C", "A", "B"])):
        m0 = np.array([0.001, 0.0, 0.002]) if np.ndim(target) else 0.002
        pull = 5 / (5 + count * (mean - m0) @ sigma @ (mean - m0))
        np.testing.assert_allclose(ShrunkMeans(target=target).means(seen), mean + pull * (m0 - mean), atol=1e-15)
    equilibrium = BlackLitterman(market_weights=[0.5, 0.3, 0.2])
    m0 = 2.5 * COVARIANCE @ [0.5, 0.3, 0.2]
    pull = 5 / (5 + count * (mean - m0) @ sigma @ (mean - m0))
    np.testing.assert_allclose(ShrunkMeans(target=equilibrium).means(seen), mean + pull * (m0 - mean), atol=1e-15)
    assert ShrunkMeans("james-stein").means(exact([0.001] * 3, COVARIANCE)) == pytest.approx(0.001)
    with pytest.raises(PortfolioError, match="method='stein'"):
        ShrunkMeans("stein")
    with pytest.raises(DataError, match="target has shape"):
        ShrunkMeans(target=[0.1])(seen)
    with pytest.raises(DataError, match="4 effective scenarios of 3 assets are too few"):
        ShrunkMeans()(seen.window(0, 4))
    with pytest.raises(DataError, match="do not vary on their own"):
        ShrunkMeans()(seen.with_returns(seen.returns[:, [0, 0, 1]]))


def test_recentred_is_custom_mean_for_everyone() -> None:
    seen = exact([0.001, 0.004, -0.002], COVARIANCE)
    mean = pd.Series([0.002, 0.001, 0.0005], ["C", "A", "B"])
    moved = Recentred(mean)(seen)
    np.testing.assert_allclose(moved.returns.mean(axis=0), [0.001, 0.0005, 0.002], atol=1e-17)
    np.testing.assert_allclose(moments(moved)[1], COVARIANCE, atol=1e-17)
    faded = Recentred(0.001)(Decay(5)(seen))
    np.testing.assert_allclose(faded.probabilities @ faded.returns, 0.001, atol=1e-16)
    for make in (MeanVariance, MaxMean):
        given, believed = make(custom_mean=mean), make(beliefs=Recentred(mean))
        np.testing.assert_allclose(given.optimize(seen), believed.optimize(seen), atol=1e-9)
    plain, moved_kelly = Kelly().optimize(seen), Kelly(beliefs=Recentred([0.0, 0.0, 0.02])).optimize(seen)
    assert moved_kelly[2] > 0.95 > plain[2]
    with pytest.raises(DataError, match="mean lacks C"):
        Recentred(mean.drop("C"))(seen)


def test_rescaled_to_a_covariance_moves_least() -> None:
    seen = exact([0.001, 0.004, -0.002], COVARIANCE)
    wanted = np.array([[2.0, -0.5, 0.1], [-0.5, 5.0, 0.3], [0.1, 0.3, 1.0]]) * 1e-4
    moved = Rescaled(wanted)(seen)
    mean, covariance = moments(moved)
    np.testing.assert_allclose(covariance, wanted, rtol=0, atol=1e-16)
    np.testing.assert_allclose(mean, [0.001, 0.004, -0.002], atol=1e-16)
    # Gelbrich's distance between the two, per scenario
    values, vectors = np.linalg.eigh(COVARIANCE)
    root = (vectors * np.sqrt(values)) @ vectors.T
    least = np.trace(COVARIANCE) + np.trace(wanted) - 2 * np.sqrt(np.linalg.eigvalsh(root @ wanted @ root)).sum()
    assert ((moved.returns - seen.returns) ** 2).sum() / 29 == pytest.approx(least, rel=1e-9)
    faded = Rescaled(wanted)(Decay(8)(seen))
    np.testing.assert_allclose(moments(faded)[1], wanted, rtol=0, atol=1e-16)
    with pytest.raises(DataError, match="do not spread in all directions"):
        Rescaled(wanted)(seen.window(0, 3))
    with pytest.raises(DataError, match="covariance is not symmetric"):
        Rescaled(np.triu(wanted))(seen)
    with pytest.raises(PortfolioError, match="'shrunk' is unknown"):
        Rescaled("shrunk")


def test_covariance_estimators_pass_through() -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    seen = exact([0.001, 0.004, -0.002], COVARIANCE)
    for estimator in ("ledoit_wolf", "oas", covariance.ShrunkCovariance(shrinkage=0.3)):
        believed, asked = MinVariance(beliefs=Rescaled(estimator)), MinVariance(covariance=estimator)
        np.testing.assert_allclose(believed.optimize(seen), asked.optimize(seen), atol=1e-8)
    moved = Rescaled(covariance.OAS())(seen)
    np.testing.assert_allclose(moments(moved)[1], covariance.OAS().fit(seen.returns).covariance_, atol=1e-16)
    with pytest.raises(PortfolioError, match="must be a name or an estimator object"):
        Rescaled(covariance.OAS)


def test_an_estimator_of_skfolio_passes_through() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gerber = pytest.importorskip("skfolio.moments").GerberCovariance()
        seen = exact([0.001, 0.004, -0.002], COVARIANCE, 200)
        moved = Rescaled(gerber)(seen)
        np.testing.assert_allclose(moments(moved)[1], gerber.fit(seen.returns).covariance_, atol=1e-15)


VIEWS = {"mean(A)": 0.10, "mean(B) - 0.5 mean(C)": 0.04}
PICK, SAID = np.array([[1, 0, 0], [0, 1, -0.5]]), np.array([0.10, 0.04]) / 252
WEIGHTS = {"A": 5.0, "C": 2.0, "B": 3.0}


@pytest.mark.parametrize("confidence", [0.5, {"mean(A)": 0.2, "mean(B) - 0.5 mean(C)": 0.9}])
def test_black_litterman_by_the_formula_of_the_master(confidence) -> None:
    """He and Litterman's form with inverses, as PyPortfolioOpt writes it."""
    seen = exact([0.001, 0.004, -0.002], COVARIANCE)
    belief = BlackLitterman(VIEWS, WEIGHTS, tau=0.03, confidence=confidence, risk_aversion=3.0)
    c = np.array([0.5, 0.5] if confidence == 0.5 else [0.2, 0.9])
    prior = 3.0 * COVARIANCE @ [0.5, 0.3, 0.2]
    omega = np.diag((1 - c) / c * np.diag(PICK @ (0.03 * COVARIANCE) @ PICK.T))
    precision = np.linalg.inv(0.03 * COVARIANCE) + PICK.T @ np.linalg.inv(omega) @ PICK
    mean = np.linalg.solve(precision, np.linalg.inv(0.03 * COVARIANCE) @ prior + PICK.T @ np.linalg.inv(omega) @ SAID)
    found = belief.moments(seen)
    np.testing.assert_allclose(found[0], mean, rtol=1e-10)
    np.testing.assert_allclose(found[1], COVARIANCE + np.linalg.inv(precision), rtol=1e-10)
    scenarios = moments(belief(seen))
    np.testing.assert_allclose(scenarios[0], mean, rtol=1e-10)
    np.testing.assert_allclose(scenarios[1], COVARIANCE + np.linalg.inv(precision), rtol=1e-10)


def test_black_litterman_as_in_skfolio() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prior = pytest.importorskip("skfolio.prior")
        equilibrium = pytest.importorskip("skfolio.moments").EquilibriumMu
        seen = exact([0.001, 0.004, -0.002], COVARIANCE)
        theirs = prior.BlackLitterman(
            views=[f"A == {0.10 / 252!r}", f"B - 0.5*C == {0.04 / 252!r}"],
            tau=0.03,
            view_confidences=[0.3, 0.8],
            prior_estimator=prior.EmpiricalPrior(mu_estimator=equilibrium(risk_aversion=3.0, weights=[0.5, 0.3, 0.2])),
        ).fit(pd.DataFrame(seen.returns, columns=list("ABC")))
    confidence = dict(zip(VIEWS, [0.3, 0.8], strict=True))
    ours = BlackLitterman(VIEWS, WEIGHTS, tau=0.03, confidence=confidence, risk_aversion=3.0).moments(seen)
    np.testing.assert_allclose(ours[0], theirs.return_distribution_.mu, rtol=1e-10)
    np.testing.assert_allclose(ours[1], theirs.return_distribution_.covariance, rtol=1e-10)


def test_black_litterman_says_what_is_wrong() -> None:
    seen = exact([0.001, 0.004, -0.002], COVARIANCE)
    np.testing.assert_allclose(BlackLitterman().moments(seen)[0], 2.5 * COVARIANCE @ np.full(3, 1 / 3), rtol=1e-12)
    for views, message in (({"vol(A)": 0.2}, "equalities of means"), ({"mean(A)": "<= 0.2"}, "equalities of means")):
        with pytest.raises(PortfolioError, match=message):
            BlackLitterman(views)
    for bad in (0.0, 1.0, {"mean(A)": 0.5}, {**dict.fromkeys(VIEWS, 0.5), "mean(A)": 1.5}):
        with pytest.raises(PortfolioError, match="confidence"):
            BlackLitterman(VIEWS, confidence=bad)
    with pytest.raises(PortfolioError, match="tau=0"):
        BlackLitterman(tau=0)
    with pytest.raises(DataError, match="market_weights lacks C"):
        BlackLitterman(VIEWS, {"A": 1, "B": 2})(seen)
    with pytest.raises(PortfolioError, match="sum above 0"):
        BlackLitterman(VIEWS, [0, 0, 0])(seen)
    with pytest.raises(PortfolioError, match="Z is not among the assets"):
        BlackLitterman({"mean(Z)": 0.1})(seen)


def test_windows() -> None:
    seen = exact([0.001, 0.004], np.eye(2) * 1e-4, 10)
    assert Window(4)(seen).dates[0] == seen.dates[6]
    mixed = Window(2)(Prior(np.zeros((1, 2)), 10.0)(seen))  # the last day, and what is worth ten of it
    np.testing.assert_allclose(mixed.probabilities, [1 / 11, 10 / 11])
    assert mixed.effective_size == pytest.approx(11)
    with pytest.raises(PortfolioError, match="all have probability 0"):
        Window(2)(seen.with_probabilities([1] * 8 + [0, 0]))
    for bad in (0, 2.5, True):
        with pytest.raises(PortfolioError, match="n="):
            Window(bad)


def test_states_like_today_are_those_before_the_scenario() -> None:
    days = pd.bdate_range("2024-01-01", periods=6)
    seen = Market.from_data(pd.DataFrame({"A": [0.01, 0.02, 0.03, 0.04]}, days[1:5]), "returns")
    state = pd.Series([5.0, 1.0, np.nan, 5.0, 5.0, 99.0], days)
    p = Near(state, 2.0)(seen).probabilities
    away = np.exp(-(4.0**2) / 8)
    np.testing.assert_allclose(p, np.array([1, away, away, 1]) / (2 + 2 * away))  # the third state was missing
    late = Near(state.iloc[3:], 2.0)(seen)
    np.testing.assert_allclose(late.probabilities, [0, 0, 0, 1])
    tiny = Near(state, 1e-9)(seen.with_probabilities([0, 1, 2, 0])).probabilities
    np.testing.assert_allclose(tiny, [0, 1 / 3, 2 / 3, 0])
    with pytest.raises(DataError, match="no state by 2024-01-05"):
        Near(state.iloc[5:], 2.0)(seen)
    with pytest.raises(DataError, match="knows a state for no scenario"):
        Near(state.iloc[3:], 2.0)(seen.with_probabilities([1, 1, 1, 0]))
    with pytest.raises(DataError, match="not dated like the returns"):
        Near(pd.Series([1.0, 2.0]), 1.0)(seen)
    for bad in ([1.0], state[::-1], state.replace(99.0, np.inf), pd.Series(["a"], days[:1])):
        with pytest.raises(PortfolioError, match="indicator"):
            Near(bad, 1.0)
    with pytest.raises(PortfolioError, match="bandwidth=0"):
        Near(state, 0)


def test_stress_has_the_probability_it_says() -> None:
    seen = exact([0.001, 0.004], np.eye(2) * 1e-4, 10)
    both = Stress([[-0.3, -0.2], [-0.1, -0.4]], 0.05)(seen)
    np.testing.assert_allclose(both.probabilities, [0.095] * 10 + [0.025] * 2)
    assert both.effective_size == 10
    assert both.dates[-1] == "stress scenario 1"
    for bad in (1.0, -0.1, None):
        with pytest.raises(PortfolioError, match="probability"):
            Stress([[0.0, 0.0]], bad)
    with pytest.raises(DataError, match="stress_scenarios lack B"):
        Stress(pd.DataFrame({"A": [0.1]}), 0.1)(seen)


def test_conditional_scenarios_follow_the_regression() -> None:
    mean = np.array([0.001, 0.004, -0.002])
    seen = exact(list(mean), COVARIANCE)
    given = Empirical().given(A=-0.1)(seen)
    np.testing.assert_array_equal(given.returns[:, 0], -0.1)
    beta = COVARIANCE[1:, 0] / COVARIANCE[0, 0]
    found, covariance = moments(given)
    np.testing.assert_allclose(found[1:], mean[1:] + beta * (-0.1 - 0.001), atol=1e-15)
    schur = COVARIANCE[1:, 1:] - np.outer(beta, COVARIANCE[0, 1:])
    np.testing.assert_allclose(covariance[1:, 1:], schur, atol=1e-16)
    twice = Conditional({"A": -0.1, "C": 0.05})(seen).returns
    np.testing.assert_array_equal(twice[:, [0, 2]], np.tile([-0.1, 0.05], (30, 1)))
    copies = seen.with_returns(seen.returns[:, [0, 0, 1]])
    np.testing.assert_array_equal(Conditional({"A": -0.1, "B": -0.1})(copies).returns[:, :2], -0.1)
    with pytest.raises(PortfolioError, match="return of A=-1"):
        Empirical().given(A=-1.5)
    with pytest.raises(PortfolioError, match="must give returns by ticker"):
        Empirical().given()
    with pytest.raises(PortfolioError, match="Z is not among the assets"):
        Empirical().given(Z=0.1)(seen)


@pytest.mark.parametrize("distribution", ["normal", "T"])
def test_simulated_moments(distribution: str) -> None:
    seen = exact([0.001, 0.004, -0.002], COVARIANCE)
    drawn = Simulated(distribution, 60_000, 5, dof=6.0)(seen)
    found, covariance = moments(drawn)
    np.testing.assert_allclose(found, [0.001, 0.004, -0.002], atol=1e-14)  # pairs keep it
    np.testing.assert_allclose(covariance, COVARIANCE, atol=0.03 * 4e-4)
    z = (drawn.returns - found) / np.sqrt(covariance.diagonal())
    assert (z**4).mean() == pytest.approx(3.0 if distribution == "normal" else 6.0, rel=0.25)
    faded = Decay(6)(seen)
    np.testing.assert_allclose(moments(Simulated("normal", 60_000, 1)(faded))[1], moments(faded)[1], atol=0.03 * 4e-4)
    assert Simulated("normal", 2000, 1)(exact([0.0], np.eye(1) * 9.0)).returns.min() == -1
    for bad in ({"distribution": "cauchy"}, {"n": 1}, {"n": 11}, {"seed": None}, {"seed": 1.5}, {"dof": 2}):
        with pytest.raises(PortfolioError, match=next(iter(bad))):
            Simulated(**bad)
    with pytest.raises(DataError, match="at least two"):
        Simulated()(seen.window(0, 1))


def test_blocks_keep_neighbours_together() -> None:
    pytest.importorskip("arch")
    rows = np.arange(100.0)
    seen = Market(np.asfortranarray(rows[:, None] / 1000), ("A",), pd.RangeIndex(100))
    drawn = BlockBootstrap(20, 5000, 1)(seen)
    assert drawn.n_scenarios == 5000
    steps = np.diff(np.rint(drawn.returns[:, 0] * 1000)) % 100
    assert (steps == 1).mean() == pytest.approx(0.95, abs=0.02)
    faded = Decay(10)(seen)
    weighted = BlockBootstrap(1, 20_000, 1)(faded)
    assert weighted.probabilities @ weighted.returns[:, 0] == pytest.approx(
        faded.probabilities @ faded.returns[:, 0], rel=0.02
    )
    with pytest.raises(PortfolioError, match="probability 0"):
        BlockBootstrap(1, 1, 0)(seen.with_probabilities(np.eye(100)[0]))
    for bad in ((0, 5, 1), (2.5, 5, 1), (3, 0, 1), (3, 5, -1)):
        with pytest.raises(PortfolioError, match="must be a whole number"):
            BlockBootstrap(*bad)


def test_factors_explain_and_the_rest_is_drawn() -> None:
    g, count = np.random.default_rng(4), 3000
    dates = pd.bdate_range("2010-01-01", periods=count)
    factors = pd.DataFrame({"f": g.normal(0, 0.01, count)}, dates)
    shared = g.normal(0, 0.01, count)  # what no factor explains, though both have it
    noise = g.normal(0, 0.002, (count, 2)) + shared[:, None]
    seen = Market.from_data(
        pd.DataFrame(factors.to_numpy() * [1.5, -0.5] + noise + 0.001, dates, ["A", "B"]), "returns"
    )
    drawn = Factors(factors, 7)(seen)
    np.testing.assert_allclose(drawn.returns.mean(axis=0), seen.returns.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(drawn.returns.std(axis=0), seen.returns.std(axis=0), rtol=0.05)
    _, covariance = moments(drawn)
    assert covariance[0, 1] == pytest.approx(-0.75 * factors["f"].var(), rel=0.1)
    assert list(drawn.dates) == list(seen.dates)
    with pytest.raises(DataError, match="factors have no finite values for 2010-01-06"):
        Factors(factors.drop(dates[3]))(seen)
    with pytest.raises(DataError, match="2 return rows do not determine 2 coefficients"):
        Factors(factors)(seen.window(0, 2))
    for bad in (factors["f"], factors.iloc[:0], factors.astype(str) + "x"):
        with pytest.raises(PortfolioError, match="factors"):
            Factors(bad)
