"""All unknowns in one vector."""

import numpy as np
import pytest
from patterns import random_masks
from problems import OPTIONS, random_iterate, random_problem

from bcd_implicit.problem.layout import Layout

SIZE = (4, 5, 3, 20)
SHAPES = {"A": (4, 4), "B": (4, 5), "C": (3, 4), "D": (3, 5)}


def test_vector_and_parts_are_inverse_and_parts_are_views():
    problem = random_problem(SIZE)
    it, layout = random_iterate(problem), Layout(problem)
    vector = layout.vector(it)
    assert vector.shape == (layout.n_unknowns,) == (16 + 20 + 4 + 12 + 15 + 3,)
    parts = layout.parts(vector)
    for letter in "ABbCDd":
        np.testing.assert_array_equal(parts[letter], getattr(it, letter))
    parts["C"][0, 0] = 7.0
    assert (vector == 7.0).sum() == 1
    assert it.C[0, 0] != 7.0


@pytest.mark.parametrize("name", ["penalty", "plain"])
def test_what_is_free_and_what_has_a_ridge(name):
    options = OPTIONS[name]
    masks = random_masks(SHAPES, pass_through=options.get("pass_through", True))
    problem = random_problem(SIZE, **options, pattern=masks, ridge=0.3)
    layout = Layout(problem)
    free, ridges = layout.parts(layout.free), layout.parts(layout.ridges)
    for letter, mask in masks.items():
        np.testing.assert_array_equal(free[letter], mask)
    if name == "plain":
        assert not any(free[letter].any() for letter in "bDd")
    else:
        assert free["b"].all()
        assert free["d"].all()
    weights = {"A": problem.ridge_hidden, "B": problem.ridge_hidden, "C": 0.3, "D": 0.3, "b": 0.0, "d": 0.0}
    assert all((ridges[letter] == weight).all() for letter, weight in weights.items())
