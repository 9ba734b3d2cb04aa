"""Choose a solver, run it, and hand back only what is certified."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError, PortfolioError, TimeLimitError
from opeslike.modelling.constraints import Constraint, Extra
from opeslike.modelling.named import irreducible
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.risks import KLBall
from opeslike.modelling.rivals import LargestRegret
from opeslike.modelling.tilt import Tilted
from opeslike.proof import Proof, Witness, bound, prove
from opeslike.solvers.active_set import active_set, polished
from opeslike.solvers.columns import MANY, by_columns
from opeslike.solvers.interior_point import Iterate, interior_point
from opeslike.solvers.limited import limited_point
from opeslike.solvers.rivals import rival_point
from opeslike.solvers.saddle import saddle_point
from opeslike.solvers.sequential import by_models
from opeslike.solvers.tail import worst_case_point

SOLVERS = ("auto", "interior-point", "cvxpy")

#: solvers aim this much lower than the gap that counts as optimal
_AIM = 1e-3
#: and the first interior answer, which Newton on the free weights takes on from, this much higher
_ROUGH = 3000.0
#: within this many tolerances nobody else is asked
_GOOD = 0.1
#: limits that a message names
_SHOWN = 12
#: a worst case on fewer scenarios than this is not left to Newton's method
_FEWEST = 3.0
#: what turnover costs beyond its multipliers by more than this is at a bound where turnover is least
_FIXED = 1e-7
#: weights nearer than this to a bound are tried there
_NEAR = 1e-6


@dataclass(frozen=True)
class Solved:
    """A proved answer: ``x``, its proof, who found it, and in how many iterations."""

    x: FloatArray
    proof: Proof
    solver: str
    iterations: int
    status: str

    @property
    def q(self) -> FloatArray | None:
        """Worst-case probabilities, where the objective has them: those of the proof."""
        q = self.proof.witness.q
        q = getattr(getattr(self.proof.point, "risk", None), "q", None) if q is None else q
        # worst cases of a multiple of a risk sum to that multiple
        return None if q is None else q * (1.0 / float(q.sum()))


def solve(
    problem: Problem,
    solver: str = "auto",
    start: FloatArray | None = None,
    constraints: Extra | Sequence[Constraint] = (),
    named: bool = True,
    rough: bool = False,
) -> Solved:
    """Minimise a convex problem and certify the answer.

    Parameters
    ----------
    problem : Problem
    solver : {"auto", "interior-point", "cvxpy"}
        "auto" uses the interior-point solvers and falls back on cvxpy; user constraints go through cvxpy.
    start : ndarray of shape (n,), optional
        A guess, such as the last target weights. It changes the time taken, not the answer.
    constraints : Extra, or sequence of callables
        User constraints on the weights, in cvxpy.
    named : bool
        Whether limits that contradict each other are looked for and named, which takes linear programs.
    rough : bool
        Hand back what is found as it is, for steps of a search that proves its own answer.

    Raises
    ------
    PortfolioError
        If ``solver`` is unknown, or "interior-point" was asked to take user constraints.
    InfeasibleError
        If nothing satisfies bounds, constraints and the objective's domain.
    OptimizationError
        If no solver reached a certified optimum; the message gives the best gap.
    """
    if solver not in SOLVERS:
        raise PortfolioError(f"solver={solver!r} is unknown; use one of {', '.join(map(repr, SOLVERS))}")
    if constraints and solver == "interior-point":
        raise PortfolioError("the interior-point solver takes no extra constraints; use solver='auto' or 'cvxpy'")
    deadline.check()
    try:
        return _solved(problem, solver, start, constraints, rough, named)
    except InfeasibleError as error:
        extra = constraints if isinstance(constraints, Extra) else Extra()
        limits = irreducible(problem.bounds, problem.lift, extra.assets, extra.scale) if named else []
        if not limits:
            raise
        risky = any("<=" in name for name in problem.bounds.names)
        shown = limits if len(limits) <= _SHOWN else [*limits[:_SHOWN], f"{len(limits) - _SHOWN} more"]
        raise InfeasibleError(
            f"no weights meet all of these limits, and any one loosened enough lets the rest be met: {', '.join(shown)}"
            + ("; leverage=1 allows cash" if risky and "budget == 1" in limits else "")
        ) from error


def _solved(
    problem: Problem,
    solver: str,
    start: FloatArray | None,
    constraints: Extra | Sequence[Constraint],
    rough: bool,
    named: bool,
) -> Solved:
    if constraints or (solver == "cvxpy" and problem.bounds.only_point() is None):  # else there is nothing to choose
        return _through_cvxpy(problem, constraints)
    if problem.limits:
        return _limited(problem, solver, start, constraints, named)
    direct = _direct(problem)
    if direct is not None:
        return _judged(direct, prove(problem, direct), "closed-form", 0)
    found, name = _interior(problem, start) if problem.lift.forced is None else _forced(problem, start)
    proof = None if found is None else _proved(problem, found)
    if rough and found is not None and proof is not None:
        return Solved(found.x, proof, name, found.iterations, proof.status or "bounded")
    if (proof is None or not proof.optimal) and solver == "auto":
        deadline.check(None if proof is None else proof.gap)
        try:
            other = _through_cvxpy(problem, ())
        except (TimeLimitError, InfeasibleError):
            raise
        except OptimizationError:
            if proof is None:
                raise
        else:
            if proof is None or other.proof.gap < proof.gap:
                return other
    if found is None or proof is None:
        raise OptimizationError("the feasible set has no interior for the interior-point solver; use solver='auto'")
    return _judged(found.x, proof, name, found.iterations)


def _limited(
    problem: Problem, solver: str, start: FloatArray | None, extra: Extra | Sequence[Constraint], named: bool
) -> Solved:
    def minimise(part: Problem, guess: FloatArray | None) -> tuple[FloatArray, Proof, int]:
        solved = solve(part, solver, guess, extra, named, rough=True)
        return solved.x, solved.proof, solved.iterations

    try:
        x, met, steps = limited_point(problem, minimise, start, _AIM)
        return _judged(x, met, "interior-point", steps)
    except (TimeLimitError, InfeasibleError):
        raise
    except OptimizationError:
        if solver != "auto":
            raise
    return _through_cvxpy(problem, ())


def _proved(problem: Problem, found: Iterate) -> Proof:
    """The proof of what is returned; where a solver's multipliers prove too little, by the best ones."""
    proof = prove(problem, found.x, Witness(found.q, found.multipliers, found.slopes), point=found.point)
    if proof.gap > (_AIM if problem.bounds.single else _GOOD) * proof.tolerance:
        other = bound(problem, found.x, Witness(found.q, None, found.slopes), point=proof.point)
        proof = other if other.gap < proof.gap else proof
    return proof


