"""Models that only the matrix measure proves well-posed: one equilibrium, found by every solver, with true bounds."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bcd_implicit as bi
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model import well_posedness
from bcd_implicit.model.fixed_point import SOLVERS
from bcd_implicit.model.state_map import StateMap

LONG = np.longdouble
FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "leaky_relu": lambda z: np.where(z > 0, z, LONG("0.1") * z),
    "clip": lambda z: np.clip(z, -1, 1),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}


def drawn(rng, n, measure=0.9, deepest=3.0):
    """A matrix with ``A_ii + sum_{j != i} |A_ij| = measure`` in every row, and diagonals down to ``-deepest``."""
    diagonal = -rng.uniform(0, deepest, n)
    A = rng.standard_normal((n, n))
    np.fill_diagonal(A, 0)
    A *= ((measure - diagonal) / np.abs(A).sum(axis=1))[:, None]
    np.fill_diagonal(A, diagonal)
    return A


def model_of(A, activation="relu", seed=0):
    rng, n = np.random.default_rng(seed), len(A)
    B, b, C = rng.standard_normal((n, 3)), rng.standard_normal(n), rng.standard_normal((2, n))
    return bi.ImplicitModel(A, B, b, C, activation=activation)


def in_more_digits(model, activation, U, start):
    """Equilibria by damped steps written here anew, in extended precision, from some start."""
    A, drive = model.A.astype(LONG), model.B.astype(LONG) @ U.T.astype(LONG) + model.b[:, None]
    alpha = 1 / (1 + np.maximum(-np.diagonal(A), 0))[:, None]
    X = np.full(drive.shape, LONG(start))
    for _ in range(20_000):
        last, X = X, X + alpha * (FUNCTIONS[activation](A @ X + drive) - X)
        if np.abs(X - last).max() <= 1e-19 * np.abs(X).max():
            break
    return X.T


@pytest.mark.parametrize("seed", [pytest.param(k, marks=[pytest.mark.slow] if k >= 15 else []) for k in range(200)])
def test_models_of_measure_below_one_have_one_equilibrium_that_is_found_and_certified(seed):
    rng = np.random.default_rng(seed)
    activation = list(FUNCTIONS)[seed % len(FUNCTIONS)]
    slope = 0.25 if activation == "sigmoid" else 1.0
    A = drawn(rng, int(rng.integers(2, 12)), measure=0.9 / slope)
    model, U = model_of(A, activation, seed), 3 * rng.standard_normal((8, 3))
    assert slope * model.measure_inf() == pytest.approx(0.9)
    assert model.norm_inf() > 1
    assert model.is_well_posed()
    exact = in_more_digits(model, activation, U, 0.0)
    # One: from somewhere else the same point is reached.
    elsewhere, size = in_more_digits(model, activation, U, 50.0), np.abs(exact).max()
    assert np.abs(elsewhere - exact).max() <= 1e-12 * size
    for solver in SOLVERS:
        states = model.states(U, solver=solver, tol=1e-12)
        assert "picard" not in states.solver
        off = np.abs(states.X - exact).max(axis=1)
        assert (off <= states.error_bound).all()
        assert states.error_bound.max() <= 1e-10 * size


def test_the_largest_norm_of_these_models_is_about_seven():
    norms = [np.abs(drawn(np.random.default_rng(seed), 10)).sum(axis=1).max() for seed in range(200)]
    assert 6.7 < max(norms) <= 6.9  # 0.9 + 2 * 3 at the most


def test_steps_that_are_not_damped_run_away():
    rng = np.random.default_rng(0)
    model, U = model_of(drawn(rng, 10)), rng.standard_normal((20, 3))
    X, drive = np.zeros((10, 20)), model.B @ U.T + model.b[:, None]
    for _ in range(200):
        X = np.maximum(model.A @ X + drive, 0)
    exact = model.states(U).X.T
    assert np.abs(X - exact).max() > 1
    table = model.picard_convergence(U)
    assert (table["error"] <= table["bound"] * (1 + 1e-12)).all()
    assert (table["error"] <= table["a_priori"] * (1 + 1e-12)).all()
    assert table["error"].iloc[-1] < 1e-3 * table["error"].iloc[0]


def test_functions_that_fall_need_the_norm():
    # x = |1 - 2x| has two solutions, 1/3 and 1; x = max(1 - 2x, 0) has one.
    falling, rising = (bi.ImplicitModel([[-2.0]], [[1.0]], None, [[1.0]], activation=phi) for phi in ("abs", "relu"))
    assert not falling.is_well_posed()
    with pytest.raises(NotWellPosedError, match=r"A: spectral radius of \|A\| is 2"):
        falling.states([[1.0]])
    assert rising.is_well_posed()
    np.testing.assert_allclose(rising.predict([[1.0]]), [[1 / 3]], rtol=1e-12)
    # In one model each state has its own.
    both = bi.ImplicitModel(-2 * np.eye(2), np.ones((2, 1)), None, np.eye(2), activation=[("relu", 1), ("abs", 1)])
    assert not both.is_well_posed()
    assert bi.ImplicitModel(np.diag([-2.0, -0.5]), np.ones((2, 1)), None, np.eye(2), None, None,
                            [("relu", 1), ("abs", 1)]).is_well_posed()  # fmt: skip


@pytest.mark.parametrize("beyond", [False, True])
def test_the_limit_is_one(beyond):
    # x = max(-3 x + (4 + e) x + c, 0) in two states that are always alike: for e >= 0 there is none with c > 0.
    e = 1e-6 if beyond else -1e-6
    A = np.array([[-3.0, 4 + e], [4 + e, -3.0]])
    model = bi.ImplicitModel(A, np.ones((2, 1)), None, np.eye(2))
    assert model.is_well_posed() == (not beyond)
    if beyond:
        with pytest.raises(NotWellPosedError, match="largest eigenvalue of .A., with the negative entries of A's diag"):
            model.predict([[1.0]])
    else:
        np.testing.assert_allclose(model.predict([[1.0]]), [[1e6, 1e6]], rtol=1e-6)


def test_other_units_prove_what_row_sums_do_not():
    rng = np.random.default_rng(3)
    A, v = drawn(rng, 8), np.exp(rng.uniform(-2, 2, 8))
    model, U = model_of(A * v[:, None] / v, "tanh"), rng.standard_normal((10, 3))
    assert model.measure_inf() > 1.5
    assert "largest eigenvalue" in model.structure().reason
    exact = in_more_digits(model, "tanh", U, 0.0)
    for solver in SOLVERS:
        states = model.states(U, solver=solver, tol=1e-12)
        assert (np.abs(states.X - exact).max(axis=1) <= states.error_bound).all()
        assert states.error_bound.max() < 1e-9
    homogeneous = model_of(model.A)
    rescaled = homogeneous.rescaled()
    assert rescaled.measure_inf() < 1 < homogeneous.measure_inf()
    np.testing.assert_allclose(rescaled.predict(U), homogeneous.predict(U), rtol=1e-8, atol=1e-8)


@given(seed=st.integers(0, 10_000))
def test_steps_contract_by_no_more_than_the_factor_says(seed):
    rng = np.random.default_rng(seed)
    name = str(rng.choice(list(FUNCTIONS)))
    activation = bi.ACTIVATIONS[name]
    A = drawn(rng, 5, measure=rng.uniform(0, 0.95) / activation.max_slope)
    states = StateMap(A, rng.standard_normal((5, 1)), activation, None, 1e-10, damped=True)
    x, y = 4 * rng.standard_normal((2, 5, 200))
    before, after = (np.abs(a - b).max(axis=0) for a, b in ((x, y), (states.step(x), states.step(y))))
    assert (after <= states.factor * before).all()
    # What misses the equation by s is off by s / (1 - nu).
    exact = states.step(x)
    for _ in range(600):
        exact = states.step(exact)
    missed = np.abs(activation(A @ y + states.drive) - y).max(axis=0)
    assert (np.abs(y - exact).max(axis=0) <= missed / (1 - states.nu) * (1 + 1e-9)).all()


@pytest.mark.parametrize("deep", [1e4, 1e8, 1e11])
def test_deep_diagonals_are_no_error(deep):
    model = bi.ImplicitModel([[-deep]], [[1.0]], None, [[1.0]])
    assert model.is_well_posed()
    assert 0 < model.contraction() < 1
    with warnings.catch_warnings():
        # Steps are too short to tell; that the bound is large is told.
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        states = model.states([[1.0], [-1.0], [1e9]])
    exact = np.array([1 / (1 + deep), 0, 1e9 / (1 + deep)])
    assert (np.abs(states.X[:, 0] - exact) <= states.error_bound).all()


def test_factors_are_met():
    # With all slopes 1 the first state changes by (1 - alpha) + alpha A_11 = 0 and alpha times the rest of its row.
    A = np.array([[-3.0, 3.8], [0.0, 0.5]])
    states = StateMap(A, np.zeros((2, 1)), bi.ACTIVATIONS["identity"], None, 1e-10)
    np.testing.assert_allclose(states.damping, [[0.25], [1.0]])
    np.testing.assert_allclose(states.step(np.array([[1.0], [1.0]])), [[0.95], [0.5]], rtol=1e-15)
    assert states.factor == pytest.approx(0.95, rel=1e-12)
    assert states.nu == pytest.approx(0.8, rel=1e-12)
    assert states.stepping == "forward-backward"


@pytest.mark.parametrize("seed", range(5))
def test_the_room_of_a_problem_is_none_of_rounding(seed):
    """Next to diagonals of -1e8 sums of rows are off by a good part of 1 - norm_bound."""
    rng = np.random.default_rng(seed)
    problem = bi.TrainingProblem(rng.standard_normal((5, 2)), np.arange(5.0), n_hidden=4, well_posedness="measure")
    A = drawn(rng, 4, measure=1 - 1e-4, deepest=1e8)
    exact = [sum(Fraction(abs(a)) if j != i else Fraction(a) for j, a in enumerate(row)) for i, row in enumerate(A)]
    least = 1 - max(exact)
    assert all(0.9 * least < Fraction(r) <= least for r in problem.room(A))


@given(seed=st.integers(0, 10_000))
def test_room_holds_for_all_slopes(seed):
    rng = np.random.default_rng(seed)
    A = drawn(rng, 6, measure=rng.uniform(-1, 0.95))
    v = np.exp(rng.uniform(-1, 1, 6))
    A = A * v[:, None] / v
    identity = bi.ACTIVATIONS["identity"]
    gains = well_posedness.signed(np.abs(A), A, identity)
    assert (np.diagonal(gains) == np.diagonal(A)).all()
    room = well_posedness.room(gains)
    assert (room > 0).all()
    for _ in range(20):
        d, s = rng.choice([0.0, 1.0, rng.random()], 6), rng.uniform(-1, 1, 6)
        e = np.linalg.solve(np.eye(6) - d[:, None] * A, s)
        assert (np.abs(e) <= np.abs(s).max() / room * (1 + 1e-9)).all()


@pytest.mark.parametrize("method", ["exact", "jacobian-free", "neumann"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_gradients_and_their_bounds(activation, method):
    rng = np.random.default_rng(0)
    slope = bi.ACTIVATIONS[activation].max_slope
    model, U = model_of(drawn(rng, 6, 0.9 / slope), activation), rng.standard_normal((5, 3))
    dY = rng.standard_normal((5, 2))
    exact, found = model.vjp(U, dY), model.vjp(U, dY, method=method, n_terms=3)
    off = np.abs(found.adjoint - exact.adjoint).sum(axis=1)
    assert (off <= found.adjoint_error_bound + exact.adjoint_error_bound).all()
    assert exact.adjoint_error_bound.max() < 1e-11
    if method == "exact":
        step = 1e-6
        for i, j in ((0, 0), (1, 4), (5, 2)):
            moved = [model.A.copy(), model.A.copy()]
            moved[0][i, j] += step
            moved[1][i, j] -= step
            values = [np.sum(dY * bi.ImplicitModel(A, model.B, model.b, model.C, activation=activation)
                             .predict(U)) for A in moved]  # fmt: skip
            assert found.A[i, j] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)
    else:
        assert off.max() > 1e-3


def test_gains_around_a_model_of_large_norm_bound_what_it_does():
    rng = np.random.default_rng(1)
    model = model_of(drawn(rng, 6, 0.5))
    explained = bi.compose.small_gain(model, 1e-3 * np.ones((3, 2)))
    u = rng.standard_normal((500, 3))
    moved = rng.standard_normal((500, 3))
    change = np.abs(model.predict(u + moved) - model.predict(u))
    assert (change <= np.abs(moved) @ explained.sensitivity.T * (1 + 1e-9)).all()
    assert explained.proves
    assert explained.closed.is_well_posed()


def test_a_model_that_is_judged_by_its_radius_is_so_still():
    # Negative entries on the diagonal, but |A| has a radius below 1: nothing is damped, and rescaling gives a norm
    # below 1.
    A = np.array([[-0.5, 2.0], [0.05, -0.5]])
    model = model_of(A)
    assert "spectral radius of L |A|" in model.structure().reason
    assert model.states([[1.0, 0.0, 0.0]], solver="picard").solver == "picard"
    assert model.rescaled().norm_inf() < 1


def test_what_is_said_of_all_components_is_the_measure_of_all():
    # By itself the first needs no signs: of it ||A||_inf = 0.97 would do. The measure of the whole is 0.5.
    A = np.zeros((4, 4))
    A[0, 0], A[1:3, 1:3], A[3, 3] = -0.97, [[-3.0, 3.5], [1.0, -0.5]], 0.2
    told = model_of(A).structure().reason
    assert told == "well-posed: L mu_inf(A) is 0.5, below 1, on all 3 components with a cycle (4 of 4 states)"
    # Where row sums do not prove it, the largest eigenvalue is that of signed gains, too: 0.349, not the 0.990 of |A|.
    A = np.zeros((4, 4))
    A[:2, :2], A[2:, 2:] = [[-0.97, 0.1], [0.1, -0.5]], [[-3.0, 5.0], [0.1, 0.2]]
    signs = np.where(np.eye(4) == 1, A, np.abs(A))
    assert f"as they are, is {np.linalg.eigvals(signs).real.max():.4g}, below 1" in model_of(A).structure().reason
    assert model_of(A).structure().radii.max() > 0.99


def test_a_model_shows_the_measure_where_the_norm_says_too_little():
    A = np.array([[-3.0, 3.5], [1.0, -0.5]])
    assert "norm_inf=6.5, measure_inf=0.5, inputs used" in repr(model_of(A))
    shown = model_of(A)._repr_html_()
    assert "mu_inf(A)" in shown
    assert "||A||_inf" in shown
    sparse = bi.ImplicitModel(sp.csr_array(A), np.ones((2, 1)), None, np.ones((1, 2)))
    assert sparse.measure_inf() == 0.5
    for plain in (A / 10, np.abs(A), -np.eye(2) / 2):
        assert "measure" not in repr(model_of(plain))
    # Not a function that falls: there the measure proves nothing.
    assert "measure" not in repr(bi.ImplicitModel(A, np.ones((2, 1)), None, np.ones((1, 2)), activation=[("abs", 2)]))


@pytest.mark.parametrize("entry", [-1e13, -1e16, -1e30])
def test_verdict_and_solvers_agree_on_diagonals_that_rounding_hides(entry):
    model = model_of(np.array([[entry]]))
    assert not model.is_well_posed()
    with pytest.raises(NotWellPosedError, match="Scale A down"):
        model.states(np.ones((1, 3)))
    near = model_of(np.array([[-1e12]]))
    assert near.is_well_posed()
    assert near.states(np.ones((1, 3))).error_bound.max() < 1e-10


@pytest.mark.parametrize("activation", ["tanh", "softplus", "sigmoid", "arctan", "elu", "softsign"])
def test_states_that_are_held_back_strongly_are_found(activation, recwarn):
    # Newton goes back and forth between flat parts of phi, and damped steps are a millionth of whole ones.
    rng = np.random.default_rng(0)
    for _ in range(4):
        n = int(rng.integers(1, 7))
        held = 10 ** rng.uniform(0, 7, n)
        A = rng.normal(size=(n, n)) * (1 - np.eye(n))
        A *= (0.9 * held / np.maximum(np.abs(A).sum(axis=1), 1e-9))[:, None]
        A[np.diag_indices(n)] = -held
        model = bi.ImplicitModel(A, rng.normal(size=(n, 2)), rng.normal(size=n), np.eye(n), activation=activation)
        point = model.states(rng.normal(size=(20, 2)))
        assert point.solver == "active-set"
        assert point.error_bound.max() <= 1e-7 * np.abs(point.X).max()
    assert not recwarn


def test_a_self_loop_far_below_zero_is_one_scalar_equation(recwarn):
    model = bi.ImplicitModel([[-1e6]], [[1.0]], [0.0], [[1.0]], activation="tanh")
    # x = tanh(u - 1e6 x), about u / (1 + 1e6).
    U = np.array([[1.0], [-3.0], [0.0]])
    np.testing.assert_allclose(model.predict(U), U / (1 + 1e6), rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(model.attack(U, 0.1, towards=[1.0]).predictions, (U + 0.1) / (1 + 1e6), rtol=1e-6)
    assert not recwarn


def test_of_a_function_that_falls_it_is_told_that_the_diagonal_does_not_count():
    A = [[-2.0, 0.5], [0.5, -2.0]]
    assert bi.ImplicitModel(A, np.eye(2), None, np.eye(2)).is_well_posed()
    with pytest.raises(
        NotWellPosedError, match="count only for functions that never fall, but abs may fall. Scale A down"
    ):
        bi.ImplicitModel(A, np.eye(2), None, np.eye(2), activation="abs").predict([[1.0, 1.0]])
