"""What the loops promise, for every activation with every loss: no cycle of blocks raises the objective."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import table_of
from slow_but import every_pair

from bcd_implicit import ACTIVATIONS, LOSSES, METHODS, ConvergenceWarning, TrainingProblem, solve


def few_cycles(activation, loss, method, seed=0, **options):
    """The result of three cycles, which converge for none, once none of blocks has raised the objective."""
    problem = TrainingProblem(*table_of(loss, (3, 4, 3, 20), seed), 3, activation=activation, loss=loss, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = solve(problem, method=method, solver="native", max_cycles=3, random_state=seed)
        start, end = (problem.equilibrium_objective(it) for it in (problem.initial(seed), result.iterate))
    objectives = result.history["objective"].to_numpy()
    if METHODS[method].by_blocks:
        assert np.all(np.diff(objectives) <= 0)
    # What the result says is so, of the states at equilibrium; without a ridge C may be as large as states are small.
    if problem.ridge > 0:
        assert result.objective == pytest.approx(end, rel=1e-9)
        assert end < start
    return result, objectives


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("activation", "loss"), every_pair([*ACTIVATIONS], [*LOSSES]))
def test_no_cycle_raises_the_objective(activation, loss, method):
    options = {"norm_bound": 0.9, "kappa": 0.02, "fenchel_weight": [0.5, 1.0, 3.0]}
    result, objectives = few_cycles(activation, loss, method, **options)
    assert {*result.solvers.values()} == {"native"}
    if method == "fenchel":
        assert objectives[-1] < 0.99 * objectives[0]
        assert result.certificates["state"].holds(1e-6)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    activation=st.sampled_from([*ACTIVATIONS]),
    loss=st.sampled_from([*LOSSES]),
    method=st.sampled_from([*METHODS]),
    seed=st.integers(0, 2**16),
    norm_bound=st.sampled_from([0.0, 0.5, 0.99]),
    kappa=st.floats(-4, 0).map(lambda exponent: 10**exponent),
    fenchel_weight=st.floats(-2, 2).map(lambda exponent: 10**exponent),
    ridge=st.sampled_from([0.0, 1e-3, 1e-1]),
    fit_intercept=st.booleans(),
    pass_through=st.booleans(),
)
def test_nor_does_one_of_any_problem(activation, loss, method, seed, **options):
    few_cycles(activation, loss, method, seed, **options)
