"""Piecewise-linear risks (CVaR, worst case, probability boxes) on the scenarios that matter.

At the optimum of such a risk almost every scenario has the least or the greatest probability it may have: only as many
as there are weights between their bounds lie on the edge of the tail. So the saddle problem is solved for the scenarios
near the edge, the others held at their bounds, and the nearer the optimum the fewer remain. What is held restricts the
inner maximum, so the probabilities found certify the answer among all scenarios; those held on the wrong side are
released.
"""

from __future__ import annotations

import copy
import math

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.ambiguity import ProbabilityBox
from opeslike.modelling.envelopes import Envelope
from opeslike.modelling.problem import Index, ScenarioPoint, ScenarioProblem
from opeslike.modelling.risks import Mean, Multiple, Risk
from opeslike.solvers.crossover import Guess, crossover
from opeslike.solvers.interior_point import Iterate
from opeslike.solvers.saddle import Corners, saddle_point, saddle_step
from opeslike.solvers.saddle_state import SaddleState

Mask = NDArray[np.bool_]

_STEPS = 60
_PATIENCE = 10
_SHRINK = 0.1
_REACH = 2.0
#: of very many scenarios one in so many is looked at first, where that leaves so many, with a gap so much larger
_EVERY, _LARGE, _ROUGH = 16, 2000, 1e2
#: the edge of the tail is where a sample has it but for this many standard errors of its answer
_SURE = 10.0


class _Part(ScenarioProblem):
    """Some scenarios of a problem, the losses of the rest under fixed probabilities added; the domain of the whole."""

    def __init__(
        self, whole: ScenarioProblem, inner: Mask, held: FloatArray, probabilities: FloatArray, risk: Risk
    ) -> None:
        super().__init__(whole.returns[inner], probabilities, whole.loss, risk, whole.bounds, whole.penalty, whole.lift)
        self.whole = whole
        rows = np.flatnonzero(held)
        self._rest = ScenarioProblem(
            whole.returns[rows], held[rows], whole.loss, Mean(), whole.bounds, None, whole.lift
        )
        self._q, self.cost = self._rest.probabilities, None
        self._constant, self._slope = 0.0, np.zeros(whole.bounds.lower.size)
        if not whole.loss.curved:
            losses, slope, _ = whole.loss.evaluate(self._rest.scenario_returns(np.zeros(whole.bounds.lower.size)))
            self._constant, self._slope = float(self._q @ losses), self._rest.pull(self._q * slope)

    def added(self, x: FloatArray) -> tuple[float, FloatArray | None]:
        """What the whole adds, and the losses of the rest."""
        value, gradient = self.whole.added(x)
        constant, own = self._constant + float(self._slope @ x), self._slope
        if self.loss.curved:
            losses, slope, _ = self.loss.evaluate(self._rest.scenario_returns(x))
            constant, own = float(self._q @ losses), self._rest.pull(self._q * slope)
        return value + constant, own if gradient is None else gradient + own

    def bend(self, x: FloatArray, free: Index | None = None) -> FloatArray | None:
        """Second derivative of the same."""
        more = self.whole.bend(x, free)
        if not self.loss.curved:
            return more
        _, _, bend = self.loss.evaluate(self._rest.scenario_returns(x))
        own = self._rest.gram(self._q * bend, free)
        return own if more is None else own + more

    @property
    def bending(self) -> bool:
        """Whether it is not identically zero."""
        return self.loss.curved or self.whole.bending

    def in_domain(self, x: FloatArray, point: ScenarioPoint | None = None) -> bool:
        """Whether every scenario of the whole keeps a positive margin."""
        return self.whole.in_domain(x)

    def longest_step(self, point: ScenarioPoint, direction: FloatArray) -> float:
        """Step at which the first scenario of the whole reaches the edge of the domain."""
        if self.loss.margin_slope == 0.0:
            return math.inf
        at = ScenarioPoint(point.x, 0.0, point.x, returns=self.whole.scenario_returns(point.x))
        return self.whole.longest_step(at, direction)


