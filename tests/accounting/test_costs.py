import numpy as np
import pandas as pd
import pytest

from opeslike.accounting.costs import CostModel
from opeslike.errors import PortfolioError

ASSETS = ("A", "B")


def rates(cost, horizon=4, seed=100):
    return CostModel.parse(cost).rates(horizon, ASSETS, seed)


def test_const_is_in_basis_points():
    assert rates({"const": 20}).per_step == pytest.approx([0.002] * 4)
    assert rates({"CONST": np.float64(20)}).per_step == pytest.approx([0.002] * 4)


@pytest.mark.parametrize(
    ("cost", "draw"),
    [
        ({"gamma": (5, 2)}, lambda rng: rng.gamma(5, 2, 300)),
        ({"LogNormal": (2.0, 0.5)}, lambda rng: rng.lognormal(2.0, 0.5, 300)),
        ({"inversegaussian": [10, 20]}, lambda rng: rng.wald(10, 20, 300)),
    ],
)
def test_random_costs_are_one_seeded_draw(cost, draw):
    expected = draw(np.random.default_rng(3)) / 1e4
    assert rates(cost, 300, 3).per_step == pytest.approx(expected, rel=1e-14)
    assert rates(cost, 300, 3).per_step.tolist() == rates(cost, 300, 3).per_step.tolist()
    assert rates(cost, 300, 3).per_step.tolist() != rates(cost, 300, 4).per_step.tolist()


def test_jumps_are_a_poisson_number_of_lognormals():
    rng = np.random.default_rng(9)
    counts = rng.poisson(0.7, 200)
    expected = [rng.lognormal(1.0, 0.2, n).sum() / 1e4 for n in counts]
    found = rates({"jump": (0.7, 1.0, 0.2)}, 200, 9).per_step
    assert found == pytest.approx(expected, rel=1e-14)
    assert (found[counts == 0] == 0).all()
    assert (counts == 0).any()


@pytest.mark.parametrize("as_series", [False, True])
def test_proportional_charges_each_asset_its_own(as_series):
    table = {"B": 50.0, "A": 10.0}
    found = rates({"proportional": pd.Series(table) if as_series else table})
    traded = np.array([0.5, 0.2])
    assert found.charge(traded, 2) == pytest.approx(0.5 * 0.001 + 0.2 * 0.005)
    assert found.each(traded, 2) == pytest.approx([0.0005, 0.001])
    assert found.charge(np.array([traded, 2 * traded]), slice(0, 2)) == pytest.approx([0.0015, 0.003])


def test_commission_and_slippage_add_up():
    assert rates({"commission": 10, "slippage": 5}).per_step == pytest.approx([0.0015] * 4)
    assert rates({"slippage": 5}).per_step == pytest.approx([0.0005] * 4)
    assert rates({"commission": 10}).per_step == pytest.approx([0.001] * 4)


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ({"konst": 10}, ["'konst'", "const, gamma, lognormal", "commission, slippage"]),
        ({3: 10}, ["3", "const"]),
        ({}, ["{'const': 10.0}"]),
        (10.0, ["{'const': 10.0}", "10.0"]),
        (None, ["{'const': 10.0}"]),
        ({"const": -1}, ["const", ">= 0", "-1"]),
        ({"const": float("nan")}, ["const", "finite"]),
        ({"const": True}, ["const", "finite"]),
        ({"const": "10"}, ["const", "finite"]),
        ({"const": 1, "gamma": (1, 1)}, ["const, gamma", "one model"]),
        ({"const": 1, "CONST": 2}, ["'const' twice"]),
        ({"gamma": (0, 1)}, ["gamma", "shape", "> 0"]),
        ({"gamma": (1,)}, ["gamma", "(shape, scale)"]),
        ({"gamma": 3}, ["gamma", "(shape, scale)"]),
        ({"lognormal": (1, -0.1)}, ["lognormal", "sigma", "-0.1"]),
        ({"inversegaussian": (1, 0)}, ["inversegaussian", "shape"]),
        ({"jump": (1, 1)}, ["jump", "(rate, mu, sigma)"]),
        ({"jump": (-1, 1, 1)}, ["jump", "rate"]),
        ({"commission": -1, "slippage": 5}, ["commission"]),
        ({"proportional": {}}, ["proportional"]),
        ({"proportional": 5}, ["proportional"]),
        ({"proportional": {"A": -5}}, ["proportional", "A"]),
    ],
    ids=str,
)
def test_bad_costs_name_the_culprit(cost, words):
    with pytest.raises(PortfolioError) as error:
        CostModel.parse(cost)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(("table", "word"), [({"A": 1}, "lacks B"), ({"A": 1, "B": 1, "C": 1}, "names C")])
def test_proportional_costs_must_name_the_assets(table, word):
    with pytest.raises(PortfolioError, match=word):
        rates({"proportional": table})
