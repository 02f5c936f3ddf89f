"""Import paths of version 0.1.0 that still lead to public names.

The contract is ``import bcd_implicit as bi``. These are for programs, and for pickled results, that name the modules in
which public names stood before the package had a room for each thing.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from types import ModuleType
from typing import Any

# Public names by the module in which they once stood. Where a package has that module's name, it offers them itself.
MOVED = {
    "activations": ("ACTIVATIONS", "Activation"),
    "bcd": ("METHODS", "solve"),
    "losses": ("LOSSES", "Loss"),
    "path": ("PathResult", "kappa_path", "reference_kappa"),
    "result": ("BcdResult", "BlockSolution", "Status"),
    "solvers": ("SOLVERS",),
}


def keep_old_paths(public: MutableMapping[str, Any]) -> None:
    """Make a module of each old name, with the public names that stood in it, in the package's own names."""
    for module_name, names in MOVED.items():
        module = ModuleType(f"bcd_implicit.{module_name}", "An old import path; use ``import bcd_implicit as bi``.")
        vars(module).update({name: public[name] for name in names})
        sys.modules[module.__name__] = public[module_name] = module  # an attribute too: import a.b; a.b.name
