"""Bounds: the set of feasible weights, a box cut by a few linear equalities, and linear minimisation over it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from opeslike import deadline
from opeslike.errors import InfeasibleError, PortfolioError, logger
from opeslike.market import Eligible, FloatArray, cut, everyone, listing

#: bounds this close to each other, relative to their size, leave no room; a box so far off an equality never meets it
TOUCHING, _OFF = 1e-12, 1e-9
#: nothing is near a bound that is farther from it than this share of the way to the other one
_NARROW = 1e-3
#: Newton steps towards the analytic centre at most, and how near to a bound a last short step may lead
_NEWTON, _CENTRED = 50, 4.0
#: pivots of a matrix with a diagonal of ones that are smaller than this are no better than rounding
_FIRM = 1e-2


def least_squares(matrix: FloatArray, sides: FloatArray) -> FloatArray:
    """The shortest least-squares solution; NaN where a number is not finite, of which LAPACK complains in print."""
    if not (np.isfinite(matrix).all() and np.isfinite(sides).all()):
        return np.full((matrix.shape[1], *sides.shape[1:]), np.nan)
    return np.asarray(np.linalg.lstsq(matrix, sides, rcond=None)[0])


def solve_semidefinite(matrix: FloatArray, side: FloatArray) -> FloatArray:
    """Solve a small system with a positive semidefinite matrix; where that is about singular the shortest solution."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite ends the search
        scale = np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
        scaled, side = matrix / scale / scale[:, None], side / scale
    factor, info = lapack.dpotrf(scaled, lower=1)
    if info == 0 and factor.diagonal().min() > _FIRM:
        return np.asarray(lapack.dpotrs(factor, side, lower=1)[0] / scale)
    return least_squares(scaled, side) / scale


