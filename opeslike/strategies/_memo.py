"""Memo: remember something about one data set, and forget it with the data."""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar, final

Value = TypeVar("Value")


@final
class Memo(Generic[Value]):
    """One value for one object, known by identity and held weakly.

    A copied or pickled memo is empty, so strategies stay as light as their parameters.
    """

    def __init__(self) -> None:
        self._entry: tuple[weakref.ref[Any], Value] | None = None

    def get(self, key: Any) -> Value | None:
        """Value remembered for this very object; None for any other."""
        entry = self._entry
        return entry[1] if entry is not None and entry[0]() is key else None

    def put(self, key: Any, value: Value) -> Value:
        """Remember a value in place of the one before."""
        self._entry = (weakref.ref(key), value)
        return value

    def __reduce__(self) -> tuple[type[Memo[Value]], tuple[()]]:
        return (Memo, ())
