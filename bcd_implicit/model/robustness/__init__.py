"""What a model may predict under uncertainty: certified bounds, sensitivities, attacks."""

from bcd_implicit.model.robustness.robustness import Robustness

__all__ = ["Robustness"]
