"""The loops that train, and what they return."""

from bcd_implicit.training.bcd import solve
from bcd_implicit.training.cycles import METHODS
from bcd_implicit.training.fenchel_weights import Continuation, DualAscent
from bcd_implicit.training.result import BcdResult, Status

__all__ = ["METHODS", "BcdResult", "Continuation", "DualAscent", "Status", "solve"]
