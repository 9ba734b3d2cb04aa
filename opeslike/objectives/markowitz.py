"""Objectives on mean and covariance."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from opeslike.objectives.base import Constraint, QuadraticObjective, positive


class MeanVariance(QuadraticObjective):
    r"""Mean-variance: the best trade-off of expected return against variance.

    .. math:: \min_{w \in W} \; \tfrac{\gamma}{2} w^\top \Sigma w - \mu^\top w

    Parameters
    ----------
    risk_aversion : float > 0
        :math:`\gamma`, per unit of variance; 1 is the second-order approximation of Kelly.
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of the sample covariance (divided by T - 1, without a ridge).
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    References
    ----------
    Markowitz (1952), *Portfolio selection*.
    """

    def __init__(
        self,
        risk_aversion: float = 0.5,
        *,
        custom_mean: ArrayLike | None = None,
        custom_cov: ArrayLike | None = None,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(solver=solver, constraints=constraints, probabilities=probabilities)
        self.risk_aversion = self.aversion = positive("risk_aversion", risk_aversion)
        self.custom_mean, self.custom_cov = custom_mean, custom_cov


class MinVariance(QuadraticObjective):
    r"""Minimum variance.

    .. math:: \min_{w \in W} \; w^\top \Sigma w

    Parameters
    ----------
    custom_cov : array-like of shape (N, N), optional
        Covariance per period instead of the sample covariance.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.

    References
    ----------
    Markowitz (1952), *Portfolio selection*.
    """

    uses_mean = False
    aversion = 2.0

    def __init__(
        self,
        *,
        custom_cov: ArrayLike | None = None,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(solver=solver, constraints=constraints, probabilities=probabilities)
        self.custom_cov = custom_cov


class MaxMean(QuadraticObjective):
    r"""Maximum expected return: everything in the best assets the bounds allow.

    .. math:: \max_{w \in W} \; \mu^\top w

    Parameters
    ----------
    custom_mean : array-like of shape (N,), optional
        Expected returns per period instead of the sample mean.
    solver, constraints, probabilities
        See :class:`~opeslike.objectives.base.Optimizer`.
    """

    uses_covariance = False

    def __init__(
        self,
        *,
        custom_mean: ArrayLike | None = None,
        solver: str = "auto",
        constraints: Sequence[Constraint] = (),
        probabilities: ArrayLike | None = None,
    ) -> None:
        super().__init__(solver=solver, constraints=constraints, probabilities=probabilities)
        self.custom_mean = custom_mean
