"""What a test on survivors hides: the same strategies with survivors only, and with listings and ends as they came.

Writes: survivors.md, survivors-universe.png, survivors-wealth.png

    python survivors.py              on the embedded stocks, or on OPESLIKE_TEST_DATA (see study.py)
    python survivors.py --out FOLDER

Prices of today's index members have late listings but no ends: whoever left the index is not in the file. So one series
in nine is cut at a random day, and its holders get 30% less than the last price, which Shumway (1997) found for stocks
that were delisted for poor performance. Decided at the end of each quarter from two years of returns, 10 basis points
of what is traded.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import study
from matplotlib.figure import Figure

from opeslike import Backtester, KLRobustKelly, load_csv, load_us20
from opeslike.accounting.result import BacktestResult
from opeslike.analysis import plot_wealth
from opeslike.errors import DataWarning
from opeslike.objectives import MinVariance, Uniform

SEED, SHARE, START, PAID = 7, 9, "2014", -0.3
STRATEGIES = {
    "1/N": Uniform(),
    "Minimum variance": MinVariance(),
    "KL-robust Kelly": KLRobustKelly(radius="auto"),
}
HAPPENED = "as it happened"


def stocks() -> tuple[pd.DataFrame, str]:
    """Closes of today's members of an index, NaN before a listing; and the words for them."""
    path = study.file("us_stocks.csv.gz")
    if path is None:
        return load_us20(start="2010"), "20 US large caps embedded in the package"
    return load_csv(path), f"366 US stocks, adjusted for dividends ({study.hashed('us_stocks.csv.gz')})"


def ended(prices: pd.DataFrame) -> pd.DataFrame:
    """The prices, some of them cut at a random day of the test."""
    prices, draw = prices.copy(), np.random.default_rng(SEED)
    first = prices.index.searchsorted(pd.Timestamp(START))
    for column in draw.choice(prices.shape[1], prices.shape[1] // SHARE, replace=False):
        begin = max(first, int(prices.iloc[:, column].notna().to_numpy().argmax()))
        prices.iloc[draw.integers(begin + 20, len(prices) - 20) :, column] = np.nan
    return prices


def walk(prices: pd.DataFrame, name: str, paid: float = PAID) -> BacktestResult:
    """One strategy over the years of the test."""
    split = prices.index.searchsorted(pd.Timestamp(START))
    tester = Backtester(prices[:split], prices[split:], delisting_return=paid)
    return tester.backtest(STRATEGIES[name], reopt_freq="QE", rebalance_freq="QE", window=504, min_history=252)


def run() -> study.Study:
    """The findings."""
    found = study.Study("survivors", "Survivors, and listings as they happened")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the page on the audit names what is severe in this file
        compare(found)
    return found


def compare(found: study.Study) -> None:
    """Walk, and say what came of it."""
    prices, source = stocks()
    happened = ended(prices)
    universes = {
        HAPPENED: happened,
        "without those that end": happened.loc[:, happened.iloc[-1].notna()],
        "on every date": happened.dropna(axis=1),
    }
    late, cut = int(happened.iloc[0].isna().sum()), int(happened.iloc[-1].isna().sum())
    sizes = {f"size_{place}": data.shape[1] for place, data in enumerate(universes.values())}
    found.say(
        f"Data: {source}. {late} list after {prices.index[0].date()}, {cut} are cut; {sizes['size_2']} have a price on "
        "every date.",
        **{"source": source, "late": late, "cut": cut, **sizes},
        **{"first": prices.index[0].date(), "last": prices.index[-1].date()},
    )
    results = {(name, label): walk(data, name) for name in STRATEGIES for label, data in universes.items()}
    figures = study.statistics({f"{name}, {label}": result for (name, label), result in results.items()})
    rows = ["Annual return %", "Volatility %", "Sharpe", "Max drawdown %", "Final wealth"]
    found.table("table", "Side by side", figures.loc[rows], study.STATISTICS)
    for place, label in enumerate(list(universes)[1:]):
        for name, key in zip(STRATEGIES, ("equal", "minimum", "kelly"), strict=True):
            points = figures.loc[rows[0], f"{name}, {label}"] - figures.loc[rows[0], f"{name}, {HAPPENED}"]
            found.say(
                f"{name}, {label}: {points:+.2f} points a year.",
                **{f"{key}_{place}": f"{points:+.2f}" if place else f"{points:.2f}"},
            )
    payouts = {
        f"{name}, holders get {paid:.0%}": results[name, HAPPENED] if paid == PAID else walk(happened, name, paid)
        for name in ("1/N", "KL-robust Kelly")
        for paid in (0.0, PAID, -1.0)
    }
    found.table("payouts", "What an end pays", study.statistics(payouts).loc[[rows[0], rows[-1]]], study.STATISTICS)
    result = results["KL-robust Kelly", HAPPENED]
    states, count, used = result.universe, result.universe["eligible"].sum(axis=1), result.rows["observed"]
    caught, stray = (states["held"] & states["suspended"]).any(), states["held"] & ~states["listed"]
    found.say(
        f"Eligible at a decision: {count.min()} to {count.max()}; returns: {used.min()} to {used.max()}; held when "
        f"quotes ended: {caught.sum()}.",
        **{"fewest": count.min(), "most": count.max(), "used": used.min(), "used_most": used.max()},
        **{"caught": caught.sum(), "stray": int(stray.to_numpy().sum()), "decisions": len(used)},
    )
    found.figure("survivors-universe", universe_chart(states))
    wealth = {f"{name}, {label}": result.returns for (name, label), result in results.items() if name != "1/N"}
    found.figure("survivors-wealth", plot_wealth(wealth, show=False))


def universe_chart(states: pd.DataFrame) -> Figure:
    """How many stocks are listed and eligible, and below how many are held."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    for axes, names in ((above, ("listed", "eligible")), (below, ("held",))):
        for name in names:
            axes.step(states.index, states[name].sum(axis=1), where="post", label=name)
        axes.set_ylabel("stocks")
        axes.legend(frameon=False, ncols=2)
        axes.spines[["top", "right"]].set_visible(False)
    below.set_ylim(bottom=0)
    return figure


if __name__ == "__main__":
    study.main(run, __doc__.partition("\n")[0])
