"""The loops: objectives never rise, states are at equilibrium, statuses tell the truth."""

import warnings

import numpy as np
import pytest
from problems import random_iterate, random_problem
from sklearn.datasets import make_friedman1
from sklearn.linear_model import Ridge
from slow_but import slow_but

import bcd_implicit as bi
from bcd_implicit import ConvergenceWarning, InvalidInputError, Status, solve
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.training import cycles
from bcd_implicit.training import loop as the_loop
from bcd_implicit.training.loop import FIRST_SHARE, LEAST_SHARE, Loop, State

METHODS = ["prox-linear", "fenchel"]


def quiet(problem, *args, **options):
    """Solve when stopping at max_cycles is meant."""
    options.setdefault("max_cycles", 6)
    with pytest.warns(ConvergenceWarning, match="stopped at max_cycles"):
        return solve(problem, *args, tol=0.0, **options)


def rises(history):
    objective = history["objective"].to_numpy()
    return np.max(np.diff(objective) / np.abs(objective[:-1]), initial=-np.inf)


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")  # random problems of any conditioning
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "options",
    [{"norm_bound": 0.9}, {"kappa": 1.0, "group_form": "constraint"}, {"pass_through": False, "fit_intercept": False}],
    ids=["norm bound 0.9", "constraint form", "no D, b, d"],
)
def test_objective_never_rises_and_everything_stays_feasible(method, options, size):
    problem = random_problem(size, **options)
    seen = []
    result = solve(problem, method, max_cycles=6, tol=0.0, callback=lambda c, f, it: seen.append((f, it)))
    assert rises(result.history) <= 1e-9
    start = problem.initial(0)
    assert result.history["objective"][0] <= problem.objective(start) * (1 + 1e-9)
    for objective, it in seen:
        assert problem.row_set.violation(it.A) <= 1e-8
        assert problem.group_lasso.violation(it.B) <= 1e-8
        value = problem.equilibrium_objective(it) if method == "prox-linear" else problem.objective(it)
        assert value == pytest.approx(objective, rel=1e-10)
    assert problem.fenchel_term(result.iterate) <= 1e-14
    assert result.objective == pytest.approx(problem.equilibrium_objective(result.iterate), rel=1e-10)
    if options.get("pass_through") is False:
        assert not result.iterate.D.any()
        assert not result.iterate.b.any()
        assert not result.iterate.d.any()


@pytest.mark.parametrize("method", METHODS)
def test_training_beats_the_linear_model_on_nonlinear_data(method):
    rng = np.random.default_rng(0)
    U = rng.standard_normal((200, 2))
    y = np.abs(U[:, 0]) + 0.1 * rng.standard_normal(200)
    problem = bi.TrainingProblem(U, y, 4, kappa=1e-3, ridge=1e-3)
    result = quiet(problem, method, max_cycles=15)
    linear = Ridge(1e-3).fit(U, y)
    assert np.mean((result.model.predict(U) - y) ** 2) < 0.3 * np.mean((linear.predict(U) - y) ** 2)


@pytest.mark.parametrize("method", METHODS)
def test_deterministic_for_a_random_state(method):
    problem = random_problem((3, 4, 2, 30), kappa=0.05)
    first, second, other = (quiet(problem, method, max_cycles=3, random_state=s) for s in (5, 5, 6))
    for part in ("A", "B", "b", "C", "D", "d", "X"):
        np.testing.assert_array_equal(getattr(first.iterate, part), getattr(second.iterate, part))
    assert not np.array_equal(first.iterate.B, other.iterate.B)
    generator = quiet(problem, method, max_cycles=3, random_state=np.random.default_rng(5))
    np.testing.assert_array_equal(first.iterate.B, generator.iterate.B)


@pytest.mark.parametrize("method", METHODS)
def test_warm_start_goes_on_where_it_stopped(method):
    problem = random_problem((3, 4, 2, 30), kappa=0.05)
    first = quiet(problem, method, max_cycles=4)
    with warnings.catch_warnings():
        # Equilibrium states are a stationary point of the relaxed objective: fenchel may have converged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        second = solve(problem, method, max_cycles=2, tol=0.0, start=first.iterate)
    value = first.objective
    assert second.history["objective"][0] <= value * (1 + 1e-9) or method == "fenchel"
    assert second.objective <= value * (1 + 1e-9) or method == "fenchel"
    # A start is repaired before use: it need not be feasible for the new settings.
    tighter = problem.replace(norm_bound=0.05)
    assert quiet(tighter, method, max_cycles=1, start=first.iterate).model.norm_inf() <= 0.05 + 1e-12


