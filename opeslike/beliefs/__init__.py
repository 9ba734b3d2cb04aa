"""What one believes about the next period: the past as scenarios with probabilities, one idea a file.

A belief is a function from :class:`~opeslike.market.Market` to Market; see :mod:`opeslike.beliefs.belief`.
"""

from opeslike.beliefs.belief import Belief, Chain, Conditional, Empirical
from opeslike.beliefs.black_litterman import BlackLitterman
from opeslike.beliefs.bootstrap import BlockBootstrap
from opeslike.beliefs.decay import Decay
from opeslike.beliefs.factors import Factors
from opeslike.beliefs.given import Given, as_belief
from opeslike.beliefs.near import Near
from opeslike.beliefs.prior import Prior
from opeslike.beliefs.recentred import Recentred
from opeslike.beliefs.rescaled import Rescaled
from opeslike.beliefs.shrunk import ShrunkMeans
from opeslike.beliefs.simulated import Simulated
from opeslike.beliefs.stress import Stress
from opeslike.beliefs.views import Views
from opeslike.beliefs.window import Window

__all__ = [
    "Belief",
    "BlackLitterman",
    "BlockBootstrap",
    "Chain",
    "Conditional",
    "Decay",
    "Empirical",
    "Factors",
    "Given",
    "Near",
    "Prior",
    "Recentred",
    "Rescaled",
    "ShrunkMeans",
    "Simulated",
    "Stress",
    "Views",
    "Window",
    "as_belief",
]
