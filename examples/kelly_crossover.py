"""A moving-average crossover sized by Kelly: the rule, the sized rule and buy and hold, 1994 to 2020.

Writes: kelly-crossover.md, kelly-crossover.png

    python kelly_crossover.py              on the embedded index, or on OPESLIKE_TEST_DATA (see study.py)
    python kelly_crossover.py --out FOLDER

Long while the 50-day average of closes is above the 200-day one, else in cash. Sized: Kelly leverage by the mean and
variance of the rule's own unsized returns over the last 252 days, at most 3. Decided the day before it is traded, 2
basis points of what is traded, cash earns 2% a year, borrowing costs 3.5%.
"""

from __future__ import annotations

import pandas as pd
import study

from opeslike import Backtester
from opeslike.analysis import plot_leverage
from opeslike.strategies import BuyAndHold, KellySizer, MovingAverageCross, RollingKelly, Sized

START, END, RATE, SPREAD = "1993-01-29", "2020-12-31", 0.02, 0.015
YEAR, CAP = 252, 3.0


def run() -> study.Study:
    found = study.Study("kelly-crossover", "A moving-average crossover sized by Kelly")
    prices, source = study.equity()
    prices = prices[START:END]
    # The rule needs 200 closes and its record a year, so that the sized rule starts with the test.
    split = 200 + YEAR + 1
    terms = {"cost": {"const": 2}, "risk_free": RATE, "borrow_spread": SPREAD}
    tester = Backtester(prices[:split], prices[split:], **terms)
    rule = MovingAverageCross(fast=50, slow=200)
    sizes = {
        "Kelly, cap 3": KellySizer(window=YEAR, max_leverage=CAP, risk_free=RATE),
        "half Kelly, cap 3": KellySizer(window=YEAR, max_leverage=CAP, risk_free=RATE, fraction=0.5),
        "Kelly of all its past, cap 3": KellySizer(window=None, max_leverage=CAP, risk_free=RATE, min_periods=YEAR),
    }
    strategies = {
        "Buy and hold": BuyAndHold(),
        "Crossover, unsized": rule,
        **{f"Crossover, {words}": Sized(rule, sizer) for words, sizer in sizes.items()},
        "No rule, Kelly, cap 3": RollingKelly(window=YEAR, max_leverage=CAP, risk_free=RATE),
    }
    results = {words: tester.backtest(strategy) for words, strategy in strategies.items()}
    held = results["Buy and hold"]
    first = held.start
    found.say(
        f"Prices: {source}. Traded from {first:%Y-%m-%d} to {held.timeline[-1]:%Y-%m-%d}.",
        source=source,
        first=f"{first:%Y-%m-%d}",
        last=f"{held.timeline[-1]:%Y-%m-%d}",
    )
    frame = study.statistics(results, RATE).drop("Max leverage")
    frame.loc["In the market %"] = [100 * (result.leverage > 0).mean() for result in results.values()]
    frame.loc["Costs % a year"] = [YEAR * 100 * result.costs.mean() for result in results.values()]
    formats = study.STATISTICS | {"In the market %": ",.0f", "Costs % a year": ",.2f"}
    found.table("table", "Side by side", frame, formats)

    trips = results["Crossover, unsized"].trade_summary()
    sized = results["Crossover, Kelly, cap 3"].trade_summary()
    found.say(
        f"The unsized rule made {trips['trades']:.0f} round trips, {trips['win_rate']:.0%} of them with a profit; the "
        f"sized one {sized['trades']:.0f}, {sized['win_rate']:.0%} with a profit.",
        trips=f"{trips['trades']:.0f}",
        wins=f"{trips['win_rate']:.0%}",
        sized_trips=f"{sized['trades']:.0f}",
        sized_wins=f"{sized['win_rate']:.0%}",
    )
    shown = ["Buy and hold", "Crossover, unsized", "Crossover, Kelly, cap 3"]
    chart = plot_leverage(
        {words: results[words].returns for words in shown},
        {words: results[words].leverage for words in shown},
        start=first,
        title="A 50/200 crossover, unsized and sized by Kelly",
    )
    found.figure("kelly-crossover", chart)

    # How much of it is the dates: the same with other averages.
    other = {}
    for fast, slow in ((20, 100), (50, 200), (100, 300)):
        near = MovingAverageCross(fast=fast, slow=slow)
        late = 300 + YEAR + 1
        again = Backtester(prices[:late], prices[late:], **terms)
        plain, levered = again.backtest(near), again.backtest(Sized(near, sizes["Kelly, cap 3"]))
        figures = study.statistics({"unsized": plain, "sized": levered}, RATE)
        other[f"{fast}/{slow}"] = {
            f"{name}, {words}": figures.loc[row, name]
            for name in ("unsized", "sized")
            for row, words in (("Annual return %", "return %"), ("Max drawdown %", "drawdown %"), ("Sharpe", "Sharpe"))
        }
    formats = {f"{name}, {words}": ",.1f" for name in ("unsized", "sized") for words in ("return %", "drawdown %")}
    formats |= {f"{name}, Sharpe": ",.2f" for name in ("unsized", "sized")}
    found.table("averages", "Other averages, from the same later start", pd.DataFrame(other), formats)
    return found


if __name__ == "__main__":
    study.main(run, __doc__.splitlines()[0])
