"""The proof: how far an answer is from optimal, whoever found it.

For convex ``F = sup_q F_q`` over the feasible set W, any probabilities q in the risk's envelope and any multipliers y
of the equalities,

    F(x) - F*  <=  [F(x) - F_q(x)]  +  max over v in W of  grad F_q(x) . (x - v),

and the last term is at most ``sum_i max(d_i (x_i - l_i), d_i (x_i - u_i))`` with ``d = grad F_q(x) - rows' y`` on
the box. A regulariser with kinks, ``h(w) = max over y of y . (A w - b)``, has any admissible y for its slope, and
exceeds its linear bound by ``h(w) - y . (A w - b)``. A limit ``g <= m`` on risk has any price k >= 0: the minimum of
``F + k (g - m)`` never exceeds that of F under the limit, so ``k (m - g(x))`` is added to the gap there. Over the
user's own constraints the linear cost is bounded by the multipliers of a cone program.

Nothing here trusts a solver: q, y and k are its :class:`Witness`, and the inequality holds for every choice of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from opeslike.checks import FloatArray
from opeslike.errors import OptimizationError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import UserConstraints
from opeslike.modelling.covariance import Matrix
from opeslike.modelling.feasible import Lift
from opeslike.modelling.limits import Limit
from opeslike.modelling.named import bound_name, row_name
from opeslike.modelling.problem import OPTIMAL, Point, Problem, ScenarioProblem
from opeslike.modelling.quadratic import VolatilityProblem

User = UserConstraints | None

#: weights may be off their limits by this much
FEASIBLE = 1e-9
#: an answer within this many tolerances is handed back, marked "optimal_inaccurate", and verified as such
INACCURATE = 10.0


@dataclass(frozen=True, eq=False)
class Witness:
    """What a proof rests on besides the weights. Every part may be missing, and wrong ones prove less, never too much.

    Attributes
    ----------
    q : ndarray of shape (T,), optional
        Worst-case probabilities, where there are better ones than those that attain the risk at the weights.
    multipliers : ndarray of shape (m,), optional
        Of the equalities of the problem's bounds; found where they are missing.
    slopes : tuple of ndarrays
        The y of each kinked piece of the regulariser; empty for the subgradient that is taken at the weights.
    limits : tuple of (float, ndarray or None)
        Of each limit on risk its price and, where that is a worst mean, worst-case probabilities.
    price : float
        With ``calm``, of a gain that must not be negative.
    cones : ndarray of shape (r,), optional
        Multipliers of the cone program of the user's constraints.
    auxiliary : tuple
        Values of the user's own variables, which show that the constraints are met.
    calm : ndarray of shape (n,), optional
        Weights of little volatility, for a ratio.
    """

    q: FloatArray | None = None
    multipliers: FloatArray | None = None
    slopes: tuple[FloatArray, ...] = ()
    limits: tuple[tuple[float, FloatArray | None], ...] = ()
    price: float = 0.0
    cones: FloatArray | None = None
    auxiliary: tuple[FloatArray, ...] = ()
    calm: FloatArray | None = None


NOTHING = Witness()


@dataclass(frozen=True, eq=False)
class Proof:
    """Value and certified gap at a point, with the witness that gives it.

    ``reduced`` is what a unit more of each coordinate costs beyond what the multipliers explain, shape (n,): the prices
    of the box.
    """

    value: float
    gap: float
    tolerance: float
    point: Point
    witness: Witness = field(default=NOTHING)
    reduced: FloatArray | None = None

    @property
    def optimal(self) -> bool:
        """Whether the gap is small enough for the answer to count as optimal."""
        return self.gap <= self.tolerance

    @property
    def status(self) -> str | None:
        """Either "optimal" or "optimal_inaccurate", or None where the gap is too large to hand the answer back."""
        return "optimal" if self.optimal else "optimal_inaccurate" if self.gap <= INACCURATE * self.tolerance else None


def prove(
    problem: Problem, x: FloatArray, witness: Witness = NOTHING, extra: User = None, point: Point | None = None
) -> Proof:
    """Prove how good ``x`` is, its feasibility first.

    Parameters
    ----------
    problem : Problem
    x : ndarray of shape (n,)
        The variables of the problem.
    witness : Witness
    extra : UserConstraints, optional
        The user's own constraints, which x must meet too.
    point : Point, optional
        The problem evaluated at x, if that was done already; one of another x is not used.

    Raises
    ------
    OptimizationError
        If x is off a limit by more than 1e-9, or outside the domain of the objective; the message says which.
    """
    point = point if point is not None and point.x is x else None
    check_feasible(problem, x, witness, extra, point)
    return bound(problem, x, witness, extra, point)


def check_feasible(
    problem: Problem, x: FloatArray, witness: Witness = NOTHING, extra: User = None, point: Point | None = None
) -> None:
    """Check bounds, equalities, the domain, the limits on risk and the user's constraints, in this order.

    Raises
    ------
    OptimizationError
        Naming what is violated and by how much.
    """
    bounds = problem.bounds
    scale = float(np.abs(x).max(initial=1.0))
    if x.shape != bounds.lower.shape or not math.isfinite(scale):
        raise OptimizationError(f"the weights are not {bounds.lower.size} finite numbers")
    off = np.maximum(bounds.lower - x, x - bounds.upper)
    worst = int(off.argmax())
    if off[worst] > FEASIBLE * scale:
        raise OptimizationError(
            f"variable {worst} ({x[worst]:.6g}) is outside its bounds [{bounds.lower[worst]:g}, "
            f"{bounds.upper[worst]:g}] by {off[worst]:.1e}"
        )
    missing = np.abs(bounds.rows @ x - bounds.totals)
    row = int(missing.argmax())
    if missing[row] > FEASIBLE * max(scale, abs(float(bounds.totals[row]))):
        name = bounds.names[row] if row < len(bounds.names) else f"equality {row}"
        raise OptimizationError(f"the weights miss the limit {name!r} by {missing[row]:.1e}")
    if not problem.in_domain(x, point):
        raise OptimizationError("the weights lose everything in some scenario, where the objective is not defined")
    for limit in problem.limits:
        over = limit.over(x)
        if not over <= FEASIBLE:
            raise OptimizationError(f"the weights exceed the limit {limit.name!r} by {over:.1e}")
    if extra is not None and extra.added:
        violation = extra.violation(x, witness.auxiliary)
        if not violation <= FEASIBLE * scale:
            raise OptimizationError(f"the weights violate a given constraint by {violation:.1e}")


def bound(
    problem: Problem, x: FloatArray, witness: Witness = NOTHING, extra: User = None, point: Point | None = None
) -> Proof:
    """The proof without the check of feasibility, for the stopping rules of solvers; x must be feasible.

    ``point`` is the problem evaluated at x, if that was done already.
    """
    point = problem.evaluate(x) if point is None else point
    tolerance = problem.tolerance(point)
    best = Proof(point.value, math.inf, tolerance, point, witness)
    for gradient, shortfall, q in tangents(problem, x, point, witness, extra is not None):
        if not np.isfinite(gradient).all():  # entropy at a weight of exactly zero
            continue
        multipliers, reduced = witness.multipliers, None
        if extra is None:
            multipliers = best_multipliers(problem.bounds, gradient) if multipliers is None else multipliers
            gap, reduced = box_gap(problem.bounds, x, gradient, multipliers)
        else:
            gap = _cone_gap(problem, x, gradient, witness, extra)
        if gap + shortfall < best.gap:
            same = q is witness.q and multipliers is witness.multipliers
            used = witness if same else replace(witness, q=q, multipliers=multipliers)
            best = Proof(point.value, gap + shortfall, tolerance, point, used, reduced)
    return best


def tangents(
    problem: Problem, x: FloatArray, point: Point, witness: Witness, smooth_only: bool
) -> Iterator[tuple[FloatArray, float, FloatArray | None]]:
    """Linear lower bounds at x: gradient, how far below the objective they are at x, and the q they belong to.

    Limits on risk have the prices of the witness, a regulariser with kinks its slope, or none with ``smooth_only``.
    """
    change: FloatArray | float = 0.0
    shortfall, penalty = 0.0, problem.penalty
    if penalty is not None and not penalty.smooth and (smooth_only or witness.slopes):
        w = problem.weights(x)
        slope = -penalty.evaluate(w)[1]
        if not smooth_only:
            tilt, parts = penalty.pieces()
            slope += 0.0 if tilt is None else tilt
            for part, given in zip((part for part in parts if part.heads.size), witness.slopes, strict=True):
                y = part.admissible(given)
                slope += part.pull(y, w.size)
                shortfall += part.shortfall(part.measure(w), y)
        change = problem.lift.pull(slope)
    for limit, (price, worst) in zip(problem.limits, witness.limits, strict=False):
        if price > 0 and math.isfinite(price):
            gradient, below = limit_tangent(limit, x, worst)
            change, shortfall = change + price * gradient, shortfall + price * below
    yield point.gradient + change, point.excess + shortfall, None
    if not isinstance(problem, ScenarioProblem) or witness.q is None or witness.q.shape != problem.probabilities.shape:
        return
    envelope = problem.envelope()
    if envelope is not None:
        q = envelope.project(witness.q)
        value, gradient = problem.value_under(x, q)
        yield gradient + change, max(point.value + point.excess - value, 0.0) + shortfall, q


def limit_tangent(limit: Limit, x: FloatArray, q: FloatArray | None = None) -> tuple[FloatArray, float]:
    """Slope of a linear function nowhere above what is limited, by a worst case q, and its depth below the limit."""
    point = limit.measure.evaluate(x)
    *_, (gradient, below, _) = tangents(limit.measure, x, point, Witness(q), True)
    return gradient, abs(limit.most - point.value) + below


def box_gap(bounds: Bounds, x: FloatArray, gradient: FloatArray, multipliers: FloatArray) -> tuple[float, FloatArray]:
    """``max over v in W of gradient . (x - v)``, bounded by the multipliers, and the reduced gradient.

    A sum of terms that are not negative, so nothing cancels.
    """
    if bounds.budgeted:
        reduced = gradient - multipliers[0]
        off = abs(multipliers[0] * (np.add.reduce(x) - bounds.totals[0]))
    else:
        reduced = gradient - multipliers @ bounds.rows
        off = np.abs(multipliers) @ np.abs(bounds.rows @ x - bounds.totals)
    terms = np.maximum(reduced * (x - bounds.lower), reduced * (x - bounds.upper))
    return float(np.add.reduce(terms) + off), reduced


def best_multipliers(bounds: Bounds, gradient: FloatArray) -> FloatArray:
    """The multipliers of the least ``gradient . v``: by a sort, or with several equalities by a linear program."""
    return bounds.price(gradient) if bounds.single else bounds.linear_minimum(gradient)[1]


def linear_gap(bounds: Bounds, x: FloatArray, gradient: FloatArray, multipliers: FloatArray | None = None) -> float:
    """``max over v in W of gradient . (x - v)``: exact without multipliers, by a sort or a linear program."""
    if not np.isfinite(gradient).all():
        return math.inf
    if bounds.single or multipliers is None:
        multipliers = best_multipliers(bounds, gradient)
    return box_gap(bounds, x, gradient, multipliers)[0]


def _cone_gap(problem: Problem, x: FloatArray, gradient: FloatArray, witness: Witness, extra: UserConstraints) -> float:
    """The same over the user's constraints too, with the kinks of the regulariser beside the gradient."""
    if witness.cones is None:
        return math.inf
    size = float(np.abs(gradient).max()) or 1.0
    program = extra.program(gradient / size, 1.0 / size)
    if witness.cones.shape != program.sides.shape:
        return math.inf
    here = float(gradient @ x)
    if problem.penalty is not None and not problem.penalty.smooth:
        here += problem.penalty.evaluate(problem.weights(x))[0]
    rounding = 1e-16 * (abs(here) + float(np.abs(gradient) @ np.abs(x)))
    return max(here - size * program.bound(witness.cones), 0.0) + rounding


