"""Kelly and its cautious relatives, walked forward through ten years: doubt about odds, returns, and drawdowns.

Writes: robust-kelly.md, robust-kelly.png

    python robust_kelly.py                 ten US large caps from the package, no network
    python robust_kelly.py --out FOLDER    where the files go (default: the current folder)

Each variant is re-optimised every 63 days on the last 750 returns, traded daily, 20 basis points of what is traded.
They answer different doubts, so none is the right one by its column; the table shows what each costs and spares here.
"""

from __future__ import annotations

import argparse
import sys

from opeslike import Kelly, KLRobustKelly, compare, load_us20
from opeslike.analysis.output import write_atomically
from opeslike.errors import OpesLikeError
from opeslike.objectives import BoxRobustKelly, EllipsoidRobustKelly, RiskConstrainedKelly, WassRobustKelly
from opeslike.studies import make_folder

VARIANTS = {
    "Kelly": Kelly(),
    "Half Kelly": Kelly(0.5),
    "KL ball": KLRobustKelly(radius="auto"),
    "Box": BoxRobustKelly(radius=0.25),
    "Chi-square": EllipsoidRobustKelly(radius=0.2, metric="chi-square"),
    "Wasserstein": WassRobustKelly(radius=0.0005),
    "Drawdown limit": RiskConstrainedKelly(max_drawdown=0.3, probability=0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kelly and its cautious relatives, walked forward.")
    parser.add_argument("--out", default=".", help="folder for table and figure (default: the current one)")
    args = parser.parse_args()
    folder = make_folder(args.out)

    prices = load_us20(tickers="AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH", start="2007", end="2019")
    train, test = prices[:"2009"], prices["2010":]
    table = compare(VARIANTS, train, test, cost={"const": 20}, reopt_freq=63, window=750)
    print(table)
    spread = {name: 100 * result["weights"].max(axis=1).mean() for name, result in table.items()}
    held = "\n".join(f"{name}: on average {share:.0f}% in its largest position" for name, share in spread.items())
    print(f"\n{held}")
    table.plot_wealth(savefig=str(folder / "robust-kelly.png"))
    write_atomically(folder / "robust-kelly.md", f"{table.to_markdown()}\n\n{held}\n")


if __name__ == "__main__":
    try:
        main()
    except OpesLikeError as error:
        sys.exit(f"robust_kelly: {error}")
