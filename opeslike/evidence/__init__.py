"""Evidence: what the differences between strategies can bear, and the sentence that may be said."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
