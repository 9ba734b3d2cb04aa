"""What a solution can prove about itself, and what the errors say where there is none."""

from __future__ import annotations

import pickle
import time
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest

from opeslike import deadline
from opeslike.errors import InfeasibleError, OptimizationError, PortfolioError, TimeLimitError
from opeslike.market import Market
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.named import irreducible
from opeslike.objectives import MaxDiversification, MaxSharpe, MinVariance, RiskParity, VaR, WassRobustKelly
from opeslike.objectives.risk_measures import CVaR
from opeslike.objectives.utility_theory import Kelly
from opeslike.proof import prove
from opeslike.solvers import conic
from tests.properties.registry import ENTRIES, Entry
from tests.properties.test_objectives import returns

NAMES = list("ABCDEFGH")
FRAME = pd.DataFrame(returns(120, 8, seed=31), columns=NAMES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@pytest.mark.parametrize("solver", ["auto", "cvxpy"])
def test_verify_agrees_with_the_gap(entry: Entry, solver: str) -> None:
    data = returns(25 if "small" in entry.tags else 60, 5, seed=4)
    optimizer = entry.make(solver=solver)
    optimizer.optimize(data, (0.02, 0.7), kind="returns")
    solution = optimizer.solution
    if "mandate" in optimizer.get_params(deep=False):
        optimizer.set_params(mandate=Mandate(bounds=(0, 0.3)))  # what is asked of the optimiser later changes nothing
    again = pickle.loads(pickle.dumps(solution))
    for each in (solution, again):
        assert each.verify(data) == pytest.approx(solution.gap, rel=1e-6, abs=1e-3 * solution.tolerance)
    other = Market.from_data(1.5 * data + 1e-3, "returns", None)
    with pytest.raises(OptimizationError):
        solution.verify(other)


def test_the_witness_can_be_left_behind() -> None:
    optimizer = CVaR()
    optimizer.optimize(FRAME, kind="returns")
    light = optimizer.solution.without_witness()
    assert len(pickle.dumps(light)) < 1500 < len(pickle.dumps(optimizer.solution))
    assert light.worst_case is None
    assert light.gap == optimizer.solution.gap
    for use in (lambda: light.verify(FRAME), lambda: light.shadow_prices):
        with pytest.raises(PortfolioError, match=r"no witness is kept|no shadow prices"):
            use()


def test_what_was_not_proved_is_not_verified() -> None:
    rule = Kelly(reg="l2")
    heuristic = MaxSharpe(reg="l2")
    heuristic.optimize(FRAME, kind="returns")
    with pytest.raises(PortfolioError, match="heuristic weights cannot be verified"):
        heuristic.solution.verify(FRAME)
    with pytest.raises(PortfolioError, match="no shadow prices"):
        _ = heuristic.solution.shadow_prices
    exact = VaR(confidence=0.9, exact=True)
    exact.optimize(FRAME.iloc[:30], kind="returns")
    with pytest.raises(PortfolioError, match="bound not verified"):
        exact.solution.verify(FRAME.iloc[:30])
    rule.optimize(FRAME, kind="returns")
    assert rule.solution.verify(FRAME) <= rule.solution.tolerance


def test_cleaned_weights_are_proved_again() -> None:
    optimizer = Kelly(reg="l2", strength=0.02, fraction=0.5)
    w = optimizer.optimize(FRAME, kind="returns")
    before = optimizer.solution
    least = float(np.sort(w)[1])
    cleaned = optimizer.clean_weights(least * (1 + 1e-9))
    after = optimizer.solution
    np.testing.assert_array_equal(after.weights, cleaned)
    assert after.value > before.value
    assert after.gap >= after.value - before.value - before.gap
    assert after.status == "bounded"
    with pytest.raises(OptimizationError, match="the proof fails"):
        after.verify(FRAME)
    optimizer.optimize(FRAME, kind="returns")
    optimizer.clean_weights(1e-12)
    assert optimizer.solution.status == "optimal"
    assert optimizer.solution.verify(FRAME) == pytest.approx(optimizer.solution.gap, abs=1e-15)
    capped = Kelly(mandate=Mandate(bounds=(0, 0.3)))
    w = capped.optimize(FRAME, kind="returns")
    held = float(np.sort(w[w > 0])[0])
    with pytest.raises(OptimizationError, match="outside its bounds"):
        capped.clean_weights(held * 1.001)
    np.testing.assert_array_equal(capped.weights, w)


# -- shadow prices

MANDATES: dict[str, tuple[dict[str, Any], str, Any]] = {
    "cap": (
        {"bounds": {"A": (0, 0.05), "*": (0, 0.3)}},
        "A <= 0.05",
        lambda h: {"bounds": {"A": (0, 0.05 + h), "*": (0, 0.3)}},
    ),
    "floor": (
        {"bounds": {"C": (0.2, 1), "*": (0, 1)}},
        "C >= 0.2",
        lambda h: {"bounds": {"C": (0.2 - h, 1), "*": (0, 1)}},
    ),
    "group": (
        {"groups": {"tech": ["A", "B"]}, "group_bounds": {"tech": (None, 0.1)}},
        "group tech <= 0.1",
        lambda h: {"groups": {"tech": ["A", "B"]}, "group_bounds": {"tech": (None, 0.1 + h)}},
    ),
    "group floor": (
        {"groups": {"rest": ["C", "E"]}, "group_bounds": {"rest": (0.3, 1.0)}},
        "group rest >= 0.3",
        lambda h: {"groups": {"rest": ["C", "E"]}, "group_bounds": {"rest": (0.3 - h, 1.0)}},
    ),
    "exposure": (
        {"exposures": pd.DataFrame({"beta": np.arange(8.0)[::-1]}, NAMES), "exposure_bounds": {"beta": (None, 1.5)}},
        "exposure beta <= 1.5",
        lambda h: {
            "exposures": pd.DataFrame({"beta": np.arange(8.0)[::-1]}, NAMES),
            "exposure_bounds": {"beta": (None, 1.5 + h)},
        },
    ),
    "leverage": ({"leverage": 1.4}, "leverage <= 1.4", lambda h: {"leverage": 1.4 + h}),
    "no borrowing": ({"leverage": 0.7}, "leverage <= 0.7", lambda h: {"leverage": 0.7 + h}),
    "gross": ({"bounds": (-0.5, 1), "gross": 1.3}, "gross <= 1.3", lambda h: {"bounds": (-0.5, 1), "gross": 1.3 + h}),
    "short": (
        {"bounds": (-0.1, 1), "gross": 3.0, "short_fee": 0.001},
        "H >= -0.1",
        lambda h: {"bounds": {"H": (-0.1 - h, 1), "*": (-0.1, 1)}, "gross": 3.0, "short_fee": 0.001},
    ),
}


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("kind", MANDATES)
def test_shadow_prices_by_finite_differences(kind: str, fraction: float) -> None:
    given, name, loosened = MANDATES[kind]
    if fraction != 1.0 and "leverage" in name:
        pytest.skip("the leverage binds the portfolio before the fraction")
    tilted = FRAME + np.linspace(3e-3, -1e-3, 8)

    def value(**limits: Any) -> float:
        optimizer = Kelly(fraction=fraction, mandate=Mandate(**limits))
        optimizer.optimize(tilted, kind="returns", weight_bounds=None)
        return optimizer.solution.value

    optimizer = Kelly(fraction=fraction, mandate=Mandate(**given))
    optimizer.optimize(tilted, kind="returns")
    prices = optimizer.solution.shadow_prices
    assert name in prices.index, prices
    h = 1e-4
    slope = (value(**given) - value(**loosened(h))) / h
    back = (value(**loosened(-h)) - value(**given)) / h
    assert prices[name] > 0
    assert slope * (1 - 1e-4) <= prices[name] <= back * (1 + 1e-4)
    assert prices[name] == pytest.approx(0.5 * (slope + back), rel=2e-2)


def test_shadow_prices_of_equalities_and_slack_limits() -> None:
    optimizer = MinVariance(
        mandate=Mandate(groups={"all": NAMES[:4], "b": NAMES[4:]}, group_bounds={"all": (0.3, 0.3), "b": (0, 0.95)})
    )
    optimizer.optimize(FRAME, kind="returns")
    prices = optimizer.solution.shadow_prices
    assert "group all == 0.3" in prices.index
    assert not any("group b" in name for name in prices.index)  # it is slack
    values = []
    for level in (0.3 - 1e-4, 0.3 + 1e-4):
        groups = {"all": NAMES[:4], "b": NAMES[4:]}
        moved = MinVariance(mandate=Mandate(groups=groups, group_bounds={"all": (level, level), "b": (0, 0.95)}))
        moved.optimize(FRAME, kind="returns")
        values.append(moved.solution.value)
    # raising the level by a unit lowers the value by the price, which is negative where it raises it
    assert prices["group all == 0.3"] == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-3)
    assert (prices.diff().dropna() <= 0).all()