def test_convergence_is_reported_and_stationary():
    problem = random_problem((3, 4, 2, 30), kappa=0.5)
    result = solve(problem, max_cycles=200, tol=1e-6)
    assert result.status is Status.CONVERGED
    assert result.history["change"].iloc[-1] <= 1e-6
    assert all(c.holds(1e-6) for c in result.certificates.values())
    assert set(result.certificates) == {"output", "prox-linear"}
    assert result.dual_values["norm_bound"].shape == (3,)
    again = solve(problem, max_cycles=200, tol=1e-6, start=result.iterate)
    assert again.objective == pytest.approx(result.objective, rel=1e-4)


def test_an_exact_fit_is_a_convergence_and_not_a_stall():
    U = np.linspace(-1, 1, 20)[:, None]
    problem = bi.TrainingProblem(U, 0 * U, 2)
    result = solve(problem, max_cycles=50)
    assert result.status is Status.CONVERGED
    assert np.abs(result.model.predict(U)).max() < 1e-6


@pytest.mark.filterwarnings("ignore:block 'state'")  # at an objective of 1e-6 no conic solver has digits left
def test_fenchel_ends_when_nothing_is_left():
    U = np.linspace(-1, 1, 20)[:, None]
    result = solve(bi.TrainingProblem(U, 0 * U, 2), "fenchel", max_cycles=50)
    assert result.status is Status.CONVERGED
    assert result.n_cycles < 10
    assert np.abs(result.model.predict(U)).max() < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_without_any_penalty_on_B_the_gap_is_unknown_and_the_residual_judges(method):
    problem = random_problem((3, 4, 2, 60), kappa=0.0, ridge_hidden=0.0)
    result = quiet(problem, method, max_cycles=3)  # and no other warning
    certificate = result.certificates["prox-linear" if method == "prox-linear" else "hidden"]
    assert not certificate.known
    assert certificate.kkt_residual < 1e-3


def test_stopping_short_warns_with_numbers_and_advice():
    problem = random_problem((3, 4, 2, 30))
    with pytest.warns(ConvergenceWarning, match=r"raise max_cycles or tol \(cycles: 2, .*tol: 1e-12"):
        result = solve(problem, max_cycles=2, tol=1e-12)
    assert result.status is Status.MAX_CYCLES
    assert "raise max_cycles" in result.status.value


def test_callback_stops_and_sees_every_cycle():
    problem, seen = random_problem((3, 4, 2, 30)), []

    def callback(cycle, objective, it):
        seen.append((cycle, objective, it.B.shape))
        return cycle == 3

    result = solve(problem, max_cycles=10, callback=callback)
    assert result.status is Status.STOPPED
    assert [c for c, _, _ in seen] == [1, 2, 3]
    assert result.history["objective"].tolist() == [f for _, f, _ in seen]
    assert seen[0][2] == (3, 4)


def test_history_has_what_the_design_promises():
    history = quiet(random_problem((3, 4, 2, 30), kappa=0.05), max_cycles=3).history
    assert {"cycle", "objective", "gap", "seconds"} <= set(history.columns)
    assert history["cycle"].tolist() == [1, 2, 3]
    # Rough steps are not certified, and say so; the last cycle is.
    assert history["asked"].tolist() == [FIRST_SHARE, FIRST_SHARE, 1e-6]
    assert history["gap"].isna().tolist() == [True, True, False]
    assert history["gap"].iloc[-1] <= 1e-6
    assert (history["seconds"] > 0).all()
    assert (history["violation"] <= 1e-8).all()


