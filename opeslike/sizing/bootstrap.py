"""Conservative sizing: apply a rule to an unlucky resample of the outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from opeslike import checks
from opeslike.errors import DataError, PortfolioError
from opeslike.market import FloatArray
from opeslike.sizing.empirical import kelly_empirical
from opeslike.sizing.formulas import kelly_binary, kelly_continuous, kelly_partial
from opeslike.sizing.outcomes import expected_loss, kelly_binary_from_outcomes, kelly_from_outcomes, optimal_f
from opeslike.sizing.reading import Outcomes, read_outcomes

Unit: TypeAlias = Literal["risk_fraction", "leverage"]


@dataclass(frozen=True)
class SizingRule:
    """A function from outcomes to a size, with the unit of that size.

    Attributes
    ----------
    name : str
        Used in messages.
    unit : {"risk_fraction", "leverage"}
        ``"risk_fraction"``: part of wealth lost in the worst outcome; divided by the expected
        maximum loss it is a leverage. ``"leverage"``: value held as a multiple of wealth already.
    function : callable
        Takes a float array of outcomes, returns the size as a float.
    """

    name: str
    unit: Unit
    function: Callable[[FloatArray], float] = field(repr=False)

    def __post_init__(self) -> None:
        """Check the unit."""
        checks.choice(f"rule {self.name!r}: unit", self.unit, get_args(Unit), exact=True)

    def __call__(self, outcomes: Outcomes) -> float:
        """Size for these outcomes, in the rule's unit."""
        size: object = self.function(read_outcomes(outcomes))
        try:
            return float(size)  # type: ignore[arg-type]
        except (TypeError, ValueError) as exc:
            raise PortfolioError(f"rule {self.name!r} must return a number, got {size!r}") from exc

    def leverage(self, outcomes: Outcomes, expected_max_loss: float | None = None) -> float:
        """Size for these outcomes as a leverage: a risk fraction is divided by the expected maximum loss.

        Parameters
        ----------
        outcomes : Series or array_like, shape (T,)
        expected_max_loss : float, optional
            Its sign is ignored; the largest loss among the outcomes where omitted.

        Returns
        -------
        float
            Value to hold as a multiple of wealth.

        Raises
        ------
        DataError
            Unusable outcomes, or no loss among them for a risk fraction.
        PortfolioError
            An expected loss of zero or that is not finite.
        """
        size = self(outcomes)
        return size if self.unit == "leverage" else size / expected_loss(expected_max_loss, read_outcomes(outcomes))


def _mean_variance(outcomes: FloatArray) -> float:
    if len(outcomes) < 2 or float(np.ptp(outcomes)) == 0.0:
        raise DataError("outcomes: no variance, so continuous Kelly is undefined; use more of them")
    return max(0.0, float(kelly_continuous(outcomes.mean(), outcomes.var(ddof=1))))


def _optimal_f(outcomes: FloatArray) -> float:
    return optimal_f(outcomes).f


def _partial_kelly(outcomes: FloatArray) -> float:
    return kelly_from_outcomes(outcomes, allow_short=False)


def _empirical_kelly(outcomes: FloatArray) -> float:
    return float(kelly_empirical(outcomes, allow_short=False))


# Each is long or out: a rule that is sized is followed or left alone, not reversed.
BINARY_KELLY = SizingRule("binary Kelly", "risk_fraction", kelly_binary_from_outcomes)
OPTIMAL_F = SizingRule("optimal f", "risk_fraction", _optimal_f)
PARTIAL_KELLY = SizingRule("partial Kelly", "leverage", _partial_kelly)
CONTINUOUS_KELLY = SizingRule("continuous Kelly", "leverage", _mean_variance)
EMPIRICAL_KELLY = SizingRule("empirical Kelly", "leverage", _empirical_kelly)

RuleFunction: TypeAlias = Callable[..., Any]
_FUNCTIONS: dict[object, SizingRule] = {
    kelly_binary_from_outcomes: BINARY_KELLY,
    optimal_f: OPTIMAL_F,
    kelly_from_outcomes: PARTIAL_KELLY,
    kelly_empirical: EMPIRICAL_KELLY,
    # The formulas stand for themselves with the odds, or the moments, of the outcomes.
    kelly_binary: BINARY_KELLY,
    kelly_partial: PARTIAL_KELLY,
    kelly_continuous: CONTINUOUS_KELLY,
}


@dataclass(frozen=True)
class ConservativeSize:
    """Size from an unlucky resample.

    Attributes
    ----------
    value : float
        Size in the unit of the rule.
    leverage : float
        Value to hold as a multiple of wealth: ``value`` itself, or divided by
        ``expected_max_loss``.
    expected_max_loss : float
        Loss per unit held that a risk fraction was divided by, positive; ``nan`` for a leverage.
    percentile : float
        Where the resample stands among all, by mean outcome.
    mean_outcome : float
        Mean of that resample.
    rule : SizingRule
        What was applied.
    resample : ndarray, shape (T,)
        The resample.
    """

    value: float
    leverage: float
    expected_max_loss: float
    percentile: float
    mean_outcome: float
    rule: SizingRule
    resample: FloatArray = field(repr=False, compare=False)

    @property
    def unit(self) -> Unit:
        """The unit of the rule, "risk_fraction" or "leverage"."""
        return self.rule.unit

    def __float__(self) -> float:
        """The leverage."""
        return self.leverage