# -- infeasible limits, by name (S3)


def test_limits_that_contradict_each_other_are_named_and_no_others() -> None:
    mandate = Mandate(
        bounds={"A": (0, 0.1), "B": (0, 0.1), "C": (0, 0.9), "*": (0, 1)},
        groups={"ab": ["A", "B"], "abc": ["A", "B", "C"], "rest": ["D", "E", "F", "G", "H"], "de": ["D", "E"]},
        group_bounds={"abc": (0.5, 1), "rest": (0.3, 1), "ab": (0.25, 1), "de": (0, 0.9)},
    )
    with pytest.raises(InfeasibleError, match="ab") as raised:
        Kelly(mandate=mandate).optimize(FRAME, kind="returns")
    assert "abc" not in str(raised.value)
    two = Mandate(
        groups={"left": NAMES[:5], "right": NAMES[4:], "other": NAMES[:1]},
        group_bounds={"left": (0.7, 1), "right": (0.7, 1), "other": (0, 0.9)},
        bounds={"E": (0, 0.3), "*": (0, 1)},
    )
    with pytest.raises(InfeasibleError) as raised:
        Kelly(mandate=two).optimize(FRAME, kind="returns")
    message = str(raised.value)
    for name in ("budget == 1", "group left >= 0.7", "group right >= 0.7", "E <= 0.3"):
        assert name in message
    assert "other" not in message
    assert "A " not in message


