"""The largest regret over several beliefs: their shares of the probability, until all that count regret alike."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.modelling.risks import Mean
from opeslike.modelling.rivals import LargestRegret, RivalEnvelope, RivalPoint
from opeslike.proof import Witness, bound
from opeslike.solvers.interior_point import KKT, Iterate

#: rounds of the search for the shares, and the shortest step of one, the least curvature taken, relative to the largest
_ROUNDS, _SHORTEST, _FLAT = 60, 1e-9, 1e-10
#: weights nearer than this to a bound do not move with the shares
_NEAR = 1e-9


class _Mixture(NamedTuple):
    """The problem at some shares of the beliefs, its optimum, the value of the dual there and the regrets."""

    shares: FloatArray
    problem: ScenarioProblem
    found: Iterate
    value: float
    regrets: FloatArray


def rival_point(
    problem: ScenarioProblem, aim: float, minimise: Callable[[Problem, FloatArray | None], tuple[Iterate | None, str]]
) -> Iterate | None:
    """Minimise the largest regret by Newton's method on the shares of the beliefs.

    For given shares the problem is a mean of losses like any other. Its value is concave in the shares; the regrets are
    its gradient, and how the weights answer gives its second derivative (Danskin 1967).

    Parameters
    ----------
    problem : ScenarioProblem
        Its risk a :class:`LargestRegret`.
    aim : float
        Certified gap at which to stop, in tolerances of the problem.
    minimise : callable
        Solves a problem from a guess.
    """
    risk = problem.risk
    assert isinstance(risk, LargestRegret)
    envelope = risk.envelope(problem.probabilities)

    def mixture(shares: FloatArray, guess: FloatArray | None) -> _Mixture | None:
        inner = copy.copy(problem)
        inner.risk, inner.probabilities = Mean(), envelope.mixed(shares)
        found, _ = minimise(inner, guess)
        if found is None:
            return None
        at = problem.evaluate(found.x).risk
        assert isinstance(at, RivalPoint)
        return _Mixture(shares, inner, found, found.point.value - float(shares @ risk.best), at.regrets)

    best: Iterate | None = None
    here = mixture(np.full(len(risk.best), 1.0 / len(risk.best)), None)
    for turn in range(_ROUNDS):
        if here is None or deadline.passed():
            break
        found = here.found
        witness = Witness(
            here.problem.probabilities, None if problem.bounds.single else found.multipliers, found.slopes
        )
        proof = bound(problem, found.x, witness)
        if best is None or proof.gap < best.gap:
            best = Iterate(found.x, proof.point, proof.gap, found.multipliers, turn, witness.q, found.slopes)
        if best.gap <= aim * proof.tolerance:
            break
        step = _newton(here, envelope, minimise) - here.shares
        length, there = 1.0, None
        while length > _SHORTEST:
            there = mixture(here.shares + length * step, found.x)
            gain = length * float(here.regrets @ step)
            if there is not None and there.value >= here.value + 1e-4 * gain - 1e-15 * abs(here.value):
                break
            length, there = 0.3 * length, None
        here = there
    return best


def _newton(
    here: _Mixture,
    envelope: RivalEnvelope,
    minimise: Callable[[Problem, FloatArray | None], tuple[Iterate | None, str]],
) -> FloatArray:
    """The shares at which the second-order model of the dual is largest."""
    problem, x, count = here.problem, here.found.x, len(here.shares)
    free = np.flatnonzero((x > problem.bounds.lower + _NEAR) & (x < problem.bounds.upper - _NEAR))
    point = problem.evaluate(x)
    slopes = np.array([problem.pull(envelope.mixed(unit) * point.slope)[free] for unit in np.eye(count)])
    moves = np.zeros_like(slopes)
    if free.size:
        rows, hessian = problem.bounds.rows[:, free], problem.hessian(point, free)
        kkt = KKT(hessian + float(hessian.diagonal().mean()) * (rows.T @ rows), rows)
        moves = np.array([kkt.solve(-slope, np.zeros(len(rows)))[0] for slope in slopes])
    bend = -0.5 * (slopes @ moves.T + moves @ slopes.T)
    size = max(float(np.abs(bend).max()), float(np.ptp(here.regrets)), 1e-300)
    bend = bend / size + _FLAT * np.eye(count)
    model = QuadraticProblem(
        here.regrets / size + bend @ here.shares, bend, 1.0, Bounds.budget(np.zeros(count), np.ones(count))
    )
    found, _ = minimise(model, here.shares)
    return here.shares if found is None else found.x
