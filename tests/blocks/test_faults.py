"""A solver that fails: another takes its place, and what it says is not believed. The long study is in tests/hard."""

import pickle
import signal
import threading
import warnings

import cvxpy as cp
import numpy as np
import pytest
from constrained import METHODS
from cvxpy.reductions.solvers.solving_chain import SolvingChain
from faults import RAISED, faulty
from problems import random_iterate, random_problem
from slow_but import every_pair

import bcd_implicit as bi
from bcd_implicit import BlockSolveError, ConvergenceWarning, solve_block
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.feasibility import feasible_start
from bcd_implicit.blocks.output import OutputBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.training.result import Status

SIZE = (3, 4, 2, 30)


KINDS_OF_PROBLEMS = ["free", "constrained"]


@pytest.fixture(params=KINDS_OF_PROBLEMS)
def case(request):
    constraints = [ready.nonnegative("C")] if request.param == "constrained" else []
    problem = random_problem(SIZE, constraints=constraints)
    return problem, random_iterate(problem)


@pytest.mark.parametrize(("kind", "case"), every_pair([*RAISED], KINDS_OF_PROBLEMS), indirect=["case"])
def test_whatever_a_solver_raises_the_next_one_is_tried(kind, case):
    right = solve_block(*case, "output", "CLARABEL").objective
    with faulty(kind, ["CLARABEL"]), pytest.warns(ConvergenceWarning, match="solver CLARABEL ended with") as caught:
        solution = solve_block(*case, "output", "CLARABEL")
    assert "The solution of SCS was used instead. See docs/" in str(caught[0].message)
    assert solution.solver == "SCS"
    assert solution.objective == pytest.approx(right, rel=1e-6)
    with faulty(kind, ["CLARABEL"]):  # a solver that nobody named may fail in silence: the solution names another
        assert solve_block(*case, "output", "cvxpy").solver == "SCS"


RETURNED = ["nan", "infinity", "huge", "zeros", "noise", "half of it", "other bounds"]


@pytest.mark.parametrize(("kind", "case"), every_pair(RETURNED, KINDS_OF_PROBLEMS), indirect=["case"])
def test_whatever_a_solver_returns_is_judged(kind, case):
    right = solve_block(*case, "output", "CLARABEL").objective
    with faulty(kind, ["CLARABEL"]), pytest.warns(ConvergenceWarning, match="CLARABEL.* The solution of SCS was used"):
        solution = solve_block(*case, "output", "CLARABEL")
    assert solution.objective == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("kind", ["nan as duals", "zeros as duals", "no duals"])
def test_dual_values_that_do_not_confirm_the_point_are_not_passed_on(kind):
    problem = random_problem(SIZE, constraints=[ready.nonnegative("C")])
    it = random_iterate(problem)
    with faulty(kind), pytest.warns(ConvergenceWarning, match=r"with relative gap (inf|2.1e-01) \("):
        solution = solve_block(problem, it, "output")
    assert solution.certificate.relative_gap > 0.1
    assert not solution.dual_values
    with faulty(kind):  # whose gap needs no dual values
        free = solve_block(problem, it, "hidden", "SCS")
    assert free.certificate.holds(1e-6)
    assert not free.dual_values


def test_where_all_fail_the_error_brings_the_iterate(case):
    problem, it = case
    with faulty("RuntimeError"), pytest.raises(BlockSolveError, match="CLARABEL ended with status 'failed: boom'") as e:
        solve_block(problem, it, "output", "CLARABEL")
    np.testing.assert_array_equal(e.value.iterate.C, it.C)
    again = pickle.loads(pickle.dumps(e.value))
    assert str(again) == str(e.value)
    np.testing.assert_array_equal(again.iterate.C, it.C)