@dataclass(frozen=True, eq=False)
class Bounds:
    """``{x : lower <= x <= upper, rows x = totals}``.

    Attributes
    ----------
    lower, upper : ndarray of shape (n,), finite
    rows : ndarray of shape (m, n)
        Equality rows; for plain portfolios one row of ones (the budget).
    totals : ndarray of shape (m,)
    names : tuple of str
        What each row stands for, in messages and shadow prices.
    """

    lower: FloatArray
    upper: FloatArray
    rows: FloatArray
    totals: FloatArray
    names: tuple[str, ...] = ("budget",)

    @classmethod
    def budget(
        cls, lower: FloatArray, upper: FloatArray, total: float = 1.0, labels: Sequence[Hashable] = ()
    ) -> Bounds:
        """Box and ``sum x = total``.

        Raises
        ------
        InfeasibleError
            If the box cannot sum to ``total``; the message gives the sums.
        """
        least, most = float(lower.sum()), float(upper.sum())
        slack = TOUCHING * max(1.0, abs(total), float(np.abs(lower).sum()), float(np.abs(upper).sum()))
        if least > total + slack:
            raise InfeasibleError(f"the lower weight bounds sum to {least:.6g}, more than {total:g}; lower them")
        if most < total - slack:
            raise InfeasibleError(f"the upper weight bounds sum to {most:.6g}, less than {total:g}; raise them")
        return cls(lower, upper, np.ones((1, lower.size)), np.array([total]))

    @cached_property
    def width(self) -> FloatArray:
        """How far apart the bounds of each coordinate are."""
        return self.upper - self.lower

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Which coordinates can move."""
        return np.asarray(self.width > TOUCHING * np.maximum(1.0, np.abs(self.lower)))

    @cached_property
    def single(self) -> bool:
        """Whether there is just one equality, so that linear minimisation is a sort."""
        return bool(self.rows.shape[0] == 1)

    @cached_property
    def budgeted(self) -> bool:
        """Whether the one equality is the plain sum."""
        return self.single and bool((self.rows == 1.0).all())

    @cached_property
    def _span(self) -> tuple[FloatArray, FloatArray, float, float]:
        """For a single equality: the corners of least and greatest total, and how far from the first total and last."""
        up, row = self.rows[0] >= 0, self.rows[0]
        least, most = np.where(up, self.lower, self.upper), np.where(up, self.upper, self.lower)
        return least, most, float(self.totals[0] - row @ least), float(row @ (most - least))

    def price(self, cost: FloatArray) -> FloatArray:
        """Multipliers of the equalities for ``cost``: the best ones for a plain budget, else by least squares."""
        if not self.single:
            return self.nearest(cost, self.free)
        if not self.budgeted:
            return self.linear_minimum(cost)[1]
        order = cost.argsort()
        filled = self.width[order].cumsum()
        edge = order[min(int(filled.searchsorted(self._span[2])), order.size - 1)]
        return cost[edge : edge + 1]

    def nearest(self, cost: FloatArray, moving: Any) -> FloatArray:
        """Multipliers that explain ``cost`` best on the coordinates ``moving``."""
        across = self.rows[:, moving]
        return solve_semidefinite(across @ across.T, across @ cost[moving])

    def center(self) -> FloatArray | None:
        """A point strictly inside the box (where the box has an inside) that satisfies the equalities.

        Returns None where the set is a single face without an inside.

        Raises
        ------
        InfeasibleError
            If the set is empty.
        """
        return self._center

    @cached_property
    def _center(self) -> FloatArray | None:
        if self.single:
            least, most, missing, reach = self._span
            share = missing / reach if reach > 0 else 0.0
            return least + share * (most - least) if TOUCHING < share < 1.0 - TOUCHING else None
        point = self._analytic_center()
        return self._widest() if point is None else point

    def _analytic_center(self) -> FloatArray | None:
        """About where the product of the distances to all bounds is largest; None where Newton's method finds no way.

        From the middle of the box, off the equalities: every step closes what is missing in proportion to its length
        (Boyd and Vandenberghe 2004, section 10.3).
        """
        free = np.flatnonzero(self.free)
        rows, lower, upper = self.rows[:, free], self.lower[free], self.upper[free]
        if not free.size:
            return None
        x: FloatArray = 0.5 * (self.lower + self.upper)
        missing = self.totals - self.rows @ x
        small = 1e-14 * (1.0 + float(np.abs(self.totals).max()) + float((np.abs(self.rows) @ np.abs(x)).max()))
        at: FloatArray = x[free]
        for _ in range(_NEWTON):
            with np.errstate(all="ignore"):
                below, above = 1.0 / (at - lower), 1.0 / (upper - at)
                soft, slope = 1.0 / (below * below + above * above), above - below
                across = rows * soft
                y = solve_semidefinite(across @ rows.T, missing + across @ slope)
                step = soft * (y @ rows - slope)
            if not np.isfinite(step).all():  # rounding has put a coordinate onto its bound
                return None
            fastest = max(float((-step * below).max()), float((step * above).max()), 1e-300)
            length = min(1.0, 0.9 / fastest)
            at = at + length * step
            x[free] = at
            missing = self.totals - self.rows @ x
            if np.abs(missing).max() <= small and (length == 1.0 or fastest < _CENTRED):
                inside = (at > lower).all() and (at < upper).all()
                return x if inside else None
        return None

    def _widest(self) -> FloatArray | None:
        """The point farthest from the bounds, by a linear program; None where the set is a face without an inside."""
        from scipy.optimize import linprog

        n = self.lower.size
        inner = np.where(self.free, np.minimum(self.width, 1.0), 0.0)
        result = linprog(
            np.r_[np.zeros(n), -1.0],
            A_ub=np.block([[-np.eye(n), inner[:, None]], [np.eye(n), inner[:, None]]]),
            b_ub=np.r_[-self.lower, self.upper],
            A_eq=np.c_[self.rows, np.zeros(len(self.totals))],
            b_eq=self.totals,
            bounds=[(None, None)] * n + [(0.0, 0.5)],
            options=deadline.options("HIGHS"),
        )
        self._checked(result)
        point = np.asarray(result.x, dtype=np.float64)
        return point[:-1] if point[-1] > TOUCHING else None

    def _checked(self, result: Any) -> None:
        """Raise where a linear program has no solution."""
        if result.status == 2:
            named = ", ".join(name for name in self.names if name)
            raise InfeasibleError(f"no weights satisfy the weight bounds together with these limits: {named}")
        deadline.check()
        if result.status != 0:
            raise InfeasibleError(f"the weight bounds could not be checked: {result.message}")

    def only_point(self) -> FloatArray | None:
        """The one feasible point, where nothing can move or the box touches a single equality; else None."""
        if not self.single:
            return None if self.free.any() else self.linear_minimum(np.zeros(self.lower.size))[0]
        least, most, missing, reach = self._span
        slack = TOUCHING * max(1.0, reach)
        if max(-missing, missing - reach) > _OFF * max(1.0, reach):
            raise InfeasibleError(f"no weights between their bounds meet the limit {self.names[0]!r}")
        return least if missing <= slack else most if missing >= reach - slack else None

    def linear_minimum(self, cost: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Minimise ``cost @ x`` over the set.

        With one equality this is a sort (a continuous knapsack), exact; otherwise a linear program by HiGHS.

        Returns
        -------
        (x, y) : a minimiser of shape (n,) and the multipliers of the equalities, of shape (m,)

        Raises
        ------
        InfeasibleError
            If the set is empty.
        """
        if not self.single:
            return self._linear_program(cost)
        row = self.rows[0]
        sign = np.where(row < 0, -1.0, 1.0)
        x = np.where(sign > 0, self.lower, self.upper)
        flat = row == 0
        if flat.any():
            x = np.where(flat, np.where(cost >= 0, self.lower, self.upper), x)
        size = np.abs(row)
        price = np.full(cost.shape, np.inf)
        np.divide(cost, row, out=price, where=~flat)
        order = np.argsort(price, kind="stable")
        capacity = (size * self.width)[order]
        filled = np.cumsum(capacity)
        missing = float(self.totals[0] - row @ x)
        last = min(int(np.searchsorted(filled, missing)), order.size - 1)
        full = order[:last]
        x = x.copy()
        x[full] = np.where(sign[full] > 0, self.upper[full], self.lower[full])
        edge = order[last]
        if size[edge] > 0:
            rest = missing - (float(filled[last - 1]) if last else 0.0)
            step = rest / size[edge]
            x[edge] = min(max(x[edge] + sign[edge] * step, self.lower[edge]), self.upper[edge])
        return x, np.array([price[edge] if np.isfinite(price[edge]) else 0.0])

    def _linear_program(self, cost: FloatArray) -> tuple[FloatArray, FloatArray]:
        from scipy.optimize import linprog

        result = linprog(
            cost,
            A_eq=self.rows,
            b_eq=self.totals,
            bounds=np.c_[self.lower, self.upper],
            options=deadline.options("HIGHS"),
        )
        self._checked(result)
        return np.asarray(result.x), np.asarray(result.eqlin.marginals)

    def within(self, x: FloatArray, near: float) -> FloatArray:
        """The point of the box nearest to ``x``, coordinates closer than ``near`` to a bound being put there."""
        close = np.minimum(near, _NARROW * self.width)
        x = np.where(x - self.lower <= close, self.lower, np.where(self.upper - x <= close, self.upper, x))
        return np.minimum(np.maximum(x, self.lower), self.upper)

    def missed(self, x: FloatArray) -> float:
        """By how much the equalities are missed, at most."""
        off = self.totals - self.rows @ x
        return abs(float(off[0])) if self.single else float(np.abs(off).max())

    def repair(self, x: FloatArray) -> FloatArray:
        """Nearest sensible point of the set to a slightly infeasible ``x``: into the box, then onto the equalities."""
        x = np.minimum(np.maximum(x, self.lower), self.upper)
        small = 1e-15 * max(1.0, float(np.abs(self.totals).max()))
        for inside in (True, False):  # first without the coordinates at their bounds, then with all that can move
            least = np.inf
            for _ in range(20):
                missing = self.totals - self.rows @ x
                off = float(np.abs(missing).max())
                if off <= small or off >= least:
                    break
                least = 0.5 * off if off < 1e-13 else np.inf  # rounding: go on only while it halves
                room = np.where(self.free, np.minimum(x - self.lower, self.upper - x) if inside else 1.0, 0.0)
                weighted = self.rows * np.maximum(room, 0.0)
                if self.single:
                    reach = float(weighted[0] @ self.rows[0])
                    shift = weighted[0] * (missing[0] / reach) if reach > 0 else np.zeros_like(x)
                else:
                    shift = solve_semidefinite(weighted @ self.rows.T, missing) @ weighted
                if not shift.any():
                    break
                x = np.minimum(np.maximum(x + shift, self.lower), self.upper)
            if off <= max(small, 1e-13):
                break
        return x


