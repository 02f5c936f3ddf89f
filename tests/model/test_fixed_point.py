"""The solvers of states against each other, and their error bounds against states of more digits."""

import itertools
import warnings

import numpy as np
import pytest
from contracting import batch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_friedman1
from slow_but import slow_but

from bcd_implicit import ConvergenceWarning, ImplicitModel, InvalidInputError, NotWellPosedError, TrainingProblem, solve
from bcd_implicit.model import active_set as active_set_module
from bcd_implicit.model import fixed_point as fixed_point_module
from bcd_implicit.model.active_set import newton_step
from bcd_implicit.model.fixed_point import SOLVERS, fixed_point, states_from
from bcd_implicit.model.state_map import StateMap
from bcd_implicit.model.well_posedness import weights as find_weights
from bcd_implicit.terms.activations import ACTIVATIONS, LeakyRelu, get_activation

ALL = [*ACTIVATIONS.values(), LeakyRelu(0.7)]


def in_more_digits(A, drive, activation, X):
    """The states in long double, by Newton from X; asserts that they are states there."""
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("long double has no more digits here")
    A, drive, X = (np.asarray(part, dtype=np.longdouble) for part in (A, drive, X))
    steps = [np.inf]
    for _ in range(20):
        Z = A @ X + drive
        # Slopes and solves in double: the residual decides.
        slopes = np.asarray(activation.derivative(Z), dtype=float)
        step = newton_step(A.astype(float), slopes, (long_activation(activation, Z) - X).astype(float))
        X = X + step
        steps.append(float(np.abs(step).max()))
    residual = float(np.abs(long_activation(activation, A @ X + drive) - X).max())
    assert residual <= 1e-17 * float(np.abs(X).max() + np.abs(drive).max())
    return X


def long_activation(activation, Z):
    """phi in long double: the package's identity would round to double."""
    return Z if activation.name == "identity" else activation(Z)


@pytest.mark.parametrize("activation", ALL, ids=lambda phi: f"{phi.name}-{getattr(phi, 'slope', '')}")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("norm_bound", slow_but([0.9], [0.0, 0.5, 0.9, 0.99, 0.999]))
def test_bounds_hold_in_more_digits(activation, solver, norm_bound):
    for seed, signs, scale in itertools.product((0, 1), (True, False), (1e-8, 1.0, 1e8)):
        A, drive = batch(norm_bound, n=6, m=15, seed=seed, signs=signs)
        drive *= scale
        exact = in_more_digits(A, drive, activation, fixed_point(A, drive, activation, tol=1e-14).X)
        for tol in (1e-2, 1e-13):
            point = fixed_point(A, drive, activation, solver=solver, tol=tol)
            assert np.all(np.abs(point.X - exact).max(axis=0) <= point.error_bound)
            assert point.error_bound.max() <= max(1.01 * tol, 1e-9) * np.abs(point.X).max() + 1e-13 * scale


@pytest.mark.parametrize("solver", SOLVERS)
def test_bounds_hold_where_only_the_perron_frobenius_test_does(solver):
    for seed, norm_bound in itertools.product(range(5), (0.5, 0.9, 0.99)):
        A, drive = batch(norm_bound, n=5, m=20, seed=seed)
        units = np.array([1.0, 1e4, 1e-3, 30.0, 0.5])
        A, drive = A * units[:, None] / units, drive * units[:, None]
        v = find_weights(np.abs(A))
        assert v.max() > 100
        relu = get_activation("relu")
        point = fixed_point(A, drive, relu, weights=v, solver=solver)
        exact = in_more_digits(A, drive, relu, point.X)
        assert np.all(np.abs(point.X - exact).max(axis=0) <= point.error_bound)
        assert point.error_bound.max() < 1e-5 * np.abs(point.X).max()


