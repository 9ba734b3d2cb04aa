"""How much to hold: Kelly factors, optimal f, bootstrap, growth curves and drawdown odds."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