def prove_ratio(
    problem: VolatilityProblem, x: FloatArray, witness: Witness = NOTHING, extra: UserConstraints | None = None
) -> Proof:
    """Prove how good ``x`` is for the largest ratio ``gain' v / s(v)``, ``s(v) = sqrt(v' S v)``; the value is minus it.

    With the ratio of x as price of volatility, ``price s(v) - gain' v`` is convex and 0 at x. Where it is nowhere below
    ``-short`` no ratio exceeds that of x by more than short over the least volatility of better weights v. Their gain
    is not negative, before costs all the more, so ``s(v) s(z) >= v' S z >= min (S z - k gain)' v`` for any k >= 0 and
    any z (Cauchy and Schwarz): x itself, or that of the witness.

    Raises
    ------
    OptimizationError
        If x is not feasible, or has no volatility or no gain.
    """
    check_feasible(problem, x, witness, extra)
    point = problem.evaluate(x)
    reward = problem.reward(x)
    if not point.smooth or reward <= 0:
        raise OptimizationError("the weights have no gain, or no volatility, so their ratio is not defined")
    ratio = reward / point.deviation
    made = copy.copy(problem)
    made.price = ratio
    inner = bound(made, x, witness, extra)
    if inner.gap > OPTIMAL * 1e-3 * point.deviation and witness.multipliers is not None:
        inner = bound(made, x, replace(witness, multipliers=None), extra)
    least = 0.0
    for calm in (x, witness.calm):
        if calm is None or calm.shape != x.shape or least > 0.1 * point.deviation:
            continue
        marginal = problem.covariance @ problem.weights(calm)
        size = math.sqrt(max(float(problem.weights(calm) @ marginal), 0.0))
        for price in (0.0, max(witness.price, 0.0)) if size > 0 else ():
            slope = marginal - price * problem.gain
            lowest = float(slope @ problem.weights(x)) - linear_gap(problem.bounds, x, problem.lift.pull(slope))
            least = max(least, lowest / size)
    gap = inner.gap / least if least > 0 else math.inf
    reduced = None if inner.reduced is None else inner.reduced / point.deviation
    return replace(inner, value=-ratio, gap=gap, tolerance=OPTIMAL, point=point, reduced=reduced)


