"""Where training begins: at a feasible point, and under a loss with kinks at a model trained on the smoothed loss.

Far from the end the quadratic model of a loss such as ``|f - y|`` weighs samples by the inverse of residuals that say
nothing yet, and the loop settles early. Some cycles on the Moreau envelope, as wide as the targets' own deviations,
lead to better models in fewer cycles in all (``benchmarks/kinks.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bcd_implicit.blocks.feasibility import feasible_start
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.problem.iterate import Iterate, check_iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.training.result import BcdResult

#: Cycles on the smoothed loss at most, and the relative change at which they end.
CYCLES, TOL = 30, 1e-3


def given_start(problem: TrainingProblem, start: Any) -> Iterate:
    """The iterate that a person's ``start`` stands for.

    Parameters
    ----------
    problem : TrainingProblem
    start : Iterate, BcdResult or ImplicitModel
        A model is in the data's units, and so is that of a result whose problem was standardised otherwise.

    Raises
    ------
    InvalidInputError
        Anything else, or one that does not fit the problem.
    """
    if isinstance(start, BcdResult):
        same = problem.scaling.equals(start.problem.scaling) if problem.scaling else start.problem.scaling is None
        start = start.iterate if same else start.model
    if isinstance(start, ImplicitModel):
        start = problem.iterate(start)
    return check_iterate(start, problem.shapes, problem.activation, "start")


def feasible(problem: TrainingProblem, it: Iterate) -> Iterate:
    """The iterate made feasible, with states at equilibrium; C, D and d begin anew where its predictions overflow."""
    # Feasible first: states need ||A||_inf below 1.
    it = problem.at_equilibrium(feasible_start(problem, it))
    if not problem.overflows(it):
        return it
    outputs = {letter: np.zeros_like(getattr(it, letter)) for letter in "CDd"}
    return problem.at_equilibrium(feasible_start(problem, it.replace(**outputs)))


def wants_smoothed(problem: TrainingProblem, it: Iterate) -> bool:
    """Whether the loss has kinks and the iterate is not trained: its C is zero."""
    return not problem.loss.smooth and not it.C.any()


def smoothed(problem: TrainingProblem) -> TrainingProblem:
    """The problem with the Moreau envelope of its loss, as wide as the mean deviation from the best constant."""
    constant = problem.loss.best_constant(problem.Y, problem.shares)[:, None]
    deviations = np.abs(problem.Y - constant) @ problem.shares
    # A target that does not vary is met by the constant, whatever the width.
    width = np.where(deviations > 0, deviations, 1.0)[:, None]
    return problem.replace(loss=problem.loss.smoothed(np.zeros((1, 1)), width))
