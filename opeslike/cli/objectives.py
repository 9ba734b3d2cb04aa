"""Objectives and rules by name, and parameters of Python classes as options."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from opeslike import objectives, strategies
from opeslike.errors import PortfolioError

#: Where the name of a class runs on to another word.
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _by_name(classes: str, *endings: str, **others: str) -> dict[str, str]:
    """Classes by their names on the command line: ``box-robust-kelly`` for ``BoxRobustKelly``, without the endings."""
    names = {}
    for name in classes.split():
        short = next((name.removesuffix(ending) for ending in endings if name.endswith(ending)), name)
        names[others.get(name) or _WORDS.sub("-", short.replace("VaR", "VAR")).lower()] = name
    return dict(sorted(names.items()))


#: The classes of ``opeslike.objectives`` that can be made from the command line: those that take no other object.
_OTHERS = ("Optimizer", "BayesianKelly", "KLRobust", "RegretKelly")
_NAMES = " ".join(name for name in dir(objectives) if name[0].isupper() and name not in _OTHERS)
OBJECTIVES = _by_name(_NAMES, KLRobustKelly="kl-robust", WorstCaseLoss="worst-case")
#: Rules of ``opeslike.strategies`` that say what to hold; they need a sizer.
SELECTIONS = _by_name(
    "BuyAndHold DualMomentum MonthlySeasonal MovingAverageCross TimeSeriesMomentum TurnOfMonth"
)  # fmt: skip
SIZERS = _by_name(
    "ConservativeSizer DynamicKelly EqualWeight KellySizer MaxPositions OptimalFSizer RiskParityVolTarget "
    "VolatilityTarget",
    "Sizer",
)
#: Strategies by themselves.
RULES = _by_name("Conservative ExpandingKelly OptimalF RollingKelly")


def listed(names: Iterable[str]) -> str:
    """Names as lines of a help text."""
    return textwrap.fill(", ".join(names), 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def parameter(text: str) -> tuple[str, Any]:
    """Type of an option that takes ``key=value``; what is no Python literal is text."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not of the form key=value, such as lookback=60")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return key, value


def named(text: str) -> tuple[str, str, list[tuple[str, Any]]]:
    """Type of an option that takes ``name`` or ``name:key=value,key=value``; also the text as it was given."""
    name, _, rest = text.partition(":")
    if name not in OBJECTIVES and name not in RULES:
        raise argparse.ArgumentTypeError(f"{name!r:.80} is unknown; use one of {', '.join([*OBJECTIVES, *RULES])}")
    parts = re.split(r",(?=\s*[^\W\d]\w*\s*=)", rest) if rest.strip() else []  # values may hold commas of their own
    return text, name, [parameter(part.strip()) for part in parts]


def made(kind: Any, name: str, parameters: Sequence[tuple[str, Any]], option: str) -> Any:
    """Make an object of a class from parameters given as ``KEY=VALUE``, nested ones as ``mandate__costs=10``.

    Raises
    ------
    PortfolioError
        If a parameter is unknown, missing or out of its range.
    """
    given, known = dict(parameters), inspect.signature(kind).parameters
    nested = {key: given.pop(key) for key in list(given) if "__" in key}
    for key in given:
        if key not in known:
            raise PortfolioError(f"{option} {key}: {name} has no such parameter; it has {', '.join(known) or 'none'}")
    for key, one in known.items():
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and key not in given:
            raise PortfolioError(f"{name} needs {option} {key}=...")
    try:
        return kind(**given).set_params(**nested) if nested else kind(**given)
    except (TypeError, AttributeError, ArithmeticError, IndexError, KeyError) as error:
        text = ", ".join(f"{key}={value!r:.60}" for key, value in (given | nested).items())
        raise PortfolioError(f"{name} cannot be made with {option} {text}: {error}") from error


def make_strategy(
    name: str,
    parameters: Sequence[tuple[str, Any]] = (),
    sizer: str | None = None,
    sizer_parameters: Sequence[tuple[str, Any]] = (),
    every: int = 1,
    option: str = "--param",
) -> Any:
    """Make a strategy by its name on the command line.

    Raises
    ------
    PortfolioError
        If a rule lacks its sizer or a strategy has one too many, or a parameter is unknown or out of its range.
    """
    if name not in SELECTIONS:
        if sizer is not None or sizer_parameters:
            raise PortfolioError(f"--strategy {name} sizes its own positions; leave --sizer out")
        home, label = (strategies, RULES[name]) if name in RULES else (objectives, OBJECTIVES[name])
        return made(getattr(home, label), name, parameters, option)
    if sizer is None:
        raise PortfolioError(f"--strategy {name} says what to hold, not how much: add --sizer, such as equal-weight")
    selection = made(getattr(strategies, SELECTIONS[name]), name, parameters, option)
    sized = made(getattr(strategies, SIZERS[sizer]), sizer, sizer_parameters, "--sizer-param")
    return strategies.Sized(selection, sized, every)
