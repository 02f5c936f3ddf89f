"""Patterns of zeros: layers, bands, symmetry."""

import numpy as np
import pytest
from constrained import TRIANGLE, N, P, problem_with, start_of, train

from bcd_implicit import InvalidInputError
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import solve_block


def test_a_feedforward_model_is_its_layers_one_after_the_other():
    result = train(problem_with(ready.feedforward([3, 1])))
    model = result.model
    A, B, C, D = (np.asarray(getattr(model, k)) for k in "ABCD")
    U = np.random.default_rng(1).standard_normal((6, P))
    first = np.maximum(U @ B[1:].T + model.b[1:], 0)  # the layer next to the inputs stands last in the state
    second = np.maximum(first @ A[:1, 1:].T + U @ B[:1].T + model.b[:1], 0)
    by_hand = np.hstack([second, first]) @ C.T + U @ D.T + model.d
    assert np.abs(A[:1, 1:]).max() > 1e-3
    np.testing.assert_allclose(model.predict(U), by_hand, atol=1e-8)


def test_layers_of_one_are_a_strict_triangle():
    problem = problem_with(ready.feedforward([1] * N))
    it = problem.initial()
    assert problem.violations(it.replace(A=TRIANGLE))["feedforward(A)"] == 0
    for entry in [(0, 0), (1, 0), (3, 2)]:
        A = np.zeros((N, N))
        A[entry] = 1.0
        assert problem.violations(it.replace(A=A))["feedforward(A)"] == 1


def test_what_excludes_nothing_leaves_the_native_solver():
    problem = problem_with(ready.banded("A", N, N), ready.feedforward([N]))
    assert list(problem.violations(problem.initial())) == ["norm_bound", "feedforward(A)"]
    loose = problem_with(ready.banded("A", N, N))
    assert solve_block(loose, start_of(loose, "hidden"), "hidden").solver == "native"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ready.banded("b"), "matrix: unknown matrix 'b'. Use one of A, B, C, D"),
        (lambda: ready.banded("A", 1, -1), "upper: got -1, must be >= 0. Give 0 or more diagonals"),
        (lambda: ready.banded("A", 0.5), "lower: must be a whole number, got 0.5"),
        (lambda: ready.feedforward([]), r"layer_sizes: is \[\]. Give a list of sizes such as \[4, 3\]"),
        (lambda: ready.feedforward([2, 0]), "layer_sizes: got 0, must be >= 1"),
        (lambda: ready.symmetric("d"), "matrix: unknown matrix 'd'"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named_at_once(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
