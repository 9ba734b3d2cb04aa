"""Long-only Kelly on SPY, 1993 to 2020: uncapped, capped, with other windows, with and without a day's delay.

Writes: kelly-on-spy.md, kelly-on-spy-caps.png, kelly-on-spy-windows.png, kelly-on-spy-path.png

    python kelly_on_spy.py              on the embedded index, or on OPESLIKE_TEST_DATA (see study.py)
    python kelly_on_spy.py --out FOLDER

Leverage is the mean of daily log returns less the risk-free rate over their variance, of the last 252 days, never below
zero, rebalanced daily. Cash earns 2% a year and borrowing costs as much. No trading costs, except in the last table.
"""

from __future__ import annotations

import pandas as pd
import study

from opeslike import Backtester
from opeslike.analysis import metrics_table, plot_leverage, plot_sweep
from opeslike.strategies import BuyAndHold, ExpandingKelly, RollingKelly

START, END, RATE = "1993-01-29", "2020-12-31", 0.02
YEAR = 252
TABLE = ["Annual return %", "Annual volatility %", "Sharpe (annual)", "Max drawdown %", "Final wealth"]


def kelly(window=YEAR, cap=None):
    """Rolling Kelly; a window of None is expanding."""
    settings = {"risk_free": RATE, "max_leverage": cap, "use_log": True}
    if window is None:
        return ExpandingKelly(min_periods=4 * YEAR, **settings)
    return RollingKelly(window=window, **settings)


def run() -> study.Study:
    found = study.Study("kelly-on-spy", "Long-only Kelly on SPY, 1993 to 2020")
    prices, source = study.equity()
    prices = prices[START:END]
    found.say(f"Prices: {source}.", source=source)

    def tester(known: int, cost: float = 0.0, spread: float = 0.0) -> Backtester:
        """The first ``known`` returns to learn from, the rest to trade."""
        train, test = prices[:known], prices[known:]
        return Backtester(train, test, cost={"const": cost}, risk_free=RATE, borrow_spread=spread)

    # 1. One year, with and without caps; decided at the close that is traded, and a day later.
    year = tester(YEAR)
    results = {}
    for lag in (0, 1):
        for cap in (None, 1, 2, 3, 4, 5):
            results[cap, lag] = year.backtest(kelly(cap=cap), execution_lag=lag)
    held = year.backtest(BuyAndHold())
    for lag, key, words in ((0, "same", "at the close that is traded"), (1, "next", "a day later")):
        shown = {"buy and hold": held}
        shown |= {f"cap {cap}" if cap else "no cap": results[cap, lag] for cap in (1, 2, 3, 4, 5, None)}
        frame = study.statistics(shown, RATE).astype(object)
        frame.loc["Ruined on"] = [str(r.ruin_date.date()) if r.ruin_date is not None else "-" for r in shown.values()]
        found.table(key, f"252 days, decided {words}", frame, study.STATISTICS)
    free = results[None, 0]
    before = free.leverage[: free.ruin_date]
    found.say(
        f"Without a cap leverage went up to {before.max():.1f}, on {before.idxmax():%Y-%m-%d}; on "
        f"{free.ruin_date:%Y-%m-%d} it was {before.iloc[-1]:.1f}, the index returned "
        f"{free.asset_returns.loc[free.ruin_date].iloc[0]:.2%}, and everything was lost.",
        peak=f"{before.max():.1f}",
        peak_day=f"{before.idxmax():%Y-%m-%d}",
        ruin_day=f"{free.ruin_date:%Y-%m-%d}",
        ruin_leverage=f"{before.iloc[-1]:.1f}",
        ruin_return=f"{free.asset_returns.loc[free.ruin_date].iloc[0]:.2%}",
        ruin_sharpe=f"{study.statistics({'no cap': free}, RATE).loc['Sharpe', 'no cap']:.2f}",
        owed=f"{free.lender_loss / free.wealth[: free.ruin_date].iloc[-2]:.0%}",
        late_day=f"{results[None, 1].ruin_date:%Y-%m-%d}" if results[None, 1].ruin_date is not None else "never",
    )
    caps = {f"cap {cap}": results[cap, 0].returns for cap in (1, 2, 3, 4, 5)}
    lines = {"buy and hold": held.returns, **caps, "no cap": free.returns}
    found.figure("kelly-on-spy-caps", sweep(lines, held.start, "252-day Kelly by cap, decided at the close"))
    lines = {"cap 3": results[3, 0], "no cap": free}
    path = plot_leverage(
        {name: result.returns[:"1997"] for name, result in lines.items()},
        {name: result.leverage[:"1997"] for name, result in lines.items()},
        start=held.start,
        title="252-day Kelly with and without a cap, and its leverage, to 1997",
    )
    found.figure("kelly-on-spy-path", path)

    # 2. Other windows, all from the day that the longest is known.
    later = tester(4 * YEAR + 1)
    windows = {f"{years} year{'s' * (years > 1)}": kelly(years * YEAR, 3) for years in (1, 2, 3, 4)}
    windows["expanding"] = kelly(None, 3)
    for lag, key, words in ((0, "windows", "at the close that is traded"), (1, "windows-next", "a day later")):
        shown = {name: later.backtest(strategy, execution_lag=lag) for name, strategy in windows.items()}
        shown["buy and hold"] = later.backtest(BuyAndHold())
        found.table(key, f"Cap 3, by window, decided {words}", study.statistics(shown, RATE), study.STATISTICS)
        if lag == 0:
            lines = {name: result.returns for name, result in shown.items()}
            start = shown["expanding"].start
            levered = shown["expanding"].leverage
            peaks = {f"held_{day[:4]}": f"{levered[day]:.1f}" for day in ("2000-03-24", "2007-10-09")}
            words = " and ".join(peaks.values())
            found.say(f"Of all its past, it held {words} times wealth at the peaks of 2000 and 2007.", **peaks)
            chart = sweep(lines, start, "Kelly with cap 3 by window, decided at the close")
            found.figure("kelly-on-spy-windows", chart)

    # 3. What it costs.
    costs = {}
    for lag in (0, 1):
        for words, cost, spread in (("no costs", 0.0, 0.0), ("2 bps, borrowing + 1.5%", 2.0, 0.015)):
            result = tester(YEAR, cost, spread).backtest(kelly(cap=2), execution_lag=lag)
            costs[f"lag {lag}, {words}"] = result
    frame = study.statistics(costs, RATE)
    frame.loc["Turnover a year"] = [252 * result.turnover.mean() for result in costs.values()]
    found.table("costs", "252 days, cap 2, with costs", frame, study.STATISTICS | {"Turnover a year": ",.1f"})
    return found


def sweep(lines, start, title):
    table = metrics_table(pd.DataFrame(lines), risk_free=RATE).loc[TABLE]
    return plot_sweep(lines, start=start, title=title, table=table, reference="buy and hold")


if __name__ == "__main__":
    study.main(run, __doc__.splitlines()[0])
