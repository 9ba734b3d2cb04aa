"""Primal-dual interior point for weights and worst-case probabilities together.

The problem is ``min over x of max over q of sum q_t loss_t(x)``.

Where the worst-case probabilities sit on an edge of their set (a KL ball that reaches the worst case, CVaR, worst
case) the objective has kinks and Newton's method on it fails. Here q is a variable: its bounds and the KL constraint
carry barriers of their own, which are eliminated scenario by scenario, so that a step still costs one ``O(T N^2)``
product and one Cholesky factorisation of size N.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.problem import ScenarioPoint, ScenarioProblem
from opeslike.modelling.risks import Envelope, relative_entropy
from opeslike.solvers.certificate import certify
from opeslike.solvers.crossover import crossover
from opeslike.solvers.interior_point import KKT, Iterate

FloatArray = NDArray[np.float64]

_STAY_INSIDE = 0.99


def _largest(slack: FloatArray, change: FloatArray, stay: float) -> float:
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -stay / fastest) if fastest < 0 else 1.0


class _Move(NamedTuple):
    """A direction of the primal and dual variables, or the second-order products of one."""

    x: FloatArray
    q: FloatArray
    y: FloatArray
    nu: float
    alpha: float
    z: FloatArray
    v: FloatArray
    low: FloatArray
    high: FloatArray
    s: float


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

    def advance(self, move: _Move, full: FloatArray, primal: float, dual: float) -> bool:
        """Take a step; False where rounding pushed a variable onto its bound or out of the domain."""
        self.x = self.x + primal * full
        self.q = self.q + primal * move.q
        self.below, self.above = self.x[self.free] - self.lower, self.upper - self.x[self.free]
        if min(self.below.min(), self.above.min(), self.q.min()) <= 0:
            return False
        if self.capped:
            self.room = self.room - primal * move.q
            self.v = self.v + dual * move.v
        self.s += primal * move.s
        self.alpha += dual * move.alpha
        self.nu += dual * move.nu
        self.y = move.y
        self.z = self.z + dual * move.z
        self.low, self.high = self.low + dual * move.low, self.high + dual * move.high
        self.returns = self.problem.returns @ self.x
        self.losses, self.slope, self.bend = self.problem.loss.evaluate(self.returns)
        return math.isfinite(float(self.losses.sum()))

    def corner(self) -> tuple[FloatArray, FloatArray] | None:
        """The corner that weights and probabilities run into, solved exactly; None where there is none in sight."""
        if self.envelope.radius is not None and self.alpha > 1e-3 * self.s * float(
            self.losses.max() - self.losses.min()
        ):
            return None
        moving = np.zeros(self.x.size, dtype=bool)
        scale = float(np.abs(self.slope @ self.problem.returns).max()) / self.q.size or 1.0
        at_low = self.below * scale < self.low
        at_high = self.above * scale < self.high
        moving[self.free] = ~at_low & ~at_high
        x = self.x.copy()
        x[self.free[at_low]] = self.lower[at_low]
        x[self.free[at_high]] = self.upper[at_high]
        unit = float(self.losses.max() - self.losses.min()) or 1.0
        between = self.q * unit > self.z
        q = np.where(between, self.q, 0.0)
        if self.capped:
            assert self.envelope.cap is not None
            full = self.room * unit < self.v
            q = np.where(full, self.envelope.cap, q)
            between &= ~full
        return crossover(self.problem, x, q, moving, between)

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
            found = _certified(problem, state.x, state.q, state.y, iteration)
            if found is not None and (best is None or found.gap < best.gap):
                best, since_best = found, 0
            else:
                since_best += 1
            if best is not None and best.gap > target:
                corner = state.corner()
                found = None if corner is None else _certified(problem, *corner, state.y, iteration)
                if found is not None and found.gap < best.gap:
                    best = found
            if (best is not None and best.gap <= target) or since_best > 3:
                break
        # the nearer the end, the nearer to the edge a step may go: full steps make the residuals vanish
        stay = max(_STAY_INSIDE, 1.0 - total / first)
        if not _step(state, rows, total / count, 0.1 * target / count, stay):
            break
    if best is None:
        best = _certified(problem, state.x, state.q, state.y, iteration)
    if best is None:
        certificate = certify(problem, start, state.q)
        best = Iterate(start, certificate.point, certificate.gap, state.y, iteration, state.q.copy())
    return best


def _certified(problem: ScenarioProblem, x: FloatArray, q: FloatArray, y: FloatArray, iteration: int) -> Iterate | None:
    """The point brought onto the bounds, with its certificate; None where that leaves the domain of the loss."""
    x = problem.bounds.repair(x)
    if not problem.in_domain(x):
        return None
    certificate = certify(problem, x, q, y if not problem.bounds.single else None)
    return Iterate(x, certificate.point, certificate.gap, y, iteration, q.copy())


def _step(state: _State, rows: FloatArray, mu: float, floor: float, stay: float) -> bool:
    """One predictor-corrector step towards complementarity no smaller than ``floor``; False where it broke down."""
    problem, envelope, free = state.problem, state.envelope, state.free
    q, slope = state.q, state.slope
    radius = envelope.radius
    columns = problem.returns if free.size == state.x.size else problem.returns[:, free]

    tilt = np.log(q / envelope.nominal) if radius is not None else np.zeros(1)
    tilt_mean = 0.0
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

    factor = KKT(h, rows)

    def direction(mu_target: float, second: _Move | None) -> _Move:
        aim_z = (mu_target - (second.z if second else 0.0)) / q - state.z
        load = residual_q + aim_z
        aim_v = state.v
        if state.capped:
            aim_v = (mu_target - (second.v if second else 0.0)) / state.room - state.v
            load = load - aim_v
        aim_low = (mu_target - (second.low if second else 0.0)) / state.below - state.low
        aim_high = (mu_target - (second.high if second else 0.0)) / state.above - state.high
        side = -gradient + state.low - state.high + aim_low - aim_high - (pulled * load) @ columns
        # eliminate the multiplier of sum q = 1, then that of the KL constraint
        sum_load = residual_sum - float(soft @ load)
        side = side - along * (sum_load / soft_total)
        aim_s = kl_load = 0.0
        if radius is not None:
            aim_s = (mu_target - (second.s if second else 0.0)) / state.alpha - state.s
            kl_load = residual_kl - (1.0 + tilt_mean) * residual_sum - aim_s - float((soft * centred) @ load)
            side = side - kl_pull * (kl_load / kl_stiff)
        dx, y = factor.solve(side, missing)
        dnu = (float(along @ dx) - sum_load) / soft_total
        dalpha = ds = 0.0
        if radius is not None:
            dalpha = (float(kl_pull @ dx) - kl_load) / kl_stiff
            ds = aim_s - state.s / state.alpha * dalpha
        dq = soft * (slope * (columns @ dx) - dnu - centred * dalpha + load)
        return _Move(
            x=dx,
            q=dq,
            y=y,
            nu=dnu - tilt_mean * dalpha,
            alpha=dalpha,
            z=aim_z - state.z / q * dq,
            v=aim_v + state.v / state.room * dq if state.capped else state.v,
            low=aim_low - state.low / state.below * dx,
            high=aim_high + state.high / state.above * dx,
            s=ds,
        )

    move = direction(0.0, None)
    primal, dual = _lengths(state, move, stay)
    reached = _complementarity_after(state, move, primal, dual)
    total, _ = state.complementarity()
    centering = min(max((reached / total) ** 3, 1e-6), 1.0)
    second = move._replace(
        z=move.q * move.z,
        v=-move.q * move.v if state.capped else move.v,
        low=move.x * move.low,
        high=-move.x * move.high,
        s=move.s * move.alpha,
    )
    move = direction(max(centering * mu, floor), second)
    if not (np.isfinite(move.x).all() and np.isfinite(move.q).all()):
        return False
    primal, dual = _lengths(state, move, stay)
    full = np.zeros_like(state.x)
    full[free] = move.x
    primal = min(primal, 0.9 * problem.longest_step(ScenarioPoint(state.x, 0.0, state.x, returns=state.returns), full))
    if problem.loss.curved:
        primal = dual = min(primal, dual)
    if max(primal, dual) < 1e-14:
        return False
    return state.advance(move, full, primal, dual)


def _lengths(state: _State, move: _Move, stay: float) -> tuple[float, float]:
    """Largest primal and dual steps that keep every slack and multiplier positive."""
    primal = min(
        _largest(state.below, move.x, stay), _largest(state.above, -move.x, stay), _largest(state.q, move.q, stay)
    )
    dual = min(
        _largest(state.low, move.low, stay), _largest(state.high, move.high, stay), _largest(state.z, move.z, stay)
    )
    if state.capped:
        primal = min(primal, _largest(state.room, -move.q, stay))
        dual = min(dual, _largest(state.v, move.v, stay))
    if move.s < 0:
        primal = min(primal, -stay * state.s / move.s)
    if move.alpha < 0:
        dual = min(dual, -stay * state.alpha / move.alpha)
    return primal, dual


def _complementarity_after(state: _State, move: _Move, primal: float, dual: float) -> float:
    """Sum of the products of slack and multiplier after a step."""
    total = (
        float((state.q + primal * move.q) @ (state.z + dual * move.z))
        + float((state.below + primal * move.x) @ (state.low + dual * move.low))
        + float((state.above - primal * move.x) @ (state.high + dual * move.high))
    )
    if state.capped:
        total += float((state.room - primal * move.q) @ (state.v + dual * move.v))
    if state.envelope.radius is not None:
        total += (state.s + primal * move.s) * (state.alpha + dual * move.alpha)
    return total