def _judged(x: FloatArray, proof: Proof, name: str, iterations: int) -> Solved:
    if proof.status is not None:
        return Solved(x, proof, name, iterations, proof.status)
    deadline.check(proof.gap)
    other = "" if name.startswith("cvxpy") else " or try solver='cvxpy'"
    raise OptimizationError(
        f"no certified optimum: the best answer ({name}) has a gap of {proof.gap:.1e}, more than the "
        f"{proof.tolerance:.1e} that counts as optimal; rescale the returns, loosen or drop a constraint{other}"
    )


def _through_cvxpy(problem: Problem, constraints: Extra | Sequence[Constraint]) -> Solved:
    from opeslike.solvers.conic import conic

    x, proof, name, iterations = conic(problem, constraints)
    return _judged(x, proof, f"cvxpy/{name}", iterations)


def _direct(problem: Problem) -> FloatArray | None:
    """Linear objectives and sets of a single point need no iteration."""
    x = problem.bounds.only_point()
    if x is not None:
        problem.starting_point(x)
    elif problem.linear is not None:
        x = problem.bounds.repair(problem.bounds.linear_minimum(problem.linear)[0])
    return x


def _interior(
    problem: Problem, start: FloatArray | None, aim: float = _AIM, columns: bool = True
) -> tuple[Iterate | None, str]:
    """Warm start, then interior point, then the saddle-point form; the best certified iterate and who found it."""
    smooth = problem.penalty is None or problem.penalty.smooth
    best: Iterate | None = None
    if start is not None and smooth and start.shape == problem.bounds.lower.shape and problem.lift.plain:
        best = active_set(problem, start, _AIM, max_iterations=6)
        if best is not None and best.gap <= _AIM * problem.tolerance(best.point):
            return best, "active-set"
    ends = smooth and problem.smooth and not (problem.penalty is not None and problem.penalty.interior)
    many = int(problem.bounds.free.sum()) > MANY
    if ends and not many and start is not None:
        best = by_models(problem, start)
        if best is not None and best.gap <= _GOOD * problem.tolerance(best.point):
            return best, "active-set"
    center = problem.bounds.center()
    if center is None:
        return best, "active-set"
    center = problem.starting_point(center)
    linear = problem.penalty is None or (isinstance(problem.penalty, Tilted) and problem.penalty.inner is None)
    if columns and many and linear:
        few = by_columns(problem, center, start, _AIM, partial(_interior, columns=False))
        if few is not None:
            return few
    if isinstance(problem, ScenarioProblem) and isinstance(problem.risk, LargestRegret):
        return rival_point(problem, _AIM, partial(_interior, columns=columns)), "shares"
    if isinstance(problem, ScenarioProblem) and not problem.smooth:
        worst = worst_case_point(problem, center, aim)
        return None if worst is None else _snapped(problem, worst), "saddle-point"
    envelope = problem.envelope() if isinstance(problem, ScenarioProblem) else None
    found: Iterate | None = None
    if not (isinstance(problem, ScenarioProblem) and smooth and _concentrated(problem)):
        inside = center
        # from nowhere the model of a worst case says little
        if ends and not many and start is None and envelope is None:
            best = by_models(problem, center)
            if best is not None and best.gap <= _GOOD * problem.tolerance(best.point):
                return best, "active-set"
        # a rough interior answer shows which weights are at their bounds; Newton on the others finishes the job
        for wanted, near_bound in ((_ROUGH, 1e-3), (1.0, 1e-6), (_AIM, 1e-6)) if ends else ((_AIM, 1e-6),):
            rough = interior_point(problem, inside, wanted)
            inside = rough.x
            found = polished(problem, rough, near_bound) if smooth else rough
            tolerance = problem.tolerance(found.point)
            if found.gap <= _GOOD * tolerance or not found.point.smooth or rough.gap > wanted * tolerance:
                break
    if found is not None and (best is None or found.gap < best.gap):
        best = found
    if envelope is None or (best is not None and best.gap <= _GOOD * problem.tolerance(best.point)):
        return best, "interior-point"
    assert isinstance(problem, ScenarioProblem)
    at = problem.evaluate(center if best is None else best.x)
    other = saddle_point(problem, envelope, center, _AIM * problem.tolerance(at))
    if smooth:
        other = _snapped(problem, polished(problem, other))
    if best is None or other.gap < best.gap:
        return other, "saddle-point"
    return best, "interior-point"


