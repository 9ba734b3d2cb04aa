"""The audit of prices: what looks wrong in them, what it would do to an answer, and what to do about it."""

from __future__ import annotations

import html
import textwrap
import tomllib
from collections.abc import Hashable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
import pandas as pd

from opeslike.checks import FloatArray
from opeslike.data import detect
from opeslike.errors import DataError, DataWarning, warn
from opeslike.panel import Kind, Panel, close_frame, describe, pandas_frame, read_panel

Severity = Literal["severe", "check"]

#: Of each kind: title, size, effect, advice and repair, see there; worst first.
_KINDS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_SHOWN, _WARNED, _WIDTH = 12, 4, 79


@final
@dataclass(frozen=True)
class Finding:
    """Something in prices that looks wrong.

    Attributes
    ----------
    severity : {"severe", "check"}
        Severe: it changes answers, and hardly anything but an error explains it. Check: it may well be real.
    kind : str
        ``split``, ``scale``, ``spike``, ``level``, ``frozen``, ``swap``, ``reversed``, ``gap``, ``hole``, ``twins``,
        ``relatives``, ``percent``, ``future``, ``order`` or ``impossible``.
    asset, other : label or None
        Whose prices; None: all. ``other`` is the second of a pair.
    start, end : label
        First and last date concerned; of a jump, the first day after it, twice.
    size : float
        Of a split, scale, spike, level: price after over price before. Of swap: the ratio of the two prices. Of twins:
        the largest difference of returns. Of relatives and percent: their level. Otherwise rows (of hole: days).
    """

    severity: Severity
    kind: str
    asset: Hashable | None
    start: Any
    end: Any
    size: float
    other: Hashable | None = None

    @property
    def title(self) -> str:
        """What it is, in words."""
        return str(_KINDS[self.kind]["title"])

    @property
    def effect(self) -> str:
        """What it would do to an answer."""
        return str(_KINDS[self.kind]["effect"])

    @property
    def advice(self) -> str:
        """What to do about it."""
        return str(_KINDS[self.kind]["advice"])

    @property
    def where(self) -> str:
        """Whose prices and when, on one line."""
        first, last = describe(self.start), describe(self.end)
        who = "all" if self.asset is None else str(self.asset)
        who += "" if self.other is None else f" and {self.other}"
        return f"{who} {first}" + (f" to {last}" if last != first else "")

    def __str__(self) -> str:
        return f"{self.where} ({_KINDS[self.kind]['size'].format(self.size)})"


