"""Insight: questions to a portfolio, answered by certified solves, each with a table, a figure and what it proves."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