def _forced(problem: Problem, start: FloatArray | None) -> tuple[Iterate | None, str]:
    """Where the least turnover is in force: its face, on which what makes it the least is at its bounds.

    The set itself is as thin as the rounding that it is wider by, and nothing for an interior point. Multipliers of the
    face, with as much of those that prove the turnover the least as what was fixed needs, are multipliers of the set.
    """
    bounds, forced = problem.bounds, problem.lift.forced
    assert forced is not None
    dear = -(forced @ bounds.rows)
    slack = next(variable for variable, row, _ in problem.lift.slacks if bounds.names[row] == "turnover")
    lower = np.where(dear < -_FIXED, bounds.upper, bounds.lower)
    upper = np.where(dear > _FIXED, bounds.lower, bounds.upper)
    lower[slack], upper[slack], dear[slack] = -1.0, 1.0, 0.0
    face = copy.copy(problem)
    face.bounds = replace(bounds, lower=lower, upper=upper)
    found, name = _interior(face, start)
    if found is None:
        return None, name
    gradient = found.point.gradient
    if isinstance(problem, ScenarioProblem) and found.q is not None:
        gradient = problem.value_under(found.x, found.q)[1]
    fixed = np.abs(dear) > _FIXED
    needed = -(gradient - found.multipliers @ bounds.rows)[fixed] / dear[fixed]
    share = max(float(needed.max(initial=0.0)), 0.0)
    return replace(found, multipliers=found.multipliers + share * forced), name


def _concentrated(problem: ScenarioProblem) -> bool:
    """Whether the worst case of a KL ball sits on so few scenarios that Newton's method meets its kinks."""
    radius = problem.risk.radius if isinstance(problem.risk, KLBall) else 0.0
    return radius > 0 and -float(problem.probabilities @ np.log(problem.probabilities)) - radius < math.log(_FEWEST)


def _snapped(problem: Problem, found: Iterate) -> Iterate:
    """Move weights that nearly touch a bound or 0 there, where the worst-case probabilities prove that no worse."""
    bounds = problem.bounds
    w = problem.weights(bounds.within(found.x, _NEAR))
    x = bounds.repair(bounds.within(problem.lift(np.where(np.abs(w) < _NEAR, 0.0, w)), _NEAR))
    if not problem.in_domain(x) or (problem.penalty is not None and problem.penalty.interior):
        return found
    proof = bound(problem, x, Witness(found.q, None if bounds.single else found.multipliers, found.slopes))
    if proof.gap > max(found.gap, _AIM * proof.tolerance):
        return found
    return replace(found, x=x, point=proof.point, gap=proof.gap)
