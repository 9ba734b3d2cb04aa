"""What a backtest leaves behind."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.accounting.certificates import Certificates
from opeslike.accounting.flows import money_weighted
from opeslike.accounting.ledger import Path
from opeslike.accounting.trades import TradeBook, trade_frame, trade_summary
from opeslike.market import FloatArray, Kind, describe

KEYS = ("returns", "weights", "costs", "timeline", "turnover", "cash", "wealth")
FINANCING, COSTS, LENDER, FLOWS = "cash and financing", "costs", "lender's loss", "paid in less taken out"


@final
class BacktestResult(Mapping[str, NDArray[Any]]):
    """Path of one strategy over the test set.

    ``result["returns"]`` and the other keys are arrays over the H steps; attributes of the same names are labelled
    pandas objects over ``timeline``, the dates of P_1..P_H. Row t is the step from P_t to P_{t+1}.

    ==============  ========  ====================================================================================
    ``returns``     (H,)      simple returns of the account after costs, time-weighted: money paid in or taken out is
                              none; -1 in the step of ruin, 0 after it
    ``weights``     (H, N)    held through the step, after trading, as fractions of wealth
    ``costs``       (H,)      trading costs, a fraction of wealth at P_t
    ``timeline``    (H,)      dates of P_1..P_H
    ``turnover``    (H,)      sum of absolute amounts traded in the assets at P_t, a fraction of wealth
    ``cash``        (H,)      ``1 - sum(weights)``; negative when money is borrowed
    ``wealth``      (H,)      money at P_1..P_H, after what is paid in or taken out there
    ==============  ========  ====================================================================================

    Attributes
    ----------
    strategy : str
        Name of the strategy.
    settings : dict
        What the run was asked to do.
    initial_capital : float
    lender_loss : float
        Money lost beyond zero wealth; 0 without ruin.
    decisions : list of (step, rows, ndarray or None)
        Step, returns it rested on and places of the eligible assets (None: all) of each decision; :attr:`rows` and
        :attr:`universe` show it by date.

    Its report takes ``risk_free``, an annual rate, and ``periods_per_year`` from who made it.
    """

    def __init__(
        self,
        path: Path,
        *,
        closes: pd.Index,
        assets: Sequence[Hashable],
        strategy: str,
        settings: dict[str, Any],
        certificates: Certificates,
        risk_free: float | pd.Series = 0.0,
        periods_per_year: float = 252,
        decisions: Sequence[tuple[int, int, NDArray[np.intp] | None]] = (),
        targets: Sequence[FloatArray | None] | FloatArray = (),
        listed: NDArray[np.bool_] | None = None,
    ) -> None:
        self._path = path
        self._closes = closes
        self.assets = tuple(assets)
        self.strategy = strategy
        self.settings = settings
        self._rates: dict[str, Any] = {"risk_free": risk_free, "periods_per_year": periods_per_year}
        self._certificates = certificates
        self.decisions, self._targets, self._listed = decisions, targets, listed
        self.initial_capital = float(path.wealth[0])
        self.lender_loss = path.lender_loss
        self._arrays: dict[str, NDArray[Any]] = {
            "returns": path.returns,
            "weights": path.weights,
            "costs": path.costs,
            "timeline": closes[1:].to_numpy(),
            "turnover": path.turnover,
            "cash": 1.0 - path.weights.sum(axis=1),
            "wealth": path.wealth[1:],
        }

    def __getitem__(self, key: str) -> NDArray[Any]:
        """Array of that name."""
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter(KEYS)

    def __len__(self) -> int:
        """Count the keys."""
        return len(KEYS)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        timeline = self._closes[1:]
        end = f", ruined on {describe(self.ruin_date)}" if self.ruin_date is not None else ""
        return (
            f"BacktestResult({self.strategy}, {describe(timeline[0])}..{describe(timeline[-1])}, "
            f"{len(timeline)} steps, wealth {self.initial_capital:g} -> {self['wealth'][-1]:g}{end})"
        )

    def _series(self, values: FloatArray, name: str) -> pd.Series:
        return pd.Series(values.copy(), index=self._closes[1:], name=name)

    def _frame(self, values: FloatArray) -> pd.DataFrame:
        return pd.DataFrame(values.copy(), index=self._closes[1:], columns=pd.Index(list(self.assets)))

    @property
    def start(self) -> Any:
        """Date of P_0, where wealth is the initial capital."""
        return self._closes[0]

    @cached_property
    def timeline(self) -> pd.Index:
        """Dates of P_1..P_H."""
        return self._closes[1:]

    @cached_property
    def returns(self) -> pd.Series:
        """Simple returns after costs, shape (H,)."""
        return self._series(self["returns"], self.strategy)

    @cached_property
    def weights(self) -> pd.DataFrame:
        """Weights held through each step, shape (H, N)."""
        return self._frame(self["weights"])

    @property
    def targets(self) -> pd.DataFrame:
        """What each decision aimed for, by its date P_t; NaN where a strategy left its holdings alone."""
        steps, rows = self.decided
        return pd.DataFrame(rows, self._closes[steps], pd.Index(list(self.assets)))

    @property
    def decided(self) -> tuple[NDArray[np.intp], FloatArray]:
        """Steps of the decisions, and what each aimed for, shape (D, N)."""
        none = np.full(len(self.assets), np.nan)
        rows = np.array([none if target is None else target for target in self._targets]).reshape(-1, len(self.assets))
        return np.array([step for step, *_ in self.decisions[: len(rows)]], dtype=np.intp), rows

    @cached_property
    def costs(self) -> pd.Series:
        """Trading costs as fractions of wealth, shape (H,)."""
        return self._series(self["costs"], "costs")

    @cached_property
    def turnover(self) -> pd.Series:
        """Amounts traded as fractions of wealth, shape (H,)."""
        return self._series(self["turnover"], "turnover")

    @cached_property
    def traded(self) -> pd.DataFrame:
        """Bought (above zero) and sold at the start of each step, as fractions of wealth there, shape (H, N).

        The sum of sizes is ``turnover``; times the wealth at the start of the step it is the order in money.
        """
        return self._frame(self._path.traded())

    @cached_property
    def cash(self) -> pd.Series:
        """``1 - sum(weights)``, shape (H,)."""
        return self._series(self["cash"], "cash")

    @cached_property
    def wealth(self) -> pd.Series:
        """Money at P_1..P_H, after what is paid in or taken out there, shape (H,)."""
        return self._series(self["wealth"], "wealth")

    @cached_property
    def flows(self) -> pd.Series:
        """Money paid in, below 0 taken out, at P_1..P_H, shape (H,); a last withdrawal as far as there was money."""
        return self._series(self._path.flows[1:], "flows")

    @cached_property
    def money_weighted_return(self) -> float | None:
        """Annual return of the owner's money, see :func:`~opeslike.accounting.flows.money_weighted`."""
        return money_weighted(self._path.wealth, self._path.flows, self._rates["periods_per_year"])

    def with_flows(self, returns: FloatArray) -> FloatArray:
        """Money at P_0..P_H of other returns of shape (H,), with the same capital and flows; 0 once none is left."""
        flows = self._path.terms.flows
        asked = np.zeros(len(returns) + 1) if flows is None else flows
        wealth = [self.initial_capital]
        for made, paid in zip(returns.tolist(), asked[1:].tolist(), strict=True):
            wealth.append(max(wealth[-1] * (1.0 + made) + paid, 0.0) if wealth[-1] > 0.0 else 0.0)
        return np.array(wealth)

    @property
    def ran_out(self) -> str | None:
        """What ended the account, where it was a withdrawal."""
        path = self._path
        if path.ruin is None or path.terms.flows is None or path.flows[path.ruin + 1] == 0.0:
            return None
        paid, asked = -path.flows[path.ruin + 1], -path.terms.flows[path.ruin + 1]
        return f"ran out of money on {describe(self.ruin_date)}, with {paid:,.2f} left for a withdrawal of {asked:,.2f}"

    @cached_property
    def financing(self) -> pd.Series:
        """Earned by cash less paid for borrowing and shorts, as a fraction of wealth after costs, shape (H,)."""
        return self._series(self._path.financing, "financing")

    @cached_property
    def gross_exposure(self) -> pd.Series:
        """``sum |w_i|``, shape (H,)."""
        return self._series(np.abs(self["weights"]).sum(axis=1), "gross_exposure")

    @cached_property
    def net_exposure(self) -> pd.Series:
        """``sum w_i``, shape (H,)."""
        return self._series(self["weights"].sum(axis=1), "net_exposure")

    @property
    def leverage(self) -> pd.Series:
        """Gross exposure over wealth, ``sum |w_i|``, shape (H,)."""
        return self.gross_exposure.rename("leverage")

    @cached_property
    def asset_returns(self) -> pd.DataFrame:
        """Simple returns of the assets in the same steps, shape (H, N)."""
        return self._frame(self._path.terms.returns)

    @cached_property
    def universe(self) -> pd.DataFrame:
        """Who was in play: True or False by date (P_0 to P_{H-1}), column levels (state, ticker).

        ``listed``: quoted before, and neither delisted nor bankrupt. ``eligible``: at the decision in force. ``held``:
        from that close on. ``suspended``: listed, but without a quote, so it cannot be traded.
        """
        held = self["weights"] != 0.0
        everyone = np.ones(held.shape, dtype=bool)
        listed = everyone if self._listed is None else self._listed
        quoted = everyone if self._path.terms.quoted is None else self._path.terms.quoted
        eligible = np.zeros(held.shape, dtype=bool)
        for (step, _, places), (end, *_) in pairwise([*self.decisions, (len(held), 0, None)]):
            eligible[step:end, slice(None) if places is None else places] = True
        states = {"listed": listed, "eligible": eligible, "held": held, "suspended": listed & ~quoted}
        index, columns = self._closes[:-1], pd.Index(list(self.assets))
        return pd.concat({name: pd.DataFrame(flags, index, columns) for name, flags in states.items()}, axis=1)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Returns that each decision rested on, by its date P_t.

        ``observed``: rows on which all eligible assets were quoted. ``filled``: further ones, in which returns before a
        listing were drawn (:class:`~opeslike.beliefs.FilledHistory`).
        """
        dates = self._closes[[step for step, *_ in self.decisions]]
        frame = pd.DataFrame({"observed": [count for _, count, _ in self.decisions]}, index=dates, dtype=np.intp)
        return frame.assign(filled=self.certificates["filled"].reindex(dates).fillna(0).astype(np.intp))

    @cached_property
    def contributions(self) -> pd.DataFrame:
        """Where the money came from: one row a step, in money.

        Columns are the assets (profit before costs), ``cash and financing``, ``costs`` (negative) and
        ``lender's loss`` (what the lender bore beyond zero wealth); where there are flows also ``paid in less taken
        out``, at the close of the step. Each row sums to the change in wealth.
        """
        path = self._path
        start = path.wealth[:-1]
        after = start * (1.0 - path.costs)
        frame = self._frame(path.weights * path.terms.returns * after[:, None])
        frame[FINANCING] = path.financing * after
        frame[COSTS] = -path.costs * start
        frame[LENDER] = 0.0
        if path.ruin is not None:
            frame.iloc[path.ruin, -1] = path.lender_loss
        if path.terms.flows is not None:
            frame[FLOWS] = path.flows[1:]
        return frame

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Round trips, see :func:`~opeslike.accounting.trades.trade_frame`; worked out when first asked for."""
        return trade_frame(TradeBook(self._path, self.assets).all(), self._closes)

    def trade_summary(self, *, closed_only: bool = False) -> dict[str, float]:
        """Win rate, average win and loss and more, see :func:`~opeslike.accounting.trades.trade_summary`."""
        return trade_summary(self.trades, closed_only=closed_only)

    def report(self, benchmark: Any = None, title: str | None = None, *, kind: Kind | None = None) -> Any:
        """Report of the run: ``print`` shows it as text, ``to_html(path)`` writes one file that holds everything.

        Parameters
        ----------
        benchmark : Series, array, DataFrame of one column or str, optional
            Simple returns of the steps, or prices from P_0 on; matched by date where both are dated. A text names an
            asset of the backtest.
        title : str, optional
            Default: the strategy's name.
        kind : {"prices", "returns"}, optional
            What the benchmark is, if it cannot be told.

        Returns
        -------
        opeslike.analysis.report.Report

        Raises
        ------
        DataError
            If the benchmark cannot be used or lacks a date, which is named.
        PortfolioError
            If a parameter is out of its range.
        """
        from opeslike.analysis.report import Report

        return Report(self, benchmark, title, kind=kind, **self._rates)

    def _repr_html_(self) -> str:
        """Show the headline figures and the wealth in a notebook."""
        return str(self.report().brief_html())

    @property
    def ruin_date(self) -> Any:
        """Date of the close at which wealth reached zero; None without ruin."""
        return None if self._path.ruin is None else self._closes[self._path.ruin + 1]

    @cached_property
    def certificates(self) -> pd.DataFrame:
        """One row a re-optimisation, dated by P_t.

        ``gap`` (NaN where there is none), ``tolerance``, ``status``, ``solver``, ``seconds`` (0 where another strategy
        of a comparison had solved the problem), ``filled`` (see :attr:`rows`); empty for strategies that keep no
        ``solution``.
        """
        return self._certificates.frame(self._closes)

    @property
    def certificate(self) -> str:
        """Say how far the run is certified.

        "certified" where every solution has a gap, "heuristic" where one has status "heuristic", else "none" (rules
        that optimise nothing).
        """
        if "heuristic" in self._certificates.column("status"):
            return "heuristic"
        gaps = self._certificates.column("gap")
        return "certified" if gaps.size and not np.isnan(gaps).any() else "none"

    @property
    def max_gap(self) -> float | None:
        """Worst certified gap of all re-optimisations, in the objective's unit; None where one has no certificate."""
        return float(self._certificates.column("gap").max()) if self.certificate == "certified" else None

    @property
    def solutions(self) -> list[tuple[Any, Any]]:
        """Each re-optimisation's answer with its date.

        With ``keep_solutions=True`` the :class:`~opeslike.modelling.solution.Solution`, its witness and all; else the
        row of :attr:`certificates`, whose fields have the same names.
        """
        whole = self._certificates.solutions(self._closes)
        return whole or [(row.Index, row) for row in self.certificates.itertuples(name="Certificate")]
