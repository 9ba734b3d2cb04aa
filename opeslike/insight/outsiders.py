"""Who could add growth to a portfolio, of thousands outside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from opeslike.beliefs.belief import chances
from opeslike.errors import DataError, PortfolioError
from opeslike.insight.finding import Finding
from opeslike.insight.posed import Posed, pose
from opeslike.market import Kind, Market
from opeslike.solvers.solve import Solved


@dataclass(frozen=True, eq=False, repr=False)
class Screen(Finding):
    """Outsiders by what they could add.

    Attributes
    ----------
    frame : DataFrame of shape (outsiders, 2)
        ``marginal``: what the first unit of weight adds, per period, in the unit of the objective; ``most``: what the
        best weight of it alone could add, at most. The best first.
    """

    frame: pd.DataFrame
    posed: Posed
    outsiders: Market
    solved: Solved

    @property
    def entrants(self) -> pd.DataFrame:
        """Those that could add anything: all others have weight 0 in the best portfolio that may hold them."""
        return self.frame[self.frame["most"] > 0.0]

    @cached_property
    def best(self) -> pd.Series:
        """Weights of the best mix of the portfolio's assets and the entrants, certified."""
        chosen = [self.outsiders.assets.index(name) for name in self.entrants.index]
        seen = self.posed.market
        returns = np.asfortranarray(np.hstack([seen.returns, self.outsiders.returns[:, chosen]]))
        assets = (*seen.assets, *self.entrants.index)
        market = Market(returns, assets, seen.dates, seen.probabilities, seen.effective_size)
        both = Posed.of(self.posed.objective, market, self.posed.given)
        start = None if not both.problem.lift.plain else np.append(self.solved.x, np.zeros(len(chosen)))
        return pd.Series(both.held(both.solve(start).x), list(assets), name="weight")

    @property
    def says(self) -> str:
        """How many could add anything, and how much the best."""
        if not len(self.entrants):
            return f"none of {len(self.frame)} outsiders could add anything"
        name, first = self.entrants.index[0], self.entrants.iloc[0]
        could = f"{len(self.entrants)} of {len(self.frame)} outsiders could add growth"
        return f"{could}; {name} first, at most {first['most']:.3g} a period"


def screen(objective: Any, candidates: Any, prices: Any = None, *, kind: Kind | None = None) -> Screen:
    r"""Which outsiders could add growth, by the optimality condition alone.

    At the optimum with worst-case probabilities q and the budget's price y, an outsider with returns r can add
    something only if its reduced gradient :math:`\sum_t q_t \ell'_t r_t - y` is negative, and then by no more than that
    times the largest weight an asset may have. One product of a vector and the returns of all outsiders.

    Parameters
    ----------
    objective : ConvexObjective
        One that has a solution, or any with ``prices``.
    candidates : prices, returns or Market
        Of the outsiders, on the dates of the scenarios; other dates are left out. Columns that are in the portfolio
        already are skipped. A Market saves reading the data.
    prices : prices, returns, Market or Posed, optional
        Of the assets the portfolio is made of; by default those of the objective's last ``optimize``.
    kind : {"prices", "returns"}, optional

    Returns
    -------
    Screen

    Raises
    ------
    PortfolioError
        If neither prices nor a solution is there, or what may be held is limited by more than bounds, a budget and
        leverage: an outsider belongs to no group.
    DataError
        If the candidates lack dates of the scenarios; names the first.

    References
    ----------
    Bell and Cover (1980), *Competitive optimality of logarithmic investment*, for the condition.
    """
    posed = pose(objective, prices, kind=kind) if prices is not None else _last(objective)
    problem, solved = posed.scenarios, posed.solve()
    if not problem.bounds.single or problem.cost is not None or posed.objective._extra(posed.market):
        raise PortfolioError("outsiders belong to no group and have no costs: screen under bounds and leverage alone")
    if problem.penalty is not None:
        raise PortfolioError("a regulariser says nothing of outsiders; screen without reg")
    outside = _aligned(Market.from_data(candidates, kind), posed.market)
    q = problem.probabilities if problem.envelope() is None or solved.q is None else solved.q
    slope = problem.loss.evaluate(problem.scenario_returns(solved.x))[1]
    worth = np.zeros(posed.market.n_scenarios)
    worth[chances(posed.market) > 0] = q * slope
    multipliers = solved.proof.witness.multipliers
    price = 0.0 if multipliers is None else float(multipliers[0])
    marginal = (price - worth @ outside.returns) / posed.scale
    most = posed.scale * float(problem.bounds.upper[: problem.lift.parts.signs.size].max()) * np.maximum(marginal, 0.0)
    order = np.argsort(-marginal, kind="stable")
    known = set(posed.market.assets)
    order = order[[outside.assets[i] not in known for i in order]] if known & set(outside.assets) else order
    index = pd.Index([outside.assets[i] for i in order], name="asset")
    return Screen(pd.DataFrame({"marginal": marginal[order], "most": most[order]}, index), posed, outside, solved)


def _last(objective: Any) -> Posed:
    """What an objective solved last."""
    asked = getattr(objective, "_asked", None)
    if asked is None:
        raise PortfolioError(f"{objective!r} has no certified solution yet; call optimize, or give prices=")
    return Posed(asked.optimizer, asked.market, asked.given, asked.problem, asked.optimizer._scale())


def _aligned(outside: Market, seen: Market) -> Market:
    """The outsiders' returns on the dates of the scenarios."""
    if outside.dates is seen.dates or outside.dates.equals(seen.dates):
        return outside
    rows = outside.dates.get_indexer(seen.dates)
    if (rows < 0).any():
        lacking = seen.dates[int(np.argmax(rows < 0))]
        raise DataError(f"the candidates have no return on {lacking}, a scenario believed in")
    return Market(np.asfortranarray(outside.returns[rows]), outside.assets, seen.dates)
