"""Primal-dual interior point for weights and worst-case probabilities together.

The problem is ``min over x of max over q of sum q_t loss_t(x)``.

Where the worst-case probabilities sit on an edge of their set (a KL ball that reaches the worst case, CVaR, worst
case) the objective has kinks and Newton's method on it fails. Here q is a variable: its bounds and the divergence
carry barriers of their own, which are eliminated scenario by scenario, so that a step still costs one ``O(T N^2)``
product and one Cholesky factorisation of size N. That product loses digits near a corner, so the last of them come
from the crossover: Newton on the scenarios and weights that the interior iterates show to be off their bounds.
"""

from __future__ import annotations

import math

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.problem import Centre, ScenarioPoint, ScenarioProblem
from opeslike.solvers.crossover import Guess, crossover
from opeslike.solvers.interior_point import KKT, Iterate
from opeslike.solvers.saddle_state import Move, SaddleState

_STAY_INSIDE = 0.9
_PATIENCE = 25
_EARLY = 2


class Corners:
    """When to try the crossover: once the guess makes sense, and not twice from the same guess."""

    def __init__(self, target: float) -> None:
        self._target = target
        self._last: Guess | None = None
        self._tried: Guess | None = None

    def try_from(self, state: SaddleState, at_the_end: bool) -> Iterate | None:
        """The corner in sight, solved exactly; None where there is none, or it was tried before."""
        guess = state.guess()
        settled, again = _alike(guess, self._last), _alike(guess, self._tried)
        self._last = guess
        # linear conditions have one solution only if there are as many of them as unknowns
        square = int(guess.inner.sum()) + len(guess.y) == int(guess.moving.sum()) + 1
        ready = settled if state.curved else square
        if (at_the_end or (ready and not again)) and state.pieces is None:
            self._tried = guess
            # linear conditions are met in one step or two where the guess is right, so an early one has no longer
            early = not state.curved and not at_the_end
            return crossover(state.problem, state.envelope, guess, self._target, *((_EARLY,) if early else ()))
        return None


def _alike(one: Guess, other: Guess | None) -> bool:
    return other is not None and bool((one.moving == other.moving).all() and (one.inner == other.inner).all())


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
    state = SaddleState(problem, envelope, start)
    best: Iterate | None = None
    corners = Corners(target)
    since_best = stalled = 0
    first, _ = state.complementarity()
    least = math.inf
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        if deadline.passed():
            break
        total, count = state.complementarity()
        stalled = 0 if total < 0.99 * least else stalled + 1
        least = min(total, least)
        near = total <= 1e2 * target or stalled % 5 == 4
        found = corners.try_from(state, near)
        if found is not None and (best is None or found.gap < best.gap):
            best = Iterate(found.x, found.point, found.gap, found.multipliers, iteration, found.q)
        if best is not None and best.gap <= target:
            break
        if total <= 1e3 * target or near or iteration == max_iterations:
            found = state.rounded(iteration)
            if found is not None and (best is None or found.gap < best.gap):
                best, since_best = found, 0
            else:
                since_best += 1
            if (best is not None and best.gap <= target) or since_best > 8 or stalled > _PATIENCE:
                break
        # the nearer the end, the nearer to the edge a step may go: full steps make the residuals vanish
        stay = max(_STAY_INSIDE, 1.0 - total / first)
        if not saddle_step(state, total / count, 0.1 * target / count, stay):
            break
    if best is None:
        best = state.rounded(iteration)
    if best is None:
        best = state.certified(problem, start, state.q.copy(), state.y, iteration)
    return best


