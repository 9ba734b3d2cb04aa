"""What is optimised: one class an objective."""

from opeslike.objectives.base import Optimizer
from opeslike.objectives.distributionally_robust import KLRobustKelly, kl_radius
from opeslike.objectives.heuristics import Uniform
from opeslike.objectives.markowitz import MaxMean, MeanVariance, MinVariance
from opeslike.objectives.utility_theory import CARA, CRRA, HARA, Kelly, QuadraticUtility

__all__ = [
    "CARA",
    "CRRA",
    "HARA",
    "KLRobustKelly",
    "Kelly",
    "MaxMean",
    "MeanVariance",
    "MinVariance",
    "Optimizer",
    "QuadraticUtility",
    "Uniform",
    "kl_radius",
]
