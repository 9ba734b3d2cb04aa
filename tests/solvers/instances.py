"""Random problems that are meant to be hard: every shape, scale and degeneracy the solvers must take."""

from __future__ import annotations

import numpy as np


def instance(seed: int) -> tuple[np.ndarray, tuple, float, list[str]]:
    """Returns (T, N), weight bounds, KL radius, and what is special about them."""
    g = np.random.default_rng(seed)
    count = int(np.exp(g.uniform(np.log(30), np.log(3000))))
    n = int(g.integers(1, 61))
    scale = np.exp(g.uniform(np.log(1e-3), np.log(3)))
    kind = g.integers(0, 4)
    if kind == 0:
        returns = g.normal(0.03, 1, (count, n))
    elif kind == 1:
        returns = g.standard_t(3, (count, n)) * 0.7 + 0.05
    elif kind == 2:
        returns = g.normal(0.02, 1, (count, 1)) * g.uniform(0.2, 1.5, n) + g.normal(0, 0.3, (count, n))
    else:
        returns = np.exp(g.normal(0, 1, (count, n))) - np.exp(0.5)
    returns = returns * scale
    tags = []
    if g.random() < 0.25 and n > 1:
        returns[:, g.integers(n)] = returns[:, g.integers(n)]
        tags.append("duplicated column")
    if g.random() < 0.2:
        returns[:, g.integers(n)] = g.choice([0.0, 1e-4, -1e-4])
        tags.append("constant column")
    if g.random() < 0.2:
        returns[:, g.integers(n)] += 3 * scale
        tags.append("dominating asset")
    if g.random() < 0.15:
        returns[g.integers(count, size=3)] = returns[g.integers(count)]
        tags.append("tied scenarios")
    if g.random() < 0.6:
        returns = np.maximum(returns, -0.99 if g.random() < 0.7 else -1.0)
        tags.append("no return below -100%")
    bounds: tuple = (0.0, 1.0)
    choice = g.random()
    if choice < 0.2:
        low, high = np.zeros(n), np.ones(n)
        k = g.integers(n)
        low[k] = high[k] = g.uniform(0, 0.5) if n > 1 else 1.0
        bounds = (low, high)
        tags.append("touching bounds")
    elif choice < 0.35:
        bounds = (-0.5, 1.0)
        tags.append("short")
    elif choice < 0.45:
        bounds = (0.0, max(1.2 / n, 1e-3))
        tags.append("tight bounds")
    elif choice < 0.5:
        bounds = (1.0 / n, 1.0)
        tags.append("one feasible point")
    radius = float(np.exp(g.uniform(np.log(1e-8), np.log(10))))
    return returns, bounds, radius, tags
