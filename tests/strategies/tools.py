"""What the tests of this folder share: seeded prices, every rule and every sizer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from opeslike.accounting.overlays import DrawdownScaling, LeverageCap, StopAfterRuin, VolatilityScaling
from opeslike.backtester import Backtester
from opeslike.sizing import EMPIRICAL_KELLY, PARTIAL_KELLY
from opeslike.strategies import (
    AllOf,
    AnyOf,
    BuyAndHold,
    Conservative,
    ConservativeSizer,
    DualMomentum,
    DynamicKelly,
    EqualWeight,
    ExpandingKelly,
    FixedLeverage,
    KellySizer,
    MaxPositions,
    MonthlySeasonal,
    MovingAverageCross,
    OptimalF,
    OptimalFSizer,
    OutcomeSizer,
    RiskParityVolTarget,
    RollingKelly,
    Sized,
    TimeSeriesMomentum,
    TurnOfMonth,
    VolatilityTarget,
)

SPLIT = 60


def market(seed=0, rows=160, assets=5, scale=0.02, drift=0.0005, start="2015-01-15"):
    """Closes of correlated random walks."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0.0, scale / 2, (rows, 1))
    moves = drift + common + rng.normal(0.0, scale, (rows, assets))
    index = pd.bdate_range(start, periods=rows)
    return pd.DataFrame(100 * np.cumprod(1 + moves, axis=0), index=index, columns=list("ABCDEFGHIJ"[:assets]))


def ohlcv(closes, seed=0):
    """Two-level frame with Close and Volume."""
    rng = np.random.default_rng(seed)
    volume = pd.DataFrame(rng.uniform(1.0, 2.0, closes.shape), index=closes.index, columns=closes.columns)
    return pd.concat({"Close": closes, "Volume": volume}, axis=1)


def run(strategy, prices, split=SPLIT, cost=10.0, tester=None, **options):
    """Backtest on prices cut at ``split``."""
    return Backtester(prices[:split], prices[split:], cost={"const": cost}, **(tester or {})).backtest(
        strategy, **options
    )


SELECTIONS = {
    "dual": lambda: DualMomentum(lookback=20, n_long=1, n_short=1),
    "dual filtered": lambda: DualMomentum(
        lookback=15, n_long=2, n_short=2, skip=2, vol_lookback=10, max_vol=0.35, regime_window=20
    ),
    "dual regime asset": lambda: DualMomentum(lookback=15, n_long=2, n_short=1, regime_window=12, regime_asset="B"),
    "time series": lambda: TimeSeriesMomentum(lookback=20, skip=1, hurdle=0.01),
    "crossover": lambda: MovingAverageCross(fast=5, slow=20, allow_short=True),
    "turn of month": lambda: TurnOfMonth(),
    "seasonal": lambda: MonthlySeasonal(months=(4, 6, 8)),
    "all of": lambda: AllOf(TurnOfMonth(last=4, first=8), TimeSeriesMomentum(lookback=20, allow_short=False)),
    "any of": lambda: AnyOf(TurnOfMonth(), TimeSeriesMomentum(lookback=20)),
    "buy and hold": lambda: BuyAndHold(),
}
VOLUME = {"dual volume": lambda: DualMomentum(lookback=15, n_long=2, n_short=2, volume_lookback=5, min_volume=1.45)}

SIZERS = {
    "equal": lambda: EqualWeight(weight=0.1),
    "long only": lambda: EqualWeight(weight=0.2, allow_short=False),
    "no pyramiding": lambda: VolatilityTarget(allow_pyramiding=False, min_notional=0.01),
    "max positions": lambda: MaxPositions(weight=0.2, max_positions=2),
    "volatility": lambda: VolatilityTarget(lookback=7, target=0.10),
    "risk parity": lambda: RiskParityVolTarget(lookback=20),
    "dynamic": lambda: DynamicKelly(prior_trades=5),
    "kelly": lambda: KellySizer(window=30, max_leverage=2.0, min_periods=10),
    "kelly expanding": lambda: KellySizer(window=None, max_leverage=2.0, min_periods=10, use_log=True, every=3),
    "optimal f": lambda: OptimalFSizer(min_outcomes=10, max_leverage=3.0),
    "outcomes": lambda: OutcomeSizer(EMPIRICAL_KELLY, outcomes="trades", min_outcomes=3, max_leverage=2.0),
    "conservative": lambda: ConservativeSizer(
        PARTIAL_KELLY, n_boot=20, percentile=40, min_outcomes=10, max_leverage=3.0, window=30, every=5
    ),
}

ALONE = {
    "rolling": lambda: RollingKelly(window=20, max_leverage=2.0, allow_short=True),
    "rolling alone": lambda: RollingKelly(window=20, joint=False, min_periods=5, max_leverage=1.0, use_log=True),
    "expanding": lambda: ExpandingKelly(min_periods=10, max_leverage=3.0, fraction=0.5),
    "optimal f": lambda: OptimalF(min_periods=20, max_leverage=2.0),
    "conservative": lambda: Conservative(min_periods=20, max_leverage=2.0, n_boot=20, percentile=40),
    "fixed": lambda: FixedLeverage({"A": 0.5, "C": -0.25}),
}


def everything():
    """Pairs of a name and a factory: every rule unsized and sized, every sizer under a rule that trades."""
    yield from ((f"rule: {name}", make) for name, make in SELECTIONS.items())
    yield from ((f"alone: {name}", make) for name, make in ALONE.items())
    for name, make in SIZERS.items():
        yield f"sizer: {name}", lambda make=make: Sized(TimeSeriesMomentum(lookback=10), make())
    yield (
        "weekly record",
        lambda: Sized(DualMomentum(lookback=10), KellySizer(window=30, min_periods=5, max_leverage=2.0), every=5),
    )


OVERLAY = DrawdownScaling(0.05, 0.5)
OVERLAYS = {
    "drawdown": [DrawdownScaling(0.01, 0.08)],
    "drawdown with recovery": [DrawdownScaling(0.0, 0.02, recovery=4)],
    "volatility": [VolatilityScaling(target=0.08, lookback=15, cap=1.5)],
    "leverage": [LeverageCap(gross=0.6, net=0.2)],
    "stop": [StopAfterRuin(0.93)],
    "all": [
        VolatilityScaling(target=0.10, lookback=15, cap=2.0),
        DrawdownScaling(0.01, 0.08, recovery=3),
        LeverageCap(gross=0.8, net=0.3),
        StopAfterRuin(0.9),
    ],
}
