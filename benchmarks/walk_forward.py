"""Whole walk-forwards beside the peers, the worst certified gap beside the time.

    python benchmarks/walk_forward.py

1. The six-variant weekly Kelly comparison (606 solves, metrics included) beside OPES 0.11.4.
2. Ten years of 20 stocks, daily trading, mean-variance re-optimised weekly (503 solves), beside OPES and skfolio.
3. The loop alone: fixed weights, daily trading, beside a plain NumPy loop of the same accounting.
"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from _timing import paired, report

from opeslike import Backtester, Kelly, KLRobustKelly, MeanVariance, compare, load_us20

logging.disable(logging.WARNING)
TEN = ["AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "WMT"]


def comparison() -> None:
    data = load_us20()[TEN]
    train, test = data["2010":"2017"], data["2018":"2019"]
    radius = 1 / (len(train) + len(test) - 1) ** 0.5
    gaps: dict[str, tuple] = {}

    def ours() -> None:
        variants = {f"Kelly {f}": Kelly(f) for f in (1.0, 0.5, 0.25)}
        variants |= {f"KL {f}": KLRobustKelly(f, radius) for f in (1.0, 0.5, 0.25)}
        table = compare(variants, train, test, cost={"const": 20}, reopt_freq=5, clean_weights=True)
        assert len(table.metrics.columns) or len(table.metrics)
        gaps["opeslike"] = (f"{max(r.max_gap for r in table.results.values()):.1e}",)

    candidates = {"opeslike": ours}
    try:
        from opes import Backtester as TheirBacktester
        from opes.objectives import Kelly as TheirKelly
        from opes.objectives import KLRobustKelly as TheirRobust
    except ImportError:
        print("(OPES is not installed: pip install '.[bench]')")
    else:

        def theirs() -> None:
            tester = TheirBacktester(train_data=train, test_data=test, cost={"const": 20})
            for f in (1.0, 0.5, 0.25):
                for optimizer in (TheirKelly(f), TheirRobust(f, radius)):
                    result = tester.backtest(optimizer=optimizer, reopt_freq=5, clean_weights=True)
                    tester.get_metrics(result["returns"])

        candidates["OPES 0.11.4"] = theirs
        gaps["OPES 0.11.4"] = ("see parity.py",)
    report("Six Kelly variants, weekly, 2018-2019", paired(candidates, 3), gaps, ("worst gap",), "opeslike")


def mean_variance() -> None:
    data = load_us20()
    train, test = data["2003":"2012"], data["2013":"2022"]
    gaps: dict[str, tuple] = {}

    def ours() -> None:
        tester = Backtester(train, test, cost={"const": 20})
        result = tester.backtest(MeanVariance(1.0), reopt_freq=5)
        gaps["opeslike"] = (f"{result.max_gap:.1e}",)

    candidates = {"opeslike": ours}
    try:
        from opes import Backtester as TheirBacktester
        from opes.objectives import MeanVariance as TheirMeanVariance
    except ImportError:
        print("(OPES is not installed: pip install '.[bench]')")
    else:

        def opes() -> None:
            tester = TheirBacktester(train_data=train, test_data=test, cost={"const": 20})
            tester.backtest(optimizer=TheirMeanVariance(1.0), reopt_freq=5)

        candidates["OPES 0.11.4"] = opes
        gaps["OPES 0.11.4"] = ("see parity.py",)
    try:
        from skfolio.model_selection import WalkForward, cross_val_predict
        from skfolio.optimization import MeanRisk, ObjectiveFunction
    except ImportError:
        print("(skfolio is not installed: pip install '.[bench]')")
    else:
        returns = pd.concat([train, test]).pct_change().dropna()

        def skfolio() -> None:
            model = MeanRisk(objective_function=ObjectiveFunction.MAXIMIZE_UTILITY, risk_aversion=0.5)
            walk = WalkForward(test_size=5, train_size=len(train) - 1, expand_train=True)
            cross_val_predict(model, returns, cv=walk)

        candidates["skfolio"] = skfolio
    report("Mean-variance, 20 stocks, 2013-2022, weekly", paired(candidates, 3), gaps, ("worst gap",), "opeslike")


class Fixed:
    """Equal weights, decided once."""

    accepts_market = True

    def optimize(self, data: object) -> np.ndarray:
        return np.full(20, 0.05)


def loop() -> None:
    data = load_us20()
    train, test = data["2003":"2012"], data["2013":"2022"]
    returns = test.pct_change().to_numpy()[1:]
    target = np.full(20, 0.05)
    tester = Backtester(train, test, cost={"const": 20})

    def ours() -> None:
        tester.backtest(Fixed(), reopt_freq=10**6)

    def plain() -> None:
        held = np.zeros(20)
        wealth = np.empty(len(returns))
        level = 1.0
        for t, r in enumerate(returns):
            turnover = np.abs(target - held).sum()
            gain = float(target @ r)
            level *= (1 - turnover * 0.002) * (1 + gain)
            wealth[t] = level
            held = target * (1 + r) / (1 + gain)

    seconds = paired({"plain NumPy loop": plain, "opeslike": ours}, 9)
    report(f"The loop alone, {len(returns)} days x 20, fixed weights", seconds, {}, (), "plain NumPy loop")


if __name__ == "__main__":
    loop()
    mean_variance()
    comparison()
