"""How long an optimisation may take: set once where it starts, asked by every loop.

The deadline travels with the context (:mod:`contextvars`), not through forty signatures, so threads and nested
optimisations each have their own; a nested one never has longer than the one around it. Loops that hold an answer stop
where :func:`passed`, and the caller judges what they found; loops without one :func:`check`, which raises.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opeslike.errors import TimeLimitError

_limit: ContextVar[tuple[float, float]] = ContextVar("limit", default=(math.inf, math.inf))


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Give what runs inside ``seconds`` from now, or what is left of the time around it; None adds no limit."""
    outer = _limit.get()
    end = math.inf if seconds is None else time.monotonic() + seconds
    token = _limit.set(outer if outer[0] <= end else (end, float(seconds or 0.0)))
    try:
        yield
    finally:
        _limit.reset(token)


def remaining() -> float:
    """Seconds left, not negative; infinite without a limit."""
    return max(_limit.get()[0] - time.monotonic(), 0.0)


def passed() -> bool:
    """Whether the time is up."""
    return time.monotonic() > _limit.get()[0]


def check(gap: float | None = None) -> None:
    """Raise where the time is up.

    Parameters
    ----------
    gap : float, optional
        The certified gap of the best answer so far, for the message.

    Raises
    ------
    TimeLimitError
        Saying what was reached.
    """
    if passed():
        reached = "no certified answer" if gap is None or not math.isfinite(gap) else f"a gap of {gap:.1e}"
        seconds = _limit.get()[1]
        raise TimeLimitError(f"the time limit of {seconds:g} s ran out with {reached}; raise time_limit")


def options(solver: str) -> dict[str, Any]:
    """The option that limits a solver of cvxpy or SciPy ("HIGHS") to what is left; empty where it has none."""
    name = {"CLARABEL": "time_limit", "SCS": "time_limit_secs", "HIGHS": "time_limit", "OSQP": "time_limit"}.get(solver)
    left = remaining()
    return {} if name is None or math.isinf(left) else {name: max(left, 1e-3)}
