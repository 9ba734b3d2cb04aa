"""Charts of returns, weights, leverage and growth.

Each function returns a matplotlib ``Figure`` that belongs to nobody else: pyplot's state is not
touched, and nothing opens a window, unless ``show=True`` and there is a display. matplotlib is
imported when the first chart is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

import opeslike.analysis.charts as charts
import opeslike.analysis.drawing as drawing
from opeslike.analysis.drawing import Axes, Figure
from opeslike.analysis.output import SaveFig, chart_path
from opeslike.analysis.record import Returns, SeriesLike
from opeslike.analysis.tables import cells
from opeslike.checks import positive
from opeslike.errors import PortfolioError
from opeslike.sizing import GrowthCurve


def framed(chart: charts.Chart, ax: Axes | None, title: str | None, show: bool, savefig: SaveFig) -> Figure:
    """A chart on the caller's axes, or in a figure of its own with the legend beside it."""
    chart_path(savefig)
    axes = drawing.new_figure(show, savefig).subplots() if ax is None else ax
    drawing.place(axes, chart, title, outside=ax is None)
    # Axes may sit in a subfigure; its figure is the whole.
    return drawing.finish(axes.figure.figure, savefig, show)


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
    chart = charts.wealth_chart(charts.lines_of(returns, timeline, start), initial_wealth, log=log)
    return framed(chart, ax, title, show, savefig)


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
    chart = charts.drawdown_chart(charts.lines_of(returns, timeline))
    if ax is None and len(chart.traces) > 4:
        return _drawdown_panels(chart, title, show, savefig)
    return framed(chart, ax, title, show, savefig)


def _drawdown_panels(chart: charts.Chart, title: str | None, show: bool, savefig: SaveFig) -> Figure:
    """A panel a strategy on shared axes, for more of them than one panel can show."""
    columns = 2 if len(chart.traces) <= 8 else 4
    rows = -(-len(chart.traces) // columns)
    height = 1.0 + 1.5 * rows
    # Panels of one size need no layout engine, which would measure every label of each.
    fig = drawing.new_figure(show, savefig, (11.0, height), layout="none")
    gaps = {"wspace": 0.08 if columns == 2 else 0.14, "hspace": 0.3}
    fig.subplots_adjust(0.06, 0.35 / height, 0.98, 1.0 - 0.6 / height, **gaps)
    grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, trace in zip(grid.ravel(), chart.traces, strict=False):
        ((_, label),) = drawing.draw(axes, replace(chart, traces=[trace], ylabel="", fill=True))
        axes.set_title(label, loc="left", fontsize=9, pad=3)
        axes.tick_params(labelsize=8)
    drawing.other_axis(grid[0, 0], chart, ticks=6 if columns == 2 else 4)
    for axes in grid.ravel()[len(chart.traces) :]:
        axes.set_axis_off()
    if title:
        short = drawing.plain(title, 120)
        fig.suptitle(short, x=0.06, y=1.0 - 0.2 / height, ha="left", fontsize=12, fontweight="bold")
    return drawing.finish(fig, savefig, show)


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
    return framed(charts.weights_chart(weights, timeline, top), ax, title, show, savefig)


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
    lines = charts.lines_of(returns, timeline, start)
    wealth, held = charts.wealth_chart(lines, initial_wealth, log=log), charts.leverage_chart(leverage, lines)
    fig = drawing.new_figure(show, savefig, (11.0, 7.5))
    upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    drawing.place(upper, wealth, title)
    drawing.draw(lower, held)
    drawing.other_axis(lower, held)
    return drawing.finish(fig, savefig, show)


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
    scale = 100.0 * (1.0 if periods_per_year is None else positive("periods_per_year", periods_per_year))
    ylabel = f"Log growth {'per period' if periods_per_year is None else 'a year'}"
    chart = charts.growth_chart(leverages, growth, quadratic, marks or {}, scale, ylabel)
    return framed(chart, ax, title, show, savefig)


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
    from matplotlib.colors import to_hex

    lines = charts.lines_of(returns, timeline, start)
    if reference is not None and reference not in lines:
        raise PortfolioError(f"reference {reference!r} is not among the lines: {', '.join(lines)}")
    # A scale of colours over the settings, every second line dashed; the reference black and on top.
    styles = charts.looks(lines, reference, width=1.2)
    settings = [name for name in lines if name != reference]
    for number, (name, shade) in enumerate(zip(settings, np.linspace(0.0, 0.88, len(settings)), strict=True)):
        styles[name] |= {"colour": to_hex(colormaps["viridis"](shade)), "dash": number % 2}
    chart = charts.wealth_chart(lines, initial_wealth, log=log, styles=styles)
    text = None if table is None else cells(table).T
    below = 0.0 if text is None else 0.27 * (len(text) + 2)
    fig = drawing.new_figure(show, savefig, (11.0, 5.5 + below))
    axes = fig.subplots(1 if text is None else 2, 1, squeeze=False, height_ratios=(5.5, below)[: 1 + (below > 0)])[:, 0]
    if text is not None:
        drawing.draw_table(axes[1], text)
    drawing.place(axes[0], chart, title)
    return drawing.finish(fig, savefig, show)
