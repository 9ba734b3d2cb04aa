"""What the charts share: colours, ticks, time axes and the lines of several strategies.

Nothing here imports matplotlib; the functions draw on axes they are given.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from opeslike.analysis.drawdown import drawdown_path
from opeslike.analysis.inputs import Floats
from opeslike.analysis.timelines import Line, Times, is_dated

Axes: TypeAlias = Any

# Okabe and Ito (2008), safe for colour-blind readers; grey for the yellow that vanishes on white.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#8C8C8C")
LINE_STYLES: tuple[Any, ...] = ("-", (0, (6, 1.6)), (0, (1.4, 1.2)), (0, (7, 1.6, 1.4, 1.6)))
# Tol's muted scheme (2021): ten fills that stay apart for colour-blind readers.
FILL_COLOURS = (
    "#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677",
    "#44AA99", "#882255", "#999933", "#AA4499", "#661100",
)  # fmt: skip
CASH_COLOUR, BORROWED_COLOUR, OTHER_COLOUR, GREY = "#E4E4E4", "#C4B8B0", "#9A9A9A", "#555555"


def plain(text: object, width: int = 44) -> str:
    """A name as literal text: one line, no mathematics between dollar signs, not too long."""
    short = " ".join(str(text).split())
    if len(short) > width:
        short = textwrap.shorten(short, width, placeholder=" …") if " " in short[:width] else short
        short = short if len(short) <= width else short[: width - 1] + "…"
    return short.replace("$", r"\$")


def line_look(number: int, width: float = 1.6) -> dict[str, Any]:
    """Colour and dash of the n-th line; 32 different ones, colours first."""
    return {
        "color": LINE_COLOURS[number % len(LINE_COLOURS)],
        "linestyle": LINE_STYLES[number // len(LINE_COLOURS) % len(LINE_STYLES)],
        "linewidth": width,
    }


def sweep_looks(names: Sequence[str], reference: str | None, colours: Any) -> list[dict[str, Any]]:
    """A scale of colours over the settings, every second line dashed; the reference black and on top."""
    settings = [name for name in names if name != reference]
    shades = colours(np.linspace(0.0, 0.88, len(settings)))
    looks = {
        name: line_look(i * len(LINE_COLOURS) % (2 * len(LINE_COLOURS)), 1.2) | {"color": shade}
        for i, (name, shade) in enumerate(zip(settings, shades, strict=True))
    }
    if reference is not None:
        looks[reference] = {"color": "black", "linestyle": "-", "linewidth": 1.2, "zorder": 3}
    return [looks[name] for name in names]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers to label on a logarithmic axis, some four to ten of them."""
    ratio = high / low
    if ratio < 4.0:
        rough = (high - low) / 7.0
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [float(f"{k * step:.10g}") for k in range(first, last + 1)]
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for ladder in ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [
            float(f"{m}e{power}")
            for power in range(bottom, top + 1)
            for m in ladder
            if low <= float(f"{m}e{power}") <= high
        ]
        if len(ticks) <= 10:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 9)]


