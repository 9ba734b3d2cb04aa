"""The largest ratio of a linear gain to volatility, certified.

The ratio is not concave, but over weights with a positive gain the problem is a convex one in disguise: with
``y = w / (gain' w)`` it reads ``minimise y' S y`` over ``gain' y = 1`` and the cone of the weights (Schaible 1974;
Cornuejols and Tutuncu 2007). It is solved in the weights themselves by Dinkelbach's method: minimise
``price * volatility - gain``, a convex problem, and raise the price to the ratio reached, which converges
superlinearly (Dinkelbach 1967). The proof is the dual of the homogeneous form.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import Constraint, Extra, UserConstraints
from opeslike.modelling.problem import OPTIMAL
from opeslike.modelling.quadratic import QuadraticProblem, VolatilityPoint, VolatilityProblem, risky_directions
from opeslike.proof import NOTHING, Witness, prove_ratio
from opeslike.solvers.interior_point import solve_positive
from opeslike.solvers.solve import Solved, solve

_ROUNDS = 60
_PIVOTS = 30
#: assets that are free at first, or freed in a round, at most
_FIRST = 50
#: a ratio above this is a volatility of rounding errors
_LARGEST = 1e9
_UNBOUNDED = (
    "some weights have a positive gain without any volatility, so the ratio has no maximum; "
    "with fewer return rows than assets use covariance='ledoit_wolf', and leave riskless assets out"
)
_AIM = 1e-3 * OPTIMAL


def largest_gain(
    problem: VolatilityProblem, constraints: Extra | Sequence[Constraint] = ()
) -> tuple[FloatArray, float]:
    """The variables with the largest gain less costs, and that."""
    if constraints:
        x = solve(
            QuadraticProblem(problem.gain, None, 1.0, problem.bounds, None, problem.lift), "auto", None, constraints
        ).x
    else:
        slope = -problem.lift.pull(problem.gain)
        x, _ = problem.bounds.linear_minimum(slope if problem.cost is None else slope + problem.cost)
    return x, problem.reward(x)


def maximize_ratio(
    problem: VolatilityProblem,
    solver: str = "auto",
    start: FloatArray | None = None,
    constraints: Extra | Sequence[Constraint] = (),
) -> Solved:
    """Maximise ``gain' w / sqrt(w' covariance w)`` over weights with a positive gain, which costs of trading lower.

    Parameters
    ----------
    problem : VolatilityProblem
        Gain, covariance and what may be held, at whatever price.
    solver, start, constraints
        As in :func:`~opeslike.solvers.solve.solve`.

    Returns
    -------
    Solved
        The value is minus the ratio; the gap bounds the ratio given away.

    Raises
    ------
    InfeasibleError
        If no feasible weights have a positive gain, or the ratio is unbounded (a positive gain without volatility).
    OptimizationError
        If no certified optimum was reached.
    """
    x, best_gain = largest_gain(problem, constraints)
    if best_gain <= 1e-14 * float(np.abs(problem.gain).max()):
        raise InfeasibleError(f"no feasible weights have a positive gain; the largest is {best_gain:.3g}")
    problem, bounds = copy.copy(problem), problem.bounds
    problem.penalty = None
    direct = solver == "auto" and not constraints and bounds.budgeted and problem.lift.plain
    found = _pivoted(problem, start) if direct else []
    if found and found[0].proof.gap <= _AIM:
        best = found[0]
    else:
        try:
            known = [bounds.repair(point) for point in (start, bounds.center(), x) if point is not None]
            first = max(known, key=lambda point: _ratio(problem, problem.evaluate(point)))
            best = _priced(problem, first, solver, constraints, direct)
        except OptimizationError:
            if not constraints:
                _check_bounded(problem)
            raise
    if best.proof.status is None:
        if not constraints:
            _check_bounded(problem)
        deadline.check(best.proof.gap)
        raise OptimizationError(
            f"no certified optimum: the best ratio is {-best.proof.value:.6g}, and a better one by up to "
            f"{best.proof.gap:.1e} cannot be excluded"
        )
    return replace(best, status=best.proof.status)


def _priced(
    problem: VolatilityProblem,
    x: FloatArray,
    solver: str,
    constraints: Extra | Sequence[Constraint],
    direct: bool,
) -> Solved:
    """Dinkelbach's method, finished by pivoting where that is allowed."""
    ratio = max(_ratio(problem, problem.evaluate(x)), 0.0)
    extra = UserConstraints(problem, constraints) if constraints else None
    best: list[Solved] = []
    calm, price, iterations = None, 0.0, 0
    while True:
        problem.price = ratio
        inner = solve(problem, solver, x, constraints)
        iterations += inner.iterations
        if direct:
            best += _pivoted(problem, inner.x, Witness(calm=calm, price=price))
        reached = _ratio(problem, problem.evaluate(inner.x))
        last = reached <= ratio + _AIM or iterations > _ROUNDS or deadline.passed()
        if last and (not best or best[-1].proof.gap > _AIM):
            if calm is None:  # the least variance tells how little volatility better weights may have
                calm, price = _calmest(problem)
                best += _pivoted(problem, inner.x, Witness(calm=calm, price=price)) if direct else []
            proof = prove_ratio(problem, inner.x, replace(inner.proof.witness, calm=calm, price=price), extra)
            best.append(replace(inner, proof=proof, iterations=iterations))
        best = sorted(best, key=lambda solved: -solved.proof.gap)
        if best and (best[-1].proof.gap <= _AIM or reached <= ratio or iterations > _ROUNDS or deadline.passed()):
            return best[-1]
        x, ratio = inner.x, max(reached, ratio)


