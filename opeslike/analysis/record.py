"""The record of one portfolio: checked simple returns, what follows from them worked out once, and rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike import checks
from opeslike.errors import DataError, PortfolioError
from opeslike.panel import read_array

Floats: TypeAlias = npt.NDArray[np.float64]
#: One number a period: a pandas Series (dated or not), an array, a list, or a :class:`Record`.
SeriesLike: TypeAlias = Union["pd.Series[Any]", npt.ArrayLike, "Record"]
#: Returns of one or several strategies by name.
Returns: TypeAlias = "Mapping[str, SeriesLike] | pd.DataFrame | SeriesLike"
#: Rates are annual: one number, or one a date.
RateLike: TypeAlias = "float | pd.Series[Any] | npt.NDArray[np.floating[Any]]"


@dataclass(frozen=True, eq=False)
class Record:
    """Simple returns of one portfolio, finite, none below -1; made by :func:`record`.

    Wherever this room takes returns it takes a record too, and then nothing of it is worked out twice.

    Attributes
    ----------
    values : ndarray of shape (T,), T >= 1
    index : Index or None
        Labels of the periods, if they came with any.
    name : str
    """

    values: Floats
    index: pd.Index[Any] | None = None
    name: str = ""
    _tails: dict[int, Record] = field(default_factory=dict, repr=False)

    @property
    def dates(self) -> pd.DatetimeIndex | None:
        """The index, where it is made of dates."""
        return self.index if isinstance(self.index, pd.DatetimeIndex) else None

    @cached_property
    def wealth(self) -> Floats:
        """Wealth of 1 before the first period and after each, ``prod(1 + r)``, shape (T + 1,)."""
        with np.errstate(over="ignore"):
            path = np.concatenate(([1.0], np.cumprod(1.0 + self.values)))
        if not np.isfinite(path[-1]):
            raise DataError("returns: wealth grows beyond 1e308; are these percent, not fractions?")
        return path

    @cached_property
    def drawdowns(self) -> Floats:
        """Fraction lost since the peak after each period, shape (T,); the peak starts at initial wealth."""
        return (1.0 - self.wealth / np.maximum.accumulate(self.wealth))[1:]

    @property
    def max_drawdown(self) -> float:
        """Largest fraction of a peak lost."""
        return float(self.drawdowns.max())

    @property
    def total_return(self) -> float:
        """``prod(1 + r) - 1``."""
        return float(self.wealth[-1]) - 1.0

    @property
    def log_growth(self) -> float:
        """Mean of log(1 + r) per period, minus infinity after ruin."""
        return -math.inf if self.values.min() <= -1.0 else float(np.log1p(self.values).mean())

    def annual_return(self, periods: float) -> float:
        """Constant annual return with the same final wealth; -1 after ruin, infinite beyond the float range."""
        growth = periods * self.log_growth
        return math.expm1(growth) if growth < 709.0 else math.inf

    def tail(self, first: int) -> Record:
        """The record from a period on; the same one each time."""
        if first == 0:
            return self
        if first not in self._tails:
            index = None if self.index is None else self.index[first:]
            self._tails[first] = Record(self.values[first:], index, self.name)
        return self._tails[first]

    def wrap(self, values: Floats, name: str) -> pd.Series[Any]:
        """Values with the labels of the periods."""
        return pd.Series(values, index=self.index, name=name)

    def dates_for(self, what: str) -> pd.DatetimeIndex:
        """The dates, for what needs them.

        Raises
        ------
        DataError
            If the returns came without dates.
        """
        if self.dates is None:
            raise DataError(f"{what} needs dates: pass the returns as a Series with a DatetimeIndex")
        return self.dates

    def align(self, series: SeriesLike, what: str, *, forward_fill: bool = False) -> Floats:
        """One value for each period: by date where both are dated, else by position.

        Raises
        ------
        DataError
            If lengths differ, or a date has no value (the first such date is named).
        """
        if isinstance(series, Record):
            if series.index is not None and self.index is not None and series.index.equals(self.index):
                return series.values
            series = series.values if series.dates is None else series.wrap(series.values, what)
        if isinstance(series, pd.Series) and isinstance(series.index, pd.DatetimeIndex) and self.dates is not None:
            index = checked_dates(series.index, what)
            if (index.tz is None) != (self.dates.tz is None):
                raise DataError(f"{what}: one index has a time zone and the other has none; drop it")
            # What is missing on a date of its own is carried forward too, as in the ledger.
            filled = series.dropna().reindex(self.dates, method="ffill") if forward_fill else series.reindex(self.dates)
            values = as_floats(filled, what)
        else:
            values = as_floats(series, what)
            if values.shape != self.values.shape:
                raise DataError(f"{what}: {values.size} values for {self.values.size} returns")
        bad = ~np.isfinite(values)
        if bad.any():
            first = locate(self.index, int(np.argmax(bad)))
            raise DataError(f"{what}: no finite value {first} ({int(bad.sum())} in all); give one for each")
        return values

    def annual_rates(self, rate: RateLike, what: str = "risk_free") -> Floats:
        """The annual rate of each period, shape (T,); a dated Series is filled forward to the dates of the returns.

        Raises
        ------
        DataError
            If a date of the returns comes before the first rate.
        PortfolioError
            If a rate is not a finite number above -1; ``what`` is called so.
        """
        if np.ndim(rate) == 0:
            return np.full(self.values.shape, checks.rate(what, rate))
        annual = self.align(rate, what, forward_fill=True)
        if not (annual > -1.0).all():
            raise PortfolioError(f"{what} must be an annual rate above -1 (0.02 is 2%), got {annual.min():g}")
        return annual

    def rates(self, rate: RateLike, periods: float) -> Floats:
        """Annual rates as rates per period, ``(1 + annual) ** (1 / periods) - 1``, shape (T,)."""
        return checks.per_period(self.annual_rates(rate), periods)


def record(returns: SeriesLike, what: str = "returns") -> Record:
    """Check simple returns of one portfolio.

    Parameters
    ----------
    returns : array_like, Series or Record, shape (T,)
        Simple returns per period, as fractions. -1 is ruin.
    what : str
        What to call them in a message.

    Raises
    ------
    DataError
        If there are none, one is NaN or infinite (named by date or position), one is below -1,
        or the dates are not sorted and unique.
    """
    if isinstance(returns, Record):
        return returns
    index = returns.index if isinstance(returns, pd.Series) else None
    values = as_floats(returns, what).copy()
    values.setflags(write=False)
    if values.size == 0:
        raise DataError(f"{what}: empty; at least one period is needed")
    for bad, advice in (
        (~np.isfinite(values), "({} in all); drop or fill such periods first"),
        (values < -1.0, "is a loss of more than everything; record ruin as -1, followed by zeros"),
    ):
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError(f"{what}: {values[first]:.6g} {locate(index, first)} {advice.format(int(bad.sum()))}")
    if isinstance(index, pd.DatetimeIndex):
        checked_dates(index, what)
    return Record(values, index, str(getattr(returns, "name", None) or ""))


def named_records(returns: Returns) -> dict[str, Record]:
    """Many strategies or one: a mapping, the columns of a frame, or one record called by its name, else "Strategy".

    Raises
    ------
    DataError
        If the returns of a strategy (named) cannot be used.
    PortfolioError
        If there is none.
    """
    return {name: record(series, f"returns of {name!r}") for name, series in by_name(returns).items()}


def by_name(given: Any) -> dict[str, Any]:
    """One or several series by name, as they came."""
    if isinstance(given, Mapping | pd.DataFrame):
        named = {str(name): series for name, series in given.items()}
        if not named:
            raise PortfolioError("no strategy given: pass a dict of name -> returns with one at least")
        return named
    name = getattr(given, "name", None)
    return {"Strategy" if name in (None, "") else str(name): given}


def locate(index: pd.Index[Any] | None, position: int) -> str:
    """Name a period in a message: its date, else its label, else its position."""
    if index is None:
        return f"position {position}"
    label = index[position]
    if isinstance(label, pd.Timestamp):
        midnight = label == label.normalize()
        return f"on {label.date().isoformat() if midnight else label.isoformat()}"
    return f"position {position} (label {label!r})"


def as_floats(values: object, what: str, ndim: int = 1) -> Floats:
    """Convert to a float array of the given number of dimensions, or say what is wrong.

    Raises
    ------
    DataError
        If the values are not numbers or have another number of dimensions.
    """
    array = read_array(values, what)
    if array.ndim != ndim:
        raise DataError(f"{what}: {ndim}-dimensional values expected, got shape {array.shape}")
    return array


def table_of(values: object, what: str) -> tuple[Floats, pd.Index[Any] | None, list[str]]:
    """A table of finite numbers, periods by assets, with its index and the names of its columns where it has any.

    Raises
    ------
    DataError
        If it is empty or not finite (the asset and date are named).
    """
    table = as_floats(values, what, ndim=2)
    index, names = None, [f"asset {i}" for i in range(table.shape[1])]
    if isinstance(values, pd.DataFrame):
        index, names = values.index, [str(name) for name in values.columns]
    bad = np.argwhere(~np.isfinite(table))
    if bad.size or not table.size:
        row, column = bad[0] if bad.size else (0, 0)
        fault = f"not finite for {names[column]} {locate(index, int(row))}" if bad.size else "empty"
        raise DataError(f"{what}: {fault}")
    return table, index, names


def per_step(values: SeriesLike | float, what: str, length: int) -> Floats:
    """One finite number for each of so many periods; a single number counts for all.

    Raises
    ------
    DataError
        If there are more or fewer, or one is not finite.
    """
    steps = np.full(length, values, dtype=np.float64) if np.ndim(values) == 0 else as_floats(values, what)  # type: ignore[arg-type]
    if steps.size != length or not np.isfinite(steps).all():
        raise DataError(f"{what}: {length} finite values expected, as many as periods; got {steps.size}")
    return steps


def checked_dates(index: pd.DatetimeIndex, what: str) -> pd.DatetimeIndex:
    """Sorted, unique, without NaT.

    Raises
    ------
    DataError
        Naming the first date out of order, repeated or missing.
    """
    if bool(index.hasnans):
        raise DataError(f"{what}: a date is missing (NaT)")
    if not index.is_monotonic_increasing or not index.is_unique:
        position = int(np.flatnonzero(np.diff(index.asi8) <= 0)[0]) + 1
        raise DataError(f"{what}: dates must rise strictly, {locate(index, position)} does not; sort, drop repeats")
    return index