@pytest.mark.parametrize("seed", range(12))
def test_irreducible_sets_are_that(seed: int) -> None:
    """Drop any one of the limits named, and the rest of them can be met; all of them together cannot."""
    from opeslike.modelling.feasible import feasible

    rng = np.random.default_rng(seed)
    n = 5
    exposures = pd.DataFrame(rng.normal(size=(n, 4)), NAMES[:n], columns=list("wxyz"))
    mandate = Mandate(
        bounds=(0, 0.6),
        exposures=exposures,
        exposure_bounds={name: (0.5 * rng.normal(), None) for name in "wxyz"},
        leverage=1.2,
    )
    frame = FRAME[NAMES[:n]]
    try:
        terms = mandate.terms(Market.from_data(frame, "returns", None))
        bounds, lift = feasible(terms)
    except InfeasibleError:
        return  # one limit alone cannot be met
    named = irreducible(bounds, lift, NAMES[:n])
    variables = cp.Variable(n)
    limits = {
        f"exposure {k} >= {terms.least[i]:g}": terms.rows[i] @ variables >= terms.least[i] for i, k in enumerate("wxyz")
    }
    limits |= {f"{name} <= 0.6": variables[i] <= 0.6 for i, name in enumerate(NAMES[:n])}
    limits |= {f"{name} >= 0": variables[i] >= 0 for i, name in enumerate(NAMES[:n])}
    limits |= {"leverage <= 1.2": cp.sum(variables) <= 1.2}

    def possible(names: Any) -> bool:
        problem = cp.Problem(cp.Minimize(0), [limits[name] for name in names])
        problem.solve(solver="CLARABEL")
        return problem.status == "optimal"

    assert possible(limits) == (not named)
    if named:
        assert set(named) <= set(limits), named
        assert not possible(named)
        for name in named:
            assert possible([other for other in named if other != name])


