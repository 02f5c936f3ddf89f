"""The sets of well-posed matrices: the l1 balls of rows, and what the matrix measure adds to them."""

from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from draws import entries
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bcd_implicit.terms.row_sets import WELL_POSEDNESS, RowBall, RowMeasure

matrices = arrays(float, (4, 4), elements=entries(-10, 10))
radii = entries(0, 5)
step_sizes = arrays(float, 4, elements=st.floats(1e-3, 1e3))
kinds = st.sampled_from(list(WELL_POSEDNESS))
TWO = np.array([[1.0, -2.0], [3.0, 4.0]])


def test_the_norm_that_counts_is_the_largest_row_sum():
    # Three CVXPY norms that are easily mixed up: the largest entry, the sum of entries, the largest row sum.
    assert cp.norm_inf(TWO).value == 4
    assert cp.pnorm(cp.vec(TWO, order="F"), 1).value == 10
    assert cp.max(cp.norm1(TWO, axis=1)).value == 7
    assert RowBall(7).violation(TWO) == 0
    assert RowBall(6.5).violation(TWO) == 0.5
    feasible, infeasible = cp.Variable((2, 2), value=TWO), cp.Variable((2, 2), value=TWO)
    assert RowBall(7).cvxpy(feasible)[0].value()
    assert not RowBall(6.99).cvxpy(infeasible)[0].value()


def test_the_measure_counts_the_diagonal_with_its_sign():
    A = np.array([[-3.0, 2.0], [1.0, -5.0]])
    np.testing.assert_array_equal(RowMeasure(0.5).sums(A), [-1, -4])
    assert RowMeasure(0.5).violation(A) == 0
    assert RowBall(0.5).violation(A) == 5.5
    assert RowMeasure(0.5).violation(TWO) == 6.5
    # The measure is the rate at which ||I + hA||_inf grows with h.
    h = 1e-7
    assert RowMeasure(0).size(A) == pytest.approx((np.abs(np.eye(2) + h * A).sum(axis=1).max() - 1) / h, rel=1e-6)
    one, other = cp.Variable((2, 2), value=A), cp.Variable((2, 2), value=-A)
    assert RowMeasure(0.0).cvxpy(one)[0].value()
    assert not RowMeasure(5.9).cvxpy(other)[0].value()


@given(A=matrices, B=matrices, steps=step_sizes, radius=radii, kind=kinds)
def test_projection_is_the_nearest_feasible_point(A, B, steps, radius, kind):
    rows = WELL_POSEDNESS[kind](radius)
    for P, metric in ((rows.prox(A), np.ones(4)), (rows.prox(A, steps), 1 / steps)):
        assert rows.violation(P) <= 1e-12 * (1 + np.abs(A).max()) * (1 + np.abs(P).max())
        other, pull = rows.repair(B), metric * (A - P)
        # Projection on a convex set: <A - P, Q - P> <= 0 for each feasible Q (and each row by itself).
        room = 1e-9 * (1 + np.abs(pull).max()) * (1 + radius + np.abs(other).max() + np.abs(P).max())
        assert np.all(np.sum(pull * (other - P), axis=1) <= room)
        inside = rows.sums(A) <= radius
        np.testing.assert_array_equal(P[inside], A[inside])


def test_projection_on_the_measure_by_hand():
    # Everything falls by t = 1.5, the diagonal to below zero, what would turn round to zero.
    A = np.array([[1.0, 3.0, 1.0], [-4.0, 0.0, 3.0], [-2.0, 2.0, -9.0]])
    P = RowMeasure(1.0).prox(A)
    np.testing.assert_allclose(P[0], [-0.5, 1.5, 0.0])
    # The sum is 7, and 1 once each of the three has fallen by 2.
    np.testing.assert_allclose(P[1], [-2.0, -2.0, 1.0])
    np.testing.assert_array_equal(P[2], A[2])
    # In the metric of the steps the diagonal takes all where only it moves cheaply.
    moved = RowMeasure(1.0).prox(A, np.array([1e9, 1e-9, 1e-9]))
    np.testing.assert_allclose(moved[0], [-3.0, 3.0, 1.0])


