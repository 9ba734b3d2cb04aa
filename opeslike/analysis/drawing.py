"""Charts drawn with matplotlib: figures that belong to nobody else, written, and shown where there is a display.

matplotlib is imported when the first chart is drawn; pyplot only where a window was asked for and can open.
"""

from __future__ import annotations

import io
import math
import os
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from opeslike.analysis.charts import REFERENCE_COLOUR, Chart, Trace, look
from opeslike.analysis.formats import money, percent, short
from opeslike.analysis.output import SaveFig, chart_path, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure
else:
    Figure = Any  # imported with the first chart that is drawn
Axes: TypeAlias = Any
#: What the legend shows: an artist and its text.
Drawn: TypeAlias = "list[tuple[Any, str]]"

LINE_STYLES: tuple[Any, ...] = ("-", (0, (6, 1.6)), (0, (1.4, 1.2)), (0, (7, 1.6, 1.4, 1.6)))
GREY = "#555555"
#: Charts whose values run along the other axis.
LYING = ("bars", "spreads")
#: Inches: the width of a small figure, and the heights of its axes, of what stands above and below them and of a line
#: of its legend. Fixed, because a layout engine would draw everything twice.
WIDTH, HEIGHT, TOP, BELOW, LINE = 4.4, 2.2, 0.12, 0.38, 0.19
#: Areas of more corners than this are drawn as pixels, which are smaller then.
MANY_POINTS = 400


def plain(text: object, width: int = 44) -> str:
    """A name as literal text: one line, no mathematics between dollar signs, not too long."""
    return short(text, width).replace("$", r"\$")


def draw(ax: Axes, chart: Chart, width: int = 44) -> Drawn:
    """Draw a chart on axes, with grid, labels and limits; what belongs in the legend, names up to ``width`` long."""
    handles = _stack(ax, chart.traces) if chart.kind == "areas" else [_draw(ax, chart, each) for each in chart.traces]
    ranked = sorted(zip(chart.traces, handles, strict=True), key=lambda pair: pair[0].rank)
    shown = [(handle, f"{t.figure}{'  ' * bool(t.figure)}{plain(t.name, width)}{t.remark}") for t, handle in ranked]
    if chart.level is not None:
        level, name = chart.level
        solid = {"linestyle": "-", "color": "black", "linewidth": 0.8}
        style = solid if level == 0.0 else {"linestyle": ":", "color": GREY, "linewidth": 1.0, "zorder": 1}
        line = ax.axhline(level, **style)
        shown += [(line, name)] if name else []
    shown += _draw_marks(ax, chart)
    if chart.kind == "areas":
        ax.set_xlim(chart.traces[0].x[0], chart.traces[0].x[-1])
    if chart.kind == "spreads":
        ax.set_yticks([trace.x[0] for trace in chart.traces], [plain(trace.name, 18) for trace in chart.traces])
    if chart.kind in LYING:
        ax.grid(False, axis="y")
        if chart.kind == "bars":
            ax.axvline(0.0, color="black", linewidth=0.8)
        if chart.unit == "percent":
            ax.xaxis.set_major_formatter(lambda value, _: percent(value))
    else:
        _value_axis(ax, chart)
    tidy(ax, chart.ylabel)
    return shown


def _draw(ax: Axes, chart: Chart, trace: Trace) -> Any:
    style: dict[str, Any] = {"color": trace.colour}
    if chart.kind == "spikes":
        return ax.vlines(trace.x, 0.0, trace.y, linewidth=0.9, **style)
    if chart.kind == "bars":
        colours = np.where(trace.y >= 0, trace.colour, look(1)["colour"])
        ax.set_yticks(np.arange(trace.x.size), [plain(name, 18) for name in trace.x])
        return ax.barh(np.arange(trace.x.size), trace.y, color=colours, height=0.7)
    if chart.kind == "spreads":
        row, (low, left, middle, right, high) = trace.x[0], trace.y
        ax.hlines(row, low, high, linewidth=1.2, **style)
        ax.plot([middle], [row], "|", color="white", markersize=7, markeredgewidth=1.6, zorder=5)
        return ax.hlines(row, left, right, linewidth=7.0, **style)
    style |= {"linestyle": LINE_STYLES[trace.dash], "linewidth": trace.width}
    style |= {"zorder": 3} if trace.colour == REFERENCE_COLOUR else {}
    if chart.fill:
        ax.fill_between(trace.x, trace.y, 0.0, color=trace.colour, alpha=0.25, linewidth=0)
    if chart.kind == "steps":
        return ax.step(trace.x, trace.y, where="pre", **style)[0]
    (handle,) = ax.plot(trace.x, trace.y, marker="o" if trace.x.size == 1 else None, **style)
    if trace.ruin is not None:
        style |= {"markersize": 9, "markeredgecolor": "white", "zorder": 5}
        ax.plot(trace.x[[trace.ruin]], trace.y[[trace.ruin]], "X", **style)
    return handle