def money(value: float, digits: int = 4, *, zeros: bool = False) -> str:
    """A wealth as a short label, such as 0.85, 1.2, 250,000, 3.5M or 1e-06; ``zeros`` keeps trailing ones."""
    size = abs(value)
    if size == 0.0:
        return "0"
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if limit <= size < 1e15:
            return f"{value / limit:{'#' if zeros else ''}.{digits}g}{unit}"
    if size >= 999.95:
        # From here on whole numbers do, unless more digits are asked for.
        return f"{value:,.0f}" if digits <= 4 and size < 1e15 else f"{value:,.{digits + 2 if size < 1e15 else 3}g}"
    return f"{value:{'#' if zeros else ''}.{digits}g}"


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The shortest labels that differ from each other."""
    for digits in range(4, 16):
        labels = [money(tick, digits) for tick in ticks]
        if len(set(labels)) == len(labels):
            break
    return labels


def log_axis(ax: Axes) -> None:
    """A logarithmic y axis labelled with round numbers, also after zooming."""
    ax.set_yscale("log")
    ax.minorticks_off()

    def relabel(axes: Axes) -> None:
        low, high = axes.get_ylim()
        if not 0 < low < high < math.inf:
            return
        ticks = log_ticks(low, high)
        axes.set_yticks(ticks, tick_labels(ticks))

    ax.callbacks.connect("ylim_changed", relabel)
    ax.margins(y=0.06)
    ax.autoscale_view()
    relabel(ax)


def tidy(ax: Axes, title: str | None, ylabel: str) -> None:
    """Light grid, no box, a title on the left."""
    ax.grid(True, color="#D9D9D9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0.01)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(plain(title, 120), loc="left", fontsize=12, fontweight="bold")


def legend(ax: Axes, drawn: Sequence[tuple[Any, str]], title: str | None = None, *, outside: bool = True) -> None:
    """Legend of what was drawn, beside the axes or inside them."""
    handles, labels = zip(*drawn, strict=True)
    place = {"loc": "upper left"}
    if outside:
        place |= {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}  # type: ignore[dict-item]
    box = ax.legend(
        handles,
        ["-"] * len(handles),
        title=title,
        frameon=not outside,
        fontsize=9 if len(handles) <= 16 else 7,
        title_fontsize=9,
        alignment="left",
        handlelength=2.8,
        **place,
    )
    # Set afterwards: a label that starts with an underscore would be left out.
    for text, label in zip(box.get_texts(), labels, strict=True):
        text.set_text(label)


def draw_wealth(
    ax: Axes,
    lines: dict[str, Line],
    initial: float,
    *,
    log: bool,
    looks: Sequence[dict[str, Any]] | None = None,
) -> list[tuple[Any, str]]:
    """Draw wealth lines; a logarithmic one stops, marked, at ruin. Handles, best first."""
    drawn = []
    for number, (name, line) in enumerate(lines.items()):
        look = looks[number] if looks is not None else line_look(number, 1.6 if len(lines) <= 4 else 1.3)
        times, wealth = line.wealth(initial)
        final = float(wealth[-1])
        label = f"{money(final, zeros=True)}  {plain(name)}"
        ruined = np.flatnonzero(wealth <= 0.0)
        stop = int(ruined[0]) if ruined.size else wealth.size
        if ruined.size:
            moment = np.datetime_as_string(times[stop], "D") if is_dated(times) else f"at step {times[stop]:g}"
            label += f" (ruin {moment})"
        if ruined.size and stop == 0:
            # Ruined in the first step: show where it stood before.
            shown_t, shown_w = times[:1], np.array([initial])
        elif ruined.size and log:
            shown_t, shown_w = times[:stop], wealth[:stop]
        else:
            shown_t, shown_w = times, wealth
        (handle,) = ax.plot(shown_t, shown_w, **look, marker="o" if shown_w.size == 1 else None)
        if ruined.size:
            last = min(stop, shown_w.size - 1)
            ax.plot(
                shown_t[last:][:1], shown_w[last:][:1], "X", color=look["color"], markersize=9,
                markeredgecolor="white", zorder=5,
            )  # fmt: skip
        drawn.append((final, number, handle, label))
    drawn.sort(key=lambda item: (-item[0], item[1]))
    level = ax.axhline(initial, color=GREY, linestyle=":", linewidth=1.0, zorder=1)
    return [*((handle, label) for _, _, handle, label in drawn), (level, "breakeven")]


def draw_drawdowns(ax: Axes, lines: dict[str, Line]) -> list[tuple[Any, str]]:
    """Draw percent below the peak, filled where there is one strategy. Handles, mildest first."""
    drawn = []
    for number, (name, line) in enumerate(lines.items()):
        lost = -100.0 * drawdown_path(line.values)
        look = line_look(number, width=1.1)
        if len(lines) == 1:
            ax.fill_between(line.times, lost, 0.0, color=look["color"], alpha=0.25, linewidth=0)
        (handle,) = ax.plot(line.times, lost, **look)
        worst = -float(lost.min())
        drawn.append((worst, number, handle, f"{'−' if worst else ''}{worst:.1f}%  {plain(name)}"))
    drawn.sort(key=lambda item: item[:2])
    return [(handle, label) for _, _, handle, label in drawn]


def floor(lines: dict[str, Line]) -> float:
    """Bottom of an axis of drawdowns in percent: the deepest, and a little more."""
    deepest = max(float(drawdown_path(line.values).max()) for line in lines.values())
    return -105.0 * deepest if deepest > 0 else -1.0


def draw_weights(ax: Axes, times: Times, table: pd.DataFrame, assets: int) -> list[tuple[Any, str]]:
    """Stack debt, assets, others and cash in percent. Handles, top of the stack first."""
    colours = [BORROWED_COLOUR, *(FILL_COLOURS[i % len(FILL_COLOURS)] for i in range(assets))]
    colours += [OTHER_COLOUR] * (table.shape[1] - 2 - assets) + [CASH_COLOUR]
    percent = 100.0 * table.to_numpy(dtype=np.float64)
    handles = stack(ax, times, percent, colours)
    low, high = np.minimum(percent, 0.0).sum(axis=1).min(), np.maximum(percent, 0.0).sum(axis=1).max()
    if low < 0:
        ax.axhline(0.0, color="black", linewidth=0.8)
    ax.set_ylim(1.03 * low, high if high <= 100.0 + 1e-6 else 1.03 * high)
    drawn = [(handle, plain(name)) for handle, name in zip(handles, table.columns, strict=True) if handle is not None]
    return drawn[::-1]


def stack(ax: Axes, times: Times, table: npt.NDArray[np.float64], colours: Sequence[str]) -> list[Any]:
    """Stack the columns of a table, gains above zero and shorts below, each held up to its time."""
    above, below = np.zeros(len(table)), np.zeros(len(table))
    handles = []
    for column, colour in zip(table.T, colours, strict=True):
        up, down = np.maximum(column, 0.0), np.minimum(column, 0.0)
        # A thin edge in the fill's colour closes the seams between areas.
        look: dict[str, Any] = {"step": "pre", "color": colour, "linewidth": 0.3}
        handle = None
        if up.any():
            handle = ax.fill_between(times, above, above + up, where=_touching(up), **look)
        if down.any():
            lower = ax.fill_between(times, below, below + down, where=_touching(down), **look)
            handle = handle if handle is not None else lower
        above, below = above + up, below + down
        handles.append(handle)
    return handles


def _touching(values: Floats) -> npt.NDArray[np.bool_]:
    """Where an area has height, one step wider so that its borders are drawn."""
    shown = values != 0.0
    return np.asarray(shown | np.roll(shown, -1) | np.roll(shown, 1))


def wealth_axis(ax: Axes, title: str | None, *, log: bool) -> None:
    """Title, grid and a wealth axis with readable labels."""
    tidy(ax, title, "Wealth")
    if log:
        log_axis(ax)
    else:
        ax.yaxis.set_major_formatter(lambda value, _: money(value))


def percent_axis(ax: Axes) -> None:
    """Label the y axis in percent."""
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}%".replace("-", "−"))


def draw_table(ax: Axes, text: pd.DataFrame) -> None:
    """Text cells on axes of their own, the heads wrapped."""
    ax.set_axis_off()
    heads = ["\n".join(textwrap.wrap(plain(name), 10)) for name in text.columns]
    lines = 1 + max(head.count("\n") for head in heads)
    drawn = ax.table(
        cellText=text.to_numpy().tolist(),
        rowLabels=[plain(name, 28) for name in text.index],
        colLabels=heads,
        cellLoc="right",
        loc="upper center",
        bbox=[0.0, 0.0, 1.0, 1.0],
        edges="horizontal",
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    for (row, _), cell in drawn.get_celld().items():
        cell.set_edgecolor("#D9D9D9")
        if row == 0:
            cell.set_height((0.4 + 0.8 * lines) * cell.get_height())


def draw_growth(ax: Axes, x: Floats, curves: dict[str, Floats], marks: Mapping[str, float]) -> list[tuple[Any, str]]:
    """Growth curves and their marks, on an axis that the fall near ruin does not stretch."""
    exact = curves["exact"]
    looks: list[dict[str, Any]] = [
        {"color": LINE_COLOURS[0], "linewidth": 2.2},
        {"color": GREY, "linestyle": LINE_STYLES[1], "linewidth": 1.4},
    ]
    drawn: list[tuple[Any, str]] = []
    for (name, curve), look in zip(curves.items(), looks, strict=False):
        shown = np.isfinite(curve)
        drawn += [(ax.plot(x[shown], curve[shown], **look)[0], name)]
    ax.axhline(0.0, color="black", linewidth=0.8)
    peak, bottom = float(exact[np.isfinite(exact)].max()), float(exact[np.isfinite(exact)].min())
    reach = max(peak, 0.0) or abs(bottom)
    ax.set_ylim(max(min(bottom, 0.0), -reach) - 0.08 * reach, max(peak, 0.0) + 0.15 * reach)
    for number, (name, at) in enumerate(marks.items()):
        if not np.isfinite(at):
            continue
        look = line_look(number + 1, width=1.3) | {"linestyle": LINE_STYLES[number % 3 + 1]}
        if not x[0] <= at <= x[-1]:  # a line out there would squeeze the curve
            drawn.append((ax.plot([], [], linestyle="none")[0], f"{plain(name)}  {at:.4g} (beyond)"))
            continue
        handle = ax.axvline(at, **look)
        value = float(np.interp(at, x, exact))
        if np.isfinite(value):
            ax.plot([at], [value], "o", color=look["color"], markersize=6, zorder=5)
        drawn.append((handle, f"{plain(name)}  {at:.4g}"))
    return drawn
