"""Feed: training and test data joined once, and cut to what a strategy may see.

One clock serves prices and returns. P_0..P_H are the test closes; step t holds weights from P_t to P_{t+1}.

- *Prices*: the test rows are P_0..P_H, the training rows are the closes before P_0.
- *Returns*: test row t is the move from P_t to P_{t+1}, so H rows give H steps, and the last training row is the move
  that ended at P_0. Splitting one return series into two therefore gives the same backtest as splitting its prices
  with P_0 as the first test row.

With an execution lag of L the data of step t ends with the close P_{t-L}.

Where quotes are missing the calendar is the union of the dates on which anything is quoted. The account walks over all
of them; a strategy is asked as if the data were those of the eligible assets alone (:meth:`Feed.among`), on the dates
on which all of them are quoted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from opeslike.errors import DataError, logger
from opeslike.market import (
    Eligible,
    Flags,
    FloatArray,
    Kind,
    Market,
    Panel,
    Rows,
    align_columns,
    check_values,
    describe,
    infer_kind,
    read_array,
    read_panel,
    simple_returns,
    unequal,
)
from opeslike.panel import level_of
from opeslike.strategies.universe import Lives, members, payouts, tell_lives

TRAIN, TEST = "train_data", "test_data"


@dataclass(frozen=True, eq=False)
class Feed:
    """Joined data of one backtest.

    Attributes
    ----------
    market : Market
        All returns, training first; strategies get windows of it.
    first : int
        Row of ``market`` that is step 0.
    closes : pandas.Index of length H + 1
        Labels of P_0..P_H.
    kind : {"prices", "returns"}
    raw : DataFrame, Series or ndarray
        The joined rows in the format they were given.
    values : ndarray
        The joined rows as numbers, NaN where there is no quote.
    lives : Lives or None
        Who is quoted, listed and gone when, a row a return; None where every asset is quoted on every date.
    rows : ndarray of ints or None
        Of the feed of some assets: which rows of the whole its returns end at.
    """

    market: Market
    first: int
    closes: pd.Index
    kind: Kind
    raw: Any
    values: FloatArray
    lives: Lives | None = None
    rows: Rows | None = None

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return len(self.closes) - 1

    @cached_property
    def test_returns(self) -> FloatArray:
        """Simple returns of the steps, shape (H, N)."""
        return np.ascontiguousarray(self.market.returns[self.first :])

    @cached_property
    def _returns_frame(self) -> pd.DataFrame:
        columns = pd.Index(list(self.market.assets))
        returns = self.market.returns
        if self.lives is not None:
            returns = np.where(self.lives.quoted & (self.lives.known > 0), returns, np.nan)
        return pd.DataFrame(returns, index=self.market.dates, columns=columns, copy=False)

    def visible(self, step: int, lag: int, window: int | None) -> tuple[int, int]:
        """Rows ``start..stop`` of the returns that step t may see."""
        stop = self.first + step - lag
        return (0 if window is None else max(0, stop - window)), stop

    @property
    def places(self) -> Rows:
        """Columns of the whole that the feed of some assets has."""
        assets = self.market.assets
        return assets.places if isinstance(assets, Eligible) else np.arange(len(assets))

    def at_steps(self, flags: Flags) -> Flags:
        """Rows of a table of :attr:`lives` at P_0..P_{H-1}."""
        return flags[self.first - 1 : self.first - 1 + self.horizon]

    def among(self, places: Rows) -> Feed:
        """The feed of some assets alone: the rows on which all of them are quoted, and returns that span the others."""
        quoted = self.values[:, places] > 0 if self.kind == "prices" else ~np.isnan(self.values[:, places])
        rows = np.flatnonzero(quoted.all(axis=1))
        values, skip = np.asfortranarray(self.values[np.ix_(rows, places)]), int(self.kind == "prices")
        returns = simple_returns(values) if skip else values
        for each in (values, returns):
            each.setflags(write=False)
        ends = rows[skip:] - skip
        assets = Eligible.of(self.market.assets, places)
        market = Market(returns, assets, self.market.dates[ends])
        return Feed(market, self.first, self.closes, self.kind, self._picked(values, rows, assets), values, rows=ends)

    def seen(self, step: int, count: int, places: Rows | None, lag: int, window: int | None) -> Market:
        """What a decision rested on: the ``count`` last returns up to P_{step - lag} of the assets in ``places``."""
        feed, stop = self if places is None else self.among(places), self.first + step - lag
        stop = stop if feed.rows is None else int(feed.rows.searchsorted(stop))
        market = feed.market.window(stop - count, stop)
        if places is not None:
            market.longer = partial(self.unequal, places, step - lag, window)
        return market

    def unequal(self, places: Rows, close: int, window: int | None) -> tuple[FloatArray, pd.Index]:
        """Returns of some assets up to P_close, NaN before the listing of each, see :func:`opeslike.market.unequal`."""
        rows, skip = self.first + close, int(self.kind == "prices")
        dates = self.market.dates[:rows]
        if skip:  # a price more, before the first return
            dates = dates.insert(0, dates[0])
        return unequal(self.values[: rows + skip, places], self.kind, dates, window)

    def _picked(self, values: FloatArray, rows: Rows, assets: Eligible) -> Any:
        raw = self.raw
        if not isinstance(raw, pd.DataFrame):
            return values if raw.ndim == 2 else raw[rows] if isinstance(raw, np.ndarray) else raw.iloc[rows]
        if raw.columns.nlevels == 1:
            return pd.DataFrame(values, index=raw.index[rows], columns=raw.columns[assets.places], copy=False)
        tickers = raw.columns.get_level_values(1 - (level_of(raw.columns, "Close") or 0))
        return raw.iloc[rows, np.flatnonzero(tickers.isin(list(assets)))]

    def cut(self, start: int, stop: int) -> Any:
        """Return the rows behind returns ``start..stop`` in the user's format (one more row for prices)."""
        rows = slice(start, stop + 1 if self.kind == "prices" else stop)
        return self.raw[rows] if isinstance(self.raw, np.ndarray) else self.raw.iloc[rows]

    def returns_frame(self, start: int, stop: int) -> pd.DataFrame:
        """Returns ``start..stop`` as a frame labelled by date and ticker."""
        return self._returns_frame.iloc[start:stop]

    def last_date(self, step: int, lag: int) -> Any:
        """Label of the close P_{t-L}, the last one that step t sees."""
        return self.closes[step - lag] if step >= lag else self.market.dates[self.first + step - lag - 1]


