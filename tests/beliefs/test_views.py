"""Entropy pooling: closed forms, brute force, certificates, contradictions, the language."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from opeslike.beliefs import Decay, Simulated, Views
from opeslike.errors import InfeasibleError, PortfolioError
from opeslike.kl import pool, relative_entropy
from opeslike.market import Market


def market(count: int = 60, assets: int = 3, seed: int = 0) -> Market:
    g = np.random.default_rng(seed)
    x = g.standard_t(5, (count, assets)) * 0.01 + g.standard_t(5, (count, 1)) * 0.008 + 0.0003
    return Market.from_data(pd.DataFrame(x, columns=list("ABCDEF")[:assets]), "returns")


def per_period(**keywords: float) -> dict[str, float]:
    return {"periods_per_year": 1, **keywords}


@pytest.mark.parametrize("m", [-0.999, -0.3, 0.0, 0.2, 0.9, 0.999999])
def test_a_coin(m: float) -> None:
    coin = Market.from_data(np.array([[1.0], [-1.0]]), "returns")
    found = Views({"mean(0)": m}, **per_period()).pooled(coin)
    np.testing.assert_allclose(found.q, [(1 + m) / 2, (1 - m) / 2], atol=1e-11)
    if m > -0.999:
        assert found.multipliers == pytest.approx([np.arctanh(m)], abs=1e-6)


def test_one_mean_tilts_exponentially_from_any_probabilities() -> None:
    seen = Decay(20)(market())
    x, p = seen.returns[:, 1], seen.probabilities
    wanted = p @ x + 0.004

    def tilted(s: float) -> np.ndarray:
        q = p * np.exp(s * x)
        return q / q.sum()

    s = brentq(lambda s: tilted(s) @ x - wanted, -500, 500, xtol=1e-13)
    found = Views({"mean(B)": wanted * 252}).pooled(seen)
    np.testing.assert_allclose(found.q, tilted(s), rtol=1e-9)
    assert found.divergence == pytest.approx(relative_entropy(tilted(s), p), rel=1e-9)
    assert found.bound == pytest.approx(found.divergence, rel=1e-10)


def test_every_measure_says_what_it_said() -> None:
    seen = market(500)
    views = {
        "mean(A) - 0.5 mean(B)": 0.1,
        "vol(A)": 0.2,
        "vol(C)": "<= 0.15",
        "corr(A, B)": 0.2,
        "quantile(B, 10)": -0.02,
        "cvar(C, 95)": 0.02,
        "mean(C)": ">= 0.05",
    }
    found = Views(views).pooled(seen)
    q, x = found.q, seen.returns
    mean = q @ x
    deviation = np.sqrt(q @ (x - mean) ** 2)
    assert 252 * (mean[0] - 0.5 * mean[1]) == pytest.approx(0.1, abs=1e-9)
    assert 252**0.5 * deviation[0] == pytest.approx(0.2, abs=1e-9)
    assert 252**0.5 * deviation[2] <= 0.15 + 1e-9
    together = q @ ((x[:, 0] - mean[0]) * (x[:, 1] - mean[1]))
    assert together / (deviation[0] * deviation[1]) == pytest.approx(0.2, abs=1e-9)
    assert q[x[:, 1] <= -0.02].sum() == pytest.approx(0.1, abs=1e-9)
    assert cvar(x[:, 2], q, 0.95) == pytest.approx(0.02, abs=1e-9)
    assert 252 * mean[2] >= 0.05 - 1e-9
    assert found.bound <= found.divergence + 1e-12
    assert found.bound == pytest.approx(found.divergence, abs=1e-8)


def cvar(x: np.ndarray, q: np.ndarray, confidence: float) -> float:
    """By Rockafellar and Uryasev, over every level there is."""
    return min(float(level + q @ np.maximum(-x - level, 0) / (1 - confidence)) for level in -x)


def nearest(p: np.ndarray, limits) -> float:
    """Least divergence by cvxpy; infinite where there is none."""
    q = cp.Variable(len(p), nonneg=True)
    problem = cp.Problem(cp.Minimize(cp.sum(cp.kl_div(q, p))), [cp.sum(q) == 1, *limits(q)])
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10)
    return float(problem.value)


@pytest.mark.parametrize("seed", range(4))
def test_inequalities_bind_or_do_not(seed: int) -> None:
    seen = market(50, 3, seed)
    x, p, g = seen.returns, np.full(50, 0.02), np.random.default_rng(seed)
    mean, offsets = p @ x, g.normal(0, 0.003, 3)
    signs = ["<=", ">=", "<="]
    views = {f"mean({a})": f"{s} {m!r}" for a, s, m in zip("ABC", signs, (mean + offsets).tolist(), strict=True)}
    apart = float(mean[0] + offsets[0] - mean[1] - offsets[1]) - 0.001
    views["mean(A) - mean(B)"] = f">= {apart!r}"
    found = Views(views, **per_period()).pooled(seen)

    def limits(q):
        moved = x.T @ q - mean - offsets
        return [moved[0] <= 0, moved[1] >= 0, moved[2] <= 0, (x[:, 0] - x[:, 1]) @ q >= apart]

    assert found.divergence == pytest.approx(nearest(p, limits), abs=1e-7)
    assert found.bound == pytest.approx(found.divergence, abs=1e-10)
    loose = {"mean(A)": f"<= {float(mean[0]) + 0.001!r}"}
    np.testing.assert_allclose(Views(loose, **per_period()).pooled(seen).q, p, rtol=1e-12)


@pytest.mark.parametrize("relation", ["", ">= "])
@pytest.mark.parametrize("factor", [1.05, 1.2, 1.35])
def test_a_worse_tail_is_a_convex_problem(factor: float, relation: str) -> None:
    seen = market(40, 2, 3)
    x, p = seen.returns[:, 0], np.full(40, 1 / 40)
    wanted = factor * cvar(x, p, 0.85)
    found = Views({"cvar(A, 85)": f"{relation or '= '}{wanted!r}", "mean(B)": 0.1}).pooled(seen)
    assert cvar(x, found.q, 0.85) == pytest.approx(wanted, rel=1e-9)

    def limits(q):
        tails = [level + np.maximum(-x - level, 0) / 0.15 @ q >= wanted for level in -x]
        return [*tails, seen.returns[:, 1] @ q == 0.1 / 252]

    assert found.divergence == pytest.approx(nearest(p, limits), abs=1e-7)


@pytest.mark.parametrize("factor", [0.95, 0.7, 0.4])
def test_a_better_tail_is_the_best_level(factor: float) -> None:
    seen = market(40, 2, 4)
    x, p = seen.returns[:, 0], np.full(40, 1 / 40)
    wanted = factor * cvar(x, p, 0.85)
    found = Views({"cvar(A, 85)": f"<= {wanted!r}"}).pooled(seen)
    assert cvar(x, found.q, 0.85) == pytest.approx(wanted, rel=1e-9)
    losses = np.sort(-x)
    grid = np.unique(np.concatenate([losses, np.linspace(losses[20], wanted, 200)]))

    def at(level: float) -> float:
        rows = (level + np.maximum(-x - level, 0) / 0.15 - wanted)[None, :]
        best = pool(rows, np.array([False]), p)
        return np.inf if best is None else best.divergence

    best = min(at(level) for level in grid[grid < wanted])
    assert found.divergence <= best + 1e-9
    assert found.divergence == pytest.approx(best, rel=1e-2)


def test_tails_that_already_hold_and_two_at_once() -> None:
    seen = market(300)
    x, p = seen.returns, np.full(300, 1 / 300)
    now = [cvar(x[:, i], p, 0.9) for i in range(3)]
    np.testing.assert_allclose(Views({"cvar(A, 90)": f"<= {now[0] * 1.1!r}"}).pooled(seen).q, p, rtol=1e-9)
    np.testing.assert_allclose(Views({"cvar(A, 90)": f">= {now[0] * 0.9!r}"}).pooled(seen).q, p, rtol=1e-9)
    wanted = {"cvar(A, 90)": now[0] * 1.3, "cvar(B, 90)": now[1] * 0.8, "cvar(C, 90)": f"<= {now[2] * 0.9!r}"}
    q = Views(wanted).pooled(seen).q
    assert cvar(x[:, 0], q, 0.9) == pytest.approx(now[0] * 1.3, rel=1e-8)
    assert cvar(x[:, 1], q, 0.9) == pytest.approx(now[1] * 0.8, rel=1e-8)
    assert cvar(x[:, 2], q, 0.9) <= now[2] * 0.9 + 1e-9


def test_confidence_and_what_the_answer_is_worth() -> None:
    seen = market()
    p, sure = np.full(60, 1 / 60), Views({"mean(A)": 0.5}).pooled(seen).q
    half = Views({"mean(A)": 0.5}, confidence=0.25)(seen)
    np.testing.assert_allclose(half.probabilities, 0.75 * p + 0.25 * sure, rtol=1e-12)
    assert half.effective_size == pytest.approx(1 / (half.probabilities @ half.probabilities))
    drawn = Simulated("normal", 1000, 1)(seen)
    viewed = Views({"mean(A)": 0.5})(drawn)
    q = viewed.probabilities
    assert viewed.effective_size == pytest.approx(60 / 1000 / (q @ q))
    assert viewed.effective_size < 60
    ruled_out = seen.with_probabilities(np.arange(60) % 3 > 0)
    assert (Views({"mean(A)": 0.5})(ruled_out).probabilities[::3] == 0).all()


def test_confidence_by_view() -> None:
    """Meucci's pooling: each slice of the probability satisfies the views that are that sure."""
    seen = market()
    p = np.full(60, 1 / 60)
    views = {"mean(A)": 0.5, "mean(B)": 0.1, "vol(A)": "<= 0.15"}
    both = Views({"mean(A)": 0.5, "mean(B)": 0.1}).pooled(seen).q
    alone, every = Views({"mean(A)": 0.5}).pooled(seen).q, Views(views).pooled(seen).q
    found = Views(views, confidence={"mean(A)": 0.7, "mean(B)": 0.4, "vol(A)": 0.1})(seen).probabilities
    np.testing.assert_allclose(found, 0.3 * p + 0.1 * every + 0.3 * both + 0.3 * alone, rtol=1e-12)
    sure = Views(views, confidence={"mean(B)": 0.4, "vol(A)": 0.4})(seen).probabilities
    np.testing.assert_allclose(sure, 0.4 * every + 0.6 * alone, rtol=1e-12)
    same = Views(views, confidence=dict.fromkeys(views, 0.25))(seen).probabilities
    np.testing.assert_allclose(same, Views(views, confidence=0.25)(seen).probabilities, rtol=1e-12)
    for wrong in ({"mean(Z)": 0.5}, {"mean(A)": 0.0}, {"mean(A)": 1.5}):
        with pytest.raises(PortfolioError, match="confidence"):
            Views(views, confidence=wrong)


