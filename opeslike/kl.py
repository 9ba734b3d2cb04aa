"""Exponential tilts of probabilities and their Kullback-Leibler divergence, natural logarithm.

For values x_t and nominal probabilities p the tilted ones are ``q_t(s) = p_t exp(s x_t) / sum p exp(s x)``. They have
the largest mean of x among all at their divergence from p, which rises with s from 0 to ``-log`` of the probability of
the largest x. Near p everything is computed from ``expm1`` and ``log1p``, far from it from the largest x, so that
masses of 1e-300 beside 1 - 1e-16 are still masses. The ball asks for the worst mean within a divergence, views for the
least divergence at given means: both are tilts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray

#: exponents below this are taken from the mean, with expm1
_SMALL = 1e-1
#: and series in the exponent below this
_SERIES = 1e-2
#: relative rounding of a divergence above which it is computed term by term
_CANCELLED = 1e-11
#: values this close to the largest, relative to their size, count as it
_TIED = 1e-15
#: a divergence this far inside the radius, relative to it (in its square root), is near enough; farther out roughly so
_INSIDE, _ROUGHLY = 1e-10, 1e-5
#: values whose deviation differs by less than this, relatively, are near each other
_NEAR = 1e-3
_ROUNDS = 200
#: views are met when they miss by no more than this many of their deviations; where rounding stops earlier, by this
_MET, _NEARLY_MET = 1e-12, 1e-8
#: how far above its bound a divergence may lie, relative to itself plus one
_PROVED = 1e-6
#: eigenvalues of the dual Hessian below this, relative to the largest, belong to views that say the same
_DEPENDENT = 1e-13
#: the curvature taken for such views, relative to the largest: steps grow long, for the dual is linear there
_DOWNHILL = 1e-3


class Tilt(NamedTuple):
    """Tilted probabilities: ``q``, how far the mean of x rises above that under p, and the divergence of q from p."""

    q: FloatArray
    rise: float
    divergence: float


class Worst(NamedTuple):
    """The largest mean over a ball: at most ``excess`` above the mean under ``q``; ``sharpness`` is the s of q.

    ``deviation`` is the standard deviation of x under p.
    """

    value: float
    q: FloatArray
    sharpness: float
    excess: float = 0.0
    deviation: float = 0.0


def relative_entropy(q: FloatArray, p: FloatArray) -> float:
    """``sum q log(q / p)`` in nats, for q and p of equal sum; accurate where q is close to p."""
    ratio = q / p
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(ratio > 0, ratio * np.log(ratio), 0.0) - (ratio - 1.0)
    near = np.abs(ratio - 1.0) < 1e-4
    delta = ratio[near] - 1.0
    terms[near] = delta * delta * (0.5 - delta * (1.0 / 6.0 - delta / 12.0))
    return float(p @ terms)


def _from_log_ratio(u: FloatArray) -> FloatArray:
    """``u exp(u) - exp(u) + 1``: what a scenario adds to the divergence per unit of p, never negative."""
    terms = u * np.exp(u) - np.expm1(u)
    near = np.abs(u) < _SERIES
    v = u[near]
    terms[near] = v * v * (1 / 2 + v * (1 / 3 + v * (1 / 8 + v * (1 / 30 + v * (1 / 144 + v / 840)))))
    return terms


def tilt(x: FloatArray, p: FloatArray, s: float) -> Tilt:
    """Tilt p by ``exp(s x)``, to the relative accuracy of floating point in each part, for s of either sign.

    Parameters
    ----------
    x, p : ndarrays of shape (T,)
        Values, and positive probabilities with sum 1.
    s : float
    """
    away = x - p @ x
    away = away - p @ away
    exponents = s * away
    reference = float(exponents.max())
    if reference - float(exponents.min()) < _SMALL:
        log_ratio = exponents - math.log1p(float(p @ np.expm1(exponents)))
    else:
        exponents = exponents - reference
        log_ratio = exponents - math.log(float(p @ np.exp(exponents)))
    # p exp(u) - p, for the mean of x moves by the difference alone
    return Tilt(p * np.exp(log_ratio), float((p * np.expm1(log_ratio)) @ away), float(p @ _from_log_ratio(log_ratio)))


def largest_mean(x: FloatArray, p: FloatArray, radius: float, near: tuple[float, float] = (0.0, 0.0)) -> Worst:
    """The largest mean of x over ``{q : sum q log(q / p) <= radius}``.

    Its dual is ``min over a >= 0 of a log E_p exp(x / a) + a radius`` (Hu and Hong 2013). The multiplier a runs to
    infinity for small radii and to 0 once the radius reaches ``-log`` of the probability of the largest x, so the
    divergence is brought to the radius in ``s = 1 / a``: by Halley's method on ``sqrt(2 divergence)``, nearly linear in
    s, within bounds that close in on the logarithm of s.

    Parameters
    ----------
    x, p : ndarrays of shape (T,)
        Values, and positive probabilities with sum 1.
    radius : float >= 0
    near : (sharpness, deviation), optional
        Those of values nearby, to start from; where the deviation has changed much q may lie inside the ball, for that
        costs little and ``excess`` tells how much.
    """
    mean, top, bottom = float(p @ x), float(x.max()), float(x.min())
    spread, target = top - bottom, math.sqrt(2.0 * float(radius))
    # Hoeffding: the divergence at s is at most (s spread)^2 / 8
    low, high = (2.0 * target / spread, math.inf) if spread > 0 else (0.0, 0.0)
    if target == 0.0 or spread <= _TIED * max(abs(top), abs(bottom)) or not math.isfinite(low):
        return Worst(mean, p, 0.0)
    below = x - top
    gap = -float(p @ below)
    if gap >= spread or radius >= -math.log1p(-gap / spread):  # else the largest x has too little probability
        at_top = below >= -_TIED * max(abs(top), spread)
        share, rest = float(p @ at_top), float(p @ ~at_top)
        if radius >= (-math.log1p(-rest) if rest < 0.5 else -math.log(share)):
            return Worst(top, np.where(at_top, p / share, 0.0), math.inf)
    squares = below * below
    deviation = math.sqrt(max(float(p @ squares) - gap * gap, 1e-300))
    s, factor, inside = target / deviation, 4.0, _INSIDE
    if 0.0 < near[0] < math.inf and near[1] > 0.0:
        s = near[0] * near[1] / deviation
        inside = _INSIDE if abs(near[1] - deviation) <= _NEAR * deviation else _ROUGHLY
    s = max(s, low)
    best: Worst | None = None
    last = math.inf
    for _ in range(_ROUNDS):
        q = np.exp(s * below)
        q *= p
        mass = float(np.add.reduce(q))
        log_mass, short = math.log(mass), float(q @ below) / mass
        divergence = s * short - log_mass
        rounding = 1e-15 * (1.0 + abs(log_mass) + s * gap)
        if divergence <= rounding / _CANCELLED:
            q, rise, divergence = tilt(x, p, s)
            short, mass, rounding = rise - gap, 1.0, 1e-15 * divergence
        reached = math.sqrt(2.0 * divergence)
        error = reached - target
        allowed = rounding / max(reached, target)
        low, high = (low, s) if error > 0 else (s, high)
        if error <= 1e-12 * target + allowed:
            slack = (radius - divergence) / s  # the dual value, whose error is quadratic in that of s
            best = Worst(mean + (gap + short) + slack, q / mass if mass != 1.0 else q, s, max(slack, 0.0), deviation)
            if error >= -inside * target - allowed:
                return best
        # slope and bend of sqrt(2 divergence) from the second and third moments under q
        second = float(q @ squares) / mass
        spent = second - short * short
        slope = s * spent / reached if reached > 0 else 0.0
        step = math.inf
        if slope > 1e-100:
            step = error / slope
            third = float(q @ (squares * below)) / mass - short * (3.0 * second - 2.0 * short * short)
            bend = (spent + s * third - slope * slope) / reached
            step = s - step / max(1.0 - 0.5 * step * bend / slope, 0.5)
        slow, last = abs(error) > 0.5 * last, abs(error)
        if slow or not low < step < high or step > 8.0 * s:
            step = math.sqrt(low) * math.sqrt(high) if high < math.inf else factor * s
            factor = min(factor * factor, 1e16) if high == math.inf else factor
        if not (low < step < high and math.isfinite(step * spread)):
            break
        s = step
    if best is not None and high < math.inf:
        return best
    at_top = below >= -_TIED * max(abs(top), spread)
    return Worst(top, np.where(at_top, p / float(p @ at_top), 0.0), math.inf)


class Pooled(NamedTuple):
    """Probabilities nearest to p: ``divergence`` from p, at least ``bound`` for all that satisfy the constraints."""

    q: FloatArray
    divergence: float
    bound: float
    multipliers: FloatArray


def pool(
    rows: FloatArray, at_least: NDArray[np.bool_], p: FloatArray, start: FloatArray | None = None
) -> Pooled | None:
    """The q with least divergence from p and ``rows @ q = 0``, or ``>= 0`` where ``at_least``; None if none is proved.

    q is the tilt of p by ``m @ rows`` at the multipliers m that maximise ``-log E_p exp(m @ rows)``, those of
    inequalities not negative. Every dual value is a lower bound on the least divergence (Meucci 2008). Maximised by
    Newton's method projected on the bounds (Bertsekas 1982). A bound above ``-log min p`` proves that no q satisfies
    the constraints.

    Parameters
    ----------
    rows : ndarray of shape (K, T)
    at_least : ndarray of bool, shape (K,)
    p : ndarray of shape (T,)
        Probabilities with sum 1.
    start : ndarray of shape (K,), optional
        Multipliers nearby.
    """
    if not p.all():
        pooled, q = pool(rows[:, p > 0], at_least, p[p > 0], start), np.zeros(len(p))
        if pooled is not None:
            q[p > 0] = pooled.q
            pooled = pooled._replace(q=q)
        return pooled
    scale = np.sqrt(rows * rows @ p)
    scale[scale == 0.0] = 1.0
    z, log_p = rows / scale[:, None], np.log(p)
    m = np.zeros(len(z)) if start is None else start * scale
    most, error = -float(log_p.min()), math.inf

    def tilted(m: FloatArray) -> tuple[float, FloatArray]:
        exponents = m @ z + log_p
        top = float(exponents.max())
        q = np.exp(exponents - top)
        mass = float(q.sum())
        return top + math.log(mass), q / mass

    value, q = tilted(m)
    for _ in range(_ROUNDS):
        slope = z @ q
        free = ~at_least | (m > 0) | (slope < 0)
        last, error = error, float(np.abs(slope[free]).max(initial=0.0))
        if error <= _MET or -value > most + 1e-6 or (error <= _NEARLY_MET and error >= 0.5 * last):
            break
        inner, outer = (z, slope) if free.all() else (z[free], slope[free])
        bend, vectors = np.linalg.eigh((inner * q) @ inner.T - np.outer(outer, outer))
        along = vectors.T @ outer
        # between views that say the same the dual is linear: level, or downhill to a bound or for ever
        flat = bend <= _DEPENDENT * bend[-1]
        along[flat & (np.abs(along) <= _NEARLY_MET)] = 0.0
        step = np.zeros(len(m))
        step[free] = -vectors @ (along / np.where(flat, _DOWNHILL * max(bend[-1], _DEPENDENT), bend))
        length = 1.0
        while True:
            trial = m + length * step
            trial[at_least] = np.maximum(trial[at_least], 0.0)
            new_value, new_q = tilted(trial)
            if new_value <= value + 1e-4 * slope @ (trial - m) + 1e-15 or length < 1e-12:
                break
            length *= 0.5
        m, value, q = trial, new_value, new_q
    found = tilt(m @ z, p, 1.0)
    proved = error <= _NEARLY_MET and found.divergence + value <= _PROVED * (1.0 + found.divergence)
    return Pooled(found.q, found.divergence, -value, m / scale) if proved else None