@pytest.mark.parametrize("kind", ["zeros", "noise", "half of it"])
def test_where_every_point_is_refused_it_has_to_be_better_than_the_start(kind, case):
    problem, it = case
    it = solve_block(problem, it, "output", "CLARABEL").iterate
    with faulty(kind), pytest.raises(BlockSolveError, match=r"'refused: relative gap .*, its objective is") as caught:
        solve_block(problem, it, "output", "CLARABEL")
    assert "Every solver's point was refused (relative gaps: CLARABEL " in str(caught.value)
    np.testing.assert_array_equal(caught.value.iterate.C, it.C)
    assert not caught.value.infeasible
    # So far out the start is worse than any of them.
    far = it.replace(C=1e3 * (1 + np.abs(it.C)))
    with faulty(kind), pytest.warns(ConvergenceWarning, match="with relative gap"):
        solution = solve_block(problem, far, "output", "CLARABEL")
    assert solution.objective < make_block(problem, far, "output").objective(far)


def test_a_point_refused_for_its_duals_alone_may_be_the_start():
    problem = random_problem(SIZE, constraints=[ready.nonnegative("C")])
    best = solve_block(problem, random_iterate(problem), "output").iterate
    with faulty("no duals"), pytest.warns(ConvergenceWarning, match="with relative gap inf"):
        again = solve_block(problem, best, "output")
    np.testing.assert_allclose(again.iterate.C, best.C, atol=1e-6)


@pytest.mark.parametrize(("name", "point"), [("output", "the starting point"), ("output", "zero"), ("hidden", "zero")])
def test_a_solver_that_denies_a_point_that_there_is_has_failed(name, point):
    problem = random_problem(SIZE, constraints=[ready.nonnegative("B"), ready.nonnegative("C")])
    it = random_iterate(problem)
    it = it if point == "zero" else it.replace(B=np.abs(it.B), C=np.abs(it.C))
    said = f"CLARABEL ended with status 'failed: it says that no point meets the constraints, but {point} does"
    with faulty("infeasible", ["CLARABEL"]), pytest.warns(ConvergenceWarning, match=said):
        assert solve_block(problem, it, name, "CLARABEL").solver == "SCS"
    with faulty("infeasible"), pytest.raises(BlockSolveError, match=said) as caught:
        solve_block(problem, it, name, "CLARABEL")
    assert not caught.value.infeasible
    # Where none is known, the solvers are believed.
    problem = problem.replace(constraints=[lambda v: v["B"] >= 0.1, lambda v: v["C"] >= 0.1])
    with faulty("infeasible"), pytest.raises(BlockSolveError, match="'infeasible'"):
        solve_block(problem, random_iterate(problem), name)


@pytest.mark.parametrize("kind", ["RuntimeError", "noise", "infeasible"])
def test_where_no_start_is_found_the_error_brings_the_one_that_there_was(kind):
    problem = random_problem(SIZE, constraints=[ready.nonnegative("B")])
    for start in (None, random_iterate(problem)):
        with faulty(kind), pytest.raises(BlockSolveError, match="block 'constraints on A, B, b'") as caught:
            bi.solve(problem, start=start)
        np.testing.assert_array_equal(caught.value.iterate.B, (start or problem.initial(0)).B)
        # Zero meets them, whatever the solvers say.
        assert not caught.value.infeasible


