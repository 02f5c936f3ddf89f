"""Implicit models trained by block-coordinate descent in certified convex subproblems."""

import lazy_loader

from bcd_implicit.old_paths import keep_old_paths

__version__ = "0.1.0"

# The public names are listed in __init__.pyi, with the modules that they are imported from when first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

keep_old_paths(globals())