def parse_weight_bounds(
    weight_bounds: Any,
    assets: Sequence[Hashable],
    default: tuple[float, float] = (0.0, 1.0),
    name: str = "weight_bounds",
) -> tuple[FloatArray, FloatArray]:
    """Read weight bounds in any of the forms users write them.

    Parameters
    ----------
    weight_bounds : None, pair of numbers, pair of arrays, sequence of N pairs, or mapping of ticker to pair
        ``(0, 1)`` holds for every asset; ``(lower, upper)`` with arrays (or Series labelled by ticker) of length N
        gives one bound an asset; ``[(l1, u1), (l2, u2), ...]`` likewise; in a mapping the tickers left out have
        ``default``. Bounds follow their tickers: they are given for all columns, and those of assets that are not
        eligible are dropped.

    Returns
    -------
    (lower, upper) : ndarrays of shape (N,)

    Raises
    ------
    PortfolioError
        On a wrong form or length, an unknown ticker, bounds that are not finite, or lower > upper; the message names
        the asset.
    """
    eligible, assets = assets, everyone(assets)
    n = len(assets)
    form = f"{name} must be (low, high), (lows, highs) with one value an asset, a list of pairs, or {{ticker: pair}}"
    if weight_bounds is None:
        weight_bounds = default
    if isinstance(weight_bounds, Mapping):
        pairs = np.tile(np.array(default, dtype=np.float64), (n, 1))
        for ticker, pair in weight_bounds.items():
            if ticker not in assets:
                raise PortfolioError(f"{name} names {ticker!r}, which is not among the assets")
            pairs[assets.index(ticker)] = _pair(pair, form)
        lower, upper = pairs[:, 0].copy(), pairs[:, 1].copy()
    else:
        try:
            items = list(weight_bounds)
        except TypeError:
            raise PortfolioError(f"{form}; got {weight_bounds!r}") from None
        if len(items) == 2 and all(np.ndim(item) == 0 for item in items):
            low, high = _pair(items, form)
            lower, upper = np.full(n, low), np.full(n, high)
        elif len(items) == 2 and (n != 2 or any(hasattr(item, "dtype") for item in items)):
            lower, upper = (_vector(item, assets, form) for item in items)
        elif len(items) == n and all(np.ndim(item) == 1 and len(item) == 2 for item in items):
            parsed = [_pair(item, form) for item in items]
            lower, upper = np.array([a for a, _ in parsed]), np.array([b for _, b in parsed])
        else:
            raise PortfolioError(f"{form}; got {weight_bounds!r} for {n} assets")
    for values, side in ((lower, "lower"), (upper, "upper")):
        if not np.isfinite(values).all():
            asset = assets[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise PortfolioError(f"the {side} weight bound of {asset} is not finite; give a number such as -1 or 2")
    if (lower > upper).any():
        i = int(np.flatnonzero(lower > upper)[0])
        raise PortfolioError(f"{name} of {assets[i]}: the lower bound {lower[i]:g} is above the upper {upper[i]:g}")
    if isinstance(eligible, Eligible) and (lower > 0).any():
        free = [str(asset) for asset, low in zip(assets, lower, strict=True) if low > 0 and asset not in eligible]
        if free:
            logger.info("%s: lower bounds dropped of %s, not eligible", name, listing(free))
    return cut(lower, eligible), cut(upper, eligible)


def _pair(item: Any, form: str) -> tuple[float, float]:
    try:
        low, high = item
        return float(np.nan if low is None else low), float(np.nan if high is None else high)
    except (TypeError, ValueError):
        raise PortfolioError(f"{form}; got {item!r}") from None


def _vector(item: Any, assets: Sequence[Hashable], form: str) -> FloatArray:
    if hasattr(item, "reindex"):
        missing = [str(a) for a in assets if a not in item.index]
        if missing:
            raise PortfolioError(f"{form.split()[0]} lack {', '.join(missing)}")
        item = item.reindex(list(assets))
    try:
        values = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError):
        raise PortfolioError(f"{form}; got {item!r}") from None
    if values.ndim == 0:
        return np.full(len(assets), float(values))
    if values.shape != (len(assets),):
        raise PortfolioError(f"{form}; got {values.size} values for {len(assets)} assets")
    return values.copy()
