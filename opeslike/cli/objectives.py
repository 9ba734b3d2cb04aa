"""Objectives by name, and parameters of Python classes as options."""

from __future__ import annotations

import argparse
import ast
import inspect
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from opeslike.errors import PortfolioError

#: The classes of ``opeslike.objectives`` that can be made from the command line.
OBJECTIVES = {
    "bcrp": "BCRP",
    "box-robust-kelly": "BoxRobustKelly",
    "cara": "CARA",
    "crra": "CRRA",
    "cvar": "CVaR",
    "ellipsoid-robust-kelly": "EllipsoidRobustKelly",
    "entropic-risk": "EntropicRisk",
    "evar": "EVaR",
    "exponential-gradient": "ExponentialGradient",
    "hara": "HARA",
    "hierarchical-risk-parity": "HierarchicalRiskParity",
    "inverse-volatility": "InverseVolatility",
    "kelly": "Kelly",
    "kl-robust": "KLRobustKelly",
    "kl-robust-max-mean": "KLRobustMaxMean",
    "max-diversification": "MaxDiversification",
    "max-mean": "MaxMean",
    "max-sharpe": "MaxSharpe",
    "mean-cvar": "MeanCVaR",
    "mean-evar": "MeanEVaR",
    "mean-variance": "MeanVariance",
    "min-variance": "MinVariance",
    "quadratic-utility": "QuadraticUtility",
    "repo": "REPO",
    "risk-constrained-kelly": "RiskConstrainedKelly",
    "risk-parity": "RiskParity",
    "softmax-mean": "SoftmaxMean",
    "uniform": "Uniform",
    "universal-portfolios": "UniversalPortfolios",
    "var": "VaR",
    "wass-robust-kelly": "WassRobustKelly",
    "wass-robust-max-mean": "WassRobustMaxMean",
    "wass-robust-mean-variance": "WassRobustMeanVariance",
    "wass-robust-min-variance": "WassRobustMinVariance",
    "worst-case": "WorstCaseLoss",
}


def listed(names: Iterable[str]) -> str:
    """Names as lines of a help text."""
    return textwrap.fill(", ".join(names), 98, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def parameter(text: str) -> tuple[str, Any]:
    """Type of an option that takes ``key=value``; what is no Python literal is text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value, such as lookback=60")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def made(kind: Any, name: str, parameters: Sequence[tuple[str, Any]], option: str) -> Any:
    """Make an object of a class from parameters given as ``KEY=VALUE``.

    Raises
    ------
    PortfolioError
        If a parameter is unknown, missing or out of its range.
    """
    known = list(inspect.signature(kind).parameters)
    for key, _ in parameters:
        if key not in known:
            raise PortfolioError(f"{option} {key}: {name} has no such parameter; it has {', '.join(known) or 'none'}")
    required = [
        key for key, one in inspect.signature(kind).parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and key not in dict(parameters)
    ]  # fmt: skip
    if required:
        raise PortfolioError(f"{name} needs {option} {required[0]}=...")
    return kind(**dict(parameters))
