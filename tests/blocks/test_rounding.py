"""What a conic solver leaves next to zero becomes zero, where that costs nothing and breaks nothing."""

import numpy as np
import pytest
from constrained import METHODS, N, P, problem_with, start_of, train
from sklearn.metrics import r2_score

import bcd_implicit as bi
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block, solve_block


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("constraint", "zeros"),
    [
        (ready.feedforward([1] * N), np.tril(np.ones((N, N), bool))),
        (ready.banded("A", 0, 1), ~np.eye(N, dtype=bool) & ~np.eye(N, k=1, dtype=bool)),
        (ready.fixed_entries("B", np.arange(P) == np.ones((N, 1))), np.arange(P) == np.ones((N, 1))),
    ],
)
def test_zeros_that_are_asked_for_are_exact(constraint, zeros, method):
    (letter,) = constraint.matrices
    X = np.asarray(getattr(train(problem_with(constraint), method).model, letter))
    assert (X[zeros] == 0).all()
    assert np.count_nonzero(X[~zeros]) > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "constraint",
    [
        ready.feedforward([N]),
        ready.fixed_entries("A", np.ones((N, N), bool)),
        ready.box("A", 0, 0),
        ready.l1_penalty("A", 9),
    ],
)
def test_a_whole_matrix_of_zeros_is_exact(constraint, method):
    assert not np.any(train(problem_with(constraint), method).model.A)


def test_an_l1_bound_leaves_exact_zeros_and_no_small_entries():
    problem = problem_with(ready.l1_bound("C", 0.3))
    C = np.abs(solve_block(problem, start_of(problem, "output"), "output", "SCS").iterate.C)
    assert 0 < np.count_nonzero(C) < C.size
    assert C[C > 0].min() > 1e-4 * C.max()


def posed(problem, block):
    made = make_block(problem, start_of(problem, block), block)
    made.cvxpy_problem()
    return made


def test_rounding_breaks_no_constraint():
    block = posed(problem_with(ready.box("B", lower=1e-7)), "hidden")
    small = np.full((N, P), 1e-7)
    small[0, 0] = 1.0
    it = block.it.replace(A=np.diag([0.5, 1e-9, 1e-9, 0]), B=small)
    rounded = block.rounded(it, 1e-6)
    assert (small == rounded.B).all()
    assert (rounded.A == it.A).all()  # no constraint acts on A
    one_known = ready.fixed_entries("A", np.eye(N) * np.eye(N)[0] > 0, 0.5)
    rounded = posed(problem_with(one_known), "hidden").rounded(it, 1e-6)
    assert (np.diag([0.5, 0, 0, 0]) == rounded.A).all()
    assert (small == rounded.B).all()


def test_rounding_costs_no_accuracy():
    rng = np.random.default_rng(0)
    problem = bi.TrainingProblem(
        rng.standard_normal((50, 2)), np.zeros(50), 2, ridge=0, constraints=[ready.l1_bound("D", 9)]
    )
    it = problem.initial(0)
    it = it.replace(D=np.array([[1.0, 5e-5]]))
    problem.Y = problem.prediction(it)
    block = make_block(problem, it, "output")
    block.cvxpy_problem()
    assert (block.rounded(it, 1e-6).D == it.D).all()  # small, but all the accuracy that there is hangs on it
    noisy = it.replace(d=np.array([1.0]))
    assert (block.rounded(noisy, 1e-6).D == [[1.0, 0.0]]).all()


def test_zeros_do_not_depend_on_units():
    rng = np.random.default_rng(1)
    U = rng.standard_normal((100, 4))
    Y = np.maximum(U @ rng.standard_normal((4, 2)), 0)
    signs = bi.TrainingProblem(U, Y * [1e5, 0.1], 5, ridge=1e-6, constraints=[ready.nonnegative("C")])
    model = train(signs, max_cycles=5).model
    assert r2_score(Y * [1e5, 0.1], model.predict(U), multioutput="raw_values").min() > 0.5
    layers = bi.TrainingProblem(U * [1, 1, 1, 1e8], Y, 4, constraints=[ready.feedforward([1] * 4)])
    assert (np.tril(train(layers).model.A) == 0).all()
