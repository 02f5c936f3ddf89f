"""Gradients of predictions against differences, Jacobians and systems in more digits, for models of every structure."""

import numpy as np
import pytest
import scipy.sparse as sp
from adjoints import adjoint_in_more_digits
from hypothesis import given, settings
from hypothesis import strategies as st

import bcd_implicit as bi
from bcd_implicit.model.adjoint import adjoint_error, adjoint_states
from bcd_implicit.model.derivatives import ADJOINTS
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.structure import OneCycle, Structure

LETTERS = ("A", "B", "b", "C", "D", "d")
MIXED = [("tanh", 4), ("sigmoid", 3), ("arctan", 3)]


def drawn(kind, activation="tanh", n=10, p=3, q=2, seed=0, norm=0.8):
    """A model: "cycle" is one component, "cycles" two with states around, "layers" has none; "sparse" is "cycles"."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    if kind == "cycle":
        A *= norm / np.abs(A).sum(axis=1, keepdims=True)
    else:
        A = np.triu(A, 1)
        for component in (np.arange(1, n // 2 - 1), np.arange(n // 2, n - 1)) if kind != "layers" else ():
            part = rng.uniform(-1, 1, (len(component),) * 2)
            A[np.ix_(component, component)] = norm * part / np.abs(part).sum(axis=1, keepdims=True)
        order = rng.permutation(n)
        A = A[order][:, order]
    B, b, C, D, d = (rng.standard_normal(shape) for shape in ((n, p), n, (q, n), (q, p), q))
    if kind == "sparse":
        B *= rng.random(B.shape) < 0.7
        A, B, C, D = map(sp.csr_array, (A, B, C, D))
    return bi.ImplicitModel(A, B, b, C, D, d, activation)


def moved(model, letter, change):
    parts = {k: dense(getattr(model, k)) for k in LETTERS}
    parts[letter] = parts[letter] + change
    return bi.ImplicitModel(**parts, activation=model.activation)


def total(model, U, dY):
    """What vjp differentiates, states to rounding."""
    X = model.states(U, tol=0.0).X.T
    return float(np.sum(dY * (model.C @ X + model.D @ U.T + model.d[:, None]).T))


@pytest.mark.parametrize(
    ("kind", "activation"),
    [("cycle", "tanh"), ("cycles", MIXED), ("sparse", "softplus"), ("layers", [("square", 4), ("tanh", 6)])],
)
def test_all_gradients_are_the_limits_of_differences(kind, activation):
    model, rng = drawn(kind, activation), np.random.default_rng(1)
    U, dY = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    gradient = model.vjp(U, dY)
    for letter in LETTERS:
        own = dense(getattr(gradient, letter))
        assert sp.issparse(getattr(gradient, letter)) == sp.issparse(getattr(model, letter))
        # Directions in which the structure stays what it is.
        free = dense(getattr(model, letter)) != 0
        direction, step = np.where(free, rng.standard_normal(free.shape), 0.0), 1e-4
        f = [total(moved(model, letter, k * step * direction), U, dY) for k in (-2, -1, 1, 2)]
        slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
        assert np.sum(own * direction) == pytest.approx(slope, rel=1e-7, abs=1e-8 * np.linalg.norm(own))
    step, direction = 1e-4, rng.standard_normal(U.shape)
    f = [total(model, U + k * step * direction, dY) for k in (-2, -1, 1, 2)]
    assert gradient.U.shape == U.shape
    assert np.sum(gradient.U * direction) == pytest.approx((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step), rel=1e-7)


@pytest.mark.parametrize("kind", ["cycle", "cycles", "sparse", "layers"])
@pytest.mark.parametrize("activation", ["relu", "abs", "soft_threshold", "sigmoid"])
def test_in_the_inputs_they_are_rows_of_the_jacobian(kind, activation):
    model, rng = drawn(kind, activation, n=20), np.random.default_rng(1)
    U, dY = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    expected = np.einsum("kq,kqp->kp", dY, model.jacobian(U))
    gradient = model.vjp(U, dY)
    np.testing.assert_allclose(gradient.U, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())
    # Sums over samples are sums of single ones.
    singles = [model.vjp(U[k : k + 1], dY[k : k + 1]) for k in range(60)]
    for letter in LETTERS:
        parts = sum(dense(getattr(single, letter)) for single in singles)
        np.testing.assert_allclose(dense(getattr(gradient, letter)), parts, rtol=1e-9, atol=1e-9)


def test_of_a_sparse_matrix_they_are_what_they_are_of_a_dense_one_in_its_entries():
    model = drawn("sparse")
    full = bi.ImplicitModel(*(dense(getattr(model, letter)) for letter in LETTERS), activation="tanh")
    U, dY = np.random.default_rng(2).standard_normal((2, 7, 3))
    dY = dY[:, :2]
    sparse, whole = model.vjp(U, dY), full.vjp(U, dY)
    for letter in "ABCD":
        mask = getattr(full, letter) != 0
        np.testing.assert_allclose(getattr(sparse, letter).toarray(), mask * getattr(whole, letter), atol=1e-13)
    assert sparse.A.nnz == model.A.nnz < whole.A.size


def test_dimensions_by_hand():
    """x = relu(a x + b u + c), y = 3 x + 2 u: one state, written out."""
    model = bi.ImplicitModel([[0.5]], [[1.0]], [0.1], [[3.0]], [[2.0]])
    gradient = model.vjp([[1.0], [-2.0]], [1.0, 10.0])
    # Active at u = 1, x = 1.1 / 0.5; inactive at u = -2.
    x = 2.2
    np.testing.assert_allclose(gradient.U, [[3 / 0.5 + 2], [20]])
    np.testing.assert_allclose(gradient.adjoint, [[6.0], [0.0]])
    np.testing.assert_allclose((gradient.A[0, 0], gradient.B[0, 0], gradient.b[0]), (6 * x, 6.0, 6.0))
    np.testing.assert_allclose((gradient.C[0, 0], gradient.D[0, 0], gradient.d[0]), (x, 1 - 20, 11.0))
    assert repr(gradient) == "Gradient(n_hidden=1, n_inputs=1, n_outputs=1, n_samples=2)"


def test_predictions_are_meant_on_the_scale_of_the_link():
    rng = np.random.default_rng(0)
    parts = {k: getattr(drawn("cycle"), k) for k in LETTERS}
    plain = bi.ImplicitModel(**parts, activation="tanh")
    linked = bi.ImplicitModel(**parts, activation="tanh", link="softmax")
    U, dY = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    np.testing.assert_array_equal(plain.vjp(U, dY).U, linked.vjp(U, dY).U)


@pytest.mark.parametrize("kind", ["cycle", "sparse"])
def test_states_that_are_there_are_not_found_again(kind, monkeypatch):
    model, rng = drawn(kind), np.random.default_rng(1)
    U, dY = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    wanted, states = model.vjp(U, dY), model.states(U, tol=1e-13)
    monkeypatch.setattr(bi.ImplicitModel, "_states", None)
    found = model.vjp(U, dY, states=states)
    for letter in LETTERS:
        np.testing.assert_allclose(*(dense(getattr(each, letter)) for each in (found, wanted)), rtol=1e-12, atol=1e-13)
    for states in (model.A, model.predict):
        with pytest.raises(bi.InvalidInputError, match=r"^states: holds an X of shape \(\), \(5, 10\) needed"):
            model.vjp(U, dY, states=states)


def test_what_does_not_fit_is_refused():
    model = drawn("cycle")
    U, dY = np.ones((4, 3)), np.ones((4, 2))
    with pytest.raises(bi.InvalidInputError, match=r"^dY: has 3 rows, U has 4\. Give a weight for each prediction"):
        model.vjp(U, dY[:3])
    with pytest.raises(bi.InvalidInputError, match=r"^dY: has 3 columns, 2 needed"):
        model.vjp(U, np.ones((4, 3)))
    with pytest.raises(bi.InvalidInputError, match=r"^method: unknown method 'adjoint'\. Use one of exact, jacobian-f"):
        model.vjp(U, dY, method="adjoint")
    with pytest.raises(bi.InvalidInputError, match=r"^n_terms: got -1, must be >= 0\. Give 0 or more terms"):
        model.vjp(U, dY, method="neumann", n_terms=-1)
    with pytest.raises(bi.InvalidInputError, match=r"^solver: unknown solver"):
        model.vjp(U, dY, solver="none")
    steep = bi.ImplicitModel(np.eye(2), np.ones((2, 1)), None, np.ones((1, 2)))
    with pytest.raises(bi.NotWellPosedError):
        steep.vjp([[1.0]], [1.0])


def test_no_terms_take_no_notice_of_cycles_and_many_are_exact():
    model = drawn("cycle", norm=0.6)
    U, dY = np.random.default_rng(0).standard_normal((2, 6, 3))
    dY = dY[:, :2]
    exact, free = model.vjp(U, dY), model.vjp(U, dY, method="jacobian-free")
    slopes = 1 - np.tanh(model.states(U).X @ model.A.T + U @ model.B.T + model.b) ** 2
    np.testing.assert_allclose(free.adjoint, slopes * (dY @ model.C), rtol=1e-8)
    np.testing.assert_array_equal(model.vjp(U, dY, method="neumann", n_terms=0).A, free.A)
    np.testing.assert_allclose(model.vjp(U, dY, method="neumann", n_terms=100).A, exact.A, rtol=1e-12)
    # Where there is no cycle there is nothing to leave out.
    layers = drawn("layers")
    np.testing.assert_array_equal(layers.vjp(U, dY, method="jacobian-free").A, layers.vjp(U, dY).A)


def check_bounds(model, U, dY, **options):
    """Bounds against gradients in more digits at the same states; returns the adjoint's errors and their bounds."""
    gradient = model.vjp(U, dY, **options)
    A, B, C, D = (np.asarray(dense(getattr(model, letter)), dtype=np.longdouble) for letter in "ABCD")
    X = model.states(U, tol=1e-13).X.T
    slopes = model.activation.derivative(model.A @ X + model.B @ U.T + model.b[:, None])
    long_U, long_dY = np.asarray(U.T, dtype=np.longdouble), np.asarray(dY.T, dtype=np.longdouble)
    exact = adjoint_in_more_digits(A, slopes, C.T @ long_dY)
    error = np.abs(gradient.adjoint.T - exact).sum(axis=0)
    assert np.all(error <= gradient.adjoint_error_bound)
    true = {"A": exact @ X.T, "B": exact @ long_U.T, "b": exact.sum(axis=1)}
    true |= {"C": long_dY @ X.T, "D": long_dY @ long_U.T, "d": long_dY.sum(axis=1)}
    for letter, value in true.items():
        matrix = getattr(model, letter)
        mask = dense(matrix) != 0 if sp.issparse(matrix) else 1.0
        assert (
            np.linalg.norm((dense(getattr(gradient, letter)) - value * mask).astype(float))
            <= gradient.error_bound[letter]
        )
    off = (gradient.U - (B.T @ exact + D.T @ long_dY).T).astype(float)
    assert np.all(np.linalg.norm(off, axis=1) <= gradient.error_bound["U"])
    return error, gradient.adjoint_error_bound


