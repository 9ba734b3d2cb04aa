"""What is optimised: one class an objective."""

from opeslike.objectives.base import Optimizer
from opeslike.objectives.distributionally_robust import (
    BayesianKelly,
    BoxRobustKelly,
    EllipsoidRobustKelly,
    KLRobust,
    KLRobustKelly,
    KLRobustMaxMean,
    RiskConstrainedKelly,
    WassRobustKelly,
    WassRobustMaxMean,
    WassRobustMeanVariance,
    WassRobustMinVariance,
    kl_radius,
)
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
from opeslike.objectives.risk_measures import CVaR, EntropicRisk, EVaR, MeanCVaR, MeanEVaR, VaR, WorstCaseLoss
from opeslike.objectives.utility_theory import CARA, CRRA, HARA, Kelly, QuadraticUtility

__all__ = [
    "BCRP",
    "CARA",
    "CRRA",
    "HARA",
    "REPO",
    "BayesianKelly",
    "BoxRobustKelly",
    "CVaR",
    "EVaR",
    "EllipsoidRobustKelly",
    "EntropicRisk",
    "ExponentialGradient",
    "HierarchicalRiskParity",
    "InverseVolatility",
    "KLRobust",
    "KLRobustKelly",
    "KLRobustMaxMean",
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
    "RiskConstrainedKelly",
    "RiskParity",
    "SoftmaxMean",
    "Uniform",
    "UniversalPortfolios",
    "VaR",
    "WassRobustKelly",
    "WassRobustMaxMean",
    "WassRobustMeanVariance",
    "WassRobustMinVariance",
    "WorstCaseLoss",
    "kl_radius",
]
