"""Kelly by the mean and variance of SPY, and of SPY with TLT, on real prices.

The numbers are those of a well-known discussion of Kelly leverage on Quantopian, recomputed from
adjusted closes, 2003-01-02 to 2013-01-31, at zero rate; the sample variance divides by n - 1.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opeslike.sizing import growth_curve, kelly_empirical, kelly_factor, kelly_multivariate

FOLDER = os.environ.get("OPESLIKE_TEST_DATA")


def closes(name):
    path = Path(FOLDER or "") / f"{name.lower()}.csv"
    if FOLDER is None or not path.is_file():
        pytest.skip(f"needs {name.lower()}.csv in the folder named by OPESLIKE_TEST_DATA")
    return pd.read_csv(path, index_col=0, parse_dates=True)[name]


@pytest.fixture
def spy():
    return closes("SPY").loc["2003-01-02":"2013-01-31"].pct_change()


def test_expanding_factor(spy):
    factor = kelly_factor(spy, expanding=True, allow_short=True)
    assert factor.iloc[-1] == pytest.approx(2.1219, abs=5e-5)
    assert factor["2008-01-02"] == pytest.approx(7.057, abs=5e-4)
    assert factor["2008-12-31"] == pytest.approx(0.9045, abs=5e-5)
    assert factor["2009-03-09"] < 0
    long_only = kelly_factor(spy, expanding=True)
    assert long_only["2009-03-09"] == 0
    ddof_0 = spy.expanding().mean() / spy.expanding().var(ddof=0)  # would not reproduce the number
    assert ddof_0.iloc[-1] != pytest.approx(2.1219, abs=5e-4)


def test_joint_factor(spy):
    both = pd.concat([spy, closes("TLT").pct_change()], axis=1, join="inner").loc[spy.index]
    factor = kelly_factor(both, expanding=True, allow_short=True, joint=True)
    assert factor["SPY"].iloc[-1] == pytest.approx(4.037, abs=5e-4)
    assert factor["TLT"].iloc[-1] == pytest.approx(6.642, abs=5e-4)
    known = both.dropna()
    formula = kelly_multivariate(known.mean().to_numpy(), known.cov().to_numpy())
    assert factor.iloc[-1].to_numpy() == pytest.approx(formula, rel=1e-9)


def test_exact_optimum_beats_every_other_constant_leverage(spy):
    assert kelly_empirical(spy) == pytest.approx(2.1134, abs=5e-5)
    curve = growth_curve(spy, np.linspace(0.0, 5.0, 501))
    assert curve.optimum == pytest.approx(2.1134, abs=5e-5)
    assert np.prod(1 + curve.optimum * spy.dropna()) == pytest.approx(2.6213, abs=5e-5)
    wealth = curve.to_frame()["final_wealth"]
    assert wealth.max() < np.prod(1 + curve.optimum * spy.dropna())
    assert wealth.idxmax() == pytest.approx(2.11)
    assert curve.quadratic_optimum == pytest.approx(2.1219, abs=5e-5)