def test_a_bound_is_not_met_by_a_wrong_point():
    # Where it counts most: the bound is nearly met with signs all positive, and a point twice as far misses it.
    A, drive = batch(0.99, signs=False)
    relu = get_activation("relu")
    states = StateMap(A, np.abs(drive), relu, None, 1e-10)
    exact = in_more_digits(A, np.abs(drive), relu, fixed_point(A, np.abs(drive), relu, tol=1e-14).X)
    X = exact.astype(float) * (1 - 1e-3)
    new = states.step(X)
    bound, error = states.error_bound(X, new), np.abs(new - exact).max(axis=0)
    assert np.all(error <= bound)
    # Without the factor nu/(1-nu) it would be no bound.
    assert np.all(np.abs(new - X).max(axis=0) < 0.1 * error)
    # A point that is not the step's outcome is found out too: what it misses the step by is counted.
    wrong = new + 1e-3
    assert np.all(np.abs(wrong - exact).max(axis=0) <= states.error_bound(X, wrong))
    assert np.all(states.error_bound(X, wrong) > 0.9e-3)


def test_the_bound_counts_rounding():
    # The same states from a drive that hides them behind a large offset: A takes it off again.
    A = np.array([[-0.5]])
    identity = get_activation("identity")
    X = np.array([[1.0 / 3.0]])
    drive = X - A @ X
    states = StateMap(A, drive, identity, None, 1e-10)
    # Nothing changes any more, and nu/(1-nu) times nothing would be no bound.
    assert states.error_bound(X, states.step(X))[0] > 0
    # A drive that is off by 1e-6 moves this state by 1e-6 / 1.5: within what is known without A's sign, 1e-6 / 0.5.
    off = states.error_bound(X, states.step(X), np.full_like(drive, 1e-6))
    assert off[0] == pytest.approx(2e-6, rel=1e-6)


def test_offsets_of_the_inputs_count_in_a_models_bound():
    rng = np.random.default_rng(0)
    A, _ = batch(0.9, n=5, seed=3)
    B, U = rng.standard_normal((5, 3)), 1e9 + rng.standard_normal((30, 3))
    model = ImplicitModel(A, B, -B @ np.full(3, 1e9), np.ones((1, 5)))
    states = model.states(U)
    drive = np.longdouble(B) @ np.longdouble(U).T + np.longdouble(model.b)[:, None]
    exact = in_more_digits(A, drive, model.activation, states.X.T).T
    error = np.abs(states.X - exact).max(axis=1)
    assert np.all(error <= states.error_bound)
    assert error.max() > 1e-9 * np.abs(states.X).max()  # without the offset they would be right to 1e-15


@pytest.mark.parametrize("solver", SOLVERS)
def test_states_that_are_exactly_known_have_no_error(solver):
    A, drive = batch(0.9)
    relu = get_activation("relu")
    # All inactive, by far: rounding of the preactivation cannot reach them.
    point = fixed_point(A, -1 - np.abs(drive), relu, solver=solver)
    assert not point.X.any()
    assert not point.error_bound.any()
    still = fixed_point(np.zeros((2, 2)), np.zeros((2, 3)), relu, solver=solver)
    assert not still.X.any()
    assert not still.error_bound.any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_sample_no_sample_and_one_feature(solver):
    A, drive = batch(0.9, n=4, m=7)
    relu = get_activation("relu")
    every = fixed_point(A, drive, relu, solver=solver)
    one = fixed_point(A, drive[:, :1], relu, solver=solver)
    assert np.abs(one.X - every.X[:, :1]).max() <= every.error_bound[0] + one.error_bound[0]
    none = fixed_point(A, drive[:, :0], relu, solver=solver)
    assert none.X.shape == (4, 0)
    assert none.error_bound.shape == (0,)
    small = fixed_point(np.array([[0.5]]), np.array([[1.0, -1.0]]), relu, solver=solver)
    np.testing.assert_allclose(small.X, [[2.0, 0.0]], atol=1e-9)


