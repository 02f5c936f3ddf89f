"""A thousand boxes, and balls, of models of all kinds: no bound is broken, by exact bounds or by 100,000 points."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn, held_back, inside, layers, on_spheres, reached
from composed import drawn_graph

pytestmark = pytest.mark.hard

N_BOXES, N_POINTS = 50, 2000
PIECEWISE = ["relu", "leaky_relu", "clip", "identity", "soft_threshold", "abs"]
SMOOTH = ["tanh", "sigmoid", "softplus", "elu", "arctan", "softsign"]


def model_of(rng, seed):
    """In turns a dense model, one by its measure alone, a perceptron, and one put together of three."""
    name = str(rng.choice(PIECEWISE if rng.random() < 0.7 else SMOOTH))
    p = int(rng.integers(1, 5))
    if seed % 4 == 0:
        return drawn(rng, n=int(rng.integers(4, 12)), p=p, activation=name, norm=rng.choice([0.3, 0.7, 0.99]))
    if seed % 4 == 1:
        return held_back(rng, p=p, activation="relu" if name == "abs" else name)
    if seed % 4 == 2:
        return layers(rng, (p, 6, 6, 2), name)[0]
    return drawn_graph(rng, 3).model


@pytest.mark.parametrize("seed", range(20))
def test_no_bound_is_broken(seed):
    rng = np.random.default_rng(seed)
    model = model_of(rng, seed)
    if not model.is_well_posed():
        pytest.skip("no equilibrium to bound")
    p = model.B.shape[1]
    U = rng.normal(size=(N_BOXES, p)) * rng.choice([0.1, 1, 5], (N_BOXES, 1))
    radius = 10 ** rng.uniform(-4, 0.5, (N_BOXES, 1)) * rng.choice([0.0, 1.0], (N_BOXES, p), p=[0.2, 0.8])
    methods = ["interval", "backward", "dual"]
    if np.isfinite(model.activation.slopes(model.n_hidden)).all():
        methods.append("perron-frobenius")
    piecewise = model.activation.piecewise_linear
    least, largest = reached(model, inside(rng, U, radius, N_POINTS))
    q = least.shape[1]
    for k in range(q):
        up, down = (model.attack(U, radius, towards=sign * np.eye(q)[k]).predictions[:, k] for sign in (1, -1))
        least[:, k], largest[:, k] = np.minimum(least[:, k], down), np.maximum(largest[:, k], up)
    slack = 1e-8 * (1 + np.abs(least) + np.abs(largest))
    few = slice(0, 10)
    if piecewise:
        methods += ["lp", "sdp"] if model.activation.name == "relu" else ["lp"]
        exact = model.bounds(U[few], radius[few], method="exact")
        away = 1e-5 * (1 + np.abs(exact.lower) + np.abs(exact.upper))
        assert (least[few] >= exact.lower - away).all()
        assert (largest[few] <= exact.upper + away).all()
    for method in methods:
        some = few if method in ("dual", "lp", "sdp") else slice(None)
        found = model.bounds(U[some], radius[some], method=method)
        assert found.check(), method
        assert (found.lower <= least[some] + slack[some]).all(), method
        assert (found.upper >= largest[some] - slack[some]).all(), method
        if piecewise:
            assert (found.lower[few] <= exact.lower + away).all(), method
            assert (found.upper[few] >= exact.upper - away).all(), method


@pytest.mark.parametrize("seed", range(20))
def test_no_bound_on_a_ball_is_broken(seed):
    rng = np.random.default_rng(100 + seed)
    model = model_of(rng, seed)
    if not model.is_well_posed():
        pytest.skip("no equilibrium to bound")
    p = model.B.shape[1]
    U = rng.normal(size=(N_BOXES, p)) * rng.choice([0.1, 1, 5], (N_BOXES, 1))
    radius = 10 ** rng.uniform(-4, 0.5, (N_BOXES, 1)) * rng.choice([0.0, 0.3, 1.0], (N_BOXES, p), p=[0.2, 0.2, 0.6])
    least, largest = reached(model, on_spheres(rng, U, radius, N_POINTS))
    q = least.shape[1]
    for k in range(q):
        up, down = (model.attack(U, radius, towards=sign * np.eye(q)[k], norm=2).predictions[:, k] for sign in (1, -1))
        least[:, k], largest[:, k] = np.minimum(least[:, k], down), np.maximum(largest[:, k], up)
    slack = 1e-8 * (1 + np.abs(least) + np.abs(largest))
    methods = ["interval", "backward"]
    if np.isfinite(model.activation.slopes(model.n_hidden)).all():
        methods.append("perron-frobenius")
    for method in methods:
        found = model.bounds(U, radius, method=method, norm=2)
        assert found.check(), method
        assert (found.lower <= least + slack).all(), method
        assert (found.upper >= largest - slack).all(), method