class _Tail:
    """A scenario problem and its box of probabilities, seen from one point."""

    def __init__(self, problem: ScenarioProblem, envelope: Envelope) -> None:
        self.problem, self.envelope = problem, envelope
        count = problem.returns.shape[0]
        self.total = float(envelope.nominal.sum())
        self.floor = np.zeros(count) if envelope.floor is None else envelope.floor
        self.cap = np.full(count, self.total) if envelope.cap is None else envelope.cap
        self.room = self.cap - self.floor
        self.fixed = self.room <= 1e-12 * self.total / count
        self.missing = self.total - float(self.floor.sum())

    def guess(self, start: FloatArray, target: float) -> FloatArray | None:
        """The answer for a sample of very many scenarios, which shows where the edge of the tail is; else None."""
        rows = slice(None, None, _EVERY)
        nominal = self.envelope.nominal[rows]
        if nominal.size < _LARGE:
            return None
        part, total = copy.copy(self.problem), float(nominal.sum())
        box = ProbabilityBox(self.floor[rows] / total, np.minimum(self.cap[rows] / total, 1.0))
        part.returns, part.probabilities = np.asfortranarray(self.problem.returns[rows]), nominal / total
        part.risk = risk = Multiple(box, self.total)
        envelope = risk.envelope(part.probabilities)
        found = None if envelope is None else tail_point(part, envelope, start, _ROUGH * target)
        return found.x if found is not None and self.problem.in_domain(found.x) else None

    def look(self, x: FloatArray) -> None:
        """Order the scenarios by loss and find the edge of the tail."""
        self.losses = self.problem.loss.evaluate(self.problem.scenario_returns(x))[0]
        self.order = np.argsort(-self.losses)
        filled = np.cumsum(self.room[self.order])
        self.edge = min(int(np.searchsorted(filled, self.missing)), self.order.size - 1)
        self.nu = float(self.losses[self.order[self.edge]])
        self.above = np.zeros(self.order.size, dtype=bool)
        self.above[self.order[: self.edge]] = True

    def window(self, low: int, high: int) -> Mask:
        """The scenarios with the given ranks, counted from the edge."""
        inner = np.zeros(self.order.size, dtype=bool)
        inner[self.order[max(0, self.edge + low) : self.edge + high]] = True
        return np.asarray(inner & ~self.fixed)

    def wrong(self, x: FloatArray, held: FloatArray, inner: Mask) -> Mask:
        """Scenarios held on the wrong side of the edge, seen from ``x``."""
        self.look(x)
        full = held > self.floor
        return np.asarray(~inner & ~self.fixed & np.where(full, self.losses <= self.nu, self.losses >= self.nu))

    def restricted(self, inner: Mask) -> tuple[ScenarioProblem, Envelope, FloatArray]:
        """The problem for some scenarios, the others held at their bounds; returns it, its box and what is held."""
        problem, envelope = self.problem, self.envelope
        held = np.where(inner, 0.0, np.where(self.above, self.cap, self.floor))
        total = self.total - float(held.sum())
        floor, cap = self.floor[inner], np.minimum(self.cap[inner], total)
        share = (total - float(floor.sum())) / float((cap - floor).sum())
        nominal = floor + share * (cap - floor)
        risk = Multiple(ProbabilityBox(floor / total, cap / total), total)
        part = _Part(problem, inner, held, nominal / total, risk)
        box = Envelope(nominal, None if envelope.cap is None else cap, None if envelope.floor is None else floor)
        return part, box, held


def worst_case_point(problem: ScenarioProblem, start: FloatArray, aim: float) -> Iterate | None:
    """Solve a scenario problem jointly in weights and worst-case probabilities, whatever their set.

    Parameters
    ----------
    problem : ScenarioProblem
    start : ndarray of shape (n,)
        Strictly inside the bounds and the domain of the loss.
    aim : float
        Certified gap at which to stop, in tolerances of the problem.

    Returns
    -------
    Iterate or None
        None where the probabilities are known.
    """
    envelope = problem.envelope()
    if envelope is None:
        return None
    tolerance = problem.tolerance(problem.evaluate(start))
    found: Iterate | None = None
    if envelope.divergence is None and (problem.penalty is None or problem.penalty.smooth):
        found = tail_point(problem, envelope, start, aim * tolerance, aim > 1)
    for _ in range(2):  # the tolerance is a matter of the answer, so the first aim may have been too high
        if found is not None:
            tolerance = problem.tolerance(problem.evaluate(found.x))
            if found.gap <= max(aim, 0.1) * tolerance:
                break
        other = saddle_point(problem, envelope, start, aim * tolerance)
        found = other if found is None or other.gap < found.gap else found
    return found


