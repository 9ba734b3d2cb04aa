"""Entropy pooling against skfolio's, on views whose definitions agree."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pandas as pd
import pytest

from opeslike.beliefs import Views
from opeslike.market import Market

NAMES = list("ABCDE")


def problem(seed: int, kinds: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, object], dict[str, list[str]]]:
    """Returns, our views and theirs: annual means and volatilities here, means and variances per period there."""
    g = np.random.default_rng(seed)
    x = g.standard_t(5, (400, 5)) * 0.01 + g.standard_t(5, (400, 1)) * 0.006 + 0.0004
    frame = pd.DataFrame(x, columns=NAMES)
    mean, sd, correlation = frame.mean(), frame.std(ddof=0), frame.corr()
    ours: dict[str, object] = {}
    theirs: dict[str, list[str]] = {}

    def add(kind: str, name: str, value: object, text: str) -> None:
        ours[name] = value
        theirs.setdefault(kind, []).append(text)

    if "mean" in kinds:
        a, b, c, d = g.permutation(NAMES)[:4]
        m, apart, most = mean[a] + g.normal(0, 3e-4), mean[b] - 2 * mean[c] + g.normal(0, 3e-4), mean[d] - 2e-4
        add("mean_views", f"mean({a})", float(252 * m), f"{a} == {m}")
        add("mean_views", f"mean({b}) - 2 mean({c})", float(252 * apart), f"{b} - 2*{c} == {apart}")
        add("mean_views", f"mean({d})", f"<= {252 * most}", f"{d} <= {most}")
    if "quantile" in kinds:
        a = g.choice(NAMES)
        level = float(frame[a].quantile(0.07))
        add("value_at_risk_views", f"quantile({a}, 5)", level, f"{a} == {-level}")
    if "vol" in kinds:
        a, b = g.permutation(NAMES)[:2]
        v, least = (sd[a] * g.uniform(0.85, 1.15)) ** 2, (sd[b] * 1.05) ** 2
        add("variance_views", f"vol({a})", float((252 * v) ** 0.5), f"{a} == {v}")
        add("variance_views", f"vol({b})", f">= {(252 * least) ** 0.5}", f"{b} >= {least}")
    if "corr" in kinds:
        a, b = g.permutation(NAMES)[:2]
        r = float(np.clip(correlation.loc[a, b] + g.uniform(-0.15, 0.15), 0.05, 0.9))
        add("correlation_views", f"corr({a}, {b})", r, f"({a}, {b}) == {r}")
    return frame, ours, theirs


KINDS = (
    [("mean",)] * 20
    + [("mean", "quantile")] * 10
    + [("vol",)] * 5
    + [("mean", "vol")] * 10
    + [("mean", "vol", "corr")] * 5
)


def theirs_by(
    pooling: type, solver_error: type[Exception], frame: pd.DataFrame, views: dict[str, list[str]]
) -> np.ndarray:
    """As accurately as their line search will have it before it fails at rounding."""
    failure: Exception | None = None
    for near in (1e-12, 3e-12, 1e-11, 1e-10, 1e-9):
        tight = {"maxfun": 50_000, "ftol": near * 1e-4, "xtol": near, "gtol": near, "stepmx": 1}
        try:
            fitted = pooling(**views, solver_params=tight).fit(frame)
        except solver_error as error:
            failure = error
        else:
            return np.asarray(fitted.return_distribution_.sample_weight)
    raise AssertionError("skfolio found none") from failure


@pytest.mark.parametrize("seed", range(50))
def test_the_same_probabilities(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pooling = pytest.importorskip("skfolio.prior").EntropyPooling
        frame, ours, theirs = problem(seed, KINDS[seed])
        q = theirs_by(pooling, importlib.import_module("skfolio.exceptions").SolverError, frame, theirs)
    found = Views(ours).pooled(Market.from_data(frame, "returns"))
    assert np.abs(found.q - q).max() <= 1e-6
    if KINDS[seed] == ("mean",):
        np.testing.assert_allclose(found.q, q, rtol=0, atol=1e-9)
