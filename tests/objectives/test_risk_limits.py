"""Limits on risk and nearness to a benchmark: closed forms, prices by finite differences, what cannot be met."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester, DrawdownOdds, ExpectedShortfall, Kelly, Mandate, MinVariance, Volatility
from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.objectives import (
    CVaR,
    KLRobustKelly,
    MaxMean,
    MaxSharpe,
    MeanVariance,
    RiskConstrainedKelly,
    RiskParity,
    VaR,
)
from opeslike.objectives.base import Optimizer

YEAR = 252


def daily(count: int = 300, n: int = 6, seed: int = 0) -> np.ndarray:
    g = np.random.default_rng(seed)
    common = 0.006 * g.standard_t(5, (count, 1))
    return common + 0.008 * g.standard_t(5, (count, n)) * g.uniform(0.6, 1.5, n) + g.uniform(0.0, 0.0012, n)


def volatility(data: np.ndarray, held: np.ndarray) -> float:
    return float(np.sqrt(YEAR) * (data @ held).std(ddof=1))


def shortfall(data: np.ndarray, held: np.ndarray, confidence: float) -> float:
    losses = -data @ held
    return min(v + np.maximum(losses - v, 0).mean() / (1 - confidence) for v in losses)


def solved(optimizer: Optimizer, data: np.ndarray, **given: object) -> np.ndarray:
    held = optimizer.optimize(data, kind="returns", **given)
    solution = optimizer.solution
    assert solution.status == "optimal"
    assert solution.solver != "cvxpy/CLARABEL"
    assert solution.verify(data) <= solution.tolerance
    return held


@pytest.mark.parametrize("trading", [{"impact": 50}, {"impact": 50, "costs": 10}], ids=["impact", "impact, costs"])
def test_what_trading_costs_counts_once_beside_a_tail(trading: dict[str, float]) -> None:
    """The price of a shortfall is found beside the objective: impact stood in both, and cvxpy had to mend it."""
    data = daily()
    tail = Mandate(leverage=1, risk_limits=[ExpectedShortfall(0.008)], **trading)
    held = np.array([0.6, 0.4, 0.0, 0.0, 0.0, 0.0])
    kelly = Kelly(mandate=tail)
    weights = solved(kelly, data, held=held)
    assert shortfall(data, weights, 0.95) == pytest.approx(0.008, abs=1e-9)  # it binds
    peer = Kelly(mandate=tail, solver="cvxpy")
    peer.optimize(data, kind="returns", held=held)
    assert kelly.solution.value == pytest.approx(peer.solution.value, abs=peer.solution.gap + 1e-12)


def test_two_assets_at_their_tracking_error() -> None:
    """With w = (b + a, 1 - b - a) the tracking error is |a| times the volatility of the difference."""
    data = daily(n=2)
    apart = np.sqrt(YEAR) * (data[:, 0] - data[:, 1]).std(ddof=1)
    better = int(data[:, 1].mean() > data[:, 0].mean())
    held = solved(MaxMean(mandate=Mandate(benchmark=[0.5, 0.5], max_tracking_error=0.03)), data)
    assert held[better] == pytest.approx(0.5 + 0.03 / apart, abs=1e-9)


def test_the_mean_on_a_ball_of_variance() -> None:
    """Without bounds that bind and with cash: w = most / sqrt(252) S^-1 m / sqrt(m' S^-1 m); its price is the ratio."""
    data = daily(n=4, seed=3)
    mean, covariance = data.mean(axis=0), np.cov(data.T)
    direction = np.linalg.solve(covariance, mean)
    ratio = np.sqrt(mean @ direction)
    mandate = Mandate(bounds=(-3, 3), leverage=9, risk_limits=[Volatility(0.1)])
    best = MaxMean(mandate=mandate)
    np.testing.assert_allclose(solved(best, data), 0.1 / np.sqrt(YEAR) * direction / ratio, atol=1e-7)
    assert best.solution.shadow_prices["volatility <= 0.1"] == pytest.approx(ratio / np.sqrt(YEAR), rel=1e-6)


def test_one_bet_under_the_odds_of_a_fall() -> None:
    """p (1 + w)^-l + (1 - p) (1 - w)^-l = 1."""
    bet = np.array([[1.0]] * 60 + [[-1.0]] * 40)
    lam = np.log(0.1) / np.log(0.7)
    w = solved(Kelly(mandate=Mandate(leverage=1, risk_limits=[DrawdownOdds(0.3, 0.1)])), bet)[0]
    assert 0 < w < 0.2
    assert 0.6 * (1 + w) ** -lam + 0.4 * (1 - w) ** -lam == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("given", [{}, {"max_drawdown": 0.2, "probability": 0.05}, {"lam": 30.0}])
def test_risk_constrained_kelly_is_kelly_under_the_limit(given: dict[str, float]) -> None:
    own = (
        {"lam": 30.0}
        if "lam" in given
        else {"fall": given.get("max_drawdown", 0.3), "odds": given.get("probability", 0.1)}
    )
    data = daily(seed=4)
    one, other = RiskConstrainedKelly(**given), Kelly(mandate=Mandate(leverage=1, risk_limits=[DrawdownOdds(**own)]))
    np.testing.assert_array_equal(solved(one, data), solved(other, data))
    assert one.solution.gap == other.solution.gap


LIMITS = {
    "volatility <= 0.16": lambda x: {"risk_limits": [Volatility(0.16 + x)]},
    "tracking error <= 0.03": lambda x: {"benchmark": [1 / 6] * 6, "max_tracking_error": 0.03 + x},
    "expected shortfall at 0.9 <= 0.018": lambda x: {"risk_limits": [ExpectedShortfall(0.018 + x, confidence=0.9)]},
    "odds of a fall of 0.1 <= 0.02": lambda x: {"leverage": 1, "risk_limits": [DrawdownOdds(0.1, 0.02 + x)]},
    "active share <= 0.3": lambda x: {"benchmark": [1 / 6] * 6, "max_active_share": 0.3 + x},
    "return >= 0.0009": lambda x: {"target_return": 0.0009 - x},
}


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("name", LIMITS)
def test_prices_of_limits_by_finite_differences(name: str, fraction: float) -> None:
    data = daily(seed=5)
    make = MinVariance if "return" in name else lambda **k: Kelly(fraction, **k)
    if fraction < 1 and name[0] not in "vo":
        pytest.skip("the benchmark and the target are of a whole portfolio")

    def value(x: float) -> float:
        optimizer = make(mandate=Mandate(**LIMITS[name](x)))
        solved(optimizer, data)
        return optimizer.solution.value

    step = 1e-6 if "return" in name else 1e-4
    optimizer = make(mandate=Mandate(**LIMITS[name](0.0)))
    solved(optimizer, data)
    if fraction < 1 and name.startswith("v"):  # half of it is within the limit
        assert name not in optimizer.solution.shadow_prices
        return
    price = optimizer.solution.shadow_prices[name]
    assert price > 0
    assert price == pytest.approx((value(-step) - value(step)) / (2 * step), rel=2e-2)


@pytest.mark.parametrize("make", [Kelly, KLRobustKelly, MeanVariance, MaxMean, CVaR])
def test_several_limits_at_once_agree_with_cvxpy(make: type) -> None:
    data = daily(80, 4, seed=6) + 1e-3
    mandate = Mandate(
        benchmark=[0.4, 0.3, 0.2, 0.1],
        max_tracking_error=0.05,
        max_active_share=0.3,
        leverage=1,
        risk_limits=[Volatility(0.15), ExpectedShortfall(0.017, confidence=0.9), DrawdownOdds(0.2, 0.2)],
        groups={"a": [0, 1]},
        group_bounds={"a": (0, 0.6)},
        costs=10,
        max_turnover=0.6,
    )
    held = [0.25, 0.25, 0.2, 0.2]
    ours, theirs = make(mandate=mandate), make(mandate=mandate, solver="cvxpy")
    w = solved(ours, data, held=held)
    theirs.optimize(data, kind="returns", held=held)
    room = ours.solution.gap + theirs.solution.gap + 1e-12
    assert theirs.solution.value == pytest.approx(ours.solution.value, abs=room)
    assert volatility(data, w) <= 0.15 + 1e-9
    assert volatility(data, w - np.array(mandate.benchmark)) <= 0.05 + 1e-9
    assert shortfall(data, w, 0.9) <= 0.017 + 1e-9
    assert 0.5 * np.abs(w - np.array(mandate.benchmark)).sum() <= 0.3 + 1e-9
    assert np.abs(w - np.array(held)).sum() <= 0.6 + 1e-9


def test_limits_bind_what_is_held() -> None:
    data = daily(seed=7)
    half = Kelly(0.5, mandate=Mandate(risk_limits=[Volatility(0.08), ExpectedShortfall(0.011, confidence=0.95)]))
    with pytest.raises(InfeasibleError, match=r"volatility <= 0\.0\d"):
        half.set_params(mandate__risk_limits=[Volatility(0.03)]).optimize(data, kind="returns")
    least = MinVariance()
    floor = 0.5 * volatility(data, solved(least, data))
    half.set_params(mandate__risk_limits=[Volatility(1.05 * floor)])
    held = solved(half, data)
    assert held.sum() == pytest.approx(0.5, abs=1e-9)
    assert volatility(data, held) == pytest.approx(1.05 * floor, abs=1e-9)


def test_what_cannot_be_met_is_named_and_no_more() -> None:
    """Any limit of the list loosened, the rest can be met."""
    data = daily(seed=8)
    lowest = volatility(data, solved(MinVariance(), data))
    with pytest.raises(InfeasibleError, match=r"volatility <= .*; leverage=1 allows cash") as error:
        Kelly(mandate=Mandate(risk_limits=[Volatility(0.9 * lowest), ExpectedShortfall(0.5)])).optimize(
            data, kind="returns"
        )
    assert "shortfall" not in str(error.value)
    solved(Kelly(mandate=Mandate(leverage=1, risk_limits=[Volatility(0.9 * lowest)])), data)
    # each of two can be met, not both: little volatility, and a mean that asks for the dearest asset
    mean = data.mean(axis=0)
    target = Mandate(target_return=0.98 * mean.max(), risk_limits=[Volatility(1.02 * lowest)])
    with pytest.raises(InfeasibleError, match=r"return >= .*volatility <="):
        Kelly(mandate=target).optimize(data, kind="returns")
    # two limits on risk, each of which can be met
    far = {"benchmark": np.eye(6)[int(mean.argmax())], "max_tracking_error": 0.01}
    for make in (Kelly, CVaR):
        with pytest.raises(InfeasibleError, match=r"tracking error <= 0\.01|volatility") as error:
            make(mandate=Mandate(**far, risk_limits=[Volatility(1.02 * lowest)])).optimize(data, kind="returns")
        assert "tracking error" in str(error.value)
        assert "volatility" in str(error.value)


def test_a_benchmark_follows_its_tickers() -> None:
    frame = pd.DataFrame(daily(seed=9), columns=list("ABCDEF"))
    weights = {"A": 0.5, "C": 0.3, "F": 0.2}
    one, two = (
        Kelly(mandate=Mandate(benchmark=given, max_tracking_error=0.02))
        for given in (weights, pd.Series(weights)[["F", "A", "C"]])
    )
    np.testing.assert_array_equal(
        one.optimize(frame, kind="returns"), two.optimize(frame[list("ABCDEF")], kind="returns")
    )
    with pytest.raises(PortfolioError, match="benchmark names X"):
        Kelly(mandate=Mandate(benchmark={"X": 1.0}, max_active_share=0.1)).optimize(frame, kind="returns")


@pytest.mark.filterwarnings("ignore:.*rows are left:opeslike.errors.DataWarning")
def test_a_backtest_keeps_to_a_benchmark_through_lives() -> None:
    """What an asset that is not there yet has in the benchmark goes to the others in proportion."""
    steps = pd.DataFrame(daily(260, 5, seed=10), columns=list("ABCDE"), index=pd.bdate_range("2015", periods=260))
    prices = 100 * (1 + steps).cumprod()
    prices.loc[prices.index[:80], "E"] = np.nan
    benchmark = pd.Series({"A": 0.3, "B": 0.2, "C": 0.2, "D": 0.1, "E": 0.2})
    mandate = Mandate(
        benchmark=benchmark,
        max_active_share=0.15,
        max_tracking_error=0.05,
        risk_limits=[Volatility(0.4)],
        costs=10,
        max_turnover=0.5,
    )
    result = Backtester(prices[:120], prices[120:]).backtest(
        Kelly(mandate=mandate), reopt_freq=10, rebalance_freq=10, keep_solutions=True
    )
    assert (result.certificates["status"] == "optimal").all()
    met = set()
    for _, solution in result.solutions:
        held = solution.to_series()
        now = benchmark[held.index[held.index != "E"]] if "E" not in held.index else benchmark[held.index]
        now = (now / now.sum()).reindex(held.index).fillna(0.0)
        assert 0.5 * (held - now).abs().sum() <= 0.15 + 1e-9
        met.add("E" in held.index)
    assert met == {False, True}


def test_turnover_gives_way_to_limits_on_risk() -> None:
    """What is held has drifted from the benchmark; the least turnover that leads back is in force, and reported."""
    data = daily(seed=12)
    held = np.array([0.6, 0.2, 0.2, 0.0, 0.0, 0.0])
    mandate = Mandate(benchmark=[1 / 6] * 6, max_tracking_error=0.03, max_turnover=0.05, costs=10)
    kelly = Kelly(mandate=mandate)
    weights = solved(kelly, data, held=held)
    turned = np.abs(weights - held).sum()
    assert 0.05 < turned <= kelly.solution.turnover_limit + 1e-9
    assert volatility(data, weights - 1 / 6) <= 0.03 + 1e-9
    tight = Kelly(mandate=mandate.set_params(max_turnover=kelly.solution.turnover_limit - 5e-4))
    assert solved(tight, data, held=held) is not None
    assert tight.solution.turnover_limit == pytest.approx(kelly.solution.turnover_limit, abs=1e-6)


def test_net_and_gross_of_long_and_short() -> None:
    data = daily(seed=11)
    mandate = Mandate(bounds=(-0.5, 0.5), leverage=1, net=(-0.05, 0.05), gross=1.5)
    held = solved(Kelly(mandate=mandate), data)
    assert abs(held.sum()) <= 0.05 + 1e-9
    assert np.abs(held).sum() <= 1.5 + 1e-9
    with pytest.raises(PortfolioError, match="net needs leverage"):
        Mandate(net=(0, 1))


def test_who_takes_no_limits_on_risk_says_so() -> None:
    data = daily()
    risky = Mandate(risk_limits=[Volatility(0.2)])
    for make in (MaxSharpe, RiskParity, VaR):
        with pytest.raises(PortfolioError, match="risk_limits"):
            make(mandate=risky).optimize(data, kind="returns")
    near = Mandate(benchmark=[1 / 6] * 6, active_bounds=(-0.05, 0.05), max_active_share=0.1)
    held = MaxSharpe(mandate=near).optimize(data, kind="returns")
    assert np.abs(held - 1 / 6).max() <= 0.05 + 1e-9
    assert 0.5 * np.abs(held - 1 / 6).sum() <= 0.1 + 1e-9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Volatility(0.0), "Volatility most"),
        (lambda: ExpectedShortfall(0.1, confidence=1.0), "ExpectedShortfall confidence"),
        (lambda: DrawdownOdds(0.3), "fall and odds"),
        (lambda: DrawdownOdds(0.3, 0.1, lam=3.0), "fall and odds"),
        (lambda: DrawdownOdds(0.3, 1.5), "DrawdownOdds odds"),
        (lambda: Mandate(risk_limits=[0.2]), "risk_limits must be a list"),
        (lambda: Mandate(risk_limits=Volatility(0.2)), "risk_limits must be a list"),
        (lambda: Mandate(max_tracking_error=0.1), "give benchmark="),
        (lambda: Mandate(benchmark=[1.0], max_tracking_error=0.0), "max_tracking_error"),
        (lambda: Mandate(benchmark=[1.0], max_active_share=-0.1), "max_active_share"),
    ],
)
def test_parameters_of_limits(make: object, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        make()
