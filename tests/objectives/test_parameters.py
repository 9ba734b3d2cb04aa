"""Constructors store what they are given: representation, parameters, copies, clones, and solves that can be shared."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest

from opeslike import Kelly, KLRobustKelly, Mandate, objectives
from opeslike.beliefs import Decay, Given, Prior
from opeslike.errors import PortfolioError
from opeslike.objectives import (
    CRRA,
    BayesianKelly,
    KLRobust,
    MaxSharpe,
    RegretKelly,
    RiskConstrainedKelly,
    UniversalPortfolios,
    VaR,
    WassRobustKelly,
)
from opeslike.objectives.base import ConvexObjective, Optimizer
from opeslike.objectives.moments import QuadraticObjective
from opeslike.objectives.scenarios import ScenarioObjective

CLASSES = [
    kind
    for kind in (getattr(objectives, name) for name in objectives.__all__)
    if inspect.isclass(kind) and not inspect.isabstract(kind)
]


def make(kind: type, **parameters: object) -> Optimizer:
    first = {BayesianKelly: [np.array([[0.1, -0.1]])], KLRobust: [Kelly()], RegretKelly: [[None, Decay(5)]]}.get(
        kind, []
    )
    return kind(*first, **parameters)


def sample(count: int = 60, n: int = 4, seed: int = 0) -> np.ndarray:
    g = np.random.default_rng(seed)
    return 0.01 * g.standard_t(5, (count, n)) + 0.0005


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_stores_what_it_is_given_under_its_name(kind: type) -> None:
    plain = make(kind)
    given = plain.get_params(deep=False)
    assert list(given) == list(inspect.signature(kind).parameters)
    assert {"beliefs", "mandate", "solver", "time_limit"} <= given.keys()
    assert all(value is getattr(plain, name) for name, value in given.items())
    mandate = Mandate(bounds=(0, 0.9))
    changed = make(kind, mandate=mandate, time_limit=7)
    assert (changed.mandate, changed.time_limit) == (mandate, 7)
    assert "mandate=Mandate(bounds=(0, 0.9)), time_limit=7" in repr(changed)
    for bad in ({"solver": "simplex"}, {"time_limit": 0}, {"mandate": 3}, {"beliefs": [-1.0, 2.0]}):
        with pytest.raises(PortfolioError, match=next(iter(bad)).replace("beliefs", "probabilities|beliefs")):
            make(kind, **bad)
    with pytest.raises(PortfolioError, match="no parameter 'magic'"):
        plain.set_params(magic=1)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_scikit_learn_clones_every_class(kind: type) -> None:
    base = pytest.importorskip("sklearn.base")
    optimizer = make(kind, mandate=Mandate(bounds=(0, 0.9)), time_limit=30.0)
    clone = base.clone(optimizer)
    assert type(clone) is kind
    assert repr(clone) == repr(optimizer)
    assert clone.mandate is not optimizer.mandate
    assert repr(pickle.loads(pickle.dumps(optimizer))) == repr(copy.deepcopy(optimizer)) == repr(optimizer.copy())


def test_representation_shows_what_differs_from_the_defaults() -> None:
    assert repr(Kelly()) == "Kelly()"
    robust = KLRobustKelly(0.5, "auto", beliefs=Decay(252), mandate=Mandate(leverage=1.5), reg="l2", strength=0.1)
    assert repr(robust) == (
        "KLRobustKelly(fraction=0.5, radius='auto', reg='l2', strength=0.1, beliefs=Decay(halflife=252), "
        "mandate=Mandate(leverage=1.5))"
    )
    assert repr(KLRobust(CRRA(3), 0.1)) == "KLRobust(objective=CRRA(risk_aversion=3), radius=0.1)"
    assert repr(RiskConstrainedKelly(lam=3.0)) == "RiskConstrainedKelly(lam=3.0)"


def test_parameters_nest_through_beliefs_mandates_and_objectives() -> None:
    robust = KLRobust(Kelly(0.5, beliefs=Decay(63) | Prior(np.zeros((1, 4)), 5.0)), 0.1)
    params = robust.get_params()
    assert params["objective__beliefs__first__halflife"] == 63
    assert params["objective__mandate__leverage"] is None
    inner = robust.objective
    robust.set_params(objective__beliefs__first__halflife=10, objective__mandate__leverage=2.0, radius=0.2)
    assert (robust.radius, robust.objective.beliefs.first.halflife, robust.objective.mandate.leverage) == (0.2, 10, 2.0)
    assert (inner.beliefs.first.halflife, inner.mandate.leverage) == (63, None)
    optimizer = Kelly()
    optimizer.optimize(sample(), kind="returns")
    optimizer.set_params(fraction=0.5)
    assert optimizer.weights is None  # what was found with other parameters is forgotten
    with pytest.raises(PortfolioError, match="fraction=2"):
        optimizer.set_params(fraction=2)
    assert optimizer.fraction == 0.5


def test_grid_search_walks_over_nested_parameters() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    grid = selection.ParameterGrid({"fraction": [1.0, 0.5], "mandate__leverage": [None, 1.0]})
    made = [Kelly().set_params(**point) for point in grid]
    assert len({repr(one) for one in made}) == 4


@pytest.mark.parametrize("kind", [Optimizer, ConvexObjective, ScenarioObjective, QuadraticObjective])
def test_what_lacks_an_objective_cannot_be_made(kind: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        kind()


def test_a_regulariser_follows_by_position_as_in_opes() -> None:
    assert (Kelly(0.5, "l2", 0.1).fraction, Kelly(0.5, "l2", 0.1).reg, Kelly(0.5, "l2", 0.1).strength) == (
        0.5,
        "l2",
        0.1,
    )
    bayes = BayesianKelly(np.zeros((1, 2)), 5.0, 0.5, "l2", 0.1)
    assert (bayes.pseudo_count, bayes.fraction, bayes.reg, bayes.strength) == (5.0, 0.5, "l2", 0.1)
    with pytest.raises(TypeError, match="too many positional"):
        Kelly(0.5, "l2", 0.1, None)
    with pytest.raises(TypeError, match="'leverage'"):
        Kelly(leverage=2)


# --- beliefs ----------------------------------------------------------------------------------------------------------


def test_an_array_of_probabilities_is_a_belief() -> None:
    returns, p = sample(), np.random.default_rng(1).dirichlet(np.ones(60))
    one, two = Kelly(beliefs=p), Kelly(beliefs=Given(p))
    np.testing.assert_array_equal(one.optimize(returns, kind="returns"), two.optimize(returns, kind="returns"))
    assert one.beliefs is p
    with pytest.raises(PortfolioError, match="takes no beliefs"):
        UniversalPortfolios(beliefs=p)


def test_an_automatic_radius_is_that_of_the_effective_number_of_scenarios() -> None:
    returns = sample(200)
    auto = KLRobustKelly(radius="auto", beliefs=Decay(20))
    auto.optimize(returns, kind="returns")
    p = 0.5 ** (np.arange(200)[::-1] / 20)
    p /= p.sum()
    fixed = KLRobustKelly(radius=np.sqrt(p @ p), beliefs=p)
    fixed.optimize(returns, kind="returns")
    assert auto.solution.value == pytest.approx(fixed.solution.value, abs=1e-12)


def test_bayesian_kelly_is_kelly_with_a_prior_applied_last() -> None:
    returns, prior = sample(), -np.abs(sample(5, seed=3))
    bayes = BayesianKelly(prior, 20.0, beliefs=Decay(10)).optimize(returns, kind="returns")
    kelly = Kelly(beliefs=Decay(10) | Prior(prior, 20.0)).optimize(returns, kind="returns")
    np.testing.assert_array_equal(bayes, kelly)


def test_a_ball_takes_beliefs_and_mandate_from_the_objective_inside_or_from_itself() -> None:
    returns, belief, mandate = sample(), Decay(10), Mandate(leverage=1.0)
    inside = KLRobust(Kelly(0.5, beliefs=belief, mandate=mandate), 0.01).optimize(returns, kind="returns")
    outside = KLRobust(Kelly(0.5), 0.01, beliefs=belief, mandate=mandate).optimize(returns, kind="returns")
    np.testing.assert_array_equal(inside, outside)
    same = KLRobustKelly(0.5, 0.01, beliefs=belief, mandate=mandate).optimize(returns, kind="returns")
    np.testing.assert_allclose(same, inside, atol=1e-9)
    for name, value in (
        ("beliefs", belief),
        ("mandate", mandate),
        ("solver", "cvxpy"),
        ("reg", "l2"),
        ("time_limit", 9),
    ):
        with pytest.raises(PortfolioError, match=f"{name} given both"):
            KLRobust(Kelly(**{name: value}), 0.01, **{name: value})


# --- shared solves ----------------------------------------------------------------------------------------------------


def test_fractions_of_one_portfolio_share_a_key() -> None:
    returns = sample()
    full, half = Kelly().shared(), Kelly(0.5).shared()
    assert full is not None
    assert half is not None
    assert full[0] == half[0]
    assert hash(full[0]) == hash(half[0])
    ratio = half[1] / full[1]
    np.testing.assert_allclose(
        Kelly(0.5).optimize(returns, kind="returns"), ratio * Kelly().optimize(returns, kind="returns"), atol=1e-12
    )
    assert WassRobustKelly(0.5).shared()[0] == WassRobustKelly(0.25).shared()[0]


def test_different_problems_have_different_keys() -> None:
    cap, prices = Mandate(bounds=(0, 0.4)), np.arange(4.0)
    every = [
        Kelly(),
        Kelly(0.5, mandate=cap),
        Kelly(0.25, mandate=cap),
        Kelly(0.5, formulation="opes"),
        Kelly(0.25, formulation="opes"),
        Kelly(reg="l2"),
        Kelly(reg="l2", strength=2.0),
        Kelly(beliefs=Decay(5)),
        Kelly(beliefs=prices),
        Kelly(solver="cvxpy"),
        KLRobustKelly(),
        KLRobustKelly(radius=0.02),
        MaxSharpe(),
        VaR(),
        BayesianKelly(np.zeros((1, 4))),
    ]
    keys = [optimizer.shared()[0] for optimizer in every]
    assert len(set(keys)) == len(keys)
    assert (
        Kelly(0.5, mandate=cap).shared()[1] == 1.0
    )  # limits bind what is held, so the fraction is part of the problem
