"""Market: validated returns, and the one place where prices become returns.

Everything downstream works on a :class:`Market`. A frame or array is checked once, here (by the rules of
:mod:`opeslike.panel`); windows of a market are views of the same memory and are not checked again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from opeslike.checks import FloatArray
from opeslike.errors import DataError, DataWarning, PortfolioError, logger, warn
from opeslike.panel import (  # what is known of markets is had from here
    Kind,
    Panel,
    align_columns,
    check_values,
    close_frame,
    describe,
    drop_missing,
    infer_kind,
    read_array,
    read_panel,
    simple_returns,
)  # fmt: skip
from opeslike.sums import Moments, Shifted

__all__ = [
    "Eligible", "Flags", "FloatArray", "Kind", "Market", "Panel", "Rows", "align_columns", "check_values",
    "close_frame", "cut", "describe", "drop_missing", "everyone", "full", "infer_kind", "listing", "read_array",
    "read_panel", "simple_returns", "unequal",
]  # fmt: skip


Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]


class Eligible(tuple[Hashable, ...]):
    """Labels of the assets that may be held now, which also know among whom they are.

    Attributes
    ----------
    everyone : tuple of labels
        All columns of the data.
    places : ndarray of ints
        Where the eligible ones stand among them.
    """

    everyone: tuple[Hashable, ...]
    places: Rows

    @classmethod
    def of(cls, assets: Sequence[Hashable], places: Rows) -> Eligible:
        """Pick some of the assets."""
        made = cls(assets[place] for place in places)
        made.everyone, made.places = tuple(assets), places
        return made


def everyone(assets: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Labels of all columns, where ``assets`` are the eligible ones; else the assets themselves."""
    return assets.everyone if isinstance(assets, Eligible) else tuple(assets)


def full(values: FloatArray, assets: Sequence[Hashable]) -> FloatArray:
    """Numbers of the eligible assets as a vector over all columns, exactly 0 elsewhere."""
    if not isinstance(assets, Eligible) or len(values) == len(assets.everyone):
        return values
    spread = np.zeros(len(assets.everyone))
    spread[assets.places] = values
    return spread


def cut(values: Any, assets: Sequence[Hashable], axes: Sequence[int] = (0,)) -> Any:
    """Numbers by asset, cut to the eligible assets where they are given for all columns; the rest is returned as is."""
    if isinstance(assets, Eligible) and not hasattr(values, "reindex") and values is not None:
        for axis in axes:
            if np.ndim(values) > axis and np.shape(values)[axis] == len(assets.everyone):
                values = np.take(np.asarray(values), assets.places, axis=axis)
    return values


def unequal(values: FloatArray, kind: Kind, dates: pd.Index, window: int | None = None) -> tuple[FloatArray, pd.Index]:
    """Returns and their dates on the rows on which every asset is quoted that was quoted before, NaN before that.

    Parameters
    ----------
    values : ndarray of shape (rows, N)
        Prices or returns, NaN where there is no quote.
    kind : {"prices", "returns"}
    dates : Index
    window : int, optional
        The last so many returns.
    """
    quoted = ~np.isnan(values)
    begun = np.logical_or.accumulate(quoted)
    rows = np.flatnonzero((quoted | ~begun).all(axis=1) & begun.any(axis=1))
    returns = simple_returns(values[rows]) if kind == "prices" else values[rows]
    first = max(0, len(returns) - (window or len(returns)))
    return returns[first:], dates[rows[len(rows) - len(returns) :]][first:]


def _eligible_now(panel: Panel, kind: Kind) -> tuple[Panel, Panel]:
    """The assets with a price in the last row: on all rows, and on those on which all of them have one."""
    values = panel.values
    missing = np.isnan(values) | ((values == 0) & (kind == "prices"))
    scenarios = kind == "returns" and isinstance(panel.index, pd.RangeIndex)  # in no order: none is the last
    if scenarios or not missing.any():
        whole = drop_missing(panel)
        return whole, whole
    some = np.flatnonzero(~missing.all(axis=1))
    if not some.size:
        return panel, drop_missing(panel)  # which says so
    known = ~missing
    there = known[some[-1]] & (known.sum(axis=0) > (kind == "prices"))
    if there.any() and not there.all():
        tell = [f"{panel.assets[i]} ({_span(panel, known[:, i])})" for i in np.flatnonzero(~there)]
        logger.warning("weight 0, without a price and a return on %s: %s", panel.date(int(some[-1])), listing(tell))
        panel = replace(panel, values=values[:, there], assets=Eligible.of(panel.assets, np.flatnonzero(there)))
    whole = drop_missing(panel)
    if len(whole.values) > 1 and 3 * len(whole.values) < 2 * len(some):
        few = np.argsort(known[:, there].sum(axis=0), kind="stable")[:3]
        young = [f"{panel.assets[i]} ({_span(panel, known[:, there][:, i])})" for i in few]
        warn(
            f"{len(whole.values)} of {len(some)} rows are left on which every asset has a value; the fewest have "
            f"{listing(young)}; leave them out, or start later",
            DataWarning,
        )
    return panel, whole


