"""Training under an entrywise penalty of A, by every loop; and what else knows the setting."""

import warnings

import numpy as np
import pytest
from problems import FOR_SPARSE_A, random_problem
from slow_but import slow_but

from bcd_implicit import ConvergenceWarning, InvalidInputError, solve
from bcd_implicit.training.checkpoint import described

SIZE = (4, 3, 2, 60)
SPARSE = {"kappa_A": 0.02, **FOR_SPARSE_A}


@pytest.mark.parametrize("well_posedness", slow_but(["inf-norm"], ["inf-norm", "measure"]))
def test_where_gradients_end_no_block_finds_a_better_point(well_posedness):
    problem = random_problem(SIZE, **SPARSE, well_posedness=well_posedness)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = solve(problem, max_cycles=3)
        found = solve(problem, "gradient", start=start, n_steps=20, max_cycles=20, learning_rate=1e-2)
    assert found.objective < 0.99 * start.objective
    best = solve(problem, start=found, tol=1e-4)
    assert found.objective == pytest.approx(best.objective, rel=5e-3)
    # Exact zeros by steps of the gradient, as by those of the blocks.
    off_diagonal = ~np.eye(4, dtype=bool)
    zero = found.iterate.A[off_diagonal] == 0
    assert 0 < zero.sum() < 12
    assert np.mean(zero == (best.iterate.A[off_diagonal] == 0)) > 0.8


@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
def test_it_is_part_of_the_objective_that_never_rises(method):
    problem = random_problem(SIZE, **SPARSE, fenchel_weight=3.0)
    tol = 1e-3 if method == "prox-linear" else 1e-2
    result = solve(problem, method, tol=tol)
    assert (np.diff(result.history["objective"]) <= 1e-9).all()
    A = result.iterate.A
    paid = result.objective - problem.replace(kappa_A=0.0).objective_at_states(result.iterate)
    assert paid == pytest.approx(0.02 * np.abs(A).sum(), abs=1e-12)
    dense = solve(problem.replace(kappa_A=0.0), method, tol=tol)
    assert np.abs(A).sum() < np.abs(dense.iterate.A).sum()
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())


def test_no_penalty_changes_nothing():
    problem = random_problem(SIZE, **SPARSE | {"kappa_A": 0.0})
    for same in (problem.replace(kappa_A=np.zeros((4, 4))), random_problem(SIZE, **SPARSE).replace(kappa_A=0)):
        assert same.row_set.weights is None
        assert described(same) == described(problem)
        assert repr(same) == repr(problem)


def test_it_is_described_and_told_apart():
    problem = random_problem(SIZE, **SPARSE)
    weights = np.full((4, 4), 0.02)
    weights[0, 0] = 0.5
    other = problem.replace(kappa_A=weights)
    assert "kappa_A=0.02, " in repr(problem)
    assert "kappa_A=0.02 to 0.5, " in repr(other)
    assert "penalty of A" in problem._repr_html_()
    assert len({str(described(p)) for p in (problem, other, problem.replace(kappa_A=0.0))}) == 3


@pytest.mark.parametrize("weights", [-1.0, np.ones((3, 3)), -np.ones((4, 4)), np.full((4, 4), np.nan), "much"])
def test_bad_weights_are_refused(weights):
    with pytest.raises(InvalidInputError, match="kappa_A"):
        random_problem(SIZE, kappa_A=weights)