def bootstrap_indices(
    size: int,
    n_boot: int = 100,
    block: float | None = None,
    seed: int | np.random.Generator | None = 100,
    *,
    length: int | None = None,
) -> NDArray[np.intp]:
    """Row numbers of bootstrap resamples.

    Parameters
    ----------
    size : int
        Observations to draw from.
    n_boot : int
        Resamples.
    block : float, optional
        None draws each observation independently. A number >= 1 is the mean length of the
        stationary bootstrap's blocks: each block starts anywhere, wraps around at the end, and its
        length is geometric.
    seed : int or numpy.random.Generator, optional
        The same int gives the same resamples; None takes fresh entropy.
    length : int, optional
        Observations in each resample; ``size`` where omitted.

    Returns
    -------
    ndarray of int, shape (n_boot, length)

    Raises
    ------
    PortfolioError
        A parameter out of range.

    References
    ----------
    D. N. Politis and J. P. Romano, "The stationary bootstrap", Journal of the American Statistical
    Association 89, 1994.
    """
    size = checks.whole("size", size, low=1)
    n_boot = checks.whole("n_boot", n_boot, low=1)
    length = size if length is None else checks.whole("length", length, low=1)
    generator = checks.generator(seed)
    starts = generator.integers(size, size=(n_boot, length))
    if block is None:
        return starts
    mean_length = checks.number("block", block, low=1.0)
    fresh = generator.random((n_boot, length)) < 1.0 / mean_length
    fresh[:, 0] = True
    here = np.arange(length)
    begun = np.maximum.accumulate(np.where(fresh, here, 0), axis=1)
    return (np.take_along_axis(starts, begun, axis=1) + (here - begun)) % size


def conservative(
    rule: SizingRule | RuleFunction,
    outcomes: Outcomes,
    n_boot: int = 100,
    percentile: float = 5,
    seed: int | np.random.Generator | None = 100,
    block: float | None = None,
    expected_max_loss: float | None = None,
) -> ConservativeSize:
    """Size by the resample at a low percentile of the mean outcome.

    Bootstrap the outcomes, order the resamples by their mean, and apply the rule to the one that
    stands at ``percentile``.

    Parameters
    ----------
    rule : SizingRule or function
        One of ``BINARY_KELLY``, ``PARTIAL_KELLY``, ``CONTINUOUS_KELLY``, ``EMPIRICAL_KELLY``,
        ``OPTIMAL_F``, or the functions behind them (``optimal_f``, ``kelly_from_outcomes``,
        ``kelly_binary_from_outcomes``, ``kelly_empirical``, and the formulas ``kelly_binary``, ``kelly_partial``,
        ``kelly_continuous``; long or out), or any rule of your own: ``SizingRule(name, unit, function)``, or a
        function of the outcomes with an attribute ``unit``.
    outcomes : Series or array_like, shape (T,)
        Period returns or one outcome a trade. NaN rows are dropped with a log message.
    n_boot : int
        Resamples.
    percentile : float
        In [0, 100]: the resample with rank ceil(percentile / 100 * n_boot), at least 1, counted
        from the lowest mean.
    seed : int or numpy.random.Generator, optional
        The same int gives the same resamples; None takes fresh entropy.
    block : float, optional
        Mean block length of the stationary bootstrap, >= 1; None draws outcomes independently.
    expected_max_loss : float, optional
        Loss per unit held that a risk fraction is divided by; its sign is ignored. The largest loss
        among the outcomes (not the resample) where omitted. A rule in units of leverage is not
        divided.

    Returns
    -------
    ConservativeSize
        ``.leverage`` is what to hold.

    Raises
    ------
    DataError
        Unusable outcomes, or the rule refuses the chosen resample (for instance: it has no loss).
    PortfolioError
        A parameter out of range, or a function whose unit is not known.

    Examples
    --------
    >>> conservative(optimal_f, [0.02, -0.01] * 50, expected_max_loss=0.10).unit
    'risk_fraction'
    """
    applied = _as_rule(rule)
    values = read_outcomes(outcomes)
    share = checks.number("percentile", percentile, low=0.0, high=100.0)
    draws = values[bootstrap_indices(len(values), n_boot, block, seed)]
    means = draws.mean(axis=1)
    # The small subtraction keeps a rank that is whole on paper from being rounded up.
    rank = max(1, math.ceil(share / 100.0 * n_boot - 1e-9))
    chosen = int(np.argsort(means, kind="stable")[rank - 1])
    resample = draws[chosen]
    where = f"the resample at percentile {share:g} (mean {means[chosen]:g})"
    try:
        value = applied(resample)
    except DataError as error:
        raise DataError(f"{applied.name} cannot be applied to {where}: {error}") from error
    if not math.isfinite(value):
        raise DataError(f"{applied.name} gave {value} on {where}; a rule must return a finite number")
    by_risk = applied.unit == "risk_fraction"
    loss = expected_loss(expected_max_loss, values) if by_risk else math.nan
    leverage = value / loss if by_risk else value
    return ConservativeSize(value, leverage, loss, share, float(means[chosen]), applied, resample)


def _as_rule(rule: SizingRule | RuleFunction) -> SizingRule:
    if isinstance(rule, SizingRule):
        return rule
    if isinstance(rule, Hashable) and rule in _FUNCTIONS:
        return _FUNCTIONS[rule]
    if callable(rule) and hasattr(rule, "unit"):
        return SizingRule(getattr(rule, "__name__", type(rule).__name__), rule.unit, rule)
    raise PortfolioError(f"the unit of rule {rule!r} is not known; wrap it as SizingRule(name, unit, function)")