def test_infeasibility_is_believed_only_where_it_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3: a solver that calls a feasible problem infeasible is not believed; the next one is asked."""
    import cvxpy

    optimizer = Kelly(mandate=Mandate(constraints=lambda w: cp.norm1(w - 1 / 8) <= 0.3))
    solve = cvxpy.Problem.solve
    lies = []

    def lying(self: Any, solver: str | None = None, **options: Any) -> Any:
        answer = solve(self, solver=solver, **options)
        if solver == "CLARABEL" and not lies:
            lies.append(solver)
            self._status = cvxpy.INFEASIBLE
        return answer

    monkeypatch.setattr(cvxpy.Problem, "solve", lying)
    optimizer.optimize(FRAME, kind="returns")
    assert lies
    assert optimizer.solution.solver == "cvxpy/SCS"
    with pytest.raises(InfeasibleError, match="as multipliers prove"):
        Kelly(mandate=Mandate(constraints=lambda w: cp.norm2(w) <= 0.3)).optimize(FRAME, kind="returns")


def test_the_rays_of_infeasible_constraints() -> None:
    """Around the least norm, 1 / sqrt(8): below it multipliers prove that nothing is feasible, above nothing does."""
    for norm, feasible in ((0.35, False), (0.3535, False), (0.3536, True), (0.4, True)):
        optimizer = Kelly(mandate=Mandate(constraints=lambda w, norm=norm: cp.norm2(w) <= norm))
        if feasible:
            optimizer.optimize(FRAME, kind="returns")
            assert optimizer.solution.gap <= 10 * optimizer.solution.tolerance
            continue
        with pytest.raises(InfeasibleError, match="given constraints"):
            optimizer.optimize(FRAME, kind="returns")


# -- S2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [20, 60])
def test_turnover_limits_are_certified(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.standard_t(4, (300, n)) * 0.01 + rng.normal(4e-4, 3e-4, n)
    held = rng.dirichlet(np.ones(n))
    optimizer = Kelly(mandate=Mandate(constraints=[lambda w: cp.norm1(w - held) <= 0.1]))
    w = optimizer.optimize(data, kind="returns")
    assert np.abs(w - held).sum() <= 0.1 + 1e-9
    assert optimizer.solution.status == "optimal"
    assert optimizer.solution.verify(data) == pytest.approx(optimizer.solution.gap, abs=1e-14)


def test_advice_in_errors_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cvxpy was in use it is not advised, nor is "auto" where auto was."""
    monkeypatch.setattr(conic, "cone_multipliers", lambda extra, gradient: None)
    with pytest.raises(OptimizationError, match="no certified optimum") as raised:
        Kelly(mandate=Mandate(constraints=lambda w: cp.norm1(w) <= 1)).optimize(FRAME, kind="returns")
    assert "solver=" not in str(raised.value)


# -- S6