@final
class Audit:
    """What :func:`audit` found; ``print`` shows it, worst first.

    Attributes
    ----------
    findings : list of Finding
        Severe ones first, then by kind, the largest first.
    """

    def __init__(self, prices: pd.DataFrame, findings: list[Finding]) -> None:
        self._prices, self.findings = prices, findings

    @property
    def severe(self) -> list[Finding]:
        """The findings that change answers and that hardly anything but an error explains."""
        return [finding for finding in self.findings if finding.severity == "severe"]

    def to_frame(self) -> pd.DataFrame:
        """Return the findings as a frame, a row each, with columns effect and advice beside the attributes."""
        columns = ["severity", "kind", "asset", "other", "start", "end", "size", "effect", "advice"]
        rows = [{**asdict(found), "effect": found.effect, "advice": found.advice} for found in self.findings]
        return pd.DataFrame(rows, columns=columns)

    def __str__(self) -> str:
        rows, assets = self._prices.shape
        many = f"{assets} asset{'s' * (assets != 1)}, {rows} rows"
        span = f", {describe(self._prices.index[0])} to {describe(self._prices.index[-1])}" if rows else ""
        severe = len(self.severe)
        lines = [f"{many}{span}: {severe} severe, {len(self.findings) - severe} to check"]
        for (severity, _), group in groupby(self.findings, key=lambda found: (found.severity, found.kind)):
            found = list(group)
            lines += ["", f"{severity.upper()}  {found[0].title} ({len(found)})"]
            lines += ["  " + textwrap.shorten(str(one), _WIDTH - 2, placeholder=" ...") for one in found[:_SHOWN]]
            lines += [f"  ... and {len(found) - _SHOWN} more in .to_frame()"] * (len(found) > _SHOWN)
            for name, words in (("does", found[0].effect), ("do", found[0].advice)):
                lines += textwrap.wrap(words, _WIDTH, initial_indent=f"  {name:>4}: ", subsequent_indent=" " * 8)
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        return f"<pre>{html.escape(str(self))}</pre>"

    def repair(self, **what: bool) -> pd.DataFrame:
        """Return a copy of the (closing) prices with severe findings of the kinds named mended.

        Parameters
        ----------
        splits : bool
            Divide what comes before a split by its factor, so that the latest prices stand.
        scales : bool
            Divide the days in another unit by its power of ten.
        spikes, frozen, impossible : bool
            Make these days missing (NaN). Of a run of equal prices the first stays.
        swaps, reversals : bool
            Give the prices back to their assets; turn the rows round.
        order : bool
            Sort by date, and keep the last row of each.

        Returns
        -------
        DataFrame, shape (dates, assets)
            Nothing but what was asked for is changed.

        Raises
        ------
        DataError
            Nothing asked for, or something that cannot be mended from the numbers alone.
        """
        known = {about["repair"]: kind for kind, about in _KINDS.items() if "repair" in about}
        kinds = {known.get(name) for name, wanted in what.items() if wanted}
        if not kinds or not set(what) <= set(known):
            fault = f"repair has no {min(set(what) - set(known))}" if kinds else "nothing to repair"
            raise DataError(f"{fault}: give one or several of {', '.join(known)} as True")
        if "order" not in kinds and any(found.kind == "order" for found in self.findings):
            raise DataError("the dates are out of order or twice, so rows cannot be named: repair(order=True) with it")
        prices = _ordered(self._prices) if "order" in kinds else self._prices
        columns: dict[Any, Any] = {asset: place for place, asset in enumerate(prices.columns)}
        values = prices.to_numpy(np.float64, na_value=np.nan, copy=True)
        for found in self.severe:
            if found.kind not in kinds - {"order"}:
                continue
            first, last = (int(prices.index.get_indexer(pd.Index([label]))[0]) for label in (found.start, found.end))
            rows, column = slice(first, last + 1), columns.get(found.asset, slice(None))
            if found.kind == "swap":
                pair = [columns[found.asset], columns[found.other]]
                values[rows, pair] = values[rows, pair[::-1]]
            elif found.kind == "reversed":
                values[rows] = values[rows][::-1].copy()
            elif found.kind == "split":
                values[:first, column] *= found.size
            elif found.kind == "scale":
                values[rows, column] /= found.size
            elif found.kind == "impossible":
                wrong = ~(np.isfinite(values[:, column]) & (values[:, column] > 0))
                values[rows, column] = np.where(wrong[rows], np.nan, values[rows, column])
            else:
                values[rows, column] = np.nan
        return pd.DataFrame(values, prices.index, prices.columns)


def audit(prices: Any) -> Audit:
    """Look for what is wrong in prices, as far as the numbers alone can tell.

    Parameters
    ----------
    prices : DataFrame, Series or array, shape (dates, assets)
        Prices; of two-level columns the closes. NaN where an asset is not quoted. Nothing is changed.

    Returns
    -------
    Audit
        ``print`` it; ``.findings``, ``.severe`` and ``.to_frame()`` hold the same; ``.repair(splits=True)`` returns a
        mended copy.

    Raises
    ------
    DataError
        Columns that are not numbers, or no rows.

    Notes
    -----
    A jump is severe where it is at least eight times what the asset moves on the days before and after, and what its
    peers do that day, and either is near the factor of a split (3:2 or more; upwards 1:2 or more), comes undone within
    five days, is a power of ten that comes undone, or takes two assets to each other's price. A run of one price is
    severe from 20 rows on, where the asset's other days make it unlikely (1 in 10,000).

    Examples
    --------
    >>> from opeslike.data import load_us20
    >>> prices = load_us20(tickers="AAPL KO XOM", start="2019", end="2020")
    >>> prices.loc["2020-03":, "KO"] /= 2
    >>> found, = audit(prices).severe
    >>> print(found)
    KO 2020-03-02 (x 0.5)
    """
    frame, found = pandas_frame(prices), []
    if isinstance(frame, pd.Series):
        frame = frame.to_frame(0 if frame.name is None else frame.name)
    if isinstance(frame, pd.DataFrame):
        prices = frame = close_frame(frame)[0]
        if not frame.index.is_monotonic_increasing or frame.index.has_duplicates:
            prices = _ordered(frame)
            wrong = int(frame.index.duplicated().sum() + (np.diff(frame.index.argsort()) < 0).sum())
            found = [Finding("severe", "order", None, prices.index[0], prices.index[-1], wrong)]
    panel = read_panel(prices)
    if not isinstance(frame, pd.DataFrame):
        frame = pd.DataFrame(panel.values, panel.index, list(panel.assets))
    return Audit(frame, found + _findings(panel, None, True))


