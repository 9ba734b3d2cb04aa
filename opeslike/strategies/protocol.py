"""What the backtester asks of a strategy, and what a strategy may know of itself.

A strategy is any object with ``optimize(data, **keywords)`` that returns the weights to hold, or a scikit-learn style
estimator with ``fit(returns)`` that leaves them in ``weights_``. Nothing needs to be inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import pandas as pd
from numpy.typing import ArrayLike

from opeslike.checks import FloatArray


class Hold(Enum):
    """Type of :data:`HOLD`."""

    HOLD = "hold"


#: An answer instead of weights: do not trade until the next decision. Weights alone cannot say so, because a strategy
#: with an execution lag does not know what its holdings have drifted to. Only strategies that name ``state`` may use
#: it.
HOLD: Final = Hold.HOLD


class Trade(NamedTuple):
    """One round trip in one asset, from flat to flat (or to the opposite side).

    Steps count the test closes: a trade with ``entry=3`` was opened at P_3. Resizing in between belongs to the same
    round trip, at average cost.

    Attributes
    ----------
    asset : label
    side : int
        1 long, -1 short.
    entry, exit : int
        Steps at which the position was opened and closed; an open position is marked at the last close.
    notional : float
        Largest cost basis held during the trip, in money, positive.
    profit : float
        In money, after this asset's trading costs, before interest and fees.
    cost : float
        Trading costs in money, positive.
    is_open : bool
        Whether the position was still open at the end.
    """

    asset: Hashable
    side: int
    entry: int
    exit: int
    notional: float
    profit: float
    cost: float
    is_open: bool

    @property
    def return_on_notional(self) -> float:
        """``profit / notional``; NaN where nothing was ever held."""
        return self.profit / self.notional if self.notional > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class State:
    """What a strategy or overlay may know of the account it steers.

    A strategy sees the account as of the last close in its data: with ``execution_lag=0`` at P_t before trading, with
    a lag of L at P_{t-L} after the trading there (before the first trade: the initial capital in cash). An overlay
    always sees P_t before trading.

    Attributes
    ----------
    step : int
        The step t that is being decided.
    date : label
        Date of the close the state is as of.
    wealth, initial_capital, peak : float
        Money; the peak is over all closes so far and starts at the initial capital. Money paid in or taken out moves
        wealth and peak alike: it is neither a gain nor a drawdown.
    grown : float
        What the initial capital would be without money paid in or taken out.
    weights : ndarray of shape (N,)
        What is held, drifted with prices, as fractions of wealth.
    returns : ndarray of shape (steps so far,)
        Returns of the account after costs. Do not write to it.
    asset_returns : ndarray of shape (T, N)
        Simple returns of the assets the strategy may see, training rows included. Do not write to it.
    assets : tuple of N labels
    periods_per_year : float
    trading : bool
        Whether step t is a trading date.
    calendar : pandas.Index
        Dates at which returns end, training and test, past and to come (positions where the data have no dates).
        Exchanges publish their trading days in advance, so dates ahead may be looked at; prices ahead are not there.
    row : int
        Place of step t in ``calendar``: weights decided now first earn the return that ends at ``calendar[row]``, the
        date of P_{t+1}.
    elsewhere : float
        Weight of what is held and not among ``assets``: suspended, or no longer eligible.
    """

    step: int
    date: Any
    wealth: float
    initial_capital: float
    peak: float
    grown: float
    weights: FloatArray
    returns: FloatArray
    asset_returns: FloatArray
    assets: tuple[Hashable, ...]
    periods_per_year: float
    trading: bool
    calendar: pd.Index
    row: int
    elsewhere: float = 0.0
    _trades: Callable[[], tuple[Trade, ...]] = field(repr=False, default=tuple)

    @property
    def drawdown(self) -> float:
        """``1 - wealth / peak``, in [0, 1]."""
        return 1.0 - self.wealth / self.peak

    @property
    def cash(self) -> float:
        """``1 - sum(weights) - elsewhere``; negative when money is borrowed."""
        return float(1.0 - self.weights.sum() - self.elsewhere)

    @property
    def trades(self) -> tuple[Trade, ...]:
        """Round trips closed so far, in order of closing; worked out when first asked for."""
        return self._trades()


@runtime_checkable
class Strategy(Protocol):
    """Anything with ``optimize(data, **keywords)``.

    Of the keywords ``w`` (last target weights, a warm start), ``held`` (drifted holdings as of the last close the
    strategy may see, shape (N,), zero before the first trade), ``costs`` (what the account expects to pay for trading,
    basis points by asset, shape (N,)), ``weight_bounds``, ``state`` (:class:`State`) and ``seed`` the backtester
    passes those that the signature *names*; ``**kwargs`` alone receives none of them.

    ``data`` is what was given to the backtester, in the same format, up to the last close the strategy may see; it is
    shared, so copy before writing. A text ``name`` is what results, reports and messages call the strategy, else the
    name of its class. An attribute ``uses_held`` of False declines ``held`` and ``costs``; one of True says that trades
    are weighed in the decision. A class attribute ``accepts_market = True`` asks for a
    :class:`~opeslike.market.Market` instead, which costs no copy.

    Where assets come and go, ``data`` and everything by asset are those of the *eligible* assets alone, on the dates on
    which all of them are quoted; weights are for these. A class attribute ``all_assets = True`` asks for all columns on
    all dates instead, NaN where there is no quote; then weights are for all columns, and those of assets that are not
    eligible must be 0.
    """

    def optimize(self, data: Any, /) -> ArrayLike | Hold:
        """Return the weights to hold, shape (N,), in the order of the columns; or a Series labelled by ticker.

        A strategy that names ``state`` may return :data:`HOLD` to leave its holdings alone.
        """
        ...
