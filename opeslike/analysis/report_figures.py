"""The charts of a report: small enough for a phone, two abreast on a desk."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import opeslike.analysis.drawing as drawing
from opeslike.analysis.metrics import rolling_sharpe, rolling_volatility
from opeslike.analysis.report_tables import Source
from opeslike.analysis.timelines import lines_of, share_dates, weights_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches: the width, and the heights of axes, of what stands below them and of a line of the legend. Fixed, because a
#: layout engine would draw everything twice.
WIDTH, HEIGHT, TOP, BELOW, LINE = 5.4, 2.6, 0.12, 0.32, 0.19
TOP_ASSETS = 8
#: Areas of more corners than this are drawn as pixels, which are smaller then.
MANY_POINTS = 400


def windows(source: Source) -> tuple[int, int]:
    """Steps looked back on for Sharpe and volatility: half a year and a quarter, where there is that much."""
    most = max(len(source.result.returns) // 2, 2)
    half, quarter = round(source.periods_per_year / 2), round(source.periods_per_year / 4)
    return max(2, min(half, most)), max(2, min(quarter, most))


def paths(sources: Mapping[str, Source]) -> dict[str, pd.Series[Any]]:
    """Returns of every strategy, then of the benchmark, by name."""
    found = {name: source.result.returns for name, source in sources.items()}
    first = next(iter(sources.values()))
    if first.benchmark is not None:
        rival = first.rival if first.rival not in found else f"{first.rival} (benchmark)"
        found[rival] = first.benchmark
    return found


def wealth(sources: Mapping[str, Source]) -> Figure:
    """Wealth on a logarithmic axis."""
    first = next(iter(sources.values()))
    lines = lines_of(paths(sources), None, first.origin)
    fig, ax = _canvas()
    drawn = drawing.draw_wealth(ax, lines, first.result.initial_capital, log=True)
    drawing.wealth_axis(ax, None, log=True)
    ax.set_ylabel("")
    return _finish(fig, ax, drawn, dates=share_dates(lines))


def drawdown(sources: Mapping[str, Source]) -> Figure:
    """Loss since the peak."""
    lines = lines_of(paths(sources))
    fig, ax = _canvas()
    drawn = drawing.draw_drawdowns(ax, lines)
    ax.set_ylim(drawing.floor(lines), 0.0)
    drawing.tidy(ax, None, "")
    drawing.percent_axis(ax)
    return _finish(fig, ax, drawn, dates=share_dates(lines))


def sharpe(sources: Mapping[str, Source]) -> Figure:
    """Annual Sharpe ratio over a moving window."""
    first = next(iter(sources.values()))
    window, periods = windows(first)[0], first.periods_per_year
    curves = {
        name: rolling_sharpe(returns, window, first.risk_free, periods) for name, returns in paths(sources).items()
    }
    return _curves(curves, first, percent=False)


def volatility(sources: Mapping[str, Source]) -> Figure:
    """Annual volatility over a moving window."""
    first = next(iter(sources.values()))
    window, periods = windows(first)[1], first.periods_per_year
    curves = {name: rolling_volatility(returns, window, periods) for name, returns in paths(sources).items()}
    return _curves(curves, first, percent=True)


def weights(source: Source) -> Figure:
    """Weights as stacked areas."""
    times, table = weights_table(source.result.weights, _times(source), TOP_ASSETS)
    fig, ax = _canvas()
    drawn = drawing.draw_weights(ax, times, table, min(TOP_ASSETS, table.shape[1] - 2))
    if len(times) > MANY_POINTS:
        for area in ax.collections:
            area.set_rasterized(True)
    drawing.tidy(ax, None, "")
    ax.set_xlim(times[0], times[-1])
    drawing.percent_axis(ax)
    # Names come escaped; they are cut shorter here and escaped again.
    shorter = [(area, drawing.plain(name.replace(r"\$", "$"), 16)) for area, name in drawn]
    return _finish(fig, ax, shorter, dates=source.dated)


def exposure(source: Source) -> Figure:
    """Gross and net exposure, and cash."""
    result = source.result
    curves = {"gross": result.gross_exposure, "net": result.net_exposure, "cash": result.cash}
    return _curves(curves, source, percent=True, steps=True)


def turnover(source: Source) -> Figure:
    """What was traded at each step, as a fraction of wealth."""
    fig, ax = _canvas()
    times = _times(source)
    ax.vlines(times, 0.0, 100.0 * source.result["turnover"], color=drawing.LINE_COLOURS[0], linewidth=0.9)
    ax.set_ylim(bottom=0.0)
    drawing.tidy(ax, None, "")
    drawing.percent_axis(ax)
    return _finish(fig, ax, [], dates=source.dated)


def contributions(source: Source, table: pd.DataFrame) -> Figure:
    """Contributions to the total return as bars: the largest, gains at the top."""
    parts = table["contribution"].drop(index="total")
    parts = parts[parts != 0.0]
    largest = parts.reindex(parts.abs().sort_values(ascending=False, kind="stable").index[:12]).sort_values()
    fig, ax = _canvas()
    colours = [drawing.LINE_COLOURS[0] if value >= 0 else drawing.LINE_COLOURS[1] for value in largest]
    ax.barh(np.arange(len(largest)), 100.0 * largest.to_numpy(), color=colours, height=0.7)
    ax.set_yticks(np.arange(len(largest)), [drawing.plain(name, 18) for name in largest.index])
    ax.axvline(0.0, color="black", linewidth=0.8)
    drawing.tidy(ax, None, "")
    ax.grid(False, axis="y")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}%".replace("-", "−"))
    _place(fig, left=0.27)
    return fig


def as_image(fig: Figure) -> str:
    """A figure as the address of an SVG picture that holds it whole."""
    from matplotlib import rc_context

    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "report"}):
        fig.savefig(content, format="svg", dpi=160, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _curves(curves: Mapping[str, pd.Series[Any]], source: Source, *, percent: bool, steps: bool = False) -> Figure:
    fig, ax = _canvas()
    times, scale = _times(source), 100.0 if percent else 1.0
    drawn = []
    draw: Callable[..., Any] = ax.step if steps else ax.plot
    for number, (name, curve) in enumerate(curves.items()):
        more = {"where": "pre"} if steps else {}
        (handle,) = draw(times, scale * curve.to_numpy(), **drawing.line_look(number, 1.4), **more)
        drawn.append((handle, drawing.plain(name, 30)))
    drawing.tidy(ax, None, "")
    if percent:
        drawing.percent_axis(ax)
    ax.axhline(0.0, color="black", linewidth=0.6)
    return _finish(fig, ax, drawn, dates=source.dated)


def _times(source: Source) -> Any:
    if source.dated:
        timeline: Any = source.result.timeline
        return timeline.tz_localize(None)
    return np.arange(1.0, len(source.result.returns) + 1.0)


def _canvas() -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(WIDTH, TOP + HEIGHT + BELOW))
    FigureCanvasAgg(fig)
    return fig, fig.subplots()


def _place(fig: Figure, *, left: float = 0.13, lines: int = 0) -> None:
    """Set the margins, and the height for so many lines of legend."""
    total = TOP + HEIGHT + BELOW + LINE * lines
    fig.set_size_inches(WIDTH, total)
    fig.subplots_adjust(left, (BELOW + LINE * lines) / total, 0.955, 1.0 - TOP / total)


def _finish(fig: Figure, ax: Axes, drawn: Sequence[tuple[Any, str]], *, dates: bool) -> Figure:
    if dates:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    else:
        ax.set_xlabel("Step", loc="right", labelpad=-10.0, fontsize=8)
    lines = _legend(fig, drawn) if drawn else 0
    _place(fig, lines=lines)
    return fig


def _legend(fig: Figure, drawn: Sequence[tuple[Any, str]]) -> int:
    """Add a legend below the axes, in as many columns as fit; its lines."""
    handles, texts = zip(*drawn, strict=True)
    longest, size = max(map(len, texts)), 9.5
    for columns in range(4 if longest <= 10 else 3 if longest <= 20 else 2, 0, -1):
        box = fig.legend(
            handles, ["-"] * len(handles), loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=columns, frameon=False,
            fontsize=size, handlelength=1.6, columnspacing=1.2, labelspacing=0.3, borderaxespad=0.0,
        )  # fmt: skip
        # Set afterwards: a label that starts with an underscore would be left out.
        for text, name in zip(box.get_texts(), texts, strict=True):
            text.set_text(name)
        excess = box.get_window_extent().width / fig.bbox.width
        if excess <= 1.0:
            break
        if columns > 1:
            box.remove()
        else:
            for text in box.get_texts():
                text.set_fontsize(0.97 * size / excess)
    return -(-len(drawn) // columns)
