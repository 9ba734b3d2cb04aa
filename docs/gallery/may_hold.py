# %% [markdown]
# # What may be held
#
# An account holds something already, pays to trade, and has limits of somebody else's making. A `Mandate` says so, for any objective.

# %%
from opeslike import KLRobustKelly, Mandate, load_us20

prices = load_us20(start="2010", end="2019")
sectors = {
    "tech": ["AAPL", "AMD", "MSFT"],
    "health": ["JNJ", "LLY", "MRK", "PFE", "UNH"],
    "energy": ["CVX", "RRC", "XOM"],
}
mandate = Mandate(
    bounds=(0, 0.2),
    groups=sectors,
    group_bounds={"tech": (0.05, 0.3), "*": (0, 0.3)},
    costs=10,  # basis points of what is traded, inside the objective
    max_turnover=0.4,
)
held = {"JNJ": 0.2, "PG": 0.2, "KO": 0.2, "WMT": 0.2, "XOM": 0.2}
robust = KLRobustKelly(radius="auto", mandate=mandate)
robust.optimize(prices, held=held)
robust.solution

# %% [markdown]
# What to trade, and what it costs:

# %%
trades = robust.solution.trades
trades[(trades != 0).any(axis=1)].style.format("{:.3%}")

# %% [markdown]
# Positions inside the no-trade region are left *exactly* alone. The shadow prices above say what a unit more room in each limit is worth, in growth a day:
# `RRC >= 0` what it would be worth to be allowed to sell RRC short, `turnover <= 0.4` what a little more trading, `budget == 1` (negative) that the stocks
# are held because nothing else may be: with `leverage=1` the mandate would allow cash.
#
# A mandate that cannot be met is refused, and the limits that cannot hold together are named; drop any one of them and the rest can be met.

# %%
from opeslike.errors import InfeasibleError

ambitious = mandate.set_params(bounds=(0, 0.15), group_bounds={"tech": (0.5, 0.6), "energy": (None, 0.1)})
try:
    KLRobustKelly(mandate=ambitious).optimize(prices)
except InfeasibleError as error:
    print(error)

# %% [markdown]
# The same mandate in a walk: what is held comes from the account, costs from its terms.

# %%
from opeslike import Backtester

tester = Backtester(prices[:"2017"], prices["2018":], cost={"const": 10})
walk = tester.backtest(robust.copy(), reopt_freq=5, rebalance_freq=5)
walk