def _calmest(problem: VolatilityProblem) -> tuple[FloatArray, float]:
    """The weights of the least volatility among those without a negative gain, and the price of that limit."""
    bounds, lift, n = problem.bounds, replace(problem.lift, cost=None, fixed=0.0), problem.bounds.lower.size
    found = solve(QuadraticProblem(None, problem.covariance, 2.0, bounds, None, lift))
    if float(problem.gain @ problem.weights(found.x)) >= 0:
        return found.x, 0.0
    scale = float(np.abs(problem.gain).max())
    _, room = largest_gain(problem)
    rows = np.zeros((len(bounds.rows) + 1, n + 1))
    rows[:-1, :n], rows[-1, :n], rows[-1, n] = bounds.rows, lift.pull(problem.gain) / scale, -1.0
    least = -float(problem.gain @ lift.parts.origin) / scale
    wider = Bounds(
        np.append(bounds.lower, 0.0), np.append(bounds.upper, room / scale), rows, np.append(bounds.totals, least)
    )
    lift = replace(lift, known=np.append(lift.known, 0.0), bounds=wider)
    found = solve(QuadraticProblem(None, problem.covariance, 2.0, wider, None, lift))
    multipliers = found.proof.witness.multipliers
    return found.x[:n], 0.0 if multipliers is None else 0.5 * float(multipliers[-1]) / scale


def _check_bounded(problem: VolatilityProblem) -> None:
    """Say so where some weights have a gain and no volatility at all, so that the ratio has no maximum.

    Raises
    ------
    InfeasibleError
    """
    from scipy.optimize import linprog

    risky = risky_directions(problem.covariance)
    bounds, gain = problem.bounds, problem.lift.pull(problem.gain)
    gain = gain if problem.cost is None else gain - problem.cost
    origin = problem.lift.parts.origin
    result = linprog(
        -gain / float(np.abs(gain).max()),
        A_eq=np.vstack([bounds.rows, risky @ problem.lift.map]),
        b_eq=np.r_[bounds.totals, -risky @ origin],
        bounds=np.c_[bounds.lower, bounds.upper],
        options=deadline.options("HIGHS"),
    )
    if result.x is not None and problem.reward(result.x) > 1e-9 * float(np.abs(gain).max()):
        raise InfeasibleError(_UNBOUNDED)


