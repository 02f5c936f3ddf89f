"""Implicit models trained by block-coordinate descent in certified convex subproblems."""

from bcd_implicit import constraints, datasets, plots
from bcd_implicit.activations import ACTIVATIONS, Activation
from bcd_implicit.bcd import METHODS, solve
from bcd_implicit.blocks import BLOCKS, block_problem, solve_block
from bcd_implicit.certificates import Certificate
from bcd_implicit.errors import (
    BcdError,
    BlockSolveError,
    ConstraintError,
    ConvergenceWarning,
    InvalidInputError,
    NotWellPosedError,
)
from bcd_implicit.estimators import ImplicitClassifier, ImplicitFeatureSelector, ImplicitRegressor
from bcd_implicit.losses import LOSSES, Loss
from bcd_implicit.model import ImplicitModel
from bcd_implicit.path import PathResult, kappa_path
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.result import BcdResult, BlockSolution, Status
from bcd_implicit.selection import Selection
from bcd_implicit.solvers import SOLVERS

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "BLOCKS",
    "LOSSES",
    "METHODS",
    "SOLVERS",
    "Activation",
    "BcdError",
    "BcdResult",
    "BlockSolution",
    "BlockSolveError",
    "Certificate",
    "ConstraintError",
    "ConvergenceWarning",
    "ImplicitClassifier",
    "ImplicitFeatureSelector",
    "ImplicitModel",
    "ImplicitRegressor",
    "InvalidInputError",
    "Iterate",
    "Loss",
    "NotWellPosedError",
    "PathResult",
    "Selection",
    "Status",
    "TrainingProblem",
    "block_problem",
    "constraints",
    "datasets",
    "kappa_path",
    "plots",
    "solve",
    "solve_block",
]
