"""Differences between strategies with joint block-bootstrap intervals over time, and what may be said of them."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.beliefs.bootstrap import INSTALL, has_bootstrap
from opeslike.checks import positive, share_of, whole
from opeslike.errors import PortfolioError
from opeslike.evidence.bootstrap import resample
from opeslike.evidence.deflation import years_to_resolve
from opeslike.evidence.samples import (
    STATISTICS,
    ReturnsLike,
    Samples,
    equal_exposure,
    period_rates,
    read_samples,
    statistic,
)
from opeslike.market import describe


@final
class Evidence:
    """Differences of strategies from a benchmark, and what they can bear; made by :func:`evidence`.

    ``print`` shows, for each statistic, a table and one plain sentence that may be said. The bootstrap runs when it is
    first looked at; without the package arch the tables have no intervals and say how to get them.

    Attributes
    ----------
    benchmark : str
    caption : str
        The benchmark, the samples and the dates, in a line.
    values : DataFrame
        Strategies x statistics, annual, means over the samples; fractions (0.05 is 5% a year).
    notes : list of str
        Strategies left out of a statistic, and why.
    """

    def __init__(
        self, samples: Samples, base: int, statistics: Sequence[str], rates: Any, periods: float, terms: tuple[Any, ...]
    ) -> None:
        names, dates = samples.strategies, samples.dates
        self.benchmark, self._years, self._terms = names[base], len(dates) / periods, terms
        if len(names) < 2:
            raise PortfolioError("there is no strategy beside the benchmark to compare with it")
        if not statistics or not set(statistics) <= set(STATISTICS):
            raise PortfolioError(f"statistics={statistics!r} must be some of {', '.join(STATISTICS)}")
        many = "" if len(samples.values) == 1 else f"{len(samples.values):,} samples resampled together, "
        self.caption = (
            f"Against {self.benchmark}: {many}{len(dates):,} dates, {describe(dates[0])} to {describe(dates[-1])} "
            f"({self._years:.1f} years)"
        )
        self.values = pd.DataFrame(index=pd.Index(names, name="strategy"))
        self.notes: list[str] = []
        self._influence: dict[str, tuple[list[int], NDArray[np.float64]]] = {}
        for name in statistics:
            values, influence, undefined = statistic(samples, name, period_rates(rates, dates, periods), periods)
            if self.benchmark in undefined:
                raise PortfolioError(f"{self.benchmark}, the benchmark, {undefined[self.benchmark]}: it has no {name}")
            self.notes += [f"{strategy} {why}: it is left out of {name}." for strategy, why in undefined.items()]
            kept = [k for k, other in enumerate(names) if k != base and other not in undefined]
            self.values[name] = values
            self._influence[name] = kept, influence[:, kept] - influence[:, [base]]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Of each statistic a frame as :meth:`to_frame` describes it."""
        tables = {}
        for name, (kept, influence) in self._influence.items():
            values = self.values[name]
            table = pd.DataFrame({"value": values, "difference": values - values[self.benchmark]}).iloc[kept]
            if has_bootstrap():
                columns = resample(table["difference"].to_numpy(np.float64), influence, *self._terms)
                table = table.assign(**columns)
                if STATISTICS[name].resolvable:
                    noise = columns["error"] * math.sqrt(self._years)
                    table["years"] = [years_to_resolve(each, confidence=self._terms[0]) for each in noise]
            tables[name] = table
        return tables

    def to_frame(self) -> pd.DataFrame:
        """A row a statistic and strategy: value, difference and, with arch, the bootstrap's findings; annual fractions.

        ``error``: standard error; ``low``, ``high``: interval of that difference alone; ``p_value``: of it alone;
        ``adjusted_p``: of all strategies together; ``block_length``: mean length of the blocks, in periods; ``years``
        (growth and mean): of such returns until a difference of 0.01 a year leaves the interval, see
        :func:`years_to_resolve`.
        """
        return pd.concat(self.tables, names=["statistic", "strategy"])

    @property
    def sentences(self) -> dict[str, str]:
        """For each statistic the one plain sentence that may be said."""
        return {name: self._sentence(name) for name in self.tables}

    def _sentence(self, name: str) -> str:
        kind, rows = STATISTICS[name], self.tables[name].to_dict("index")
        on, sign = f"On {kind.label}", -1.0 if name == "volatility" else 1.0
        if not rows:
            return f"{on} there is nothing to compare."
        best = max(rows, key=lambda strategy: sign * rows[strategy]["difference"])
        row, first = rows[best], f", the {'highest' if sign > 0 else 'lowest'}," if len(rows) > 1 else ""
        size = f"{_figure(name, abs(row['difference']))}{' points a year' if kind.percent else ''}"
        extreme = f"{best}{first} is {size} {'above' if row['difference'] >= 0 else 'below'} {self.benchmark}"
        if "adjusted_p" not in row:
            return f"{on} {extreme}; whether that is more than chance needs intervals: {INSTALL}."
        told = {k: each for k, each in rows.items() if each["adjusted_p"] <= 1 - self._terms[0]}
        if not told:
            alone = f"its interval alone is {_interval(name, row)}, adjusted p {_p(row['adjusted_p'])}"
            years = row.get("years", 0.0)
            time = f"; it would take {years:,.0f} years of such returns to resolve 1% a year" if years else ""
            return f"{on} none can be named: {extreme}, {alone}{time}."
        parts = []
        for word, side in (("above", 1), ("below", -1)):
            names = [str(strategy) for strategy, each in told.items() if side * each["difference"] > 0]
            if names:
                listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
                parts.append(f"{listed} {'are' if len(names) > 1 else 'is'} {word} {self.benchmark}")
        most = f"{'at most ' if len(told) > 1 else ''}{_p(max(each['adjusted_p'] for each in told.values()))}"
        rest = f"; {len(rows) - len(told)} of {len(rows)} cannot be told from it" if len(told) < len(rows) else ""
        return f"{on} {', and '.join(parts)} (adjusted p {most}){rest}."

    def texts(self) -> dict[str, tuple[str, pd.DataFrame]]:
        """Of each statistic a title and its table as text, the benchmark first."""
        made = {}
        for name, table in self.tables.items():
            kind, found = STATISTICS[name], table.to_dict("index")
            label = kind.label.removeprefix("the ")
            title, columns = (
                f"{label[0].upper()}{label[1:]}, {'% a year' if kind.percent else 'annual'}",
                [label, "difference"],
            )
            rows = {
                str(k): [_figure(name, row["value"]), _figure(name, row["difference"], "+")] for k, row in found.items()
            }
            if found and "block_length" in table:
                title += f" (stationary blocks of {table['block_length'].max():.0f} on average)"
                columns += [f"{self._terms[0]:.0%} interval, each alone", "p, all together"]
                for k, row in found.items():
                    rows[str(k)] += [_interval(name, row), _p(row["adjusted_p"])]
            base = [_figure(name, self.values[name].to_dict()[self.benchmark]), *[""] * (len(columns) - 1)]
            frame = pd.DataFrame.from_dict({self.benchmark: base, **rows}, orient="index", columns=columns)
            made[name] = title, frame.rename_axis("strategy")
        return made

    def to_text(self, tablefmt: str = "simple", *, width: int | None = None) -> str:
        """Tables and sentences, in a format of tabulate ("simple", "pipe", "html").

        Given a width, sentences and heads are folded to it, and the values are left out where that is not enough.
        """
        from tabulate import tabulate

        parts, sentences = [self.caption], self.sentences
        for name, (title, frame) in self.texts().items():
            for shown in (frame, frame.iloc[:, 1:]):
                heads = [head if width is None else textwrap.fill(head, 14) for head in ["strategy", *shown]]
                rows = [[str(label), *cells] for label, *cells in shown.itertuples(name=None)]
                align = ("left", *["right"] * shown.shape[1])
                table = tabulate(rows, heads, tablefmt, colalign=align, disable_numparse=True)
                if width is None or max(map(len, table.splitlines())) <= width:
                    break
            parts += [title, table, sentences[name]]
        parts += self.notes
        if tablefmt == "html":
            return "\n".join(part if part.startswith("<table") else f"<p>{html.escape(part)}</p>" for part in parts)
        return "\n\n".join(part if width is None or "\n" in part else textwrap.fill(part, width) for part in parts)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Evidence({', '.join(self._influence)}; {self.caption})"

    def _repr_html_(self) -> str:
        """Show tables and sentences in a notebook."""
        return self.to_text("html")


