import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GROUP_FORMS, GroupLassoConstraint, GroupLassoPenalty, RowBall, column_norms
from bcd_implicit.terms.projections import project_l1_rows

matrices = arrays(float, (4, 3), elements=st.floats(-10, 10))
radii = st.floats(0, 5)
PAIR = Groups.singles(2)
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


@given(A=matrices, B=matrices, radius=radii)
def test_row_projection_is_the_nearest_feasible_point(A, B, radius):
    P = project_l1_rows(A, radius)
    assert np.abs(P).sum(axis=1).max() <= radius + 1e-9
    other = RowBall(radius).repair(B)
    # Projection on a convex set: <A - P, Q - P> <= 0 for each feasible Q (and each row by itself).
    assert np.all(np.sum((A - P) * (other - P), axis=1) <= 1e-7)
    np.testing.assert_allclose(project_l1_rows(P, radius), P, atol=1e-9)


def test_row_projection_against_cvxpy():
    A = np.random.default_rng(0).standard_normal((5, 6))
    Q = cp.Variable(A.shape)
    cp.Problem(cp.Minimize(cp.sum_squares(Q - A)), RowBall(0.7).cvxpy(Q)).solve(solver="CLARABEL")
    np.testing.assert_allclose(project_l1_rows(A, 0.7), Q.value, atol=1e-6)


@pytest.mark.parametrize("radius", [0.0, 1e-12, 3.0])
def test_repair_scales_rows_back_and_leaves_feasible_ones(radius):
    A = np.array([[2.0, -2.0], [0.5, 0.25], [0.0, 0.0]])
    R = RowBall(radius).repair(A)
    assert np.abs(R).sum(axis=1).max() <= radius * (1 + 1e-15)
    if radius == 3:
        np.testing.assert_array_equal(R[1:], A[1:])
        np.testing.assert_allclose(R[0], [1.5, -1.5])


# Of a matrix of four states: a cycle of two, a self loop, and links that no bound is on; the last row has links alone.
INSIDE = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
SQUARE = 3 * np.random.default_rng(4).standard_normal((4, 4))


