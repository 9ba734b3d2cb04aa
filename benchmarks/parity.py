"""Every objective of OPES 0.11.4 beside ours, on the same data.

    python benchmarks/parity.py [--tickers 10] [--start 2010] [--end 2017]

Both are run with OPES's defaults. The values are computed here, from the weights, by plain formulas that belong to
neither package; lower is better. Where theirs is above ours by more than our certified gap, theirs is not optimal,
and the table says by how much. Covariances carry OPES's ridge, and rates are per period, so that the problems are the
same.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from opes import objectives as theirs
from scipy.optimize import minimize_scalar
from tabulate import tabulate

from opeslike import load_us20
from opeslike import objectives as ours

Value = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]


def cvar(losses: np.ndarray, beta: float) -> float:
    """Rockafellar and Uryasev: min over t of t + E (loss - t)+ / (1 - beta), attained at an order statistic."""
    levels = np.sort(losses)
    excess = np.cumsum(levels[::-1])[::-1] - levels * np.arange(len(levels), 0, -1)
    return float((levels + excess / (1 - beta) / len(levels)).min())


def kl_worst(losses: np.ndarray, radius: float) -> float:
    """Min over a of a log E exp(loss / a) + a radius, on a logarithmic grid refined by Brent's method."""

    def dual(log_a: float) -> float:
        a = np.exp(log_a)
        top = losses.max()
        return a * np.log(np.exp((losses - top) / a).mean()) + top + a * radius

    grid = np.linspace(-18, 6, 400)
    start = int(np.argmin([dual(u) for u in grid]))
    low, high = grid[max(start - 1, 0)], grid[min(start + 1, len(grid) - 1)]
    return float(
        min(minimize_scalar(dual, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).fun, losses.max())
    )


def variance(w: np.ndarray, cov: np.ndarray) -> float:
    return float(w @ cov @ w)


def spread_of_contributions(w: np.ndarray, cov: np.ndarray) -> float:
    share = w * (cov @ w)
    return float(((share / share.sum() - 1 / len(w)) ** 2).sum())


def histogram_entropy(returns: np.ndarray) -> float:
    share = np.histogram(returns, bins=20)[0] / len(returns)
    return float(-(share[share > 0] * np.log(share[share > 0])).sum())