def join(
    train: Any,
    test: Any,
    kind: Kind | None = None,
    listed: pd.DataFrame | None = None,
    delisted_after: int = 5,
    delisting_return: float | Mapping[Hashable, float] = 0.0,
) -> Feed:
    """Check, align and join training and test data.

    Test columns are matched to the training columns by name. Rows on which nothing is quoted are dropped with a log
    message (at the end of the test set only where they are fewer than ``delisted_after``), and what is missing
    elsewhere is told there too. Training rows dated on or after P_0 are dropped with a log message.

    Parameters
    ----------
    train, test : DataFrame, Series or array
    kind : {"prices", "returns"}, optional
    listed : DataFrame of bool, optional
        Dates x tickers: whether an asset may be held from that date on.
    delisted_after : int
        Missing rows after which an asset is gone.
    delisting_return : float, or mapping of ticker to float
        Paid on the last mark when it is gone; in a mapping "*" stands for those not named (else 0).

    Raises
    ------
    DataError
        Naming ticker and date, or the set at fault.
    PortfolioError
        If ``kind`` is unknown, or a ticker of ``delisting_return``.
    """
    train, test = _as_given(train, TRAIN), _as_given(test, TEST)
    if _form(train) != _form(test):
        raise DataError(f"{TRAIN} is {_form(train)} but {TEST} is {_form(test)}; give both in the same format")
    train_panel = _named(TRAIN, read_panel, train)
    test_panel = align_columns(_named(TEST, read_panel, test), train_panel.assets, TEST)
    if train_panel.two_level and level_of(train.columns, "Close") != level_of(test.columns, "Close"):
        test = test.swaplevel(axis=1)
    kind = _decide(train_panel, test_panel, kind)
    for panel, what in ((train_panel, TRAIN), (test_panel, TEST)):
        _named(what, check_values, panel, kind)
    labelled = _labelled(train_panel.index, test_panel.index)
    test_panel, test_rows = _quoted(test_panel, TEST, delisted_after)
    train_panel, train_rows = _quoted(train_panel, TRAIN)
    if labelled:
        train_panel, train_rows = _before(train_panel, train_rows, test_panel)
    steps = len(test_panel.values) - (kind == "prices")
    if steps < 1:
        raise DataError(f"{TEST} has {len(test_panel.values)} close; a backtest needs at least two")

    values = np.vstack((train_panel.values, test_panel.values))
    index = train_panel.index.append(test_panel.index) if labelled else pd.RangeIndex(len(values))
    assets, dates = train_panel.assets, index[1:] if kind == "prices" else index
    payout = payouts(delisting_return, assets)
    gone = (values <= 0.0) if kind == "prices" else (values <= -1.0)
    lives = None
    if listed is not None or gone.any() or not np.isfinite(values).all():
        joined = replace(train_panel, values=values, index=index)
        check_values(joined, kind)
        lives = Lives.of(values, kind, members(listed, index, assets), delisted_after, payout)
        tell_lives(joined)
        lives = None if lives.quoted.all() and lives.member.all() else lives
    if lives is not None:
        returns = lives.returns
    else:
        returns = simple_returns(values) if kind == "prices" else np.asfortranarray(values)
    returns.setflags(write=False)
    values.setflags(write=False)
    first = len(returns) - steps
    closes = dates[first - 1 :] if labelled else pd.RangeIndex(steps + 1)
    raw = _stack(values, train, train_rows, test, test_rows, index)
    return Feed(Market(returns, assets, dates), first, closes, kind, raw, values, lives)


