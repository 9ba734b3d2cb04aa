"""Primal-dual interior point for weights and worst-case probabilities together.

The problem is ``min over x of max over q of sum q_t loss_t(x)``.

Where the worst-case probabilities sit on an edge of their set (a KL ball that reaches the worst case, CVaR, worst
case) the objective has kinks and Newton's method on it fails. Here q is a variable: its bounds and the divergence
carry barriers of their own, which are eliminated scenario by scenario, so that a step still costs one ``O(T N^2)``
product and one Cholesky factorisation of size N. That product loses digits near a vertex, so the last of them come
from the crossover: Newton on the scenarios and weights that the interior iterates show to be off their bounds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.problem import ScenarioPoint, ScenarioProblem
from opeslike.solvers.certificate import certify
from opeslike.solvers.crossover import Guess, crossover
from opeslike.solvers.interior_point import KKT, Iterate
from opeslike.solvers.pieces import Pieces

FloatArray = NDArray[np.float64]

_STAY_INSIDE = 0.99
#: first complementarity product of a scenario, in units of the spread of losses
_START = 0.3


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
        self.everything = self.free.size == bounds.lower.size
        self.columns = problem.returns if self.everything else problem.returns[:, self.free]
        self.lower, self.upper = bounds.lower[self.free], bounds.upper[self.free]
        self.x = start.copy()
        self.q = envelope.nominal.copy()
        self.total = float(self.q.sum())
        self.y = np.zeros(len(bounds.totals))
        self.returns = problem.returns @ self.x
        self.losses, self.slope, self.bend = problem.loss.evaluate(self.returns)
        spread = float(self.losses.max() - self.losses.min())
        self.unit = unit = max(spread, 1e-3 * float(np.abs(self.losses).max()), 1e-12)
        self.capped = envelope.cap is not None
        self.v = self.room = np.zeros(0)
        self.bounded = envelope.divergence is not None and envelope.radius is not None
        mu = _START * unit * self.total / self.q.size
        if envelope.divergence is None:
            self._center(mu)
        else:
            assert envelope.cap is None
            self.deep = self.q
            self.nu = float(self.losses.max()) + 0.1 * unit
            self.z = self.nu - self.losses
            mu = float(self.deep @ self.z) / self.q.size
        self.below, self.above = self.x[self.free] - self.lower, self.upper - self.x[self.free]
        self.low, self.high = mu / self.below, mu / self.above
        self.pieces: Pieces | None = None
        if problem.penalty is not None and not problem.penalty.smooth:
            self.pieces = Pieces(problem.penalty, self.x[: problem.n_assets], mu)
        self.alpha, self.s = envelope.price, 1.0
        if envelope.radius is not None:
            self.s = envelope.radius
            self.alpha = mu / self.s

    def _center(self, mu: float) -> None:
        """Set q and its multipliers to the central path of the inner problem, for the losses as they are.

        There ``mu / (q - floor) - mu / (cap - q) = nu - loss``, a quadratic equation for each q; nu corrects the sum.
        """
        floor = np.zeros_like(self.q) if self.envelope.floor is None else self.envelope.floor
        width = None if self.envelope.cap is None else self.envelope.cap - floor
        missing = self.total - float(floor.sum())
        low, high = float(self.losses.min()), float(self.losses.max()) + mu * self.q.size / missing
        if width is None:
            low = float(self.losses.max()) + mu / missing
        else:
            share = missing / float(width.sum())
            reach = mu / float(width.min()) * abs(1.0 / share - 1.0 / (1.0 - share))
            low, high = low - reach, high + reach
        nu = 0.5 * (low + high)
        for _ in range(60):
            pull = (nu - self.losses) / mu
            if width is None:
                deep = 1.0 / pull
                change = -float(deep @ deep) / mu
            else:
                scaled = pull * width
                root = np.sqrt(scaled * scaled + 4.0)
                deep = 2.0 * width / (scaled + 2.0 + root)
                room = 2.0 * width / (2.0 - scaled + root)
                change = -float(np.sum(1.0 / (1.0 / (deep * deep) + 1.0 / (room * room)))) / mu
            over = float(deep.sum()) - missing
            if over > 0:
                low = nu
            else:
                high = nu
            if abs(over) <= 1e-12 * missing:
                break
            nu -= over / change
            if not low < nu < high:
                nu = 0.5 * (low + high)
        self.nu, self.deep, self.q = nu, deep, floor + deep
        self.z = mu / deep
        if width is not None:
            self.room = room
            self.v = mu / room

    def advance(self, move: _Move, full: FloatArray, primal: float, dual: float) -> bool:
        """Take a step; False where rounding pushed a variable onto its bound or out of the domain."""
        self.x = self.x + primal * full
        self.q = self.q + primal * move.q
        self.below, self.above = self.x[self.free] - self.lower, self.upper - self.x[self.free]
        self.deep = self.q if self.envelope.floor is None else self.deep + primal * move.q
        if min(self.below.min(), self.above.min(), self.deep.min()) <= 0:
            return False
        if self.pieces is not None:
            self.pieces.advance(self.x[: self.problem.n_assets], primal, dual)
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

    def complementarity(self) -> tuple[float, int]:
        """Sum of all products of slack and multiplier, and their number."""
        total = float(self.deep @ self.z) + float(self.low @ self.below) + float(self.high @ self.above)
        count = self.q.size + 2 * self.free.size
        if self.capped:
            total += float(self.v @ self.room)
            count += self.q.size
        if self.bounded:
            total += self.alpha * self.s
            count += 1
        if self.pieces is not None:
            total += self.pieces.products()
            count += self.pieces.count
        return total, count

    def penalty(self) -> tuple[FloatArray, FloatArray]:
        """Slope and curvature of the regulariser, on the weights."""
        assert self.problem.penalty is not None
        w = self.x[: self.problem.n_assets]
        if self.pieces is not None:
            return self.pieces.pull(), self.pieces.curvature()
        return self.problem.penalty.evaluate(w)[1], self.problem.penalty.hessian(w)

    def guess(self) -> Guess:
        """Which weights and scenarios look to be strictly between their bounds: slack above multiplier, in units."""
        width = self.upper - self.lower
        moving = np.zeros(self.x.size, dtype=bool)
        moving[self.free] = (self.below * self.unit > self.low * width) & (self.above * self.unit > self.high * width)
        share = self.total / min(self.q.size, self.free.size + 1)
        inner = self.deep * self.unit > self.z * share
        if self.capped:
            inner &= self.room * self.unit > self.v * np.minimum(share, self.deep + self.room)
        active = self.bounded and self.alpha * float(self.envelope.radius or 0.0) > self.s * 1e-6 * self.unit
        return Guess(self.x, self.q, self.nu, self.alpha if active or not self.bounded else 0.0, self.y, moving, inner)


def saddle_point(
    problem: ScenarioProblem, envelope: Envelope, start: FloatArray, target: float, max_iterations: int = 100
) -> Iterate:
    """Solve a scenario problem jointly in weights and worst-case probabilities.

    Parameters
    ----------
    problem : ScenarioProblem
    envelope : Envelope
        The set of probabilities of the problem's risk; its nominal vector lies strictly inside the box.
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
    corners = problem.penalty is None or (problem.penalty.smooth and not problem.penalty.interior)
    best: Iterate | None = None
    last: Guess | None = None
    since_best = 0
    first, _ = state.complementarity()
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        total, count = state.complementarity()
        guess = state.guess()
        settled = last is not None and (guess.moving == last.moving).all() and (guess.inner == last.inner).all()
        last = guess
        if (settled or total <= 1e3 * target) and corners:
            found = crossover(problem, envelope, guess, target)
            if found is not None and (best is None or found.gap < best.gap):
                best = Iterate(found.x, found.point, found.gap, found.multipliers, iteration, found.q)
        if best is not None and best.gap <= target:
            break
        if total <= 1e3 * target or iteration == max_iterations:
            x = problem.bounds.repair(state.x)
            if problem.in_domain(x):
                multipliers = None if problem.bounds.single else state.y
                certificate = certify(problem, x, state.q, multipliers, pieces=state.pieces)
                if best is None or certificate.gap < best.gap:
                    best = Iterate(x, certificate.point, certificate.gap, state.y, iteration, state.q.copy())
                    since_best = 0
                else:
                    since_best += 1
                if best.gap <= target or since_best > 8:
                    break
        # the nearer the end, the nearer to the edge a step may go: full steps make the residuals vanish
        stay = max(_STAY_INSIDE, 1.0 - total / first)
        if not _step(state, total / count, 0.1 * target / count, stay):
            break
    if best is None:
        x = problem.bounds.repair(state.x)
        x = x if problem.in_domain(x) else start
        certificate = certify(problem, x, state.q, pieces=state.pieces)
        best = Iterate(x, certificate.point, certificate.gap, state.y, iteration, state.q.copy())
    return best


