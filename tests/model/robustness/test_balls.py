"""Balls of the Euclidean norm: bounds by hand, points of the sphere and attacks within them, refusals."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from boxes import drawn, held_back, layers, made_sparse, on_spheres, reached
from slow_but import slow_but

import bcd_implicit as bi
from bcd_implicit.model.robustness.box import Box

QUICK = ["perron-frobenius", "interval", "backward"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", slow_but(["relu", "measure", "sparse"], ["relu", "tanh", "abs", "measure", "layers", "sparse"])
)
def test_no_point_of_a_ball_is_outside_and_balls_are_within_boxes(kind):
    rng = np.random.default_rng(0)
    makers = {
        "measure": held_back,
        "layers": lambda rng: layers(rng, (3, 8, 6, 2))[0],
        "sparse": lambda rng: made_sparse(layers(rng, (3, 8, 6, 2))[0]),
    }
    model = makers[kind](rng) if kind in makers else drawn(rng, activation=kind)
    U = rng.normal(size=(4, 3))
    for radius in ([1.5, 0.4, 0.0], np.array([[0.1], [0.3], [1.0], [3.0]])):
        least, largest = reached(model, on_spheres(rng, U, radius, 150))
        for k in range(2):
            for sign in (1, -1):
                attack = model.attack(U, radius, towards=sign * np.eye(2)[k], norm=2)
                reach = np.broadcast_to(radius, U.shape)
                shares = np.divide(attack.inputs - U, reach, out=np.zeros_like(U), where=reach > 0)
                assert (np.linalg.norm(shares, axis=1) <= 1 + 1e-12).all()
                assert (attack.inputs[reach == 0] == U[reach == 0]).all()
                assert (attack.gained >= 0).all()
                least[:, k] = np.minimum(least[:, k], attack.predictions[:, k])
                largest[:, k] = np.maximum(largest[:, k], attack.predictions[:, k])
        slack = 1e-9 * (1 + np.abs(least) + np.abs(largest))
        for method in QUICK:
            ball, box = (model.bounds(U, radius, method=method, norm=norm) for norm in (2, "inf"))
            assert (ball.lower <= least + slack).all(), method
            assert (largest - slack <= ball.upper).all(), method
            assert ball.check(), method
            # By what is charged for rounding alone; cases of cuts are others in a ball.
            assert ball.width.mean() <= box.width.mean() * (1 + 1e-9), method
            if np.ndim(radius) == 2:
                assert ball.width.mean() < 0.9 * box.width.mean()


def test_bounds_of_linear_models_and_of_small_balls_are_lengths():
    rng = np.random.default_rng(1)
    D, d, axes = rng.normal(size=(2, 3)), rng.normal(size=2), np.array([0.3, 2.0, 0.0])
    linear = bi.ImplicitModel(np.zeros((1, 1)), np.zeros((1, 3)), None, np.zeros((2, 1)), D, d)
    U = rng.normal(size=(2, 3))
    for method in QUICK:
        found = linear.bounds(U, axes, norm=2, method=method)
        np.testing.assert_allclose(found.width / 2, np.tile(np.linalg.norm(D * axes, axis=1), (2, 1)), rtol=1e-12)
    model = drawn(rng, n=20)
    found = model.bounds(U, 1e-5, norm=2)
    np.testing.assert_allclose(found.width / 2, 1e-5 * np.linalg.norm(model.jacobian(U), axis=2), rtol=1e-5)
    # The attack of a linear model is exact.
    attack = linear.attack(U, axes, towards=[1.0, 0.0], norm=2)
    np.testing.assert_allclose(attack.gained, np.linalg.norm(D[0] * axes), rtol=1e-9)


def test_margins_are_proved_on_balls():
    rng = np.random.default_rng(2)
    model, U = drawn(rng, q=3), rng.normal(size=(30, 3))
    y = model.predict(U).argmax(axis=1)
    boxes, balls = (bi.certified_accuracy(model, U, y, 0.4, norm=norm) for norm in ("inf", 2))
    assert boxes.certified < balls.certified
    attacked = model.attack(U, 0.4, norm=2).predictions.argmax(axis=1)
    assert (attacked[balls.proved] == y[balls.proved]).all()


@pytest.mark.parametrize("kind", ["layers", "tanh layers", "without states' weights", "few inputs of many", "cycles"])
def test_bounds_on_balls_of_any_size_pass_their_check(kind):
    rng = np.random.default_rng(5)
    p = 200 if kind == "few inputs of many" else 40
    model = drawn(rng, p=p) if kind == "cycles" else layers(rng, (p, 3, 2, 2))[0]
    if kind == "tanh layers":
        model = model._copy(activation="tanh")
    if kind == "without states' weights":
        model = model._copy(A=0 * model.A)
    if kind == "few inputs of many":
        model = model._copy(B=model.B * (np.arange(p) < 2), b=0 * model.b)
    for U in (rng.normal(size=(6, p)), np.zeros((1, p))):
        for radius in (1e-8, 1.0, 2.0, 10.0, 1e6):
            for method in QUICK:
                assert model.bounds(U, radius, norm=2, method=method).check(), (radius, method)


def test_lengths_are_rounded_up():
    rng = np.random.default_rng(6)
    rows, radius = rng.normal(size=(300, 30)), rng.uniform(size=(30, 1))
    ball = Box(np.zeros((30, 1)), radius, euclidean=True)
    exact = [sum((Fraction(w) * Fraction(r)) ** 2 for w, r in zip(row, radius[:, 0], strict=True)) for row in rows]
    for found in (ball.spread(rows)[:, 0], ball.spread_of(rows.T, np.zeros(300, dtype=int))):
        assert all(Fraction(length) ** 2 >= square for length, square in zip(found, exact, strict=True))
    assert (ball.spread(np.zeros((2, 30))) == 0).all()


def test_wrong_bounds_on_balls_prove_nothing():
    rng = np.random.default_rng(3)
    model, U = drawn(rng), rng.normal(size=(2, 3))
    for method in QUICK:
        ball, box = (model.bounds(U, 0.5, norm=norm, method=method) for norm in (2, "inf"))
        assert ball.check()
        assert not replace(ball, _box=box._box).check()
        assert not replace(ball, upper=ball.upper - 1e-3 * ball.width).check()


def test_lengths_lose_nothing_in_units_far_apart():
    for size in (1e-300, 1e-160, 1e160):
        ball = Box(np.zeros((2, 1)), np.array([[3.0], [4.0]]) * size, euclidean=True)
        for rows in (np.eye(2), np.array([[1.0, 1.0]])):
            length = np.linalg.norm(rows * [3, 4], axis=1) * size
            np.testing.assert_allclose(ball.spread(rows)[:, 0], length, rtol=1e-12)
            np.testing.assert_allclose(ball.spread_of(rows.T, np.zeros(len(rows), dtype=int)), length, rtol=1e-12)
    # A weight so small beside another one that its square is lost.
    ball = Box(np.zeros((2, 1)), np.array([[0.0], [1.0]]), euclidean=True)
    assert ball.spread(np.array([[1.0, 1e-200]]))[0, 0] >= 1e-200


@pytest.mark.parametrize("method", ["dual", "lp", "sdp", "exact"])
def test_methods_of_boxes_alone_say_what_to_use(method):
    model = drawn(np.random.default_rng(4))
    with pytest.raises(bi.InvalidInputError, match=f"norm: is 2, and method='{method}' bounds only boxes.*'backward'"):
        model.bounds(np.ones((1, 3)), 0.1, method=method, norm=2)
    with pytest.raises(bi.InvalidInputError, match="norm: unknown norm"):
        model.bounds(np.ones((1, 3)), 0.1, norm=3)
