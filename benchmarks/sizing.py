"""Sizing: Kelly factors beside pandas' rolling mean and variance, and the growth curve."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from opeslike.sizing import conservative, growth_curve, kelly_empirical, kelly_factor, optimal_f


def best_of(call, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("1990-01-01", periods=7560)
    table = pd.DataFrame(rng.normal(3e-4, 0.01, (7560, 500)), index=dates)
    ragged = table.copy()
    for column, start in enumerate(rng.integers(0, 5000, 500)):
        ragged.iloc[:start, column] = np.nan
    one = rng.standard_t(4, 7000) * 0.008 + 3e-4
    for name, data in (("full", table), ("late listings", ragged)):
        pandas = best_of(lambda d=data: (d.rolling(252).mean(), d.rolling(252).var()))
        ours = best_of(lambda d=data: kelly_factor(d))
        print(
            f"kelly_factor 7560 x 500, window 252, {name}: {ours:.0f} ms; pandas {pandas:.0f} ms; {ours / pandas:.2f}x"
        )
    pandas = best_of(lambda: (table.expanding().mean(), table.expanding().var()))
    ours = best_of(lambda: kelly_factor(table, expanding=True))
    print(f"expanding: {ours:.0f} ms; pandas {pandas:.0f} ms; {ours / pandas:.2f}x")
    print(f"joint, 2 assets: {best_of(lambda: kelly_factor(table.iloc[:, :2], joint=True, allow_short=True)):.0f} ms")
    leverages = np.linspace(0, 6, 400)
    print(f"growth_curve, 400 leverages x 7000 days: {best_of(lambda: growth_curve(one, leverages), 15):.1f} ms")
    print(f"kelly_empirical, 7000 days: {best_of(lambda: kelly_empirical(one), 15):.2f} ms")
    print(f"optimal_f, 7000 days: {best_of(lambda: optimal_f(one), 15):.2f} ms")
    print(f"conservative(optimal_f), 100 resamples of 7000: {best_of(lambda: conservative(optimal_f, one)):.1f} ms")


if __name__ == "__main__":
    main()