def prove_budgets(covariance: Matrix, budgets: FloatArray, w: FloatArray) -> tuple[float, float]:
    """Prove that the assets of ``w`` contribute to its variance in proportion to the budgets.

    Such weights, scaled to a variance of one, minimise ``x' S x / 2 - sum b_i log x_i`` over x > 0. With ``c_i = x_i (S
    x)_i / b_i`` the value there exceeds the minimum by at most ``sum b_i (c_i - 1 - log c_i)``, by weak duality at the
    point ``S x`` (Fenchel): about half the squared relative error of the contributions.

    Returns
    -------
    (value, gap)
        Infinite where a weight or a contribution is not positive.
    """
    variance = float(w @ (marginal := covariance @ w))
    if not ((w > 0).all() and variance > 0):
        return math.inf, math.inf
    gap = budget_gap(w * marginal / (variance * budgets), budgets)
    return 0.5 - float(budgets @ np.log(w / math.sqrt(variance))), gap


def budget_gap(shares: FloatArray, budgets: FloatArray) -> float:
    """``sum b_i (c_i - 1 - log c_i)``, accurate for c near 1; infinite where a contribution is not positive."""
    if not (shares > 0).all():
        return math.inf
    off = shares - 1.0
    terms = off - np.log1p(off)
    near = np.abs(off) < 1e-4  # the difference would cancel
    terms[near] = off[near] ** 2 * (0.5 - off[near] * (1.0 / 3.0 - off[near] / 4.0))
    return float(budgets @ terms)


