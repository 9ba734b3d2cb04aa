"""What one believes about the next period: the past as scenarios with probabilities, one idea a file.

A belief is a function from :class:`~opeslike.market.Market` to Market; see :mod:`opeslike.beliefs.belief`.
"""

from opeslike.beliefs.belief import Belief, Chain, Empirical
from opeslike.beliefs.decay import Decay
from opeslike.beliefs.filled import FilledHistory
from opeslike.beliefs.given import Given, as_belief
from opeslike.beliefs.prior import Prior

__all__ = ["Belief", "Chain", "Decay", "Empirical", "FilledHistory", "Given", "Prior", "as_belief"]
