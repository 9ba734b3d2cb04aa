"""Objectives as estimators of skfolio, for its splits, populations and searches."""

from __future__ import annotations

from functools import cache
from typing import Any

from opeslike.errors import PortfolioError
from opeslike.objectives.base import Optimizer


def wrap(objective: Optimizer, **parameters: Any) -> Any:
    """Make an objective an optimiser of skfolio, a ``BaseOptimization``.

    It goes wherever skfolio's own do: ``cross_val_predict`` with ``WalkForward`` or ``CombinatorialPurgedCV``,
    pipelines, and the searches of scikit-learn, where the objective's parameters are ``objective__radius`` and so on.
    ``fit`` takes returns; ``predict`` gives a skfolio ``Portfolio``, whose cash earns nothing and costs nothing to
    borrow. What skfolio hands on as ``previous_weights`` is the objective's ``held`` where its mandate uses that.

    Parameters
    ----------
    objective : Optimizer
        Kept as it is; each fit works on a copy, left in ``objective_`` with its ``solution``.
    **parameters
        Of skfolio's base class: ``portfolio_params``, ``fallback``, ``previous_weights``, ``raise_on_failure``.

    Returns
    -------
    Wrapped

    Raises
    ------
    PortfolioError
        If it is no objective, or skfolio is not installed.
    """
    if not isinstance(objective, Optimizer):
        raise PortfolioError(f"wrap takes an objective such as Kelly(), got {objective!r}")
    return _wrapped()(objective, **parameters)


@cache
def _wrapped() -> Any:
    """The class, made when it is first asked for: it cannot be written down without importing skfolio."""
    try:
        from skfolio.optimization import BaseOptimization
        from sklearn.utils.validation import validate_data
    except ImportError as error:
        raise PortfolioError(f"this needs skfolio: pip install skfolio ({error})") from error

    class Wrapped(BaseOptimization):  # type: ignore[misc]
        """An objective of opeslike as an optimiser of skfolio; made by :func:`wrap`."""

        __module__, __qualname__ = __name__, "Wrapped"  # where pickle finds it

        def __init__(
            self,
            objective: Any,
            portfolio_params: Any = None,
            fallback: Any = None,
            previous_weights: Any = None,
            raise_on_failure: bool = True,
        ) -> None:
            super().__init__(portfolio_params, fallback, previous_weights, raise_on_failure)
            self.objective = objective

        def fit(self, X: Any, y: Any = None) -> Any:
            """Find the weights of returns ``X``, kept in ``weights_``; ``y`` is ignored."""
            validate_data(self, X, skip_check_array=True)
            self.objective_ = self.objective.copy()
            given = {}
            if self.objective.uses_held and self.previous_weights is not None:
                given["held"] = self._clean_previous_weights(self.n_features_in_)
            self.weights_ = self.objective_.fit(X, **given).weights_
            return self

        @property
        def needs_previous_weights(self) -> bool:
            """Whether each fit waits for the weights of the one before."""
            return bool(self.objective.uses_held or super().needs_previous_weights)

    return Wrapped


def __getattr__(name: str) -> Any:
    if name == "Wrapped":
        return _wrapped()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