def test_rough_steps_become_finer_before_blocks_are_solved():
    history = solve(random_problem((3, 4, 2, 30), kappa=0.05), tol=1e-3).history
    asked = history["asked"].to_numpy()
    assert asked[0] == FIRST_SHARE
    assert asked[-1] == 1e-6
    rough = asked[history["gap"].isna()]
    assert (np.diff(rough) <= 0).all()
    assert rough.min() >= 0.1 * LEAST_SHARE
    # Only what stands still ends the loop.
    assert history["change"].iloc[-1] <= 1e-3


def test_fits_that_are_only_compared_are_not_certified():
    problem = random_problem((3, 4, 2, 30), kappa=0.05)
    result, certified = (solve(problem, tol=1e-3, block_tol=tol) for tol in (None, 1e-6))
    assert result.status is Status.CONVERGED
    assert result.history["gap"].isna().all()
    assert result.history["asked"].min() >= LEAST_SHARE
    assert result.certificates.keys() == {"output"}  # of the last step, which is exact in any case
    assert result.n_cycles < certified.n_cycles
    assert result.objective == pytest.approx(certified.objective, rel=0.05)
    # Where every step is exact there is nothing to leave out.
    exact = quiet(problem, solver="CLARABEL", max_cycles=2, block_tol=None)
    assert (exact.history["asked"] == 1e-6).all()


def test_a_small_decrease_in_the_objectives_units_ends_the_loop():
    problem = random_problem((3, 4, 2, 30), kappa=0.05)
    by_share, by_size = solve(problem, tol=1e-5), solve(problem, tol=0.0, atol=1e-2)
    assert by_size.status is Status.CONVERGED
    assert by_size.n_cycles < by_share.n_cycles
    decreases = -np.diff(by_size.history["objective"])
    # Of two rough cycles the mean counts.
    means = (decreases[1:] + decreases[:-1]) / 2
    asked = by_size.history["asked"].to_numpy()
    assert decreases[-1] <= 1e-2 < means[asked[2:] == asked[0]][:-1].min(initial=np.inf)


@pytest.mark.parametrize(("solver", "n_solved", "n_cycles"), [("CLARABEL", 2, 1), ("native", 0, 9)])
def test_a_failing_solver_keeps_the_last_good_iterate(monkeypatch, solver, n_solved, n_cycles):
    problem, calls = random_problem((3, 4, 2, 30), kappa=0.05), []
    real = the_loop.solve_prepared

    def fails_later(block, *args):
        calls.append(block.name)
        if len(calls) > n_solved:
            raise bi.BlockSolveError(block.name, "CLARABEL", "failed: numbers", "Try another solver")
        return real(block, *args)

    monkeypatch.setattr(the_loop, "solve_prepared", fails_later)
    with pytest.warns(ConvergenceWarning) as caught:
        result = solve(problem, solver=solver, max_cycles=10, tol=0.0)
    assert result.status is Status.SOLVER_FAILED
    # With native steps only the last cycle asks for a solved block.
    assert len(result.history) == n_cycles
    assert np.isfinite(result.objective)
    assert any("ended with status 'failed: numbers'" in str(w.message) for w in caught)
    assert any("last good iterate" in str(w.message) for w in caught)


def test_a_step_that_raises_the_true_objective_is_refused(monkeypatch):
    problem = random_problem((3, 4, 2, 30), norm_bound=0.9)
    it = random_iterate(problem, relaxed=False)
    loop = Loop(problem, "CLARABEL", 1e-6, None, False, State(it, problem.objective_at_states(it)))
    for _ in range(5):
        before, loop.state.damping = loop.state.objective, 1e-9  # always too bold a step at first
        it, value = cycles.prox_linear_cycle(loop, it)
        assert value <= before
        loop.state.take(it, value)
    assert loop.state.certificates["prox-linear"].holds(1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "adam"}, "method: unknown method 'adam'. Use one of prox-linear, fenchel"),
        ({"solver": "guroby"}, "solver: unknown solver 'guroby'"),
        ({"max_cycles": 0}, "max_cycles: got 0, must be >= 1"),
        ({"tol": -1}, "tol: got -1"),
        ({"block_tol": 0}, "block_tol: got 0"),
        ({"atol": -1}, "atol: got -1, must be >= 0"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        solve(random_problem((3, 4, 2, 30)), **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_convergence_is_not_claimed_while_a_block_is_unsolved(monkeypatch):
    monkeypatch.setattr(HiddenBlock, "preferred_solvers", ("SCS",))  # with nobody to stand in for it
    # Inputs far from zero relative to their spread: conic solvers do not get the block right, and it must show.
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 5))
    Y = np.stack([np.sin(U[:, 0]) + np.abs(U[:, 1]), U[:, 2] * U[:, 0]], 1)
    problem = bi.TrainingProblem(U + 1e8, Y, 3)
    result = solve(problem, "fenchel", solver="SCS", max_cycles=40, tol=1e-3)
    assert result.certificates["hidden"].relative_gap > 1e-3
    assert result.status is Status.STALLED
    # The native solvers centre the inputs, so for them it is the problem without the offset.
    native, centred = (solve(p, max_cycles=40, tol=1e-3) for p in (problem, bi.TrainingProblem(U, Y, 3)))
    assert native.status is Status.CONVERGED
    # An offset of 1e8 leaves 8 digits of U, and many cycles tell them.
    assert native.objective == pytest.approx(centred.objective, rel=1e-2)


