"""What every function of this room accepts: one checked, dated series of returns, and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.errors import DataError, PortfolioError

Floats: TypeAlias = npt.NDArray[np.float64]
#: One number a period: a pandas Series (dated or not), an array, a list.
SeriesLike: TypeAlias = "pd.Series[Any] | npt.ArrayLike"
#: Rates are annual: one number, or one a date.
RateLike: TypeAlias = "float | pd.Series[Any] | npt.NDArray[np.floating[Any]]"


@dataclass(frozen=True)
class Path:
    """Checked returns: ``values`` is finite, of shape (T,) with T >= 1 and nothing below -1.

    ``dates`` is the index where the input was a Series with sorted, unique dates, else None.
    """

    values: Floats
    dates: pd.DatetimeIndex | None
    index: pd.Index[Any] | None

    def where(self, position: int) -> str:
        """The date of an observation, or its position, for a message."""
        return locate(self.index, position)

    def wrap(self, values: Floats, name: str) -> pd.Series[Any]:
        """Values with this path's labels."""
        return pd.Series(values, index=self.index, name=name)


def locate(index: pd.Index[Any] | None, position: int) -> str:
    """Name an observation in a message: its date, else its label, else its position."""
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
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: not numbers ({error}); pass floats") from error
    if array.ndim != ndim:
        raise DataError(f"{what}: {ndim}-dimensional values expected, got shape {array.shape}")
    return array


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
        raise DataError(
            f"{what}: dates must rise strictly, {locate(index, position)} does not; sort them and drop repeated ones"
        )
    return index


def checked_returns(returns: SeriesLike, what: str = "returns") -> Path:
    """Check simple returns of one portfolio.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period, as fractions. -1 is ruin.
    what : str
        What to call them in a message.

    Raises
    ------
    DataError
        If there are none, one is NaN or infinite (named by date or position), one is below -1,
        or the dates are not sorted and unique.
    """
    index = returns.index if isinstance(returns, pd.Series) else None
    values = as_floats(returns, what)
    if values.size == 0:
        raise DataError(f"{what}: empty; at least one period is needed")
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{what}: {values[first]} {locate(index, first)} ({int(bad.sum())} in all); drop or fill such periods first"
        )
    if values.min() < -1.0:
        first = int(np.argmax(values < -1.0))
        raise DataError(
            f"{what}: {values[first]:.6g} {locate(index, first)} is a loss of more than "
            "everything; record ruin as -1, followed by zeros"
        )
    dates = checked_dates(index, what) if isinstance(index, pd.DatetimeIndex) else None
    return Path(values, dates, index)


def dated(path: Path, what: str) -> pd.DatetimeIndex:
    """The dates of a path that needs them.

    Raises
    ------
    DataError
        If the returns came without dates.
    """
    if path.dates is None:
        raise DataError(f"{what} needs dates: pass the returns as a Series with a DatetimeIndex")
    return path.dates


def checked_periods(periods_per_year: float) -> float:
    """Periods a year: a finite number above zero.

    Raises
    ------
    PortfolioError
        If it is not.
    """
    value = as_number(periods_per_year)
    if not value > 0:
        raise PortfolioError(f"periods_per_year must be a finite number above 0, got {periods_per_year!r}")
    return value


def as_number(value: object) -> float:
    """Convert to a float; NaN for what is not a finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def align(
    series: pd.Series[Any] | npt.NDArray[np.floating[Any]], path: Path, what: str, *, forward_fill: bool = False
) -> Floats:
    """One value for each period of ``path``: by date where both are dated, else by position.

    Raises
    ------
    DataError
        If lengths differ, or a date has no value (the first such date is named).
    """
    if isinstance(series, pd.Series) and isinstance(series.index, pd.DatetimeIndex) and path.dates is not None:
        index = checked_dates(series.index, what)
        if (index.tz is None) != (path.dates.tz is None):
            raise DataError(f"{what}: one index has a time zone and the other has none; drop it")
        if forward_fill:  # what is missing on a date of its own is carried forward too, as in the ledger
            values = as_floats(series.dropna().reindex(path.dates, method="ffill"), what)
        else:
            values = as_floats(series.reindex(path.dates), what)
    else:
        values = as_floats(series, what)
        if values.shape != path.values.shape:
            raise DataError(f"{what}: {values.size} values for {path.values.size} returns")
    bad = ~np.isfinite(values)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(f"{what}: no finite value {path.where(first)} ({int(bad.sum())} in all)")
    return values


def rate_per_period(rate: RateLike, path: Path, periods_per_year: float, what: str) -> Floats:
    """Annual rates as rates per period, ``(1 + annual) ** (1 / periods_per_year) - 1``.

    Parameters
    ----------
    rate : float, Series or array of shape (T,)
        Annual rate, a fraction. A dated Series is filled forward to the dates of the returns.
    path : Path
        The returns it belongs to.
    periods_per_year : float
        Periods a year.
    what : str
        The parameter's name, for a message.

    Returns
    -------
    ndarray of shape (T,)

    Raises
    ------
    DataError
        If a date of the returns comes before the first rate.
    PortfolioError
        If a scalar rate is not a finite number above -1.
    """
    if isinstance(rate, pd.Series | np.ndarray) and np.ndim(rate) > 0:
        annual = align(rate, path, what, forward_fill=True)
    else:
        annual = np.full(path.values.shape, as_number(rate))
    if not (annual > -1.0).all():
        given = f"{annual.min():g}" if isinstance(rate, pd.Series | np.ndarray) else repr(rate)
        raise PortfolioError(f"{what} must be an annual rate above -1 (0.02 is 2%), got {given}")
    return np.expm1(np.log1p(annual) / periods_per_year)


def named_returns(
    returns: Mapping[str, SeriesLike] | pd.DataFrame | SeriesLike,
) -> dict[str, SeriesLike]:
    """Many strategies or one: a mapping, the columns of a frame, or one array named "Strategy".

    Raises
    ------
    PortfolioError
        If there is none.
    """
    if isinstance(returns, pd.DataFrame):
        named: dict[str, SeriesLike] = {str(name): returns[name] for name in returns.columns}
    elif isinstance(returns, Mapping):
        named = {str(name): series for name, series in returns.items()}
    elif isinstance(returns, pd.Series):
        named = {str(returns.name) if returns.name is not None else "Strategy": returns}
    else:
        named = {"Strategy": returns}
    if not named:
        raise PortfolioError("no strategy given: pass a dict of name -> returns with one at least")
    return named