def shadow_prices(
    bounds: Bounds,
    lift: Lift,
    proof: Proof,
    assets: Sequence[Hashable],
    scale: float = 1.0,
    limits: Sequence[tuple[str, float]] = (),
) -> dict[str, float]:
    """What a unit more room in each active limit is worth, in the unit of the objective.

    Parameters
    ----------
    bounds, lift : the problem's
    proof : Proof
    assets : labels of the N weights
    scale : float
        What the weights of the problem are multiplied by to give those held, in whose units limits and prices are.
    limits : sequence of (name, unit)
        Of those on risk, and what a unit of each as written moves its level by.

    Returns
    -------
    dict of limit to price
        Such as ``{"AAPL <= 0.2": 3.1e-4}``: by how much the optimal value falls for a unit by which the limit is
        loosened (a budget or a limit with two equal sides: raised). Limits without a price are left out. At a corner
        where several sets of prices are right, one of them.
    """
    reduced, multipliers, x = proof.reduced, proof.witness.multipliers, proof.point.x
    if reduced is None or multipliers is None:
        return {}
    least = proof.tolerance / max(float(np.abs(x).max()), 1.0)
    found: dict[str, float] = {}
    for i in map(int, np.flatnonzero((np.abs(reduced) > least) & (bounds.lower < bounds.upper))):
        upper = bool(reduced[i] < 0)
        edge = float((bounds.upper if upper else bounds.lower)[i])
        name = bound_name(bounds, lift, i, upper, assets, scale)
        if name and abs(float(x[i]) - edge) <= 1e-6 * max(1.0, abs(edge)):
            found[name] = abs(float(reduced[i])) / scale
    for row, price in enumerate(multipliers):
        name = row_name(bounds, lift, row, scale)
        if name and abs(price) > least:
            found[name] = -float(price) / scale
    for (name, unit), (price, _) in zip(limits, proof.witness.limits, strict=False):
        if price > least:
            found[name] = price * unit
    return found
