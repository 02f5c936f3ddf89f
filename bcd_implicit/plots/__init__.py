"""Plots: each takes a model, a result, a path or a classifier and an axes, draws on it, and returns it.

Without an axes they draw on the current one, as pyplot does; if no figure is open, on a new one. Names need room. A new
figure makes it; make your own with ``plt.subplots(layout="constrained")``. The two that are called ``animate_...``
return the animation.
"""

from bcd_implicit.plots.animations import animate_cobweb, animate_path
from bcd_implicit.plots.architectures import architecture_path
from bcd_implicit.plots.classes import decision_regions, reliability
from bcd_implicit.plots.cobwebs import cobweb
from bcd_implicit.plots.connections import architecture, compression
from bcd_implicit.plots.equilibrium import picard_convergence, solver_convergence, states
from bcd_implicit.plots.explanations import explanation, importance
from bcd_implicit.plots.inputs import column_norms, kappa_path
from bcd_implicit.plots.live import sliders, stills
from bcd_implicit.plots.matrices import entries, sparsity
from bcd_implicit.plots.predictions import quantile_bands, residuals
from bcd_implicit.plots.selections import effects, p_values, stability
from bcd_implicit.plots.structure import matrix
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.plots.tradeoff import robustness
from bcd_implicit.plots.training import certificates, history
from bcd_implicit.plots.uncertainty import bounds, sensitivity

__all__ = [
    "MARK",
    "UNUSED",
    "USED",
    "animate_cobweb",
    "animate_path",
    "architecture",
    "architecture_path",
    "bounds",
    "certificates",
    "cobweb",
    "column_norms",
    "compression",
    "decision_regions",
    "effects",
    "entries",
    "explanation",
    "history",
    "importance",
    "kappa_path",
    "matrix",
    "p_values",
    "picard_convergence",
    "quantile_bands",
    "reliability",
    "residuals",
    "robustness",
    "sensitivity",
    "sliders",
    "solver_convergence",
    "sparsity",
    "stability",
    "states",
    "stills",
]
