"""Few positions, and none of them small: branch and bound over certified relaxations.

An asset is out (weight 0), kept (counted, and at least as large as a position must be) or undecided. A node's
relaxation lets the undecided ones have any weight, so its proved lower bound holds for all the choices below it.
Leaving an asset out takes a solve; keeping one takes none where the relaxation holds enough of it already, for its
optimum is then the same. The node with the least bound is split first, on the asset that raised bounds most when it was
left out before (pseudo-costs; Benichou et al. 1971). Answers come from the largest positions of each relaxation and, at
the root, from exchanges; with what is left open at the end they give the gap. Where that takes long the products of
weights are looked at.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opeslike import deadline
from opeslike.checks import FloatArray
from opeslike.errors import InfeasibleError, OptimizationError, TimeLimitError
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.quadratic import QuadraticProblem
from opeslike.modelling.terms import Counts
from opeslike.proof import Proof
from opeslike.solvers.nonconvex.copositive import multipliers, tilted
from opeslike.solvers.nonconvex.relaxations import Estimator, Node, estimator, plain
from opeslike.solvers.solve import Solved

BoolArray = NDArray[np.bool_]
#: minimises a problem from a guess of its variables
Relax = Callable[..., Solved]

#: weights smaller than this are none
_NONE = 1e-9
#: nodes that could improve the answer by less than this share of the tolerance are closed
_AIM = 0.1
#: assets tried in exchange at each turn of the first search, and such turns
_EXCHANGED, _TURNS = 8, 25
#: relaxations after which products are looked at, of no more assets than this
_PATIENCE, _PAIRED = 100, 300


def fewest(problem: Problem, counts: Counts, relax: Relax, start: FloatArray | None = None) -> Solved:
    """Minimise a convex problem over weights that are few, or not small.

    Parameters
    ----------
    problem : Problem
        Without the counts.
    counts : Counts
        How many weights may differ from 0, and how large those are at least.
    relax : callable
        Minimises a problem like it with narrower bounds, certified.
    start : ndarray of shape (N,), optional
        A guess of the weights.

    Returns
    -------
    Solved
        "optimal" where the proved bound meets the value, else "bounded": the time was over, and the gap is what is
        left.

    Raises
    ------
    InfeasibleError
        If no so few weights meet the other limits.
    TimeLimitError
        If the time ran out before any were found.
    """
    return _Search(problem, counts, relax).run(start)


class _Search:
    def __init__(self, problem: Problem, counts: Counts, relax: Relax) -> None:
        self.problem, self.counts, self.relax = problem, counts, relax
        self.lower, self.upper = problem.lift.weights_between()
        self.best: Solved | None = None
        self.closed = math.inf  # least bound among the nodes that were closed
        self.tried: set[bytes] = set()
        self.raised, self.times = np.zeros(self.lower.size), np.zeros(self.lower.size)
        self.solves = 0
        self.estimate: Estimator | None = None
        self.floor = -math.inf  # a bound for all nodes
        few = counts.most is not None and self.lower.size <= _PAIRED
        self.patient = few and plain(problem) and bool(self.lower.min() >= 0)

    def run(self, start: FloatArray | None) -> Solved:
        root = self._root()
        heap: list[tuple[float, int, Node]] = []
        number = itertools.count()
        try:
            if start is not None:
                self._settle(root, start)
            if self._settle(root, root.w) and self._met(root.w):
                return self._answer(root.bound)
            self._exchange(root)
            heapq.heappush(heap, (root.bound, next(number), root))
            while heap and not deadline.passed():
                if max(heap[0][0], self.floor) >= self._level():
                    break
                if self.patient and self.solves > _PATIENCE:
                    self.patient = False
                    nearer = self._nearer(root, min(heap[0][0], self.closed))
                    heap = heap if nearer is None else [(nearer.bound, next(number), nearer)]
                    continue
                node = heap[0][2]
                children = self._split(node)
                heapq.heappop(heap)
                for child in children:
                    if child.bound < self._level():
                        heapq.heappush(heap, (child.bound, next(number), child))
                    else:
                        self.closed = min(self.closed, child.bound)
        except TimeLimitError:
            heap = heap or [(root.bound, 0, root)]
        return self._answer(min(self.closed, heap[0][0]) if heap else self.closed)

    def _answer(self, bound: float) -> Solved:
        if self.best is None:
            deadline.check()
            raise self._none()
        proof, bound = self.best.proof, max(bound, self.floor)
        proof = Proof(proof.value, max(proof.gap, proof.value - bound), proof.tolerance, proof.point, proof.witness)
        return replace(
            self.best,
            proof=proof,
            solver="branch-and-bound",
            iterations=self.solves,
            status="optimal" if proof.optimal else "bounded",
        )

    def _none(self) -> InfeasibleError:
        return InfeasibleError(f"no weights of {self.counts} meet the other limits; allow more, or loosen those")

    def _level(self) -> float:
        """Nodes with a bound from here on cannot improve the answer."""
        if self.best is None:
            return math.inf
        return self.best.proof.value - _AIM * self.best.proof.tolerance

    def _solve(self, lower: FloatArray, upper: FloatArray, guess: FloatArray | None, named: bool = False) -> Solved:
        """The relaxation within bounds of the weights."""
        narrowed = self._narrowed(lower, upper)
        self.solves += 1
        start = None if guess is None else self.problem.lift(np.minimum(np.maximum(guess, lower), upper))
        return self.relax(narrowed, start, named=named)

    def _narrowed(self, lower: FloatArray, upper: FloatArray) -> Problem:
        lift, bounds = self.problem.lift, self.problem.bounds
        low, high = lift(lower), lift(upper)
        parts = slice(lift.parts.signs.size)
        low, high = np.minimum(low, high)[parts], np.maximum(low, high)[parts]
        narrowed = copy.copy(self.problem)
        narrowed.bounds = replace(bounds, lower=bounds.lower.copy(), upper=bounds.upper.copy())
        narrowed.bounds.lower[parts] = np.maximum(low, bounds.lower[parts])
        narrowed.bounds.upper[parts] = np.minimum(high, bounds.upper[parts])
        return narrowed

    def _root(self) -> Node:
        """Nothing decided, but for weights that must not be 0 or could only be too small."""
        least = self.counts.least
        small = (self.upper < least) & (self.lower > -least)
        lower, upper = np.where(small, 0.0, self.lower), np.where(small, 0.0, self.upper)
        held = (self.lower > 0) | (self.upper < 0)
        if (held & small).any() or (self.counts.most is not None and held.sum() > self.counts.most):
            raise InfeasibleError(f"the bounds force other weights than {self.counts}; allow more, or loosen them")
        lower, upper = (
            np.where(self.lower > 0, np.maximum(lower, least), lower),
            np.where(self.upper < 0, np.minimum(upper, -least), upper),
        )
        try:
            solved = self._solve(lower, upper, None, named=True)
        except InfeasibleError as error:
            raise error if (lower == self.lower).all() and (upper == self.upper).all() else self._none() from error
        proof = solved.proof
        self.estimate = estimator(self.problem, solved.x)
        return Node(lower, upper, held, proof.value - proof.gap, self.problem.weights(solved.x))

    def _nearer(self, root: Node, known: float) -> Node | None:
        """The root with a nearer bound than is known, for a search that starts again, or None."""
        problem, most = self.problem, self.counts.most
        assert most is not None
        if isinstance(problem, ScenarioProblem):
            self.floor = tilted(problem, root.w, most, known)
        if type(problem) is QuadraticProblem and (found := multipliers(problem, most)) is not None:
            relaxed = found.relaxation(problem, most)
            quick = relaxed(root, self._level())
            if quick is not None and quick.bound > known:
                self.estimate = relaxed
                self._settle(root, quick.w)
                return replace(root, bound=quick.bound, w=quick.w, hint=quick.hint)
        return None

    def _held(self, w: FloatArray) -> BoolArray:
        return np.asarray(np.abs(w) > _NONE)

    def _met(self, w: FloatArray) -> bool:
        """Whether weights are few and large enough."""
        size = np.abs(w[self._held(w)])
        few = self.counts.most is None or size.size <= self.counts.most
        return few and bool((size >= self.counts.least - _NONE).all())

    def _child(
        self, node: Node, lower: FloatArray, upper: FloatArray, kept: BoolArray, last: bool = False
    ) -> list[Node]:
        """The node with other bounds, solved; nothing where that is infeasible, or a portfolio that may be held.

        The ``last`` one leaves nothing to decide, and is solved as it is.
        """
        quick = None
        if self.estimate is not None and not last:
            self.solves += 1
            quick = self.estimate(replace(node, lower=lower, upper=upper, kept=kept), self._level())
        if quick is not None:
            node = replace(node, bound=max(quick.bound, node.bound), hint=quick.hint)
            if node.bound >= self._level():
                self.closed = min(self.closed, node.bound)
                return []
            if quick.value < self._level() and not self._met(quick.w):
                child = replace(node, lower=lower, upper=upper, kept=kept, w=quick.w)
                self._settle(child, quick.w)
                return [child]
        try:
            solved = self._solve(lower, upper, node.w)
        except InfeasibleError:
            return []
        except TimeLimitError:
            raise
        except OptimizationError:  # not certified: what is known of the node above holds
            self.closed = min(self.closed, node.bound) if last else self.closed
            return [] if last else [Node(lower, upper, kept, node.bound, np.minimum(np.maximum(node.w, lower), upper))]
        w, known = self.problem.weights(solved.x), max(solved.proof.value - solved.proof.gap, node.bound)
        child = Node(lower, upper, kept, known, w, node.hint)
        if known < self._level():
            self._settle(child, w)
        if last or self._met(w):
            self.closed = min(self.closed, known)
            return []
        return [child]

    def _split(self, node: Node) -> list[Node]:
        """Leave an asset out, or keep it, long or short where it must not be small."""
        open_ = self._held(node.w) & ~node.kept
        most, least = self.counts.most, self.counts.least
        small = self._held(node.w) & (np.abs(node.w) < least - _NONE)
        if most is None or self._held(node.w).sum() <= most:
            open_ &= small
        undecided = ~node.kept & (node.upper > node.lower)
        if most is not None and node.kept.sum() >= most and undecided.any():  # nobody else may be held
            lower, upper = np.where(node.kept, node.lower, 0.0), np.where(node.kept, node.upper, 0.0)
            return self._child(node, lower, upper, node.kept)
        if not undecided.any():
            return self._child(node, node.lower, node.upper, node.kept, last=True)
        open_ = open_ if open_.any() else undecided
        known = np.where(self.times > 0, self.raised / np.maximum(self.times, 1.0), math.inf)
        candidates = np.flatnonzero(open_)
        order = np.lexsort((np.abs(node.w[candidates]), known[candidates]))
        i = int(candidates[order[-1]])
        lower, upper = node.lower.copy(), node.upper.copy()
        lower[i] = upper[i] = 0.0
        children = self._child(node, lower, upper, node.kept)
        raised = (children[0].bound if children else self._level()) - node.bound
        if math.isfinite(raised):
            self.raised[i] += max(raised, 0.0)
            self.times[i] += 1.0
        kept = node.kept.copy()
        kept[i] = True
        side = (node.lower[i], node.upper[i])
        for low, high in ((max(side[0], least), side[1]), (side[0], min(side[1], -least))) if least > 0 else (side,):
            if low <= high:
                lower, upper = node.lower.copy(), node.upper.copy()
                lower[i], upper[i] = low, high
                same = low - _NONE <= node.w[i] <= high + _NONE
                kin = [replace(node, lower=lower, upper=upper, kept=kept)] if same else []
                children += kin or self._child(node, lower, upper, kept)
        return children

    def _settle(self, node: Node, w: FloatArray) -> bool:
        """Try the largest of these weights, those that are kept first; whether that is better than what was known."""
        size = np.where(node.kept, np.inf, np.abs(w))
        size[(node.upper == 0) & (node.lower == 0)] = 0.0
        order = np.argsort(-size, kind="stable")[: self.counts.most]
        return self._try(order[size[order] > _NONE], w)

    def _try(self, chosen: NDArray[np.intp], w: FloatArray) -> bool:
        least, inside = self.counts.least, np.zeros(w.size, dtype=bool)
        inside[chosen] = True
        lower, upper = np.where(inside, self.lower, 0.0), np.where(inside, self.upper, 0.0)
        if least > 0:
            short = inside & (((w < 0) | (self.upper < least)) & (self.lower <= -least))
            lower = np.where(inside & ~short, np.maximum(lower, least), lower)
            upper = np.where(short, np.minimum(upper, -least), upper)
        key = lower.tobytes() + upper.tobytes()
        tried = key in self.tried
        self.tried.add(key)
        if tried or (lower > upper).any() or ((self.lower > 0) | (self.upper < 0))[~inside].any():
            return False
        if self.best is not None and self.estimate is not None:
            guess = np.where(inside, np.maximum(np.abs(w), _NONE), 0.0)
            quick = self.estimate(Node(lower, upper, inside, -math.inf, guess), self._level())
            if quick is not None and quick.bound >= self._level():
                return False
        try:
            found = self._solve(lower, upper, w)
        except TimeLimitError:
            raise
        except OptimizationError:
            return False
        better = self.best is None or found.proof.value < self.best.proof.value
        if better and self._met(self.problem.weights(found.x)):
            self.best = found
            return True
        return False

    def _exchange(self, root: Node) -> None:
        """Start from the largest weights, and let others in, one at a time, to see who then is the least."""
        for _ in range(_TURNS if self.counts.most is not None else 0):
            if self.best is None:
                return
            best = self.best
            w = self.problem.weights(best.x)
            held = self._held(w)
            slope = np.abs(self._slope(best))
            outside = [i for i in np.argsort(-slope) if not held[i] and root.upper[i] > root.lower[i]]
            for i in outside[:_EXCHANGED]:
                wider = held.copy()
                wider[i] = True
                try:
                    found = self._solve(np.where(wider, root.lower, 0.0), np.where(wider, root.upper, 0.0), w)
                except TimeLimitError:
                    raise
                except OptimizationError:
                    continue
                if self._settle(root, self.problem.weights(found.x)):
                    break
            else:
                return

    def _slope(self, at: Solved) -> FloatArray:
        """How much a unit more of each weight would better the answer, beyond what the budget is worth."""
        problem, q = self.problem, at.q
        gradient = at.proof.point.gradient
        if isinstance(problem, ScenarioProblem) and q is not None and not problem.limits:
            gradient = problem.value_under(at.x, q)[1]
        y = at.proof.witness.multipliers
        reduced = gradient if y is None else gradient - y @ problem.bounds.rows
        gains = np.full(self.lower.size, -math.inf)
        parts = problem.lift.parts
        np.maximum.at(gains, parts.assets, -reduced[: parts.assets.size])
        return gains
