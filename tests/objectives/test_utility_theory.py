"""CARA, CRRA, HARA and quadratic utility: formulas, limits, closed forms, domains, and OPES beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.objectives import CARA, CRRA, HARA, Kelly, QuadraticUtility


def returns(count: int = 400, assets: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factor = rng.standard_t(4, (count, 1)) * 0.008
    return np.asarray(
        rng.uniform(-3e-4, 1.5e-3, assets)
        + factor * rng.uniform(0.4, 1.4, assets)
        + rng.standard_t(5, (count, assets)) * 0.01
    )


#: class, parameters, and the objective as OPES 0.11.4 writes it, to be minimised
FORMULAS = [
    (QuadraticUtility, {}, lambda x: 0.25 * x**2 - x),
    (QuadraticUtility, {"risk_aversion": 0.9}, lambda x: 0.45 * x**2 - x),
    (CARA, {}, lambda x: np.exp(-(x - 1))),
    (CARA, {"risk_aversion": 8}, lambda x: np.exp(-8 * (x - 1)) / 8),
    (CRRA, {}, lambda x: 1 / x),
    (CRRA, {"risk_aversion": 6.5}, lambda x: x**-5.5 / 5.5),
    (HARA, {}, lambda x: 0.5 * (3 - x) ** 2),
    (HARA, {"risk_aversion": 4, "scale": 0.9, "shift": 1.1}, lambda x: 0.75 * (1.1 - 0.3 * x) ** 4),
]


@pytest.mark.parametrize(("make", "parameters", "formula"), FORMULAS)
def test_value_is_the_formula(make: type, parameters: dict, formula) -> None:
    data = returns()
    optimizer = make(**parameters)
    weights = optimizer.optimize(data, kind="returns")
    solution = optimizer.solution
    assert solution.status == "optimal"
    assert solution.value == pytest.approx(formula(1 + data @ weights).mean(), rel=1e-14)
    rng = np.random.default_rng(1)
    for other in rng.dirichlet(np.full(6, 0.4), 200):
        assert formula(1 + data @ other).mean() >= solution.value - solution.gap


@pytest.mark.parametrize("make", [QuadraticUtility, CARA, CRRA, HARA])
def test_never_worse_than_opes(make: type) -> None:
    """OPES on the same prices, and on returns that leave its clipping alone: its weights are feasible for us."""
    module = pytest.importorskip("opes.objectives.utility_theory", reason="OPES is not installed (extra 'bench')")
    data = returns(300, 5, seed=3)
    prices = pd.DataFrame(
        100 * np.vstack([np.ones(5), np.cumprod(1 + data, axis=0)]),
        index=pd.bdate_range("2020-01-01", periods=301),
        columns=list("ABCDE"),
    )
    other = getattr(module, make.__name__)()
    weights = np.asarray(other.optimize(prices))
    ours = make()
    ours.optimize(prices)
    formula = next(formula for cls, parameters, formula in FORMULAS if cls is make and not parameters)
    if abs(weights.sum() - 1) < 1e-12:
        theirs = formula(1 + data @ weights).mean()
        assert theirs >= ours.solution.value - ours.solution.gap - 1e-15 * abs(theirs)
    assert (ours.risk_aversion, ours.strength, ours.reg) == (other.risk_aversion, other.strength, None)


def test_crra_at_one_is_kelly() -> None:
    data = returns()
    kelly = Kelly()
    expected = kelly.optimize(data, kind="returns")
    crra = CRRA(1)
    np.testing.assert_allclose(crra.optimize(data, kind="returns"), expected, atol=1e-9)
    assert crra.solution.value == pytest.approx(kelly.solution.value, abs=1e-16)
    np.testing.assert_allclose(CRRA(1 + 1e-7).optimize(data, kind="returns"), expected, atol=1e-4)


def test_crra_bet_in_closed_form() -> None:
    """Even money at 60% and cash: ``((1 + f) / (1 - f))^g = p / q`` (the first-order condition)."""
    coin = np.array([[1.0, 0.0]] * 60 + [[-1.0, 0.0]] * 40)
    for aversion in (0.5, 1.0, 2.0, 7.0):
        ratio = 1.5 ** (1 / aversion)
        assert CRRA(aversion).optimize(coin, kind="returns")[0] == pytest.approx((ratio - 1) / (ratio + 1), abs=1e-9)


def test_cara_bet_in_closed_form() -> None:
    """The same bet: ``exp(2 a f) = p / q``."""
    coin = np.array([[1.0, 0.0]] * 60 + [[-1.0, 0.0]] * 40)
    for aversion in (0.5, 1.0, 30.0):
        expected = np.log(1.5) / (2 * aversion)
        assert CARA(aversion).optimize(coin, kind="returns")[0] == pytest.approx(expected, abs=1e-9)


def test_quadratic_bet_in_closed_form() -> None:
    """``E[r] (1 - g) = g f E[r^2]``."""
    coin = np.array([[1.0, 0.0]] * 60 + [[-1.0, 0.0]] * 40)
    for aversion in (0.3, 0.8):
        expected = min(0.2 * (1 - aversion) / aversion, 1.0)
        assert QuadraticUtility(aversion).optimize(coin, kind="returns")[0] == pytest.approx(expected, abs=1e-9)


def test_hara_of_power_two_is_a_quadratic_utility() -> None:
    """``0.5 (b - x)^2`` is ``x^2 / 2 - b x``, the quadratic utility of aversion 1 / b."""
    data = returns()
    hara = HARA(2.0, 1.0, 3.0).optimize(data, kind="returns")
    np.testing.assert_allclose(hara, QuadraticUtility(1 / 3).optimize(data, kind="returns"), atol=1e-8)


@pytest.mark.parametrize("aversion", [100.0, 1000.0, 3000.0])
def test_large_aversions_are_solved_and_certified(aversion: float) -> None:
    data = returns(2000, 8)
    for make in (CRRA, CARA):
        optimizer = make(aversion)
        weights = optimizer.optimize(data, kind="returns")
        solution = optimizer.solution
        assert solution.status == "optimal"
        # the certainty equivalent, where utility is in units of return again, is certified as well as Kelly's growth
        size = np.exp(-aversion * np.log1p(data @ weights)) if make is CRRA else np.exp(-aversion * (data @ weights))
        assert solution.gap / size.mean() <= 1e-7 * (data @ weights).std()


def test_utilities_beyond_floating_point_are_refused() -> None:
    data = returns()
    data[17] = -0.6
    for make in (CRRA, CARA):
        with pytest.raises(PortfolioError, match=r"return of -0\.6 in scenario 17 exceeds .* lower risk_aversion"):
            make(5000.0).optimize(data, kind="returns")
    with pytest.raises(PortfolioError, match="exceeds the range of floating point"):
        HARA(2000.0, 1.0, 3.0)


def test_losing_everything_is_infeasible_for_crra_and_named() -> None:
    data = returns(50, 3)
    data[7] = -1.0
    with pytest.raises(InfeasibleError, match="loses everything in scenario 7"):
        CRRA(3).optimize(data, kind="returns")
    frame = pd.DataFrame(data, index=pd.bdate_range("2021-01-01", periods=50), columns=list("ABC"))
    with pytest.raises(InfeasibleError, match="the scenario of 2021-01-12"):
        CRRA(3).optimize(frame, kind="returns")
    data[7, 0] = -0.2  # one asset survives: enough of it must be held
    weights = CRRA(3).optimize(data, kind="returns")
    assert 1 + data[7] @ weights > 0


def test_hara_beyond_its_domain_names_the_scenario() -> None:
    data = returns(60, 3)
    data[11] = 2.5  # wealth 3.5 whatever is held; utility ends at 3
    with pytest.raises(PortfolioError, match=r"scenario 11, outside the domain .* ends at wealth 3; raise shift"):
        HARA().optimize(data, kind="returns")
    enough = HARA(shift=4)
    enough.optimize(data, kind="returns")
    assert enough.solution.status == "optimal"
    with pytest.raises(PortfolioError, match=r"ends at wealth 0\.5"):
        HARA(shift=0.5).optimize(returns(), kind="returns")  # not even cash is inside


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (CRRA, {"risk_aversion": 0}, "risk_aversion=0 must be a finite number > 0"),
        (CRRA, {"risk_aversion": "2"}, "risk_aversion must be a finite number > 0, got '2'"),
        (CARA, {"risk_aversion": -1}, "risk_aversion=-1"),
        (QuadraticUtility, {"risk_aversion": float("inf")}, "risk_aversion=inf"),
        (HARA, {"risk_aversion": 1.0}, r"risk_aversion=1\.0 must be above 1"),
        (HARA, {"scale": 0}, "scale=0"),
        (HARA, {"shift": float("nan")}, "shift=nan must be a finite number"),
        (CARA, {"reg": "ridge"}, "reg='ridge' is unknown"),
        (CARA, {"reg": "l2", "strength": -1}, "strength=-1"),
    ],
    ids=str,
)
def test_parameters_out_of_range(make: type, parameters: dict, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        make(**parameters)


def test_constructor_takes_arguments_in_the_order_opes_users_know() -> None:
    assert (CRRA(3, "l2", 0.1).risk_aversion, CRRA(3, "l2", 0.1).reg, CRRA(3, "l2", 0.1).strength) == (3, "l2", 0.1)
    hara = HARA(3, 1.3, 0.5, "entropy", 0.05)
    assert (hara.risk_aversion, hara.scale, hara.shift, hara.reg, hara.strength) == (3, 1.3, 0.5, "entropy", 0.05)


def test_set_regularizer_changes_the_next_answer_only() -> None:
    data = returns()
    crra = CRRA()
    plain = crra.optimize(data, kind="returns")
    crra.set_regularizer("entropy", 0.01)
    assert crra.reg == "entropy"
    even = crra.optimize(data, kind="returns")
    assert np.abs(even - 1 / 6).max() < np.abs(plain - 1 / 6).max()
    crra.set_regularizer()
    np.testing.assert_allclose(crra.optimize(data, kind="returns"), plain, atol=1e-12)
