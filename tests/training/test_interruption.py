"""Ctrl-C and time limits in solve, paths, selections and estimators: the best so far, and a status that says so."""

import os
import signal
import threading
import time

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.reductions.solvers.solving_chain import SolvingChain
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit import ConvergenceWarning, NothingYetError, Status
from bcd_implicit.blocks.compiled import Compiled
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.support import interruption

# Far beyond what it takes (docs: a few tenths of a second), for busy machines.
LATEST = 10.0


@pytest.fixture(autouse=True)
def no_earlier_ctrl_c(monkeypatch):
    monkeypatch.setattr(interruption, "_last_pressed", -float("inf"))


def interrupted(call, after=0.2):
    """What a call returns that gets a Ctrl-C after some seconds, and how long after that."""
    sent = []

    def press():
        sent.append(time.monotonic())
        # As where there is no other thread: one of these may take it for SCS or ECOS, which may forget it.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    timer = threading.Timer(after, press)
    timer.start()
    try:
        found = call()
    finally:
        timer.cancel()
    assert sent, "it ended by itself"
    assert time.monotonic() - sent[0] < LATEST
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return found


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((300, 60))
    return bi.TrainingProblem(U, np.abs(U[:, :2]) + 0.1 * rng.standard_normal((300, 2)), 10, kappa=1e-3)


def check_result(problem, result):
    """The best iterate so far: feasible, at equilibrium, no worse than the history says."""
    assert result.status is Status.INTERRUPTED
    assert problem.violation(result.iterate) <= 1e-8
    assert result.objective == pytest.approx(problem.equilibrium_objective(result.iterate), rel=1e-9)
    if result.n_cycles and result.method == "prox-linear":
        assert result.objective <= result.history["objective"].iloc[-1] * (1 + 1e-9)


ENDLESS = {"tol": 0.0, "max_cycles": 10**6}


@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
def test_a_solve_returns_its_best_iterate(problem, method):
    warm = problem.initial()
    with pytest.warns(ConvergenceWarning, match=f"{method}: interrupted by Ctrl-C; .*start=result.*cycles: "):
        result = interrupted(lambda: bi.solve(problem, method, start=warm, **ENDLESS), 0.5)
    check_result(problem, result)
    # What is returned is a start like any other.
    with pytest.warns(ConvergenceWarning, match="stopped at max_cycles"):
        bi.solve(problem, method, start=result, max_cycles=1)


@pytest.mark.parametrize("solver", ["CLARABEL", "ECOS", "SCS"])
def test_a_conic_solver_is_not_waited_for(solver):
    # The smallest that keeps each of them busy: a signal in SCS's set-up of less than 2 ms would be lost.
    small = random_problem((4, 20, 2, 100), kappa=0.01)
    with pytest.warns(ConvergenceWarning):
        check_result(small, interrupted(lambda: bi.solve(small, solver=solver, max_seconds=60, **ENDLESS)))


def test_a_ctrl_c_at_the_very_end_is_not_unheard():
    small = random_problem((2, 3, 1, 20), kappa=0.05)

    def callback(cycle, *_):
        os.kill(os.getpid(), signal.SIGINT)
        return True

    with pytest.warns(ConvergenceWarning, match="interrupted by Ctrl-C"):
        assert bi.solve(small, callback=callback).status is Status.INTERRUPTED


def test_a_second_one_raises(problem):
    def twice(cycle, *_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bi.solve(problem, callback=twice, **ENDLESS)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def held_up(monkeypatch):
    """A function that makes a method of a class take very long, until the test is over."""
    over = threading.Event()

    def hold_up(owner, name):
        usual = getattr(owner, name)

        def slow(*args, **options):
            over.wait(3 * LATEST)
            return usual(*args, **options)

        monkeypatch.setattr(owner, name, slow)

    yield hold_up
    over.set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name"), [(ProxLinearBlock, "pose"), (cp.Problem, "get_problem_data"), (Compiled, "claim")]
)
def test_posing_compiling_and_certifying_are_not_waited_for(owner, name, held_up):
    small, threads = random_problem((3, 6, 2, 40), kappa=0.01), set()

    def bounded(v):
        threads.add(threading.current_thread())
        return cp.norm(v["B"], 1) <= 3

    held_up(owner, name)
    with pytest.warns(ConvergenceWarning):
        check_result(small, interrupted(lambda: bi.solve(small, solver="CLARABEL", **ENDLESS)))
    small = small.replace(constraints=[bounded])
    with pytest.warns(ConvergenceWarning, match="stopped at max_seconds"):
        assert bi.solve(small, max_seconds=0.2, **ENDLESS).status is Status.TIME_LIMIT
    with pytest.raises(NothingYetError):
        bi.solve_block(small, small.initial(), "prox-linear", max_seconds=0.2)
    # A user's function may be made for one thread.
    assert threads == {threading.current_thread()}


