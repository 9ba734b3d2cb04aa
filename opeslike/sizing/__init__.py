"""How much to hold: Kelly factors, optimal f, bootstrap, growth curves and drawdown odds."""

from opeslike.sizing.bets import Bet, Card, Race, decimal_odds
from opeslike.sizing.bootstrap import (
    BINARY_KELLY,
    CONTINUOUS_KELLY,
    EMPIRICAL_KELLY,
    OPTIMAL_F,
    PARTIAL_KELLY,
    ConservativeSize,
    SizingRule,
    bootstrap_indices,
    conservative,
)
from opeslike.sizing.drawdown import drawdown_odds
from opeslike.sizing.empirical import (
    EmpiricalSolution,
    kelly_empirical,
    ruin_bounds,
    solve_empirical,
)
from opeslike.sizing.formulas import (
    growth_binary,
    growth_continuous,
    kelly_binary,
    kelly_continuous,
    kelly_multivariate,
    kelly_partial,
    kelly_payout,
)
from opeslike.sizing.growth import GrowthCurve, growth_curve
from opeslike.sizing.outcomes import (
    OptimalFSize,
    OutcomeStatistics,
    kelly_binary_from_outcomes,
    kelly_from_outcomes,
    optimal_f,
    outcome_statistics,
    trade_returns,
)
from opeslike.sizing.rolling import kelly_factor
from opeslike.sizing.staking import Stakes, stakes

__all__ = [
    "BINARY_KELLY",
    "CONTINUOUS_KELLY",
    "EMPIRICAL_KELLY",
    "OPTIMAL_F",
    "PARTIAL_KELLY",
    "Bet",
    "Card",
    "ConservativeSize",
    "EmpiricalSolution",
    "GrowthCurve",
    "OptimalFSize",
    "OutcomeStatistics",
    "Race",
    "SizingRule",
    "Stakes",
    "bootstrap_indices",
    "conservative",
    "decimal_odds",
    "drawdown_odds",
    "growth_binary",
    "growth_continuous",
    "growth_curve",
    "kelly_binary",
    "kelly_binary_from_outcomes",
    "kelly_continuous",
    "kelly_empirical",
    "kelly_factor",
    "kelly_from_outcomes",
    "kelly_multivariate",
    "kelly_partial",
    "kelly_payout",
    "optimal_f",
    "outcome_statistics",
    "ruin_bounds",
    "solve_empirical",
    "stakes",
    "trade_returns",
]
