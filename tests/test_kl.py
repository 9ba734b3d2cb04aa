"""Worst means over KL balls against mpmath, on probabilities and radii that are meant to hurt."""

from __future__ import annotations

import math
import os

import mpmath as mp
import numpy as np
import pytest

from opeslike.kl import largest_mean, relative_entropy, tilt
from opeslike.objectives import EVaR, KLRobustKelly

COUNT = int(os.environ.get("OPESLIKE_STRESS", "200"))
CHUNK = 50


def exact(x: np.ndarray, p: np.ndarray, radius: float) -> mp.mpf:
    """By bisection on the logarithm of the inverse multiplier, with fifty digits."""
    values, masses = [mp.mpf(float(v)) for v in x], [mp.mpf(float(v)) for v in p]
    total, top = mp.fsum(masses), max(values)
    masses = [mass / total for mass in masses]
    if mp.mpf(radius) >= -mp.log(mp.fsum(m for v, m in zip(values, masses, strict=True) if v == top)):
        return top
    if radius == 0 or min(values) == top:
        return mp.fsum(v * m for v, m in zip(values, masses, strict=True))

    def at(log_s: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
        s = mp.exp(log_s)
        tilted = [m * mp.exp(s * (v - top)) for v, m in zip(values, masses, strict=True)]
        mass = mp.fsum(tilted)
        mean = mp.fsum(t * (v - top) for t, v in zip(tilted, values, strict=True)) / mass
        return s * mean - mp.log(mass), mean

    low = mp.log(mp.sqrt(8 * mp.mpf(radius)) / (top - min(values)))
    high, step = low + 1, 1
    while at(high)[0] < radius:
        step *= 2
        high += step
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[0] < radius else (low, middle)
    return top + at(high)[1]


def hostile(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    g = np.random.default_rng(seed)
    n = int(g.integers(1, 9))
    x = g.normal(size=n) * 10.0 ** g.uniform(-8, 4)
    if g.random() < 0.3:  # ties
        x = np.round(x / np.abs(x).max() * 3) * np.abs(x).max() / 3
    if g.random() < 0.2:
        x = x + 10.0 ** g.uniform(-6, 6)
    p = 10.0 ** (-g.uniform(0, 1, n) * g.choice([1, 5, 20, 100, 300]))
    p = np.maximum(p / p.sum(), 1e-300)
    if g.random() < 0.8:
        return x, p, float(10.0 ** g.uniform(-30, 3))
    near_an_edge = -np.log(p[g.integers(n)]) * g.choice([1 - 1e-12, 1, 1 + 1e-12, 0.999, 1.001])
    return x, p, max(float(near_an_edge), 0.0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_exact_at_every_radius(first: int) -> None:
    with mp.workdps(50):
        for seed in range(first, first + CHUNK):
            x, p, radius = hostile(seed)
            worst = largest_mean(x, p, radius)
            size = max(float(np.abs(x).max()), 1e-300)
            above = float(mp.mpf(worst.value) - exact(x, p, radius))
            assert -5e-15 * size <= above <= worst.excess + 2e-12 * size, seed
            assert worst.excess <= 1e-9 * size, seed
            assert abs(float(worst.q.sum()) - 1.0) <= 1e-12, seed
            assert worst.value - float(worst.q @ x) <= worst.excess + 2e-12 * size, seed
            assert relative_entropy(worst.q, p) <= radius * (1 + 1e-9) + 1e-13, seed


def test_tilts_far_and_near() -> None:
    with mp.workdps(40):
        for seed in range(40):
            x, p, _ = hostile(seed)
            for s in (1e-12, -1e-6, 1e-3, 1.0, -30.0):
                s = s / max(float(np.ptp(x)), 1e-300)
                if not math.isfinite(s):
                    continue
                found = tilt(x, p, s)
                tilted = [mp.mpf(m) * mp.exp(mp.mpf(s) * mp.mpf(v)) for v, m in zip(x, p, strict=True)]
                mass, total = mp.fsum(tilted), mp.fsum(map(mp.mpf, p))
                kl = mp.fsum(t / mass * mp.log(t / mass / (mp.mpf(m) / total)) for t, m in zip(tilted, p, strict=True))
                size = float(np.abs(x).max()) / max(float(np.ptp(x)), 1e-300)
                assert found.divergence == pytest.approx(float(kl), rel=1e-9 * (1 + size), abs=1e-30)


def test_a_start_nearby_changes_nothing() -> None:
    g = np.random.default_rng(1)
    x, p = g.standard_t(4, 500), g.dirichlet(np.ones(500))
    for radius in (1e-6, 0.02, 1.0, 5.0):
        plain = largest_mean(x, p, radius)
        for near in ((plain.sharpness, plain.deviation), (100 * plain.sharpness, 1.5), (1e-9, 1e-9)):
            other = largest_mean(x, p, radius, near)
            assert other.value == pytest.approx(plain.value, abs=1e-9)
            assert other.value >= plain.value - 1e-13


def test_an_unlikely_scenario_is_still_one() -> None:
    evar = EVaR(0.01, beliefs=[3.53e-7, 1.0 - 3.53e-7])
    evar.optimize(np.array([[-0.00731938], [0.00108077]]), kind="returns")
    with mp.workdps(50):
        value = exact(np.array([0.00731938, -0.00108077]), np.array([3.53e-7, 1.0 - 3.53e-7]), -math.log1p(-0.01))
    assert evar.solution.value == pytest.approx(float(value), abs=1e-12)
    kelly = KLRobustKelly(radius=0.1, beliefs=[1.0 - 1e-16, 1e-16])
    kelly.optimize(np.array([[0.1, 0.0], [-0.5, 0.0]]), kind="returns")
    assert kelly.solution.status == "optimal"
