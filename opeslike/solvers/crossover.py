"""Crossover: from the end of a saddle-point path to the corner it runs into.

Close to a corner the barrier equations lose their digits. But they have told by then which scenarios and which weights
lie strictly between their bounds, and on those the conditions of optimality are plain equations,

    loss_t(x) - alpha divergence'_t(q) = nu       for the scenarios strictly between their limits,
    sum_t q_t grad loss_t(x) + ... = rows' y      for the weights strictly between their bounds,
    sum q = total,  rows x = totals,  divergence(q) = radius where alpha > 0,

which Newton's method solves to rounding: in one step where they are linear, in a few where they are not. Weights and
scenarios whose sign turns out wrong change sides, as in a primal-dual active set method (Hintermueller, Ito and
Kunisch 2003).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.problem import ScenarioProblem
from opeslike.proof import Witness, bound
from opeslike.solvers.interior_point import Iterate

Mask = NDArray[np.bool_]

_LARGEST = 300
_LEAST = 120
_ROUNDS = 8
#: a step longer than this, in weights and in spreads of losses, means a singular system
_LONGEST = 1e3
_ROUNDING = 1e-14


class Guess(NamedTuple):
    """A point near the corner: ``moving`` weights and ``inner`` scenarios look to be off their bounds.

    ``alpha`` is the multiplier of the divergence, 0 where its bound is slack.
    """

    x: FloatArray
    q: FloatArray
    nu: float
    alpha: float
    y: FloatArray
    moving: Mask
    inner: Mask


def crossover(
    problem: ScenarioProblem, envelope: Envelope, guess: Guess, target: float, rounds: int = _ROUNDS
) -> Iterate | None:
    """Solve the conditions of optimality on a guessed corner.

    Parameters
    ----------
    problem : ScenarioProblem
        Without penalty, or with one that has second derivatives.
    envelope : Envelope
    guess : Guess
    target : float
        Certified gap at which to stop.
    rounds : int
        Newton steps at most, each of which may change sides.

    Returns
    -------
    Iterate or None
        The best certified point; None where the guess has too many active parts or leads nowhere.
    """
    bounds = problem.bounds
    lower, upper = bounds.lower, bounds.upper
    floor = np.zeros_like(guess.q) if envelope.floor is None else envelope.floor
    cap = envelope.cap
    # the system is dense: it may not be larger than the scenario matrix
    largest = min(max(_LEAST, int(0.7 * problem.returns.size**0.5)), _LARGEST)
    if not guess.inner.any() or int(guess.moving.sum()) + int(guess.inner.sum()) > largest:
        return None
    at_cap = np.zeros_like(guess.inner) if cap is None else cap - guess.q < guess.q - floor
    outside = floor if cap is None else np.where(at_cap, cap, floor)
    high = np.full_like(floor, np.inf) if cap is None else cap
    near_upper = guess.x - lower > upper - guess.x
    now = guess._replace(
        x=np.where(guess.moving, guess.x, np.where(near_upper, upper, lower)),
        q=np.where(guess.inner, guess.q, outside),
    )
    best: Iterate | None = None
    worse = 0
    for round_ in range(rounds):
        if deadline.passed() or not problem.in_domain(now.x):
            break
        step = _newton(problem, envelope, now)
        if step is None:
            break
        x, q, nu, alpha, y = step
        if problem.penalty is not None and problem.penalty.interior and (x[now.moving] <= lower[now.moving]).any():
            break
        inside = np.minimum(np.maximum(x, lower), upper)
        repaired = bounds.repair(inside)
        if not (problem.in_domain(repaired) and problem.in_domain(inside)):
            break
        # change sides where a sign is wrong
        losses, slope, _ = problem.loss.evaluate(problem.scenario_returns(inside))
        if not np.isfinite(slope).all():
            break
        reduced = _gradient(problem, inside, q, slope) - y @ bounds.rows
        over = losses - nu
        steep = np.zeros_like(now.inner)
        if alpha > 0 and envelope.divergence is not None:
            with np.errstate(divide="ignore"):
                tilt = envelope.divergence.slope(np.maximum(q, floor), envelope.nominal)
            steep = np.isinf(tilt)
            over = over - alpha * np.where(steep, 0.0, tilt)
        # signs that are wrong by less than this cost less than the target
        tiny = 0.05 * target / x.size
        leaving = ((x <= lower) & (reduced < -tiny)) | ((x >= upper) & (reduced > tiny))
        moving = np.where(now.moving, (x > lower - _ROUNDING) & (x < upper + _ROUNDING), leaving) & (upper > lower)
        at_cap = q >= high
        entering = ((q <= floor) & (over > tiny)) | (at_cap & (over < -tiny))
        inner = np.where(now.inner, (q > floor - _ROUNDING) & (q < high + _ROUNDING), entering)
        unclipped = q
        q = np.minimum(np.maximum(q, floor), high)
        if steep.any():
            # where entropy has no slope, a newcomer starts where its own condition of optimality holds
            fresh = inner & steep
            q[fresh] = envelope.nominal[fresh] * np.exp(np.minimum(over[fresh] / alpha - 1.0, 0.0))
            inner &= q > 0
        same = bool((moving == now.moving).all() and (inner == now.inner).all())
        if same or round_ == rounds - 1:
            certificate = bound(problem, repaired, Witness(unclipped, None if bounds.single else y))
            if best is None or certificate.gap < best.gap:
                worse = 0 if best is None or certificate.gap < 0.1 * best.gap else worse + 1
                best = Iterate(repaired, certificate.point, certificate.gap, y, round_, envelope.project(unclipped))
            else:
                worse += 1
            linear = not problem.loss.curved and alpha == 0.0 and not problem.bending
            if best.gap <= target or worse > 1 or linear:
                break
        if not inner.any() or int(moving.sum()) + int(inner.sum()) > largest:
            break
        now = Guess(inside, q, nu, alpha, y, moving, inner)
    return best


def _gradient(problem: ScenarioProblem, x: FloatArray, q: FloatArray, slope: FloatArray) -> FloatArray:
    gradient, (_, pull) = problem.pull(q * slope), problem.added(x)
    return gradient if pull is None else gradient + pull


def _newton(
    problem: ScenarioProblem, envelope: Envelope, now: Guess
) -> tuple[FloatArray, FloatArray, float, float, FloatArray] | None:
    """One Newton step on the conditions of optimality; returns (x, q, nu, alpha, y), or None where it is undefined."""
    bounds, x, q = problem.bounds, now.x, now.q
    losses, slope, bend = problem.loss.evaluate(problem.scenario_returns(x))
    if not (np.isfinite(slope).all() and np.isfinite(bend).all()):
        return None
    weights, scenarios = np.flatnonzero(now.moving), np.flatnonzero(now.inner)
    n, k, m = weights.size, scenarios.size, len(bounds.totals)
    divergence = envelope.divergence if now.alpha > 0 else None
    bounded = divergence is not None and envelope.radius is not None
    jacobian = problem.matrix(scenarios)[:, weights] * slope[scenarios, None]
    unit = float(np.abs(jacobian).max(initial=0.0)) or 1.0  # losses are measured in it
    # unknowns: change of x, change of q, change of nu, multipliers y, change of alpha
    x_part, q_part, y_part = slice(0, n), slice(n, n + k), slice(n + k + 1, n + k + 1 + m)
    size = n + k + 1 + m + bounded
    matrix, side = np.zeros((size, size)), np.zeros(size)
    if problem.loss.curved:
        matrix[x_part, x_part] = problem.gram(q * bend, weights) / unit
    curvature = problem.bend(x, weights)
    if curvature is not None:
        matrix[x_part, x_part] += curvature / unit
    matrix[x_part, q_part] = jacobian.T / unit
    matrix[q_part, x_part] = jacobian / unit
    matrix[q_part, n + k] = matrix[n + k, q_part] = -1.0
    matrix[x_part, y_part] = -bounds.rows[:, weights].T
    matrix[y_part, x_part] = -bounds.rows[:, weights]
    side[x_part] = -_gradient(problem, x, q, slope)[weights] / unit
    side[q_part] = (now.nu - losses[scenarios]) / unit
    side[n + k] = float(q.sum()) - float(envelope.nominal.sum())
    side[y_part] = bounds.rows @ x - bounds.totals
    if divergence is not None:
        tilt = divergence.slope(q, envelope.nominal, scenarios)
        at = np.arange(n, n + k)
        matrix[at, at] = -now.alpha / unit * divergence.bend(q, envelope.nominal, scenarios)
        side[q_part] += now.alpha / unit * tilt
        if bounded:
            assert envelope.radius is not None
            matrix[q_part, size - 1] = matrix[size - 1, q_part] = -tilt
            side[size - 1] = divergence.value(q, envelope.nominal) - envelope.radius
    if not (np.isfinite(matrix).all() and np.isfinite(side).all()):
        return None
    solution = _solve(matrix, side)
    x, q = x.copy(), q.copy()
    x[weights] += solution[x_part]
    q[scenarios] += solution[q_part]
    alpha = max(now.alpha + unit * float(solution[size - 1]), 0.0) if bounded else now.alpha
    return x, q, now.nu + unit * float(solution[n + k]), alpha, unit * solution[y_part]


def _solve(matrix: FloatArray, side: FloatArray) -> FloatArray:
    """Solve by LU; where the matrix is singular (a degenerate corner, twin assets), the shortest solution."""
    _, _, solution, info = lapack.dgesv(matrix, side)
    if info == 0 and np.abs(solution).max() < _LONGEST:
        return np.asarray(solution)
    return np.asarray(np.linalg.lstsq(matrix, side, rcond=1e-13)[0])
