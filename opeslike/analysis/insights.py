"""Figures of the answers of :mod:`opeslike.insight`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import opeslike.analysis.drawing as drawing
from opeslike.analysis.drawing import Axes, Figure
from opeslike.analysis.output import SaveFig, chart_path
from opeslike.errors import PortfolioError
from opeslike.insight import Breakdown, Finding, Frontier, Influence, Ranges, Regret, Screen, Uncertainty

GREEN, RED, GREY, BLUE = "#2A7F62", "#C0504D", "#9A9A9A", "#1F4E79"
#: assets or blocks that a figure names
_SHOWN = 20


def plot_finding(found: Finding, ax: Axes | None = None, title: str | None = None, savefig: SaveFig = False) -> Figure:
    """Draw an answer.

    Parameters
    ----------
    found : Finding
    ax : matplotlib Axes, optional
        Draw on these instead of a figure of its own.
    title : str, optional
        By default what was found, in a sentence.
    savefig : bool or path
        As in :func:`~opeslike.analysis.plots.plot_wealth`.

    Raises
    ------
    PortfolioError
        If there is no figure of such an answer.
    """
    chart_path(savefig)
    draw = _FIGURES.get(type(found))
    if draw is None:
        raise PortfolioError(f"there is no figure of a {type(found).__name__}")
    rows = len(found.frame) if draw in (_regret, _breakdown, _ranges, _uncertainty) else 12
    figure = None if ax is not None else drawing.new_figure(False, savefig, (9.0, 1.8 + 0.27 * min(rows, _SHOWN)))
    axes = figure.subplots() if figure is not None else ax
    assert axes is not None
    draw(axes, found)
    axes.set_title(drawing.plain(found.says if title is None else title, 200), loc="left", fontsize=9, wrap=True)
    return drawing.finish(axes.figure.figure, savefig, False)


def _named(ax: Axes, names: pd.Index, xlabel: str) -> np.ndarray[Any, Any]:
    """Places of named rows from the top down."""
    places = np.arange(len(names))[::-1]
    ax.set_yticks(places, [drawing.plain(name, 18) for name in names])
    ax.set_xlabel(xlabel)
    drawing.tidy(ax, "")
    ax.grid(False, axis="y")
    return places


def _spans(ax: Axes, frame: pd.DataFrame, xlabel: str) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Each weight within its bounds, the widest reach on top; in percent, and the rows' places."""
    table = 100.0 * frame.sort_values("high", ascending=False)[:_SHOWN]
    places = _named(ax, table.index, xlabel)
    ax.hlines(places, table["low"], table["high"], color=BLUE, linewidth=5, alpha=0.35)
    ax.plot(table["weight"], places, "o", color="black", markersize=4, zorder=3)
    return table, places


def _regret(ax: Axes, found: Regret) -> None:
    years = found.annual / found.bound if found.bound else 252.0
    gain = 100.0 * years * found.frame["gain"].astype(float).sort_values(ascending=False)[:_SHOWN]
    places = _named(ax, gain.index, "growth gained per unit moved there from the mix, % a year")
    ax.barh(places, gain, color=np.where(gain > 0, GREEN, RED), height=0.7)
    ax.axvline(0.0, color="black", linewidth=0.8)


def _breakdown(ax: Axes, found: Breakdown) -> None:
    radii = found.assets.dropna().sort_values(ascending=False)[:_SHOWN]
    finite = radii[np.isfinite(radii)]
    edge = 2.0 * max(float(finite.max()) if len(finite) else 0.0, found.radius if np.isfinite(found.radius) else 1e-3)
    places = _named(ax, radii.index, "radius at which the asset leaves the robust portfolio, nats")
    ax.barh(places, radii.clip(upper=edge), color=np.where(np.isfinite(radii), BLUE, GREEN), height=0.7)
    ax.set_xscale("log")
    for place, radius in zip(places, radii, strict=True):
        if np.isinf(radius):
            ax.annotate("stays", (edge, place), (-4, 0), textcoords="offset points", ha="right", va="center", color="w")
    if 0 < found.radius < np.inf:
        ax.axvline(found.radius, color=RED, linewidth=1.2, label=f"no better than {found.versus}")
        ax.legend(loc="best", frameon=False)


def _ranges(ax: Axes, found: Ranges) -> None:
    table, places = _spans(ax, found.frame, "weight, %")
    ax.hlines(places, table["least"], table["most"], color=BLUE, linewidth=2)


def _influence(ax: Axes, found: Influence) -> None:
    ax.vlines(found.frame.index, 0.0, 100.0 * found.frame["moved"], color=BLUE, linewidth=0.9)
    drawing.tidy(ax, "moved by leaving the block out, % of the portfolio")
    ax.set_ylim(bottom=0.0)


def _frontier(ax: Axes, found: Frontier) -> None:
    table = 100.0 * found.frame
    ax.plot(table.index, table["growth"], color=BLUE, label="growth of what is held")
    ax.plot(table.index, table["worst"], color=RED, label="value of the objective (worst case)")
    values = np.asarray(table.index, dtype=float)
    if values[0] > 0 and values[-1] / values[0] > 20:
        ax.set_xscale("log")
    ax.set_xlabel(found.parameter)
    drawing.tidy(ax, "% a period")
    ax.legend(loc="best", frameon=False)


def _screen(ax: Axes, found: Screen) -> None:
    marginal = 1e4 * found.frame["marginal"].to_numpy()
    ax.plot(np.arange(1, len(marginal) + 1), marginal, color=GREY)
    entered = marginal[marginal > 0]
    ax.plot(np.arange(1, len(entered) + 1), entered, color=GREEN, linewidth=2.5, label=f"{len(entered)} could enter")
    ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_xlabel("outsiders, the best first")
    drawing.tidy(ax, "growth added at the margin, bp a period")
    ax.legend(loc="best", frameon=False)


def _uncertainty(ax: Axes, found: Uncertainty) -> None:
    xlabel = f"weight, %: optimum, median and the central {found.confidence:.0%} of resamples"
    table, places = _spans(ax, found.frame, xlabel)
    ax.plot(table["median"], places, "|", color=BLUE, markersize=10)


_FIGURES: dict[type[Finding], Callable[[Axes, Any], None]] = {
    Regret: _regret,
    Breakdown: _breakdown,
    Ranges: _ranges,
    Influence: _influence,
    Frontier: _frontier,
    Screen: _screen,
    Uncertainty: _uncertainty,
}
