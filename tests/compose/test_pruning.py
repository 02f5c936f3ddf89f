"""States that go without a trace: predictions stay, and what goes is what trying everything finds."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from composed import drawn_graph, drawn_part

from bcd_implicit import ImplicitModel, NotWellPosedError, compose
from bcd_implicit.model.pruning import equal_states


def partitions(states):
    """All ways to part a list into classes."""
    if not states:
        yield []
        return
    first, *rest = states
    for parts in partitions(rest):
        yield [[first], *parts]
        for k in range(len(parts)):
            yield [*parts[:k], [first, *parts[k]], *parts[k + 1 :]]


def coarsest(A, B, b, names):
    """The exact partition with the fewest classes, of all partitions."""
    exact = []
    for parts in partitions(list(range(len(A)))):
        sums = np.stack([A[:, part].sum(axis=1) for part in parts], axis=1)
        alike = all(
            names[i] == names[part[0]] and np.array_equal(B[i], B[part[0]]) and b[i] == b[part[0]]
            and np.array_equal(sums[i], sums[part[0]])
            for part in parts
            for i in part
        )  # fmt: skip
        if alike:
            exact.append(parts)
    fewest = min(map(len, exact))
    best = [parts for parts in exact if len(parts) == fewest]
    assert len(best) == 1  # there is one coarsest
    return sorted(map(sorted, best[0]))


@pytest.mark.parametrize("seed", range(40))
def test_equal_states_are_those_of_the_coarsest_exact_partition(seed):
    rng = np.random.default_rng(seed)
    n = 6
    # Few different numbers make many equal rows.
    A = rng.integers(-1, 2, (n, n)) * (rng.random((n, n)) < rng.uniform(0.2, 0.8)) / 8.0
    B, b = rng.integers(0, 2, (n, 1)) * 1.0, rng.integers(0, 2, n) * rng.choice([1.0, 0.0], n)
    if seed % 2:  # what is equal, and still is after the states are put in another order
        lift = np.repeat(np.arange(3), 2)
        A, B, b = A[np.ix_(lift, lift)] / 2, B[lift], b[lift]
        order = rng.permutation(n)
        A, B, b = A[np.ix_(order, order)], B[order], b[order]
    names = ["relu"] * 3 + ["tanh"] * (0 if seed % 2 else 3) + ["relu"] * (3 if seed % 2 else 0)
    blocks = [(name, 1) for name in names]
    model = ImplicitModel(A, B, b, np.ones((1, n)), None, None, blocks)
    classes = equal_states(model._system)
    found = sorted(sorted(np.flatnonzero(classes == k).tolist()) for k in set(classes.tolist()))
    assert found == coarsest(A, B, b, names)
    X = model.states(rng.standard_normal((5, 1)), tol=0.0).X
    for part in found:
        np.testing.assert_allclose(X[:, part], X[:, [part[0]] * len(part)], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(30))
def test_pruned_compositions_predict_the_same_and_forget_what_was_added(seed):
    rng = np.random.default_rng(seed)
    f = drawn_graph(rng, int(rng.integers(2, 5))).model
    p, n = f.B.shape[1], f.n_hidden
    base = compose.pruning(f).model.n_hidden
    g = drawn_part(rng, p, f.C.shape[0]).model
    fixed = drawn_part(rng, p, f.C.shape[0], cyclic=False).model @ np.zeros((p, p))
    # Twice the same, something taken off again, and a constant.
    grown = (3 * f - 2 * f) + 0.0 * g + (fixed - fixed) + fixed
    pruning = compose.pruning(grown)
    small, U = pruning.model, rng.standard_normal((6, p))
    assert small.n_hidden == base
    assert base <= n < grown.n_hidden
    expected = grown.predict(U)
    np.testing.assert_allclose(small.predict(U), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert (small.B.shape[1], small.C.shape[0]) == (p, f.C.shape[0])
    assert small.spectral_radius() <= grown.spectral_radius() + 1e-9
    parts = [pruning.kept, pruning.constant, pruning.dead, list(pruning.twins)]
    assert sorted(itertools.chain(*parts)) == list(range(grown.n_hidden))
    assert set(pruning.twins.values()) <= set(pruning.kept)
    # States that stay have their values, and so have their twins.
    X, kept = grown.states(U, tol=0.0).X, small.states(U, tol=0.0).X
    place = {state: k for k, state in enumerate(pruning.kept)}
    scale = np.abs(X).max()
    for state, k in [*place.items(), *((twin, place[of]) for twin, of in pruning.twins.items())]:
        np.testing.assert_allclose(X[:, state], kept[:, k], rtol=1e-9, atol=1e-11 * scale)
    # Nothing is left to do.
    again = compose.pruning(small)
    assert len(again.kept) == small.n_hidden or small.n_hidden == 1


def test_each_kind_of_state_goes_for_its_reason():
    # 0 reads 1 and 2, twins that read the input; 3 is constant and read; 4 reads all, and nobody reads it; 5 is a
    # cycle without input, which stays.
    A = np.zeros((6, 6))
    A[0, [1, 2, 3, 5]] = 1.0, 2.0, 5.0, 1.0
    A[4] = 0.1
    A[5, 5] = 0.5
    B = np.array([0, 1.0, 1.0, 0, 1, 0])[:, None]
    b = np.array([0, 0.5, 0.5, 2.0, 0, 1.0])
    C = np.array([[1.0, 1.0, -3.0, 4.0, 0, 0]])
    model = ImplicitModel(A, B, b, C, [[2.0]], [1.0], [("relu", 3), ("square", 1), ("tanh", 1), ("relu", 1)])
    pruning = compose.pruning(model)
    assert repr(pruning) == "Pruning(3 of 6 states kept; 1 constant, 1 dead, 1 equal to another)"
    assert (pruning.kept.tolist(), pruning.constant.tolist(), pruning.dead.tolist()) == ([0, 1, 5], [3], [4])
    assert pruning.twins == {2: 1}
    small = model.pruned()
    np.testing.assert_array_equal(small.A, [[0, 3, 1], [0, 0, 0], [0, 0, 0.5]])
    # The constant is 2^2: 5 times into state 0, 4 times into y.
    np.testing.assert_array_equal(small.b, [20.0, 0.5, 1.0])
    np.testing.assert_array_equal(small.C, [[1, -2, 0]])
    assert (small.d.tolist(), small.D.tolist()) == ([17.0], [[2.0]])
    U = np.array([[-1.0], [0.3], [2.0]])
    np.testing.assert_allclose(small.predict(U), model.predict(U), rtol=1e-9)


def test_one_twin_of_each_pair_in_cycles_goes():
    f = drawn_part(np.random.default_rng(0), 2, 2, cyclic=True).model
    both = compose.pruning(f | 2 * f)
    assert len(both.twins) == f.n_hidden
    np.testing.assert_array_equal(both.model.A, f.A)
    np.testing.assert_array_equal(both.model.C, np.vstack([f.C, 2 * f.C]))
    # An entry that is off by a digit is another one.
    other = ImplicitModel(f.A * (1 + 1e-15), f.B, f.b, f.C, f.D, f.d, f.activation)
    assert len(compose.pruning(f | other).twins) < f.n_hidden


def test_sums_of_equal_entries_in_another_order_are_equal():
    # 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in floating point.
    A = np.zeros((5, 5))
    A[0, 2:], A[1, 2:] = [0.1, 0.2, 0.3], [0.3, 0.2, 0.1]
    B = np.array([0, 0, 1.0, 1.0, 1.0])[:, None]
    model = ImplicitModel(A, B, None, np.ones((1, 5)))
    assert model.pruned().n_hidden == 2


def test_a_model_of_which_nothing_is_left_keeps_inputs_outputs_and_names():
    f = drawn_part(np.random.default_rng(0), 3, 2).model
    f = compose.labelled(f, input_names=["a", "b", "c"], output_names=["x", "y"], link="log")
    nothing = (f - f).pruned()
    assert (nothing.input_names, nothing.output_names, nothing.link) == (f.input_names, f.output_names, "log")
    np.testing.assert_array_equal(nothing.predict(np.ones((4, 3))), np.zeros((4, 2)))
    assert repr(compose.pruning(nothing)) == "Pruning(0 of 0 states kept; 0 constant, 0 dead, 0 equal to another)"


def test_kinds_of_matrices_stay():
    f = drawn_part(np.random.default_rng(1), 2, 2, kind=sp.csr_array).model
    small = (f + f).pruned()
    assert small.n_hidden <= f.n_hidden
    assert all(map(sp.issparse, (small.A, small.B, small.C)))
    g = drawn_part(np.random.default_rng(1), 2, 2).model
    assert not any(map(sp.issparse, ((g + g).pruned().A, (g + g).pruned().C)))


def test_a_model_without_an_equilibrium_is_not_pruned():
    with pytest.raises(NotWellPosedError):
        ImplicitModel([[2.0]], [[1.0]], None, [[0.0]]).pruned()
