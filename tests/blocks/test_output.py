"""The output block: its formula, and targets that can be met exactly."""

import numpy as np
import pytest
from problems import TOL, at, check_native, random_iterate, random_problem
from tables import table

from bcd_implicit import TrainingProblem, solve_block
from bcd_implicit.blocks import make_block


def test_output_block_is_the_ridge_formula():
    problem = random_problem((3, 4, 2, 30), ridge=0.1)
    it = at(problem, "output")
    W = np.vstack([it.X, problem.U, np.ones((1, 30))])
    H = W @ W.T / 30 + np.diag([0.1] * 7 + [0.0])
    by_hand = np.linalg.solve(H, W @ problem.Y.T / 30).T
    found = solve_block(problem, it, "output", "native").iterate
    np.testing.assert_allclose(np.hstack([found.C, found.D, found.d[:, None]]), by_hand, atol=1e-10)


@pytest.mark.parametrize("case", ["Gram matrix", "triangle"])
def test_output_block_in_parts_of_the_samples(case, monkeypatch):
    U, Y = table(p=6, m=30, q=2)
    if case == "triangle":
        U = np.hstack([U, U[:, :1]])  # collinear: no ridge tells them apart
    problem = TrainingProblem(U, Y, 3, ridge=0.0 if case == "triangle" else 0.1)
    it = at(problem, "output")
    whole = solve_block(problem, it, "output", "native").iterate
    monkeypatch.setattr("bcd_implicit.problem.regression.LARGEST_KEPT", 0)
    monkeypatch.setattr("bcd_implicit.support.parts.PART", 1)  # as many samples at a time as there are regressors
    in_parts = solve_block(problem, it, "output", "native").iterate
    np.testing.assert_allclose(problem.prediction(in_parts), problem.prediction(whole), atol=1e-9)
    np.testing.assert_allclose(in_parts.C, whole.C, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_zero_targets_need_no_luck_with_rounding(seed):
    U, Y = table(p=2 + seed, m=3 + 3 * seed, seed=seed)
    problem = TrainingProblem(U, 0 * Y, 8, kappa=0.0, ridge_hidden=0.0)  # the optimum is exactly 0
    native = solve_block(problem, random_iterate(problem, seed), "output", "native")
    assert native.certificate.holds(TOL)
    assert np.abs(problem.prediction(native.iterate)).max() < 1e-9


@pytest.mark.parametrize("units", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("ridge", [1e-6, 1e-2])
def test_output_block_with_fewer_samples_than_inputs(units, ridge):
    # The targets can be met exactly; in large units the ridge is next to nothing beside the Gram matrix.
    U, Y = table(p=20, m=5, q=4)
    problem = TrainingProblem(units * U, Y, 1, ridge=ridge)
    it = problem.initial(0)
    check_native(problem, it, "output")
    # What the start adds across the samples costs nothing but ridge, and only the ridge removes it.
    rng = np.random.default_rng(0)
    it = it.replace(C=rng.standard_normal((4, 1)), D=0.3 * rng.standard_normal((4, 20)))
    check_native(problem, it, "output")


@pytest.mark.parametrize("units", [1e-3, 1.0, 1e3])
def test_many_more_inputs_than_samples_by_the_samples_gram_matrix(units):
    rng = np.random.default_rng(0)
    U, Y = units * rng.standard_normal((12, 1100)), rng.standard_normal((12, 3))
    problem = TrainingProblem(U, Y, 4, ridge=0.01)
    it = at(problem, "output")
    native = solve_block(problem, it, "output", "native")
    # By hand, in as many unknowns as samples.
    W = np.vstack([it.X, problem.U])
    W = (W - W.mean(axis=1, keepdims=True)) / np.sqrt(12)
    targets = (problem.Y - problem.Y.mean(axis=1, keepdims=True)) / np.sqrt(12)
    by_hand = targets @ np.linalg.solve(W.T @ W + 0.01 * np.eye(12), W.T)
    np.testing.assert_allclose(np.hstack([native.iterate.C, native.iterate.D]), by_hand, rtol=1e-8, atol=1e-12)
    assert native.certificate.holds(TOL)
    # The bound is no lie at wrong points: at least what is missing from the optimum.
    for size in (1e-6, 1e-2, 1.0):
        wrong = native.iterate.replace(C=native.iterate.C + size * rng.standard_normal((3, 4)))
        gap = make_block(problem, it, "output").certificate(wrong).gap
        missing = problem.objective(wrong) - problem.objective(native.iterate)
        assert gap >= missing * (1 - 1e-9) - 1e-14
    assert not make_block(problem, it, "output").certificate(wrong).holds(TOL)


@pytest.mark.parametrize("units", [1.0, 1e8])
@pytest.mark.parametrize("ridge", [0.0, 1e-30])
def test_a_ridge_that_is_nothing_beside_the_last_digit_is_none(units, ridge):
    rng = np.random.default_rng(0)
    U, Y = rng.standard_normal((60, 8)), rng.standard_normal((60, 3))
    U[:, 1] = 0.3 * U[:, 0]
    problem = TrainingProblem(units * U, Y, 4, "identity", ridge=ridge)
    it = problem.initial(0)
    it = problem.at_equilibrium(it.replace(B=np.vstack([np.zeros(8), it.B[1:]])))
    solution = solve_block(problem, it, "output", "native")
    assert solution.certificate.holds(TOL)
    W = np.vstack([problem.U, np.ones((1, 60))]).T  # the states add nothing to the inputs
    least = 0.5 * np.sum((problem.Y.T - W @ np.linalg.lstsq(W, problem.Y.T, rcond=1e-12)[0]) ** 2) / 60
    assert problem.mean_loss(solution.iterate) == pytest.approx(least, rel=1e-6)
    assert np.abs(solution.iterate.C).max() < 100
