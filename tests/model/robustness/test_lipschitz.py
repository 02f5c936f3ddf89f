"""The Lipschitz constant in the Euclidean norm: above all slopes, exact for linear models, tight on small ones."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn, held_back, layers, made_sparse

import bcd_implicit as bi
from bcd_implicit.model.robustness.lipschitz import proved


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "clip", [("relu", 4), ("softplus", 4)]], ids=str)
def test_no_slope_is_larger_and_the_largest_is_near(activation):
    rng = np.random.default_rng(0)
    model = drawn(rng, activation=activation, p=12, q=3)
    bound = model.lipschitz(2)
    U = rng.normal(size=(400, 12)) * rng.choice([0.1, 1, 3], (400, 1))
    largest = np.linalg.norm(model.jacobian(U), 2, axis=(1, 2)).max()
    assert largest <= bound
    slopes = model.activation.slopes(8)[:, None]
    # Less than the product of norms, and than what gains know.
    alone = np.linalg.norm(slopes * model.B, 2) / (1 - np.linalg.norm(slopes * model.A, 2))
    assert bound < np.linalg.norm(model.D, 2) + np.linalg.norm(model.C, 2) * alone
    assert bound < np.linalg.norm(model.sensitivity(), 2)
    assert bound <= 2.5 * largest
    assert made_sparse(model).lipschitz(2.0) == pytest.approx(bound, rel=1e-4)


def test_perceptrons_and_models_by_their_measure():
    rng = np.random.default_rng(1)
    network, weights, _ = layers(rng, (5, 8, 6, 2))
    bound = network.lipschitz(2)
    assert bound < np.prod([np.linalg.norm(W, 2) for W in weights])
    assert np.linalg.norm(network.jacobian(rng.normal(size=(500, 5))), 2, axis=(1, 2)).max() <= bound
    model = held_back(rng)
    assert np.linalg.norm(model.jacobian(rng.normal(size=(500, 3))), 2, axis=(1, 2)).max() <= model.lipschitz(2)


def test_of_one_state_it_is_known():
    # y = 3 x, x = relu(0.5 x + 2 u): slope 12 where x > 0; other units change nothing.
    for unit in (1.0, 1e-6, 1e6):
        model = bi.ImplicitModel([[0.5]], [[2.0 * unit]], None, [[3.0 / unit]])
        assert model.lipschitz(2) == pytest.approx(12.0, rel=1e-4)
    assert bi.ImplicitModel([[0.0]], [[0.0]], None, [[0.0]], [[-7.0]]).lipschitz(2) == pytest.approx(7.0, rel=1e-4)


def test_weights_prove_a_bound_or_none():
    rng = np.random.default_rng(2)
    model = drawn(rng, q=1)
    parts = model.A, model.B, model.C, model.D
    largest = np.linalg.norm(model.jacobian(rng.normal(size=(300, 3))), 2, axis=(1, 2)).max()
    for weights in (np.full(8, 20.0), rng.uniform(20, 40, 8)):
        assert largest <= proved(*parts, weights) < np.inf
    assert proved(*parts, np.zeros(8)) == np.inf
    assert model.lipschitz(2) <= proved(*parts, np.full(8, 20.0))


@pytest.mark.parametrize(
    ("B", "C", "D", "expected"),
    [(0, 1, 0, 0), (1, 0, 0, 0), (1, 1e-12, 1, 1), (1, 1e-20, 1, 1), (1, 1, 1e20, 1e20)],
)
def test_what_the_gains_know_is_known_wherever_the_program_fails(B, C, D, expected):
    model = bi.ImplicitModel([[0.5]], [[B]], None, [[C]], [[D]])
    assert expected <= model.lipschitz(2) <= expected * (1 + 1e-8)


def test_of_functions_that_fall_it_is_the_norm_of_the_gains():
    model = drawn(np.random.default_rng(3), activation="abs")
    assert model.lipschitz(2) == pytest.approx(np.linalg.norm(model.sensitivity(), 2))
    assert np.linalg.norm(model.sensitivity(), 2) <= model.lipschitz(2)


def test_other_norms_are_refused():
    rng = np.random.default_rng(3)
    with pytest.raises(bi.InvalidInputError, match="unknown norm 1"):
        drawn(rng).lipschitz(1)
    with pytest.raises(bi.NotWellPosedError):
        bi.ImplicitModel([[1.5]], [[1.0]], None, [[1.0]]).lipschitz(2)
