"""Constraints of the user's own, written in cvxpy, and the cone program that bounds a linear cost over them.

A cone program ``min c'z : A z + s = b, s in K`` has for every y in the dual cone of K the lower bound

    -b'y + min over z in its box of (c + A'y)'z,

which is plain arithmetic, whoever found y. At the multipliers of the optimum it is the minimum itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opeslike.checks import FloatArray
from opeslike.errors import PortfolioError
from opeslike.modelling.problem import Problem

Constraint = Callable[[Any], Any]

#: variables of the user's own, and those that cvxpy adds, are taken to be no larger than this; weights are of order 1
_LARGEST = 1e3


@dataclass(frozen=True, eq=False)
class ConeProgram:
    """``minimise cost'z`` over ``sides - matrix z`` in a product of cones and z in a box.

    Attributes
    ----------
    cost, lower, upper : ndarrays of shape (k,)
    matrix : sparse array of shape (r, k)
    sides : ndarray of shape (r,)
    cones : cvxpy's list of cones, in its order: equalities, inequalities, second-order, exponential and power cones
    boxed : ndarray of shape (r,), bool
        Rows that say no more than the box does; multipliers of theirs are better left to the box.
    """

    cost: FloatArray
    matrix: Any
    sides: FloatArray
    lower: FloatArray
    upper: FloatArray
    cones: Any
    boxed: NDArray[np.bool_]

    def bound(self, y: FloatArray) -> float:
        """A lower bound of the minimum from any multipliers y of shape (r,), which are made admissible first."""
        y = np.where(self.boxed, 0.0, self.admissible(y))
        reduced = self.cost + self.matrix.T @ y
        return float(np.minimum(reduced * self.lower, reduced * self.upper).sum() - self.sides @ y)

    def admissible(self, y: FloatArray) -> FloatArray:
        """Multipliers in the dual cone near y."""
        y, cones = np.array(y, dtype=np.float64), self.cones
        at = int(cones.zero)
        y[at : at + cones.nonneg] = np.maximum(y[at : at + cones.nonneg], 0.0)
        at += int(cones.nonneg)
        for size in cones.soc:
            y[at] = max(y[at], float(np.linalg.norm(y[at + 1 : at + size])))
            at += int(size)
        for _ in range(cones.exp):  # of {(x, y, z): y exp(x / y) <= z} it is {(u, v, w): -u exp(v / u - 1) <= w}
            u, v, w = y[at : at + 3]
            u = min(u, 0.0)
            with np.errstate(over="ignore"):
                least = -u * np.exp(v / u - 1.0) if u < 0 else 0.0
            if not np.isfinite(least):
                u = least = 0.0
            y[at : at + 3] = u, v if u < 0 else max(v, 0.0), max(w, least)
            at += 3
        for share in cones.p3d:
            u, v = np.maximum(y[at : at + 2], 0.0)
            most = (u / share) ** share * (v / (1.0 - share)) ** (1.0 - share)
            y[at : at + 3] = u, v, np.clip(y[at + 2], -most, most)
            at += 3
        return y


@dataclass(frozen=True)
class Extra:
    """Callables that make constraints, and what they are made for.

    Attributes
    ----------
    makers : tuple of callables
        Each takes the weights held as a cvxpy expression (N,), which tickers index too, and returns a constraint or a
        list of them; they may use further variables.
    assets : labels of the weights
    scale : float
        What the weights of the problem are multiplied by to give those held.
    """

    makers: tuple[Constraint, ...] = ()
    assets: tuple[Hashable, ...] = ()
    scale: float = 1.0

    def __bool__(self) -> bool:
        return bool(self.makers)


class UserConstraints:
    """What a user adds to a problem, on cvxpy variables of its own.

    Parameters
    ----------
    problem : Problem
    extra : Extra, or a sequence of callables

    Attributes
    ----------
    x : cvxpy variable (n,) of the problem
    weights : cvxpy variable (N,), of the weights held
    within, added : lists of constraints
        Those of the bounds, and the user's.
    auxiliary : list of the user's own variables

    Raises
    ------
    PortfolioError
        If something is not a convex constraint that can be certified.
    """

    def __init__(self, problem: Problem, extra: Extra | Sequence[Constraint] = ()) -> None:
        import cvxpy as cp

        extra = extra if isinstance(extra, Extra) else Extra(tuple(extra))
        self.problem, self.scale, bounds = problem, extra.scale, problem.bounds
        self.x: Any = cp.Variable(bounds.lower.size, name="variables")
        weights = problem.weights(self.x)
        plain = weights is self.x
        name = "weights" if not plain or extra.scale == 1.0 else "held"
        self.weights = _labelled(weights.shape[0], extra.assets, name)
        if plain and extra.scale == 1.0:
            self.x = weights = self.weights
        elif plain:
            self.x = weights = cp.Variable(bounds.lower.size, name="weights")
        self.within = [self.x >= bounds.lower, self.x <= bounds.upper, bounds.rows @ self.x == bounds.totals]
        if weights is not self.weights and extra:
            self.within.append(self.weights == extra.scale * weights)
        self.added: list[Any] = []
        for make in extra.makers:
            made = make(self.weights)
            self.added += [_checked(item, cp) for item in (made if isinstance(made, (list, tuple)) else [made])]
        own = {self.x.id, self.weights.id}
        found = {v.id: v for item in self.added for v in item.variables() if v.id not in own}
        self.auxiliary = list(found.values())

    def place(self, x: FloatArray, auxiliary: Sequence[Any] = ()) -> None:
        """Give the variables values."""
        self.x.value, self.weights.value = x, self.scale * self.problem.weights(x)
        for variable, value in zip(self.auxiliary, auxiliary, strict=True):
            variable.value = value

    def violation(self, x: FloatArray, auxiliary: Sequence[Any] = ()) -> float:
        """By how much the worst of the user's constraints is violated; 0 where all are met."""
        if len(auxiliary) != len(self.auxiliary):
            return np.inf
        self.place(x, auxiliary)
        return max((float(np.max(item.violation())) for item in self.added), default=0.0)

    def linear(self, cost: FloatArray, kinked: float = 1.0) -> tuple[Any, ConeProgram, Any]:
        """Minimise ``cost'x``, and ``kinked`` times a regulariser with kinks, over bounds and constraints.

        Returns
        -------
        (problem, program, solve)
            The cvxpy problem, its data, and a function that takes a solver's options and returns its raw answer.
        """
        import cvxpy as cp

        goal, penalty, bounds = cost @ self.x, self.problem.penalty, self.problem.bounds
        if penalty is not None and not penalty.smooth:
            goal = goal + kinked * penalty.expression(self.problem.weights(self.x))
        problem = cp.Problem(cp.Minimize(goal), [*self.within, *self.added])
        data, chain, _ = problem.get_problem_data(cp.CLARABEL)
        cones = data["dims"]
        if cones.psd:
            raise PortfolioError("constraints on eigenvalues cannot be certified; bound a norm or quad_form instead")
        first = data["param_prob"].var_id_to_col[self.x.id]
        upper = np.full(len(data["c"]), _LARGEST)
        lower = -upper
        lower[first : first + cost.size], upper[first : first + cost.size] = bounds.lower, bounds.upper
        matrix, sides = data["A"].tocsr(), np.asarray(data["b"])
        single = np.flatnonzero(np.diff(matrix.indptr) == 1)
        column, entry = matrix.indices[matrix.indptr[single]], matrix.data[matrix.indptr[single]]
        boxed = np.zeros(sides.size, dtype=bool)
        boxed[single] = (single >= cones.zero) & (single < cones.zero + cones.nonneg)
        boxed[single] &= sides[single] >= entry * np.where(entry > 0, upper[column], lower[column])
        program = ConeProgram(np.asarray(data["c"]), matrix, sides, lower, upper, cones, boxed)
        return problem, program, lambda options: chain.solve_via_data(problem, data, solver_opts=options)

    def program(self, cost: FloatArray, kinked: float = 1.0) -> ConeProgram:
        """The data of :meth:`linear`."""
        return self.linear(cost, kinked)[1]


