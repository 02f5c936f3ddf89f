"""The implicit model: its equilibrium, predictions, files, units."""

from bcd_implicit.model.implicit_model import ImplicitModel

__all__ = ["ImplicitModel"]
