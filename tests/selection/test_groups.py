"""Groups of inputs: what a person may give, the norms against CVXPY, and what training does with them."""

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from constrained import METHODS
from draws import entries
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from problems import random_problem
from slow_but import every_pair

import bcd_implicit as bi
from bcd_implicit import InvalidInputError
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GroupLassoConstraint, GroupLassoPenalty

NAMES = ["age", "red", "green", "blue", "size"]
COLOUR = {"colour": ["red", "green", "blue"]}
WEIGHTED = Groups(np.array([0, 1, 1, 0, 2]), np.array([1.0, 0.5, 2.0]), ["a", "b", "c"])
matrices = arrays(float, (3, 5), elements=entries(-10, 10))
norms = pytest.mark.parametrize("norm", GROUP_NORMS.values(), ids=GROUP_NORMS)
ridges = pytest.mark.parametrize("ridge", [0.3, [0.3, 0.3, 2.0], [0.0, 0.3, 0.3]], ids=str)


# What a person gives -------------------------------------------------------------------------------------------


def test_groups_by_name_and_by_label_are_the_same():
    named = Groups.parse(COLOUR, None, NAMES)
    labelled = Groups.parse(["age", "colour", "colour", "colour", "size"], None, NAMES)
    for groups in (named, labelled):
        assert groups.names == ["age", "colour", "size"]
        assert groups.labels.tolist() == [0, 1, 1, 1, 2]
        np.testing.assert_allclose(groups.weights, [1, np.sqrt(3), 1])
        assert [m.tolist() for m in groups.members] == [[0], [1, 2, 3], [4]]
    assert not named.alone
    assert Groups.parse(None, None, NAMES).alone
    assert Groups.parse([3, 3, 1, 1, 1], [1, 0.5], NAMES).weights.tolist() == [1, 0.5]
    assert Groups.parse(COLOUR, pd.Series({"size": 0}), NAMES).weights.tolist() == [1, np.sqrt(3), 0]
    assert Groups.parse(COLOUR, {"size": 0}, NAMES).weights.tolist() == [1, np.sqrt(3), 0]


@pytest.mark.parametrize(
    ("groups", "weights", "message"),
    [
        ([1, 2], None, "groups: has 2 labels for 5 inputs. Give one label for each input"),
        ("age", None, "groups: must be a list of labels, got 'age'. Give one label for each input, or a mapping"),
        ({"colour": ["red", "purple"]}, None, "groups: group 'colour' names an input 'purple' that does not exist"),
        ({"a": ["red"], "b": ["red"]}, None, "groups: input 'red' is in 'a' and in 'b'"),
        ({"age": ["red", "green"]}, None, "groups: 'age' is the name of a group and of an input outside it"),
        (COLOUR, [1, 2], "group_weights: has 2 numbers for 3 groups. Give one a group"),
        (COLOUR, {"red": 1}, "group_weights: names a group 'red' that does not exist. The groups are age, colour,"),
        (COLOUR, [1, -2, 1], "group_weights of 'colour': got -2, must be >= 0. Give a positive number"),
        (COLOUR, [0, 0, 0], "group_weights: are all zero"),
        ([1, 2, None, 3, 4], None, "groups: has an empty label"),
        ([1, "1", 2, 3, 4], None, "groups: has labels that read alike"),
        ({"colour": 4}, None, "groups: group 'colour' is of type int"),
    ],
)  # fmt: skip
def test_bad_groups_are_named(groups, weights, message):
    with pytest.raises(InvalidInputError, match=message):
        Groups.parse(groups, weights, NAMES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_norm": 3}, "group_norm: unknown norm '3'. Use one of 2, inf"),
        ({"group_over": "D"}, "group_over: unknown choice 'D'. Use one of B, BD"),
        (
            {"group_over": "BD", "pass_through": False},
            'group_over: "BD" groups columns of D, but pass_through is False',
        ),
    ],
)
def test_bad_options_of_a_problem_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        random_problem((2, 3, 2, 20), **options)


def test_a_problem_keeps_its_groups_when_it_is_changed():
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((20, 5)), columns=NAMES)
    problem = bi.TrainingProblem(table, table["age"], 2, groups=COLOUR, group_weights={"age": 0.5}, group_norm=np.inf)
    assert problem.group_norm == "inf"
    for same in (problem.replace(kappa=0.3), problem.subset(np.arange(10))):
        assert same.groups == ["age", "colour", "colour", "colour", "size"]
        np.testing.assert_allclose(same.group_weights, [0.5, np.sqrt(3), 1])
    fewer = problem.subset(inputs=np.array([False, True, False, True, True]))
    assert fewer.groups == ["colour", "colour", "size"]
    np.testing.assert_allclose(fewer.group_weights, [np.sqrt(3), 1])  # the weight stays that of the whole group
    assert problem.replace(groups=None).group_lasso.groups.alone


