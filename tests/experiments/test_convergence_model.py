"""The deep model: its gradients, its metric and the bounds of it."""

import numpy as np
import pytest
from scipy.special import softmax
from shallow_problems import classes, deep, differences, squared

from bcd_implicit.experiments.convergence_model import DeepLinear, proved_metric

SIZES = [(4, 3), (3, 5), (1, 2), (5, 5), (6, 1)]


def W_by_hand(A, B, gamma):
    S = np.exp(A) / np.exp(A).sum(axis=0)
    return B @ np.linalg.inv(np.eye(len(A)) - gamma * S)


@pytest.mark.parametrize("problem", [squared(), classes(4, 3, 30)], ids=["squared", "cross-entropy"])
def test_gradients_against_differences(problem):
    at = deep()
    in_A, in_B = at.gradients(problem.lift(problem.gradient(at.W)))
    by_A = differences(lambda A: problem.value(W_by_hand(A, at.B, 0.8)), at.A)
    by_B = differences(lambda B: problem.value(W_by_hand(at.A, B, 0.8)), at.B)
    np.testing.assert_allclose(in_A, by_A, atol=1e-7 * np.abs(by_A).max())
    np.testing.assert_allclose(in_B, by_B, atol=1e-7 * np.abs(by_B).max())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_flow_moves_W_by_the_metric(size):
    at = deep(*size)
    G = np.random.default_rng(1).standard_normal(at.W.shape)
    in_A, in_B = at.gradients(G)
    moved = at.moved(-in_A, -in_B)
    D = at.metric()
    np.testing.assert_allclose(moved.ravel(order="F"), -D @ G.ravel(order="F"), atol=1e-12)
    step = 1e-6
    after, before = (W_by_hand(at.A - t * in_A, at.B - t * in_B, 0.8) for t in (step, -step))
    np.testing.assert_allclose(moved, (after - before) / (2 * step), atol=1e-6 * np.abs(moved).max())
    np.testing.assert_allclose(D, D.T, atol=1e-13)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_the_bounds_of_the_metric_hold(size, seed):
    n, q = size
    at = deep(n, q, gamma=0.95, seed=seed)
    # Steep softmaxes as well.
    at = DeepLinear(10.0 ** (seed - 2) * at.A, at.W, 0.95)
    least = np.linalg.eigvalsh(at.metric())[0]
    assert at.least_metric() == pytest.approx(least, rel=1e-9)
    assert least >= at.condition**-2 * (1 - 1e-9)
    assert at.condition**-2 >= proved_metric(n, 0.95)
    assert np.abs(at.U).sum(axis=0).max() <= 1.95 * (1 + 1e-12)
    if q >= n:
        assert least == pytest.approx(at.condition**-2, rel=1e-9)
    # The metric is J J' for the derivative J of W: its largest eigenvalue is the reach, squared, at most.
    assert np.linalg.eigvalsh(at.metric())[-1] <= at.reach() ** 2 * (1 + 1e-9)


def test_weights_and_several_points_at_once():
    at = deep()
    again = DeepLinear.of_weights(at.A, at.B, 0.8)
    np.testing.assert_allclose(again.W, at.W, atol=1e-12)
    np.testing.assert_allclose(at.W, W_by_hand(at.A, at.B, 0.8), atol=1e-12)
    np.testing.assert_allclose(at.S, softmax(at.A, axis=0), atol=1e-15)
    other = deep(seed=1)
    G = np.random.default_rng(2).standard_normal((2, *at.W.shape))
    both = DeepLinear(np.stack([at.A, other.A]), np.stack([at.W, other.W]), 0.8)
    for k, point in enumerate((at, other)):
        for one, several in zip(point.gradients(G[k]), both.gradients(G), strict=True):
            np.testing.assert_allclose(several[k], one, atol=1e-12)
