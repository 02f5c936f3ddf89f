"""Constraints in conflict are named."""

import cvxpy as cp
import pytest
from constrained import problem_with
from problems import random_iterate

import bcd_implicit as bi
from bcd_implicit import SOLVERS, BlockSolveError
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import solve_block


@pytest.mark.parametrize(
    ("constraints", "options", "message"),
    [
        ({"large": lambda v: v["A"] >= 1}, {}, "No point meets norm_bound=0.8 and 'large' together: relax one of them"),
        ({"odd": lambda v: [v["C"] >= 1, v["C"] <= 0]}, {}, "No point meets 'odd': relax it"),
        (
            {
                "up": lambda v: v["B"][0, 0] >= 1,
                "loose": lambda v: v["B"] <= 9,
                "down": lambda v: v["B"][0, 0] <= 0,
                "sign": ready.nonnegative("A"),
            },
            {},
            "No point meets 'up' and 'down' together",
        ),
        (
            {"up": lambda v: v["B"] >= 1, "down": lambda v: v["B"] <= 0, "large": lambda v: v["A"] >= 1},
            {},
            "No point meets norm_bound=0.8 and 'large' together",  # the one that fails alone, before the two
        ),
        ({"D": lambda v: v["D"] >= 1}, {"pass_through": False}, "No point meets pass_through=False and 'D' together"),
        ({"b": lambda v: v["b"] >= 1}, {"fit_intercept": False}, "No point meets fit_intercept=False and 'b' together"),
        ({"B": lambda v: v["B"] >= 1}, {"group_form": "constraint"}, "No point meets kappa=0.02 as a bound and 'B'"),
        ({"log": lambda v: -cp.log(v["A"][0, 0] - 1)}, {}, "No point meets norm_bound=0.8 and 'log' together"),
    ],
)  # fmt: skip
def test_constraints_in_conflict_are_named(constraints, options, message):
    problem = problem_with(**options).replace(constraints=constraints)
    block = "output" if {"odd", "D"} & constraints.keys() else "hidden"
    for act in (lambda: bi.solve(problem), lambda: solve_block(problem, random_iterate(problem), block)):
        with pytest.raises(BlockSolveError, match=message) as caught:
            act()
        assert caught.value.infeasible


@pytest.mark.parametrize("solver", SOLVERS)
def test_any_solver_says_that_a_block_is_infeasible(solver):
    problem = problem_with(lambda v: v["A"] >= 1)
    with pytest.raises(BlockSolveError, match=rf"'hidden': solver {solver}.*infeasible.*constraints\[0\]") as caught:
        solve_block(problem, random_iterate(problem), "hidden", solver)
    assert caught.value.infeasible
