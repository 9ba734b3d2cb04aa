"""Few positions: how long until the best choice is proved, or how near the proof is when the time is over.

    python benchmarks/counts.py [seconds [file.csv[.gz]]]

Five of the 20 embedded stocks, five of 20 and ten of 100 assets that are alike, and ten of the first 100 complete
columns of a file of closes. Beside CVaR, which is linear in the scenarios, HiGHS solves the same mixed-integer
program with as much time.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import pandas as pd
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack, identity, vstack
from tabulate import tabulate

from opeslike import CVaR, Kelly, KLRobustKelly, Mandate, MinVariance, load_prices, load_us20


def alike(rows: int, assets: int) -> pd.DataFrame:
    """Returns of assets that differ by chance alone: one factor and as much of their own."""
    g = np.random.default_rng(0)
    values = 0.01 * g.standard_normal((rows, 1)) + 0.01 * g.standard_normal((rows, assets)) + 0.0003
    return pd.DataFrame(values, columns=[f"A{i:02d}" for i in range(assets)])


def highs(returns: pd.DataFrame, count: int, seconds: float) -> tuple[float, float]:
    """Least CVaR at 95% and its gap: weights, who is held, the edge of the tail and excesses over it."""
    rows, n = returns.shape
    none = csr_array((rows, n))
    tail = hstack([csr_array(returns.to_numpy()), none, csr_array(np.ones((rows, 1))), identity(rows)])
    held = hstack([identity(n), -identity(n), csr_array((n, 1 + rows))])
    sums = np.zeros((2, 2 * n + 1 + rows))
    sums[0, :n] = sums[1, n : 2 * n] = 1.0
    most = np.concatenate([np.full(rows, np.inf), np.zeros(n), [1.0, count]])
    least = np.concatenate([np.zeros(rows), np.full(n, -np.inf), [1.0, 0.0]])
    found = milp(
        np.concatenate([np.zeros(2 * n), [1.0], np.full(rows, 20.0 / rows)]),
        integrality=np.concatenate([np.zeros(n), np.ones(n), np.zeros(1 + rows)]),
        bounds=Bounds(
            np.concatenate([np.zeros(2 * n), [-np.inf], np.zeros(rows)]),
            np.concatenate([np.ones(2 * n), np.full(1 + rows, np.inf)]),
        ),
        constraints=LinearConstraint(vstack([tail, held, csr_array(sums)]), least, most),
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    return (np.nan, np.inf) if found.x is None else (found.fun, found.fun - found.mip_dual_bound)


def compare(title: str, returns: pd.DataFrame, count: int, seconds: float) -> None:
    """Print how long each objective took, and its gap as a share of the value."""
    table = []
    for kind in (Kelly, KLRobustKelly, MinVariance, CVaR):
        few = kind(mandate=Mandate(max_positions=count), time_limit=seconds)
        start = time.perf_counter()
        few.optimize(returns, kind="returns")
        took, solution = time.perf_counter() - start, few.solution
        share = 100.0 * solution.gap / abs(solution.value)
        table.append([kind.__name__, f"{took:.2f}", solution.iterations, f"{solution.value:.6g}", f"{share:.4f}"])
    start = time.perf_counter()
    value, gap = highs(returns, count, seconds)
    took = time.perf_counter() - start
    table.append(["CVaR, HiGHS", f"{took:.2f}", "", f"{value:.6g}", f"{100.0 * gap / abs(value):.4f}"])
    print(f"\n{title}: {count} of {returns.shape[1]} assets, {len(returns)} rows")
    print(tabulate(table, headers=["", "s", "relaxations", "value", "gap, %"], disable_numparse=True))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    compare("Embedded stocks", load_us20(start="2010", end="2019").pct_change().dropna(), 5, limit)
    compare("Alike", alike(2500, 20), 5, limit)
    if len(sys.argv) > 2:
        prices = load_prices(sys.argv[2]).dropna(axis=1).iloc[-2501:, :100]
        compare("Stocks of the file", prices.pct_change().dropna(), 10, limit)
    compare("Alike", alike(2500, 100), 10, limit)
