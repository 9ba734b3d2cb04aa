"""The self-financing step, one at a time and in blocks.

At P_t the account is worth W_t and holds the drifted weights d_t. It trades to the weights w_t, pays
``k_t = sum_i c_ti |w_ti - d_ti|`` of its wealth (to first order: the amounts traded are taken before the cost itself
shrinks them) and what is left grows:

    W_{t+1} = W_t (1 - k_t) (1 + g_t),   g_t = w_t . r_t + f_t,   d_{t+1} = w_t (1 + r_t) / (1 + g_t),

with f_t what cash earns less what borrowing and short positions cost. Where W_{t+1} <= 0 the account is ruined: the
step returns -1, what lies beyond zero is the lender's loss, positions are closed and wealth stays at zero. Costs that
exceed wealth ruin the account before it holds anything.

Money paid in or taken out, F_t, enters at the close P_t before its trading: W_t is counted after it, so a flow is no
return, and g_t is time-weighted. It comes as cash: what was the weight d_t is then ``d_t (W_t - F_t) / W_t``. Where
the account trades at P_t to w_t the flow is spread by that; else what is held is bought or sold in its proportions,
cash included, and the trading is paid for. A withdrawal of all there is or more ends the account: it pays what it has.

Where assets come and go, returns are those of the last marks: an asset without a quote keeps its mark and its weight
(:meth:`Terms.possible`), and one that is gone earns its delisting return and is cash from then on.

:class:`Ledger` walks step by step and is the reference. :class:`Blocks` fills whole stretches between two decisions and
does the accounting once at the end; tests hold the two to the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from opeslike.accounting.costs import CostRates
from opeslike.accounting.financing import Financing
from opeslike.checks import FloatArray

#: weights that sum to 1 but for this borrow nothing
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Terms:
    """What a path is accounted under.

    Attributes
    ----------
    returns : ndarray of shape (H, N)
        Simple returns of the assets from P_t to P_{t+1}.
    costs : CostRates
    financing : Financing
    initial_capital : float
    entry_cost : bool
        False takes the first portfolio as already held at P_0: no turnover, no cost.
    quoted, paid_out : ndarray of bool, shape (H, N), optional
        What can be traded at P_t, and what is paid out in cash at P_{t+1}, after the return of step t; by default
        everything and nothing.
    flows : ndarray of shape (H + 1,), optional
        Money paid in at P_0..P_H, nothing at P_0; by default none. :class:`Ledger` alone knows of them.
    """

    returns: FloatArray
    costs: CostRates
    financing: Financing
    initial_capital: float = 1.0
    entry_cost: bool = True
    quoted: NDArray[np.bool_] | None = None
    paid_out: NDArray[np.bool_] | None = None
    flows: FloatArray | None = None

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return len(self.returns)

    def growth(self, weights: FloatArray, step: int) -> float:
        """``1 + g_t`` of weights held through one step, before costs."""
        return 1.0 + float(weights @ self.returns[step]) + float(self.financing.earned(weights, step))

    def drifted(self, weights: FloatArray, growth: float, step: int) -> FloatArray:
        """Weights at the end of a step."""
        drifted = np.asarray(weights * (1.0 + self.returns[step]) / growth)
        if self.paid_out is not None:
            drifted[self.paid_out[step]] = 0.0
        return drifted

    def possible(self, target: FloatArray, drifted: FloatArray, step: int) -> FloatArray:
        """What can be had of a target at P_t: an asset without a quote keeps its drifted weight.

        Where such assets take more room than the target foresaw, the rest shares what is left in the proportions of the
        target (cash included); where they take less, the money for them waits in cash.
        """
        if self.quoted is None or self.quoted[step].all():
            return target
        shut = ~self.quoted[step]
        room, planned = 1.0 - float(drifted[shut].sum()), 1.0 - float(target[shut].sum())
        share = 1.0 if room >= planned else max(room, 0.0) / planned if planned > 0.0 else 0.0
        return np.where(shut, drifted, share * target)


@dataclass(eq=False)
class Path:
    """What happened, step by step; all arrays cover the H steps (wealth has H + 1 closes).

    Attributes
    ----------
    weights : ndarray of shape (H, N)
        Held from P_t to P_{t+1}, after trading.
    growth : ndarray of shape (H,)
        ``1 + g_t``, before costs.
    financing : ndarray of shape (H,)
        ``f_t``, a fraction of wealth after costs.
    turnover, costs : ndarray of shape (H,)
        Sum of |traded| and what it cost, fractions of wealth at P_t.
    returns : ndarray of shape (H,)
        After costs; -1 in the step of ruin, 0 after it.
    wealth : ndarray of shape (H + 1,)
        Money at P_0..P_H, before trading and after what is paid in or taken out there.
    flows : ndarray of shape (H + 1,)
        Money paid in, below 0 taken out.
    grown : ndarray of shape (H + 1,)
        What the initial capital became by time-weighted returns: wealth, where there are no flows.
    ruin : int or None
        Step that ended in ruin.
    unpaid : ndarray of shape (N,) or None
        Weights aimed for in the step of ruin where their trading cost alone exceeded wealth (nothing was held then).
    lender_loss : float
        Money.
    """

    terms: Terms
    ruin: int | None = None
    unpaid: FloatArray | None = None
    lender_loss: float = 0.0

    def __post_init__(self) -> None:
        """All zero, wealth at the initial capital."""
        steps, assets = self.terms.returns.shape
        self.weights, self.growth = np.zeros((steps, assets)), np.ones(steps)
        self.financing, self.turnover, self.costs, self.returns = (np.zeros(steps) for _ in range(4))
        self.wealth = np.zeros(steps + 1)
        self.wealth[0] = self.terms.initial_capital
        self.flows = np.zeros(steps + 1)
        self.grown = self.wealth if self.terms.flows is None else self.wealth.copy()

    @property
    def stayed(self) -> FloatArray:
        """Of the wealth at P_0..P_{H-1}, the share that was there before what was paid in, shape (H,)."""
        wealth = self.wealth[:-1]
        return np.asarray(1.0 - np.divide(self.flows[:-1], wealth, out=np.zeros_like(wealth), where=wealth > 0.0))

    def drifted(self, step: int) -> FloatArray:
        """Weights at P_t before trading: zero before the first step and after ruin."""
        if step == 0 or self.wealth[step] <= 0:
            return np.zeros(self.weights.shape[1])
        drifted = self.terms.drifted(self.weights[step - 1], float(self.growth[step - 1]), step - 1)
        return np.asarray(drifted * (1.0 - self.flows[step] / self.wealth[step]))

    def traded(self) -> FloatArray:
        """Amounts bought (above zero) and sold at P_0..P_{H-1}, fractions of wealth there, shape (H, N)."""
        aimed = self.weights
        if self.unpaid is not None:
            aimed = aimed.copy()
            aimed[self.ruin] = self.unpaid
        return np.where(self.turnover[:, None] > 0.0, aimed - self.before(), 0.0)

    def before(self) -> FloatArray:
        """Weights at P_0..P_{H-1} before trading, shape (H, N); of no meaning after ruin, where nothing is traded."""
        growth = np.where(self.growth > 0.0, self.growth, 1.0)
        before = np.zeros_like(self.weights)
        before[1:] = self.weights[:-1] * (1.0 + self.terms.returns[:-1]) / growth[:-1, None]
        if self.terms.paid_out is not None:
            before[1:][self.terms.paid_out[:-1]] = 0.0
        return before * self.stayed[:, None]


@final
@dataclass(eq=False)
class Ledger:
    """The reference: one step at a time.

    Examples
    --------
    >>> returns = np.array([[0.10], [-0.05]])
    >>> free = Financing(np.zeros(2), np.zeros(2), np.zeros(2))
    >>> ledger = Ledger(Terms(returns, CostRates(np.full(2, 0.01)), free))
    >>> ledger.step(np.array([1.0])), ledger.step(None)
    (True, True)
    >>> ledger.path.wealth.round(6).tolist()
    [1.0, 1.089, 1.03455]
    """

    terms: Terms
    path: Path = field(init=False)
    drifted: FloatArray = field(init=False)
    time: int = 0

    def __post_init__(self) -> None:
        """Start with the initial capital in cash."""
        self.path = Path(self.terms)
        self.drifted = np.zeros(self.path.weights.shape[1])

    def step(self, target: FloatArray | None) -> bool:
        """Trade to ``target`` (None: do not trade), hold through the step, and say whether the account is alive."""
        terms, path, t = self.terms, self.path, self.time
        had = self.drifted
        if path.flows[t] != 0.0:
            target = self.drifted if target is None else target
            had = self.drifted * (1.0 - path.flows[t] / path.wealth[t])
        held = had if target is None else terms.possible(target, had, t)
        if target is not None and (t > 0 or terms.entry_cost):
            traded = np.abs(held - had)
            path.turnover[t] = traded.sum()
            path.costs[t] = terms.costs.charge(traded, t)
        kept = 1.0 - path.costs[t]
        if kept <= 0.0:
            path.unpaid = held.copy()
            return self._ruined(kept)
        path.weights[t] = held
        path.financing[t] = financed = float(terms.financing.earned(held, t))
        path.growth[t] = growth = 1.0 + float(held @ terms.returns[t]) + financed
        if growth <= 0.0:
            return self._ruined(kept * growth)
        path.returns[t] = kept * growth - 1.0
        path.grown[t + 1] = path.grown[t] * (kept * growth)
        path.wealth[t + 1] = path.wealth[t] * (kept * growth)
        if terms.flows is not None and terms.flows[t + 1] != 0.0:
            path.flows[t + 1] = max(terms.flows[t + 1], -path.wealth[t + 1])
            path.wealth[t + 1] += path.flows[t + 1]
            if path.wealth[t + 1] == 0.0:
                return self._over()
        self.drifted = terms.drifted(held, growth, t)
        self.time += 1
        return True

    def _ruined(self, factor: float) -> bool:
        path, t = self.path, self.time
        path.lender_loss = float(-path.wealth[t] * factor)
        path.returns[t] = -1.0
        return self._over()

    def _over(self) -> bool:
        self.path.ruin, self.time = self.time, self.terms.horizon
        self.drifted = np.zeros_like(self.drifted)
        return False


@final
class Blocks:
    """The fast way: weights are filled block by block, the accounting is done once.

    Between two decisions nothing depends on wealth (costs shrink all holdings alike), so weights can be written for
    many steps at a time and costs, returns and wealth follow from them.

    Parameters
    ----------
    terms : Terms
    trades : ndarray of ints
        Steps at which the account trades, ascending, from 0 on.
    """

    def __init__(self, terms: Terms, trades: NDArray[np.intp]) -> None:
        self.terms, self.trades, self._ends = terms, trades, np.append(trades[1:], terms.horizon)
        self._daily = len(trades) == terms.horizon
        self._weights: FloatArray = np.zeros(terms.returns.shape)
        self._targets: FloatArray = self._weights if self._daily else np.zeros((len(trades), terms.returns.shape[1]))
        self._aimed = self._drifted = 0  # trades that have a target, and those whose block is filled
        self.alive_until = terms.horizon
        """First step that is not reached (H while the account is alive)."""
        self._ruined = False
        # nothing comes to nothing in a step, so only who borrows or is short can lose everything
        self._lasting = bool(terms.returns.min() > -1.0 and terms.financing.lend.min() > -1.0)

    def fill(self, start: int, stop: int, target: FloatArray) -> None:
        """Aim for ``target`` at the trading dates in ``start..stop``; the last holding drifts on to the next date."""
        first, self._aimed = self.trades.searchsorted((start, stop)).tolist()
        self._targets[first : self._aimed] = target
        if self._lasting and target.min() >= 0.0 and target.sum() <= 1.0 + _ROUNDING:
            return
        if self._daily:
            steps = slice(start, stop)
            gained = self.terms.returns[steps] @ target + self.terms.financing.earned(self._weights[steps], steps)
            self._look(1.0 + gained, start)
        self._drift()

    def fill_all(self, targets: FloatArray) -> None:
        """Aim for a target of its own at each trading date, shape (trades, N)."""
        self._targets[:], self._aimed = targets, len(self.trades)

    def held(self, step: int, lag: int) -> FloatArray:
        """Holdings as of P_{step - lag}: after the trading there, or for lag 0 drifted there and not traded yet."""
        if step < lag or step == 0:
            return np.zeros(self._weights.shape[1])
        self._drift()
        if lag:
            return np.array(self._weights[step - lag])
        last = self._weights[step - 1]
        return self.terms.drifted(last, self.terms.growth(last, step - 1), step - 1)

    def _drift(self) -> None:
        """Let positions grow in amounts, per unit of wealth after the trade to each new target; see where that ends."""
        if self._daily or self._ruined or self._drifted == self._aimed:
            return
        new = slice(self._drifted, self._aimed)
        self._drifted = self._aimed
        starts, ends, targets = self.trades[new, None], self._ends[new, None], self._targets[new]
        steps = starts + np.arange((ends - starts).max())
        inside = steps < ends
        rows = steps if len(steps) == 1 else np.minimum(steps, self.terms.horizon - 1)
        amounts = np.empty((len(targets), steps.shape[1] + 1, targets.shape[1]))
        amounts[:, 0] = targets
        np.multiply((1.0 + self.terms.returns[rows]).cumprod(axis=1), targets[:, None], out=amounts[:, 1:])
        cash = self.terms.financing.cash_path(1.0 - targets.sum(axis=1), amounts[:, :-1], rows)
        wealth = amounts.sum(axis=2) + cash
        self._look(wealth[:, 1:][inside], int(starts[0, 0]))
        if self._ruined:
            wealth[wealth <= 0.0] = np.inf  # what is held then is of no meaning
        weights = amounts[:, :-1] / wealth[:, :-1, None]
        weights[:, 0] = targets
        self._weights[starts[0, 0] : ends[-1, 0]] = weights[inside]

    def _look(self, wealth: FloatArray, start: int) -> None:
        """See whether wealth comes to nothing in one of the steps from ``start`` on."""
        if wealth.min() <= 0.0:
            self.alive_until, self._ruined = start + int(np.argmax(wealth <= 0.0)) + 1, True

    def settle(self) -> Path:
        """Do the accounting."""
        self._drift()
        terms, stop = self.terms, self.alive_until
        path = Path(terms)
        path.weights = self._weights
        path.weights[stop:] = 0.0
        held = path.weights[:stop]
        path.financing[:stop] = terms.financing.earned(held, slice(0, stop))
        path.growth[:stop] = 1.0 + np.einsum("ij,ij->i", held, terms.returns[:stop]) + path.financing[:stop]
        trades = slice(0, stop) if self._daily else self.trades[self.trades < stop]
        traded = np.abs(path.weights[trades] - path.before()[trades])
        if not terms.entry_cost:
            traded[0] = 0.0
        path.turnover[trades] = traded.sum(axis=1)
        path.costs[trades] = terms.costs.charge(traded, trades)
        kept = 1.0 - path.costs[:stop]
        factors = np.where(kept > 0.0, kept * path.growth[:stop], kept)
        if self._ruined:
            # The block saw it first; rounding must not bring the account back to life.
            factors[-1] = min(factors[-1], 0.0)
        broke = np.flatnonzero(factors <= 0.0)
        steps = int(broke[0]) if broke.size else len(factors)
        alive = factors[:steps]
        np.multiply.accumulate(np.concatenate((path.wealth[:1], alive)), out=path.wealth[: steps + 1])
        path.returns[:steps] = alive - 1.0
        if broke.size:
            self._close(path, steps, float(factors[steps]), paid=bool(kept[steps] > 0.0))
        return path

    def _close(self, path: Path, step: int, factor: float, *, paid: bool) -> None:
        path.ruin, path.lender_loss = step, float(-path.wealth[step] * factor)
        path.returns[step] = -1.0
        if not paid:
            path.unpaid = path.weights[step].copy()
        first = step + 1 if paid else step
        path.weights[first:], path.financing[first:], path.growth[first:] = 0.0, 0.0, 1.0
        path.turnover[step + 1 :], path.costs[step + 1 :] = 0.0, 0.0
