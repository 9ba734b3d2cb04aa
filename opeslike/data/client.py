"""A source of bars that is asked with patience: retries, and once it is out of reach no further requests."""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final

import pandas as pd

from opeslike.data.cache import anchor
from opeslike.errors import DataError

logger = logging.getLogger(__name__)

_LONGEST_WAIT: Final = 60.0
# A network that is down seldom comes back within seconds; a rate limit does lift. Where packets vanish a single
# attempt can take a minute, because yfinance waits long for its cookie.
_FEWER_RETRIES: Final = 2
_PATIENCE: Final = 30.0

# Names of their own, so that tests need not wait.
_sleep: Callable[[float], None] = time.sleep
_clock: Callable[[], float] = time.monotonic


class NoDataError(Exception):
    """The source answered, and there are no prices."""


class OutageError(Exception):
    """The source did not answer, or not usefully, though asked several times: no other ticker need be tried."""


class RateLimitError(OutageError):
    """The source wants fewer requests, and will answer later."""


class AnswerError(OutageError):
    """The source sent what cannot be read; of another ticker it may send better."""


class Client(ABC):
    """Where bars come from when the cache does not have them.

    Parameters
    ----------
    name : str
        What the source is called in messages.
    retries : int
        How often a request is repeated after a rate limit; otherwise twice at most.
    timeout : float
        Seconds to wait for one answer.

    Raises
    ------
    DataError
        ``retries`` or ``timeout`` out of its range.
    """

    earliest: ClassVar[pd.Timestamp]  # nothing at the source is older

    def __init__(self, name: str, retries: int, timeout: float) -> None:
        if not isinstance(retries, int) or retries < 0:
            raise DataError(f"retries={retries!r}: give a whole number >= 0")
        if not timeout > 0:
            raise DataError(f"timeout={timeout!r}: give seconds > 0")
        self.name, self._retries, self._timeout, self._down = name, retries, timeout, ""

    @abstractmethod
    def ask(self, ticker: str, start: pd.Timestamp, interval: str) -> tuple[pd.DataFrame, str]:
        """Ask once: all bars from a day until now, the last maybe unfinished, and their time zone."""

    @abstractmethod
    def diagnose(self, error: Exception) -> NoDataError | OutageError:
        """Tell from an exception what is wrong."""

    @abstractmethod
    def expected(self) -> tuple[type[Exception], ...]:
        """Return the exceptions that :meth:`diagnose` can make sense of."""

    def forget(self) -> None:  # noqa: B027 - few have anything to forget
        """Drop what the library remembers of bad answers."""

    def fetch(self, ticker: str, start: pd.Timestamp | None, interval: str) -> tuple[pd.DataFrame, str]:
        """Return all bars from ``start`` (None: all there are) until now, and their time zone.

        The last bar may be unfinished. Raises NoDataError or OutageError.
        """
        if self._down:
            raise OutageError(self._down)
        expected, first = self.expected(), anchor(self.earliest if start is None else start, interval)
        attempt, begun = 0, _clock()
        while True:
            try:
                return self.ask(ticker, first, interval)
            except expected as error:
                trouble, retries = self.diagnose(error), self._retries
                if not isinstance(trouble, RateLimitError):
                    retries = min(retries, _FEWER_RETRIES if _clock() < begun + _PATIENCE else 0)
                if attempt >= retries or isinstance(trouble, NoDataError):
                    self._down = "" if isinstance(trouble, (NoDataError, AnswerError)) else str(trouble)
                    raise trouble from error
                wait = min(2.0**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.5)
                logger.info("%s: %s; again in %.1f s", ticker, trouble, wait)
                _sleep(wait)
                self.forget()
                attempt += 1
