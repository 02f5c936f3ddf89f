"""Models with sparse matrices and a function for each block of states: stages, components, states and Jacobians."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from bcd_implicit import ImplicitModel, InvalidInputError, NotWellPosedError


def drawn_graph(rng, n, density):
    return np.where(rng.random((n, n)) < density, rng.standard_normal((n, n)), 0.0)


def reaches(A):
    """Which states depend on which, over any number of steps."""
    n = len(A)
    paths = A != 0
    for _ in range(n):
        paths = paths | (paths.astype(int) @ paths.astype(int) > 0)
    return paths


def longest_chains(component, A):
    """The level of each component, by trying all chains."""
    chains = {k: 0 for k in component}
    for _ in chains:
        for i, j in zip(*A.nonzero(), strict=True):
            if component[i] != component[j]:
                chains[component[i]] = max(chains[component[i]], chains[component[j]] + 1)
    return chains


@pytest.mark.parametrize("density", [0.02, 0.1, 0.2, 0.5])
def test_components_and_levels_are_those_of_the_graph(density):
    for seed in range(15):
        rng = np.random.default_rng(seed)
        A = drawn_graph(rng, 12, density)
        structure = ImplicitModel(A, np.ones((12, 1)), None, np.ones((1, 12))).structure()
        paths, component = reaches(A), structure.component
        together = (paths & paths.T) | np.eye(12, dtype=bool)
        np.testing.assert_array_equal(component[:, None] == component, together)
        # Each depends on smaller numbers alone.
        assert np.all(component[np.nonzero(A)[0]] >= component[np.nonzero(A)[1]])
        chains = longest_chains(component, A)
        np.testing.assert_array_equal(structure.level, [chains[k] for k in component])
        in_cycle = np.flatnonzero(np.diag(paths))
        np.testing.assert_array_equal(np.sort(np.concatenate([*structure.cycles, []])), in_cycle)
        assert structure.acyclic == (in_cycle.size == 0)
        assert structure.density == np.mean(A != 0)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.dia_array])
def test_sparse_and_dense_models_predict_alike(kind):
    rng = np.random.default_rng(3)
    A = drawn_graph(rng, 20, 0.1)
    A *= 0.9 / max(np.abs(np.linalg.eigvals(np.abs(A))).max(), 0.1)
    B, C, D = drawn_graph(rng, 20, 0.3)[:, :4], drawn_graph(rng, 20, 0.3)[:3], np.eye(3, 4)
    parts = rng.standard_normal(20), rng.standard_normal(3)
    blocks = [("relu", 8), ("tanh", 7), ("abs", 5)]
    given = ImplicitModel(kind(A), kind(B), parts[0], kind(C), kind(D), parts[1], activation=blocks)
    usual = ImplicitModel(A, B, parts[0], C, D, parts[1], activation=blocks)
    U = rng.standard_normal((30, 4))
    np.testing.assert_allclose(given.predict(U), usual.predict(U), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(given.jacobian(U), usual.jacobian(U), rtol=1e-10, atol=1e-10)
    assert given.norm_inf() == pytest.approx(usual.norm_inf())
    assert given.spectral_radius() == pytest.approx(usual.spectral_radius(), rel=1e-9)
    assert given.contraction() == pytest.approx(usual.contraction(), rel=1e-9)


def layered(sizes, functions, seed=0, scale=1.0):
    """A network of so many states a layer, last layer first, and its layers' weights and biases, first layer first."""
    rng = np.random.default_rng(seed)
    weights = [scale * rng.standard_normal((k, j)) for j, k in itertools.pairwise(sizes)]
    biases = [rng.standard_normal(k) for k in sizes[1:]]
    hidden = sizes[1:-1]
    n, ends = sum(hidden), np.cumsum([0, *hidden[::-1]])
    places = [slice(a, b) for a, b in itertools.pairwise(ends)][::-1]
    A, B, b, C = np.zeros((n, n)), np.zeros((n, sizes[0])), np.zeros(n), np.zeros((sizes[-1], n))
    B[places[0]] = weights[0]
    for place, before, W in zip(places[1:], places[:-1], weights[1:-1], strict=True):
        A[place, before] = W
    for place, bias in zip(places, biases[:-1], strict=True):
        b[place] = bias
    C[:, places[-1]] = weights[-1]
    blocks = list(zip(functions[::-1], hidden[::-1], strict=True))
    return ImplicitModel(sp.csr_array(A), B, b, C, None, biases[-1], activation=blocks), weights, biases


