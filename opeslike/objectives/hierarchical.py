"""Hierarchical risk parity."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from opeslike.market import FloatArray, Market
from opeslike.objectives.given import Given
from opeslike.objectives.moments import Covariance, covariance_of, volatilities
from opeslike.objectives.parameters import objective, one_of
from opeslike.objectives.rules import Rule, normalised
from opeslike.solvers.nonconvex.local_search import canonical


@objective
class HierarchicalRiskParity(Rule):
    r"""Hierarchical risk parity: variance split down a tree of clusters, without inverting the covariance.

    Assets are clustered by the distance :math:`\sqrt{(1 - \rho_{ij}) / 2}`, put in the order of the tree's leaves, and
    the ordered list is halved again and again. At each split the halves share their weight in inverse proportion to
    their variance under inverse-variance weights.

    Parameters
    ----------
    cluster_method : {"average", "single", "complete", "ward"}
        Linkage of the clusters. The paper uses "single".
    distance : {"correlation", "euclidean"}
        What is clustered: the distances above, or as in the paper the Euclidean distances between the columns of the
        matrix of those distances.
    covariance : {"sample", "ledoit_wolf", "oas"} or estimator
        As in :class:`~opeslike.objectives.markowitz.MinVariance`. The correlations are those of this covariance, or of
        ``custom_cov``.
    beliefs, mandate, solver, time_limit
        See :class:`~opeslike.objectives.base.Optimizer`.

    Raises
    ------
    PortfolioError
        If a parameter is unknown.

    References
    ----------
    Lopez de Prado (2016), *Building diversified portfolios that outperform out of sample*.
    """

    uses_covariance = True

    cluster_method: Annotated[str, one_of("single", "average", "complete", "ward")] = "average"
    distance: Annotated[str, one_of("correlation", "euclidean")] = field(default="correlation", kw_only=True)
    covariance: Covariance = field(default="sample", kw_only=True)

    def _formula(self, market: Market, given: Given, w: Any, seed: Any) -> FloatArray:
        covariance = covariance_of(market, given.custom_cov, self.covariance)
        deviation = volatilities(market, covariance)
        # a tree may be drawn with either branch first: in an order of the assets that is their own, not the data's
        own = canonical(market.returns)
        correlation = (covariance / np.outer(deviation, deviation))[np.ix_(own, own)]
        return bisected(covariance, own[leaf_order(correlation, self.cluster_method.lower(), self.distance.lower())])


def leaf_order(correlation: FloatArray, method: Any, distance: str) -> NDArray[np.intp]:
    """Order of the leaves of the cluster tree, so that similar assets are neighbours."""
    count = len(correlation)
    if count == 1:
        return np.zeros(1, dtype=np.intp)
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import pdist, squareform

    apart = np.sqrt(np.maximum(0.5 * (1.0 - correlation), 0.0))  # a correlation may exceed 1 by rounding
    np.fill_diagonal(apart, 0.0)
    condensed = pdist(apart) if distance == "euclidean" else squareform(apart, checks=False)
    return np.asarray(leaves_list(linkage(condensed, method=method)), dtype=np.intp)


def bisected(covariance: FloatArray, order: NDArray[np.intp]) -> FloatArray:
    """Weights by recursive bisection of an ordered list of assets, shape (N,)."""
    variance = covariance.diagonal()
    weights = np.ones(len(variance))

    def spread(group: NDArray[np.intp]) -> float:
        inside = normalised(1.0 / variance[group])
        return float(inside @ covariance[np.ix_(group, group)] @ inside)

    groups = [order]
    while groups:
        group = groups.pop()
        if group.size < 2:
            continue
        left, right = group[: group.size // 2], group[group.size // 2 :]
        of_left, of_right = spread(left), spread(right)
        share = of_right / (of_left + of_right)
        weights[left] *= share
        weights[right] *= 1.0 - share
        groups += [left, right]
    return weights