def test_parts_do_not_change_the_answer(monkeypatch):
    A, drive = batch(0.9, m=100)
    relu = get_activation("relu")
    whole = fixed_point(A, drive, relu, drive_error=np.zeros_like(drive))
    monkeypatch.setattr("bcd_implicit.support.parts.PART", 8 * 30)
    for start in (None, np.zeros_like(drive), whole.X):
        cut = fixed_point(A, drive, relu, start, drive_error=np.zeros_like(drive))
        assert np.all(np.abs(cut.X - whole.X).max(axis=0) <= cut.error_bound + whole.error_bound)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_start_is_not_changed_and_starts_near_the_states_save_steps(solver):
    A, drive = batch(0.99, signs=False)
    relu = get_activation("relu")
    point = fixed_point(A, drive, relu, solver=solver)
    start = point.X.copy()
    again = fixed_point(A, drive, relu, start, solver=solver)
    np.testing.assert_array_equal(start, point.X)
    assert again.n_iter < point.n_iter
    assert np.all(np.abs(again.X - point.X).max(axis=0) <= again.error_bound + point.error_bound)


@pytest.mark.parametrize("solver", ["active-set", "anderson", "broyden"])
@pytest.mark.parametrize(("activation", "seed"), [("relu", 14), ("softplus", 13), ("softplus", 39)])
def test_no_sample_is_measured_by_states_that_others_only_pass_through(activation, seed, solver):
    """To a rough tolerance, and from drives that differ widely: on the way states may be far larger than at the end."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((8, 8))
    A *= 0.99 / np.abs(A).sum(axis=1, keepdims=True)
    drive = rng.standard_normal((8, 60)) * np.exp(2 * rng.standard_normal(60))
    point = fixed_point(A, drive, ACTIVATIONS[activation], solver=solver, tol=0.1)
    assert point.error_bound.max() <= 0.1 * np.abs(point.X).max()


def test_auto_takes_what_costs_less():
    relu = get_activation("relu")
    weak, strong = (fixed_point(*batch(bound, signs=False), relu, tol=1e-13) for bound in (0.99, 0.3))
    assert (weak.solver, strong.solver) == ("active-set", "picard")
    assert weak.n_iter < 150
    # What Picard takes there: the figures by which it was chosen.
    assert fixed_point(*batch(0.99, signs=False), relu, tol=1e-13, solver="picard").n_iter > 1000
    assert fixed_point(*batch(0.99, signs=False), relu, tol=1e-13, solver="anderson").n_iter < 200


def test_auto_solves_no_large_systems_where_broyden_settles(monkeypatch):
    A, drive = batch(0.99, n=160, m=12, signs=False)
    relu = get_activation("relu")
    exact = fixed_point(A, drive, relu, tol=1e-13, solver="newton")
    for tried, solver in ((60, "broyden"), (2, "active-set")):
        monkeypatch.setattr(fixed_point_module, "TRIED", tried)
        point = fixed_point(A, drive, relu, tol=1e-13)
        assert point.solver == solver
        assert np.all(np.abs(point.X - exact.X).max(axis=0) <= point.error_bound + exact.error_bound)
        # One pattern for all: one system.
        assert fixed_point(A, 1 + drive**2, relu, tol=1e-13).solver == "active-set"


@pytest.mark.parametrize("norm_bound", [0.99, 0.999])
def test_states_of_trained_models_take_few_rounds_and_are_exact(norm_bound):
    U, y = make_friedman1(300, 10, noise=1.0, random_state=0)
    problem = TrainingProblem((U - 0.5) * 12**0.5, (y - y.mean()) / y.std(), 10, norm_bound=norm_bound, kappa=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        it = solve(problem, max_cycles=8, tol=0.0).iterate
    drive, relu = it.B @ problem.U + it.b[:, None], problem.activation
    assert np.abs(it.A).sum(axis=1).max() == pytest.approx(norm_bound)
    point = fixed_point(it.A, drive, relu, solver="newton", tol=1e-13)
    assert point.solver == "active-set"
    assert point.n_iter <= 6
    exact = in_more_digits(it.A, drive, relu, point.X)
    assert np.abs(point.X - exact).max() <= 1e-12 * np.abs(point.X).max()
    assert point.error_bound.max() <= 1e-14 / (1 - norm_bound) * np.abs(point.X).max()


def test_auto_keeps_to_its_most_iterations():
    A, drive = batch(0.999, signs=False)
    for max_iter in (1, 2, 3, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            assert fixed_point(A, drive, get_activation("relu"), max_iter=max_iter).n_iter <= max_iter


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_end_before_the_states_is_told(solver):
    A, drive = batch(0.999, signs=False)
    with pytest.warns(ConvergenceWarning, match=r"stopped after 1 steps with error bound .* raise max_iter"):
        point = fixed_point(
            A,
            1 + drive**2,
            ACTIVATIONS["tanh" if solver in ("active-set", "newton") else "relu"],
            None,
            solver=solver,
            max_iter=1,
        )
    exact = fixed_point(A, 1 + drive**2, ACTIVATIONS["tanh" if solver in ("active-set", "newton") else "relu"])
    assert np.all(np.abs(point.X - exact.X).max(axis=0) <= point.error_bound + exact.error_bound)


def test_solvers_are_known_by_name():
    model = ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    for use in (model.states, model.predict):
        with pytest.raises(InvalidInputError, match="solver: unknown solver 'gauss'. Use one of auto, picard, forward"):
            use([[1.0]], solver="gauss")
        with pytest.raises(InvalidInputError, match="U: contains missing values"):
            use([[np.nan]], solver="active-set")
    for solver in SOLVERS:
        np.testing.assert_allclose(model.predict([[1.0]], solver=solver), [[2.0]], rtol=1e-9)
        assert model.states([[1.0]], solver=solver).solver in SOLVERS
        with pytest.raises(NotWellPosedError, match=r"contraction factor 1 \+ 8.9e-16 is not below 1.*Scale A"):
            fixed_point(np.eye(1), np.ones((1, 1)), model.activation, solver=solver)


def test_a_new_solver_needs_a_function_and_a_name(monkeypatch):
    monkeypatch.setitem(fixed_point_module.SOLVERS, "slow", fixed_point_module.picard)
    A, drive = batch(0.5)
    assert fixed_point(A, drive, get_activation("relu"), solver="slow").solver == "picard"


@pytest.mark.parametrize("solver", SOLVERS)
def test_numbers_that_overflow_end_it(solver):
    # A step or two, not max_iter of them.
    with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning, match="stopped after"):
        point = fixed_point(
            np.full((2, 2), 0.4), np.full((2, 2), np.inf), get_activation("identity"), solver=solver, max_iter=50
        )
    assert not np.isfinite(point.error_bound).any()


class TestActiveSet:
    @pytest.mark.parametrize("activation", ALL, ids=lambda phi: phi.name)
    @pytest.mark.parametrize("n", [1, 5, 40])
    def test_few_rounds_however_weak_the_contraction(self, activation, n):
        for norm_bound, signs in itertools.product((0.5, 0.9, 0.99), (True, False)):
            A, drive = batch(norm_bound, n=n, m=50, signs=signs)
            point = fixed_point(A, drive, activation, solver="active-set", tol=1e-13)
            # Where the map is flat and steep by turns a sample may go round in circles, and then goes to Picard.
            if activation.name != "soft_threshold":
                assert point.solver == "active-set"
                assert point.n_iter <= 15
            reference = fixed_point(A, drive, activation, solver="picard", tol=1e-10)
            assert np.all(np.abs(point.X - reference.X).max(axis=0) <= point.error_bound + reference.error_bound)

    @pytest.mark.parametrize("n", [3, 30])
    @pytest.mark.parametrize("n_patterns", [1, 3, 200])
    @pytest.mark.parametrize("share_active", [0.0, 0.2, 1.0])
    def test_steps_solve_their_systems(self, n, n_patterns, share_active):
        rng = np.random.default_rng(0)
        A, residual = batch(0.95, n=n, m=200)
        slopes = (rng.random((n, n_patterns)) < share_active) * rng.uniform(0.5, 1.0, (n, n_patterns))
        slopes = slopes[:, rng.integers(n_patterns, size=200)]
        step = newton_step(A, slopes, residual)
        np.testing.assert_allclose(step - slopes * (A @ step), residual, atol=1e-12)

    def test_singular_systems_are_no_error(self):
        A, ones = np.eye(2), np.ones((2, 3))
        assert np.isnan(newton_step(A, ones, ones)).all()

    @pytest.mark.parametrize("step", [np.zeros_like, lambda r: np.full_like(r, np.nan), lambda r: 1e3 + r])
    def test_samples_that_do_not_settle_go_to_picard(self, monkeypatch, step):
        """Newton's steps are spoilt for a third of the samples, whose patterns so never settle."""
        A, drive = batch(0.9, m=90)
        drive[0] = np.where(np.arange(90) % 3 == 0, 50.0, -50.0)
        relu, good = get_activation("relu"), active_set_module.newton_step

        def spoilt(A, slopes, residual):
            found = good(A, slopes, residual)
            bad = slopes[0] > 0
            found[:, bad] = step(residual[:, bad])
            return found

        reference = fixed_point(A, drive, relu, solver="picard", tol=1e-13)
        monkeypatch.setattr(active_set_module, "newton_step", spoilt)
        point = fixed_point(A, drive, relu, solver="active-set", tol=1e-13)
        assert point.solver == "active-set + picard"
        assert active_set_module.MAX_ROUNDS < point.n_iter < 1000
        assert np.all(np.abs(point.X - reference.X).max(axis=0) <= point.error_bound + reference.error_bound)
        assert point.error_bound.max() < 1e-10


