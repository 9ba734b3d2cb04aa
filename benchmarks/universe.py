"""Weekly KL-robust Kelly over stocks that come and go: time, certificates and what was eligible.

    OPESLIKE_TEST_DATA=folder python benchmarks/universe.py

The folder holds ``us_stocks.csv.gz``. Forty series, drawn with a seed, are cut at a random date of the test set.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from opeslike import Backtester, KLRobustKelly
from opeslike.errors import DataWarning

CUT, SEED = 40, 7


def main() -> None:
    """Walk and print."""
    folder = os.environ.get("OPESLIKE_TEST_DATA")
    if not folder:
        sys.exit("set OPESLIKE_TEST_DATA to the folder of us_stocks.csv.gz")
    prices = pd.read_csv(Path(folder) / "us_stocks.csv.gz", index_col="date", parse_dates=True)[:"2024"]
    train, test = prices[:"2013"], prices["2014":].copy()
    draw = np.random.default_rng(SEED)
    for ticker in draw.choice(prices.columns, CUT, replace=False):
        test.iloc[draw.integers(20, len(test) - 20) :, test.columns.get_loc(ticker)] = np.nan
    warnings.simplefilter("ignore", DataWarning)
    started = time.perf_counter()
    tester = Backtester(train, test, delisting_return=-0.3)
    joined = time.perf_counter() - started
    result = tester.backtest(
        KLRobustKelly(radius="auto"), reopt_freq=5, rebalance_freq=5, window=504, clean_weights=True
    )
    seconds = time.perf_counter() - started
    state, weights = result.universe, result.weights.to_numpy()
    proved = result.certificates
    within = int((proved["gap"] <= proved["tolerance"]).sum())
    eligible = state["eligible"].sum(axis=1)
    stray = int(((weights != 0) & ~state["listed"].to_numpy()).sum())
    halted = int((result.traded.to_numpy()[state["suspended"].to_numpy()] != 0).sum())
    print(f"{prices.shape[1]} stocks, {len(weights)} days, {len(proved)} decisions, {CUT} cut short")
    print(f"seconds {seconds:.1f} (joining {joined:.1f}, solving {proved['seconds'].sum():.1f})")
    print(f"certified within tolerance {within} of {len(proved)}, largest gap {proved['gap'].max():.1e}")
    rows = result.rows["observed"]
    print(f"eligible {eligible.min()} to {eligible.max()}, rows {rows.min()} to {rows.max()}")
    print(f"weights on what is not listed {stray}, trades in what is suspended {halted}")
    print(f"wealth {result['wealth'][-1]:.4f}")


if __name__ == "__main__":
    main()
