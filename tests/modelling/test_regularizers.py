"""Regularisers: definitions, derivatives, the cvxpy expression, domains, and what solvers are told of their kinks."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.errors import PortfolioError
from opeslike.modelling.bounds import Bounds
from opeslike.modelling.feasible import Lift, feasible
from opeslike.modelling.kinks import Kinks
from opeslike.modelling.regularizers import REGULARIZERS, Regularizer, make_penalty, regularizer_name
from opeslike.modelling.terms import Terms
from opeslike.solvers.pieces import Pieces

SIMPLEX_ONLY = ("entropy", "jsd", "wass-1")


def simplex(count: int) -> Bounds:
    return Bounds.budget(np.zeros(count), np.ones(count))


def long_short(count: int) -> Bounds:
    return Bounds.budget(np.full(count, -1.0), np.ones(count))


def built(name: str, bounds: Bounds, strength: float = 1.0) -> Regularizer:
    penalty = make_penalty(name, strength, Lift.identity(bounds))
    assert penalty is not None
    return penalty


def definition(name: str, w: np.ndarray) -> float:
    """The formulas, written out as slowly as possible."""
    count = len(w)
    match name:
        case "l1":
            return sum(abs(x) for x in w)
        case "l2":
            return sum(x * x for x in w)
        case "l-inf":
            return max(abs(x) for x in w)
        case "entropy":
            return sum(x * np.log(x) for x in w if x > 0)
        case "jsd":
            u = 1 / count
            first = sum(x * np.log(x / (0.5 * (x + u))) for x in w if x > 0)
            return 0.5 * (first + sum(u * np.log(u / (0.5 * (x + u))) for x in w))
        case "variance":
            return sum((x - sum(w) / count) ** 2 for x in w) / count
        case "mpad":
            return sum(abs(x - y) for x in w for y in w) / count**2
        case "mpd":
            return max(w) - min(w)
        case _:
            return sum(abs(x - 1 / count) for x in w) / count


weights = st.lists(st.floats(0.01, 1), min_size=2, max_size=7).map(lambda v: np.array(v) / sum(v))
signed = st.lists(st.floats(-1, 1), min_size=2, max_size=7).map(np.array)


@pytest.mark.parametrize("name", REGULARIZERS)
@settings(deadline=None, max_examples=30)
@given(w=weights, strength=st.floats(0.1, 10))
def test_value_is_the_definition(name: str, w: np.ndarray, strength: float) -> None:
    value, _ = built(name, simplex(w.size), strength).evaluate(w)
    assert value == pytest.approx(strength * definition(name, w), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", [name for name in REGULARIZERS if name not in SIMPLEX_ONLY])
@settings(deadline=None, max_examples=30)
@given(w=signed)
def test_value_is_the_definition_with_shorts(name: str, w: np.ndarray) -> None:
    value, _ = built(name, long_short(w.size)).evaluate(w)
    assert value == pytest.approx(definition(name, w), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_value_is_that_of_opes(name: str) -> None:
    regularizer = pytest.importorskip("opes.regularizer", reason="OPES is not installed (extra 'bench')")
    theirs = regularizer._find_regularizer(name)
    rng = np.random.default_rng(3)
    for count in (2, 5, 12):
        w = rng.dirichlet(np.ones(count))
        assert built(name, simplex(count)).evaluate(w)[0] == pytest.approx(float(theirs(w)), abs=1e-9)


@pytest.mark.parametrize("name", REGULARIZERS)
@settings(deadline=None, max_examples=30)
@given(data=st.data(), w=weights)
def test_gradient_is_a_subgradient(name: str, data: st.DataObject, w: np.ndarray) -> None:
    raw = data.draw(st.lists(st.floats(0.01, 1), min_size=w.size, max_size=w.size))
    other = np.array(raw) / sum(raw)
    penalty = built(name, simplex(w.size))
    value, slope = penalty.evaluate(w)
    assert penalty.evaluate(other)[0] >= value + slope @ (other - w) - 1e-12


@pytest.mark.parametrize("name", REGULARIZERS)
def test_derivatives_by_finite_differences(name: str) -> None:
    penalty = built(name, simplex(5) if name in SIMPLEX_ONLY else long_short(5), 0.7)
    w, h = np.array([0.31, 0.24, 0.08, 0.16, 0.21]), 1e-6
    _, slope = penalty.evaluate(w)
    step = h * np.eye(5)
    by_value = [(penalty.evaluate(w + d)[0] - penalty.evaluate(w - d)[0]) / (2 * h) for d in step]
    by_slope = [(penalty.evaluate(w + d)[1] - penalty.evaluate(w - d)[1]) / (2 * h) for d in step]
    np.testing.assert_allclose(slope, by_value, atol=1e-8)
    np.testing.assert_allclose(penalty.hessian(w), by_slope, atol=1e-7)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_the_cvxpy_expression_is_the_same_convex_function(name: str) -> None:
    rng = np.random.default_rng(1)
    variable = cp.Variable(6)
    cases = [(simplex(6), rng.dirichlet(np.ones(6)))]
    if name not in SIMPLEX_ONLY:
        cases.append((long_short(6), rng.normal(size=6)))
    for bounds, w in cases:
        penalty = built(name, bounds, 0.3)
        expression = penalty.expression(variable)
        assert expression.is_convex()
        assert expression.is_dcp()
        variable.value = w
        assert float(expression.value) == pytest.approx(penalty.evaluate(w)[0], rel=1e-12)


@pytest.mark.parametrize("name", ["l1", "l-inf", "mpad", "mpd", "wass-1"])
def test_pieces_add_up_to_the_regulariser(name: str) -> None:
    rng = np.random.default_rng(2)
    bounds = simplex(6) if name == "wass-1" else long_short(6)
    penalty = built(name, bounds, 0.8)
    assert not penalty.smooth
    for _ in range(10):
        w = rng.normal(size=6) + 1 / 6
        tilt, parts = penalty.pieces()
        total = 0.0 if tilt is None else float(tilt @ w)
        for part in parts:
            if isinstance(part, Kinks):
                along = w[part.heads] - (0.0 if part.tails is None else w[part.tails])
                total += float(part.costs @ np.abs(along - part.offset))
            else:
                total += part.cost * float((part.signs * w[part.heads]).max())
        assert total == pytest.approx(penalty.evaluate(w)[0], rel=1e-12)


@pytest.mark.parametrize("name", ["l1", "l-inf", "mpad", "mpd", "wass-1"])
def test_multipliers_of_the_pieces_are_subgradients(name: str) -> None:
    """Whatever products they start from: ``h(v) >= h(w) - shortfall + pull . (v - w)``."""
    rng = np.random.default_rng(4)
    penalty = built(name, simplex(5) if name == "wass-1" else long_short(5), 2.0)
    for mu in (1e-1, 1e-4, 1e-8):
        w = rng.dirichlet(np.ones(5))
        pieces = Pieces(penalty, w, mu)
        pull, shortfall = pieces.pull(), pieces.shortfall(w)
        assert shortfall >= 0
        for _ in range(50):
            v = rng.normal(size=5)
            assert penalty.evaluate(v)[0] >= penalty.evaluate(w)[0] - shortfall + pull @ (v - w) - 1e-12


def test_l1_of_long_only_weights_has_no_kink() -> None:
    mixed = Bounds.budget(np.array([0.0, -1.0, -1.0]), np.array([1.0, 0.0, 1.0]))
    penalty = built("l1", mixed)
    assert not penalty.smooth
    assert penalty.pieces()[1][0].heads.tolist() == [2]
    assert built("l1", simplex(3), 0.5).evaluate(np.array([0.2, 0.3, 0.5]))[0] == 0.5
    assert built("l1", simplex(3)).smooth
    assert built("l1", Bounds.budget(np.array([0.0, -1.0]), np.array([2.0, 0.0]))).smooth


@pytest.mark.parametrize("name", SIMPLEX_ONLY)
def test_distances_between_distributions_need_distributions(name: str) -> None:
    with pytest.raises(PortfolioError, match=r"short positions.*use reg='l2'"):
        make_penalty(name, 1.0, Lift.identity(long_short(3)))
    none = np.zeros(0)
    _, leveraged = feasible(Terms(np.zeros(3), np.ones(3), np.zeros((0, 3)), none, none, leverage=1.0))
    with pytest.raises(PortfolioError, match=r"sum to 1.*use reg='l2'"):
        make_penalty(name, 1.0, leveraged)
    with pytest.raises(PortfolioError, match="sum to 1"):
        make_penalty(name, 1.0, Lift.identity(Bounds.budget(np.zeros(3), np.ones(3), 0.5)))


def test_weights_fixed_at_zero_do_not_bother_entropy() -> None:
    bounds = Bounds.budget(np.zeros(3), np.array([1.0, 0.0, 1.0]))
    for name in ("entropy", "jsd"):
        penalty = built(name, bounds)
        _, slope = penalty.evaluate(np.array([0.5, 0.0, 0.5]))
        assert np.isfinite(slope).all()
        assert np.isfinite(penalty.hessian(np.array([0.5, 0.0, 0.5]))).all()
        assert penalty.evaluate(np.array([0.0, 0.0, 1.0]))[1][0] == -np.inf


def test_names() -> None:
    assert regularizer_name(None) is None
    assert regularizer_name("L-Inf") == "l-inf"
    for wrong in ("ridge", 2, ""):
        with pytest.raises(PortfolioError, match="is unknown; use None or one of 'l1'"):
            regularizer_name(wrong)
    assert make_penalty(None, 1.0, Lift.identity(simplex(2))) is None
    assert make_penalty("l2", 0.0, Lift.identity(simplex(2))) is None