@pytest.mark.parametrize("radius", [0.7, 0.0])
@pytest.mark.parametrize("steps", [None, np.array([0.1, 1.0, 2.0, 0.5])])
def test_a_ball_on_some_entries_against_cvxpy(steps, radius):
    ball, metric = RowBall(radius, INSIDE), 1 / (np.ones(4) if steps is None else steps)
    Q = cp.Variable(SQUARE.shape)
    (constraint,) = ball.cvxpy(Q)
    distance = cp.sum_squares(cp.multiply(np.sqrt(np.tile(metric, (4, 1))), Q - SQUARE))
    cp.Problem(cp.Minimize(0.5 * distance), [constraint]).solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12)
    P = ball.prox(SQUARE) if steps is None else ball.prox(SQUARE, steps)
    np.testing.assert_allclose(P, Q.value, atol=1e-6)
    np.testing.assert_array_equal(P[~INSIDE], SQUARE[~INSIDE])
    # One multiplier a row, 0 where there is nothing inside: with it the point is stationary.
    multipliers = ball.multipliers(constraint.dual_value)
    assert multipliers.shape == (4,)
    assert multipliers[3] == 0
    pressing = np.abs(np.where(INSIDE, (SQUARE - P) * metric, 0)).max(axis=1)
    np.testing.assert_allclose(multipliers, pressing, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("G", [SQUARE, np.where(INSIDE, SQUARE, 0)])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_conjugate_of_a_ball_on_some_entries_against_cvxpy(ridge, G):
    ball, A = RowBall(0.6, INSIDE), cp.Variable(G.shape)
    found = ball.conjugate(G, ridge)
    if ridge == 0 and G[~INSIDE].any():
        assert found == np.inf
        return
    value = cp.sum(cp.multiply(G, A)) - 0.5 * ridge * cp.sum_squares(A)
    # Without ridge and without a pull the others may be anything.
    zero = [A[~INSIDE] == 0] if ridge == 0 else []
    optimum = cp.Problem(cp.Maximize(value), ball.cvxpy(A) + zero).solve(solver="CLARABEL")
    assert found == pytest.approx(optimum, rel=1e-6)


def test_what_is_not_inside_is_free_of_the_ball():
    ball = RowBall(1.0, INSIDE)
    A = np.array([[0.5, -0.5, 9, 9], [0.25, 9, 9, 9], [9, 0, 2, 9], [9, 9, 9, 9.0]])
    assert ball.norm(A) == 2
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


def test_a_ball_around_no_entry_asks_for_nothing():
    ball = RowBall(0.5, np.zeros((4, 4), dtype=bool))
    assert ball.cvxpy(cp.Variable((4, 4))) == []
    assert ball.violation(SQUARE) == 0
    assert not ball.binding(SQUARE).any()
    for same in (ball.prox(SQUARE), ball.repair(SQUARE), ball.settle(SQUARE, -SQUARE)):
        np.testing.assert_array_equal(same, SQUARE)
    assert ball.conjugate(SQUARE, 0.5) == pytest.approx(np.sum(SQUARE**2))
    words = [RowBall(0.5).in_words, RowBall(0.5, INSIDE).in_words, ball.in_words]
    assert words == ["at most 0.5", "at most 0.5 inside cycles", "not bounded, as there is no cycle"]


@given(seed=st.integers(0, 10_000))
def test_a_ball_around_all_entries_is_one_around_none_in_particular(seed):
    rng = np.random.default_rng(seed)
    A, other, steps = rng.standard_normal((4, 4)), rng.standard_normal((4, 4)), rng.uniform(0.1, 2, (4, 4))
    one, two = RowBall(0.8), RowBall(0.8, np.ones((4, 4), dtype=bool))
    for name, arguments in {
        "prox": (A, steps), "repair": (A, np.array([1])), "settle": (A, other), "binding": (A,), "smooth_at": (A,),
        "conjugate": (A, 0.1), "violation": (A,),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(getattr(one, name)(*arguments), getattr(two, name)(*arguments))


@pytest.mark.parametrize("form", GROUP_FORMS)
def test_group_prox_against_cvxpy(form):
    B = np.random.default_rng(1).standard_normal((3, 5))
    step = 0.4 if form == "penalty" else 1.0
    group = GROUP_FORMS[form](1.1, Groups.singles(5))
    Q = cp.Variable(B.shape)
    term, constraints = group.cvxpy(Q)
    cp.Problem(cp.Minimize(0.5 * cp.sum_squares(Q - B) + step * term), constraints).solve(solver="CLARABEL")
    np.testing.assert_allclose(group.prox(B, step), Q.value, atol=1e-5)


@pytest.mark.parametrize("form", GROUP_FORMS)
@given(B=matrices, Q=matrices, kappa=st.floats(0.01, 5))
def test_group_prox_beats_every_other_point(form, B, Q, kappa):
    group = GROUP_FORMS[form](kappa, Groups.singles(3))
    P, Q = group.prox(B, 1.0), group.repair(Q)

    def value(T):
        return 0.5 * np.sum((T - B) ** 2) + group.value(T)

    assert group.violation(P) <= 1e-9
    assert value(P) <= value(Q) + 1e-9


def test_group_lasso_by_hand():
    B = np.array([[3.0, 0.0], [4.0, 0.0]])
    np.testing.assert_array_equal(column_norms(B), [5, 0])
    assert GroupLassoPenalty(2.0, PAIR).value(B) == 10
    assert GroupLassoConstraint(4.0, PAIR).violation(B) == 1
    np.testing.assert_allclose(GroupLassoPenalty(2.0, PAIR).prox(B, 0.5), B * 0.8)  # the norm 5 loses 0.5 * 2
    np.testing.assert_allclose(GroupLassoConstraint(4.0, PAIR).prox(B), B * 0.8)


def test_group_constraint_feasible_and_infeasible_point():
    B = cp.Variable((2, 2), value=np.array([[3.0, 0.0], [4.0, 0.0]]))
    assert GroupLassoConstraint(5.0, PAIR).cvxpy(B)[1][0].value()
    assert not GroupLassoConstraint(4.9, PAIR).cvxpy(B)[1][0].value()


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize(
    "term",
    [RowBall(0.6), GroupLassoPenalty(1.5, Groups.singles(4)), GroupLassoConstraint(0.8, Groups.singles(4))],
    ids=str,
)
def test_conjugates_against_cvxpy(term, ridge):
    G = np.random.default_rng(2).standard_normal((3, 4))
    if isinstance(term, GroupLassoPenalty) and ridge == 0:
        assert term.conjugate(G / column_norms(G).max() * 1.4) == 0
        assert np.isinf(term.conjugate(G / column_norms(G).max() * 1.6))
        return
    T = cp.Variable(G.shape)
    value, constraints = (0.0, term.cvxpy(T)) if isinstance(term, RowBall) else term.cvxpy(T)
    problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(G, T)) - value - 0.5 * ridge * cp.sum_squares(T)), constraints)
    assert term.conjugate(G, ridge) == pytest.approx(problem.solve(solver="CLARABEL"), rel=1e-6)


@given(G=matrices, kappa=st.floats(0.01, 5))
def test_dual_scale_reaches_the_domain_and_no_less(G, kappa):
    penalty = GroupLassoPenalty(kappa, Groups.singles(3))
    s = penalty.dual_scale(G)
    assert 0 < s <= 1
    assert penalty.conjugate(s * G) == 0
    if s < 1:
        assert column_norms(s * G).max() == pytest.approx(kappa)


def test_multiplier_is_zero_while_the_constraint_is_slack():
    B, G = np.array([[1.0, 0.0]]), np.array([[0.3, 0.1]])
    assert GroupLassoConstraint(2.0, PAIR).multiplier(G, B) == 0
    assert GroupLassoConstraint(1.0, PAIR).multiplier(G, B) == pytest.approx(0.3)
    assert GroupLassoPenalty(0.7, PAIR).multiplier(G, B) == 0.7
