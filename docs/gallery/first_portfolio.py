# %% [markdown]
# # A first portfolio
#
# Ten years of prices in, weights out, and a proof of how good they are. Everything here runs offline, on prices that come with the package.

# %%
from opeslike import Kelly, KLRobustKelly, load_us20

prices = load_us20(tickers="AAPL JNJ JPM MSFT WMT XOM", start="2010", end="2019")
prices.tail(3)

# %% [markdown]
# `Kelly` maximises the expected logarithm of wealth. `optimize` takes prices (or returns) and answers with an array, in the order of the columns;
# `solution` says more.

# %%
kelly = Kelly()
kelly.optimize(prices)
kelly.solution

# %% [markdown]
# The **gap** is a proof: no portfolio within the limits grows faster by more than that, a day. It is computed from the weights and a bound, not taken
# from the solver's word, and anyone may repeat it from the data:

# %%
kelly.solution.verify(prices)

# %% [markdown]
# Two stocks hold everything. That is not a bug: the optimum of a sample mean is the optimum of its luck, too. Three ways to hold less of that luck:
# a **fraction** of Kelly (the rest is cash), **robustness** against every distribution within a KL ball around the sample, and **limits**.

# %%
import pandas as pd

from opeslike import Mandate

choices = {
    "full": Kelly(),
    "half": Kelly(fraction=0.5),
    "robust": KLRobustKelly(radius="auto"),
    "capped": Kelly(mandate=Mandate(bounds=(0, 0.25))),
}
for choice in choices.values():
    choice.optimize(prices)
pd.DataFrame({name: choice.solution.to_series() for name, choice in choices.items()}).style.format("{:.1%}")

# %% [markdown]
# What a limit costs is its **shadow price**: growth a day for a unit more room. Times 252, times one percentage point, is easier to read.

# %%
(choices["capped"].solution.shadow_prices * 252 * 0.01).map("{:.3%} a year for a point more".format)

# %% [markdown]
# From here: [which Kelly is best](which_kelly.py), [what may be held](may_hold.py), [what one believes](believing.py).
