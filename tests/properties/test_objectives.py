"""What every convex objective must do, whatever it is called (the list is in registry.py)."""

from __future__ import annotations

import warnings

import cvxpy as cp
import numpy as np
import pytest

from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.objectives.base import Optimizer
from opeslike.objectives.given import Given
from tests.properties.registry import ENTRIES, Entry

TIGHT = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11, "max_iter": 500}
KINKED = ("l1", "l-inf", "mpad", "mpd", "wass-1")
SMOOTH = ("l2", "entropy", "jsd", "variance")

every = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
regularised = pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if "reg" in entry.tags], ids=lambda entry: entry.name
)


def returns(count: int, assets: int, seed: int = 0) -> np.ndarray:
    """Daily-like returns: one factor, fat tails, means that differ."""
    rng = np.random.default_rng([seed, count, assets])
    factor = rng.standard_t(4, (count, 1)) * 0.007
    own = rng.standard_t(4, (count, assets)) * rng.uniform(0.004, 0.015, assets)
    return np.maximum(rng.uniform(-2e-4, 1.2e-3, assets) + factor * rng.uniform(0.3, 1.5, assets) + own, -0.9)


def objective(entry: Entry, data: np.ndarray, bounds: object = (0, 1), **keywords: object):
    """The objective as a function of the weights, in the unit of ``solution.value``."""
    optimizer = entry.make(**keywords)
    problem = optimizer._limited(optimizer._market(data, "returns"), Given(bounds))

    def value(w: np.ndarray) -> float:
        x = problem.lift(w)
        if any(limit.over(x) > 1e-10 for limit in problem.limits):
            return np.inf
        return float(problem.evaluate(x).value) + problem.offset if problem.in_domain(x) else np.inf

    return value


def solved(entry: Entry, data: np.ndarray, bounds: object = (0, 1), w: object = None, **keywords: object) -> Optimizer:
    """Optimise, and insist on a certified optimum."""
    optimizer = entry.make(**keywords)
    weights = optimizer.optimize(data, bounds, w, kind="returns")
    solution = optimizer.solution
    assert solution.status == "optimal"
    assert solution.gap is not None
    assert -1e-18 <= solution.gap <= solution.tolerance
    assert np.isfinite(weights).all()
    return optimizer


def portfolio(optimizer: Optimizer) -> np.ndarray:
    """The weights before a Kelly fraction is applied."""
    return optimizer.solution.weights / optimizer._scale()


@every
@pytest.mark.parametrize("shape", [(250, 5), (60, 12), (8, 14), (30, 1), (40, 2)], ids=str)
def test_optimal_and_better_than_other_weights(entry: Entry, shape: tuple[int, int]) -> None:
    data = returns(*shape)
    optimizer = solved(entry, data)
    w, solution = portfolio(optimizer), optimizer.solution
    assert w.min() >= 0
    value = objective(entry, data)
    assert value(w) == pytest.approx(solution.value, abs=solution.tolerance)
    rng = np.random.default_rng(7)
    others = [np.full(shape[1], 1 / shape[1]), *rng.dirichlet(np.full(shape[1], 0.5), 20)]
    for other in others:
        assert solution.value - solution.gap <= value(other) + 1e-14 * abs(solution.value)


@every
@pytest.mark.parametrize("shape", [(250, 4), (120, 9), (10, 13)], ids=str)
def test_agrees_with_cvxpy(entry: Entry, shape: tuple[int, int]) -> None:
    if "small" in entry.tags:
        shape = (min(shape[0], 25), min(shape[1], 5))
    _compare_with_cvxpy(entry, returns(*shape, seed=1), (0, 1))


@every
def test_agrees_with_cvxpy_with_shorts(entry: Entry) -> None:
    shape = (25, 5) if "small" in entry.tags else (150, 6)
    _compare_with_cvxpy(entry, returns(*shape, seed=2), (-0.3, 0.7))


@every
def test_agrees_with_cvxpy_within_bounds(entry: Entry) -> None:
    low, high = np.array([0.1, 0.0, 0.05, 0.0]), np.array([0.6, 0.3, 0.25, 0.5])
    _compare_with_cvxpy(entry, returns(25 if "small" in entry.tags else 90, 4, seed=11), (low, high))


def _compare_with_cvxpy(entry: Entry, data: np.ndarray, bounds: object, **keywords: object) -> None:
    optimizer = solved(entry, data, bounds, **keywords)
    problem = optimizer.problem(data, bounds, kind="returns")
    assert problem.is_dcp()
    value, found = _solve_with_peers(problem)
    solution = optimizer.solution
    rounding = 2 * solution.tolerance + 1e-9 * max(abs(solution.value), float(np.std(data)))
    if value is not None:
        # theirs is feasible and optimal to its own tolerance only, a few 1e-10 of the size of its numbers
        assert entry.value(value) == pytest.approx(solution.value, abs=rounding)
        return
    # no peer calls its answer optimal: then its weights, brought onto the bounds, must not beat ours, and one come near
    made = optimizer._problem(optimizer._market(data, "returns"), Given(bounds))
    worth = objective(entry, data, bounds, **keywords)
    values = [worth(made.weights(made.bounds.repair(x))) for x in found]
    assert solution.value - rounding <= min(values) <= solution.value + 1e-7


