"""Growth under the worst distribution of log returns within a Wasserstein distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.feasible import Lift
from opeslike.modelling.problem import OPTIMAL, Index, Point, Problem
from opeslike.modelling.regularizers import Regularizer

Mask = NDArray[np.bool_]

_ROUNDS = 60
_LEVELS = 30
_ROUNDING = 4e-15
_EVEN = 1e-13
_ROUGHEST = 1e-12


@dataclass
class Shares:
    """The worst-case shares of the scenarios whose transport is paid for.

    Attributes
    ----------
    moved : ndarray of shape (T,), bool
    s : ndarray of shape (K, N)
        Shares of wealth after the move, a row a moved scenario.
    level, push : ndarrays of shape (K,)
        The multiplier of ``sum s = 1``, and the distance moved per unit of share.
    """

    moved: Mask
    s: FloatArray
    level: FloatArray
    push: FloatArray


@dataclass
class TransportPoint(Point):
    """A problem evaluated at ``x``, with the price of transport and the shares that attain it."""

    w: FloatArray | None = None
    slope: FloatArray | None = None
    price: float = 1.0
    shares: Shares | None = None
    deviation: float = 0.0


class TransportProblem(Problem):
    """``minimise over w: min over c of radius * c - sum_t p_t phi_t(w, c), plus penalty(w)``.

    Here c is a price of transport and ``phi_t = min over d of log sum_i w_i x_ti exp(d_i) + c |d|_2`` the log growth
    after the worst move of log returns that is worth its price. With conjugates it is a problem over shares of wealth,

        ``phi_t = max of sum_i s_i log(w_i x_ti / s_i)`` over ``sum s = 1``, ``|s|_2 <= c``,

    concave in (w, c) together. Where the shares that the scenario has by itself satisfy ``|s|_2 <= c`` nothing is moved
    and phi is the log growth; elsewhere ``log s_i + u s_i = log(w_i x_ti) - v`` with multipliers u and v, so that s is
    a Wright omega function, and ``phi = v + u c^2``. The best price is the one at which the mean distance moved,
    ``u c``, is the radius.

    Parameters
    ----------
    gross : ndarray of shape (T, N)
        ``1 + r``, positive.
    probabilities : ndarray of shape (T,)
        Positive.
    radius : float > 0
        In log returns.
    bounds, lift : Bounds and Lift
        Of long-only weights with sum 1: no known returns.
    """

    def __init__(
        self,
        gross: FloatArray,
        probabilities: FloatArray,
        radius: float,
        bounds: Bounds,
        penalty: Regularizer | None = None,
        lift: Lift | None = None,
    ) -> None:
        super().__init__(bounds, penalty, lift)
        self.gross, self.probabilities, self.radius = gross, probabilities, radius
        self._logs = np.log(gross)

    def evaluate(self, x: FloatArray, near: TransportPoint | None = None) -> TransportPoint:
        """Value and gradient, at the best price."""
        p, radius, w = self.probabilities, self.radius, self.lift.weights(x)
        wealth = self.gross @ w
        slope = self.gross / wealth[:, None]
        growth = np.log(wealth)
        price, shares, excess = self._best_price(w, wealth, slope, near)
        total = radius * price
        if shares is not None:
            moved = shares.moved
            with np.errstate(over="ignore"):
                slope[moved] = self.gross[moved] * np.exp(-shares.level[:, None] - shares.push[:, None] * shares.s)
            growth[moved] = shares.level + shares.push * price * price
        total -= float(p @ growth)
        gradient = self.lift.pull(-(p @ slope))
        extra, pull = self.added(x)
        total += extra
        gradient = gradient if pull is None else gradient + pull
        centred = wealth - p @ wealth
        deviation = math.sqrt(float(p @ (centred * centred)))
        smooth = bool(np.isfinite(gradient).all())
        return TransportPoint(x, total, gradient, smooth, excess, w, slope, price, shares, deviation)

    def _best_price(
        self, w: FloatArray, wealth: FloatArray, slope: FloatArray, near: TransportPoint | None
    ) -> tuple[float, Shares | None, float]:
        """The price at which the mean distance is the radius, the shares there, and what its rounding may cost.

        By Newton's method on the slope in the price, which increases with it, between bounds that close in.
        """
        held = int((w > 0).sum())
        count = len(wealth)
        own = slope * w
        lengths = np.sqrt(np.square(own).sum(axis=1))
        low, high = 1.0 / math.sqrt(held), float(lengths.max())
        if high - low <= _EVEN:  # shares that are all the same stay so, whatever the push
            push = np.full(count, self.radius / high)
            return high, Shares(np.ones(count, dtype=bool), own, np.log(wealth) - push * high * high, push), 0.0
        with np.errstate(divide="ignore"):
            logs = self._logs + np.log(np.maximum(w, 0.0))
        level, push = np.log(wealth), np.full(count, 1e-2)
        price = float(self.probabilities @ lengths)
        if near is not None and near.w is not None and near.shares is not None and int((near.w > 0).sum()) > 1:
            price = near.price * float(np.linalg.norm(w) / np.linalg.norm(near.w))
            level[near.shares.moved], push[near.shares.moved] = near.shares.level, near.shares.push
        best: tuple[float, Shares | None, float] = (high, None, self.radius)
        for _ in range(_ROUNDS):
            deadline.check()
            if not low < price < high:
                price = 0.5 * (low + high)
            moved = lengths > price
            if not moved.any():
                break  # the bounds have met
            s = np.empty((int(moved.sum()), w.size))
            at, hard = level[moved], push[moved]
            if not _settle(logs[moved], price * price, at, hard, s):
                low = price
                if high - low <= 1e-15:
                    break
                price = 0.5 * (low + high)
                continue
            level[moved], push[moved] = at, hard
            p = self.probabilities[moved]
            over = self.radius - price * float(p @ hard)
            if abs(over) < abs(best[2]):
                best = (price, Shares(moved, s, at, hard), over)
            if abs(over) <= 1e-10 * self.radius or high - low <= 1e-16:
                break
            low, high = (price, high) if over < 0 else (low, price)
            _, _, _, _, second = _factors(s, hard)
            bend = float(p @ (price * price / (second * second) - hard))
            price = price - over / bend if bend > 0 else 0.5 * (low + high)
        price, shares, over = best
        # the objective is convex in the price too, which lies between 1 / sqrt(N) and 1
        return price, shares, max(over * (price - 1.0 / math.sqrt(self.n_assets)), over * (price - 1.0), 0.0)

    def hessian(self, point: TransportPoint, free: Index | None = None) -> FloatArray:
        """By the implicit function theorem: ``O(T N^2)``, like the Hessian of Kelly."""
        n, p = self.n_assets, self.probabilities
        assert point.slope is not None
        assert point.w is not None
        h = np.zeros((n, n))
        still = np.ones(p.size, dtype=bool) if point.shares is None else ~point.shares.moved
        rooted = point.slope[still] * np.sqrt(p[still])[:, None]
        h += rooted.T @ rooted
        if point.shares is not None:
            moved, s, hard = point.shares.moved, point.shares.s, point.shares.push
            price, weight, slope = point.price, p[moved], point.slope[moved]
            yielding = slope / (1.0 + hard[:, None] * s)
            h[np.arange(n), np.arange(n)] += (weight * hard) @ (slope * yielding)
            _, _, first, below, second = _factors(s, hard)
            one = yielding / first[:, None]
            two = (yielding * s - below[:, None] * one) / second[:, None]
            # the shares of all scenarios yield together with the price: centred, for subtracting would cancel
            reach = weight * price / second
            stiff = price / second
            bend = float(weight @ (stiff * stiff - hard))
            if (point.w > 0).sum() > 1 and bend > 0:
                along = (reach @ two) / bend
                h -= np.outer(along, along) * float(weight @ hard)
                two = two - stiff[:, None] * along
            else:
                two = np.zeros_like(two)
            root = np.sqrt(weight)[:, None]
            h += (one * root).T @ (one * root) + (two * root).T @ (two * root)
        h, more = self.lift.restricted(h, free), self.bend(point.x, free)
        return h if more is None else h + more

    def tolerance(self, point: TransportPoint) -> float:
        """``1e-7`` standard deviations of the portfolio's returns."""
        return OPTIMAL * point.deviation + 1e-15 * (1.0 + abs(point.value))

    def expression(self, x: Any, scale: float = 1.0) -> tuple[Any, list[Any]]:
        """The same for cvxpy, with price and shares as variables: a cone a scenario and an asset."""
        import cvxpy as cp

        n, count = self.n_assets, len(self.gross)
        s, price = cp.Variable((count, n), name="shares"), cp.Variable(name="price")
        w = cp.reshape(self.lift.weights(x), (1, n), order="C")
        spread = cp.sum(cp.rel_entr(s, np.ones((count, 1)) @ w), axis=1)
        growth = cp.sum(cp.multiply(self._logs, s), axis=1) - spread
        value = (self.radius * price - self.probabilities @ growth) / scale + self.added_expression(x, scale)
        return value, [cp.sum(s, axis=1) == 1, cp.norm(s, 2, axis=1) <= price]

    def natural_scale(self) -> float:
        """Root mean square of the log returns."""
        return float(np.sqrt(np.mean(np.square(self._logs)))) or 1.0


