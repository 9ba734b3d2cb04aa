"""The limit on turnover in force: the one asked for, or the least that leads into the other limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import Bounds, solve_semidefinite
from opeslike.modelling.terms import Terms

#: limits missed by less than this are met
_MET = 1e-9


def turnover_in_force(
    bounds: Bounds, variables: Callable[[FloatArray], FloatArray], terms: Terms, turned: FloatArray, off: float
) -> tuple[float, FloatArray | None]:
    """The limit in force, and multipliers of all equalities that prove it the least where it is more than was asked.

    Parameters
    ----------
    bounds : Bounds
        The other limits.
    variables : callable
        The variables that belong to weights.
    terms : Terms
        With what is held and the limit asked for.
    turned : ndarray of shape (n,)
        Turnover of each part of a weight; what is ``off`` beyond the bounds must be traded anyway.
    """
    held, asked = terms.held, terms.max_turnover
    assert held is not None
    assert asked is not None
    for near in (held, _brought_inside(terms, held)):  # weights nearby spare the linear program nearly always
        x = variables(near)
        inside = (x >= bounds.lower - _MET).all() and (x <= bounds.upper + _MET).all() and bounds.missed(x) <= _MET
        if inside and float(np.abs(near - held).sum()) <= asked:
            return asked, None
    try:
        dear = np.append(turned, np.zeros(bounds.lower.size - turned.size))
        x, multipliers = bounds.linear_minimum(dear)
    except InfeasibleError:  # the other limits contradict each other; they are named when they are solved
        return np.inf, None
    widened = (float(dear @ x) + off) * (1.0 + _MET) + _MET
    return (asked, None) if asked >= widened else (widened, np.append(multipliers, -1.0))


def _brought_inside(terms: Terms, w: FloatArray) -> FloatArray:
    """Weights near those given that meet the bounds, the rows and a budget of one, or nearly.

    Each round brings the weights that are off their bounds, in proportion to their room, onto the limits missed so far.
    """
    rows = np.vstack([np.ones(w.size), terms.rows])
    least, most = np.append(1.0, terms.least), np.append(1.0, terms.most)
    tight = np.zeros(len(rows), dtype=bool)
    for _ in range(2 * len(rows)):
        w = np.minimum(np.maximum(w, terms.lower), terms.upper)
        total = rows @ w
        off = np.minimum(np.maximum(total, least), most) - total
        if np.abs(off).max() <= 0.1 * _MET:
            break
        tight |= off != 0
        across = rows[tight] * np.minimum(w - terms.lower, terms.upper - w)
        w = w + solve_semidefinite(across @ rows[tight].T, off[tight]) @ across
    return w
