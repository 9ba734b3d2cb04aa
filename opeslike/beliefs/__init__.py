"""What one believes about the next period: the past as scenarios with probabilities, one idea a file.

A belief is a function from :class:`~opeslike.market.Market` to Market; see :mod:`opeslike.beliefs.belief`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
