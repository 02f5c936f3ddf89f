"""The warning that rows look dependent: where it is given, and where not."""

import warnings

import numpy as np
import pytest

from bcd_implicit.selection.dependence import warn_if_dependent


def fires(U, Y, residuals=None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_dependent(U, Y, Y if residuals is None else residuals, [f"u{j}" for j in range(len(U))])
    return str(caught[0].message) if caught else ""


@pytest.mark.parametrize("distribution", ["normal", "rare", "counts"])
def test_independent_rows_give_no_warning(distribution):
    found = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        draws = {"normal": rng.standard_normal((6, 100)), "counts": rng.poisson(1.0, (6, 100)).astype(float)}
        rows = draws.get(distribution, (rng.random((6, 100)) < 0.05).astype(float))
        found += bool(fires(rows[:5], rows[5:]))
    assert found <= 5


def persons(rng, k, n=20, each=6):
    return np.repeat(rng.standard_normal((k, n)), each, axis=1)


def test_neighbours_that_are_alike_in_inputs_and_targets_give_one():
    rng = np.random.default_rng(0)
    U, Y = (persons(rng, k) + 0.5 * rng.standard_normal((k, 120)) for k in (3, 1))
    message = fires(U, Y)
    assert message.startswith("the samples do not look independent: neighbouring rows are alike, in input 'u")
    assert "Pass sample_groups" in message
    assert fires(rng.permuted(U, axis=1), Y) == ""
    assert fires(U, rng.permuted(Y, axis=1)) == ""
    assert fires(U[:, :12], Y[:, :12]) == ""  # too few to say


def test_a_sorted_table_of_independent_rows_gives_none():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((2, 200))
    Y = U[:1] + 0.3 * rng.standard_normal((1, 200))
    for by in (Y[0], U[0]):
        order = np.argsort(by)
        # Sorted by an input, it is the residuals that should not be alike.
        assert fires(U[:, order], Y[:, order], (Y - U[:1])[:, order]) == ""
    classes = np.argsort(np.digitize(U[0], [-0.5, 0.5]), kind="stable")
    indicators = (np.digitize(U[0], [-0.5, 0.5])[classes] == np.arange(3)[:, None]).astype(float)
    assert fires(U[:, classes], indicators) == ""


def test_rows_of_equal_inputs_with_like_residuals_give_one_in_any_order():
    rng = np.random.default_rng(0)
    U, Y = persons(rng, 3), persons(rng, 1) + 0.5 * rng.standard_normal((1, 120))
    order = rng.permutation(120)
    assert "of 120 rows 100 repeat the inputs of others, and have residuals like theirs" in fires(
        U[:, order], Y[:, order]
    )
    # Repeats of a design, with noise of their own.
    assert fires(U[:, order], rng.standard_normal((1, 120))) == ""
