"""Charts of a study: figures spread over its samples, and choices over time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from opeslike.analysis.charts import Chart, Trace, Unit, curves_chart, looks, times_of
from opeslike.analysis.drawing import Axes, Figure
from opeslike.analysis.output import SaveFig
from opeslike.analysis.plots import framed
from opeslike.errors import PortfolioError


def spreads_chart(values: pd.DataFrame, unit: Unit, reference: str | None = None) -> Chart:
    """How the values of each column are spread: 5, 25, 50, 75 and 95% quantiles, a row a column, the first on top."""
    styles, scale = looks(map(str, values), reference), 100.0 if unit == "percent" else 1.0
    names, rows = list(map(str, values)), np.arange(values.shape[1])[::-1]
    quantiles = scale * values.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).to_numpy().T
    rows_of = zip(names, rows, quantiles, strict=True)
    traces = [Trace(name, np.array([row]), five, styles[name]["colour"]) for name, row, five in rows_of]
    return Chart(traces, "spreads", unit, False, xlabel="")


def plot_spreads(
    values: pd.DataFrame,
    savefig: SaveFig = False,
    *,
    unit: Unit = "number",
    reference: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
) -> Figure:
    """How a figure is spread over samples, a row a column: 5 to 95% a line, the middle half a bar, the median a mark.

    Parameters
    ----------
    values : DataFrame, samples x strategies
    unit : {"number", "percent"}
        Of percent the values are fractions.
    reference : str, optional
        The column drawn in black.
    savefig, ax, title, show
        As in :func:`plot_wealth`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PortfolioError
        If there is no value.
    OutputError
        If the file cannot be written.
    """
    if not values.notna().to_numpy().any():
        raise PortfolioError("there is no value whose spread could be drawn")
    return framed(spreads_chart(values, unit, reference), ax, title, show, savefig)


def plot_choices(
    shares: pd.DataFrame,
    savefig: SaveFig = False,
    *,
    ax: Axes | None = None,
    title: str | None = "Chosen",
    show: bool = False,
) -> Figure:
    """Share of the samples in which each candidate was chosen, held until the next choice.

    Parameters
    ----------
    shares : DataFrame, candidates x dates
        Fractions, NaN for 0; the index holds the parameters.
    savefig, ax, title, show
        As in :func:`plot_wealth`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    told = [zip(shares.index.names, np.atleast_1d(row), strict=True) for row in shares.index]
    names = [", ".join(f"{parameter} {value}" for parameter, value in one) for one in told]
    curves, times = dict(zip(names, shares.fillna(0.0).to_numpy(), strict=True)), times_of(shares.columns)
    return framed(curves_chart(curves, times, "percent", kind="lines", limits=(0.0, 102.0)), ax, title, show, savefig)
