"""The experiments of the papers, end to end.

``convergence`` is the theorem of global convergence with implicit layers; ``feature_selection`` is the experiment
of the blog.
"""

from bcd_implicit.experiments import feature_selection
from bcd_implicit.experiments.convergence_run import Convergence, convergence

__all__ = ["Convergence", "convergence", "feature_selection"]