def test_a_feasible_start_is_waited_for_a_moment(held_up, monkeypatch):
    problem = random_problem((3, 6, 2, 40), constraints=[lambda v: v["B"] >= 0])
    with pytest.warns(ConvergenceWarning, match="stopped at max_seconds"):
        assert bi.solve(problem, max_seconds=1e-9).violations["constraints[0]"] <= 1e-6
    monkeypatch.setattr(interruption, "GRACE", 0.1)
    held_up(SolvingChain, "solve_via_data")
    with pytest.raises(NothingYetError, match="max_seconds=0.1 passed before there was a result"):
        bi.solve(problem, max_seconds=0.1)
    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: bi.solve(problem))


def test_a_time_limit_ends_a_solve_with_numbers(problem):
    began = time.monotonic()
    with pytest.warns(ConvergenceWarning, match=r"stopped at max_seconds; .*\(cycles: \d+, objective at the end: "):
        result = bi.solve(problem, max_seconds=0.3, **ENDLESS)
    assert result.status is Status.TIME_LIMIT
    assert not result.status.ok
    assert time.monotonic() - began < LATEST
    with pytest.raises(bi.InvalidInputError, match="max_seconds: .*Give a positive number of seconds, or None"):
        bi.solve(problem, max_seconds=0)


def test_before_the_first_cycle_the_output_block_is_all_that_is_solved(problem):
    with pytest.warns(ConvergenceWarning, match="stopped at max_seconds"):
        result = bi.solve(problem, max_seconds=1e-9)
    assert result.n_cycles == 0
    assert result.seconds == 0
    start = problem.initial()
    np.testing.assert_array_equal(result.iterate.B, problem.group_lasso.repair(start.B))
    assert result.objective < problem.objective_at_states(start)
    assert result.certificates["output"].holds(1e-6)
    assert "INTERRUPTED" not in repr(result)


def test_states_of_many_samples_are_broken_off_but_starts_and_answers_are_not(problem):
    model = problem.model(problem.initial())
    with interruption.stoppable() as limits:
        start = problem.initial()
        limits.ctrl_c.pressed = True
        with pytest.raises(interruption.Stop):
            problem.at_equilibrium(start)
        # What a call returns that was cut short: a start, and a model that predicts.
        np.testing.assert_array_equal(problem.initial().X, start.X)
        assert np.isfinite(model.predict(problem.U.T)).all()


def test_the_callback_gets_arrays_that_it_cannot_spoil(problem):
    def spoils(cycle, objective, it):
        with pytest.raises(ValueError, match="read-only"):
            it.A[0, 0] = 1.0
        return True

    result = bi.solve(problem, callback=spoils)
    result.iterate.A[0, 0] = result.iterate.A[0, 0]


def test_a_path_has_the_kappas_that_are_done(problem):
    ended_after = []

    def tell(share, text):
        if text.endswith("60 inputs"):
            ended_after.append(text)
            if len(ended_after) == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(ConvergenceWarning, match="kappa_path: interrupted by Ctrl-C after 3 kappas, the last 0.04;"):
        path = bi.kappa_path(problem, kappas=[0.01, 0.02, 0.04, 0.08], progress=tell, tol=0.1)
    assert path.cut_short is Status.INTERRUPTED
    assert repr(path).endswith("inputs, interrupted by Ctrl-C)")
    assert "interrupted by Ctrl-C; this is the result so far" in path._repr_html_()
    assert path.kappas.tolist() == [0.01, 0.02, 0.04]
    assert not any(result.status.cut_short for result in path.results)


@pytest.mark.parametrize("options", [{"kappas": [0.01, 0.02]}, {"n_kappas": 5}], ids=["given", "automatic"])
def test_a_path_that_has_no_kappa_yet_is_its_best_iterate(problem, options):
    with pytest.warns(ConvergenceWarning, match="kappa_path: stopped at max_seconds within the first kappa") as told:
        path = bi.kappa_path(problem, max_seconds=1e-6, **options)
    assert told[0].filename == __file__
    assert path.cut_short is Status.TIME_LIMIT
    assert len(path.results) == 1
    assert path.results[0].n_cycles == 0


@pytest.fixture(scope="module")
def path():
    data = bi.datasets.make_column_sparse(60, 6, 2, 2, 2, noise=0.1, random_state=0)
    return bi.kappa_path(bi.TrainingProblem(data.U, data.Y, 2, pass_through=False), 5)


