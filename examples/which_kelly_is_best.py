"""Which Kelly is best? Full, half and quarter Kelly, plain and KL-robust, walked forward over 2018 and 2019.

Writes: which-kelly.md, which-kelly.png

    python which_kelly_is_best.py                 ten US large caps from the package, no network
    python which_kelly_is_best.py --yahoo         AAPL MSFT XOM JNJ PFE WMT JPM GE TSLA GLD from Yahoo Finance
    python which_kelly_is_best.py --out FOLDER    where the files go (default: the current folder)

A fraction of Kelly has two meanings, and both are shown. Thorp's holds that fraction of the full Kelly portfolio and
keeps the rest in cash. The OPES package's stays fully invested and maximises E log(1 + f w.r): the smaller f, the less
averse to risk the objective, so the portfolio tends to be more concentrated. At f = 1 they are the same.

Training 2010-2017, re-optimised every five days, traded daily, 20 basis points of what is traded.
"""

from __future__ import annotations

import argparse
import sys

from matplotlib.figure import Figure

from opeslike import Kelly, KLRobustKelly, compare, load_us20, load_yahoo
from opeslike.analysis import render
from opeslike.analysis.output import write_atomically
from opeslike.errors import OpesLikeError
from opeslike.studies import make_folder

EMBEDDED = "AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH"  # the most volatile ten of the twenty, by 2010-2017
YAHOO = "AAPL MSFT XOM JNJ PFE WMT JPM GE TSLA GLD"
FORMULATIONS = {
    "thorp": "Thorp: a fraction of full Kelly, the rest in cash",
    "opes": "OPES: fully invested",
}


def variants(radius, formulation):
    words = {1.0: "Full", 0.5: "Half", 0.25: "Quarter"}
    plain = {f"{word} Kelly": Kelly(f, formulation=formulation) for f, word in words.items()}
    robust = {f"{word} KL-robust": KLRobustKelly(f, radius, formulation=formulation) for f, word in words.items()}
    return plain | robust


def figures(table):
    """The table, and how concentrated each portfolio was."""
    frame = table.metrics
    frame.loc["Mean largest weight %"] = [100 * result["weights"].max(axis=1).mean() for result in table.values()]
    frame.loc["Mean cash %"] = [100 * result["cash"].mean() for result in table.values()]
    return frame


def main():
    parser = argparse.ArgumentParser(description="Six Kelly variants, both meanings of a fraction.")
    parser.add_argument("--yahoo", action="store_true", help="take the prices from Yahoo Finance")
    parser.add_argument("--out", default=".", help="folder for table and figure (default: the current one)")
    args = parser.parse_args()

    if args.yahoo:
        prices = load_yahoo(YAHOO, start="2010-01-01", end="2019-12-31")
    else:
        prices = load_us20(tickers=EMBEDDED, start="2010", end="2019")
    folder = make_folder(args.out)
    train, test = prices[:"2017"], prices["2018":]
    radius = 1 / (len(train) + len(test) - 1) ** 0.5
    terms = {"cost": {"const": 20}, "reopt_freq": 5, "clean_weights": True}
    tables = {name: compare(variants(radius, name), train, test, **terms) for name in FORMULATIONS}

    formats = {"Mean largest weight %": ".1f", "Mean cash %": ".1f"}
    text = [
        f"# Which Kelly is best?\n\n{', '.join(prices.columns)}. {tables['thorp'].caption}; KL radius {radius:.4f}."
    ]
    for name, title in FORMULATIONS.items():
        frame = figures(tables[name])
        print(f"{title}\n\n{render(frame, formats=formats)}\n")
        text.append(f"## {title}\n\n{render(frame, 'pipe', formats=formats)}")

    half, quarter = (tables["opes"][f"{word} Kelly"]["weights"] for word in ("Half", "Quarter"))
    apart = 100 * abs(half - quarter).max()
    worst = max(result.max_gap for table in tables.values() for result in table.values())
    if apart < 0.05:
        held = 100 * half.max(axis=1).mean()
        differ = f"Fully invested, half and quarter Kelly are the same here, on average {held:.0f}% in one stock."
    else:
        differ = (
            f"Fully invested, half and quarter Kelly differ by up to {apart:.1f}% of wealth in one stock on one day."
        )
    finding = (
        f"{differ}\nEvery answer is within {worst:.1e} a day of its optimum, by a bound that does not trust the solver."
    )
    print(finding)

    figure = Figure(figsize=(11, 8.5), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 1, sharex=True, sharey=True), FORMULATIONS.items(), strict=True):
        tables[name].plot_wealth(ax=axes, title=title)
        axes.get_legend().set_loc("upper left")
        axes.get_legend().set_bbox_to_anchor((1.01, 1.0), transform=axes.transAxes)
    path = folder / "which-kelly.png"
    figure.savefig(path, dpi=130)
    write_atomically(folder / "which-kelly.md", "\n\n".join([*text, finding, "![Wealth](which-kelly.png)\n"]))
    print(f"\nWritten: {folder / 'which-kelly.md'}, {path}")


if __name__ == "__main__":
    try:
        main()
    except OpesLikeError as error:
        sys.exit(f"which_kelly_is_best: {error}")
