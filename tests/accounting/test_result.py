import pickle
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.backtester import Backtester
from opeslike.errors import RuinWarning


class Script:
    """Weights by step, with a solution where gaps are given."""

    def __init__(self, weights, gaps=(), status="optimal"):
        self.weights, self.gaps, self.status, self.calls = weights, gaps, status, 0
        self.solution = None

    def optimize(self, data):
        row = self.weights[self.calls % len(self.weights)]
        if self.gaps:
            gap = self.gaps[self.calls % len(self.gaps)]
            self.solution = types.SimpleNamespace(gap=gap, status=self.status)
        self.calls += 1
        return np.asarray(row, dtype=float)


def closes(rows=40, assets=3, seed=0, scale=0.02):
    values = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(0, scale, (rows, assets)), axis=0)
    return pd.DataFrame(values, index=pd.bdate_range("2021-01-04", periods=rows), columns=list("ABC")[:assets])


def ran(strategy, prices=None, rows=10, **options):
    prices = closes() if prices is None else prices
    run = {key: options.pop(key) for key in ("reopt_freq", "rebalance_freq") if key in options}
    return Backtester(prices[:rows], prices[rows:], **options).backtest(strategy, **run)


def test_keys_are_arrays_and_attributes_are_labelled():
    prices = closes()
    result = ran(Script([[0.2, 0.3, 0.4]]), prices, initial_capital=500.0)
    assert list(result) == ["returns", "weights", "costs", "timeline", "turnover", "cash", "wealth"]
    assert set(result.keys()) == set(dict(result))
    for key in result:
        assert isinstance(result[key], np.ndarray)
        assert len(result[key]) == 29
    assert result["timeline"][0] == prices.index[11].to_datetime64()
    for name in ("returns", "costs", "turnover", "cash", "wealth", "financing", "leverage", "net_exposure"):
        series = getattr(result, name)
        assert series.index.equals(prices.index[11:])
    assert result.weights.columns.tolist() == ["A", "B", "C"]
    assert result.timeline.equals(prices.index[11:])
    assert result.initial_capital == 500
    assert result["wealth"][-1] == pytest.approx(500 * np.prod(1 + result["returns"]), rel=1e-12)
    assert result.cash.to_numpy() == pytest.approx(np.full(29, 0.1))
    with pytest.raises(KeyError):
        result["weight"]


def test_labelled_objects_do_not_share_memory_with_the_arrays():
    result = ran(Script([[0.2, 0.3, 0.4]]))
    before = result["weights"].copy()
    result.weights.iloc[0, 0] = 99.0
    np.testing.assert_array_equal(result["weights"], before)


def test_result_says_what_it_is_and_can_be_pickled():
    result = ran(Script([[0.2, 0.3, 0.4]], [1e-12]), cost={"const": 5}, reopt_freq=7)
    assert repr(result).startswith("BacktestResult(Script, 2021-01-19..2021-02-26, 29 steps, wealth 1 -> ")
    again = pickle.loads(pickle.dumps(result))
    assert again.returns.equals(result.returns)
    assert again.trades.equals(result.trades)
    assert result.settings["cost"] == {"const": 5}
    assert result.settings["reopt_freq"] == 7
    assert result.settings["risk_free"] == 0.0
    assert result.settings["strategy"] == "Script"


def test_solutions_are_dated_and_the_worst_gap_counts():
    prices = closes()
    result = ran(Script([[0.2, 0.3, 0.4]], [1e-12, 3e-11, 2e-12]), prices, reopt_freq=10)
    assert [date for date, _ in result.solutions] == [prices.index[10], prices.index[20], prices.index[30]]
    assert result.certificate == "certified"
    assert result.max_gap == 3e-11