def _quoted(panel: Panel, what: str, at_end: int = 0) -> tuple[Panel, Rows]:
    """Drop the rows without any value (but for a longer run at the end); also the positions of those that stay."""
    known = np.asarray(~np.isnan(panel.values).all(axis=1))
    if not known.any():
        raise DataError(f"{what} has no row with a value")
    end = int(np.flatnonzero(known)[-1]) + 1
    if at_end and len(known) - end >= at_end:
        known[end:] = True
    rows = np.flatnonzero(known)
    if len(rows) == len(known):
        return panel, rows
    logger.warning("%s: %d of %d rows dropped, on which nothing is quoted", what, (~known).sum(), len(known))
    return replace(panel, values=panel.values[rows], index=panel.index[rows]), rows


def _as_given(data: Any, what: str) -> Any:
    if data is None:
        raise DataError(f"no {what}: give Backtester both train_data and test_data to run a backtest")
    if not isinstance(data, (pd.DataFrame, pd.Series)):
        data = read_array(data, what)
        if data.ndim == 0:
            raise DataError(f"{what} is a single number; give rows of prices or returns")
    if len(data) == 0:
        raise DataError(f"{what} has no rows")
    return data


def _form(data: Any) -> str:
    if isinstance(data, pd.DataFrame):
        return "a DataFrame with two column levels" if data.columns.nlevels == 2 else "a DataFrame"
    return "a Series" if isinstance(data, pd.Series) else "an array"


def _named(what: str, check: Any, *arguments: Any) -> Any:
    try:
        return check(*arguments)
    except DataError as error:
        raise DataError(f"{what}: {error}") from error


def _decide(train: Panel, test: Panel, kind: Kind | None) -> Kind:
    """Decide once for both sets, on all rows together."""
    both = Panel(np.vstack((train.values, test.values)), train.assets, train.index, train.two_level)
    decided = infer_kind(both, kind)
    if kind is None and not train.two_level:
        alone = [_alone(train), _alone(test)]
        if None not in alone and alone[0] != alone[1]:
            raise DataError(f"{TRAIN} looks like {alone[0]} but {TEST} like {alone[1]}; pass kind= if they are one")
    return decided


def _alone(panel: Panel) -> Kind | None:
    try:
        return infer_kind(panel)
    except DataError:  # too few rows to tell: the joined rows decide
        return None


def _labelled(train: pd.Index, test: pd.Index) -> bool:
    """Whether rows have labels that tell their order; positions counted from 0 in each set do not."""
    if isinstance(train, pd.DatetimeIndex) != isinstance(test, pd.DatetimeIndex):
        raise DataError(f"{TRAIN} is indexed by {train.dtype} but {TEST} by {test.dtype}; index both by date")
    return not (isinstance(test, pd.RangeIndex) and test.start == 0)


def _before(train: Panel, rows: Rows, test: Panel) -> tuple[Panel, Rows]:
    """Drop training rows dated on or after the first test row."""
    try:
        early = np.asarray(train.index < test.index[0])
    except TypeError as error:
        both = f"the dates of {TRAIN} ({train.index.dtype}) and {TEST} ({test.index.dtype})"
        raise DataError(
            f"{both} cannot be compared: {error}; give both one time zone, or none (tz_localize)"
        ) from error
    if early.all():
        return train, rows
    start = describe(test.index[0])
    if not early.any():
        raise DataError(f"{TRAIN} has no row before {start}, where {TEST} starts; move the split")
    late = f"{len(early) - early.sum()} of {len(early)} rows dropped because they are dated on or after {start}"
    logger.warning("%s: %s, where %s starts", TRAIN, late, TEST)
    return Panel(train.values[early], train.assets, train.index[early], train.two_level), rows[early]


def _stack(values: FloatArray, train: Any, train_rows: Rows, test: Any, test_rows: Rows, index: pd.Index) -> Any:
    """Join the rows in the format they were given, read-only where they are numbers."""
    if isinstance(train, np.ndarray):
        return values[:, 0] if train.ndim == 1 else values
    if isinstance(train, pd.Series):
        return pd.Series(values[:, 0], index=index, name=train.name, copy=False)
    if train.columns.nlevels == 2:
        lacking = train.columns.difference(test.columns)
        if len(lacking):
            raise DataError(f"{TEST} lacks the column {lacking[0]} of {TRAIN}; give both sets the same fields")
        head, tail = train.iloc[train_rows], test[train.columns].iloc[test_rows]
        if not all(pd.api.types.is_numeric_dtype(kind) for kind in (*head.dtypes, *tail.dtypes)):
            return pd.concat((head, tail)).set_axis(index, axis=0)
        values = np.vstack([part.to_numpy(dtype=np.float64, na_value=np.nan) for part in (head, tail)])
    # Column by column, as frames are read.
    values = np.asfortranarray(values)
    values.setflags(write=False)
    return pd.DataFrame(values, index=index, columns=train.columns, copy=False)


def check_lag(feed: Feed, lag: int) -> None:
    """Raise a DataError where the first step would see no return at all."""
    if feed.first <= lag:
        known = f"{TRAIN} has {feed.first} usable rows before the test"
        raise DataError(f"{known}, but execution_lag={lag} needs at least {lag + 1}")
