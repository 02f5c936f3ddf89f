"""Implicit models trained by block-coordinate descent in certified convex subproblems."""

from bcd_implicit import compose, constraints, datasets, experiments, networks, plots, torch
from bcd_implicit.blocks import BLOCKS, BlockSolution, block_problem, solve_block
from bcd_implicit.blocks.solvers import SOLVERS
from bcd_implicit.certificates import Certificate
from bcd_implicit.compression import Compression, compress
from bcd_implicit.errors import (
    BcdError,
    BlockSolveError,
    ConstraintError,
    ConvergenceWarning,
    DataWarning,
    InvalidInputError,
    NothingYetError,
    NotWellPosedError,
)
from bcd_implicit.estimators import ImplicitClassifier, ImplicitFeatureSelector, ImplicitRegressor
from bcd_implicit.model import ImplicitModel
from bcd_implicit.model.robustness import certified_accuracy
from bcd_implicit.networks import from_sklearn, from_torch, to_torch
from bcd_implicit.old_paths import keep_old_paths
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.problem.gradient import gradient
from bcd_implicit.selection import (
    ArchitecturePath,
    PathResult,
    Selection,
    architecture_path,
    kappa_path,
    reference_kappa,
)
from bcd_implicit.terms.activations import ACTIVATIONS, Activation, register_activation
from bcd_implicit.terms.losses import LOSSES, HuberLoss, Loss, QuantileLoss
from bcd_implicit.tradeoff import RobustnessCurve, robustness_curve
from bcd_implicit.training import METHODS, BcdResult, Continuation, DualAscent, Status, solve

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "BLOCKS",
    "LOSSES",
    "METHODS",
    "SOLVERS",
    "Activation",
    "ArchitecturePath",
    "BcdError",
    "BcdResult",
    "BlockSolution",
    "BlockSolveError",
    "Certificate",
    "Compression",
    "ConstraintError",
    "Continuation",
    "ConvergenceWarning",
    "DataWarning",
    "DualAscent",
    "HuberLoss",
    "ImplicitClassifier",
    "ImplicitFeatureSelector",
    "ImplicitModel",
    "ImplicitRegressor",
    "InvalidInputError",
    "Iterate",
    "Loss",
    "NotWellPosedError",
    "NothingYetError",
    "PathResult",
    "QuantileLoss",
    "RobustnessCurve",
    "Selection",
    "Status",
    "TrainingProblem",
    "architecture_path",
    "block_problem",
    "certified_accuracy",
    "compose",
    "compress",
    "constraints",
    "datasets",
    "experiments",
    "from_sklearn",
    "from_torch",
    "gradient",
    "kappa_path",
    "networks",
    "plots",
    "reference_kappa",
    "register_activation",
    "robustness_curve",
    "solve",
    "solve_block",
    "to_torch",
    "torch",
]

keep_old_paths(globals())


def __dir__() -> list[str]:
    # Without it the rooms of the package, errors and support among them, would stand among the public names.
    return sorted(__all__)
