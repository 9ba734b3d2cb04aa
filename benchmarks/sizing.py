"""Sizing: Kelly factors beside pandas' rolling mean and variance, the growth curve, and backtests of 27 years.

Beside each time stands how far the answer is from a plain recomputation: a fast wrong answer is not a result.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import pandas as pd

from opeslike import Backtester, load_sp500
from opeslike.sizing import conservative, growth_curve, kelly_empirical, kelly_factor, optimal_f, solve_empirical
from opeslike.strategies import (
    ExpandingKelly,
    FixedLeverage,
    KellySizer,
    MovingAverageCross,
    OptimalFSizer,
    RollingKelly,
    Sized,
    TurnOfMonth,
)

RATE, SPREAD, COST = 0.02, 0.015, 2.0


def best_of(call, repeats=7):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def factors() -> None:
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("1990-01-01", periods=7560)
    table = pd.DataFrame(rng.normal(3e-4, 0.01, (7560, 500)), index=dates)
    ragged = table.copy()
    for column, start in enumerate(rng.integers(0, 5000, 500)):
        ragged.iloc[:start, column] = np.nan
    for name, data, expanding in (
        ("window 252", table, False),
        ("window 252, late listings", ragged, False),
        ("expanding", table, True),
    ):

        def pandas(data=data, expanding=expanding):
            windows = data.expanding(252) if expanding else data.rolling(252)
            return windows.mean(), windows.var()

        def ours(data=data, expanding=expanding):
            return kelly_factor(data, expanding=expanding, min_periods=252, allow_short=True)

        mean, variance = pandas()
        error = float(((ours() - mean / variance).abs() / (1 + ours().abs())).max().max())
        theirs, own = best_of(pandas), best_of(ours)
        print(
            f"kelly_factor 7560 x 500, {name}: {own:.0f} ms; pandas mean and variance {theirs:.0f} ms; "
            f"{own / theirs:.2f}x; apart by {error:.0e} at most"
        )
    two = table.iloc[:, :2]
    print(f"kelly_factor, 2 assets jointly: {best_of(lambda: kelly_factor(two, joint=True, allow_short=True)):.0f} ms")


def curves() -> None:
    one = np.random.default_rng(1).standard_t(4, 7000) * 0.008 + 3e-4
    leverages = np.linspace(0, 6, 400)
    solvent = leverages < -1 / one.min()
    plain = np.log1p(np.outer(leverages[solvent], one)).mean(axis=1)
    error = np.abs(growth_curve(one, leverages).growth[solvent] - plain).max()
    took = best_of(lambda: growth_curve(one, leverages), 15)
    print(f"growth_curve, 400 leverages x 7000 days: {took:.1f} ms; error {error:.0e} a period")
    gap = solve_empirical(one).gap
    print(f"kelly_empirical, 7000 days: {best_of(lambda: kelly_empirical(one), 15):.2f} ms; gap {gap:.0e} a period")
    print(f"optimal_f, 7000 days: {best_of(lambda: optimal_f(one), 15):.2f} ms")
    print(f"conservative(optimal_f), 100 resamples of 7000: {best_of(lambda: conservative(optimal_f, one)):.1f} ms")


def recomputed(result, move) -> float:
    """Relative error of final wealth against a plain loop over the weights that were held."""
    lend, borrow = (float(np.expm1(np.log1p(rate) / 252)) for rate in (RATE, RATE + SPREAD))
    wealth, before = 1.0, 0.0
    for weight, moved in zip(result["weights"][:, 0], move, strict=True):
        wealth *= 1 - COST / 1e4 * abs(weight - before)
        cash = 1 - weight
        growth = 1 + weight * moved + cash * (lend if cash >= 0 else borrow)
        wealth, before = wealth * growth, weight * (1 + moved) / growth
    return abs(float(result["wealth"][-1]) / wealth - 1)


def backtests() -> None:
    prices = load_sp500().to_frame().loc["1993":"2020"]
    train, test = prices[:"1993"], prices["1994":]
    move = test.pct_change().to_numpy()[1:, 0]
    tester = Backtester(train, test, cost={"const": COST}, risk_free=RATE, borrow_spread=SPREAD)
    name = prices.columns[0]
    print(f"backtests over {len(move)} days, rebalanced daily, with costs, interest and borrowing:")
    strategies = {
        "twice the index": FixedLeverage({name: 2.0}),
        "rolling Kelly, cap 3": RollingKelly(window=252, max_leverage=3.0, risk_free=RATE),
        "expanding Kelly, cap 3": ExpandingKelly(max_leverage=3.0, risk_free=RATE),
        "crossover sized by Kelly, cap 3": Sized(MovingAverageCross(50, 200), KellySizer(max_leverage=3.0)),
        "turn of the month by optimal f": Sized(TurnOfMonth(), OptimalFSizer(expected_max_loss=0.1, every=252)),
    }
    for words, strategy in strategies.items():
        error = recomputed(tester.backtest(strategy), move)
        took = best_of(lambda strategy=strategy: tester.backtest(strategy))
        print(f"  {words}: {took:.0f} ms; relative error of final wealth {error:.0e}")


def main() -> None:
    logging.getLogger("opeslike").setLevel(logging.ERROR)
    factors()
    curves()
    backtests()


if __name__ == "__main__":
    main()
