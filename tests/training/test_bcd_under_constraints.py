"""The loops under a user's constraints: feasible starts, and no step that violates one."""

from dataclasses import replace

import numpy as np
import pytest
from constrained import METHODS, N, Q, problem_with, train

import bcd_implicit as bi
from bcd_implicit import BlockSolveError
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import feasibility
from bcd_implicit.training import loop
from bcd_implicit.training.result import Status


class TestLoops:
    @pytest.mark.parametrize("method", METHODS)
    def test_a_step_that_violates_one_is_not_taken(self, method, monkeypatch):
        problem = problem_with(ready.nonnegative("C"))
        solve = loop.Loop.solve

        def spoilt(loop, block):
            solution = solve(loop, block)
            if block.name == "output":
                solution = replace(solution, iterate=solution.iterate.replace(C=-np.ones((Q, N))))
                bad = replace(solution.certificate, violation=1.0)
                loop.state.certificates["output"] = bad
                return replace(solution, certificate=bad)
            return solution

        monkeypatch.setattr(loop.Loop, "solve", spoilt)
        with pytest.warns(bi.ConvergenceWarning, match="stopped without progress while a block missed its tolerance"):
            result = train(problem, method, max_cycles=10, tol=1e-1)
        assert result.violations["nonnegative(C)"] == 0
        assert result.status is Status.STALLED

    def test_a_feasible_start_stays_as_it_is(self):
        problem = problem_with(ready.nonnegative("B"))
        it = problem.initial()
        it = it.replace(B=np.abs(it.B) * [0, 1, 1, 0, 1])
        np.testing.assert_array_equal(feasibility.feasible_start(problem, it).B, it.B)
        moved = feasibility.feasible_start(problem, it.replace(B=it.B - 0.1)).B
        np.testing.assert_allclose(moved, np.maximum(it.B - 0.1, 0), atol=1e-6)

    def test_a_feasible_start_is_found_where_a_solver_fails(self, monkeypatch):
        run, asked = feasibility.run_solver, []

        def failing(posed, name, solver, tol):
            asked.append(solver)
            if solver == "CLARABEL":
                raise BlockSolveError(name, solver, "failed: no progress", "Try another")
            return run(posed, name, solver, tol)

        monkeypatch.setattr(feasibility, "run_solver", failing)
        problem = problem_with(ready.nuclear_norm_bound("B", 0.1))
        it = feasibility.feasible_start(problem, problem.initial())
        assert problem.violations(it)["nuclear_norm_bound(B)"] <= 1e-6
        assert asked == ["CLARABEL", "ECOS", "SCS"]  # ECOS lacks the cone
        monkeypatch.setattr(feasibility, "SOLVERS", ["CLARABEL", "ECOS"])
        with pytest.raises(BlockSolveError, match="failed: no progress"):
            feasibility.feasible_start(problem, problem.initial())

    @pytest.mark.parametrize("method", METHODS)
    def test_several_at_once(self, method):
        problem = problem_with(lambda v: [v["A"][0] == 0, v["B"] >= 0], lambda v: v["C"] <= 1, ready.symmetric())
        result = train(problem, method, max_cycles=4)
        assert np.abs(result.iterate.A[0]).max() <= 1e-6
        assert np.abs(result.iterate.A[:, 0]).max() <= 1e-6
        assert result.iterate.B.min() >= -1e-6
        assert result.iterate.C.max() <= 1 + 1e-6
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        assert set(result.dual_values) == {"norm_bound", "constraints[0]", "constraints[1]", "symmetric(A)"}
        assert [len(d) for d in result.dual_values["constraints[0]"]] == [N, N]