def forward(weights, biases, functions, U, dtype=float):
    """Forward through the layers, in numbers of this type."""
    known = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "square": np.square, "abs": np.abs}
    X = U.T.astype(dtype)
    for W, bias, name in zip(weights, biases, [*functions, None], strict=True):
        Z = W.astype(dtype) @ X + bias.astype(dtype)[:, None]
        X = Z if name is None else known[name](Z)
    return X.T


@pytest.mark.parametrize(
    "functions", [("relu", "relu", "relu"), ("tanh", "square", "relu"), ("square", "abs", "tanh"), ("relu",) * 12]
)
def test_a_network_is_swept_once_and_its_errors_are_bounded(functions):
    sizes = (5, *(4 + k % 3 for k in range(len(functions))), 2)
    model, weights, biases = layered(sizes, functions)
    structure = model.structure()
    assert structure.acyclic
    assert structure.depth == len(functions)
    U = np.random.default_rng(1).standard_normal((40, 5))
    np.testing.assert_allclose(model.predict(U), forward(weights, biases, functions, U), rtol=1e-12, atol=1e-12)
    states = model.states(U)
    assert (states.solver, states.n_iter) == ("sweep", 1)
    # All states, last layer first, in more digits.
    exact = [forward(weights[: k + 1], biases[: k + 1], functions[:k], U, np.longdouble) for k in range(len(functions))]
    known = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "square": np.square, "abs": np.abs}
    X = np.hstack([known[name](Z) for name, Z in zip(functions, exact, strict=True)][::-1])
    off = np.abs(states.X - X).max(axis=1)
    assert off.max() > 0
    assert np.all(off <= states.error_bound)
    assert np.all(states.error_bound <= 1e-6 * np.abs(X).max())


def test_a_deep_network_needs_no_units():
    # |A| grows by 20 a layer: weights v would be 1e52 apart.
    model, weights, biases = layered((3, *[4] * 40, 2), ("relu",) * 40, scale=10.0)
    U = np.random.default_rng(1).standard_normal((10, 3))
    np.testing.assert_allclose(model.predict(U), forward(weights, biases, ("relu",) * 40, U), rtol=1e-10)
    assert model.is_well_posed()
    assert model.spectral_radius() == 0
    assert "no state depends on itself" in model.structure().reason


def between_cycles(radii=(0.8, 0.8), seed=0):
    """A cycle of three states that feeds a layer that feeds a cycle of two; ||A||_inf is 15 or more."""
    rng = np.random.default_rng(seed)
    A = np.zeros((9, 9))
    for place, radius in zip((slice(0, 3), slice(7, 9)), radii, strict=True):
        within = rng.standard_normal((place.stop - place.start,) * 2)
        np.fill_diagonal(within, np.abs(np.diagonal(within)))  # negative entries there would prove more than the radius
        A[place, place] = radius * within / np.abs(np.linalg.eigvals(np.abs(within))).max()
    A[3:7, 0:3], A[7:9, 3:7] = rng.standard_normal((4, 3)), 4 * rng.standard_normal((2, 4))
    order = rng.permutation(9)
    return ImplicitModel(
        A[np.ix_(order, order)], rng.standard_normal((9, 2)), rng.standard_normal(9), rng.standard_normal((2, 9)),
        activation=[("relu", 4), ("tanh", 5)],
    )  # fmt: skip


