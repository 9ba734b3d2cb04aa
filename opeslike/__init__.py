"""opeslike: Kelly and robust-Kelly portfolios with a certified optimality gap, and an honest walk-forward backtester.

Public names are loaded on first use, so that ``import opeslike`` costs little more than ``import pandas``; they are
listed in ``__init__.pyi``, here and in every room.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
