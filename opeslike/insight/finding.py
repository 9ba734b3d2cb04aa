"""What every answer has: a table, a figure and a sentence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import pandas as pd


class Finding(ABC):
    """An answer about a portfolio.

    Attributes
    ----------
    frame : DataFrame
        The figures.
    says : str
        What was found, in a sentence.
    """

    if TYPE_CHECKING:  # a field of some answers, worked out when asked for by others

        @property
        def frame(self) -> pd.DataFrame: ...  # noqa: D102

    @property
    @abstractmethod
    def says(self) -> str:
        """What was found, in a sentence."""

    def plot(self, **options: Any) -> Any:
        """Draw it; see :func:`opeslike.analysis.insights.plot_finding`. Returns the matplotlib Figure."""
        from opeslike.analysis.insights import plot_finding

        return plot_finding(self, **options)

    def __str__(self) -> str:
        return f"{self.says}\n\n{self.frame}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.says})"

    def _repr_html_(self) -> str:
        """Sentence and table in a notebook."""
        from opeslike.analysis.formats import Table
        from opeslike.analysis.page import notebook_html

        return notebook_html(type(self).__name__, self.says, [Table("", self.frame)])
