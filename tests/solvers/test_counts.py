"""Few positions, none of them small: against the best of all subsets, and what is proved when time runs out."""

from __future__ import annotations

import itertools
from functools import cache, partial
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester, CVaR, Kelly, KLRobustKelly, Mandate, MaxSharpe, MeanVariance, MinVariance
from opeslike.errors import InfeasibleError, PortfolioError, TimeLimitError
from opeslike.market import Market
from opeslike.modelling import ambiguity
from opeslike.objectives import REPO, RiskConstrainedKelly, RiskParity, Uniform, VaR
from opeslike.objectives.base import Optimizer
from opeslike.solvers.nonconvex import counts
from opeslike.solvers.nonconvex.copositive import Multipliers, multipliers, tilted
from opeslike.solvers.nonconvex.relaxations import Node, estimator

N = 12


def market(n: int = N, count: int = 300, seed: int = 0) -> pd.DataFrame:
    """Returns with a common factor, heavy tails, and means and sizes of their own."""
    g = np.random.default_rng(seed)
    own = 0.01 * g.standard_t(5, (count, n)) * g.uniform(0.7, 1.5, n)
    values = 0.006 * g.standard_t(5, (count, 1)) + own + g.uniform(0.0, 0.002, n)
    return pd.DataFrame(values, pd.bdate_range("2020-01-01", periods=count), [f"A{i:02d}" for i in range(n)])


KINDS = [Kelly, KLRobustKelly, MinVariance, CVaR]


@cache
def subsets(kind: type[Optimizer]) -> list[float]:
    """The least value of all subsets of 1, 2, ... assets, each solved alone."""
    data, plain, best = market(N, 60), kind(), []
    for k in range(1, 7):
        values = []
        for subset in itertools.combinations(range(N), k):
            plain.optimize(data.iloc[:, list(subset)], kind="returns")
            values.append(plain.solution.value)
        best.append(min(values))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", range(1, 7))
def test_the_best_of_all_subsets(kind: type[Optimizer], k: int) -> None:
    few = kind(mandate=Mandate(max_positions=k))
    w = few.optimize(market(N, 60), kind="returns")
    assert few.solution.status == "optimal"
    assert few.solution.solver == "branch-and-bound"
    assert (w != 0).sum() <= k
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    best = subsets(kind)[k - 1]
    assert few.solution.value == pytest.approx(best, abs=1e-9)
    assert few.solution.gap is not None
    assert few.solution.value - few.solution.gap <= best + 1e-12


LIMITED: list[tuple[Optimizer, dict[str, Any]]] = [
    (Kelly(0.5), {"max_positions": 3, "min_position": 0.1}),
    (Kelly(0.5), {"min_position": 0.12, "bounds": (0, 0.2)}),
    (KLRobustKelly(radius=0.02), {"max_positions": 3, "bounds": (0, 0.4)}),
    (MinVariance(), {"max_positions": 4, "min_position": 0.2, "bounds": (-0.3, 0.8)}),
    (MinVariance(), {"min_position": 0.15}),
    (CVaR(confidence=0.9), {"max_positions": 3, "costs": 20, "max_turnover": 1.2}),
    (Kelly(), {"max_positions": 2, "leverage": 1.5, "gross": 1.8, "bounds": (-0.5, 1), "borrow_spread": 0.02}),
    (MaxSharpe(risk_free=0.0), {"max_positions": 3, "min_position": 0.2}),
    (MeanVariance(), {"max_positions": 3, "groups": {"g": ["A00", "A01"]}, "group_bounds": {"g": (0.3, 0.5)}}),
    (RiskConstrainedKelly(), {"max_positions": 2, "leverage": 1.0}),
    (CVaR(confidence=0.9), {"min_position": 0.2, "bounds": (-0.3, 0.8)}),
    (Kelly(), {"max_positions": 2, "min_position": 0.5, "bounds": (-0.3, 0.8)}),
    (MinVariance(), {"max_positions": 3, "min_position": 0.5, "bounds": (0, 0.6)}),
    (KLRobustKelly(radius=0.02), {"min_position": 0.34, "bounds": (-0.3, 0.8)}),
]