def _factors(s: FloatArray, push: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """The 2 x 2 systems ``[[a, b], [b, c]]`` of the multipliers, scenario by scenario, and their Cholesky factors."""
    soft = s / (1.0 + push[:, None] * s)
    a, b = soft.sum(axis=1), (soft * s).sum(axis=1)
    # c - b^2 / a as a sum of squares, for the difference would cancel
    apart = s - (b / a)[:, None]
    second = np.sqrt(np.maximum((soft * apart * apart).sum(axis=1), 1e-300))
    first = np.sqrt(a)
    return a, b, first, b / first, second


def _omega(logs: FloatArray, level: FloatArray, push: FloatArray) -> FloatArray:
    """Solve ``log s + push s = logs - level``."""
    from scipy.special import wrightomega

    return np.asarray(wrightomega(logs - level[:, None] + np.log(push)[:, None]) / push[:, None])


def _settle(logs: FloatArray, bound: float, level: FloatArray, push: FloatArray, s: FloatArray) -> bool:
    """Find level and push (in place) so that the shares s sum to one and their squares to ``bound``.

    For a given push the sum is a convex decreasing function of the level, and with the level that makes it one, the sum
    of squares falls as the push rises: Newton's method on both, the second between bounds that close in, for all
    scenarios at once.
    """
    low, high = np.zeros(len(logs)), np.full(len(logs), np.inf)
    open_ = np.arange(len(logs))
    for _ in range(_ROUNDS):
        deadline.check()
        hard, at, some = push[open_], level[open_], logs[open_]
        for _ in range(_LEVELS):
            part = _omega(some, at, hard)
            over = part.sum(axis=1) - 1.0
            at += over / (part / (1.0 + hard[:, None] * part)).sum(axis=1)
            if np.abs(over).max() <= _ROUNDING:
                break
        part = _omega(some, at, hard)
        s[open_], level[open_] = part, at
        _, _, _, _, second = _factors(part, hard)
        wide = 0.5 * (np.square(part).sum(axis=1) - bound)
        low[open_], high[open_] = np.where(wide > 0, hard, low[open_]), np.where(wide > 0, high[open_], hard)
        least, most = low[open_], high[open_]
        step = wide / (second * second)
        on = (np.abs(step) > 1e-12 * hard) & (np.abs(wide) > 4e-16)
        with np.errstate(invalid="ignore"):
            middle = np.where(np.isinf(most), 4.0 * hard, np.where(least > 0, np.sqrt(least * most), 0.1 * most))
        inside = (least < hard + step) & (hard + step < most)
        push[open_] = np.where(on, np.where(inside, hard + step, middle), hard)
        open_ = open_[on]
        if not open_.size:
            return True
    over, wide = s[open_].sum(axis=1) - 1.0, np.square(s[open_]).sum(axis=1) - bound
    return bool(max(np.abs(over).max(), np.abs(wide).max()) <= _ROUGHEST)
