"""Rules that turn the past into weights, and what the backtester expects of them.

*Selections* say which assets to hold and on which side, *sizers* say how much, and :class:`Sized` puts one of each
together; the same rule can be run with different sizers. The others are strategies by themselves.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
