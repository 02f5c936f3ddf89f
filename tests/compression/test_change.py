"""The bound on the change of predictions is never broken, and counts rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

from bcd_implicit import ImplicitModel
from bcd_implicit.compression import change as changes
from bcd_implicit.compression import change_bound

FUNCTIONS = ["relu", "tanh", "sigmoid", "leaky_relu", "clip", "softplus", "abs"]


def models(seed, activation, kind):
    """A model, and another one near it or far from it."""
    rng = np.random.default_rng(seed)
    n, p, q = (int(k) for k in rng.integers(1, 7, 3))
    found, B, C = [], rng.standard_normal((n, p)), rng.standard_normal((q, n))
    scale = 10.0 ** rng.uniform(-8, 0)
    for other in (0.0, scale):
        A = rng.standard_normal((n, n)) if not other else found[0].A + other * rng.standard_normal((n, n))
        if kind == "acyclic":
            A = 2 * np.triu(A, 1) if not other else np.triu(A, 1)
        else:
            A = 0.9 * A / max(np.abs(A).sum(axis=1).max(), 0.9)
        if kind == "held back" and activation != "abs" and not other:
            A -= np.diag(rng.uniform(0, 3, n))
        noise = [other * rng.standard_normal(shape) for shape in ((n, p), n, (q, n), q)]
        b, d = np.ones(n) / 3, np.ones(q) / 7
        found.append(ImplicitModel(A, B + noise[0], b + noise[1], C + noise[2], None, d + noise[3], activation))
    return found, rng.standard_normal((15, p)) * 3


def exact(model, U):
    with np.errstate(all="ignore"):
        X = model.states(U, tol=1e-14).X
    return X @ model.C.T + U @ model.D.T + model.d


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), activation=st.sampled_from(FUNCTIONS), kind=st.sampled_from(["acyclic", "cyclic"]))
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_no_change_is_above_its_bound(seed, activation, kind):
    (model, small), U = models(seed, activation, kind)
    change, bound = np.abs(exact(model, U) - exact(small, U)), change_bound(model, small, U)
    assert bound.shape == change.shape
    # What the smaller model's states are off themselves.
    slack = np.outer(small.states(U, tol=1e-14).error_bound, np.abs(small.C).sum(axis=1))
    assert (change <= bound + slack).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_negative_entries_on_the_diagonal_are_counted(seed):
    (model, small), U = models(seed, "relu", "held back")
    slack = np.outer(small.states(U, tol=1e-14).error_bound, np.abs(small.C).sum(axis=1))
    assert (np.abs(exact(model, U) - exact(small, U)) <= change_bound(model, small, U) + slack).all()


def test_one_state_by_hand(monkeypatch):
    model = ImplicitModel([[0.0]], [[1.0]], [0.0], [[2.0]])
    small = ImplicitModel([[0.5]], [[1.0]], [0.1], [[2.0]])
    # x = u, x' = (u + 0.1) / 0.5 where positive: r = 0.5 x + 0.1, and the change is 2 r / (1 - 0.5).
    U = np.array([[1.0], [3.0], [-5.0]])
    assert change_bound(model, small, U)[:, 0] == pytest.approx([2.4, 6.4, 0.0], abs=1e-12)
    monkeypatch.setattr(changes, "LARGE", 0)
    without = change_bound(model, small, U)[:, 0]
    assert without == pytest.approx([2.4, 6.4, 0.0], abs=1e-12)


def test_the_linear_bound_sees_what_cancels(monkeypatch):
    # Two states change by the same, and the output is their difference.
    model = ImplicitModel(np.zeros((2, 2)), [[1.0], [1.0]], [1.0, 1.0], [[1.0, -1.0]])
    small = ImplicitModel(np.zeros((2, 2)), [[1.1], [1.1]], [1.0, 1.0], [[1.0, -1.0]])
    U = np.array([[2.0]])
    assert change_bound(model, small, U)[0, 0] < 1e-12
    monkeypatch.setattr(changes, "_linear", lambda *parts: np.inf)
    assert change_bound(model, small, U)[0, 0] == pytest.approx(0.4)


def test_the_same_model_changes_by_rounding_alone():
    (model, _), U = models(3, "tanh", "cyclic")
    assert change_bound(model, model, U).max() < 1e-7


def test_sparse_models_have_the_bounds_of_dense_ones_and_stages_those_of_one_system():
    rng = np.random.default_rng(8)
    # A cycle of 4 states between two layers.
    A = np.zeros((12, 12))
    A[4:8, :4], A[8:, 4:8] = rng.standard_normal((2, 4, 4))
    A[4:8, 4:8] = 0.2 * rng.uniform(-1, 1, (4, 4))
    noise = 1e-3 * rng.standard_normal((12, 12)) * (A != 0)
    B, C, U = rng.standard_normal((12, 3)), rng.standard_normal((2, 12)), rng.standard_normal((9, 3))
    found = []
    for kind in (np.asarray, csr_array):
        model, small = (ImplicitModel(kind(M), kind(B), None, kind(C), activation="tanh") for M in (A, A + noise))
        found.append(change_bound(model, small, U))
    assert_allclose(found[0], found[1], rtol=1e-9)
    before, after = (ImplicitModel(M, B, None, C, activation="tanh") for M in (A, A + noise))
    change = np.abs(exact(before, U) - exact(after, U))
    assert (change <= found[0]).all()
    assert np.median(found[0] / change) < 1.5


def test_functions_without_a_lipschitz_constant_have_bounds_where_there_is_no_cycle():
    model, small = (ImplicitModel([[0.0]], [[1.0]], [b], [[1.0]], activation="square") for b in (0.0, 0.1))
    U = np.array([[2.0], [-1.0]])
    assert_allclose(change_bound(model, small, U)[:, 0], [2.1**2 - 4, 1 - 0.9**2], rtol=1e-9)