# Norms ---------------------------------------------------------------------------------------------------------


def test_norms_by_hand():
    B = np.array([[3.0, 0, 1, 0, 0], [0, 2, -2, -4, 0], [0, 0, 0, 0, 0]])
    two, largest = GROUP_NORMS["2"], GROUP_NORMS["inf"]
    assert two.of(B, WEIGHTED).tolist() == [5, 3, 0]
    assert largest.of(B, WEIGHTED).tolist() == [4, 2, 0]
    assert two.dual(B, WEIGHTED).tolist() == [5, 3, 0]
    assert largest.dual(B, WEIGHTED).tolist() == [7, 5, 0]
    assert GroupLassoPenalty(2.0, WEIGHTED).value(B) == 2 * (5 + 1.5)
    np.testing.assert_allclose(two.shrink(B, WEIGHTED, np.array([2.5, 3.0, 1.0])), B * [0.5, 0, 0, 0.5, 0])
    shrunk = largest.shrink(B, WEIGHTED, np.array([1.0, 1.0, 1.0]))
    # 1 is taken from the largest entries: 4 becomes 3; 2 and -2 share it.
    np.testing.assert_allclose(shrunk, [[3, 0, 1, 0, 0], [0, 1.5, -1.5, -3, 0], [0, 0, 0, 0, 0]])


@norms
def test_rows_and_columns_are_inverse_and_cvxpy_agrees(norm):
    B = np.random.default_rng(0).standard_normal((3, 5))
    np.testing.assert_array_equal(WEIGHTED.columns(WEIGHTED.rows(B), 3), B)
    np.testing.assert_allclose(norm.cvxpy(cp.Constant(B), WEIGHTED).value, norm.of(B, WEIGHTED))


@norms
@given(B=matrices, other=matrices, kappa=st.floats(0.01, 5))
def test_shrinking_is_the_proximal_map(norm, B, other, kappa):
    term = GroupLassoPenalty(kappa, WEIGHTED, norm)
    P = term.prox(B, 0.7)

    def value(T):
        return 0.5 * np.sum((T - B) ** 2) + 0.7 * term.value(T)

    for Q in (other, P + 1e-3 * other, B, 0 * B):
        assert value(P) <= value(Q) + 1e-9 * (1 + value(Q))


@norms
@given(B=matrices, other=matrices, kappa=st.floats(0.01, 5))
def test_the_projection_is_the_nearest_feasible_point(norm, B, other, kappa):
    term = GroupLassoConstraint(kappa, WEIGHTED, norm)
    P, Q = term.prox(B), term.repair(other)
    assert term.violation(P) <= 1e-9
    assert float(np.sum((B - P) * (Q - P))) <= 1e-7 * (1 + np.abs(B).max() ** 2)


@norms
@pytest.mark.parametrize("kappa", [0.0, 1e-300, 1e-12])
def test_a_radius_of_next_to_nothing(norm, kappa):
    for seed in range(50):
        B = np.random.default_rng(seed).standard_normal((4, 5))
        assert GroupLassoConstraint(kappa, WEIGHTED, norm).prox(B).sum() == pytest.approx(0, abs=1e-9)


@norms
@given(G=matrices, T=matrices)
def test_the_dual_norm_is_the_dual_norm(norm, G, T):
    products = WEIGHTED.sums(np.einsum("ij,ij->j", G, T))
    bounds = norm.dual(G, WEIGHTED) * norm.of(T, WEIGHTED)
    assert np.all(products <= bounds + 1e-9 * (1 + bounds))


@norms
@ridges
@pytest.mark.parametrize("form", [GroupLassoPenalty, GroupLassoConstraint])
def test_conjugates_against_cvxpy_also_with_a_ridge_of_its_own_for_each_row(norm, ridge, form):
    G = np.random.default_rng(1).standard_normal((3, 5))
    # Where a row has no ridge the penalty's conjugate is finite only for small G there.
    G[0] *= 0.05
    term, T = form(0.8, WEIGHTED, norm), cp.Variable((3, 5))
    value, constraints = term.cvxpy(T)
    rows = np.broadcast_to(ridge, 3)
    quadratic = cp.sum([0.5 * r * cp.sum_squares(T[i]) for i, r in enumerate(rows)])
    best = cp.Problem(cp.Maximize(cp.sum(cp.multiply(G, T)) - value - quadratic), constraints).solve("CLARABEL")
    assert term.conjugate(G, np.array(ridge)) == pytest.approx(best, rel=1e-6)