def test_views_that_say_the_same_twice() -> None:
    seen = market()
    once = Views({"mean(A)": 0.3, "mean(B)": 0.1}).pooled(seen)
    twice = {"mean(A)": 0.3, "mean(B)": 0.1, "mean(A) - mean(B)": 0.2, "2 mean(A)": 0.6, "+mean(A) ": ">= .3"}
    np.testing.assert_allclose(Views(twice).pooled(seen).q, once.q, atol=1e-10)


def test_contradictions_are_named() -> None:
    seen = market()
    views = {"mean(A)": 0.5, "mean(A) - mean(B)": 0.1, "mean(B)": "<= .3", "mean(C)": 0.1}
    with pytest.raises(InfeasibleError) as caught:
        Views(views)(seen)
    for name in ("mean(A): 0.5", "mean(A) - mean(B): 0.1", "mean(B): '<= .3'"):
        assert name in str(caught.value)
    assert "mean(C)" not in str(caught.value)
    for alone in ({"mean(A)": 99.0}, {"vol(A)": 9.0}, {"quantile(A, 5)": -0.9}):
        with pytest.raises(InfeasibleError, match="asks for more than they hold"):
            Views({**alone, "mean(B)": 0.1})(seen)
    with pytest.raises(InfeasibleError, match=r"vol\(A\)"):
        Views({"vol(A)": 0.4, "vol(A) ": ">= 0.5"})(seen)
    with pytest.raises(InfeasibleError, match=r"cvar\(A, 95\): 0.5: losses lie between"):
        Views({"cvar(A, 95)": 0.5})(seen)


