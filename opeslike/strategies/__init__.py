"""Rules that turn the past into weights, and what the backtester expects of them.

*Selections* say which assets to hold and on which side, *sizers* say how much, and :class:`Sized` puts one of each
together; the same rule can be run with different sizers. The others are strategies by themselves.
"""

from opeslike.strategies.dynamic_kelly import DynamicKelly
from opeslike.strategies.holdings import BuyAndHold, FixedLeverage
from opeslike.strategies.leverage_rules import Conservative, ExpandingKelly, OptimalF, RollingKelly
from opeslike.strategies.momentum import DualMomentum, TimeSeriesMomentum
from opeslike.strategies.past import Past
from opeslike.strategies.protocol import HOLD, State, Strategy, Trade
from opeslike.strategies.record_sizers import ConservativeSizer, KellySizer, OptimalFSizer, OutcomeSizer
from opeslike.strategies.seasonal import MonthlySeasonal, TurnOfMonth
from opeslike.strategies.selection import AllOf, AnyOf, Selection
from opeslike.strategies.sized import Sized
from opeslike.strategies.sizers import EqualWeight, MaxPositions, RiskParityVolTarget, Sizer, VolatilityTarget
from opeslike.strategies.trend import MovingAverageCross

__all__ = [
    "HOLD",
    "AllOf",
    "AnyOf",
    "BuyAndHold",
    "Conservative",
    "ConservativeSizer",
    "DualMomentum",
    "DynamicKelly",
    "EqualWeight",
    "ExpandingKelly",
    "FixedLeverage",
    "KellySizer",
    "MaxPositions",
    "MonthlySeasonal",
    "MovingAverageCross",
    "OptimalF",
    "OptimalFSizer",
    "OutcomeSizer",
    "Past",
    "RiskParityVolTarget",
    "RollingKelly",
    "Selection",
    "Sized",
    "Sizer",
    "State",
    "Strategy",
    "TimeSeriesMomentum",
    "Trade",
    "TurnOfMonth",
    "VolatilityTarget",
]
