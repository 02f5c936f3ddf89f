"""Bounds on norms, and the state block that they make convex."""

import numpy as np
import pytest
from constrained import SIZE, N
from problems import random_iterate, random_problem

from bcd_implicit import InvalidInputError
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block, solve_block


def test_with_convex_state_the_state_block_has_no_proximal_term():
    free, convex = (random_problem(SIZE, norm_bound=0.9, constraints=c) for c in ((), [ready.convex_state()]))
    it = random_iterate(free)
    it = it.replace(C=np.zeros_like(it.C), A=0.9 * np.eye(N))
    assert np.linalg.norm(make_block(free, it, "state").proximal, 2) > 0.5
    it = solve_block(convex, it, "hidden").iterate
    assert np.linalg.norm(make_block(convex, it, "state").proximal, 2) <= 1e-6


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("activation", ["relu", "soft_threshold"])
def test_with_weights_of_their_own_too(activation, loss):
    weights = [0.1, 1.0, 1.0, 10.0]
    options = {"activation": activation, "loss": loss, "norm_bound": 0.9, "fenchel_weight": weights}
    ready_made = [ready.convex_state(), ready.convex_state(weights)]
    equal, own = (random_problem(SIZE, constraints=[constraint], **options) for constraint in ready_made)
    it = random_iterate(equal)
    # lambda_max(A + A') is 0.9 here, and what the weights make of it is more.
    it = it.replace(C=np.zeros_like(it.C), A=0.9 * np.eye(N, k=-1))
    assert max(equal.violations(it).values()) == pytest.approx(2 * 0.9 * np.cos(np.pi / 5) - 1, abs=1e-9)
    it = it.replace(A=0.3 * np.eye(N, k=-1))
    assert max(equal.violations(it).values()) <= 1e-12
    assert np.linalg.norm(make_block(equal, it, "state").proximal, 2) > 0.01
    assert max(own.violations(it).values()) > 0.1
    it = solve_block(own, it, "hidden", "CLARABEL").iterate
    assert np.linalg.norm(make_block(own, it, "state").proximal, 2) <= 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ready.l1_bound("A", 0), "bound: got 0, must be > 0. Give a positive number; for exact zeros use"),
        (lambda: ready.l1_penalty("A", -1), "weight: got -1, must be >= 0. Give 0 or more"),
        (lambda: ready.nuclear_norm_bound("A", -1), "bound: got -1"),
        (lambda: ready.spectral_norm_bound("A", np.inf), "bound: must be finite, got inf"),
        (lambda: ready.row_norm_bound("A", 1, norm=3), "norm: unknown norm '3'. Use one of 1, 2, inf"),
        (lambda: ready.column_norm_bound("A", [1, 0]), "bound: is not positive and finite"),
        (lambda: ready.convex_state([1, 0]), "fenchel_weights: is not a list of positive numbers"),
        (lambda: ready.convex_state(2.0), "fenchel_weights: is not a list of positive numbers"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named_at_once(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