def test_what_is_not_understood_is_named() -> None:
    words = (
        "mean(A",
        "mean(A) + vol(B)",
        "mean(A) mean(B)",
        "median(A)",
        "",
        "2 vol(A)",
        "corr(A)",
        "mean()",
        "vol(A, B)",
    )
    for bad in (*words, "cvar(A, 101)", "cvar(A, high)", 7):
        with pytest.raises(PortfolioError, match="view"):
            Views({bad: 0.1})
    for key, bad in [
        *(("mean(A)", bad) for bad in ("about 3", [1], None, float("nan"), True, ">= inf")),
        ("vol(A)", -0.1),
        ("corr(A, B)", "<= 1.2"),
    ]:
        with pytest.raises(PortfolioError, match="view"):
            Views({key: bad})
    with pytest.raises(PortfolioError, match="must be a dict"):
        Views(["mean(A)"])  # type: ignore[arg-type]
    with pytest.raises(PortfolioError, match="confidence"):
        Views({}, confidence=0.0)
    with pytest.raises(PortfolioError, match="ZZ is not among the assets: A, B, C"):
        Views({"mean(ZZ)": 0.1})(market())


def test_tickers_of_every_kind() -> None:
    x = market().returns
    odd = Market(x, ("BRK.B", "^GSPC", 7), pd.RangeIndex(60))
    q = Views({"mean(BRK.B) - 1.5e0 * mean(^GSPC)": 0.1, "corr(7, BRK.B)": "= .3"}).pooled(odd).q
    assert 252 * q @ (x[:, 0] - 1.5 * x[:, 1]) == pytest.approx(0.1)


