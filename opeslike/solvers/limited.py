"""Problems with a limit on a second risk, by the price of the limit.

For a price k >= 0 the Lagrangian ``F + k g`` is a smooth problem over the same bounds, which the other solvers take.
Its minimum never exceeds that of F under ``g <= 0``, so at any x with ``g(x) <= 0``

    F(x) - F*  <=  k (-g(x))  +  [gap of x in the Lagrangian],

and the price at which the Lagrangian's minimiser just meets the limit makes both terms vanish. ``g`` at that minimiser
falls as the price rises, so the price is the root of a decreasing function of one variable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opeslike.errors import InfeasibleError, OptimizationError
from opeslike.modelling.limits import limited_value, priced
from opeslike.modelling.problem import ScenarioProblem
from opeslike.solvers.certificate import Certificate, certify
from opeslike.solvers.relaxation import relaxed_gap, smooth_gradient

FloatArray = NDArray[np.float64]
Minimise = Callable[[ScenarioProblem, FloatArray | None], tuple[FloatArray, int]]

_DEAREST = 1e9
_EVALUATIONS = 60
_AIM = 1e-3


def limited_point(
    problem: ScenarioProblem, minimise: Minimise, start: FloatArray | None
) -> tuple[FloatArray, Certificate, int]:
    """Minimise a problem with a limit.

    Parameters
    ----------
    problem : ScenarioProblem
        With a limit.
    minimise : callable
        Solves the problem without one, from a guess: returns the minimiser and the iterations it took.
    start : ndarray of shape (n,), optional

    Returns
    -------
    (x, certificate, iterations)
        ``x`` meets the limit; the certificate is for the limited problem.

    Raises
    ------
    InfeasibleError
        If no feasible weights meet the limit.
    """
    tried: dict[float, tuple[FloatArray, float]] = {}
    steps = 0
    guess = start

    def excess(price: float) -> float:
        nonlocal steps, guess
        if price not in tried:
            x, taken = minimise(priced(problem, price), guess)
            steps += taken
            guess = x
            tried[price] = (x, limited_value(problem, x))
        value = tried[price][1]
        return 0.0 if 0.0 < price * abs(value) <= target else value  # near enough to the root

    target = 0.0
    if excess(0.0) <= 0:
        x = tried[0.0][0]
        return x, limited_certificate(problem, x, 0.0), steps
    target = _AIM * problem.tolerance(priced(problem, 0.0).evaluate(tried[0.0][0]))
    high = 1.0
    while excess(high) > 0 and high < _DEAREST:
        high *= 10.0
    if excess(high) > 0:
        least, taken = minimise(_limit_alone(problem), guess)
        floor = certify(_limit_alone(problem), least)
        if floor.value > floor.gap:
            raise InfeasibleError(
                f"no weights within the bounds meet the limit on risk: it must not be positive, and its least value is "
                f"{floor.value:.3g}; allow cash (leverage=1), widen the bounds or loosen the limit"
            )
        if floor.value > 0:
            raise OptimizationError("the limit on risk can only just be met; loosen it a little")
        return least, limited_certificate(problem, least, high), steps + taken
    from scipy.optimize import brentq

    low = max((price for price, (_, over) in tried.items() if over > 0), default=0.0)
    brentq(excess, low, high, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=_EVALUATIONS, disp=False)
    best: tuple[FloatArray, Certificate] | None = None
    inside = tried[high][0]
    # the nearest prices on both sides of the root; from the far side the answer is drawn back to the limit
    for price, (x, _) in sorted(tried.items(), key=lambda item: abs(item[1][1]))[:3]:
        met = within_limit(problem, x, inside)
        certificate = limited_certificate(problem, met, price)
        if best is None or certificate.gap < best[1].gap:
            best = (met, certificate)
    assert best is not None
    return (*best, steps)


def _limit_alone(problem: ScenarioProblem) -> ScenarioProblem:
    """Minimise what is limited."""
    alone = priced(problem, 0.0)
    assert problem.limit is not None
    alone.risk, alone.penalty = problem.limit, None
    return alone


def within_limit(problem: ScenarioProblem, x: FloatArray, inside: FloatArray) -> FloatArray:
    """The point nearest to ``x`` on the way to ``inside``, by convexity of the limit, that meets it."""
    for _ in range(5):
        over = limited_value(problem, x)
        if over <= 0:
            break
        room = -limited_value(problem, inside)
        if not room > 0:
            break
        x = x + (1.0 + 1e-9) * over / (over + room) * (inside - x)
    return x


def limited_certificate(
    problem: ScenarioProblem, x: FloatArray, price: float, judge: Callable[[ScenarioProblem], Certificate] | None = None
) -> Certificate:
    """Certify ``x`` for the limited problem by a price of the limit.

    Parameters
    ----------
    problem : ScenarioProblem
    x : ndarray of shape (n,)
        Meets the bounds and the limit.
    price : float >= 0
    judge : callable, optional
        Certifies ``x`` in the Lagrangian it is given.
    """
    price = price if math.isfinite(price) and price > 0 else 0.0
    lagrangian = priced(problem, price)
    inner = _judged(lagrangian, x) if judge is None else judge(lagrangian)
    plain = priced(problem, 0.0).evaluate(x)
    slack = price * abs(limited_value(problem, x))
    return replace(inner, value=plain.value, gap=inner.gap + slack, tolerance=problem.tolerance(plain), point=plain)


def _judged(lagrangian: ScenarioProblem, x: FloatArray) -> Certificate:
    """The certificate; at the kinks of a regulariser with the subgradients that a linear program finds."""
    certificate = certify(lagrangian, x)
    if lagrangian.penalty is None or lagrangian.penalty.smooth or certificate.optimal:
        return certificate
    point = certificate.point
    tangent = smooth_gradient(lagrangian, x, point.gradient)
    _, gap = relaxed_gap(lagrangian, x, tangent, np.zeros((0, x.size)), np.zeros(0))
    return replace(certificate, gap=min(certificate.gap, gap + point.excess))
