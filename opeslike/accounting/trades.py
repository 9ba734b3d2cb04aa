"""Round trips: what each position made from the day it was opened to the day it was closed."""

from __future__ import annotations

import bisect
from collections.abc import Hashable, Sequence
from typing import final

import numpy as np
import pandas as pd

from opeslike.accounting.ledger import Path
from opeslike.checks import FloatArray
from opeslike.errors import DataError
from opeslike.strategies.protocol import Trade

COLUMNS = ["asset", "side", "entry", "exit", "steps", "notional", "profit", "cost", "return", "open"]


@final
class TradeBook:
    """Keep average-cost books of every asset along a path.

    A round trip runs from flat to flat, or to a change of sides, which closes one trip and opens the next; the cost of
    such a step is shared between the two in proportion to the amounts closed and opened. Resizing belongs to the trip:
    additions raise the cost basis by the amount bought, reductions scale it down. Profits are after the asset's trading
    costs and before interest and fees, so that over all trips (open ones marked at the last close)

        sum of profits = change in wealth - flows - financing - lender's loss.

    Parameters
    ----------
    path : Path
        May still be growing: the book reads only steps it is asked to go through.
    assets : sequence of N labels
    """

    def __init__(self, path: Path, assets: Sequence[Hashable]) -> None:
        self._path = path
        self._assets = assets
        self._next = 0
        self._entry = np.zeros(len(assets), dtype=np.intp)
        self._side, self._held, self._profit, self._cost, self._basis, self._peak = np.zeros((6, len(assets)))
        self._closed: list[Trade] = []
        self._exits: list[int] = []

    def closed_through(self, step: int) -> tuple[Trade, ...]:
        """Round trips closed by the trading at P_0..P_step, in order of closing."""
        while self._next <= step:
            self._advance(self._next)
            self._next += 1
        return tuple(self._closed[: bisect.bisect_right(self._exits, step)])

    def all(self) -> tuple[Trade, ...]:
        """Every round trip of a finished path; open ones are marked at the last close."""
        path, horizon = self._path, len(self._path.returns)
        trades = list(self.closed_through(horizon - 1))
        if horizon:
            last = self._profit + self._held * path.terms.returns[horizon - 1]
            still = np.flatnonzero(self._side).tolist()
            trades += [self._trip(i, horizon, float(last[i]), is_open=path.ruin is None) for i in still]
        return tuple(trades)

    def _advance(self, t: int) -> None:
        path = self._path
        if t > 0:
            self._profit += self._held * path.terms.returns[t - 1]
        wealth, drifted = path.wealth[t], path.drifted(t)
        aimed, kept = path.weights[t], 1.0 - path.costs[t]
        if path.ruin == t and path.unpaid is not None:
            # Costs ate everything: the trading is charged to the positions aimed for, which are then closed at once.
            aimed, kept = path.unpaid, 1.0
        traded = path.turnover[t] > 0
        cost = wealth * path.terms.costs.each(np.abs(aimed - drifted), t) if traded else np.zeros_like(aimed)
        self._trade_to(t, wealth * drifted, wealth * aimed, kept, cost, resized=bool(traded))
        if aimed is path.unpaid:
            nothing = np.zeros_like(aimed)
            self._trade_to(t, self._held, nothing, 1.0, nothing, resized=False)

    def _trade_to(
        self, t: int, before: FloatArray, aimed: FloatArray, kept: float, cost: FloatArray, *, resized: bool
    ) -> None:
        """Book the trading at P_t; amounts are signed money, and what is held is the share ``kept`` of the aim."""
        side = np.sign(aimed)
        changed = side != self._side
        sold, bought = np.abs(before), kept * np.abs(aimed)
        if resized:
            # Average cost: buying more adds to the basis, selling a part takes that part of it away.
            smaller = np.divide(bought, sold, out=np.ones_like(sold), where=sold > 0)
            basis = np.where(bought > sold, self._basis + (bought - sold), self._basis * smaller)
            stay = ~changed
            self._basis = np.where(stay, basis, self._basis)
            self._peak = np.maximum(self._peak, self._basis)
            self._cost += np.where(stay, cost, 0.0)
            self._profit -= np.where(stay, cost, 0.0)
        for i in np.flatnonzero(changed).tolist():
            share = 0.0
            if self._side[i] != 0:
                share = sold[i] / (sold[i] + abs(aimed[i])) if side[i] != 0 else 1.0
                paid = share * cost[i]
                self._cost[i] += paid
                self._closed.append(self._trip(i, t, float(self._profit[i] - paid), is_open=False))
                self._exits.append(t)
            paid = (1.0 - share) * cost[i] if side[i] != 0 else 0.0
            self._entry[i], self._basis[i], self._peak[i] = t, bought[i], bought[i]
            self._cost[i], self._profit[i] = paid, -paid
        self._side, self._held = side, kept * aimed

    def _trip(self, i: int, step: int, profit: float, *, is_open: bool) -> Trade:
        places = (self._assets[i], int(self._side[i]), int(self._entry[i]), step)
        return Trade(*places, float(self._peak[i]), profit, float(self._cost[i]), is_open)


