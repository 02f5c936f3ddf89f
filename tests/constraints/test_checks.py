"""What a user's function may return, how functions are named, and what is refused with which words."""

import cvxpy as cp
import numpy as np
import pytest
from constrained import SIZE, problem_with
from problems import random_problem

from bcd_implicit import ConstraintError
from bcd_implicit import constraints as ready


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (ready.box("B", lower=np.zeros((3, 3))), r"'box\(B\)': lower has shape \(3, 3\).*shape \(4, 5\)\. Give"),
        (ready.feedforward([2, 1]), "layer_sizes sum to 3, and n_hidden is 4"),
        (ready.symmetric("B"), r"B has shape \(4, 5\), which is not square"),
        (ready.fixed_entries("A", np.eye(3) > 0), r"mask has shape \(3, 3\), and A has \(4, 4\)"),
        (ready.row_norm_bound("B", [1, 2, 3]), r"bound has shape \(3,\), and B has 4 rows"),
        (ready.column_norm_bound("B", [1, 2, 3]), r"bound has shape \(3,\), and B has 5 columns"),
    ],
)
def test_what_does_not_fit_the_problem_is_named(constraint, message):
    with pytest.raises(ConstraintError, match=message):
        problem_with(constraint)


def keeps_b_small(v):
    return cp.norm(v["b"], 2) <= 0.1


class TestNames:
    def test_every_function_has_one(self):
        problem = problem_with(ready.nonnegative("A"), lambda v: v["B"] <= 1, keeps_b_small)
        assert list(problem.constraints) == ["nonnegative(A)", "constraints[1]", "keeps_b_small"]
        named = random_problem(SIZE, constraints={"mine": keeps_b_small})
        assert named.constraints == {"mine": keeps_b_small}
        assert list(named.replace(kappa=1.0).constraints) == ["mine"]
        more = named.replace(constraints={**named.constraints, "signs": ready.nonnegative("C")})
        assert list(more.violations(more.initial())) == ["norm_bound", "mine", "signs"]

    @pytest.mark.parametrize(
        ("constraints", "names"),
        [
            (lambda v: v["A"] >= 0, ["constraints[0]"]),
            (ready.nonnegative("B"), ["nonnegative(B)"]),
            ("nonnegative(B)", ["nonnegative(B)"]),
            ("box(B, lower=0, upper=0.5)", ["box(B)"]),
            (
                ["nonnegative(B)", lambda v: v["A"] >= 0, ready.symmetric()],
                ["nonnegative(B)", "constraints[1]", "symmetric(A)"],
            ),
            ({"mine": "nonnegative(B)"}, ["mine"]),
        ],
    )
    def test_one_without_a_list_and_texts(self, constraints, names):
        problem = random_problem(SIZE, constraints=constraints)
        assert list(problem.constraints) == names
        negative = problem.initial()
        negative = negative.replace(A=negative.A - 1, B=-np.abs(negative.B) - 1)
        violations = problem.violations(negative)
        assert all(violations[name] > 0 for name in names if not name.startswith("symmetric"))

    @pytest.mark.parametrize(
        ("constraints", "message"),
        [
            ([keeps_b_small, keeps_b_small], "constraints: two have the name 'keeps_b_small'. Pass a mapping"),
            ({1: keeps_b_small}, "constraints: has the name 1, which is not text"),
            (
                {"norm_bound": keeps_b_small},
                "'norm_bound' is the name of one of the problem's own constraints. Rename yours",
            ),
            ("abc", r"constraint abc: cannot be read \(no ready-made constraint\). Write one of"),
            ({"mine": "box(B, size=1)"}, r"constraint box\(B, size=1\): cannot be read"),
            ("__import__('os').system('true')", "cannot be read"),
            (3, 'constraints: is of type int. Pass a function, a text such as "nonnegative'),
            ([1], r"constraints\[0\]: is of type int. Pass a function such as lambda v"),
            ({"mine": 1}, "constraint 'mine': is of type int"),
            (
                [ready.nonnegative],
                r"constraint 'nonnegative': is not called. Call it with its arguments \(matrix, inputs\)",
            ),
            ([lambda v: v["A"] <= np.nan], "A <= nan contains NaN or infinity"),
            ([lambda v: v["A"] <= np.inf], "A <= inf contains NaN or infinity. Omit infinite bounds"),
        ],
    )
    def test_bad_ones(self, constraints, message):
        with pytest.raises(ConstraintError, match=message):
            random_problem(SIZE, constraints=constraints)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda v: v["A"] @ v["A"] <= 1, "A @ A <= 1.0 is not convex by CVXPY's rules: A @ A is neither convex nor"),
        (lambda v: cp.sum(cp.exp(v["A"] @ v["A"])), "exp.* is not convex.*: A @ A is neither convex nor concave"),
        (lambda v: cp.sqrt(v["A"]) <= 1, "bounds a convex expression from below, or a concave one from above"),
        (lambda v: cp.square(v["A"]) == 1, "is not convex.*this kind of constraint needs affine expressions"),
        (lambda v: -cp.norm(v["C"], "fro"), "is not convex.*it is concave, but a penalty is minimised"),
        (lambda v: cp.abs(v["C"]), r"returned the expression abs\(C\) of shape \(2, 4\), but a penalty is one number"),
        (lambda v: [v["A"] >= 0, cp.abs(v["A"])], "a penalty is one number"),
        (lambda v: v["A"][0, 0] >= v["C"][0, 0], "couples A and C, which are not in one block.*A, B, b, or C, D, d"),
        (lambda v: v["B"] + v["D"] <= 1, "couples B and D"),
        (lambda v: v["X"] >= 0, "uses X, which the equilibrium determines. Choose from A, B, b, or C, D, d"),
        (lambda v: v["Q"] >= 0, "uses Q, which is not a variable. Choose from A, B, b, or C, D, d"),
        (lambda v: True, "returned True, not a CVXPY constraint or penalty. Return a comparison"),
        (lambda v: 0.5, "returned 0.5, not a CVXPY constraint or penalty"),
        (lambda v: v["A"] >= 0 if "A" in v else None, "returned None, not a CVXPY constraint"),
        (lambda v: 1 / 0, "failed: ZeroDivisionError: division by zero. CVXPY variables have the shapes"),
        (lambda v: v["A"] <= np.ones((2, 2)), r"failed: ValueError.*shapes A \(4, 4\), B \(4, 5\), b \(4,\), C"),
        (lambda v: 0 <= v["A"] <= 1, "failed: Exception: .*chain constraints"),
        (lambda v: v["A"] <= cp.Variable(name="t"), "has its own variables, t. Use only the variables"),
        (lambda v: cp.Constant(1.0) >= 0, "depends on none of the variables"),
        (lambda v: v["A"] <= cp.Parameter(name="w"), "parameter w has no value. Set its .value first"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_which_and_why(function, message):
    with pytest.raises(ConstraintError, match=f"constraint 'mine': .*{message}"):
        random_problem(SIZE, constraints={"mine": function})
    with pytest.raises(ConstraintError, match=r"^constraints\[1\]: "):
        random_problem(SIZE, constraints=[lambda v: v["A"] <= 1, function])
