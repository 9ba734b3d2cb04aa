"""Problems with a limit on a second risk, by the price of the limit.

For a price k >= 0 the Lagrangian ``F + k g`` is a smooth problem over the same bounds, which the other solvers take.
The price at which its minimiser just meets the limit proves that minimiser optimal (see :mod:`opeslike.proof`); ``g``
at the minimiser falls as the price rises, so that price is the root of a decreasing function of one variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.limits import limited_value, priced
from opeslike.modelling.problem import ScenarioProblem
from opeslike.proof import Proof, Witness, bound, prove

FloatArray = NDArray[np.float64]
Minimise = Callable[[ScenarioProblem, FloatArray | None], tuple[FloatArray, Proof, int]]

_DEAREST = 1e9
_EVALUATIONS = 60
_AIM = 1e-3


def limited_point(
    problem: ScenarioProblem, minimise: Minimise, start: FloatArray | None
) -> tuple[FloatArray, Proof, int]:
    """Minimise a problem with a limit.

    Parameters
    ----------
    problem : ScenarioProblem
        With a limit.
    minimise : callable
        Solves the problem without one, from a guess: returns the minimiser, its proof and the iterations it took.
    start : ndarray of shape (n,), optional

    Returns
    -------
    (x, proof, iterations)

    Raises
    ------
    InfeasibleError
        If no feasible weights meet the limit.
    """
    tried: dict[float, tuple[FloatArray, float, Witness]] = {}
    steps = 0
    guess = start

    def excess(price: float) -> float:
        nonlocal steps, guess
        if price not in tried:
            deadline.check()
            x, proof, taken = minimise(priced(problem, price), guess)
            steps += taken
            guess = x
            tried[price] = (x, limited_value(problem, x), replace(proof.witness, price=price))
        value = tried[price][1]
        return 0.0 if 0.0 < price * abs(value) <= target else value  # near enough to the root

    target = 0.0
    if excess(0.0) <= 0:
        x, _, witness = tried[0.0]
        return x, prove(problem, x, witness), steps
    target = _AIM * problem.tolerance(priced(problem, 0.0).evaluate(tried[0.0][0]))
    high = 1.0
    while excess(high) > 0 and high < _DEAREST:
        high *= 10.0
    if excess(high) > 0:
        least, floor, taken = minimise(_limit_alone(problem), guess)
        if floor.value > floor.gap:
            raise InfeasibleError(
                f"no weights within the bounds meet the limit on risk: it must not be positive, and its least value is "
                f"{floor.value:.3g}; allow cash (leverage=1), widen the bounds or loosen the limit"
            )
        if floor.value > 0:
            raise OptimizationError("the limit on risk can only just be met; loosen it a little")
        return least, prove(problem, least, Witness(price=high)), steps + taken
    from scipy.optimize import brentq

    low = max((price for price, (_, over, _) in tried.items() if over > 0), default=0.0)
    brentq(excess, low, high, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=_EVALUATIONS, disp=False)
    inside = tried[high][0]
    # the nearest prices on both sides of the root; from the far side the answer is drawn back to the limit
    nearest = sorted(tried.values(), key=lambda item: abs(item[1]))[:3]
    found = [(within_limit(problem, x, inside), witness) for x, _, witness in nearest]
    # the best multipliers of one row are found in a sort; with several those of the Lagrangian are tried too
    rows = len(problem.bounds.rows)
    tries = [(x, each) for x, given in found for each in (replace(given, q=None, multipliers=None), given)[:rows]]
    proofs = [(x, bound(problem, x, each)) for x, each in tries]
    x, best = min(proofs, key=lambda item: item[1].gap)
    return x, prove(problem, x, best.witness), steps


def _limit_alone(problem: ScenarioProblem) -> ScenarioProblem:
    """Minimise what is limited."""
    alone = priced(problem, 0.0)
    assert problem.limit is not None
    alone.risk, alone.penalty, alone.cost, alone.impact = problem.limit, None, None, None
    return alone


def within_limit(problem: ScenarioProblem, x: FloatArray, inside: FloatArray) -> FloatArray:
    """The point nearest to ``x`` on the way to ``inside``, by convexity of the limit, that meets it."""
    for _ in range(5):
        over = limited_value(problem, x)
        if over <= 0:
            break
        room = -limited_value(problem, inside)
        if not room > 0:
            break
        x = x + (1.0 + 1e-9) * over / (over + room) * (inside - x)
    return x
