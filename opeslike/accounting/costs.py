"""Trading costs in basis points of the amount traded."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.errors import PortfolioError

FloatArray = NDArray[np.float64]

BPS = 1e-4

# Key -> names of its parameters and the smallest value of each; "+" means above it.
_MODELS: dict[str, tuple[tuple[str, str], ...]] = {
    "const": (("bps", "0"),),
    "gamma": (("shape", "0+"), ("scale", "0+")),
    "lognormal": (("mu", ""), ("sigma", "0")),
    "inversegaussian": (("mean", "0+"), ("shape", "0+")),
    "jump": (("rate", "0"), ("mu", ""), ("sigma", "0")),
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

    def charge(self, traded: FloatArray, steps: slice) -> FloatArray:
        """Cost of some steps, from amounts traded of shape (steps, N), in the unit of ``traded``."""
        amount = traded.sum(axis=1) if self.per_asset is None else traded @ self.per_asset
        return np.asarray(amount * self.per_step[steps])

    def charge_step(self, traded: FloatArray, step: int) -> float:
        """Cost of one step, from amounts traded of shape (N,)."""
        amount = traded.sum() if self.per_asset is None else traded @ self.per_asset
        return float(amount * self.per_step[step])

    def each(self, traded: FloatArray, step: int) -> FloatArray:
        """Cost of one step by asset, shape (N,)."""
        each = traded if self.per_asset is None else traded * self.per_asset
        return np.asarray(each * self.per_step[step])


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
            parts = [_number("cost", name, value, "0") for name, value in given.items()]
            return cls("const", (math.fsum(parts),))
        if len(given) > 1:
            raise PortfolioError(f"cost takes one model, got {', '.join(given)}; only commission and slippage combine")
        name, value = next(iter(given.items()))
        if name == "proportional":
            return cls(name, by_asset=_by_asset(value))
        names = _MODELS[name]
        if len(names) == 1:
            values = [value]
        elif isinstance(value, (tuple, list, np.ndarray)) and len(value) == len(names):
            values = list(value)
        else:
            wanted = ", ".join(parameter for parameter, _ in names)
            raise PortfolioError(f"cost {name!r} takes ({wanted}), got {value!r}")
        checked = [_number(f"cost {name!r}", n, v, low) for (n, low), v in zip(names, values, strict=True)]
        return cls(name, tuple(checked))

    def rates(self, horizon: int, assets: Sequence[Hashable], seed: int | None) -> CostRates:
        """Cost rates of ``horizon`` steps, as fractions.

        Raises
        ------
        PortfolioError
            If proportional costs do not name exactly the assets.
        """
        if self.name == "proportional":
            given = dict(self.by_asset)
            lacking = [str(a) for a in assets if a not in given]
            extra = [str(a) for a in given if a not in set(assets)]
            if lacking or extra:
                text = f"lack {', '.join(lacking)}" if lacking else f"name {', '.join(extra)}, not among the assets"
                raise PortfolioError(f"proportional costs {text}")
            return CostRates(np.full(horizon, BPS), np.array([given[a] for a in assets]))
        return CostRates(self._draw(horizon, seed) * BPS)

    def _draw(self, horizon: int, seed: int | None) -> FloatArray:
        p = self.parameters
        if self.name == "const":
            return np.full(horizon, p[0])
        rng = np.random.default_rng(seed)
        if self.name == "gamma":
            return rng.gamma(shape=p[0], scale=p[1], size=horizon)
        if self.name == "lognormal":
            return rng.lognormal(mean=p[0], sigma=p[1], size=horizon)
        if self.name == "inversegaussian":
            return rng.wald(mean=p[0], scale=p[1], size=horizon)
        jumps = rng.poisson(p[0], size=horizon)
        return np.array([rng.lognormal(mean=p[1], sigma=p[2], size=n).sum() for n in jumps])


def _number(what: str, name: str, value: Any, low: str) -> float:
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not math.isfinite(value):
        raise PortfolioError(f"{what}: {name} must be a finite number, got {value!r}")
    if low and (value < 0 or (low == "0+" and value == 0)):
        raise PortfolioError(f"{what}: {name} must be {'above' if low == '0+' else 'at least'} 0, got {value!r}")
    return float(value)


def _by_asset(value: Any) -> tuple[tuple[Hashable, float], ...]:
    if isinstance(value, pd.Series):
        value = value.to_dict()
    if not isinstance(value, Mapping) or not value:
        raise PortfolioError(f"cost 'proportional' takes a dict of ticker -> basis points, got {value!r}")
    return tuple((asset, _number("cost 'proportional'", str(asset), bps, "0")) for asset, bps in value.items())
