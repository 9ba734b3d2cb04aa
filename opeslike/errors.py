"""Errors and warnings: every message names the culprit and says what to do."""

from __future__ import annotations

import logging
import sys
import warnings

#: What the package has to say.
logger = logging.getLogger("opeslike")


class OpesLikeError(Exception):
    """Base class of every error this package raises on purpose."""


class DataError(OpesLikeError, ValueError):
    """Prices, returns, dates or tickers cannot be used as they are."""


class PortfolioError(OpesLikeError, ValueError):
    """A parameter of a portfolio, strategy, backtest or chart is out of its range."""


class NotFittedError(PortfolioError, AttributeError):
    """Weights are asked for before anything was optimised."""


class OptimizationError(OpesLikeError, RuntimeError):
    """A strategy failed, or no solver reached a certified optimum."""


class TimeLimitError(OptimizationError):
    """The time limit ran out; the message says which gap was reached."""


class InfeasibleError(OptimizationError):
    """No weights satisfy the constraints (or keep wealth positive in every scenario)."""


class OutputError(OpesLikeError, OSError):
    """A result could not be written where it was asked to go."""


class OpesLikeWarning(UserWarning):
    """Base class of every warning this package issues."""


class RuinWarning(OpesLikeWarning):
    """Wealth reached zero during a backtest; what follows is flat at zero."""


class OfflineWarning(OpesLikeWarning):
    """Prices come from the cache because the network could not be reached."""


class DataWarning(OpesLikeWarning):
    """Prices that can be used look wrong: a split not adjusted, a spike, a price that has stopped moving."""


def warn(message: str, category: type[OpesLikeWarning] = OpesLikeWarning) -> None:
    """Issue a warning that names the first line outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("opeslike", "functools"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
