"""Recurrent networks against their recurrences, written out in NumPy."""

import numpy as np
import pytest
from scipy.special import expit

import bcd_implicit as bi
from bcd_implicit.networks import Graph, equilibrium_rnn, gru, lstm, rnn

T, P, H = 6, 3, 5


def weights(gates, seed=0, biases=True):
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=(gates * H, P)), 0.5 * rng.normal(size=(gates * H, H))]
    return [*drawn, *(rng.normal(size=gates * H) for _ in range(2))] if biases else [*drawn, None, None]


def model_of(layer, parts, keep_affine="auto", **options):
    graph = Graph((T, P), keep_affine=keep_affine)
    return graph.build(layer(graph.input, *parts, **options))


def unrolled(step, U, *carried):
    outputs = []
    for u in np.moveaxis(U, 1, 0):
        carried = step(u, *carried)
        outputs.append(carried[0])
    return np.stack(outputs, axis=1).reshape(len(U), -1)


def affine(parts, u, x):
    W, V, b, c = parts
    return u @ W.T + (0 if b is None else b), x @ V.T + (0 if c is None else c)


@pytest.fixture
def U():
    return np.random.default_rng(1).normal(size=(8, T, P))


def close(model, U, wanted):
    found = model.predict(U.reshape(len(U), -1))
    return np.abs(found - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize(("activation", "phi"), [("tanh", np.tanh), ("relu", lambda z: np.maximum(z, 0))])
def test_elman(U, activation, phi, biases):
    parts = weights(1, biases=biases)
    model = model_of(rnn, parts, activation=activation)
    wanted = unrolled(lambda u, x: (phi(sum(affine(parts, u, x))),), U, np.zeros((8, H)))
    assert close(model, U, wanted)
    assert model.n_hidden == T * H
    assert model.structure().depth == T


@pytest.mark.parametrize("biases", [True, False])
def test_lstm(U, biases):
    parts = weights(4, biases=biases)

    def step(u, x, c):
        i, f, g, o = np.split(sum(affine(parts, u, x)), 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        return expit(o) * np.tanh(c), c

    model = model_of(lstm, parts)
    assert close(model, U, unrolled(step, U, np.zeros((8, H)), np.zeros((8, H))))
    # 11 h a step; before the first there is nothing to forget, a product less.
    assert model.n_hidden == 11 * H * T - 2 * H
    swapped = [p if p is None else np.concatenate([p[H : 2 * H], p[:H], p[2 * H :]]) for p in parts]
    assert not close(model_of(lstm, swapped), U, unrolled(step, U, np.zeros((8, H)), np.zeros((8, H))))


@pytest.mark.parametrize("biases", [True, False])
def test_gru(U, biases):
    parts = weights(3, biases=biases)

    def step(u, x):
        given, carried = affine(parts, u, x)
        (r, z, n), (s, y, m) = np.split(given, 3, axis=1), np.split(carried, 3, axis=1)
        r, z = expit(r + s), expit(z + y)
        n = np.tanh(n + r * m)
        return ((1 - z) * n + z * x,)

    model = model_of(gru, parts)
    wanted = unrolled(step, U, np.zeros((8, H)))
    assert close(model, U, wanted)
    merged = model_of(gru, parts, keep_affine=False)
    assert close(merged, U, wanted)
    assert merged.n_hidden == 7 * H * T - 2 * H
    # The outputs of steps are sums of three states. Kept, these 3 h entries spare two thirds of those of W_hh, of which
    # the part that r is multiplied with is in two blocks of squares.
    assert model.n_hidden == merged.n_hidden + H * (T - 1)
    assert merged.A.nnz - model.A.nnz == (2 * 4 * H * H - 3 * H) * (T - 1)


def test_layers_stand_on_each_other(U):
    first, second = weights(1), [np.random.default_rng(5).normal(size=(H, H)), *weights(1, seed=2)[1:]]
    graph = Graph((T, P))
    node = rnn(rnn(graph.input, *first), *second)[-1]
    x = unrolled(lambda u, x: (np.tanh(sum(affine(first, u, x))),), U, np.zeros((8, H))).reshape(8, T, H)
    y = unrolled(lambda u, x: (np.tanh(sum(affine(second, u, x))),), x, np.zeros((8, H)))
    assert close(graph.build(node), U, y[:, -H:])


def test_the_infinite_network_is_the_limit_of_longer_and_longer_ones():
    rng = np.random.default_rng(0)
    W, B, b, C, d = (
        rng.normal(size=(H, H)),
        rng.normal(size=(H, P)),
        rng.normal(size=H),
        rng.normal(size=(2, H)),
        [1, 2],
    )
    W *= 0.8 / np.abs(W).sum(axis=1).max()
    model = equilibrium_rnn(W, B, b, C, d, output_names=["y", "z"])
    u = rng.normal(size=(4, P))
    off = []
    for steps in (1, 5, 25, 125):
        graph = Graph((steps, P))
        long = graph.build(rnn(graph.input, B, W, b)[-1].linear(C, d))
        off.append(np.abs(long.predict(np.tile(u, (1, steps))) - model.predict(u)).max())
    assert off[0] > off[1] > off[2]
    assert off[3] < 1e-9
    assert model.n_hidden == H
    assert model.output_names == ["y", "z"]
    assert not model.structure().acyclic
    with pytest.raises(bi.NotWellPosedError, match="^W: the iteration .*spectral radius.* Scale W down, or"):
        equilibrium_rnn(4 * np.abs(W), B, b, C)


@pytest.mark.parametrize(
    ("call", "argument", "part"),
    [
        (lambda: rnn(Graph(3).input, *weights(1)), "sequence", "It takes (steps, features)"),
        (lambda: model_of(lstm, weights(3)), "weight_hh", "has shape (15, 5), (4 h, h) needed"),
        (lambda: model_of(rnn, [np.ones((4, P)), np.ones((H, H))]), "weight_ih", "has 4 rows, but weight_hh has 5"),
        (lambda: model_of(rnn, [np.ones((H, 2)), np.ones((H, H))]), "weight_ih", "is for 2 features"),
        (lambda: model_of(rnn, [*weights(1)[:3], np.ones(1)]), "bias_hh", "is for 1 outputs"),
        (lambda: model_of(gru, [*weights(3)[:3], np.ones(4)]), "bias_hh", "is for 4 outputs"),
        (lambda: model_of(gru, [*weights(3)[:2], np.ones(4)]), "bias_ih", "is for 4 outputs"),
        (lambda: model_of(rnn, [1j * np.ones((H, P)), np.ones((H, H))]), "weight_ih", "got complex numbers"),
        (lambda: rnn(np.ones((4, 3)), *weights(1)), "sequence", "is an array of shape (4, 3), not a node"),
        (lambda: equilibrium_rnn(np.ones((2, 3)), np.ones((2, 1)), None, np.ones((1, 2))), "W", "has shape (2, 3)"),
        (lambda: equilibrium_rnn(np.eye(2), np.ones((1, 1)), None, np.ones((1, 2))), "U", "has shape (1, 1)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, argument, part):
    with pytest.raises(bi.InvalidInputError) as caught:
        call()
    assert caught.value.argument == argument
    assert part in str(caught.value)
