"""Rules that turn the past into weights, and what the backtester expects of them."""

from opeslike.strategies.protocol import State, Strategy, Trade

__all__ = ["State", "Strategy", "Trade"]