def warn_about(prices: Any, kind: Kind | None = None, *given: Any) -> None:
    """Issue one DataWarning that lists the severe findings, if there are any; what cannot be read is left to others.

    ``optimize`` and :class:`~opeslike.backtester.Backtester` call it on what they are given.

    Parameters
    ----------
    prices : DataFrame, Series, array or Panel
        As in :func:`audit`. Returns are looked at for percent only.
    kind : {"prices", "returns"}, optional
        What they are, if it is known.
    *given : objects, optional
        What they were made from. Frames whose ``attrs["audited"]`` is true, as that of embedded prices is, were looked
        at before: if all are, nothing is said.
    """
    if given and all(getattr(one, "attrs", {}).get("audited", False) for one in given):
        return
    try:
        severe = [found for found in _findings(read_panel(prices), kind, False) if found.severity == "severe"]
    except (DataError, TypeError, ValueError):
        return
    if severe:
        kinds = [(title, list(group)) for title, group in groupby(severe, key=lambda found: found.title)]
        told = [f"{title}: {', '.join(map(str, group[:_WARNED]))}" for title, group in kinds]
        more = sum(max(len(group) - _WARNED, 0) for _, group in kinds)
        warn(
            f"the data look wrong. {'; '.join(told)}{f'; and {more} more' if more else ''}. "
            "print(opeslike.audit(prices)) says what each would do and how to mend it",
            DataWarning,
        )


def _findings(panel: Panel, kind: Kind | None, everything: bool) -> list[Finding]:
    """Severe ones first, by kind and size; ``check`` in full only where everything is asked for."""
    order, labels, named = list(_KINDS), panel.index, {**dict(enumerate(panel.assets)), -1: None}
    signs = list(_signs(panel.values, labels, kind, everything))
    signs.sort(key=lambda sign: (not sign.severe, order.index(sign.kind), -_weight(sign)))
    return [
        Finding("severe" if severe else "check", kind, named[one], labels[first], labels[last], size, named[other])
        for kind, severe, one, first, last, size, other in signs
    ]


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~frame.index.duplicated(keep="last")].sort_index()


def _weight(sign: detect.Sign) -> float:
    """Return how large a finding is beside others of its kind."""
    return abs(np.log(sign.size)) if sign.kind in ("split", "scale", "spike", "level", "swap") else sign.size


def _signs(values: FloatArray, labels: pd.Index, kind: Kind | None, everything: bool) -> Iterator[detect.Sign]:
    negative = np.count_nonzero(values < 0) if kind is None else 0
    if kind == "returns" or (negative and negative >= 0.05 * np.isfinite(values).sum()):
        typical = float(np.nanmedian(np.abs(values)))
        if np.count_nonzero(values < -1) >= 0.01 * values.size and typical > 0.2:
            yield detect.Sign("percent", True, -1, 0, len(values) - 1, typical)
        return
    wrong = (values <= 0) | (values == np.inf)
    for column in np.flatnonzero(wrong.any(axis=0)):
        rows = np.flatnonzero(wrong[:, column])
        last = int(np.flatnonzero(values[:, column] > 0)[-1]) if (values[:, column] > 0).any() else -1
        inside = rows[(rows < last) | (values[rows, column] != 0)]  # bankrupt at the end is possible
        if len(inside):
            first, final_row = int(inside[0]), int(inside[-1])
            yield detect.Sign("impossible", True, int(column), first, final_row, float(len(inside)))
    if wrong.any():
        values = np.where(wrong, np.nan, values)
    data = detect.Moves(values)
    found = [detect.find_jumps(data), detect.find_frozen(data), detect.find_relatives(values)]
    if isinstance(labels, pd.DatetimeIndex):
        found.append(detect.find_holes(labels.tz_localize(None).to_numpy()))
    if everything:
        found += [detect.find_gaps(data), detect.find_twins(data)]
    yield from chain(*found)
