"""Adapter: one way to ask any strategy for its weights, and errors that name it."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, final

import numpy as np
import pandas as pd

from opeslike import errors
from opeslike.errors import OpesLikeError, OptimizationError, PortfolioError
from opeslike.market import FloatArray, Market, describe
from opeslike.strategies.feed import Feed
from opeslike.strategies.protocol import HOLD, State

logger = logging.getLogger("opeslike")

CLEAN_THRESHOLD = 1e-8


@final
class StrategyAdapter:
    """Ask one strategy for its weights, step by step.

    Parameters
    ----------
    strategy : object
        With ``optimize(data, ...)``, or an estimator with ``fit(returns)`` and ``weights_``.
    feed : Feed
    weight_bounds : tuple, optional
        Passed on where the signature names it.
    clean : bool
        Set positions below 1e-8 to zero, keeping the sum (by the strategy's own ``clean_weights`` if it has one).
    seed : int or None
        Passed on where the signature names it.
    window : int or None
        Returns in the data; None for all.
    lag : int
        Execution lag in steps.
    costs : callable, optional
        Gives the account's expected costs of trading, shape (N,), basis points; passed on where the signature names
        ``costs``.
    solved : callable, optional
        Called with the step and each ``solution`` that the strategy keeps.

    Raises
    ------
    PortfolioError
        If the strategy is a class, or has neither ``optimize`` nor ``fit``.
    """

    def __init__(
        self,
        strategy: Any,
        feed: Feed,
        *,
        weight_bounds: Any = None,
        clean: bool = False,
        seed: int | None = None,
        window: int | None = None,
        lag: int = 1,
        costs: Callable[[], FloatArray] | None = None,
        solved: Callable[[int, Any], None] | None = None,
    ) -> None:
        if inspect.isclass(strategy):
            name = strategy.__name__
            raise PortfolioError(f"{name} is a class, not a strategy; pass an instance: {name}()")
        own = getattr(strategy, "name", None)
        self.name = own if isinstance(own, str) and own.strip() else type(strategy).__name__
        written = repr(strategy)
        self.label = self.name if " object at 0x" in written else written
        if callable(getattr(strategy, "optimize", None)):
            named = _keywords(strategy.optimize)
            self._estimator = False
        elif callable(getattr(strategy, "fit", None)):
            named = {}
            self._estimator = True
        else:
            raise PortfolioError(
                f"{self.name} is not a strategy: it needs optimize(data) that returns weights, "
                "or fit(returns) that sets weights_"
            )
        self._strategy = strategy
        self._feed = feed
        self._clean = clean
        self._window, self._lag = window, lag
        self._market = not self._estimator and getattr(strategy, "accepts_market", False) is True
        self.needs_state = "state" in named
        uses_held = getattr(strategy, "uses_held", None)  # an objective says whether holdings make a difference to it
        self.cost_aware, self._takes_held = uses_held is True, "held" in named and uses_held is not False
        self._takes_w = "w" in named
        self._w_required = self._takes_w and named["w"] is inspect.Parameter.empty
        self._keywords: dict[str, Any] = {"seed": seed} if "seed" in named else {}
        if costs is not None and "costs" in named and uses_held is not False:
            self._keywords["costs"] = costs()
        if weight_bounds is not None:
            if "weight_bounds" in named:
                self._keywords["weight_bounds"] = weight_bounds
            else:
                logger.warning("%s does not take weight_bounds: they are ignored", self.name)
        self._solved = solved
        self._blame = _Blame(self.name, feed)
        self._shape = (feed.market.n_assets,)
        # Running moments belong to one run: runs may share a feed across threads.
        self._source = Market(feed.market.returns, feed.market.assets, feed.market.dates)

    def __call__(
        self,
        step: int,
        last: FloatArray | None,
        held: Callable[[], FloatArray] | None = None,
        state: Callable[[], State] | None = None,
    ) -> FloatArray | None:
        """Weights to aim for from step ``step`` on, shape (N,); None to leave the holdings alone.

        None stands for the strategy's :data:`~opeslike.strategies.protocol.HOLD`, which only strategies that name
        ``state`` may return.

        Parameters
        ----------
        step : int
        last : ndarray or None
            The last target, passed as ``w`` where the signature names it (not at the first call, unless ``w`` has no
            default: then it is None).
        held : callable
            Gives the holdings as of the last close in the data; called only where the signature names ``held``.
        state : callable
            Makes the :class:`State`; called only where the signature names it.

        Raises
        ------
        OptimizationError
            If the strategy raises or its weights cannot be used; an error of this package keeps its class. The message
            names strategy, date and cause.
        """
        strategy, feed = self._strategy, self._feed
        start, stop = feed.visible(step, self._lag, self._window)
        self._blame.step = step
        with self._blame:
            if self._estimator:
                strategy.fit(feed.returns_frame(start, stop))
                if not hasattr(strategy, "weights_"):
                    raise OptimizationError("fit() left no weights_")
                answer = strategy.weights_
            else:
                keywords = dict(self._keywords)
                if self._takes_w and (last is not None or self._w_required):
                    keywords["w"] = last
                if held is not None and self._takes_held:
                    keywords["held"] = held()
                if state is not None and self.needs_state:
                    keywords["state"] = state()
                data = self._source.window(start, stop) if self._market else feed.cut(start, stop)
                answer = strategy.optimize(data, **keywords)
                if answer is HOLD:
                    if not self.needs_state:
                        raise OptimizationError("it returned HOLD; only a strategy that names state may")
                    return None
            weights = self._checked(answer)
            if self._clean:
                own = getattr(strategy, "clean_weights", None)
                weights = self._checked(own()) if callable(own) else clean(weights)
            solution = getattr(strategy, "solution", None)
        if self._solved is not None and solution is not None and hasattr(solution, "gap"):
            self._solved(step, solution)
        return weights

    def _checked(self, answer: Any) -> FloatArray:
        """Own copy of the weights as numbers in the order of the columns."""
        weights = _numbers(answer, self._feed.market.assets)
        if weights.shape != self._shape:
            raise OptimizationError(f"its weights have shape {weights.shape}, but there are {self._shape[0]} assets")
        # A sum of squares is finite only if every term is; it is the cheapest test there is.
        if not math.isfinite(weights.dot(weights)):
            for asset, weight in zip(self._feed.market.assets, weights, strict=True):
                if not math.isfinite(weight):
                    raise OptimizationError(f"its weight of {asset} is {weight}")
            raise OptimizationError("its weights overflow when squared")
        return weights


@final
class _Blame:
    """Name the strategy and the date in any error that leaves the block; nothing is swallowed."""

    def __init__(self, name: str, feed: Feed) -> None:
        self._name, self._feed, self.step = name, feed, 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not isinstance(error, Exception):
            return
        where = f"{self._name} on {describe(self._feed.closes[self.step])}"
        if isinstance(error, OpesLikeError):
            own = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
            raise own(f"{where}: {error}") from error
        raise OptimizationError(f"{where}: {type(error).__name__}: {error}") from error


def _numbers(answer: Any, assets: tuple[Any, ...]) -> FloatArray:
    if type(answer) is not np.ndarray:
        if answer is None:
            raise OptimizationError("it returned None instead of weights")
        if isinstance(answer, Mapping):
            answer = pd.Series(answer)
        if isinstance(answer, pd.Series) and not _positional(answer, assets):
            answer = _by_name(answer, assets)
    try:
        return np.array(answer, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptimizationError(f"its weights are not numbers: {error}") from error


def clean(weights: FloatArray, threshold: float = CLEAN_THRESHOLD) -> FloatArray:
    """Set positions smaller than the threshold to zero and rescale to the old sum.

    Longs and shorts that offset each other have no sum to keep; they are not rescaled.
    """
    kept = np.where(np.abs(weights) < threshold, 0.0, weights)
    before, after = float(weights.sum()), float(kept.sum())
    offset = abs(after) <= 1e-6 * float(np.abs(kept).sum())
    return kept if offset else kept * (before / after)


def _keywords(method: Callable[..., Any]) -> dict[str, Any]:
    """Names and defaults of the keywords a method declares."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except ValueError:  # built in C without a signature: it takes the data alone
        return {}
    return {p.name: p.default for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _positional(series: pd.Series, assets: tuple[Any, ...]) -> bool:
    return isinstance(series.index, pd.RangeIndex) and set(series.index) != set(assets)


def _by_name(series: pd.Series, assets: tuple[Any, ...]) -> pd.Series:
    lacking = [str(a) for a in assets if a not in series.index]
    extra = [str(a) for a in series.index if a not in set(assets)]
    if lacking or extra or not series.index.is_unique:
        if lacking:
            raise OptimizationError(f"its weights lack {', '.join(lacking)}")
        raise OptimizationError(f"its weights name {', '.join(extra) or 'a ticker twice'}, not among the assets")
    return series.loc[list(assets)]