def _span(panel: Panel, known: Flags) -> str:
    """First and last row with a value, for messages."""
    rows = np.flatnonzero(known)
    return f"values from {panel.date(int(rows[0]))} to {panel.date(int(rows[-1]))}" if rows.size else "no value"


def listing(items: Sequence[str], most: int = 10) -> str:
    """Items for a message, the first few of many."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _dates(market: Market) -> pd.Index:
    return market.dates


class Market:
    """Validated simple returns of N assets over T periods.

    Attributes
    ----------
    returns : ndarray of shape (T, N)
        Simple returns per period, as fractions. Do not write to it: windows share the memory.
    assets : tuple of N labels
        :class:`Eligible` where not all columns of the data are: those without a price in the last row are left out.
    dates : pandas.Index of length T
        The date at the *end* of each period.
    probabilities : ndarray of shape (T,) or None
        Scenario probabilities; None means uniform.
    longer : callable or None
        Where some assets have fewer rows than others: gives the returns on all rows since the first began, NaN before
        the listing of each, and their dates.
    effective_size : float
        How many equally likely observations the scenarios are worth, ``1 / sum p^2`` unless a belief says otherwise.
    filled : int
        Rows of the past in which returns were drawn, not observed (:class:`~opeslike.beliefs.FilledHistory`).

    Examples
    --------
    >>> import numpy as np
    >>> market = Market.from_data(np.array([[100.0, 50.0], [110.0, 49.0], [99.0, 52.0]]))
    >>> market.returns.round(3).tolist()
    [[0.1, -0.02], [-0.1, 0.061]]
    """

    __slots__ = ("_every_date", "_moments", "_size", "_start", "assets", "filled", "longer", "probabilities", "returns")

    def __init__(
        self,
        returns: FloatArray,
        assets: tuple[Hashable, ...],
        dates: pd.Index | Callable[[], pd.Index],
        probabilities: FloatArray | None = None,
        effective_size: float | None = None,
    ) -> None:
        self.returns, self.assets, self.probabilities = returns, assets, probabilities
        self._size, self.filled = effective_size, 0
        self.longer: Callable[[], tuple[FloatArray, pd.Index]] | None = None
        self._every_date, self._start, self._moments = dates, 0, Moments(returns)

    @classmethod
    def from_data(cls, data: Any, kind: Kind | None = None, probabilities: ArrayLike | None = None) -> Market:
        """Validate prices or returns.

        Parameters
        ----------
        data : DataFrame, Series, ndarray or Market
            Prices or simple returns, dates x assets; see :func:`infer_kind` for how the two are told apart. Two-level
            columns (ticker and field, either order) are read as prices, from their ``Close`` columns.
        kind : {"prices", "returns"}, optional
            Overrides the inference.
        probabilities : array-like of shape (T,), optional
            Probability of each return row, non-negative; scaled to sum to one.

        Raises
        ------
        DataError
            Naming ticker and date, on infinite values, non-positive prices, duplicate or unsorted dates, duplicate
            tickers, columns that are not numbers, and when no row is left.
        PortfolioError
            On probabilities of the wrong length, negative, or all zero.
        """
        if isinstance(data, Market):
            return data if probabilities is None else data.with_probabilities(probabilities)
        panel = read_panel(data)
        read = infer_kind(panel, kind)
        check_values(panel, read, given=kind is not None)
        whole, panel = _eligible_now(panel, read)
        if read == "returns":
            market = cls(np.asfortranarray(panel.values), panel.assets, panel.index)
        elif len(panel.values) < 2:
            raise DataError(f"{len(panel.values)} row of prices gives no return; at least two rows are needed")
        else:
            market = cls(simple_returns(panel.values), panel.assets, panel.index[1:])
        if len(whole.values) > len(panel.values):
            market.longer = partial(unequal, whole.values, read, whole.index)
        return market if probabilities is None else market.with_probabilities(probabilities)

    @property
    def n_scenarios(self) -> int:
        """Number of periods T."""
        return int(self.returns.shape[0])

    @property
    def n_assets(self) -> int:
        """Number of assets N."""
        return int(self.returns.shape[1])

    @property
    def effective_size(self) -> float:
        """Number of equally likely observations that the scenarios are worth: ``1 / sum p^2`` unless given."""
        if self._size is not None:
            return self._size
        p = self.probabilities
        return float(self.n_scenarios) if p is None else float(1.0 / (p @ p))

    def with_probabilities(self, probabilities: ArrayLike, effective_size: float | None = None) -> Market:
        """Return the same returns with scenario probabilities (scaled to sum to one)."""
        try:
            p = np.asarray(probabilities, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PortfolioError(f"probabilities are not numbers: {error}") from error
        if p.shape != (self.n_scenarios,):
            raise PortfolioError(
                f"probabilities have shape {p.shape}, but there are {self.n_scenarios} return rows; give one a row"
            )
        total = float(p.sum())
        if not (0.0 < total < math.inf and p.min() >= 0):
            raise PortfolioError("probabilities must be finite, non-negative and not all zero")
        return self._like(self.returns, p / total, effective_size)

    def reweighted(self, factors: ArrayLike) -> Market:
        """Return the same returns with probabilities times these factors, worth fewer observations as they concentrate.

        The effective size falls as ``1 / sum p^2`` does, whatever it was before: scenarios that were simulated do not
        become observations by weighing them.
        """
        before, given = self.probabilities, np.asarray(factors, dtype=np.float64)
        after = self.with_probabilities(given if before is None else before * given)
        assert after.probabilities is not None
        worth = 1.0 / self.n_scenarios if before is None else float(before @ before)
        after._size = self.effective_size * worth / float(after.probabilities @ after.probabilities)
        return after

    def with_returns(self, returns: FloatArray) -> Market:
        """Return other values for the same scenarios, shape (T, N), with their probabilities and effective size."""
        return self._like(np.asfortranarray(returns), self.probabilities, self._size)

    def _like(self, returns: FloatArray, probabilities: FloatArray | None, size: float | None) -> Market:
        """Other values or probabilities of the same scenarios; dates are looked up when asked for, memory is shared."""
        market = Market(returns, self.assets, partial(_dates, self), probabilities, size)
        market._moments.spare = self._moments.spare
        return market

    def shifted(self, by: FloatArray) -> Market:
        """Return the returns plus one number an asset, shape (N,); running sums know of it."""
        room = self._moments.spare.take(*self.returns.shape)
        market = self.with_returns(np.add(self.returns, by, out=room))
        market._moments = Shifted(market.returns, self._moments, self._start, by)
        return market

    @property
    def dates(self) -> pd.Index:
        """The date at the end of each period."""
        if callable(self._every_date):  # labels that are for messages alone are made when asked for
            self._every_date = self._every_date()
        return self._every_date[self._start : self._start + len(self.returns)]

    @property
    def origin(self) -> tuple[FloatArray, int]:
        """Returns of the whole market this is a window of, and the row at which the window begins.

        Rows after the window are the future: for what is worked out once, each row from those before it alone.
        """
        return self._moments._returns, self._start

    def window(self, start: int, stop: int) -> Market:
        """Rows ``start..stop`` as a view: no copy, no check. Windows of one market are not for several threads."""
        view = Market.__new__(Market)
        view.returns, view.assets = self.returns[start:stop], self.assets
        p = self.probabilities
        view.probabilities = None if p is None else p[start:stop] / p[start:stop].sum()
        share = (stop - start) / self.n_scenarios if p is None else p[start:stop].sum()
        view._size = None if self._size is None else self._size * float(share)
        view.longer, view.filled = None, self.filled
        view._every_date, view._start, view._moments = self._every_date, self._start + start, self._moments
        return view

    def mean(self) -> FloatArray:
        """Mean returns per period under the probabilities, shape (N,)."""
        p = self.probabilities
        return np.asarray(self.returns.mean(axis=0) if p is None else p @ self.returns)

    def mean_and_covariance(self) -> tuple[FloatArray, FloatArray]:
        """Sample mean (N,) and covariance (N, N) per period.

        With uniform probabilities the covariance divides by T - 1; with given probabilities it is the covariance under
        them. A walk-forward over windows of one market updates running sums instead of starting over.

        Raises
        ------
        DataError
            With fewer than two rows.
        """
        count = self.n_scenarios
        if count < 2:
            raise DataError("a covariance needs at least two return rows; give more data, or a longer window")
        if self.probabilities is not None:
            mean = self.probabilities @ self.returns
            rows = np.subtract(self.returns, mean, out=self._moments.spare.take(*self.returns.shape))
            rows *= np.sqrt(self.probabilities)[:, None]
            return mean, rows.T @ rows
        shift, first, second = self._moments.sums(self._start, self._start + count)
        offset = first / count
        covariance = (second - (count * offset)[:, None] * offset) / (count - 1)
        return shift + offset, 0.5 * (covariance + covariance.T)
