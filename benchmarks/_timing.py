"""Paired timing: the candidates take turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

from tabulate import tabulate


def paired(
    candidates: Mapping[str, Callable[[], object]], rounds: int, repeats: Mapping[str, int] | None = None
) -> dict:
    """Median seconds of one call of each candidate, over ``rounds`` turns; ``repeats`` calls a turn for quick ones."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        call()  # warm up: imports, caches
    for _ in range(rounds):
        for name, call in candidates.items():
            count = (repeats or {}).get(name, 1)
            start = time.perf_counter()
            for _ in range(count):
                call()
            times[name].append((time.perf_counter() - start) / count)
    return {name: median(values) for name, values in times.items()}


def report(title: str, seconds: Mapping[str, float], notes: Mapping[str, tuple], headers: tuple, base: str) -> None:
    """Print a table: time, how many times slower than ``base``, and what the caller knows of each answer."""
    rows = [
        [name, f"{1e3 * value:.2f}", f"{value / seconds[base]:.1f}x", *notes.get(name, ("",) * len(headers))]
        for name, value in seconds.items()
    ]
    print(f"\n{title}")
    print(tabulate(rows, headers=["", "ms", f"against {base}", *headers], tablefmt="simple", disable_numparse=True))