def _solve_with_peers(problem: cp.Problem) -> tuple[float | None, list[np.ndarray]]:
    """Solve by the peers in turn until one calls its answer optimal to 1e-11: its value, else what they found."""
    found = []
    # "optimal" at default settings is less than "inaccurate" at tight ones
    attempts = ((cp.CLARABEL, TIGHT), (cp.SCS, {"eps_abs": 1e-11, "eps_rel": 1e-11}), (cp.CLARABEL, {}))
    for solver, settings in attempts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": how accurate is what is tested here
            try:
                problem.solve(solver=solver, **settings)
            except cp.SolverError:  # Clarabel breaks down on about one exponential-cone problem in a hundred
                continue
        if problem.value is None or not np.isfinite(problem.value):  # an answer outside the domain of the objective
            continue
        if problem.status == cp.OPTIMAL and settings:
            return problem.value, found
        if problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            found.append(
                next(problem.var_dict[name].value for name in ("variables", "weights") if name in problem.var_dict)
            )
    return None, found


@regularised
@pytest.mark.parametrize("reg", SMOOTH + KINKED)
def test_regularised_is_optimal(entry: Entry, reg: str) -> None:
    data = returns(80, 7, seed=3)
    if "cash" in entry.tags and reg in ("entropy", "jsd", "wass-1"):
        with pytest.raises(PortfolioError, match=f"reg='{reg}' needs weights that sum to 1"):
            entry.make(reg=reg).optimize(data, kind="returns")
        return
    for strength in (1e-5, 1e-3, 1.0):
        optimizer = solved(entry, data, reg=reg, strength=strength)
        w, solution = portfolio(optimizer), optimizer.solution
        value = objective(entry, data, reg=reg, strength=strength)
        assert value(w) == pytest.approx(solution.value, abs=solution.tolerance)
        for other in (np.full(7, 1 / 7), *np.random.default_rng(8).dirichlet(np.full(7, 0.5), 10)):
            assert solution.value - solution.gap <= value(other) + 1e-14 * abs(solution.value)


@pytest.mark.parametrize("reg", SMOOTH + KINKED)
@pytest.mark.parametrize("bounds", [(0, 1), (-0.5, 1)], ids=["long", "short"])
def test_regularised_agrees_with_cvxpy(reg: str, bounds: tuple[float, float]) -> None:
    """One objective of each kind is enough here: the regulariser does not know what it is added to."""
    if reg in ("entropy", "jsd", "wass-1") and bounds[0] < 0:
        pytest.skip("needs long-only weights")
    for entry in (ENTRIES[0], next(entry for entry in ENTRIES if entry.name.startswith("MeanVariance"))):
        if "reg" in entry.tags:
            _compare_with_cvxpy(entry, returns(60, 5, seed=4), bounds, reg=reg, strength=3e-4)


@every
def test_the_start_does_not_matter(entry: Entry) -> None:
    data = returns(120, 6, seed=5)
    first = solved(entry, data).solution
    rng = np.random.default_rng(9)
    for start in (np.eye(6)[2], np.full(6, 1 / 6), rng.dirichlet(np.ones(6)), first.weights, np.full(6, 5.0)):
        other = solved(entry, data, w=start).solution
        assert other.value == pytest.approx(first.value, abs=first.tolerance + other.tolerance)


@every
def test_permuted_assets_give_permuted_weights(entry: Entry) -> None:
    data = returns(120, 6, seed=6)
    order = np.array([3, 0, 5, 1, 4, 2])
    first, second = solved(entry, data), solved(entry, data[:, order])
    tolerance = first.solution.tolerance + second.solution.tolerance
    assert second.solution.value == pytest.approx(first.solution.value, abs=tolerance)
    back = np.empty(6)
    back[order] = portfolio(second)
    assert objective(entry, data)(back) == pytest.approx(first.solution.value, abs=tolerance)
    if "linear" not in entry.tags:
        np.testing.assert_allclose(back, portfolio(first), atol=2e-3)


@every
def test_gradient_by_finite_differences(entry: Entry) -> None:
    data = returns(90, 5, seed=7)
    optimizer = entry.make()
    problem = optimizer._limited(optimizer._market(data, "returns"), Given((0, 1)))
    w = np.array([0.12, 0.31, 0.05, 0.28, 0.24])
    x = problem.lift(w)
    gradient = problem.evaluate(x).gradient
    for i in range(x.size):
        step = np.zeros(x.size)
        step[i] = 1e-6
        numeric = (problem.evaluate(x + step).value - problem.evaluate(x - step).value) / 2e-6
        assert gradient[i] == pytest.approx(numeric, rel=1e-5, abs=1e-8)


@every
def test_infeasible_bounds_raise(entry: Entry) -> None:
    data = returns(40, 4, seed=8)
    if "cash" not in entry.tags:
        with pytest.raises(InfeasibleError, match=r"upper weight bounds sum to 0\.4"):
            entry.make().optimize(data, (0, 0.1), kind="returns")
    with pytest.raises(InfeasibleError, match="lower"):
        entry.make().optimize(data, (0.6, 1.6), kind="returns")


@every
def test_duplicated_and_constant_columns(entry: Entry) -> None:
    data = returns(70, 4, seed=9)
    data = np.column_stack([data, data[:, 1], np.full(70, 1e-5)])
    twice = solved(entry, data).solution
    once = solved(entry, data[:, [0, 1, 2, 3, 5]]).solution
    if "counts" in entry.tags:
        assert twice.value < once.value + twice.tolerance + once.tolerance
        return
    assert twice.value == pytest.approx(once.value, abs=twice.tolerance + once.tolerance)


@every
def test_bounds_per_asset_are_kept(entry: Entry) -> None:
    data = returns(100, 5, seed=10)
    low, high = np.array([0.1, 0.0, 0.05, 0.0, 0.2]), np.array([0.5, 0.3, 0.05, 0.4, 0.6])
    w = portfolio(solved(entry, data, (low, high)))
    assert (w >= low - 1e-15).all()
    assert (w <= high + 1e-15).all()
