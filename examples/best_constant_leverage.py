"""The best constant leverage, 2003 to 2013: what it was, how it looked at the time, and what following it made.

Writes: best-constant-leverage.md, best-constant-leverage-factor.png, best-constant-leverage-curve.png, \
best-constant-leverage-path.png

    python best_constant_leverage.py              on the embedded index, or on OPESLIKE_TEST_DATA (see study.py)
    python best_constant_leverage.py --out FOLDER

Kelly leverage is the mean over the variance of daily returns; here at zero rate, without costs, over all days since the
start. It is worked out each day from the past alone, compared with the exact optimum of the whole decade, and followed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import study

from opeslike import Backtester, load_csv
from opeslike.analysis import plot_growth_curve, plot_leverage
from opeslike.sizing import growth_curve, kelly_factor
from opeslike.strategies import BuyAndHold, ExpandingKelly, FixedLeverage

START, END = "2003-01-02", "2013-01-31"
YEAR = 252
DAYS = ["2008-01-02", "2008-12-31", "2009-03-09", END]


def run() -> study.Study:
    found = study.Study("best-constant-leverage", "The best constant leverage")
    history, source = study.equity()
    prices = history[START:END]
    returns = prices.pct_change().iloc[1:]
    name = prices.columns[0]
    found.say(f"Prices: {source}; {START} to {END}, {len(returns)} daily returns.", source=source, days=len(returns))

    # 1. How it looked at the time: the expanding estimate, day by day.
    factor = kelly_factor(returns[name], expanding=True, allow_short=True)
    seen = pd.DataFrame({day: {"Kelly leverage": factor[day]} for day in DAYS})
    found.table("seen", "Mean over variance, of all days so far", seen, {"Kelly leverage": ",.4f"})
    known = slice(YEAR, None)  # of less than a year the estimate is all noise
    chart = plot_leverage(
        {name: returns[name].iloc[known]},
        {name: factor.iloc[known]},
        start=returns.index[YEAR - 1],
        title=f"{name}, and its Kelly leverage by all days so far",
    )
    found.figure("best-constant-leverage-factor", chart)
    if (bonds := study.file("tlt.csv")) is not None:
        both = prices.join(load_csv(bonds)).pct_change().iloc[1:]
        joint = kelly_factor(both, expanding=True, allow_short=True, joint=True).iloc[-1]
        words = " and ".join(f"{value:.3f} of {asset}" for asset, value in joint.items())
        found.say(
            f"Together with bonds, on {END}: {words} ({study.hashed('tlt.csv')}).",
            joint=words,
            bonds=study.hashed("tlt.csv"),
        )

    # 2. What was best: exact growth of every constant leverage.
    curve = growth_curve(returns[name])
    best = curve.optimum
    tester = Backtester(history[history.index < START], prices, cost={"const": 0})
    marked = {"half the optimum": best / 2, "unlevered": 1.0, "exact optimum": best}
    marked |= {"mean over variance": curve.quadratic_optimum, "three": 3.0, "zero growth": curve.zero_growth_leverage}
    held = pd.DataFrame(
        {
            words: {
                "Leverage": leverage,
                "Growth % a year": YEAR * 100 * float(curve.at(leverage)),
                "Final wealth": tester.backtest(FixedLeverage({name: leverage}))["wealth"][-1],
            }
            for words, leverage in marked.items()
        }
    )
    formats = {"Leverage": ",.4f", "Growth % a year": ",.2f", "Final wealth": ",.4f"}
    found.table("constant", "Constant leverages over the whole period, rebalanced daily", held, formats)
    others = np.linspace(0.0, 1.25 * curve.zero_growth_leverage, 2001)
    lower = int((len(returns) * curve.at(others) < len(returns) * curve.optimum_growth).sum())
    found.say(
        f"Of {len(others):,} other constant leverages between 0 and {others[-1]:.2f}, {lower:,} ended lower than "
        f"{best:.4f}; the worst day ruins every leverage from {curve.ruin_leverage:.2f} on.",
        others=f"{len(others):,}",
        reach=f"{others[-1]:.2f}",
        lower=f"{lower:,}",
        best=f"{best:.4f}",
        ruin=f"{curve.ruin_leverage:.2f}",
        worst=f"{returns[name].min():.1%}",
        worst_day=returns[name].idxmin().date(),
    )
    chart = plot_growth_curve(
        curve,
        marks={mark: at for mark, at in curve.marks.items() if mark != "quadratic optimum"},  # beside the optimum
        periods_per_year=YEAR,
        title=f"Growth of a constant leverage, {name}, 2003-2013",
    )
    found.figure("best-constant-leverage-curve", chart)

    # 3. What following it made: the first year to learn from, then walked forward.
    tester = Backtester(prices[:"2003"], prices["2004":], cost={"const": 0})
    strategies = {
        "Unlevered": BuyAndHold(),
        f"{best:.4f} constant (hindsight)": FixedLeverage({name: best}),
        "Expanding Kelly": ExpandingKelly(min_periods=240),
        "Half of it": ExpandingKelly(min_periods=240, fraction=0.5),
        "Capped at 2": ExpandingKelly(min_periods=240, max_leverage=2.0),
    }
    results = {words: tester.backtest(strategy) for words, strategy in strategies.items()}
    found.table("walked", "Walked forward, 2004 to 2013", study.statistics(results), study.STATISTICS)
    chart = plot_leverage(
        {words: result.returns for words, result in results.items()},
        {words: result.leverage for words, result in results.items()},
        start=results["Unlevered"].start,
        title="Wealth, and the leverage that was held",
    )
    found.figure("best-constant-leverage-path", chart)
    return found


if __name__ == "__main__":
    study.main(run, __doc__.splitlines()[0])
