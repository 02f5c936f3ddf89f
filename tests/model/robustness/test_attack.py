"""Attacks: in the box, never worse than the middle, nearly exact on small models, with few inputs if so asked."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn
from slow_but import slow_but

import bcd_implicit as bi


def test_it_stays_in_the_box_and_reaches_almost_all_of_the_range():
    rng = np.random.default_rng(0)
    model, U, radius = drawn(rng, n=10, q=1), rng.normal(size=(5, 3)), np.array([0.5, 0.0, 0.2])
    exact = model.bounds(U, radius, method="exact")
    up, down = (model.attack(U, radius, towards=[sign]) for sign in (1, -1))
    for found in (up, down):
        assert (np.abs(found.inputs - U) <= radius + 1e-12).all()
        assert (found.gained >= 0).all()
        assert not found.moved[:, 1].any()
        np.testing.assert_array_equal(found.moved, found.inputs != U)
        np.testing.assert_array_equal(found.predictions, model.predict(found.inputs))
        np.testing.assert_allclose(found.before, model.predict(U))
        assert "median gain" in found._repr_html_()
    np.testing.assert_allclose(up.gained, (up.predictions - up.before)[:, 0], rtol=1e-6)
    share = (up.predictions - down.predictions) / exact.width
    assert (share <= 1 + 1e-6).all()
    assert np.median(share) > 0.99


def test_few_inputs_are_those_that_are_worth_it():
    rng = np.random.default_rng(1)
    model, U = drawn(rng, p=6, q=1), rng.normal(size=(20, 6))
    slopes = np.abs(model.jacobian(U)[:, 0])
    found = model.attack(U, 1e-3, 2, towards=[1.0])
    assert (found.moved.sum(axis=1) <= 2).all()
    best = np.sort(slopes, axis=1)[:, -2:].sum(axis=1)
    np.testing.assert_allclose(found.gained, 1e-3 * best, rtol=0.05)
    gains = [np.median(model.attack(U, 0.3, k, towards=[1.0]).gained) for k in (1, 3, None)]
    assert gains == sorted(gains)


def test_by_default_it_is_the_margin_that_falls():
    rng = np.random.default_rng(2)
    model, U = drawn(rng, q=4), rng.normal(size=(50, 3))
    found, rows = model.attack(U, 0.4), np.arange(50)
    top = found.before.argmax(axis=1)

    def margins(Y):
        others = Y.copy()
        others[rows, top] = -np.inf
        return Y[rows, top] - others.max(axis=1)

    np.testing.assert_allclose(found.gained, margins(found.before) - margins(found.predictions), atol=1e-8)
    changed = found.predictions.argmax(axis=1) != top
    assert 0 < changed.sum() < 50
    # What is proved cannot be attacked.
    certified = bi.certified_accuracy(model, U, top, 0.4)
    assert not (changed & certified.proved).any()
    odds = drawn(rng, q=1, link="logit")
    before, after = (part[:, 0] for part in (odds.predict(U), odds.attack(U, 0.1).predictions))
    assert (after * np.sign(before) <= np.abs(before)).all()


@pytest.mark.parametrize("activation", slow_but(["relu"], ["relu", "tanh"]))
def test_on_balls_no_random_point_goes_farther(activation):
    rng = np.random.default_rng(5)
    model, U = drawn(rng, n=6, p=8, q=1, activation=activation), rng.normal(size=(10, 8))
    ways = rng.normal(size=(1000, 8))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    for radius in (0.3, 3.0):
        width = model.bounds(U, radius, norm=2).width[:, 0]
        for sign in (1.0, -1.0):
            attack = model.attack(U, radius, towards=[sign], norm=2)
            best = [(sign * model.predict(u + radius * ways)).max() for u in U]
            assert (best - sign * attack.predictions[:, 0] <= 0.01 * width).all()
            # A sample by itself is attacked as among others.
            alone = model.attack(U[3:4], radius, towards=[sign], norm=2)
            np.testing.assert_allclose(alone.inputs[0], attack.inputs[3], atol=1e-9)


def test_what_does_not_fit_is_refused():
    model = drawn(np.random.default_rng(3), q=1)
    U = np.ones((2, 3))
    with pytest.raises(bi.InvalidInputError, match=r"towards.*Give \[1\] for a larger prediction"):
        model.attack(U, 0.1)
    with pytest.raises(bi.InvalidInputError, match="towards: has shape"):
        model.attack(U, 0.1, towards=[1.0, 2.0])
    with pytest.raises(bi.InvalidInputError, match="n_inputs"):
        model.attack(U, 0.1, 0, towards=[1.0])
    with pytest.raises(bi.InvalidInputError, match="negative"):
        model.attack(U, -0.1, towards=[1.0])