@norms
def test_a_free_group_has_no_finite_conjugate_without_ridge(norm):
    free = Groups(np.array([0, 1]), np.array([1.0, 0.0]), ["a", "free"])
    G = np.array([[0.5, 0.1]])
    for form in (GroupLassoPenalty, GroupLassoConstraint):
        assert form(1.0, free, norm).conjugate(G) == np.inf
        assert np.isfinite(form(1.0, free, norm).conjugate(G * [1, 0]))
        assert np.isfinite(form(1.0, free, norm).conjugate(G, 0.1))


# Training ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return bi.datasets.make_column_sparse(80, 8, 4, 4, 3, noise=0.3, random_state=0)


@pytest.mark.parametrize(("group_norm", "group_over"), every_pair([2, "inf"], ["B", "BD"]))
def test_groups_stay_and_leave_together(data, group_norm, group_over):
    labels = [j // 2 for j in range(8)]
    problem = bi.TrainingProblem(data.U, data.Y, 2, groups=labels, group_norm=group_norm, group_over=group_over)
    path = bi.kappa_path(problem, 4)
    pairs = path.supports.reshape(len(path.results), 4, 2)
    assert (pairs[:, :, 0] == pairs[:, :, 1]).all()
    assert 0 < path.supports[-1].sum() < 8 or len(set(path.supports.sum(axis=1))) > 1
    chosen = path.select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    true_pairs = data.support.reshape(4, 2).any(axis=1)
    assert (chosen.support.reshape(4, 2).all(axis=1) >= true_pairs).all()


def test_an_input_of_weight_zero_always_stays(data):
    never = int(np.flatnonzero(~data.support)[0])
    weights = np.ones(8)
    weights[never] = 0
    path = bi.kappa_path(bi.TrainingProblem(data.U, data.Y, 3, pass_through=False, group_weights=weights), 4)
    assert path.supports[:, never].all()
    plain = bi.kappa_path(bi.TrainingProblem(data.U, data.Y, 3, pass_through=False), 4)
    assert not plain.supports[-1, never]


def test_a_heavier_group_leaves_sooner(data):
    j = int(np.flatnonzero(data.support)[0])
    weights = np.ones(8)
    weights[j] = 30
    problem = bi.TrainingProblem(data.U, data.Y, 3, pass_through=False)
    plain, weighted = (
        bi.kappa_path(problem.replace(group_weights=w), kappas=[0.02, 0.05, 0.1, 0.3, 1.0]) for w in (None, weights)
    )
    assert weighted.leaves_at[j] < plain.leaves_at[j]


def test_an_input_that_acts_through_D_alone_is_selected_only_with_stacked_groups(data):
    linear = int(np.flatnonzero(~data.support)[0])
    Y = data.Y + data.U[:, [linear]] @ np.array([[1.0, -0.5, 0.8, 1.2]])
    wanted = data.support.copy()
    wanted[linear] = True
    paths = {over: bi.kappa_path(bi.TrainingProblem(data.U, Y, 3, group_over=over), 5) for over in ("B", "BD")}
    # D takes over from B as soon as that costs anything, and what D costs nobody sees; stacked, both are seen.
    assert (paths["B"].leaves_at[linear] < paths["B"].leaves_at[data.support]).all()
    assert paths["BD"].leaves_at[wanted].min() > paths["BD"].leaves_at[~wanted].max()
    np.testing.assert_array_equal(
        paths["BD"].select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2).support, wanted
    )


@pytest.mark.filterwarnings("ignore:.*stopped at max_cycles")
def test_no_loop_of_blocks_ever_raises_the_objective_with_stacked_groups(data):
    problem = bi.TrainingProblem(data.U, data.Y, 3, kappa=0.05, group_over="BD")
    for method in METHODS:
        result = bi.solve(problem, method, max_cycles=15)
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        gone = ~problem.selected(result.iterate)
        assert not result.model.B[:, gone].any()
        assert not result.model.D[:, gone].any()
        assert result.history["gap"].max() <= 1e-6


@pytest.mark.filterwarnings("ignore:fenchel. stopped at max_cycles")
def test_a_users_constraint_on_D_acts_in_stacked_blocks(data):
    constraint = lambda v: v["D"] >= 0  # noqa: E731
    problem = bi.TrainingProblem(data.U, data.Y, 2, kappa=0.1, group_over="BD", constraints=[constraint])
    result = bi.solve(problem, "fenchel", max_cycles=3, tol=1e-1)
    assert result.model.D.min() >= -1e-6
    with pytest.raises(bi.ConstraintError, match="couples C and D, which are not in one block"):
        problem.replace(constraints=[lambda v: v["C"] @ np.ones((2, 8)) + v["D"] >= 0])