@pytest.mark.parametrize(("optimizer", "limits"), LIMITED, ids=lambda item: getattr(item, "__name__", None))
def test_beside_other_limits(optimizer: Optimizer, limits: dict[str, Any]) -> None:
    """Every choice of who is out, long or short, as bounds of a convex problem."""
    n = 6
    data = market(n, 80, seed=3)
    held = pd.Series([0.3, 0.0, 0.0, 0.4, 0.3, 0.0], data.columns)
    few = optimizer.copy().set_params(mandate=Mandate(**limits))
    w = few.optimize(data, kind="returns", held=held)
    assert few.solution.status == "optimal"
    low, high = limits.get("bounds", (0, limits.get("leverage", 1)))
    k, m = limits.get("max_positions", n), limits.get("min_position", 0.0)
    assert (w != 0).sum() <= k
    assert (np.abs(w[w != 0]) >= m - 1e-9).all()
    rest = {name: value for name, value in limits.items() if name not in ("max_positions", "min_position", "bounds")}
    sides = [(m, high), (low, -m)] if low <= -m < 0 else [(m if m > 0 else low, high)]
    best = np.inf
    for inside in itertools.chain.from_iterable(itertools.combinations(range(n), size) for size in range(k + 1)):
        for chosen in itertools.product(sides, repeat=len(inside)):
            bounds = dict.fromkeys(data.columns, (0.0, 0.0)) | dict(
                zip(data.columns[list(inside)], chosen, strict=True)
            )
            plain = optimizer.copy().set_params(mandate=Mandate(bounds=bounds, **rest))
            try:
                plain.optimize(data, kind="returns", held=held)
            except InfeasibleError:
                continue
            best = min(best, plain.solution.value)
    assert few.solution.value == pytest.approx(best, abs=1e-9)


def test_who_is_in_anyway_costs_no_search() -> None:
    data = market()
    plain, few = Kelly(), Kelly(mandate=Mandate(max_positions=N))
    np.testing.assert_array_equal(plain.optimize(data, kind="returns"), few.optimize(data, kind="returns"))
    assert few.solution.iterations <= 2


def test_time_runs_out() -> None:
    """Symmetric assets: millions of choices are nearly the same."""
    g = np.random.default_rng(0)
    data = pd.DataFrame(0.001 * g.standard_normal((250, 1)) + 0.01 * g.standard_normal((250, 60)))
    few = CVaR(mandate=Mandate(max_positions=12), time_limit=1.5)
    w = few.optimize(data, kind="returns")
    solution = few.solution
    assert solution.status == "bounded"
    assert (w != 0).sum() <= 12
    free = CVaR()
    free.optimize(data, kind="returns")
    assert solution.gap is not None
    assert free.solution.value - 1e-9 <= solution.value - solution.gap < solution.value
    with pytest.raises(PortfolioError, match="bound is not verified"):
        solution.verify(data)
    with pytest.raises(TimeLimitError, match="raise time_limit"):
        few.set_params(time_limit=1e-6).optimize(data, kind="returns")


def test_a_guess_changes_nothing() -> None:
    data, few = market(), MinVariance(mandate=Mandate(max_positions=3))
    w = few.optimize(data, kind="returns")
    np.testing.assert_allclose(few.optimize(data, w=np.full(N, 1 / N), kind="returns"), w, atol=1e-9)
    np.testing.assert_allclose(few.optimize(data, w=w, kind="returns"), w, atol=1e-9)


