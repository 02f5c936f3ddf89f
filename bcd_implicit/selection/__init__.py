"""Which inputs matter: the kappa path, and the choice of a support from it."""

from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.grid import reference_kappa
from bcd_implicit.selection.path import PathResult, kappa_path
from bcd_implicit.selection.rules import RULES

__all__ = ["RULES", "PathResult", "Selection", "kappa_path", "reference_kappa"]
