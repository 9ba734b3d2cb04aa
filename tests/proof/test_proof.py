"""The proof on its own: whatever it is given, it never claims more than is true, and what is wrong it refuses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from opeslike.errors import OptimizationError, PortfolioError
from opeslike.market import Market
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.constraints import ConeProgram, UserConstraints
from opeslike.modelling.limits import ExpectedShortfall, Volatility
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.problem import Problem
from opeslike.modelling.quadratic import VolatilityProblem
from opeslike.objectives import KLRobustKelly, MaxMean, MaxSharpe, MinVariance, RiskConstrainedKelly, RiskParity
from opeslike.objectives.given import Given
from opeslike.objectives.risk_measures import CVaR, EVaR
from opeslike.objectives.utility_theory import Kelly
from opeslike.proof import NOTHING, Witness, bound, box_gap, prove, prove_budgets, prove_ratio
from opeslike.solvers.solve import solve
from tests.properties.test_objectives import returns

DATA = returns(90, 6, seed=21)


def problem_of(optimizer: Any, bounds: object = (0.0, 0.6), data: np.ndarray = DATA) -> Problem:
    return optimizer._limited(Market.from_data(data, "returns"), Given(bounds))


def optimum(problem: Problem) -> tuple[np.ndarray, float, Witness]:
    solved = solve(problem)
    return solved.x, solved.proof.value, solved.proof.witness


def points(problem: Problem, count: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    center = problem.bounds.center()
    vertices = [problem.bounds.linear_minimum(rng.normal(size=center.size))[0] for _ in range(count)]
    return [center + share * (v - center) for v, share in zip(vertices, rng.uniform(0.1, 0.95, count), strict=True)]


PROBLEMS = {
    "kelly": Kelly(),
    "kelly with costs of shorts": Kelly(
        mandate=Mandate(leverage=1.6, gross=1.9, short_fee=0.02, risk_free=0.02, borrow_spread=0.01)
    ),
    "l-inf": Kelly(reg="l-inf", strength=1e-3),
    "mpad": Kelly(reg="mpad", strength=2e-4),
    "variance": MinVariance(reg="l2", strength=1e-5),
    "kl": KLRobustKelly(radius=0.1),
    "cvar": CVaR(confidence=0.9),
    "evar": EVaR(confidence=0.9),
    "limited": RiskConstrainedKelly(lam=30.0),
    "volatility": Kelly(mandate=Mandate(risk_limits=[Volatility(0.17)])),
    "shortfall": Kelly(mandate=Mandate(risk_limits=[ExpectedShortfall(0.018, confidence=0.9)])),
}
every = pytest.mark.parametrize("name", PROBLEMS)


@every
def test_no_gap_is_less_than_the_true_loss(name: str) -> None:
    """At many points, with the right witness, none, and random ones."""
    problem = problem_of(PROBLEMS[name], (-0.2, 0.6) if "shorts" in name else (0.0, 0.6))
    x, best, witness = optimum(problem)
    rng = np.random.default_rng(6)
    for v in points(problem):
        for share in (1.0, 0.1, 1e-3):
            w = x + share * (v - x)
            if not problem.in_domain(w) or not _meets(problem, w):
                continue
            for given in (witness, NOTHING, random_witness(problem, witness, rng)):
                proof = bound(problem, w, given)
                assert proof.gap >= proof.value - best - 1e-15
            assert bound(problem, w, NOTHING).gap >= 0


def _meets(problem: Problem, w: np.ndarray) -> bool:
    return all(limit.over(w) <= 0 for limit in problem.limits)


def random_witness(problem: Problem, right: Witness, rng: np.random.Generator) -> Witness:
    count = len(getattr(problem, "probabilities", np.zeros(3)))
    return Witness(
        q=rng.dirichlet(np.full(count, 0.2)) * rng.uniform(0.5, 2.0),
        multipliers=rng.normal(size=len(problem.bounds.totals)) * 1e-3,
        slopes=tuple(rng.normal(size=y.size) for y in right.slopes),
        limits=tuple(
            (float(rng.exponential()), rng.dirichlet(np.full(count, 0.2)) * rng.uniform(0.5, 2.0))
            for _ in problem.limits
        ),
    )


@every
def test_the_right_witness_proves_the_optimum_and_wrong_ones_do_not(name: str) -> None:
    problem = problem_of(PROBLEMS[name], (-0.2, 0.6) if "shorts" in name else (0.0, 0.6))
    x, _, witness = optimum(problem)
    right = prove(problem, x, witness)
    assert right.optimal
    assert right.witness.multipliers is not None
    spoilt = [replace(witness, multipliers=right.witness.multipliers * 1.5 + 1e-4)]
    if witness.slopes:
        spoilt.append(replace(witness, slopes=tuple(-y[::-1] for y in witness.slopes)))
    for price, q in witness.limits:
        assert price > 0
        spoilt += [replace(witness, limits=((share * price, q),)) for share in (0.5, 2.0)]
    for wrong in spoilt:
        assert prove(problem, x, wrong).gap > 10 * right.tolerance


def test_wrong_probabilities_prove_nothing_at_a_kink() -> None:
    problem = problem_of(CVaR(confidence=0.9))
    x, _, witness = optimum(problem)
    assert witness.q is not None
    assert prove(problem, x, witness).optimal
    assert prove(problem, x, NOTHING).gap > 10 * prove(problem, x).tolerance  # the kink: not any worst case will do
    shuffled = np.random.default_rng(0).permutation(witness.q)
    assert prove(problem, x, replace(witness, q=shuffled)).gap > 10 * prove(problem, x).tolerance


@every
def test_infeasible_points_are_refused(name: str) -> None:
    problem = problem_of(PROBLEMS[name], (-0.2, 0.6) if "shorts" in name else (0.0, 0.6))
    x, _, witness = optimum(problem)
    room = np.minimum(x - problem.bounds.lower, problem.bounds.upper - x)
    held, low = int(np.argmax(room)), int(np.argmin(room))
    off = x.copy()
    off[held] += 1e-7  # the budget
    with pytest.raises(OptimizationError, match="miss the limit 'budget'"):
        prove(problem, off, witness)
    off = x.copy()
    off[low] = problem.bounds.lower[low] - 1e-6
    with pytest.raises(OptimizationError, match=f"variable {low} .* outside its bounds"):
        prove(problem, off, witness)
    with pytest.raises(OptimizationError, match="finite numbers"):
        prove(problem, np.full_like(x, np.nan), witness)
    with pytest.raises(OptimizationError, match="finite numbers"):
        prove(problem, x[:-1], witness)


def test_the_box_of_the_finding_is_not_optimal() -> None:
    """S1: for the box [0, .3] the weights (-1.2, -1.4, 2, ...) were called optimal, with a gap of -1.1e-3."""
    problem = problem_of(Kelly(), (0.0, 0.3))
    with pytest.raises(OptimizationError, match="outside its bounds"):
        prove(problem, np.array([-1.2, -1.4, 2.0, 0.6, 0.5, 0.5]))


def test_weights_outside_the_domain_or_the_limit_are_refused() -> None:
    lost = DATA.copy()
    lost[3, 0] = -1.5
    with pytest.raises(OptimizationError, match="lose everything"):
        prove(problem_of(Kelly(), (0.0, 1.0), lost), np.eye(6)[0])
    problem = problem_of(RiskConstrainedKelly(lam=200.0))
    w = problem.lift(np.full(6, 1 / 6))
    with pytest.raises(OptimizationError, match="exceed the limit 'drawdown risk"):
        prove(problem, w)


def test_several_equalities() -> None:
    """Multipliers of every row count; a linear program finds them where none are given, and any others are worse."""
    rng = np.random.default_rng(3)
    rows = np.vstack([np.ones(6), rng.normal(size=6)])
    inside = np.full(6, 1 / 6)
    bounds = Bounds(np.zeros(6), np.full(6, 0.7), rows, rows @ inside, ("budget", "exposure"))
    problem = problem_of(Kelly())
    problem = type(problem)(problem.returns, None, problem.loss, problem.risk, bounds)
    solved = solve(problem)
    proof = prove(problem, solved.x)
    assert proof.optimal
    assert proof.witness.multipliers.shape == (2,)
    for i in range(2):
        wrong = proof.witness.multipliers + 1e-3 * np.eye(2)[i]
        assert prove(problem, solved.x, Witness(multipliers=wrong)).gap > 10 * proof.tolerance
    gradient = problem.evaluate(inside).gradient
    least = linprog(gradient, A_eq=rows, b_eq=bounds.totals, bounds=(0, 0.7)).fun
    assert bound(problem, inside).gap == pytest.approx(gradient @ inside - least, rel=1e-9)


def test_the_gap_is_exact_for_a_linear_objective() -> None:
    """There the bound is attained, so a term that is scaled by .98 shows: gap and true loss agree to rounding."""
    problem = problem_of(MaxMean(), (0.05, 0.6))
    _, best, _ = optimum(problem)
    for w in points(problem):
        proof = prove(problem, w)
        assert proof.gap == pytest.approx(proof.value - best, rel=1e-12)


def test_the_gap_is_exact_for_the_worst_case_of_a_linear_loss() -> None:
    """Where only q is wrong: the gap at the optimum is the risk less the mean under q plus what q could gain."""
    problem = problem_of(CVaR(confidence=0.9))
    x, best, _ = optimum(problem)
    q = problem.envelope().project(np.random.default_rng(1).dirichlet(np.ones(90)))
    mean = -(q @ problem.returns)
    least = linprog(mean, A_eq=np.ones((1, 6)), b_eq=[1.0], bounds=(0, 0.6)).fun
    assert prove(problem, x, Witness(q=q)).gap <= best - least + 1e-15
    forced = bound(problem, x, Witness(q=q))
    plain = bound(problem, x)
    assert min(forced.gap, plain.gap) == forced.gap
    assert forced.gap == pytest.approx(min(plain.gap, best - least), rel=1e-9)


def test_the_gap_is_exact_for_kinks() -> None:
    """With the objective linear, value and slope of the regulariser make the whole gap; zero slopes miss all of it."""
    problem = problem_of(MaxMean(reg="l-inf", strength=0.01), (0.0, 0.6))
    y = np.full(6, 0.01 / 6)  # admissible: it sums to the strength
    x = problem.bounds.center() + np.array([0.1, -0.1, 0.05, -0.05, 0.0, 0.0])
    gradient = -DATA.mean(axis=0) + y
    least = linprog(gradient, A_eq=np.ones((1, 6)), b_eq=[1.0], bounds=(0, 0.6)).fun
    proof = bound(problem, x, Witness(slopes=(y,)))
    assert proof.gap == pytest.approx(proof.value - least, rel=1e-9)
    # slopes that are not admissible are made so first
    assert bound(problem, x, Witness(slopes=(7.0 * y,))).gap == pytest.approx(proof.gap, rel=1e-12)


def test_the_gap_is_exact_for_kinks_under_given_probabilities() -> None:
    """Both at once: what the regulariser exceeds its slope by counts beside the probabilities of the witness too."""
    problem = problem_of(CVaR(confidence=0.9, reg="l-inf", strength=0.01), (0.0, 0.6))
    x, _, witness = optimum(problem)
    y = np.full(6, 0.01 / 6)
    gradient = -(witness.q @ DATA) + y
    least = linprog(gradient, A_eq=np.ones((1, 6)), b_eq=[1.0], bounds=(0, 0.6)).fun
    proof = bound(problem, x, Witness(q=witness.q, slopes=(y,)))
    assert bound(problem, x, Witness(slopes=(y,))).gap > proof.gap
    assert proof.gap == pytest.approx(proof.value - least, rel=1e-9)


def test_probabilities_outside_the_envelope_are_brought_into_it() -> None:
    """Half of every probability would halve the gap where all returns are positive, and claim what is not true."""
    problem = problem_of(CVaR(confidence=0.9), (0.0, 0.6), DATA + 0.2)
    x, best, witness = optimum(problem)
    assert best < 0
    for v in points(problem):
        w = x + 1e-3 * (v - x)
        for share in (0.2, 0.5, 2.0):
            proof = bound(problem, w, replace(witness, q=share * witness.q, multipliers=None))
            assert proof.gap >= proof.value - best


def test_the_price_of_a_limit_counts_with_its_slack() -> None:
    problem = problem_of(RiskConstrainedKelly(lam=30.0))
    x, _, witness = optimum(problem)
    ((right, _),), (limit,) = witness.limits, problem.limits
    inside = 0.5 * x + 0.5 * problem.lift(np.zeros(6))
    point = limit.measure.evaluate(inside)
    assert point.value < limit.most
    for price in (0.5 * right, right):
        proof = bound(problem, inside, Witness(limits=((price, None),)))
        gradient = problem.evaluate(inside).gradient + price * point.gradient
        least = gradient @ problem.bounds.linear_minimum(gradient)[0]
        assert proof.gap == pytest.approx(gradient @ inside - least + price * (limit.most - point.value), rel=1e-9)
        assert proof.value == pytest.approx(problem.evaluate(inside).value, rel=1e-15)


CONSTRAINTS = {
    "linear": lambda w: w[0] + w[1] <= 0.1,
    "turnover": lambda w: cp.norm1(w - np.full(6, 1 / 6)) <= 0.2,
    "norm": lambda w: cp.norm2(w) <= 0.45,
    "quadratic": lambda w: cp.sum_squares(w) <= 0.2,
    "exponential": lambda w: cp.sum(cp.entr(w)) >= 1.5,
    "power": lambda w: cp.pnorm(w, 3) <= 0.35,
    "several": lambda w: [w <= 0.4, cp.sum(cp.abs(w - 0.1)) <= 0.7, cp.norm(w, 2) <= 0.5],
}


@pytest.mark.parametrize("kind", CONSTRAINTS)
@pytest.mark.parametrize("name", ["kelly", "mpad", "cvar"])
def test_users_constraints(kind: str, name: str) -> None:
    problem = problem_of(PROBLEMS[name])
    solved = solve(problem, constraints=[CONSTRAINTS[kind]])
    extra = UserConstraints(problem, [CONSTRAINTS[kind]])
    free = solve(problem)
    assert solved.proof.optimal
    assert solved.proof.value > free.proof.value + 10 * free.proof.tolerance  # it binds
    again = prove(problem, solved.x, solved.proof.witness, extra)
    assert again.gap == pytest.approx(solved.proof.gap, abs=1e-15)
    with pytest.raises(OptimizationError, match="violate a given constraint"):
        prove(problem, free.x, solved.proof.witness, extra)
    rng = np.random.default_rng(0)
    for _ in range(10):
        wrong = replace(solved.proof.witness, cones=rng.normal(size=solved.proof.witness.cones.size))
        assert prove(problem, solved.x, wrong, extra).gap > 0
        scaled = replace(solved.proof.witness, cones=rng.uniform(0.5, 0.9) * solved.proof.witness.cones)
        assert prove(problem, solved.x, scaled, extra).gap > solved.proof.gap
    for v in points(problem):
        w = solved.x + 0.3 * (v - solved.x)
        if extra.violation(w) == 0:
            proof = prove(problem, w, solved.proof.witness, extra)
            assert proof.gap >= proof.value - solved.proof.value - 1e-12


def test_users_constraints_with_variables_of_their_own_and_tickers() -> None:
    held, names = np.full(6, 1 / 6), list("ABCDEF")
    t = cp.Variable(6)

    def turnover(w: Any) -> list[Any]:
        return [t >= w - held, t >= held - w, cp.sum(t) <= 0.2, w["A"] + w[["B", "C"]].sum() <= 0.4]

    own = Kelly(mandate=Mandate(constraints=turnover))
    plain = Kelly(mandate=Mandate(constraints=lambda w: [cp.norm1(w - held) <= 0.2, cp.sum(w[:3]) <= 0.4]))
    frame = pd.DataFrame(DATA, columns=names)
    np.testing.assert_allclose(own.optimize(frame, kind="returns"), plain.optimize(frame, kind="returns"), atol=1e-6)
    assert own.solution.status == "optimal"
    assert own.solution.verify(frame) == pytest.approx(own.solution.gap, abs=1e-14)
    problem = problem_of(own)
    extra = UserConstraints(problem, own._extra(Market.from_data(frame, "returns", None)))
    witness = own.solution._again.args[1]
    assert len(witness.auxiliary) == 1
    with pytest.raises(OptimizationError, match="violate"):  # the user's own variables are part of the witness
        prove(problem, own.solution.weights, replace(witness, auxiliary=(0.5 * witness.auxiliary[0],)), extra)


def test_the_ratio() -> None:
    optimizer = MaxSharpe()
    problem = problem_of(optimizer)
    assert isinstance(problem, VolatilityProblem)
    best = MaxSharpe()
    w = best.optimize(DATA, (0.0, 0.6), kind="returns")
    assert prove_ratio(problem, w).gap <= 1e-7
    for v in points(problem):
        for share in (1.0, 0.1, 1e-3):
            trial = w + share * (v - w)
            if problem.gain @ trial > 0:
                proof = prove_ratio(problem, trial)
                assert proof.gap >= proof.value - best.solution.value
    with pytest.raises(OptimizationError, match="no gain"):
        prove_ratio(problem, problem.bounds.linear_minimum(problem.gain)[0])
    with pytest.raises(OptimizationError, match="outside its bounds"):
        prove_ratio(problem, np.array([0.8, 0.2, 0.0, 0.0, 0.0, 0.0]))


def test_risk_budgets() -> None:
    covariance, budgets = np.cov(DATA.T), np.arange(1.0, 7.0) / 21.0
    optimizer = RiskParity(budgets=budgets)
    w = optimizer.optimize(DATA, kind="returns")
    value, gap = prove_budgets(covariance, budgets, w)
    assert gap <= optimizer.solution.tolerance
    assert value == pytest.approx(optimizer.solution.value, rel=1e-12)
    rng = np.random.default_rng(2)
    for _ in range(20):
        v = w * np.exp(0.3 * rng.normal(size=6))
        other, above = prove_budgets(covariance, budgets, v)
        assert above >= other - value >= 0
        shares = v * (covariance @ v) / (v @ covariance @ v) / budgets
        assert above == pytest.approx(budgets @ (shares - 1 - np.log(shares)), rel=1e-9)
    assert prove_budgets(covariance, budgets, w - w.min() - 1e-3)[1] == np.inf


@pytest.mark.parametrize(
    "optimizer",
    [*PROBLEMS.values(), MaxSharpe(), RiskParity(), Kelly(mandate=Mandate(constraints=CONSTRAINTS["norm"]))],
    ids=lambda asked: type(asked).__name__,
)
def test_verify_refuses_what_was_tampered_with(optimizer: Any) -> None:
    optimizer.optimize(DATA, kind="returns")
    solution = optimizer.solution
    assert solution.verify(DATA) == pytest.approx(solution.gap, abs=1e-15)
    with pytest.raises(PortfolioError, match="assets"):
        solution.verify(Market.from_data(DATA[:, :4], "returns", None))
    with pytest.raises(OptimizationError):
        solution.verify(Market.from_data(DATA[:60], "returns", None))
    weights = solution.weights.copy()
    weights[int(np.argmax(weights))] += 1e-3
    with pytest.raises((OptimizationError, PortfolioError)):
        replace(solution, weights=weights).verify(DATA)
    worse = 0.9 * solution.weights + 0.1 * np.full(6, solution.weights.sum() / 6)
    with pytest.raises((OptimizationError, PortfolioError)):
        replace(solution, weights=worse).verify(DATA)
    with pytest.raises(PortfolioError, match="no witness is kept"):
        solution.without_witness().verify(DATA)


def test_a_budget_that_is_missed_counts() -> None:
    """At a point off the budget the bound contains what the miss is worth at the multipliers."""
    bounds = Bounds.budget(np.zeros(4), np.full(4, 0.5))
    gradient, x = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.4, 0.2, 0.0])
    least = linprog(gradient, A_eq=np.ones((1, 4)), b_eq=[1.0], bounds=(0, 0.5))
    gap, reduced = box_gap(bounds, x, gradient, least.eqlin.marginals)
    assert gap == pytest.approx(gradient @ x - least.fun, rel=1e-12)
    np.testing.assert_allclose(reduced, gradient - least.eqlin.marginals[0])
    rows = Bounds(bounds.lower, bounds.upper, 2.0 * bounds.rows, 2.0 * bounds.totals)
    assert box_gap(rows, x, gradient, 0.5 * least.eqlin.marginals)[0] == pytest.approx(gap, rel=1e-12)


def test_what_a_risk_cannot_say_exactly_counts() -> None:
    """A risk evaluated roughly tells how far its worst case falls short, and so does the gap."""
    problem = problem_of(KLRobustKelly(radius=0.1))
    x, _, _ = optimum(problem)
    point = problem.evaluate(x)
    rough = replace(point, excess=1e-4)
    assert bound(problem, x, point=rough).gap == pytest.approx(bound(problem, x, point=point).gap + 1e-4, rel=1e-9)


def test_entropy_at_a_weight_of_zero_proves_nothing() -> None:
    """Its slope is infinite there: no gap, and no warning of an invalid operation either."""
    problem = problem_of(Kelly(reg="entropy", strength=1e-3), (0.0, 1.0))
    assert prove(problem, np.array([0.5, 0.5, 0.0, 0.0, 0.0, 0.0])).gap == np.inf


def test_cone_multipliers_are_made_admissible() -> None:
    """The bound of a cone program holds for any multipliers: here random ones of every kind of cone."""
    problem = problem_of(Kelly())
    kinds = [CONSTRAINTS[kind] for kind in ("turnover", "norm", "exponential", "power")]
    extra = UserConstraints(problem, kinds)
    rng = np.random.default_rng(8)
    for scale in (1e-3, 1.0, 30.0):
        cost = rng.normal(size=6)
        model, program, _ = extra.linear(cost)
        least = model.solve(solver="CLARABEL")
        right = np.asarray(extra.linear(cost)[2]({"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}).z)
        assert program.bound(right) == pytest.approx(least, abs=1e-6)
        for _ in range(300):
            y = right + scale * rng.normal(size=right.size) * rng.integers(0, 2, right.size)
            assert program.bound(y) <= least + 1e-9
            fixed = program.admissible(y)
            np.testing.assert_allclose(program.admissible(fixed), fixed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cone", ["nonneg", "soc", "exp", "p3d"])
def test_multipliers_outside_the_dual_cone_prove_nothing(cone: str) -> None:
    """The least x in [-1, 1] under a constraint that does not bind is -1; these multipliers would "prove" more."""
    matrix, sides, y = {
        "nonneg": ([[1.0]], [5.0], [-1.0]),  # x <= 5
        "soc": ([[0.0], [-1.0]], [5.0, 0.0], [-1.0, 1.0]),  # |x| <= 5
        "exp": ([[-1.0], [0.0], [0.0]], [0.0, 1.0, 5.0], [1.0, 0.0, -1.0]),  # exp(x) <= 5
        "p3d": ([[0.0], [0.0], [-1.0]], [5.0, 5.0, 0.0], [-1.0, -1.0, 1.0]),  # |x| <= 5^a 5^(1 - a)
    }[cone]
    kinds = {"zero": 0, "nonneg": 0, "soc": [], "exp": 0, "p3d": []}
    kinds[cone] = {"nonneg": 1, "soc": [2], "exp": 1, "p3d": [0.3]}[cone]
    box = np.ones(1)
    free = np.zeros(len(sides), dtype=bool)
    program = ConeProgram(box, np.array(matrix), np.array(sides), -box, box, SimpleNamespace(**kinds), free)
    assert program.bound(np.array(y)) <= -1.0
    assert program.bound(np.zeros(len(sides))) == -1.0


def test_the_gap_of_a_ratio_is_what_is_missing_over_the_least_volatility() -> None:
    """Computed apart, by linear programs: no term of it may be smaller."""
    problem = problem_of(MaxSharpe())
    w = MaxSharpe().optimize(DATA, (0.0, 0.6), kind="returns")
    v = 0.99 * w + 0.01 * np.full(6, 1 / 6)
    marginal, deviation = problem.covariance @ v, float(np.sqrt(v @ problem.covariance @ v))
    ratio = float(problem.gain @ v) / deviation
    box = {"A_eq": np.ones((1, 6)), "b_eq": [1.0], "bounds": (0, 0.6)}
    missing = -linprog(ratio / deviation * marginal - problem.gain, **box).fun
    least = linprog(marginal, **box).fun / deviation
    assert 0 < least < 0.99 * deviation
    assert prove_ratio(problem, v).gap == pytest.approx(missing / least, rel=1e-6)


def test_absolute_values_count_by_their_slopes() -> None:
    """The same for sums of absolute values: given slopes make an exact gap, inadmissible ones are clipped first."""
    problem = problem_of(MaxMean(reg="mpad", strength=0.01), (0.0, 0.6))
    part = problem.penalty.pieces()[1][0]
    y = np.linspace(-0.9, 0.9, part.heads.size) * part.costs
    x = problem.bounds.center() + np.array([0.1, -0.1, 0.05, -0.05, 0.0, 0.0])
    gradient = -DATA.mean(axis=0) + part.pull(y, 6)
    least = linprog(gradient, A_eq=np.ones((1, 6)), b_eq=[1.0], bounds=(0, 0.6)).fun
    proof = bound(problem, x, Witness(slopes=(y,)))
    assert proof.gap == pytest.approx(proof.value - least, rel=1e-9)
    # slopes that would make every portfolio equally good, were they admissible
    weak = problem_of(MaxMean(reg="mpad", strength=1e-6), (0.0, 0.6))
    differences = np.array([part.pull(row, 6) for row in np.eye(part.heads.size)])
    wild = np.linalg.lstsq(differences.T, DATA.mean(axis=0) - DATA.mean(), rcond=None)[0]
    proof = bound(weak, x, Witness(slopes=(wild,)))
    assert proof.gap >= proof.value - optimum(weak)[1]
