"""Projections in the metric of steps are the nearest feasible points."""

import cvxpy as cp
import numpy as np
import pytest
from draws import entries
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GroupLassoConstraint
from bcd_implicit.terms.projections import l1_multipliers, project_l1_rows

matrices = arrays(float, (4, 3), elements=entries(-10, 10))

step_sizes = arrays(float, 3, elements=st.floats(1e-3, 1e3))

radii = entries(0, 5)


@given(A=matrices, other=matrices, steps=step_sizes, radius=radii)
def test_row_projection_in_a_metric_is_the_nearest_feasible_point(A, other, steps, radius):
    P = project_l1_rows(A, radius, steps)
    assert np.abs(P).sum(axis=1).max() <= radius * (1 + 1e-12) + 1e-12
    Q = project_l1_rows(other, radius)
    # <A - P, Q - P> <= 0 in the metric, for each feasible Q and each row by itself.
    weighted = (A - P) / steps
    assert np.all(np.sum(weighted * (Q - P), axis=1) <= 1e-9 * (1 + np.abs(weighted).max()) * (1 + radius))
    inside = np.abs(A).sum(axis=1) <= radius
    np.testing.assert_array_equal(P[inside], A[inside])


def test_rows_without_a_radius_are_zero_to_the_last_digit():
    rng = np.random.default_rng(0)
    A, steps, radii = rng.standard_normal((100, 3)), rng.uniform(0.1, 10, 3), np.tile([0.0, 1.0], 50)
    P = project_l1_rows(A, radii, steps)
    assert not P[::2].any()
    np.testing.assert_array_equal(P[1::2], project_l1_rows(A[1::2], 1.0, steps))


@given(B=matrices, other=matrices, steps=step_sizes, kappa=radii)
def test_group_projection_in_a_metric_is_the_nearest_feasible_point(B, other, steps, kappa):
    term = GroupLassoConstraint(kappa, Groups.singles(3))
    P, Q = term.prox(B, steps), term.prox(other)
    assert term.violation(P) <= 1e-12 * (1 + kappa)
    weighted = (B - P) / steps
    assert float(np.sum(weighted * (Q - P))) <= 1e-9 * (1 + np.abs(weighted).max()) * (1 + kappa)


@pytest.mark.parametrize(
    ("A", "steps", "radius"),
    [
        ([[1.0, -2.0, 3.0], [0.1, 0.2, -0.1], [5.0, 5.0, -5.0]], [1.0, 10.0, 0.1], 1.5),
        ([[0.3, 0.0, -0.9], [2.0, 2.0, 2.0], [-9.0, 1.0, 0.1]], [0.2, 1.0, 5.0], 0.7),
    ],
)
def test_projections_in_a_metric_against_cvxpy(A, steps, radius):
    A, steps, Q = np.array(A), np.array(steps), cp.Variable((3, 3))
    distance = cp.sum_squares((Q - A) @ np.diag(1 / np.sqrt(steps)))
    options = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
    cp.Problem(cp.Minimize(distance), [cp.norm1(Q, axis=1) <= radius]).solve("CLARABEL", **options)
    np.testing.assert_allclose(project_l1_rows(A, radius, steps), Q.value, atol=1e-5)
    cp.Problem(cp.Minimize(distance), [cp.sum(cp.norm(Q, 2, axis=0)) <= radius]).solve("CLARABEL", **options)
    np.testing.assert_allclose(GroupLassoConstraint(radius, Groups.singles(3)).prox(A, steps), Q.value, atol=1e-5)


def test_multipliers_keep_their_order_where_steps_differ_by_many_powers_of_ten():
    # The entry in large units is alone at the limit: what the other needs is far below, and rounding hides it.
    steps = np.array([1.0, 1e16])
    for large in (1.6e12, 1.58974e12, 1.7e12):
        (t,) = l1_multipliers(np.array([[1.633e-4, large]]), 5e-5, steps)
        assert t >= large / 1e16 * (1 - 1e-15)
