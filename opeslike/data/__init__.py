"""Prices from the package, from files and from Yahoo; each loader is imported when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opeslike.data.datasets import load_sp500, load_us20
    from opeslike.data.files import load_csv
    from opeslike.data.yahoo import load_yahoo

__all__ = ["load_csv", "load_sp500", "load_us20", "load_yahoo"]

_HOME = {
    "load_csv": "files",
    "load_sp500": "datasets",
    "load_us20": "datasets",
    "load_yahoo": "yahoo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loader = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = loader
    return loader


def __dir__() -> list[str]:
    return sorted(__all__)
