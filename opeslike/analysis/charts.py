"""What a chart shows, whoever draws it: checked series on one axis each, with colours, labels and legends settled.

A :class:`Chart` is drawn by :mod:`opeslike.analysis.drawing` with matplotlib and by
:mod:`opeslike.analysis.interactive` with Plotly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.analysis.formats import money
from opeslike.analysis.record import Floats, Record, Returns, as_floats, by_name, checked_dates, named_records, table_of
from opeslike.checks import positive
from opeslike.errors import DataError, PortfolioError

#: Positions on the time axis: naive datetime64, or step numbers.
Times: TypeAlias = "npt.NDArray[Any]"
#: Of percent the values are fractions.
Unit: TypeAlias = Literal["percent", "number"]
#: Colour, dash and width of each line.
Styles: TypeAlias = Mapping[str, dict[str, Any]]

# Okabe and Ito (2008), safe for colour-blind readers, without the yellow that vanishes on white and the black that is
# the benchmark's; then others that stay apart from them and from each other.
LINE_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C", "#7A3E9D"),
    *("#8C510A", "#A6BD1B", "#35978F", "#E7298A", "#5C5CD6", "#A50F15", "#4D6600", "#B08CFF"),
)
#: Of the series that all others are measured by.
REFERENCE_COLOUR = "black"
# Tol's muted scheme (2021): ten fills that stay apart for colour-blind readers.
FILL_COLOURS = (
    *("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677"),
    *("#44AA99", "#882255", "#999933", "#AA4499", "#661100"),
)
CASH_COLOUR, BORROWED_COLOUR, OTHER_COLOUR = "#E4E4E4", "#C4B8B0", "#9A9A9A"
DASHES = 4


@dataclass(frozen=True)
class Trace:
    """One series: a line, an area of a stack, or bars.

    Attributes
    ----------
    name : str
    x : ndarray of shape (M,)
        Times, step numbers, or the names of bars.
    y : ndarray of shape (M,)
    colour : str
    dash : int
        0 is solid.
    width : float
    figure, remark : str
        What the legend says before and after the name.
    rank : float
        The legend lists traces by it, the smallest first.
    ruin : int, optional
        The point where everything was lost.
    """

    name: str
    x: Times
    y: Floats
    colour: str
    dash: int = 0
    width: float = 1.4
    figure: str = ""
    remark: str = ""
    rank: float = 0.0
    ruin: int | None = None


@dataclass(frozen=True)
class Chart:
    """Series on shared axes.

    Attributes
    ----------
    traces : sequence of Trace
    kind : {"lines", "steps", "areas", "spikes", "bars", "spreads"}
        Steps and areas hold each value up to its time; areas are stacked, shorts below zero. Spreads have a row a
        trace, which its five values span: two ends, the middle half and the median.
    unit : {"money", "percent", "number"}
        Of the values.
    dated : bool
        Whether the time axis is made of dates.
    title : str
        Heading of the chart in a report.
    ylabel, legend, xlabel : str
        Headings of the axis of values, of the legend and of the other axis (default: dates need none, else "Step").
    marks : mapping of name to position
        Lines across the other axis, with a dot where the first trace has a value.
    level : (float, str), optional
        A dotted line across, and its name in the legend (none if empty).
    limits : (float, float), optional
        Of the axis of values.
    log, fill : bool
        A logarithmic axis of values; whether the space between a line and zero is filled.
    """

    traces: Sequence[Trace]
    kind: Literal["lines", "steps", "areas", "spikes", "bars", "spreads"]
    unit: Literal["money", "percent", "number"]
    dated: bool
    ylabel: str = ""
    legend: str | None = None
    level: tuple[float, str] | None = None
    limits: tuple[float, float] | None = None
    log: bool = False
    fill: bool = False
    xlabel: str = "Step"
    marks: Mapping[str, float] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True)
class Line:
    """One strategy's record on the time axis, which has shape (T,); the time of initial wealth where it is known.

    ``money`` is wealth before the first period and after each, where money was paid in or taken out.
    """

    times: Times
    path: Record
    origin: Any = None
    money: Floats | None = None


def look(number: int, width: float = 1.4) -> dict[str, Any]:
    """Colour and dash of the n-th line: all colours first, then all again dashed."""
    colours = len(LINE_COLOURS)
    return {"colour": LINE_COLOURS[number % colours], "dash": number // colours % DASHES, "width": width}


def looks(names: Iterable[str], reference: str | None = None, width: float = 1.4) -> dict[str, dict[str, Any]]:
    """A look for each name, no colour twice as long as they last; the reference is black."""
    found = {name: look(number, width) for number, name in enumerate(name for name in names if name != reference)}
    return found | ({} if reference is None else {reference: {"colour": REFERENCE_COLOUR, "width": width}})


def is_dated(times: Times) -> bool:
    """Whether times are dates."""
    return bool(times.dtype.kind == "M")


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


def lines_of(returns: Returns, timeline: object = None, start: object = None) -> dict[str, Line]:
    """Check returns and put them on one time axis.

    The timeline is the one given, else the dates of each record, else 1, 2, … T with the origin at 0.

    Raises
    ------
    DataError
        If the returns of a strategy (named) cannot be used.
    PortfolioError
        If a length differs from the timeline's, or some strategies have dates and others do not.
    """
    shared = None if timeline is None else times_of(timeline)
    lines: dict[str, Line] = {}
    for name, path in named_records(returns).items():
        if shared is not None and shared.size != path.values.size:
            raise PortfolioError(f"{name!r} has {path.values.size} returns, the timeline has {shared.size} entries")
        if shared is None and path.dates is None:
            lines[name] = Line(np.arange(1.0, path.values.size + 1.0), path, 0.0)
        else:
            times = times_of(path.dates) if shared is None else shared
            lines[name] = Line(times, path, _origin(times, start))
    if len({is_dated(line.times) for line in lines.values()}) > 1:
        raise PortfolioError("some strategies have dates and others do not; pass a timeline")
    return lines


def _origin(times: Times, start: object) -> Any:
    """The date of initial wealth, where it was given."""
    if start is None or not is_dated(times):
        return None
    origin = pd.Timestamp(start).tz_localize(None).to_datetime64()  # type: ignore[arg-type]
    if origin >= times[0]:
        raise PortfolioError(f"start {start} must come before the first date, {times[0]}")
    return origin.astype(times.dtype)


def _dated(lines: Mapping[str, Line]) -> bool:
    return is_dated(next(iter(lines.values())).times)


def wealth_chart(lines: Mapping[str, Line], initial: float, *, log: bool, styles: Styles | None = None) -> Chart:
    """Wealth; on a logarithmic axis a line stops, marked, at ruin. The legend lists the best first."""
    initial = positive("initial wealth", initial)
    styles = looks(lines, width=1.6 if len(lines) <= 4 else 1.3) if styles is None else styles
    traces = []
    for name, line in lines.items():
        begin = 1 if line.origin is None else 0
        wealth = (initial * line.path.wealth if line.money is None else line.money)[begin:]
        times = line.times if begin else np.concatenate(([line.origin], line.times))
        final, remark, ruin = float(wealth[-1]), "", None
        if final <= 0.0:
            stop = int(np.argmax(wealth <= 0.0))
            moment = np.datetime_as_string(times[stop], "D") if is_dated(times) else f"at step {times[stop]:g}"
            remark = f" (ruin {moment})"
            if stop == 0:  # ruined in the first step: show where it stood before
                times, wealth = times[:1], np.array([initial])
            elif log:
                times, wealth = times[:stop], wealth[:stop]
            ruin = min(stop, wealth.size - 1)
        more: dict[str, Any] = {"figure": money(final, zeros=True), "remark": remark, "rank": -final, "ruin": ruin}
        traces.append(Trace(name, times, wealth, **styles[name], **more))
    axis: dict[str, Any] = {"level": (initial, "breakeven"), "log": log}
    return Chart(traces, "lines", "money", _dated(lines), "Wealth", "Final wealth", **axis, title="Wealth")


def drawdown_chart(lines: Mapping[str, Line], styles: Styles | None = None) -> Chart:
    """Percent below the peak, filled where there is one strategy. The legend lists the mildest first."""
    styles = looks(lines, width=1.1) if styles is None else styles
    traces = []
    for name, line in lines.items():
        worst = 100.0 * line.path.max_drawdown
        figure = f"{'−' if worst else ''}{worst:.1f}%"
        traces.append(Trace(name, line.times, -100.0 * line.path.drawdowns, **styles[name], figure=figure, rank=worst))
    deepest = max(trace.rank for trace in traces)
    limits = (-1.05 * deepest if deepest > 0 else -1.0, 0.0)
    axis: dict[str, Any] = {"limits": limits, "fill": len(lines) == 1}
    return Chart(traces, "lines", "percent", _dated(lines), "Below the peak", "Maximum", **axis, title="Drawdown")


def curves_chart(
    curves: Mapping[str, npt.ArrayLike], times: Times, unit: Unit, styles: Styles | None = None, **options: Any
) -> Chart:
    """Values of several series over time, fractions where the unit is percent."""
    styles = looks(curves) if styles is None else styles
    scale = 100.0 if unit == "percent" else 1.0
    traces = [Trace(name, times, scale * np.asarray(curve), **styles[name]) for name, curve in curves.items()]
    return Chart(traces, **{"kind": "lines", "unit": unit, "dated": is_dated(times), "level": (0.0, ""), **options})


def leverage_chart(leverage: Returns, lines: Mapping[str, Line]) -> Chart:
    """Leverage held in each period, by the names of the lines it belongs to.

    Raises
    ------
    DataError
        If a leverage is not made of numbers.
    PortfolioError
        If a name has no returns, or a length differs.
    """
    named = by_name(leverage)
    if len(named) == len(lines) == 1:
        named = dict(zip(lines, named.values(), strict=True))
    held = {name: as_floats(series, f"leverage of {name!r}") for name, series in named.items()}
    for name, values in held.items():
        if name not in lines:
            raise PortfolioError(f"leverage of {name!r}: no returns of that name")
        if values.size != lines[name].times.size:
            raise PortfolioError(f"leverage of {name!r} has {values.size} values for {lines[name].times.size} returns")
    styles = looks(lines, width=1.2)
    traces = [Trace(name, lines[name].times, held[name], **styles[name]) for name in lines if name in held]
    return Chart(traces, "steps", "number", _dated(lines), "Leverage", level=(1.0, ""))


def weights_chart(weights: object, timeline: object = None, top: int = 10) -> Chart:
    """Weights stacked: the largest assets by mean size, the others summed, between debt and cash.

    Raises
    ------
    DataError
        If the weights are not finite numbers.
    PortfolioError
        If lengths differ or ``top`` is below 1.
    """
    if top < 1:
        raise PortfolioError(f"top must be 1 or more, got {top}")
    values, index, names = table_of(weights, "weights")
    timeline = index if timeline is None else timeline
    times = np.arange(1.0, len(values) + 1.0) if timeline is None else times_of(timeline)
    if times.size != len(values):
        raise PortfolioError(f"weights have {len(values)} rows, the timeline has {times.size} entries; they must agree")
    sizes = np.abs(values).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    shown, rest = sorted(order[:top]), order[top:]
    cash = 1.0 - values.sum(axis=1)
    # What is left over by rounding is neither cash nor debt.
    cash = np.where(np.abs(cash) < 1e-9, 0.0, cash)
    parts = [("borrowed", np.minimum(cash, 0.0), BORROWED_COLOUR)]
    parts += [(names[i], values[:, i], FILL_COLOURS[n % len(FILL_COLOURS)]) for n, i in enumerate(shown)]
    if rest.size:
        name = f"{rest.size} others" if rest.size > 1 else names[rest[0]]
        parts.append((name, values[:, rest].sum(axis=1), OTHER_COLOUR))
    parts.append(("cash", np.maximum(cash, 0.0), CASH_COLOUR))
    # Each row was held up to its time, so the first needs a time before it.
    unit = np.timedelta64(1, "D") if is_dated(times) else 1.0
    times = np.concatenate(([times[0] - (times[1] - times[0] if times.size > 1 else unit)], times))
    table = 100.0 * np.column_stack([part for _, part, _ in parts])
    low, high = np.minimum(table, 0.0).sum(axis=1).min(), np.maximum(table, 0.0).sum(axis=1).max()
    traces = [
        Trace(name, times, np.concatenate((column[:1], column)), colour, rank=-number)
        for number, ((name, _, colour), column) in enumerate(zip(parts, table.T, strict=True))
        if column.any()
    ]
    limits, level = (1.03 * low, high if high <= 100.0 + 1e-6 else 1.03 * high), (0.0, "") if low < 0 else None
    axis: dict[str, Any] = {"limits": limits, "level": level}
    return Chart(traces, "areas", "percent", is_dated(times), "Fraction of wealth", **axis, title="Weights")


def growth_chart(
    leverages: npt.ArrayLike,
    growth: npt.ArrayLike,
    quadratic: npt.ArrayLike | None,
    marks: Mapping[str, float],
    scale: float,
    ylabel: str,
) -> Chart:
    """Exact and approximate growth times ``scale``, on an axis that the fall near ruin does not stretch.

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
    found = curves["exact"][np.isfinite(curves["exact"])]
    if x.size < 2 or not (np.diff(x) > 0).all() or not found.size:
        raise PortfolioError("leverages must rise, two at least, and some growth must be finite")
    styles: tuple[dict[str, Any], ...] = ({"colour": LINE_COLOURS[0], "width": 2.2}, {"colour": "#555555", "dash": 1})
    traces = [
        Trace(name, x, np.where(np.isfinite(curve), curve, np.nan), **style)
        for (name, curve), style in zip(curves.items(), styles, strict=False)
    ]
    peak, bottom = max(float(found.max()), 0.0), min(float(found.min()), 0.0)
    reach = peak or abs(bottom)
    limits = (max(bottom, -reach) - 0.08 * reach, peak + 0.15 * reach)
    more: dict[str, Any] = {"limits": limits, "level": (0.0, ""), "xlabel": "Leverage", "marks": marks}
    return Chart(traces, "lines", "percent", False, ylabel, **more)
