"""Semidefinite bounds of relu models: sound, tighter than lines, proved by their multipliers, whatever these are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from boxes import drawn, held_back, inside, reached

import bcd_implicit as bi
from bcd_implicit.model.robustness.box import Box, Tasks
from bcd_implicit.model.robustness.semidefinite import _Box, _signed, quadratic_bound


@pytest.mark.parametrize("kind", [drawn, held_back])
def test_it_is_between_exact_and_backward_bounds(kind):
    rng = np.random.default_rng(0)
    model, U = kind(rng, n=6, q=1), rng.normal(size=(2, 3))
    for radius in (0.2, [1.5, 0.0, 1.0]):
        exact, lines = model.bounds(U, radius, method="exact"), model.bounds(U, radius, n_cuts=0)
        found = model.bounds(U, radius, method="sdp")
        assert found.check()
        assert (found.lower <= exact.lower + 1e-6).all()
        assert (exact.upper <= found.upper + 1e-6).all()
        assert (found.width <= lines.width).all()
    assert found.width.mean() < 0.9 * lines.width.mean()


def test_any_multipliers_prove_a_bound_by_the_formula():
    rng = np.random.default_rng(1)
    model, U, radius = drawn(rng, n=5, q=1), rng.normal(size=(1, 3)), np.full((1, 3), 0.6)
    system, found = model._bounded, model.bounds(U, radius, method="interval")
    z, task = found.certificate.preactivations, found.certificate.tasks.take(slice(0, 1))
    box = _Box(system, Box(U.T, radius.T), z, 0)
    points = inside(rng, U, radius, 300)[:, 0]
    largest = reached(model, points[:, None])[1].max()
    X = model.states(points).X
    Z = X @ model.A.T + points @ model.B.T + model.b
    half = np.diag(box.x[:, :5])
    e = np.hstack([(X - box.x_0) / np.where(half > 0, half, 1.0), (points - box.u_0) / 0.6])
    for _ in range(20):
        lam = {name: rng.uniform(0, 2, 5) for name in ("positive", "above", "chord")}
        lam |= {"product": rng.normal(size=5), "unit": rng.uniform(0, 1, 8)}
        lam = _signed(box, lam)
        assert quadratic_bound(box, task, lam) >= largest
        # At points of the box the quadratic is what is asked, and multipliers times what is not negative.
        c, q, Q = box.lagrangian(task.of_states[:, 0], task.of_inputs[:, 0], lam)
        values = c + e @ q + ((e @ Q) * e).sum(axis=1) + task.constants[0]
        expected = model.predict(points)[:, 0] + X @ lam["positive"] + (X - Z) @ lam["above"]
        expected += (X * (X - Z)) @ lam["product"] + (box.chord * Z + box.chord_0 - X) @ lam["chord"]
        expected += (1 - e**2) @ lam["unit"]
        np.testing.assert_allclose(values, expected, rtol=1e-7)
    for name, is_open in (("positive", box.open_below), ("above", box.open_above), ("chord", np.ones(5, dtype=bool))):
        wrong = lam | {name: np.where(is_open, -1e-3, lam[name])}
        assert quadratic_bound(box, task, wrong) == np.inf
    assert quadratic_bound(box, task, lam | {"unit": 0 * lam["unit"]}) == np.inf


def test_wrong_multipliers_and_bounds_prove_nothing():
    rng = np.random.default_rng(2)
    model, U = drawn(rng, n=6, q=1), rng.normal(size=(2, 3))
    found = model.bounds(U, 1.0, method="sdp")
    proof = found.certificate
    assert found.check()
    lam = proof.multipliers
    wrong = [
        replace(proof, multipliers=replace(lam, unit=0.5 * lam.unit)),
        replace(proof, multipliers=replace(lam, product=-lam.product)),
        replace(proof, multipliers=replace(lam, chord=lam.chord - 1)),
        replace(proof, linear_bounds=proof.linear_bounds - 0.1),
    ]
    for certificate in wrong:
        assert not replace(found, certificate=certificate).check()
    assert not replace(found, upper=found.upper - 1e-3).check()


def test_other_functions_than_relu_are_refused():
    rng = np.random.default_rng(3)
    with pytest.raises(bi.InvalidInputError, match='semidefinite programs are only for relu.*Use method="backward"'):
        drawn(rng, activation="clip").bounds(np.ones((1, 3)), 0.1, method="sdp")
    assert len(Tasks.each(drawn(rng)._bounded.preactivations, 2)) == 32
