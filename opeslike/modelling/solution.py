"""Solution: an answer that carries its own proof."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.errors import OptimizationError, PortfolioError
from opeslike.modelling.trading import Impact


@dataclass(frozen=True, eq=False)
class Solution:
    """The outcome of one optimisation.

    Attributes
    ----------
    weights : ndarray of shape (N,)
        What to hold, as fractions of wealth, in the order of ``assets``; the rest of wealth is cash.
    assets : tuple of N labels
    value : float
        The objective at the optimiser's own scale (before a Kelly fraction is applied), in its unit; for Kelly the
        expected growth per period with its sign turned (a loss). NaN for rules that optimise nothing.
    gap : float or None
        Certified bound on ``value`` minus the best value possible, from a dual bound computed independently of the
        solver, in the unit of ``value``. None for heuristics and for rules that optimise nothing.
    tolerance : float
        The gap up to which the answer counts as optimal: 1e-7 times the standard deviation of the portfolio's returns.
    status : str
        "optimal" (a gap within the tolerance), "optimal_inaccurate" (within ten), "bounded" (a larger proven gap),
        "closed-form" or "heuristic".
    solver : str
        Which solver found the weights.
    iterations : int
        Newton steps or solver iterations.
    seconds : float
        Wall time of the solve.
    worst_case : ndarray of shape (T,) or None
        For robust objectives, the scenario probabilities the answer is worst under.
    held : ndarray of shape (N,) or None
        What was held before, where it made a difference or was given.
    turnover_limit : float or None
        The limit on turnover in force: the mandate's, or the least turnover that leads from what was held into the
        other limits where that is more. None without a limit, and for a first purchase.
    filled : int
        Rows of the past in which returns were drawn, not observed (:class:`~opeslike.beliefs.FilledHistory`).
    """

    weights: NDArray[np.float64]
    assets: tuple[Hashable, ...]
    value: float
    gap: float | None
    status: str
    solver: str
    iterations: int = 0
    seconds: float = 0.0
    tolerance: float = 0.0
    worst_case: NDArray[np.float64] | None = None
    held: NDArray[np.float64] | None = None
    turnover_limit: float | None = None
    filled: int = 0
    _rates: tuple[Any, Any] = (None, None)
    _impact: Impact | None = None
    _again: Callable[[Any, NDArray[np.float64]], Any] | None = None
    _prices: Callable[[], dict[str, float]] | None = None

    def verify(self, data: Any) -> float:
        """Prove the gap again: from the data, the weights and the witness, with nothing of the solver that found them.

        The problem is rebuilt as the objective and its limits were when the weights were found; then feasibility, value
        and bound are computed by formula (see :mod:`opeslike.proof`).

        Parameters
        ----------
        data : as given to ``optimize``

        Returns
        -------
        float
            The gap, which ``value`` exceeds the best value by at most.

        Raises
        ------
        PortfolioError
            If nothing was proved about these weights, or the witness was not kept.
        OptimizationError
            If the proof fails: the weights break a limit, have another value with these data, or are worse than the
            best ones by more than ten tolerances as far as the witness shows.
        """
        if self.gap is None or self._again is None:
            why = (
                "nothing was proved about them" if self.gap is None else "its bound is not verified: no witness is kept"
            )
            raise PortfolioError(f"the {self.status} weights cannot be verified, for {why}")
        proof = self._again(data, self.weights)
        room = 10.0 * max(float(proof.tolerance), self.tolerance)
        if not abs(float(proof.value) - self.value) <= room:
            raise OptimizationError(
                f"the weights have the value {proof.value:.9g} with these data, not {self.value:.9g}; verify with the "
                "data that were given to optimize"
            )
        if not proof.gap <= 10.0 * proof.tolerance:
            raise OptimizationError(
                f"the proof fails: a better value by up to {proof.gap:.1e} cannot be excluded, more than ten times the "
                f"{proof.tolerance:.1e} that counts as optimal"
            )
        return float(proof.gap)

    @property
    def shadow_prices(self) -> pd.Series:
        """What a unit more room in each active limit is worth, by limit, the dearest first.

        In the unit of ``value`` (growth a period for Kelly), per unit of the limit on what is held as it is written,
        such as "AAPL <= 0.2"; at a corner where several sets of prices are right, one of them. For equalities
        ("budget == 1") what raising the right-hand side by a unit gains, which may be negative.

        Raises
        ------
        PortfolioError
            If the witness was not kept, or the objective has none.
        """
        if self._prices is None:
            raise PortfolioError(f"no shadow prices are known for the {self.status} weights of {self.solver}")
        return pd.Series(self._prices(), dtype=float, name="shadow price").sort_values(ascending=False, kind="stable")

    @property
    def trades(self) -> pd.DataFrame:
        """What leads from the weights held before to these, by asset.

        Returns
        -------
        DataFrame of shape (N, 3)
            ``bought`` and ``sold``, weights of at least 0, and ``cost``, what is paid for them once by the mandate's
            costs and impact, as a fraction of wealth.

        Raises
        ------
        PortfolioError
            If it is not known what was held: the mandate has neither costs nor limits on trades, and ``optimize`` was
            not given ``held``.
        """
        if self.held is None:
            raise PortfolioError("what was held before is not known; give optimize(data, held=...)")
        change = self.weights - self.held
        parts = {"bought": np.maximum(change, 0.0), "sold": np.maximum(-change, 0.0)}
        rates = zip(parts.values(), self._rates, strict=True)
        cost = sum((part * rate for part, rate in rates if rate is not None), np.zeros(change.size))
        if self._impact is not None:
            cost = cost + self._impact.by_asset(self.weights)
        return pd.DataFrame({**parts, "cost": cost}, index=pd.Index(list(self.assets)))

    def without_witness(self) -> Solution:
        """The solution less what only :meth:`verify`, ``shadow_prices`` and ``worst_case`` need, to store many."""
        return replace(self, worst_case=None, _again=None, _prices=None)

    @property
    def cash(self) -> float:
        """``1 - sum(weights)``; negative when money is borrowed."""
        return float(1.0 - self.weights.sum())

    def to_series(self) -> pd.Series:
        """Weights labelled by asset."""
        return pd.Series(self.weights, index=pd.Index(list(self.assets)), name="weight")

    def __repr__(self) -> str:
        gap = "none" if self.gap is None else f"{self.gap:.1e}"
        top = np.argsort(-np.abs(self.weights))[:3]
        held = ", ".join(f"{self.assets[i]} {self.weights[i]:.1%}" for i in top if self.weights[i] != 0)
        value = "" if np.isnan(self.value) else f"value={self.value:.6g}, "
        return f"Solution({held}; {value}gap={gap}, status={self.status!r}, solver={self.solver!r})"

    def _repr_html_(self) -> str:
        """Show what is held, the certificate and the shadow prices in a notebook."""
        held = self.to_series()
        held = held[held != 0].sort_values(key=abs, ascending=False)
        table = held.rename("weight").to_frame().to_html(float_format="{:.2%}".format, border=0)
        gap = "no gap" if self.gap is None else f"gap {self.gap:.1e}"
        words = f"{self.status} by {self.solver}, {gap}; cash {self.cash:.2%}"
        if self._prices is not None and len(prices := self.shadow_prices):
            table += prices.to_frame("shadow price").to_html(float_format="{:.2e}".format, border=0)
        return f"<p>{html.escape(words)}</p>\n{table}"
