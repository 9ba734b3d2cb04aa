from .belief import Belief as Belief
from .belief import Chain as Chain
from .belief import Empirical as Empirical
from .decay import Decay as Decay
from .given import Given as Given
from .given import as_belief as as_belief
from .prior import Prior as Prior
