"""Prices from the package, files, Yahoo and crypto exchanges, and their audit; each name is imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opeslike.data.crypto import load_ccxt
    from opeslike.data.datasets import load_sp500, load_us20
    from opeslike.data.files import load_csv, load_prices
    from opeslike.data.findings import Audit, Finding, audit, warn_about
    from opeslike.data.yahoo import load_yahoo

_HOME = {
    **dict.fromkeys(("Audit", "Finding", "audit", "warn_about"), "findings"),
    "load_ccxt": "crypto",
    **dict.fromkeys(("load_csv", "load_prices"), "files"),
    **dict.fromkeys(("load_sp500", "load_us20"), "datasets"),
    "load_yahoo": "yahoo",
}
__all__ = [
    "Audit", "Finding", "audit", "load_ccxt", "load_csv", "load_prices", "load_sp500", "load_us20", "load_yahoo",
    "warn_about",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
