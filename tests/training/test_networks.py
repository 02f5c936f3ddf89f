"""Networks trained under their pattern: the norm bound is on cycles alone, and what has none is free of it."""

import numpy as np
import pytest
from patterns import entries_held, mixed_masks, network_masks
from sklearn.datasets import make_friedman1
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import scale

import bcd_implicit as bi
from bcd_implicit.training import checkpoint

METHODS = ["prox-linear", "fenchel"]
ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
pytestmark = pytest.mark.filterwarnings("ignore:.*stopped at max_cycles:bcd_implicit.ConvergenceWarning")


def friedman(m=150):
    U, y = make_friedman1(m, n_features=5, noise=1.0, random_state=0)
    return scale(U), scale(y)


def problem_of(masks, activation, **options):
    usual = {"kappa": 0.0, "ridge": 1e-3, "pass_through": False, "norm_bound": 0.3}
    return bi.TrainingProblem(*friedman(), len(masks["A"]), activation, pattern=masks, **usual | options)


def train(problem, method, **options):
    def callback(cycle, objective, it):
        assert not entries_held(problem, it).any()
        assert problem.violation(it) <= 1e-12

    result = bi.solve(problem, method, callback=callback, **{"max_cycles": 8} | options)
    objectives = result.history["objective"].to_numpy()
    assert np.all(np.diff(objectives) <= 1e-12 * np.abs(objectives[:-1]))
    return result


