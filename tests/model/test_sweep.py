"""States found stage by stage: inputs that come in later, and many components with a cycle at one level."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from bcd_implicit import ImplicitModel
from bcd_implicit.model.structure import SIDE_BY_SIDE


def exact_states(model, U, n_steps=400):
    """Picard's iteration in more digits, for relu and tanh."""
    A, B, b = (np.asarray(M.toarray() if sp.issparse(M) else M, np.longdouble) for M in (model.A, model.B, model.b))
    drive, X = B @ U.T.astype(np.longdouble) + b[:, None], np.zeros((len(b), len(U)), np.longdouble)
    for _ in range(n_steps):
        Z = A @ X + drive
        X = np.maximum(Z, 0) if model.activation.name == "relu" else np.tanh(Z)
    return X.T


def matters(bound, off):
    """Whether it is a bound, and not one of no use."""
    return np.all(off <= bound) and bound.max() < 1e-8


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_inputs_may_act_on_any_stage(kind, activation):
    rng = np.random.default_rng(0)
    # Stages of 4, 3, 5 and 2 states; no input acts on the second, and the first acts on the last as well.
    A, B = np.zeros((14, 14)), np.zeros((14, 6))
    A[4:7, :4], A[7:12, 4:7], A[12:, 7:12] = (rng.standard_normal(shape) for shape in ((3, 4), (5, 3), (2, 5)))
    A[12:, :4] = rng.standard_normal((2, 4))
    B[:4], B[7:12, 2:4], B[12:, 5:] = (rng.standard_normal(shape) for shape in ((4, 6), (5, 2), (2, 1)))
    C = rng.standard_normal((2, 14))
    model = ImplicitModel(kind(A), kind(B), rng.standard_normal(14), C, activation=activation)
    stages, U = model.structure().stages, rng.standard_normal((30, 6))
    assert [stage.inputs is not None for stage in stages] == [True, False, True, True]
    assert [stage.before is not None for stage in stages] == [False, True, True, True]
    states, exact = model.states(U), exact_states(model, U, 5)
    off = np.abs(states.X - exact).max(axis=1)
    assert matters(states.error_bound, off)
    assert off.max() < 1e-13
    np.testing.assert_allclose(model.predict(U), (exact @ C.T).astype(float), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by_offset", [True, False])
def test_digits_that_inputs_lose_are_counted_at_every_stage(by_offset):
    # 1e8 comes and goes, by b or by another input, at the first stage and at the second.
    A, B, b = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1e8, -1e8], [-1e8, 1e8]]), np.zeros(2)
    U = 1 + 1e-8 * np.random.default_rng(0).standard_normal((50, 2))
    if by_offset:
        B, b, U = B[:, :1], B[:, 1], U[:, :1]
    model = ImplicitModel(A, B, b, np.eye(2), activation="tanh")
    states = model.states(U)
    off = np.abs(states.X - exact_states(model, U, 3)).max(axis=1)
    assert off.max() > 1e-10
    assert np.all(off <= states.error_bound)
    assert states.error_bound.max() < 1e-6


def of_components(sizes, seed=0, norm=0.9, links=0, **options):
    """Components of these sizes in a random order, and this many states in front that feed all of them."""
    rng = np.random.default_rng(seed)
    blocks = [rng.standard_normal((k, k)) for k in sizes]
    blocks = [norm * block / np.abs(block).sum(axis=1).max() for block in blocks]
    A = np.array(sp.block_diag([np.zeros((links, links)), *blocks]).toarray())
    A[links:, :links] = rng.standard_normal((len(A) - links, links))
    n, order = len(A), rng.permutation(len(A))
    given = A[np.ix_(order, order)], rng.standard_normal((n, 3)), rng.standard_normal(n), rng.standard_normal((2, n))
    return ImplicitModel(sp.csr_array(given[0]), *given[1:], **options)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("links", [0, 4])
def test_components_of_a_level_are_solved_in_small_groups(activation, links):
    sizes = [1] * 50 + [3] * 20 + [SIDE_BY_SIDE + 8]
    model = of_components(sizes, links=links, activation=activation)
    structure, U = model.structure(), np.random.default_rng(1).standard_normal((6, 3))
    assert (structure.depth, len(structure.cycles)) == (1 + (links > 0), len(sizes))
    in_cycle = [stage for stage in structure.stages if stage.cycle is not None]
    widths = [len(stage.cycle.A) for stage in in_cycle]
    assert sum(widths) == sum(sizes)
    # What is larger stays by itself; of the others no more groups than they fill by halves.
    assert sorted(widths)[-1] == SIDE_BY_SIDE + 8
    assert max(sorted(widths)[:-1]) <= SIDE_BY_SIDE
    assert len(widths) <= 2 + 2 * sum(sizes[:-1]) / SIDE_BY_SIDE
    # No component is cut.
    for stage in in_cycle:
        places = np.arange(structure.n_states)[stage.states]
        inside = np.isin(structure.component, structure.component[places])
        np.testing.assert_array_equal(np.flatnonzero(inside), places)
    states, exact = model.states(U), exact_states(model, U)
    assert matters(states.error_bound, np.abs(states.X - exact).max(axis=1))
    np.testing.assert_allclose(model.predict(U), (exact @ model.C.T).astype(float), rtol=1e-8, atol=1e-8)
    # The Jacobian by the formula, all at once.
    A, X = model.A.toarray(), exact.astype(float)
    slopes = (X > 0).astype(float) if activation == "relu" else 1 - X**2
    for k, jacobian in enumerate(model.jacobian(U)):
        by_hand = model.C @ np.linalg.solve(np.eye(len(A)) - slopes[k, :, None] * A, slopes[k, :, None] * model.B)
        np.testing.assert_allclose(jacobian, by_hand, rtol=1e-7, atol=1e-7)


def test_components_that_only_units_show_to_contract():
    # Row sums of up to 8 and spectral radii of 0.8: in groups each has units of its own.
    pair = np.array([[0.0, 8.0], [0.08, 0.0]])
    n_pairs = 40
    n = 2 * n_pairs
    A = sp.block_diag([pair] * n_pairs)
    model = ImplicitModel(A, np.ones((n, 1)), np.linspace(-1, 1, n), np.ones((1, n)))
    assert model.structure().reason == (
        "well-posed: the spectral radius of L |A| is 0.8, below 1, on all 40 components with a cycle (80 of 80 states)"
    )
    U = np.linspace(-2, 2, 9)[:, None]
    states = model.states(U)
    assert matters(states.error_bound, np.abs(states.X - exact_states(model, U)).max(axis=1))


@pytest.mark.slow
def test_many_self_loops_take_no_square_of_their_number():
    n = 2000
    model = ImplicitModel(
        sp.diags_array(np.linspace(-0.9, 0.9, n)), np.ones((n, 1)), None, np.ones((1, n)) / n, activation="identity"
    )
    tracemalloc.start()
    found = model.predict([[1.0], [2.0]])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # x = a x + u, and a dense matrix would take 32 MB.
    means = np.mean(1 / (1 - np.linspace(-0.9, 0.9, n)))
    np.testing.assert_allclose(found, [[means], [2 * means]], rtol=1e-9)
    assert peak < 4e6
