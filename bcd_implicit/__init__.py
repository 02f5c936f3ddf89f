"""Implicit models trained by block-coordinate descent in certified convex subproblems."""

import importlib
from typing import Any

import lazy_loader

from bcd_implicit.old_paths import ROOMS, keep_old_paths

__version__ = "0.2.0"

# The public names are listed in __init__.pyi, with the modules that they are imported from when first used.
_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"bcd_implicit.{name}") if name in ROOMS else _public(name)


keep_old_paths(globals())
