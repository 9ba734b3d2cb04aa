"""Figures, tables and charts of returns."""

from opeslike.analysis.attribution import contributions
from opeslike.analysis.metrics import opes_metrics, summary
from opeslike.analysis.paths import (
    drawdown_table,
    drawdowns,
    monthly_returns,
    rolling_sharpe,
    rolling_volatility,
    wealth,
)
from opeslike.analysis.plots import (
    plot_drawdowns,
    plot_growth_curve,
    plot_leverage,
    plot_sweep,
    plot_wealth,
    plot_weights,
)
from opeslike.analysis.record import Record
from opeslike.analysis.relative import relative_metrics, trailing
from opeslike.analysis.tables import StrategyRun, metrics_table, render

__all__ = [
    "Record",
    "StrategyRun",
    "contributions",
    "drawdown_table",
    "drawdowns",
    "metrics_table",
    "monthly_returns",
    "opes_metrics",
    "plot_drawdowns",
    "plot_growth_curve",
    "plot_leverage",
    "plot_sweep",
    "plot_wealth",
    "plot_weights",
    "relative_metrics",
    "render",
    "rolling_sharpe",
    "rolling_volatility",
    "summary",
    "trailing",
    "wealth",
]
