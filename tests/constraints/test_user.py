"""A user's parameters and penalties: in the objective, in every block and in the loops."""

import cvxpy as cp
import numpy as np
import pytest
from constrained import METHODS, problem_with, start_of, train
from problems import random_iterate

import bcd_implicit as bi
from bcd_implicit import SOLVERS
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block, solve_block


def test_a_parameter_may_change_between_solves():
    bound = cp.Parameter(nonneg=True, value=1e-3)
    problem = problem_with(lambda v: cp.norm(v["C"], "fro") <= bound)
    it = start_of(problem, "output")
    assert np.linalg.norm(solve_block(problem, it, "output").iterate.C) == pytest.approx(1e-3, rel=1e-3)
    bound.value = 0.1
    assert np.linalg.norm(solve_block(problem, it, "output").iterate.C) == pytest.approx(0.1, rel=1e-3)


PENALTIES = {"A": lambda v: 0.1 * cp.norm(v["A"], "fro"), "C": lambda v: [0.2 * cp.sum(cp.abs(v["C"]))]}


class TestPenalties:
    def test_they_are_part_of_the_objective(self):
        free = problem_with()
        problem = free.replace(constraints=PENALTIES)
        it = random_iterate(problem)
        extra = 0.1 * np.linalg.norm(it.A) + 0.2 * np.abs(it.C).sum()
        assert problem.user_penalty(it) == pytest.approx(extra)
        assert problem.user_penalty(it, without=("A", "B", "b")) == pytest.approx(0.2 * np.abs(it.C).sum())
        for name in ("objective", "objective_at_states", "equilibrium_objective"):
            assert getattr(problem, name)(it) == pytest.approx(getattr(free, name)(it) + extra)
        assert list(problem.violations(it)) == ["norm_bound"]

    @pytest.mark.parametrize("block", bi.BLOCKS)
    def test_cvxpy_and_numpy_agree_on_every_block(self, block):
        problem = problem_with().replace(constraints=PENALTIES)
        prepared = make_block(problem, start_of(problem, block), block)
        posed = prepared.cvxpy_problem()
        for letter, variable in posed.var_dict.items():
            variable.value = getattr(prepared.it, letter)
        assert posed.objective.value == pytest.approx(prepared.objective(prepared.it), rel=1e-9)
        solution = solve_block(problem, prepared.it, block)
        assert solution.solver == "native" if block == "state" else solution.solver in SOLVERS
        assert solution.objective <= prepared.objective(prepared.it) + 1e-9

    @pytest.mark.parametrize("method", METHODS)
    def test_a_model_trained_with_a_penalty(self, method):
        free, result = train(problem_with(), method), train(problem_with(ready.l1_penalty("C", 1.0)), method)
        assert np.abs(result.iterate.C).sum() < 0.5 * np.abs(free.iterate.C).sum()
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        assert result.objective == pytest.approx(
            free.problem.objective_at_states(result.iterate) + np.abs(result.iterate.C).sum()
        )

    def test_a_penalty_equals_the_constraint_whose_dual_value_is_its_weight(self):
        bound = problem_with(ready.l1_bound("C", 0.5))
        it = start_of(bound, "output")
        constrained = solve_block(bound, it, "output", "CLARABEL")
        weight = float(constrained.dual_values["l1_bound(C)"])
        assert weight > 1e-2
        penalised = solve_block(problem_with(ready.l1_penalty("C", weight)), it, "output", "CLARABEL")
        np.testing.assert_allclose(penalised.iterate.C, constrained.iterate.C, atol=1e-4)

    def test_the_weight_of_the_ridge_as_a_penalty_is_the_ridge(self):
        ridge, own = problem_with(ridge=0.3), problem_with(
            lambda v: 0.15 * (cp.sum_squares(v["C"]) + cp.sum_squares(v["D"])), ridge=0.0
        )  # fmt: skip
        it = start_of(ridge, "output")
        native, conic = solve_block(ridge, it, "output", "native"), solve_block(own, it, "output", "CLARABEL")
        assert conic.objective == pytest.approx(native.objective, rel=1e-6)

    def test_a_barrier_finds_a_start_where_it_is_finite(self):
        problem = problem_with(lambda v: -0.01 * cp.sum(cp.log(v["C"])))
        assert problem.user_penalty(problem.initial()) == np.inf
        result = train(problem)
        assert result.iterate.C.min() > 0
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_negative_objective_is_not_taken_for_zero(self, method):
        problem = problem_with(lambda v: cp.sum_squares(v["d"]) - 50)
        result = train(problem, method, max_cycles=6, tol=1e-9)
        assert result.objective < 0
        assert result.n_cycles > 1
