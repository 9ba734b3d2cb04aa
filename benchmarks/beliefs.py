"""Beliefs at 2500 days of 20 stocks: entropy pooling beside skfolio's, and what a belief costs at each decision.

    python benchmarks/beliefs.py

The last column is the largest difference of any probability from ours. skfolio as shipped (``pip install ".[bench]"``).
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from _timing import paired, report

from opeslike import Kelly, Market, load_us20
from opeslike.beliefs import BlackLitterman, Decay, Recentred, Rescaled, ShrunkMeans, Views

MIXED = {
    "mean(AAPL)": 0.12,
    "mean(MSFT) - mean(XOM)": 0.03,
    "mean(KO)": ">= 0.05",
    "vol(JPM)": "<= 0.25",
    "quantile(BAC, 5)": -0.035,
}


def pooling(market: Market) -> None:
    from skfolio.prior import EntropyPooling

    frame = pd.DataFrame(market.returns, columns=market.assets)
    wanted = (frame.mean() + 1e-4).iloc[:5]
    ours = Views({f"mean({name})": 252 * float(mean) for name, mean in wanted.items()})
    theirs = EntropyPooling(mean_views=[f"{name} == {float(mean)!r}" for name, mean in wanted.items()])

    seconds = paired({"opeslike": lambda: ours(market), "skfolio": lambda: theirs.fit(frame)}, 20, {"opeslike": 10})
    away = np.abs(theirs.return_distribution_.sample_weight - ours.pooled(market).q).max()
    report("five views on means", seconds, {"skfolio": (f"{away:.1e}",)}, ("differs by",), "opeslike")


def decisions(market: Market) -> None:
    beliefs = {
        "decay": Decay(252),
        "recentred": Recentred(0.0005),
        "shrunk": ShrunkMeans(),
        "black-litterman": BlackLitterman({"mean(AAPL)": 0.1}),
        "ledoit-wolf": Rescaled("ledoit_wolf"),
        "three means, a volatility, a quantile": Views(MIXED),
        "with a CVaR too": Views({**MIXED, "cvar(BAC, 95)": 0.06}),
    }
    kelly = Kelly()
    calls = {name: lambda belief=belief: belief(market) for name, belief in beliefs.items()}
    seconds = paired({"one Kelly solve": lambda: kelly.optimize(market), **calls}, 20)
    report("one belief at one decision", seconds, {}, (), "one Kelly solve")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    data = Market.from_data(load_us20(start="2010").iloc[:2501])
    pooling(data)
    decisions(data)
