"""Account: what a strategy or an overlay is told about the path so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
from numpy.typing import NDArray

from opeslike.accounting.ledger import Ledger
from opeslike.accounting.trades import TradeBook
from opeslike.checks import FloatArray
from opeslike.strategies.feed import Feed
from opeslike.strategies.protocol import State


@final
@dataclass(eq=False)
class Account:
    """Make the :class:`State` of a growing path.

    Parameters
    ----------
    ledger : Ledger
    feed : Feed
    lag : int
        Execution lag: market data end at P_{t-lag}.
    trading : ndarray of shape (H,)
        Whether each step is a trading date.
    periods_per_year : float
    """

    ledger: Ledger
    feed: Feed
    lag: int
    trading: NDArray[np.bool_]
    periods_per_year: float

    def __post_init__(self) -> None:
        """Open the books."""
        self._book = TradeBook(self.ledger.path, self.feed.market.assets)
        self._calendar = self.feed.market.dates
        self._closes = list(self.feed.closes)  # picking one label at a time from an index is slow

    def held(self, step: int, lag: int | None = None) -> FloatArray:
        """Holdings as of the last close in the strategy's data, shape (N,); not to be written to."""
        lag = self.lag if lag is None else lag
        weights = self.ledger.path.weights[step - lag] if 0 < lag <= step else self.ledger.drifted
        return _frozen(np.zeros_like(weights) if step < lag else weights)

    def for_strategy(self, step: int) -> State:
        """As of the last close in the strategy's data."""
        return self._state(step, self.lag)

    def for_overlay(self, step: int) -> State:
        """As of P_t, before trading."""
        return self._state(step, 0)

    def _state(self, step: int, lag: int) -> State:
        path, market, known = self.ledger.path, self.feed.market, max(step - lag, 0)
        # With a lag the account is seen after the trading at P_{t-L}, for which it has paid.
        paid = path.costs[known] if 0 < lag <= step else 0.0
        return State(
            step=step,
            date=self._closes[step - lag] if step >= lag else self.feed.last_date(step, lag),
            wealth=float(path.wealth[known] * (1.0 - paid)),
            initial_capital=path.terms.initial_capital,
            peak=float(path.grown[: known + 1].max() * (path.wealth[known] / path.grown[known])),
            grown=float(path.grown[known] * (1.0 - paid)),
            weights=self.held(step, lag),
            returns=_frozen(path.returns[:known]),
            asset_returns=market.returns[: self.feed.first + step - self.lag],
            assets=market.assets,
            periods_per_year=self.periods_per_year,
            trading=bool(self.trading[step]),
            calendar=self._calendar,
            row=self.feed.first + step,
            _trades=partial(self._book.closed_through, known - 1 if lag == 0 else step - lag),
        )


def _frozen(values: FloatArray) -> FloatArray:
    view = values.view()
    view.setflags(write=False)
    return view