@settings(max_examples=25)
@given(
    n=st.integers(1, 12),
    norm_bound=st.sampled_from([0.5, 0.9, 0.99, 0.999]),
    nonnegative=st.booleans(),
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "clip"]),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    seed=st.integers(0, 10_000),
)
@example(n=12, norm_bound=0.999, nonnegative=True, activation="relu", scale=1.0, seed=0)
@example(n=12, norm_bound=0.99, nonnegative=True, activation="relu", scale=1.0, seed=1)
def test_all_solvers_agree_within_their_bounds(n, norm_bound, nonnegative, activation, scale, seed):
    phi = get_activation(activation)
    A, drive = batch(norm_bound / phi.max_slope, n=n, m=8, seed=seed, signs=not nonnegative)
    points = [fixed_point(A, scale * drive, phi, solver=solver, tol=1e-12) for solver in SOLVERS]
    for one, other in itertools.combinations(points, 2):
        assert np.all(np.abs(one.X - other.X).max(axis=0) <= one.error_bound + other.error_bound)
        assert one.error_bound.max() <= 1e-9 * max(np.abs(one.X).max(), np.abs(scale * drive).max())


@pytest.mark.parametrize("norm_bound", [0.5, 0.99])
def test_states_of_steps_are_those_with_a_bound(norm_bound):
    A, drive = batch(norm_bound, signs=False)
    expected = fixed_point(A, drive, ACTIVATIONS["relu"], tol=1e-12).X
    for tol in (1e-3, 1e-8):
        found = states_from(A, drive, ACTIVATIONS["relu"], np.zeros_like(drive), tol)
        assert np.abs(found - expected).max() <= tol * np.abs(expected).max()
    with pytest.raises(NotWellPosedError):
        states_from(2 * A, drive, ACTIVATIONS["relu"], np.zeros_like(drive), 1e-3)
