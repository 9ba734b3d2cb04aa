"""What an optimiser keeps of its last answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np

from opeslike.checks import positive
from opeslike.errors import NotFittedError, PortfolioError
from opeslike.market import FloatArray, Market, cut
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.solution import Solution
from opeslike.objectives.given import Given
from opeslike.parameters import Parameters
from opeslike.proof import Proof


class Asked(NamedTuple):
    """The question of the last answer: the optimiser as it was then, the scenarios, what was given and the problem."""

    optimizer: Any
    market: Market
    given: Given
    problem: Problem


#: attributes that an optimisation leaves
_FOUND = ("weights", "tickers", "_solution", "_recheck", "_asked")


class Answer(Parameters):
    """Weights with their labels and certificate, and what can be asked of them."""

    weights: FloatArray | None = None
    tickers: list[Hashable] | None = None
    _solution: Solution | None = None
    _recheck: Callable[[FloatArray], Proof] | None = None
    _asked: Asked | None = None

    def _remembered(self) -> Self:
        """Parameters as they are now and nothing found; mandates and beliefs are frozen, so they are shared."""
        asked = object.__new__(type(self))  # as copy.copy does, in a fifth of the time
        own = vars(asked)
        own.update(vars(self))
        for name in _FOUND:
            own.pop(name, None)
        return asked

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the data of the last optimisation."""
        return {**self.__dict__, "_recheck": None, "_asked": None}

    @property
    def _settings(self) -> Any:
        """Whose beliefs, mandate, solver and time limit hold."""
        return self

    def _scale(self) -> float:
        """What the optimised portfolio is multiplied by to give the weights held."""
        return 1.0

    @property
    def uses_held(self) -> bool:
        """Whether the mandate makes a difference of what is held before; the Backtester asks before it passes that."""
        return bool(self._settings.mandate.uses_held)

    def shared(self) -> tuple[Hashable, float] | None:
        """Key of the problem that is solved, and what its answer is multiplied by.

        Optimisers with equal keys find the same portfolio from the same data and bounds; each holds ``scale`` times it.
        Kelly portfolios in Thorp's form that differ in the fraction alone share one under an empty mandate.

        Returns
        -------
        (key, scale) : hashable and float, or None
            None where the answer depends on what is held before.
        """
        if self.uses_held:
            return None
        given = self.get_params(deep=False)
        free = self._settings.mandate.empty
        scale = self._scale() if free else 1.0
        if free:
            del given["mandate"]
        if self._scale() == scale == given.get("fraction"):
            del given["fraction"]
        return (type(self), *((name, stand_in(value)) for name, value in given.items())), scale

    @property
    def solution(self) -> Solution:
        """The last answer with its certificate.

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called.
        """
        if self._solution is None:
            raise PortfolioError(f"{type(self).__name__} has no solution yet; call optimize(data) first")
        return self._solution

    def stats(self) -> dict[str, Any]:
        """Concentration of the last weights, on absolute weights scaled to sum to one.

        Returns
        -------
        dict
            ``tickers``; ``weights`` (five decimals); ``portfolio_entropy`` ``-sum u log u``; ``herfindahl_index``
            ``sum u^2``; ``gini_coefficient`` (mean absolute difference over twice the mean); ``absolute_max_weight``.

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called, or where every weight is zero.
        """
        weights = self._require_weights()
        size = float(np.abs(weights).sum())
        if size == 0:
            raise PortfolioError("every weight is zero, so shares of the portfolio are not defined")
        share = np.sort(np.abs(weights) / size)
        held = share[share > 0]
        rank = 2 * np.arange(1, share.size + 1) - share.size - 1
        return {
            "tickers": list(self.tickers or []),
            "weights": np.round(weights, 5),
            "portfolio_entropy": max(-float(held @ np.log(held)), 0.0),
            "herfindahl_index": float(share @ share),
            "gini_coefficient": float(rank @ share) / share.size,
            "absolute_max_weight": float(share[-1]),
        }

    def clean_weights(self, threshold: float = 1e-8) -> FloatArray:
        """Set positions smaller than ``threshold`` to zero and scale the rest so that the sum is kept.

        Where the sum of what is left is zero (a dollar-neutral book) nothing is rescaled. ``weights`` and ``solution``
        are replaced: what is left is proved again, and the gap is its own. Where it is more than ten tolerances the
        status is "bounded".

        Raises
        ------
        PortfolioError
            Before :meth:`optimize` was called, or if ``threshold`` is negative.
        OptimizationError
            If what is left breaks a limit; ``weights`` are as before.
        """
        weights = self._require_weights()
        threshold = positive("threshold", threshold, zero=True)
        kept = np.where(np.abs(weights) < threshold, 0.0, weights)
        before, after = float(weights.sum()), float(kept.sum())
        if abs(after) > 1e-6 * float(np.abs(kept).sum()) and after != before:
            kept *= before / after
        assets = () if self._recheck is None else self.solution.assets
        if self._recheck is not None and np.array_equal(cut(weights, assets), self.solution.weights):
            mine = cut(kept, assets)
            proof = self._recheck(mine / (self._scale() or 1.0))
            cleaned = replace(self.solution, weights=mine.copy(), value=proof.value, gap=proof.gap, _prices=None)
            self._solution = replace(cleaned, status=proof.status or "bounded", tolerance=proof.tolerance)
        self.weights = kept
        return kept.copy()

    def regret(self, w: Any, *, as_held: bool = False) -> float:
        """Return per period that holding ``w`` gives away against the best portfolio, at most.

        The value of ``w`` against that of the last answer and its gap; worth as much as a return at that answer where
        the utility is in another unit. Weights that drift took off the budget or a limit are brought back first, so
        that what is invested beyond the fraction counts for nothing; infinite where ``w`` loses everything.

        Parameters
        ----------
        w : array-like of shape (N,)
            Weights held, in the order of the columns of the data.
        as_held : bool
            Count them as they are, off the budget and limits too: what whole shares leave in cash earns nothing.

        Raises
        ------
        PortfolioError
            If the last answer is no certified one of an objective with returns, or its data are gone.
        """
        if self._asked is None or self.solution.gap is None or not getattr(self, "takes_costs", False):
            raise PortfolioError(
                f"{type(self).__name__} has no certified answer in terms of returns; call optimize first"
            )
        problem, scale, best = self._asked.problem, self._scale() or 1.0, self.solution
        mine = cut(np.asarray(w, dtype=np.float64), best.assets)
        x, top = problem.lift(mine / scale), problem.lift(best.weights / scale)
        x = x if as_held else problem.bounds.repair(x)
        if not problem.in_domain(x):
            return math.inf
        worth = 1.0
        if isinstance(problem, ScenarioProblem) and not problem.loss.in_returns:
            at = problem.evaluate(top)
            worth = max(-float(at.risk.q @ at.slope), 1e-300)
        lost = problem.evaluate(x).value - (best.value - problem.offset) + float(best.gap or 0.0)
        return max(float(scale * lost / worth), 0.0)

    def _require_weights(self) -> FloatArray:
        if self.weights is None:
            raise NotFittedError(f"{type(self).__name__} has no weights yet; call optimize(data) first")
        return self.weights


def stand_in(value: Any) -> Hashable:
    """What stands for a parameter where problems are told apart."""
    try:
        hash(value)
    except TypeError:  # an array or a list stands for itself
        return id(value)
    return value  # type: ignore[no-any-return]
