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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ready.l1_bound("A", 0), "bound: got 0, must be > 0. Give a positive number; for exact zeros use"),
        (lambda: ready.l1_penalty("A", -1), "weight: got -1, must be >= 0. Give 0 or more"),
        (lambda: ready.nuclear_norm_bound("A", -1), "bound: got -1"),
        (lambda: ready.spectral_norm_bound("A", np.inf), "bound: must be finite, got inf"),
        (lambda: ready.row_norm_bound("A", 1, norm=3), "norm: unknown norm '3'. Use one of 1, 2, inf"),
        (lambda: ready.column_norm_bound("A", [1, 0]), "bound: is not positive and finite"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named_at_once(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
