"""Evidence: what the differences between strategies can bear, and the sentence that may be said."""

from opeslike.evidence.deflation import (
    Overfitting,
    expected_maximum,
    min_track_record,
    overfitting,
    sharpe_probability,
    track_record,
    years_to_resolve,
)
from opeslike.evidence.intervals import Evidence, evidence
from opeslike.evidence.samples import equal_exposure
from opeslike.evidence.tests import (
    ConfidenceSet,
    SharpeTest,
    confidence_set,
    sharpe_test,
    superior_ability,
)

__all__ = [
    "ConfidenceSet",
    "Evidence",
    "Overfitting",
    "SharpeTest",
    "confidence_set",
    "equal_exposure",
    "evidence",
    "expected_maximum",
    "min_track_record",
    "overfitting",
    "sharpe_probability",
    "sharpe_test",
    "superior_ability",
    "track_record",
    "years_to_resolve",
]
