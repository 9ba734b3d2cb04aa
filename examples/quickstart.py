"""Half Kelly and KL-robust Kelly on embedded prices: two backtests, their figures, their certificates, one chart.

Writes: quickstart.png

    python quickstart.py
"""

from opeslike import load_us20
from opeslike.backtester import Backtester
from opeslike.objectives.distributionally_robust import KLRobustKelly
from opeslike.objectives.utility_theory import Kelly

prices = load_us20(tickers="AAPL AMD BAC BBY CVX GE JPM MSFT RRC UNH", start="2010", end="2019")
train, test = prices[:"2017"], prices["2018":]

radius = 1 / (len(train) + len(test) - 1) ** 0.5
tester = Backtester(train_data=train, test_data=test, cost={"const": 20})
half = tester.backtest(optimizer=Kelly(fraction=0.5), reopt_freq=5, clean_weights=True)
robust = tester.backtest(optimizer=KLRobustKelly(radius=radius, fraction=1), reopt_freq=5, clean_weights=True)

for name, result in (("Half Kelly", half), ("KL-robust Kelly", robust)):
    figures = tester.get_metrics(result["returns"])
    print(
        f"{name}: {figures['total_return']:.1f}% in two years, {figures['max_drawdown']:.1f}% below the peak at worst"
    )
    print(
        f"  {len(result.certificates)} re-optimisations, "
        f"each within {result.max_gap:.1e} a day of the optimum (certified)"
    )
    held = ", ".join(f"{ticker} {weight:.1%}" for ticker, weight in result.weights.iloc[0].nlargest(3).items())
    print(f"  first day: {held}; solved by {result.certificates['solver'].iloc[0]}")

tester.plot_wealth(
    {"Half Kelly": half["returns"], "KL-robust Kelly": robust["returns"]},
    timeline=half["timeline"],
    savefig="quickstart.png",
)
