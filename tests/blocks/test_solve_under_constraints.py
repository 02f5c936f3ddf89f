"""Blocks on which a user's constraint or penalty acts: which solver, which violations."""

import cvxpy as cp
import numpy as np
import pytest
from constrained import BLOCK_OF, METHODS, N, P, problem_with, start_of, train
from problems import random_iterate

import bcd_implicit as bi
from bcd_implicit import SOLVERS, BlockSolveError, block_problem
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block, solve_block


class TestBlocks:
    @pytest.mark.parametrize("solver", ["native", "auto"])
    @pytest.mark.parametrize("constraint", [lambda v: v["A"] >= 0, lambda v: cp.norm(v["A"], "fro")])
    def test_blocks_that_they_touch_go_through_cvxpy_and_others_stay_native(self, constraint, solver):
        problem = problem_with(constraint)
        for block in ("hidden", "prox-linear"):
            bound = solve_block(problem, start_of(problem, block), block, solver)
            assert bound.solver in SOLVERS
            assert bound.certificate.holds(1e-6)
        for block in ("output", "state"):
            free = solve_block(problem, start_of(problem, block), block, solver)
            assert free.solver == "native"
            assert free.certificate.holds(1e-6)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_model_changes_as_it_should(self, method):
        free, signed = train(problem_with(), method), train(problem_with(lambda v: v["B"] >= 0), method)
        assert free.model.B.min() < -1e-2
        assert signed.model.B.min() >= -1e-6
        assert signed.model.B.max() > 1e-2
        assert signed.certificates["output"].holds(1e-6)  # solved natively, so its gap is known

    @pytest.mark.parametrize("block", ["hidden", "prox-linear", "output"])
    def test_they_hold_and_cost_something(self, block):
        letter = "C" if block == "output" else "B"
        free = problem_with()
        problem = free.replace(constraints=[lambda v: v[letter] >= 0])
        it = start_of(free, block)
        bound, loose = solve_block(problem, it, block), solve_block(free, it, block)
        assert getattr(bound.iterate, letter).min() >= -1e-6
        assert getattr(loose.iterate, letter).min() < -1e-3
        assert bound.objective >= loose.objective - 1e-9
        assert bound.certificate.violation <= 1e-6

    @pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
    def test_the_cleaning_of_small_columns_respects_them(self, method):
        # With this kappa a zero column would be better, and is what the constraints forbid.
        rng = np.random.default_rng(0)
        U = rng.standard_normal((60, 4))
        wanted = [lambda v: v["B"][0, 0] >= 0.5, lambda v: v["B"][:, 1] == 0.01]
        problem = bi.TrainingProblem(U, np.sin(U[:, :2]), 3, kappa=0.5, constraints=wanted)
        block = "hidden" if method == "fenchel" else method
        solution = solve_block(problem, problem.initial(), block, "CLARABEL")
        assert solution.iterate.B[0, 0] == pytest.approx(0.5, abs=1e-5)
        np.testing.assert_allclose(solution.iterate.B[:, 1], 0.01, atol=1e-6)
        assert not solution.iterate.B[:, 2:].any()  # free columns still become exact zeros
        result = bi.solve(problem, method, max_cycles=30, tol=1e-2)
        assert max(result.violations.values()) <= 1e-6
        assert result.history["violation"].max() <= 1e-6

    def test_the_violation_is_that_of_the_returned_point(self):
        problem = problem_with(lambda v: v["B"][0, 0] >= 0.5, lambda v: [v["A"] <= 0.1, cp.sum(v["A"]) == 1])
        block = make_block(problem, random_iterate(problem), "hidden")
        it = block.it.replace(B=np.zeros((N, P)), A=0.2 * np.eye(N))
        assert block.user_violations(it) == pytest.approx({"constraints[0]": 0.5, "constraints[1]": 0.2})

    def test_a_violation_that_is_not_defined_is_infinite(self):
        problem = problem_with(lambda v: -cp.log(v["A"][0, 0]) <= 1)
        it = problem.initial()
        assert problem.violations(it.replace(A=-np.eye(N)))["constraints[0]"] == np.inf
        with pytest.raises(BlockSolveError, match=r"infeasible"):  # log 0.3 < -1
            bi.solve(problem.replace(norm_bound=0.3))
        assert train(problem).iterate.A[0, 0] >= np.exp(-1) - 1e-6

    def test_solvers_are_tried_until_one_is_feasible(self, monkeypatch):
        problem = problem_with(ready.nonnegative("A"))
        it = start_of(problem, "hidden")
        assert solve_block(problem, it, "hidden").solver == "SCS"
        monkeypatch.setitem(SOLVERS, "SCS", lambda tol: {"max_iters": 3})
        solution = solve_block(problem, it, "hidden")
        assert solution.solver in ("CLARABEL", "ECOS")
        assert solution.certificate.holds(1e-6)
        with pytest.warns(bi.ConvergenceWarning, match=r"violation .* of 'nonnegative\(A\)'. Try.* used"):
            assert solve_block(problem, it, "hidden", "SCS").solver == "CLARABEL"
        monkeypatch.setitem(SOLVERS, "CLARABEL", lambda tol: {"max_iter": 4})
        monkeypatch.setitem(SOLVERS, "ECOS", lambda tol: {"max_iters": 6})
        with pytest.warns(bi.ConvergenceWarning, match="block 'hidden': .* with relative gap"):
            best = solve_block(problem, it, "hidden")
        assert best.feasible

    @pytest.mark.parametrize("letter", ["B", "C"])
    def test_semidefinite_cones_are_not_for_ecos_and_auto_copes(self, letter):
        problem, block = problem_with(ready.nuclear_norm_bound(letter, 0.5)), BLOCK_OF[letter]
        it = start_of(problem, block)
        for solver in ("auto", "native", "cvxpy", "CLARABEL", "SCS"):
            assert solve_block(problem, it, block, solver).certificate.violation <= 1e-6
        with pytest.raises(BlockSolveError, match="ECOS .*'cannot take .*semidefinite cones.*Use CLARABEL or SCS"):
            solve_block(problem, it, block, "ECOS")

    def test_block_problem_shows_them(self):
        problem = problem_with(ready.box("C", upper=0.1), ready.l1_penalty("C", 1.0))
        posed = block_problem(problem, problem.initial(), "output")
        assert len(posed.constraints) == 1
        assert posed.solve(solver="CLARABEL") == pytest.approx(
            solve_block(problem, problem.initial(), "output", "CLARABEL").objective, rel=1e-6
        )
