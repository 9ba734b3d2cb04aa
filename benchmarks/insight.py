"""Questions to a portfolio at 2500 days of 20 stocks, and what a belief costs in a weekly walk-forward.

    python benchmarks/insight.py

Times are of the processor, so that a busy machine does not count. Regret is asked of a posed problem; the outsiders of
the screen are 5,000 made-up returns of the same days. A belief's own time is set against that of the rest of the walk.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from tabulate import tabulate

from opeslike import Backtester, Kelly, KLRobustKelly, Market, load_us20
from opeslike.beliefs import Belief, Decay, Recentred, ShrunkMeans
from opeslike.insight import breakdown, frontier, influence, pose, ranges, regret, screen


def least(call: Callable[[], object], repeats: int = 1, rounds: int = 5) -> float:
    """Least processor seconds of one call."""
    call()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeats):
            call()
        times.append((time.process_time() - start) / repeats)
    return min(times)


def questions(market: Market) -> None:
    rng = np.random.default_rng(1)
    mixes = 0.9 * market.returns @ rng.dirichlet(np.ones(20), 5000).T + rng.normal(3e-5, 0.01, (2500, 5000))
    outsiders = Market(np.asfortranarray(mixes), tuple(f"X{i}" for i in range(5000)), market.dates)
    kelly = Kelly()
    weights, posed, even = kelly.optimize(market), pose(kelly, market), np.full(20, 0.05)
    found = influence(kelly, market)
    rows = [
        ("regret", 0.05e-3, least(lambda: regret(even, posed), 2000), f"{regret(even, posed).bound:.1e} a day"),
        (
            "breakdown",
            None,
            least(lambda: breakdown(weights, posed), 50),
            f"{breakdown(weights, posed).radius:.2e} nats",
        ),
        ("ranges, 20 weights", 0.6, least(lambda: ranges(kelly, market)), ""),
        (
            "influence, 2500 days left out",
            1.0,
            least(lambda: influence(kelly, market), rounds=3),
            f"{1 - found.frame['exact'].mean():.1%} at once, gap at most {found.frame['gap'].max():.1e}",
        ),
        (
            "frontier, 100 radii",
            0.15,
            least(lambda: frontier(KLRobustKelly, market, radius=100)),
            f"gap at most {frontier(KLRobustKelly, market, radius=100).frame['gap'].max():.1e}",
        ),
        (
            "screen, 5000 outsiders",
            0.02,
            least(lambda: screen(kelly, outsiders)),
            f"{len(screen(kelly, outsiders).entrants)} enter",
        ),
    ]
    table = [
        [what, "" if aim is None else f"{1e3 * aim:g}", f"{1e3 * took:.3f}", note] for what, aim, took, note in rows
    ]
    print(tabulate(table, ["", "asked, ms", "took, ms", ""], tablefmt="simple", disable_numparse=True))


class Timed(Belief):
    """A belief that says how long it took."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.seconds = inner, 0.0

    def __call__(self, market: Market) -> Market:
        start = time.process_time()
        believed = self.inner(market)
        self.seconds += time.process_time() - start
        return believed


def walks() -> None:
    prices = load_us20(start="2010", end="2019")
    tester = Backtester(prices[:756], prices[756:])
    rows = []
    for belief in (Decay(252), Recentred(0.0005), ShrunkMeans(), Decay(252) | ShrunkMeans()):
        best = (np.inf, np.inf)
        for _ in range(3):
            timed, start = Timed(belief), time.process_time()
            tester.backtest(Kelly(beliefs=timed), reopt_freq=5, rebalance_freq=5)
            best = min(best, (time.process_time() - start, timed.seconds))
        whole, own = best
        rows.append([repr(belief), f"{1e3 * whole:.0f}", f"{own / (whole - own):.0%}"])
    print()
    print(tabulate(rows, ["belief of Kelly", "walk, ms", "its own share of the rest"], disable_numparse=True))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    questions(Market.from_data(load_us20(start="2010").iloc[:2501]))
    walks()
