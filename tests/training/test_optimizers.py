"""Optimizers against their formulas."""

import numpy as np
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.training.optimizers import SGD, Adam, Moments


def gradients(n_steps=5, n_unknowns=4):
    return np.random.default_rng(0).standard_normal((n_steps, n_unknowns)) * [1.0, 1e-3, 1e3, 0.0]


def test_sgd_steps_along_the_gradient():
    g = gradients()[0]
    mean, scale = SGD().moves(Moments.none(4), g)
    np.testing.assert_array_equal(mean, g)
    assert scale == 1


def test_momentum_is_a_mean_whose_weights_sum_to_one():
    moments, all_g = Moments.none(4), gradients()
    for g in all_g:
        mean, _ = SGD(momentum=0.8).moves(moments, g)
    weights = 0.8 ** np.arange(len(all_g))[::-1]
    np.testing.assert_allclose(mean, weights @ all_g / weights.sum(), rtol=1e-12)


def test_adam_is_algorithm_1_of_the_paper():
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    m, v, moments = np.zeros(4), np.zeros(4), Moments.none(4)
    for t, g in enumerate(gradients(), start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        by_hand = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        mean, scale = Adam().moves(moments, g)
        np.testing.assert_allclose(scale * mean, by_hand, rtol=1e-12)


def test_adam_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    theta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    theirs, ours, moments = torch.optim.Adam([theta], lr=0.03), np.zeros(4), Moments.none(4)
    for g in gradients(20):
        theta.grad = torch.from_numpy(g.copy())
        theirs.step()
        mean, scale = Adam().moves(moments, g)
        ours -= 0.03 * scale * mean
        np.testing.assert_allclose(ours, theta.detach().numpy(), rtol=1e-10, atol=1e-14)


def test_steps_of_adam_keep_their_length_in_other_units():
    units, here, there = np.array([2.0, 0.5, 3.0, 1.0]), Moments.none(4), Moments.none(4)
    for g in gradients(3):
        Adam().moves(here, g)
        Adam().moves(there, units * g)
    moved = here.scaled(units)
    for name in ("first", "second"):
        np.testing.assert_allclose(getattr(moved, name), getattr(there, name), rtol=1e-12)
    g = gradients(4)[3]
    one, other = (Adam().moves(moments, factor * g) for moments, factor in ((here, 1.0), (moved, units)))
    np.testing.assert_allclose(one[0] * one[1], other[0] * other[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=1.0), "momentum: got 1.0, must be < 1"),
        (lambda: Adam(memory=-0.1), "memory: got -0.1, must be >= 0"),
        (lambda: Adam(epsilon=0.0), "epsilon: got 0.0, must be > 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