def _stack(ax: Axes, traces: Sequence[Trace]) -> list[Any]:
    """Stack areas, gains above zero and shorts below, each held up to its time."""
    above, below = np.zeros(traces[0].y.size), np.zeros(traces[0].y.size)
    handles = []
    for trace in traces:
        # A thin edge in the fill's colour closes the seams between areas.
        style = {"step": "pre", "color": trace.colour, "linewidth": 0.3, "rasterized": trace.y.size > MANY_POINTS}
        parts = []
        for base, side in ((above, np.maximum(trace.y, 0.0)), (below, np.minimum(trace.y, 0.0))):
            if side.any():
                # Where it has height, one step wider so that its borders are drawn.
                high = side != 0.0
                where = high | np.roll(high, -1) | np.roll(high, 1)
                parts.append(ax.fill_between(trace.x, base, base + side, where=where, **style))
                base += side
        handles.append(parts[0])
    return handles


def _value_axis(ax: Axes, chart: Chart) -> None:
    """The axis of values, labelled in its unit; a logarithmic one with round numbers, also after zooming."""
    if chart.limits is not None:
        ax.set_ylim(*chart.limits)
    elif chart.kind == "spikes":
        ax.set_ylim(bottom=0.0)
    if chart.unit != "number" and not chart.log:
        written = percent if chart.unit == "percent" else money
        ax.yaxis.set_major_formatter(lambda value, _: written(value))
    if not chart.log:
        return
    ax.set_yscale("log")
    ax.minorticks_off()

    def relabel(axes: Axes) -> None:
        low, high = axes.get_ylim()
        if 0 < low < high < math.inf:
            ticks = log_ticks(low, high)
            axes.set_yticks(ticks, tick_labels(ticks))

    ax.callbacks.connect("ylim_changed", relabel)
    ax.margins(y=0.06)
    ax.autoscale_view()
    relabel(ax)


def log_ticks(low: float, high: float) -> Sequence[float]:
    """Round numbers to label on a logarithmic axis, some four to ten of them."""
    ratio = high / low
    if ratio < 4.0:
        from matplotlib.ticker import MaxNLocator

        ticks = MaxNLocator(7, steps=(1, 2, 2.5, 5, 10)).tick_values(low, high)
        return [float(f"{tick:.10g}") for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for ladder in ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [tick for power in powers for m in ladder if low <= (tick := float(f"{m}e{power}")) <= high]
        if len(ticks) <= 10:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 9)]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The shortest labels that differ from each other."""
    for digits in range(4, 16):
        labels = [money(tick, digits) for tick in ticks]
        if len(set(labels)) == len(labels):
            break
    return labels


def tidy(ax: Axes, ylabel: str, title: str | None = None) -> None:
    """Light grid, no box, a title on the left."""
    ax.grid(True, color="#D9D9D9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0.01)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(plain(title, 120), loc="left", fontsize=12, fontweight="bold")


def other_axis(ax: Axes, chart: Chart, ticks: int | None = None) -> None:
    """Label the axis that is not of values: with dates, or by its name."""
    if not chart.dated:
        ax.set_xlabel(chart.xlabel)
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # Few ticks with many at least asked for would make the locator warn.
    locator = AutoDateLocator(minticks=3 if ticks is None else 1, maxticks=ticks)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def place(ax: Axes, chart: Chart, title: str | None, *, outside: bool = True) -> None:
    """Draw a chart on axes with its title and its legend, beside them or inside."""
    drawn = draw(ax, chart)
    tidy(ax, chart.ylabel, title)
    other_axis(ax, chart)
    # Beside stacked areas even on axes of the caller: inside it would hide some.
    if chart.kind not in LYING:
        legend(ax, drawn, chart.legend, outside=outside or chart.kind == "areas")


def legend(ax: Axes, drawn: Drawn, title: str | None = None, *, outside: bool = True) -> None:
    """Legend of what was drawn, beside the axes or inside them."""
    place = {"bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0} if outside else {}
    look = {"fontsize": 9 if len(drawn) <= 16 else 7, "title_fontsize": 9, "alignment": "left", "handlelength": 2.8}
    _box(ax, drawn, title=title, loc="upper left", frameon=not outside, **look, **place)


def _box(owner: Any, drawn: Drawn, **style: Any) -> Any:
    """A legend, whose texts are set after it was made: a label that starts with an underscore would be left out."""
    box = owner.legend([handle for handle, _ in drawn], ["-"] * len(drawn), **style)
    for text, (_, label) in zip(box.get_texts(), drawn, strict=True):
        text.set_text(label)
    return box


def new_figure(
    show: bool, savefig: SaveFig, size: tuple[float, float] = (11.0, 5.5), layout: Any = "constrained"
) -> Figure:
    """An empty figure; pyplot's only where a window was asked for and can open."""
    chart_path(savefig)  # an unknown format is told before anything is drawn
    if show and display_kind() == "window":
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, layout=layout)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(fig)
    return fig


def display_kind() -> Literal["none", "window", "notebook"]:
    """Where matplotlib's backend can show a figure: nowhere, in a window of its own, or in the cell of a notebook."""
    import matplotlib

    backend = matplotlib.get_backend().lower()
    if "inline" in backend:
        return "notebook"
    if backend in {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}:
        return "none"
    if any(kind in backend for kind in ("nbagg", "webagg", "ipympl", "widget")):
        return "window"
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return "window" if not sys.platform.startswith("linux") or shown else "none"


