"""Cover's universal portfolios on the NYSE data of his paper, 1962-1984; T and W are Iroquois and Kin Ark."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opeslike.backtester import Backtester
from opeslike.objectives import BCRP, ExponentialGradient, Uniform, UniversalPortfolios

PAIRS = {"Iroquois and Kin Ark": ["T", "W"], "Commercial Metals and Kin Ark": ["F", "W"]}


@pytest.fixture(scope="module")
def relatives() -> pd.DataFrame:
    with gzip.open(Path(__file__).with_name("nyse36.csv.gz"), "rt", encoding="ascii") as file:
        return 1.0 + pd.read_csv(file) / 100_000


#: a stock of the nineteen-sixties may rest for a month
pytestmark = pytest.mark.filterwarnings("ignore:the data look wrong")


def walked(relatives: pd.DataFrame, strategy: object) -> float:
    """Final wealth of an online rule that starts without a past: traded at every close it has seen, at no cost."""
    prices = relatives.cumprod().to_numpy()
    flat = np.ones((3, prices.shape[1]))  # two returns of 0, from which there is nothing to learn
    frame = pd.DataFrame(np.vstack([flat, prices]), columns=relatives.columns)
    tester = Backtester(frame.iloc[:2], frame.iloc[2:], cost={"const": 0}, kind="prices")
    return float(tester.backtest(strategy, execution_lag=0)["wealth"][-1])


def test_the_data_are_covers(relatives: pd.DataFrame) -> None:
    # Helmbold, Schapire, Singer and Warmuth (1998): buy and hold 14.50, best stock 54.14
    assert relatives.shape == (5651, 36)
    final = relatives.prod()
    assert round(final.mean(), 2) == 14.50
    assert round(final.max(), 2) == 54.14


@pytest.mark.parametrize(
    ("pair", "wealth"), [("Iroquois and Kin Ark", 73.7012), ("Commercial Metals and Kin Ark", 144.0085)]
)
def test_best_constant_rebalanced_pair(relatives: pd.DataFrame, pair: str, wealth: float) -> None:
    returns = relatives[PAIRS[pair]] - 1.0
    leader = BCRP()
    w = leader.optimize(returns, kind="returns")
    # Cover (1991) prints them to the cent; the further digits follow from the data
    assert np.exp(-len(returns) * leader.solution.value) == pytest.approx(wealth, abs=5e-5)
    assert np.prod(1.0 + returns.to_numpy() @ w) == pytest.approx(wealth, abs=5e-5)
    assert leader.solution.gap is not None
    assert leader.solution.gap < 1e-12


def test_best_constant_rebalanced_portfolio_of_all(relatives: pd.DataFrame) -> None:
    leader = BCRP()
    leader.optimize(relatives - 1.0, kind="returns")
    assert np.exp(-len(relatives) * leader.solution.value) == pytest.approx(250.597, abs=5e-4)
    assert leader.solution.status == "optimal"


@pytest.mark.parametrize(
    ("pair", "wealth"), [("Iroquois and Kin Ark", 38.6727), ("Commercial Metals and Kin Ark", 78.4742)]
)
def test_universal_portfolio_on_covers_grid(relatives: pd.DataFrame, pair: str, wealth: float) -> None:
    # the wealth of the rule, walked day by day, is the mean wealth over the 21 points of the grid
    universal = UniversalPortfolios("grid", grid_res=20)
    assert walked(relatives[PAIRS[pair]], universal) == pytest.approx(wealth, abs=5e-5)


def test_universal_portfolio_by_quadrature_is_the_integral(relatives: pd.DataFrame) -> None:
    returns = relatives[["T", "W"]].to_numpy()[:400] - 1.0
    b = (np.arange(20_000) + 0.5) / 20_000
    wealth = np.exp(np.log1p(np.outer(returns[:, 0], b) + np.outer(returns[:, 1], 1 - b)).sum(axis=0))
    w = UniversalPortfolios().optimize(returns, kind="returns")
    assert w[0] == pytest.approx(float(wealth @ b / wealth.sum()), abs=1e-8)


def test_exponentiated_gradient_on_all(relatives: pd.DataFrame) -> None:
    assert walked(relatives, ExponentialGradient(0.05)) == pytest.approx(27.095, abs=5e-4)


def test_uniform_rebalancing_is_the_limit_of_no_learning(relatives: pd.DataFrame) -> None:
    some = relatives.iloc[:300]
    assert walked(some, ExponentialGradient(1e-12)) == pytest.approx(walked(some, Uniform()), rel=1e-9)
