import cvxpy as cp
import numpy as np
import pytest
from draws import entries
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GROUP_FORMS, GroupLassoConstraint, GroupLassoPenalty, column_norms

matrices = arrays(float, (4, 3), elements=entries(-10, 10))
radii = entries(0, 5)
PAIR = Groups.singles(2)


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
    [GroupLassoPenalty(1.5, Groups.singles(4)), GroupLassoConstraint(0.8, Groups.singles(4))],
    ids=str,
)
def test_conjugates_against_cvxpy(term, ridge):
    G = np.random.default_rng(2).standard_normal((3, 4))
    if isinstance(term, GroupLassoPenalty) and ridge == 0:
        assert term.conjugate(G / column_norms(G).max() * 1.4) == 0
        assert np.isinf(term.conjugate(G / column_norms(G).max() * 1.6))
        return
    T = cp.Variable(G.shape)
    value, constraints = term.cvxpy(T)
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
