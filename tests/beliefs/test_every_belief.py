"""What holds of every belief: composition, identity, no look-ahead, order of the columns, copies, certified optima."""

from __future__ import annotations

import pickle
from functools import reduce
from operator import or_

import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester
from opeslike.beliefs import (
    Belief,
    BlackLitterman,
    BlockBootstrap,
    Decay,
    Empirical,
    Factors,
    Given,
    Near,
    Prior,
    Recentred,
    Rescaled,
    ShrunkMeans,
    Simulated,
    Stress,
    Views,
    Window,
)
from opeslike.market import Market
from opeslike.objectives import CVaR, Kelly, KLRobustKelly, MinVariance

T, TICKERS = 160, ["AA", "B.B", "CC", "DD"]
g = np.random.default_rng(8)
DATES = pd.bdate_range("2020-01-01", periods=T)
COMMON = pd.DataFrame(g.normal(0, 0.01, (T, 2)), DATES, ["market", "oil"])
FRAME = pd.DataFrame(
    COMMON.to_numpy() @ [[1.0, 0.8, 1.2, 0.5], [0.2, -0.3, 0.0, 0.6]] + g.standard_t(5, (T, 4)) * 0.006 + 0.0004,
    DATES,
    TICKERS,
)
COVARIANCE = FRAME.cov() * 1.5 + np.diag([1e-5, 2e-5, 1e-5, 3e-5])
BAD = pd.DataFrame([[-0.2, -0.1, -0.3, -0.15]], columns=TICKERS)
STATE = pd.Series(g.normal(20, 5, T + 1), pd.bdate_range(end=DATES[-1], periods=T + 1))

BELIEFS: dict[str, Belief] = {
    "empirical": Empirical(),
    "decay": Decay(60),
    "given": Given(pd.Series(g.dirichlet(np.ones(T)), DATES)),
    "window": Window(100),
    "near": Near(STATE, 4.0),
    "prior": Prior(BAD, 3.0),
    "stress": Stress(BAD, 0.02),
    "recentred": Recentred(pd.Series([0.001, 0.0005, -0.0002, 0.0], TICKERS)),
    "bayes-stein": ShrunkMeans(),
    "james-stein": ShrunkMeans("James-Stein"),
    "towards equilibrium": ShrunkMeans(target=BlackLitterman()),
    "black-litterman": BlackLitterman(
        {"mean(AA)": 0.1, "mean(B.B) - mean(CC)": 0.02}, {"AA": 3, "B.B": 1, "CC": 2, "DD": 1}
    ),
    "rescaled": Rescaled(COVARIANCE),
    "views": Views({"mean(AA)": ">= 0.3", "vol(CC)": 0.2, "corr(AA, B.B)": 0.5, "cvar(DD, 90)": 0.018}, confidence=0.7),
    "normal": Simulated("normal", 400, 1),
    "t": Simulated("t", 400, 2),
    "conditional": Empirical().given({"B.B": -0.05}, AA=-0.1),
    "factors": Factors(COMMON, 3),
    "bootstrap": BlockBootstrap(5, 300, 4),
    "chain": Decay(80) | ShrunkMeans() | Views({"mean(AA) - mean(DD)": 0.05}) | Stress(BAD, 0.01),
}  # fmt: skip
every = pytest.mark.parametrize("belief", BELIEFS.values(), ids=BELIEFS)


@pytest.fixture(autouse=True)
def _arch_where_needed(request: pytest.FixtureRequest) -> None:
    if "bootstrap" in request.node.name:
        pytest.importorskip("arch")


def same(one: Market, two: Market) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(one.returns, two.returns)
    assert (one.probabilities is None) == (two.probabilities is None)
    if one.probabilities is not None:
        np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert one.effective_size == two.effective_size
    assert one.assets == two.assets
    assert list(one.dates) == list(two.dates)


@every
def test_a_belief_gives_a_market_of_the_same_assets_and_leaves_its_own_alone(belief: Belief) -> None:
    before = Market.from_data(FRAME, "returns")
    kept = before.returns.copy()
    after = belief(before)
    np.testing.assert_array_equal(before.returns, kept)
    assert before.probabilities is None
    assert after.assets == tuple(TICKERS)
    assert np.isfinite(after.returns).all()
    assert after.returns.min() >= -1
    assert len(after.dates) == after.n_scenarios
    if after.probabilities is not None:
        assert after.probabilities.min() >= 0
        assert after.probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert 0 < after.effective_size <= T + 3
    same(after, belief(before))


@every
def test_composition_is_associative_and_has_an_identity(belief: Belief) -> None:
    seen, others = Market.from_data(FRAME, "returns"), [Decay(100), Window(130)]
    for parts in (
        [belief, *others[:1], Recentred(0.001)],
        [others[0], others[1], belief],
        [others[0], belief, Decay(50)],
    ):
        if isinstance(belief, Near | Given | Factors) or "first" in belief.get_params():
            parts = sorted(parts, key=lambda part: part is not belief)
        a, b, c = parts
        same(((a | b) | c)(seen), (a | (b | c))(seen))
        same(((a | b) | c)(seen), c(b(a(seen))))
    same((Empirical() | belief)(seen), belief(seen))
    same((belief | Empirical())(seen), belief(seen))


def test_what_changes_nothing_gives_the_market_itself() -> None:
    seen = Market.from_data(FRAME, "returns")
    for nothing in (Window(T), Window(10**9), Stress(BAD, 0.0), Views({}), Rescaled("sample")):
        assert nothing(seen) is seen
    same(Rescaled(seen.mean_and_covariance()[1])(seen), seen)
    same(Recentred(np.full(T, 1 / T) @ seen.returns)(seen), seen)
    np.testing.assert_allclose(ShrunkMeans(target=Empirical())(seen).returns, seen.returns, rtol=0, atol=1e-17)


