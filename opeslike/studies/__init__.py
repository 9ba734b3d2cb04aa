"""Studies: many strategies walked forward on the same terms; a comparison is a study of one sample."""

from opeslike.studies.comparing import compare, grid
from opeslike.studies.comparison import Comparison, make_folder

__all__ = ["Comparison", "compare", "grid", "make_folder"]
