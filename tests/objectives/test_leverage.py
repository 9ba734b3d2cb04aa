"""Cash, borrowing, gross exposure and short fees inside the Kelly objective."""

from __future__ import annotations

import warnings

import cvxpy as cp
import numpy as np
import pytest

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.market import Market
from opeslike.modelling.mandate import Mandate
from opeslike.objectives import Kelly


def coin(win: float, lose: float, p: float = 0.6) -> np.ndarray:
    """One asset that gains ``win`` with probability p (of a hundred rows) and loses ``lose`` otherwise."""
    wins = round(100 * p)
    return np.array([[win]] * wins + [[-lose]] * (100 - wins))


def growth_optimal(win: float, lose: float, p: float, rate: float) -> float:
    """Fraction in a bet that maximises growth when the rest lies at ``rate``: the first-order condition solved by hand.

    Busseti, Ryu and Boyd (2016) and Thorp (2006) give the case of rate 0, ``p / lose - (1 - p) / win``.
    """
    return (1 + rate) * (p / (lose + rate) - (1 - p) / (win - rate))


@pytest.mark.parametrize("rate", [0.0, 0.01, -0.005])
def test_what_is_not_bet_earns_interest(rate: float) -> None:
    expected = growth_optimal(1.0, 1.0, 0.6, rate)
    kelly = Kelly(mandate=Mandate(leverage=1, risk_free=rate, periods_per_year=1))
    weights = kelly.optimize(coin(1.0, 1.0), kind="returns")
    assert weights[0] == pytest.approx(expected, abs=1e-9)
    assert kelly.solution.cash == pytest.approx(1 - expected, abs=1e-9)
    value = 0.6 * np.log(1 + rate + expected * (1 - rate)) + 0.4 * np.log(1 + rate - expected * (1 + rate))
    assert kelly.solution.value == pytest.approx(-value, abs=1e-14)


def test_borrowing_lending_and_neither() -> None:
    """With a spread between the two rates there are three regimes; in the middle one exactly everything is invested."""
    data = coin(0.3, 0.2)
    lend = Kelly(mandate=Mandate(leverage=3, risk_free=0.09, borrow_spread=0.03, periods_per_year=1))
    both = Kelly(mandate=Mandate(leverage=3, risk_free=0.03, borrow_spread=0.05, periods_per_year=1))
    borrow = Kelly(mandate=Mandate(leverage=3, risk_free=0.0, borrow_spread=0.01, periods_per_year=1))
    cheap = growth_optimal(0.3, 0.2, 0.6, 0.01)
    assert growth_optimal(0.3, 0.2, 0.6, 0.03) > 1 > growth_optimal(0.3, 0.2, 0.6, 0.08)
    assert cheap > 1
    assert lend.optimize(data, kind="returns")[0] == pytest.approx(growth_optimal(0.3, 0.2, 0.6, 0.09), abs=1e-8)
    assert both.optimize(data, kind="returns")[0] == pytest.approx(1.0, abs=1e-12)
    assert borrow.optimize(data, kind="returns")[0] == pytest.approx(cheap, abs=1e-8)
    capped = Kelly(mandate=Mandate(leverage=1.2, borrow_spread=0.01, periods_per_year=1)).optimize(data, kind="returns")
    assert capped[0] == pytest.approx(1.2, abs=1e-12)


def test_annual_rates_become_rates_per_period() -> None:
    mandate = Mandate(leverage=2, risk_free=0.05, borrow_spread=0.02, short_fee=0.03, periods_per_year=12)
    financing = mandate.terms(Market.from_data(market(), "returns"))
    assert (1 + financing.cash_rate) ** 12 == pytest.approx(1.05)
    assert (1 + financing.borrow_rate) ** 12 == pytest.approx(1.07)
    assert (1 + financing.short_fee) ** 12 == pytest.approx(1.03)


def test_a_fraction_scales_the_levered_portfolio() -> None:
    data = coin(0.3, 0.2)
    full = Kelly(mandate=Mandate(leverage=3)).optimize(data, kind="returns")
    half = Kelly(0.5, mandate=Mandate(leverage=3)).optimize(data, kind="returns")
    np.testing.assert_allclose(half, 0.5 * full, rtol=1e-9)


