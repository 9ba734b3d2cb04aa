"""Render docs/which-kelly.md and its figures from seed10.csv.

    OPESLIKE_TEST_DATA=folder python docs/scripts/which_kelly.py

The folder holds seed10.csv: daily adjusted closes of ten tickers, 2010-2019. OPES 0.11.4 must be installed for its
columns (``pip install ".[bench]"``). Every figure on the page comes from this run.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tabulate import tabulate

from opeslike import Backtester, Kelly, KLRobustKelly, Market
from opeslike.analysis.plots import plot_wealth
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import KLBall, Mean
from opeslike.proof import prove

HERE = Path(__file__).resolve().parent.parent
PAGE, TEMPLATE = HERE / "which-kelly.md", HERE / "scripts" / "which-kelly.md.in"
COLUMNS = (
    "variant",
    "first weights",
    "Sharpe (daily)",
    "growth, % a day",
    "max drawdown, %",
    "worst gap, log growth a day",
)
#: Name of each variant: its fraction, and whether it is robust.
VARIANTS = {
    "full Kelly": (1.0, False),
    "half Kelly": (0.5, False),
    "quarter Kelly": (0.25, False),
    "KL-robust Kelly": (1.0, True),
    "KL-robust half Kelly": (0.5, True),
    "KL-robust quarter Kelly": (0.25, True),
}
EVERY, COST = 5, {"const": 20}


class Study(NamedTuple):
    """The data of the page, cut as the article cuts them."""

    train: pd.DataFrame
    test: pd.DataFrame
    sha256: str

    @property
    def radius(self) -> float:
        """1/sqrt(n), n the returns in both sets."""
        return float(1 / (len(self.train) + len(self.test) - 1) ** 0.5)

    @property
    def steps(self) -> range:
        """Steps at which weights are found anew."""
        return range(0, len(self.test) - 1, EVERY)


class Run(NamedTuple):
    """One variant walked forward."""

    result: Any
    metrics: Mapping[str, float]
    gap: float


def load(folder: str | os.PathLike[str]) -> Study:
    source = Path(folder) / "seed10.csv"
    data = pd.read_csv(source, index_col="Date", parse_dates=True)
    return Study(data[:"2017"], data["2018":], hashlib.sha256(source.read_bytes()).hexdigest())


def exact(study: Study, formulation: str) -> dict[str, Run]:
    """The six variants, solved to a certified gap."""
    tester = Backtester(study.train, study.test, cost=COST)
    runs = {}
    for name, (fraction, robust) in VARIANTS.items():
        optimizer = (
            KLRobustKelly(fraction, study.radius, formulation=formulation)
            if robust
            else Kelly(fraction, formulation=formulation)
        )
        result = tester.backtest(optimizer, reopt_freq=EVERY, clean_weights=True)
        runs[name] = Run(result, tester.get_metrics(result["returns"]), result.max_gap)
    return runs


def as_published(study: Study) -> dict[str, Run]:
    """The six variants by the OPES package, their weights certified here."""
    from opes import Backtester as TheirBacktester
    from opes.objectives import Kelly as TheirKelly
    from opes.objectives import KLRobustKelly as TheirRobust

    tester = TheirBacktester(train_data=study.train, test_data=study.test, cost=COST)
    runs = {}
    for name, (fraction, robust) in VARIANTS.items():
        optimizer = TheirRobust(fraction, study.radius) if robust else TheirKelly(fraction)
        result = tester.backtest(optimizer=optimizer, reopt_freq=EVERY, clean_weights=True)
        gap = worst_gap(result["weights"][list(study.steps)], study, fraction, study.radius if robust else 0.0)
        runs[name] = Run(result, tester.get_metrics(result["returns"]), gap)
    return runs


def worst_gap(weights: np.ndarray, study: Study, fraction: float, radius: float) -> float:
    """Certify weights that somebody else found: the largest gap over the re-optimisations."""
    market = Market.from_data(pd.concat((study.train, study.test)))
    base, n = len(study.train.dropna()) - 1, market.n_assets
    gaps = []
    for w, step in zip(weights, study.steps, strict=True):
        bounds = Bounds.budget(np.zeros(n), np.ones(n))
        risk = KLBall(radius) if radius else Mean()
        seen = market.window(0, base + max(step - 1, 0))
        problem = ScenarioProblem(seen.returns, None, Log(fraction), risk, bounds)
        w = np.clip(w, 0.0, 1.0)
        gaps.append(prove(problem, w / w.sum()).gap)
    return max(gaps)


def first_weights(w: np.ndarray, tickers: list[str]) -> str:
    order = np.argsort(-w)
    if np.ptp(w) < 1e-6:
        return f"{w[0]:.1%} each"
    held = [f"{tickers[i]} {w[i]:.1%}" for i in order[:3] if w[i] > 5e-4]
    return ", ".join(held) + (" ..." if (w > 5e-4).sum() > 3 else "")


def rows(runs: Mapping[str, Run], tickers: list[str]) -> list[list[str]]:
    return [
        [
            name,
            first_weights(result["weights"][0], tickers),
            f"{metrics['sharpe']:.5f}",
            f"{metrics['growth_rate']:.5f}",
            f"{metrics['max_drawdown']:.2f}",
            f"{gap:.1e}",
        ]
        for name, (result, metrics, gap) in runs.items()
    ]


def table(runs: Mapping[str, Run], tickers: list[str]) -> str:
    align = ("left", "left", *["right"] * (len(COLUMNS) - 2))
    return tabulate(rows(runs, tickers), headers=COLUMNS, tablefmt="pipe", disable_numparse=True, colalign=align)


def render(study: Study, theirs: Mapping[str, Run], ours: Mapping[str, Mapping[str, Run]]) -> str:
    """Fill in the template; what the prose says of the runs is taken from them, or checked."""
    tickers = list(study.train.columns)
    for name in ("half Kelly", "quarter Kelly"):
        stuck = theirs[name].result["weights"]
        assert np.ptp(stuck) < 1e-6, f"the page says that all weights of {name} are the same"
        alone = ours["opes"][name].result["weights"]
        assert alone.max(axis=1).min() > 1 - 1e-6, f"the page says that exact {name} is all in one stock"
    filled = {
        "opes-package": table(theirs, tickers),
        "opes": table(ours["opes"], tickers),
        "thorp": table(ours["thorp"], tickers),
        "version": version("opes"),
        "steps": str(len(study.steps)),
        "each": f"{theirs['half Kelly'].result['weights'][0, 0]:.0%}",
        "stopped": f"{theirs['full Kelly'].result['weights'][0].max():.0%}",
        "optimal": f"{ours['opes']['full Kelly'].result['weights'][0].max():.1%}",
        "sha256": study.sha256,
        "radius": f"{study.radius:.6f}",
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for key, text in filled.items():
        assert f"{{{{{key}}}}}" in page, f"the template does not use {key}"
        page = page.replace(f"{{{{{key}}}}}", text)
    return page


def main() -> None:
    logging.disable(logging.WARNING)
    study = load(os.environ["OPESLIKE_TEST_DATA"])
    ours = {formulation: exact(study, formulation) for formulation in ("opes", "thorp")}
    PAGE.write_text(render(study, as_published(study), ours), encoding="utf-8")
    plot_wealth(
        {name: run.result["returns"] for name, run in ours["thorp"].items()},
        timeline=ours["thorp"]["full Kelly"].result["timeline"],
        title="Exact Kelly variants, 2018-2019",
        savefig=HERE / "img" / "which-kelly.png",
    )


if __name__ == "__main__":
    main()
