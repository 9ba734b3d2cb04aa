"""Keys: what a run is made of as one SHA-256, the same in every process."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd

from opeslike.errors import PortfolioError

#: Raised whenever the same strategy, data and terms give other decisions or accounts: older runs are made anew.
MEANING = 1
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    Enum,
    pd.Timestamp,
    pd.Timedelta,
    pd.offsets.BaseOffset,
)


def key_of(*values: Any) -> str:
    """SHA-256 of values by what they hold, not by where they stand: parameters, arrays, tables, functions' code.

    Raises
    ------
    PortfolioError
        If an object shows nothing it could be known by.
    """
    digest = hashlib.sha256(str(MEANING).encode())
    for token in _tokens(values, ()):
        digest.update(len(token).to_bytes(8, "little") + token)
    return digest.hexdigest()


def _tokens(value: Any, inside: tuple[int, ...]) -> Iterator[bytes]:
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}".encode()
    if isinstance(value, (*_PLAIN, np.generic)):
        yield repr(value.item() if isinstance(value, np.generic) else value).encode()
        return
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
        return
    if id(value) in inside:  # a circle: said once
        return
    for part in _parts(value):
        yield from _tokens(part, (*inside, id(value)))


def _parts(value: Any) -> Any:
    """What a composite value is made of."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, Mapping):
        return [each for item in value.items() for each in item]
    if isinstance(value, (pd.DataFrame, pd.Series)):
        names = [value.columns] if isinstance(value, pd.DataFrame) else []
        return [value.index, *names, value.to_numpy()]
    if isinstance(value, pd.DatetimeIndex):
        return [str(value.tz), value.asi8, value.unit]
    if isinstance(value, (pd.Index, np.ndarray)):
        return value.tolist()
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [value.__qualname__, value.__code__, value.__defaults__, cells]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (types.BuiltinFunctionType, np.ufunc, types.ModuleType)):
        return [value.__name__]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, type):
        return _code(value)
    if hasattr(value, "get_params"):
        return [*_code(type(value)), value.get_params(deep=False)]
    if hasattr(value, "__dict__"):
        return [*_code(type(value)), vars(value)]
    if " at 0x" in (text := repr(value)):
        raise PortfolioError(f"{text} cannot be told from others of its kind; give it get_params(), or attributes")
    return [text]


def _code(kind: type) -> list[Any]:
    """Name of a class, and the code of its methods where it is a user's own, which may change under the name."""
    own = kind.__module__.partition(".")[0] not in ("opeslike", "sklearn", "skfolio", "numpy", "pandas", "builtins")
    methods = [each for _, each in sorted(vars(kind).items()) if isinstance(each, types.FunctionType)] if own else []
    return [f"{kind.__module__}.{kind.__qualname__}", *methods]
