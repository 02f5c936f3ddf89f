"""The theorem of global convergence, on twenty draws of every shape."""

import numpy as np
import pytest

from bcd_implicit.experiments import convergence
from bcd_implicit.experiments.convergence_dynamics import allowed

pytestmark = pytest.mark.hard

# Width, outputs, samples, gamma: also fewer states than outputs, than samples, and than both.
SHAPES = [(8, 20, 30, 0.9), (10, 20, 8, 0.9), (4, 40, 100, 0.9), (16, 4, 12, 0.9), (30, 5, 20, 0.9), (8, 20, 30, 0.5)]
# Of the cross-entropy: an optimum in the first two, at infinity in the others.
CLASSES = [(5, 3, 100, 0.9), (2, 5, 60, 0.5), (8, 20, 30, 0.9), (16, 4, 12, 0.9)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_bound_is_broken_and_the_slope_ends_at_that_of_the_linear_flow(shape, seed):
    n, q, m, gamma = shape
    run = convergence(n, q, m, gamma=gamma, random_state=seed, n_steps=100)
    rates = run.rates
    assert len(run.broken()) == 0
    # What the steps' errors allow beside the bound is little.
    limit = allowed(np.log(run.flow["computed"].to_numpy()), run.flow["lift"].to_numpy())
    assert (limit <= 1.1 * run.flow["computed"]).all()
    assert rates["measured"] >= rates["computed"] >= rates["theorem"]
    assert rates["end"] >= rates["computed"]
    assert rates["end"] == pytest.approx(rates["linearised"], rel=0.02)
    assert rates["end"] == pytest.approx(rates["end_predicted"], rel=2e-3)
    assert run.newton_error < 1e-10
    # Thirty times the computed rate is wrong, or where the measured one is larger still, a little more than that.
    wrong = run.broken(faster=max(30, 1.2 * rates["measured"] / rates["computed"]))
    assert "computed" in set(wrong["bound"][wrong["dynamic"] == "flow"])
    assert run.solves.loc["output block", "gap"] < 1e-20 * run.flow["gap"].iloc[0]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("shape", CLASSES, ids=str)
def test_the_same_of_the_cross_entropy(shape, seed):
    n, q, m, gamma = shape
    run = convergence(n, q, m, gamma=gamma, loss="cross-entropy", random_state=seed, n_steps=100)
    assert len(run.broken()) == 0
    assert run.rates["measured"] >= run.rates["computed"] >= run.rates["theorem"]
    assert run.flow["k"].min() >= run.k_ball
    assert run.newton_error < 1e-10
    if run.problem.is_attained():
        assert run.rates["end"] == pytest.approx(run.rates["linearised"], rel=0.02)
        assert len(run.broken(faster=1.2 * run.rates["measured"] / run.rates["computed"])) > 0
