"""The public names, and where each is from: ``bcd_implicit`` imports a name's module when the name is first used.

This file is the only list of them. Type checkers and editors read it too.
"""

from . import compose as compose
from . import constraints as constraints
from . import datasets as datasets
from . import experiments as experiments
from . import networks as networks
from . import plots as plots
from . import torch as torch
from .blocks import BLOCKS as BLOCKS
from .blocks import BlockSolution as BlockSolution
from .blocks import block_problem as block_problem
from .blocks import solve_block as solve_block
from .blocks.solvers import SOLVERS as SOLVERS
from .certificates import Certificate as Certificate
from .compression import Compression as Compression
from .compression import compress as compress
from .errors import BcdError as BcdError
from .errors import BlockSolveError as BlockSolveError
from .errors import ConstraintError as ConstraintError
from .errors import ConvergenceWarning as ConvergenceWarning
from .errors import DataWarning as DataWarning
from .errors import InvalidInputError as InvalidInputError
from .errors import NothingYetError as NothingYetError
from .errors import NotWellPosedError as NotWellPosedError
from .estimators import ImplicitClassifier as ImplicitClassifier
from .estimators import ImplicitFeatureSelector as ImplicitFeatureSelector
from .estimators import ImplicitRegressor as ImplicitRegressor
from .model import ImplicitModel as ImplicitModel
from .model.robustness import certified_accuracy as certified_accuracy
from .networks import from_sklearn as from_sklearn
from .networks import from_torch as from_torch
from .networks import to_torch as to_torch
from .problem import Iterate as Iterate
from .problem import TrainingProblem as TrainingProblem
from .problem.gradient import gradient as gradient
from .selection import ArchitecturePath as ArchitecturePath
from .selection import PathResult as PathResult
from .selection import Selection as Selection
from .selection import architecture_path as architecture_path
from .selection import kappa_path as kappa_path
from .selection import reference_kappa as reference_kappa
from .terms.activations import ACTIVATIONS as ACTIVATIONS
from .terms.activations import Activation as Activation
from .terms.activations import register_activation as register_activation
from .terms.losses import LOSSES as LOSSES
from .terms.losses import HuberLoss as HuberLoss
from .terms.losses import Loss as Loss
from .terms.losses import QuantileLoss as QuantileLoss
from .tradeoff import RobustnessCurve as RobustnessCurve
from .tradeoff import robustness_curve as robustness_curve
from .training import METHODS as METHODS
from .training import BcdResult as BcdResult
from .training import Continuation as Continuation
from .training import DualAscent as DualAscent
from .training import Status as Status
from .training import solve as solve

__version__: str
