"""Draw the chart of the home page: what ``opeslike compare`` compares, in a shape that a phone can show.

python docs/scripts/home.py
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from opeslike import Kelly, KLRobustKelly, MeanVariance, Uniform, compare, load_us20

TICKERS = "AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH"


def main() -> None:
    prices = load_us20(tickers=TICKERS, start="2010", end="2019")
    fractions = {"Kelly": 1.0, "Half Kelly": 0.5, "Quarter Kelly": 0.25}
    variants = {name: Kelly(fraction) for name, fraction in fractions.items()}
    variants |= {f"{name}, robust": KLRobustKelly(fraction, "auto") for name, fraction in fractions.items()}
    variants |= {"Mean-variance": MeanVariance(), "1/N": Uniform()}
    table = compare(variants, prices[:"2017"], prices["2018":], cost={"const": 20}, reopt_freq=5, clean_weights=True)
    figure = Figure(figsize=(6.4, 6), layout="constrained")
    axes = figure.subplots()
    table.plot_wealth(ax=axes, title=None)
    legend = axes.get_legend()
    handles, labels = legend.legend_handles, [text.get_text() for text in legend.get_texts()]
    legend.remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(Path(__file__).resolve().parent.parent / "img" / "compare.png", dpi=150)


if __name__ == "__main__":
    main()
