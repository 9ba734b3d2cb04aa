"""Kelly, minimum variance and CVaR beside the packages people use: time, and how good each answer is proved to be.

    pip install ".[bench]" PyPortfolioOpt Riskfolio-Lib
    python benchmarks/peers.py

2500 days of 20 stocks, from the returns to the weights, each package as its documentation says. Whoever found the
weights, the same code proves how far from the best they can be. Prints the table of the home page.
"""

from __future__ import annotations

import datetime
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import pandas as pd
from tabulate import tabulate

from opeslike import CVaR, Kelly, Mandate, MinVariance, load_us20

ROUNDS = 5
RETURNS = load_us20().iloc[-2501:].pct_change().dropna()


def ours(objective) -> np.ndarray:
    return objective.optimize(RETURNS, kind="returns")


def cvxpy_kelly() -> np.ndarray:
    import cvxpy as cp

    w = cp.Variable(20)
    growth = cp.sum(cp.log(1 + RETURNS.to_numpy() @ w)) / len(RETURNS)
    cp.Problem(cp.Maximize(growth), [cp.sum(w) == 1, w >= 0]).solve(solver="CLARABEL")
    return w.value


def opes_kelly() -> np.ndarray:
    from opes.objectives.utility_theory import Kelly as Theirs

    prices = (1 + RETURNS).cumprod()
    frame = pd.concat({ticker: prices[[ticker]].set_axis(["Close"], axis=1) for ticker in prices}, axis=1)
    return np.asarray(Theirs(fraction=1.0).optimize(frame))


def riskfolio(measure: str, objective: str, kelly: str | None = None) -> np.ndarray:
    import riskfolio as rp

    portfolio = rp.Portfolio(returns=RETURNS)
    portfolio.assets_stats(method_mu="hist", method_cov="hist")
    options = {"model": "Classic", "rm": measure, "obj": objective, "l": 0.0}
    return portfolio.optimization(**options, **({"kelly": kelly} if kelly else {}))["weights"].to_numpy()


def skfolio(measure: str) -> np.ndarray:
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk

    return MeanRisk(risk_measure=RiskMeasure[measure]).fit(RETURNS).weights_


def pypfopt(tail: bool) -> np.ndarray:
    from pypfopt import EfficientCVaR, EfficientFrontier, risk_models

    if tail:
        return np.array(list(EfficientCVaR(None, RETURNS).min_cvar().values()))
    covariance = risk_models.sample_cov(RETURNS, returns_data=True)
    return np.array(list(EfficientFrontier(None, covariance).min_volatility().values()))


PROBLEMS = {
    "Kelly": (
        Kelly(),
        {
            "opeslike": lambda: ours(Kelly()),
            "cvxpy, Clarabel": cvxpy_kelly,
            "Riskfolio-Lib": lambda: riskfolio("MV", "Utility", "exact"),
            "OPES": opes_kelly,
        },
    ),
    "minimum variance": (
        MinVariance(),
        {
            "opeslike": lambda: ours(MinVariance()),
            "skfolio": lambda: skfolio("VARIANCE"),
            "PyPortfolioOpt": lambda: pypfopt(tail=False),
            "Riskfolio-Lib": lambda: riskfolio("MV", "MinRisk"),
        },
    ),
    "CVaR 95": (
        CVaR(confidence=0.95),
        {
            "opeslike": lambda: ours(CVaR(confidence=0.95)),
            "skfolio": lambda: skfolio("CVAR"),
            "PyPortfolioOpt": lambda: pypfopt(tail=True),
            "Riskfolio-Lib": lambda: riskfolio("CVaR", "MinRisk"),
        },
    ),
}


def shortfall(objective, weights: np.ndarray) -> float:
    """How much worse than the best value these weights are, the best being proved to its gap."""
    objective.optimize(RETURNS, kind="returns")
    best = objective.solution
    w = np.clip(weights.ravel(), 0.0, 1.0)
    fixed = type(objective)(**{**objective.get_params(deep=False), "mandate": Mandate(bounds=(w / w.sum(),) * 2)})
    fixed.optimize(RETURNS, kind="returns")
    return max(fixed.solution.value - best.value, 0.0) + best.gap


def main() -> None:
    warnings.simplefilter("ignore")
    rows = []
    for problem, (objective, candidates) in PROBLEMS.items():
        times: dict[str, list[float]] = {name: [] for name in candidates}
        answers: dict[str, np.ndarray] = {}
        calls: dict[str, Callable[[], np.ndarray]] = candidates
        for _ in range(ROUNDS + 1):  # in turns, so that a slow moment slows all
            for name, call in calls.items():
                start = time.process_time()
                answers[name] = call()
                times[name].append(time.process_time() - start)
        unit = 1e-7 * float((RETURNS @ answers["opeslike"]).std())
        for name, answer in answers.items():
            apart = shortfall(objective, answer)
            verdict = "yes" if apart <= unit else f"no, by {apart:.0e} a day"
            certified = "yes" if name == "opeslike" else "no"
            rows.append([problem, name, f"{1e3 * min(times[name][1:]):,.1f}", verdict, certified])
    print(tabulate(rows, ["problem", "package", "ms", "solved exactly?", "certified?"], "pipe", disable_numparse=True))
    packages = ("opeslike", "cvxpy", "clarabel", "riskfolio-lib", "opes", "skfolio", "PyPortfolioOpt")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    today = f"{datetime.date.today()}; Python {platform.python_version()}"
    print(f"\nCPU time, the least of {ROUNDS} turns; {today}; {versions}.")


if __name__ == "__main__":
    main()