def trade_frame(trades: Sequence[Trade], closes: pd.Index) -> pd.DataFrame:
    """Round trips as a frame, one a row, in order of exit.

    Returns
    -------
    DataFrame
        ``asset``, ``side`` ("long" or "short"), ``entry`` and ``exit`` dates, ``steps`` held, ``notional``, ``profit``
        and ``cost`` in money, ``return`` on notional as a fraction, ``open``.
    """
    dates = list(closes)
    rows = [
        (
            *(one.asset, "long" if one.side > 0 else "short", dates[one.entry], dates[one.exit], one.exit - one.entry),
            *(one.notional, one.profit, one.cost, one.return_on_notional, one.is_open),
        )
        for one in trades
    ]
    types = {
        "entry": closes.dtype,
        "exit": closes.dtype,
        "steps": np.intp,
        "open": bool,
        "asset": object,
        "side": object,
    }
    numbers = dict.fromkeys(("notional", "profit", "cost", "return"), np.float64)
    return pd.DataFrame(rows, columns=COLUMNS).astype({**types, **numbers})


def trade_summary(trades: pd.DataFrame, *, closed_only: bool = False) -> dict[str, float]:
    """Figures of a frame of round trips.

    Parameters
    ----------
    trades : DataFrame
        As :func:`trade_frame` returns it (``result.trades``).
    closed_only : bool
        Leave out trips that were still open at the end; by default they count at the last close.

    Returns
    -------
    dict
        - ``trades``: number of trips
        - ``win_rate``: share of trips with a profit above 0
        - ``average_win``, ``average_loss``: mean profit of winners, and of the others as a positive number; money
        - ``average_win_return``, ``average_loss_return``: the same in returns on notional
        - ``profit_factor``: sum of profits / sum of losses; inf without losses
        - ``expectancy``: mean profit of a trip; money
        - ``average_return``: mean return on notional
        - ``profit``, ``cost``: totals; money

        NaN where there is nothing to average.

    Raises
    ------
    DataError
        If the frame lacks a column.
    """
    lacking = [name for name in COLUMNS if name not in trades.columns]
    if lacking:
        raise DataError(f"trades lack the column {lacking[0]!r}; pass result.trades")
    if closed_only:
        trades = trades[~trades["open"]]
    profit, made = (trades[name].to_numpy(np.float64) for name in ("profit", "return"))
    wins = profit > 0
    gained, lost = float(profit[wins].sum()), float(-profit[~wins].sum())
    return {
        "trades": float(len(profit)),
        "win_rate": _mean(wins.astype(np.float64)),
        "average_win": _mean(profit[wins]),
        "average_loss": -_mean(profit[~wins]),
        "average_win_return": _mean(made[wins]),
        "average_loss_return": -_mean(made[~wins]),
        "profit_factor": gained / lost if lost > 0 else (float("inf") if gained > 0 else float("nan")),
        "expectancy": _mean(profit),
        "average_return": _mean(made),
        "profit": gained - lost,
        "cost": float(trades["cost"].sum()),
    }


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
