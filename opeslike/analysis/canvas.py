"""Figures that belong to nobody else: made, dated, written, and shown where there is a display."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from opeslike.analysis.output import SaveFig, chart_path, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def date_axis(ax: Axes, dates: bool, ticks: int | None = None) -> None:
    """Label the time axis with dates, or as steps."""
    if not dates:
        ax.set_xlabel("Step")
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # Few ticks with many at least asked for would make the locator warn.
    locator = AutoDateLocator(minticks=3 if ticks is None else 1, maxticks=ticks)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def new_figure(
    show: bool,
    savefig: SaveFig,
    size: tuple[float, float] = (11.0, 5.5),
    layout: Literal["constrained", "none"] = "constrained",
) -> Figure:
    """An empty figure; pyplot's only where a window was asked for and can open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart_path(savefig)  # an unknown format is told before anything is drawn
    if show and has_display():
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, layout=layout)
    fig = Figure(figsize=size, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(fig)
    return fig


def new_canvas(ax: Axes | None, show: bool, savefig: SaveFig) -> tuple[Figure, Axes]:
    """The caller's axes and their figure, or new ones."""
    if ax is None:
        fig = new_figure(show, savefig)
        return fig, fig.subplots()
    chart_path(savefig)
    owner: Any = ax.figure
    # Axes may sit in a subfigure; its figure is the whole.
    return owner.figure, ax


def has_display() -> bool:
    """Whether matplotlib's backend can show a figure here."""
    import matplotlib

    backend = matplotlib.get_backend().lower()
    if backend in {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}:
        return False
    if any(kind in backend for kind in ("inline", "nbagg", "webagg", "ipympl", "widget")):
        return True
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return not sys.platform.startswith("linux") or bool(shown)


def finish(fig: Figure, savefig: SaveFig, show: bool) -> Figure:
    """Write and show the figure where that was asked for."""
    target = chart_path(savefig)
    if target is not None:
        content = io.BytesIO()
        fig.savefig(content, format=target.suffix[1:].lower(), dpi=150)
        write_atomically(target, content.getvalue())
    if show and has_display():
        import matplotlib.pyplot as plt

        plt.show()
    return fig
