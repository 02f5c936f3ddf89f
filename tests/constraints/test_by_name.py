"""Ready-made constraints read from text."""

import numpy as np
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit import constraints as ready


def test_from_text_is_the_call():
    assert repr(ready.from_text(" box(C, lower=-0.5, upper=[1, 2]) ")) == repr(ready.box("C", -0.5, [1, 2]))
    assert repr(ready.from_text("row_norm_bound('B', 1, inf)")) == repr(ready.row_norm_bound("B", 1, "inf"))
    assert repr(ready.from_text("feedforward([2, 2])")) == repr(ready.feedforward([2, 2]))
    assert repr(ready.from_text("box(B, -inf, 1)")) == repr(ready.box("B", -np.inf, 1))
    with pytest.raises(
        InvalidInputError, match=r"unexpected keyword argument 'low'.* Its arguments are matrix, lower,"
    ):
        ready.from_text("box(B, low=1)")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ready.from_text("nope(B)"), r"constraint nope\(B\): cannot be read.*Write one of banded, box"),
        (lambda: ready.from_text("box(B, f(1))"), r"f\(1\) is not a letter, number or list"),
        (lambda: ready.from_text("nonnegative("), "was never closed"),
        (lambda: ready.from_text("nonnegative(B).name"), "no ready-made constraint"),
        (lambda: ready.from_text("box(**{'matrix': 'B'})"), "cannot be read"),
        (lambda: ready.from_text("nonnegative(Z)"), r"constraint nonnegative\(Z\): matrix: unknown matrix 'Z'"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named_at_once(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
