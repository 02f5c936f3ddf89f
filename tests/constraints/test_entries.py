"""Constraints on entries: what their arguments may be."""

import numpy as np
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit import constraints as ready


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ready.nonnegative("Z"), "matrix: unknown matrix 'Z'. Use one of A, B, C, D, b, d"),
        (lambda: ready.box("A"), "lower: and upper are missing or infinite. Give at least one finite bound"),
        (lambda: ready.box("A", -np.inf), "lower: and upper are missing or infinite"),
        (lambda: ready.box("A", [np.inf, 0]), "lower: is inf, or upper -inf"),
        (lambda: ready.box("A", 1, 0), "lower: is above upper. Exchange them"),
        (lambda: ready.box("A", np.zeros((2, 2)), np.zeros(3)), r"lower: has shape \(2, 2\), upper \(3,\)"),
        (lambda: ready.box("A", upper="x"), "upper: is not a number or an array of numbers"),
        (lambda: ready.box("A", upper=[0, np.nan]), "upper: contains NaN"),
        (lambda: ready.fixed_entries("A", [[0, 1]]), "mask: is not an array of booleans"),
        (lambda: ready.fixed_entries("A", [[True], [True, True]]), "mask: is not"),
        (lambda: ready.fixed_entries("A", [[False]]), "mask: has no True"),
        (lambda: ready.fixed_entries("A", [[True, False]], [1, 2, 3]), r"values: do not fit the mask's shape \(1, 2\)"),
        (lambda: ready.fixed_entries("A", [[True, False]], np.inf), "values: are not finite where the mask is True"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named_at_once(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
