"""Orders: from target weights to whole shares to buy and sell, within the cash there is."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Collection, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.checks import FloatArray, finite, not_negative, positive
from opeslike.errors import DataError, InfeasibleError, OptimizationError, PortfolioError
from opeslike.panel import describe, read_panel
from opeslike.parameters import AtLeastZero, Parameters

#: A number a ticker: a Series or a dict.
ByTicker: TypeAlias = "pd.Series | Mapping[Any, float]"

CENT = Decimal("0.01")
#: Accounts are solved as if they held this much, so that HiGHS' absolute tolerances of 1e-6 are 1e-10 of any account.
_ACCOUNT = 1e4
#: Decimals to which fractional shares are rounded, towards none.
_FRACTION = 8


@dataclass(frozen=True, repr=False)
class Fees(Parameters):
    """What a broker charges an order: ``max(minimum, fixed + bps / 10,000 * money)``, to the cent, half a cent up.

    Parameters
    ----------
    fixed, minimum : float
        In the account's currency.
    bps : float
        Basis points of the money traded.

    Raises
    ------
    PortfolioError
        If one is not a number of at least 0.
    """

    fixed: AtLeastZero = 0.0
    bps: AtLeastZero = 0.0
    minimum: AtLeastZero = 0.0

    def of(self, money: float) -> float:
        """Fee of one order that trades this much money."""
        fee = max(self.minimum, self.fixed + self.bps / 1e4 * money)
        return float(Decimal(str(round(fee, 9))).quantize(CENT, ROUND_HALF_UP))


@final
@dataclass(frozen=True, eq=False, repr=False)
class Orders:
    """What to buy and sell, made by :func:`orders`; ``print`` shows it.

    Attributes
    ----------
    table : DataFrame, a row an order, sells first
        ``action`` ("sell" or "buy"), ``shares``, ``price`` and ``money`` (in the account's currency), ``fee``.
    positions : DataFrame, a row a ticker held or wanted
        ``before`` and ``after`` (shares), ``value`` (money, after), ``weight`` and ``target`` (of wealth before fees).
    cash : float
        What is left after all orders and fees.
    wealth : float
        Cash and holdings before the orders.
    notes : list of str
        What could not be done as wished.
    growth_given_up : float or None
        What rounding costs a period: by the function given as ``growth``, or at most, by the certificate of the
        objective.
    """

    table: pd.DataFrame
    positions: pd.DataFrame
    cash: float
    wealth: float
    notes: list[str]
    growth_given_up: float | None = None

    @property
    def fees(self) -> float:
        """Of all orders, money."""
        return float(self.table["fee"].sum())

    @property
    def deviation(self) -> float:
        """Sum of |value - target * wealth| over the tickers, money."""
        return float((self.positions["value"] - self.positions["target"] * self.wealth).abs().sum())

    def to_frame(self) -> pd.DataFrame:
        """The table, a copy."""
        return self.table.copy()

    @property
    def summary(self) -> str:
        """One line: how many orders, fees, cash left, how far from the target."""
        count = len(self.table)
        text = (
            f"{count} order{'s' if count != 1 else ''}, fees {self.fees:,.2f}, cash left {self.cash:,.2f} of "
            f"{self.wealth:,.2f}; off target by {self.deviation:,.2f} ({self.deviation / self.wealth:.2%})"
        )
        return text if self.growth_given_up is None else f"{text}; growth given up {self.growth_given_up:.2e}"

    def to_text(self, tablefmt: str = "simple") -> str:
        """Table, summary and notes, in a format of tabulate ("simple", "pipe", "html")."""
        from tabulate import tabulate

        rows = []
        for name, row in self.table.to_dict("index").items():
            shares = f"{row['shares']:,.{_FRACTION}f}".rstrip("0").rstrip(".")
            rows.append([str(name), row["action"], shares, *(f"{row[key]:,.2f}" for key in ("price", "money", "fee"))])
        columns = ["ticker", *self.table.columns]
        align = ("left", "left", *["right"] * 4)
        parts = [tabulate(rows, columns, tablefmt=tablefmt, colalign=align, disable_numparse=True)] if rows else []
        if tablefmt == "html":
            return "\n".join([*parts, *(f"<p>{html.escape(line)}</p>" for line in (self.summary, *self.notes))])
        return "\n\n".join([*parts, self.summary, *self.notes])

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Orders({self.summary})"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return self.to_text("html")


def orders(
    weights: Any,
    prices: Any,
    cash: float,
    holdings: ByTicker | None = None,
    *,
    fees: Fees | None = None,
    lot: float | Mapping[Any, float] = 1,
    fractional: Collection[Hashable] = (),
    currency: Mapping[Any, float] | None = None,
    minimum_trade: float = 0.0,
    growth: Callable[[pd.Series], float] | None = None,
    time_limit: float = 10.0,
) -> Orders:
    r"""Turn weights into orders in whole lots that come closest to the target.

    With wealth :math:`V = c + \sum_i h_i p_i` (cash c, shares h, prices p in the account's currency) the orders solve

    .. math:: \min \sum_i |n_i p_i - w_i V| + \sum_j \text{fee}_j \quad\text{so that}\quad
        c + \sum_{\text{sells}} m_j - \sum_{\text{buys}} m_j - \sum_j \text{fee}_j \ge 0,

    where n are the shares afterwards and m the money of an order, at least ``minimum_trade``. Fees count as money off
    target: nothing is traded that costs more than it mends. Half a cent an order is set aside where fees are rounded.
    Solved exactly by HiGHS (``scipy.optimize.milp``, ``mip_rel_gap=0``). Sells come first, so cash is never short on
    the way. Prices are taken as they are: the spread, and what moves before an order is filled, are not in it.

    Parameters
    ----------
    weights : Series, dict, ndarray, or a fitted objective
        Fractions of wealth, each at least 0, in sum at most 1; what is left is cash. An array goes in the order of the
        columns of ``prices``; an objective has ``weights`` and ``tickers`` after ``optimize``. What is held but has no
        weight is sold.
    prices : DataFrame, Series, dict or array
        Last closes; of a frame (dates x tickers, or OHLCV) the last row is taken.
    cash : float
        In the account's currency. Below 0 it is debt, and enough is sold to pay it.
    holdings : Series or dict, optional
        Shares held, at least 0.
    fees : Fees, optional
        Default: none.
    lot : float or dict
        Shares in a lot, one number or by ticker (1 for tickers left out).
    fractional : collection of tickers
        What can be traded in fractions of a share (to 8 decimals).
    currency : dict, optional
        Worth of one unit of a ticker's currency in the account's: ``{"SAP.DE": 1.08}`` for euros in a dollar account.
    minimum_trade : float
        Smallest order, money.
    growth : callable, optional
        Takes weights, a Series by ticker, and returns a growth rate (larger is better); what rounding gives up is told.
        By default the certificate of the objective tells, if there is one: the objective's ``regret`` of the weights
        after, an upper bound per period.
    time_limit : float
        Seconds.

    Returns
    -------
    Orders

    Raises
    ------
    DataError
        If a ticker that is held or wanted has no price, or prices or holdings cannot be read.
    PortfolioError
        If a parameter is out of its range; weights below 0 or above 1 in sum would need borrowing.
    InfeasibleError
        If cash is below 0 and no sale pays it back.
    OptimizationError
        If time ran out before any plan was found.
    """
    target, price = _targets(weights, prices)
    held = _series(holdings if holdings is not None else {}, "holdings", PortfolioError)
    for name, count in held.items():
        not_negative(f"holdings of {name}", count)
    names = list(dict.fromkeys([*target.index[target > 0], *held.index[held != 0]]))
    held = held.reindex(names).fillna(0.0)
    if not names:
        raise PortfolioError("there is nothing to trade: no weight is above 0 and nothing is held")
    unpriced = [name for name in names if not 0 < price.get(name, math.nan) < math.inf]
    if unpriced:
        where = f" on {describe(price.name)}" if price.name is not None else ""
        raise DataError(f"no price for {', '.join(map(str, unpriced))}{where}; give one, or leave the ticker out")
    sizes = [positive(f"lot of {name}", lot.get(name, 1) if isinstance(lot, Mapping) else lot) for name in names]
    rates = {name: positive(f"currency of {name}", worth) for name, worth in (currency or {}).items()}
    each = np.array([price[name] * rates.get(name, 1.0) for name in names])
    whole = np.array([name not in set(fractional) for name in names])
    step = np.where(whole, sizes, 1.0)
    before = np.asarray(held, dtype=np.float64)
    wealth = finite("cash", cash) + float(before @ each)
    if not wealth > 0:
        raise PortfolioError(f"cash and holdings are worth {wealth:,.2f}; there is nothing to invest")
    least, seconds = not_negative("minimum_trade", minimum_trade), positive("time_limit", time_limit)
    fees = fees or Fees()

    aim = target.reindex(names).fillna(0.0).to_numpy() * wealth
    shares, proved = _solve(aim, each, before, step, whole, cash, fees, least, seconds)
    after = before + shares
    traded = np.flatnonzero(shares)
    traded = traded[np.argsort(shares[traded] > 0, kind="stable")]
    money = np.abs(shares[traded]) * each[traded]
    table = pd.DataFrame(
        {
            "action": np.where(shares[traded] > 0, "buy", "sell"),
            "shares": np.abs(shares[traded]),
            "price": each[traded],
            "money": money,
            "fee": np.array([fees.of(one) for one in money]),
        },
        index=pd.Index([names[i] for i in traded], name="ticker", dtype=object),
    )
    value = after * each
    shown = {"before": before, "after": after, "value": value, "weight": value / wealth, "target": aim / wealth}
    positions = pd.DataFrame(shown, index=pd.Index(names, name="ticker"))
    notes = [
        f"{names[i]}: a lot costs {each[i] * step[i]:,.2f}, over twice its target of {aim[i]:,.2f}; none is held."
        for i in np.flatnonzero(whole & (aim > 0) & (after == 0) & (each * step > 2 * aim))
    ] + [
        f"{names[i]}: {after[i]:g} shares are less than a lot and stay."
        for i in np.flatnonzero(whole & (aim == 0) & (after > 0) & (after < step))
    ]
    if not proved:
        notes.append(f"Time ran out after {seconds:g} s: a closer plan may exist.")
    given_up = None if growth is None else float(growth(positions["target"])) - float(growth(positions["weight"]))
    if growth is None and getattr(getattr(weights, "_solution", None), "gap", None) is not None:
        with suppress(PortfolioError):  # where the objective is not in terms of returns, or its data are gone
            given_up = weights.regret(positions["weight"].reindex(list(weights.tickers)).fillna(0.0), as_held=True)
    left = cash - float(shares @ each) - float(table["fee"].sum())
    return Orders(table, positions, left, wealth, notes, given_up)


def _solve(
    aim: FloatArray,
    price: FloatArray,
    held: FloatArray,
    step: NDArray[Any],
    whole: NDArray[np.bool_],
    cash: float,
    fees: Fees,
    least: float,
    time_limit: float,
) -> tuple[FloatArray, bool]:
    """Signed shares to trade, and whether they are proved to be the best.

    Candidates are buys of what is below its target and sells of what is above it (of all that is held, where cash is
    below 0): an order away from the target costs as much deviation as its money can mend elsewhere. Columns: of each
    order its lots, whether it is placed and its fee; of each asset its deviation.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    worth = held * price
    buys = np.flatnonzero(aim > worth)
    sells = np.flatnonzero((held > 0) & ((worth > aim) | (cash < 0)))
    asset = np.concatenate([buys, sells])
    sign = np.concatenate([np.ones(len(buys)), -np.ones(len(sells))])
    scale = (cash + worth.sum()) / _ACCOUNT
    unit = price[asset] * step[asset] / scale
    wanted = np.maximum(aim[asset] - worth[asset], least) / scale / unit
    most = np.where(sign > 0, wanted, held[asset] / step[asset])
    integral = whole[asset]
    most = np.where(integral, np.where(sign > 0, np.ceil(most - 1e-9), np.floor(most + 1e-9)), most)
    j, n = len(asset), len(aim)
    if not j:
        return np.zeros(n), True
    eye, none, empty = np.eye(j), np.zeros((j, j)), np.zeros((j, n))
    flow = np.zeros((n, j))
    flow[asset, np.arange(j)] = sign * unit
    off = np.zeros((n, 2 * j))
    offset, rate = (worth - aim) / scale, fees.bps / 1e4
    aside = 0.005 if rate else fees.of(0.0) - max(fees.fixed, fees.minimum)
    rows = [  # (matrix, lower, upper)
        (np.hstack([np.diag(unit), -np.diag(most * unit), none, empty]), -np.inf, 0.0),
        (np.hstack([np.diag(unit), -least / scale * eye, none, empty]), 0.0, np.inf),
        (np.hstack([none, -fees.minimum / scale * eye, eye, empty]), 0.0, np.inf),
        (np.hstack([-rate * np.diag(unit), -fees.fixed / scale * eye, eye, empty]), 0.0, np.inf),
        (np.hstack([-flow, off, np.eye(n)]), offset, np.inf),
        (np.hstack([flow, off, np.eye(n)]), -offset, np.inf),
        (np.hstack([np.zeros((n, j)), np.abs(np.sign(flow)), np.zeros((n, j + n))]), -np.inf, 1.0),
    ]
    spent = np.hstack([sign * unit, np.full(j, aside / scale), np.ones(j), np.zeros(n)])
    missed, exactly = np.hstack([np.zeros(2 * j), np.ones(j + n)]), {"mip_rel_gap": 0.0, "time_limit": time_limit}
    bounds = Bounds(0.0, np.hstack([most, np.ones(j), np.full(j + n, np.inf)]))
    integrality = np.hstack([integral, np.ones(j), np.zeros(j + n)])
    for reserve in (0.0, 1e-5, 1e-3):  # HiGHS meets limits to 1e-6: where that overdraws, once more with room
        limits = [LinearConstraint(*row) for row in [*rows, (spent[None], -np.inf, cash / scale - reserve)]]
        found = milp(missed, integrality=integrality, bounds=bounds, constraints=limits, options=exactly)
        if found.status == 2:
            raise InfeasibleError(
                f"cash is {cash:,.2f} and no sale of whole lots pays it; add cash or take smaller lots"
            )
        if found.x is None:
            raise OptimizationError(f"no plan was found in {time_limit:g} s; raise time_limit ({found.message})")
        lots = np.where(found.x[j : 2 * j] > 0.5, found.x[:j], 0.0)
        cut = np.floor(lots * 10**_FRACTION) / 10**_FRACTION
        lots = np.where(integral, np.round(lots), np.where((sign < 0) & (lots > most - 10**-_FRACTION), most, cut))
        shares = np.zeros(n)
        np.add.at(shares, asset, sign * lots * step[asset])
        paid = sum(fees.of(money) for money in np.abs(shares) * price if money > 0)
        if cash - shares @ price - paid >= -1e-9 * scale:
            return shares, found.status == 0
    raise OptimizationError("no plan kept within the cash to the cent; add a little cash or drop the smallest weight")


def _targets(weights: Any, prices: Any) -> tuple[pd.Series, pd.Series]:
    """Weights and last prices by ticker; the name of the prices is their date, if they have one."""
    if isinstance(prices, pd.DataFrame):
        panel = read_panel(prices)
        dated = None if isinstance(panel.index, pd.RangeIndex) else panel.index[-1]
        price = pd.Series(panel.values[-1], list(panel.assets), name=dated)
    else:
        price = _series(prices, "prices", DataError)
        price.name = None
    if getattr(weights, "tickers", None) is not None and getattr(weights, "weights", None) is not None:
        weights = pd.Series(weights.weights, list(weights.tickers))
    elif hasattr(weights, "optimize"):
        raise PortfolioError(f"{type(weights).__name__} has no weights yet; call optimize(data) first")
    elif not isinstance(weights, (pd.Series, Mapping)):
        array = _series(weights, "weights", PortfolioError).to_numpy()
        if len(array) != len(price):
            raise PortfolioError(f"{len(array)} weights for {len(price)} prices; pass a Series or dict by ticker")
        weights = pd.Series(array, price.index)
    target = _series(weights, "weights", PortfolioError)
    bad = target[~(np.isfinite(target) & (target >= -1e-9))]
    if len(bad):
        raise PortfolioError(f"the weight of {bad.index[0]} is {bad.iloc[0]:g}; orders are for weights of at least 0")
    if target.sum() > 1 + 1e-9:
        raise PortfolioError(f"the weights sum to {target.sum():g}, above 1: orders never borrow; scale them down")
    return target.clip(lower=0.0), price


def _series(values: Any, what: str, error: type[DataError | PortfolioError]) -> pd.Series:
    try:
        series = pd.Series(values, dtype=float)
    except (TypeError, ValueError) as problem:
        raise error(f"{what} are not numbers by ticker: {problem}") from problem
    if not series.index.is_unique:
        raise error(f"{what} name {series.index[series.index.duplicated()][0]} twice; keep one")
    return series
