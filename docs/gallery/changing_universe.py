# %% [markdown]
# # A universe that changes
#
# Assets list, pause and are delisted. NaN says where an asset has no price; nothing else is needed, and nothing is dropped in silence.

# %%
from opeslike import Backtester, KLRobustKelly, audit, load_us20

prices = load_us20(tickers="AMD BAC GE JPM KO MRK WMT XOM", start="2006", end="2010")
prices.loc[:"2007-06", "AMD"] = float("nan")  # as if listed in July 2007
prices.loc["2008-09-15":, "BAC"] = float("nan")  # as if gone after September 12, 2008
prices.loc["2009-02-23":"2009-02-25", "GE"] = float("nan")  # three days without a quote
prices.loc["2009-06-01":, "KO"] /= 2  # a split that nobody adjusted

# %% [markdown]
# First a look at the data: what is wrong, what it would do, what to do about it.

# %%
found = audit(prices)
found

# %%
mended = found.repair(splits=True)
len(audit(mended).severe)

# %% [markdown]
# Then the walk. BAC is paid out at 95% below its last mark, once it has been missing for five days: nobody knows tomorrow's delistings today.

# %%
tester = Backtester(mended[:"2007"], mended["2008":], cost={"const": 10}, delisting_return={"BAC": -0.95, "*": 0.0})
walk = tester.backtest(KLRobustKelly(radius="auto"), reopt_freq=5, window=252, min_history=200)
walk

# %% [markdown]
# Who was listed, eligible, held and suspended on every date is part of the result:

# %%
walk.universe.xs("BAC", axis=1, level=1).loc["2008-09-08":"2008-09-22"]
