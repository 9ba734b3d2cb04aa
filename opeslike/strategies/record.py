"""Record: what a selection rule would have made, held unsized, up to now.

For every past day the rule is asked again, with the returns it could see when that day was decided (the same execution
lag, nothing later), so the record is the one an unsized backtest without costs would have left behind. Days are worked
out once per data set and remembered.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from opeslike.market import FloatArray
from opeslike.sizing import trade_returns
from opeslike.strategies.past import Memo, Past
from opeslike.strategies.selection import Selection


class Record:
    """A rule's own unsized days, filled as they become known. Row u is the day whose return is ``past.record[u]``.

    Attributes
    ----------
    sides : ndarray of int, shape (rows, N)
        -1, 0 or 1.
    made : ndarray of shape (rows,)
        Return of the unsized portfolio: equal weights over what was selected, gross exposure 1.
    net : ndarray of shape (rows,)
        Its net exposure.
    first, filled : int
        Rows ``first..filled`` are known.
    """

    def __init__(self, rows: int, assets: int, first: int, lag: int, anchor: int) -> None:
        self.sides = np.zeros((rows, assets), dtype=np.int8)
        self.made, self.net = np.zeros(rows), np.zeros(rows)
        self.first = self.filled = first
        self.lag, self.anchor = lag, anchor
        self._decided = np.zeros(rows, dtype=bool)

    def note(self, row: int, sides: FloatArray) -> None:
        """Keep what was decided for a day to come, so that it need not be asked for again."""
        if row < len(self._decided):
            self.sides[row], self._decided[row] = sides, True

    def rows(self, past: Past, window: int | None = None, every: int = 1) -> slice:
        """Days to estimate from: the last ``window`` known at the last multiple of ``every`` steps.

        Days before the backtest's own window, and those that the rule could not decide for lack of history, are left
        out.
        """
        stop = max(len(past.record) - past.step % every, self.first)
        return slice(max(self.first, stop - len(past.returns), 0 if window is None else stop - window), stop)

    def period_outcomes(self, rows: slice) -> FloatArray:
        """Returns of the days with a position."""
        return self.made[rows][self.sides[rows].any(axis=1)]

    def trade_outcomes(self, rows: slice, past: Past) -> FloatArray:
        """One compounded return for each run of days that an asset was held on one side, in order of their end.

        A run that began before the first day or is still on is counted with the days it has.
        """
        sides, returns = self.sides[rows].astype(np.float64), past.record[rows]
        held = np.flatnonzero(sides.any(axis=0))
        trades = [trade_returns(sides[:, i], np.ascontiguousarray(returns[:, i])) for i in held]
        return np.asarray(pd.concat(trades).sort_index(kind="stable").array if trades else (), dtype=np.float64)

    def extend(self, rule: Selection, past: Past, every: int, allow_short: bool) -> None:
        """Go through the days whose return has become known."""
        returns = past.record
        last = len(returns)
        for row in range(self.filled, last):
            if (row - self.anchor) % every == 0:
                if not self._decided[row]:
                    self.sides[row] = sides_of(rule.known_scores(past.at(row, rule.needed)), allow_short)
            elif row > self.first:
                self.sides[row] = self.sides[row - 1]
            held = self.sides[row]
            count = np.count_nonzero(held)
            if count:
                self.made[row] = float(held @ returns[row]) / count
                self.net[row] = float(held.sum()) / count
        self.filled = max(self.filled, last)


def sides_of(scores: FloatArray, allow_short: bool) -> FloatArray:
    """-1, 0 or 1 for each asset."""
    return np.sign(scores if allow_short else np.maximum(scores, 0.0))


def read_record(
    records: Memo[Record], rule: Selection, every: int, allow_short: bool, past: Past, scores: FloatArray
) -> Record:
    """Record of a rule up to the last visible close; what is decided now is remembered.

    Parameters
    ----------
    records : Memo
        Keeps the record of the rule on one data set.
    rule : Selection
    every : int
        Steps between the rule's decisions; in a backtest they fall on steps 0, every, 2 every ...
    allow_short : bool
        Whether short positions are part of it.
    past : Past
    scores : ndarray of shape (N,)
        The decision of today.
    """
    known, account = past.record, past.account
    # All views of one backtest's returns share their base; anything else starts afresh.
    key = known if known.base is None else known.base
    anchor = past.row - past.step
    record = None if account is None else records.get(key)
    if record is None or (record.lag, record.anchor) != (past.lag, anchor):
        unseen = 0 if past.volume is None else len(known) - len(past.volume)
        first = min(past.lag + rule.needed + unseen, len(known))
        rows = len(known) if account is None else len(past.dates)
        record = Record(rows, len(past.assets), first, past.lag, anchor)
        if account is not None:
            records.put(key, record)
    record.extend(rule, past, every, allow_short)
    if len(past.returns) >= rule.needed and (past.row - anchor) % every == 0:
        record.note(past.row, sides_of(scores, allow_short))
    return record
