"""Figures, tables and charts of returns."""

from opeslike.analysis.metrics import (
    contributions,
    drawdown_table,
    drawdowns,
    monthly_returns,
    opes_metrics,
    relative_metrics,
    rolling_sharpe,
    rolling_volatility,
    summary,
    trailing,
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
from opeslike.analysis.tables import StrategyRun, metrics_table, render

__all__ = [
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
