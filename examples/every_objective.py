"""Every objective of the package, once, on ten stocks: what it holds, and what proves it.

Writes: nothing

    python every_objective.py
"""

from tabulate import tabulate

from opeslike import load_us20, objectives
from opeslike.beliefs import Decay, ShrunkMeans

prices = load_us20(tickers="AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH", start="2015", end="2019")
quiet_days = prices.pct_change().dropna().head(250)  # a prior for BayesianKelly: the first year counts twice

ARGUMENTS = {
    "BayesianKelly": {"prior_scenarios": quiet_days, "pseudo_count": 250},
    "KLRobust": {"objective": objectives.CRRA(3.0), "radius": 0.02},
    "RegretKelly": {"rivals": [Decay(252), ShrunkMeans()]},
}

rows = []
for name in objectives.__all__:
    kind = getattr(objectives, name)
    if not isinstance(kind, type) or name == "Optimizer":
        continue
    optimizer = kind(**ARGUMENTS.get(name, {}))
    optimizer.optimize(prices)
    solution = optimizer.solution
    top = solution.to_series().nlargest(3)
    held = ", ".join(f"{ticker} {100 * weight:.0f}%" for ticker, weight in top.items() if weight > 0.005)
    gap = "" if solution.gap is None else f"{solution.gap:.0e}"
    rows.append([name, held or "cash", f"{abs(100 * solution.cash):.0f}%", solution.status, gap, solution.solver])

print(tabulate(rows, headers=["objective", "holds most of", "cash", "status", "gap", "solver"], disable_numparse=True))
