# %% [markdown]
# # Long and short
#
# Shorts, gross exposure, borrowing and fees are limits and prices like others; a selection of assets with a sizer is a strategy like others.

# %%
from opeslike import Backtester, Kelly, KLRobustKelly, Mandate, load_us20

prices = load_us20(start="2010", end="2019")
mandate = Mandate(bounds=(-0.1, 0.2), leverage=1.3, gross=1.6, risk_free=0.01, borrow_spread=0.01, short_fee=0.005)
book = KLRobustKelly(radius="auto", mandate=mandate)
book.optimize(prices)
book.solution

# %% [markdown]
# The account pays what the objective was told: interest, borrowing, fees. Dual momentum beside it, sized to a volatility.

# %%
from opeslike.strategies import DualMomentum, Sized, VolatilityTarget

tester = Backtester(
    prices[:"2014"], prices["2015":], cost={"const": 10}, risk_free=0.01, borrow_spread=0.01, short_fee=0.005
)
walks = {
    "robust book": tester.backtest(book, reopt_freq=21, rebalance_freq=21),
    "long only": tester.backtest(Kelly(fraction=0.5), reopt_freq=21, rebalance_freq=21),
    "dual momentum": tester.backtest(
        Sized(DualMomentum(lookback=126), VolatilityTarget(target=0.1)), reopt_freq=21, rebalance_freq=21
    ),
}
walks["robust book"]

# %%
from opeslike.analysis import plot_wealth

plot_wealth({name: walk.returns for name, walk in walks.items()})

# %% [markdown]
# Gross and net exposure, and what was paid for them:

# %%
import pandas as pd

pd.DataFrame(
    {
        name: {
            "mean gross": walk.gross_exposure.mean(),
            "mean net": walk.net_exposure.mean(),
            "financing a year": walk.financing.sum() / len(walk.returns) * 252,
            "costs a year": walk.costs.sum() / len(walk.returns) * 252,
        }
        for name, walk in walks.items()
    }
).style.format("{:.2%}")
