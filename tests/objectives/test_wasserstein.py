"""Wasserstein-robust objectives against closed forms and worst cases built by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import DataError, InfeasibleError, PortfolioError
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import (
    Kelly,
    MaxMean,
    MeanVariance,
    MinVariance,
    Uniform,
    WassRobustKelly,
    WassRobustMaxMean,
    WassRobustMeanVariance,
    WassRobustMinVariance,
)


def daily(seed: int, count: int = 150, n: int = 5) -> np.ndarray:
    g = np.random.default_rng(seed)
    return 0.01 * g.standard_t(5, (count, 1)) * g.uniform(0.2, 1.2, n) + 0.012 * g.standard_t(5, (count, n)) + 0.0007


# --- moments ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-0.01, 0.01), min_size=2, max_size=8), st.floats(1e-4, 0.2))
def test_two_norm_closed_form(means, radius) -> None:
    """Interior optimum: w - 1/N is the projected mean times a multiple, so w is proportional to (mean - level)+."""
    mean = np.array(means)
    optimizer = WassRobustMaxMean(radius, custom_mean=mean)
    w = optimizer.optimize(daily(0, 20, mean.size), kind="returns")
    assert w.sum() == pytest.approx(1)
    # optimality by hand: mean_i - radius w_i / |w| is the same for all held assets and no larger for the others
    marginal = mean - radius * w / np.linalg.norm(w)
    held = w > 1e-7
    assert np.ptp(marginal[held]) <= 1e-6
    assert (marginal[~held] <= marginal[held].min() + 1e-6).all()


@pytest.mark.parametrize("ground_norm", [1, 1.5, 2, 3, "inf", np.inf])
def test_no_ball_is_no_doubt(ground_norm) -> None:
    data = daily(1)
    for robust, plain in (
        (WassRobustMaxMean(0, ground_norm), MaxMean()),
        (WassRobustMinVariance(0, ground_norm), MinVariance()),
        (WassRobustMeanVariance(2.0, 0, ground_norm), MeanVariance(2.0)),
    ):
        robust.optimize(data, kind="returns")
        plain.optimize(data, kind="returns")
        assert robust.solution.value == pytest.approx(plain.solution.value, abs=1e-13)


@pytest.mark.parametrize("ground_norm", [1, 2, 4])
def test_a_huge_ball_spreads_out(ground_norm) -> None:
    for optimizer in (WassRobustMaxMean(100.0, ground_norm), WassRobustMinVariance(100.0, ground_norm)):
        assert optimizer.optimize(daily(2), kind="returns") == pytest.approx(Uniform().optimize(daily(2)), abs=2e-3)


def test_the_infinity_norm_charges_gross_exposure() -> None:
    data = daily(3)
    long_only = WassRobustMaxMean(0.01, "inf")
    long_only.optimize(data, kind="returns")
    plain = MaxMean()
    plain.optimize(data, kind="returns")
    assert long_only.solution.value == pytest.approx(plain.solution.value + 0.01, abs=1e-14)
    short = WassRobustMaxMean(0.01, "inf")
    w = short.optimize(data, (-1, 1), kind="returns")
    over = short.solution.value - (-data.mean(axis=0) @ w + 0.01 * np.abs(w).sum())
    assert -1e-15 <= over <= short.solution.gap + 1e-15
    assert w.min() >= -1e-9  # shorting gains less than the doubt about it costs here


@pytest.mark.parametrize(("ground_norm", "dual"), [(1, np.inf), (1.25, 5.0), (2, 2.0), (3, 1.5), ("inf", 1.0)])
@pytest.mark.parametrize("bounds", [(0, 1), (-0.5, 0.9)], ids=str)
def test_value_is_the_formula(ground_norm, dual, bounds) -> None:
    data = daily(4)
    mean, cov = data.mean(axis=0), np.cov(data, rowvar=False)

    def value(w: np.ndarray) -> float:
        norm = np.linalg.norm(w, dual)
        return 0.75 * (np.sqrt(w @ cov @ w) + 0.01 * norm) ** 2 - mean @ w + 1e-4 * norm

    optimizer = WassRobustMeanVariance(1.5, 1e-4, ground_norm)
    w = optimizer.optimize(data, bounds, kind="returns")
    assert optimizer.solution.value == pytest.approx(value(w), abs=1e-12)
    assert optimizer.solution.solver in ("active-set", "interior-point")
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = w + 0.02 * (rng.dirichlet(np.ones(5)) - rng.dirichlet(np.ones(5)))
        if other.min() >= bounds[0] and other.max() <= bounds[1]:
            assert value(other) >= optimizer.solution.value - 1e-12


@pytest.mark.parametrize("ground_norm", [0.5, -1, np.nan, "two", True, None])
def test_bad_ground_norm(ground_norm) -> None:
    with pytest.raises(PortfolioError, match="ground_norm"):
        WassRobustMaxMean(ground_norm=ground_norm)


@pytest.mark.parametrize("radius", [-0.1, np.nan, np.inf, "auto"])
def test_bad_radius(radius) -> None:
    for make in (WassRobustMaxMean, WassRobustMinVariance):
        with pytest.raises(PortfolioError, match="radius"):
            make(radius)
    for make in (WassRobustMeanVariance, WassRobustKelly):
        with pytest.raises(PortfolioError, match="radius"):
            make(radius=radius)


def test_a_riskless_asset() -> None:
    """Where the volatility vanishes it has a kink; the answer there is certified too."""
    data = np.column_stack([daily(5, 80, 3), np.full(80, 1e-5)])
    optimizer = WassRobustMinVariance(1e-9)
    w = optimizer.optimize(data, kind="returns")
    assert optimizer.solution.status == "optimal"
    assert w[3] > 0.99


# --- growth -----------------------------------------------------------------------------------------------------------


def test_infinity_norm_on_log_returns_only_lowers_growth() -> None:
    data = daily(6)
    robust, plain = WassRobustKelly(radius=0.003, ground_norm="inf"), Kelly()
    w = robust.optimize(data, kind="returns")
    np.testing.assert_array_equal(w, plain.optimize(data, kind="returns"))
    assert robust.solution.value == pytest.approx(plain.solution.value + 0.003, abs=1e-15)


def test_no_move_of_the_radius_does_worse() -> None:
    """Seeded moves of log returns whose mean length is the radius: growth never falls below the worst case."""
    data = daily(7, 60, 4)
    radius = 0.004
    optimizer = WassRobustKelly(radius=radius)
    w = optimizer.optimize(data, kind="returns")
    logs = np.log1p(data)
    worst = -optimizer.solution.value
    rng = np.random.default_rng(0)
    shares = w * np.exp(logs) / (np.exp(logs) @ w)[:, None]
    along = shares / np.linalg.norm(shares, axis=1)[:, None]
    for trial in range(300):
        move = -along if trial == 0 else -along + rng.normal(scale=0.3, size=logs.shape)
        length = np.linalg.norm(move, axis=1)
        share_of_budget = np.ones(60) if trial % 2 == 0 else rng.dirichlet(np.ones(60)) * 60
        moved = logs + radius * share_of_budget[:, None] * move / length[:, None]
        growth = np.log(np.exp(moved) @ w).mean()
        assert growth >= worst - 1e-12


def test_the_worst_move_is_rebuilt_from_the_multipliers() -> None:
    """The worst distribution itself has mean distance radius and attains the value: no duality gap."""
    data = daily(8, 60, 4)
    optimizer = WassRobustKelly(radius=0.02)
    w = optimizer.optimize(data, kind="returns")
    from opeslike.market import Market

    problem = optimizer._problem(Market.from_data(data, "returns"))
    point = problem.evaluate(w)
    distance, moves = np.zeros(60), np.zeros((60, 4))
    moved = point.shares.moved
    moves[moved] = -point.shares.push[:, None] * point.shares.s
    distance = np.linalg.norm(moves, axis=1)
    assert distance.mean() == pytest.approx(0.02, rel=1e-9)
    growth = np.log(np.exp(np.log1p(data) + moves) @ w).mean()
    assert -growth == pytest.approx(optimizer.solution.value, abs=1e-12)


def test_doubt_spreads_weights_and_small_doubt_is_kelly() -> None:
    data = daily(9)
    spread = [
        np.square(WassRobustKelly(radius=r).optimize(data, kind="returns")).sum() for r in (1e-8, 1e-3, 1e-2, 0.5)
    ]
    assert np.all(np.diff(spread) <= 0)
    assert spread[-2] < 0.9 * spread[0]
    assert spread[-1] == pytest.approx(0.2, abs=1e-3)
    kelly = Kelly()
    kelly.optimize(data, kind="returns")
    tiny = WassRobustKelly(radius=1e-8)
    tiny.optimize(data, kind="returns")
    assert 0 <= tiny.solution.value - kelly.solution.value <= 1e-8 + 1e-14


@pytest.mark.parametrize("ground_norm", [2, "inf"])
def test_shorts_that_could_ruin_are_not_held(ground_norm, caplog) -> None:
    """Worst-case growth of any short is minus infinity, so the optimum is the one over long-only weights (S14)."""
    data = daily(10, 80, 3)
    data[:, 0] -= 0.02  # Kelly shorts it as far as it may
    one, two = (
        WassRobustKelly(radius=0.001, ground_norm=ground_norm),
        WassRobustKelly(radius=0.001, ground_norm=ground_norm),
    )
    long_only = one.optimize(data, (0, 0.8), kind="returns")
    with caplog.at_level("INFO", logger="opeslike"):
        np.testing.assert_allclose(two.optimize(data, (-1, 0.8), kind="returns"), long_only, atol=1e-12)
    assert "holds no shorts" in caplog.text
    assert two.solution.status == "optimal"
    # moving the mass radius / d of one day by d in the shorted asset, which costs the radius, ruins that day
    short = np.array([-0.1, 0.6, 0.5])
    wealth = (1 + data[0]) @ short
    move = np.log((wealth + 0.1 * (1 + data[0, 0])) / (0.1 * (1 + data[0, 0])))
    assert 0 < 0.001 / move <= 1 / 80
    assert (1 + data[0]) * np.exp([move, 0, 0]) @ short == pytest.approx(0.0, abs=1e-12)
    free, kelly = WassRobustKelly(radius=0), Kelly()
    np.testing.assert_array_equal(
        free.optimize(data, (-1, 0.8), kind="returns"), kelly.optimize(data, (-1, 0.8), kind="returns")
    )
    assert free.weights[0] == -1.0 or free.weights[0] < -0.5


def test_refusals() -> None:
    dates = pd.bdate_range("2020-01-01", periods=30)
    frame = pd.DataFrame(daily(10, 30, 3), index=dates, columns=["A", "B", "C"])
    with pytest.raises(InfeasibleError, match="force a short position in B"):
        WassRobustKelly().optimize(frame, {"B": (-0.5, -0.1)}, kind="returns")
    with pytest.raises(PortfolioError, match="takes no leverage"):
        WassRobustKelly(mandate=Mandate(leverage=2)).optimize(frame, kind="returns")
    frame.iloc[7, 1] = -1.0
    with pytest.raises(DataError, match=r"B returns -1 on 2020-01-10"):
        WassRobustKelly().optimize(frame, kind="returns")
    with pytest.raises(PortfolioError, match="2 or 'inf'"):
        WassRobustKelly(ground_norm=1)
    assert WassRobustKelly(0.5).optimize(daily(11), kind="returns").sum() == pytest.approx(0.5)


def test_equal_shares_every_day() -> None:
    """Twins held in equal parts: their shares never change, and the worst case still moves them."""
    one = daily(12, 80, 1)
    data = np.column_stack([one, one, daily(13, 80, 2) - 0.003])
    optimizer = WassRobustKelly(radius=0.001)
    w = optimizer.optimize(data, kind="returns")
    assert optimizer.solution.status == "optimal"
    from opeslike.market import Market

    problem = optimizer._problem(Market.from_data(data, "returns"))
    at = problem.evaluate(np.array([0.5, 0.5, 0.0, 0.0]))
    assert at.value == pytest.approx(0.001 / np.sqrt(2) - np.log1p(one[:, 0]).mean(), abs=1e-14)
    assert optimizer.solution.value <= at.value + optimizer.solution.tolerance
    assert w.sum() == pytest.approx(1)
