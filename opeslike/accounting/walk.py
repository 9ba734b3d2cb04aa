"""The walk: decisions and the account, block by block, or step by step where somebody looks at the account."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from opeslike.accounting.account import Account
from opeslike.accounting.bands import Bands
from opeslike.accounting.ledger import Blocks, Path
from opeslike.accounting.overlays import Overlay, drifted_alone, scaled
from opeslike.market import FloatArray
from opeslike.strategies.adapter import StrategyAdapter
from opeslike.strategies.decided import Decided

T = TypeVar("T")


def walk_blocks(
    strategy: StrategyAdapter | Decided, blocks: Blocks, lag: int, reopt: NDArray[np.bool_], progress: bool | None
) -> Path:
    """Nothing depends on wealth: fill whole blocks, account at the end."""
    if isinstance(strategy, Decided) and strategy.until is None:
        blocks.fill_all(strategy.at(blocks.trades))
        return blocks.settle()
    target: FloatArray | None = None
    due = [*np.flatnonzero(reopt).tolist(), len(reopt)]
    for step, stop in zip(tracked(due[:-1], strategy.name, "step", progress, len(due) - 1), due[1:], strict=True):
        if step >= blocks.alive_until:
            break
        # Never None: only strategies that name state may leave their holdings alone, and they walk step by step.
        target = cast(FloatArray, strategy(step, target, partial(blocks.held, step, lag)))
        blocks.fill(step, stop, target)
    return blocks.settle()


def walk_steps(
    strategy: StrategyAdapter | Decided,
    account: Account,
    overlays: Sequence[Overlay],
    bands: Bands | None,
    pays: Callable[[FloatArray, FloatArray], bool] | None,
    reopt: NDArray[np.bool_],
    progress: bool | None,
) -> Path:
    """The reference: one step at a time, for bands, and strategies and overlays that look at the account."""
    ledger = account.ledger
    target: FloatArray | None = None
    last: FloatArray | None = None
    full = ledger.drifted  # what would be held without overlays
    horizon = ledger.terms.horizon
    for step in tracked(range(horizon), strategy.name, "step", progress, horizon):
        if reopt[step]:
            # None leaves the holdings alone; the last weights aimed for stay the warm start.
            target = strategy(step, last, partial(account.held, step), partial(account.for_strategy, step))
            last = last if target is None else target
        wanted = target if account.trading[step] else None
        if wanted is not None and pays is not None and full.any() and not pays(wanted, full):
            wanted = None
        if wanted is not None and bands is not None:
            wanted = bands.trade(wanted, full)
        if overlays:
            full = full if wanted is None else wanted
            alive = ledger.step(scaled(full, overlays, account.for_overlay(step)))
            full = drifted_alone(ledger.terms, full, step)
        else:
            alive = ledger.step(wanted)
            full = ledger.drifted
        if not alive:
            break
    return ledger.path


def tracked(items: Iterable[T], what: str, unit: str, progress: bool | None, total: int) -> Iterator[T]:
    """Yield items with a progress bar where one is wanted: by default on a terminal, after a second."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if not (terminal if progress is None else progress):
        yield from items
        return
    from tqdm.auto import tqdm

    delay = 1.0 if progress is None else 0.0
    with tqdm(items, desc=what, total=total, unit=unit, leave=False, delay=delay) as bar:
        yield from bar