def _pivoted(problem: VolatilityProblem, guess: FloatArray | None, witness: Witness = NOTHING) -> list[Solved]:
    """The best weights, if any, by guessing which are at a bound: a linear system tells the others, and what to change.

    Minimising ``v' S v / 2 - gain' v`` over the cone of the feasible weights gives the best v up to scale. With the
    weights P pinned at p, ``v_P = t p`` and ``t = sum(v)``, so what is left is one linear system in the others. Every
    weight found outside its bounds is pinned, every one with a multiplier of the wrong sign freed (Hintermueller, Ito
    and Kunisch 2002). That usually ends in a few rounds; where it does not, none.
    """
    lower, upper = problem.bounds.lower, problem.bounds.upper
    total = float(problem.bounds.totals[0])
    if total <= 0:
        return []
    # bounds that the others imply need no pinning: with weights >= 0 that sum to 1 none exceeds 1
    lower = np.where(lower <= total - (upper.sum() - upper) + 1e-12, -np.inf, lower)
    upper = np.where(upper >= total - (problem.bounds.lower.sum() - problem.bounds.lower) - 1e-12, np.inf, upper)
    low, high = np.isnan(lower), np.isnan(upper)
    if guess is not None and guess.shape == lower.shape:
        low, high = guess <= lower, guess >= upper
    elif np.isfinite(lower).sum() > _FIRST:  # of many assets those that are the best by themselves
        low = np.isfinite(lower)
        low[np.argsort(-problem.gain / np.sqrt(problem.covariance.diagonal() + 1e-300))[:_FIRST]] = False
    best: list[Solved] = []
    for iteration in range(1, _PIVOTS + 1):
        free = np.flatnonzero(~(low | high))
        x = np.where(high, upper, np.where(low, lower, 0.0))
        rest = total - float(x.sum())
        if free.size == 0 or rest <= 0:
            return best
        # v = t x on the pinned ones, and the free ones sum to t * rest: v = (e_free + x 1' / rest) z
        s_x = problem.covariance @ x / rest
        matrix = problem.covariance[np.ix_(free, free)] + s_x[free][:, None] + s_x[free] + float(x @ s_x) / rest
        z = solve_positive(matrix, (problem.gain[free] + float(problem.gain @ x) / rest)[:, None])[:, 0]
        scale = float(z.sum()) / rest
        if not (np.isfinite(scale) and scale > 0):
            return best
        x[free] = z / scale
        below, above = x < lower, x > upper
        marginal = problem.covariance @ x
        reduced = scale * marginal - problem.gain
        reduced -= float(reduced[free].mean())
        if not (below | above).any():
            x = problem.bounds.repair(x)
            if float(problem.gain @ x) > 0 and _ratio(problem, problem.evaluate(x)):
                proof = prove_ratio(problem, x, witness)
                if not best or proof.gap < best[0].proof.gap:
                    best = [Solved(x, proof, "active-set", iteration, "optimal")]
                if best[0].proof.gap <= 1e-3 * _AIM:
                    return best
        # of many that are worth it the most so: too many at once make the system singular
        worth = np.partition(np.where(low, reduced, 0.0), _FIRST)[_FIRST] if low.size > _FIRST else 0.0
        new_low = below | (low & (reduced > min(worth, 0.0)))
        new_high = above | (high & (reduced < 0))
        if np.array_equal(new_low, low) and np.array_equal(new_high, high):
            return best
        low, high = new_low, new_high
    return best


def _ratio(problem: VolatilityProblem, point: VolatilityPoint) -> float:
    reward = problem.reward(point.x)
    if not point.smooth or reward > _LARGEST * point.deviation:
        raise InfeasibleError(_UNBOUNDED)
    return reward / point.deviation
