"""Charts drawn with Plotly, for reports one can touch; Plotly is imported when the first is asked for."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from opeslike.analysis.charts import Chart, Trace
from opeslike.analysis.drawing import log_ticks, tick_labels
from opeslike.analysis.formats import short
from opeslike.errors import OutputError

DASHES = ("solid", "dash", "dot", "dashdot")
#: What the pointer reads, by the unit of the values.
HOVER = {"money": ":,.4~f", "percent": ":.2f", "number": ":.3f"}


def plotly_script() -> str:
    """The text of plotly.js.

    Raises
    ------
    OutputError
        If Plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise OutputError("interactive reports need Plotly: pip install 'opeslike[plot]'") from error
    return str(get_plotlyjs())


def chart_div(chart: Chart) -> str:
    """A chart as the part of a page, which needs :func:`plotly_script` in its head."""
    from plotly.graph_objects import Figure
    from plotly.io import to_html

    grid = {"gridcolor": "#d9d9d9", "zeroline": False}
    values: dict[str, Any] = {**grid, "ticksuffix": "%" if chart.unit == "percent" else ""}
    if chart.log:
        shown = np.concatenate([trace.y for trace in chart.traces])
        ticks = log_ticks(float(shown.min()), float(shown.max()) * (1.0 + 1e-9))
        values |= {"type": "log", "tickvals": ticks, "ticktext": tick_labels(ticks)}
    elif chart.limits is not None:
        values["range"] = chart.limits
    across = chart.kind == "bars"
    layout = {
        "xaxis": values if across else grid,
        "yaxis": {"automargin": True} if across else values,
        "hovermode": "closest" if across else "x unified",
        "hoverlabel": {"bgcolor": "#f5f7f9"},
        "legend": {"orientation": "h", "y": -0.12, "traceorder": "normal"},
        "margin": {"l": 50, "r": 10, "t": 10, "b": 30},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": chart.kind not in ("bars", "spikes"),
    }
    figure = Figure([each for trace in chart.traces for each in _traces(chart, trace)], layout)
    if chart.level is not None:
        figure.add_hline(chart.level[0], line={"color": "#8c8c8c", "width": 1, "dash": "dot"})
    config = {"displayModeBar": False, "responsive": True}
    return str(to_html(figure, config, include_plotlyjs=False, full_html=False, default_height="320px"))


def _traces(chart: Chart, trace: Trace) -> list[dict[str, Any]]:
    """What Plotly needs to know of one series; an area that is long and short at times is two that go together."""
    name = html.escape(short(trace.name, 30))
    if chart.kind == "bars":
        colours = np.where(trace.y >= 0, "#0072B2", "#D55E00").tolist()
        names = [html.escape(short(each, 18)) for each in trace.x]
        return [{"type": "bar", "orientation": "h", "x": trace.y, "y": names, "marker": {"color": colours}}]
    x = trace.x
    if chart.dated:
        daily = (x == x.astype("datetime64[D]")).all()
        x = np.datetime_as_string(x, "D" if daily else "s")
    common = {"x": x, "name": name, "hovertemplate": f"%{{y{HOVER[chart.unit]}}}{'%' * (chart.unit == 'percent')}"}
    if chart.kind == "spikes":
        return [common | {"type": "bar", "y": trace.y, "marker": {"color": trace.colour}}]
    line = {"color": trace.colour, "width": trace.width, "dash": DASHES[trace.dash], "shape": "linear"}
    if chart.kind == "lines":
        mode = "lines+markers" if trace.x.size == 1 else "lines"
        return [common | {"type": "scatter", "mode": mode, "y": trace.y, "line": line}]
    line["shape"] = "vh"
    if chart.kind == "steps":
        return [common | {"type": "scatter", "mode": "lines", "y": trace.y, "line": line}]
    sides = {"above": np.maximum(trace.y, 0.0), "below": np.minimum(trace.y, 0.0)}
    area = common | {"type": "scatter", "mode": "lines", "legendgroup": name, "fillcolor": trace.colour}
    found = [(side, values) for side, values in sides.items() if values.any()]
    return [
        area | {"y": values, "stackgroup": side, "line": line | {"width": 0}, "showlegend": side == found[0][0]}
        for side, values in found
    ]