def test_only_cycles_have_to_contract():
    model = between_cycles()
    assert model.norm_inf() > 8
    assert model.spectral_radius() == pytest.approx(0.8)
    assert sorted(map(len, model.structure().cycles)) == [2, 3]
    U = np.random.default_rng(1).standard_normal((50, 2))
    states = model.states(U)
    X = np.zeros((9, 50), dtype=np.longdouble)
    A, drive = model.A.astype(np.longdouble), model.B.astype(np.longdouble) @ U.T + model.b[:, None]
    for _ in range(2000):
        Z = A @ X + drive
        X = np.vstack([np.maximum(Z[:4], 0), np.tanh(Z[4:])])
    assert np.all(np.abs(states.X.T - X).max(axis=0) <= states.error_bound)
    assert states.error_bound.max() < 1e-6
    np.testing.assert_allclose(model.predict(U), (model.C @ X).T.astype(float), rtol=1e-9, atol=1e-9)
    assert "below 1, on all 2 components with a cycle (5 of 9 states)" in model.structure().reason


def test_the_component_that_is_not_well_posed_is_named():
    good, bad = between_cycles(), between_cycles((1.3, 0.5))
    A = sp.block_diag([good.A, bad.A]).tocsr()
    model = ImplicitModel(A, np.ones((18, 1)), None, np.ones((1, 18)))
    assert not model.is_well_posed()
    states = next(cycle for cycle in model.structure().cycles if cycle.min() >= 9 and len(cycle) == 3)
    named = f"on the component of 3 states \\({', '.join(map(str, states))}\\)"
    with pytest.raises(NotWellPosedError, match=rf"spectral radius of \|A\| is 1\.3 {named}"):
        model.predict([[1.0]])
    assert model.structure().reason.startswith("not known to be well-posed: the spectral radius of L |A| is 1.3")


def test_a_square_may_not_be_in_a_cycle():
    A = np.array([[0.0, 0.1, 0.0], [0.1, 0.0, 0.0], [1.0, 1.0, 0.0]])
    inside = ImplicitModel(A, np.ones((3, 1)), None, np.ones((1, 3)), activation=[("square", 1), ("relu", 2)])
    assert not inside.is_well_posed()
    with pytest.raises(NotWellPosedError) as caught:
        inside.states([[1.0]])
    assert str(caught.value) == (
        "activation: square, which has no Lipschitz constant, is in the cycle of 2 states (0, 1), so an equilibrium "
        "need not exist. Break the cycle, or give its states functions of bounded slope, such as tanh."
    )
    outside = ImplicitModel(A, np.ones((3, 1)), None, np.eye(3), activation=[("relu", 2), ("square", 1)])
    x = 1 / 0.9
    np.testing.assert_allclose(outside.predict([[1.0]]), [[x, x, (2 * x + 1) ** 2]], rtol=1e-9)
    with pytest.raises(InvalidInputError, match="^activation: has a function without a Lipschitz constant"):
        outside.contraction()


@pytest.mark.parametrize("seed", range(4))
def test_jacobians_against_differences(seed):
    model = between_cycles(seed=seed)
    U = np.random.default_rng(1).standard_normal((6, 2))
    step = 1e-6
    differences = np.stack(
        [(model.predict(U + step * e) - model.predict(U - step * e)) / (2 * step) for e in np.eye(2)], axis=2
    )
    np.testing.assert_allclose(model.jacobian(U), differences, rtol=1e-5, atol=1e-6)


def test_states_of_a_stage_need_not_be_neighbours():
    model, weights, biases = layered((3, 4, 5, 2), ("relu", "relu"))
    order = np.random.default_rng(0).permutation(9)
    A = model.A.toarray()[np.ix_(order, order)]
    shuffled = ImplicitModel(sp.csr_array(A), model.B[order], model.b[order], model.C[:, order], None, model.d)
    U = np.random.default_rng(1).standard_normal((10, 3))
    np.testing.assert_allclose(shuffled.predict(U), forward(weights, biases, ("relu", "relu"), U), rtol=1e-12)
    np.testing.assert_allclose(shuffled.jacobian(U), model.jacobian(U), rtol=1e-12, atol=1e-12)


