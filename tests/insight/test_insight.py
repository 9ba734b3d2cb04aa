"""Every question against brute force on a small case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize

from opeslike import CRRA, Kelly, KLRobustKelly, Mandate, Market, MeanVariance, MinVariance
from opeslike.beliefs import Decay, Views
from opeslike.errors import DataError, OptimizationError, PortfolioError
from opeslike.insight import (
    breakdown,
    frontier,
    influence,
    pose,
    ranges,
    regret,
    screen,
    uncertainty,
)
from opeslike.insight.finding import Finding
from opeslike.modelling.limits import Volatility
from opeslike.objectives import CVaR, MaxSharpe, RiskConstrainedKelly

T, N = 120, 4
g = np.random.default_rng(4)
FRAME = pd.DataFrame(
    0.006 * g.standard_t(5, (T, 1)) + 0.01 * g.standard_t(5, (T, N)) + [0.0004, 0.0008, 0.0012, 0.0006],
    pd.bdate_range("2021-01-01", periods=T),
    ["AA", "BB", "CC", "DD"],
)
R = FRAME.to_numpy()
EVEN = np.full(N, 1 / N)


def growth(w: np.ndarray, returns: np.ndarray = R) -> float:
    return float(np.log1p(returns @ w).mean())


def best(objective: object, data: object = FRAME) -> np.ndarray:
    return objective.optimize(data, kind="returns")  # type: ignore[attr-defined]


# --- regret


def test_regret_is_the_gap_at_an_optimum_and_never_below_the_true_one() -> None:
    kelly = Kelly()
    w = best(kelly)
    assert regret(w, FRAME, kind="returns").bound == pytest.approx(kelly.solution.gap, abs=1e-17)
    posed = pose(kelly, FRAME, kind="returns")
    for other in np.random.default_rng(1).dirichlet(np.full(N, 0.5), 200):
        found = regret(other, posed)
        assert found.bound >= growth(w) - growth(other) - 1e-15
        assert found.bound == pytest.approx(((1 + R) / (1 + R @ other)[:, None]).mean(axis=0).max() - 1, abs=1e-14)
        assert found.value == pytest.approx(-growth(other))


@pytest.mark.parametrize(
    "objective",
    [
        KLRobustKelly(radius=0.05),
        CRRA(3.0, reg="l1", strength=1e-4, mandate=Mandate(bounds=(-0.2, 1))),
        CVaR(0.9),
        MeanVariance(risk_aversion=4.0),
        Kelly(0.5, mandate=Mandate(leverage=1.5, risk_free=0.01, borrow_spread=0.02)),
        Kelly(beliefs=Decay(30) | Views({"mean(AA)": 0.3})),
        RiskConstrainedKelly(lam=6.0),
    ],
    ids=repr,
)
def test_regret_of_any_objective(objective: object) -> None:
    w = best(objective)
    solution = objective.solution  # type: ignore[attr-defined]
    for other in (w, 0.9 * w + 0.1 * w.sum() * np.eye(N)[1], 0.5 * w + 0.5 * w.sum() * EVEN):
        if other is not w and isinstance(objective, RiskConstrainedKelly):
            with pytest.raises(OptimizationError, match="exceed the limit"):
                regret(3 * EVEN, FRAME, objective.copy().set_params(mandate__leverage=3.0, lam=200.0), kind="returns")
            continue
        found = regret(other, FRAME, objective, kind="returns")
        assert found.bound >= found.value - solution.value - 1e-12
        assert found.annual == 252 * found.bound


def test_regret_says_which_limit_is_broken() -> None:
    with pytest.raises(OptimizationError, match="miss the limit 'budget'"):
        regret(0.5 * EVEN, FRAME, kind="returns")
    with pytest.raises(PortfolioError, match="names XX"):
        regret({"XX": 1.0}, FRAME, kind="returns")
    with pytest.raises(PortfolioError, match="MaxSharpe is no convex"):
        regret(EVEN, FRAME, MaxSharpe(), kind="returns")
    by_name = regret({"BB": 0.25, "AA": 0.75}, FRAME, kind="returns")
    assert by_name.bound == regret([0.75, 0.25, 0, 0], FRAME, kind="returns").bound
    gain = by_name.frame["gain"]
    step = 1e-6 * (np.eye(N)[2] - [0.75, 0.25, 0, 0])
    numeric = (growth(by_name.frame["weight"].to_numpy() + step) - growth(by_name.frame["weight"].to_numpy())) / 1e-6
    assert gain["CC"] - by_name.frame["weight"] @ gain == pytest.approx(numeric, rel=1e-4)


# --- breakdown


def test_breakdown_by_brute_force() -> None:
    w = np.array([0.1, 0.2, 0.6, 0.1])
    for versus, other in (("cash", np.zeros(N)), ([0.4, 0.2, 0.2, 0.2], np.array([0.4, 0.2, 0.2, 0.2]))):
        found = breakdown(w, FRAME, versus, kind="returns")
        better = np.log1p(R @ w) - np.log1p(R @ other)
        # the tilt with mean 0, by bisection on its one parameter
        low, high = 0.0, 1e4
        for _ in range(200):
            s = 0.5 * (low + high)
            q = np.exp(-s * better)
            q /= q.sum()
            low, high = (s, high) if q @ better > 0 else (low, s)
        assert found.radius == pytest.approx(float(q @ np.log(q * T)), rel=1e-6)
        assert found.bound == pytest.approx(found.radius, rel=1e-6)
        assert found.worst_case.to_numpy() @ better == pytest.approx(0, abs=1e-12)
        # the worst growth within a ball of that radius is that of the other
        from opeslike.kl import largest_mean

        assert largest_mean(-better, np.full(T, 1 / T), found.radius).value == pytest.approx(0, abs=1e-9)


def test_breakdown_at_the_ends() -> None:
    coin = np.array([[0.1], [-0.1]])
    assert breakdown([1.0], coin, kind="returns").radius == 0
    assert breakdown([1.0], np.array([[0.1], [0.2]]), kind="returns").radius == np.inf
    rate = Kelly(mandate=Mandate(leverage=1, risk_free=0.5))
    assert breakdown([0.5], np.array([[0.001], [0.0012]]), objective=rate, kind="returns").radius == 0
    with pytest.raises(PortfolioError, match="loses everything"):
        breakdown([10.0], coin, kind="returns")
    with pytest.raises(PortfolioError, match="versus='gold'"):
        breakdown(EVEN, FRAME, "gold", kind="returns")


def test_assets_leave_the_optimum_at_their_radius() -> None:
    found = breakdown(best(Kelly()), FRAME, kind="returns").assets
    start = best(Kelly())
    assert (found.isna() == (start <= 1e-8)).all()
    for asset, radius in found[np.isfinite(found)].items():
        place = list(FRAME.columns).index(asset)
        assert best(KLRobustKelly(radius=0.99 * radius))[place] > 1e-8
        assert best(KLRobustKelly(radius=1.001 * radius))[place] <= 1e-8


# --- ranges


@pytest.mark.parametrize(
    "objective",
    [
        Kelly(),
        Kelly(0.5, mandate=Mandate(leverage=1, risk_free=0.01)),
        KLRobustKelly(radius=0.02),
        MinVariance(),
        CVaR(0.9),
        Kelly(mandate=Mandate(groups={"a": ["AA", "BB"]}, group_bounds={"a": (0.2, 0.5)})),
        Kelly(mandate=Mandate(risk_limits=[Volatility(0.15)], leverage=1)),
    ],
    ids=repr,
)
def test_ranges_are_proven_and_reached(objective: object) -> None:
    within = 1e-3 if isinstance(objective, MinVariance) else 0.02
    found = ranges(objective, FRAME, within, kind="returns")
    frame = found.frame
    assert (frame["low"] <= frame["least"] + 1e-12).all()
    assert (frame["high"] >= frame["most"] - 1e-12).all()
    np.testing.assert_allclose(frame["least"], frame["low"], atol=2e-4)
    np.testing.assert_allclose(frame["most"], frame["high"], atol=2e-4)
    w = best(objective)
    np.testing.assert_allclose(frame["weight"], w, atol=1e-4)
    assert ((frame["least"] <= w + 1e-9) & (w <= frame["most"] + 1e-9)).all()


def test_ranges_by_brute_force() -> None:
    frame = ranges(Kelly(), FRAME, 0.05, kind="returns").frame
    w = best(Kelly())
    floor = growth(w) - 0.05 / 252
    limits = [
        {"type": "eq", "fun": lambda v: v.sum() - 1},
        {"type": "ineq", "fun": lambda v: 1e3 * (growth(v) - floor)},
    ]
    for i, asset in enumerate(FRAME.columns):
        for sign, proven in ((1, "low"), (-1, "high")):
            other = minimize(lambda v, i=i, s=sign: s * v[i], w, bounds=[(0, 1)] * N, constraints=limits)
            assert sign * frame[proven][asset] <= other.fun + 1e-6
            assert sign * frame[proven][asset] == pytest.approx(other.fun, abs=2e-4)


# --- influence


@pytest.mark.parametrize(
    ("objective", "block"),
    [
        (Kelly(), 1),
        (Kelly(0.5, mandate=Mandate(leverage=1, risk_free=0.01)), 7),
        (CRRA(5.0, mandate=Mandate(groups={"a": ["AA", "BB"]}, group_bounds={"a": (0.3, 0.5)})), 10),
        (KLRobustKelly(radius=0.02), 20),
        (CVaR(0.9), 30),
        (Kelly(beliefs=np.where(np.arange(T) % 9, 1.0, 0.0)), 5),
    ],
    ids=repr,
)
def test_influence_is_what_leaving_out_does(objective: object, block: int) -> None:
    found = influence(objective, FRAME, block, kind="returns")
    assert len(found.frame) == -(-T // block)
    before = objective.copy()  # type: ignore[attr-defined]
    p = np.ones(T) if before.beliefs is None else np.array(before.beliefs, dtype=float)
    for i in range(0, len(found.frame), 3):
        kept = p.copy()
        kept[i * block : (i + 1) * block] = 0.0
        one = before.copy().set_params(beliefs=kept)
        w = best(one)
        room = 2 * one.solution.tolerance
        assert found.frame["value"].iloc[i] == pytest.approx(one.solution.value, abs=room)
        if not isinstance(objective, CVaR):
            np.testing.assert_allclose(found.weights.iloc[i], w, atol=2e-3)
    top = found.top(3)
    assert top["moved"].is_monotonic_decreasing
    assert top["moved"].iloc[0] == found.frame["moved"].max()


def test_most_days_are_certified_at_once() -> None:
    long = pd.DataFrame(np.random.default_rng(2).normal(0.0005, 0.01, (800, 6)))
    found = influence(CRRA(20.0), long, kind="returns")
    assert found.frame["exact"].mean() < 0.2
    assert (found.frame["gap"] <= 1e-7 * 0.02).all()
    with pytest.raises(PortfolioError, match="block=800"):
        influence(Kelly(), long, 800, kind="returns")


# --- frontier


def test_frontier_is_the_solves_one_by_one() -> None:
    radii = [0.0, 0.01, 0.03, 0.2, 1.0]
    found = frontier(KLRobustKelly, FRAME, radius=radii, kind="returns")
    for radius in radii:
        robust = KLRobustKelly(radius=radius)
        w = best(robust)
        at = found.frame.loc[radius]
        assert at["worst"] == pytest.approx(-robust.solution.value, abs=2 * robust.solution.tolerance)
        np.testing.assert_allclose(found.weights.loc[radius], w, atol=2e-3)
        assert at["growth"] == pytest.approx(growth(found.weights.loc[radius].to_numpy()))
        assert at["gap"] <= at["tolerance"]
    assert found.frame["worst"].is_monotonic_decreasing


def test_frontier_of_other_parameters() -> None:
    halves = frontier(Kelly(mandate=Mandate(leverage=1, risk_free=0.02)), FRAME, fraction=4, kind="returns")
    assert halves.weights.index.tolist() == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(halves.weights.loc[0.5], 0.5 * halves.weights.loc[1.0], atol=1e-6)
    assert len(frontier(CRRA, FRAME, risk_aversion=5, kind="returns").frame) == 5
    for wrong, message in (({}, "one parameter"), ({"halflife": 3}, "no parameter"), ({"confidence": 3}, "usual grid")):
        with pytest.raises(PortfolioError, match=message):
            frontier(CVaR if "confidence" in wrong else Kelly, FRAME, kind="returns", **wrong)


# --- screen


@pytest.mark.parametrize(
    "objective",
    [Kelly(), KLRobustKelly(radius=0.02), Kelly(0.5, mandate=Mandate(leverage=1.5, borrow_spread=0.01)), CVaR(0.9)],
    ids=repr,
)
def test_screen_is_right_about_each_outsider(objective: object) -> None:
    rng = np.random.default_rng(6)
    outside = pd.DataFrame(rng.normal(0.0006, 0.015, (T + 9, 30)), pd.bdate_range(end=FRAME.index[-1], periods=T + 9))
    outside.columns = [f"X{i}" for i in outside.columns]
    best(objective)
    found = screen(objective, outside, kind="returns")
    alone = objective.solution.value  # type: ignore[attr-defined]
    assert 0 < len(found.entrants) < 30 + isinstance(objective, CVaR)
    for name in found.frame.index[::4]:
        other = objective.copy()  # type: ignore[attr-defined]
        both = FRAME.join(outside[[name]])
        w = best(other, both)
        gained = alone - other.solution.value
        room = 2 * other.solution.tolerance
        scale = other._scale()
        assert scale * gained <= found.frame["most"][name] + room
        if found.frame["most"][name] == 0:
            assert gained <= room
            assert w[-1] <= 1e-3
    mix = objective.copy()  # type: ignore[attr-defined]
    w = best(mix, FRAME.join(outside))
    np.testing.assert_allclose(found.best.reindex([*FRAME, *outside]).fillna(0.0), w, atol=5e-3)


def test_screen_needs_a_solution_dates_and_a_plain_mandate() -> None:
    outside = FRAME.rename(columns=str.lower)
    with pytest.raises(PortfolioError, match="no certified solution"):
        screen(Kelly(), outside, kind="returns")
    with pytest.raises(DataError, match="2021-06-17"):
        screen(Kelly(), outside.iloc[:-1], FRAME, kind="returns")
    capped = Kelly(mandate=Mandate(groups={"a": ["AA"]}, group_bounds={"a": (0, 0.3)}))
    with pytest.raises(PortfolioError, match="no group"):
        screen(capped, outside, FRAME, kind="returns")
    assert screen(Kelly(), FRAME.join(outside), FRAME, kind="returns").frame.index.tolist()[0].islower()
    assert "none of" in screen(Kelly(), outside - 0.01, FRAME, kind="returns").says


# --- uncertainty


def test_uncertainty_is_the_resampled_solves() -> None:
    pytest.importorskip("arch")
    from arch.bootstrap import StationaryBootstrap

    found = uncertainty(Kelly(), FRAME, 20, 3, block=5, kind="returns")
    rows = [positions[0] for positions, _ in StationaryBootstrap(5, np.arange(T), seed=3).bootstrap(20)]
    for i in (0, 7, 19):
        w = best(Kelly(), R[rows[i]])
        np.testing.assert_allclose(found.weights.iloc[i], w, atol=2e-3)
        assert found.growth["claimed"].iloc[i] == pytest.approx(growth(w, R[rows[i]]), abs=1e-8)
        assert found.growth["true"].iloc[i] == pytest.approx(growth(w), abs=1e-5)
    excess = found.growth["claimed"] - found.growth["true"]
    assert found.lower_growth == pytest.approx(growth(best(Kelly())) - np.quantile(excess, 0.95))
    again = uncertainty(Kelly(), FRAME, 20, 3, n_jobs=2, block=5, kind="returns")
    np.testing.assert_array_equal(again.weights, found.weights)
    assert uncertainty(Kelly(beliefs=Decay(40)), FRAME, 20, 3, kind="returns").block >= 1


# --- what all have


def test_answers_show_themselves(tmp_path: object) -> None:
    pytest.importorskip("arch")
    kelly = Kelly()
    best(kelly)
    posed = pose(kelly, FRAME, kind="returns")
    outside = FRAME.rename(columns=str.lower)
    answers: list[Finding] = [
        regret(EVEN, posed),
        breakdown(kelly.weights, posed),
        ranges(kelly, posed, 0.02),
        influence(kelly, posed),
        frontier(KLRobustKelly, FRAME, radius=6, kind="returns"),
        screen(kelly, outside, kind="returns"),
        uncertainty(kelly, posed, 20),
    ]
    for number, answer in enumerate(answers):
        figure = answer.plot(savefig=tmp_path / f"{number}.png")  # type: ignore[operator]
        assert (tmp_path / f"{number}.png").stat().st_size > 5000  # type: ignore[operator]
        assert len(figure.axes) == 1
        assert answer.says in str(answer)
        assert type(answer).__name__ in repr(answer)
        assert "<table" in answer._repr_html_()
        assert isinstance(answer.frame, pd.DataFrame)


def test_a_market_will_do_everywhere() -> None:
    market = Market.from_data(FRAME, "returns")
    assert regret(EVEN, market).bound == regret(EVEN, FRAME, kind="returns").bound
    assert breakdown(EVEN, market).radius == breakdown(EVEN, FRAME, kind="returns").radius


def test_the_least_reachable_weight_is_the_linear_program() -> None:
    """With so much room that growth does not bind, the spans are those of the limits alone."""
    mandate = Mandate(groups={"a": ["AA", "BB"]}, group_bounds={"a": (0.2, 0.5)})
    frame = ranges(Kelly(mandate=mandate), FRAME, 100.0, kind="returns").frame
    side = {"A_ub": [[1, 1, 0, 0], [-1, -1, 0, 0]], "b_ub": [0.5, -0.2], "A_eq": [[1] * 4], "b_eq": [1]}
    for i, asset in enumerate(FRAME.columns):
        assert frame["low"][asset] == pytest.approx(linprog(np.eye(N)[i], **side).fun, abs=1e-9)
        assert frame["high"][asset] == pytest.approx(-linprog(-np.eye(N)[i], **side).fun, abs=1e-9)
