"""Kelly by win rate and payoff, from a prior and the account's own closed trades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from opeslike.errors import DataError, logger
from opeslike.market import FloatArray
from opeslike.parameters import AtLeastZero, Part, Positive, Share
from opeslike.sizing import kelly_binary
from opeslike.strategies.past import Past
from opeslike.strategies.protocol import Trade
from opeslike.strategies.record import Record
from opeslike.strategies.sizers import Sizer, capped


@dataclass
class _Tally:
    """Returns on notional of the trades counted so far."""

    made: list[float] = field(default_factory=list)
    last: Trade | None = None
    told_at: int | None = None

    def count(self, trades: Sequence[Trade]) -> FloatArray:
        """Add the trades that have come since; start over if these are another account's."""
        counted = len(self.made)
        if counted and (len(trades) < counted or trades[counted - 1] is not self.last):
            self.made, self.told_at = [], None
        self.made += [trade.return_on_notional for trade in trades[len(self.made) :]]
        self.last = trades[-1] if trades else None
        return np.array(self.made, dtype=np.float64)


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

    win_rate: Share = 0.58
    win_loss_ratio: Positive = 2.0
    kelly_fraction: Part = 1.0
    max_leverage: Positive = 4.0
    prior_trades: AtLeastZero = 20.0
    _tally: _Tally = field(default_factory=_Tally, init=False, compare=False, kw_only=True)

    def odds(self, trades: Sequence[Trade]) -> tuple[float, float]:
        """Win rate p and ratio b after these closed trades.

        Raises
        ------
        DataError
            If a trade's profit or notional is not a number.
        """
        made = self._tally.count(trades)
        if np.isinf(made).any():
            raise DataError("DynamicKelly: a closed trade has no finite return on notional")
        won, lost = made[made > 0], made[made < 0]
        prior, seen = self.prior_trades, len(won) + len(lost)
        if prior + seen == 0:
            return self.win_rate, self.win_loss_ratio
        prior_wins = prior * self.win_rate
        p = (prior_wins + len(won)) / (prior + seen)
        if not len(won) or not len(lost):
            return p, self.win_loss_ratio
        ratio = float(won.mean() / -lost.mean())
        return p, (prior_wins * self.win_loss_ratio + len(won) * ratio) / (prior_wins + len(won))

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
        odds = f"a win rate of {p:.3f} and a win/loss ratio of {b:.3f} ask for no bet"
        lasting = "without positions no trade can change that"
        logger.warning(
            "DynamicKelly holds nothing on %s: after %d closed trades %s; %s", *(today, len(tally.made), odds, lasting)
        )
