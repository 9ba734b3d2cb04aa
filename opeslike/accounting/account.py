"""Account: what a strategy or an overlay is told about the path so far."""

from __future__ import annotations

from functools import partial
from typing import final

import numpy as np

from opeslike.accounting.ledger import FloatArray, Ledger
from opeslike.accounting.trades import TradeBook
from opeslike.strategies.feed import Feed
from opeslike.strategies.protocol import State


@final
class Account:
    """Make the :class:`State` of a growing path.

    Parameters
    ----------
    ledger : Ledger
    feed : Feed
    lag : int
        Execution lag: market data end at P_{t-lag}.
    rebalance_freq : int
    periods_per_year : float
    """

    def __init__(self, ledger: Ledger, feed: Feed, lag: int, rebalance_freq: int, periods_per_year: float) -> None:
        self.ledger, self._feed, self._lag = ledger, feed, lag
        self._every, self._periods = rebalance_freq, periods_per_year
        self._book = TradeBook(ledger.path, feed.market.assets)
        self._peaks = [ledger.terms.initial_capital]
        self._nothing = np.zeros(feed.market.n_assets)
        self._calendar = feed.market.dates
        self._closes = list(feed.closes)  # picking one label at a time from an index is slow

    def for_strategy(self, step: int) -> State:
        """As of the last close in the strategy's data."""
        return self._state(step, self._lag)

    def for_overlay(self, step: int) -> State:
        """As of P_t, before trading."""
        return self._state(step, 0)

    def _state(self, step: int, lag: int) -> State:
        path, feed, known = self.ledger.path, self._feed, max(step - lag, 0)
        if step < lag:
            wealth, weights = path.terms.initial_capital, self._nothing
        elif lag == 0:
            wealth, weights = float(path.wealth[step]), self.ledger.drifted
        else:
            wealth, weights = float(path.wealth[known] * (1.0 - path.costs[known])), path.weights[known]
        return State(
            step=step,
            date=self._closes[step - lag] if step >= lag else feed.last_date(step, lag),
            wealth=wealth,
            initial_capital=path.terms.initial_capital,
            peak=self._peak(known),
            weights=_frozen(weights),
            returns=_frozen(path.returns[:known]),
            asset_returns=feed.market.returns[: feed.first + step - self._lag],
            assets=feed.market.assets,
            periods_per_year=self._periods,
            trading=step % self._every == 0,
            calendar=self._calendar,
            row=feed.first + step,
            _trades=partial(self._book.closed_through, known - 1 if lag == 0 else step - lag),
        )

    def _peak(self, close: int) -> float:
        """Highest wealth over P_0..P_close."""
        wealth = self.ledger.path.wealth
        while len(self._peaks) <= close:
            self._peaks.append(max(self._peaks[-1], float(wealth[len(self._peaks)])))
        return self._peaks[close]


def _frozen(values: FloatArray) -> FloatArray:
    view = values.view()
    view.setflags(write=False)
    return view
