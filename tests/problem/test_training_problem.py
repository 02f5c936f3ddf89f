import numpy as np
import pandas as pd
import pytest
from problems import random_iterate, random_problem

from bcd_implicit import ACTIVATIONS, DataWarning, InvalidInputError, TrainingProblem, solve_block
from bcd_implicit.problem.iterate import check_iterate

U4, Y4 = np.arange(8.0).reshape(4, 2), np.arange(4.0)


def test_objective_recomputed_by_hand(size):
    problem = random_problem(size, kappa=0.3, ridge=0.02, ridge_hidden=0.05, fenchel_weight=2.5)
    it = random_iterate(problem)
    m, U, Y = problem.n_samples, problem.U, problem.Y
    total = (
        sum(
            0.5 * (Y[i, k] - it.C[i] @ it.X[:, k] - it.D[i] @ U[:, k] - it.d[i]) ** 2
            for i in range(problem.n_outputs)
            for k in range(m)
        )
        / m
    )
    total += 0.3 * sum(np.linalg.norm(it.B[:, j]) for j in range(problem.n_inputs))
    total += 0.01 * (np.sum(it.C**2) + np.sum(it.D**2)) + 0.025 * (np.sum(it.A**2) + np.sum(it.B**2))
    assert problem.objective_at_states(it) == pytest.approx(total)
    Z = it.A @ it.X + it.B @ U + it.b[:, None]
    fenchel = 0.5 * it.X**2 + 0.5 * np.maximum(Z, 0) ** 2 - it.X * Z
    assert problem.objective(it) == pytest.approx(total + 2.5 / m * fenchel.sum())


def test_relaxed_and_true_objective_agree_at_equilibrium_only(size):
    problem = random_problem(size)
    it = random_iterate(problem, relaxed=False)
    assert problem.objective(it) == pytest.approx(problem.equilibrium_objective(it), rel=1e-10)
    moved = random_iterate(problem, relaxed=True)
    assert problem.fenchel_term(moved) > 1e-3
    # (T) does not depend on the states that an iterate carries.
    assert problem.equilibrium_objective(moved) == pytest.approx(problem.equilibrium_objective(it), rel=1e-10)


def test_leaving_the_range_of_relu_costs_infinity():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    assert np.isinf(problem.objective(it.replace(X=it.X - 10)))


def test_constraint_form_adds_no_term():
    it = random_iterate(random_problem((3, 4, 2, 30)))
    penalty = random_problem((3, 4, 2, 30), kappa=0.0)
    constraint = random_problem((3, 4, 2, 30), kappa=1e-3, group_form="constraint")
    assert constraint.objective(it) == penalty.objective(it)
    assert constraint.violation(it) == pytest.approx(np.linalg.norm(it.B, axis=0).sum() - 1e-3)


def test_initial_does_not_depend_on_units_of_the_inputs():
    rng = np.random.default_rng(0)
    U, Y = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    plain = TrainingProblem(U, Y, 4).initial(7)
    scaled = TrainingProblem(1000 * U + 5, Y, 4).initial(7)
    np.testing.assert_allclose(scaled.X, plain.X, atol=1e-9)
    np.testing.assert_array_equal(plain.B, TrainingProblem(U, Y, 4).initial(7).B)
    assert not np.array_equal(plain.B, TrainingProblem(U, Y, 4).initial(8).B)


def test_constant_inputs_are_allowed_and_start_at_zero():
    rng = np.random.default_rng(0)
    U = np.column_stack([rng.standard_normal(20), np.full(20, 3.3), np.zeros(20)])
    it = TrainingProblem(U, rng.standard_normal(20), 3).initial(0)
    assert np.all(it.B[:, 1:] == 0)
    assert np.all(it.B[:, 0] != 0)


