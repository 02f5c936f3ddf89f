"""States in the units of their own gains."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from problems import random_iterate, random_problem

from bcd_implicit import constraints
from bcd_implicit.tradeoff import scaled_to_gain

SIZE = (6, 4, 2, 30)


@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_it_predicts_the_same_and_meets_the_bound_exactly(gain):
    problem = random_problem(SIZE, norm_bound=0.9)
    it = random_iterate(problem, relaxed=False)
    it = problem.at_equilibrium(it.replace(B=np.vstack([1e-3 * it.B[:1], it.B[1:]])))
    scaled = scaled_to_gain(problem, it, gain)
    U = np.random.default_rng(0).standard_normal((50, 4))
    assert_allclose(problem.model(scaled).predict(U), problem.model(it).predict(U), atol=1e-9)
    assert_allclose(scaled.X, problem.at_equilibrium(scaled).X, atol=1e-8)
    rows = gain * np.abs(scaled.A).sum(axis=1) + np.abs(scaled.B).sum(axis=1)
    assert_allclose(rows, gain, rtol=1e-9)
    bounded = problem.replace(constraints=[constraints.state_gain_bound(gain)])
    assert bounded.violations(scaled)["state_gain_bound(A, B)"] <= 1e-9
    # And the gain of outputs is then that of Perron and Frobenius.
    found = gain * np.abs(scaled.C).sum(axis=1) + np.abs(scaled.D).sum(axis=1)
    assert_allclose(found, problem.model(it).sensitivity().sum(axis=1), rtol=1e-9)


def test_states_that_no_input_moves_stay_as_they_are():
    problem = random_problem(SIZE, norm_bound=0.9)
    it = problem.initial()
    still = it.replace(A=np.zeros_like(it.A), B=np.vstack([np.zeros((3, 4)), it.B[3:]]))
    scaled = scaled_to_gain(problem, still, 1.0)
    assert all(np.isfinite(part).all() for part in vars(scaled).values())
    assert_allclose(scaled.C[:, :3], still.C[:, :3])


def test_where_scale_matters_nothing_changes():
    problem = random_problem(SIZE, activation="tanh")
    it = problem.initial()
    assert scaled_to_gain(problem, it) is it
    # A matrix measure allows a diagonal for which |A| has no gains.
    problem = random_problem(SIZE, well_posedness="measure")
    it = problem.initial()
    wide = it.replace(A=-3 * np.eye(6))
    assert scaled_to_gain(problem, wide) is wide
