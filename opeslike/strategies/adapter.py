"""Adapter: one way to ask any strategy for its weights, and errors that name it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, final

import numpy as np
import pandas as pd

from opeslike import errors
from opeslike.errors import DataError, OpesLikeError, OptimizationError, PortfolioError, logger
from opeslike.market import FloatArray, Market, Rows, cut, describe, everyone, full, listing
from opeslike.modelling.bounds import parse_weight_bounds
from opeslike.strategies.feed import Feed
from opeslike.strategies.protocol import HOLD, State

CLEAN_THRESHOLD = 1e-8
#: keywords that hold a number an asset
_BY_ASSET = ("w", "held", "costs")


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
    min_history : int, optional
        Returns an asset must have had to be eligible; by default the window, or half the rows so far while there are
        fewer (or where there is no window).
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
        min_history: int | None = None,
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
        self._window, self._lag, self._min_history = window, lag, min_history
        self._all_assets = getattr(strategy, "all_assets", False) is True
        self.decisions: list[tuple[int, int, Rows | None]] = []
        """Step, rows it rested on and eligible columns (None: all) of each decision."""
        self.targets: list[FloatArray | None] = []
        """What each decision aimed for, shape (N,); None where the holdings were left alone."""
        self._among: Feed | None = None
        self.thin: str | None = None
        """Where newcomers first cost over a third of the rows, if they did."""
        self._market = not self._estimator and getattr(strategy, "accepts_market", False) is True
        self.reads: list[str] = [name for name in ("held", "costs", "state") if name in named]
        """What the strategy is told of the account: what decides with it cannot be replayed on another account."""
        self.needs_state = "state" in named
        uses_held = getattr(strategy, "uses_held", None)  # an objective says whether holdings make a difference to it
        self.cost_aware, self._takes_held = uses_held is True, "held" in named and uses_held is not False
        if uses_held is False:
            self.reads = [name for name in self.reads if name == "state"]
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
        self._step = 0
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
        strategy = self._strategy
        self._step = step
        with blaming(self.name, self._feed.closes, step):
            feed, source, start, stop, places = self._seen(step)
            if places is not None and not places.size:
                self.targets.append(np.zeros(self._shape))  # nothing may be held: all cash
                return self.targets[-1]
            assets = source.assets
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
                if places is not None:
                    keywords |= {name: cut(keywords[name], assets) for name in _BY_ASSET if name in keywords}
                    if not self._market and "weight_bounds" in keywords:
                        keywords["weight_bounds"] = _bounds_of(keywords["weight_bounds"], assets)
                if state is not None and self.needs_state:
                    keywords["state"] = self._state(state(), source, stop)
                data = source.window(start, stop) if self._market else feed.cut(start, stop)
                if places is not None and self._market:
                    data.longer = partial(self._feed.unequal, places, step - self._lag, self._window)
                answer = strategy.optimize(data, **keywords)
                if answer is HOLD:
                    if not self.needs_state:
                        raise OptimizationError("it returned HOLD; only a strategy that names state may")
                    self.targets.append(None)
                    return None
            weights = self._checked(answer, assets, places)
            if self._clean:
                own = getattr(strategy, "clean_weights", None)
                weights = self._checked(own(), assets, places) if callable(own) else clean(weights)
            solution = getattr(strategy, "solution", None)
        if self._solved is not None and solution is not None and hasattr(solution, "gap"):
            self._solved(step, solution)
        self.targets.append(weights)
        return weights

    def regret(self, held: FloatArray) -> float:
        """Return per period that the holdings give away against the last answer, at most.

        Raises
        ------
        PortfolioError
            If the strategy has no ``regret``; names it.
        """
        own = getattr(self._strategy, "regret", None)
        if not callable(own):
            raise PortfolioError(f"{self.name} proves no regret, so a trade cannot wait for it; leave rebalance out")
        with blaming(self.name, self._feed.closes, self._step):
            return float(own(held))

    def _seen(self, step: int) -> tuple[Feed, Market, int, int, Rows | None]:
        """What the strategy may see: a feed, its market, rows ``start..stop`` of both, and who is eligible."""
        feed = self._feed
        start, stop = feed.visible(step, self._lag, self._window)
        lives, last = feed.lives, stop - 1
        if lives is None:
            self.decisions.append((step, stop - start, None))
            return feed, self._source, start, stop, None
        wanted = self._min_history
        if wanted is None:
            wanted = stop // 2 if self._window is None or stop < self._window else self._window
        places = lives.eligible(last, wanted)
        if not places.size:
            if all(before is None or before.size for *_, before in self.decisions):  # told once
                logger.warning("%s on %s: no asset is eligible, all is cash", self.name, describe(feed.closes[step]))
            start = stop  # the decision rests on nothing
        elif not self._all_assets:
            if self._among is None or not np.array_equal(self._among.places, places):
                self._among = feed.among(places)
            feed, possible = self._among, stop - start
            assert feed.rows is not None
            stop = int(feed.rows.searchsorted(stop))
            start = 0 if self._window is None else max(0, stop - self._window)
            assets = feed.market.assets
            if stop == start:
                raise DataError(f"no return on which all {places.size} eligible assets have a price; raise min_history")
            if self.thin is None and 3 * (stop - start) < 2 * possible:
                known = lives.known[last, places]
                young = [f"{assets[i]} ({known[i]})" for i in known.argsort(kind="stable")[:3]]
                self.thin = (
                    f"{self.name} on {describe(feed.closes[step])}: {stop - start} of {possible} rows are left on "
                    f"which every eligible asset has a price; the fewest returns have {listing(young)}; a higher "
                    "min_history= leaves newcomers out for longer"
                )
        self.decisions.append((step, stop - start, places))
        return feed, self._source if feed is self._feed else feed.market, start, stop, places

    def _state(self, state: State, source: Market, stop: int) -> State:
        """The account as the owner of the eligible assets alone would know it."""
        if source is self._source:
            return state
        assets = source.assets
        ahead = state.calendar[state.row - self._lag :]
        weights = cut(state.weights, assets)
        return replace(
            state,
            weights=weights,
            elsewhere=float(state.weights.sum() - weights.sum()),
            asset_returns=source.returns[:stop],
            assets=assets,
            calendar=source.dates[:stop].append(ahead),
            row=stop + self._lag,
        )

    def _checked(self, answer: Any, assets: tuple[Any, ...], places: Rows | None) -> FloatArray:
        """Own copy of the weights as numbers in the order of the columns, zero where they may not be held."""
        everybody = self._feed.market.assets
        named = everybody if np.shape(answer) == self._shape else assets
        weights = full(_numbers(answer, named), assets)
        if weights.shape != self._shape:
            raise OptimizationError(f"its weights have shape {weights.shape}, but there are {len(assets)} assets")
        # A sum of squares is finite only if every term is; it is the cheapest test there is.
        if not math.isfinite(weights.dot(weights)):
            for asset, weight in zip(everybody, weights, strict=True):
                if not math.isfinite(weight):
                    raise OptimizationError(f"its weight of {asset} is {weight}")
            raise OptimizationError("its weights overflow when squared")
        if places is not None and np.count_nonzero(weights) > np.count_nonzero(weights[places]):
            place = np.setdiff1d(np.flatnonzero(weights), places)[0]
            raise OptimizationError(
                f"its weight of {everybody[place]} is {weights[place]:g}, which is not eligible: it has no price at "
                "the last close, or fewer returns than min_history"
            )
        return weights


@contextmanager
def blaming(name: str, closes: pd.Index, step: int) -> Iterator[None]:
    """Name the strategy and the date of P_step in any error that leaves the block; nothing is swallowed."""
    try:
        yield
    except Exception as error:
        where = f"{name} on {describe(closes[step])}"
        if isinstance(error, OpesLikeError):
            own = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
            raise own(f"{where}: {error}") from error
        raise OptimizationError(f"{where}: {type(error).__name__}: {error}") from error


def _bounds_of(bounds: Any, assets: tuple[Any, ...]) -> Any:
    """Weight bounds of the eligible assets, in the form they were given."""
    if isinstance(bounds, Mapping):
        return {asset: pair for asset, pair in bounds.items() if asset in assets or asset not in everyone(assets)}
    return bounds if np.ndim(bounds) == 1 else parse_weight_bounds(bounds, assets)


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
