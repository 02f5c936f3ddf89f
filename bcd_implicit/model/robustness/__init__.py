"""What a model may predict under uncertainty: certified bounds, sensitivities, attacks."""

from bcd_implicit.model.robustness.certified import CertifiedAccuracy, certified_accuracy
from bcd_implicit.model.robustness.robustness import Robustness

__all__ = ["CertifiedAccuracy", "Robustness", "certified_accuracy"]
