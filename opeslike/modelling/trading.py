"""Trading in the words of the user: what it costs, and how much of it there may be."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from opeslike.checks import FloatArray, by_asset, positive
from opeslike.errors import PortfolioError

#: instead of costs: those that the account of a backtest expects
ACCOUNT = "account"
_BASIS_POINT = 1e-4
#: second derivatives are those of trades at least this large
_NO_TRADE = 1e-12


@dataclass(frozen=True, eq=False)
class Impact:
    """What trades pay for moving prices: ``sum_i amount_i |w_i - held_i| ** power``.

    ``amounts`` and ``held`` have the shape (N,), the power lies in (1, 2]: convex, without a kink.
    """

    amounts: FloatArray
    held: FloatArray
    power: float
    curved: ClassVar[bool] = True

    def by_asset(self, w: FloatArray) -> FloatArray:
        """What is paid for each asset."""
        return np.asarray(self.amounts * np.abs(w - self.held) ** self.power)

    def evaluate(self, w: FloatArray) -> tuple[float, FloatArray]:
        """What is paid, and its gradient."""
        change = w - self.held
        slope = self.power * self.amounts * np.sign(change) * np.abs(change) ** (self.power - 1.0)
        return float(self.by_asset(w).sum()), slope

    def hessian(self, w: FloatArray) -> FloatArray:
        """Second derivative, finite where nothing is traded."""
        size = np.maximum(np.abs(w - self.held), _NO_TRADE)
        return np.diag(self.power * (self.power - 1.0) * self.amounts * size ** (self.power - 2.0))

    def expression(self, w: Any, scale: float) -> Any:
        """What is paid divided by ``scale``, for cvxpy."""
        import cvxpy as cp

        return (self.amounts / scale) @ cp.power(cp.abs(w - self.held), self.power)


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


def impact_of(impact: Any, power: float, assets: Sequence[Hashable], held: FloatArray) -> Impact:
    """Impact in basis points of wealth for a trade of all of it, in numbers."""
    return Impact(_BASIS_POINT * by_asset("impact", impact, assets), held, power)


def trades_of(
    mandate: Any, assets: Sequence[Hashable], fraction: float, held: FloatArray | None, account: Any
) -> dict[str, Any]:
    """What the terms of a mandate know of trading, before a Kelly fraction is applied.

    Parameters
    ----------
    mandate : Mandate
    assets : sequence of N labels
    fraction : float in (0, 1]
    held : ndarray of shape (N,), optional
        None is all cash.
    account : basis points by asset, optional
    """
    held = np.zeros(len(assets)) if held is None else held
    buy, sell = cost_rates(mandate.costs, assets, account)
    told: dict[str, Any] = {"held": held / fraction}
    if buy is not None and sell is not None:
        told |= {"buy": buy / mandate.horizon, "sell": sell / mandate.horizon}
    impact = mandate.market_impact(assets, held)
    if impact is not None:
        amounts = impact.amounts * fraction ** (impact.power - 1.0) / mandate.horizon
        told["impact"] = replace(impact, amounts=amounts, held=held / fraction)
    if held.any() and mandate.max_turnover is not None:
        told["max_turnover"] = mandate.max_turnover / fraction
    if held.any() and mandate.max_trade is not None:
        told["max_trade"] = by_asset("max_trade", mandate.max_trade, assets, np.inf) / fraction
    return told
