"""Few positions, none of them small: against the best of all subsets, and what is proved when time runs out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opeslike import Backtester, CVaR, Kelly, KLRobustKelly, Mandate, MaxSharpe, MinVariance
from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.objectives import REPO, RiskParity, Uniform, VaR
from opeslike.objectives.base import Optimizer

N = 12


def market(n: int = N, count: int = 300, seed: int = 0) -> pd.DataFrame:
    """Returns with a common factor, heavy tails, and means and sizes of their own."""
    g = np.random.default_rng(seed)
    own = 0.01 * g.standard_t(5, (count, n)) * g.uniform(0.7, 1.5, n)
    values = 0.006 * g.standard_t(5, (count, 1)) + own + g.uniform(0.0, 0.002, n)
    return pd.DataFrame(values, pd.bdate_range("2020-01-01", periods=count), [f"A{i:02d}" for i in range(n)])


def chosen(data: pd.DataFrame, optimizer: Optimizer, subset: tuple[int, ...], **given: Any) -> float:
    """The best value on some assets alone."""
    optimizer.optimize(data.iloc[:, list(subset)], kind="returns", **given)
    return optimizer.solution.value


KINDS = [Kelly, KLRobustKelly, MinVariance, CVaR]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", range(1, 7))
def test_the_best_of_all_subsets(kind: type[Optimizer], k: int) -> None:
    data = market(N, 120)
    best = min(chosen(data, kind(), subset) for subset in itertools.combinations(range(N), k))
    few = kind(mandate=Mandate(max_positions=k))
    w = few.optimize(data, kind="returns")
    assert few.solution.status == "optimal"
    assert few.solution.solver == "branch-and-bound"
    assert (w != 0).sum() <= k
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    assert few.solution.value == pytest.approx(best, abs=1e-9)
    assert few.solution.gap is not None
    assert few.solution.value - few.solution.gap <= best + 1e-12
