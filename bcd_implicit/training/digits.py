"""What rounding leaves of a result: without a ridge, C may grow until it multiplies nothing but rounding of states."""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import see
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.notices import warn_convergence

# A larger possible error, relative to the largest prediction, gives a warning.
WEAKEST = 1e-6
# So many roundings of a state, at the least, are what its bound allows for.
ROUNDINGS = 1e4


def warn_of_lost_digits(problem: TrainingProblem, it: Iterate, stacklevel: int = 1) -> None:
    """Warn, with numbers, where the bound on the states' error is much of what the model predicts.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
        The result, at equilibrium.
    stacklevel : int
        As of ``warnings.warn``.

    Warns
    -----
    ConvergenceWarning
    """
    largest = float(np.abs(it.C).sum(axis=1).max())
    predicted = float(np.abs(problem.prediction(it)).max())
    # Cheap, and enough nearly always: no bound on the states' error is beyond so many roundings of the largest.
    if ROUNDINGS * np.finfo(float).eps * largest * float(np.abs(it.X).max()) <= WEAKEST * predicted:
        return
    off = largest * float(problem.equilibrium(it, tol=0.0).error_bound.max())
    if off > WEAKEST * predicted:
        advice = "raise ridge" if problem.ridge == 0 else "raise ridge, or scale the data"
        warn_convergence(
            f"Rounding may change the predictions (up to {predicted:.3g}) by {off:.1e}: C has entries up to "
            f"{np.abs(it.C).max():.1e}, with ridge={problem.ridge:g}; {advice}. {see('predictions-lose-digits')}",
            stacklevel=stacklevel + 1,
        )
