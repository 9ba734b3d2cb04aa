"""What is optimised: one class an objective."""

from opeslike.objectives.base import Optimizer
from opeslike.objectives.distributionally_robust import KLRobustKelly, kl_radius
from opeslike.objectives.heuristics import (
    REPO,
    HierarchicalRiskParity,
    InverseVolatility,
    MaxDiversification,
    RiskParity,
    SoftmaxMean,
    Uniform,
)
from opeslike.objectives.markowitz import MaxMean, MaxSharpe, MeanVariance, MinVariance
from opeslike.objectives.online import BCRP, ExponentialGradient, UniversalPortfolios
from opeslike.objectives.risk_measures import CVaR, EntropicRisk, EVaR, MeanCVaR, MeanEVaR, WorstCaseLoss
from opeslike.objectives.utility_theory import CARA, CRRA, HARA, Kelly, QuadraticUtility

__all__ = [
    "BCRP",
    "CARA",
    "CRRA",
    "HARA",
    "REPO",
    "CVaR",
    "EVaR",
    "EntropicRisk",
    "ExponentialGradient",
    "HierarchicalRiskParity",
    "InverseVolatility",
    "KLRobustKelly",
    "Kelly",
    "MaxDiversification",
    "MaxMean",
    "MaxSharpe",
    "MeanCVaR",
    "MeanEVaR",
    "MeanVariance",
    "MinVariance",
    "Optimizer",
    "QuadraticUtility",
    "RiskParity",
    "SoftmaxMean",
    "Uniform",
    "UniversalPortfolios",
    "WorstCaseLoss",
    "kl_radius",
]