def saddle_step(state: SaddleState, mu: float, floor: float, stay: float) -> bool:
    """One predictor-corrector step towards complementarity no smaller than ``floor``; False where it broke down."""
    problem, envelope, free = state.problem, state.envelope, state.free
    q, slope, lift = state.q, state.slope, problem.lift
    index = None if state.everything else free
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

    def down(worth: FloatArray) -> FloatArray:
        """Gradient in the free coordinates of what is worth so much per unit of return in each scenario."""
        return problem.pull(worth)[free] if index is not None else problem.pull(worth)

    def up(step: FloatArray) -> FloatArray:
        """How the losses move with the free coordinates."""
        return slope * problem.change(state.whole(step))

    pulled = soft * slope
    mean, known = (pulled @ problem.returns) / soft_total, float(pulled.sum()) / soft_total
    along = soft_total * lift.pull(mean, known)
    along = along if index is None else along[free]
    # R' diag(slope) (diag(soft) - soft soft' / total) diag(slope) R, centred first: subtracting afterwards would cancel
    h = problem.gram(soft, index, Centre(slope, mean, known))
    bent = problem.gram(q * state.bend, index) if problem.loss.curved else np.zeros_like(h)
    centred, tilt_mean = tilt, 0.0
    kl_pull, kl_stiff = np.zeros(free.size), 1.0
    if state.bounded:
        tilt_mean = float(soft @ tilt) / soft_total
        centred = tilt - tilt_mean
        kl_pull = down(pulled * centred)
        kl_stiff = float(soft @ (centred * centred)) + state.s / state.alpha
        h -= np.outer(kl_pull, kl_pull) / kl_stiff
    pull, curvature = state.added()
    gradient = down(q * slope) + pull
    if curvature is not None:
        bent = bent + curvature
    if state.pieces is not None:
        # the curvature of kinks is that of their multipliers, which have a direction of their own
        gradient += lift.pull(state.pieces.pull())[free]
        h += lift.restricted(state.pieces.curvature(), index)
    h += bent
    h[np.diag_indices_from(h)] += state.low / state.below + state.high / state.above

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

    def direction(mu_target: float, second: Move | None) -> Move:
        aim_z = (mu_target - (second.z if second else 0.0)) / state.deep - state.z
        load = residual_q + aim_z
        aim_v = state.v
        if state.capped:
            aim_v = (mu_target - (second.v if second else 0.0)) / state.room - state.v
            load = load - aim_v
        aim_low = (mu_target - (second.low if second else 0.0)) / state.below - state.low
        aim_high = (mu_target - (second.high if second else 0.0)) / state.above - state.high
        side = -gradient + state.low - state.high + aim_low - aim_high - down(pulled * load)
        # eliminate the multiplier of the sum of q, then that of the divergence
        sum_load = residual_sum - float(soft @ load)
        side = side - along * (sum_load / soft_total)
        aim_s = kl_load = 0.0
        if state.bounded:
            aim_s = (mu_target - (second.s if second else 0.0)) / state.alpha - state.s
            kl_load = residual_kl - tilt_mean * residual_sum - aim_s - float((soft * centred) @ load)
            side = side - kl_pull * (kl_load / kl_stiff)
        if state.pieces is not None:
            side -= lift.pull(state.pieces.aim(mu_target, trust if second else 0.0))[free]
        dx, y = factor.solve(side, missing)
        if state.pieces is not None:
            state.pieces.follow(lift.moves(state.whole(dx)))
        dnu = (float(along @ dx) - sum_load) / soft_total
        dalpha = ds = 0.0
        if state.bounded:
            dalpha = (float(kl_pull @ dx) - kl_load) / kl_stiff
            ds = aim_s - state.s / state.alpha * dalpha
        dq = soft * (up(dx) - dnu - centred * dalpha + load)
        dlow, dhigh = aim_low - state.low / state.below * dx, aim_high + state.high / state.above * dx
        if second is not None and mu <= 1e6 * floor:
            # near a corner dq is a tiny difference times a huge factor: solve again for what rounding left over
            left = -gradient - down(slope * dq) - bent @ dx + state.low + dlow - state.high - dhigh + y @ rows
            if state.pieces is not None:
                left -= lift.pull(state.pieces.pull_of_direction())[free]
            more, more_y = factor.solve(left, missing - rows @ dx)
            more_nu = float(along @ more) / soft_total
            more_alpha = float(kl_pull @ more) / kl_stiff if state.bounded else 0.0
            dx, y, dnu, dalpha = dx + more, y + more_y, dnu + more_nu, dalpha + more_alpha
            ds = ds - state.s / state.alpha * more_alpha if state.bounded else 0.0
            dq = dq + soft * (up(more) - more_nu - centred * more_alpha)
            dlow, dhigh = dlow - state.low / state.below * more, dhigh + state.high / state.above * more
            if state.pieces is not None:
                state.pieces.refine(lift.moves(state.whole(more)))
        return Move(
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
    full = state.whole(move.x)
    primal = min(primal, 0.9 * problem.longest_step(ScenarioPoint(state.x, 0.0, state.x, returns=state.returns), full))
    if state.curved:
        primal = dual = min(primal, dual)
    if max(primal, dual) < 1e-14:
        return False
    return state.advance(move, full, primal, dual)


def _largest(slack: FloatArray, change: FloatArray, stay: float) -> float:
    fastest = float((change / slack).min(initial=0.0))
    return min(1.0, -stay / fastest) if fastest < 0 else 1.0


def _lengths(state: SaddleState, move: Move, stay: float) -> tuple[float, float]:
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


def _complementarity_after(state: SaddleState, move: Move, primal: float, dual: float) -> float:
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
