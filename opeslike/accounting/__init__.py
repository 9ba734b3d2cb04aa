"""The books: costs, financing, the self-financing step, overlays, round trips and the result of a backtest."""