def test_a_start_may_be_a_result_and_must_be_an_iterate():
    problem = random_problem((3, 4, 2, 30))
    first = quiet(problem, max_cycles=2)
    by_result, by_iterate = (quiet(problem, max_cycles=1, start=s) for s in (first, first.iterate))
    assert by_result.objective == by_iterate.objective
    with pytest.raises(InvalidInputError, match="start: is of type dict. Pass an Iterate, such as result.iterate"):
        solve(problem, start={})
    with pytest.raises(InvalidInputError, match="problem: is of type ndarray"):
        solve(problem.U)


def test_a_start_may_be_a_model():
    problem = random_problem((3, 4, 2, 30))
    first = quiet(problem, max_cycles=2)
    assert all((getattr(problem.iterate(first.model), k) == getattr(first.iterate, k)).all() for k in "AbBCDd")
    states = problem.iterate(first.model).X
    assert np.abs(states - first.iterate.X).max() <= 1e-12 * np.abs(states).max()
    by_model, by_iterate = (quiet(problem, max_cycles=1, start=s) for s in (first.model, first.iterate))
    assert by_model.objective == pytest.approx(by_iterate.objective, rel=1e-9)
    refused = {
        "has 3 hidden features, 4 inputs and 2 outputs, but the problem 5 hidden features, 4": {"n_hidden": 5},
        "has states of relu, but the problem of tanh": {"activation": "tanh"},
    }
    for message, settings in refused.items():
        with pytest.raises(InvalidInputError, match=f"model: {message}"):
            solve(problem.replace(**settings), start=first.model)
    turned = problem.model(first.iterate, input_names=problem.input_names[::-1])
    np.testing.assert_array_equal(problem.iterate(turned).B, first.iterate.B[:, ::-1])


def test_a_start_of_another_shape_is_named():
    problem = random_problem((3, 4, 2, 30))
    with pytest.raises(InvalidInputError, match="start.A"):
        solve(problem, start=random_problem((5, 8, 20, 40)).initial())


@pytest.mark.parametrize("letter", ["A", "B", "b", "C", "D", "d", "X"])
def test_a_start_that_could_overflow_is_named(letter):
    problem = random_problem((3, 4, 2, 30))
    start = problem.initial()
    huge = start.replace(**{letter: np.full_like(getattr(start, letter), 1e308)})
    with pytest.raises(
        InvalidInputError, match=rf"^start\.{letter}: has entries as large as 1\.0e\+308, but the limit"
    ):
        solve(problem, start=huge)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_friedman1(seed):
    U, y = make_friedman1(n_samples=1050 + 2000, noise=1.0, random_state=seed)
    scales = Standardization.fit(U[:1050], y[:1050, None])
    problem = bi.TrainingProblem(
        *scales.apply(U[:1050], y[:1050, None]), n_hidden=20, norm_bound=0.9, kappa=0.01, ridge=1e-3
    )
    result = solve(problem, max_cycles=100, tol=1e-3)
    prediction = scales.raw_model(result.model).predict(U[1050:])[:, 0]
    r2 = 1 - np.mean((prediction - y[1050:]) ** 2) / np.var(y[1050:])
    assert result.status is Status.CONVERGED
    assert r2 >= 0.945