def test_rows_of_a_person_become_columns_and_names_are_kept():
    table = pd.DataFrame({"a": [1.0, 2, 3], "b": [4, 5, 7]})
    problem = TrainingProblem(table, pd.DataFrame({"t": [1, 2, 3]}), 2)
    np.testing.assert_array_equal(problem.U, [[1, 2, 3], [4, 5, 7]])
    assert problem.Y.shape == (1, 3)
    assert (problem.input_names, problem.output_names) == (["a", "b"], ["t"])
    model = problem.model(problem.initial())
    assert model.input_names == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_hidden": 0}, "n_hidden: got 0, must be >= 1. Give 1 or more hidden features"),
        ({"n_hidden": -3}, "n_hidden: got -3"),
        ({"n_hidden": 2.5}, "n_hidden: must be a whole number, got 2.5"),
        ({"n_hidden": True}, "n_hidden: must be a whole number, got True"),
        ({"norm_bound": 1.0}, r"norm_bound: got 1.0, must be < 1. Choose it in \[0, 1\)"),
        ({"norm_bound": -0.1}, "norm_bound: got -0.1, must be >= 0"),
        ({"norm_bound": np.nan}, "norm_bound: .*nan"),
        ({"kappa": -1}, "kappa: got -1, must be >= 0"),
        ({"kappa": "much"}, "kappa: must be a number, got 'much'"),
        ({"kappa": np.inf}, "kappa: must be finite, got inf"),
        ({"ridge": -1e-9}, "ridge: got -1e-09"),
        ({"ridge_hidden": -1}, "ridge_hidden: got -1"),
        ({"fenchel_weight": 0}, "fenchel_weight: got 0, must be > 0"),
        ({"group_form": "l0"}, "group_form: unknown form 'l0'. Use one of penalty, constraint"),
        ({"activation": "gelu"}, "activation: unknown activation 'gelu'"),
        ({"loss": "hinge"}, "loss: unknown loss 'hinge'. Use one of squared"),
        ({"activation": ["relu"]}, "activation: unknown activation"),
        ({"input_names": ["a", "a"]}, "input_names: has 'a' twice"),
        ({"input_names": ["a"]}, "input_names: has 1 names for 2 variables"),
        ({"input_names": 4}, "input_names: must be a list of names, got 4. Give one name for each variable"),
        ({"input_names": "ab"}, "input_names: must be a list of names, got 'ab'"),
        ({"output_names": "y"}, "output_names: must be a list of names, got 'y'"),
        ({"group_norm": True}, "group_norm: unknown norm True. Use one of 2, inf"),
        ({"group_weights": [1, np.nan]}, "group_weights of 'u1': must be finite, got nan. Give a positive number"),
        ({"groups": {"g": []}}, "groups: group 'g' lists no inputs. List some, or leave the group out"),
        ({"groups": [[0], [1, 2]]}, "groups: must be a list of single labels, got"),
        ({"groups": 3}, "groups: must be a list of labels, got 3. Give one label for each input, or a mapping"),
        ({"groups": [1, pd.NA]}, "groups: has an empty label"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        TrainingProblem(U4, Y4, **{"n_hidden": 2} | options)


def test_replace_checks_again_and_leaves_the_original():
    problem = TrainingProblem(U4, Y4, 2, kappa=0.1)
    other = problem.replace(kappa=0.5, group_form="constraint")
    assert (problem.kappa, problem.group_lasso.form) == (0.1, "penalty")
    assert (other.kappa, other.group_lasso.kappa, other.group_lasso.form) == (0.5, 0.5, "constraint")
    with pytest.raises(InvalidInputError, match="kappa: got -1"):
        problem.replace(kappa=-1)
    with pytest.raises(InvalidInputError, match="U: cannot be replaced"):
        problem.replace(U=U4)


def test_subset_of_samples_and_inputs():
    problem = random_problem((3, 4, 2, 30))
    small = problem.subset(np.array([0, 5, 7]), np.array([True, False, True, False]))
    np.testing.assert_array_equal(small.U, problem.U[np.ix_([0, 2], [0, 5, 7])])
    np.testing.assert_array_equal(small.Y, problem.Y[:, [0, 5, 7]])
    assert small.input_names == ["u0", "u2"]


def test_iterates_of_other_shapes_are_refused():
    problem = random_problem((3, 4, 2, 30))
    it = problem.initial()
    with pytest.raises(InvalidInputError, match=r"iterate.B: has shape \(3, 5\), \(3, 4\) needed"):
        check_iterate(it.replace(B=np.zeros((3, 5))), problem.shapes, problem.activation)
    for wrong, kind in (
        (np.full((3, 3), "a"), "an array of <U1"),
        ([[0.0]], "a list"),
        (it.A + 1j, "an array of complex"),
    ):
        with pytest.raises(InvalidInputError, match=rf"iterate\.A: is {kind}.* Pass an array of numbers"):
            check_iterate(it.replace(A=wrong), problem.shapes, problem.activation)
    with pytest.raises(InvalidInputError, match="iterate.X: contains NaN"):
        check_iterate(it.replace(X=it.X * np.nan), problem.shapes, problem.activation)


def test_repr_names_the_settings():
    assert "n_hidden=2" in repr(TrainingProblem(U4, Y4, 2))
    assert "kappa=0.1 (penalty)" in repr(TrainingProblem(U4, Y4, 2))


@pytest.mark.parametrize("seed", ["x", -1, 1.5])
def test_bad_seeds_are_named(seed):
    with pytest.raises(InvalidInputError, match="random_state: got"):
        TrainingProblem(U4, Y4, 2).initial(seed)


def test_numbers_beyond_floating_point_are_refused():
    with pytest.raises(InvalidInputError, match="Y: has entries as large as 3.0e.200. Scale it to about 1"):
        TrainingProblem(U4, Y4 * 1e200, 2)


def test_the_name_of_a_series_is_kept():
    assert TrainingProblem(U4, pd.Series(Y4, name="t"), 2).output_names == ["t"]


def test_columns_called_by_whole_numbers_are_grouped_by_them():
    table = pd.DataFrame(U4, columns=[2019, 2020])
    problem = TrainingProblem(table, Y4, 2, groups={"both": [2019, 2020]})
    assert problem.groups == ["both", "both"]
    with pytest.raises(
        InvalidInputError, match="groups: group 'g' names an input '7' that .* The inputs are 2019, 2020"
    ):
        TrainingProblem(table, Y4, 2, groups={"g": [7]})


def test_a_norm_may_be_a_number_of_numpy():
    assert TrainingProblem(U4, Y4, 2, group_norm=np.int64(2)).group_norm == "2"
    assert TrainingProblem(U4, Y4, 2, group_norm=np.inf).group_norm == "inf"


def test_what_looks_wrong_is_warned_of():
    with pytest.warns(DataWarning, match="^the target 'y0' does not vary, so no input can explain it"):
        TrainingProblem(U4, np.ones(4), 2)
    with pytest.warns(DataWarning, match="^U: column 1 only numbers the rows"):
        TrainingProblem(np.column_stack([np.zeros(20), np.arange(20)]), np.arange(20) % 3, 2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_states_that_are_rounding_are_no_regressors(activation, offset):
    rng = np.random.default_rng(0)
    u = rng.standard_normal(40)
    U, Y = np.column_stack([u, u, u, rng.standard_normal(40)]), rng.standard_normal((40, 1))
    problem = TrainingProblem(U, Y, 2, activation, ridge=0.0, pass_through=False)
    it = problem.initial(0).replace(B=np.array([[0.1, 0.2, -0.3, 0], [0, 0, 0, 1.0]]), b=np.array([offset, 0.0]))
    # 0.1 u + 0.2 u - 0.3 u is 1e-17 and not zero.
    it = problem.at_equilibrium(it)
    assert len(set(it.X[0])) == 1
    assert it.X[0, 0] == pytest.approx(float(problem.activation(np.array(offset))), abs=1e-15)
    assert it.X[1].std() > 0.1
    C = solve_block(problem, it.replace(C=np.full((1, 2), 1e9)), "output").iterate.C
    assert C[0, 0] == 0.0
    assert abs(C[0, 1]) < 10


@pytest.mark.parametrize("norm", [0.5, 0.99])
def test_equal_states_are_equal_wherever_they_were_before(norm):
    problem = TrainingProblem(np.random.default_rng(0).standard_normal((40, 2)), np.ones((40, 1)), 3, norm_bound=norm)
    it = problem.initial(0)
    A = norm * np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, -0.5, 0.3]])
    it = it.replace(A=A, B=np.zeros((3, 2)), b=np.array([0.3, 0.2, 0.1]))
    assert it.X.std(axis=1).min() > 0.01
    # Within the tolerance of 1e-13 they would stay apart.
    assert np.ptp(problem.equilibrium(it).X, axis=1).max() > 0
    X = problem.at_equilibrium(it).X
    np.testing.assert_array_equal(X, np.repeat(X[:, :1], 40, axis=1))
    np.testing.assert_allclose(X[0], 0.3 / (1 - norm), rtol=1e-12)
    # What is small and not rounding stays, and is right to a part of itself.
    small = problem.at_equilibrium(it.replace(B=1e-11 * it.A[:, :2])).X[0]
    np.testing.assert_allclose(
        small - small.mean(), 1e-11 * norm / (1 - norm) * (problem.U[0] - problem.U[0].mean()), rtol=0.05, atol=3e-13
    )


def test_states_whose_squares_underflow_are_zero():
    problem = TrainingProblem(np.ones((5, 1)), np.ones((5, 1)), 1, norm_bound=0.9, fit_intercept=False)
    it = problem.initial(0).replace(A=np.array([[0.9]]), B=np.zeros((1, 1)), X=np.ones((1, 5)))
    assert not problem.at_equilibrium(it).X.any()
    # Small ones that are not rounding stay.
    tiny = TrainingProblem(1e-30 * np.arange(1.0, 6)[:, None], np.ones((5, 1)), 1, fit_intercept=False, norm_bound=0.0)
    assert len(set(tiny.at_equilibrium(tiny.initial(0).replace(B=np.ones((1, 1)))).X[0])) == 5
