"""Strategies made of a strategy: a fraction of it, the last rows alone, parameters chosen on the past."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np
import pandas as pd

from opeslike.errors import DataError, PortfolioError
from opeslike.evidence.samples import STATISTICS
from opeslike.market import FloatArray, Market, infer_kind, read_panel
from opeslike.parameters import Count, Parameters, Positive
from opeslike.strategies.protocol import HOLD

#: What the adapter asks of a strategy beside its weights, and is told by the one inside.
_FORWARDED = ("accepts_market", "all_assets", "uses_held", "solution")


@dataclass(repr=False)
class Wrapper(Parameters):
    """A strategy around another, which is asked with the keywords that its own signature names.

    Parameters
    ----------
    strategy : object or str
        A strategy, or the name of one in the same study or comparison.
    """

    strategy: Any

    @property
    def optimize(self) -> Callable[..., Any]:
        """As that of the strategy inside, signature and all."""
        ask = asking(self.strategy)
        return functools.wraps(ask)(functools.partial(self._answer, ask))

    def _answer(self, ask: Callable[..., Any], data: Any, **keywords: Any) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name not in _FORWARDED or (name == "accepts_market" and not hasattr(self.strategy, "optimize")):
            raise AttributeError(name)
        return getattr(self.strategy, name)

    def resolved(self, known: Mapping[str, Any], trail: tuple[str, ...] = ()) -> Self:
        """The same around the strategies that names stand for.

        Raises
        ------
        PortfolioError
            If there is no strategy of a name, or the names run in a circle.
        """
        inner = self.strategy
        if isinstance(inner, str):
            if inner not in known or inner in trail:
                there = ", ".join(map(repr, known))
                why = "leads back to itself" if inner in trail else f"is no strategy here; there are {there}"
                raise PortfolioError(f"{type(self).__name__}({inner!r}): {inner!r} {why}")
            trail, inner = (*trail, inner), known[inner]
            if not isinstance(self, Fraction):  # which only scales what was found, so both may be one object
                inner = copy.deepcopy(inner)
        return replace(self, strategy=inner.resolved(known, trail) if isinstance(inner, Wrapper) else inner)


@final
@dataclass(repr=False)
class Fraction(Wrapper):
    """Hold ``fraction`` times what a strategy holds, the rest in cash.

    In a study or comparison it costs no solve beside the strategy itself, unless that looks at what is held.

    Parameters
    ----------
    strategy : object or str
        A strategy, or the name of one in the same study.
    fraction : float
        Above 0; above 1 borrows.

    Raises
    ------
    PortfolioError
        If the fraction is not above 0.

    Examples
    --------
    >>> class Everything:
    ...     def optimize(self, data):
    ...         return [0.5, 0.5]
    >>> Fraction(Everything(), 0.5).optimize(None).tolist()
    [0.25, 0.25]
    """

    fraction: Positive = 0.5

    def _answer(self, ask: Callable[..., Any], data: Any, **keywords: Any) -> Any:
        for name in ("w", "held"):
            if keywords.get(name) is not None:
                keywords[name] = keywords[name] / self.fraction
        answer = ask(data, **keywords)
        return answer if answer is HOLD else self.fraction * scalable(answer)

    def shared(self) -> tuple[Hashable, float] | None:
        """Key of the problem and the multiple of its answer, see :meth:`opeslike.objectives.base.Optimizer.shared`."""
        found = shared_solve(self.strategy)
        return None if found is None else (found[0], self.fraction * found[1])


@final
@dataclass(repr=False)
class Windowed(Wrapper):
    """Let a strategy see the last ``window`` returns alone, as ``Backtester.backtest(window=)`` does for all.

    Parameters
    ----------
    strategy : object or str
        A strategy, or the name of one in the same study.
    window : int
        At least 1.

    Raises
    ------
    PortfolioError
        If the window is not a whole number of at least 1.
    """

    window: Count = 252

    def _answer(self, ask: Callable[..., Any], data: Any, **keywords: Any) -> Any:
        return ask(_rows(data, -self.window, None), **keywords)

    def shared(self) -> tuple[Hashable, float] | None:
        """Key of the problem and the multiple of its answer."""
        hook = getattr(self.strategy, "shared", None)
        found = hook() if callable(hook) else None
        return None if found is None else ((Windowed, self.window, found[0]), found[1])


@final
@dataclass(repr=False)
class Tuned(Wrapper):
    r"""Choose the parameters of a strategy inside the walk, on the past alone.

    Whenever ``every`` returns have passed, each candidate walks over the last ``lookback`` returns (at most half of
    those seen): every ``step`` returns it is asked anew with the data up to there, and holds its answer, traded back
    to daily and before costs, over the next ones, which it has not seen. The one with the highest score decides
    until the next choice; ties go to the first. Such scores are as noisy as any backtest of that length, see
    :func:`~opeslike.evidence.years_to_resolve`.

    Parameters
    ----------
    strategy : object or str
        A strategy with ``set_params``, or the name of one in the same study.
    grid : mapping of parameter to values
        Nested parameters as ``mandate__leverage``; every combination is a candidate.
    every : int
        Returns between two choices.
    score : {"growth", "sharpe", "mean", "volatility"} or callable
        Of the candidate's past returns, shape (lookback,); the highest wins (of volatility the lowest).
    lookback, step : int

    Attributes
    ----------
    choices : list of dict
        ``date``, the parameters chosen and their ``score``, one a choice of the last walk.

    Raises
    ------
    PortfolioError
        If the grid is empty, a parameter unknown or out of its range, or the strategy reads ``state``.
    DataError
        If fewer than ``2 * step`` returns are there to choose on.
    """

    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    every: Count = 252
    score: str | Callable[[FloatArray], float] = "growth"
    lookback: Count = 504
    step: Count = 21

    def __post_init__(self) -> None:
        """Check the parameters and make the candidates."""
        super().__post_init__()
        if not self.grid or not all(len(values) for values in self.grid.values()):
            raise PortfolioError("Tuned grid needs values to choose from, such as {'radius': [0.01, 0.05]}")
        if not callable(self.score) and self.score not in STATISTICS:
            raise PortfolioError(f"Tuned score={self.score!r} must be one of {', '.join(STATISTICS)}, or a function")
        self.choices: list[dict[str, Any]] = []
        self._chosen: Any = None
        self._candidates: list[tuple[dict[str, Any], Any]] = []
        if isinstance(self.strategy, str):
            return
        if not hasattr(self.strategy, "set_params"):
            raise PortfolioError(f"Tuned needs a strategy with set_params, which {self.strategy!r} has not")
        if "state" in inspect.signature(asking(self.strategy)).parameters:
            raise PortfolioError(f"{self.strategy!r} reads the state of its account, which a trial on the past has not")
        for values in itertools.product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            self._candidates.append((chosen, copy.deepcopy(self.strategy).set_params(**chosen)))

    @property
    def optimize(self) -> Callable[..., Any]:
        """As that of the strategy inside; ``w``, absent at the first decision of a walk, tells that one begins."""
        ask = super().optimize
        own = inspect.signature(ask)
        if "w" not in own.parameters:
            last = inspect.Parameter("w", inspect.Parameter.KEYWORD_ONLY, default=None)
            vars(ask)["__signature__"] = own.replace(parameters=[*own.parameters.values(), last])
        return ask

    def _answer(self, ask: Callable[..., Any], data: Any, **keywords: Any) -> Any:
        market = data if isinstance(data, Market) else Market.from_data(data)
        if keywords.get("w") is None:
            self.choices = []
        seen = market.dates > self.choices[-1]["date"] if self.choices else None
        if seen is None or int(seen.sum()) >= self.every:
            scores = [self._trial(candidate, data, market, keywords) for _, candidate in self._candidates]
            best = int(np.argmax(scores))
            self._chosen = self._candidates[best][1]
            self.choices.append({"date": market.dates[-1], **self._candidates[best][0], "score": scores[best]})
        chosen = asking(self._chosen)
        if "w" not in inspect.signature(chosen).parameters:
            keywords.pop("w", None)
        return chosen(data, **keywords)

    def _trial(self, candidate: Any, data: Any, market: Market, keywords: Mapping[str, Any]) -> float:
        """Score of one candidate on the returns before now; none is needed where there is no other."""
        if len(self._candidates) == 1:
            return math.nan
        returns, rows = market.returns, market.n_scenarios
        length = min(self.lookback, rows // 2)
        if length < self.step:
            raise DataError(f"Tuned has {rows} returns to choose on and needs {2 * self.step}; train on more")
        given = {name: value for name, value in keywords.items() if name in ("weight_bounds", "seed", "costs")}
        asked, held = asking(copy.deepcopy(candidate)), np.zeros(market.n_assets)
        warm = "w" in inspect.signature(asked).parameters
        earned: list[FloatArray] = []
        for start in range(rows - length, rows, self.step):
            if "held" in keywords:
                given["held"] = held
            if warm and earned:
                given["w"] = held
            held = np.asarray(asked(_rows(data, 0, start), **given), dtype=np.float64)
            earned.append(returns[start : start + self.step] @ held)
        past = np.maximum(np.concatenate(earned), -1.0)
        if callable(self.score):
            return float(self.score(past))
        value = float(STATISTICS[self.score].function(past[:, None])[0][0])
        return -math.inf if math.isnan(value) else -value if self.score == "volatility" else value

    def __getattr__(self, name: str) -> Any:
        if name == "solution" and self._chosen is not None:
            return self._chosen.solution
        return super().__getattr__(name)


def scalable(answer: Any) -> Any:
    """A copy of weights that can be multiplied, with their labels if they have any."""
    if isinstance(answer, (Mapping, pd.Series)):
        return pd.Series(answer, dtype=np.float64, copy=True)
    return np.array(answer, dtype=np.float64)


def shared_solve(strategy: Any) -> tuple[Hashable, float] | None:
    """Key of what a strategy solves and the multiple it holds; itself where it asks nothing of its account."""
    hook = getattr(strategy, "shared", None)
    if callable(hook):
        found: tuple[Hashable, float] | None = hook()
        return found
    named = inspect.signature(asking(strategy)).parameters
    alone = "state" not in named and ("held" not in named or getattr(strategy, "uses_held", None) is False)
    return (("object", id(strategy)), 1.0) if alone else None


def scale_of(strategy: Any) -> float:
    """The multiple of a portfolio that a strategy holds, the rest in cash."""
    found = shared_solve(strategy)
    return 1.0 if found is None or not found[1] else found[1]


def resolved(strategies: Mapping[str, Any]) -> dict[str, Any]:
    """Strategies whose names of others have become those others."""
    return {
        name: one.resolved(strategies, (name,)) if isinstance(one, Wrapper) else one for name, one in strategies.items()
    }


def asking(strategy: Any) -> Callable[..., Any]:
    """The function that gives a strategy's weights; that of an estimator takes what the adapter gives to any other."""
    if isinstance(strategy, str):
        raise PortfolioError(f"{strategy!r} names a strategy of a study: use it in one, or give the strategy itself")
    if hasattr(strategy, "optimize"):
        return strategy.optimize  # type: ignore[no-any-return]

    def fit(data: Any) -> Any:
        market = data if isinstance(data, Market) else Market.from_data(data)
        return strategy.fit(pd.DataFrame(market.returns, market.dates, list(market.assets))).weights_

    return fit


def _rows(data: Any, start: int, stop: int | None) -> Any:
    """Returns ``start..stop`` of data in the format they are in (one more row for prices)."""
    if not isinstance(data, Market):
        more = int(infer_kind(read_panel(data)) == "prices")
        count = len(data) - more
        first, last, _ = slice(start, stop).indices(count)
        return data[first : last + more] if isinstance(data, np.ndarray) else data.iloc[first : last + more]
    first, last, _ = slice(start, stop).indices(data.n_scenarios)
    view = data.window(first, last)
    if (longer := data.longer) is not None:
        beyond = data.n_scenarios - last

        def cut() -> tuple[FloatArray, pd.Index]:
            returns, dates = longer()
            end = len(returns) - beyond
            return returns[max(0, end - (last - first)) : end], dates[max(0, end - (last - first)) : end]

        view.longer = cut
    return view
