"""Groups, exposures and limits by name in the words of the user, as rows of numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from opeslike.checks import REST
from opeslike.errors import DataError, PortfolioError
from opeslike.market import Eligible, FloatArray, Market, describe, everyone


def grouped(
    groups: Any, limits: Any, assets: Sequence[Hashable]
) -> Iterator[tuple[str, FloatArray, tuple[float, float]]]:
    """Name, row and limits of each limited group."""
    if groups is None:
        return
    members: dict[Hashable, set[Hashable]] = {}
    if isinstance(groups, pd.Series):
        for ticker, name in groups.dropna().items():
            members.setdefault(name, set()).add(ticker)
    else:
        for key, value in groups.items():
            listed = not isinstance(value, str) and np.iterable(value)
            for name, ticker in [(key, one) for one in value] if listed else [(value, key)]:
                members.setdefault(name, set()).add(ticker)
        unknown = [str(ticker) for ticker in set().union(*members.values()) if ticker not in everyone(assets)]
        if unknown:
            raise PortfolioError(f"groups name {', '.join(sorted(unknown))}, not among the assets")
    for name, pair in selected("group_bounds", limits, members):
        row = np.array([float(asset in members[name]) for asset in assets])
        if row.any() or not isinstance(assets, Eligible):  # a group without an eligible member is not limited
            yield f"group {name}", row, pair


def exposed(exposures: Any, limits: Any, market: Market) -> Iterator[tuple[str, FloatArray, tuple[float, float]]]:
    """Name, row and limits of each limited exposure."""
    if exposures is None:
        return
    table = pd.DataFrame(exposures)
    if table.index.nlevels == 2:
        dates, last = table.index.get_level_values(0), market.dates[-1]
        past = dates[dates <= last]
        if past.empty:
            raise DataError(f"exposures begin on {describe(dates.min())}, after {describe(last)}; give earlier ones")
        table = table.loc[past.max()]
    missing = [str(asset) for asset in market.assets if asset not in table.index]
    if missing:
        raise PortfolioError(f"exposures lack {', '.join(missing)}; give one row an asset")
    for factor, pair in selected("exposure_bounds", limits, table.columns):
        row = table[factor].reindex(list(market.assets)).to_numpy(dtype=np.float64)
        if not np.isfinite(row).all():
            asset = market.assets[int(np.argmin(np.isfinite(row)))]
            raise PortfolioError(f"the exposure of {asset} to {factor} is not finite")
        yield f"exposure {factor}", row, pair


def with_rest(bounds: Any, assets: Sequence[Hashable]) -> Any:
    """Bounds in which "*" is written out."""
    if not isinstance(bounds, Mapping):
        return bounds
    rest = dict.fromkeys(assets, bounds[REST]) if REST in bounds else {}
    return {**rest, **{ticker: pair for ticker, pair in bounds.items() if ticker != REST}}


def pairs(name: str, limits: Any) -> dict[Hashable, tuple[float, float]]:
    """Read limits by name: pairs of numbers, None for an open side.

    Raises
    ------
    PortfolioError
        Naming the limit.
    """
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise PortfolioError(f"{name} must map a name to a pair (low, high), got {limits!r}")
    read = {}
    for key, pair in limits.items():
        try:
            low, high = pair
            low, high = -np.inf if low is None else float(low), np.inf if high is None else float(high)
        except (TypeError, ValueError):
            raise PortfolioError(f"{name} of {key} must be a pair (low, high), got {pair!r}") from None
        if not low <= high:
            raise PortfolioError(f"{name} of {key}: the lower bound {low:g} is not below the upper {high:g}")
        read[key] = (low, high)
    return read


def selected(name: str, limits: Any, known: Any) -> Iterator[tuple[Hashable, tuple[float, float]]]:
    """What is limited, with its limits; "*" stands for what is not named.

    Raises
    ------
    PortfolioError
        If a name is unknown.
    """
    given = pairs(name, limits)
    for key in given:
        if key not in known and key != REST:
            raise PortfolioError(f"{name} has {key!r}, which is none of {', '.join(map(str, known))}")
    for key in known:
        if key in given or REST in given:
            yield key, given.get(key, given.get(REST, (-np.inf, np.inf)))
