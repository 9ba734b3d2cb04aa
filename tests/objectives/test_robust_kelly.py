"""Kelly portfolios that doubt the odds or limit the drawdown, against closed forms and direct computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from opeslike.errors import DataError, InfeasibleError, PortfolioError
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import (
    CARA,
    CRRA,
    BayesianKelly,
    BoxRobustKelly,
    CVaR,
    EllipsoidRobustKelly,
    EVaR,
    Kelly,
    KLRobust,
    KLRobustKelly,
    KLRobustMaxMean,
    MeanVariance,
    RiskConstrainedKelly,
    WorstCaseLoss,
)


def coin(wins: int, losses: int, payout: float = 1.0) -> np.ndarray:
    return np.array([[payout]] * wins + [[-1.0]] * losses)


def daily(seed: int, count: int = 200, n: int = 5) -> np.ndarray:
    g = np.random.default_rng(seed)
    return 0.01 * g.standard_t(5, (count, 1)) * g.uniform(0.2, 1.2, n) + 0.012 * g.standard_t(5, (count, n)) + 0.0007


# --- drawdown limits --------------------------------------------------------------------------------------------------


def test_risk_constrained_coin() -> None:
    """Win 1.25 at 51%: Kelly .1180, and .058925 with lambda = 3."""
    bet = coin(51, 49, 1.25)
    assert Kelly(mandate=Mandate(leverage=1)).optimize(bet, kind="returns")[0] == pytest.approx(0.1180, abs=5e-5)
    limited = RiskConstrainedKelly(lam=3.0)
    assert limited.optimize(bet, kind="returns")[0] == pytest.approx(0.058925, abs=5e-7)
    assert limited.solution.status == "optimal"


@settings(deadline=None, max_examples=40)
@given(st.integers(51, 75), st.floats(0.3, 30.0))
def test_the_limit_binds_or_kelly_meets_it(wins: int, lam: float) -> None:
    bet = coin(wins, 100 - wins)
    p = wins / 100

    def excess(f: float) -> float:
        return p * (1 + f) ** -lam + (1 - p) * (1 - f) ** -lam - 1

    f = RiskConstrainedKelly(lam=lam).optimize(bet, kind="returns")[0]
    kelly = 2 * p - 1
    assert 0 < f <= kelly + 1e-9
    assert excess(f) <= 1e-9
    if f < kelly - 1e-6:
        assert excess(f * (1 + 1e-6)) > 0


def test_a_loose_limit_is_kelly() -> None:
    data = daily(0)
    kelly = Kelly(mandate=Mandate(leverage=1))
    kelly.optimize(data, kind="returns")
    loose = RiskConstrainedKelly(lam=1e-3)
    loose.optimize(data, kind="returns")
    assert loose.solution.value == pytest.approx(kelly.solution.value, abs=1e-12)


def test_the_limit_holds_exactly_and_growth_falls_with_it() -> None:
    data = daily(1)
    growths = []
    for lam in (2.0, 5.0, 12.0, 40.0, 200.0):
        optimizer = RiskConstrainedKelly(lam=lam)
        w = optimizer.optimize(data, kind="returns")
        assert np.mean((1 + data @ w) ** -lam) <= 1 + 1e-12
        assert optimizer.solution.gap <= 1e-10
        growths.append(-optimizer.solution.value)
    assert np.all(np.diff(growths) < 0)


def test_agrees_with_cvxpy_and_takes_constraints() -> None:
    data = daily(2, 120, 4)
    ours, theirs = RiskConstrainedKelly(lam=8.0), RiskConstrainedKelly(lam=8.0, solver="cvxpy")
    ours.optimize(data, kind="returns")
    theirs.optimize(data, kind="returns")
    assert theirs.solution.solver.startswith("cvxpy")
    assert theirs.solution.value == pytest.approx(ours.solution.value, abs=1e-8)
    capped = RiskConstrainedKelly(lam=8.0, mandate=Mandate(leverage=1, constraints=[lambda w: w[0] + w[1] <= 0.1]))
    w = capped.optimize(data, kind="returns")
    assert w[0] + w[1] <= 0.1 + 1e-8
    assert capped.solution.value >= ours.solution.value - 1e-9


def test_regularised_limit() -> None:
    data = daily(3)
    for reg in ("l2", "l-inf", "mpad"):
        optimizer = RiskConstrainedKelly(lam=30.0, reg=reg, strength=1e-3)
        w = optimizer.optimize(data, kind="returns")
        assert optimizer.solution.status == "optimal"
        assert np.mean((1 + data @ w) ** -30.0) <= 1 + 1e-12


def test_a_limit_that_cannot_be_met() -> None:
    falling = -np.abs(daily(4))
    with pytest.raises(InfeasibleError, match=r"leverage=1"):
        RiskConstrainedKelly(lam=3.0, mandate=Mandate()).optimize(falling, kind="returns")
    # with cash there is always a portfolio: nothing
    assert RiskConstrainedKelly(lam=3.0).optimize(falling, kind="returns") == pytest.approx(np.zeros(5), abs=1e-9)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"max_drawdown": 1.0}, "max_drawdown=1.0"),
        ({"max_drawdown": 0.3, "probability": 0.0}, "probability=0.0"),
        ({"lam": -1.0}, "lam=-1.0"),
        ({"lam": 3.0, "probability": 0.1}, "either lam"),
    ],
)
def test_bad_limits(keywords, message) -> None:
    with pytest.raises(PortfolioError, match=message):
        RiskConstrainedKelly(**keywords)


# --- priors -----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(0, 30), st.floats(0.0, 50.0))
def test_posterior_coin(wins: int, losses: int, count: float) -> None:
    """A fair coin as prior: f = 2 p - 1 with p the posterior mean of a beta prior."""
    p = (wins + count / 2) / (wins + losses + count)
    if not 0.02 < p < 0.98:
        return
    optimizer = BayesianKelly(np.array([[1.0], [-1.0]]), count, mandate=Mandate(leverage=1.0))
    f = optimizer.optimize(coin(wins, losses), kind="returns")[0]
    assert f == pytest.approx(max(2 * p - 1, 0.0), abs=1e-7)


def test_priors_match_columns_by_name_and_are_checked() -> None:
    data = pd.DataFrame(daily(5, 60, 3), columns=["A", "B", "C"])
    prior = pd.DataFrame(daily(6, 10, 3), columns=["C", "A", "B"])
    one = BayesianKelly(prior, 20.0).optimize(data, kind="returns")
    two = BayesianKelly(prior[["A", "B", "C"]].to_numpy(), 20.0).optimize(data, kind="returns")
    np.testing.assert_allclose(one, two)
    assert BayesianKelly(prior, 0.0).optimize(data, kind="returns") == pytest.approx(
        Kelly().optimize(data, kind="returns")
    )
    with pytest.raises(DataError, match="prior_scenarios lack B"):
        BayesianKelly(prior[["A", "C"]], 20.0).optimize(data, kind="returns")
    with pytest.raises(DataError, match="2 columns for 3 assets"):
        BayesianKelly(np.zeros((4, 2)), 20.0).optimize(data, kind="returns")
    holed = prior.copy()
    holed.loc[3, "A"] = np.nan
    with pytest.raises(DataError, match="not finite: A, row 3"):
        BayesianKelly(holed, 20.0)
    with pytest.raises(PortfolioError, match="pseudo_count=-1"):
        BayesianKelly(prior, -1)


def test_a_prior_that_loses_everything_is_named() -> None:
    with pytest.raises(InfeasibleError, match="prior scenario 1"):
        BayesianKelly(np.array([[0.1], [-1.0]]), 5.0).optimize(coin(6, 4, 0.5) * 0.5, kind="returns")


# --- boxes and ellipsoids of probabilities ----------------------------------------------------------------------------


def test_box_of_nothing_and_of_everything() -> None:
    data = daily(7)
    kelly, worst = Kelly(), WorstCaseLoss()
    assert BoxRobustKelly(radius=0.0).optimize(data, kind="returns") == pytest.approx(
        kelly.optimize(data, kind="returns")
    )
    worst.optimize(data, kind="returns")
    huge = BoxRobustKelly(radius=1e6)
    w = huge.optimize(data, kind="returns")
    assert (data @ w).min() == pytest.approx(-worst.solution.value, abs=1e-9)


def test_box_value_is_a_mean_absolute_deviation() -> None:
    """Mean less eta times the mean absolute deviation from the median, at eta <= 1."""
    data = daily(8, 300)
    optimizer = BoxRobustKelly(radius=0.6)
    w = optimizer.optimize(data, kind="returns")
    logs = np.log1p(data @ w)
    expected = logs.mean() - 0.6 * np.abs(logs - np.median(logs)).mean()
    assert -optimizer.solution.value == pytest.approx(expected, abs=1e-12)
    q = optimizer.solution.worst_case
    assert q.sum() == pytest.approx(1.0)
    assert q.min() >= 0.4 / 300 - 1e-15
    assert q.max() <= 1.6 / 300 + 1e-15


def test_one_sided_box_is_cvar_of_log_returns() -> None:
    """Radii that let bad days count up to ten times and good days nothing: the mean of the worst tenth."""
    data = daily(9, 200)
    box = BoxRobustKelly(radius=np.full(200, 9.0))
    w = box.optimize(data, kind="returns")
    logs = np.sort(np.log1p(data @ w))
    assert -box.solution.value == pytest.approx(logs[:20].mean(), abs=1e-12)
    cvar = CVaR(0.9).optimize(data, kind="returns")
    assert logs[:20].mean() >= np.sort(np.log1p(data @ cvar))[:20].mean() - 1e-12
    with pytest.raises(PortfolioError, match="200 values for 100 scenarios"):
        box.optimize(data[:100], kind="returns")


def test_ellipsoid_is_mean_less_standard_deviation() -> None:
    data = daily(10, 400)
    chi = EllipsoidRobustKelly(radius=0.1, metric="chi-square")
    w = chi.optimize(data, kind="returns")
    logs = np.log1p(data @ w)
    assert -chi.solution.value == pytest.approx(logs.mean() - 0.1 * logs.std(), abs=1e-12)
    same = EllipsoidRobustKelly(radius=0.1 / np.sqrt(400))
    np.testing.assert_allclose(same.optimize(data, kind="returns"), w, atol=1e-7)
    q = same.solution.worst_case
    assert np.linalg.norm(q - 1 / 400) == pytest.approx(0.1 / 20, rel=1e-9)


@pytest.mark.parametrize("bad", [-0.1, np.nan, "auto", [0.1, -0.2], [[0.1]]])
def test_bad_radii(bad) -> None:
    with pytest.raises(PortfolioError, match="radius"):
        BoxRobustKelly(radius=bad)
    with pytest.raises(PortfolioError):
        EllipsoidRobustKelly(radius=bad)
    with pytest.raises(PortfolioError, match="metric='l3'"):
        EllipsoidRobustKelly(metric="l3")


# --- KL balls ---------------------------------------------------------------------------------------------------------


def test_evar_identity() -> None:
    """The KL-robust mean with radius -log(1 - beta) is the entropic value-at-risk at beta."""
    data = daily(11)
    for beta in (0.5, 0.9, 0.98):
        robust, evar = KLRobustMaxMean(-np.log(1 - beta)), EVaR(beta)
        w = robust.optimize(data, kind="returns")
        evar.optimize(data, kind="returns")
        assert robust.solution.value == pytest.approx(evar.solution.value, abs=1e-12)
        losses = -(data @ w)

        def dual(log_s: float, losses: np.ndarray = losses, beta: float = beta) -> float:
            s = np.exp(log_s)
            return (np.log(np.mean(np.exp(s * (losses - losses.max())))) - np.log(1 - beta)) / s + losses.max()

        grid = np.linspace(0, 20, 201)
        near = grid[int(np.argmin([dual(u) for u in grid]))]
        direct = minimize_scalar(dual, bounds=(near - 0.2, near + 0.2), method="bounded", options={"xatol": 1e-10}).fun
        assert robust.solution.value == pytest.approx(direct, abs=1e-9)


def test_a_ball_around_kelly_is_klrobustkelly() -> None:
    data = daily(12)
    for fraction, formulation in ((1.0, "thorp"), (0.5, "thorp"), (0.5, "opes")):
        one = KLRobust(Kelly(fraction, formulation=formulation, reg="l2", strength=1e-4), 0.05)
        two = KLRobustKelly(fraction, 0.05, formulation=formulation, reg="l2", strength=1e-4)
        np.testing.assert_allclose(one.optimize(data, kind="returns"), two.optimize(data, kind="returns"), atol=1e-9)
    auto = KLRobust(Kelly(), "auto")
    auto.optimize(data, kind="returns")
    fixed = KLRobustKelly(radius=1 / np.sqrt(200))
    fixed.optimize(data, kind="returns")
    assert auto.solution.value == pytest.approx(fixed.solution.value, abs=1e-14)


def test_a_ball_does_not_change_what_it_is_put_around() -> None:
    data = daily(13)
    plain = CRRA(4.0)
    before = plain.optimize(data, kind="returns")
    robust = KLRobust(plain, 0.2)
    robust.set_regularizer("l2", 1.0)
    robust.optimize(data, kind="returns")
    assert plain.reg is None
    np.testing.assert_array_equal(plain.optimize(data, kind="returns"), before)
    nothing = KLRobust(plain, 0.0)
    nothing.optimize(data, kind="returns")
    assert nothing.solution.value == pytest.approx(plain.solution.value, abs=1e-12)


def test_worst_case_probabilities_attain_the_value() -> None:
    data = daily(14)
    robust = KLRobust(CARA(5.0), 0.3)
    w = robust.optimize(data, kind="returns")
    q = robust.solution.worst_case
    assert q @ np.exp(-5 * (data @ w)) / 5 == pytest.approx(robust.solution.value, abs=1e-9)
    assert q @ np.log(q * 200) == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize("objective", [MeanVariance(), CVaR(), KLRobustKelly(), RiskConstrainedKelly(), "Kelly", Kelly])
def test_a_ball_needs_a_mean_of_losses(objective) -> None:
    with pytest.raises(PortfolioError, match="mean of a loss"):
        KLRobust(objective, 0.1)
