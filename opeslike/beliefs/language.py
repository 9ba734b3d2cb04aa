"""The little language of views: ``"mean(AAPL) - mean(MSFT)": ">= 0.02"``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple

from opeslike.errors import PortfolioError

_TERM = re.compile(
    r"\s*([+-]?)\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)\s*\*?)?\s*(\w+)\s*\(([^()]*)\)\s*", re.IGNORECASE
)
_LIMIT = re.compile(r"\s*(<=|>=|==|=)\s*(\S+)\s*")
#: how many assets a measure takes, and its level in percent where it has one
_MEASURES = {"mean": (1, None), "vol": (1, None), "corr": (2, None), "quantile": (1, 5.0), "cvar": (1, 95.0)}


class View(NamedTuple):
    """The sum of ``factors`` times ``measure`` of ``assets`` is (0), is at least (1) or at most (-1) ``value``."""

    text: str
    measure: str
    factors: tuple[float, ...]
    assets: tuple[str, ...]
    level: float
    relation: int
    value: float


def read_views(views: Any) -> list[View]:
    """Read views.

    Raises
    ------
    PortfolioError
        Naming the view, where one is not understood.
    """
    if not isinstance(views, Mapping):
        raise PortfolioError(f"views={views!r} must be a dict, such as {{'mean(AAPL)': 0.12, 'vol(JPM)': '<= 0.25'}}")
    for key, value in views.items():
        if not isinstance(value, (str, Real)) or isinstance(value, bool):
            raise PortfolioError(f"view {key}: {value!r} is no number, nor text such as '<= 0.25'")
    return [_read(key, value) for key, value in views.items()]


@lru_cache(maxsize=1024)
def _read(key: Any, value: Any) -> View:
    measure, terms = _terms(key)
    text, (relation, number) = f"{key}: {value!r}", _limit(value)
    factors, arguments = zip(*terms, strict=True)
    count, level = _MEASURES[measure]
    assets = [asset for argument in arguments for asset in argument]
    if level is not None:
        try:
            level = float(assets[1]) if len(assets) == 2 else level
        except ValueError:
            level = math.nan
        if not 0 < level < 100:
            raise PortfolioError(f"view {text}: the level must be a percentage, above 0 and below 100")
        assets = assets[:1] if len(assets) <= 2 else assets
    wanted = count if measure != "mean" else len(terms)
    if len(assets) != wanted or not all(assets) or (measure != "mean" and factors != (1.0,)):
        raise PortfolioError(
            f"view {text}: {measure} takes {count} ticker{'s' * (count > 1)}; only means are added and multiplied"
        )
    if not math.isfinite(number) or (measure == "vol" and number <= 0) or (measure == "corr" and abs(number) >= 1):
        raise PortfolioError(f"view {text}: {number:g} is no possible {measure}")
    return View(text, measure, factors, tuple(assets), level or 0.0, relation, number)


def _terms(key: Any) -> tuple[str, list[tuple[float, list[str]]]]:
    """Measure, and factor and arguments of each term."""
    terms, names, end = list[tuple[float, list[str]]](), set[str](), 0
    while isinstance(key, str) and end < len(key):
        found = _TERM.match(key, end)
        if found is None or (terms and not found[1]) or found[3].lower() not in _MEASURES:
            break
        names.add(found[3].lower())
        arguments = [part.strip() for part in found[4].split(",")]
        terms.append(((-1.0 if found[1] == "-" else 1.0) * float(found[2] or 1.0), arguments))
        end = found.end()
    if not terms or end < len(key) or len(names) > 1:
        raise PortfolioError(
            f"view {key!r} is not understood; write mean(A), vol(A), corr(A, B), quantile(A, 5), cvar(A, 95) or "
            "a sum of means, such as mean(A) - 0.5 mean(B)"
        )
    return names.pop(), terms


def _limit(value: Any) -> tuple[int, float]:
    """Relation and number of a value: 0.12, "<= 0.25"."""
    found = _LIMIT.fullmatch(value) if isinstance(value, str) else None
    sign, number = found.groups() if found else ("=", value)
    try:
        return {"<": -1, ">": 1, "=": 0}[sign[0]], float(number)
    except (TypeError, ValueError) as error:
        raise PortfolioError(f"a view is a number, or text such as '<= 0.25'; got {value!r}") from error