def test_pooling_by_hand() -> None:
    """The bound is the dual value at the multipliers, and above every divergence once nothing satisfies the rows."""
    g = np.random.default_rng(2)
    p, rows = g.dirichlet(np.ones(200)), g.normal(0.3, 1, (3, 200))
    found = pool(rows, np.array([False, True, True]), p)
    assert found.bound == pytest.approx(-np.log(p @ np.exp(found.multipliers @ rows)), rel=1e-12)
    assert np.abs(rows[0] @ found.q) <= 1e-11
    assert (found.multipliers[1:] >= 0).all()
    assert pool(np.abs(rows) + 1, np.zeros(3, dtype=bool), p) is None
    assert pool(-np.abs(rows[:1]) - 1e-3, np.array([True]), p) is None
    empty = pool(np.zeros((0, 200)), np.zeros(0, dtype=bool), p)
    np.testing.assert_allclose(empty.q, p, rtol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_can_be_satisfied_is(seed: int) -> None:
    """Views taken from some probabilities, with copies and slack: found, met, no farther than those, proved."""
    g = np.random.default_rng(seed)
    count, kinds = int(g.integers(20, 400)), int(g.integers(1, 9))
    x = g.standard_t(3, (kinds, count)) * 10.0 ** g.uniform(-5, 3, (kinds, 1))
    if seed % 3 == 0:
        x = np.round(x / np.abs(x).max(axis=1, keepdims=True) * 3)
    if seed % 4 == 0 and kinds > 1:
        x[1] = 2 * x[0]
    p, other = g.dirichlet(np.full(count, 5.0)), g.dirichlet(np.full(count, 0.5))
    p[: count // 4] *= seed % 2  # some days ruled out
    p /= p.sum()
    other *= p
    other /= other.sum()
    rows, at_least = x - (x @ other)[:, None], g.random(kinds) < 0.4
    rows[at_least] += np.abs(x[at_least]).mean(axis=1, keepdims=True) * g.choice([0, 0.2], (at_least.sum(), 1))
    found = pool(rows, at_least, p)
    missed = rows @ found.q / np.maximum(np.sqrt(rows * rows @ p), 1e-300)
    assert np.abs(missed[~at_least]).max(initial=0) <= 1e-8
    assert missed[at_least].min(initial=0) >= -1e-8
    assert (found.multipliers[at_least] >= 0).all()
    seen = other > 0
    assert found.divergence <= other[seen] @ np.log(other[seen] / p[seen]) + 1e-9
    assert found.divergence - found.bound == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_tails_of_some_probabilities_are_found(seed: int) -> None:
    g = np.random.default_rng(seed)
    count, level = int(g.integers(20, 300)), float(g.choice([80, 90, 95]))
    x = g.standard_t(4, (count, 4)) * 0.01 + g.normal(0, 0.007, (count, 1))
    other = g.dirichlet(np.full(count, g.choice([0.5, 3.0])))
    views = {"mean(D)": float(252 * (other @ x[:, 3]))}
    tails = []
    for i, asset in enumerate("ABC"[: int(g.integers(1, 4))]):
        wanted, relation = cvar(x[:, i], other, level / 100), str(g.choice(["<=", ">="] if seed % 4 else ["="]))
        views[f"cvar({asset}, {level})"] = f"{relation} {wanted!r}"
        tails.append((i, relation, wanted))
    q = Views(views).pooled(Market(np.asfortranarray(x), tuple("ABCD"), pd.RangeIndex(count))).q
    for i, relation, wanted in tails:
        away = cvar(x[:, i], q, level / 100) - wanted
        assert {"=": abs(away), "<=": away, ">=": -away}[relation] <= 1e-9