@settings(max_examples=40)
@given(
    kind=st.sampled_from(["cycle", "cycles", "sparse", "layers"]),
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "clip", "softplus", "leaky_relu"]),
    method=st.sampled_from(ADJOINTS),
    n_terms=st.integers(0, 30),
    norm=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    units=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_bounds_hold_in_more_digits(kind, activation, method, n_terms, norm, units, seed):
    model, rng = drawn(kind, activation, seed=seed, norm=norm), np.random.default_rng(seed)
    if units:  # which only the Perron-Frobenius test knows to be well-posed
        v = 10.0 ** rng.uniform(-1, 1, 10)
        A, B = v[:, None] * dense(model.A) / v, v[:, None] * dense(model.B)
        model = bi.ImplicitModel(A, B, v * model.b, model.C, model.D, model.d, activation)
    U, dY = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    _, bound = check_bounds(model, U, dY, method=method, n_terms=n_terms)
    if method == "exact" and not units:
        # Cycles in a row pass on what is known of a sum of states as if each of them were off by so much.
        small = 1e-11 if kind in ("cycle", "layers") else 1e-7
        assert bound.max() <= small * (1 + np.abs(dY @ model.C).sum(axis=1).max())


@pytest.mark.parametrize("n_terms", [0, 1, 7])
def test_no_smaller_bound_would_do(n_terms):
    """Without signs, and with all rows of A on the bound, k terms leave nu^(k+1) / (1 - nu) to the last digit."""
    rng, nu = np.random.default_rng(0), 0.9
    A = rng.random((6, 6))
    A *= nu / A.sum(axis=1, keepdims=True)
    model = bi.ImplicitModel(A, rng.random((6, 3)), None, rng.random((2, 6)), activation="identity")
    U, dY = rng.random((4, 3)), rng.random((4, 2))
    error, bound = check_bounds(model, U, dY, method="neumann", n_terms=n_terms)
    a_priori = nu ** (n_terms + 1) / (1 - nu) * (dY @ model.C).sum(axis=1)
    np.testing.assert_allclose(bound, a_priori, rtol=1e-10)
    np.testing.assert_allclose(error.astype(float), a_priori, rtol=1e-10)


