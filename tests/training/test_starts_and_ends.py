"""What a run may start from, and what is said of its end."""

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit import ConvergenceWarning


@pytest.mark.parametrize(
    ("max_cycles", "words"),
    [
        (2, r" before it had converged; raise max_cycles or tol \(cycles: 2, .*last relative change: [1-9]"),
        (5, r": the last change is below tol, but the finer cycles that confirm .* raise max_cycles \(cycles: 5"),
    ],
)
def test_what_was_missing_at_max_cycles_is_said(max_cycles, words):
    U = np.random.default_rng(0).standard_normal((40, 8))
    problem = bi.TrainingProblem(U, U @ np.ones((8, 1)), 2, kappa=0.5)
    with pytest.warns(ConvergenceWarning, match=rf"^prox-linear: stopped at max_cycles{words}"):
        bi.solve(problem, max_cycles=max_cycles, tol=1e-4)
