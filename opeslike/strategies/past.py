"""Past: what is known at the moment a step is decided; Memo: what was worked out from it."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pandas as pd

from opeslike.errors import DataError
from opeslike.market import FloatArray, Kind, Market, close_frame, describe
from opeslike.panel import level_of
from opeslike.strategies.protocol import State

PERIODS_PER_YEAR = 252.0

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False, slots=True)
class Past:
    """Everything a rule or a sizer may look at.

    Attributes
    ----------
    returns : ndarray of shape (T, N)
        Simple returns up to the last visible close, oldest first. Do not write to it.
    assets : tuple of N labels
    dates : pandas.Index
        Trading days, past and to come where they are known (the calendar of a backtest), else the dates of ``returns``.
    row : int
        Place in ``dates`` of the day whose return the decision will earn; ``len(dates)`` where the data end today.
    periods_per_year : float
    volume : ndarray of shape (T, N) or None
        Traded volume in the rows of ``returns``; NaN where it is missing. None where the data have none, or the rule
        did not ask.
    account : State or None
        The account, inside a backtest.
    """

    returns: FloatArray
    assets: tuple[Hashable, ...]
    dates: pd.Index
    row: int
    periods_per_year: float = PERIODS_PER_YEAR
    volume: FloatArray | None = None
    account: State | None = None

    @property
    def record(self) -> FloatArray:
        """Every return known, also before the backtest's window, shape (rows, N)."""
        return self.returns if self.account is None else self.account.asset_returns

    @property
    def step(self) -> int:
        """Step of the backtest that is being decided; 0 outside one."""
        return 0 if self.account is None else self.account.step

    @property
    def lag(self) -> int:
        """Steps between the last visible close and the trade."""
        return self.row - len(self.record)

    @property
    def today(self) -> str:
        """Date of the last visible close, for messages."""
        last = len(self.record) - 1
        return describe(self.dates[last]) if 0 <= last < len(self.dates) else "the last row"

    def at(self, row: int, lookback: int) -> Past:
        """Return what was known when row ``row`` was decided with the same lag, ``lookback`` returns of it at most."""
        stop = row - self.lag
        start = max(0, stop - lookback)
        volume = self.volume
        if volume is not None:
            missing = len(self.record) - len(volume)  # rows before the window have returns but no volume
            start = max(start, missing)
            volume = volume[start - missing : max(stop, start) - missing]
        seen = self.record[start : max(stop, start)]
        return Past(seen, self.assets, self.dates, row, self.periods_per_year, volume)


def read_past(
    data: Any, state: State | None = None, kind: Kind | None = None, *, volume: bool = False, who: str = "the rule"
) -> Past:
    """Read what a strategy was given.

    Parameters
    ----------
    data : Market, DataFrame, Series or array
        Returns or prices; where ``volume`` is asked for, a frame with two column levels.
    state : State, optional
        The account, inside a backtest. Without one, the step begins at the last close of the data.
    kind : {"prices", "returns"}, optional
    volume : bool
        Whether the traded volume is needed.
    who : str
        Named in messages.

    Raises
    ------
    DataError
        If the data cannot be used, or have no volume where it is needed.
    """
    if state is None:
        market = Market.from_data(data, kind)
        traded = _volume(data, market.assets, who).reindex(market.dates).to_numpy(np.float64) if volume else None
        return Past(market.returns, market.assets, market.dates, market.n_scenarios, volume=traded)
    returns, periods, assets = state.asset_returns, state.periods_per_year, state.assets
    if not volume:
        if isinstance(data, Market) and data.n_scenarios < len(returns):
            returns = data.returns
        return Past(returns, assets, state.calendar, state.row, periods, account=state)
    traded = _volume(data, assets, who).to_numpy(np.float64)[1:]
    return Past(returns[len(returns) - len(traded) :], assets, state.calendar, state.row, periods, traded, state)


def _volume(data: Any, assets: tuple[Hashable, ...], who: str) -> pd.DataFrame:
    """Traded volume in the order of the assets."""
    if not isinstance(data, pd.DataFrame) or not close_frame(data)[1]:
        raise DataError(f"{who} needs volume: give a frame with two column levels, as fields='OHLCV' loads it")
    level = level_of(data.columns, "Volume")
    if level is None:
        raise DataError(f"{who} needs volume, but the data have no 'Volume' field")
    frame = cast(pd.DataFrame, data.xs("Volume", axis=1, level=level))
    lacking = [str(asset) for asset in assets if asset not in frame.columns]
    if lacking:
        raise DataError(f"{who} needs volume, which {', '.join(lacking)} lacks")
    return frame[list(assets)]


class Memo(Generic[Value]):
    """One value for one object, known by identity and held weakly.

    A copied or pickled memo is empty, so strategies stay as light as their parameters.
    """

    def __init__(self) -> None:
        self._entry: tuple[weakref.ref[Any], Value] | None = None

    def get(self, key: Any) -> Value | None:
        """Value remembered for this very object; None for any other."""
        entry = self._entry
        return entry[1] if entry is not None and entry[0]() is key else None

    def put(self, key: Any, value: Value) -> Value:
        """Remember a value in place of the one before."""
        self._entry = (weakref.ref(key), value)
        return value

    def __reduce__(self) -> tuple[type[Memo[Value]], tuple[()]]:
        return (Memo, ())