def evidence(
    returns: ReturnsLike,
    benchmark: Any = None,
    *,
    statistics: Sequence[str] = ("growth", "sharpe", "volatility"),
    equalise: str | None = None,
    fractions: Mapping[str, float] | None = None,
    risk_free: float | pd.Series = 0.0,
    periods_per_year: float = 252,
    confidence: float = 0.95,
    resamples: int = 2000,
    block_length: int | None = None,
    seed: int = 0,
) -> Evidence:
    r"""What the differences between strategies and a benchmark can bear.

    Universes and windows share their dates and are no independent draws: one resample of *dates* serves all samples.
    Of each statistic the difference is

    .. math:: d_k = \frac1S \sum_s \big(\theta(r_{sk}) - \theta(r_{sb})\big), \qquad
        d_k^* - d_k = \frac1T \sum_t n_t^* (\psi_{tk} - \psi_{tb}),

    where :math:`\psi_{tk}` is the mean influence of date t over the samples (the delta method, see
    :func:`~opeslike.evidence.samples.statistic`; exact for growth) and :math:`n_t^*` counts how often the stationary
    bootstrap drew t. An interval is :math:`d_k \pm` the quantile of :math:`|d_k^* - d_k|`; adjusted p-values compare
    :math:`|d_k| / s_k`, s the bootstrap standard error, with the maximum over strategies, stepping down.

    Parameters
    ----------
    returns : DataFrame, dict, ndarray, or list of frames
        Simple returns per period, dates x strategies; a dict of name -> returns; samples x dates x strategies; or one
        frame a sample, whose dates may differ.
    benchmark : str or Series, optional
        Name of one of the strategies, or dated returns of its own. Default: the first strategy.
    statistics : sequence of {"growth", "sharpe", "volatility", "mean"}
        Annual: ``periods_per_year * mean(log(1 + r))``; ``mean(r - rf) / std(r - rf) * sqrt(periods_per_year)``;
        ``std(r) * sqrt(periods_per_year)``; ``periods_per_year * mean(r)``. Each is a family of tests of its own.
    equalise : {None, "volatility", "beta"}
        Scale every strategy to the benchmark's exposure first, see :func:`equal_exposure`; the scale is taken as known.
    fractions : mapping of strategy to number, optional
        Of those that hold a fraction f of a portfolio, the rest in cash: they are judged at full size, by their returns
        over the risk-free rate times 1/f, and a note says so. Exposure is no skill.
    risk_free : float or Series
        Annual rate, a fraction; for Sharpe, ``equalise`` and ``fractions``.
    periods_per_year : float
        252 for daily stock prices, 365 for daily crypto, 52, 12.
    confidence : float
        Of the intervals, and one minus the level of the adjusted tests.
    resamples : int
        At least 100.
    block_length : int, optional
        Mean length of the blocks, in periods. Default: Politis and White's rule on the influences, averaged over the
        strategies, for each statistic.
    seed : int

    Returns
    -------
    Evidence

    Raises
    ------
    DataError
        If returns cannot be used; sample, strategy and date are named.
    PortfolioError
        If a parameter is out of its range, or there is no such benchmark.

    Source: Politis and Romano (1994); Romano and Wolf, *Stepwise multiple testing as formalized data snooping* (2005).
    """
    periods = positive("periods_per_year", periods_per_year)
    length = None if block_length is None else whole("block_length", block_length, 1)
    draws, seed = whole("resamples", resamples, 100), whole("seed", seed)
    terms = (share_of("confidence", confidence), draws, length, seed)
    if equalise is not None:
        returns = equal_exposure(returns, benchmark, equalise, risk_free=risk_free, periods_per_year=periods)
        if isinstance(benchmark, pd.Series):  # now one of the columns
            benchmark = returns[0].columns[-1]
    samples, base = read_samples(returns, benchmark)
    part = {name: size for name, size in (fractions or {}).items() if size != 1.0 and name in samples.strategies}
    if part and equalise is None:
        samples = samples.at_full_size(part, period_rates(risk_free, samples.dates, periods))
    found = Evidence(samples, base, statistics, risk_free, periods, terms)
    if part and equalise is None:
        sizes = ", ".join(f"{name} (x {1 / size:.4g})" for name, size in part.items())
        found.notes.append(f"At full size, for exposure is no skill: returns over cash of {sizes}.")
    return found


def _figure(name: str, value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f}" if STATISTICS[name].percent else f"{value:{sign}.3f}"


def _interval(name: str, row: dict[Any, Any]) -> str:
    return f"{_figure(name, row['low'], '+')} to {_figure(name, row['high'], '+')}"


def _p(value: float) -> str:
    return "<.001" if value < 0.0005 else "1" if value >= 0.9995 else f"{value:.3f}".removeprefix("0")
