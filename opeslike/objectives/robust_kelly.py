"""Kelly portfolios that doubt the odds, or limit the drawdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from opeslike.errors import DataError, PortfolioError
from opeslike.market import Market
from opeslike.modelling.ambiguity import DistanceBall, ProbabilityBox
from opeslike.modelling.losses import Log
from opeslike.modelling.problem import Problem, ScenarioProblem
from opeslike.modelling.risks import Entropic, Mean, Risk
from opeslike.objectives.base import Constraint, ScenarioObjective
from opeslike.objectives.leverage import financing_of
from opeslike.objectives.parameters import fraction_of, positive, radii_of, share_of
from opeslike.objectives.utility_theory import Kelly, log_loss

FloatArray = NDArray[np.float64]

METRICS = ("l2", "chi-square")


class RiskConstrainedKelly(ScenarioObjective):
    r"""Kelly with a bound on the odds of a drawdown.

    .. math:: \max_{w \in W} \; \sum_t p_t \log(1 + w^\top r_t) \quad \text{subject to} \quad
        \sum_t p_t (1 + w^\top r_t)^{-\lambda} \le 1

    Whatever the number of bets, if they are independent draws from the scenarios and the same weights are held all the
    time, the constraint bounds the odds that wealth ever falls below a share :math:`\alpha` of its *start*:
    :math:`P(\min_n W_n < \alpha) < \alpha^\lambda`. It says nothing about falls from a later peak, and nothing where
    bad days come together.

    Parameters
    ----------
    max_drawdown : float in (0, 1)
        :math:`1 - \alpha`, the fall from the start that is to be rare: 0.3 is a fall to 70% of the start.
    probability : float in (0, 1)
        Upper bound of its odds. The two give :math:`\lambda = \log(\text{probability}) / \log(1 -
        \text{max\_drawdown})`.
    lam : float > 0, optional
        :math:`\lambda` itself, instead of the two.
    leverage : float > 0 or None
        Largest sum of weights, 1 by default: what is not invested is cash, without which most markets allow no weights
        that meet the constraint. None is fully invested.
    risk_free, borrow_spread, gross, short_fee, periods_per_year
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    reg, strength
        Regulariser and its strength; see :class:`~opeslike.objectives.base.ConvexObjective`.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or ``lam`` comes with ``max_drawdown`` or ``probability``.
    InfeasibleError
        From ``optimize``: if no weights meet the constraint.

    Notes
    -----
    The constraint is the entropic risk at aversion :math:`\lambda` of the log losses, convex and smooth. The solver
    finds its price; ``solution.gap`` holds for the constrained problem. The default, a fall of 30% with odds of
    10%, is :math:`\lambda = 6.456`. For small returns the answer is close to the fraction :math:`2 / (1 + \lambda)` of
    the Kelly portfolio.

    References
    ----------
    Busseti, Ryu and Boyd (2016), *Risk-constrained Kelly gambling*.

    Examples
    --------
    >>> import numpy as np
    >>> coin = np.array([[1.25]] * 51 + [[-1.0]] * 49)  # 5 to 4 at 51%
    >>> RiskConstrainedKelly(lam=3.0).optimize(coin, kind="returns").round(6).tolist()
    [0.058925]
    """

    loss = Log()
    risk = Mean()

    def __init__(
        self,
        max_drawdown: float | None = None,
        probability: float | None = None,
        *,
        lam: float | None = None,
        leverage: float | None = 1.0,
        risk_free: float = 0.0,
        borrow_spread: float = 0.0,
        gross: float | None = None,
        short_fee: float = 0.0,
        periods_per_year: float = 252,
        reg: str | None = None,
        strength: float = 1.0,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        if lam is None:
            self.max_drawdown = share_of("max_drawdown", 0.3 if max_drawdown is None else max_drawdown)
            self.probability = share_of("probability", 0.1 if probability is None else probability)
            self.lam = math.log(self.probability) / math.log1p(-self.max_drawdown)
        else:
            if max_drawdown is not None or probability is not None:
                raise PortfolioError("give either lam, or max_drawdown and probability")
            self.lam = positive("lam", lam)
        self.financing = financing_of(leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year)

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        problem = super()._problem(market, weight_bounds, custom_mean, custom_cov)
        assert isinstance(problem, ScenarioProblem)
        problem.limit = Entropic(self.lam)
        return problem


class BayesianKelly(Kelly):
    r"""Kelly on the sample mixed with prior scenarios, as if the prior had been observed ``pseudo_count`` times.

    .. math:: \max_{w \in W} \; \frac{T}{T + c} \sum_t p_t \log(1 + w^\top r_t)
        + \frac{c}{T + c} \cdot \frac{1}{S} \sum_s \log(1 + w^\top r^0_s)

    With c = 0 it is Kelly on the sample; with c large, Kelly on the prior. It is the posterior mean of the odds under a
    Dirichlet prior on the T + S scenarios. A prior of pessimistic days, or of days from another market, draws the
    portfolio towards caution the more, the shorter the sample.

    Parameters
    ----------
    prior_scenarios : array-like or DataFrame of shape (S, N)
        Simple returns per period; a frame is matched by ticker, an array by position.
    pseudo_count : float >= 0
        c, the number of observations that the prior counts for.
    fraction, reg, strength, formulation, leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`; the probabilities are those of the sample.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.
    DataError
        If the prior scenarios are not finite numbers, or, from ``optimize``, not for the assets of the data.

    References
    ----------
    Browne and Whitt (1996), *Portfolio choice and the Bayesian Kelly criterion*.

    Examples
    --------
    >>> import numpy as np
    >>> heads = np.array([[1.0]] * 7 + [[-1.0]] * 3)
    >>> fair = np.array([[1.0], [-1.0]])
    >>> BayesianKelly(fair, pseudo_count=10, leverage=1).optimize(heads, kind="returns").round(6).tolist()
    [0.2]
    """

    def __init__(
        self,
        prior_scenarios: ArrayLike | pd.DataFrame,
        pseudo_count: float = 100.0,
        fraction: float = 1.0,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        formulation: str = "thorp",
        leverage: float | None = None,
        risk_free: float = 0.0,
        borrow_spread: float = 0.0,
        gross: float | None = None,
        short_fee: float = 0.0,
        periods_per_year: float = 252,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            fraction,
            reg,
            strength,
            formulation=formulation,
            leverage=leverage,
            risk_free=risk_free,
            borrow_spread=borrow_spread,
            gross=gross,
            short_fee=short_fee,
            periods_per_year=periods_per_year,
            solver=solver,
            constraints=constraints,
            probabilities=probabilities,
        )
        self.pseudo_count = positive("pseudo_count", pseudo_count, zero=True)
        self.prior_scenarios = _prior(prior_scenarios)

    def _problem(self, market: Market, weight_bounds: Any, custom_mean: Any, custom_cov: Any) -> Problem:
        problem = super()._problem(self._mixed(market), weight_bounds, custom_mean, custom_cov)
        assert isinstance(problem, ScenarioProblem)
        rows = problem.labels
        assert rows is not None

        def names() -> NDArray[Any]:  # for messages alone, so not made at every solve
            priors = [f"prior scenario {row}" for row in range(len(self.prior_scenarios))]
            every = np.array([*market.dates, *priors], dtype=object)
            return np.asarray(every[np.asarray(rows())])

        problem.labels = names
        return problem

    def _mixed(self, market: Market) -> Market:
        """The sample and below it the prior scenarios, with their probabilities."""
        prior = self.prior_scenarios
        if isinstance(prior, pd.DataFrame):
            missing = [str(asset) for asset in market.assets if asset not in prior.columns]
            if missing:
                raise DataError(f"prior_scenarios lack {', '.join(missing)}")
            prior = prior[list(market.assets)].to_numpy(dtype=np.float64)
        if prior.shape[1] != market.n_assets:
            raise DataError(f"prior_scenarios have {prior.shape[1]} columns for {market.n_assets} assets")
        count, extra = market.n_scenarios, len(prior)
        sample = np.full(count, 1.0 / count) if market.probabilities is None else market.probabilities
        share = self.pseudo_count / (count + self.pseudo_count)
        return Market(
            np.asfortranarray(np.vstack([market.returns, prior])),
            market.assets,
            pd.RangeIndex(count + extra),
            np.concatenate([(1.0 - share) * sample, np.full(extra, share / extra)]),
        )


class BoxRobustKelly(ScenarioObjective):
    r"""Kelly under the worst scenario probabilities that are each known up to a share of themselves.

    .. math:: \max_{w \in W} \; \min_{q} \; \sum_t q_t \log(1 + w^\top r_t) \quad \text{over} \quad
        |q_t - p_t| \le \eta\, p_t, \; q \ge 0, \; \textstyle\sum_t q_t = 1

    Parameters
    ----------
    fraction : float in (0, 1]
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float >= 0 or array-like of shape (T,)
        :math:`\eta`, one for all scenarios or one each. 0 is Kelly; 0.5 lets every probability be half to one and a
        half times its nominal value.
    formulation, reg, strength, leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range, or, from ``optimize``, an array of radii does not fit the scenarios.

    Notes
    -----
    The worst case puts :math:`(1 + \eta) p` on the bad half of the scenarios and :math:`(1 - \eta) p` on the good one:
    the mean less :math:`\eta` times the mean absolute deviation of the log returns from their median, for
    :math:`\eta \le 1` and uniform probabilities.

    References
    ----------
    Sun and Boyd (2018), *Distributional robust Kelly gambling*.
    """

    def __init__(
        self,
        fraction: float = 1.0,
        radius: float | ArrayLike = 0.25,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        formulation: str = "thorp",
        leverage: float | None = None,
        risk_free: float = 0.0,
        borrow_spread: float = 0.0,
        gross: float | None = None,
        short_fee: float = 0.0,
        periods_per_year: float = 252,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.radius = radii_of(radius)
        self.fraction, self.formulation = fraction_of(fraction), formulation
        self.loss, self._multiple = log_loss(self.fraction, formulation)
        self.financing = financing_of(leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year)

    def _scale(self) -> float:
        return self._multiple

    def _risk(self, market: Market) -> Risk:
        radius = self.radius
        if isinstance(radius, np.ndarray) and radius.size != market.n_scenarios:
            raise PortfolioError(
                f"radius has {radius.size} values for {market.n_scenarios} scenarios; give one each, or one number"
            )
        p = market.probabilities
        p = np.full(market.n_scenarios, 1.0 / market.n_scenarios) if p is None else p
        if not np.any(radius):
            return Mean()
        held = p > 0  # the problem leaves out the other scenarios
        lower, upper = np.maximum(p * (1.0 - radius), 0.0), np.minimum(p * (1.0 + radius), 1.0)
        return ProbabilityBox(lower[held], upper[held])


class EllipsoidRobustKelly(ScenarioObjective):
    r"""Kelly under the worst scenario probabilities within an ellipsoid around the nominal ones.

    .. math:: \max_{w \in W} \; \min_{q} \; \sum_t q_t \log(1 + w^\top r_t) \quad \text{over} \quad
        \sum_t (q_t - p_t)^2 / s_t \le \varepsilon^2, \; q \ge 0, \; \textstyle\sum_t q_t = 1

    Parameters
    ----------
    fraction : float in (0, 1]
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    radius : float >= 0
        :math:`\varepsilon`; 0 is Kelly.
    metric : {"l2", "chi-square"}
        "l2" (default): :math:`s_t = 1`, a Euclidean ball. "chi-square": :math:`s_t = p_t`; the same radius then means
        the same whatever the number of scenarios: while all q stay positive, the objective is the growth less
        :math:`\varepsilon` standard deviations of the log returns. With uniform probabilities the ball of radius
        :math:`\varepsilon` in one is that of :math:`\varepsilon \sqrt T` in the other.
    formulation, reg, strength, leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year
        As in :class:`~opeslike.objectives.utility_theory.Kelly`.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is out of its range.

    References
    ----------
    Sun and Boyd (2018), *Distributional robust Kelly gambling*; Duchi and Namkoong (2019), *Variance-based
    regularization with convex objectives*, on the chi-square ball.
    """

    def __init__(
        self,
        fraction: float = 1.0,
        radius: float = 0.002,
        reg: str | None = None,
        strength: float = 1.0,
        *,
        metric: str = "l2",
        formulation: str = "thorp",
        leverage: float | None = None,
        risk_free: float = 0.0,
        borrow_spread: float = 0.0,
        gross: float | None = None,
        short_fee: float = 0.0,
        periods_per_year: float = 252,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            reg=reg, strength=strength, solver=solver, constraints=constraints, probabilities=probabilities
        )
        self.radius = positive("radius", radius, zero=True)
        if metric not in METRICS:
            raise PortfolioError(f"metric={metric!r} is unknown; use one of {', '.join(map(repr, METRICS))}")
        self.metric = metric
        self.fraction, self.formulation = fraction_of(fraction), formulation
        self.loss, self._multiple = log_loss(self.fraction, formulation)
        self.financing = financing_of(leverage, risk_free, borrow_spread, gross, short_fee, periods_per_year)

    def _scale(self) -> float:
        return self._multiple

    def _risk(self, market: Market) -> Risk:
        if self.metric == "chi-square":
            return DistanceBall(self.radius)
        p = market.probabilities
        held = market.n_scenarios if p is None else int((p > 0).sum())
        return DistanceBall(self.radius, np.ones(held))


def _prior(scenarios: Any) -> FloatArray | pd.DataFrame:
    """Check prior scenarios: finite numbers in two dimensions, at least one row."""
    try:
        values = np.asarray(scenarios, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"prior_scenarios are not numeric: {error}") from error
    if values.ndim != 2 or not values.size:
        raise DataError(f"prior_scenarios must be simple returns, scenarios x assets; got shape {values.shape}")
    if not np.isfinite(values).all():
        row, column = map(int, np.argwhere(~np.isfinite(values))[0])
        name = scenarios.columns[column] if isinstance(scenarios, pd.DataFrame) else f"column {column}"
        raise DataError(f"prior_scenarios have a value that is not finite: {name}, row {row}")
    return scenarios.copy() if isinstance(scenarios, pd.DataFrame) else values.copy()
