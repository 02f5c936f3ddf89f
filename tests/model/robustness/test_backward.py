"""Backward bounds: CROWN on perceptrons, the dual formula by hand, tight where little is uncertain."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from boxes import drawn, held_back, inside, layers, reached

from bcd_implicit.model.robustness.box import Box, Tasks
from bcd_implicit.model.robustness.verify import lagrangian


def crown(weights, offsets, center, radius):
    """Bounds of a relu perceptron for one box: dense CROWN, a backward pass for the ranges of each layer."""

    def back(W, c, ranges):
        """The largest values of ``W x + c`` with x the states of the last layer in ranges."""
        for (low, high), V, v in reversed(list(zip(ranges, weights, offsets, strict=False))):
            crossing = (low < 0) & (high > 0)
            above = np.where(low >= 0, 1.0, np.where(crossing, high / np.where(crossing, high - low, 1), 0.0))
            below = np.where(low >= 0, 1.0, np.where(crossing & (high > -low), 1.0, 0.0))
            c = c + np.maximum(W, 0) @ np.where(crossing, -above * low, 0.0)
            W = np.maximum(W, 0) * above + np.minimum(W, 0) * below
            c, W = c + W @ v, W @ V
        return W @ center + np.abs(W) @ radius + c

    ranges = []
    for W, c in zip(weights, offsets, strict=True):
        ranges.append((-back(-W, -c, ranges), back(W, c, ranges)))
    return ranges[-1]


@pytest.mark.parametrize("sizes", [(4, 10, 3), (4, 12, 12, 3), (5, 10, 8, 6, 2)])
def test_on_perceptrons_it_is_crown(sizes):
    rng = np.random.default_rng(0)
    model, weights, offsets = layers(rng, sizes)
    U, equal = rng.normal(size=(12, sizes[0])), 0
    for j, u in enumerate(U):
        for radius in (0.01, 0.05, 0.2):
            found = model.bounds(U[[j]], radius, n_cuts=0)
            proof = found.certificate
            # Where intervals are better than CROWN they are taken instead, with zeros as dual vectors.
            if all(part.multipliers.any(axis=0).all() for part in (proof, *proof.steps)):
                low, high = crown(weights, offsets, u, np.full(sizes[0], radius))
                np.testing.assert_allclose(found.lower[0], low, rtol=1e-9, atol=1e-9)
                np.testing.assert_allclose(found.upper[0], high, rtol=1e-9, atol=1e-9)
                equal += 1
    assert equal >= 20


def test_any_dual_vector_gives_a_bound_which_is_the_formula():
    rng = np.random.default_rng(1)
    model, U, radius = drawn(rng, n=5), rng.normal(size=(1, 3)), np.full((1, 3), 0.4)
    system = model._bounded
    found = model.bounds(U, radius, method="interval")
    z, tasks = found.certificate.preactivations, found.certificate.tasks
    multipliers = rng.normal(size=(5, len(tasks)))
    values = lagrangian(system, Box(U.T, radius.T), None, z, tasks, multipliers)
    for k, (row, sign) in enumerate(zip(tasks.row, tasks.sign, strict=True)):
        lam = multipliers[:, k]
        w, v = sign * model.C[row] + model.A.T @ lam, sign * model.D[row] + model.B.T @ lam
        expected = sign * model.d[row] + lam @ model.b + v @ U[0] + np.abs(v) @ radius[0]
        for i in range(5):
            grid = np.append(np.linspace(z.low[i, 0], z.high[i, 0], 1001), np.clip(0, z.low[i, 0], z.high[i, 0]))
            expected += (w[i] * np.maximum(grid, 0) - lam[i] * grid).max()
        assert values[k] == pytest.approx(expected, rel=1e-12)
        states = model.states(U + radius * rng.uniform(-1, 1, (500, 3))).X
        assert values[k] >= (sign * (states @ model.C[row])).max() + sign * model.d[row] - np.abs(model.D[row]) @ (
            np.abs(U[0]) + 0.4
        )


def test_where_no_state_changes_its_piece_bounds_are_exact():
    rng = np.random.default_rng(2)
    model, U = drawn(rng, n=20), rng.normal(size=(6, 3))
    found, slopes = model.bounds(U, 1e-5), model.jacobian(U)
    # The model is linear in such boxes, unless a state is next to its kink.
    expected = 1e-5 * np.abs(slopes).sum(axis=2)
    np.testing.assert_allclose(found.width / 2, expected, rtol=1e-5)


@pytest.mark.parametrize("norm", [0.5, 0.95])
def test_it_is_no_wider_than_intervals_and_these_than_gains(norm):
    rng = np.random.default_rng(3)
    model, U = drawn(rng, n=10, norm=norm), rng.normal(size=(10, 3))
    for radius in (0.01, 0.3, 2.0):
        widths = [
            model.bounds(U, radius, method=method).width for method in ("backward", "interval", "perron-frobenius")
        ]
        assert (widths[0] <= widths[1] * (1 + 1e-9)).all()
        assert (widths[1] <= widths[2] * (1 + 1e-9)).all()


def test_rounds_tighten():
    rng = np.random.default_rng(4)
    for model in (drawn(rng, n=12, norm=0.9), held_back(rng)):
        U = rng.normal(size=(10, 3))
        widths = [model.bounds(U, 0.5, rounds=rounds, n_cuts=0).width for rounds in (0, 1, 3)]
        # On average: on other ranges other slopes are chosen.
        assert widths[2].mean() < widths[1].mean() < widths[0].mean()
        assert widths[2].mean() < 0.98 * widths[0].mean()


def test_tasks_are_rows_of_their_own():
    rng = np.random.default_rng(5)
    model, U = drawn(rng, q=2), rng.normal(size=(3, 3))
    tasks = Tasks.each(model._bounded.preactivations, 3)
    assert len(tasks) == 2 * 8 * 3
    some = tasks.take(np.array([0, 30]))
    np.testing.assert_array_equal(some.of_states[:, 0], model.A[0])
    np.testing.assert_array_equal(some.of_inputs[:, 1], -model.B[some.row[1]])
    # The difference of two outputs: less far apart than bounds on each.
    difference = np.array([[1.0, -1.0]]) @ model
    both, alone = difference.bounds(U, 0.3), model.bounds(U, 0.3)
    assert (both.upper[:, 0] <= alone.upper[:, 0] - alone.lower[:, 1] + 1e-9).all()
    assert (both.upper[:, 0] < alone.upper[:, 0] - alone.lower[:, 1] - 1e-3).any()


@pytest.mark.parametrize("activation", ["relu", "clip", [("relu", 5), ("tanh", 5)]], ids=str)
def test_cuts_tighten_and_are_proved(activation):
    rng = np.random.default_rng(6)
    model, U = drawn(rng, n=10, activation=activation, norm=0.9), rng.normal(size=(8, 3))
    found = [model.bounds(U, 0.5, n_cuts=n_cuts) for n_cuts in (0, 1, 3)]
    for one, other in pairwise(found):
        assert other.check()
        assert (other.width <= found[0].width * (1 + 1e-12)).all()
        # On average: more cuts leave fewer slopes to choose from.
        assert other.width.mean() < 0.99 * one.width.mean()
    least, largest = reached(model, inside(rng, U, 0.5, 500))
    assert (found[-1].lower <= least).all()
    assert (largest <= found[-1].upper).all()
    if model.activation.piecewise_linear:
        exact = model.bounds(U[:2], 0.5, method="exact")
        assert (found[-1].lower[:2] <= exact.lower + 1e-6).all()
        assert (exact.upper <= found[-1].upper[:2] + 1e-6).all()


def test_where_all_open_states_are_cut_bounds_are_almost_exact():
    rng = np.random.default_rng(7)
    model, U = drawn(rng, n=3, norm=0.5), rng.normal(size=(5, 3))
    exact, found = model.bounds(U, 0.2, method="exact"), model.bounds(U, 0.2, n_cuts=3)
    assert np.median(found.width / exact.width) < 1.02
    assert model.bounds(U, 0.2, n_cuts=10).check()


def test_wrong_cases_prove_nothing():
    rng = np.random.default_rng(8)
    model, U = drawn(rng, n=10, norm=0.9), rng.normal(size=(4, 3))
    found = model.bounds(U, 0.5, n_cuts=2)
    proof = found.certificate
    assert found.check()
    wrong = [
        replace(proof, of_cases=proof.of_cases[:2]),
        replace(proof, of_cases=proof.of_cases[::-1]),
        replace(proof, of_cases=0 * proof.of_cases),
        replace(proof, cuts=replace(proof.cuts, point=proof.cuts.point + 0.3)),
        # Without the cases the bounds are wider.
        replace(proof, cuts=None),
    ]
    for certificate in wrong:
        assert not replace(found, certificate=certificate).check()
    assert not replace(found, upper=found.upper - 1e-4).check()
