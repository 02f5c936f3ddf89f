"""The command line; :func:`main` is ``bcd-implicit``."""

from bcd_implicit.cli.app import main

__all__ = ["main"]