def _labelled(count: int, assets: Sequence[Hashable], name: str) -> Any:
    """The cvxpy variable of the weights, which takes tickers, or lists of them, as index."""
    import cvxpy as cp

    where = {asset: i for i, asset in enumerate(assets)}

    def position(key: Any) -> Any:
        if isinstance(key, list) and key and all(isinstance(item, str) for item in key):
            return [position(item) for item in key]
        if isinstance(key, str) or (isinstance(key, Hashable) and key in where and not isinstance(key, int)):
            if key not in where:
                raise PortfolioError(f"constraints name {key!r}, which is not among the assets")
            return where[key]
        return key

    class Weights(cp.Variable):  # type: ignore[misc]
        def __getitem__(self, key: Any) -> Any:
            return super().__getitem__(position(key))

    return Weights(count, name=name)


def _checked(item: Any, cp: Any) -> Any:
    if not isinstance(item, cp.constraints.constraint.Constraint):
        raise PortfolioError(f"constraints must return cvxpy constraints of the weights, got {item!r}")
    if any(variable.attributes["boolean"] or variable.attributes["integer"] for variable in item.variables()):
        raise PortfolioError(f"the constraint {item} has variables that are whole numbers; this problem is convex")
    if not item.is_dcp():
        raise PortfolioError(f"the constraint {item} is not convex by cvxpy's rules")
    return item
