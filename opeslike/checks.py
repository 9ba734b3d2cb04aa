"""Checks of parameters, and annual rates turned into rates per period: each in one place."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opeslike.errors import PortfolioError

#: Periods a year beyond which no calendar goes; rates per period would overflow long before.
PERIODS = (1e-3, 1e9)


def is_number(value: Any) -> bool:
    """Whether something is one finite number (True and False are none)."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """Check a finite number in ``[low, high]``; ``above`` excludes ``low``.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    if not is_number(value) or not low <= value <= high or (above and value == low):
        least = f" {'above' if above else 'of at least'} {low:g}" if low > -math.inf else ""
        most = f"{' and' if least else ' of'} at most {high:g}" if high < math.inf else ""
        raise PortfolioError(f"{name} must be a finite number{least}{most}, got {value!r:.80}")
    return float(value)


def integer(name: str, value: Any, low: int) -> int:
    """Check a whole number of at least ``low``.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise PortfolioError(f"{name} must be an integer of at least {low}, got {value!r:.80}")
    return int(value)


def flag(name: str, value: Any) -> None:
    """Check that a parameter is True or False.

    Raises
    ------
    PortfolioError
        Naming the parameter.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise PortfolioError(f"{name} must be True or False, got {value!r:.80}")


def per_period(annual: ArrayLike, periods_per_year: float) -> NDArray[np.float64]:
    """Rate per period of an annual rate above -1: ``(1 + annual) ** (1 / periods_per_year) - 1``, a fraction."""
    return np.asarray(np.expm1(np.log1p(annual) / periods_per_year))