def _step(state: _State, mu: float, floor: float, stay: float) -> bool:
    """One predictor-corrector step towards complementarity no smaller than ``floor``; False where it broke down."""
    problem, envelope, free = state.problem, state.envelope, state.free
    q, slope, columns = state.q, state.slope, state.columns
    rows = problem.bounds.rows if state.everything else problem.bounds.rows[:, free]

    tilt = np.zeros(1)
    stiffness = state.z / state.deep
    if envelope.divergence is not None:
        tilt = envelope.divergence.slope(q, envelope.nominal)
        stiffness = stiffness + state.alpha * envelope.divergence.bend(q, envelope.nominal)
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
    bent = np.zeros_like(h)
    if problem.loss.curved:
        bent = problem.gram(q * state.bend, None if state.everything else free)
    centred, tilt_mean = tilt, 0.0
    kl_pull, kl_stiff = np.zeros(free.size), 1.0
    if state.bounded:
        tilt_mean = float(soft @ tilt) / soft_total
        centred = tilt - tilt_mean
        kl_pull = (pulled * centred) @ columns
        kl_stiff = float(soft @ (centred * centred)) + state.s / state.alpha
        h -= np.outer(kl_pull, kl_pull) / kl_stiff
    penalty_pull = np.zeros(state.x.size)
    inside = free[free < problem.n_assets]
    where = np.flatnonzero(free < problem.n_assets)
    if problem.penalty is not None:
        penalty_pull[: problem.n_assets], bend = state.penalty()
        into = h if state.pieces is not None else bent  # that of the pieces is in their own direction
        into[np.ix_(where, where)] += bend[np.ix_(inside, inside)]
    h += bent
    h[np.diag_indices_from(h)] += state.low / state.below + state.high / state.above

    gradient = (q * slope) @ columns + penalty_pull[free]
    residual_q = state.losses - state.nu + state.z - state.alpha * tilt
    if state.capped:
        residual_q = residual_q - state.v
    residual_sum = state.total - float(q.sum())
    residual_kl = 0.0
    if state.bounded:
        assert envelope.divergence is not None
        assert envelope.radius is not None
        residual_kl = envelope.radius - envelope.divergence.value(q, envelope.nominal) - state.s
    missing = state.bounds.totals - state.bounds.rows @ state.x

    factor = KKT(h, rows)
    trust = 0.0

    def direction(mu_target: float, second: _Move | None) -> _Move:
        aim_z = (mu_target - (second.z if second else 0.0)) / state.deep - state.z
        load = residual_q + aim_z
        aim_v = state.v
        if state.capped:
            aim_v = (mu_target - (second.v if second else 0.0)) / state.room - state.v
            load = load - aim_v
        aim_low = (mu_target - (second.low if second else 0.0)) / state.below - state.low
        aim_high = (mu_target - (second.high if second else 0.0)) / state.above - state.high
        side = -gradient + state.low - state.high + aim_low - aim_high - (pulled * load) @ columns
        # eliminate the multiplier of the sum of q, then that of the divergence
        sum_load = residual_sum - float(soft @ load)
        side = side - along * (sum_load / soft_total)
        aim_s = kl_load = 0.0
        if state.bounded:
            aim_s = (mu_target - (second.s if second else 0.0)) / state.alpha - state.s
            kl_load = residual_kl - tilt_mean * residual_sum - aim_s - float((soft * centred) @ load)
            side = side - kl_pull * (kl_load / kl_stiff)
        if state.pieces is not None:
            side[where] -= state.pieces.aim(mu_target, trust if second else 0.0)[inside]
        dx, y = factor.solve(side, missing)
        moved = np.zeros(problem.n_assets)
        if state.pieces is not None:
            moved[inside] = dx[where]
            state.pieces.follow(moved)
        dnu = (float(along @ dx) - sum_load) / soft_total
        dalpha = ds = 0.0
        if state.bounded:
            dalpha = (float(kl_pull @ dx) - kl_load) / kl_stiff
            ds = aim_s - state.s / state.alpha * dalpha
        dq = soft * (slope * (columns @ dx) - dnu - centred * dalpha + load)
        dlow, dhigh = aim_low - state.low / state.below * dx, aim_high + state.high / state.above * dx
        if second is not None and mu <= 1e6 * floor:
            # near a corner dq is a tiny difference times a huge factor: solve again for what rounding left over
            left = -gradient - (slope * dq) @ columns - bent @ dx + state.low + dlow - state.high - dhigh + y @ rows
            if state.pieces is not None:
                left[where] -= state.pieces.pull_of_direction()[inside]
            more, more_y = factor.solve(left, missing - rows @ dx)
            more_nu = float(along @ more) / soft_total
            more_alpha = float(kl_pull @ more) / kl_stiff if state.bounded else 0.0
            dx, y, dnu, dalpha = dx + more, y + more_y, dnu + more_nu, dalpha + more_alpha
            ds = ds - state.s / state.alpha * more_alpha if state.bounded else 0.0
            dq = dq + soft * (slope * (columns @ more) - more_nu - centred * more_alpha)
            dlow, dhigh = dlow - state.low / state.below * more, dhigh + state.high / state.above * more
            if state.pieces is not None:
                moved[inside] = more[where]
                state.pieces.refine(moved)
        return _Move(
            x=dx,
            q=dq,
            y=y,
            nu=dnu - tilt_mean * dalpha,
            alpha=dalpha,
            z=aim_z - state.z / state.deep * dq,
            v=aim_v + state.v / state.room * dq if state.capped else state.v,
            low=dlow,
            high=dhigh,
            s=ds,
        )

    move = direction(0.0, None)
    primal, dual = _lengths(state, move, stay)
    reached = _complementarity_after(state, move, primal, dual)
    total, _ = state.complementarity()
    centering = min(max((reached / total) ** 3, 1e-6), 1.0)
    # second-order terms, as far as the first-order step could be taken: beyond it they mislead
    trust = min(primal, dual)
    second = move._replace(
        z=trust * move.q * move.z,
        v=-trust * move.q * move.v if state.capped else move.v,
        low=trust * move.x * move.low,
        high=-trust * move.x * move.high,
        s=trust * move.s * move.alpha,
    )
    move = direction(max(centering * mu, floor), second)
    if not (np.isfinite(move.x).all() and np.isfinite(move.q).all()):
        return False
    primal, dual = _lengths(state, move, stay)
    full = move.x
    if not state.everything:
        full = np.zeros_like(state.x)
        full[free] = move.x
    primal = min(primal, 0.9 * problem.longest_step(ScenarioPoint(state.x, 0.0, state.x, returns=state.returns), full))
    if problem.loss.curved or envelope.divergence is not None or problem.penalty is not None:
        primal = dual = min(primal, dual)
    if max(primal, dual) < 1e-14:
        return False
    return state.advance(move, full, primal, dual)