@pytest.mark.parametrize("n_terms", [0, 1, 4, 16])
def test_bounds_are_at_most_those_known_beforehand(n_terms):
    model, rng = drawn("cycle", "sigmoid", norm=4 * 0.9), np.random.default_rng(0)
    U, dY = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    gradient = model.vjp(U, dY, method="neumann", n_terms=n_terms)
    nu = model.contraction()
    asked = np.abs(dY @ model.C).sum(axis=1)
    assert np.all(gradient.adjoint_error_bound <= 0.25 * nu ** (n_terms + 1) / (1 - nu) * asked + 1e-12)


def test_wrong_adjoint_states_are_found_out():
    for kind in ("cycle", "cycles", "layers"):
        model, rng = drawn(kind), np.random.default_rng(0)
        U, dY = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
        gradient = model.vjp(U, dY)
        assert gradient.adjoint_error_bound.max() < 1e-12
        slopes = 1 - np.tanh(model.states(U).X @ model.A.T + U @ model.B.T + model.b).T ** 2
        for size in (1e-9, 1e-3, 10.0):
            off = size * rng.standard_normal(gradient.adjoint.T.shape)
            bound = adjoint_error(model.structure(), model.A, slopes, gradient.adjoint.T + off, model.C, dY.T)
            assert np.all(bound >= np.abs(off).sum(axis=0) * (1 - 1e-3))


