"""The scale step predicts alike and costs least."""

import numpy as np
import pytest
from problems import random_iterate, random_problem

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.training.scale import rescaled

SIZE = (3, 5, 2, 40)


def scaled(it, t):
    return it.replace(B=it.B / t, b=it.b / t, X=it.X / t, C=it.C * t)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
@pytest.mark.parametrize("options", [{"kappa": 0.3}, {"kappa": 0.3, "ridge_hidden": 0.0}, {"kappa": 0.0}])
@pytest.mark.parametrize("before", [0.01, 1.0, 300.0])
def test_of_all_scales_the_cheapest_is_taken(activation, options, before):
    problem = random_problem(SIZE, activation=activation, **options)
    it = scaled(random_iterate(problem, relaxed=False), before)
    best = rescaled(problem, it)
    np.testing.assert_allclose(problem.prediction(best), problem.prediction(it), rtol=1e-9, atol=1e-12)
    # Still at equilibrium: the states of the new matrices are those it brings.
    np.testing.assert_allclose(problem.at_equilibrium(best).X, best.X, rtol=1e-9, atol=1e-12)
    value = problem.objective_at_states(best)
    for t in np.geomspace(1e-3, 1e3, 61):
        assert value <= problem.objective_at_states(scaled(best, t)) * (1 + 1e-6)
    assert value <= problem.objective_at_states(it)


def test_a_radius_bounds_the_scale():
    problem = random_problem(SIZE, group_form="constraint", kappa=0.5)
    it = scaled(random_iterate(problem, relaxed=False), 10.0)  # well inside the radius
    best = rescaled(problem, it)
    assert problem.violation(best) <= 1e-12
    assert problem.objective_at_states(best) < problem.objective_at_states(it)
    # On the boundary, or where the ridges on B and C balance.
    inside = problem.group_lasso.sum_of_norms(best.B) < problem.kappa * (1 - 1e-9)
    ridges = problem.ridge_hidden * np.sum(best.B**2), problem.ridge * np.sum(best.C**2)
    assert not inside or ridges[0] == pytest.approx(ridges[1], rel=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"activation": "clip"}, {"group_over": "BD"}, {"constraints": {"sign": lambda v: v["A"] >= -1}}, {"ridge": 0.0}],
    ids=["another activation", "stacked", "constraint", "no ridge"],
)
def test_where_no_scale_is_better_or_allowed_nothing_changes(options):
    problem = random_problem(SIZE, kappa=0.1, **options)
    it = scaled(random_iterate(problem, relaxed=False), 2.0)
    assert rescaled(problem, it) is it


def test_a_model_of_zeros_has_no_scale():
    problem = random_problem(SIZE)
    nothing = Iterate.zeros(problem.shapes)
    assert rescaled(problem, nothing) is nothing
