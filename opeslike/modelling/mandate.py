"""Mandate: what may be held, in the words of the user, and how it becomes numbers for one market."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Annotated, Any, Self

import numpy as np

from opeslike.checks import FloatArray, check_covariance, number, per_period
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.modelling.convex import Problem
from opeslike.modelling.grouping import benchmark_of, box, exposed, grouped, near_benchmark, pairs
from opeslike.modelling.limits import Basis, Limit, RiskLimit, TrackingError
from opeslike.modelling.terms import Counts, Terms
from opeslike.modelling.trading import Impact, check_amounts, check_costs, impact_of, trades_of
from opeslike.parameters import AtLeastZero, Count, Finite, Parameters, Positive, Rate

#: leverage and gross exposure beyond this are a slip
_MOST = 1e9
TimesWealth = Annotated[float, partial(number, low=0.0, high=_MOST, open_low=True)]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Mandate(Parameters):
    r"""What may be held.

    Limits bind what is held, the portfolio after a Kelly fraction was applied; only ``leverage`` (the budget) binds the
    portfolio before, as ``weight_bounds`` of ``optimize`` does. ``Mandate()`` is fully invested and says nothing else.

    Parameters
    ----------
    bounds : pair of numbers, pair of arrays or Series, list of pairs, or mapping of ticker to pair, optional
        Lowest and highest weight of each asset; negative lower bounds allow short positions. In a mapping "*" stands
        for the tickers that are not named. Both these and ``weight_bounds`` hold. Default (0, 1), or (0, leverage).
    groups : mapping of name to tickers, mapping of ticker to name, or Series of names by ticker, optional
        A Series is a table, which may name further tickers; in a mapping each must be an asset.
    group_bounds : mapping of name to pair, optional
        Lowest and highest sum of the weights of a group; None leaves a side open, "*" stands for the other groups.
    exposures : DataFrame of shape (assets, factors), optional
        What a unit of weight has of each factor, by ticker. With dates as first of two index levels, the last table
        dated on or before the last row of the data is used.
    exposure_bounds : mapping of factor to pair, optional
        Lowest and highest exposure of the portfolio, ``sum of weight x exposure``; None and "*" as for groups.
    leverage : float > 0, optional
        Largest sum of weights. What is not invested is cash and earns ``risk_free``; above 1 money is borrowed at
        ``risk_free + borrow_spread``, both inside the objective. None (default) is fully invested.
    risk_free, borrow_spread : float
        Annual rates; the spread is at least 0. They need ``leverage`` (1 allows cash without borrowing).
    gross : float > 0, optional
        Largest sum of absolute weights.
    short_fee : float >= 0
        Annual fee on short positions, a cost in the objective.
    periods_per_year : float > 0
        How annual rates become rates per period, ``(1 + rate)^(1 / periods_per_year) - 1``.
    costs : number, mapping or Series by ticker, array, {"buy": ..., "sell": ...}, or "account", optional
        Basis points of the amount traded, for all assets, by asset ("*" stands for the tickers that are not named), or
        for bought and sold amounts apart, each in any of these forms. "account" takes what the account of a backtest
        expects to pay. With h the weights held before (``held`` of ``optimize``; all cash unless given) and a Kelly
        fraction f the objective is charged, per period,

        .. math:: \frac{1}{\text{horizon}} \sum_i \left( b_i \, (w_i - h_i / f)_+ + s_i \, (h_i / f - w_i)_+ \right)

        so that around what is held there is a region in which nothing is traded at all. Growth and expected returns are
        charged as they are; other utilities by their mean marginal loss at the optimum without costs. Objectives that
        know no return (minimum variance, ratios, parity) refuse costs.
    impact : number, mapping or Series by ticker, or array, optional
        What trades cost beyond that by moving the price: basis points of wealth :math:`\kappa_i` for a trade of all of
        it, of which trades of less pay the power :math:`\gamma` (``impact_power``). Per period

        .. math:: \frac{1}{f \cdot \text{horizon}} \sum_i \kappa_i \, |f w_i - h_i|^{\gamma}

        is charged. The square-root law has :math:`\gamma = 3/2` and
        :math:`\kappa_i = 10^4 \, Y \sigma_i \sqrt{W / V_i}` with the volatility of a day, wealth W over the value
        traded a day V, and Y near 1 (Grinold and Kahn 2000). Who takes costs takes impact, but for the Sharpe ratio.
    impact_power : float in (1, 2]
        3/2 by the square-root law, 2 where impact is linear in the trade, 1.6 measured by Almgren et al. (2005).
    horizon : float > 0
        Periods a trade is expected to last, over which its costs are spread: a quarter of days unless given.
    max_turnover : float >= 0, optional
        Largest sum of bought and sold weights, :math:`\sum_i |f w_i - h_i|`. Where it does not lead from what is held
        into the other limits, the least that does is in force: ``solution.turnover_limit``. A first purchase, from cash
        alone, is exempt.
    max_trade : number, mapping or Series by ticker, or array, optional
        Largest :math:`|f w_i - h_i|` of each asset; where that does not lead into the bounds of an asset, to their
        edge. A first purchase is exempt.
    benchmark : mapping or Series by ticker, or array, optional
        Weights b to be near; tickers that are not named have none. What assets that are not eligible have goes to the
        others in proportion.
    max_tracking_error : float > 0, optional
        Largest annual volatility of what is held less the benchmark; see :class:`~opeslike.modelling.limits.Volatility`
        for the covariance.
    max_active_share : float >= 0, optional
        Largest :math:`\tfrac12 \sum_i |f w_i - b_i|`.
    active_bounds : as ``bounds``, optional
        Lowest and highest :math:`f w_i - b_i`; in a mapping tickers that are neither named nor under "*" are free.
    risk_limits : sequence of RiskLimit
        :class:`~opeslike.modelling.limits.Volatility`, :class:`~opeslike.modelling.limits.ExpectedShortfall` and
        :class:`~opeslike.modelling.limits.DrawdownOdds`, any number of them.
    target_return : float, optional
        Least expected return per period of what is held, interest and fees included.
    net : pair of numbers, optional
        Least and greatest sum of the weights held, None for an open side; needs ``leverage``. (-0.1, 0.1) is a
        long/short book that is nearly neutral.
    max_positions : int >= 1, optional
        Most assets that may be held at all, long or short.
    min_position : float >= 0
        Least size of a position: each weight is 0, or at least this much long or short. Both make the problem one of
        choosing assets, by branch and bound over certified relaxations: the status is "optimal" where the proved bound
        meets the value, else "bounded", with the gap reached at the optimiser's ``time_limit``.
    constraints : callable or sequence of callables
        For what is left: each takes the weights held as a cvxpy expression of shape (N,) and returns a convex
        constraint or a list of them, for example ``lambda w: cp.norm2(w) <= 0.5``. They go through cvxpy and are
        certified like everything else.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or, from ``optimize``, names a ticker, group or factor that is unknown.
    InfeasibleError
        From ``optimize``: if the limits contradict each other; names them.

    References
    ----------
    Grinold and Kahn (2000), *Active portfolio management*, chapter 16; Almgren, Thum, Hauptmann and Li (2005), *Direct
    estimation of equity market impact*; Bertsimas and Cory-Wright (2022), *A scalable algorithm for sparse portfolio
    selection*, on counts.

    Examples
    --------
    >>> from opeslike import MaxMean
    >>> returns = pd.DataFrame({"A": [0.03, 0.01], "B": [0.02, 0.01], "C": [0.0, -0.01]})
    >>> bounds = {"B": (0.1, 1), "*": (0, 0.5)}
    >>> mandate = Mandate(bounds=bounds, groups={"ab": ["A", "B"]}, group_bounds={"ab": (0, 0.7)})
    >>> MaxMean(mandate=mandate).optimize(returns, kind="returns").round(4).tolist()
    [0.5, 0.2, 0.3]
    >>> mandate.set_params(group_bounds={"ab": (0, 0.7), "*": (0, 0.2)}).group_bounds
    {'ab': (0, 0.7), '*': (0, 0.2)}
    >>> near = MaxMean(mandate=Mandate(max_turnover=0.1))
    >>> near.optimize(returns, kind="returns", held={"A": 0.5, "C": 0.5}).round(4).tolist()
    [0.55, 0.0, 0.45]
    """

    bounds: Any = None
    groups: Any = None
    group_bounds: Any = None
    exposures: Any = None
    exposure_bounds: Any = None
    leverage: TimesWealth | None = None
    risk_free: Rate = 0.0
    borrow_spread: AtLeastZero = 0.0
    gross: TimesWealth | None = None
    short_fee: AtLeastZero = 0.0
    periods_per_year: Positive = 252
    costs: Any = None
    impact: Annotated[Any, check_amounts] | None = None
    impact_power: Annotated[float, partial(number, low=1.0, high=2.0, open_low=True)] = 1.5
    horizon: Positive = 63
    max_turnover: AtLeastZero | None = None
    max_trade: Annotated[Any, check_amounts] | None = None
    benchmark: Any = None
    max_tracking_error: Positive | None = None
    max_active_share: AtLeastZero | None = None
    active_bounds: Any = None
    risk_limits: Any = ()
    target_return: Finite | None = None
    net: Any = None
    max_positions: Count | None = None
    min_position: AtLeastZero = 0.0
    constraints: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.leverage is None and (self.risk_free != 0 or self.borrow_spread != 0):
            raise PortfolioError("risk_free and borrow_spread need leverage=; leverage=1 allows cash without borrowing")
        check_costs(self.costs)
        for name in ("max_tracking_error", "max_active_share", "active_bounds"):
            if getattr(self, name) is not None and self.benchmark is None:
                raise PortfolioError(f"{name} is measured from a benchmark; give benchmark=, weights by ticker")
        if not isinstance(self.risk_limits, Sequence) or not all(isinstance(x, RiskLimit) for x in self.risk_limits):
            raise PortfolioError(f"risk_limits must be a list of limits such as Volatility(0.15): {self.risk_limits!r}")
        if self.net is not None:
            if self.leverage is None:
                raise PortfolioError("net needs leverage=: fully invested weights sum to 1; leverage=1 allows cash")
            pairs("bounds", {"net": self.net})
        listed = callable(self.constraints) or isinstance(self.constraints, Sequence)
        for item in self.callables if listed else (self.constraints,):
            if not callable(item):
                raise PortfolioError(f"constraints must be callables of the weights, got {item!r}")
        for limits, limited in (("group_bounds", "groups"), ("exposure_bounds", "exposures")):
            if (getattr(self, limits) is None) != (getattr(self, limited) is None):
                raise PortfolioError(f"{limits} and {limited} go together; give both")
            pairs(limits, getattr(self, limits))

    def set_params(self, **params: Any) -> Self:
        """Changed copy: a mandate is frozen.

        Raises
        ------
        PortfolioError
            A name that is no parameter, or a value out of range.
        """
        return self._changed(params)

    @property
    def callables(self) -> tuple[Callable[[Any], Any], ...]:
        """The constraints, one or many, as a tuple."""
        return (self.constraints,) if callable(self.constraints) else tuple(self.constraints)

    @property
    def empty(self) -> bool:
        """Whether nothing is said."""
        return repr(self) == "Mandate()"

    @property
    def risky(self) -> bool:
        """Whether a risk is limited."""
        return bool(self.risk_limits) or self.max_tracking_error is not None

    @property
    def gives_way(self) -> bool:
        """Whether the limit on turnover may have to give way to limits on risk."""
        return self.risky and self.max_turnover is not None

    @property
    def uses_held(self) -> bool:
        """Whether what is held before makes a difference."""
        return any(each is not None for each in (self.costs, self.impact, self.max_turnover, self.max_trade))

    def counts(self, fraction: float = 1.0) -> Counts | None:
        """How few positions there may be and how small, before a Kelly fraction is applied; None for no limit."""
        if self.max_positions is None and self.min_position == 0:
            return None
        return Counts(self.max_positions, self.min_position / fraction)

    def terms(
        self,
        market: Market,
        weight_bounds: Any = None,
        fraction: float = 1.0,
        held: FloatArray | None = None,
        costs: Any = None,
        mean: FloatArray | None = None,
    ) -> Terms:
        """The mandate in numbers, for the portfolio before a Kelly fraction is applied.

        Parameters
        ----------
        market : Market
        weight_bounds : as in ``optimize``, optional
            Bounds of that portfolio, besides those of the mandate.
        fraction : float in (0, 1]
            What of that portfolio is held: limits on what is held are divided by it.
        held : ndarray of shape (N,), optional
            Weights held before; None is all cash.
        costs : basis points by asset, optional
            What the account expects to pay, for ``costs="account"``.
        mean : ndarray of shape (N,), optional
            Expected returns per period, for ``target_return``; those of the market by default.

        Raises
        ------
        PortfolioError
            If a ticker, group or factor is unknown, or a bound is none; names it.
        InfeasibleError
            If ``weight_bounds`` and the mandate's bounds have nothing in common; names both and the asset.
        """
        dated = (weight_bounds, self.bounds, self.groups, self.exposures, self.benchmark, self.target_return)
        if not self.uses_held and all(each is None for each in dated):
            return _lasting(self, market.assets, fraction)
        limits = [*grouped(self.groups, self.group_bounds, market.assets)]
        limits += exposed(self.exposures, self.exposure_bounds, market)
        terms = self._terms(market.assets, limits, weight_bounds, fraction, held, costs)
        if self.target_return is not None:
            mean = market.mean() if mean is None else mean
            terms = replace(terms, mean=mean, target=self.target_return / fraction)
        return terms

    def limits(
        self, market: Market, problem: Problem, scale: float, covariance: Any, own: Sequence[RiskLimit] = ()
    ) -> tuple[Limit, ...]:
        """Limits on risk over the variables of a problem, with an objective's ``own``; see :class:`Basis`."""
        asked = [*self.risk_limits, *own]
        if self.max_tracking_error is not None:
            asked.append(TrackingError(self.max_tracking_error, benchmark_of(self.benchmark, market.assets)))
        if not asked:
            return ()
        covariance = None if covariance is None else check_covariance(covariance, market.assets)
        basis = Basis(market, problem, scale, self.periods_per_year, covariance)
        return tuple(one.on(basis) for one in asked)

    def _terms(self, assets: Any, limits: Sequence[Any], weight_bounds: Any, fraction: float, *trading: Any) -> Terms:
        lower, upper = box(self.bounds, self.leverage, assets, weight_bounds, fraction)
        if self.net is not None:
            limits = [*limits, ("net", np.ones(len(assets)), pairs("bounds", {"net": self.net})["net"])]
        cash_rate, borrow_rate, short_fee = self.rates
        return Terms(
            lower,
            upper,
            np.array([row for _, row, _ in limits]).reshape(-1, len(assets)),
            np.array([low for _, _, (low, _) in limits]) / fraction,
            np.array([high for _, _, (_, high) in limits]) / fraction,
            tuple(name for name, _, _ in limits),
            self.leverage,
            cash_rate,
            borrow_rate,
            None if self.gross is None else self.gross / fraction,
            short_fee,
            assets,
            **(trades_of(self, assets, fraction, *trading) if self.uses_held else {}),
            **(near_benchmark(self, assets, fraction) if self.benchmark is not None else {}),
        )

    def market_impact(self, assets: Sequence[Hashable], held: FloatArray) -> Impact | None:
        """What trades from ``held`` pay once for moving prices, as a fraction of wealth."""
        return None if self.impact is None else impact_of(self.impact, self.impact_power, assets, held)

    @property
    def rates(self) -> tuple[float, float, float]:
        """Of cash, borrowed money and short positions, per period."""
        cash, borrowed = self.risk_free, self.risk_free + self.borrow_spread
        every = [per_period(rate, self.periods_per_year) for rate in (cash, borrowed, self.short_fee)]
        return every[0], every[1], every[2]

    def carried(self, held: FloatArray) -> float:
        """Return per period of what is not in assets: cash or borrowed money, and the fee of short positions."""
        cash, (lent, borrowed, short_fee) = 1.0 - float(held.sum()), self.rates
        return cash * (lent if cash >= 0 else borrowed) + short_fee * float(np.minimum(held, 0.0).sum())


@lru_cache(maxsize=64)
def _lasting(mandate: Mandate, assets: tuple[Hashable, ...], fraction: float) -> Terms:
    return mandate._terms(assets, (), None, fraction)
