"""Peak memory of one solve, in units of the return matrix.

    python benchmarks/memory.py

Counts what NumPy allocates during ``optimize`` beyond the returns themselves (tracemalloc). The bound to hold is
three times the return matrix plus a few N x N.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
from tabulate import tabulate

from opeslike import Kelly, KLRobustKelly, Market


def main() -> None:
    rows = []
    for count, n in [(2500, 20), (2500, 500), (20_000, 100)]:
        g = np.random.default_rng(0)
        returns = np.maximum(0.0004 + 0.01 * g.standard_t(4, (count, n)), -0.9)
        for optimizer in (Kelly(), KLRobustKelly(radius=0.02), KLRobustKelly(radius=9.0)):
            market = Market.from_data(returns, kind="returns")
            optimizer.optimize(market)  # what is imported on first use is no part of a solve
            tracemalloc.start()
            optimizer.optimize(market)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            name = f"{type(optimizer).__name__}({getattr(optimizer, 'radius', '')})"
            allowed = 3 * returns.nbytes + 5 * 8 * n * n
            rows.append(
                [
                    f"{count} x {n}",
                    name,
                    f"{peak / returns.nbytes:.2f}",
                    f"{peak / allowed:.2f}",
                    f"{optimizer.solution.gap:.1e}",
                ]
            )
    headers = ["", "objective", "peak / returns", "peak / (3 returns + 5 N x N)", "certified gap"]
    print(tabulate(rows, headers=headers, disable_numparse=True))


if __name__ == "__main__":
    main()
