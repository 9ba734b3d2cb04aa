"""What the charts show, checked: returns, leverages, weights and growth on one axis each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.analysis.drawdown import wealth_path
from opeslike.analysis.inputs import Floats, as_floats, checked_dates, checked_returns, named_returns
from opeslike.errors import DataError, PortfolioError

#: Positions on the time axis: naive datetime64, or step numbers.
Times: TypeAlias = "npt.NDArray[Any]"


@dataclass(frozen=True)
class Line:
    """One strategy's returns on the time axis, both of shape (T,)."""

    times: Times
    values: Floats
    origin: Any

    def wealth(self, initial: float) -> tuple[Times, Floats]:
        """Times and wealth, from the origin on where it is known."""
        path = np.float64(initial) * wealth_path(self.values)
        if self.origin is None:
            return self.times, path[1:]
        return np.concatenate(([self.origin], self.times)), path


def times_of(timeline: object) -> Times:
    """A timeline as step numbers or as naive datetime64, strictly rising.

    Raises
    ------
    PortfolioError
        If it is neither numbers nor dates, or does not rise.
    """
    values = timeline if isinstance(timeline, pd.Index) else pd.Index(list(timeline))  # type: ignore[call-overload]
    if values.dtype.kind in "iuf":
        numbers = values.to_numpy(dtype=np.float64)
        if not (np.isfinite(numbers).all() and (np.diff(numbers) > 0).all()):
            raise PortfolioError("timeline: numbers must be finite and rise strictly")
        return numbers
    try:
        dates = checked_dates(pd.DatetimeIndex(values), "timeline")
    except DataError as error:
        raise PortfolioError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise PortfolioError(f"timeline: neither numbers nor dates ({error})") from error
    return dates.tz_localize(None).to_numpy()


def share_dates(lines: dict[str, Line]) -> bool:
    """Whether the time axis of these lines is made of dates."""
    return is_dated(next(iter(lines.values())).times)


def lines_of(returns: Any, timeline: object = None, start: object = None) -> dict[str, Line]:
    """Check returns and put them on one time axis.

    The timeline is the one given, else the dates of each Series, else 1, 2, … T with the origin at 0.

    Raises
    ------
    DataError
        If the returns of a strategy (named) cannot be used.
    PortfolioError
        If a length differs from the timeline's, or some strategies have dates and others do not.
    """
    shared = None if timeline is None else times_of(timeline)
    lines: dict[str, Line] = {}
    for name, series in named_returns(returns).items():
        path = checked_returns(series, f"returns of {name!r}")
        if shared is not None and shared.size != path.values.size:
            raise PortfolioError(
                f"{name!r} has {path.values.size} returns, the timeline has {shared.size} entries; they must agree"
            )
        times = shared
        if times is None and path.dates is not None:
            times = times_of(path.dates)
        elif times is None:
            times = np.arange(1.0, path.values.size + 1.0)
        lines[name] = Line(times, path.values, _origin(times, timeline is None, start))
    if len({is_dated(line.times) for line in lines.values()}) > 1:
        raise PortfolioError("some strategies have dates and others do not; pass a timeline")
    return lines


def _origin(times: Times, counted: bool, start: object) -> Any:
    """The time of initial wealth where it is known."""
    if not is_dated(times):
        return 0.0 if counted else None
    if start is None:
        return None
    origin = pd.Timestamp(start).tz_localize(None).to_datetime64()  # type: ignore[arg-type]
    if origin >= times[0]:
        raise PortfolioError(f"start {start} must come before the first date, {times[0]}")
    return origin.astype(times.dtype)


def is_dated(times: Times) -> bool:
    """Whether times are dates."""
    return bool(times.dtype.kind == "M")


