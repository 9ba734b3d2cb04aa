"""Parameters: what an object is given is checked by its type, and can be asked, changed, copied and shown."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

from opeslike.checks import Check, at_least, choice, finite, flag, not_negative, part, positive, rate, share_of
from opeslike.errors import PortfolioError

#: Whole numbers of at least 0, 1 and 2.
Whole = Annotated[int, at_least(0)]
Count = Annotated[int, at_least(1)]
Several = Annotated[int, at_least(2)]
Finite = Annotated[float, finite]
Positive = Annotated[float, positive]
AtLeastZero = Annotated[float, not_negative]
#: Strictly between 0 and 1; above 0 and at most 1; above -1.
Share = Annotated[float, share_of]
Part = Annotated[float, part]
Rate = Annotated[float, rate]

_SHOWN = 6  # numbers of an array that a repr spells out; a larger one is named by its shape


def one_of(*options: str) -> Check:
    """A check that a parameter is one of a few names, in any case."""
    return partial(choice, options=options)


class Parameters:
    """What scikit-learn asks of an estimator, for classes whose constructor stores what it is given, unchanged.

    The parameters are those of the constructor, whether a dataclass made it or it is written out; each is kept as
    the attribute of its name. In a dataclass the type of a field says what it may be: ``Count``, ``Positive`` and their
    like, ``Literal``, ``bool``, or ``Annotated`` with a check of :mod:`opeslike.checks`; beside None where that is
    allowed.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(repr=False)
    ... class Rule(Parameters):
    ...     window: Several = 252
    ...     inner: Any = None
    >>> rule = Rule(inner=Rule(window=5))
    >>> rule
    Rule(inner=Rule(window=5))
    >>> rule.set_params(inner__window=63)
    Rule(inner=Rule(window=63))
    >>> rule.get_params()
    {'window': 252, 'inner': Rule(window=63), 'inner__window': 63, 'inner__inner': None}
    """

    def __post_init__(self) -> None:
        """Check the parameters of a dataclass; the message names class, parameter and range."""
        own: type = type(self)
        for name, check in checks_of(own).items():
            check(f"{type(self).__name__} {name}", getattr(self, name))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep`` also those of parameters that have their own, as ``outer__inner``.

        Parameters
        ----------
        deep : bool

        Returns
        -------
        dict
        """
        own: type = type(self)
        given = {name: getattr(self, name) for name in _defaults(own)}
        if deep:
            for name, value in list(given.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    given |= {f"{name}__{inner}": own for inner, own in value.get_params().items()}
        return given

    def set_params(self, **params: Any) -> Self:
        """Change parameters, nested ones as ``outer__inner``; all are checked before anything changes.

        What was found with the old parameters (weights, a solution) is forgotten. A nested object is replaced by a
        changed copy: others who hold it see no change.

        Returns
        -------
        object
            This one.

        Raises
        ------
        PortfolioError
            A name that is no parameter, or a value out of range.
        """
        changed = vars(self._changed(params))
        vars(self).clear()  # by way of the dictionary, which a frozen dataclass has too
        vars(self).update(changed)
        return self

    def copy(self) -> Self:
        """One with the same parameters, nested ones copied too, and nothing found yet."""
        return type(self)(**{name: _unshared(value) for name, value in self.get_params(deep=False).items()})

    def _changed(self, params: dict[str, Any]) -> Self:
        """Make one with some parameters replaced."""
        given, nested = self.get_params(deep=False), dict[str, dict[str, Any]]()
        for key, value in params.items():
            name, inside, inner = key.partition("__")
            if name not in given:
                known = ", ".join(given) or "none"
                raise PortfolioError(f"{type(self).__name__} has no parameter {name!r}; it has: {known}")
            if inside:
                nested.setdefault(name, {})[inner] = value
            else:
                given[name] = value
        for name, inner_params in nested.items():
            if not hasattr(given[name], "set_params"):
                raise PortfolioError(f"{type(self).__name__} {name}={given[name]!r} has no parameters of its own")
            given[name] = _unshared(given[name]).set_params(**inner_params)
        return type(self)(**given)

    def __repr__(self) -> str:
        """Constructor call with the parameters that differ from their defaults."""
        own: type = type(self)
        told = [
            f"{name}={words}"
            for name, default in _defaults(own).items()
            if (value := getattr(self, name)) is not default and (words := _words(value)) != _words(default)
        ]
        return f"{type(self).__name__}({', '.join(told)})"

    def __sklearn_tags__(self) -> Any:
        """Say to scikit-learn that no target is needed; asked by its own functions alone."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))


@cache
def checks_of(kind: type) -> dict[str, Check]:
    """The check of each parameter whose type has one; None passes where the type allows it."""
    found: dict[str, Check] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        optional = type(None) in get_args(hint)
        given = get_args(hint)[0] if optional else hint
        check: Check | None = flag if given is bool else None
        if get_origin(given) is Annotated:
            check = given.__metadata__[0]
        elif get_origin(given) is Literal:
            check = partial(choice, options=get_args(given), exact=True)
        if check is not None:
            found[name] = partial(_unless_none, check) if optional else check
    return found


def _unless_none(check: Check, name: str, value: Any) -> None:
    if value is not None:
        check(name, value)


@cache
def _defaults(kind: type) -> dict[str, Any]:
    """Parameters of a constructor with their defaults, in its order."""
    own = fields(kind) if is_dataclass(kind) else ()
    made = {field.name: field.default_factory() for field in own if field.default_factory is not MISSING}
    several = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    declared = {name: one for name, one in signature(kind).parameters.items() if one.kind not in several}
    return {name: made.get(name, one.default) for name, one in declared.items()}


def _unshared(value: Any) -> Any:
    """Copy of a value that has parameters, by scikit-learn where it is not ours; any other value as it is."""
    if isinstance(value, Parameters):
        return value.copy()
    if not hasattr(value, "get_params") or isinstance(value, type):
        return value
    from sklearn.base import clone

    return clone(value)


def _words(value: Any) -> str:
    """Written form of a value; a large table is named by type and shape."""
    shape = getattr(value, "shape", ())
    return f"<{type(value).__name__} of shape {shape}>" if math.prod(shape) > _SHOWN else repr(value)
