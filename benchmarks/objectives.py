"""One solve of every objective on 2500 x 20 daily returns, the certified gap beside the time; tails beside cvxpy.

    python benchmarks/objectives.py

1. Every objective by itself: median time of one solve on real prices, with its gap.
2. Worst case, CVaR and mean-CVaR, beside cvxpy with Clarabel. The peer's program is written here as a textbook would,
   without slack variables that it does not need, and its answer is certified by the same code as ours.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from _timing import paired, report
from tabulate import tabulate

from opeslike import Market, load_us20
from opeslike import objectives as o
from opeslike.modelling.mandate import Mandate
from opeslike.proof import Witness, bound

CONFIDENCE = 0.95

SMOOTH = {
    "Kelly": o.Kelly,
    "CRRA(3)": lambda: o.CRRA(3.0),
    "CARA(3)": lambda: o.CARA(3.0),
    "QuadraticUtility": o.QuadraticUtility,
    "HARA": o.HARA,
    "KLRobustKelly(0.02)": lambda: o.KLRobustKelly(radius=0.02),
    "KLRobustMaxMean(0.02)": lambda: o.KLRobustMaxMean(0.02),
    "KLRobust(CRRA(3), 0.02)": lambda: o.KLRobust(o.CRRA(3.0), 0.02),
    "EVaR": o.EVaR,
    "MeanEVaR": o.MeanEVaR,
    "EntropicRisk(5)": lambda: o.EntropicRisk(5.0),
    "EllipsoidRobustKelly": o.EllipsoidRobustKelly,
    "RiskConstrainedKelly": o.RiskConstrainedKelly,
    "Kelly(leverage=2)": lambda: o.Kelly(mandate=Mandate(leverage=2.0, risk_free=0.02, borrow_spread=0.02)),
    "MeanVariance": o.MeanVariance,
    "MinVariance": o.MinVariance,
    "MaxSharpe": o.MaxSharpe,
    "MaxDiversification": o.MaxDiversification,
    "RiskParity": o.RiskParity,
    "WassRobustMaxMean": o.WassRobustMaxMean,
    "WassRobustMinVariance": o.WassRobustMinVariance,
    "WassRobustMeanVariance": o.WassRobustMeanVariance,
    "BCRP": o.BCRP,
}
OTHERS = {
    "KLRobustKelly(6)": lambda: o.KLRobustKelly(radius=6.0),
    "BoxRobustKelly": o.BoxRobustKelly,
    "CVaR": lambda: o.CVaR(CONFIDENCE),
    "MeanCVaR": lambda: o.MeanCVaR(0.5, CONFIDENCE),
    "WorstCaseLoss": o.WorstCaseLoss,
    "WassRobustKelly": o.WassRobustKelly,
}


def every(market: Market) -> None:
    rows = []
    for kind, group in (("smooth", SMOOTH), ("kinked, or large", OTHERS)):
        for name, make in group.items():
            optimizer = make()
            seconds = paired({name: lambda optimizer=optimizer: optimizer.optimize(market)}, 15)[name]
            solution = optimizer.solution
            rows.append([name, kind, f"{1e3 * seconds:.2f}", f"{solution.gap:.1e}", solution.solver])
    print(f"\nOne solve, {market.n_scenarios} x {market.n_assets}")
    print(tabulate(rows, headers=["objective", "", "ms", "certified gap", "solver"], disable_numparse=True))


def program(returns: np.ndarray, kind: str) -> tuple[cp.Problem, cp.Variable]:
    """The linear program of a textbook."""
    count, n = returns.shape
    w, level = cp.Variable(n), cp.Variable()
    losses = -(returns @ w)
    if kind == "worst case":
        value, extra = level, [losses <= level]
    else:
        excess = cp.Variable(count, nonneg=True)
        value, extra = level + cp.sum(excess) / ((1 - CONFIDENCE) * count), [excess >= losses - level]
        if kind == "mean-CVaR":
            value = 0.5 * value - returns.mean(axis=0) @ w
    return cp.Problem(cp.Minimize(value), [w >= 0, cp.sum(w) == 1, *extra]), w


def beside(market: Market) -> None:
    makers = {"worst case": OTHERS["WorstCaseLoss"], "CVaR": OTHERS["CVaR"], "mean-CVaR": OTHERS["MeanCVaR"]}
    for kind, make in makers.items():
        optimizer = make()
        answers: dict[str, np.ndarray] = {}

        def ours(optimizer=optimizer, answers=answers) -> None:
            answers["opeslike"] = optimizer.optimize(market)

        def theirs(kind=kind, answers=answers) -> None:
            problem, w = program(market.returns, kind)
            problem.solve(solver="CLARABEL")
            answers["cvxpy + Clarabel"] = np.asarray(w.value)

        seconds = paired({"opeslike": ours, "cvxpy + Clarabel": theirs}, 9)
        made = optimizer._problem(market)
        notes = {}
        for name, x in answers.items():
            x = np.clip(x, 0, None)
            x = x / x.sum()
            q = optimizer.solution.worst_case * made.risk.evaluate(-(market.returns @ x), made.probabilities).q.sum()
            certificate = bound(made, x, Witness(q))
            notes[name] = (f"{certificate.value:.9f}", f"{certificate.gap:.1e}")
        size = f"{market.n_scenarios} x {market.n_assets}"
        report(f"{kind}, {size}", seconds, notes, ("value", "certified gap"), "opeslike")


if __name__ == "__main__":
    data = Market.from_data(load_us20().iloc[-2501:])
    every(data)
    beside(data)
