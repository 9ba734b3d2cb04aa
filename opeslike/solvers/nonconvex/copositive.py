"""Near bounds for few weights that are not negative, from the products of those weights.

Exclusions alone prove little where assets are much alike: millions of choices are nearly the same. The doubly
nonnegative relaxation of a quadratic function, which knows that products of weights are not negative either, is nearly
exact there. A worst mean of logarithmic losses is bounded by quadratic functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import ScenarioProblem
from opeslike.modelling.quadratic import QuadraticPoint, QuadraticProblem
from opeslike.modelling.risks import KLBall
from opeslike.solvers.conic import doubly_nonnegative
from opeslike.solvers.nonconvex.relaxations import Node, Perspective

#: what is convex but for rounding is made so, relative to the diagonal; eigenvalues are trusted so far
_ROUNDING, _FIRM = 1e-10, 1e-6
#: tilts are looked at in such steps, relative to each, and longer ones where nothing is lost by it
_STEP, _LONGER = 0.06, 2.0


class _Rest(QuadraticProblem):
    """A lower bound of a quadratic problem, to be solved as nearly as that one."""

    def __init__(self, whole: QuadraticProblem, mean: FloatArray, covariance: FloatArray) -> None:
        super().__init__(mean, covariance, whole.aversion, whole.bounds)
        self.whole = whole

    def tolerance(self, point: QuadraticPoint) -> float:
        """That of the other problem."""
        return self.whole.tolerance(self.whole.evaluate(point.x))


@dataclass(frozen=True, eq=False)
class Multipliers:
    """What bounds ``w'Aw`` over few weights ``w >= 0`` that sum to s.

    For ``N >= 0`` and any u it is at least ``w'(A - N + (u1' + 1u') / 2)w - s u'w``, and of that ``sum d_i w_i^2`` can
    be split off while the rest is convex. Those of :func:`opeslike.solvers.conic.doubly_nonnegative` are the best, but
    any others bound it too, so rough ones will do.
    """

    entries: FloatArray
    rows: FloatArray
    separable: FloatArray

    def relaxation(self, problem: QuadraticProblem, most: int, scale: float = 1.0) -> Perspective:
        """The perspective relaxation of a problem ``scale`` times as large as that which these belong to."""
        assert problem.covariance is not None
        entries, rows, d = (2.0 * scale / problem.aversion * part for part in (self.entries, self.rows, self.separable))
        covariance = np.asarray(problem.covariance) - entries + 0.5 * (rows[:, None] + rows)
        size = np.sqrt(problem.covariance.diagonal())
        least = float(np.linalg.eigvalsh((covariance - np.diag(d)) / size / size[:, None])[0])
        d = d + min(least - _ROUNDING, 0.0) * size**2
        concave = np.minimum(d, 0.0)  # at least its chord
        worth = 0.5 * problem.aversion * (float(problem.bounds.totals[0]) * rows - concave * problem.bounds.upper)
        mean = worth if problem.mean is None else problem.mean + worth
        return Perspective(_Rest(problem, mean, covariance - np.diag(concave)), d - concave, most)


def multipliers(problem: QuadraticProblem, most: int) -> Multipliers | None:
    """Those of the doubly nonnegative relaxation, roughly; None without variances or where the solver fails.

    Parameters
    ----------
    problem : QuadraticProblem
        With one equality, the sum.
    most : int
        Weights that may differ from 0.
    """
    if problem.covariance is None or not (problem.covariance.diagonal() > 0).all():
        return None
    unit = float(problem.bounds.totals[0]) / most  # in which weights held are about 1
    square = 0.5 * problem.aversion * np.asarray(problem.covariance)
    size = float(np.trace(square)) / most
    cost = np.zeros(problem.n_assets) if problem.mean is None else -problem.mean / (size * unit)
    found = doubly_nonnegative(square / size, cost, most)
    return None if found is None else Multipliers(*(size * part for part in found))


def tilted(problem: ScenarioProblem, w: FloatArray, most: int, known: float) -> float:
    """Bound the worst mean of logarithmic losses over a KL ball, for few weights that are not negative.

    It is the least of ``(log E exp(s loss) + radius) / s`` over s > 0. Between a and b the exponential is at least its
    tangent at a, and the least of the ratio at an end: the logarithm of what is linear in s is concave. The mean of
    the tangent is bounded by a quadratic function of the weights. Beyond the last b the ratio is at least what it is
    there without the radius, and below the first a at least the least mean loss and ``radius / a``.

    Parameters
    ----------
    problem : ScenarioProblem
    w : ndarray of shape (N,)
        Optimal for any number of weights.
    most : int
    known : float
        A bound, which is returned where this one is lower.
    """
    if not isinstance(problem.risk, KLBall) or not isinstance(problem.loss, Log):
        return known
    radius, start, bounds = problem.risk.radius, problem.evaluate(w).risk.sharpness, problem.bounds
    about = _below(problem, w, start, 0.0, cubes=False) if 0.0 < start < math.inf else None
    found = None if about is None else multipliers(about, most)
    if about is None or found is None:
        return known

    def logarithm(tilt: float, further: float, cubes: bool = True) -> float:
        below = _below(problem, w, tilt, further - tilt, cubes)
        if below is None:
            return -math.inf
        none = np.zeros(w.size, dtype=bool)
        estimate = found.relaxation(below, most, below.size / about.size)(
            Node(bounds.lower, bounds.upper, none, -math.inf, w), math.inf
        )
        mean = -math.inf if estimate is None else below.constant + estimate.bound
        return math.log(mean) if mean > 0 else -math.inf

    if (logarithm(start, start, cubes=False) + radius) / start <= known:
        return known
    best = (logarithm(start, start) + radius) / start
    mean = problem.probabilities @ problem.returns
    floor = -math.log1p(-problem.loss.fraction * float(bounds.linear_minimum(-mean)[0] @ -mean))
    for up in (True, False):
        tilt, step, beyond = start, _STEP, -math.inf
        while beyond < best and best > known:
            low, high = (tilt, tilt * (1.0 + step)) if up else (tilt / (1.0 + step), tilt)
            log = logarithm(low, high)
            worth = (log + radius) / high
            if worth < best and step > _STEP:
                step = _STEP
                continue
            step = step * _LONGER if worth >= best else _STEP
            tilt, best = high if up else low, min(best, worth)
            beyond = log / high if up else floor + radius / low
    return max(best, known)


class _Below(QuadraticProblem):
    """A quadratic function: a constant and the rest."""

    def __init__(self, constant: float, slope: FloatArray, square: FloatArray, bounds: Bounds) -> None:
        super().__init__(-slope, square, 1.0, bounds)
        self.constant, self.size = constant, float(np.trace(square))


def _below(problem: ScenarioProblem, w: FloatArray, tilt: float, further: float, cubes: bool) -> _Below | None:
    """A quadratic function nowhere above ``E exp(tilt loss) (1 + further loss)``, or None.

    In each scenario that is at least Taylor's polynomial of third degree at w, for the fourth derivative is not
    negative. The mean of the cubes is ``sum v_i v'M_i v / 6``, v the change of the weights; as those are not negative
    and sum to s, that is at least s times the least ``v'(M_i - M / s)v / 6``, M being the sum of ``w_i M_i``. Without
    ``cubes`` that is left out, and nothing proved.
    """
    assert isinstance(problem.loss, Log)
    f, bounds, returns = problem.loss.fraction, problem.bounds, problem.returns
    total, r = float(bounds.totals[0]), returns @ w
    x, constant, slope, derivatives = np.log1p(f * r), 1.0, -further, []
    for j in range(4):  # of (constant + slope x) exp(-tilt x) by the return, times the probability
        derivatives.append(problem.probabilities * f**j * (constant + slope * x) * np.exp(-(tilt + j) * x))
        constant, slope = slope - (tilt + j) * constant, -(tilt + j) * slope
    if constant + slope * math.log1p(f * total * float(returns.max())) < 0:
        return None
    gradient, square = derivatives[1] @ returns, (returns.T * derivatives[2]) @ returns
    if cubes:
        try:
            white = solve_triangular(np.linalg.cholesky(square), returns.T, lower=True)
        except np.linalg.LinAlgError:
            return None
        middle, least = (white * (derivatives[3] * r / total)) @ white.T, 0.0
        for i in np.flatnonzero(bounds.upper > 0):
            deadline.check()
            own = (white * (derivatives[3] * returns[:, i])) @ white.T
            least = min(least, float(np.linalg.eigvalsh(own - middle)[0]))
        kept = 1.0 + (1.0 + _FIRM) * total / 3.0 * least
        if kept <= 0:
            return None
        square = kept * square
    rest = square @ w
    value = float(derivatives[0].sum() - gradient @ w + 0.5 * (w @ rest))
    return _Below(value, gradient - rest, square, bounds)
