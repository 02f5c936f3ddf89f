"""Explanations for people: which inputs could have changed a prediction, and which the model needs."""

from bcd_implicit.model.explanations.explanation import Explanation
from bcd_implicit.model.explanations.explanations import Explanations
from bcd_implicit.model.explanations.importance import Importance

__all__ = ["Explanation", "Explanations", "Importance"]
