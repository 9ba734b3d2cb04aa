"""The ledger against plain loops in which every sum is exact (math.fsum)."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeslike.accounting.costs import CostRates
from opeslike.accounting.financing import Financing
from opeslike.accounting.ledger import Blocks, Ledger, Terms


def recomputed(returns, weights, trading, per_step, per_asset, lend, borrow, short, capital, entry_cost):
    """Money at every close, from the weights held, in plain Python; stops at ruin."""
    steps, assets = returns.shape
    wealth, drifted = [float(capital)], [0.0] * assets
    turnover, costs = [], []
    for t in range(steps):
        traded = [abs(float(weights[t, i]) - drifted[i]) for i in range(assets)]
        if not trading[t] or (t == 0 and not entry_cost):
            traded = [0.0] * assets
        turnover.append(math.fsum(traded))
        cost = math.fsum(x * float(per_step[t]) * float(c) for x, c in zip(traded, per_asset, strict=True))
        costs.append(cost)
        if cost >= 1:
            wealth.append(wealth[-1] * (1 - cost))
            break
        money = wealth[-1] * (1 - cost)
        positions = [money * float(weights[t, i]) for i in range(assets)]
        cash = math.fsum([money, *(-p for p in positions)])
        grown = [p * (1 + float(returns[t, i])) for i, p in enumerate(positions)]
        interest = cash * float(lend[t] if cash >= 0 else borrow[t])
        fee = math.fsum(-p for p in positions if p < 0) * float(short[t])
        after = math.fsum([*grown, cash, interest, -fee])
        wealth.append(after)
        if after <= 0:
            break
        drifted = [g / after for g in grown]
    return wealth, turnover, costs


@st.composite
def problems(draw, harsh):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    steps, assets = draw(st.integers(1, 25)), draw(st.integers(1, 6))
    scale = draw(st.sampled_from([0.005, 0.02, 0.3] if harsh else [0.005, 0.02]))
    size = draw(st.sampled_from([1.0, 3.0, 20.0] if harsh else [0.5, 1.0, 2.0]))
    returns = np.maximum(rng.normal(0, scale, (steps, assets)), -0.95)
    targets = rng.normal(0, size / assets, (steps, assets))
    if draw(st.booleans()):
        targets = np.abs(targets) / np.abs(targets).sum(axis=1, keepdims=True)
    every = draw(st.integers(1, 8))
    reopt = draw(st.integers(1, 8))
    cost = draw(st.sampled_from([0.0, 0.001, 0.5] if harsh else [0.0, 0.002]))
    per_step = np.full(steps, cost) * rng.uniform(0.5, 1.5, steps)
    per_asset = rng.uniform(0, 2, assets) if draw(st.booleans()) else None
    rates = rng.uniform(0, 0.001, (3, steps)) * draw(st.sampled_from([0.0, 1.0]))
    rates[1] += rates[0]
    if draw(st.booleans()):
        rates[2] = 0.0
    capital = draw(st.sampled_from([1.0, 250_000.0]))
    terms = Terms(returns, CostRates(per_step, per_asset), Financing(*rates), capital, draw(st.booleans()))
    return terms, targets, every, reopt


def by_steps(terms, targets, every, reopt):
    ledger, target = Ledger(terms), None
    for t in range(terms.horizon):
        if t % reopt == 0:
            target = targets[t]
        if not ledger.step(target if t % every == 0 else None):
            break
    return ledger.path


def by_blocks(terms, targets, every, reopt):
    blocks = Blocks(terms, np.arange(0, terms.horizon, every))
    for t in range(0, terms.horizon, reopt):
        if t >= blocks.alive_until:
            break
        blocks.fill(t, min(t + reopt, terms.horizon), targets[t])
    return blocks.settle()


def check_against_loop(path, terms, every):
    trading = [t % every == 0 for t in range(terms.horizon)]
    per_asset = np.ones(terms.returns.shape[1]) if terms.costs.per_asset is None else terms.costs.per_asset
    weights = path.weights
    if path.unpaid is not None:
        weights = weights.copy()
        weights[path.ruin] = path.unpaid
    wealth, turnover, costs = recomputed(
        *(terms.returns, weights, trading, terms.costs.per_step, per_asset),
        *(terms.financing.lend, terms.financing.borrow, terms.financing.short),
        *(terms.initial_capital, terms.entry_cost),
    )
    steps = len(wealth) - 1
    for t in range(steps):
        # Relative to what was moved: a step of a levered account turns over more than its wealth.
        gross = 1 + float(np.abs(weights[t]).sum())
        if t < steps - 1 or path.ruin is None:
            assert path.wealth[t + 1] == pytest.approx(
                path.wealth[t] * wealth[t + 1] / wealth[t], rel=1e-12, abs=1e-12 * gross * path.wealth[t]
            )
        assert path.turnover[t] == pytest.approx(turnover[t], rel=1e-12, abs=1e-12 * gross)
        assert path.costs[t] == pytest.approx(costs[t], rel=1e-12, abs=1e-12 * gross)
    if path.ruin is None:
        assert steps == terms.horizon
        assert wealth[-1] > 0
        assert path.lender_loss == 0
    else:
        assert steps == path.ruin + 1
        assert wealth[-1] <= 0
        scale = terms.initial_capital * (1 + max(abs(x) for x in wealth))
        assert path.lender_loss == pytest.approx(-wealth[-1], rel=1e-9, abs=1e-9 * scale)
        assert path.returns[path.ruin] == -1
        assert not path.returns[path.ruin + 1 :].any()
        assert not path.wealth[path.ruin + 1 :].any()
        assert not path.weights[path.ruin + 1 :].any()
        assert not path.turnover[path.ruin + 1 :].any()


@given(problems(harsh=True))
@settings(max_examples=150, deadline=None)
def test_wealth_is_conserved_step_by_step(problem):
    terms, targets, every, reopt = problem
    check_against_loop(by_steps(terms, targets, every, reopt), terms, every)


@given(problems(harsh=True))
@settings(max_examples=150, deadline=None)
def test_wealth_is_conserved_in_blocks(problem):
    terms, targets, every, reopt = problem
    check_against_loop(by_blocks(terms, targets, every, reopt), terms, every)


@given(problems(harsh=False))
@settings(max_examples=150, deadline=None)
def test_blocks_and_steps_agree_to_rounding(problem):
    terms, targets, every, reopt = problem
    one, two = by_steps(terms, targets, every, reopt), by_blocks(terms, targets, every, reopt)
    assert one.ruin == two.ruin
    for name in ("weights", "growth", "financing", "turnover", "costs", "returns"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(two.wealth, one.wealth, rtol=1e-14, atol=0)


@given(problems(harsh=True))
@settings(max_examples=150, deadline=None)
def test_blocks_and_steps_agree_on_ruin(problem):
    terms, targets, every, reopt = problem
    one, two = by_steps(terms, targets, every, reopt), by_blocks(terms, targets, every, reopt)
    assert one.ruin == two.ruin
    assert (one.unpaid is None) == (two.unpaid is None)
    assert one.wealth[-1] == pytest.approx(two.wealth[-1], rel=1e-9)
    assert one.lender_loss == pytest.approx(two.lender_loss, rel=1e-9)


def terms_of(returns, cost=0.0, rates=(0.0, 0.0, 0.0), **options):
    returns = np.asarray(returns, dtype=float)
    steps = len(returns)
    return Terms(
        returns, CostRates(np.full(steps, cost)), Financing(*(np.full(steps, rate) for rate in rates)), **options
    )


def test_one_step_by_hand():
    # 100 held as 60 / 60 with 20 borrowed at 1%; 0.5% on a turnover of 1.2 is 0.6.
    ledger = Ledger(terms_of([[0.10, -0.05]], cost=0.005, rates=(0.001, 0.01, 0.0), initial_capital=100.0))
    assert ledger.step(np.array([0.6, 0.6]))
    money = 99.4 * (1 + 0.06 - 0.03 - 0.2 * 0.01)
    assert ledger.path.wealth[1] == pytest.approx(money, rel=1e-15)
    assert ledger.path.costs[0] == pytest.approx(0.006, rel=1e-15)
    assert ledger.drifted == pytest.approx(np.array([0.66, 0.57]) / 1.028, rel=1e-15)


def test_a_short_position_earns_interest_on_its_proceeds_and_pays_a_fee():
    ledger = Ledger(terms_of([[0.02]], rates=(0.001, 0.01, 0.005)))
    ledger.step(np.array([-0.5]))
    assert ledger.path.financing[0] == pytest.approx(1.5 * 0.001 - 0.5 * 0.005, rel=1e-15)
    assert ledger.path.returns[0] == pytest.approx(-0.01 + 0.0015 - 0.0025, rel=1e-13)


@pytest.mark.parametrize("run", [by_steps, by_blocks])
@pytest.mark.parametrize("every", [1, 4])
def test_ruin_returns_minus_one_and_the_lender_bears_the_rest(run, every):
    returns = np.array([[0.0], [-0.4], [0.5], [0.5]])
    path = run(terms_of(returns, initial_capital=1000.0), np.full((4, 1), 3.0), every, 10)
    assert path.ruin == 1
    assert path.returns.tolist() == [0.0, -1.0, 0.0, 0.0]
    assert path.wealth.tolist() == [1000.0, 1000.0, 0.0, 0.0, 0.0]
    assert path.lender_loss == pytest.approx(200.0)
    assert path.weights[:, 0].tolist() == [3.0, 3.0, 0.0, 0.0]


@pytest.mark.parametrize("run", [by_steps, by_blocks])
def test_exactly_zero_wealth_is_ruin(run):
    path = run(terms_of([[-0.5], [0.1]]), np.full((2, 1), 2.0), 1, 1)
    assert path.ruin == 0
    assert path.lender_loss == 0.0
    assert path.wealth.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("run", [by_steps, by_blocks])
def test_costs_beyond_wealth_ruin_before_anything_is_held(run):
    path = run(terms_of([[0.1], [0.1]], cost=0.6), np.full((2, 1), 2.0), 1, 1)
    assert path.ruin == 0
    assert path.costs.tolist() == [1.2, 0.0]
    assert path.lender_loss == pytest.approx(0.2)
    assert path.unpaid.tolist() == [2.0]
    assert not path.weights.any()


@given(problems(harsh=True))
@settings(max_examples=100, deadline=None)
def test_who_neither_borrows_nor_is_short_is_not_ruined(problem):
    """What Blocks takes on trust, so that a strategy is asked on without a look at its account."""
    terms, targets, every, reopt = problem
    held = np.abs(targets) / np.abs(targets).sum(axis=1, keepdims=True)
    path = by_steps(dataclasses.replace(terms, costs=CostRates(np.zeros(terms.horizon))), held, every, reopt)
    assert path.ruin is None


@pytest.mark.parametrize("run", [by_steps, by_blocks])
def test_a_bet_that_lost_everything_takes_nothing_else_with_it(run):
    path = run(terms_of([[-1.0, 0.1], [0.5, 0.1], [-1.0, 0.1], [0.2, -0.5]]), np.full((4, 2), 0.4), 2, 2)
    assert path.weights[:, 0] == pytest.approx([0.4, 0.0, 0.4, 0.0])
    assert path.wealth[-1] == pytest.approx((0.2 + 0.4 * 1.21) * (0.2 + 0.4 * 1.1 * 0.5))


def test_a_rate_that_takes_everything_is_seen():
    # 0.5 held in a flat asset, and cash that loses more than it is.
    terms = terms_of([[0.0]] * 3, rates=(-2.5, 0.0, 0.0))
    assert by_blocks(terms, np.array([[0.5]] * 3), 1, 3).ruin == by_steps(terms, np.array([[0.5]] * 3), 1, 3).ruin == 0


def test_without_entry_cost_the_first_portfolio_is_already_held():
    ledger = Ledger(terms_of([[0.1], [0.1]], cost=0.01, entry_cost=False))
    ledger.step(np.array([1.0]))
    ledger.step(np.array([0.5]))
    assert ledger.path.turnover.tolist() == [0.0, 0.5]
    assert ledger.path.costs.tolist() == [0.0, 0.005]


def test_not_trading_has_no_turnover_at_all():
    terms = terms_of(np.random.default_rng(0).normal(0, 0.02, (50, 3)), cost=0.01, rates=(0.001, 0.002, 0.0))
    for path in (by_steps(terms, np.full((50, 3), 0.4), 50, 50), by_blocks(terms, np.full((50, 3), 0.4), 50, 50)):
        assert path.turnover[0] == pytest.approx(1.2)
        assert not path.turnover[1:].any()