@every
def test_the_order_of_the_columns_does_not_matter(belief: Belief) -> None:
    order = [2, 0, 3, 1]
    plain = belief(Market.from_data(FRAME, "returns"))
    turned = belief(Market.from_data(FRAME.iloc[:, order], "returns"))
    np.testing.assert_allclose(turned.returns, plain.returns[:, order], rtol=0, atol=1e-14)
    if plain.probabilities is not None:
        np.testing.assert_allclose(turned.probabilities, plain.probabilities, rtol=1e-9)


@every
def test_copies_and_parameters(belief: Belief) -> None:
    clone = pytest.importorskip("sklearn.base").clone
    seen = Market.from_data(FRAME, "returns")
    for twin in (clone(belief), belief.copy(), pickle.loads(pickle.dumps(belief)), belief.set_params()):
        assert type(twin) is type(belief)
        assert repr(twin) == repr(belief)
        same(twin(seen), belief(seen))


@every
def test_the_future_changes_nothing(belief: Belief) -> None:
    """A backtest over prices whose end is another story gives the same weights until then."""
    prices = (1 + FRAME).cumprod()
    other = prices.copy()
    other.iloc[125:] *= np.linspace(1.2, 2.0, 35)[:, None] * [1.0, 0.7, 1.3, 0.9]
    start = DATES[110]
    weights = []
    for frame in (prices, other):
        test = Backtester(train_data=frame[frame.index < start], test_data=frame[frame.index >= start])
        weights.append(test.backtest(MinVariance(beliefs=belief), rebalance_freq=5).weights)
    np.testing.assert_array_equal(weights[0][:14], weights[1][:14])


@pytest.mark.parametrize("name", ["near", "given", "factors"])
def test_what_is_dated_later_is_not_looked_at(name: str) -> None:
    past = Market.from_data(FRAME.iloc[:100], "returns")
    field = {"near": "indicator", "given": "probabilities", "factors": "factors"}[name]
    data = BELIEFS[name].get_params()[field]
    changed = data.copy()
    changed[changed.index > DATES[99]] = 0.123
    same(BELIEFS[name](past), BELIEFS[name].set_params(**{field: changed})(past))


@pytest.mark.parametrize("name", ["normal", "t", "bootstrap", "factors"])
def test_draws_depend_on_seed_and_decision_not_on_other_assets(name: str) -> None:
    belief, seen = BELIEFS[name], Market.from_data(FRAME, "returns")
    drawn = belief(seen)
    fewer = belief(Market.from_data(FRAME[["DD", "B.B"]], "returns"))
    np.testing.assert_allclose(fewer.returns, drawn.returns[:, [3, 1]], rtol=0, atol=1e-15)
    assert drawn.effective_size == seen.effective_size == T
    assert belief(Decay(50)(seen)).effective_size == Decay(50)(seen).effective_size
    for twice in (belief | Simulated("normal", 200, 9), belief | BlockBootstrap(3, 200, 9)):
        assert twice(seen).effective_size == T
    assert not np.array_equal(belief.set_params(seed=77)(seen).returns, drawn.returns)
    day_after = belief(
        Market.from_data(FRAME.set_axis(DATES + pd.Timedelta(days=0 if name == "factors" else 1)), "returns")
    )
    assert np.array_equal(day_after.returns, drawn.returns) == (name == "factors")


@every
@pytest.mark.parametrize("make", [Kelly, KLRobustKelly, CVaR, MinVariance])
def test_optima_are_certified(make: type, belief: Belief) -> None:
    optimizer = make(beliefs=belief)
    optimizer.optimize(FRAME, kind="returns")
    solution = optimizer.solution
    assert solution.status == "optimal"
    assert solution.gap <= solution.tolerance
    assert solution.verify(FRAME) <= 1.01 * solution.gap + 0.1 * solution.tolerance


@every
def test_described(belief: Belief) -> None:
    table = belief.describe(FRAME, "returns")
    assert list(table.columns) == ["before", "after"]
    assert table.notna().all(axis=None)
    after = belief(Market.from_data(FRAME, "returns"))
    p = np.full(after.n_scenarios, 1 / after.n_scenarios) if after.probabilities is None else after.probabilities
    np.testing.assert_allclose(table["after"]["mean"], 252 * (p @ after.returns), atol=1e-12)
    np.testing.assert_allclose(table["before"]["volatility"], 252**0.5 * FRAME.std(ddof=0), rtol=1e-9)
    assert table["after"]["effective scenarios"].item() == after.effective_size
    moved = table["after"]["KL moved"].item()
    assert table["before"]["KL moved"].item() == 0
    if moved < np.inf and after.n_scenarios == T:
        q = p[p > 0]
        assert moved == pytest.approx(float(q @ np.log(q * T)), abs=1e-12)


def test_described_by_hand() -> None:
    assert Window(40).describe(FRAME, "returns")["after"]["KL moved"].item() == pytest.approx(np.log(4))
    assert Stress(BAD, 0.1).describe(FRAME, "returns")["after"]["KL moved"].item() == np.inf
    coin = np.array([[1.0], [-1.0]])
    views = Views({"mean(0)": 0.5}, periods_per_year=1)
    table = views.describe(coin, "returns", periods_per_year=1)["after"]
    assert table["mean"].item() == pytest.approx(0.5)
    assert table["volatility"].item() == pytest.approx(0.75**0.5)
    assert table["KL moved"].item() == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))


def test_a_long_chain_is_read_from_left_to_right() -> None:
    parts = [Decay(80), ShrunkMeans(), Stress(BAD, 0.01)]
    assert repr(reduce(or_, parts)) == " | ".join(map(repr, parts))