ONE = np.ones((1, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ImplicitModel(sp.csr_array([[np.nan]]), ONE, None, ONE), "^A: contains NaN or infinity, first in"),
        (lambda: ImplicitModel(ONE / 2, sp.csr_array([[np.inf]]), None, ONE), "^B: contains NaN or infinity"),
        (lambda: ImplicitModel(sp.csr_array([[1e101]]), ONE, None, ONE), r"^A: has entries as large as 1\.0e\+101"),
        (lambda: ImplicitModel(sp.csr_array([[1j]]), ONE, None, ONE), "^A: is a sparse array of complex128"),
        (lambda: ImplicitModel(sp.csr_array((2, 2)), ONE, None, ONE), r"^B: has shape \(1, 1\), \(2, 1\) needed"),
        (lambda: ImplicitModel(sp.csr_array((0, 0)), ONE, None, ONE), r"^A: has shape \(0, 0\)"),
        (lambda: ImplicitModel(ONE / 2, ONE, None, ONE, activation=[("relu", 2)]), "blocks of 2 = 2 states, but A"),
        (lambda: ImplicitModel(ONE / 2, ONE, None, ONE, activation=[]), "^activation: has no blocks"),
        (lambda: ImplicitModel(ONE / 2, ONE, None, ONE, activation=["relu"]), "^activation: has 'relu' as block 0, n"),
        (lambda: ImplicitModel(ONE / 2, ONE, None, ONE, activation=[("sine", 1)]), "^activation: unknown activation"),
        (lambda: ImplicitModel(ONE / 2, ONE, None, ONE, activation=[("relu", 0)]), "^activation, states of block 0: "),
        (lambda: ImplicitModel(ONE / 2, ONE, None, ONE, activation=7), "^activation: must be a list"),
    ],
)  # fmt: skip
def test_bad_models(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_what_a_person_sees():
    model = between_cycles()
    assert repr(model.structure()) == "Structure(n_states=9, depth=3, density=0.407, cycles=2)"
    shown = model.structure()._repr_html_()
    for fact in ("3, of 3, 4, 2 states", "well-posed: the spectral radius"):
        assert fact in shown
    assert "relu (4), tanh (5)" in model._repr_html_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = ImplicitModel(np.zeros((2, 2)), np.ones((2, 1)), None, np.ones((1, 2)))
    assert flat.structure().depth == 1


@pytest.mark.parametrize("kind", [np.array, sp.csr_array])
def test_a_model_does_not_change(kind):
    A = kind([[0.5]])
    model = ImplicitModel(A, [[1.0]], None, [[1.0]])
    assert model.predict([[1.0]]) == pytest.approx(2)
    with pytest.raises(ValueError, match="read-only"):
        (model.A if kind is np.array else model.A.data)[0] = 0.9
    with pytest.raises(AttributeError, match="^A of an ImplicitModel cannot be changed: make a new"):
        model.A = A
    # What was given is the caller's own.
    A[0, 0] = 0.9
    assert model.predict([[1.0]]) == pytest.approx(2)


@pytest.mark.parametrize("unit", [1e6, 1e7, 1e12])
def test_states_in_units_far_apart_are_as_accurate_as_asked_for(unit):
    model = ImplicitModel([[0.0, unit], [0.64 / unit, 0.0]], [[1.0], [1.0]], None, [[1.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        states = model.states([[1.0]])
    exact = (1 + unit) / (1 - 0.64)
    assert abs(states.X[0, 0] - exact) <= min(states.error_bound[0], 2e-10 * exact)


def test_picard_ends_where_rounding_is_all_that_is_left():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(40, 40))
    A *= 0.8 / np.abs(np.linalg.eigvals(np.abs(A))).max()
    units = 10.0 ** rng.uniform(-3, 3, 40)
    model = ImplicitModel(units[:, None] * A / units, np.ones((40, 1)), None, np.ones((1, 40)), activation="tanh")
    states = model.states(rng.normal(size=(10, 1)), solver="picard")
    assert states.n_iter < 1000


@pytest.mark.parametrize("tol", [-1, np.nan, "a"])
def test_bad_tolerances(tol):
    with pytest.raises(InvalidInputError, match="^tol"):
        ImplicitModel([[0.5]], [[1.0]], None, [[1.0]]).states([[1.0]], tol=tol)


def test_a_radius_next_to_one_is_told_from_one():
    model = ImplicitModel([[0.0, 1e3], [0.999999e-3, 0.0]], [[1.0], [1.0]], None, [[1.0, 1.0]])
    assert "is 1 - 5.0e-07, below 1" in model.structure().reason
