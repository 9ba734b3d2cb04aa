"""What may be held, in numbers: a mandate resolved for the assets of one market."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from opeslike.checks import FloatArray
from opeslike.modelling.trading import Impact


@dataclass(frozen=True)
class Counts:
    """Positions at most (None: any number), and the least size of one; these are no matter of convex limits."""

    most: int | None
    least: float = 0.0

    def __str__(self) -> str:
        few = "any number of positions" if self.most is None else f"at most {self.most} positions"
        return few if self.least == 0 else f"{few} of at least {self.least:g} each"


@dataclass(frozen=True, eq=False)
class Terms:
    """Limits on the weights w of one market; limits on what is held are divided by the fraction already.

    ``lower <= w <= upper`` and ``least <= rows @ w <= most``; one side may be infinite, ``names`` says which limit a
    row is. Without ``leverage`` sum(w) = 1; with it sum(w) is at most ``leverage`` and the rest is cash, which earns
    ``cash_rate`` and is borrowed at ``borrow_rate``. ``gross`` caps sum(abs(w)), and ``short_fee`` is paid on what is
    short. Rates are per period.
    """

    lower: FloatArray  # (N,)
    upper: FloatArray  # (N,)
    rows: FloatArray  # (m, N)
    least: FloatArray  # (m,)
    most: FloatArray  # (m,)
    names: tuple[str, ...] = ()
    leverage: float | None = None
    cash_rate: float = 0.0
    borrow_rate: float = 0.0
    gross: float | None = None
    short_fee: float = 0.0
    assets: tuple[Hashable, ...] = ()
    held: FloatArray | None = None  # (N,) what is held today
    buy: FloatArray | None = None  # (N,) cost of a unit bought, per period
    sell: FloatArray | None = None  # (N,)
    impact: Impact | None = None  # per period
    max_turnover: float | None = None  # cap on sum(abs(w - held))
    max_trade: FloatArray | None = None  # (N,) caps on abs(w - held)
    benchmark: FloatArray | None = None  # (N,)
    max_active: float | None = None  # cap on sum(abs(w - benchmark))
    active: tuple[FloatArray, FloatArray] | None = None  # bounds of w - benchmark
    mean: FloatArray | None = None  # (N,) expected returns
    target: float | None = None  # least mean return, interest and fees included

    def charged(self, worth: float) -> Terms:
        """The same with trading costs in a unit of which there are ``worth`` to one of return."""
        buy, sell = (None if price is None else worth * price for price in (self.buy, self.sell))
        impact = None if self.impact is None else replace(self.impact, amounts=worth * self.impact.amounts)
        return replace(self, buy=buy, sell=sell, impact=impact)

    @property
    def financed(self) -> bool:
        """Whether cash, borrowing or short positions have a part of their own in the problem."""
        return self.leverage is not None or self.gross is not None or self.short_fee > 0

    @property
    def plain(self) -> bool:
        """Whether there is no more than bounds and rows, fully invested."""
        return not (self.financed or self.traded) and self.max_active is self.target is None

    @property
    def traded(self) -> bool:
        """Whether what is held today makes a difference."""
        limited = self.max_turnover is not None or self.max_trade is not None
        return self.held is not None and (limited or self.buy is not None or self.sell is not None)
