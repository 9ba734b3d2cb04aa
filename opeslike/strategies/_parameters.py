"""Checks of the parameters of rules and sizers; every message names the class and the parameter."""

from __future__ import annotations

from opeslike.checks import number as check_number
from opeslike.checks import whole as check_count
from opeslike.errors import PortfolioError


def check_whole(owner: object, name: str, *, low: int, optional: bool = False) -> None:
    """Refuse a parameter that is not a whole number of at least ``low``."""
    value = getattr(owner, name)
    if not (optional and value is None):
        check_count(f"{type(owner).__name__} {name}", value, low=low)


def check_real(
    owner: object,
    name: str,
    *,
    low: float = float("-inf"),
    high: float = float("inf"),
    above: bool = False,
    below: bool = False,
    optional: bool = False,
) -> None:
    """Refuse a parameter that is not a finite number in its range; ``above`` and ``below`` exclude the ends."""
    value = getattr(owner, name)
    if optional and value is None:
        return
    if isinstance(value, bool):
        raise PortfolioError(f"{type(owner).__name__} {name} must be a number, got {value!r}")
    check_number(f"{type(owner).__name__} {name}", value, low=low, high=high, open_low=above, open_high=below)


def check_flag(owner: object, name: str) -> None:
    """Refuse a parameter that is neither True nor False."""
    value = getattr(owner, name)
    if not isinstance(value, bool):
        raise PortfolioError(f"{type(owner).__name__} {name} must be True or False, got {value!r}")
