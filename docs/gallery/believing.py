# %% [markdown]
# # What one believes
#
# An objective optimises over scenarios. Where they come from is a *belief*: the past as it is, weighted, shrunk, with views, or simulated. Beliefs compose
# from left to right, and go with any objective.

# %%
from opeslike import Kelly, load_us20
from opeslike.beliefs import Decay, Prior, ShrunkMeans, Simulated, Stress, Views

prices = load_us20(tickers="AAPL BAC JNJ JPM MSFT XOM", start="2010", end="2019")
belief = (
    Decay(halflife=504)
    | ShrunkMeans("bayes-stein")
    | Views({"mean(AAPL)": 0.12, "mean(MSFT) - mean(XOM)": 0.03, "vol(JPM)": "<= 0.25"}, confidence=0.5)
)
belief.describe(prices)

# %% [markdown]
# What each does to the portfolio:

# %%
import pandas as pd

crash = pd.DataFrame([-0.2] * 6, index=prices.columns).T
beliefs = {
    "as it was": None,
    "decayed": Decay(halflife=504),
    "shrunk": ShrunkMeans("bayes-stein"),
    "with views": belief,
    "with a crash": Stress(crash, 0.002),
    "with a bleak year": Prior(-prices.pct_change().iloc[-252:], pseudo_count=252),
    "simulated": Simulated("t", 5000, seed=1),
}
held = {}
for name, made in beliefs.items():
    kelly = Kelly(beliefs=made)
    kelly.optimize(prices)
    held[name] = kelly.solution.to_series()
pd.DataFrame(held).style.format("{:.1%}")

# %% [markdown]
# Full Kelly follows every one of them, which is the point and the danger. Half of it, or a KL ball around the belief, follows less.

# %%
from opeslike import KLRobustKelly

spread = {}
for radius in (0.0, 0.001, 0.005, 0.02):
    held = {}
    for name, made in beliefs.items():
        robust = KLRobustKelly(radius=radius, beliefs=made)
        robust.optimize(prices)
        held[name] = robust.solution.to_series()
    frame = pd.DataFrame(held)
    spread[radius] = (frame.sub(frame["as it was"], axis=0)).abs().sum().drop("as it was")
pd.DataFrame(spread).rename_axis(columns="radius").style.format("{:.2f}")

# %% [markdown]
# The table shows the sum of absolute differences from the portfolio without the belief: how far each belief moves the answer, at each radius.