def test_a_selection_is_what_is_decided_so_far(path):
    with pytest.warns(
        ConvergenceWarning, match="select: stopped at max_seconds. Returned: the support that stays long"
    ):
        chosen = path.select(max_seconds=1e-6)
    assert chosen.status is Status.TIME_LIMIT
    assert repr(chosen).endswith(" Stopped at max_seconds.)")
    assert "stopped at max_seconds; this is what was decided by then" in chosen._repr_html_()
    assert chosen.rule == "plateau"
    np.testing.assert_array_equal(chosen.support, path.plateau())
    np.testing.assert_array_equal(chosen.model.B.any(axis=0) <= chosen.support, True)

    # What the rule has chosen is kept when Ctrl-C comes later.
    def tell(share, text):
        if text.startswith("score tests"):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(
        ConvergenceWarning, match="interrupted by Ctrl-C. Returned: the inputs that the rule chose, befo"
    ):
        later = path.select(progress=tell, ridges=[1e-4], max_cycles=20, tol=0.2)
    assert later.status is Status.INTERRUPTED
    assert later.rule == "min"
    assert later.table.loc[later.table["chosen"], "inputs"].iloc[0] == later.names


@pytest.mark.processes
@pytest.mark.slow
def test_jobs_in_other_processes_end_too(path):
    with pytest.warns(ConvergenceWarning, match="select: interrupted by Ctrl-C"):
        chosen = interrupted(lambda: path.select("stability", n_subsamples=400, n_jobs=2), 0.5)
    assert chosen.status is Status.INTERRUPTED
    # They are ready for new work.
    assert path.frequencies(2, n_jobs=2).shape == (len(path.kappas), 6)


def test_what_has_no_part_result_raises(path, problem):
    with pytest.raises(KeyboardInterrupt):
        interrupted(lambda: path.frequencies(4000))
    with pytest.raises(NothingYetError), interruption.stoppable(1e-6):
        bi.reference_kappa(problem)
    with pytest.raises(NothingYetError, match="max_seconds=1e-06 passed before there was a result"):
        bi.reference_kappa(problem, max_seconds=1e-6)


@pytest.mark.parametrize("solver", ["native", "CLARABEL"])
def test_a_single_block_ends_without_a_result(problem, solver):
    it = problem.initial(0)
    with pytest.raises(NothingYetError, match="max_seconds=1e-06 passed before there was a result"):
        bi.solve_block(problem, it, "hidden", solver, max_seconds=1e-6)

    def again_and_again():
        while True:
            bi.solve_block(problem, it, "hidden", solver)

    with pytest.raises(KeyboardInterrupt):
        interrupted(again_and_again)
    in_time = bi.solve_block(problem, it, "hidden", max_seconds=1000)
    assert in_time.objective == bi.solve_block(problem, it, "hidden").objective


def test_a_reweighted_path_ends_with_what_there_is(path):
    with pytest.warns(ConvergenceWarning, match="kappa_path: stopped at max_seconds within the first kappa"):
        second = path.reweighted(5, max_seconds=1e-6)
    assert second.cut_short is Status.TIME_LIMIT
    assert second.problem.group_weights.max() > 1  # of the second path, whatever the time


def test_estimators_are_fitted_with_what_there_is(path):
    X, y = path.problem.U.T, path.problem.Y[0]
    with pytest.warns(
        ConvergenceWarning, match="fit: stopped at max_seconds; the last training took 0 cycles; there was"
    ):
        fitted = bi.ImplicitRegressor(3, max_seconds=1e-6).fit(X, y)
    assert fitted.alpha_ == 0.03
    assert fitted.result_.status is Status.TIME_LIMIT
    assert fitted.predict(X).shape == (60,)
    with pytest.warns(ConvergenceWarning, match="fit: interrupted by Ctrl-C; the last training took"):
        fitted = interrupted(lambda: bi.ImplicitClassifier(3, alpha=1e-3, n_init=1, **ENDLESS).fit(X, y > y.mean()))
    assert fitted.result_.status is Status.INTERRUPTED
    with pytest.warns(
        ConvergenceWarning, match="fit: stopped at max_seconds; the path ends after 1 kappa, the choice from it"
    ):
        selector = bi.ImplicitFeatureSelector(2, max_seconds=1e-6).fit(X, y)
    assert selector.selection_.status is Status.TIME_LIMIT
    assert selector.transform(X).shape[1] >= 1


def test_the_choice_of_alpha_leaves_time_to_train(path, monkeypatch):
    monkeypatch.setattr("bcd_implicit.estimators.base.CV_SHARE", 1e-9)
    X, y = path.problem.U.T, path.problem.Y[0]
    with pytest.warns(
        ConvergenceWarning, match=r"fit: there was no time to choose alpha, so the middle one \(0.03\) was used."
    ):
        fitted = bi.ImplicitRegressor(2, max_seconds=1000, tol=1e-2).fit(X, y)
    assert fitted.result_.status is Status.CONVERGED


def test_rankings_have_a_limit_and_no_half_answer():
    path = bi.kappa_path(random_problem((3, 6, 2, 60), pass_through=False), 3)
    for call in (path.ranking, path.frequencies):
        with pytest.raises(NothingYetError, match=r"max_seconds=0.001 passed before there was a result"):
            call(20, max_seconds=1e-3)
