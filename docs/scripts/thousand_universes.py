"""Render docs/thousand-universes.md and its figures from us_stocks.csv.gz.

    OPESLIKE_TEST_DATA=folder python docs/scripts/thousand_universes.py --universes 1000 --weekly 200 --null 200

The folder holds us_stocks.csv.gz: daily adjusted closes of US stocks. Runs are kept in ``--store``; a run that was
stopped goes on, and with ``--minutes`` each study stops after that long and the page is about what is done by then.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opeslike import CRRA, Kelly, KLRobustKelly, MaxSharpe, MeanVariance, MinVariance, RiskParity, Uniform
from opeslike.studies import Fraction, Study, Windowed, random_universes, resampled

HERE = Path(__file__).resolve().parent.parent
PAGE, TEMPLATE, FIGURE = HERE / "thousand-universes.md", HERE / "scripts" / "thousand-universes.md.in", HERE / "img"
STRATEGIES: dict[str, Any] = {
    "1/N": Uniform(),
    "Kelly": Kelly(),
    "Half Kelly": Fraction("Kelly", 0.5),
    "Quarter Kelly": Fraction("Kelly", 0.25),
    "KL auto": KLRobustKelly(radius="auto"),
    "Half KL": Fraction("KL auto", 0.5),
    "KL .005": KLRobustKelly(radius=0.005),
    "KL .05": KLRobustKelly(radius=0.05),
    "Mean-variance": MeanVariance(2.0),
    "Min variance": MinVariance(),
    "Risk parity": RiskParity(),
    "Max Sharpe": MaxSharpe(),
    "CRRA(3)": CRRA(3.0),
    "Kelly 504": Windowed("Kelly", 504),
    "KL 504": Windowed("KL auto", 504),
    "Half KL 504": Fraction("KL 504", 0.5),
    "Mean-variance 504": Windowed("Mean-variance", 504),
    "Min variance 504": Windowed("Min variance", 504),
}
TERMS: dict[str, Any] = {"train_end": "2013", "cost": {"const": 20}}


def load() -> tuple[pd.DataFrame, str]:
    """The stocks that are quoted on every date, and the hash of the file."""
    source = Path(os.environ["OPESLIKE_TEST_DATA"]) / "us_stocks.csv.gz"
    prices = pd.read_csv(source, index_col=0, parse_dates=True)
    return prices.dropna(axis=1), hashlib.sha256(source.read_bytes()).hexdigest()


def done(prices: pd.DataFrame, count: int, every: int, store: str, minutes: float, jobs: int) -> Study:
    """A study run for so long, cut to the universes that are complete."""
    terms = {**TERMS, "reopt_freq": every, "rebalance_freq": every, "store": store}
    study = Study(STRATEGIES, random_universes(prices, count, 10), **terms)
    if minutes:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(max(1, round(60 * minutes)))
    try:
        study.run(n_jobs=jobs)
    except KeyboardInterrupt:
        print(study)
    finally:
        signal.alarm(0)
    finished = len(study.frame) // len(STRATEGIES)
    return study if finished == count else Study(STRATEGIES, whole(study), **terms)


def whole(study: Study) -> list[Any]:
    """The samples of which every run is stored."""
    counts = study.frame.groupby(level="sample").size()
    return [sample for sample in study.samples if counts.get(sample.name, 0) == len(STRATEGIES)]


def figures(study: Study, name: str) -> str:
    """Medians over the universes, as a table in Markdown."""
    from opeslike.analysis.tables import render

    middle = study.medians.loc[["growth", "sharpe", "volatility", "max_drawdown", "turnover"]]
    shown = middle.mul([100, 1, 100, 100, 1], axis=0).set_axis(
        ["Growth %", "Sharpe", "Volatility %", "Max drawdown %", "Turnover a year"], axis=0
    )
    formats = dict.fromkeys(shown.index, ".1f") | {"Sharpe": ".2f", "Turnover a year": ".2f"}
    return render(shown, "pipe", transpose=True, formats=formats)


def main() -> None:
    """Run, judge, and fill in the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in (("universes", 1000), ("weekly", 200), ("null", 200), ("jobs", 2)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=0.0, help="for each of the three studies (default: no limit)")
    parser.add_argument("--store", default="thousand-universes.db")
    given = parser.parse_args()
    prices, sha256 = load()
    null = resampled(prices, 1, "null", seed=1)[0].data
    more = given.store, given.minutes, given.jobs
    monthly = done(prices, given.universes, 21, *more)
    nothing = done(null, given.null, 21, *more)
    weekly = done(prices, given.weekly, 5, *more)
    FIGURE.mkdir(exist_ok=True)
    monthly.plot("growth", savefig=FIGURE / "thousand-universes-growth.png")
    monthly.plot("volatility", savefig=FIGURE / "thousand-universes-volatility.png")
    judged, few = monthly.table("1/N"), monthly.table("1/N", statistics=["growth"])
    one = Study(STRATEGIES, list(monthly.samples[:1]), **TERMS, reopt_freq=21, rebalance_freq=21, store=given.store)
    alone = one.table("1/N", statistics=["growth"]).to_frame()["error"].median()
    together = few.to_frame()["error"].median()
    dear = {cost: monthly.replay(cost={"const": cost}, n_jobs=given.jobs).medians.loc["growth"] for cost in (0, 20, 50)}
    costs = pd.DataFrame({f"{cost} bps": 100 * growth for cost, growth in dear.items()})
    filled = {
        "stocks": f"{prices.shape[1]}",
        "universes": f"{len(monthly.samples):,}",
        "weekly": f"{len(weekly.samples):,}",
        "null": f"{len(nothing.samples):,}",
        "medians": figures(monthly, "monthly"),
        "judged": judged.to_text("pipe"),
        "nothing": nothing.table("1/N", statistics=["mean"]).to_text("pipe"),
        "weekly judged": weekly.table("1/N", statistics=["growth", "sharpe"]).to_text("pipe"),
        "one": f"{100 * alone:.1f}",
        "many": f"{100 * together:.1f}",
        "years": f"{np.nanmedian(few.tables['growth']['years']):,.0f}",
        "costs": costs.map("{:.1f}".format).to_markdown(),
        "seconds": f"{monthly.frame['seconds'].groupby(level='sample').sum().median():.2f}",
        "size": f"{Path(given.store).stat().st_size / 1000 / stored(monthly, nothing, weekly):.0f}",
        "sha256": sha256,
        "done": told(monthly, given.universes) + told(weekly, given.weekly),
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for key, text in filled.items():
        assert f"{{{{{key}}}}}" in page, f"the template does not use {key}"
        page = page.replace(f"{{{{{key}}}}}", text)
    PAGE.write_text(page, encoding="utf-8")


def told(study: Study, wanted: int) -> str:
    """How many universes were not done in the time there was."""
    count, every = len(study.samples), study.terms["reopt_freq"]
    return (
        ""
        if count == wanted
        else f"Of {wanted:,} universes every {every} days {count:,} were done in the time there was. "
    )


def stored(*studies: Study) -> int:
    """Runs in the store."""
    return sum(len(study.frame) for study in studies)


if __name__ == "__main__":
    main()
