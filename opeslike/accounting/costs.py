"""Trading costs in basis points of the amount traded."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from opeslike.checks import FloatArray, by_asset, number
from opeslike.errors import PortfolioError

BPS = 1e-4


class _Model(NamedTuple):
    """Parameters (name, least value, whether that is excluded), a draw of one cost a step, and its expected value."""

    parameters: tuple[tuple[str, float, bool], ...]
    draw: Callable[..., FloatArray]
    mean: Callable[..., float]


def _jumps(rng: np.random.Generator, size: int, rate: float, mu: float, sigma: float) -> FloatArray:
    return np.array([rng.lognormal(mu, sigma, count).sum() for count in rng.poisson(rate, size)])


def _lognormal_mean(mu: float, sigma: float) -> float:
    return math.exp(min(mu + sigma**2 / 2, 700.0))  # a float holds no more


_MODELS: dict[str, _Model] = {
    "const": _Model((("bps", 0.0, False),), lambda _, size, bps: np.full(size, bps), lambda bps: bps),
    "gamma": _Model(
        (("shape", 0.0, True), ("scale", 0.0, True)),
        lambda rng, size, shape, scale: rng.gamma(shape, scale, size),
        lambda shape, scale: shape * scale,
    ),
    "lognormal": _Model(
        (("mu", -math.inf, False), ("sigma", 0.0, False)),
        lambda rng, size, mu, sigma: rng.lognormal(mu, sigma, size),
        _lognormal_mean,
    ),
    "inversegaussian": _Model(
        (("mean", 0.0, True), ("shape", 0.0, True)),
        lambda rng, size, mean, shape: rng.wald(mean, shape, size),
        lambda mean, shape: mean,
    ),
    "jump": _Model(
        (("rate", 0.0, False), ("mu", -math.inf, False), ("sigma", 0.0, False)),
        _jumps,
        lambda rate, mu, sigma: rate * _lognormal_mean(mu, sigma),
    ),
}
_PARTS = ("commission", "slippage")
_KNOWN = (*_MODELS, "proportional", *_PARTS)


@dataclass(frozen=True, eq=False)
class CostRates:
    """Cost per unit traded, as a fraction: ``per_step[t] * per_asset[i]``.

    Attributes
    ----------
    per_step : ndarray of shape (H,)
    per_asset : ndarray of shape (N,) or None
        None where every asset costs the same.
    """

    per_step: FloatArray
    per_asset: FloatArray | None = None

    def charge(self, traded: FloatArray, steps: Any) -> Any:
        """Cost of one step or several, from amounts traded of shape (..., N), in the unit of ``traded``."""
        return (traded.sum(axis=-1) if self.per_asset is None else traded @ self.per_asset) * self.per_step[steps]

    def each(self, traded: FloatArray, step: int) -> FloatArray:
        """Cost of one step by asset, shape (N,)."""
        return np.asarray((traded if self.per_asset is None else traded * self.per_asset) * self.per_step[step])


@dataclass(frozen=True)
class CostModel:
    """A checked cost model; every number is in basis points of the amount traded.

    =====================================  ============================================================
    ``{"const": bps}``                     the same at all times
    ``{"gamma": (shape, scale)}``          a gamma variable each step
    ``{"lognormal": (mu, sigma)}``         exp of a normal variable each step
    ``{"inversegaussian": (mean, shape)}``  an inverse Gaussian (Wald) variable each step
    ``{"jump": (rate, mu, sigma)}``        a Poisson number of lognormal jumps each step, added up
    ``{"proportional": {ticker: bps}}``    by asset
    ``{"commission": bps, "slippage": bps}``  the sum of the two (either may be left out)
    =====================================  ============================================================

    Keys are case-insensitive. Random costs are one draw a step from ``numpy.random.default_rng(seed)``, in the order in
    which OPES 0.11.4 draws them, so that results compare.
    """

    name: str
    parameters: tuple[float, ...] = ()
    by_asset: tuple[tuple[Hashable, float], ...] = ()

    @classmethod
    def parse(cls, cost: Any) -> CostModel:
        """Check a cost dictionary.

        Raises
        ------
        PortfolioError
            Naming the key and parameter at fault; an unknown key lists the known ones.
        """
        if not isinstance(cost, Mapping) or not cost:
            raise PortfolioError(f"cost must be a dict such as {{'const': 10.0}}, got {cost!r}")
        given = {}
        for key, value in cost.items():
            name = key.lower() if isinstance(key, str) else key
            if name not in _KNOWN:
                raise PortfolioError(f"unknown cost model {key!r}; known: {', '.join(_KNOWN)}")
            if name in given:
                raise PortfolioError(f"cost names {name!r} twice")
            given[name] = value
        if set(given) <= set(_PARTS):
            return cls("const", (math.fsum(number(f"cost: {name}", value, 0.0) for name, value in given.items()),))
        if len(given) > 1:
            raise PortfolioError(f"cost takes one model, got {', '.join(given)}; only commission and slippage combine")
        name, value = next(iter(given.items()))
        if name == "proportional":
            return cls(name, by_asset=_by_asset(value))
        wanted = _MODELS[name].parameters
        values = [value] if len(wanted) == 1 else value
        if not isinstance(values, (tuple, list, np.ndarray)) or len(values) != len(wanted):
            raise PortfolioError(f"cost {name!r} takes ({', '.join(one for one, *_ in wanted)}), got {value!r}")
        checked = [
            number(f"cost {name!r}: {one}", number_, low, open_low=above)
            for (one, low, above), number_ in zip(wanted, values, strict=True)
        ]
        return cls(name, tuple(checked))

    def rates(self, horizon: int, assets: Sequence[Hashable], seed: int | None) -> CostRates:
        """Cost rates of ``horizon`` steps, as fractions.

        Raises
        ------
        PortfolioError
            If proportional costs do not name exactly the assets.
        """
        if self.name == "proportional":
            return CostRates(np.full(horizon, BPS), by_asset("cost 'proportional'", dict(self.by_asset), assets))
        rng = np.random.default_rng(seed)
        return CostRates(_MODELS[self.name].draw(rng, horizon, *self.parameters) * BPS)

    def expected(self, assets: Sequence[Hashable]) -> FloatArray:
        """Expected cost of trading each asset, basis points, shape (N,): what may be known before a draw."""
        if self.name == "proportional":
            return by_asset("cost 'proportional'", dict(self.by_asset), assets)
        return np.full(len(assets), _MODELS[self.name].mean(*self.parameters))


def _by_asset(value: Any) -> tuple[tuple[Hashable, float], ...]:
    value = value.to_dict() if isinstance(value, pd.Series) else value
    if not isinstance(value, Mapping) or not value:
        raise PortfolioError(f"cost 'proportional' takes a dict of ticker -> basis points, got {value!r}")
    return tuple((asset, number(f"cost 'proportional': {asset}", bps, 0.0)) for asset, bps in value.items())
