"""How many errors `audit` finds when they are put into real prices at random, and how often it cries wolf.

    python benchmarks/audit.py PRICES.csv[.gz] [N]

The file has closes by date, a column a ticker; N errors of each kind (default 500) are put in. Fifty assets get one
error each, the audit is run, and an error counts as found where a severe finding of its kind names its asset and its
first day (of a freeze: most of its days; of a swap: both assets).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from opeslike import audit, load_csv
from opeslike.data.findings import warn_about

AT_ONCE = 50
Placed = tuple[list[int], int, int]  # columns, first and last row


def split(ratio: float) -> Callable[..., Placed]:
    def put(values: Any, rng: np.random.Generator, free: list[int]) -> Placed:
        column, row = free.pop(), int(rng.integers(1, len(values)))
        values[row:, column] /= ratio
        return [column], row, row

    return put


def block(least: int, most: int, change: Callable[[Any], Any]) -> Callable[..., Placed]:
    def put(values: Any, rng: np.random.Generator, free: list[int]) -> Placed:
        column, length = free.pop(), int(rng.integers(least, most + 1))
        first = int(rng.integers(1, len(values) - length + 1))
        values[first : first + length, column] = change(values[first - 1 : first + length, column])[1:]
        return [column], first, first + length - 1

    return put


def swap(values: Any, rng: np.random.Generator, free: list[int]) -> Placed:
    """Swap a block of 5 to 250 rows between two assets whose prices are apart by more than 1.25 at both ends."""
    while True:
        columns = rng.choice(free, 2, replace=False).tolist()
        length = int(rng.integers(5, 251))
        first = int(rng.integers(1, len(values) - length))
        apart = np.abs(np.log(values[:, columns[0]] / values[:, columns[1]]))
        if min(apart[[first - 1, first, first + length - 1, first + length]]) > np.log(1.25):
            break
    for column in columns:
        free.remove(column)
    values[first : first + length, columns] = values[first : first + length, columns[::-1]]
    return columns, first, first + length - 1


#: Of each kind of error: what puts it there, and the kinds of finding that name it.
ERRORS: dict[str, tuple[Callable[..., Placed], set[str]]] = {
    "split 2:1": (split(2), {"split"}),
    "split 3:2": (split(1.5), {"split"}),
    "split 10:1": (split(10), {"split"}),
    "split 1:8": (split(1 / 8), {"split"}),
    "x 100 for a day": (block(1, 1, lambda prices: prices * 100), {"scale", "split"}),
    "x 100 for 2 to 250 days": (block(2, 250, lambda prices: prices * 100), {"scale", "split"}),
    "frozen for 60 days": (block(60, 60, lambda prices: np.full(len(prices), prices[0])), {"frozen"}),
    "swapped for 5 to 250 days": (swap, {"swap"}),
}


def found(put: Placed, kinds: set[str], prices: pd.DataFrame, severe: list[Any]) -> bool:
    columns, first, last = put
    names, days = {prices.columns[column] for column in columns}, prices.index
    for one in severe:
        if one.kind in kinds and names == {one.asset, *([one.other] if one.other is not None else [])}:
            start, end = days.get_loc(one.start), days.get_loc(one.end)
            if one.kind == "frozen":
                if min(end, last) - max(start, first) + 1 > 0.5 * (last - first + 1):
                    return True
            elif start == first:
                return True
    return False


def rates(prices: pd.DataFrame, count: int, seed: int = 0) -> dict[str, tuple[int, int, int]]:
    """Return, by kind, how many errors were found, how many put, and how many severe findings were of none."""
    result = {}
    wolf = len(audit(prices).severe)
    for name, (put, kinds) in ERRORS.items():
        rng = np.random.default_rng([seed, len(result)])
        hits = total = others = 0
        while total < count:
            values = prices.to_numpy(copy=True)
            free = rng.permutation(prices.shape[1]).tolist()
            wanted = min(AT_ONCE, count - total, prices.shape[1] // 2)
            placed = [put(values, rng, free) for _ in range(wanted)]
            spoilt = pd.DataFrame(values, prices.index, prices.columns)
            severe = audit(spoilt).severe
            known = [found(one, kinds, prices, severe) for one in placed]
            hits, total, others = hits + sum(known), total + wanted, others + len(severe) - sum(known) - wolf
        result[name] = hits, total, others
    return result


def main() -> None:
    prices = load_csv(sys.argv[1]).dropna(axis=1)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    years = prices.size / 252
    clean = audit(prices)
    print(f"{prices.shape[1]} assets x {len(prices)} rows as they are, {years:.0f} years of an asset:")
    print(f"{len(clean.severe)} severe findings, {100 * len(clean.severe) / years:.2f} in 100 years")
    for one in clean.severe:
        print(f"  {one.kind}: {one}")
    print(f"\n{'error':<28}{'put':>6}{'found':>7}{'share':>9}{'severe besides':>17}")
    for name, (hits, total, others) in rates(prices, count).items():
        print(f"{name:<28}{total:>6}{hits:>7}{hits / total:>9.1%}{others:>17}")
    for look in (audit, warn_about):
        start = time.process_time()
        look(prices)
        print(f"{look.__name__}: {1e3 * (time.process_time() - start):.0f} ms of processor time")


if __name__ == "__main__":
    main()
