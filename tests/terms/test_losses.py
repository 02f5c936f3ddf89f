"""Losses against their definitions: gradients by differences, conjugates by maximisation, digits that are kept."""

import cvxpy as cp
import mpmath
import numpy as np
import pytest
from draws import entries
from hypothesis import given, note
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize, minimize_scalar

from bcd_implicit import LOSSES, HuberLoss, InvalidInputError, QuantileLoss, TrainingProblem
from bcd_implicit.terms.losses import get_loss

ALL = [*LOSSES.values(), HuberLoss(0.3), QuantileLoss(0.9)]
SEPARABLE = [loss for loss in ALL if loss.separable]
predictions = arrays(float, (3, 4), elements=entries(-6, 6))


def named(losses):
    return {"argvalues": losses, "ids": [repr(loss)[6:-1] for loss in losses]}


def targets(loss, seed=0, shape=(3, 4)):
    """Targets that a loss is for."""
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal(shape)
    if loss.name == "logistic":
        Y = (Y > 0).astype(float)
        Y[0, 0] = 0.3  # a probability is a target too
    elif loss.name == "cross-entropy":
        Y = np.eye(shape[0])[:, rng.integers(shape[0], size=shape[1])]
    elif loss.name == "poisson":
        Y = rng.poisson(2.0, shape).astype(float)
    return Y


# Each draw is put to all losses: drawing costs more than what is tested.
@given(F=predictions, change=predictions)
def test_the_gradient_is_that_of_the_value(F, change):
    for loss in ALL:
        note(repr(loss))
        check_gradient(loss, F, change)


def check_gradient(loss, F, change):
    Y, size = targets(loss), 1e-6
    # Away from kinks, and from the ends of Huber's parabola.
    F = np.where(np.abs(np.abs(F - Y) - getattr(loss, "threshold", 0.0)) < 1e-3, F + 2e-3, F)
    by_difference = (loss.value(F + size * change, Y) - loss.value(F - size * change, Y)) / (2 * size)
    exact = np.sum(loss.gradient(F, Y) * change, axis=0)
    np.testing.assert_allclose(by_difference, exact, rtol=1e-5, atol=1e-5 * (1 + loss.value(F, Y).max()))
    if loss.smooth:
        by_difference = (loss.gradient(F + size * change, Y) - loss.gradient(F - size * change, Y)) / (2 * size)
        exact = loss.second_derivative(F, Y, change)
        np.testing.assert_allclose(by_difference, exact, rtol=1e-5, atol=1e-5 * (1 + np.abs(exact).max()))


@given(F=predictions, elsewhere=predictions)
def test_fenchel_and_young(F, elsewhere):
    for loss in ALL:
        note(repr(loss))
        Y = targets(loss)
        here, V = loss.gradient(F, Y), loss.inside(loss.gradient(elsewhere, Y), Y)
        size = 1 + loss.value(F, Y) + np.abs(F * V).sum(axis=0) + np.abs(loss.conjugate(V, Y))
        assert (loss.value(F, Y) >= 0).all()
        assert (loss.divergence(F, V, Y) >= 0).all()
        np.testing.assert_allclose(loss.divergence(F, here, Y), 0.0, atol=1e-20)
        by_terms = loss.value(F, Y) + loss.conjugate(V, Y) - np.sum(F * V, axis=0)
        assert np.all(np.abs(loss.divergence(F, V, Y) - by_terms) <= 1e-13 * size)


@pytest.mark.parametrize("loss", **named(SEPARABLE))
def test_the_conjugate_is_the_largest_of_v_f_minus_the_loss(loss):
    Y = targets(loss, shape=(1, 1))
    for f in (-1.3, 0.4, 2.0):
        v = loss.gradient(np.array([[f]]), Y)
        # A little inside, where the largest is not at infinity.
        v = 0.9 * v
        found = minimize_scalar(lambda f, v=v: loss.value(np.array([[f]]), Y)[0] - v[0, 0] * f, bounds=(-30, 30))
        assert -found.fun == pytest.approx(loss.conjugate(v, Y)[0], abs=1e-6)
    beyond = loss.inside(np.array([[np.inf]]), Y) + 1e-3
    if np.isfinite(beyond).all():
        assert loss.conjugate(beyond, Y)[0] == np.inf