@pytest.mark.parametrize("kind", WELL_POSEDNESS)
@pytest.mark.parametrize("radius", [0.0, 1e-12, 3.0])
def test_repair_moves_rows_back_and_leaves_feasible_ones(radius, kind):
    A, rows = np.array([[2.0, -2.0, 0.0], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]), WELL_POSEDNESS[kind](radius)
    R = rows.repair(A)
    assert rows.size(R) <= radius * (1 + 1e-15) + (1e-15 if kind == "measure" else 0)
    if radius == 3:
        np.testing.assert_array_equal(R[1:], A[1:])
        np.testing.assert_allclose(R[0], [1.5, -1.5, 0] if kind == "inf-norm" else [1, -2, 0])
    # On to the boundary, from where only the ball's scaling does not lead there.
    onto = rows.repair(A, np.arange(3))
    np.testing.assert_allclose(rows.sums(onto), [radius, radius, 0 if kind == "inf-norm" else radius], atol=1e-15)


# Of a matrix of four states: a cycle of two, a self loop, and links that no bound is on; the last row has links alone.
# The second row has no diagonal entry inside: it is in the ball whatever the set.
INSIDE = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
SQUARE = 3 * np.random.default_rng(4).standard_normal((4, 4))


@pytest.mark.parametrize("kind", WELL_POSEDNESS)
@pytest.mark.parametrize("inside", [None, INSIDE])
@pytest.mark.parametrize("radius", [0.7, 0.0])
@pytest.mark.parametrize("steps", [None, np.array([0.1, 1.0, 2.0, 0.5])])
def test_projection_and_multipliers_against_cvxpy(steps, radius, inside, kind):
    rows, metric = WELL_POSEDNESS[kind](radius, inside), 1 / (np.ones(4) if steps is None else steps)
    Q = cp.Variable(SQUARE.shape)
    constraints = rows.cvxpy(Q)
    distance = cp.sum_squares(cp.multiply(np.sqrt(np.tile(metric, (4, 1))), Q - SQUARE))
    cp.Problem(cp.Minimize(0.5 * distance), constraints).solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    P = rows.prox(SQUARE) if steps is None else rows.prox(SQUARE, steps)
    np.testing.assert_allclose(P, Q.value, atol=1e-6)
    if inside is not None:
        np.testing.assert_array_equal(P[~INSIDE], SQUARE[~INSIDE])
    # One multiplier a row, 0 where there is nothing inside: with it the point is stationary.
    multipliers = rows.multipliers(4, [constraint.dual_value for constraint in constraints])
    assert multipliers.shape == (4,)
    assert inside is None or multipliers[3] == 0
    pressing = rows.pressing((SQUARE - P) * metric)
    np.testing.assert_allclose(multipliers, np.where(rows.binding(P), pressing, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", WELL_POSEDNESS)
@pytest.mark.parametrize("inside", [None, INSIDE])
@pytest.mark.parametrize("radius", [0.6, 0.0])
def test_conjugate_with_a_ridge_against_cvxpy(radius, inside, kind):
    rows, A = WELL_POSEDNESS[kind](radius, inside), cp.Variable((4, 4))
    for G in (SQUARE, -SQUARE, SQUARE - 10 * np.eye(4), SQUARE + 10 * np.eye(4)):
        value = cp.sum(cp.multiply(G, A)) - 0.15 * cp.sum_squares(A)
        optimum = cp.Problem(cp.Maximize(value), rows.cvxpy(A)).solve(solver="CLARABEL")
        assert rows.conjugate(G, 0.3) == pytest.approx(optimum, rel=1e-6, abs=1e-6)


def test_conjugate_without_a_ridge_by_hand():
    assert RowBall(0.6).conjugate(SQUARE) == pytest.approx(0.6 * np.abs(SQUARE).max(axis=1).sum())
    assert RowBall(0.6, INSIDE).conjugate(SQUARE) == np.inf
    assert RowBall(0.6, INSIDE).conjugate(np.where(INSIDE, SQUARE, 0)) < np.inf
    # Of the measure it is finite where the diagonal of G is the largest of each row, and only there.
    G = np.array([[2.0, -2.0, 1.0], [0.5, 3.0, -1.0], [0.0, 0.0, 0.0]])
    assert RowMeasure(0.6).conjugate(G) == pytest.approx(0.6 * (2 + 3))
    assert RowMeasure(0.6).conjugate(G + np.array([[0, 0, 0], [0, 0, 0], [0, 1e-9, 0]])) == np.inf
    assert RowMeasure(0.6).conjugate(-G) == np.inf
    # Nothing bounds the diagonal from below: where it is not known exactly, nothing is known.
    assert RowMeasure(0.6).conjugate(G, 0.0, 1e-9) == np.inf
    # A row whose diagonal entry is not inside is in the ball.
    assert RowMeasure(0.6, INSIDE).conjugate([[3, 1, 0, 0], [-2, 0, 0, 0], [0, 0, 1, 0], [0] * 4] * np.ones(1)) == (
        pytest.approx(0.6 * (3 + 2 + 1))
    )


@given(G=matrices, other=matrices, radius=radii, ridge=st.floats(1e-6, 1e6), off=entries(0, 1), kind=kinds)
def test_conjugate_bounds_every_feasible_point_and_all_that_is_next_to_g(G, other, radius, ridge, off, kind):
    rows = WELL_POSEDNESS[kind](radius)
    # Repaired: a projection is on the boundary but for the rounding of what is projected, and the bound is not.
    feasible, size = (rows.repair(rows.prox(G / ridge)), rows.repair(other), np.zeros((4, 4))), np.full((4, 4), off)
    bound = rows.conjugate(G, ridge, size)
    assert rows.conjugate(G, ridge) <= bound * (1 + 1e-12)
    for A in feasible:
        # <G', A> at the worst G' that is off by so much.
        value = np.sum(G * A) + np.sum(size * np.abs(A)) - 0.5 * ridge * np.sum(A**2)
        assert value <= bound + 1e-10 * (np.sum(np.abs(G * A)) + ridge * np.sum(A**2) + bound)


def test_what_is_not_inside_is_free_of_the_bound():
    ball = RowBall(1.0, INSIDE)
    A = np.array([[0.5, -0.5, 9, 9], [0.25, 9, 9, 9], [9, 0, 2, 9], [9, 9, 9, 9.0]])
    assert ball.size(A) == 2
    assert ball.violation(A) == 1
    assert RowBall(2.0, INSIDE).violation(A) == 0
    np.testing.assert_array_equal(ball.binding(A), [True, False, True, False])
    repaired = ball.repair(A, onto=np.array([1]))
    np.testing.assert_array_equal(repaired, [[0.5, -0.5, 9, 9], [1, 9, 9, 9], [9, 0, 1, 9], [9, 9, 9, 9]])
    # What turns round is zero inside, and goes on elsewhere; the row keeps to its boundary.
    settled = ball.settle(np.where(A == -0.5, 0.25, -A), A, onto=np.array([0]))
    np.testing.assert_array_equal(settled[0], [0, 0, -9, -9])
    np.testing.assert_array_equal(settled[2], [-9, 0, 0, -9])
    assert RowBall(0.0, INSIDE).binding(np.zeros((4, 4))).tolist() == [True, True, True, False]
    # The diagonal of the measure turns round freely, and takes up what a row loses on its boundary.
    settled = RowMeasure(1.0, INSIDE).settle(np.where(A == -0.5, 0.25, -A), A, onto=np.array([0]))
    np.testing.assert_array_equal(settled[0], [1, 0, -9, -9])
    np.testing.assert_array_equal(settled[1], [0, -9, -9, -9])
    np.testing.assert_array_equal(settled[2], [-9, 0, -2, -9])


def test_kinks_and_normals():
    A = np.array([[0.0, 0.5], [-0.25, -2.0]])
    np.testing.assert_array_equal(RowBall(0.5).smooth_at(A), [[False, True], [True, True]])
    np.testing.assert_array_equal(RowMeasure(0.5).smooth_at(A), np.ones((2, 2), dtype=bool))
    np.testing.assert_array_equal(RowBall(0.5).normals(A), [[0, 1], [-1, -1]])
    np.testing.assert_array_equal(RowMeasure(0.5).normals(A), [[1, 1], [-1, 1]])
    np.testing.assert_array_equal(RowMeasure(0.5).binding(A), [True, False])


def test_what_is_bounded_from_both_sides():
    everything, off_diagonal = np.ones((4, 4), dtype=bool), ~np.eye(4, dtype=bool)
    assert RowBall(0.5).bounds(everything)
    assert not RowBall(0.5, INSIDE).bounds(everything)
    assert RowBall(0.5, INSIDE).bounds(INSIDE)
    assert not RowMeasure(0.5).bounds(everything)
    assert RowMeasure(0.5).bounds(off_diagonal)
    assert not RowMeasure(0.5, INSIDE).bounds(INSIDE)


@pytest.mark.parametrize("kind", WELL_POSEDNESS)
def test_a_bound_on_no_entry_asks_for_nothing(kind):
    rows = WELL_POSEDNESS[kind](0.5, np.zeros((4, 4), dtype=bool))
    assert rows.cvxpy(cp.Variable((4, 4))) == []
    np.testing.assert_array_equal(rows.multipliers(4, []), np.zeros(4))
    assert rows.violation(SQUARE) == 0
    assert not rows.binding(SQUARE).any()
    for same in (rows.prox(SQUARE), rows.repair(SQUARE), rows.settle(SQUARE, -SQUARE)):
        np.testing.assert_array_equal(same, SQUARE)
    assert rows.conjugate(SQUARE, 0.5) == pytest.approx(np.sum(SQUARE**2))
    words = [RowBall(0.5).in_words, RowBall(0.5, INSIDE).in_words, rows.in_words]
    assert words == ["at most 0.5", "at most 0.5 inside cycles", "not bounded, as there is no cycle"]


@given(seed=st.integers(0, 10_000), kind=kinds)
def test_a_bound_on_all_entries_is_one_on_none_in_particular(seed, kind):
    rng = np.random.default_rng(seed)
    A, other, steps = rng.standard_normal((4, 4)), rng.standard_normal((4, 4)), rng.uniform(0.1, 2, (4, 4))
    one, two = WELL_POSEDNESS[kind](0.8), WELL_POSEDNESS[kind](0.8, np.ones((4, 4), dtype=bool))
    for name, arguments in {
        "prox": (A, steps), "repair": (A, np.array([1])), "settle": (A, other), "binding": (A,), "smooth_at": (A,),
        "normals": (A,), "conjugate": (A, 0.1, steps), "violation": (A,), "pressing": (A,),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(getattr(one, name)(*arguments), getattr(two, name)(*arguments))


@given(A=matrices, radius=radii)
def test_the_measures_set_contains_the_ball(A, radius):
    assert RowMeasure(radius).violation(RowBall(radius).prox(A)) <= 1e-12
    # With a diagonal of zeros they are the same.
    np.fill_diagonal(A, 0.0)
    assert RowMeasure(radius).violation(A) == RowBall(radius).violation(A)


WEIGHTS = np.array([[0.5, 0, 2, 1], [3, 1, 0, 0.1], [1, 1, 4, 0.5], [2, 0.2, 0.3, 9.0]])


@pytest.mark.parametrize("kind", WELL_POSEDNESS)
@pytest.mark.parametrize("inside", [None, INSIDE])
@pytest.mark.parametrize("steps", [0.4, np.array([0.1, 1.0, 2.0, 0.5])])
def test_proximal_map_with_a_penalty_against_cvxpy(steps, inside, kind):
    rows = WELL_POSEDNESS[kind](0.7, inside).penalised(WEIGHTS, 4)
    Q = cp.Variable(SQUARE.shape)
    metric = np.broadcast_to(1 / steps, SQUARE.shape)
    distance = cp.sum_squares(cp.multiply(np.sqrt(metric), Q - SQUARE))
    objective = cp.Minimize(0.5 * distance + rows.cvxpy_penalty(Q))
    cp.Problem(objective, rows.cvxpy(Q)).solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    P = rows.prox(SQUARE, steps)
    np.testing.assert_allclose(P, Q.value, atol=1e-6)
    np.testing.assert_allclose(Q.value[P == 0], 0, atol=1e-6)
    # Signed entries have no penalty, and the projection is without any.
    signed = rows.signed(4)
    assert not rows.weights[signed, signed].any()
    plain = WELL_POSEDNESS[kind](0.7, inside)
    np.testing.assert_array_equal(rows.project(SQUARE, steps), plain.prox(SQUARE, steps))


@pytest.mark.parametrize("kind", WELL_POSEDNESS)
@pytest.mark.parametrize("inside", [None, INSIDE])
@pytest.mark.parametrize("weights", [0.3, WEIGHTS])
def test_conjugate_with_a_penalty_against_cvxpy(weights, inside, kind):
    rows, A = WELL_POSEDNESS[kind](0.6, inside).penalised(weights, 4), cp.Variable((4, 4))
    for G in (SQUARE, -SQUARE, SQUARE - 10 * np.eye(4), SQUARE + 10 * np.eye(4)):
        value = cp.sum(cp.multiply(G, A)) - 0.15 * cp.sum_squares(A) - rows.cvxpy_penalty(A)
        optimum = cp.Problem(cp.Maximize(value), rows.cvxpy(A)).solve(solver="CLARABEL")
        assert rows.conjugate(G, 0.3) == pytest.approx(optimum, rel=1e-6, abs=1e-6)


@given(
    G=matrices,
    other=matrices,
    weights=arrays(float, (4, 4), elements=entries(0, 5)),
    radius=radii,
    ridge=st.floats(1e-6, 1e6),
    off=entries(0, 1),
    kind=kinds,
    inside=st.sampled_from([None, INSIDE]),
)
def test_conjugate_with_a_penalty_bounds_every_feasible_point(G, other, weights, radius, ridge, off, kind, inside):
    rows = WELL_POSEDNESS[kind](radius, inside).penalised(weights, 4)
    size, bound = np.full((4, 4), off), rows.conjugate(G, ridge, np.full((4, 4), off))
    assert rows.conjugate(G, ridge) <= bound * (1 + 1e-12)
    # The first is where the value is largest.
    for A in (rows.repair(rows.prox(G / ridge, 1 / ridge)), rows.repair(other), np.zeros((4, 4))):
        terms = np.abs(G * A) + ridge * A**2 + rows.weights * np.abs(A) if rows.weights is not None else np.abs(G * A)
        value = np.sum(G * A) + np.sum(size * np.abs(A)) - 0.5 * ridge * np.sum(A**2) - rows.value(A)
        assert value <= bound + 1e-10 * (np.sum(terms) + ridge * np.sum(A**2) + bound)


@given(pull=st.floats(1e-3, 1e3), off=st.floats(1e-20, 1), digits=st.integers(0, 60))
def test_conjugate_does_not_lose_what_is_just_beyond_a_weight(pull, off, digits):
    """By fractions: where pull and weight cancel, the bound is still one."""
    whole = Fraction(pull) + Fraction(off)
    weight = float(max(whole - Fraction(1, 2**digits), Fraction(0)))
    free = RowBall(1.0, np.zeros((1, 1), dtype=bool)).penalised(weight, 1)
    beyond = max(whole - Fraction(weight), Fraction(0))
    assert Fraction(free.conjugate(np.array([[pull]]), 0.25, off)) >= 2 * beyond**2


def test_without_a_ridge_a_penalty_makes_the_conjugate_finite_and_says_how_far():
    G = np.where(INSIDE, 5.0, 0.5)
    free = RowBall(0.6, INSIDE)
    assert free.dual_scale(G) == 0
    assert free.conjugate(G) == np.inf
    penalised = free.penalised(0.4, 4)
    scale = penalised.dual_scale(G)
    assert scale == pytest.approx(0.8)
    assert penalised.conjugate(G) == np.inf
    # Three rows have entries inside, where the pull is 4 - 0.4.
    assert penalised.conjugate(scale * G) == pytest.approx(3 * 0.6 * 3.6)
    assert penalised.conjugate((scale + 1e-9) * G) == np.inf
    assert RowBall(0.6).dual_scale(G) == 1
    assert RowMeasure(0.6).penalised(0.4, 4).dual_scale(G) == 0


def test_penalised_entries_have_a_kink_wherever_they_are():
    weights = np.zeros((4, 4))
    weights[0, 2] = weights[3, 3] = 1.5
    rows, A = RowBall(1.0, INSIDE).penalised(weights, 4), np.zeros((4, 4))
    kinked = ~rows.smooth_at(A)
    np.testing.assert_array_equal(kinked, INSIDE | (weights > 0))
    A = np.where(weights > 0, -2.0, 0.1)
    assert rows.value(A) == 6
    np.testing.assert_array_equal(rows.slope(A), -weights)
    # What turns round at a kink is zero, what has none goes on.
    settled = rows.settle(-A, A)
    np.testing.assert_array_equal(settled, np.where(kinked, 0, -A))
    assert RowBall(1.0).penalised(0.0, 4).weights is None


def test_what_presses_against_the_boundary_is_beyond_the_weight():
    rows = RowBall(1.0).penalised(WEIGHTS, 4)
    force = np.array([[1.0, -4, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, -10.0]])
    np.testing.assert_allclose(rows.pressing(force), [4, 0, 0, 1])
