"""Render docs/which-kelly.md and its figures from seed10.csv.

    OPESLIKE_TEST_DATA=folder python docs/scripts/which_kelly.py

The folder holds seed10.csv: daily adjusted closes of ten tickers, 2010-2019. OPES 0.11.4 must be installed for its
columns (``pip install ".[bench]"``). Every figure on the page comes from this run.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
from opes import Backtester as TheirBacktester
from opes.objectives import Kelly as TheirKelly
from opes.objectives import KLRobustKelly as TheirRobust
from tabulate import tabulate

from opeslike import Backtester, Kelly, KLRobustKelly, Market
from opeslike.analysis.plots import plot_wealth
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import KLBall, Mean
from opeslike.solvers.certificate import certify

HERE = Path(__file__).resolve().parent.parent
NAMES = {1.0: "full", 0.5: "half", 0.25: "quarter"}
COLUMNS = [
    "variant",
    "first weights",
    "Sharpe (daily)",
    "growth, % a day",
    "max drawdown, %",
    "worst gap, log growth a day",
]


def worst_gap(weights: np.ndarray, market: Market, seen: list[int], fraction: float, radius: float) -> float:
    """Certify weights that somebody else found: the largest gap over the re-optimisations."""
    n = market.n_assets
    gaps = []
    for w, count in zip(weights, seen, strict=True):
        bounds = Bounds.budget(np.zeros(n), np.ones(n))
        risk = KLBall(radius) if radius else Mean()
        problem = ScenarioProblem(market.window(0, count).returns, None, Log(fraction), risk, bounds)
        w = np.clip(w, 0.0, 1.0)
        gaps.append(certify(problem, w / w.sum()).gap)
    return max(gaps)


def first_weights(w: np.ndarray, tickers: list[str]) -> str:
    order = np.argsort(-w)
    if np.ptp(w) < 1e-6:
        return f"{w[0]:.1%} each"
    held = [f"{tickers[i]} {w[i]:.1%}" for i in order[:3] if w[i] > 5e-4]
    return ", ".join(held) + (" ..." if (w > 5e-4).sum() > 3 else "")


def row(name: str, result: dict, metrics: dict, gap: float, tickers: list[str]) -> list[str]:
    return [
        name,
        first_weights(result["weights"][0], tickers),
        f"{metrics['sharpe']:.5f}",
        f"{metrics['growth_rate']:.5f}",
        f"{metrics['max_drawdown']:.2f}",
        f"{gap:.1e}",
    ]


def main() -> None:
    logging.disable(logging.WARNING)
    source = Path(os.environ["OPESLIKE_TEST_DATA"]) / "seed10.csv"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    data = pd.read_csv(source, index_col="Date", parse_dates=True)
    train, test = data[:"2017"], data["2018":]
    radius = 1 / (len(train) + len(test) - 1) ** 0.5
    tickers = list(data.columns)
    market = Market.from_data(data)
    steps = range(0, len(test) - 1, 5)
    base = len(train.dropna()) - 1
    seen = [base + max(t - 1, 0) for t in steps]

    ours = Backtester(train, test, cost={"const": 20})
    theirs = TheirBacktester(train_data=train, test_data=test, cost={"const": 20})
    tables: dict[str, list[list[str]]] = {"opes-package": [], "opes": [], "thorp": []}
    wealth: dict[str, np.ndarray] = {}
    timeline = None
    for robust in (False, True):
        for fraction, word in NAMES.items():
            label = f"{'KL-robust ' if robust else ''}{word} Kelly".replace("KL-robust full", "KL-robust")
            optimizer = TheirRobust(fraction, radius) if robust else TheirKelly(fraction)
            result = theirs.backtest(optimizer=optimizer, reopt_freq=5, clean_weights=True)
            gap = worst_gap(result["weights"][list(steps)], market, seen, fraction, radius if robust else 0.0)
            metrics = theirs.get_metrics(result["returns"])
            tables["opes-package"].append(row(label, result, metrics, gap, tickers))
            for formulation in ("opes", "thorp"):
                mine = (
                    KLRobustKelly(fraction, radius, formulation=formulation)
                    if robust
                    else Kelly(fraction, formulation=formulation)
                )
                result = ours.backtest(mine, reopt_freq=5, clean_weights=True)
                metrics = ours.get_metrics(result["returns"])
                tables[formulation].append(row(label, result, metrics, result.max_gap, tickers))
                timeline = result["timeline"]
                if formulation == "thorp":
                    wealth[label] = result["returns"]
    plot_wealth(
        wealth, timeline=timeline, title="Exact Kelly variants, 2018-2019", savefig=HERE / "img" / "which-kelly.png"
    )
    rendered = {
        key: tabulate(rows, headers=COLUMNS, tablefmt="github", disable_numparse=True) for key, rows in tables.items()
    }
    template = (HERE / "scripts" / "which-kelly.md.in").read_text(encoding="utf-8")
    page = template.replace("{{sha256}}", digest).replace("{{radius}}", f"{radius:.6f}")
    for key, table in rendered.items():
        page = page.replace("{{" + key + "}}", table)
    (HERE / "which-kelly.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
