"""Charts of returns, weights, leverage and growth.

Each function returns a matplotlib ``Figure`` that belongs to nobody else: pyplot's state is not
touched, and nothing opens a window, unless ``show=True`` and there is a display. matplotlib is
imported when the first chart is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy.typing as npt
import pandas as pd

import opeslike.analysis.drawing as drawing
from opeslike.analysis.canvas import date_axis, finish, new_canvas, new_figure
from opeslike.analysis.drawdown import checked_initial
from opeslike.analysis.inputs import SeriesLike, checked_periods
from opeslike.analysis.output import SaveFig
from opeslike.analysis.tables import cells
from opeslike.analysis.timelines import (
    Line,
    growth_curves,
    is_dated,
    leverages_of,
    lines_of,
    share_dates,
    weights_table,
)
from opeslike.errors import PortfolioError
from opeslike.sizing import GrowthCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Returns: TypeAlias = "Mapping[str, SeriesLike] | pd.DataFrame | SeriesLike"


def plot_wealth(
    returns: Returns,
    timeline: object = None,
    initial_wealth: float = 1.0,
    savefig: SaveFig = False,
    *,
    ax: Axes | None = None,
    title: str | None = "Wealth",
    log: bool = True,
    start: object = None,
    show: bool = False,
) -> Figure:
    """Wealth of one or several strategies over time, ``initial_wealth * prod(1 + r)``.

    Parameters
    ----------
    returns : mapping of name to returns, DataFrame, Series or array
        Simple returns per period, shape (T,) each. A single array is called "Strategy".
    timeline : sequence of dates or numbers of length T, optional
        When each period ended. Default: the dates of the Series, else 1, 2, … T.
    initial_wealth : float
        Wealth before the first period; the dotted breakeven line lies there.
    savefig : bool or path
        A path to write to (format by its suffix, PNG without one), or True for
        ``plot_<milliseconds>.png`` in the current folder.
    ax : matplotlib Axes, optional
        Draw on these instead of a figure of its own.
    title : str, optional
        Heading.
    log : bool
        Logarithmic wealth axis, on which equal slopes are equal growth. A line stops at ruin, with a
        cross, since zero has no place there.
    start : date, optional
        The date of initial wealth; the lines then start there.
    show : bool
        Open a window where there is a display; without one nothing happens.

    Returns
    -------
    matplotlib.figure.Figure
        The legend lists the strategies with their final wealth, best first.

    Raises
    ------
    DataError
        If returns cannot be used (strategy and date are named).
    PortfolioError
        If a strategy's length differs from the timeline's, there is no strategy, or a parameter is
        out of its range.
    OutputError
        If the file cannot be written.
    """
    initial = checked_initial(initial_wealth)
    lines = lines_of(returns, timeline, start)
    fig, axes = new_canvas(ax, show, savefig)
    drawn = drawing.draw_wealth(axes, lines, initial, log=log)
    drawing.wealth_axis(axes, title, log=log)
    date_axis(axes, share_dates(lines))
    drawing.legend(axes, drawn, "Final wealth", outside=ax is None)
    return finish(fig, savefig, show)


def plot_drawdowns(
    returns: Returns,
    timeline: object = None,
    savefig: SaveFig = False,
    *,
    ax: Axes | None = None,
    title: str | None = "Drawdown",
    show: bool = False,
) -> Figure:
    """Loss since the peak over time, in percent, the peak starting at initial wealth.

    Parameters
    ----------
    returns : mapping of name to returns, DataFrame, Series or array
        Simple returns per period, shape (T,) each.
    timeline, savefig, ax, title, show
        As in :func:`plot_wealth`.

    Returns
    -------
    matplotlib.figure.Figure
        The legend lists the strategies with their maximum drawdown, smallest first. More than four
        get a panel each.

    Raises
    ------
    DataError, PortfolioError, OutputError
        As :func:`plot_wealth`.
    """
    lines = lines_of(returns, timeline)
    dates = share_dates(lines)
    if ax is None and len(lines) > 4:
        return finish(_drawdown_panels(lines, title, dates, show, savefig), savefig, show)
    fig, axes = new_canvas(ax, show, savefig)
    drawn = drawing.draw_drawdowns(axes, lines)
    axes.set_ylim(drawing.floor(lines), 0.0)
    drawing.tidy(axes, title, "Below the peak")
    drawing.percent_axis(axes)
    date_axis(axes, dates)
    drawing.legend(axes, drawn, "Maximum", outside=ax is None)
    return finish(fig, savefig, show)


def _drawdown_panels(lines: dict[str, Line], title: str | None, dates: bool, show: bool, savefig: SaveFig) -> Figure:
    """A panel a strategy on shared axes, for more of them than one panel can show."""
    columns = 2 if len(lines) <= 8 else 4
    rows = -(-len(lines) // columns)
    height = 1.0 + 1.5 * rows
    # Panels of one size need no layout engine, which would measure every label of each.
    fig = new_figure(show, savefig, (11.0, height), layout="none")
    fig.subplots_adjust(
        0.06, 0.35 / height, 0.98, 1.0 - 0.6 / height, wspace=0.08 if columns == 2 else 0.14, hspace=0.3
    )
    grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (name, line) in zip(grid.ravel(), lines.items(), strict=False):
        ((_, label),) = drawing.draw_drawdowns(axes, {name: line})
        drawing.tidy(axes, None, "")
        axes.set_title(label, loc="left", fontsize=9, pad=3)
        axes.tick_params(labelsize=8)
    grid[0, 0].set_ylim(drawing.floor(lines), 0.0)
    drawing.percent_axis(grid[0, 0])
    date_axis(grid[0, 0], dates, ticks=6 if columns == 2 else 4)
    for axes in grid.ravel()[len(lines) :]:
        axes.set_axis_off()
    if title:
        fig.suptitle(drawing.plain(title, 120), x=0.06, y=1.0 - 0.2 / height, ha="left", fontsize=12, fontweight="bold")
    return fig


def plot_weights(
    weights: pd.DataFrame | npt.ArrayLike,
    timeline: object = None,
    savefig: SaveFig = False,
    *,
    top: int = 10,
    ax: Axes | None = None,
    title: str | None = "Weights",
    show: bool = False,
) -> Figure:
    """Weights over time as stacked areas: long above zero, short and borrowed below.

    Parameters
    ----------
    weights : DataFrame or array, shape (T, N)
        Fractions of wealth held in each period; what is not in them is cash.
    timeline : sequence of dates or numbers of length T, optional
        When each period ended. Default: the frame's index, else 1, 2, … T.
    savefig, ax, title, show
        As in :func:`plot_wealth`.
    top : int
        Assets drawn on their own, by mean size; the others are summed.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If a weight is not a finite number (the asset and row are named).
    PortfolioError
        If the lengths differ or ``top`` is below 1.
    OutputError
        If the file cannot be written.
    """
    times, table = weights_table(weights, timeline, top)
    fig, axes = new_canvas(ax, show, savefig)
    drawn = drawing.draw_weights(axes, times, table, min(top, table.shape[1] - 2))
    drawing.tidy(axes, title, "Fraction of wealth")
    axes.set_xlim(times[0], times[-1])
    drawing.percent_axis(axes)
    date_axis(axes, is_dated(times))
    # Beside the areas even on axes of the caller: inside it would hide some.
    drawing.legend(axes, drawn)
    return finish(fig, savefig, show)


def plot_leverage(
    returns: Returns,
    leverage: Returns,
    timeline: object = None,
    initial_wealth: float = 1.0,
    savefig: SaveFig = False,
    *,
    title: str | None = "Wealth and leverage",
    log: bool = True,
    start: object = None,
    show: bool = False,
) -> Figure:
    """Wealth above the leverage that made it, on one time axis.

    Parameters
    ----------
    returns : mapping of name to returns, DataFrame, Series or array
        Simple returns per period, shape (T,) each.
    leverage : the same, of leverage
        Exposure over wealth held during each period, shape (T,); for some or all of the names.
    timeline, initial_wealth, savefig, title, log, start, show
        As in :func:`plot_wealth`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError, PortfolioError, OutputError
        As :func:`plot_wealth`; a PortfolioError too if a leverage has another length, or a name that
        ``returns`` has not.
    """
    initial = checked_initial(initial_wealth)
    lines = lines_of(returns, timeline, start)
    held = leverages_of(leverage, {name: line.values.size for name, line in lines.items()})
    fig = new_figure(show, savefig, (11.0, 7.5))
    upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    drawn = drawing.draw_wealth(upper, lines, initial, log=log)
    dates = share_dates(lines)
    drawing.wealth_axis(upper, title, log=log)
    date_axis(upper, dates)
    for number, (name, line) in enumerate(lines.items()):
        if name in held:
            look = drawing.line_look(number, width=1.2)
            lower.step(line.times, held[name], where="pre", **look)
    lower.axhline(1.0, color=drawing.GREY, linestyle=":", linewidth=1.0, zorder=1)
    drawing.tidy(lower, None, "Leverage")
    date_axis(lower, dates)
    drawing.legend(upper, drawn, "Final wealth")
    return finish(fig, savefig, show)


def plot_growth_curve(
    leverages: GrowthCurve | npt.ArrayLike,
    growth: npt.ArrayLike | None = None,
    quadratic: npt.ArrayLike | None = None,
    marks: Mapping[str, float] | None = None,
    savefig: SaveFig = False,
    *,
    periods_per_year: float | None = None,
    ax: Axes | None = None,
    title: str | None = "Growth against leverage",
    show: bool = False,
) -> Figure:
    """Log growth against leverage, with its optimum and limits marked.

    Parameters
    ----------
    leverages : GrowthCurve or array, shape (M,)
        What :func:`opeslike.sizing.growth_curve` returns, with all that follows; or rising leverages.
    growth : array, shape (M,)
        Exact mean log growth per period at each leverage; minus infinity or NaN from ruin on.
        Needed unless ``leverages`` is a curve.
    quadratic : array, shape (M,), optional
        Its quadratic approximation, drawn dashed.
    marks : mapping of name to leverage, optional
        For example the optimum, the zero-growth leverage and the ruin leverage: a line each, and a
        dot where the curve has a value. One that lies beyond the leverages is in the legend alone; one that is
        not finite is left out. By default the ``marks`` of a GrowthCurve.
    periods_per_year : float, optional
        If given, growth is shown a year; else per period.
    savefig, ax, title, show
        As in :func:`plot_wealth`.

    Returns
    -------
    matplotlib.figure.Figure
        The growth axis reaches as far below zero as the optimum lies above, for the curve falls
        without bound near ruin.

    Raises
    ------
    DataError
        If the arrays are not numbers.
    PortfolioError
        If growth is missing, lengths differ, leverages do not rise, or no growth is finite.
    OutputError
        If the file cannot be written.
    """
    if isinstance(leverages, GrowthCurve):
        curve, marks = leverages, leverages.marks if marks is None else marks
        leverages = curve.leverages
        growth = curve.growth if growth is None else growth
        quadratic = curve.approximation if quadratic is None else quadratic
    if growth is None:
        raise PortfolioError("growth is missing: give the growth at each leverage, or what growth_curve returns")
    scale = 100.0 * (1.0 if periods_per_year is None else checked_periods(periods_per_year))
    x, curves = growth_curves(leverages, growth, quadratic, scale)
    fig, axes = new_canvas(ax, show, savefig)
    drawn = drawing.draw_growth(axes, x, curves, marks or {})
    unit = "per period" if periods_per_year is None else "a year"
    drawing.tidy(axes, title, f"Log growth {unit}")
    drawing.percent_axis(axes)
    axes.set_xlabel("Leverage")
    drawing.legend(axes, drawn, outside=ax is None)
    return finish(fig, savefig, show)


def plot_sweep(
    returns: Mapping[str, SeriesLike] | pd.DataFrame,
    timeline: object = None,
    initial_wealth: float = 1.0,
    savefig: SaveFig = False,
    *,
    table: pd.DataFrame | None = None,
    reference: str | None = None,
    title: str | None = "Wealth by setting",
    log: bool = True,
    start: object = None,
    show: bool = False,
) -> Figure:
    """Wealth for each setting of a sweep, coloured in the order given, above a table of figures.

    Parameters
    ----------
    returns : mapping of setting to returns, or DataFrame
        Simple returns per period, shape (T,) each, in the order of the setting.
    table : DataFrame, optional
        A row a figure and a column a setting, such as ``metrics_table`` returns; printed below with
        settings as rows.
    reference : str, optional
        Name of a line that is no setting, such as the benchmark: drawn in black above the others.
    timeline, initial_wealth, savefig, title, log, start, show
        As in :func:`plot_wealth`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError, PortfolioError, OutputError
        As :func:`plot_wealth`; a PortfolioError too if there is no line of the name ``reference``.
    """
    from matplotlib import colormaps

    initial = checked_initial(initial_wealth)
    lines = lines_of(returns, timeline, start)
    if reference is not None and reference not in lines:
        raise PortfolioError(f"reference {reference!r} is not among the lines: {', '.join(lines)}")
    looks = drawing.sweep_looks(list(lines), reference, colormaps["viridis"])
    text = None if table is None else cells(table).T
    below = 0.0 if text is None else 0.27 * (len(text) + 2)
    fig = new_figure(show, savefig, (11.0, 5.5 + below))
    if text is None:
        axes = fig.subplots()
    else:
        axes, lower = fig.subplots(2, 1, height_ratios=(5.5, below))
        drawing.draw_table(lower, text)
    drawn = drawing.draw_wealth(axes, lines, initial, log=log, looks=looks)
    drawing.wealth_axis(axes, title, log=log)
    date_axis(axes, share_dates(lines))
    drawing.legend(axes, drawn, "Final wealth")
    return finish(fig, savefig, show)
