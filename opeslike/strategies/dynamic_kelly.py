"""Kelly by win rate and payoff, from a prior and the account's own closed trades."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np

from opeslike.checks import not_negative, part, positive, share_of
from opeslike.errors import DataError
from opeslike.market import FloatArray
from opeslike.sizing import kelly_binary
from opeslike.strategies.past import Past
from opeslike.strategies.protocol import Trade
from opeslike.strategies.record import Record
from opeslike.strategies.sizers import Sizer, capped

logger = logging.getLogger("opeslike")


@dataclass
class _Tally:
    """Wins and losses among the trades counted so far."""

    wins: int = 0
    losses: int = 0
    won: float = 0.0
    lost: float = 0.0
    counted: int = 0
    last: Trade | None = None
    told_at: int | None = None

    def count(self, trades: Sequence[Trade]) -> None:
        """Add the trades that have come since; start over if these are another account's."""
        if self.counted and (len(trades) < self.counted or trades[self.counted - 1] is not self.last):
            self.wins = self.losses = self.counted = 0
            self.won = self.lost = 0.0
            self.told_at = None
        for trade in trades[self.counted :]:
            made = trade.return_on_notional
            if made > 0:
                self.wins, self.won = self.wins + 1, self.won + made
            elif made < 0:
                self.losses, self.lost = self.losses + 1, self.lost - made
        self.counted = len(trades)
        self.last = trades[-1] if trades else None


@final
@dataclass(frozen=True, repr=False)
class DynamicKelly(Sizer):
    r"""Binary Kelly for each position, its odds learnt from the strategy's own closed trades.

    The prior counts as :math:`n_0` = ``prior_trades`` trades, a share ``win_rate`` of them won, each win worth
    ``win_loss_ratio`` average losses. With W wins and L losses closed so far, of average size :math:`\bar w` and
    :math:`\bar l` (returns on notional after the asset's trading costs; trades that made exactly nothing are left out),

    .. math:: p = \frac{n_0 p_0 + W}{n_0 + W + L}, \qquad
              b = \frac{n_0 p_0 b_0 + W \bar w / \bar l}{n_0 p_0 + W}, \qquad
              f = \max\left(0,\ p - \frac{1 - p}{b}\right).

    While there has been no loss, b stays at the prior. Each position (leg) gets ``kelly_fraction * f`` of wealth, long
    or short; if their gross exposure exceeds ``max_leverage`` all are scaled down alike. Outside a backtest there are
    no trades, and the prior decides.

    Parameters
    ----------
    win_rate : float
        Prior :math:`p_0`, in (0, 1).
    win_loss_ratio : float
        Prior :math:`b_0`, average win over average loss, > 0.
    kelly_fraction : float
        Part of f to hold, in (0, 1].
    max_leverage : float
        Cap of the gross exposure, > 0.
    prior_trades : float
        Weight of the prior in trades, >= 0. With 0 the first positions are sized by the prior until the first trade is
        closed, which then has all the weight.
    min_notional, allow_short, allow_pyramiding
        See :class:`Sizer`.

    Raises
    ------
    PortfolioError
        A parameter out of range.

    Notes
    -----
    The odds of a binary bet are used as a rule of thumb: positions that move together are bet on as if they were
    alone, and a stake is not all that a leveraged position can lose. And f = 0 is final: without positions no trade is
    ever closed that could raise it again. A backtest says in the log when it comes to that.

    References
    ----------
    J. L. Kelly, "A new interpretation of information rate", Bell System Technical Journal 35, 1956.

    Examples
    --------
    >>> returns = np.array([[0.01, -0.01, 0.0]] * 3)
    >>> DynamicKelly(win_rate=0.6, win_loss_ratio=2.0).size([1.0, -1.0, 0.0], returns, kind="returns").round(4).tolist()
    [0.4, -0.4, 0.0]
    """

    win_rate: float = 0.58
    win_loss_ratio: float = 2.0
    kelly_fraction: float = 1.0
    max_leverage: float = 4.0
    prior_trades: float = 20.0
    _tally: _Tally = field(default_factory=_Tally, init=False, compare=False, kw_only=True)

    ranges: ClassVar = {
        "win_rate": share_of,
        "win_loss_ratio": positive,
        "kelly_fraction": part,
        "max_leverage": positive,
        "prior_trades": not_negative,
    }

    def odds(self, trades: Sequence[Trade]) -> tuple[float, float]:
        """Win rate p and ratio b after these closed trades.

        Raises
        ------
        DataError
            If a trade's profit or notional is not a number.
        """
        tally = self._tally
        tally.count(trades)
        if not math.isfinite(tally.won + tally.lost):
            raise DataError("DynamicKelly: a closed trade has no finite return on notional")
        seen = tally.wins + tally.losses
        prior = self.prior_trades
        if prior + seen == 0:
            return self.win_rate, self.win_loss_ratio
        p = (prior * self.win_rate + tally.wins) / (prior + seen)
        if tally.wins == 0 or tally.losses == 0:
            return p, self.win_loss_ratio
        ratio = (tally.won / tally.wins) / (tally.lost / tally.losses)
        prior_wins = prior * self.win_rate
        return p, (prior_wins * self.win_loss_ratio + tally.wins * ratio) / (prior_wins + tally.wins)

    def weights(self, scores: FloatArray, past: Past, record: Record | None) -> FloatArray:
        """Kelly fraction of each position under the cap, shape (N,)."""
        p, b = self.odds(() if past.account is None else past.account.trades)
        bet = kelly_binary(p, b)
        if bet == 0.0 and past.account is not None:
            self._tell(past.account.step, past.today, p, b)
        return capped(np.sign(scores) * (self.kelly_fraction * bet), self.max_leverage)

    def _tell(self, step: int, today: str, p: float, b: float) -> None:
        """Say once a run that the odds ask for nothing."""
        tally = self._tally
        if tally.told_at is not None and step > tally.told_at:
            return
        tally.told_at = step
        logger.warning(
            "DynamicKelly holds nothing on %s: after %d closed trades a win rate of %.3f and a win/loss ratio of %.3f "
            "ask for no bet; once the last position is closed no trade can change them",
            *(today, tally.counted, p, b),
        )
