"""One solve of Kelly and of KL-robust Kelly beside exact and popular peers, the certified gap beside the time.

    python benchmarks/single_solves.py [--large]

Every answer, whoever found it, is certified by the same code. Peers: cvxpy with Clarabel at default settings, SciPy's
SLSQP with analytic gradient at ftol 1e-13, and OPES 0.11.4 as shipped (``pip install ".[bench]"``).
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from _timing import paired, report
from scipy.optimize import minimize

from opeslike import Kelly, KLRobustKelly, Market, load_us20
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.risks import KLBall, Mean
from opeslike.proof import prove


def certified(returns: np.ndarray, w: np.ndarray, radius: float) -> tuple[str, str]:
    n = returns.shape[1]
    bounds = Bounds.budget(np.zeros(n), np.ones(n))
    problem = ScenarioProblem(returns, None, Log(), KLBall(radius) if radius else Mean(), bounds)
    w = np.clip(w, 0, 1)
    certificate = prove(problem, w / w.sum())
    return f"{-certificate.value:.9f}", f"{certificate.gap:.1e}"


def slsqp(returns: np.ndarray, radius: float) -> np.ndarray:
    n = returns.shape[1]
    budget = {"type": "eq", "fun": lambda z: z[:n].sum() - 1, "jac": lambda z: np.r_[np.ones(n), np.zeros(len(z) - n)]}
    if radius == 0:

        def kelly(w: np.ndarray) -> tuple[float, np.ndarray]:
            wealth = 1 + returns @ w
            return -np.log(wealth).mean(), -(1 / wealth) @ returns / len(wealth)

        start, function, box = np.full(n, 1 / n), kelly, [(0, 1)] * n
    else:

        def robust(z: np.ndarray) -> tuple[float, np.ndarray]:
            wealth, a = 1 + returns @ z[:n], z[n]
            loss = -np.log(wealth)
            top = loss.max()
            tilt = np.exp((loss - top) / a)
            mass = tilt.mean()
            q = tilt / tilt.sum()
            value = a * np.log(mass) + top + a * radius
            slope = np.log(mass) + top / a - q @ loss / a + radius
            return value, np.r_[-(q / wealth) @ returns, slope]

        start, function, box = np.r_[np.full(n, 1 / n), 0.05], robust, [(0, 1)] * n + [(1e-8, None)]
    options = {"ftol": 1e-13, "maxiter": 500}
    found = minimize(function, start, jac=True, bounds=box, constraints=budget, method="SLSQP", options=options)
    return found.x[:n]


def prices(count: int, n: int) -> pd.DataFrame:
    if n <= 20:
        return load_us20().iloc[-(count + 1) :, :n]
    g = np.random.default_rng(0)
    market = 0.0003 + 0.01 * g.standard_t(5, (count, 1)) / 1.3
    moves = market * g.uniform(0.5, 1.5, n) + 0.015 * g.standard_t(5, (count, n)) / 1.3 + g.normal(0, 2e-4, n)
    index = pd.bdate_range("2010-01-01", periods=count + 1)
    return pd.DataFrame(100 * np.vstack([np.ones(n), np.cumprod(1 + np.maximum(moves, -0.9), axis=0)]), index=index)


def run(count: int, n: int, radius: float, rounds: int, peers: bool) -> None:
    frame = prices(count, n)
    market = Market.from_data(frame)
    ours = KLRobustKelly(radius=radius) if radius else Kelly()
    answers: dict[str, np.ndarray] = {}

    def opeslike_() -> None:
        answers["opeslike"] = ours.optimize(market)

    def cvxpy_() -> None:
        problem = (KLRobustKelly(radius=radius) if radius else Kelly()).problem(market)
        problem.solve(solver="CLARABEL")
        answers["cvxpy + Clarabel"] = np.asarray(problem.var_dict["weights"].value)

    candidates = {"opeslike": opeslike_, "cvxpy + Clarabel": cvxpy_}
    if peers:
        candidates["SLSQP, ftol 1e-13"] = lambda: answers.__setitem__(
            "SLSQP, ftol 1e-13", slsqp(market.returns, radius)
        )
        try:
            from opes.objectives import distributionally_robust, utility_theory
        except ImportError:
            print("(OPES is not installed: pip install '.[bench]')")
        else:
            theirs = distributionally_robust.KLRobustKelly(radius=radius) if radius else utility_theory.Kelly()
            candidates["OPES 0.11.4"] = lambda: answers.__setitem__("OPES 0.11.4", theirs.optimize(frame))
    seconds = paired(candidates, rounds, {"opeslike": 20 if n <= 60 else 1})
    notes = {name: certified(market.returns, w, radius) for name, w in answers.items()}
    name = f"KL-robust Kelly, radius {radius:g}" if radius else "Kelly"
    report(f"{name}, {count} x {n} daily returns", seconds, notes, ("growth a day", "certified gap"), "opeslike")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also 2500 x 500 (a few minutes)")
    large = parser.parse_args().large
    run(2515, 10, 0.0, 7, True)
    run(2515, 10, 1 / 2515**0.5, 5, True)
    run(2500, 20, 0.0, 5, True)
    if large:
        run(2500, 500, 0.0, 1, False)
        run(2500, 500, 0.02, 1, False)
