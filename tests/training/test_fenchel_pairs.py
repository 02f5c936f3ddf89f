"""The fenchel loop for every activation with every loss, and a weight for each hidden feature."""

import numpy as np
import pytest
from problems import table_of

from bcd_implicit import ACTIVATIONS, LOSSES, TrainingProblem, solve


# Three cycles converge for none, and where an output block misses its tolerance is tested elsewhere.
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_relaxed_objective_never_rises(activation, loss):
    weights, (U, Y) = [0.5, 1.0, 3.0], table_of(loss, (3, 4, 3, 20))
    problem = TrainingProblem(
        U, Y, 3, activation=activation, loss=loss, norm_bound=0.9, kappa=0.02, fenchel_weight=weights
    )
    result = solve(problem, method="fenchel", solver="native", max_cycles=3, random_state=0)
    objectives = result.history["objective"].to_numpy()
    assert np.all(np.diff(objectives) <= 0)
    assert objectives[-1] < 0.99 * objectives[0]
    assert result.certificates["state"].holds(1e-6)
    assert result.solvers["state"] == "native"
