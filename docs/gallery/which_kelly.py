# %% [markdown]
# # Which Kelly is best?
#
# Six variants walked forward over two years nobody had seen, re-optimised weekly, 20 basis points of what is traded.

# %%
from opeslike import Kelly, KLRobustKelly, Uniform, compare, load_us20

prices = load_us20(tickers="AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH", start="2010", end="2019")
variants = {
    "Kelly": Kelly(),
    "Half Kelly": Kelly(fraction=0.5),
    "Quarter Kelly": Kelly(fraction=0.25),
    "Robust": KLRobustKelly(radius="auto"),
    "Half robust": KLRobustKelly(fraction=0.5, radius="auto"),
    "1/N": Uniform(),
}
table = compare(variants, prices[:"2017"], prices["2018":], cost={"const": 20}, reopt_freq=5)
table

# %%
table.plot_wealth()

# %% [markdown]
# Each decision carries its certificate. The worst of them, as growth a day that was possibly left on the table:

# %%
max(result.max_gap or 0 for result in table.values())

# %% [markdown]
# And what was held when, in percent:

# %%
(100 * table["Robust"].weights.iloc[::60]).round(1)

# %% [markdown]
# One path of two years is an anecdote. What can be concluded from such a table, and what not, is the matter of [the last notebook](evidence_of_skill.py).
