"""Dual points of the loss at an iterate: gradients, and at kinks what a linear program says."""

import numpy as np
import pytest
from scipy.optimize import linprog
from tables import table

from bcd_implicit import TrainingProblem
from bcd_implicit.problem.multipliers import multipliers
from bcd_implicit.terms.losses import AbsoluteLoss, HuberLoss, QuantileLoss


def solved_by_linear_program(problem, it):
    """(C, D, d) of one output without a ridge, and the multipliers, from HiGHS."""
    W = np.vstack([it.X, problem.U, np.ones((1, problem.n_samples))]).T
    n, p, m, shares = problem.n_hidden, problem.n_inputs, problem.n_samples, problem.shares
    # Predictions less what is above the targets, plus what is below, are the targets.
    costs = np.concatenate([np.zeros(W.shape[1]), problem.loss.above * shares, problem.loss.below * shares])
    bounds = [(None, None)] * W.shape[1] + [(0, None)] * (2 * m)
    found = linprog(costs, A_eq=np.hstack([W, -np.eye(m), np.eye(m)]), b_eq=problem.Y[0], bounds=bounds)
    C, D, d = np.split(found.x[: W.shape[1]][None], [n, n + p], axis=1)
    return it.replace(C=C, D=D, d=d[:, 0]), -found.eqlin.marginals / shares


@pytest.mark.parametrize("units", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("loss", [AbsoluteLoss(), QuantileLoss(0.9)], ids=repr)
def test_multipliers_at_kinks_are_those_of_the_linear_program(loss, units):
    U, Y = table(p=4, m=50, q=1)
    weights = np.random.default_rng(0).uniform(0.5, 2, 50)
    problem = TrainingProblem(U, Y, 2, loss=loss, ridge=0.0, sample_weight=weights)
    it, V = solved_by_linear_program(problem, problem.initial(0))
    scaled = TrainingProblem(U, units * Y, 2, loss=loss, ridge=0.0, sample_weight=weights)
    found = multipliers(scaled, it.replace(C=units * it.C, D=units * it.D, d=units * it.d))
    assert np.sum(np.abs(V - loss.inside(np.sign(V), V)) > 1e-6) > 3  # kinks are met
    np.testing.assert_allclose(found[0], V, atol=1e-6)


def test_multipliers_stay_in_their_intervals_where_all_residuals_are_zero():
    U, Y = table(p=3, m=40, q=2)
    problem = TrainingProblem(U, np.sign(Y), 2, loss="absolute", ridge=0.1)
    it = problem.initial(0)
    it = it.replace(C=np.full_like(it.C, 0.1))
    targets = problem.prediction(it)
    problem = TrainingProblem(U, targets.T, 2, loss="absolute", ridge=0.1)
    V = multipliers(problem, it)
    assert np.abs(V).max() <= 1
    gradient = (V * problem.shares) @ (it.X - it.X.mean(axis=1, keepdims=True)).T + 0.1 * it.C
    assert np.abs(gradient).max() < 1e-9
    assert np.abs(V @ problem.shares).max() < 1e-12


def test_multipliers_of_a_smooth_loss_are_its_gradient():
    U, Y = table()
    problem = TrainingProblem(U, Y, 2, loss=HuberLoss(0.3))
    it = problem.initial(0)
    np.testing.assert_array_equal(multipliers(problem, it), np.clip(-problem.Y, -0.3, 0.3))