def test_torch_agrees():
    torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")
    model, rng = drawn("cycle", "softplus"), np.random.default_rng(3)
    U, dY = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    module, inputs = bi.to_torch(model), torch.from_numpy(U).requires_grad_()
    (module(inputs) * torch.from_numpy(dY)).sum().backward()
    gradient = model.vjp(U, dY)
    np.testing.assert_allclose(gradient.U, inputs.grad.numpy(), rtol=1e-9)
    for own, entries in ((gradient.C, module.C), (gradient.D, module.D)):
        np.testing.assert_allclose(own.ravel(), entries.values.grad.numpy(), rtol=1e-9)
    # The order of states is the model's where there is one component.
    (stage,) = module.stages
    np.testing.assert_allclose(gradient.A.ravel(), stage.within.values.grad.numpy(), rtol=1e-8)
    np.testing.assert_allclose(gradient.B.ravel(), stage.B.values.grad.numpy(), rtol=1e-8)
    np.testing.assert_allclose(gradient.b, stage.b.grad.numpy(), rtol=1e-8)


@pytest.mark.parametrize("kind", ["cycle", "cycles", "layers"])
def test_adjoint_states_by_one_cycle_are_those_by_stages(kind):
    A, phi, rng = drawn(kind).A, bi.ACTIVATIONS["tanh"], np.random.default_rng(1)
    slopes, asked = rng.uniform(0, 1, (10, 6)), rng.standard_normal((10, 6, 2))
    one, stages = (adjoint_states(kind(A, phi), slopes, asked) for kind in (OneCycle, Structure))
    np.testing.assert_allclose(one, stages, rtol=1e-10, atol=1e-12)