def test_an_interrupt_is_no_fault(monkeypatch, case):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(SolvingChain, "solve_via_data", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solve_block(*case, "output", "SCS")


def test_an_exit_of_the_program_is_no_fault(monkeypatch, case):
    ended = threading.Event()

    def ends_the_program(signum, frame):
        raise SystemExit(3)

    def told_to_end(*args, **options):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        ended.wait(10)

    monkeypatch.setattr(SolvingChain, "solve_via_data", told_to_end)
    before = signal.signal(signal.SIGTERM, ends_the_program)
    try:
        with pytest.raises(SystemExit):
            solve_block(*case, "output", "SCS")
    finally:
        signal.signal(signal.SIGTERM, before)
        ended.set()


@pytest.mark.parametrize(
    "fault", [np.linalg.LinAlgError("Singular matrix"), FloatingPointError("overflow"), ValueError("NaN"), "nan"]
)
def test_a_native_solver_that_fails_is_followed_by_conic_ones(fault, monkeypatch):
    problem = random_problem(SIZE)
    it = random_iterate(problem)
    right = solve_block(problem, it, "output").objective

    def fails(block, tol, met):
        if isinstance(fault, Exception):
            raise fault
        wrong = block.it.replace(C=np.full_like(block.it.C, np.nan))
        return wrong, met(wrong), {}

    monkeypatch.setattr(OutputBlock, "solve_native", fails)
    assert solve_block(problem, it, "output").solver == "CLARABEL"
    with pytest.warns(ConvergenceWarning, match="solver native ended with status 'failed: .*CLARABEL was used instead"):
        solution = solve_block(problem, it, "output", "native")
    assert solution.objective == pytest.approx(right, rel=1e-6)


def test_a_programming_error_is_no_fault_of_a_solver(monkeypatch):
    monkeypatch.setattr(OutputBlock, "solve_native", lambda block, tol, met: block.no_such_name)
    problem = random_problem(SIZE)
    with pytest.raises(AttributeError):
        solve_block(problem, random_iterate(problem), "output")


@pytest.mark.parametrize("method", METHODS)
def test_a_loop_ends_with_the_last_good_iterate(method):
    problem = random_problem(SIZE, constraints=[ready.nonnegative("B")])
    start = problem.initial(0)
    start = start.replace(B=np.abs(start.B))
    with faulty("KeyError"), pytest.warns(ConvergenceWarning) as caught:
        result = bi.solve(problem, method, start=start, max_cycles=3)
    assert result.status is Status.SOLVER_FAILED
    assert [str(w.message).split(":")[0] for w in caught] == [
        "block 'prox-linear'" if method == "prox-linear" else "block 'hidden'",
        method,
    ]
    # The first cycle's output block was solved before.
    assert result.objective < problem.objective_at_states(problem.at_equilibrium(start))
    assert result.n_cycles == 0
    assert result.seconds == 0
    assert np.isfinite(result.model.predict(problem.U.T)).all()


def test_a_loops_result_names_who_solved_its_blocks():
    problem = random_problem(SIZE)
    with faulty("noise", ["SCS"]), pytest.warns(ConvergenceWarning) as caught:
        result = bi.solve(problem, solver="SCS", max_cycles=3)
    # Once for each block, however many cycles there are.
    of_output, of_prox_linear, ending = (str(warning.message) for warning in caught)
    instead = "The solution of CLARABEL was used instead."
    assert f"{instead} (4 times in this run; the numbers are the last.)" in of_output
    n_attempts = int(result.history["attempts"].sum())
    assert f"{instead} ({n_attempts} times in this run; the numbers are the last.)" in of_prox_linear
    assert "stopped at max_cycles" in ending
    assert caught[0].filename == __file__
    assert result.solver == "SCS"
    assert result.solvers == {"output": "CLARABEL", "prox-linear": "CLARABEL"}
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())


def test_a_loop_whose_rough_steps_fail_is_solved(monkeypatch):
    def fails(block, share):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(ProxLinearBlock, "improve", fails)
    result = bi.solve(random_problem(SIZE), max_cycles=20, tol=1e-2)
    assert result.status is Status.CONVERGED


@pytest.mark.parametrize("kind", ["nan", "zeros", "noise", "infeasible", "RuntimeError"])
def test_a_start_is_feasible_whatever_one_solver_says(kind):
    problem = random_problem(SIZE, constraints=[lambda v: v["B"][0, 0] >= 0.5])
    with faulty(kind, ["CLARABEL"]):
        it = feasible_start(problem, problem.initial(0))
    assert it.B[0, 0] >= 0.5 - 1e-6
    with faulty("zeros"), pytest.raises(BlockSolveError, match="its point violates one by 5.0e-01"):
        feasible_start(problem, problem.initial(0))


def test_a_cone_of_which_ecos_knows_nothing_in_this_cvxpy_is_no_raw_error():
    problem = random_problem(SIZE, constraints=[lambda v: -0.01 * cp.log(v["C"][0, 0] + 9)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert solve_block(problem, random_iterate(problem), "output", "ECOS").certificate.holds(1e-6)
