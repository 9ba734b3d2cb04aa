"""How an objective declares its parameters: a dataclass field whose type says what it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar, dataclass_transform

from opeslike.checks import fraction_of, positive, radii_of
from opeslike.errors import PortfolioError
from opeslike.market import Market
from opeslike.modelling.mandate import Mandate
from opeslike.modelling.regularizers import regularizer_name
from opeslike.parameters import AtLeastZero, Count, Finite, Positive, Share, checks_of, one_of

__all__ = ["AtLeastZero", "Count", "Finite", "Fraction", "Positive", "Radii", "Radius", "Regulariser", "Share"]
__all__ += ["checks_of", "objective", "one_of", "radius_for"]

Kind = TypeVar("Kind", bound=type)

#: inherited parameters that follow an objective's own by position too, as they do in OPES
AFTER = ("fraction", "reg", "strength")


def _radius(name: str, value: Any) -> None:
    if hasattr(value, "radius"):  # it has checked itself
        return
    if value != "auto" if isinstance(value, str) else positive(name, value, zero=True) < 0:
        raise PortfolioError(f"{name}={value!r} must be a finite number >= 0 or 'auto', or Covering(0.95)")


Fraction = Annotated[float, lambda _, value: fraction_of(value)]
Radius = Annotated[Any, _radius]
Radii = Annotated[Any, lambda _, value: radii_of(value)]
Regulariser = Annotated[str | None, lambda _, value: regularizer_name(value)]


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def objective(kind: Kind) -> Kind:
    """Make a dataclass of an objective; what was inherited of :data:`AFTER` can be given by position, after its own."""
    made: Any = dataclass(eq=False, repr=False)(kind)
    stored, order = made.__init__, signature(made.__init__)

    def place(one: Parameter) -> Parameter:
        return one.replace(kind=one.POSITIONAL_OR_KEYWORD) if one.name in AFTER else one

    own = [one for one in order.parameters.values() if one.kind is not one.KEYWORD_ONLY]
    late = [order.parameters[name] for name in AFTER if name in order.parameters.keys() - {one.name for one in own}]
    others = [one for one in order.parameters.values() if one not in own and one not in late]
    order = order.replace(parameters=[*own, *map(place, late), *others])

    @wraps(stored)
    def init(*args: Any, **keywords: Any) -> None:
        stored(**order.bind(*args, **keywords).arguments)

    init.__signature__ = order  # type: ignore[attr-defined]
    made.__init__ = init
    return made  # type: ignore[no-any-return]


def radius_for(radius: float | str, market: Market) -> float:
    """A radius in nats: ``1 / sqrt(n)`` for "auto", with n the effective number of scenarios."""
    return 1.0 / math.sqrt(market.effective_size) if isinstance(radius, str) else float(radius)


def check_mandate(optimizer: Any, mandate: Mandate) -> None:
    """Refuse what an optimiser cannot heed.

    Raises
    ------
    PortfolioError
        Naming the optimiser and the limit.
    """
    name = type(optimizer).__name__
    if mandate.callables and optimizer.solver == "interior-point":
        raise PortfolioError("constraints go through cvxpy; use solver='auto' or 'cvxpy'")
    if not (optimizer.takes_costs or mandate.costs is mandate.impact is None):
        raise PortfolioError(
            f"{name} has no expected return to charge costs or impact to; leave them out, take max_turnover"
        )
    if mandate.counts() is not None and (mandate.callables or not optimizer.takes_counts):
        where = " beside constraints in cvxpy" if optimizer.takes_counts else ""
        raise PortfolioError(f"{name} takes no max_positions or min_position{where}: nothing there proves a bound")