VALUES: dict[str, Value] = {
    "Kelly": lambda w, r, m, c: -float(np.log(1 + r @ w).mean()),
    "QuadraticUtility": lambda w, r, m, c: float((0.25 * (1 + r @ w) ** 2 - (1 + r @ w)).mean()),
    "CARA": lambda w, r, m, c: float(np.exp(-(r @ w)).mean()),
    "CRRA": lambda w, r, m, c: float(-((1 + r @ w) ** -1.0 / -1.0).mean()),
    "HARA": lambda w, r, m, c: float(0.5 * ((3 - (1 + r @ w)) ** 2).mean()),
    "MaxMean": lambda w, r, m, c: -float(m @ w),
    "MinVariance": lambda w, r, m, c: variance(w, c),
    "MeanVariance": lambda w, r, m, c: 0.25 * variance(w, c) - float(m @ w),
    "MaxSharpe": lambda w, r, m, c: -float(m @ w) / variance(w, c) ** 0.5,
    "VaR": lambda w, r, m, c: float(np.quantile(-(r @ w), 0.95, method="inverted_cdf")),
    "CVaR": lambda w, r, m, c: cvar(-(r @ w), 0.95),
    "MeanCVaR": lambda w, r, m, c: 0.5 * cvar(-(r @ w), 0.95) - float(m @ w),
    "EVaR": lambda w, r, m, c: kl_worst(-(r @ w), -np.log(0.15)),
    "MeanEVaR": lambda w, r, m, c: 0.5 * kl_worst(-(r @ w), -np.log(0.15)) - float(m @ w),
    "EntropicRisk": lambda w, r, m, c: float(np.log(np.exp(-(r @ w)).mean())),
    "WorstCaseLoss": lambda w, r, m, c: float((-(r @ w)).max()),
    "MaxDiversification": lambda w, r, m, c: -float(np.sqrt(np.diag(c)) @ w) / variance(w, c) ** 0.5,
    "RiskParity": lambda w, r, m, c: spread_of_contributions(w, c),
    "REPO": lambda w, r, m, c: histogram_entropy(r @ w) - float(m @ w),
    "BCRP": lambda w, r, m, c: -float(np.log(1 + r @ w).mean()),
    "KLRobustMaxMean": lambda w, r, m, c: kl_worst(-(r @ w), 0.01),
    "KLRobustKelly": lambda w, r, m, c: kl_worst(-np.log(1 + r @ w), 0.01),
    "WassRobustMaxMean": lambda w, r, m, c: 0.01 * float(np.linalg.norm(w)) - float(m @ w),
    "WassRobustMinVariance": lambda w, r, m, c: (variance(w, c) ** 0.5 + 0.1 * float(np.linalg.norm(w))) ** 2,
    "WassRobustMeanVariance": lambda w, r, m, c: (
        0.15 * (variance(w, c) ** 0.5 + 0.1 * float(np.linalg.norm(w))) ** 2
        - float(m @ w)
        + 0.01 * float(np.linalg.norm(w))
    ),
}
RULES = [
    "Uniform",
    "InverseVolatility",
    "SoftmaxMean",
    "HierarchicalRiskParity",
    "UniversalPortfolios",
    "ExponentialGradient",
]
NEED_COVARIANCE = {
    "MinVariance",
    "MeanVariance",
    "MaxSharpe",
    "MaxDiversification",
    "RiskParity",
    "WassRobustMinVariance",
    "WassRobustMeanVariance",
}
ARGUMENTS = {
    "MaxSharpe": {"risk_free": 0.0},
    "CRRA": {"risk_aversion": 2.0},
    "QuadraticUtility": {"risk_aversion": 0.5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickers", type=int, default=10)
    parser.add_argument("--start", default="2010")
    parser.add_argument("--end", default="2017")
    options = parser.parse_args()
    prices = load_us20().loc[options.start : options.end].iloc[:, : options.tickers]
    returns = prices.pct_change().dropna().to_numpy()
    mean = returns.mean(axis=0)
    sample = np.cov(returns, rowvar=False)
    ridged = sample + 1e-3 * np.trace(sample) / len(sample) * np.eye(len(sample))
    rows = []
    for name in [*VALUES, *RULES]:
        arguments = ARGUMENTS.get(name, {})
        keywords = {"custom_cov": ridged} if name in NEED_COVARIANCE else {}
        optimizer = getattr(ours, name)(**arguments)
        mine = optimizer.optimize(prices, **keywords)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                other = np.asarray(getattr(theirs, name)(**arguments).optimize(prices, **keywords), dtype=float)
            except Exception as error:  # a peer may fail in any way; the table says so
                rows.append([name, "", "", "", "", f"theirs failed: {type(error).__name__}"])
                continue
        solution = optimizer.solution
        gap = "heuristic" if solution.status == "heuristic" else "-" if solution.gap is None else f"{solution.gap:.1e}"
        apart = f"{np.abs(mine - other).max():.1e}"
        if name in RULES:
            rows.append([name, "", "", gap, apart, "a formula"])
            continue
        here, there = (VALUES[name](w, returns, mean, ridged) for w in (mine, other))
        excess = there - here
        slack = (solution.gap or 0.0) + 1e-12 * abs(here)
        word = (
            "equal"
            if abs(excess) <= slack + 1e-15
            else f"theirs worse by {excess:.1e}"
            if excess > 0
            else f"OURS worse by {-excess:.1e}"
        )
        rows.append([name, f"{here:.9g}", f"{there:.9g}", gap, apart, word])
    headers = ["objective", "our value", "their value", "our gap", "weights apart", ""]
    print(tabulate(rows, headers=headers, disable_numparse=True))


if __name__ == "__main__":
    main()
