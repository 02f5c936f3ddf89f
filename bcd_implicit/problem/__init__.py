"""The training problem, THE objective, and its points."""

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

__all__ = ["Iterate", "TrainingProblem"]
