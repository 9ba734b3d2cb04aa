"""Wealth and what was lost of it: drawdowns, their episodes, dates and durations."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.analysis.inputs import Floats, Path, SeriesLike, as_number, checked_returns
from opeslike.errors import DataError, PortfolioError


def wealth_path(values: Floats) -> Floats:
    """Wealth of 1 before the first period and after each, shape (T + 1,)."""
    path = np.empty(values.size + 1)
    path[0] = 1.0
    with np.errstate(over="ignore"):
        np.cumprod(1.0 + values, out=path[1:])
    if not np.isfinite(path[-1]):
        raise DataError("returns: wealth grows beyond 1e308; are these percent, not fractions?")
    return path


def drawdown_path(values: Floats) -> Floats:
    """Fraction lost since the peak, after each period; the peak starts at initial wealth."""
    path = wealth_path(values)
    return (1.0 - path / np.maximum.accumulate(path))[1:]


@overload
def wealth(returns: pd.Series[Any], initial: float = ...) -> pd.Series[Any]: ...
@overload
def wealth(returns: npt.ArrayLike, initial: float = ...) -> Floats: ...
def wealth(returns: SeriesLike, initial: float = 1.0) -> pd.Series[Any] | Floats:
    """Wealth after each period, ``initial * prod(1 + r)``.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period. After a return of -1 wealth stays 0.
    initial : float
        Wealth before the first period, in money or 1.

    Returns
    -------
    Series or ndarray of shape (T,)
        As the input; in the unit of ``initial``.

    Raises
    ------
    DataError
        If a return is NaN, infinite or below -1, or there is none.
    PortfolioError
        If ``initial`` is not a finite number above 0.
    """
    path = checked_returns(returns)
    values = checked_initial(initial) * wealth_path(path.values)[1:]
    return path.wrap(values, "wealth") if isinstance(returns, pd.Series) else values


@overload
def drawdowns(returns: pd.Series[Any]) -> pd.Series[Any]: ...
@overload
def drawdowns(returns: npt.ArrayLike) -> Floats: ...
def drawdowns(returns: SeriesLike) -> pd.Series[Any] | Floats:
    """Fraction of the peak lost, ``1 - W_t / max(1, W_1 .. W_t)``, in [0, 1].

    The peak starts at initial wealth, so a loss in the first period counts.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.

    Returns
    -------
    Series or ndarray of shape (T,)
        As the input; 0.25 is a quarter below the peak, 1 is ruin.

    Raises
    ------
    DataError
        If a return is NaN, infinite or below -1, or there is none.
    """
    path = checked_returns(returns)
    values = drawdown_path(path.values)
    return path.wrap(values, "drawdown") if isinstance(returns, pd.Series) else values


def max_drawdown(returns: SeriesLike) -> float:
    """Largest fraction of a peak lost, the maximum of :func:`drawdowns`.

    Source: Magdon-Ismail and Atiya, *Maximum drawdown* (2004).
    """
    return float(drawdown_path(checked_returns(returns).values).max())


def checked_initial(initial: float) -> float:
    """Initial wealth: a finite number above zero, else a PortfolioError."""
    value = as_number(initial)
    if not value > 0:
        raise PortfolioError(f"initial wealth must be a finite number above 0, got {initial!r}")
    return value


def episodes(path: Path) -> pd.DataFrame:
    """Each spell below a peak, by position in the wealth path (0 is before the first period).

    Columns ``peak``, ``trough``, ``recovery`` (-1: not yet), ``end`` (recovery, or the last
    position), ``depth``; in order of time.
    """
    drop = np.concatenate(([0.0], drawdown_path(path.values)))
    edges = np.flatnonzero(np.diff(np.concatenate((drop > 0.0, [False])).astype(np.int8)))
    first, last = edges[::2] + 1, edges[1::2]
    troughs = np.array(
        [a + int(np.argmax(drop[a : b + 1])) for a, b in zip(first, last, strict=True)],
        dtype=np.int64,
    )
    recovered = last < path.values.size
    return pd.DataFrame(
        {
            "peak": first - 1,
            "trough": troughs,
            "recovery": np.where(recovered, last + 1, -1),
            "end": np.where(recovered, last + 1, path.values.size),
            "depth": drop[troughs],
        }
    )


def labels_of(path: Path, start: pd.Timestamp | None) -> pd.DatetimeIndex | None:
    """The date of each position of the wealth path, or None where the returns have none."""
    if path.dates is None:
        return None
    if start is None:
        return pd.DatetimeIndex(path.dates[:1].append(path.dates))
    if (start.tz is None) != (path.dates.tz is None) or start > path.dates[0]:
        raise PortfolioError(
            f"start {start} must be a date no later than the first return ({path.where(0)}), "
            "with a time zone only where the returns have one"
        )
    return pd.DatetimeIndex(pd.DatetimeIndex([start]).append(path.dates))


def drawdown_table(returns: SeriesLike, top: int = 5, start: pd.Timestamp | str | None = None) -> pd.DataFrame:
    """The worst spells below a peak, deepest first.

    Parameters
    ----------
    returns : array_like or Series, shape (T,)
        Simple returns per period.
    top : int
        How many spells at most.
    start : date, optional
        The date of initial wealth, before the first return. Without it a spell that begins there
        is dated by the first return.

    Returns
    -------
    DataFrame
        Columns ``depth`` (fraction of the peak), ``peak``, ``trough``, ``recovery`` (NaT where
        the peak was not reached again), ``days`` and ``periods`` from the peak to the recovery, or
        to the end where there is none. Without dates, ``peak``, ``trough`` and ``recovery`` are
        positions in the wealth path (0 is before the first period, NaN for no recovery) and
        ``days`` is NaN.

    Raises
    ------
    DataError
        If the returns cannot be used.
    PortfolioError
        If ``top`` is below 1 or ``start`` is after the first return.
    """
    if top < 1:
        raise PortfolioError(f"top must be 1 or more, got {top}")
    path = checked_returns(returns)
    spells = episodes(path).sort_values("depth", ascending=False, kind="stable").head(top)
    return describe_spells(spells, path, start).reset_index(drop=True)


def describe_spells(spells: pd.DataFrame, path: Path, start: pd.Timestamp | str | None) -> pd.DataFrame:
    """Positions of :func:`episodes` turned into dates, days and periods."""
    stamps = labels_of(path, None if start is None else pd.Timestamp(start))
    peak, trough, recovery, end = (
        spells[name].to_numpy(dtype=np.int64) for name in ("peak", "trough", "recovery", "end")
    )
    open_spell = recovery < 0
    table: dict[str, Any] = {"depth": spells["depth"].to_numpy(dtype=np.float64)}
    if stamps is None:
        table |= {"peak": peak, "trough": trough}
        table["recovery"] = np.where(open_spell, np.nan, recovery.astype(np.float64))
        table["days"] = np.full(peak.size, np.nan)
    else:
        table |= {"peak": stamps[peak], "trough": stamps[trough]}
        table["recovery"] = stamps[end].where(~open_spell)
        table["days"] = (stamps[end] - stamps[peak]).days.to_numpy(dtype=np.float64)
    table["periods"] = end - peak
    return pd.DataFrame(table)
