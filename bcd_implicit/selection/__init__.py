"""Which inputs matter: the kappa path, and the choice of a support from it."""

from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.path import PathResult, kappa_path
from bcd_implicit.selection.rules import RULES
from bcd_implicit.selection.walk import reference_kappa

__all__ = ["RULES", "PathResult", "Selection", "kappa_path", "reference_kappa"]
