"""Primal-dual interior point for ``min over x of max over q of sum q_t loss_t(x)``, weights and scenario probabilities together.

Where the worst-case probabilities sit on an edge of their set (a KL ball that reaches the worst case, CVaR, worst case) the
objective has kinks and Newton's method on it fails. Here q is a variable: its bounds and the KL constraint carry barriers of
their own, which are eliminated scenario by scenario, so that a step still costs one ``O(T N^2)`` product and one Cholesky
factorisation of size N.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.problem import ScenarioPoint, ScenarioProblem
from opeslike.modelling.risks import Envelope, relative_entropy
from opeslike.solvers.certificate import certify
from opeslike.solvers.interior_point import Iterate, newton_step

FloatArray = NDArray[np.float64]

_STAY_INSIDE = 0.99


def _largest(slack: FloatArray, change: FloatArray, stay: float) -> float:
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -stay / fastest) if fastest < 0 else 1.0


class _State:
    """Primal and dual variables of the saddle problem, with their slacks."""

    def __init__(self, problem: ScenarioProblem, envelope: Envelope, start: FloatArray) -> None:
        bounds = problem.bounds
        self.problem, self.envelope, self.bounds = problem, envelope, bounds
        self.free = np.flatnonzero(bounds.free)
        self.lower, self.upper = bounds.lower[self.free], bounds.upper[self.free]
        self.x = start.copy()
        self.q = envelope.nominal.copy()
        self.y = np.zeros(len(bounds.totals))
        returns = problem.returns @ self.x
        self.losses, self.slope, self.bend = problem.loss.evaluate(returns)
        self.returns = returns
        spread = float(self.losses.max() - self.losses.min())
        unit = max(spread, 1e-3 * float(np.abs(self.losses).max()), 1e-12)
        self.capped = envelope.cap is not None
        if self.capped:
            assert envelope.cap is not None
            self.nu = float(self.q @ self.losses)
            self.z = np.maximum(self.nu - self.losses, 0.0) + 0.1 * unit
            self.v = np.maximum(self.losses - self.nu, 0.0) + 0.1 * unit
            self.room = envelope.cap - self.q
        else:
            self.nu = float(self.losses.max()) + 0.1 * unit
            self.z = self.nu - self.losses
            self.v = self.room = np.zeros(0)
        self.below, self.above = self.x[self.free] - self.lower, self.upper - self.x[self.free]
        mu = float(self.q @ self.z) / self.q.size
        self.low, self.high = mu / self.below, mu / self.above
        self.alpha = 0.0
        self.s = 1.0
        if envelope.radius is not None:
            self.s = envelope.radius
            self.alpha = mu / self.s

    def complementarity(self) -> tuple[float, int]:
        """Sum of all products of slack and multiplier, and their number."""
        total = float(self.q @ self.z) + float(self.low @ self.below) + float(self.high @ self.above)
        count = self.q.size + 2 * self.free.size
        if self.capped:
            total += float(self.v @ self.room)
            count += self.q.size
        if self.envelope.radius is not None:
            total += self.alpha * self.s
            count += 1
        return total, count


def saddle_point(
    problem: ScenarioProblem, envelope: Envelope, start: FloatArray, target: float, max_iterations: int = 100
) -> Iterate:
    """Solve a scenario problem jointly in weights and worst-case probabilities.

    Parameters
    ----------
    problem : ScenarioProblem
    envelope : Envelope
        The set of probabilities of the problem's risk.
    start : ndarray of shape (n,)
        Strictly inside the bounds and the domain of the loss.
    target : float
        Certified gap at which to stop.
    max_iterations : int

    Returns
    -------
    Iterate
        The best certified iterate, with its worst-case probabilities.
    """
    state = _State(problem, envelope, start)
    rows = problem.bounds.rows[:, state.free]
    best: Iterate | None = None
    since_best = 0
    first, _ = state.complementarity()
    for iteration in range(1, max_iterations + 1):
        total, count = state.complementarity()
        if total <= 1e3 * target or iteration == max_iterations:
            x = problem.bounds.repair(state.x)
            if problem.in_domain(x):
                certificate = certify(problem, x, state.q, state.y if not problem.bounds.single else None)
                if best is None or certificate.gap < best.gap:
                    best = Iterate(x, certificate.point, certificate.gap, state.y, iteration, state.q.copy())
                    since_best = 0
                else:
                    since_best += 1
                if best.gap <= target or since_best > 8:
                    break
        # the nearer the end, the nearer to the edge a step may go: full steps make the residuals vanish
        stay = max(_STAY_INSIDE, 1.0 - total / first)
        if not _step(state, rows, total / count, 0.1 * target / count, stay):
            break
    if best is None:
        x = problem.bounds.repair(state.x)
        x = x if problem.in_domain(x) else start
        certificate = certify(problem, x, state.q)
        best = Iterate(x, certificate.point, certificate.gap, state.y, iteration, state.q.copy())
    return best


def _step(state: _State, rows: FloatArray, mu: float, floor: float, stay: float) -> bool:
    """One predictor-corrector step towards complementarity no smaller than ``floor``; False where it broke down."""
    problem, envelope, free = state.problem, state.envelope, state.free
    q, slope = state.q, state.slope
    radius = envelope.radius
    point = ScenarioPoint(state.x, 0.0, state.x)
    columns = problem.returns if free.size == state.x.size else problem.returns[:, free]

    tilt = np.log(q / envelope.nominal) if radius is not None else np.zeros(1)
    stiffness = (state.alpha + state.z) / q
    if state.capped:
        stiffness = stiffness + state.v / state.room
    soft = 1.0 / stiffness  # how far q_t yields to a change of its loss
    soft_total = float(soft.sum())

    pulled = soft * slope
    along = pulled @ columns
    # R' diag(slope) (diag(soft) - soft soft' / total) diag(slope) R, centred first: subtracting afterwards would cancel
    scaled = columns.T * slope
    scaled -= (along / soft_total)[:, None]
    scaled *= np.sqrt(soft)
    h = scaled @ scaled.T
    if problem.loss.curved:
        h += problem.gram(q * state.bend, None if free.size == state.x.size else free)
    centred = tilt
    kl_pull, kl_stiff = np.zeros(free.size), 1.0
    if radius is not None:
        tilt_mean = float(soft @ tilt) / soft_total
        centred = tilt - tilt_mean
        kl_pull = (pulled * centred) @ columns
        kl_stiff = float(soft @ (centred * centred)) + state.s / state.alpha
        h -= np.outer(kl_pull, kl_pull) / kl_stiff
    penalty_pull = np.zeros(state.x.size)
    if problem.penalty is not None:
        inside = free[free < problem.n_assets]
        _, pull = problem.penalty.evaluate(state.x[: problem.n_assets])
        penalty_pull[: problem.n_assets] = pull
        where = np.flatnonzero(free < problem.n_assets)
        h[np.ix_(where, where)] += problem.penalty.hessian(state.x[: problem.n_assets])[np.ix_(inside, inside)]
    h[np.diag_indices_from(h)] += state.low / state.below + state.high / state.above

    gradient = (q * slope) @ columns + penalty_pull[free]
    residual_q = state.losses - state.nu + state.z - state.alpha * tilt
    if state.capped:
        residual_q = residual_q - state.v
    residual_sum = 1.0 - float(q.sum())
    residual_kl = 0.0 if radius is None else radius - relative_entropy(q, envelope.nominal) - state.s
    missing = state.bounds.totals - state.bounds.rows @ state.x

    def direction(mu_target: float, second: tuple[FloatArray, ...] | None) -> tuple[FloatArray, ...]:
        c_low, c_high, c_z, c_v, c_s = second if second is not None else (0.0,) * 5  # type: ignore[assignment]
        aim_z = (mu_target - c_z) / q - state.z
        load = residual_q + aim_z
        aim_v: Any = 0.0
        if state.capped:
            aim_v = (mu_target - c_v) / state.room - state.v
            load = load - aim_v
        aim_low = (mu_target - c_low) / state.below - state.low
        aim_high = (mu_target - c_high) / state.above - state.high
        side = -gradient + state.low - state.high + aim_low - aim_high - (pulled * load) @ columns
        # eliminate the multiplier of sum q = 1, then that of the KL constraint
        sum_load = residual_sum - float(soft @ load)
        side = side + along * (-sum_load / soft_total)
        kl_load = 0.0
        if radius is not None:
            aim_s = (mu_target - c_s) / state.alpha - state.s
            kl_load = residual_kl - (1.0 + tilt_mean) * residual_sum - aim_s - float((soft * centred) @ load)
            side = side + kl_pull * (-kl_load / kl_stiff)
        dx, y = newton_step(h, rows, side, missing)
        dnu = (float(along @ dx) - sum_load) / soft_total
        dalpha = (float(kl_pull @ dx) - kl_load) / kl_stiff if radius is not None else 0.0
        dq = soft * (slope * (columns @ dx) - dnu - centred * dalpha + load)
        dz = aim_z - state.z / q * dq
        dv = aim_v + state.v / state.room * dq if state.capped else dq[:0]
        dlow = aim_low - state.low / state.below * dx
        dhigh = aim_high + state.high / state.above * dx
        ds = (mu_target - c_s) / state.alpha - state.s - state.s / state.alpha * dalpha if radius is not None else 0.0
        if radius is not None:
            dnu -= tilt_mean * dalpha
        return dx, dq, y, dnu, dalpha, dz, dv, dlow, dhigh, ds

    def steps(move: tuple[Any, ...]) -> tuple[float, float]:
        dx, dq, _, _, dalpha, dz, dv, dlow, dhigh, ds = move
        primal = min(_largest(state.below, dx, stay), _largest(state.above, -dx, stay), _largest(q, dq, stay))
        dual = min(_largest(state.low, dlow, stay), _largest(state.high, dhigh, stay), _largest(state.z, dz, stay))
        if state.capped:
            primal = min(primal, _largest(state.room, -dq, stay))
            dual = min(dual, _largest(state.v, dv, stay))
        if radius is not None:
            if ds < 0:
                primal = min(primal, -stay * state.s / ds)
            if dalpha < 0:
                dual = min(dual, -stay * state.alpha / dalpha)
        return primal, dual

    move = direction(0.0, None)
    primal, dual = steps(move)
    dx, dq, _, _, dalpha, dz, dv, dlow, dhigh, ds = move
    reached = (
        float((q + primal * dq) @ (state.z + dual * dz))
        + float((state.below + primal * dx) @ (state.low + dual * dlow))
        + float((state.above - primal * dx) @ (state.high + dual * dhigh))
    )
    if state.capped:
        reached += float((state.room - primal * dq) @ (state.v + dual * dv))
    if radius is not None:
        reached += (state.s + primal * ds) * (state.alpha + dual * dalpha)
    total, count = state.complementarity()
    centering = min(max((reached / total) ** 3, 1e-6), 1.0)
    second = (dx * dlow, -dx * dhigh, dq * dz, -dq * dv if state.capped else dv, ds * dalpha)
    move = direction(max(centering * mu, floor), second)  # type: ignore[arg-type]
    primal, dual = steps(move)
    dx, dq, y, dnu, dalpha, dz, dv, dlow, dhigh, ds = move
    if not (np.isfinite(dx).all() and np.isfinite(dq).all()):
        return False
    full = np.zeros_like(state.x)
    full[free] = dx
    point.returns = state.returns
    primal = min(primal, 0.9 * problem.longest_step(point, full))
    if problem.loss.curved:
        primal = dual = min(primal, dual)
    if primal < 1e-14 and dual < 1e-14:
        return False
    state.x = state.x + primal * full
    state.q = q + primal * dq
    state.below, state.above = state.x[free] - state.lower, state.upper - state.x[free]
    if min(state.below.min(), state.above.min()) <= 0:
        return False
    if state.capped:
        state.room = state.room - primal * dq
        state.v = state.v + dual * dv
    state.s = state.s + primal * ds
    state.alpha = state.alpha + dual * dalpha
    state.nu = state.nu + dual * dnu
    state.y = y
    state.z, state.low, state.high = state.z + dual * dz, state.low + dual * dlow, state.high + dual * dhigh
    state.returns = problem.returns @ state.x
    state.losses, state.slope, state.bend = problem.loss.evaluate(state.returns)
    return math.isfinite(float(state.losses.sum()))
