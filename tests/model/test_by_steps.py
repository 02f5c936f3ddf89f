"""Solvers step by step: what a table says is what the solver has after so many steps."""

import numpy as np
import pytest

import bcd_implicit as bi


@pytest.fixture(scope="module")
def steep():
    """A model whose rows add up to 0.97, and inputs."""
    rng = np.random.default_rng(3)
    A = rng.uniform(-0.3, 1, (6, 6))
    A *= 0.97 / np.abs(A).sum(axis=1, keepdims=True)
    return bi.ImplicitModel(A, rng.standard_normal((6, 4)), None, np.ones((1, 6))), rng.standard_normal((30, 4))


def steps_by_hand(model, U, n_steps):
    """Picard's steps from phi(Bu + b), relu."""
    drive = U @ model.B.T
    found = [np.maximum(drive, 0)]
    for _ in range(n_steps):
        found.append(np.maximum(found[-1] @ model.A.T + drive, 0))
    return found[1:]


def test_picard_by_step(steep):
    model, U = steep
    table = model.solver_convergence(U, "picard", 60)
    by_hand = steps_by_hand(model, U, 3000)
    assert table["step"].tolist() == [*range(1, 21), 22, 24, 26, 28, 30, 33, 36, 39, 42, 46, 50, 55, 60]
    errors = [np.abs(by_hand[k - 1] - by_hand[-1]).max() for k in table["step"]]
    np.testing.assert_allclose(table["error"], errors, rtol=1e-9, atol=1e-12)
    changes = [np.abs(by_hand[k - 1] - by_hand[k - 2]).max() for k in table["step"][1:]]
    # Rounding adds a little.
    np.testing.assert_allclose(table["bound"][1:], 0.97 / 0.03 * np.array(changes), rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("solver", ["picard", "newton", "broyden", "anderson"])
def test_bounds_hold_at_every_step_down_to_rounding(steep, solver):
    model, U = steep
    table = model.solver_convergence(U, solver, 3000)
    assert np.all(table["error"] <= table["bound"])
    assert table["error"].iloc[-1] < 1e-11 * np.abs(model.states(U).X).max()
    assert table["step"].is_monotonic_increasing
    assert table["step"].iloc[-1] < 1500
    whole = model.states(U, solver=solver, tol=0.0)
    # The last row is the whole run, whose bound also counts the rounding of Bu + b.
    assert table["step"].iloc[-1] == whole.n_iter
    assert 0.3 * whole.error_bound.max() < table["bound"].iloc[-1] <= whole.error_bound.max()


def test_newton_needs_a_few_rounds(steep):
    model, U = steep
    table = model.solver_convergence(U)
    assert len(table) < 7
    assert table["error"].iloc[0] > 1e-3


def test_states_in_units_and_stages_are_solved_as_one():
    # Only the Perron-Frobenius test passes, and the third state sees the others alone.
    A = np.array([[0.0, 2.0, 0.0], [0.125, 0.3, 0.0], [3.0, 0.0, 0.0]])
    model = bi.ImplicitModel(A, np.eye(3), None, [[1.0, 1.0, 1.0]])
    U = np.random.default_rng(0).standard_normal((5, 3))
    exact = model.states(U, tol=0.0).X
    table = model.solver_convergence(U, "picard", 40)
    by_hand = steps_by_hand(model, U, 40)
    np.testing.assert_allclose(table["error"][:20], [np.abs(X - exact).max() for X in by_hand[:20]], atol=1e-13)
    assert np.all(table["error"] <= table["bound"])


def test_what_is_refused(steep):
    model, U = steep
    with pytest.raises(bi.InvalidInputError, match="solver: unknown solver 'secant'"):
        model.solver_convergence(U, "secant")
    with pytest.raises(bi.InvalidInputError, match="n_steps: got 0"):
        model.solver_convergence(U, n_steps=0)
    with pytest.raises(bi.NotWellPosedError):
        bi.ImplicitModel([[1.5]], [[1.0]], None, [[1.0]]).solver_convergence([[1.0]])


def test_a_sparse_network_is_there_after_as_many_steps_as_layers():
    graph = bi.networks.Graph((3,))
    rng = np.random.default_rng(0)
    h = graph.input.linear(rng.standard_normal((5, 3))).activate("relu")
    model = graph.build(h.linear(rng.standard_normal((4, 5))).activate("relu").linear(np.ones((1, 4))))
    table = model.solver_convergence(rng.standard_normal((7, 3)), "picard")
    assert table["step"].tolist() == [1, 2]
    assert table["error"].iloc[-1] < 1e-13