@pytest.mark.parametrize(
    "optimizer",
    [
        Kelly(),
        Kelly(reg="mpad"),
        CVaR(),
        CVaR(reg="l-inf"),
        MaxSharpe(mandate=Mandate(constraints=lambda w: cp.norm2(w) <= 0.6)),
        WassRobustKelly(radius=0.01),
        Kelly(solver="cvxpy"),
        VaR(),
    ],
    ids=lambda optimizer: f"{type(optimizer).__name__}-{optimizer.solver}-{optimizer.reg}",
)
def test_the_time_limit_is_heeded(optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that runs a second at every look every path ends soon, and the error says what was reached."""
    now = [0.0]

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    slow = optimizer.copy().set_params(time_limit=2.0)
    with monkeypatch.context() as patched:
        patched.setattr(deadline.time, "monotonic", tick)
        with pytest.raises(TimeLimitError, match=r"time limit of 2 s ran out with (a gap of|no certified answer)"):
            slow.optimize(returns(200, 30, seed=8), kind="returns")
        assert now[0] < 40
    slow.set_params(time_limit=60.0)
    slow.optimize(returns(40, 5, seed=8), kind="returns")


def test_deadlines_nest_and_end() -> None:
    with deadline.time_limit(100.0):
        with deadline.time_limit(0.0):
            time.sleep(1e-3)
            assert deadline.passed()
            assert deadline.options("HIGHS") == {"time_limit": 1e-3}
            with pytest.raises(TimeLimitError, match=r"a gap of 2\.0e-03"), deadline.time_limit(50.0):
                deadline.check(2e-3)  # never longer than the limit around it
        assert not deadline.passed()
        assert 99 < deadline.remaining() <= 100
        assert 99 < deadline.options("CLARABEL")["time_limit"] <= 100
    assert deadline.remaining() == np.inf
    assert deadline.options("CLARABEL") == {}


@pytest.mark.parametrize("name", ["leverage", "gross"])
def test_exposure_beyond_reason_is_refused(name: str) -> None:
    """S9: leverage=1e300 leaked a RuntimeWarning."""
    with pytest.raises(PortfolioError, match=rf"{name}=1e\+300 must be .* <= 1e\+09"):
        Mandate(**{name: 1e300})


# -- S8, S5


def test_no_ratio_without_variance() -> None:
    """S8: rounding errors are no volatility, and a Sharpe ratio of 1e15 is no answer."""
    rng = np.random.default_rng(0)
    constant = np.full((50, 4), rng.normal(0.001, 1e-4, 4))
    for optimizer in (MaxSharpe(), MaxSharpe(reg="l2"), MaxSharpe(mandate=Mandate(constraints=lambda w: w[0] <= 0.5))):
        with pytest.raises(InfeasibleError, match="without any volatility"):
            optimizer.optimize(constant, kind="returns")
    with pytest.raises((InfeasibleError, PortfolioError, ValueError), match=r"volatility|variance"):
        MaxDiversification().optimize(constant, kind="returns")


def test_collinear_assets_have_risk_budgets_unless_they_hedge_each_other() -> None:
    """S8: singular covariances are not to blame in themselves; a mixture without risk is, and the error says so."""
    factor = np.random.default_rng(0).normal(0.001, 0.02, 40)
    together = np.outer(factor, [1.0, 2.0, 0.5])
    optimizer = RiskParity()
    np.testing.assert_allclose(optimizer.optimize(together, kind="returns"), [2 / 7, 1 / 7, 4 / 7], atol=1e-7)
    assert optimizer.solution.verify(together) <= optimizer.solution.tolerance
    with pytest.raises(InfeasibleError, match="carries no risk at all"):
        optimizer.optimize(np.outer(factor, [1.0, -2.0, 0.5]), kind="returns")


@pytest.mark.parametrize("reg", ["jsd", "entropy", "l2", "mpad"])
def test_a_regularised_ratio_beside_cash(reg: str) -> None:
    """S5: MaxSharpe(reg="jsd") with a cash column divided by zero."""
    data = returns(60, 4, seed=2)
    data[:, 2] = 0.0001
    optimizer = MaxSharpe(reg=reg, strength=0.1)
    try:
        w = optimizer.optimize(data, kind="returns")
    except InfeasibleError as error:
        assert "without any volatility" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(w).all()


def test_a_proof_needs_no_solver() -> None:
    """The rooms below the solvers suffice."""
    import subprocess
    import sys

    code = "import opeslike.proof, sys; assert not [m for m in sys.modules if m.startswith('opeslike.solvers')]"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert prove.__module__ == "opeslike.proof"
