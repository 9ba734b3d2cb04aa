"""Mandates in numbers, and what they refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opeslike import CVaR, Kelly, KLRobustKelly, Mandate, MaxSharpe, MeanVariance, MinVariance
from opeslike.errors import DataError, InfeasibleError, PortfolioError
from opeslike.market import Market
from opeslike.objectives import REPO, HierarchicalRiskParity, RiskParity, Uniform

NAMES = ["A", "B", "C", "D", "E"]


def frame(count: int = 120, seed: int = 0) -> pd.DataFrame:
    g = np.random.default_rng(seed)
    values = 0.01 * g.standard_t(5, (count, 5)) + g.uniform(-0.0005, 0.002, 5)
    return pd.DataFrame(values, pd.bdate_range("2020-01-01", periods=count), NAMES)


def market(count: int = 120) -> Market:
    return Market.from_data(frame(count), "returns")


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bounds",
    [
        {"A": (0, 0.2), "B": (-0.1, 0.5), "*": (0, 0.4)},
        ([0, -0.1, 0, 0, 0], [0.2, 0.5, 0.4, 0.4, 0.4]),
        (pd.Series([0, 0, 0, 0, -0.1], list("EDCAB")), pd.Series([0.4, 0.4, 0.4, 0.2, 0.5], list("EDCAB"))),
        [(0, 0.2), (-0.1, 0.5), (0, 0.4), (0, 0.4), (0, 0.4)],
    ],
    ids=["mapping", "arrays", "series", "pairs"],
)
def test_bounds_in_every_form(bounds: object) -> None:
    terms = Mandate(bounds=bounds).terms(market())
    np.testing.assert_array_equal(terms.lower, [0, -0.1, 0, 0, 0])
    np.testing.assert_array_equal(terms.upper, [0.2, 0.5, 0.4, 0.4, 0.4])


def test_who_is_not_named_keeps_the_default_or_weight_bounds() -> None:
    mandate = Mandate(bounds={"A": (0.1, 0.2)}, leverage=1.5)
    terms = mandate.terms(market())
    np.testing.assert_array_equal(terms.upper, [0.2, 1.5, 1.5, 1.5, 1.5])
    terms = mandate.terms(market(), (-0.3, 0.15))
    np.testing.assert_array_equal(terms.lower, [0.1, -0.3, -0.3, -0.3, -0.3])
    np.testing.assert_array_equal(terms.upper, [0.15] * 5)


def test_limits_bind_what_is_held_and_weight_bounds_the_portfolio_before() -> None:
    mandate = Mandate(
        bounds=(0, 0.2),
        groups={"ab": ["A", "B"]},
        group_bounds={"ab": (0.1, 0.3)},
        leverage=2,
        gross=1.5,
        short_fee=0.01,
    )
    terms = mandate.terms(market(), (0, 0.35), fraction=0.5)
    np.testing.assert_array_equal(terms.upper, [0.35] * 5)
    np.testing.assert_array_equal(mandate.terms(market(), fraction=0.5).upper, [0.4] * 5)
    np.testing.assert_array_equal((terms.least, terms.most), ([0.2], [0.6]))
    assert (terms.gross, terms.leverage) == (3.0, 2)
    held = Kelly(0.5, mandate=mandate).optimize(frame(), kind="returns")
    assert held.max() <= 0.2 + 1e-12
    assert 0.1 - 1e-12 <= held[:2].sum() <= 0.3 + 1e-12
    opes = Kelly(0.5, formulation="opes", mandate=Mandate(bounds=(0, 0.3))).optimize(frame(), kind="returns")
    assert (opes.max(), opes.sum()) == pytest.approx((0.3, 1.0))


def test_bounds_with_nothing_in_common_name_both_and_the_asset() -> None:
    with pytest.raises(
        InfeasibleError, match=r"of C satisfies both weight_bounds, \[0\.5, 1\], and the mandate's bounds, \[0, 0\.4\]"
    ):
        Kelly(mandate=Mandate(bounds=(0, 0.4))).optimize(frame(), {"C": (0.5, 1)}, kind="returns")
    with pytest.raises(PortfolioError, match="bounds names 'X'"):
        Kelly(mandate=Mandate(bounds={"X": (0, 1)})).optimize(frame(), kind="returns")


# --- groups and exposures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "groups",
    [
        {"tech": ["A", "B"], "oil": ("C",)},
        {"A": "tech", "B": "tech", "C": "oil"},
        pd.Series({"A": "tech", "B": "tech", "C": "oil", "Z": "oil", "D": None}),
    ],
    ids=["by name", "by ticker", "table"],
)
def test_groups_in_every_form(groups: object) -> None:
    terms = Mandate(groups=groups, group_bounds={"tech": (None, 0.4), "*": (0.1, 0.2)}).terms(market())
    assert terms.names == ("group tech", "group oil")
    np.testing.assert_array_equal(terms.rows, [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0]])
    np.testing.assert_array_equal((terms.least, terms.most), ([-np.inf, 0.1], [0.4, 0.2]))


@pytest.mark.parametrize(
    "make", [Kelly, lambda **k: KLRobustKelly(radius=0.02, **k), CVaR, MinVariance, MaxSharpe, MeanVariance]
)
def test_limits_are_kept_and_cost_something(make) -> None:
    data, exposures = frame(seed=3), pd.DataFrame({"beta": [1.3, 0.7, 1.0, 0.4, 1.6]}, NAMES)
    free = make()
    w = free.optimize(data, kind="returns")
    order = np.argsort(-w)
    best = [NAMES[i] for i in order[:2]]
    beta, half = exposures["beta"].to_numpy(), 0.5 * w + 0.1  # half way to equal weights, which meets the limits
    most = half[order[:2]].sum()
    span = (None, beta @ half) if beta @ half < beta @ w else (beta @ half, None)
    mandate = Mandate(
        groups={"best": best},
        group_bounds={"best": (None, most)},
        exposures=exposures,
        exposure_bounds={"beta": span},
    )
    limited = make(mandate=mandate)
    held = limited.optimize(data, kind="returns")
    assert held[order[:2]].sum() <= most + 1e-8
    assert (beta @ held - beta @ half) * (1 if span[0] is None else -1) <= 1e-8
    assert held.sum() == pytest.approx(1.0, abs=1e-9)
    solution = limited.solution
    assert solution.status == "optimal"
    assert solution.gap <= solution.tolerance
    assert solution.value >= free.solution.value - free.solution.gap


def test_exposures_as_of_the_last_row() -> None:
    betas = pd.concat(
        {
            pd.Timestamp("2020-01-02"): pd.DataFrame({"m": [1.0, 1, 1, 1, 1]}, NAMES),
            pd.Timestamp("2020-02-03"): pd.DataFrame({"m": [2.0, 2, 2, 2, 2]}, NAMES),
        }
    )
    mandate = Mandate(exposures=betas, exposure_bounds={"m": (0, 3)})
    np.testing.assert_array_equal(mandate.terms(market(120)).rows, [[2.0] * 5])
    np.testing.assert_array_equal(mandate.terms(market(10)).rows, [[1.0] * 5])
    with pytest.raises(DataError, match="exposures begin on 2020-01-02, after 2020-01-01"):
        mandate.terms(market(1))


def test_limits_that_cannot_be_met_are_named() -> None:
    mandate = Mandate(groups={"all": NAMES}, group_bounds={"all": (0, 0.5)})
    with pytest.raises(InfeasibleError, match="group all"):
        Kelly(mandate=mandate).optimize(frame(), kind="returns")
    assert Kelly(mandate=mandate.set_params(leverage=1)).optimize(frame(), kind="returns").sum() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"groups": {"a": ["A", "Y", "X"]}, "group_bounds": {"a": (0, 1)}}, "groups name X, Y"),
        ({"groups": {"a": ["A"]}, "group_bounds": {"b": (0, 1)}}, "group_bounds has 'b', which is none of a"),
        (
            {"exposures": pd.DataFrame({"m": [1.0]}, ["A"]), "exposure_bounds": {"m": (0, 1)}},
            "exposures lack B, C, D, E",
        ),
        (
            {"exposures": pd.DataFrame({"m": [1, 2, np.nan, 4, 5]}, NAMES), "exposure_bounds": {"m": (0, 1)}},
            "exposure of C to m is not finite",
        ),
        (
            {"exposures": pd.DataFrame({"m": range(5)}, NAMES), "exposure_bounds": {"v": (0, 1)}},
            "'v', which is none of m",
        ),
    ],
    ids=["ticker", "group", "asset", "number", "factor"],
)
def test_what_is_unknown_is_named(parameters: dict, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        Kelly(mandate=Mandate(**parameters)).optimize(frame(), kind="returns")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"group_bounds": {"a": (0, 1)}}, "group_bounds and groups go together"),
        ({"groups": {"a": ["A"]}}, "group_bounds and groups go together"),
        ({"groups": {"a": ["A"]}, "group_bounds": {"a": 0.4}}, r"group_bounds of a must be a pair"),
        ({"groups": {"a": ["A"]}, "group_bounds": {"a": (0.5, 0.4)}}, "lower bound 0.5 is not below the upper 0.4"),
        ({"groups": {"a": ["A"]}, "group_bounds": [(0, 1)]}, "must map a name"),
        ({"constraints": 3}, "constraints must be callables"),
        ({"constraints": [lambda w: w >= 0, "w"]}, "constraints must be callables"),
    ],
)
def test_parameters_are_checked_when_it_is_made(parameters: dict, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        Mandate(**parameters)
    with pytest.raises(PortfolioError, match="must be a Mandate"):
        Kelly(mandate=parameters)


def test_a_mandate_is_frozen_and_a_nested_change_replaces_it() -> None:
    mandate = Mandate(leverage=1.5)
    one, two = Kelly(mandate=mandate), Kelly(mandate=mandate)
    assert one.set_params(mandate__leverage=1.0, fraction=0.5) is one
    assert (one.mandate.leverage, two.mandate.leverage, mandate.leverage) == (1.0, 1.5, 1.5)
    assert mandate.set_params(leverage=3.0).leverage == 3.0
    assert mandate.leverage == 1.5
    assert repr(Mandate(bounds=(0, 0.5))) == "Mandate(bounds=(0, 0.5))"
    assert Mandate().empty
    assert not mandate.empty


def test_rules_are_checked_against_limits_and_say_so() -> None:
    data = frame()
    fits = Mandate(bounds=(0, 0.3), groups={"ab": ["A", "B"]}, group_bounds={"ab": (0, 0.4)}, gross=1)
    assert Uniform(mandate=fits).optimize(data, kind="returns").tolist() == [0.2] * 5
    tight = fits.set_params(group_bounds={"ab": (0, 0.39)})
    with pytest.raises(PortfolioError, match=r"Uniform has 0\.4 of group ab, outside \[0, 0\.39\]"):
        Uniform(mandate=tight).optimize(data, kind="returns")
    with pytest.raises(PortfolioError, match=r"HierarchicalRiskParity holds .* outside its bounds \[0, 0\.1\]"):
        HierarchicalRiskParity(mandate=Mandate(bounds=(0, 0.1))).optimize(data, kind="returns")
    with pytest.raises(PortfolioError, match=r"RiskParity has .* of group ab"):
        RiskParity(mandate=fits.set_params(group_bounds={"ab": (0, 0.01)})).optimize(data, kind="returns")
    with pytest.raises(PortfolioError, match=r"gross exposure of 1, above gross=0\.9"):
        Uniform(mandate=Mandate(gross=0.9)).optimize(data, kind="returns")
    with pytest.raises(PortfolioError, match="Uniform is a rule"):
        Uniform(mandate=Mandate(leverage=1))
    with pytest.raises(PortfolioError, match="REPO is a search that takes bounds only"):
        REPO(mandate=fits).optimize(data, kind="returns")