def leverages_of(leverage: Any, lengths: dict[str, int]) -> dict[str, Floats]:
    """Check leverages against the lengths of the returns they belong to, by name.

    Raises
    ------
    DataError
        If a leverage is not made of numbers.
    PortfolioError
        If a name has no returns, or a length differs.
    """
    named = named_returns(leverage)
    if len(named) == len(lengths) == 1:
        named = dict(zip(lengths, named.values(), strict=True))
    held = {name: as_floats(series, f"leverage of {name!r}") for name, series in named.items()}
    for name, values in held.items():
        if name not in lengths:
            raise PortfolioError(f"leverage of {name!r}: no returns of that name")
        if values.size != lengths[name]:
            raise PortfolioError(f"leverage of {name!r} has {values.size} values for {lengths[name]} returns")
    return held


def weights_table(weights: object, timeline: object, top: int) -> tuple[Times, pd.DataFrame]:
    """Weights on a time axis: the largest assets by mean size, the others summed, between debt and cash.

    Raises
    ------
    DataError
        If the weights are not finite numbers.
    PortfolioError
        If lengths differ or ``top`` is below 1.
    """
    if top < 1:
        raise PortfolioError(f"top must be 1 or more, got {top}")
    values = as_floats(weights, "weights", ndim=2)
    names = (
        [str(name) for name in weights.columns]
        if isinstance(weights, pd.DataFrame)
        else [f"asset {i}" for i in range(values.shape[1])]
    )
    bad = np.argwhere(~np.isfinite(values))
    if values.size == 0 or bad.size:
        what = f"not finite for {names[bad[0, 1]]} in row {bad[0, 0]}" if bad.size else "empty"
        raise DataError(f"weights: {what}")
    if timeline is None and isinstance(weights, pd.DataFrame):
        timeline = weights.index
    times = np.arange(1.0, len(values) + 1.0) if timeline is None else times_of(timeline)
    if times.size != len(values):
        raise PortfolioError(f"weights have {len(values)} rows, the timeline has {times.size} entries; they must agree")
    sizes = np.abs(values).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    shown, rest = sorted(order[:top]), order[top:]
    cash = 1.0 - values.sum(axis=1)
    # What is left over by rounding is neither cash nor debt.
    cash = np.where(np.abs(cash) < 1e-9, 0.0, cash)
    columns = [np.minimum(cash, 0.0), *(values[:, i] for i in shown)]
    labels = ["borrowed", *(names[i] for i in shown)]
    if rest.size:
        columns.append(values[:, rest].sum(axis=1))
        labels.append(f"{rest.size} others" if rest.size > 1 else names[rest[0]])
    columns.append(np.maximum(cash, 0.0))
    labels.append("cash")
    # Each row was held up to its time, so the first needs a time before it.
    first = times[0] - (times[1] - times[0] if times.size > 1 else _unit(times))
    table = np.column_stack(columns)
    return (
        np.concatenate(([first], times)),
        pd.DataFrame(np.vstack((table[:1], table)), columns=labels),
    )


def _unit(times: Times) -> Any:
    return np.timedelta64(1, "D") if is_dated(times) else 1.0


def growth_curves(
    leverages: npt.ArrayLike, growth: npt.ArrayLike, quadratic: npt.ArrayLike | None, scale: float
) -> tuple[Floats, dict[str, Floats]]:
    """Rising leverages, and the exact and the approximate growth at each, times ``scale``.

    Raises
    ------
    DataError
        If something is not made of numbers.
    PortfolioError
        If lengths differ, leverages do not rise, or no exact growth is finite.
    """
    x = as_floats(leverages, "leverages")
    curves = {"exact": scale * as_floats(growth, "growth")}
    if quadratic is not None:
        curves["quadratic approximation"] = scale * as_floats(quadratic, "quadratic")
    for name, curve in curves.items():
        if curve.size != x.size:
            raise PortfolioError(f"{name} growth: {curve.size} values for {x.size} leverages")
    if x.size < 2 or not (np.diff(x) > 0).all() or not np.isfinite(curves["exact"]).any():
        raise PortfolioError("leverages must rise, two at least, and some growth must be finite")
    return x, curves
