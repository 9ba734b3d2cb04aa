"""Timings where there are many assets, or limits on them, each with its gap beside the time.

    python benchmarks/many_assets.py [rows [assets]]

Random fat-tailed returns of more assets than rows: only the few assets that matter are looked at. Then groups, costs
and a limit on turnover over 300 of them, from equal weights, and a tail of a million rows. The times are processor
seconds, the least of a few turns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from opeslike import CVaR, Kelly, KLRobustKelly, Mandate, MaxSharpe, MinVariance, RiskConstrainedKelly, RiskParity
from opeslike.market import Market
from opeslike.objectives import EVaR, MeanCVaR
from opeslike.objectives.base import Optimizer


def market(rows: int, assets: int) -> Market:
    """Returns with a common factor and heavy tails."""
    g = np.random.default_rng(0)
    common = 0.004 * g.standard_t(5, (rows, 1)) * g.uniform(0.5, 1.5, assets)
    own = 0.01 * g.standard_t(5, (rows, assets)) * g.uniform(0.7, 1.3, assets)
    frame = pd.DataFrame(common + own + g.uniform(0.0, 0.001, assets), columns=[f"A{i:04d}" for i in range(assets)])
    return Market.from_data(frame, "returns")


def timed(title: str, optimizers: Mapping[str, Optimizer], data: Market, turns: int = 3, **given: Any) -> None:
    """Print the least processor time of each over a few turns, in which they alternate."""
    seconds = dict.fromkeys(optimizers, np.inf)
    for _ in range(turns):
        for name, optimizer in optimizers.items():
            start = time.process_time()
            optimizer.optimize(data, **given)
            seconds[name] = min(seconds[name], time.process_time() - start)
    rows = []
    for name, optimizer in optimizers.items():
        found, weights = optimizer.solution, optimizer.solution.weights
        gap = f"{found.gap:.1e}" if found.gap is not None else ""
        rows.append(
            [name, f"{1e3 * seconds[name]:.1f}", gap, f"{found.tolerance:.1e}", found.solver, (weights > 0).sum()]
        )
    print(f"\n{title}")
    print(tabulate(rows, headers=["", "ms", "gap", "tolerance", "solver", "held"], disable_numparse=True))


def main(rows: int = 1250, assets: int = 3000) -> None:
    """Print the tables."""
    wide: dict[str, Optimizer] = {
        "Kelly": Kelly(),
        "KL": KLRobustKelly(radius="auto"),
        "RiskConstrainedKelly": RiskConstrainedKelly(),
        "EVaR": EVaR(),
        "CVaR": CVaR(),
        "MeanCVaR": MeanCVaR(),
        "MaxSharpe": MaxSharpe(),
        "MinVariance": MinVariance(),
        "RiskParity": RiskParity(),
    }
    timed(f"{rows} x {assets}", wide, market(rows, assets))
    data = market(2 * rows, 300)
    sectors = [list(part) for part in np.array_split(np.array(data.assets), 3)]
    capped = Mandate(groups=dict(zip("abc", sectors, strict=True)), group_bounds={"*": (0, 0.4)})
    limited = Mandate(costs=10, max_turnover=0.2)
    makers = {"Kelly": Kelly, "KL": KLRobustKelly, "CVaR": CVaR}
    limits: dict[str, Optimizer] = {f"{name}, groups": kind(mandate=capped) for name, kind in makers.items()}
    limits |= {f"{name}, costs and turnover": kind(mandate=limited) for name, kind in makers.items()}
    timed(f"{2 * rows} x 300", limits, data, held=np.full(300, 1 / 300))
    timed("1000000 x 20", {"CVaR": CVaR()}, market(1_000_000, 20), 1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
