"""Trading in the words of the user: what it costs, and how much of it there may be."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from opeslike.checks import FloatArray, by_asset, positive
from opeslike.errors import PortfolioError

#: instead of costs: those that the account of a backtest expects
ACCOUNT = "account"
_BASIS_POINT = 1e-4


def check_amounts(name: str, value: Any) -> None:
    """Check numbers of at least 0: one, or one an asset.

    Raises
    ------
    PortfolioError
        Naming the parameter, and the asset where there is one.
    """
    if isinstance(value, Mapping) or hasattr(value, "items"):
        for key, one in value.items():
            positive(f"{name} of {key}", one, zero=True)
    elif np.ndim(value) == 0:
        positive(name, value, zero=True)
    else:
        for i, one in enumerate(value):
            positive(f"{name}[{i}]", one, zero=True)


def sides(costs: Any) -> tuple[Any, Any]:
    """Costs of buying and of selling, which a mapping of "buy" and "sell" tells apart; a side left out is free."""
    if isinstance(costs, Mapping) and costs and set(costs) <= {"buy", "sell"}:
        return costs.get("buy", 0.0), costs.get("sell", 0.0)
    return costs, costs


def check_costs(costs: Any) -> None:
    """Check costs in any of their forms.

    Raises
    ------
    PortfolioError
    """
    if isinstance(costs, str):
        if costs != ACCOUNT:
            raise PortfolioError(f"costs={costs!r} must be basis points, by asset or for all, or {ACCOUNT!r}")
        return
    for side in sides(costs) if costs is not None else ():
        check_amounts("costs", side)


def cost_rates(
    costs: Any, assets: Sequence[Hashable], account: Any = None
) -> tuple[FloatArray, FloatArray] | tuple[None, None]:
    """Costs per unit bought and per unit sold, shape (N,) each; None where there are none.

    Parameters
    ----------
    costs : basis points in any form, "account" or None
    assets : sequence of N labels
    account : basis points by asset, optional
        What the account expects to pay.

    Raises
    ------
    PortfolioError
        If an asset is unknown or without costs, or nobody says what the account pays.
    """
    if costs is None:
        return None, None
    if isinstance(costs, str):
        if account is None:
            raise PortfolioError(
                f"costs={costs!r} are those of a backtest's account; elsewhere give optimize(costs=...) or "
                "basis points to the mandate"
            )
        check_amounts("costs", account)
        costs = account
    buy, sell = (_BASIS_POINT * by_asset("costs", side, assets) for side in sides(costs))
    return buy, sell
