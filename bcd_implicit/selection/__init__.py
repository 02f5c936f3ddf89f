"""Which inputs matter, and which states depend on which: paths over kappa and kappa_A, and a choice of inputs."""

from bcd_implicit.selection.architecture import architecture_path
from bcd_implicit.selection.architecture_result import ArchitecturePath, FoundArchitecture
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.grid import reference_kappa
from bcd_implicit.selection.path import PathResult, kappa_path
from bcd_implicit.selection.rules import RULES

__all__ = [
    "RULES",
    "ArchitecturePath",
    "FoundArchitecture",
    "PathResult",
    "Selection",
    "architecture_path",
    "kappa_path",
    "reference_kappa",
]
