"""Assets list, pause, are delisted and go bankrupt: who may be held, what the account makes of it, what is told."""

import logging
import pickle

import numpy as np
import pandas as pd
import pytest

from opeslike import Mandate, compare, load_us20
from opeslike.accounting.overlays import LeverageCap
from opeslike.backtester import Backtester
from opeslike.beliefs import FilledHistory
from opeslike.errors import DataError, DataWarning, OptimizationError, PortfolioError
from opeslike.market import Eligible, Market
from opeslike.objectives import CVaR, ExponentialGradient, InverseVolatility, Kelly, KLRobustKelly, MinVariance, Uniform
from opeslike.strategies import BuyAndHold, DualMomentum, EqualWeight, FixedLeverage, Sized

#: told once in test_data.py
pytestmark = pytest.mark.filterwarnings("ignore:.*rows are left on which every")

ROWS, TRAIN = 90, 40
NAMES = list("ABCDEF")


def closes(seed=0, rows=ROWS, names=NAMES):
    values = 50 * np.cumprod(1 + np.random.default_rng(seed).normal(0.0005, 0.02, (rows, len(names))), axis=0)
    return pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=rows, name="Date"), columns=names)


def lively(seed=0):
    """B listed in training, C in the test, D delisted, E with gaps, F bankrupt."""
    prices = closes(seed)
    prices.iloc[:20, 1] = np.nan
    prices.iloc[:50, 2] = np.nan
    prices.iloc[60:, 3] = np.nan
    prices.iloc[[30, 45, 46, 70], 4] = np.nan
    prices.iloc[65:, 5] = 0.0
    prices.iloc[70:, 5] = np.nan
    return prices


class Random:
    """Weights that depend on the eligible tickers and the number of the call alone."""

    def __init__(self, total=1.0, short=False):
        self.calls, self.total, self.short, self.seen = 0, total, short, []

    def optimize(self, data):
        self.calls += 1
        self.seen.append(data)
        draws = np.random.default_rng(self.calls).random(len(NAMES)) + 0.1
        if self.short:
            draws[::2] *= -0.5
        drawn = pd.Series(draws, NAMES)[list(data.columns)]
        return self.total * drawn / drawn.abs().sum()


def run(prices, strategy=None, split=TRAIN, **options):
    made = {name: options.pop(name) for name in list(options) if name in Backtester.__init__.__code__.co_varnames}
    tester = Backtester(prices[:split], prices[split:], **{"cost": {"const": 0}, **made})
    return tester.backtest(strategy or Uniform(), **{"min_history": 5, **options})


