"""A dual-momentum run with dynamic Kelly and drawdown control, recomputed by a plain account in money."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester
from opeslike.accounting.overlays import DrawdownScaling
from opeslike.strategies import DualMomentum, DynamicKelly, Sized
from tests.strategies.tools import market

LOOKBACK, REGIME, WEEK, RATE = 60, 100, 7, 15e-4
CAPITAL = 250_000.0


def coins():
    folder = os.environ.get("OPESLIKE_TEST_DATA")
    path = Path(folder, "crypto10.csv") if folder else None
    if path is None or not path.is_file():
        pytest.skip("crypto10.csv is not there: set OPESLIKE_TEST_DATA")
    prices = pd.read_csv(path, index_col=0, parse_dates=True)
    return prices[:"2025-12-20"], int(prices.index.get_loc(pd.Timestamp("2025-01-01")))


def drawn():
    return market(8, rows=700, assets=6, scale=0.03), 150


def kelly(closed, prior=20.0, p=0.58, b=2.0):
    """Odds of the docstring of DynamicKelly from returns on notional."""
    won, lost = [made for made in closed if made > 0], [-made for made in closed if made < 0]
    rate = (prior * p + len(won)) / (prior + len(won) + len(lost))
    if won and lost:
        b = (prior * p * b + len(won) * np.mean(won) / np.mean(lost)) / (prior * p + len(won))
    return max(0.0, rate - (1 - rate) / b)


def wanted(seen, bet):
    """Target of the rule from the closes seen: the best or the worst, by the side of the market."""
    weights = np.zeros(seen.shape[1])
    moved = np.log(seen[-1] / seen[-1 - LOOKBACK])
    average = np.cumprod(np.append(1.0, 1.0 + (seen[-REGIME + 1 :] / seen[-REGIME:-1] - 1).mean(axis=1)))
    above = average[-1] - average.mean()
    if above >= 0 and moved.max() > 0:
        weights[moved.argmax()] = bet
    if above <= 0 and moved.min() < 0:
        weights[moved.argmin()] = -bet
    return weights


def plain(closes, first, soft, hard):
    """Wealth at the end and closed trades, by one position in money at a time."""
    count = closes.shape[1]
    money, held, peak, out = CAPITAL, np.zeros(count), 0.0, False
    aim = np.zeros(count)
    book, closed = {}, []
    for t in range(len(closes) - 1 - first):
        now = first + t
        if t % WEEK == 0:
            # Decided on what was known the day before.
            aim = wanted(closes[:now], kelly([made for step, made in closed if step < t]))
        peak = max(peak, money)
        fall = 1 - money / peak
        out = out or fall >= hard
        size = 0.0 if out else min(1.0, (hard - fall) / (hard - soft))
        order = aim * size * money - held
        cost = RATE * np.abs(order)
        after = aim * size * (money - cost.sum())
        for i in range(count):
            side = np.sign(after[i])
            if i in book and side != book[i]["side"]:
                share = abs(held[i]) / (abs(held[i]) + abs(aim[i] * size * money))
                trip = book.pop(i)
                closed.append((t, (trip["profit"] - share * cost[i]) / trip["most"]))
                if side:
                    book[i] = {
                        "side": side,
                        "profit": -(1 - share) * cost[i],
                        "basis": abs(after[i]),
                        "most": abs(after[i]),
                    }
            elif i in book:
                trip = book[i]
                trip["profit"] -= cost[i]
                if order[i]:
                    grown = abs(after[i]) - abs(held[i])
                    trip["basis"] = trip["basis"] + grown if grown > 0 else trip["basis"] * abs(after[i] / held[i])
                    trip["most"] = max(trip["most"], trip["basis"])
            elif side:
                book[i] = {"side": side, "profit": -cost[i], "basis": abs(after[i]), "most": abs(after[i])}
        moves = closes[now + 1] / closes[now] - 1
        gained = after * moves
        for i, trip in book.items():
            trip["profit"] += gained[i]
        money += gained.sum() - cost.sum()
        held = after * (1 + moves)
        aim = aim * (1 + moves) / (1 + aim @ moves)
    return money, [made for _, made in closed]


@pytest.mark.parametrize(("data", "soft", "hard"), [(drawn, 0.05, 0.20), (coins, 0.05, 0.20), (coins, 0.20, 0.40)])
def test_wealth_and_trades_of_a_plain_account(data, soft, hard):
    prices, first = data()
    strategy = Sized(DualMomentum(lookback=LOOKBACK, n_long=1, n_short=1, regime_window=REGIME), DynamicKelly())
    tester = Backtester(prices[:first], prices[first:], cost={"commission": 10, "slippage": 5}, initial_capital=CAPITAL)
    result = tester.backtest(
        strategy, reopt_freq=WEEK, rebalance_freq=WEEK, overlays=[DrawdownScaling(soft=soft, hard=hard)]
    )
    wealth, closed = plain(prices.to_numpy(), first, soft, hard)
    assert result["wealth"][-1] == pytest.approx(wealth, rel=1e-10)
    trades = result.trades[~result.trades["open"]]
    assert len(trades) > 20
    np.testing.assert_allclose(trades["return"], closed, rtol=1e-7, atol=1e-10)
    assert set(trades["side"]) == {"long", "short"}
    assert 0 < np.count_nonzero(result["turnover"]) < len(result["turnover"])
