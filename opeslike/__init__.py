"""opeslike: Kelly and robust-Kelly portfolios with a certified optimality gap, and an honest walk-forward backtester.

Public names are loaded on first use, so that ``import opeslike`` costs little more than ``import pandas``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from opeslike._version import __version__

if TYPE_CHECKING:
    from opeslike.backtester import Backtester
    from opeslike.compare import Comparison, compare
    from opeslike.data import load_csv, load_sp500, load_us20, load_yahoo
    from opeslike.market import Market
    from opeslike.modelling.mandate import Mandate
    from opeslike.objectives import (
        BCRP,
        CRRA,
        CVaR,
        ExponentialGradient,
        HierarchicalRiskParity,
        Kelly,
        KLRobust,
        KLRobustKelly,
        MaxDiversification,
        MaxMean,
        MaxSharpe,
        MeanVariance,
        MinVariance,
        RiskConstrainedKelly,
        RiskParity,
        Uniform,
        UniversalPortfolios,
        kl_radius,
    )
    from opeslike.sizing import Bet, Race, stakes

_WHERE = {
    "BCRP": "opeslike.objectives",
    "Backtester": "opeslike.backtester",
    "Bet": "opeslike.sizing",
    "CRRA": "opeslike.objectives",
    "CVaR": "opeslike.objectives",
    "Comparison": "opeslike.compare",
    "ExponentialGradient": "opeslike.objectives",
    "HierarchicalRiskParity": "opeslike.objectives",
    "KLRobust": "opeslike.objectives",
    "KLRobustKelly": "opeslike.objectives",
    "Kelly": "opeslike.objectives",
    "Mandate": "opeslike.modelling.mandate",
    "Market": "opeslike.market",
    "MaxDiversification": "opeslike.objectives",
    "MaxMean": "opeslike.objectives",
    "MaxSharpe": "opeslike.objectives",
    "MeanVariance": "opeslike.objectives",
    "MinVariance": "opeslike.objectives",
    "Race": "opeslike.sizing",
    "RiskConstrainedKelly": "opeslike.objectives",
    "RiskParity": "opeslike.objectives",
    "Uniform": "opeslike.objectives",
    "UniversalPortfolios": "opeslike.objectives",
    "compare": "opeslike.compare",
    "kl_radius": "opeslike.objectives",
    "load_csv": "opeslike.data",
    "load_sp500": "opeslike.data",
    "load_us20": "opeslike.data",
    "load_yahoo": "opeslike.data",
    "stakes": "opeslike.sizing",
}

__all__ = [
    "BCRP",
    "CRRA",
    "Backtester",
    "Bet",
    "CVaR",
    "Comparison",
    "ExponentialGradient",
    "HierarchicalRiskParity",
    "KLRobust",
    "KLRobustKelly",
    "Kelly",
    "Mandate",
    "Market",
    "MaxDiversification",
    "MaxMean",
    "MaxSharpe",
    "MeanVariance",
    "MinVariance",
    "Race",
    "RiskConstrainedKelly",
    "RiskParity",
    "Uniform",
    "UniversalPortfolios",
    "__version__",
    "compare",
    "kl_radius",
    "load_csv",
    "load_sp500",
    "load_us20",
    "load_yahoo",
    "stakes",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _WHERE:
        raise AttributeError(f"module 'opeslike' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
