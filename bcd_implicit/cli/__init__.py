"""The command line; ``main`` is the program ``bcd-implicit``."""

from bcd_implicit.cli.app import main

__all__ = ["main"]