def tail_point(
    problem: ScenarioProblem, envelope: Envelope, start: FloatArray, target: float, rough: bool = False
) -> Iterate | None:
    """Solve a scenario problem whose worst-case probabilities lie in a box.

    Parameters
    ----------
    problem : ScenarioProblem
        Without penalty, or with a smooth one.
    envelope : Envelope
        The box.
    start : ndarray of shape (n,)
        Strictly inside the bounds and the domain of the loss.
    target : float
        Certified gap at which to stop.
    rough : bool
        Whether that is far from a corner, so that none is looked for.

    Returns
    -------
    Iterate or None
        The best certified point, with its worst-case probabilities; None where these are known.
    """
    n = problem.bounds.lower.size
    tail = _Tail(problem, envelope)
    guess = tail.guess(start, target)
    tail.look(start if guess is None else guess)
    sure = min(_SURE * math.sqrt(n * _EVERY / (tail.edge + 1)), 4.0)
    below, above = (4.0, 3.0) if guess is None else (sure, sure)
    inner = tail.window(-int(below * tail.edge) - 8 * n - 100, int(above * tail.edge) + 8 * n + 100)
    if not inner.any():  # every probability is known
        return None
    part, box, held = tail.restricted(inner)
    state = SaddleState(part, box, start)
    best: Iterate | None = None
    steps = 0
    path = [(math.inf, start)]  # how far from the optimum, and the interior point there
    while True:
        taken, found = _approach(state, target, _STEPS - steps, rough)
        steps += taken
        total, count = state.complementarity()
        if found is None:
            # nearer by a good deal: scenarios that are now clear of the edge need not be carried on
            tail.look(state.x)
            near = tail.window(-4 * n - 20, 4 * n + 20) | (np.abs(tail.losses - tail.nu) <= _REACH * total)
            if near.sum() > 0.7 * inner.sum():
                continue
            inner = near
            path.append((total, state.x))
        else:
            assert found.q is not None
            q = held.copy()
            q[inner] = found.q
            found = state.certified(problem, found.x, q, found.multipliers, steps)
            if found.gap > target and guess is None and not rough:
                # a corner of the part, nearly one of the whole: let the scenarios left out come in
                found = _nearer(tail, found, target) or found
            if best is None or found.gap < best.gap:
                best = found
            if best.gap <= target or steps >= _STEPS or deadline.passed():
                return best
            wrong = tail.wrong(found.x, held, inner)
            if not wrong.any():
                return best
            inner = inner | wrong | tail.window(-n, n)
            # start again from where it was not yet decided: the corner found leaves no room to move
            total = max(10.0 * found.gap, total)
            while path[-1][0] < total:
                path.pop()
        part, box, held = tail.restricted(inner)
        state = SaddleState(part, box, path[-1][1], total / count)


def _nearer(tail: _Tail, found: Iterate, target: float) -> Iterate | None:
    """Crossover for all scenarios from a corner of some of them; None where that is no better."""
    assert found.q is not None
    bounds, x, q = tail.problem.bounds, found.x, found.q
    rounding = 1e-12 * tail.total / q.size
    inner = (q > tail.floor + rounding) & (q < tail.cap - rounding)
    moving = (x > bounds.lower) & (x < bounds.upper)
    tail.look(x)
    guess = Guess(x, q, tail.nu, 0.0, found.multipliers, moving, inner)
    better = crossover(tail.problem, tail.envelope, guess, target)
    return better if better is not None and better.gap < found.gap else None


def _approach(state: SaddleState, target: float, most: int, rough: bool) -> tuple[int, Iterate | None]:
    """Step until the products have shrunk by a good deal, or to the end; returns the steps and the answer if any."""
    first, _ = state.complementarity()
    least, stalled = math.inf, 0
    corners = Corners(target)
    best: Iterate | None = None
    for step in range(most):
        total, count = state.complementarity()
        stalled = 0 if total < 0.99 * least else stalled + 1
        least = min(total, least)
        near = total <= (1 if rough else 1e2) * target or stalled % 5 == 4
        found = None if rough else corners.try_from(state, near)
        if found is None and near:
            found = state.rounded(step)
        if found is not None and (best is None or found.gap < best.gap):
            best = found
            if found.gap <= target:
                return step, found
        if stalled > _PATIENCE or total <= 1e-3 * target or deadline.passed():
            most = step
            break
        if _SHRINK * first >= total > 1e2 * target:
            return step, None
        if not saddle_step(state, total / count, 0.1 * target / count, 0.9):
            most = step
            break
    return most, state.rounded(most) if best is None else best
