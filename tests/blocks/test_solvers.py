"""Names of solvers, their options, and which solver takes a block."""

import cvxpy as cp
import pytest
from problems import random_iterate, random_problem

from bcd_implicit import SOLVERS, BlockSolveError, ConvergenceWarning, InvalidInputError, block_problem, solve_block
from bcd_implicit import constraints as ready
from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.solvers import check_solver, solvers_of_all_blocks
from bcd_implicit.blocks.state import StateBlock


def test_solver_options_reach_the_solver():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    with pytest.warns(ConvergenceWarning, match=r"block 'hidden': SCS ended 'optimal'.*asked for 1e-06"):
        short = solve_block(problem, it, "hidden", "SCS", solver_options={"eps_abs": 1e-4, "eps_rel": 1e-4})
    assert short.solver == "SCS"
    assert 1e-6 < short.certificate.relative_gap < 1e-3
    assert problem.violation(short.iterate) <= 1e-8
    # A point that is no use is as good as none.
    with pytest.warns(ConvergenceWarning, match=r"SCS ended '.*asked for 1e-06.*The solution of CLARABEL was used"):
        starved = solve_block(problem, it, "hidden", "SCS", solver_options={"max_iters": 3})
    assert starved.certificate.holds(1e-6)
    for solver in SOLVERS:
        with pytest.raises(InvalidInputError, match=f"solver_options: {solver} refused no_such_option"):
            solve_block(problem, it, "hidden", solver, solver_options={"no_such_option": 1})


def test_auto_falls_back_until_the_certificate_holds(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    assert solve_block(problem, it, "hidden", "auto").solver == "native"
    constrained = problem.replace(constraints=[lambda v: v["A"] >= 0])
    assert solve_block(constrained, it, "hidden", "auto").solver == "SCS"
    assert solve_block(constrained, it, "hidden", "native").solver == "SCS"
    assert solve_block(constrained, it, "output", "auto").solver == "native"
    assert solve_block(problem, it, "hidden", "cvxpy").solver == "SCS"
    monkeypatch.setitem(SOLVERS, "SCS", lambda tol: {"max_iters": 3})
    solution = solve_block(constrained, it, "hidden", "auto")
    assert solution.solver == "CLARABEL"
    assert solution.certificate.violation <= 1e-6


def test_unknown_names_list_the_known(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    with pytest.raises(InvalidInputError, match="unknown solver 'guroby'. Use one of auto, native, cvxpy, CLARABEL"):
        solve_block(problem, it, "hidden", "guroby")
    monkeypatch.setattr(cp, "installed_solvers", lambda: ["CLARABEL"])
    with pytest.raises(InvalidInputError, match="'osqp' is not installed. Use one of auto, native, cvxpy, CLARABEL"):
        solve_block(problem, it, "hidden", "osqp")
    with pytest.raises(InvalidInputError, match='solver_options: belong to one conic solver, but solver is "auto"'):
        solve_block(problem, it, "hidden", solver_options={"max_iters": 3})
    with pytest.raises(InvalidInputError, match="unknown block 'X'. Use one of output, state, hidden, prox-linear"):
        block_problem(problem, it, "X")
    with pytest.raises(InvalidInputError, match="tol: got 0"):
        solve_block(problem, it, "hidden", tol=0)
    with pytest.raises(InvalidInputError, match="tol: got 1e"):
        solve_block(problem, it, "hidden", tol=1e300)
    with pytest.raises(InvalidInputError, match="solver: is of type list"):
        solve_block(problem, it, "hidden", ["native"])
    with pytest.raises(InvalidInputError, match="solver_options: is of type list. Pass a dict"):
        solve_block(problem, it, "hidden", "SCS", solver_options=[1])
    assert solve_block(problem, it, "hidden", "Native").solver == "native"


def test_auto_turns_to_the_conic_solvers_where_the_native_one_misses(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    # A native solver that gives up where it starts.
    monkeypatch.setattr(HiddenBlock, "solve_native", lambda self, tol, met: (self.it, met(self.it), {}))
    assert solve_block(problem, it, "hidden", "auto").solver == "SCS"
    with pytest.warns(ConvergenceWarning, match="block 'hidden': native ended 'no further progress'"):
        assert solve_block(problem, it, "hidden", "native").solver == "native"


def test_a_block_without_a_native_solver_goes_through_cvxpy(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    monkeypatch.setattr(StateBlock, "solve_native", Block.solve_native)
    for solver in ("auto", "native"):
        assert solve_block(problem, random_iterate(problem), "state", solver).solver == "CLARABEL"


@pytest.mark.parametrize("raw", [{"info": {"exitFlag": -4}}, {"info": {"status_val": -5}}], ids=["ECOS", "SCS"])
def test_an_interrupted_solver_is_an_interrupt_and_not_a_failure(raw, monkeypatch):
    from cvxpy.reductions.solvers.solving_chain import SolvingChain

    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    monkeypatch.setattr(SolvingChain, "solve_via_data", lambda *args, **options: raw)
    with pytest.raises(KeyboardInterrupt):
        solve_block(problem, it, "hidden", "SCS")


@pytest.mark.skipif("ECOS_BB" not in cp.installed_solvers(), reason="it comes with ECOS")
def test_a_solver_of_whole_numbers_is_not_offered_and_may_be_named():
    assert "ECOS_BB" not in solvers_of_all_blocks()
    problem = random_problem((3, 4, 2, 30))
    with pytest.raises(InvalidInputError, match="unknown solver 'x'") as unknown:
        solve_block(problem, random_iterate(problem), "hidden", "x")
    assert "ECOS" in unknown.value.remedy
    assert "ECOS_BB" not in unknown.value.remedy
    assert check_solver("ecos_bb") == "ECOS_BB"


@pytest.mark.skipif("OSQP" not in cp.installed_solvers(), reason="CVXPY may do without it")
def test_any_installed_solver_may_be_named_and_an_unfit_one_says_so():
    problem = random_problem((3, 4, 2, 30), constraints=[ready.box("C", -0.1, 0.1)])
    it = random_iterate(problem)
    solution = solve_block(problem, it, "output", "osqp")
    assert solution.solver == "OSQP"
    assert solution.certificate.holds(1e-6)
    assert solution.objective == pytest.approx(solve_block(problem, it, "output", "CLARABEL").objective, rel=1e-6)
    with pytest.raises(BlockSolveError, match="OSQP .*'cannot take the block's second-order cones'") as e:
        solve_block(problem, it, "hidden", "OSQP")
    assert "Use CLARABEL or SCS, which accept all cones" in str(e.value)
    assert e.value.unfit
    assert not e.value.infeasible
    exponential = problem.replace(constraints=[lambda v: cp.sum(cp.exp(v["d"])) <= 9])
    with pytest.raises(BlockSolveError, match="cannot take the block's exponential cones"):
        solve_block(exponential, it, "output", "OSQP")
