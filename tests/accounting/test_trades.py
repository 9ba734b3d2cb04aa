import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.accounting.costs import CostRates
from opeslike.accounting.financing import Financing
from opeslike.accounting.ledger import Ledger, Terms
from opeslike.accounting.trades import TradeBook, trade_frame, trade_summary
from opeslike.errors import DataError


def walked(returns, targets, cost=0.0, rates=(0.0, 0.0, 0.0), per_asset=None, **options):
    """Targets of None mean no trade."""
    returns = np.asarray(returns, dtype=float)
    steps = len(returns)
    financing = Financing(*(np.full(steps, rate) for rate in rates))
    ledger = Ledger(Terms(returns, CostRates(np.full(steps, cost), per_asset), financing, **options))
    for target in targets:
        if not ledger.step(None if target is None else np.asarray(target, dtype=float)):
            break
    return ledger.path


def booked(path):
    return TradeBook(path, [f"A{i}" for i in range(path.weights.shape[1])]).all()


def test_a_round_trip_by_hand():
    path = walked([[0.10], [0.10], [0.0]], [[0.5], None, [0.0]], cost=0.01, initial_capital=1000.0)
    (trade,) = booked(path)
    bought = 1000 * (1 - 0.005) * 0.5
    sold = bought * 1.21
    assert (trade.asset, trade.side, trade.entry, trade.exit, trade.is_open) == ("A0", 1, 0, 2, False)
    assert trade.notional == pytest.approx(bought)
    assert trade.cost == pytest.approx(5.0 + 0.01 * sold)
    assert trade.profit == pytest.approx(sold - bought - trade.cost)
    assert trade.return_on_notional == pytest.approx(trade.profit / bought)


def test_an_open_position_is_marked_at_the_last_close():
    path = walked([[0.10], [-0.05]], [[1.0], None], initial_capital=200.0)
    (trade,) = booked(path)
    assert trade.is_open
    assert trade.exit == 2
    assert trade.profit == pytest.approx(200 * (1.1 * 0.95 - 1))


def test_a_change_of_sides_closes_one_trip_and_opens_another():
    path = walked([[0.10], [0.10], [0.0]], [[0.5], [-0.25], [0.0]], cost=0.01)
    long, short = booked(path)
    assert (long.side, long.entry, long.exit) == (1, 0, 1)
    assert (short.side, short.entry, short.exit) == (-1, 1, 2)
    wealth, drifted = path.wealth[1], path.drifted(1)[0]
    paid = wealth * 0.01 * (drifted + 0.25)
    assert long.cost == pytest.approx(0.005 + paid * drifted / (drifted + 0.25))
    assert long.cost + short.cost == pytest.approx(float((path.costs * path.wealth[:-1]).sum()))
    assert short.profit < 0


def test_resizing_stays_in_the_trip_at_average_cost():
    # 100 bought, doubled in price, another 100 bought: basis 200; half sold: basis 100.
    path = walked([[1.0], [0.0], [0.0], [0.0]], [[0.1], [0.3 / 1.1], [0.15 / 1.1], [0.0]], initial_capital=1000.0)
    (trade,) = booked(path)
    assert trade.notional == pytest.approx(200.0)
    assert trade.profit == pytest.approx(100.0)
    assert trade.return_on_notional == pytest.approx(0.5)


def test_ruin_closes_positions_at_the_close_of_ruin():
    path = walked([[0.0], [-0.6], [0.1]], [[2.0], None, None], initial_capital=100.0)
    (trade,) = booked(path)
    assert (trade.exit, trade.is_open) == (2, False)
    assert trade.profit == pytest.approx(-120.0)
    assert path.lender_loss == pytest.approx(20.0)


def test_state_sees_only_trips_closed_so_far():
    path = walked([[0.1]] * 5, [[0.5], [0.0], [0.5], [0.0], [0.0]])
    book = TradeBook(path, ["A"])
    assert book.closed_through(0) == ()
    assert len(book.closed_through(3)) == 2
    # An earlier moment can still be asked for.
    assert [trade.exit for trade in book.closed_through(2)] == [1]
    assert book.closed_through(-1) == ()


@st.composite
def runs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps, assets = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    returns = np.maximum(rng.normal(0, draw(st.sampled_from([0.01, 0.2])), (steps, assets)), -0.95)
    targets = []
    for _ in range(steps):
        weights = rng.normal(0, 1, assets) * (rng.random(assets) < 0.6)
        targets.append(None if rng.random() < 0.3 else weights)
    return walked(
        *(returns, targets, draw(st.sampled_from([0.0, 0.002, 0.4]))),
        rates=draw(st.sampled_from([(0.0, 0.0, 0.0), (0.001, 0.002, 0.0015)])),
        per_asset=rng.uniform(0, 2, assets) if draw(st.booleans()) else None,
        entry_cost=draw(st.booleans()),
        initial_capital=250_000.0,
    )


@given(runs())
@settings(max_examples=200, deadline=None)
def test_profits_add_up_to_the_change_in_wealth_less_financing(path):
    trades = booked(path)
    after_costs = path.wealth[:-1] * (1 - path.costs)
    financing = math.fsum(path.financing * after_costs)
    change = path.wealth[-1] - path.wealth[0]
    scale = 1 + float(np.abs(path.wealth).max() * (1 + np.abs(path.weights).sum(axis=1).max()))
    profit = math.fsum(trade.profit for trade in trades)
    # To the cent on 250,000, and to rounding.
    assert profit == pytest.approx(change - financing - path.lender_loss, abs=min(0.01, 1e-9 * scale))
    assert math.fsum(trade.cost for trade in trades) == pytest.approx(
        math.fsum(path.costs * path.wealth[:-1]), abs=1e-9 * scale
    )
    assert [trade.exit for trade in trades if not trade.is_open] == sorted(
        trade.exit for trade in trades if not trade.is_open
    )


def test_frame_and_summary():
    path = walked([[0.10, 0.0], [-0.20, 0.0], [0.1, -0.1]], [[1.0, 0.0], [0.5, 0.0], [0.0, -1.0]])
    closes = pd.bdate_range("2020-01-01", periods=4)
    frame = trade_frame(booked(path), closes)
    assert frame["asset"].tolist() == ["A0", "A1"]
    assert frame["side"].tolist() == ["long", "short"]
    assert frame["entry"].tolist() == [closes[0], closes[2]]
    assert frame["exit"].tolist() == [closes[2], closes[3]]
    assert frame["open"].tolist() == [False, True]
    profits = frame["profit"].to_numpy()
    assert profits == pytest.approx([0.1 - 0.11, 0.099])
    summary = trade_summary(frame)
    assert summary["trades"] == 2
    assert summary["win_rate"] == 0.5
    assert summary["average_win"] == pytest.approx(0.099)
    assert summary["average_loss"] == pytest.approx(0.01)
    assert summary["profit_factor"] == pytest.approx(9.9)
    assert summary["expectancy"] == pytest.approx(0.0445)
    closed = trade_summary(frame, closed_only=True)
    assert closed["trades"] == 1
    assert closed["profit_factor"] == 0
    assert math.isnan(closed["average_win"])


def test_no_trades():
    frame = trade_frame(booked(walked([[0.1]], [[0.0]])), pd.bdate_range("2020-01-01", periods=2))
    assert len(frame) == 0
    assert math.isnan(trade_summary(frame)["win_rate"])
    with pytest.raises(DataError, match="'asset'"):
        trade_summary(pd.DataFrame())