def test_what_cannot_be_met() -> None:
    data = market()
    bounds = {"bounds": dict.fromkeys(data.columns[:4], (0.1, 0.3))}
    cases: list[dict[str, Any]] = [
        {"max_positions": 3, **bounds},
        {"max_positions": 3, "bounds": (0, 0.3)},
        {"min_position": 0.3, "bounds": (0, 0.4), "max_positions": 2},
        {"min_position": 0.6, "bounds": (0, 0.7)},
        {"min_position": 0.5, "bounds": (0, 0.4)},
        {"min_position": 0.34, "bounds": (0.05, 0.7)},
    ]
    for limits in cases:
        with pytest.raises(InfeasibleError, match="position"):
            Kelly(mandate=Mandate(**limits)).optimize(data, kind="returns")


def test_refusals_name_who_refuses() -> None:
    counted = Mandate(max_positions=3)
    for kind in (VaR, REPO, RiskParity, Uniform):
        with pytest.raises(PortfolioError, match=f"{kind.__name__} takes no max_positions"):
            kind(mandate=counted)
    with pytest.raises(PortfolioError, match="beside constraints"):
        Kelly(mandate=Mandate(min_position=0.1, constraints=lambda w: w[0] <= 0.2))
    with pytest.raises(PortfolioError, match="regulariser takes no"):
        MaxSharpe(reg="l2", mandate=counted).optimize(market(), kind="returns")
    for given in ({"max_positions": 0}, {"max_positions": 2.5}, {"min_position": -0.1}):
        with pytest.raises(PortfolioError, match=f"{next(iter(given))}="):
            Mandate(**given)  # type: ignore[arg-type]


def test_every_decision_of_a_backtest() -> None:
    prices = 100 * (1 + market(8, 200)).cumprod()
    mandate = Mandate(max_positions=3, min_position=0.1, costs=10, max_turnover=0.5)
    tester = Backtester(prices.iloc[:120], prices.iloc[120:], cost={"const": 10})
    result = tester.backtest(Kelly(mandate=mandate), reopt_freq=10, rebalance_freq=10, keep_solutions=True)
    assert len(result.solutions) == 8
    for _, solution in result.solutions:
        assert solution.status == "optimal"
        assert (solution.weights != 0).sum() <= 3
        assert (solution.weights[solution.weights != 0] >= 0.1 - 1e-12).all()
    with pytest.raises(PortfolioError, match="bound is not verified"):
        solution.verify(prices)


def best_of(kind: type[Optimizer], data: pd.DataFrame, k: int, kept: tuple[int, ...], out: tuple[int, ...]) -> float:
    """The least value of all subsets of k that hold those and not these."""
    best, plain = np.inf, kind()
    for subset in itertools.combinations(range(data.shape[1]), k):
        if set(kept) <= set(subset) and not set(out) & set(subset):
            plain.optimize(data.iloc[:, list(subset)], kind="returns")
            best = min(best, plain.solution.value)
    return best


def posed(kind: type[Optimizer], data: pd.DataFrame) -> tuple[Any, np.ndarray]:
    """The problem without a count, and what solves it."""
    optimizer = kind()
    w = np.asarray(optimizer.optimize(data, kind="returns"))
    return optimizer._problem(Market.from_data(data, "returns")), w


@pytest.mark.parametrize("kind", [MinVariance, MeanVariance, CVaR])
def test_bounds_of_nodes_hold(kind: type[Optimizer]) -> None:
    """Below the best choice, and for variances far nearer to it than the relaxation without a count."""
    n, k = 8, 3
    data = market(n, 150, seed=5)
    problem, w = posed(kind, data)
    if kind is CVaR:
        estimate = estimator(problem, w)
    else:
        found = multipliers(problem, k)
        assert found is not None
        estimate = found.relaxation(problem, k)
    assert estimate is not None
    for kept, out in [((), ()), ((1,), (2,)), ((0, 4), (6,))]:
        best = best_of(kind, data, k, kept, out)
        upper, inside = np.ones(n), np.zeros(n, dtype=bool)
        upper[list(out)], inside[list(kept)] = 0.0, True
        node = estimate(Node(np.zeros(n), upper, inside, -np.inf, np.full(n, 1 / n)), np.inf)
        assert node is not None
        assert node.bound <= best + 1e-12
        if kind is MinVariance and not kept:
            assert best - node.bound < 0.02 * (best - problem.evaluate(w).value)