def market(count: int = 250, assets: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.asarray(rng.standard_t(4, (count, assets)) * 0.01 + rng.uniform(-0.001, 0.002, assets))


CASES = [
    {"leverage": 1.0, "risk_free": 0.02},
    {"leverage": 2.0, "risk_free": 0.02, "borrow_spread": 0.01},
    {"leverage": 0.5, "risk_free": 0.3, "borrow_spread": 0.01},
    {"gross": 2.0},
    {"short_fee": 0.2},
    {"leverage": 2.0, "risk_free": 0.02, "borrow_spread": 0.03, "gross": 2.5, "short_fee": 0.01},
    {"leverage": 5.0, "risk_free": 0.03, "borrow_spread": 0.02, "gross": 3.0},
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_the_same_as_writing_it_down_in_cvxpy(case: dict[str, float], low: float) -> None:
    data, n = market(), 6
    leverage = case.get("leverage")
    kelly = Kelly(mandate=Mandate(**case))
    weights = kelly.optimize(data, (low, leverage or 1.0), kind="returns")
    financing = Mandate(**case).terms(Market.from_data(data, "returns"))

    w, cash, debt = cp.Variable(n), cp.Variable(nonneg=True), cp.Variable(nonneg=True)
    returns = data @ w - financing.short_fee * cp.sum(cp.neg(w))
    constraints = [w >= low, w <= (leverage or 1.0)]
    if leverage is None:
        constraints += [cp.sum(w) == 1]
    else:
        returns = returns + financing.cash_rate * cash - financing.borrow_rate * debt
        constraints += [cp.sum(w) + cash - debt == 1, cp.sum(w) <= leverage]
    if financing.gross is not None:
        constraints.append(cp.norm1(w) <= financing.gross)
    problem = cp.Problem(cp.Minimize(-100 * cp.sum(cp.log(1 + returns)) / len(data)), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the comparison below judges
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)

    solution = kelly.solution
    assert solution.status == "optimal"
    assert solution.value == pytest.approx(problem.value / 100, abs=1e-9)
    assert weights.sum() <= (leverage or 1.0) + 1e-12
    assert np.abs(weights).sum() <= case.get("gross", np.inf) + 1e-12
    assert kelly.problem(data, (low, leverage or 1.0), kind="returns").is_dcp()


def test_the_default_upper_bound_is_the_leverage() -> None:
    data = np.column_stack([np.full(20, 0.01), np.full(20, 0.001)])
    np.testing.assert_allclose(
        Kelly(mandate=Mandate(leverage=2.5)).optimize(data, kind="returns"), [2.5, 0.0], atol=1e-12
    )
    np.testing.assert_allclose(
        Kelly(mandate=Mandate(leverage=2.5)).optimize(data, (0, 1), kind="returns"), [1.0, 1.0], atol=1e-12
    )


@pytest.mark.parametrize("reg", ["l1", "l2", "l-inf", "variance", "mpad", "mpd"])
def test_regularised_with_shorts_and_a_gross_limit(reg: str) -> None:
    """Each part of a weight is a variable, and still the regulariser is that of the weights."""
    data = market(120, 5)
    kelly = Kelly(1.0, reg, 1e-3, mandate=Mandate(leverage=2.0, gross=2.5, short_fee=0.01))
    weights = kelly.optimize(data, (-1, 1), kind="returns")
    terms = {
        "l1": np.abs(weights).sum(),
        "l2": weights @ weights,
        "l-inf": np.abs(weights).max(),
        "variance": weights.var(),
        "mpad": np.abs(weights[:, None] - weights).mean(),
        "mpd": np.ptp(weights),
    }
    fee = 1.01 ** (1 / 252) - 1
    growth = np.log1p(data @ weights - fee * np.maximum(-weights, 0).sum()).mean()
    assert kelly.solution.value == pytest.approx(-growth + 1e-3 * terms[reg], abs=kelly.solution.gap + 1e-15)
    rng = np.random.default_rng(1)
    for _ in range(50):  # no feasible neighbour is better
        other = weights + 0.05 * rng.normal(size=5)
        other *= min(1.0, 2.0 / max(other.sum(), 1e-9), 2.5 / np.abs(other).sum())
        value = -np.log1p(data @ other - fee * np.maximum(-other, 0).sum()).mean()
        size = {
            "l1": np.abs(other).sum(),
            "l2": other @ other,
            "l-inf": np.abs(other).max(),
            "variance": other.var(),
            "mpad": np.abs(other[:, None] - other).mean(),
            "mpd": np.ptp(other),
        }[reg]
        if np.abs(other).max() <= 1:
            assert value + 1e-3 * size >= kelly.solution.value - kelly.solution.gap


def test_constraints_speak_of_the_weights() -> None:
    data = market(120, 5)
    kelly = Kelly(mandate=Mandate(leverage=2.0, gross=2.5, constraints=[lambda w: w[0] + w[1] == -0.3]))
    weights = kelly.optimize(data, (-1, 1), kind="returns")
    assert weights[0] + weights[1] == pytest.approx(-0.3, abs=1e-8)
    assert kelly.solution.status == "optimal"


def test_a_start_in_weights_is_understood() -> None:
    data = market(120, 5)
    first = Kelly(mandate=Mandate(leverage=2.0, risk_free=0.02, borrow_spread=0.01))
    weights = first.optimize(data, kind="returns")
    second = Kelly(mandate=Mandate(leverage=2.0, risk_free=0.02, borrow_spread=0.01))
    np.testing.assert_allclose(second.optimize(data, w=weights, kind="returns"), weights, atol=1e-9)
    assert second.solution.solver == "active-set"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"leverage": 0}, "leverage=0"),
        ({"leverage": float("nan")}, "leverage=nan"),
        ({"leverage": 2, "borrow_spread": -0.01}, "borrow_spread=-0.01 must be a finite number >= 0"),
        ({"leverage": 2, "risk_free": -1.0}, "risk_free=-1.0"),
        ({"leverage": 2, "short_fee": -0.1}, "short_fee=-0.1"),
        ({"gross": 0.0}, r"gross=0\.0"),
        ({"risk_free": 0.02}, "need leverage="),
        ({"borrow_spread": 0.02}, "need leverage="),
        ({"leverage": 2, "periods_per_year": 0}, "periods_per_year=0"),
    ],
    ids=str,
)
def test_parameters_out_of_range(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        Kelly(mandate=Mandate(**parameters))


def test_limits_that_cannot_be_met() -> None:
    data = market(40, 4)
    with pytest.raises(InfeasibleError, match=r"gross=0\.9 is less than the 1"):
        Kelly(mandate=Mandate(gross=0.9)).optimize(data, kind="returns")
    with pytest.raises(InfeasibleError, match=r"sum to 2; leverage and gross allow 1\.5"):
        Kelly(mandate=Mandate(leverage=1.5)).optimize(data, (0.5, 1), kind="returns")
    with pytest.raises(InfeasibleError, match=r"rest be met: budget == 1, gross <= 1\.2, 0 <= -0\.2"):
        Kelly(mandate=Mandate(gross=1.2)).optimize(data, ([-1, -1, -1, 0.9], [-0.2, 1, 1, 1]), kind="returns")
    with pytest.raises(PortfolioError, match="sum to 1, and cash or leverage is allowed"):
        Kelly(1.0, "entropy", 0.1, mandate=Mandate(leverage=1.5)).optimize(data, kind="returns")


def test_a_portfolio_that_loses_everything_is_never_held() -> None:
    """Borrowing up to ten times: the bet that could lose a fifth is held below five."""
    data = coin(0.9, 0.2, p=0.9)
    weights = Kelly(mandate=Mandate(leverage=10)).optimize(data, kind="returns")
    assert 1 < weights[0] < 5
    assert weights[0] == pytest.approx(growth_optimal(0.9, 0.2, 0.9, 0.0), abs=1e-8)
