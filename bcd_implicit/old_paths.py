"""Import paths of version 0.1.0 that still lead to public names.

The contract is ``import bcd_implicit as bi``. These are for programs, and for pickled results, that name the modules in
which public names stood before the package had a room for each thing.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from types import ModuleType
from typing import Any

# Public names by the module in which they once stood. If a package has that module's name, it offers them itself.
MOVED = {
    "activations": ("ACTIVATIONS", "Activation"),
    "bcd": ("METHODS", "solve"),
    "losses": ("LOSSES", "Loss"),
    "path": ("PathResult", "kappa_path", "reference_kappa"),
    "result": ("BcdResult", "BlockSolution", "Status"),
    "solvers": ("SOLVERS",),
}

# These were attributes of the package from the start, when importing it imported all of them.
ROOMS = (
    *("blocks", "certificates", "compression", "errors", "estimators", "model"),
    *("problem", "selection", "support", "terms", "tradeoff", "training"),
)


class _OldModule(ModuleType):
    """A module that takes the public names in ``__all__`` from the package when they are used."""

    __all__: tuple[str, ...]

    def __getattr__(self, name: str) -> Any:
        if name not in self.__all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(sys.modules["bcd_implicit"], name)


def keep_old_paths(package: MutableMapping[str, Any]) -> None:
    """Make a module of each old name, with the public names that stood in it, in the package's own names."""
    for module_name, names in MOVED.items():
        module = _OldModule(f"bcd_implicit.{module_name}", "An old import path; use ``import bcd_implicit as bi``.")
        module.__all__ = names
        sys.modules[module.__name__] = package[module_name] = module  # an attribute too: import a.b; a.b.name
