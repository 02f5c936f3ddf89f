"""Plots: each takes a model, a result or a path and an axes, draws on it, and returns it.

Without an axes they draw on the current one. Names need room: make figures with ``layout="constrained"``.
"""

from bcd_implicit.plots.equilibrium import picard_convergence, states
from bcd_implicit.plots.inputs import column_norms, kappa_path
from bcd_implicit.plots.matrices import sparsity
from bcd_implicit.plots.predictions import residuals
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.plots.training import certificates, history

__all__ = [
    "MARK",
    "UNUSED",
    "USED",
    "certificates",
    "column_norms",
    "history",
    "kappa_path",
    "picard_convergence",
    "residuals",
    "sparsity",
    "states",
]
