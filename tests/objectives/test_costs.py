"""Costs and limits on trades, from the mandate to the account: closed forms, peers, and a backtest by hand."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from opeslike import Backtester, CVaR, Kelly, KLRobustKelly, Mandate, MaxSharpe, MeanVariance, MinVariance
from opeslike.errors import InfeasibleError, OpesLikeWarning, OptimizationError, PortfolioError
from opeslike.objectives import (
    CARA,
    CRRA,
    HARA,
    REPO,
    HierarchicalRiskParity,
    KLRobust,
    MaxDiversification,
    MaxMean,
    QuadraticUtility,
    RiskParity,
    Uniform,
    VaR,
    WassRobustMinVariance,
)
from opeslike.objectives.base import Optimizer

NAMES = ["A", "B", "C", "D", "E", "F"]
HELD = pd.Series([0.3, 0.3, 0.2, 0.2], list("ABCF"))


def frame(count: int = 200, seed: int = 0) -> pd.DataFrame:
    g = np.random.default_rng(seed)
    values = 0.01 * g.standard_t(5, (count, 6)) + g.uniform(-0.0005, 0.002, 6)
    return pd.DataFrame(values, pd.bdate_range("2020-01-01", periods=count), NAMES)


def full(held: pd.Series) -> np.ndarray:
    return held.reindex(NAMES, fill_value=0.0).to_numpy()


# --- one bet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.3])
@pytest.mark.parametrize(("p", "b", "buy", "sell"), [(0.6, 1.0, 0.01, 0.01), (0.55, 1.2, 0.002, 0.03)])
def test_one_bet(p: float, b: float, buy: float, sell: float, fraction: float) -> None:
    """Buy up to f times the w with p b / (1 + b w) - (1 - p) / (1 - w) = buy, sell down to that with -sell, or stay."""

    def edge(price: float) -> float:
        return float(brentq(lambda w: p * b / (1 + b * w) - (1 - p) / (1 - w) - price, 0.0, 0.98, xtol=1e-16))

    wins = round(100 * p)
    bets = np.array([[b]] * wins + [[-1.0]] * (100 - wins))
    low, high = fraction * edge(buy), fraction * edge(-sell)
    if p == 0.6 and fraction == 1:
        assert (round(low, 7), round(high, 7)) == (0.1903624, 0.2095608)
    mandate = Mandate(leverage=1, costs={"buy": 1e4 * buy, "sell": 1e4 * sell}, horizon=1)
    kelly = Kelly(fraction, mandate=mandate)
    for held in (0.0, 0.3 * low, low + 1e-6, 0.5 * (low + high), high - 1e-6, 1.2 * high, 0.9 * fraction):
        weight = kelly.optimize(bets, (0, 0.99), kind="returns", held=[held])[0]
        if low <= held <= high:
            assert weight == held
            assert not kelly.solution.trades.to_numpy().any()
        else:
            target = low if held < low else high
            assert weight == pytest.approx(target, abs=1e-12)
            trade = kelly.solution.trades.iloc[0]
            assert trade.tolist() == pytest.approx(
                [max(target - held, 0), max(held - target, 0), (buy if held < low else sell) * abs(target - held)]
            )
        assert kelly.solution.verify(bets) <= kelly.solution.tolerance


def test_the_horizon_spreads_the_cost() -> None:
    bets = np.array([[1.0]] * 60 + [[-1.0]] * 40)
    for horizon in (1, 5, 63):
        same = Mandate(leverage=1, costs=100 * horizon, horizon=horizon)
        weight = Kelly(mandate=same).optimize(bets, (0, 0.99), kind="returns")[0]
        assert weight == pytest.approx(0.1903624, abs=1e-7)


# --- against cvxpy ----------------------------------------------------------------------------------------------------


def growth(w: Any, r: np.ndarray) -> Any:
    return -cp.sum(cp.log(1 + r @ w)) / len(r)


def robust(w: Any, r: np.ndarray) -> Any:
    """The dual of the KL ball: a log-mean-exp with a free price."""
    price, level = cp.Variable(nonneg=True), cp.Variable()
    masses = cp.Variable(len(r))
    losses = -cp.log(1 + r @ w)
    robust.within = [  # type: ignore[attr-defined]
        cp.sum(masses) <= price,
        cp.ExpCone(cp.Variable(len(r)), price * np.ones(len(r)), masses * len(r)),
    ]
    shifted = robust.within[1].args[0]  # type: ignore[attr-defined]
    robust.within.append(shifted >= losses - level)  # type: ignore[attr-defined]
    return level + 0.01 * price


def shortfall(w: Any, r: np.ndarray) -> Any:
    level = cp.Variable()
    return level + cp.sum(cp.pos(-r @ w - level)) / (0.1 * len(r))


def trade_off(w: Any, r: np.ndarray) -> Any:
    return 2.0 * cp.quad_form(w, cp.psd_wrap(np.cov(r.T))) - r.mean(axis=0) @ w


PAIRS = [
    (Kelly(), growth),
    (KLRobustKelly(radius=0.01), robust),
    (CVaR(confidence=0.9), shortfall),
    (MeanVariance(risk_aversion=4.0), trade_off),
]
WAYS: list[dict[str, Any]] = [
    {"costs": 20},
    {"costs": {"A": 5, "B": 60, "*": 20}, "horizon": 21},
    {"costs": {"buy": 10, "sell": {"F": 100, "*": 40}}},
    {"impact": 50},
    {"impact": {"A": 5, "B": 600, "*": 100}, "impact_power": 2, "horizon": 5, "costs": 3},
    {"impact": 80, "impact_power": 1.6, "max_turnover": 0.15},
    {"max_turnover": 0.15},
    {"max_trade": {"A": 0.01, "F": 0.02, "*": 0.1}},
    {"costs": 15, "horizon": 10, "max_turnover": 0.3, "max_trade": 0.08},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "+".join(way))
@pytest.mark.parametrize(("optimizer", "risk"), PAIRS, ids=lambda item: type(item).__name__)
def test_agreement_with_cvxpy(optimizer: Optimizer, risk: Any, way: dict[str, Any]) -> None:
    data, held = frame(), full(HELD)
    ours = optimizer.copy().set_params(
        mandate=Mandate(groups={"ab": ["A", "B"]}, group_bounds={"ab": (0, 0.65)}, **way)
    )
    weights = ours.optimize(data, kind="returns", held=HELD)
    w = cp.Variable(6)
    bought, sold = cp.pos(w - held), cp.pos(held - w)
    within = [w >= 0, cp.sum(w) == 1, w[0] + w[1] <= 0.65]
    costs, rates = way.get("costs", 0), []
    for side in ("buy", "sell"):
        given = costs[side] if isinstance(costs, dict) and side in costs else costs
        by_name = given if isinstance(given, dict) else {"*": given}
        rates.append(1e-4 * np.array([by_name.get(name, by_name["*"]) for name in NAMES]))
    paid = rates[0] @ bought + rates[1] @ sold
    if "max_turnover" in way:
        within.append(cp.norm1(w - held) <= way["max_turnover"])
    if "max_trade" in way:
        most = way["max_trade"] if isinstance(way["max_trade"], dict) else {"*": way["max_trade"]}
        within.append(cp.abs(w - held) <= np.array([most.get(name, most["*"]) for name in NAMES]))
    impact, power = way.get("impact", 0), way.get("impact_power", 1.5)
    amounts = 1e-4 * np.array([impact.get(n, impact["*"]) if isinstance(impact, dict) else impact for n in NAMES])
    paid += amounts @ cp.power(cp.abs(w - held), power)
    objective = risk(w, data.to_numpy())
    within += getattr(risk, "within", [])
    peer = cp.Problem(cp.Minimize(objective + paid / way.get("horizon", 63)), within)
    peer.solve(solver=cp.CLARABEL)
    solution = ours.solution
    assert solution.status == "optimal"
    assert solution.value == pytest.approx(peer.value, abs=2e-8)
    assert np.abs(weights - held).sum() <= way.get("max_turnover", 2) + 1e-9
    assert solution.trades["cost"].sum() == pytest.approx(
        rates[0] @ np.maximum(weights - held, 0)
        + rates[1] @ np.maximum(held - weights, 0)
        + amounts @ np.abs(weights - held) ** power,
        abs=1e-15,
    )
    assert solution.verify(data) <= solution.tolerance
    assert solution.turnover_limit == way.get("max_turnover")


@pytest.mark.parametrize("inner", [CRRA(3.0), CARA(3.0), HARA(), QuadraticUtility(), KLRobust(CRRA(3.0), 0.02)])
def test_other_utilities_multiply_costs_by_their_mean_marginal_loss(inner: Any) -> None:
    """The mean, under the probabilities it is worst under, of the slope at the optimum without costs."""
    data, held = frame(), full(HELD)
    free = inner.copy()
    at = free.optimize(data, kind="returns")
    q = np.full(len(data), 1 / len(data)) if free.solution.worst_case is None else free.solution.worst_case
    _, slope, _ = free.loss.evaluate(data.to_numpy() @ at)
    worth = -float(q @ slope)
    mandate = Mandate(costs=200)
    name = "objective__mandate" if isinstance(inner, KLRobust) else "mandate"
    costed = inner.copy().set_params(**{name: mandate})
    weights = costed.optimize(data, kind="returns", held=HELD)
    solution = costed.solution
    other = inner.copy().set_params(
        **{name: Mandate(constraints=lambda w: [w == weights])}
    )  # the same objective at these weights, without costs
    other.optimize(data, kind="returns")
    charged = worth * 0.02 / 63 * np.abs(weights - held).sum()
    assert solution.value - other.solution.value == pytest.approx(charged, rel=1e-4)
    assert charged > 1e-5
    assert (solution.status, solution.verify(data) <= solution.tolerance) == ("optimal", True)


# --- what is held, and limits in force --------------------------------------------------------------------------------


def test_held_in_every_form_and_nothing_held() -> None:
    data, kelly = frame(), Kelly(mandate=Mandate(costs=30, max_turnover=0.2))
    forms = (HELD, HELD.to_dict(), full(HELD), full(HELD).tolist(), HELD[::-1])
    answers = [kelly.optimize(data, kind="returns", held=held) for held in forms]
    for other in answers[1:]:
        np.testing.assert_array_equal(answers[0], other)
    first = kelly.optimize(data, kind="returns")
    assert kelly.solution.turnover_limit is None
    assert kelly.solution.trades["bought"].sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(first, kelly.optimize(data, kind="returns", held=np.zeros(6)))
    plain = Kelly()
    plain.optimize(data, kind="returns")
    with pytest.raises(PortfolioError, match="what was held before is not known"):
        _ = plain.solution.trades
    plain.optimize(data, kind="returns", held=HELD)
    assert plain.solution.trades["cost"].sum() == 0
    Uniform().optimize(data, kind="returns", held=HELD)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"Z": 0.1}, "held names Z, not among the assets"),
        ([0.5, 0.5], "held must be 6 numbers"),
        ([0.5, np.nan, 0, 0, 0, 0], "held of B must be a finite number"),
        ("all of it", "held must be numbers"),
    ],
)
def test_what_cannot_be_held(held: Any, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        Kelly(mandate=Mandate(costs=10)).optimize(frame(), kind="returns", held=held)


def test_the_limit_in_force_is_reported_and_priced() -> None:
    """60% in a group that may have 20%: at least .8 must be traded, whatever max_turnover says."""
    data = frame()
    grouped = {"groups": {"ab": ["A", "B"]}, "group_bounds": {"ab": (0, 0.2)}}
    for fraction, least in ((1.0, 0.8), (0.5, 0.4)):
        limits = grouped | {"group_bounds": {"ab": (0, 0.2 * fraction)}}
        kelly = Kelly(fraction, mandate=Mandate(max_turnover=0.05, **limits))
        weights = kelly.optimize(data, kind="returns", held=fraction * HELD)
        assert kelly.solution.turnover_limit == pytest.approx(least, abs=1e-8)
        assert np.abs(weights - fraction * full(HELD)).sum() <= kelly.solution.turnover_limit + 1e-12
        assert kelly.solution.shadow_prices[f"turnover <= {least:g}"] > 0
        wide = Kelly(fraction, mandate=Mandate(max_turnover=least + 0.05, **limits))
        wide.optimize(data, kind="returns", held=fraction * HELD)
        assert wide.solution.turnover_limit == least + 0.05


@pytest.mark.parametrize(("optimizer", "risk"), PAIRS, ids=lambda item: type(item).__name__)
def test_where_the_least_turnover_is_in_force_the_fast_path_finds_the_best_of_it(
    optimizer: Optimizer, risk: Any
) -> None:
    """A and B are sold from 60% to 20%, the others bought with it, and nobody knows better than to do just that."""
    data, held = frame(), full(HELD)
    ours = optimizer.copy().set_params(
        mandate=Mandate(groups={"ab": ["A", "B"]}, group_bounds={"ab": (0, 0.2)}, max_turnover=0.05, costs=10)
    )
    weights = ours.optimize(data, kind="returns", held=HELD)
    solution = ours.solution
    assert not solution.solver.startswith("cvxpy")
    assert np.abs(weights - held).sum() == pytest.approx(0.8, abs=1e-8)
    assert solution.verify(data) <= solution.tolerance
    w = cp.Variable(6)
    within = [w >= 0, cp.sum(w) == 1, w[:2] <= held[:2], w[0] + w[1] == 0.2, w[2:] >= held[2:]]
    objective = risk(w, data.to_numpy()) + 1e-3 / 63 * 0.8
    peer = cp.Problem(cp.Minimize(objective), [*within, *getattr(risk, "within", [])])
    peer.solve(solver=cp.CLARABEL)
    assert solution.value == pytest.approx(peer.value, abs=2e-8)


def test_the_price_of_turnover_is_what_a_little_more_gains() -> None:
    data, step = frame(), 1e-4
    values = []
    for limit in (0.2 - step, 0.2, 0.2 + step):
        kelly = Kelly(0.5, mandate=Mandate(max_turnover=limit))
        kelly.optimize(data, kind="returns", held=0.5 * HELD)
        values.append(kelly.solution.value)
        if limit == 0.2:
            price = kelly.solution.shadow_prices["turnover <= 0.2"]
    assert price == pytest.approx((values[0] - values[2]) / (2 * step), rel=1e-3)


def test_the_price_of_a_trade_is_named() -> None:
    kelly = Kelly(mandate=Mandate(max_trade={"A": 0.02, "F": 0.01}))
    kelly.optimize(frame(), kind="returns", held=HELD)
    prices = kelly.solution.shadow_prices
    assert prices["sale of F <= 0.01"] > 0
    assert any(name.endswith("of A <= 0.02") for name in prices.index)


def test_limits_that_contradict_each_other() -> None:
    data, limits = frame(), {"groups": {"ab": ["A", "B"], "cd": ["C", "D"]}}
    near = Mandate(max_trade=0.05, group_bounds={"ab": (0, 0.2)}, **limits)
    with pytest.raises(InfeasibleError, match="no farther from what is held than max_trade, the limit group ab"):
        Kelly(mandate=near).optimize(data, kind="returns", held=HELD)
    crossed = Mandate(max_turnover=0.1, costs=10, group_bounds={"ab": (0.6, 1), "cd": (0.6, 1)}, **limits)
    with pytest.raises(InfeasibleError, match=r"group ab >= 0\.6, group cd >= 0\.6|group cd >= 0\.6, group ab >= 0\.6"):
        Kelly(mandate=crossed).optimize(data, kind="returns", held=HELD)


# --- what a mandate refuses, and who refuses it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"costs": -1}, "costs=-1 must be a finite number >= 0"),
        ({"costs": {"A": -1}}, "costs of A=-1 must be"),
        ({"costs": {"buy": 1, "sell": [1, -2]}}, r"costs\[1\]=-2 must be"),
        ({"costs": "broker"}, "costs='broker' must be basis points"),
        ({"horizon": 0}, "horizon=0 must be"),
        ({"max_turnover": -0.1}, "max_turnover=-0.1 must be"),
        ({"max_trade": {"A": np.inf}}, "max_trade of A=inf must be"),
    ],
)
def test_parameters_out_of_range(given: dict[str, Any], message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        Mandate(**given)


def test_costs_for_unknown_assets_or_not_for_all() -> None:
    for costs, message in (({"A": 5}, "costs lacks B, C"), ({"Z": 5, "*": 1}, "costs names Z"), ([1, 2], "6 numbers")):
        with pytest.raises(PortfolioError, match=message):
            Kelly(mandate=Mandate(costs=costs)).optimize(frame(), kind="returns")
    with pytest.raises(PortfolioError, match="those of a backtest's account"):
        Kelly(mandate=Mandate(costs="account")).optimize(frame(), kind="returns")
    given = Kelly(mandate=Mandate(costs="account")).optimize(frame(), kind="returns", held=HELD, costs=np.full(6, 20.0))
    same = Kelly(mandate=Mandate(costs=20)).optimize(frame(), kind="returns", held=HELD)
    np.testing.assert_array_equal(given, same)


@pytest.mark.parametrize("kind", [MinVariance, MaxDiversification, WassRobustMinVariance])
def test_who_knows_no_return_takes_turnover_but_no_costs(kind: type[Optimizer]) -> None:
    with pytest.raises(PortfolioError, match=f"{kind.__name__} has no expected return.*take max_turnover"):
        kind(mandate=Mandate(costs=10))
    data = frame()
    near = kind(mandate=Mandate(max_turnover=0.1, max_trade=0.04))
    weights = near.optimize(data, kind="returns", held=HELD)
    assert np.abs(weights - full(HELD)).sum() <= 0.1 + 1e-9
    assert near.solution.status == "optimal"
    free = kind()
    free.optimize(data, kind="returns")
    assert free.solution.value < near.solution.value


@pytest.mark.parametrize("way", [*WAYS, {"max_turnover": 0.05}], ids=lambda way: "+".join(way))
@pytest.mark.parametrize("kind", [MaxSharpe, MaxDiversification])
def test_ratios_agree_with_their_convex_form(kind: type[Optimizer], way: dict[str, Any]) -> None:
    """Of the cvxpy problem under the same limits on trades; for the Sharpe ratio net of costs."""
    if "impact" in way:
        with pytest.raises(PortfolioError, match="impact"):
            kind(mandate=Mandate(**way)).optimize(frame(), kind="returns", held=HELD)
        return
    if "costs" in way and kind is MaxDiversification:
        way = {name: value for name, value in way.items() if name not in ("costs", "horizon")}
    data = frame()
    mandate = Mandate(groups={"ab": ["A", "B"]}, group_bounds={"ab": (0, 0.65)}, **way)
    ours = kind(mandate=mandate)
    weights = ours.optimize(data, kind="returns", held=HELD)
    assert ours.solution.status == "optimal"
    assert np.abs(weights - full(HELD)).sum() <= way.get("max_turnover", 2) + 1e-9
    peer = ours.problem(data, kind="returns", held=HELD)
    peer.solve(solver=cp.CLARABEL)
    assert ours.solution.value == pytest.approx(-1 / np.sqrt(peer.value), abs=1e-6)
    scaled = next(variable for variable in peer.variables() if variable.name() == "scaled").value
    np.testing.assert_allclose(scaled / scaled.sum(), weights, atol=2e-4)
    assert ours.solution.verify(data) <= ours.solution.tolerance
    if kind is MaxSharpe:
        net = data.to_numpy().mean(axis=0) @ weights - 1.01 ** (1 / 252) + 1
        net -= ours.solution.trades["cost"].sum() / way.get("horizon", 63)
        assert -ours.solution.value == pytest.approx(net / np.sqrt(weights @ data.cov().to_numpy() @ weights), rel=1e-9)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("power", [1.5, 2.0])
def test_one_bet_with_impact(fraction: float, power: float) -> None:
    """Marginal growth is marginal impact, by a root in the weight before the fraction."""
    bets, held, kappa = np.array([[1.0]] * 60 + [[-1.0]] * 40), 0.02, 0.05
    mandate = Mandate(leverage=1, impact=1e4 * kappa, impact_power=power, horizon=1)
    kelly = Kelly(fraction, mandate=mandate)
    weight = kelly.optimize(bets, (0, 0.99), kind="returns", held=[held])[0]

    def marginal(w: float) -> float:
        return 0.6 / (1 + w) - 0.4 / (1 - w) - power * kappa * (fraction * w - held) ** (power - 1)

    assert weight == pytest.approx(fraction * brentq(marginal, held / fraction, 0.9, xtol=1e-15), abs=1e-7)
    assert kelly.solution.trades["cost"].sum() == pytest.approx(kappa * (weight - held) ** power, rel=1e-12)
    assert kelly.solution.verify(bets) <= kelly.solution.tolerance


def test_impact_of_nothing_and_of_other_utilities() -> None:
    data = frame()
    none = Kelly(mandate=Mandate(impact=0)).optimize(data, kind="returns", held=HELD)
    np.testing.assert_allclose(none, Kelly().optimize(data, kind="returns"), atol=1e-9)
    crra = CRRA(3.0, mandate=Mandate(impact=100, horizon=5))
    weights = crra.optimize(data, kind="returns", held=HELD)
    assert crra.solution.status == "optimal"
    assert 0 < np.abs(weights - full(HELD)).sum() < np.abs(CRRA(3.0).optimize(data, kind="returns") - full(HELD)).sum()
    for given in ({"impact": -1}, {"impact": {"A": -1}}, {"impact_power": 1.0}, {"impact_power": 2.5}):
        with pytest.raises(PortfolioError, match="impact"):
            Mandate(**given)


def test_dear_trades_leave_the_sharpe_ratio_alone() -> None:
    sharpe = MaxSharpe(risk_free=0.0, mandate=Mandate(costs=1000))
    held = full(HELD) / full(HELD).sum()
    assert (sharpe.optimize(frame(), kind="returns", held=held) == held).all()
    with pytest.raises(PortfolioError, match="takes no costs"):
        MaxSharpe(reg="l2", mandate=Mandate(costs=5)).optimize(frame(), kind="returns", held=held)


def test_rules_and_searches_take_neither() -> None:
    for rule in (Uniform, HierarchicalRiskParity, RiskParity):
        for given in ({"costs": 5}, {"max_turnover": 0.1}, {"max_trade": 0.1}):
            with pytest.raises(PortfolioError, match=f"{rule.__name__} "):
                rule(mandate=Mandate(**given))
    for search in (VaR, REPO):
        with pytest.raises(PortfolioError, match=search.__name__):
            search(mandate=Mandate(max_turnover=0.1)).optimize(frame(60), kind="returns", held=HELD)


def test_who_uses_what_is_held_shares_no_solve() -> None:
    mandate = Mandate(max_turnover=0.1)
    assert Kelly(mandate=mandate).shared() is None
    assert Kelly(mandate=Mandate(bounds=(0, 0.5))).shared() is not None
    assert (Kelly().uses_held, Kelly(mandate=mandate).uses_held) == (False, True)
    assert KLRobust(CRRA(2.0, mandate=mandate)).uses_held


def test_verify_notices_other_holdings() -> None:
    """The problem is rebuilt with the holdings, so weights of other ones break its limit."""
    data = frame()
    kelly = Kelly(mandate=Mandate(costs=10, max_turnover=0.1))
    kelly.optimize(data, kind="returns", held=HELD)
    solution = kelly.solution
    kelly.optimize(data, kind="returns", held={"E": 1.0})
    assert solution.verify(data) <= solution.tolerance
    assert kelly.solution.verify(data) <= kelly.solution.tolerance
    object.__setattr__(solution, "weights", kelly.solution.weights)
    with pytest.raises(OptimizationError):
        solution.verify(data)


def test_cvxpy_finds_the_same() -> None:
    data = frame()
    for optimizer in (Kelly, CVaR, MaxMean):
        mandate = Mandate(costs={"A": 5, "*": 25}, max_turnover=0.2, max_trade=0.1)
        values = []
        for solver in ("auto", "cvxpy"):
            made = optimizer(mandate=mandate, solver=solver)
            made.optimize(data, kind="returns", held=HELD)
            values.append(made.solution.value)
        assert values[0] == pytest.approx(values[1], abs=1e-9)
        model = optimizer(mandate=mandate).problem(data, kind="returns", held=HELD)
        assert model.solve(solver=cp.CLARABEL) == pytest.approx(values[0], abs=1e-8)


# --- in a backtest ----------------------------------------------------------------------------------------------------


class Watched(Kelly):
    """Notes what it is told of its holdings, and what it answers."""

    def optimize(self, *args: Any, held: Any = None, costs: Any = None, **keywords: Any) -> np.ndarray:
        weights = super().optimize(*args, held=held, costs=costs, **keywords)
        vars(self).setdefault("log", []).append((np.array(held), weights, self.solution, costs))
        return weights


def prices(count: int = 160, seed: int = 3) -> pd.DataFrame:
    return 100 * (1 + frame(count, seed)).cumprod()


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("fraction", [1.0, 0.6])
def test_a_backtest_by_hand(lag: int, fraction: float) -> None:
    data = prices()
    tester = Backtester(data[:80], data[80:], cost={"const": 20.0})
    kelly = Watched(fraction, mandate=Mandate(costs="account", max_turnover=0.1))
    result = tester.backtest(kelly, reopt_freq=5, rebalance_freq=5, execution_lag=lag)
    log: list[Any] = vars(kelly)["log"]
    assert set(result.certificates["status"]) == {"optimal"}
    for held, weights, solution, costs in log:
        np.testing.assert_array_equal(costs, np.full(6, 20.0))
        turnover = np.abs(weights - held).sum()
        assert turnover == pytest.approx(solution.trades[["bought", "sold"]].to_numpy().sum(), abs=1e-15)
        if solution.turnover_limit is not None:
            assert solution.turnover_limit >= 0.1
            assert turnover <= solution.turnover_limit + 1e-9
    returns = data[80:].pct_change().to_numpy()[1:]
    wealth, drifted, after = 1.0, np.zeros(6), []
    for step, row in enumerate(returns):
        before = drifted
        if step % 5 == 0:
            held, target, _, _ = log[step // 5]
            known = before if lag == 0 else after[step - lag] if step >= lag else np.zeros(6)
            np.testing.assert_allclose(held, known, atol=1e-12)
            wealth *= 1 - 2e-3 * np.abs(target - before).sum()
            before = target
        after.append(before)
        growth_of = 1 + row @ before
        wealth *= growth_of
        drifted = before * (1 + row) / growth_of
        assert result["wealth"][step] == pytest.approx(wealth, rel=1e-12)


def test_the_future_changes_nothing() -> None:
    data = prices()
    other = data.copy()
    other.iloc[120:] *= np.random.default_rng(0).uniform(0.8, 1.2, (40, 6))
    mandate = Mandate(costs=10, max_turnover=0.1, max_trade=0.04)
    runs = [
        Backtester(each[:80], each[80:]).backtest(Kelly(mandate=mandate), reopt_freq=5, rebalance_freq=5)
        for each in (data, other)
    ]
    np.testing.assert_array_equal(runs[0]["weights"][:40], runs[1]["weights"][:40])
    assert not np.array_equal(runs[0]["weights"][45:], runs[1]["weights"][45:])


def test_dear_trades_are_not_made_in_a_backtest() -> None:
    data = prices()
    dear = Backtester(data[:80], data[80:]).backtest(
        Kelly(mandate=Mandate(costs=5_000, horizon=5)), reopt_freq=5, rebalance_freq=5, execution_lag=0
    )
    assert np.count_nonzero(dear.traded) == np.count_nonzero(dear.traded[:1])


def test_trading_between_decisions_warns() -> None:
    data = prices()
    tester = Backtester(data[:80], data[80:])
    with pytest.warns(OpesLikeWarning, match="trades between its decisions"):
        tester.backtest(Kelly(mandate=Mandate(costs=10)), reopt_freq=5)
    tester.backtest(Kelly(mandate=Mandate(bounds=(0, 0.5))), reopt_freq=5)
    tester.backtest(Kelly(mandate=Mandate(costs=10)), reopt_freq=5, rebalance_freq=10)


def test_holdings_are_worked_out_for_those_alone_that_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from opeslike.accounting.ledger import Blocks

    asked: list[int] = []
    held = Blocks.held
    monkeypatch.setattr(Blocks, "held", lambda self, step, lag: asked.append(step) or held(self, step, lag))
    data = prices()
    tester = Backtester(data[:80], data[80:])
    tester.backtest(Kelly(), reopt_freq=20)
    assert asked == []
    tester.backtest(Kelly(mandate=Mandate(costs=1)), reopt_freq=20, rebalance_freq=20)
    assert asked == [0, 20, 40, 60]
