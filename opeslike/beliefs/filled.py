"""Histories of unequal length, filled up to the longest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opeslike.beliefs.belief import Belief
from opeslike.checks import FloatArray
from opeslike.market import Market
from opeslike.parameters import Whole

#: Observed returns for each regressor at least, so that the fit is not of noise.
_EACH = 10


@dataclass(frozen=True, eq=False, repr=False)
class FilledHistory(Belief):
    r"""Returns before an asset was listed, drawn from what it did with the others since.

    By default estimation uses the dates on which every eligible asset is quoted, so the youngest decides for all. Here
    the rows before its listing stay, and its returns in them are drawn: from the assets with longer histories, by

    .. math:: r_{j,t} = a_j + b_j^\top x_t + e_{j, s(t)}

    with a and b fitted by least squares since the listing of j, x the returns of the longer histories (their leading
    principal components, where there are fewer than ten returns of j for each), and e the residual of a day s drawn at
    random since then. The draws are the same for all assets of a decision, so residuals of one day stay together.
    Nothing observed is changed, and ``effective_size`` stays that of the rows all assets have: drawn returns are no
    further evidence. How many rows hold drawn returns is told by ``filled`` of the market, of the solution and of
    ``result.rows``, which counts what was observed beside it, and by :meth:`describe`.

    It comes first in a chain: ``FilledHistory(1) | Decay(252)``. Where nothing is missing it changes nothing.

    Parameters
    ----------
    seed : int
        At least 0; combined with the date of the decision, so that the future changes nothing.

    Raises
    ------
    PortfolioError
        If ``seed`` is no whole number of at least 0.

    References
    ----------
    Stambaugh (1997), *Analyzing investments whose histories differ in length*, Journal of Financial Economics 45; Page
    (2013), *How to combine long and short return histories efficiently*, Financial Analysts Journal 69.

    Examples
    --------
    >>> import pandas as pd
    >>> prices = pd.DataFrame({"A": [10.0, 11, 12, 11, 12, 13], "B": [None, None, 5.0, 4.9, 5.1, 5.3]})
    >>> from opeslike.market import Market
    >>> FilledHistory(1)(Market.from_data(prices, "prices")).returns.shape
    (5, 2)
    """

    seed: Whole

    def __call__(self, market: Market) -> Market:
        """All rows since the longest history began, what is missing in them drawn."""
        if market.longer is None:
            return market
        returns, dates = market.longer()
        missing = np.isnan(returns).sum(axis=0)  # rows before the first return
        returns, dates, missing = returns[missing.min() :], dates[missing.min() :], missing - missing.min()
        if not missing.any():
            return Market(returns, market.assets, dates, None, market.effective_size)
        draws = np.random.default_rng([self.seed, *str(dates[-1]).encode()]).random(len(returns))
        filled = returns.copy(order="F")
        for begin in np.unique(missing[missing > 0]):
            young, longer = missing == begin, filled[:, missing < begin]
            regressors = _leading(longer, begin)
            observed = regressors[begin:]
            slopes = np.linalg.lstsq(observed, returns[begin:, young], rcond=None)[0]
            residuals = returns[begin:, young] - observed @ slopes
            chosen = (draws[:begin] * len(residuals)).astype(np.intp)
            filled[:begin, young] = np.maximum(regressors[:begin] @ slopes + residuals[chosen], -1.0)
        believed = Market(filled, market.assets, dates, None, market.effective_size)
        believed.filled = int(missing.max())
        return believed


def _leading(longer: FloatArray, begin: int) -> FloatArray:
    """A constant and the longer histories, or as many of their principal components as the observed rows bear."""
    most = max(1, (len(longer) - begin) // _EACH - 1)
    if longer.shape[1] > most:
        centred = longer - longer.mean(axis=0)
        longer = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -most:]
    return np.column_stack((np.ones(len(longer)), longer))
