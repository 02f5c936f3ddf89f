"""Smaller models: rows matched to a model's states, whole states removed, certificates, and a bound on the change."""

from bcd_implicit.compression.change import change_bound
from bcd_implicit.compression.compress import compress
from bcd_implicit.compression.result import Compression, SmallModel

__all__ = ["Compression", "SmallModel", "change_bound", "compress"]