def test_the_conjugate_of_the_cross_entropy():
    loss, Y = LOSSES["cross-entropy"], np.array([[1.0], [0.0], [0.0]])
    V = np.array([[0.2], [0.5], [0.3]]) - Y
    found = minimize(lambda f: float(loss.value(f[:, None], Y)[0] - V[:, 0] @ f), np.zeros(3), tol=1e-10)
    assert -found.fun == pytest.approx(loss.conjugate(V, Y)[0], abs=1e-7)
    # Predictions are known up to a constant, so that dual points sum to zero.
    assert loss.conjugate(V + 1e-3, Y)[0] == np.inf
    assert loss.conjugate(np.array([[0.1], [-0.2], [0.1]]), Y)[0] == np.inf


@pytest.mark.parametrize("loss", **named(ALL))
def test_cvxpy_has_the_same_value(loss):
    Y, F = targets(loss), np.random.default_rng(1).standard_normal((3, 4))
    weights = np.array([1.0, 0.5, 2.0, 0.0])
    posed = loss.cvxpy(cp.Constant(F), Y, weights)
    assert posed.is_convex()
    assert posed.value == pytest.approx(float(loss.value(F, Y) @ weights), rel=1e-9)


@pytest.mark.parametrize("loss", **named(ALL))
def test_the_model_is_no_flatter_than_its_gradient_allows(loss):
    """Its minimum, at gradient / curvature, is near: the model is not trusted over any distance."""
    Y = targets(loss, shape=(3, 200))
    F = 5 * np.random.default_rng(2).standard_normal(Y.shape)
    curvature = loss.curvature(F, Y)
    assert (curvature > 0).all()
    if loss.smooth and loss.separable:
        second = loss.second_derivative(F, Y, np.ones_like(F))
        assert (curvature >= second * (1 - 1e-12)).all()
    if loss.name in ("logistic", "cross-entropy"):
        assert (np.abs(loss.gradient(F, Y)) <= 4 * curvature).all()