def finish(fig: Figure, savefig: SaveFig, show: bool) -> Figure:
    """Write and show the figure where that was asked for; a notebook shows it once, however it came there."""
    target = chart_path(savefig)
    if target is not None:
        write_atomically(target, picture(fig, target.suffix[1:].lower(), dpi=150))
    # IPython asks the value of a cell for this first, whatever formatters the backend has registered.
    vars(fig)["_ipython_display_"] = partial(_display_once, fig)
    where = display_kind() if show else "none"
    if where == "notebook":
        _display_once(fig)
    elif where == "window":
        import matplotlib.pyplot as plt

        plt.show()
        vars(fig)["_shown_in"] = _cell()
    return fig


def _display_once(fig: Figure) -> None:
    """Show the figure in the cell of a notebook, unless that cell shows it already."""
    shown_in = vars(fig).get("_shown_in")
    if shown_in is None or shown_in != _cell():
        show = import_module("IPython.display").display
        show({"image/png": picture(fig, "png", dpi=96)}, raw=True)
        vars(fig)["_shown_in"] = _cell()


def _cell() -> int | None:
    """The number of the cell that runs; None outside a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "execution_count", None)


def picture(fig: Figure, form: str, **options: Any) -> bytes:
    """A figure as the content of a file, the same each time."""
    from matplotlib import rc_context

    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "report"}):
        fig.savefig(content, format=form, **options)
    return content.getvalue()


def small(chart: Chart) -> Figure:
    """A chart small enough for a phone, two of them abreast on a desk, its legend below in as many columns as fit."""
    fig = new_figure(False, False, (WIDTH, TOP + HEIGHT + BELOW), "none")
    ax = fig.subplots()
    drawn = draw(ax, chart, 16 if chart.kind == "areas" else 44)
    ax.set_ylabel("")
    ax.tick_params(labelsize=9.5)
    lines = 0
    if chart.kind not in LYING:
        other_axis(ax, chart, 7)
        ax.set_xlabel("" if chart.dated else "Step", loc="right", labelpad=-10.0, fontsize=8)
        lines = _legend_below(fig, drawn) if chart.kind != "spikes" else 0
    total = TOP + HEIGHT + BELOW + LINE * lines
    fig.set_size_inches(WIDTH, total)
    left = 0.31 if chart.kind in LYING else 0.15
    fig.subplots_adjust(left, (BELOW + LINE * lines) / total, 0.955, 1.0 - TOP / total)
    return fig


def _legend_below(fig: Figure, drawn: Drawn) -> int:
    """Add a legend below the axes; its lines."""
    longest, size = max(len(label) for _, label in drawn), 9.5
    style: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 0.0), "frameon": False, "fontsize": size}
    style |= {"handlelength": 1.6, "columnspacing": 1.2, "labelspacing": 0.3, "borderaxespad": 0.0}
    for columns in range(4 if longest <= 10 else 3 if longest <= 16 else 2, 0, -1):
        box = _box(fig, drawn, ncols=columns, **style)
        excess = box.get_window_extent().width / fig.bbox.width
        if excess <= 1.0:
            break
        if columns > 1:
            box.remove()
        else:
            for text in box.get_texts():
                text.set_fontsize(0.97 * size / excess)
    return -(-len(drawn) // columns)


def draw_table(ax: Axes, text: pd.DataFrame) -> None:
    """Text cells on axes of their own, the heads wrapped."""
    ax.set_axis_off()
    heads = ["\n".join(textwrap.wrap(plain(name), 10)) for name in text.columns]
    rows = [plain(name, 28) for name in text.index]
    place = {"cellLoc": "right", "loc": "upper center", "bbox": [0.0, 0.0, 1.0, 1.0], "edges": "horizontal"}
    table = ax.table(cellText=text.to_numpy().tolist(), rowLabels=rows, colLabels=heads, **place)
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    lines = 1 + max(head.count("\n") for head in heads)
    for (row, _), each in table.get_celld().items():
        each.set_edgecolor("#D9D9D9")
        if row == 0:
            each.set_height((0.4 + 0.8 * lines) * each.get_height())


def _draw_marks(ax: Axes, chart: Chart) -> Drawn:
    """Vertical lines at named places, with a dot where the first curve has a value."""
    drawn: Drawn = []
    curve = chart.traces[0]
    for number, (name, at) in enumerate(chart.marks.items()):
        text, colour = f"{plain(name)}  {at:.4g}", look(number + 1)["colour"]
        if curve.x[0] <= at <= curve.x[-1]:
            line = ax.axvline(at, color=colour, linestyle=LINE_STYLES[number % 3 + 1], linewidth=1.3)
            drawn.append((line, text))
            ax.plot([at], [np.interp(at, curve.x, curve.y)], "o", color=colour, markersize=6, zorder=5)
        elif np.isfinite(at):  # a line out there would squeeze the curve
            drawn.append((ax.plot([], [], linestyle="none")[0], f"{text} (beyond)"))
    return drawn
