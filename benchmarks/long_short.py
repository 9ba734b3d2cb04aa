"""Timings of a long/short backtest: weekly dual momentum, dynamic Kelly and overlays over ten years of many assets.

    python benchmarks/long_short.py [assets [years]]

Prices are random walks with a common factor. The prior of the sizer weighs a thousand trades, so that positions are
held to the end; their average gross exposure is printed. Each run is timed five times, the fastest counts; training
data are one year. Beside each time stands the larger error of two checks over the whole path, as a share of the largest
wealth: the change in wealth less all contributions, and the change in wealth less financing and all trades' profits.
"""

from __future__ import annotations

import logging
import platform
import sys

import numpy as np
import pandas as pd
from sizing import best_of
from tabulate import tabulate

from opeslike import Backtester
from opeslike.accounting.overlays import DrawdownScaling, LeverageCap, StopAfterRuin, VolatilityScaling
from opeslike.accounting.result import BacktestResult
from opeslike.strategies import DualMomentum, DynamicKelly, Sized

YEAR, WEEK = 252, 5
OVERLAYS = (
    VolatilityScaling(target=0.20, lookback=20),
    DrawdownScaling(soft=0.20, hard=0.60),
    LeverageCap(gross=2.0, net=1.0),
    StopAfterRuin(0.1),
)


def market(assets: int, years: int, seed: int = 0) -> pd.DataFrame:
    """Closes, a year more than ``years``."""
    rng = np.random.default_rng(seed)
    rows = (years + 1) * YEAR
    moves = 3e-4 + rng.normal(0.0, 0.008, (rows, 1)) + rng.normal(0.0, 0.015, (rows, assets))
    names = [f"A{number:04d}" for number in range(assets)]
    return pd.DataFrame(50.0 * np.cumprod(1.0 + moves, axis=0), pd.bdate_range("2010-01-04", periods=rows), names)


def error(result: BacktestResult) -> float:
    """Larger of the two checks."""
    wealth = np.concatenate(([result.initial_capital], result["wealth"]))
    change, parts = wealth[-1] - wealth[0], result.contributions
    outside = parts["cash and financing"].sum() + parts["lender's loss"].sum()
    steps = np.abs(np.diff(wealth) - parts.sum(axis=1)).max()
    return float(max(steps, abs(change - outside - result.trades["profit"].sum())) / wealth.max())


def main(assets: int = 500, years: int = 10) -> None:
    prices = market(assets, years)
    options = {"cost": {"commission": 10, "slippage": 5}, "initial_capital": 250_000}
    rates = {"risk_free": 0.02, "borrow_spread": 0.01, "short_fee": 0.005}

    def run(places: int, *, overlays: bool = True) -> BacktestResult:
        """A fresh tester each time: checking and joining the data counts."""
        rule = DualMomentum(lookback=60, n_long=places, n_short=places, max_vol=0.60, regime_window=100)
        tester = Backtester(prices[:YEAR], prices[YEAR:], **options, **rates)
        strategy = Sized(rule, DynamicKelly(kelly_fraction=0.5, max_leverage=2.0, prior_trades=1000))
        chosen = OVERLAYS if overlays else ()
        return tester.backtest(strategy, reopt_freq=WEEK, rebalance_freq=WEEK, overlays=chosen, progress=False)

    def reported(places: int) -> BacktestResult:
        """The run and its tables: trades, contributions and all."""
        result = run(places)
        str(result.report())
        return result

    cases = {
        "one a side, no overlay": lambda: run(1, overlays=False),
        "one a side, four overlays": lambda: run(1),
        "20 a side, four overlays": lambda: run(20),
        "20 a side, overlays, with the report as text": lambda: reported(20),
    }
    rows = []
    for name, case in cases.items():
        result = case()
        rows.append([name, best_of(case) / 1e3, len(result.trades), result.leverage.mean(), f"{error(result):.1e}"])
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    print(f"{assets} assets, {len(prices) - YEAR - 1} daily steps, {versions}")
    print(tabulate(rows, headers=["run", "seconds", "trades", "gross", "error"], floatfmt=".3f", disable_numparse=[4]))


if __name__ == "__main__":
    logging.getLogger("opeslike").setLevel(logging.ERROR)
    main(*map(int, sys.argv[1:]))