def plain_loop(prices, split, targets, *, every, rate, cash=0.0, after=5, payout=None):
    """Money, asset by asset and day by day, in plain Python; ``targets`` by step, None where nothing is decided."""
    payout = payout or {}
    table = {name: prices[name].tolist() for name in prices}
    held, wealth, path = dict.fromkeys(table, 0.0), 1.0, []
    mark, missed, target = {}, dict.fromkeys(table, 0), None
    for day in range(len(prices)):
        for name, column in table.items():
            price = column[day]
            if price > 0:
                held[name] *= price / mark.get(name, price)
                mark[name], missed[name] = price, 0
                continue
            missed[name] += 1
            if price == 0:
                held[name] = 0.0
            elif missed[name] == after:
                held["cash"] = held.get("cash", 0.0) + held[name] * (1 + payout.get(name, payout.get("*", 0.0)))
                held[name] = 0.0
        step = day - split
        if step < 0:
            continue
        if step == 0:
            held = {**dict.fromkeys(table, 0.0), "cash": 1.0}
        wealth = sum(held.values())
        path.append(wealth)
        if step == len(prices) - split - 1:
            break
        if targets[step] is not None:
            target = targets[step]
        if step % every == 0:
            shut = [name for name in table if not table[name][day] > 0]
            stuck, planned = sum(held[name] for name in shut) / wealth, sum(target.get(name, 0.0) for name in shut)
            share = 1.0
            if 1 - stuck < 1 - planned:
                share = max(1 - stuck, 0.0) / (1 - planned) if planned < 1 else 0.0
            aims = {name: wealth * share * target.get(name, 0.0) for name in table if name not in shut}
            cost = sum(rate * abs(aims[name] - held[name]) for name in aims)
            kept = 1 - cost / wealth
            after_trade = {**{name: held[name] for name in shut}, **aims}
            after_trade["cash"] = wealth - sum(after_trade.values())
            held = {name: kept * amount for name, amount in after_trade.items()}
        held["cash"] *= 1 + cash
    return path


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(("total", "short"), [(1.0, False), (0.6, False), (1.2, True)])
@pytest.mark.parametrize("payout", [0.0, {"D": -0.4, "*": 0.1}])
@pytest.mark.parametrize("seed", [0, 1])
def test_wealth_is_that_of_a_plain_loop(every, total, short, payout, seed):
    prices = lively(seed)
    result = run(
        prices,
        Random(total, short),
        cost={"const": 20},
        reopt_freq=2 * every,
        rebalance_freq=every,
        delisting_return=payout,
        risk_free=0.0,
    )
    again, targets = Random(total, short), []
    for step in range(result.horizon if hasattr(result, "horizon") else len(result["returns"])):
        last = TRAIN + step - 1
        if step % (2 * every):
            targets.append(None)
            continue
        fit = [n for n in NAMES if prices[n].iloc[last] > 0 and (prices[n].iloc[: last + 1] > 0).sum() > 5]
        targets.append(again.optimize(prices[fit]).to_dict())
    paths = plain_loop(
        prices, TRAIN, targets, every=every, rate=0.002, payout=payout if isinstance(payout, dict) else {"*": payout}
    )
    np.testing.assert_allclose(result["wealth"], paths[1:], rtol=1e-12)
    change = np.diff(np.concatenate(([1.0], result["wealth"])))
    np.testing.assert_allclose(result.contributions.sum(axis=1), change, rtol=0, atol=1e-14)
    profits = result.trades["profit"].sum()
    np.testing.assert_allclose(profits, result["wealth"][-1] - 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.traded.abs().sum(axis=1), result["turnover"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("window", [None, 15])
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("strategy", [Uniform(), InverseVolatility(), MinVariance(), CVaR(), Kelly(0.5)], ids=repr)
def test_each_decision_is_one_on_the_eligible_assets_alone(strategy, window, lag):
    prices = lively()
    result = run(prices, strategy, window=window, execution_lag=lag, reopt_freq=7, rebalance_freq=7)
    for place, step in enumerate(range(0, len(result["returns"]), 7)):
        seen = prices[: TRAIN + step - lag + 1].replace(0.0, np.nan)
        fit = [n for n in NAMES if seen[n].notna().iloc[-1] and seen[n].notna().sum() > 5]
        alone = seen[fit].dropna()
        alone = alone if window is None else alone[-window - 1 :]
        expected = pd.Series(strategy.optimize(alone), fit).reindex(NAMES, fill_value=0.0)
        assert result.universe["eligible"].iloc[step].tolist() == [n in fit for n in NAMES]
        assert result.rows["observed"].iloc[place] == len(alone) - 1
        if prices.iloc[TRAIN + step][fit].notna().all() and not result.universe["suspended"].iloc[step].any():
            tolerance = 1e-12 if isinstance(strategy, (Uniform, InverseVolatility)) else 1e-6
            np.testing.assert_allclose(result.weights.iloc[step], expected, rtol=0, atol=tolerance)
    assert (result.weights.to_numpy() == 0.0)[~result.universe["listed"].to_numpy()].all()


@pytest.mark.parametrize("strategy", [Kelly(0.5), KLRobustKelly(radius=0.02), CVaR(0.9), MinVariance()], ids=repr)
@pytest.mark.parametrize("window", [None, 30])
def test_from_the_same_start_the_decision_is_the_same_to_rounding(strategy, window):
    class Cold:  # a warm start may end elsewhere within the certified gap
        accepts_market = True

        def optimize(self, data):
            return strategy.optimize(data)

    prices = lively(1)
    result = run(prices, Cold(), window=window, reopt_freq=4, rebalance_freq=4)
    for step in range(0, len(result["returns"]), 4):
        if result.universe["suspended"].iloc[step].any():
            continue
        fit = result.universe["eligible"].columns[result.universe["eligible"].iloc[step]]
        alone = prices[: TRAIN + step][fit].dropna()
        expected = strategy.optimize(alone if window is None else alone[-window - 1 :])
        np.testing.assert_allclose(result.weights[fit].iloc[step], expected, rtol=0, atol=1e-12)


def test_the_walk_on_complete_assets_is_the_walk_without_the_others():
    prices = closes()
    for others in (
        prices.assign(G=np.nan),
        prices.assign(G=prices["A"].where(prices.index == prices.index[50])),
        prices.assign(G=prices["A"].where(prices.index < prices.index[30])),
    ):
        for strategy in (
            Kelly(),
            KLRobustKelly(radius=0.01),
            Sized(DualMomentum(lookback=10), EqualWeight(weight=0.3)),
        ):
            options = {"reopt_freq": 5, "rebalance_freq": 2, "cost": {"const": 10}, "window": 20}
            with_others, alone = run(others, strategy, **options), run(prices, strategy, **options)
            np.testing.assert_allclose(with_others["wealth"], alone["wealth"], rtol=1e-12)
            np.testing.assert_allclose(with_others["weights"][:, :-1], alone["weights"], rtol=0, atol=1e-12)
            assert not with_others["weights"][:, -1].any()
            assert not with_others.universe["eligible"]["G"].any()


@pytest.mark.parametrize(
    "strategy",
    [InverseVolatility(), Kelly(), BuyAndHold(), ExponentialGradient(), MinVariance(beliefs=FilledHistory(1))],
    ids=repr,
)
@pytest.mark.parametrize("tomorrow", [50, 61])
def test_what_lists_or_leaves_tomorrow_changes_nothing_today(strategy, tomorrow):
    prices = lively()
    before = run(prices, strategy)
    changed = prices.copy()
    changed.iloc[tomorrow:] = closes(9).iloc[tomorrow:]
    changed.iloc[tomorrow:, 0] = np.nan  # delisted tomorrow
    after = run(changed, strategy)
    steps = tomorrow - TRAIN
    np.testing.assert_array_equal(before["weights"][:steps], after["weights"][:steps])
    np.testing.assert_array_equal(before["wealth"][: steps - 1], after["wealth"][: steps - 1])
    assert before.universe[:steps].equals(after.universe[:steps])


def test_an_asset_without_any_price(caplog):
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        result = run(closes().assign(G=np.nan))
    assert "never quoted: G" in caplog.text
    assert not result.universe.xs("G", axis=1, level=1).any().any()
    assert (result.weights["A"] > 0).all()


def test_listed_for_a_day():
    prices = closes().assign(G=np.nan)
    prices.loc[prices.index[50], "G"] = 10.0
    result = run(prices)
    life = result.universe.xs("G", axis=1, level=1)
    assert life["listed"].to_numpy().nonzero()[0].tolist() == list(range(10, 15))
    assert life["suspended"].to_numpy().nonzero()[0].tolist() == list(range(11, 15))
    assert not life["eligible"].any()
    assert not life["held"].any()


def test_listed_twice_with_a_gap():
    prices = closes()
    prices.iloc[45:70, 0] = np.nan
    result = run(prices, min_history=5)
    assert result.weights["A"].ne(0).to_numpy().nonzero()[0].tolist() == [*range(9), *range(31, 49)]
    # suspended with its weight for four dates, paid out on the fifth
    assert result.universe["suspended"]["A"].to_numpy().nonzero()[0].tolist() == [5, 6, 7, 8]
    assert result.rows["observed"].iloc[35] == len(prices[: TRAIN + 35].dropna()) - 1  # one return spans the gap
    alone = run(prices, min_history=64)  # what it had before the gap counts
    assert not alone.universe["eligible"]["A"].any()


def test_delisted_on_the_day_of_a_trade():
    prices = closes()
    prices.iloc[50:, 0] = np.nan
    result = run(prices, reopt_freq=10, rebalance_freq=10, delisting_return={"A": -0.5}, split=40)
    drifted = result.weights["A"].iloc[9] * (1 + result.asset_returns["A"].iloc[9])
    held = result.weights.iloc[10]
    total = 1 + result["returns"][9]
    np.testing.assert_allclose(held["A"], drifted / total, rtol=1e-12)  # decided to hold it, could not trade it
    np.testing.assert_allclose(held.sum(), min(1.0, 5 / 6 + held["A"]), rtol=1e-12)
    assert result.asset_returns["A"].iloc[10:14].tolist() == [0.0, 0.0, 0.0, -0.5]
    assert (result.weights["A"].iloc[14:] == 0).all()
    trade = result.trades[result.trades["asset"] == "A"].iloc[0]
    assert (trade["exit"], trade["open"]) == (prices.index[54], False)
    assert result["turnover"][11:20].sum() == 0.0


def test_delisted_while_short():
    prices = closes(names=["A", "B"])
    prices.iloc[50:, 0] = np.nan
    result = run(prices, FixedLeverage({"A": -0.5, "B": 0.5}), delisting_return=-1.0)
    before, after = result.wealth.iloc[12], result.wealth.iloc[13]
    gain = -result.weights["A"].iloc[13] * before
    moved = result.weights["B"].iloc[13] * result.asset_returns["B"].iloc[13] * before
    np.testing.assert_allclose(after - before, gain + moved, rtol=1e-12)
    assert result.cash.iloc[14] == pytest.approx(0.5)


def test_all_are_delisted():
    prices = closes(names=["A", "B"])
    prices.iloc[55:] = np.nan
    result = run(prices, delisting_return=-0.2, risk_free=0.05)
    assert len(result["returns"]) == ROWS - TRAIN - 1  # the dates go on
    assert result.asset_returns.iloc[18].tolist() == [-0.2, -0.2]
    assert (result.cash.iloc[19:] == 1.0).all()
    np.testing.assert_allclose(result.returns.iloc[20:], 1.05 ** (1 / 252) - 1, rtol=1e-12)
    short = run(prices[:58])  # three dates without a quote are no delisting
    assert len(short["returns"]) == 14


def test_without_an_eligible_asset_all_is_cash(caplog):
    with caplog.at_level(logging.WARNING, logger="opeslike"):
        result = run(closes().assign(G=np.nan), min_history=60, risk_free=0.02)
    assert caplog.text.count("no asset is eligible, all is cash") == 1
    assert result.rows["observed"].iloc[0] == 0
    assert (result.cash.iloc[:20] == 1.0).all()
    assert result.universe["held"].iloc[-1].tolist() == [True] * 6 + [False]
    assert result.rows["observed"].iloc[-1] == ROWS - 3


@pytest.mark.parametrize("window", [20, 60, None])
def test_the_least_history_is_the_window_or_half_of_what_there_is(window):
    prices = closes()
    prices.iloc[: TRAIN - 11, 1] = np.nan  # ten returns by P_{-1}
    eligible = run(prices, window=window, min_history=None).universe["eligible"]["B"].to_numpy()
    known = 10 + np.arange(len(eligible))
    rows = TRAIN - 1 + np.arange(len(eligible))
    need = rows // 2 if window is None else np.where(rows < window, rows // 2, window)
    assert eligible.tolist() == (known >= need).tolist()
    assert eligible.any()
    assert not eligible.all()


def test_bankruptcy_as_prices_and_as_returns():
    prices = closes()
    prices.iloc[55:, 2] = 0.0
    result = run(prices, MinVariance(), window=20)
    step = 55 - TRAIN - 1
    assert result.asset_returns["C"].iloc[step] == -1.0
    assert (result.weights["C"].iloc[step + 1 :] == 0.0).all()
    assert not result.universe["listed"]["C"].iloc[step + 1 :].any()
    moves = prices.pct_change(fill_method=None)[1:].fillna(0.0)
    returns = run(moves, MinVariance(), window=20, kind="returns", split=TRAIN)
    np.testing.assert_allclose(returns["wealth"][-1], result["wealth"][-1], rtol=1e-5)
    assert not returns.universe["held"]["C"].iloc[-1]
    assert MinVariance().optimize(prices)[2] == 0.0


def test_a_zero_that_is_not_the_end_is_no_bankruptcy():
    prices = closes()
    prices.iloc[55, 2] = 0.0
    with pytest.raises(DataError, match=r"C on 2020-03-18: price 0.0 is not positive"):
        run(prices)
    later = prices.copy()
    later.iloc[39, 2] = 0.0  # across the split
    with pytest.raises(DataError, match="not positive"):
        run(later.drop(later.index[55]), split=40)


def test_bets_go_on_after_all_was_lost():
    moves = np.tile([[-1.0, 0.1], [1.0, -0.1]], (20, 1))
    result = Backtester(moves[:20], moves[20:], kind="returns").backtest(FixedLeverage({0: 0.1, 1: 0.1}))
    assert (result["weights"] == 0.1).all()


def test_membership():
    prices = closes()
    listed = pd.DataFrame(True, index=prices.index[[0, 50, 70]], columns=NAMES)
    listed.loc[prices.index[50], "A"] = False
    result = run(prices, listed=listed)
    assert result.weights["A"].eq(0).to_numpy().nonzero()[0].tolist() == list(range(11, 31))
    prices.iloc[52:, 0] = np.nan  # gone as soon as it is neither a member nor quoted
    late = run(prices, listed=listed, reopt_freq=100, rebalance_freq=100, delisting_return=-0.3)
    assert late.asset_returns["A"].iloc[11] == -0.3
    with pytest.raises(DataError, match="listed lacks F"):
        run(prices, listed=listed.drop(columns="F"))
    with pytest.raises(DataError, match="True and False"):
        run(prices, listed=prices)


def test_others_get_the_eligible_columns_or_all_of_them():
    class Everything:
        all_assets = True

        def optimize(self, data, w, held, weight_bounds):
            assert data.columns.tolist() == NAMES
            assert len(w if w is not None else NAMES) == len(held) == 6
            last = data.iloc[-1] > 0
            return np.where(last & (data.notna().sum() > 5), 0.1, 0.0)

    class Part:
        def optimize(self, data, w=None, held=None, weight_bounds=None, costs=None, state=None):
            count = data.shape[1]
            assert data.notna().all().all()
            lower, upper = weight_bounds
            assert len(lower) == len(upper) == len(held) == len(costs) == len(state.weights) == count
            assert [f"{c:g}" for c in upper] == [f"{NAMES.index(n) + 1}" for n in data.columns]
            assert state.assets == tuple(data.columns)
            np.testing.assert_allclose(state.asset_returns, data.pct_change().iloc[1:], rtol=0, atol=1e-15)
            assert state.calendar[state.row - 2] == data.index[-1]  # P_t comes after it
            assert w is None or len(w) == count
            return np.full(count, 1 / count)

    bounds = np.zeros(6), np.arange(1.0, 7.0)
    run(lively(), Everything(), weight_bounds=bounds, min_history=5)
    run(lively(), Part(), weight_bounds=bounds)
    estimator = type("Fit", (), {"fit": lambda self, X: setattr(self, "weights_", pd.Series(0.1, X.columns))})()
    assert run(lively(), estimator).weights.max().max() < 0.2

    class Careless(Everything):
        def optimize(self, data):
            return np.full(6, 0.1)

    with pytest.raises(OptimizationError, match=r"Careless on 2020-02-26: its weight of C is 0.1, .* not eligible"):
        run(lively(), Careless())


def test_limits_follow_their_tickers(caplog):
    prices = lively()
    mandate = Mandate(
        bounds={"A": (0, 0.4), "C": (0.2, 1.0), "D": (0.1, 0.2), "*": (0, 0.9)},
        groups={"old": ["D", "F"], "rest": ["A", "B", "C", "E"]},
        group_bounds={"old": (0.05, 0.5)},
    )
    with caplog.at_level(logging.INFO, logger="opeslike"):
        result = run(prices, Kelly(mandate=mandate))
    assert "bounds: lower bounds dropped of C, not eligible" in caplog.text
    assert "bounds: lower bounds dropped of D, not eligible" in caplog.text
    quiet = ~result.universe["suspended"].any(axis=1).to_numpy()
    weights = result.weights[quiet]
    assert weights["A"].max() <= 0.4 + 1e-9
    assert weights["D"][prices.index[42] : prices.index[59]].min() >= 0.1 - 1e-9
    assert weights["C"].iloc[-1] >= 0.2 - 1e-9
    arrays = run(prices, Kelly(), weight_bounds=(np.zeros(6), np.array([0.4, 1, 1, 1, 1, 1])))
    assert arrays.weights["A"][quiet].max() <= 0.4 + 1e-9
    with pytest.raises(PortfolioError, match="groups name Z"):
        run(prices, Kelly(mandate=Mandate(groups={"g": ["Z"]}, group_bounds={"g": (0, 1)})))


def test_optimize_answers_for_all_columns(caplog):
    prices = lively()
    kelly = Kelly()
    with caplog.at_level(logging.WARNING, logger="opeslike"), pytest.warns(DataWarning, match="C .values from 2020-03"):
        weights = kelly.optimize(prices, weight_bounds=(np.zeros(6), np.full(6, 0.6)), w=np.full(6, 1 / 6))
    assert "weight 0, without a price and a return on 2020-05-05: D" in caplog.text
    assert kelly.tickers == NAMES
    assert weights.shape == (6,)
    assert weights[[3, 5]].tolist() == [0.0, 0.0]
    alone = Kelly().optimize(prices[["A", "B", "C", "E"]].dropna(), weight_bounds=(0, 0.6))
    np.testing.assert_allclose(weights[[0, 1, 2, 4]], alone, rtol=0, atol=1e-9)
    assert kelly.solution.assets == ("A", "B", "C", "E")
    assert kelly.solution.verify(prices) <= kelly.solution.tolerance
    cleaned = kelly.clean_weights(0.05)
    np.testing.assert_array_equal(cleaned[[0, 1, 2, 4]], kelly.solution.weights)
    assert kelly.solution.gap is not None
    late = closes()
    late.iloc[80:, 0] = np.nan
    for strategy in (Uniform(), BuyAndHold(), Sized(DualMomentum(lookback=10), EqualWeight()), MinVariance()):
        assert strategy.optimize(late)[0] == 0.0
        assert len(strategy.optimize(late)) == 6
    covariance = np.diag([1e-9, 1.0, 2.0, 4.0, 4.0, 4.0])
    assert MinVariance().optimize(late, custom_cov=covariance)[1:3] == pytest.approx([4 / 9, 2 / 9])


def test_the_eligible_survive_a_copy():
    assets = Market.from_data(closes().assign(G=np.nan)).assets
    again = pickle.loads(pickle.dumps(assets))
    assert isinstance(again, Eligible)
    assert (again, again.everyone) == (tuple(NAMES), (*NAMES, "G"))


def test_overlays_and_comparisons_know_of_lives():
    prices = lively()
    capped = run(prices, Random(1.0), overlays=[LeverageCap(gross=0.5)])
    free = capped.weights.where(~capped.universe["suspended"].to_numpy(), 0.0)
    assert free.abs().sum(axis=1).max() <= 0.5 + 1e-12
    table = compare(
        {"full": Kelly(), "half": Kelly(0.5)}, prices[:TRAIN], prices[TRAIN:], min_history=5, delisting_return=-0.1
    )
    quiet = ~table["full"].universe["suspended"].any(axis=1).to_numpy()
    np.testing.assert_allclose(table["half"]["weights"][quiet], 0.5 * table["full"]["weights"][quiet], rtol=1e-12)


def test_a_missing_stretch_no_longer_deletes_the_dates_of_all():
    prices = load_us20(start="2018", end="2020")
    gappy = prices.copy()
    missing = gappy.index[gappy.index >= "2020-02-24"][:27]
    gappy.loc[missing, "WMT"] = np.nan
    options = {"split": 504, "min_history": 252}
    whole = run(prices, **options)
    for after, near in ((5, 0.01), (60, 0.005)):
        result = run(gappy, delisted_after=after, **options)
        assert len(result["returns"]) == len(whole["returns"])
        drawdowns = [1 - (path.wealth / path.wealth.cummax()).min() for path in (whole, result)]
        assert abs(drawdowns[0] - drawdowns[1]) < near
        sharpes = [path.returns.mean() / path.returns.std() * np.sqrt(252) for path in (whole, result)]
        assert abs(sharpes[0] - sharpes[1]) < 0.05


def test_coins_beside_stocks_keep_their_weekends():
    days = pd.date_range("2019-01-01", periods=600)
    values = 100 * np.cumprod(1 + np.random.default_rng(3).normal(0, 0.02, (600, 3)), axis=0)
    prices = pd.DataFrame(values, index=days, columns=["coin", "stock", "other"])
    prices.loc[days.day_of_week >= 5, ["stock", "other"]] = np.nan
    result = run(prices, InverseVolatility(), split=300, window=100, min_history=100)
    assert result.settings["periods_per_year"] == 365
    assert len(result["returns"]) == 299
    weekend = np.asarray(result.universe.index.day_of_week >= 5)
    assert (result.traded.loc[:, ["stock", "other"]].to_numpy()[weekend] == 0.0).all()
    assert result.universe["suspended"]["stock"].to_numpy().tolist() == weekend.tolist()
    assert (result.asset_returns["coin"] != 0).all()
    monday = prices[: days[300]].dropna()[-101:]
    assert result.rows["observed"].iloc[0] == 100
    assert result.certificate == "none"
    assert monday.index[-1] == days[300]


def test_a_year_is_that_of_the_accounts_own_calendar():
    year = {"B": 252, "D": 365, "W": 52, "ME": 12, "QE": 4, "YE": 1, "C": 252}
    for frequency, periods in year.items():
        prices = closes().set_axis(pd.date_range("2000-01-02", periods=ROWS, freq=frequency), axis=0)
        tester = Backtester(prices[:TRAIN], prices[TRAIN:], risk_free=0.05)
        assert tester.periods_per_year == periods, frequency
        cash = tester.backtest(Random(0.0), reopt_freq=99)
        np.testing.assert_allclose(cash.returns, 1.05 ** (1 / periods) - 1, rtol=1e-12)
    few = closes()  # of coins beside stocks the union counts; of stocks a few days do too
    assert Backtester(few[:TRAIN], few[TRAIN : TRAIN + 2]).periods_per_year == 252
    hours = closes().set_axis(pd.date_range("2020", periods=ROWS, freq="h"), axis=0)
    assert Backtester(hours[:TRAIN], hours[TRAIN:]).periods_per_year == pytest.approx(24 * 365.25)
    assert Backtester(few[:TRAIN].to_numpy(), few[TRAIN:].to_numpy()).periods_per_year == 252
    assert Backtester(few[:TRAIN], few[TRAIN:], periods_per_year=260).periods_per_year == 260
    table = compare({"1/N": Uniform()}, prices[:TRAIN], prices[TRAIN:])
    again = compare({"1/N": Uniform()}, prices[:TRAIN], prices[TRAIN:], periods_per_year=252)
    assert table.metrics.equals(again.metrics)


def test_what_is_suspended_is_no_cash():
    seen = []

    class Asks:
        def optimize(self, data, *, state):
            seen.append(state)
            return np.full(len(state.assets), 1 / len(state.assets))

    prices = closes(names=["A", "B", "C"])
    prices.iloc[50:53, 0] = np.nan
    result = run(prices, Asks(), rebalance_freq=30)
    state = seen[12]  # sees the close of row 51
    assert state.assets == ("B", "C")
    held = result.weights.iloc[11]
    np.testing.assert_allclose(state.elsewhere, held["A"], rtol=1e-12)
    np.testing.assert_allclose(state.cash, 1.0 - held.sum(), rtol=0, atol=1e-12)
    assert all(abs(one.cash) < 1e-12 for one in seen[1:])
    assert [one.elsewhere > 0 for one in seen].count(True) == 3


def test_decisions_are_proved_again_from_what_they_rested_on():
    prices = lively()
    tester = Backtester(prices[:TRAIN], prices[TRAIN:], delisting_return=-0.2)
    options = {"window": 30, "min_history": 5, "reopt_freq": 3, "rebalance_freq": 3, "keep_solutions": True}
    for strategy in (
        KLRobustKelly(radius="auto"),
        Kelly(0.5, mandate=Mandate(max_turnover=0.3, leverage=1)),
        MinVariance(beliefs=FilledHistory(2)),
    ):
        for settings in ({}, {"execution_lag": 0}, {"window": None}):
            result = tester.backtest(strategy, **{**options, **settings})
            gaps = tester.verify(result)
            assert gaps.index.equals(result.rows.index)
            assert gaps.index.equals(result.certificates.index)
            tolerance = result.certificates["tolerance"]
            assert (np.abs(gaps - result.certificates["gap"]) <= 0.1 * tolerance).all()
    result.solutions[3][1].weights[:2] += 0.1
    with pytest.raises(OptimizationError, match=rf"MinVariance on {result.rows.index[3].date()}: "):
        tester.verify(result)
    with pytest.raises(PortfolioError, match="keep_solutions=True"):
        tester.verify(tester.backtest(Kelly(), **{**options, "keep_solutions": False}))
    assert tester.verify(tester.backtest(Random())).empty
    plain = closes()
    tester = Backtester(plain[:TRAIN], plain[TRAIN:])
    assert tester.verify(tester.backtest(Kelly(), keep_solutions=True, reopt_freq=9)).max() < 1e-9


def test_bad_parameters_are_named():
    prices = closes()
    for words, options in (
        ("delisting_return of A", {"delisting_return": {"A": -2.0}}),
        ("names Z, not among", {"delisting_return": {"Z": 0.0}}),
        ("delisted_after", {"delisted_after": 0}),
        ("min_history", {"min_history": 0}),
    ):
        with pytest.raises(PortfolioError, match=words):
            run(prices, **options)
