"""From what may be held to the variables of a problem: a box cut by a few equalities, and the map back to weights.

A weight is ``w = origin + signed parts``: where a limit or a cost bends at some level (a gross limit at 0, say) each
side is a variable, which makes it linear. So are cash, borrowed money and slacks of limits. No scenarios are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError
from opeslike.modelling.bounds import TOUCHING, Bounds
from opeslike.modelling.covariance import Matrix
from opeslike.modelling.parts import Parts
from opeslike.modelling.terms import Terms
from opeslike.modelling.trading import Impact
from opeslike.modelling.turnover import turnover_in_force

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Lift:
    """Variables ``x`` for weights ``w``: the parts of the weights first, then those that are no weights.

    Called with weights it gives the variables that belong to them.

    Attributes
    ----------
    parts : Parts
    known : ndarray of shape (n,)
        Return of each variable that is known beforehand: rates of cash and borrowed money, less fees.
    constant : float
        Known return at ``x = 0``.
    money : tuple of int
        Where cash and, where it may be, borrowed money stand; empty where all wealth is invested.
    slacks : tuple of (variable, row, coefficient)
        The variables that close equalities.
    level : int or None
        Where the largest absolute weight stands.
    cost, fixed, impact : ndarray of shape (n,), float and Impact
        What the variables cost besides what they return, what is paid at ``x = 0``, and that curved in the weights.
    turnover : float or None
        The limit on turnover in force: the one asked for, or the least that leads into the other limits.
    trades : pair of ndarrays of shape (N,), or None
        Weights as far down and up from those held as may be traded.
    active : three ndarrays of shape (N,), or None
        Least and greatest weights by the bounds of active weights, and the benchmark.
    offsets : tuple of float
        What each equality as it is written has besides the variables.
    forced : ndarray of shape (m,), or None
        Where the least turnover is in force, multipliers of the equalities that prove it the least.
    bounds : Bounds
        Those equalities.
    """

    parts: Parts
    known: FloatArray
    bounds: Bounds
    constant: float = 0.0
    money: tuple[int, ...] = ()
    slacks: tuple[tuple[int, int, float], ...] = ()
    level: int | None = None
    cost: FloatArray | None = None
    impact: Impact | None = None
    fixed: float = 0.0
    turnover: float | None = None
    trades: tuple[FloatArray, FloatArray] | None = None
    active: tuple[FloatArray, FloatArray, FloatArray] | None = None
    offsets: tuple[float, ...] = (0.0,)
    forced: FloatArray | None = None

    @classmethod
    def identity(cls, bounds: Bounds) -> Lift:
        """The weights themselves."""
        return cls(Parts.whole(bounds.lower, bounds.upper), np.zeros(bounds.lower.size), bounds)

    @cached_property
    def size(self) -> int:
        """The number of weights N."""
        return self.parts.origin.size

    @cached_property
    def plain(self) -> bool:
        """Whether the variables are the weights and nothing else."""
        return self.known.size == self.size and not self.parts.origin.any() and not self.earning

    @cached_property
    def direct(self) -> bool:
        """Whether the first variables are the weights."""
        return self.parts.signs.size == self.size and bool((self.parts.signs == 1.0).all())

    @cached_property
    def earning(self) -> bool:
        """Whether any return is known beforehand."""
        return bool(self.known.any()) or self.constant != 0.0

    @cached_property
    def map(self) -> FloatArray:
        """The linear map from variables to weights, shape (N, n)."""
        matrix = np.zeros((self.size, self.known.size))
        matrix[self.parts.assets, np.arange(self.parts.assets.size)] = self.parts.signs
        return matrix

    def weights_between(self) -> tuple[FloatArray, FloatArray]:
        """Least and greatest value of each weight."""
        parts = self.parts
        near, far = parts.signs * parts.low, parts.signs * parts.high
        low = np.bincount(parts.assets, np.minimum(near, far), self.size)
        high = np.bincount(parts.assets, np.maximum(near, far), self.size)
        return parts.origin + low, parts.origin + high

    def moves(self, change: FloatArray) -> FloatArray:
        """How the weights move with the variables."""
        if self.direct:
            return change[: self.size]
        return np.asarray(np.bincount(self.parts.assets, self.parts.signs * change[: self.parts.signs.size], self.size))

    def weights(self, x: Any) -> Any:
        """The weights, as numbers or as a cvxpy expression."""
        if self.plain:
            return x
        if isinstance(x, np.ndarray):
            return self.parts.origin + self.moves(x)
        return self.map @ x + self.parts.origin

    def earned(self, x: Any) -> Any:
        """The return known beforehand."""
        return self.known @ x + self.constant

    def pull(self, slope: FloatArray, worth: float = 0.0) -> FloatArray:
        """Gradient in the variables of a function with gradient ``slope`` in w and ``worth`` in the known return."""
        if self.plain:
            return slope
        gradient = worth * self.known
        gradient[: self.parts.signs.size] += self.parts.signs * slope[self.parts.assets]
        return gradient

    def touched(self, free: Index | None) -> Index | None:
        """The assets that the variables ``free`` (None: all) are parts of; None for all."""
        if free is None or self.plain:
            return free
        weights = free[: free.searchsorted(self.parts.signs.size)]
        assets = weights if self.direct else np.unique(self.parts.assets[weights])
        return None if assets.size == self.size else assets

    def spread(
        self,
        h: Matrix,
        free: Index | None = None,
        assets: Index | None = None,
        along: FloatArray | None = None,
        total: float = 0.0,
    ) -> FloatArray:
        """Second derivative in the variables ``free``: ``S' h S + S' along k' + k along' S + total k k'``.

        ``h`` and ``along`` are for the ``assets`` (None: all), k are the known returns.
        """
        if self.plain:
            return np.asarray(h)
        count = self.known.size if free is None else free.size
        many = self.parts.signs.size if free is None else int(free.searchsorted(self.parts.signs.size))
        chosen: Any = slice(many) if free is None else free[:many]
        where, signs = self.parts.assets[chosen], self.parts.signs[chosen]
        if assets is not None:
            where = np.searchsorted(assets, where)
        out = np.zeros((count, count))
        out[:many, :many] = signs[:, None] * h[where[:, None], where] * signs
        if along is not None:
            known = self.known if free is None else self.known[free]
            side = 0.5 * total * known
            side[:many] += signs * along[where]
            out += side[:, None] * known + known[:, None] * side
        return out

    def restricted(self, h: Matrix, free: Index | None = None) -> FloatArray:
        """The second derivative in the variables ``free`` that belongs to ``h`` in the weights, shape (N, N)."""
        if self.plain:
            return np.asarray(h) if free is None else h[free[:, None], free]
        return self.spread(h, free)

    def matrix(self, returns: FloatArray) -> FloatArray:
        """Returns of all variables in some scenarios, shape (rows, n)."""
        return returns if self.plain else returns @ self.map + self.known

    def __call__(self, w: FloatArray) -> FloatArray:
        """The variables that belong to weights: a part begins where the one before it is full."""
        if self.plain:
            return w
        parts = self.parts
        x = np.zeros(self.known.size)
        reached = parts.signs * (w - parts.origin)[parts.assets] - parts.starts
        x[: reached.size] = np.minimum(np.maximum(reached, parts.least), parts.widths)
        idle = 1.0 - float(w.sum())
        for variable, amount in zip(self.money, (idle, -idle), strict=False):
            x[variable] = max(amount, 0.0)
        if self.level is not None:
            x[self.level] = float(np.abs(w).max())
        for variable, row, coefficient in self.slacks:
            x[variable] = (self.bounds.totals[row] - self.bounds.rows[row] @ x) / coefficient
        return x

    def settled(self, x: FloatArray) -> FloatArray:
        """The variables that belong to the same weights: of opposite parts only one is left."""
        return x if self.plain else self(self.weights(x))


@lru_cache(maxsize=8)  # terms that depend on the mandate alone come again
def feasible(terms: Terms, absolute: bool = False) -> tuple[Bounds, Lift]:
    """Write what may be held as bounds of variables, and the map between them and weights.

    Parameters
    ----------
    terms : Terms
    absolute : bool
        Break every weight at 0, so that the sum of absolute weights is linear.

    Raises
    ------
    InfeasibleError
        Where one limit alone, with the weight bounds, cannot be met; the message names it.
    """
    if terms.active is not None and terms.benchmark is not None:
        near = terms.benchmark + terms.active[0], terms.benchmark + terms.active[1]
        lower, upper = np.maximum(terms.lower, near[0]), np.minimum(terms.upper, near[1])
        for i in map(int, np.flatnonzero(lower > upper)[:1]):
            raise InfeasibleError(
                f"no weight of {terms.assets[i]} satisfies both its bounds, [{terms.lower[i]:g}, {terms.upper[i]:g}], "
                f"and its active_bounds, [{near[0][i]:g}, {near[1][i]:g}]; widen one of them"
            )
        bounds, lift = feasible(replace(terms, lower=lower, upper=upper, active=None), absolute)
        return bounds, replace(lift, active=(*near, terms.benchmark))
    if terms.held is not None and terms.max_trade is not None:
        trades = terms.held - terms.max_trade, terms.held + terms.max_trade
        lower, upper = (np.clip(edge, terms.lower, terms.upper) for edge in trades)  # as near as can be
        try:
            bounds, lift = feasible(replace(terms, lower=lower, upper=upper, max_trade=None), absolute)
        except InfeasibleError as error:
            raise InfeasibleError(f"no farther from what is held than max_trade, {error}") from error
        return bounds, replace(lift, trades=trades)
    lower, upper = terms.lower, terms.upper
    broken = absolute and bool((lower < 0).any())
    if terms.plain and not (broken or len(terms.rows)):
        plain = Bounds.budget(lower, upper)
        return plain, Lift.identity(plain)
    leverage, gross = _leverage(terms)
    zero = np.zeros(lower.size)
    levels = [zero] if broken or gross is not None or terms.short_fee > 0 else []
    held = terms.held if terms.traded else None
    goal = terms.benchmark if terms.max_active is not None else None
    parts = Parts.of(lower, upper, *(level for level in (held, goal) if level is not None), *levels)
    low, high = [parts.low], [parts.high]
    # each limit is least <= slopes . parts + constant <= most
    slopes, away = parts.distance(zero, lower, upper)
    known = -0.5 * terms.short_fee * (slopes - parts.signs)
    earned = -0.5 * terms.short_fee * float((away - parts.origin).sum())
    named = zip(terms.names or [""] * len(terms.rows), terms.rows, terms.least, terms.most, strict=True)
    limits = [
        (name, row[parts.assets] * parts.signs, float(row @ parts.origin), float(least), float(most))
        for name, row, least, most in named
    ]
    cost, fixed, turned, off = np.zeros(parts.signs.size), 0.0, np.zeros(0), np.zeros(0)
    if held is not None:
        turned, off = parts.distance(held, lower, upper)
        buy, sell = (np.zeros(lower.size) if price is None else price for price in (terms.buy, terms.sell))
        # |w - held| is what is bought and sold, w - held the difference
        cost = 0.5 * ((buy + sell)[parts.assets] * turned + (buy - sell)[parts.assets] * parts.signs)
        fixed = 0.5 * float((buy + sell) @ off + (buy - sell) @ (parts.origin - held))
    if gross is not None:
        limits.append(("gross", slopes, float(away.sum()), -np.inf, gross))
    if goal is not None and terms.max_active is not None:
        slopes, apart = parts.distance(goal, lower, upper)
        limits.append(("active share", 0.5 * slopes, 0.5 * float(apart.sum()), -np.inf, 0.5 * terms.max_active))
    money: tuple[int, ...] = ()
    budget = [parts.signs]
    if leverage is not None:
        idle = 1.0 - leverage
        money = tuple(range(parts.signs.size, parts.signs.size + (1 if idle >= 0 else 2)))
        low.append(np.array([max(idle, 0.0), 0.0][: len(money)]))
        high.append(np.array([max(1.0 - float(lower.sum()), idle, 0.0), -idle][: len(money)]))
        budget.append(np.array([1.0, -1.0][: len(money)]))
        known = np.concatenate([known, [terms.cash_rate, -terms.borrow_rate][: len(money)]])
    bounds = Bounds(
        np.concatenate(low), np.concatenate(high), np.concatenate(budget)[None], np.array([1.0 - parts.origin.sum()])
    )
    if terms.mean is not None and terms.target is not None:
        returned = known.copy()
        returned[: parts.signs.size] += terms.mean[parts.assets] * parts.signs
        limits.append(("return", returned, float(terms.mean @ parts.origin) + earned, terms.target, np.inf))
    cost = np.concatenate([cost, np.zeros(len(money))])
    offsets = (float(parts.origin.sum()),)
    costly = cost if cost.any() or fixed else None
    lift = Lift(parts, known, bounds, earned, money, cost=costly, fixed=fixed, offsets=offsets)
    lift = _limited(lift, limits)
    if held is not None and terms.max_turnover is not None:
        turnover, forced = turnover_in_force(lift.bounds, lift, terms, turned, off.sum())
        lift = _limited(lift, [("turnover", turned, off.sum(), -np.inf, turnover)])
        proved = forced is not None and forced.size == len(lift.bounds.rows)
        lift = replace(lift, turnover=turnover, forced=forced if proved else None)
    return lift.bounds, lift


def _limited(lift: Lift, limits: Sequence[tuple[str, FloatArray, float, float, float]]) -> Lift:
    """The same under further limits ``least <= slope . x + offset <= most``: a row each, and what closes it."""
    bounds = lift.bounds
    m, count = bounds.rows.shape
    rows: list[FloatArray] = []
    slacks: list[tuple[int, int, float]] = []
    totals, offsets, names, widths = [], [], [], []
    for name, slope, offset, least, most in limits:
        lows, highs = bounds.lower[: slope.size], bounds.upper[: slope.size]
        first, last = np.where(slope > 0, lows, highs), np.where(slope > 0, highs, lows)
        nearest, farthest = float(slope @ first) + offset, float(slope @ last) + offset
        rounding = TOUCHING * (1.0 + float(np.abs(slope) @ np.maximum(np.abs(first), np.abs(last))))
        if nearest > most + rounding or farthest < least - rounding:
            side = f"at least {least:g} is asked and the weight bounds allow {farthest:.6g}"
            if nearest > most:
                side = f"at most {most:g} is allowed and the weight bounds force {nearest:.6g}"
            raise InfeasibleError(f"the limit {name} cannot be met: {side}")
        if least <= nearest and farthest <= most:
            continue
        if least < most:
            capped = bool(np.isfinite(most))
            slacks.append((count + len(slacks), m + len(rows), 1.0 if capped else -1.0))
            widths.append(most - max(least, nearest) if capped else farthest - least)
        rows.append(slope)
        names.append(name)
        totals.append((most if np.isfinite(most) else least) - offset)
        offsets.append(offset)
    if not rows:
        return lift
    none, matrix = np.zeros(len(slacks)), np.zeros((m + len(rows), count + len(slacks)))
    matrix[:m, :count] = bounds.rows
    for i, row in enumerate(rows):
        matrix[m + i, : row.size] = row
    for variable, i, coefficient in slacks:
        matrix[i, variable] = coefficient
    lower, upper = np.append(bounds.lower, none), np.append(bounds.upper, widths)
    return replace(
        lift,
        known=np.append(lift.known, none),
        cost=None if lift.cost is None else np.append(lift.cost, none),
        slacks=(*lift.slacks, *slacks),
        bounds=Bounds(lower, upper, matrix, np.append(bounds.totals, totals), (*bounds.names, *names)),
        offsets=(*lift.offsets, *offsets),
    )


def _leverage(terms: Terms) -> tuple[float | None, float | None]:
    """Leverage, and the cap on gross exposure where it is not one on leverage; refuses what cannot be met."""
    leverage, gross, least = terms.leverage, terms.gross, float(terms.lower.sum())
    if gross is not None and (terms.lower >= 0).all():
        # long only: gross exposure is the sum of the weights, which is 1 or bounded by the leverage
        if leverage is None and gross < 1.0:
            raise InfeasibleError(f"gross={gross:g} is less than the 1 that fully invested weights sum to; raise it")
        leverage, gross = None if leverage is None else min(leverage, gross), None
    if leverage is None:
        Bounds.budget(terms.lower, terms.upper)  # raises where the bounds cannot sum to one
    elif least > leverage + TOUCHING * max(1.0, abs(least)):
        raise InfeasibleError(
            f"the lower weight bounds sum to {least:.6g}; leverage and gross allow {leverage:g}; lower them"
        )
    return leverage, gross