def iterate_of(model, m):
    """A start from a model's weights."""
    A, B, C, D = (getattr(model, letter).toarray() for letter in "ABCD")
    return bi.Iterate(A, B, model.b, C, D, model.d, np.zeros((model.n_hidden, m)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_a_perceptron_is_not_bounded(method, activation):
    problem = problem_of(network_masks(5, [5, 4], 1), activation)
    result = train(problem, method)
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())
    model, phi = result.model, ACTIVATIONS[activation]
    assert model.norm_inf() > 1.5 * problem.row_set.radius
    assert model.structure().acyclic
    # A forward pass by hand, layer by layer; also of the states inside the loop.
    new = np.random.default_rng(1).standard_normal((20, 5))
    for U in (problem.U.T, new):
        first = phi(U @ model.B[4:].T + model.b[4:])
        second = phi(first @ model.A[:4, 4:].T + model.b[:4])
        np.testing.assert_allclose(model.outputs(U), second @ model.C[:, :4].T + model.d, rtol=1e-12, atol=1e-12)
        if U is not new:
            np.testing.assert_allclose(result.iterate.X, np.hstack([second, first]).T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_a_cycle_is_bounded_and_its_links_are_not(method, activation):
    problem = problem_of(mixed_masks(5, 1), activation)
    result = train(problem, method)
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())
    sums = np.abs(problem.row_set.bounded(result.iterate.A)).sum(axis=1)
    np.testing.assert_allclose(sums.max(), problem.row_set.radius)
    assert result.model.norm_inf() > 1.5 * problem.row_set.radius
    # Inside, entries may become zero, but none is on a cycle elsewhere.
    assert all(set(states) <= {2, 3, 4} for states in result.model.structure().cycles)
    # The states are an equilibrium.
    again = problem.activation(problem.preactivation(result.iterate))
    np.testing.assert_allclose(result.iterate.X, again, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.model.states(problem.U.T, tol=0.0).X.T, result.iterate.X, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_fine_tuning_begins_at_the_networks_own_objective(activation, method):
    U, y = friedman()
    mlp = MLPRegressor(hidden_layer_sizes=(6, 4), activation=activation, tol=1e-3, max_iter=1000, random_state=0)
    given = bi.from_sklearn(mlp.fit(U, y))
    problem = problem_of(network_masks(5, [6, 4], 1), activation).replace(pattern=given, ridge_hidden=1e-4)
    start = iterate_of(given, problem.n_samples)
    assert given.norm_inf() > 2.5
    # As by scikit-learn alone: half of the mean square, and the ridges.
    square = 0.5 * np.mean((mlp.predict(U) - y) ** 2)
    W1, W2, W3 = mlp.coefs_
    objective = square + 0.5 * 1e-3 * np.sum(W3**2) + 0.5 * 1e-4 * (np.sum(W1**2) + np.sum(W2**2))
    assert problem.equilibrium_objective(start) == pytest.approx(objective, rel=1e-12)
    assert problem.violation(start) == 0
    result = train(problem, method, start=start, max_cycles=2)
    # Nothing is projected: by its change the first cycle began where the network is.
    first = result.history.iloc[0]
    assert first["objective"] / (1 - first["change"]) == pytest.approx(objective, rel=1e-12)
    assert result.objective < objective


def test_a_run_is_resumed_and_its_model_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "TIMES_A_WRITE", 0.0)
    problem = problem_of(mixed_masks(5, 1), "tanh")
    file = tmp_path / "run.npz"

    def breaks_off(cycle, objective, it):
        if cycle == 3:
            raise OSError("of the test")

    with pytest.raises(OSError, match="of the test"):
        bi.solve(problem, max_cycles=5, tol=0.0, checkpoint=file, callback=breaks_off)
    resumed, whole = (bi.solve(problem, max_cycles=5, tol=0.0, checkpoint=path) for path in (file, None))
    for letter in "ABbCDdX":
        np.testing.assert_array_equal(getattr(resumed.iterate, letter), getattr(whole.iterate, letter))
    assert resumed.model.norm_inf() > 1
    resumed.model.save(tmp_path / "model.npz")
    U = problem.U.T
    np.testing.assert_array_equal(bi.ImplicitModel.load(tmp_path / "model.npz").predict(U), resumed.model.predict(U))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_without_a_ridge_on_A_nothing_overflows(method, activation):
    problem = problem_of(network_masks(5, [5, 4], 1), activation, ridge_hidden=0.0)
    result = train(problem, method, max_cycles=15)
    assert np.isfinite(result.iterate.A).all()
    assert result.certificates["output"].holds(1e-6)
    for name, certificate in result.certificates.items():
        if name in ("prox-linear", "hidden"):
            assert certificate.gap == np.inf
            assert certificate.kkt_residual <= 1e-4


def test_eight_layers_are_certified():
    problem = problem_of(network_masks(5, [4] * 8, 1), "relu", ridge=1e-2)
    result = train(problem, "prox-linear", max_cycles=3)
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())
    assert (1 / problem.room(result.iterate.A)).max() > 100


def test_it_says_where_the_bound_holds():
    U, y = friedman(20)
    usual = {"n_hidden": 7, "norm_bound": 0.3, "activation": "sigmoid"}
    free = bi.TrainingProblem(U, y, **usual)
    mixed = free.replace(pattern=mixed_masks(5, 1))
    none = free.replace(pattern=network_masks(5, [4, 3], 1))
    ring = free.replace(pattern={"A": np.roll(np.eye(7), 1, axis=1)})
    for problem, words, told in (
        (free, "norm_bound=0.3,", "at most 1.2"),
        (ring, "norm_bound=0.3,", "at most 1.2"),
        (mixed, "norm_bound=0.3 (inside cycles),", "at most 1.2 inside cycles"),
        (none, "norm_bound=0.3 (no cycles: without effect),", "not bounded, as there is no cycle"),
    ):
        assert words in repr(problem)
        assert f"{told}<" in problem._repr_html_()
    assert (free.row_set.inside, ring.row_set.inside) == (None, None)
    assert not none.row_set.inside.any()
    np.testing.assert_array_equal(np.flatnonzero(mixed.row_set.inside.any(axis=1)), [2, 3, 4])
    # Letting go of the pattern asks for the whole norm again.
    assert none.replace(pattern=None).row_set.inside is None