def _largest(slack: FloatArray, change: FloatArray, stay: float) -> float:
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -stay / fastest) if fastest < 0 else 1.0


def _lengths(state: _State, move: _Move, stay: float) -> tuple[float, float]:
    """Largest primal and dual steps that keep every slack and multiplier positive."""
    primal = min(
        _largest(state.below, move.x, stay), _largest(state.above, -move.x, stay), _largest(state.deep, move.q, stay)
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
    if state.pieces is not None:
        lengths = state.pieces.lengths(stay)
        primal, dual = min(primal, lengths[0]), min(dual, lengths[1])
    return primal, dual


def _complementarity_after(state: _State, move: _Move, primal: float, dual: float) -> float:
    """Sum of the products of slack and multiplier after a step."""
    total = (
        float((state.deep + primal * move.q) @ (state.z + dual * move.z))
        + float((state.below + primal * move.x) @ (state.low + dual * move.low))
        + float((state.above - primal * move.x) @ (state.high + dual * move.high))
    )
    if state.capped:
        total += float((state.room - primal * move.q) @ (state.v + dual * move.v))
    if state.bounded:
        total += (state.s + primal * move.s) * (state.alpha + dual * move.alpha)
    if state.pieces is not None:
        total += state.pieces.products(primal, dual)
    return total
