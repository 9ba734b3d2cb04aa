"""Checks of the parameters that objectives are given: the package's, under the names they had here."""

from __future__ import annotations

from opeslike.checks import FloatArray as FloatArray
from opeslike.checks import check_covariance as check_covariance
from opeslike.checks import check_mean as check_mean
from opeslike.checks import finite as finite
from opeslike.checks import fraction_of as fraction_of
from opeslike.checks import positive as positive
from opeslike.checks import radii_of as radii_of
from opeslike.checks import share_of as share_of
