# %% [markdown]
# # How much of it?
#
# Kelly is a rule of *size*. One bet, a card of bets, one asset, a trading rule: each has an answer.

# %%
from opeslike.sizing import Bet, Race, growth_binary, kelly_binary, stakes

kelly_binary(0.55, 1.1), growth_binary(0.55, 1.1, kelly_binary(0.55, 1.1))  # p, and what a win pays per unit staked

# %% [markdown]
# A card: a race whose outcomes exclude each other, and two independent bets. Half Kelly, robust against odds that are a little off.

# %%
card = Race({"A": (0.50, 2.2), "B": (0.30, 3.5), "C": (0.20, 4.0)}) + Bet(p=0.55, odds=2.1) + Bet(p=0.31, odds="+250")
stakes(card, fraction=0.5, radius=0.002, bankroll=1_000)

# %% [markdown]
# One asset: growth as a function of leverage, its top, and where it falls below cash.

# %%
from opeslike import load_sp500
from opeslike.sizing import growth_curve

index = load_sp500()["1993":"2019"].pct_change().dropna()
curve = growth_curve(index, risk_free=0.025)
curve

# %%
from opeslike.analysis import plot_growth_curve

plot_growth_curve(curve)

# %% [markdown]
# The optimum is one number from one past. The bootstrap shows how little the past knows of it:

# %%
from opeslike.sizing import CONTINUOUS_KELLY, conservative

conservative(CONTINUOUS_KELLY, index, seed=1)
