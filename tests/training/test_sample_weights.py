"""Training with sample weights is that with repeated samples."""

import numpy as np
import pytest
from problems import random_problem
from weights import SIZE, weighted_and_repeated

from bcd_implicit import solve
from bcd_implicit.selection.grid import reference_kappa
from bcd_implicit.training.bcd import METHODS


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")  # a few cycles are enough
@pytest.mark.parametrize("method", METHODS)
def test_solve_and_the_scale_of_kappa_are_those_of_repeated_samples(method):
    weighted, repeated, _ = weighted_and_repeated(kappa=0.05)
    results = [solve(p, method, max_cycles=8, tol=1e-2, random_state=1) for p in (weighted, repeated)]
    assert results[0].objective == pytest.approx(results[1].objective, rel=1e-6)
    assert results[0].n_cycles == results[1].n_cycles
    np.testing.assert_array_equal(weighted.selected(results[0].iterate), repeated.selected(results[1].iterate))
    assert reference_kappa(weighted, method) == pytest.approx(reference_kappa(repeated, method), rel=1e-5)
    unweighted = random_problem(SIZE, kappa=0.05)
    assert abs(solve(unweighted, method, max_cycles=8, tol=1e-2).objective / results[0].objective - 1) > 2e-4
