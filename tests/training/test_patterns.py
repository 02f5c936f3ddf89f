"""The loops under a zero pattern: zeros in every iterate, an objective that never rises, networks that are networks."""

import numpy as np
import pytest
from losses import LIKELIHOODS, loss_problem
from patterns import entries_held, network_masks, random_masks
from problems import OPTIONS, random_problem

import bcd_implicit as bi
from bcd_implicit.constraints import nonnegative
from bcd_implicit.training import checkpoint

SIZE = (4, 5, 3, 40)
SHAPES = {"A": (4, 4), "B": (4, 5), "C": (3, 4), "D": (3, 5)}
METHODS = ["prox-linear", "fenchel"]
pytestmark = pytest.mark.filterwarnings("ignore:.*stopped at max_cycles:bcd_implicit.ConvergenceWarning")


def train(problem, method="prox-linear", **options):
    """Train, and check every iterate on the way."""

    def callback(cycle, objective, it):
        assert not entries_held(problem, it).any()
        assert problem.violation(it) <= 1e-9

    result = bi.solve(problem, method, callback=callback, **{"max_cycles": 8} | options)
    assert not entries_held(problem, result.iterate).any()
    objectives = result.history["objective"].to_numpy()
    assert np.all(np.diff(objectives) <= 1e-12 * np.abs(objectives[:-1]))
    assert result.problem.objective(result.iterate) <= problem.objective(problem.initial(0))
    return result


@pytest.mark.parametrize("name", ["penalty", "constraint", "largest", "stacked", "plain"])
@pytest.mark.parametrize("method", METHODS)
def test_zeros_stay_and_the_objective_falls(method, name):
    masks = random_masks(SHAPES, pass_through=OPTIONS[name].get("pass_through", True))
    result = train(random_problem(SIZE, **OPTIONS[name], pattern=masks), method)
    for block, certificate in result.certificates.items():
        # "plain" has no ridge on A, some of whose entries are on no cycle: then nothing bounds the gap.
        unknown = name == "plain" and block in ("prox-linear", "hidden")
        assert certificate.known == (not unknown)
        assert certificate.kkt_residual <= 1e-4 if unknown else certificate.holds(1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_so_they_do_for_classes_whose_rows_differ(method):
    problem = loss_problem(LIKELIHOODS[1], SIZE, kappa=0.01, pattern=random_masks(SHAPES))
    result = train(problem, method, max_cycles=5)
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())


def test_so_they_do_under_a_loss_with_kinks():
    # It begins on the smoothed loss, whose widths differ by output.
    train(loss_problem(bi.QuantileLoss(0.8), SIZE, kappa=0.01, pattern=random_masks(SHAPES)))


def test_so_they_do_with_constraints_of_a_user():
    problem = random_problem(SIZE, kappa=0.1, pattern=random_masks(SHAPES), constraints=[nonnegative("B")])
    result = train(problem, max_cycles=2)
    assert result.iterate.B.min() >= -1e-6
    # A conic solver looks for a start that meets both.
    start = problem.initial(0)
    assert (start.B < 0).any()


def test_a_start_beside_the_pattern_begins_on_it():
    problem = random_problem(SIZE, kappa=0.1, pattern=random_masks(SHAPES))
    free = bi.solve(problem.replace(pattern=None), max_cycles=3)
    assert entries_held(problem, free.iterate).any()
    train(problem, start=free)


def test_without_any_free_entry_of_A_it_is_a_norm_bound_of_zero():
    one = bi.solve(random_problem(SIZE, kappa=0.1, pattern={"A": np.zeros((4, 4))}), tol=1e-7)
    other = bi.solve(random_problem(SIZE, kappa=0.1, norm_bound=0.0), tol=1e-7)
    assert one.objective == pytest.approx(other.objective, rel=1e-6)


def small_data():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((150, 4))
    y = np.abs(U[:, 0]) - 1 + 0.5 * U[:, 1] * (U[:, 2] > 0)
    return U, y + 0.05 * rng.standard_normal(150)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_trained_perceptron_is_one(activation):
    U, y = small_data()
    masks = network_masks(4, [5, 5], 1)
    problem = bi.TrainingProblem(
        U, y, 10, activation, norm_bound=0.9, kappa=1e-3, ridge=1e-4, ridge_hidden=1e-5, pattern=masks
    )
    result = train(problem, max_cycles=60, tol=1e-4)
    model = result.model
    for letter, mask in masks.items():
        np.testing.assert_array_equal(getattr(model, letter) != 0, mask & (getattr(model, letter) != 0))
    assert np.all(np.tril(model.A) == 0)
    assert model.A[:5, 5:].any()
    # A forward pass by hand, layer by layer.
    phi = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[activation]
    first = phi(U @ model.B[5:].T + model.b[5:])
    second = phi(first @ model.A[:5, 5:].T + model.b[:5])
    prediction = second @ model.C[:, :5].T + model.d
    new = np.random.default_rng(1).standard_normal((20, 4))
    np.testing.assert_allclose(model.outputs(U), prediction, rtol=1e-12, atol=1e-12)
    by_hand = phi(phi(new @ model.B[5:].T + model.b[5:]) @ model.A[:5, 5:].T + model.b[:5]) @ model.C[:, :5].T
    np.testing.assert_allclose(model.outputs(new), by_hand + model.d, rtol=1e-12, atol=1e-12)
    # No linear model comes near.
    assert 1 - np.mean((prediction[:, 0] - y) ** 2) / np.var(y) > 0.95


def test_a_pattern_may_be_let_go_of_and_taken_up_again():
    U, y = small_data()
    masked = bi.TrainingProblem(U, y, 10, kappa=1e-3, ridge=1e-4, pattern=network_masks(4, [5, 5], 1))
    network = bi.solve(masked, max_cycles=20)
    larger = bi.solve(masked.replace(pattern=None), start=network, max_cycles=20)
    assert larger.objective < network.objective
    assert larger.model.A[5:].any()
    assert larger.model.D.any()
    # The model that was trained says what its pattern is.
    again = masked.replace(pattern=network.model)
    assert all((masked.pattern.free[k] | ~mask).all() for k, mask in again.pattern.free.items())
    assert train(again, start=network, max_cycles=5).objective <= network.objective


def test_a_run_is_resumed_with_its_pattern_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "TIMES_A_WRITE", 0.0)
    problem = random_problem(SIZE, kappa=0.1, pattern=random_masks(SHAPES))
    file = tmp_path / "run.npz"

    def breaks_off(cycle, objective, it):
        if cycle == 4:
            raise OSError("of the test")

    with pytest.raises(OSError, match="of the test"):
        bi.solve(problem, max_cycles=6, tol=0.0, checkpoint=file, callback=breaks_off)
    resumed, whole = (bi.solve(problem, max_cycles=6, tol=0.0, checkpoint=path) for path in (file, None))
    np.testing.assert_array_equal(resumed.iterate.B, whole.iterate.B)
    with pytest.raises(bi.InvalidInputError, match="pattern"):
        bi.solve(problem.replace(pattern={"A": np.eye(4)}), max_cycles=6, tol=0.0, checkpoint=file)
    with pytest.raises(bi.InvalidInputError, match="pattern"):
        bi.solve(problem.replace(pattern=None), max_cycles=6, tol=0.0, checkpoint=file)
