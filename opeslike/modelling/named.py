"""Limits by name, as they are written: for shadow prices, and for what cannot be met together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.feasible import Lift

#: multipliers and missing amounts below this are rounding
_NOTHING = 1e-9


def bound_name(
    bounds: Bounds, lift: Lift, i: int, upper: bool, assets: Sequence[Hashable] = (), scale: float = 1.0
) -> str:
    """The limit that the lower or upper bound of variable ``i`` stands for, such as "AAPL <= 0.2"; "" for none.

    ``scale`` is what the weights of the problem are multiplied by to give those held, which limits are on.
    """
    edge, parts = float((bounds.upper if upper else bounds.lower)[i]), lift.parts
    lowest, highest = lift.weights_between()
    if i < parts.assets.size:
        asset, sign = int(parts.assets[i]), float(parts.signs[i])
        above = upper == (sign > 0)
        limit = float((highest if above else lowest)[asset])
        level = float(parts.origin[asset]) + sign * (float(parts.starts[i]) + edge)
        if abs(level - limit) > 1e-12 * max(1.0, abs(limit)):  # where another limit bends
            return ""
        label = assets[asset] if len(assets) else f"weight {asset}"
        if lift.trades is not None and abs(limit - lift.trades[above][asset]) <= 1e-12:
            most = 0.5 * scale * float(lift.trades[1][asset] - lift.trades[0][asset])
            return f"{'purchase' if above else 'sale'} of {label} <= {most:g}"
        if lift.active is not None and abs(limit - lift.active[above][asset]) <= 1e-12:
            active = scale * float(limit - lift.active[2][asset])
            return f"active {label} {'<=' if above else '>='} {active:g}"
        return f"{label} {'<=' if above else '>='} {scale * limit:g}"
    for variable, row, coefficient in lift.slacks:
        if variable == i and "<=" in bounds.names[row]:  # a limit on risk is written as it is
            return bounds.names[row]
        if variable == i and bounds.names[row]:
            level = (bounds.totals[row] + lift.offsets[row]) - coefficient * edge
            return f"{bounds.names[row]} {'<=' if upper == (coefficient < 0) else '>='} {scale * level:g}"
    if lift.money and i == lift.money[-1] and upper == (len(lift.money) == 2):
        return f"leverage <= {1.0 + (edge if upper else -edge):g}"
    return ""


def row_name(bounds: Bounds, lift: Lift, row: int, scale: float = 1.0) -> str:
    """The equality that a row without slack stands for, such as "budget == 1"; "" for none."""
    slack = any(row == other for _, other, _ in lift.slacks)
    if slack or not bounds.names[row] or (row == 0 and lift.money):
        return ""
    return f"{bounds.names[row]} == {(1.0 if row == 0 else scale) * (bounds.totals[row] + lift.offsets[row]):g}"


def refute(bounds: Bounds, y: FloatArray) -> None:
    """Raise where the multipliers y prove a set empty: ``y . rows x`` is less than ``y . totals`` in all of the box.

    Raises
    ------
    InfeasibleError
        Naming the equalities.
    """
    along = y @ bounds.rows
    most = np.maximum(along * bounds.lower, along * bounds.upper)
    parts = float(np.abs(most).sum() + np.abs(y) @ np.abs(bounds.totals))
    if float(y @ bounds.totals - most.sum()) > _NOTHING * parts:
        named = ", ".join(name for name in bounds.names if name)
        raise InfeasibleError(f"no weights within their bounds meet these limits together: {named}")


def irreducible(bounds: Bounds, lift: Lift, assets: Sequence[Hashable] = (), scale: float = 1.0) -> list[str]:
    """Limits that cannot be met together, none of which can be left out of the list; empty where all can be met.

    A linear program finds the least by which the equalities are missed. Its multipliers tell which limits are to blame
    (Farkas); of those, one after the other is dropped that is not needed (a deletion filter, Chinneck 2008).
    """
    missed, price = _least_missed(bounds, bounds.lower, bounds.upper, np.ones(len(bounds.totals), dtype=bool))
    if missed <= _NOTHING * max(1.0, float(np.abs(bounds.totals).max())):
        return []
    reduced = -price @ bounds.rows
    blamed: list[tuple[str, Any, int]] = [("row", None, int(row)) for row in np.flatnonzero(np.abs(price) > _NOTHING)]
    blamed += [("bound", bool(reduced[i] < 0), int(i)) for i in np.flatnonzero(np.abs(reduced) > _NOTHING)]
    lower, upper, rows = np.full_like(reduced, -np.inf), np.full_like(reduced, np.inf), np.abs(price) > _NOTHING
    named: list[tuple[str, Any, int, str]] = []
    for kind, above, i in blamed:
        name = row_name(bounds, lift, i, scale) if kind == "row" else bound_name(bounds, lift, i, above, assets, scale)
        if kind == "bound":
            (upper if above else lower)[i] = (bounds.upper if above else bounds.lower)[i]
        if name:
            named.append((kind, above, i, name))
    needed: dict[str, bool] = {}
    for kind, above, i, name in named:
        if name in needed:
            continue
        if kind == "row":
            rows[i] = False
        else:
            kept = (upper if above else lower)[i]
            (upper if above else lower)[i] = np.inf if above else -np.inf
        if _least_missed(bounds, lower, upper, rows)[0] > _NOTHING:
            continue  # the others cannot be met without it either
        needed[name] = kind == "bound" and i < lift.parts.assets.size
        if kind == "row":
            rows[i] = True
        else:
            (upper if above else lower)[i] = kept
    return sorted(needed, key=needed.__getitem__)  # bounds of weights last


def _least_missed(
    bounds: Bounds, lower: FloatArray, upper: FloatArray, rows: NDArray[np.bool_]
) -> tuple[float, FloatArray]:
    """The least sum by which the chosen equalities are missed within a box, and their multipliers."""
    from scipy.optimize import linprog

    count, chosen = int(rows.sum()), bounds.rows[rows]
    cost = np.concatenate([np.zeros(lower.size), np.ones(2 * count)])
    box = np.c_[np.concatenate([lower, np.zeros(2 * count)]), np.concatenate([upper, np.full(2 * count, np.inf)])]
    if not count:
        return 0.0, np.zeros(len(rows))
    equal = np.hstack([chosen, np.eye(count), -np.eye(count)])
    result = linprog(cost, A_eq=equal, b_eq=bounds.totals[rows], bounds=box, options=deadline.options("HIGHS"))
    price = np.zeros(len(rows))
    if result.x is None:
        return 0.0, price
    price[rows] = result.eqlin.marginals
    return float(result.fun), price
