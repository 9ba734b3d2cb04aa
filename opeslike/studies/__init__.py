"""Studies: many strategies walked forward over many samples on the same terms; a comparison has one sample."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
