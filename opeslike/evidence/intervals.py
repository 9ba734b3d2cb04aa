"""Differences between strategies with joint block-bootstrap intervals over time, and what may be said of them."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import pandas as pd

from opeslike.errors import OpesLikeError, PortfolioError
from opeslike.evidence.bootstrap import INSTALL, Resampled, resample
from opeslike.evidence.deflation import years_to_resolve
from opeslike.evidence.samples import (
    STATISTICS,
    FloatArray,
    ReturnsLike,
    equal_exposure,
    number,
    period_rates,
    read_samples,
    statistic,
    whole,
)
from opeslike.market import describe


@final
class Evidence:
    """Differences of strategies from a benchmark, and what they can bear; made by :func:`evidence`.

    ``print`` shows, for each statistic, a table and one plain sentence that may be said. The bootstrap runs when it is
    first looked at; without the package arch the tables have no intervals and say how to get them.

    Attributes
    ----------
    strategies : tuple of str
    benchmark : str
    values : DataFrame
        Strategies x statistics, annual, means over the samples; fractions (0.05 is 5% a year).
    notes : list of str
        Strategies left out of a statistic, and why.
    """

    def __init__(
        self,
        returns: ReturnsLike,
        benchmark: Any,
        statistics: Sequence[str],
        rates: float | pd.Series,
        periods_per_year: float,
        confidence: float,
        **terms: Any,
    ) -> None:
        samples, base = read_samples(returns, benchmark)
        if len(samples.strategies) < 2:
            raise PortfolioError("there is no strategy beside the benchmark to compare with it")
        unknown = sorted(set(statistics) - set(STATISTICS))
        if unknown or not statistics:
            raise PortfolioError(f"statistics={statistics!r} must be some of {', '.join(STATISTICS)}")
        self.strategies, self.benchmark, self._base = samples.strategies, samples.strategies[base], base
        self._dates, self._count, self._periods = samples.dates, len(samples.values), periods_per_year
        self._confidence, self._terms = confidence, terms
        self.notes: list[str] = []
        self._names: dict[str, list[str]] = {}
        self._influence: dict[str, FloatArray] = {}
        values = {}
        per_period = period_rates(rates, samples.dates, periods_per_year)
        for name in statistics:
            values[name], influence, undefined = statistic(samples, name, per_period, periods_per_year)
            if self.benchmark in undefined:
                raise PortfolioError(f"{self.benchmark}, the benchmark, {undefined[self.benchmark]}: it has no {name}")
            self.notes += [f"{strategy} {why}: it is left out of {name}." for strategy, why in undefined.items()]
            kept = [k for k, other in enumerate(self.strategies) if k != base and other not in undefined]
            self._names[name] = [self.strategies[k] for k in kept]
            self._influence[name] = influence[:, kept] - influence[:, [base]]
        self.values = pd.DataFrame(values, index=pd.Index(self.strategies, name="strategy"))

    @property
    def years(self) -> float:
        """Years the samples span together: dates / periods a year."""
        return len(self._dates) / self._periods

    def differences(self, name: str) -> pd.Series:
        """Annual statistic of each strategy less the benchmark's."""
        values = self.values[name]
        found: pd.Series = (values - values.iloc[self._base]).loc[self._names[name]]
        return found.rename("difference")

    @cached_property
    def resampled(self) -> dict[str, Resampled]:
        """Intervals and p-values of each statistic.

        Raises
        ------
        OpesLikeError
            If the package arch is not installed.
        """
        return {
            name: resample(self.differences(name).to_numpy(), influence, self._confidence, **self._terms)
            for name, influence in self._influence.items()
        }

    @cached_property
    def _shown(self) -> dict[str, Resampled]:
        """What there is to show: nothing without arch."""
        try:
            return self.resampled
        except OpesLikeError:
            return {}

    def to_frame(self) -> pd.DataFrame:
        """A row a statistic and strategy: value, difference and, with arch, low, high, p_value, adjusted_p, years.

        Annual fractions. ``years``: of such returns until a difference of 0.01 a year leaves the interval of one
        strategy alone (growth and mean only, else NaN); see :func:`years_to_resolve`.
        """
        frames = {}
        for name in self._names:
            difference = self.differences(name)
            frame = pd.DataFrame({"value": self.values.loc[difference.index, name], "difference": difference})
            if name in self._shown:
                found = self._shown[name]
                frame["low"], frame["high"] = difference - found.half_width, difference + found.half_width
                frame["p_value"], frame["adjusted_p"] = found.p_value, found.adjusted_p
                frame["years"] = self._years(name, found.error)
            frames[name] = frame
        return pd.concat(frames, names=["statistic", "strategy"])

    def _years(self, name: str, error: FloatArray) -> FloatArray:
        if not (STATISTICS[name].percent and STATISTICS[name].power == 1.0):
            return np.full(len(error), np.nan)
        return np.array([years_to_resolve(e * math.sqrt(self.years), confidence=self._confidence) for e in error])

    @property
    def sentences(self) -> dict[str, str]:
        """For each statistic the one plain sentence that may be said."""
        return {name: self._sentence(name) for name in self._names}

    def _sentence(self, name: str) -> str:
        on, sign = f"On {STATISTICS[name].label}", -1.0 if name == "volatility" else 1.0
        difference = self.differences(name)
        if difference.empty:
            return f"{on} there is nothing to compare."
        best = int(np.argmax(sign * difference.to_numpy()))
        size = f"{_figure(name, abs(difference.iloc[best]))}{' points a year' if STATISTICS[name].percent else ''}"
        first = f", the {'highest' if sign > 0 else 'lowest'}," if len(difference) > 1 else ""
        side = "above" if difference.iloc[best] >= 0 else "below"
        extreme = f"{difference.index[best]}{first} is {size} {side} {self.benchmark}"
        if name not in self._shown:
            return f"{on} {extreme}; whether that is more than chance needs intervals: {INSTALL}."
        found = self._shown[name]
        told = found.adjusted_p <= 1 - self._confidence
        if not told.any():
            low, high = (_figure(name, difference.iloc[best] + end * found.half_width[best], "+") for end in (-1, 1))
            years = self._years(name, found.error)[best]
            time = f"; it would take {years:,.0f} years of such returns to resolve 1% a year" if years > 0 else ""
            p = _p(found.adjusted_p[best])
            return f"{on} none can be named: {extreme}, its interval alone is {low} to {high}, adjusted p {p}{time}."
        parts = []
        for word, side_of in (("above", difference > 0), ("below", difference < 0)):
            names = [str(strategy) for strategy in difference.index[told & side_of]]
            if names:
                listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
                parts.append(f"{listed} {'are' if len(names) > 1 else 'is'} {word} {self.benchmark}")
        most = "at most " if told.sum() > 1 else ""
        rest = f"; {(~told).sum()} of {len(told)} cannot be told from it" if not told.all() else ""
        return f"{on} {', and '.join(parts)} (adjusted p {most}{_p(found.adjusted_p[told].max())}){rest}."

    @property
    def caption(self) -> str:
        """One line: the benchmark, the samples and the dates."""
        samples = "" if self._count == 1 else f"{self._count:,} samples resampled together, "
        return (
            f"Against {self.benchmark}: {samples}{len(self._dates):,} dates, {describe(self._dates[0])} to "
            f"{describe(self._dates[-1])} ({self.years:.1f} years)"
        )

    def to_text(self, tablefmt: str = "simple") -> str:
        """Tables and sentences, in a format of tabulate ("simple", "pipe", "html")."""
        from tabulate import tabulate

        parts = [self.caption]
        for name, sentence in self.sentences.items():
            kind, found = STATISTICS[name], self._shown.get(name)
            label = kind.label.removeprefix("the ")
            title, columns = f"{label}, {'% a year' if kind.percent else 'annual'}", ["strategy", label, "difference"]
            difference, base = self.differences(name), self.values[name].iloc[self._base]
            rows = [[self.benchmark, _figure(name, base)]]
            rows += [[str(k), _figure(name, base + d), _figure(name, d, "+")] for k, d in difference.items()]
            if found is not None:
                title += f" (stationary blocks of {found.block_length} on average)"
                columns += [f"{self._confidence:.0%} interval, each alone", "p, all together"]
                for row, d, half, p in zip(rows[1:], difference, found.half_width, found.adjusted_p, strict=True):
                    row += [f"{_figure(name, d - half, '+')} to {_figure(name, d + half, '+')}", _p(p)]
            align = ("left", *["right"] * (len(columns) - 1))
            table = tabulate(rows, columns, tablefmt=tablefmt, colalign=align, disable_numparse=True)
            parts += [title[0].upper() + title[1:], table, sentence]
        parts += self.notes
        if tablefmt == "html":
            return "\n".join(part if part.startswith("<table") else f"<p>{html.escape(part)}</p>" for part in parts)
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Evidence({', '.join(self._names)}; {self.caption})"

    def _repr_html_(self) -> str:
        """Show tables and sentences in a notebook."""
        return self.to_text("html")


def evidence(
    returns: ReturnsLike,
    benchmark: Any = None,
    *,
    statistics: Sequence[str] = ("growth", "sharpe", "volatility"),
    equalise: str | None = None,
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
    risk_free : float or Series
        Annual rate, a fraction; for Sharpe and for ``equalise``.
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
    periods = number("periods_per_year", periods_per_year, 0.0)
    number("confidence", confidence, 0.0, 1.0)
    terms: dict[str, Any] = {"resamples": whole("resamples", resamples, 100), "seed": whole("seed", seed)}
    terms["block_length"] = None if block_length is None else whole("block_length", block_length, 1)
    if equalise is not None:
        returns = equal_exposure(returns, benchmark, equalise, risk_free=risk_free, periods_per_year=periods)
        if isinstance(benchmark, pd.Series):  # now one of the columns
            benchmark = returns[0].columns[-1]
    return Evidence(returns, benchmark, statistics, risk_free, periods, confidence, **terms)


def _figure(name: str, value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f}" if STATISTICS[name].percent else f"{value:{sign}.3f}"


def _p(value: float) -> str:
    return "<.001" if value < 0.0005 else "1" if value >= 0.9995 else f"{value:.3f}".removeprefix("0")