@pytest.mark.parametrize("method", METHODS)
def test_native_and_conic_solvers_walk_the_same_way(method):
    problem = random_problem((3, 6, 2, 40), kappa=0.1)
    native = conic = problem.initial()
    for _ in range(4):
        # One cycle at a time: the last one is solved exactly.
        native, conic = (
            quiet(problem, method, solver=solver, max_cycles=1, start=start)
            for solver, start in (("native", native), ("cvxpy", conic))
        )
        assert native.objective == pytest.approx(conic.objective, rel=1e-4)
    np.testing.assert_array_equal(native.iterate.B.any(axis=0), conic.iterate.B.any(axis=0))


def bent_data():
    """Two outputs of six inputs, with bends, and a little noise."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 6))
    Y = np.column_stack([np.abs(U[:, 0]) + U[:, 1], np.maximum(U[:, 2], 0)]) + 0.1 * rng.standard_normal((60, 2))
    return U, Y


@pytest.mark.parametrize("unit", slow_but([1e12], [1e6, 1e8, 1e12]))
def test_targets_in_large_units_end_as_low(unit):
    # The scale step makes C small after the first cycle, and with it the curvature; the proximal weight has to follow.
    U, Y = bent_data()
    # Weak penalties, so that all units have nearly one problem.
    low, high = (
        solve(bi.TrainingProblem(U, Y * u, 4, ridge=1e-9, ridge_hidden=1e-9 * u), tol=1e-4) for u in (1.0, unit)
    )
    assert high.status is low.status is Status.CONVERGED
    assert high.objective / unit**2 < 1.5 * low.objective


@pytest.mark.slow
def test_the_last_cycle_that_max_cycles_makes_exact_is_no_sign_of_convergence():
    U, Y = bent_data()
    problem = bi.TrainingProblem(U, Y, 4, kappa=0.02)
    whole = solve(problem)
    assert whole.status is Status.CONVERGED
    for max_cycles in range(2, whole.n_cycles - 2, 3):
        # The last changes are small, and so is that of an exact cycle; rough ones had not stood still.
        with pytest.warns(ConvergenceWarning, match="stopped at max_cycles"):
            assert solve(problem, max_cycles=max_cycles).status is Status.MAX_CYCLES


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_solvers_that_did_no_better_are_not_asked_in_every_cycle(monkeypatch):
    asked = []

    def run_solver(posed, block, solver, *rest):
        asked.append((block, solver))
        raise bi.BlockSolveError(block, solver, "failed: on purpose", "Nothing")

    monkeypatch.setattr("bcd_implicit.blocks.solve.run_solver", run_solver)
    # No block can be certified so well, and no conic solver helps.
    problem = random_problem((3, 4, 2, 30))
    result = solve(problem, "fenchel", max_cycles=5, block_tol=1e-30)
    assert result.n_cycles == 5
    assert not any(certificate.holds(1e-30) for certificate in result.certificates.values())
    assert len(asked) == len(set(asked)) <= 9


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "clip", "soft_threshold"])
@pytest.mark.parametrize("kappa", slow_but([5], [0.5, 5]))
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_without_a_ridge_what_is_reported_is_what_the_model_does(activation, kappa):
    """Once B is zero only a tolerance tells states apart, and no coefficient of 1e13 may make a regressor of that."""
    for seed in range(2):
        data = bi.datasets.make_column_sparse(60, 8, 4, 5, 3, noise=0.2, random_state=seed)
        problem = bi.TrainingProblem(
            data.U, data.Y, 4, activation=activation, kappa=kappa, ridge=0, ridge_hidden=0, pass_through=seed == 0
        )
        result = bi.solve(problem, max_cycles=60, tol=1e-6)
        loss = 0.5 * np.mean(np.sum((result.model.predict(data.U) - data.Y) ** 2, axis=1))
        norms = np.linalg.norm(result.model.B, axis=0).sum()
        assert result.objective == pytest.approx(loss + kappa * norms, rel=1e-6)
        assert np.abs(result.model.C).max() < 1e6
        assert result.objective <= 0.5 * data.Y.var(axis=0).sum() * (1 + 1e-9)  # no worse than the means