@pytest.mark.parametrize("seed", range(6))
def test_any_multipliers_bound(seed: int) -> None:
    """Also poor ones, and those that leave something concave."""
    g, n, k = np.random.default_rng(seed), 7, 3
    data = market(n, 60, seed)
    kind = (MinVariance, MeanVariance)[seed % 2]
    problem, _ = posed(kind, data)
    size = 0.5 * problem.aversion * float(problem.covariance.diagonal().mean())
    entries = size * np.triu(g.uniform(0.0, 0.3, (n, n)), 1)
    poor = Multipliers(entries + entries.T, 0.3 * size * g.standard_normal(n), size * g.uniform(-0.2, 1.0, n))
    node = poor.relaxation(problem, k)(
        Node(np.zeros(n), np.ones(n), np.zeros(n, dtype=bool), -np.inf, np.full(n, 1 / n)), np.inf
    )
    assert node is not None
    assert node.bound <= best_of(kind, data, k, (), ()) + 1e-12


@pytest.mark.parametrize("radius", [0.001, "auto", 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_tilted_bound_of_assets_alike(radius: float | str, seed: int) -> None:
    """For a worst mean over a KL ball: below the best choice, and much nearer than without a count."""
    g, n, k = np.random.default_rng(seed), 9, 3
    kind = partial(KLRobustKelly, radius=radius)
    data = pd.DataFrame(0.004 * g.standard_normal((400, 1)) + 0.01 * g.standard_t(6, (400, n)))
    data += g.uniform(0.0, 0.0001, n) - data.mean()
    problem, w = posed(kind, data)
    known, best = problem.evaluate(w).value, best_of(kind, data, k, (), ())
    found = tilted(problem, w, k, known)
    assert known <= found <= best
    if radius != 0.2:
        assert best - found < 0.3 * (best - known)


def test_long_searches_look_at_products(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.random.default_rng(1)
    data = pd.DataFrame(0.005 * g.standard_normal((500, 1)) + 0.01 * g.standard_normal((500, 12)))
    data += 0.0003 - data.mean()
    monkeypatch.setattr(counts, "_PATIENCE", 0)
    few = MinVariance(mandate=Mandate(max_positions=4))
    few.optimize(data, kind="returns")
    assert few.solution.status == "optimal"
    assert few.solution.value == pytest.approx(best_of(MinVariance, data, 4, (), ()), abs=1e-12)
    robust = KLRobustKelly(mandate=Mandate(max_positions=4))
    robust.optimize(data, kind="returns")
    assert robust.solution.status == "optimal"
    assert robust.solution.value == pytest.approx(best_of(KLRobustKelly, data, 4, (), ()), abs=1e-9)


def test_a_smoothed_tail() -> None:
    g = np.random.default_rng(2)
    losses, p = g.standard_t(4, 60), g.dirichlet(np.full(60, 5.0))
    sharp = ambiguity.CVaR(0.8)
    for width in (0.01, 0.5, 5.0):
        smooth = ambiguity.Smoothed(sharp, width)
        at = smooth.evaluate(losses, p)
        assert at.q.sum() == pytest.approx(1.0, abs=1e-12)
        assert sharp.evaluate(losses, p).value - 2.5 * width <= at.value <= sharp.evaluate(losses, p).value + 1e-12
        step = 1e-6 * g.standard_normal(60)
        ahead, behind = (smooth.evaluate(losses + side * step, p).value for side in (1, -1))
        assert (ahead - behind) / 2 == pytest.approx(float(at.q @ step), rel=1e-4, abs=1e-12)
        value, constraints = smooth.expression(cp.Constant(losses), p)
        peer = cp.Problem(cp.Minimize(value), constraints)
        peer.solve(solver=cp.CLARABEL)
        assert at.value == pytest.approx(peer.value, abs=1e-6)
