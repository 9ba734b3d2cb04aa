"""Timings under costs and limits on trades, each with its gap beside the time, and cvxpy's beside ours.

    python benchmarks/mandates.py [rows [assets]]

First single solves on random fat-tailed returns, from holdings drawn at random: without a mandate, with costs of 10
basis points, with three groups, with a turnover limit of 10%, with all three, with a tracking error against equal
weights, with an expected shortfall, with costs, groups, turnover and tracking error together, and with limits on risk
that the turnover must give way to. cvxpy solves the same problem with its first installed solver.
Then ten years of weeks of 20 stocks with all three, every decision certified; and the weeks' mean-variance decisions by
skfolio (``pip install ".[bench]"``), whose limit on turnover is one for each asset and so leaves more room.
"""

from __future__ import annotations

import sys
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from _timing import paired, report

from opeslike import (
    Backtester,
    CVaR,
    DrawdownOdds,
    ExpectedShortfall,
    Kelly,
    KLRobustKelly,
    Mandate,
    MeanVariance,
    Volatility,
    load_us20,
)
from opeslike.errors import OptimizationError
from opeslike.objectives.base import Optimizer


def market(rows: int, assets: int) -> pd.DataFrame:
    """Returns with a common factor and heavy tails."""
    g = np.random.default_rng(0)
    own = 0.01 * g.standard_t(5, (rows, assets)) * g.uniform(0.7, 1.3, assets)
    values = 0.004 * g.standard_t(5, (rows, 1)) + own + g.uniform(0.0, 0.001, assets)
    return pd.DataFrame(values, columns=[f"A{i:02d}" for i in range(assets)])


def grouped(names: list[str]) -> dict[str, Any]:
    """Three groups of at most 40%."""
    parts = np.array_split(np.array(names), 3)
    return {"groups": {f"group{i}": list(part) for i, part in enumerate(parts)}, "group_bounds": {"*": (0, 0.4)}}


def single_solves(rows: int, assets: int) -> None:
    """One decision under each mandate."""
    data = market(rows, assets)
    held = np.random.default_rng(1).dirichlet(np.ones(assets))
    three, equal = grouped(list(data.columns)), np.full(assets, 1 / assets)
    least = CVaR(mandate=Mandate())
    least.optimize(data, kind="returns")
    # so that it binds: half as far from equal weights as the least shortfall is, and a tenth above that shortfall
    away = least.weights - equal
    near, tail = 0.5 * float(np.sqrt(252) * (data @ away).std()), 1.1 * least.solution.value
    ways: dict[str, dict[str, Any]] = {
        "no mandate": {},
        "costs": {"costs": 10},
        "groups": three,
        "turnover": {"max_turnover": 0.1},
        "both and groups": {"costs": 10, "max_turnover": 0.1, **three},
        "tracking error": {"benchmark": equal, "max_tracking_error": near},
        "shortfall": {"risk_limits": [ExpectedShortfall(tail)]},
        "all together": {
            **{"costs": 10, "max_turnover": 0.7, "benchmark": equal, "max_tracking_error": near},
            **three,
        },
        "more than can be met": {
            **{"costs": 10, "max_turnover": 0.5, "benchmark": equal, "max_tracking_error": near},
            **{"max_active_share": 0.6},
            **{"risk_limits": [Volatility(0.15), ExpectedShortfall(0.03), DrawdownOdds(0.3, 0.1)]},
        },
    }
    for kind in (Kelly, KLRobustKelly, CVaR):
        makers: dict[str, Optimizer] = {}
        for way, terms in ways.items():
            makers[way] = kind(mandate=Mandate(**terms))
            makers[f"{way}, cvxpy"] = kind(mandate=Mandate(**terms), solver="cvxpy")
        calls = {name: partial(tried, one, data, held) for name, one in makers.items()}
        seconds = paired(calls, 1, {name: 5 for name in calls if "cvxpy" not in name})
        notes = {
            name: ("none", "gave up", "")
            if one.weights is None
            else (f"{one.solution.gap:.1e}", one.solution.solver, turned(one))
            for name, one in makers.items()
        }
        report(f"{kind.__name__}, {rows} x {assets}", seconds, notes, ("gap", "solver", "turnover"), "no mandate")


def tried(optimizer: Optimizer, data: np.ndarray, held: np.ndarray) -> None:
    """Optimise; the peer may fail, and then has no answer."""
    try:
        optimizer.optimize(data, kind="returns", held=held)
    except OptimizationError:
        if optimizer.solver != "cvxpy":
            raise


def turned(optimizer: Optimizer) -> str:
    """Sum of what was bought and sold."""
    return f"{optimizer.solution.trades[['bought', 'sold']].to_numpy().sum():.4f}"


def ten_years() -> None:
    """Weekly decisions of an account that pays 10 basis points."""
    prices = load_us20(start="2008", end="2019")
    tester = Backtester(prices[:"2009"], prices["2010":])
    for limit in (0.1, 0.02):
        for kind in (Kelly, KLRobustKelly, MeanVariance):
            mandate = Mandate(costs=10, max_turnover=limit, **grouped(list(prices.columns)))
            start = time.perf_counter()
            result = tester.backtest(kind(mandate=mandate), reopt_freq=5, rebalance_freq=5, keep_solutions=True)
            seconds = time.perf_counter() - start
            proved = result.certificates
            wider = sum(solution.turnover_limit > limit for _, solution in result.solutions[1:])
            print(
                f"{kind.__name__}, turnover {limit}: {seconds:.2f} s for {len(proved)} weeks, "
                f"{(proved['status'] == 'optimal').sum()} optimal, largest gap / tolerance "
                f"{(proved['gap'] / proved['tolerance']).max():.1e}, a wider limit in force in {wider} weeks; "
                f"{proved['solver'].value_counts().to_dict()}"
            )


def peer_weeks(limit: float = 0.1) -> None:
    """The same weeks by skfolio's MeanRisk, each from the weights of the week before."""
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    returns = load_us20(start="2008", end="2019").pct_change().iloc[1:]
    three = grouped(list(returns.columns))["groups"]
    terms = {
        "objective_function": ObjectiveFunction.MAXIMIZE_UTILITY,
        "risk_measure": RiskMeasure.VARIANCE,
        "risk_aversion": 1.0,
        "transaction_costs": 0.001,
        "max_turnover": limit,
        "groups": {asset: [name for name, members in three.items() if asset in members] for asset in returns.columns},
        "linear_constraints": [f"{name} <= 0.4" for name in three],
    }
    weeks = range(len(returns[:"2009"]), len(returns), 5)
    held = np.full(returns.shape[1], 1 / returns.shape[1])
    start = time.perf_counter()
    for stop in weeks:
        held = MeanRisk(previous_weights=held, **terms).fit(returns.iloc[:stop]).weights_
    print(f"skfolio's MeanRisk, turnover {limit} an asset: {time.perf_counter() - start:.2f} s for {len(weeks)} weeks")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sizes = [int(word) for word in sys.argv[1:]]
    single_solves(*(sizes + [2500, 20][len(sizes) :]))
    ten_years()
    peer_weeks()
