"""Bounds on gains: what they say by hand, and what trained models then cannot do."""

import numpy as np
import pytest
from constrained import N, P, Q, problem_with, train
from problems import random_problem

from bcd_implicit import ImplicitModel, InvalidInputError
from bcd_implicit import constraints as ready


def gains(it, states):
    return states * np.abs(it.C).sum(axis=1) + np.abs(it.D).sum(axis=1)


@pytest.mark.parametrize(
    ("activation", "states"),
    [("relu", 0.3), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("relu", 1.0), ("tanh", 2.0)))],
)
def test_trained_gains_meet_the_bounds(activation, states):
    bounds = [ready.state_gain_bound(states), ready.output_gain_bound([0.3, 0.6], states)]
    result = train(problem_with(*bounds, activation=activation), max_cycles=4)
    model, it = result.model, result.iterate
    rows = states * np.abs(it.A).sum(axis=1) + np.abs(it.B).sum(axis=1)
    assert np.all(rows <= states * (1 + 1e-6))
    assert np.all(gains(it, states) <= np.array([0.3, 0.6]) * (1 + 1e-6))
    # The gains that the model's own Perron-Frobenius matrix proves, and what changes of inputs do.
    assert np.all(model.sensitivity().sum(axis=1) <= np.array([0.3, 0.6]) * (1 + 1e-5))
    rng = np.random.default_rng(0)
    U = rng.standard_normal((200, P))
    moved = np.abs(model.predict(U + 0.1 * rng.choice([-1, 1], U.shape)) - model.predict(U)).max(axis=0)
    assert np.all(moved <= 0.1 * np.array([0.3, 0.6]) * (1 + 1e-5))
    # They bind: without them the gains are larger.
    free = train(problem_with(activation=activation), max_cycles=4).model
    assert np.any(free.sensitivity().sum(axis=1) > [0.3, 0.6])


def test_the_bound_of_states_is_that_of_states():
    # One state at a time as the output; the first row of A and B meets the bound with equality, and attains it.
    A, B = np.array([[0.5, 0.0], [0.25, -0.25]]), np.array([[1.0, 0.0], [0.5, -0.5]])
    model = ImplicitModel(A, B, np.ones(2), np.eye(2))
    gain = 2.0
    assert np.all(gain * np.abs(A).sum(axis=1) + np.abs(B).sum(axis=1) <= gain)
    moved = model.predict([[1.0, 0.0]]) - model.predict([[0.0, 0.0]])
    assert moved[0, 0] == pytest.approx(gain)
    assert np.all(model.sensitivity().sum(axis=1) <= gain * (1 + 1e-12))


def test_margins_are_bounded_by_pairs():
    result = train(problem_with(ready.margin_gain_bound(0.4)), max_cycles=1)
    it = result.iterate
    apart = it.replace(C=it.C[:1] - it.C[1:], D=it.D[:1] - it.D[1:])
    assert gains(apart, 1.0) <= 0.4 * (1 + 1e-6)
    # What outputs have in common is free.
    same = it.replace(C=np.ones((Q, N)), D=5 * np.ones((Q, P)))
    assert result.problem.violations(same)["margin_gain_bound(C, D)"] == 0


def test_they_can_be_written_as_text():
    assert ready.from_text("state_gain_bound(0.5)").arguments == {"gain": 0.5, "max_slope": 1.0}
    assert ready.from_text("output_gain_bound([1, 2], states=0.5)").name == "output_gain_bound(C, D)"
    assert repr(ready.from_text("margin_gain_bound(3)")) == "margin_gain_bound(bound=3, states=1.0)"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ready.state_gain_bound(0), "gain: got 0, must be > 0. Give a positive number, such as 1"),
        (lambda: ready.state_gain_bound(1, max_slope=-1), "max_slope"),
        (lambda: ready.output_gain_bound([1, np.inf]), "bound: is not positive and finite"),
        (lambda: ready.output_gain_bound([]), r"bound: has shape \(0,\). Give a positive number, or one for each"),
        (lambda: ready.output_gain_bound([[1, 2]]), r"bound: has shape \(1, 2\)"),
        (lambda: ready.output_gain_bound(True), "bound: is not a number"),
        (lambda: ready.output_gain_bound("1"), "bound: is not a number"),
        (lambda: ready.row_norm_bound("A", []), r"bound: has shape \(0,\). .* for exact zeros use fixed_entries"),
        (lambda: ready.box("A", upper=True), "upper: is not a number"),
        (lambda: ready.output_gain_bound(1, states=0), "states: got 0, must be > 0. Give a positive number, such as 1"),
        (lambda: ready.margin_gain_bound(True), "bound: is not a number"),
        (lambda: ready.margin_gain_bound([1, 2]), r"bound: has shape \(2,\)"),
        (lambda: problem_with(ready.output_gain_bound([1, 2, 3])), r"bound has shape \(3,\), and there are 2 outputs"),
        (lambda: problem_with(ready.output_gain_bound(1), group_over="BD"), "couples C and D"),
        (
            lambda: random_problem((4, 5, 1, 40), constraints=[ready.margin_gain_bound(1)]),
            "the problem has one output, so there are no pairs. Use output_gain_bound.\n",
        ),
    ],
)
def test_what_cannot_be_bounded_is_told(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()