@pytest.mark.parametrize(
    ("gaps", "status", "certificate"),
    [((), "optimal", "none"), ((None,), "heuristic", "heuristic"), ((1e-9, None), "closed-form", "none")],
)
def test_no_gap_is_claimed_where_one_is_missing(gaps, status, certificate):
    result = ran(Script([[0.2, 0.3, 0.4]], gaps, status))
    assert result.certificate == certificate
    assert result.max_gap is None


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 3.0]), st.sampled_from([1, 4]))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::opeslike.errors.RuinWarning")
def test_contributions_add_up_to_the_change_in_wealth(seed, size, every):
    rng = np.random.default_rng(seed)
    strategy = Script(rng.normal(0, size, (8, 3)))
    result = ran(
        *(strategy, closes(seed=seed, scale=0.05)),
        **{"cost": {"const": 30}, "risk_free": 0.03, "borrow_spread": 0.02, "short_fee": 0.01},
        **{"initial_capital": 1000.0, "rebalance_freq": every, "reopt_freq": 3},
    )
    wealth = np.concatenate(([1000.0], result["wealth"]))
    table = result.contributions
    scale = np.abs(wealth).max() * (1 + np.abs(result["weights"]).sum(axis=1).max())
    np.testing.assert_allclose(table.sum(axis=1), np.diff(wealth), rtol=0, atol=1e-10 * scale / 100)
    assert table.columns.tolist() == ["A", "B", "C", "cash and financing", "costs", "lender's loss"]
    assert table["lender's loss"].sum() == result.lender_loss


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 3.0, 400.0]), st.sampled_from([1, 4]), st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::opeslike.errors.RuinWarning")
def test_what_was_traded_leads_from_one_holding_to_the_next(seed, size, every, first):
    strategy = Script(np.random.default_rng(seed).normal(0, size, (8, 3)))
    prices = closes(seed=seed, scale=0.05)
    tester = Backtester(prices[:10], prices[10:], cost={"proportional": {"A": 30, "B": 0, "C": 5}}, short_fee=0.01)
    result = tester.backtest(strategy, reopt_freq=3, rebalance_freq=every, entry_cost=first)
    traded = result.traded
    np.testing.assert_allclose(traded.abs().sum(axis=1), result.turnover, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(traded.abs() @ [30e-4, 0.0, 5e-4], result.costs, rtol=1e-12, atol=1e-12)
    # Positions in money, replayed from the orders alone.
    held = np.zeros(3) if first else result["weights"][0]
    wealth = np.concatenate(([1.0], result["wealth"]))
    for t in range(len(traded) if result.ruin_date is None else traded.index.get_loc(result.ruin_date)):
        held = (held + traded.iloc[t] * wealth[t]) * (1 - result["costs"][t])
        # What was sold pays the costs of what is held: amounts shrink alike.
        np.testing.assert_allclose(
            held, result["weights"][t] * wealth[t] * (1 - result["costs"][t]), atol=1e-9 * (1 + size) * wealth.max()
        )
        held = held * (1 + result.asset_returns.iloc[t])


def test_contributions_and_trades_agree():
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 1, (9, 3)) * (rng.random((9, 3)) < 0.7)
    result = ran(Script(weights), cost={"const": 30}, risk_free=0.03, initial_capital=250_000.0)
    table = result.contributions
    per_asset = result.trades.groupby("asset")["profit"].sum() + result.trades.groupby("asset")["cost"].sum()
    for asset in "ABC":
        assert per_asset[asset] == pytest.approx(table[asset].sum(), abs=1e-6)
    change = result["wealth"][-1] - 250_000
    assert result.trades["profit"].sum() == pytest.approx(change - table["cash and financing"].sum(), abs=1e-6)
    assert result.trade_summary()["profit"] == pytest.approx(result.trades["profit"].sum())


@pytest.mark.filterwarnings("ignore:the data look wrong")
def test_ruin_is_dated_warned_about_and_flat_after():
    prices = closes(assets=1)
    prices.iloc[20:] *= 0.3
    strategy = Script([[2.0]], [1e-12])
    with pytest.warns(RuinWarning, match=r"Script lost all its wealth on 2021-02-01"):
        result = ran(strategy, prices, initial_capital=100.0)
    assert result.ruin_date == prices.index[20]
    assert result.lender_loss > 0
    assert result.returns.loc[result.ruin_date] == -1
    assert (result.wealth.loc[result.ruin_date :] == 0).all()
    assert (result.cash.loc[prices.index[21] :] == 1).all()
    # It is not asked again once it is ruined.
    assert strategy.calls == len(result.solutions) == 10
    assert "ruined on 2021-02-01" in repr(result)
    assert not result.trades["open"].any()
    assert result.trades["exit"].tolist() == [prices.index[20]]


def test_no_ruin_no_date():
    result = ran(Script([[0.2, 0.3, 0.4]]))
    assert result.ruin_date is None
    assert result.lender_loss == 0.0
