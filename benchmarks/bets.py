"""Simultaneous bets: stakes beside SciPy's SLSQP with analytic gradient, and cvxpy; CPU time, and the gap beside it."""

from __future__ import annotations

import time
import warnings

import cvxpy as cp
import numpy as np
from scipy.optimize import minimize

from opeslike import Bet, stakes


def best_of(call, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def slsqp(rows, p):
    count = rows.shape[1]

    def loss(w):
        wealth = 1 + rows @ w
        return -p @ np.log(wealth), -(p / wealth) @ rows

    budget = {"type": "ineq", "fun": lambda w: 0.999 - w.sum(), "jac": lambda w: -np.ones(count)}
    options = {"ftol": 1e-13, "maxiter": 300}
    start, bounds = np.full(count, 0.01), [(0, 1)] * count
    return -minimize(loss, start, jac=True, method="SLSQP", bounds=bounds, constraints=budget, options=options).fun


def conic(rows, p):
    w = cp.Variable(rows.shape[1], nonneg=True)
    problem = cp.Problem(cp.Maximize(p @ cp.log(1 + rows @ w)), [cp.sum(w) <= 1])
    return problem.solve(solver=cp.CLARABEL)


def main() -> None:
    warnings.simplefilter("ignore")  # SLSQP looks outside the domain on its way
    for count in (5, 10, 15):
        generator = np.random.default_rng(0)
        p = generator.uniform(0.2, 0.7, count)
        card = sum(Bet(chance, (1 + generator.uniform(0.01, 0.15)) / chance) for chance in p)
        market = card.market()
        given = np.ascontiguousarray(market.returns), market.probabilities
        last = stakes(card).no_bet_radius
        for part in (0.0, 0.2, 0.9):
            found = stakes(card, radius=part * last)
            own = best_of(lambda card=card, radius=part * last: stakes(card, radius=radius))
            line = f"{count} bets, {found.outcomes:,} outcomes, radius {part * last:.4f}: "
            line += f"{own:.1f} ms, gap {found.gap:.0e}"
            if part == 0:
                line += f"; SLSQP {best_of(lambda given=given: slsqp(*given), 2):.0f} ms"
                line += f", short by {found.growth - slsqp(*given):.0e}"
                if count < 15:
                    line += f"; cvxpy {best_of(lambda given=given: conic(*given), 1):.0f} ms"
                    line += f", short by {found.growth - conic(*given):.0e}"
            print(line)


if __name__ == "__main__":
    main()
