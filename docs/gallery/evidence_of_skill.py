# %% [markdown]
# # What a result can bear
#
# A backtest prints a number to the basis point. How much of it is luck?

# %%
from opeslike import Kelly, KLRobustKelly, MinVariance, Uniform, compare, load_us20

prices = load_us20()
strategies = {
    "Kelly": Kelly(),
    "Half Kelly": Kelly(fraction=0.5),
    "Robust": KLRobustKelly(radius=0.02),
    "Min variance": MinVariance(),
    "1/N": Uniform(),
}
table = compare(strategies, prices[:"2006"], prices["2007":], window=756, reopt_freq=21, rebalance_freq=21)
table

# %% [markdown]
# Joint block intervals against 1/N, p-values adjusted for having looked at all of them, and the sentence that may be said:

# %%
from opeslike.evidence import evidence, overfitting, track_record

returns = {name: result.returns for name, result in table.items()}
evidence(returns, "1/N")

# %% [markdown]
# Risk can be told apart in ten years; reward cannot in a lifetime. How likely is it that the best of these in one half is below the median in the other?

# %%
overfitting(returns)

# %% [markdown]
# And the record of the one that looks best, as if the other four had not been tried, and as if they had:

# %%
import pandas as pd

pd.DataFrame(returns).pipe(track_record)
