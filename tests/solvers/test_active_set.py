"""Newton on the weights off their bounds: few passes over the scenarios from a neighbour, however bounds change."""

from collections import Counter

import numpy as np
import pytest

from opeslike import Kelly, KLRobustKelly, MinVariance, load_us20
from opeslike.beliefs import Recentred
from opeslike.market import Market
from opeslike.solvers.active_set import active_set

AIM = 1e-3


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.from_data(load_us20().iloc[-1500:])


def passes(problem, guess) -> tuple[Counter, object]:
    """How often the problem was evaluated and its Hessian made, and what was found."""
    made: Counter = Counter()

    def counted(name):
        method = getattr(problem, name)

        def call(*args):
            made[name] += 1
            return method(*args)

        return call

    names = "evaluate_inside", "hessian"
    for name in names:
        setattr(problem, name, counted(name))
    return made, active_set(problem, guess, AIM)


@pytest.mark.parametrize("optimizer", [Kelly(), KLRobustKelly(radius=0.01), MinVariance()], ids=str)
def test_bounds_change_without_passes_over_the_scenarios(optimizer, market) -> None:
    problem = optimizer._problem(market)
    best = optimizer.optimize(market)
    guess = np.full(20, 0.05)  # off all bounds, where most weights end
    made, found = passes(problem, guess)
    assert found.gap <= AIM * problem.tolerance(found.point)
    assert np.flatnonzero(found.x == 0.0).size >= 8
    assert np.abs(found.x - best).max() < 1e-5
    assert made["hessian"] <= 5


def test_a_corner_is_left_for_the_optimum(market) -> None:
    for place in range(20):
        made, found = passes(problem := MinVariance()._problem(market), np.eye(20)[place])
        assert found.gap <= AIM * problem.tolerance(found.point)
        assert made["hessian"] <= 4


def test_a_second_derivative_serves_a_second_step(market) -> None:
    optimizer = Kelly(beliefs=Recentred(0.0005))
    made: Counter = Counter()
    for stop in range(1000, 1400, 20):
        guess = optimizer.optimize(market.window(0, stop - 5))
        problem = optimizer._problem(optimizer._market(market.window(0, stop), None))
        own, found = passes(problem, guess)
        assert found.gap <= AIM * problem.tolerance(found.point)
        made += own
    assert made["hessian"] < 0.8 * (made["evaluate_inside"] - 20)  # steps: one an evaluation after the first
