"""How often what is claimed about an optimised portfolio holds: simulated worlds whose truth is known.

    python docs/scripts/coverage.py [worlds with 2, with 5 and with 20 assets: 500 500 500]

Writes coverage.csv beside this script, which docs/scripts/insight.py puts on the page "Questions for a portfolio". In
each world the returns of a day are drawn, independently, from a population of 20,000 days: a common shock and one of
each asset's own, both Student's t with 4 degrees of freedom, and means of 8% a year give or take 6%, other ones in each
world. A year of days is seen. With 500 worlds the figures are good to a percentage point (at 95%).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from opeslike import Covering, Kelly, KLRobustKelly, Market, kl_radius
from opeslike.insight import uncertainty

DAYS, POPULATION, NOMINAL, RESAMPLES = 252, 20_000, 0.95, 100
ASSETS = (2, 5, 20)
FILE = Path(__file__).with_name("coverage.csv")


def radii(assets: int, seed: int) -> dict[str, object]:
    return {
        'radius="auto"': "auto",
        "radius=kl_radius(252)": kl_radius(DAYS, NOMINAL),
        "radius=kl_radius(252, dof=assets)": kl_radius(DAYS, NOMINAL, dof=assets),
        "radius=Covering(0.95)": Covering(NOMINAL, RESAMPLES, seed),
    }


def world(assets: int, seed: int) -> dict[str, float]:
    """Whether each claim held in one world: 1 or 0, for weights the share of assets."""
    rng = np.random.default_rng([seed, assets])
    shocks = 0.006 * rng.standard_t(4, (POPULATION, 1)) + 0.010 * rng.standard_t(4, (POPULATION, assets))
    means = rng.normal(0.08, 0.06, assets) / 252
    truth = Market.from_data(np.maximum(shocks - shocks.mean(axis=0) + means, -0.9), "returns")
    seen = Market.from_data(truth.returns[rng.integers(POPULATION, size=DAYS)], "returns")
    held = {}
    for name, radius in radii(assets, seed).items():
        robust = KLRobustKelly(radius=radius)
        w = robust.optimize(seen)
        held[name] = float(-robust.solution.value <= np.log1p(truth.returns @ w).mean())
    found = uncertainty(Kelly(), seen, RESAMPLES, seed, confidence=NOMINAL, block=1)
    held["uncertainty: growth"] = float(found.lower_growth <= np.log1p(truth.returns @ found.best.to_numpy()).mean())
    best, ends = Kelly().optimize(truth), found.frame
    held["uncertainty: weights"] = float(((best >= ends["low"] - 1e-9) & (best <= ends["high"] + 1e-9)).mean())
    return held


def written(found: dict[int, list[dict[str, float]]]) -> str:
    """The table of shares by number of assets, and of how many worlds each rests on."""
    table = pd.DataFrame({f"{assets} assets": pd.DataFrame(worlds).mean() for assets, worlds in found.items()})
    table = table.map("{:.3f}".format)
    table.insert(0, "nominal", ["", *[f"{NOMINAL}"] * (len(table) - 1)])
    table.loc["worlds"] = ["", *(str(len(worlds)) for worlds in found.values())]
    return table.to_csv(index_label="what is claimed", lineterminator="\n")


def main(worlds: dict[int, int]) -> None:
    found = {assets: [world(assets, seed) for seed in range(count)] for assets, count in worlds.items()}
    FILE.write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main(dict(zip(ASSETS, map(int, sys.argv[1:] or ("500",) * len(ASSETS)), strict=True)))