def test_the_cross_entropys_curvature_is_above_its_second_derivative_by_no_more_than_twice():
    loss, Y = LOSSES["cross-entropy"], targets(LOSSES["cross-entropy"], shape=(4, 50))
    F = 3 * np.random.default_rng(3).standard_normal(Y.shape)
    second = np.stack([loss.second_derivative(F, Y, np.repeat(unit[:, None], 50, axis=1)) for unit in np.eye(4)])
    for k, diagonal in enumerate(loss.curvature(F, Y).T):
        assert np.linalg.eigvalsh(np.diag(diagonal) - second[:, :, k]).min() >= -1e-12
        assert (2 * np.diag(second[:, :, k]) <= diagonal * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", ["logistic", "cross-entropy", "poisson"])
def test_likelihoods_keep_their_digits_where_the_sample_is_on_the_right_side(name):
    loss = LOSSES[name]
    if name == "poisson":
        Y, F = np.array([[1e6]]), np.log(1e6) + np.array([[1e-9]])
        with mpmath.workdps(40):
            f = mpmath.mpf(float(F[0, 0]))
            exact = mpmath.e**f - Y[0, 0] * f + Y[0, 0] * mpmath.log(Y[0, 0]) - Y[0, 0]
    else:
        Y = np.array([[1.0], [0.0]])[: 1 if name == "logistic" else 2]
        F = np.array([[50.0], [0.0]])[: len(Y)]
        with mpmath.workdps(40):
            exact = mpmath.log(1 + mpmath.e**-50)
        assert loss.gradient(F, Y)[0, 0] == pytest.approx(-float(exact), rel=1e-12)
    # Poisson's, a square of 1e-9, is known as well as the logarithm of a million is.
    assert loss.value(F, Y)[0] == pytest.approx(float(exact), rel=1e-6 if name == "poisson" else 1e-12)


@pytest.mark.parametrize("loss", **named(ALL))
def test_no_constant_is_better_than_the_best(loss):
    Y, rng = targets(loss, shape=(3, 30)), np.random.default_rng(4)
    shares = rng.uniform(0.1, 1, 30)
    shares /= shares.sum()
    best = loss.best_constant(Y, shares)

    def mean(constant):
        return loss.value(np.repeat(constant[:, None], 30, axis=1), Y) @ shares

    assert mean(best) <= min(mean(best + size * rng.standard_normal(3)) for size in (1e-3, 0.1, 1) for _ in range(20))


def test_responses_are_in_the_targets_units():
    f = np.array([[0.0, 1.0], [0.0, -1.0]])
    np.testing.assert_allclose(LOSSES["logistic"].response(f), 1 / (1 + np.exp(-f)))
    np.testing.assert_allclose(LOSSES["cross-entropy"].response(f).sum(axis=0), 1)
    np.testing.assert_allclose(LOSSES["poisson"].response(f), np.exp(f))
    np.testing.assert_array_equal(LOSSES["huber"].response(f), f)


@pytest.mark.parametrize("width", [0.1, 2.0])
@pytest.mark.parametrize("loss", **named([loss for loss in ALL if not loss.smooth]))
def test_the_envelope_is_the_largest_over_the_dual_points(loss, width):
    rng = np.random.default_rng(5)
    Y, F = rng.standard_normal((1, 6)), rng.standard_normal((1, 6))
    V = loss.inside(rng.uniform(-1, 1, (1, 6)), Y)
    envelope = loss.smoothed(V, width)
    v = loss.inside(np.linspace(-2, 2, 40001)[:, None], Y)
    largest = np.max(v * (F - Y) - 0.5 * width * (v - V) ** 2, axis=0)
    np.testing.assert_allclose(envelope.value(F, Y), largest, atol=1e-6)
    # Around zero it is below the loss, and above what the widest dual point costs.
    around = loss.smoothed(np.zeros((1, 1)), width)
    most = 0.5 * width * max(loss.above, loss.below) ** 2
    assert np.all(around.value(F, Y) <= loss.value(F, Y))
    assert np.all(loss.value(F, Y) <= around.value(F, Y) + most * (1 + 1e-12))
    np.testing.assert_allclose(envelope.divergence(F, envelope.gradient(F, Y), Y), 0, atol=1e-15)
    elsewhere = loss.inside(rng.uniform(-1, 1, (1, 6)), Y)
    by_terms = envelope.value(F, Y) + envelope.conjugate(elsewhere, Y) - np.sum(F * elsewhere, axis=0)
    np.testing.assert_allclose(envelope.divergence(F, elsewhere, Y), by_terms, atol=1e-12)
    problem = cp.Problem(cp.Minimize(envelope.cvxpy(cp.Constant(F), Y)))
    assert problem.solve(solver="CLARABEL") == pytest.approx(envelope.value(F, Y).sum(), abs=1e-6)


def test_parameters_tell_losses_apart():
    assert HuberLoss(0.5) == HuberLoss(0.5) != HuberLoss(0.6)
    assert get_loss("huber") == HuberLoss(1.0)
    assert hash(QuantileLoss(0.9)) == hash(QuantileLoss(0.9))
    assert repr(QuantileLoss(0.9)) == "<loss quantile (level=0.9)>"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HuberLoss(0.0), "threshold: .*Give a positive number"),
        (lambda: QuantileLoss(1.0), "level: .*Choose a level such as 0.9"),
        (lambda: get_loss("log"), "unknown loss 'log'.*cross-entropy"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("logistic", [0.0, 1.0, 2.0, 1.0], "targets from 0 to 1, row 2 of 'y0' is 2"),
        ("poisson", [0.0, 1.0, -2.0, 1.0], "targets of 0 or more, row 2 of 'y0' is -2"),
        ("cross-entropy", [0.0, 1.0, 0.0, 1.0], "one column for each class"),
        (
            "cross-entropy",
            [[1.0, 0.0], [0.5, 0.4], [0.0, 1.0], [1.0, 0.0]],
            "columns that sum to 1, and row 1 sums to 0.9",
        ),
        ("cross-entropy", [[1.0, 0.0], [1.5, -0.5], [0.0, 1.0], [1.0, 0.0]], "row 1 of 'y1' is -0.5"),
    ],
)
def test_targets_that_a_loss_is_not_for_are_named(name, bad, message):
    with pytest.raises(InvalidInputError, match=message):
        TrainingProblem(np.arange(8.0).reshape(4, 2) ** 2, np.array(bad), 2, loss=name)
