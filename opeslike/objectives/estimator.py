"""What scikit-learn asks of an estimator: fit, predict and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opeslike.errors import DataError
from opeslike.market import FloatArray, Kind, align_columns, check_values, read_panel, simple_returns
from opeslike.objectives.answer import Answer


class Estimator(Answer, ABC):
    """An objective as scikit-learn's pipelines, splits and searches take it; they are never imported here.

    Attributes
    ----------
    weights_ : ndarray of shape (N,)
        The weights found last, by :meth:`fit` or ``optimize``, as ``weights``; like the others not there before.
    n_features_in_ : int
        Number of assets N.
    feature_names_in_ : ndarray of N str
        Tickers; not there where the data had none, or not all are text.
    """

    @abstractmethod
    def optimize(self, data: Any = None, *arguments: Any, **options: Any) -> FloatArray:
        """Find the weights for the scenarios in ``data``."""

    def fit(self, X: Any, y: Any = None, *, kind: Kind = "returns", **options: Any) -> Self:
        """Find the weights, kept in ``weights_``.

        Parameters
        ----------
        X : DataFrame (pandas or polars), array or Market, of shape (T, N)
            Simple returns, unless ``kind`` says prices. Splits that leave a hole (combinatorial ones, k folds) are for
            returns alone: prices on either side of it would make a return that never was.
        y : ignored
        kind : {"returns", "prices"}
        **options
            Further arguments of ``optimize``, such as ``held``.

        Returns
        -------
        object
            This one.

        Raises
        ------
        DataError, PortfolioError, OptimizationError
            As ``optimize`` does.
        """
        self.optimize(X, kind=kind, **options)
        return self

    def predict(self, X: Any, *, kind: Kind = "returns") -> Any:
        r"""Returns of the portfolio, :math:`w^\top r_t + c\,\rho - s \sum_i (-w_i)_+`, with these weights at each row.

        Cash :math:`c = 1 - \sum_i w_i` earns the mandate's ``risk_free`` and is borrowed at ``risk_free +
        borrow_spread``; :math:`s` is its short fee. Costs of trading are not in it: they are the backtester's.

        Parameters
        ----------
        X : DataFrame (pandas or polars) or array of shape (T, N)
            Of the assets fitted; a frame in any order of its columns, an array in that of the fit.
        kind : {"returns", "prices"}

        Returns
        -------
        Series or ndarray of shape (T,)
            A Series by date where ``X`` is a frame; one row fewer than prices.

        Raises
        ------
        PortfolioError
            Before :meth:`fit`.
        DataError
            If an asset is missing, or something held has no return; names ticker and date.
        """
        weights, tickers = self._require_weights(), self.tickers or []
        panel = read_panel(X)
        check_values(panel, kind, given=True)
        if panel.assets != tuple(range(len(tickers))):  # an array has no names: it goes by place
            panel = align_columns(panel, tickers, "X")
        moves, dates = panel.values, panel.index
        if kind == "prices":
            moves, dates = simple_returns(moves), dates[1:]
        held = np.flatnonzero(weights)
        unknown = np.argwhere(np.isnan(moves[:, held]))
        if unknown.size:
            row, column = unknown[0]
            when = panel.date(len(panel.values) - len(moves) + row)
            raise DataError(f"{tickers[held[column]]} is held and has no return on {when}")
        found = moves[:, held] @ weights[held] + self._settings.mandate.carried(weights)
        return pd.Series(found, dates, name=type(self).__name__) if hasattr(X, "columns") else found

    def score(self, X: Any, y: Any = None, *, kind: Kind = "returns") -> float:
        r"""Mean log growth per period, :math:`\tfrac{1}{T} \sum_t \log(1 + \text{predict}(X)_t)`; higher is better.

        The same for every objective, so that different ones can be compared; -inf where all is lost in one period.
        Searches take any other as ``scoring``, a function of (estimator, X, y).

        Parameters
        ----------
        X, kind
            As in :meth:`predict`.
        y : ignored

        Raises
        ------
        PortfolioError, DataError
            As :meth:`predict` does.
        """
        growth = 1.0 + np.asarray(self.predict(X, kind=kind))
        return float(np.log(growth).mean()) if growth.min() > 0 else -np.inf

    @property
    def weights_(self) -> FloatArray:
        """The weights found last."""
        return self._require_weights()

    @property
    def n_features_in_(self) -> int:
        """Number of assets of the weights found last."""
        return len(self._require_weights())

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Tickers of the weights found last, where all are text."""
        self._require_weights()
        tickers = self.tickers or []
        if not all(isinstance(ticker, str) for ticker in tickers):
            raise AttributeError("the assets have no names, so there is no feature_names_in_; fit a frame with columns")
        return np.array(tickers, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are weights."""
        return self.weights is not None

    def __sklearn_tags__(self) -> Any:
        """Say that there may be gaps before a listing and after a delisting."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
