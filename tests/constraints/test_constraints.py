"""A user's constraints and penalties: what they do to blocks and models, their dual values, and what is refused."""

import copy
import pickle
import warnings
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from problems import random_iterate, random_problem
from sklearn.metrics import r2_score

import bcd_implicit as bi
from bcd_implicit import METHODS, SOLVERS, BlockSolveError, ConstraintError, InvalidInputError, block_problem
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import feasibility, make_block, solve_block
from bcd_implicit.training import bcd
from bcd_implicit.training.result import Status

SIZE = (4, 5, 2, 40)  # n, p, q, m
N, P, Q, M = SIZE
BLOCK_OF = {"A": "hidden", "B": "hidden", "b": "hidden", "C": "output", "D": "output", "d": "output"}


def problem_with(*constraints, **options):
    return random_problem(SIZE, **{"norm_bound": 0.8, "kappa": 0.02} | options, constraints=constraints)


def start_of(problem, block):
    return random_iterate(problem, relaxed=block != "prox-linear")


def train(problem, method="prox-linear", **options):
    """A few cycles; that they are too few is no news, and every other warning is an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*stopped at max_cycles", category=bi.ConvergenceWarning)
        return bi.solve(problem, method, **{"max_cycles": 3} | options)


def ones(rows, columns, **entries):
    """All ones but for entries such as r0c1=5."""
    X = np.ones((rows, columns))
    for place, value in entries.items():
        X[int(place[1]), int(place[3])] = value
    return X


# Ready-made: each with a feasible point, an infeasible one, and by how much that violates it -----------------------

TRIANGLE = np.triu(np.ones((N, N)), 1)
LAYERS = np.kron([[0, 1], [0, 0]], np.ones((2, 2)))
MASK = np.eye(Q, P, dtype=bool)
READY = [
    (ready.nonnegative("A"), TRIANGLE, TRIANGLE - 0.25 * np.eye(N), 0.25),
    (ready.nonnegative("B"), ones(N, P), ones(N, P, r1c2=-0.5), 0.5),
    (ready.nonpositive("C"), -ones(Q, N), ones(Q, N), 1.0),
    (ready.nonpositive("b"), -np.ones(N), np.array([-1, 0, 0.1, -1]), 0.1),
    (ready.box("C", -0.3, 0.3), 0.3 * ones(Q, N), ones(Q, N), 0.7),
    (ready.box("B", upper=ones(N, P, r0c0=np.inf)), ones(N, P, r0c0=9), ones(N, P, r0c1=1.25), 0.25),
    (ready.box("d", lower=[0.5, 1.5]), np.array([0.5, 2]), np.ones(2), 0.5),
    (ready.fixed_entries("D", MASK, 0.1), ones(Q, P, r0c0=0.1, r1c1=0.1), ones(Q, P), 0.9),
    (ready.fixed_entries("A", np.eye(N) > 0, 0.2 * np.eye(N)), 0.2 * np.eye(N), TRIANGLE, 0.2),
    (ready.banded("A", 0, 1), np.eye(N) + np.eye(N, k=1), np.eye(N, k=2) + 3 * np.eye(N, k=-1), 3.0),
    (ready.banded("B"), np.tri(N, P, 1) - np.tri(N, P, -2), ones(N, P), 1.0),
    (ready.feedforward([2, 2]), LAYERS, LAYERS + 0.25 * np.eye(N), 0.25),
    (ready.symmetric(), TRIANGLE + TRIANGLE.T, TRIANGLE, 1.0),
    (ready.l1_bound("C", 0.5), -ones(Q, N) / 16, -ones(Q, N), 7.5),
    (ready.nuclear_norm_bound("B", 0.5), 0.5 * np.eye(N, P) / N, np.eye(N, P), 3.5),
    (ready.spectral_norm_bound("A", 0.3), 0.3 * np.eye(N), ones(N, N), 3.7),
    (ready.spectral_norm_bound("D", 0.3), 0.3 * np.eye(Q, P), np.eye(Q, P), 0.7),
    (ready.row_norm_bound("C", [0.1, 2]), ones(Q, N) * [[0.05], [1]], ones(Q, N), 1.9),
    (ready.row_norm_bound("B", 1, norm=1), ones(N, P) / 5, -ones(N, P), 4.0),
    (ready.column_norm_bound("B", 0.2, norm="inf"), 0.2 * ones(N, P), ones(N, P), 0.8),
    (ready.column_norm_bound("C", [1, 2, 3, 4], norm=1), 0.5 * ones(Q, N), 4 * ones(Q, N), 7.0),
    (ready.convex_state(), 0.5 * np.eye(N), np.eye(N), 1.0),
]
IDS = [f"{constraint.name} {i}" for i, (constraint, *_) in enumerate(READY)]


@pytest.mark.parametrize(("constraint", "feasible", "infeasible", "violation"), READY, ids=IDS)
class TestReadyMade:
    def test_a_feasible_and_an_infeasible_point(self, constraint, feasible, infeasible, violation):
        problem = problem_with(constraint)
        it = problem.initial()
        good, bad = (it.replace(**{constraint.matrix: np.asarray(X, float)}) for X in (feasible, infeasible))
        assert problem.violations(good)[constraint.name] <= 1e-12
        assert problem.violations(bad)[constraint.name] == pytest.approx(violation)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_trained_model_meets_it(self, method, constraint, feasible, infeasible, violation):
        result = train(problem_with(constraint), method, max_cycles=2)
        assert result.violations[constraint.name] <= 1e-6
        assert result.violations["norm_bound"] <= 1e-12
        assert result.history["violation"].max() <= 1e-6
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        assert constraint.name in result.dual_values

    def test_it_costs_its_block_something(self, constraint, feasible, infeasible, violation):
        block = BLOCK_OF[constraint.matrix]
        free, bound = problem_with(), problem_with(constraint)
        it = start_of(free, block)
        loose, tight = (solve_block(problem, it, block) for problem in (free, bound))
        assert tight.solver in SOLVERS
        assert tight.certificate.violation <= 1e-6
        assert tight.objective >= loose.objective - 1e-6 * abs(loose.objective)
        if bound.violations(loose.iterate)[constraint.name] > 1e-2:
            assert tight.objective > loose.objective + 1e-6 * abs(loose.objective)

    def test_it_can_be_shown_pickled_and_subsetted(self, constraint, feasible, infeasible, violation):
        again = pickle.loads(pickle.dumps(constraint))
        assert repr(again) == repr(constraint)
        assert again.name == constraint.name
        assert len(repr(constraint)) < 100
        fewer = pickle.loads(pickle.dumps(problem_with(again).subset(inputs=np.arange(P) < 4)))
        assert list(fewer.constraints) == [constraint.name]
        if constraint.matrix in "BD":
            it = fewer.initial().replace(**{constraint.matrix: np.asarray(infeasible, float)[:, :4]})
            assert fewer.violations(it)[constraint.name] > 0.05


def test_arrays_that_change_later_change_no_constraint():
    mask, lower = np.eye(Q, P, dtype=bool), np.zeros((Q, P))
    fixed, box = ready.fixed_entries("D", mask), ready.box("D", lower=lower)
    mask[:], lower[:] = False, 5.0
    it = problem_with().initial().replace(D=np.ones((Q, P)))
    for constraint, violation in ((fixed, 1.0), (box, 0.0)):
        for copied in (constraint, copy.deepcopy(constraint), pickle.loads(pickle.dumps(constraint))):
            assert problem_with(copied).violations(it)[constraint.name] == violation


def test_representations():
    assert repr(ready.box("B", lower=0)) == "box(matrix='B', lower=0, upper=None)"
    assert repr(ready.box("B", lower=np.zeros((4, 5)))) == "box(matrix='B', lower=<array of shape (4, 5)>, upper=None)"
    assert repr(ready.row_norm_bound("C", np.ones(2))) == "row_norm_bound(matrix='C', bound=[1.0, 1.0], norm=2)"
    assert repr(ready.convex_state()) == "convex_state()"
    assert "constraints=['nonnegative(B)', 'mine']" in repr(
        random_problem(SIZE, constraints={"nonnegative(B)": ready.nonnegative("B"), "mine": lambda v: v["A"] <= 1})
    )


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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("constraint", "zeros"),
    [
        (ready.feedforward([1] * N), np.tril(np.ones((N, N), bool))),
        (ready.banded("A", 0, 1), ~np.eye(N, dtype=bool) & ~np.eye(N, k=1, dtype=bool)),
        (ready.fixed_entries("B", np.arange(P) == np.ones((N, 1))), np.arange(P) == np.ones((N, 1))),
    ],
)
def test_zeros_that_are_asked_for_are_exact(constraint, zeros, method):
    X = np.asarray(getattr(train(problem_with(constraint), method).model, constraint.matrix))
    assert (X[zeros] == 0).all()
    assert np.count_nonzero(X[~zeros]) > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "constraint",
    [
        ready.feedforward([N]),
        ready.fixed_entries("A", np.ones((N, N), bool)),
        ready.box("A", 0, 0),
        ready.l1_penalty("A", 9),
    ],
)
def test_a_whole_matrix_of_zeros_is_exact(constraint, method):
    assert not np.any(train(problem_with(constraint), method).model.A)


def test_an_l1_bound_leaves_exact_zeros_and_no_small_entries():
    problem = problem_with(ready.l1_bound("C", 0.3))
    C = np.abs(solve_block(problem, start_of(problem, "output"), "output", "SCS").iterate.C)
    assert 0 < np.count_nonzero(C) < C.size
    assert C[C > 0].min() > 1e-4 * C.max()


def posed(problem, block):
    made = make_block(problem, start_of(problem, block), block)
    made.cvxpy_problem()
    return made


def test_rounding_breaks_no_constraint():
    block = posed(problem_with(ready.box("B", lower=1e-7)), "hidden")
    small = np.full((N, P), 1e-7)
    small[0, 0] = 1.0
    it = block.it.replace(A=np.diag([0.5, 1e-9, 1e-9, 0]), B=small)
    rounded = block.rounded(it, 1e-6)
    assert (small == rounded.B).all()
    assert (rounded.A == it.A).all()  # no constraint acts on A
    one_known = ready.fixed_entries("A", np.eye(N) * np.eye(N)[0] > 0, 0.5)
    rounded = posed(problem_with(one_known), "hidden").rounded(it, 1e-6)
    assert (np.diag([0.5, 0, 0, 0]) == rounded.A).all()
    assert (small == rounded.B).all()


def test_rounding_costs_no_accuracy():
    rng = np.random.default_rng(0)
    problem = bi.TrainingProblem(
        rng.standard_normal((50, 2)), np.zeros(50), 2, ridge=0, constraints=[ready.l1_bound("D", 9)]
    )
    it = problem.initial(0)
    it = it.replace(D=np.array([[1.0, 5e-5]]))
    problem.Y = problem.prediction(it)
    block = make_block(problem, it, "output")
    block.cvxpy_problem()
    assert (block.rounded(it, 1e-6).D == it.D).all()  # small, but all the accuracy that there is hangs on it
    noisy = it.replace(d=np.array([1.0]))
    assert (block.rounded(noisy, 1e-6).D == [[1.0, 0.0]]).all()


def test_zeros_do_not_depend_on_units():
    rng = np.random.default_rng(1)
    U = rng.standard_normal((100, 4))
    Y = np.maximum(U @ rng.standard_normal((4, 2)), 0)
    signs = bi.TrainingProblem(U, Y * [1e5, 0.1], 5, ridge=1e-6, constraints=[ready.nonnegative("C")])
    model = train(signs, max_cycles=10).model
    assert r2_score(Y * [1e5, 0.1], model.predict(U), multioutput="raw_values").min() > 0.5
    layers = bi.TrainingProblem(U * [1, 1, 1, 1e8], Y, 4, constraints=[ready.feedforward([1] * 4)])
    assert (np.tril(train(layers).model.A) == 0).all()


def test_layers_of_one_are_a_strict_triangle():
    problem = problem_with(ready.feedforward([1] * N))
    it = problem.initial()
    assert problem.violations(it.replace(A=TRIANGLE))["feedforward(A)"] == 0
    for entry in [(0, 0), (1, 0), (3, 2)]:
        A = np.zeros((N, N))
        A[entry] = 1.0
        assert problem.violations(it.replace(A=A))["feedforward(A)"] == 1


def test_with_convex_state_the_state_block_has_no_proximal_term():
    free, convex = (random_problem(SIZE, norm_bound=0.9, constraints=c) for c in ((), [ready.convex_state()]))
    it = random_iterate(free)
    it = it.replace(C=np.zeros_like(it.C), A=0.9 * np.eye(N))
    assert np.linalg.norm(make_block(free, it, "state").proximal, 2) > 0.5
    it = solve_block(convex, it, "hidden").iterate
    assert np.linalg.norm(make_block(convex, it, "state").proximal, 2) <= 1e-6


def test_what_excludes_nothing_leaves_the_native_solver():
    problem = problem_with(ready.banded("A", N, N), ready.feedforward([N]))
    assert list(problem.violations(problem.initial())) == ["norm_bound", "feedforward(A)"]
    loose = problem_with(ready.banded("A", N, N))
    assert solve_block(loose, start_of(loose, "hidden"), "hidden").solver == "native"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ready.nonnegative("Z"), "matrix: unknown matrix 'Z'. Use one of A, B, C, D, b, d"),
        (lambda: ready.banded("b"), "matrix: unknown matrix 'b'. Use one of A, B, C, D"),
        (lambda: ready.banded("A", 1, -1), "upper: got -1, must be >= 0. Give 0 or more diagonals"),
        (lambda: ready.banded("A", 0.5), "lower: must be a whole number, got 0.5"),
        (lambda: ready.box("A"), "lower: and upper are absent or infinite. Give at least one finite bound"),
        (lambda: ready.box("A", -np.inf), "lower: and upper are absent or infinite"),
        (lambda: ready.box("A", [np.inf, 0]), "lower: is inf, or upper -inf"),
        (lambda: ready.box("A", 1, 0), "lower: is above upper. Exchange them"),
        (lambda: ready.box("A", np.zeros((2, 2)), np.zeros(3)), r"lower: has shape \(2, 2\), upper \(3,\)"),
        (lambda: ready.box("A", upper="x"), "upper: is not a number or an array of numbers"),
        (lambda: ready.box("A", upper=[0, np.nan]), "upper: contains NaN"),
        (lambda: ready.fixed_entries("A", [[0, 1]]), "mask: is not an array of booleans"),
        (lambda: ready.fixed_entries("A", [[True], [True, True]]), "mask: is not"),
        (lambda: ready.fixed_entries("A", [[False]]), "mask: has no True"),
        (lambda: ready.fixed_entries("A", [[True, False]], [1, 2, 3]), r"values: do not fit the mask's shape \(1, 2\)"),
        (lambda: ready.fixed_entries("A", [[True, False]], np.inf), "values: are not finite where the mask is True"),
        (lambda: ready.feedforward([]), r"layer_sizes: is \[\]. Give a list of sizes such as \[4, 3\]"),
        (lambda: ready.feedforward([2, 0]), "layer_sizes: got 0, must be >= 1"),
        (lambda: ready.symmetric("d"), "matrix: unknown matrix 'd'"),
        (lambda: ready.l1_bound("A", 0), "bound: got 0, must be > 0. Give a positive number; for exact zeros use"),
        (lambda: ready.l1_penalty("A", -1), "weight: got -1, must be >= 0. Give 0 or more"),
        (lambda: ready.nuclear_norm_bound("A", -1), "bound: got -1"),
        (lambda: ready.spectral_norm_bound("A", np.inf), "bound: must be finite, got inf"),
        (lambda: ready.row_norm_bound("A", 1, norm=3), "norm: unknown norm '3'. Use one of 1, 2, inf"),
        (lambda: ready.column_norm_bound("A", [1, 0]), "bound: is not positive and finite"),
        (lambda: ready.from_text("nope(B)"), r"constraint nope\(B\): cannot be read.*Write one of banded, box"),
        (lambda: ready.from_text("box(B, f(1))"), r"f\(1\) is no letter, number or list"),
        (lambda: ready.from_text("nonnegative("), "was never closed"),
        (lambda: ready.from_text("nonnegative(B).name"), "no ready-made constraint"),
        (lambda: ready.from_text("box(**{'matrix': 'B'})"), "cannot be read"),
        (lambda: ready.from_text("nonnegative(Z)"), r"constraint nonnegative\(Z\): matrix: unknown matrix 'Z'"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named_at_once(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (ready.box("B", lower=np.zeros((3, 3))), r"'box\(B\)': failed: .*lower has shape \(3, 3\).*shape \(4, 5\)"),
        (ready.feedforward([2, 1]), "layer_sizes sum to 3, n_hidden is 4"),
        (ready.symmetric("B"), r"B has shape \(4, 5\), which is not square"),
        (ready.fixed_entries("A", np.eye(3) > 0), r"mask has shape \(3, 3\), A has \(4, 4\)"),
        (ready.row_norm_bound("B", [1, 2, 3]), r"bound has shape \(3,\), B has 4 rows"),
        (ready.column_norm_bound("B", [1, 2, 3]), r"bound has shape \(3,\), B has 5 columns"),
    ],
)
def test_what_does_not_fit_the_problem_is_named(constraint, message):
    with pytest.raises(ConstraintError, match=message):
        problem_with(constraint)


def test_from_text_is_the_call():
    assert repr(ready.from_text(" box(C, lower=-0.5, upper=[1, 2]) ")) == repr(ready.box("C", -0.5, [1, 2]))
    assert repr(ready.from_text("row_norm_bound('B', 1, inf)")) == repr(ready.row_norm_bound("B", 1, "inf"))
    assert repr(ready.from_text("feedforward([2, 2])")) == repr(ready.feedforward([2, 2]))
    assert repr(ready.from_text("box(B, -inf, 1)")) == repr(ready.box("B", -np.inf, 1))
    with pytest.raises(
        InvalidInputError, match=r"unexpected keyword argument 'low'.* Its arguments are matrix, lower,"
    ):
        ready.from_text("box(B, low=1)")


# Names ---------------------------------------------------------------------------------------------------------------


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
        ("constraints", "message"),
        [
            ([keeps_b_small, keeps_b_small], "constraints: two have the name 'keeps_b_small'. Pass a mapping"),
            ({1: keeps_b_small}, "constraints: has the name 1, which is not text"),
            ({"norm_bound": keeps_b_small}, "'norm_bound' is the name of one of the problem's own. Rename yours"),
            ("abc", "constraints: is a str. Pass a list of functions, or a mapping"),
            (3, "constraints: is a int"),
            (ready.nonnegative("A"), "constraints: is a function. Pass a list"),
            ([1], r"constraints\[0\]: is a int. Pass a function such as lambda v"),
            ({"mine": 1}, "constraint 'mine': is a int"),
            ([ready.nonnegative], r"constraint 'nonnegative': is not called. Call it with its arguments \(matrix\)"),
            ([lambda v: v["A"] <= np.nan], "A <= nan contains NaN or infinity"),
            ([lambda v: v["A"] <= np.inf], "A <= inf contains NaN or infinity. Leave out bounds that are infinite"),
        ],
    )
    def test_bad_ones(self, constraints, message):
        with pytest.raises(ConstraintError, match=message):
            random_problem(SIZE, constraints=constraints)


# What a function may return --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda v: v["A"] @ v["A"] <= 1, "A @ A <= 1.0 is not convex by CVXPY's rules: A @ A is neither convex nor"),
        (lambda v: cp.sum(cp.exp(v["A"] @ v["A"])), "exp.* is not convex.*: A @ A is neither convex nor concave"),
        (lambda v: cp.sqrt(v["A"]) <= 1, "bounds a convex expression from below, or a concave one from above"),
        (lambda v: cp.square(v["A"]) == 1, "is not convex.*this kind of constraint needs affine expressions"),
        (lambda v: -cp.norm(v["C"], "fro"), "is not convex.*it is concave, and a penalty is minimised"),
        (lambda v: cp.abs(v["C"]), r"returned the expression abs\(C\) of shape \(2, 4\), and a penalty is one number"),
        (lambda v: [v["A"] >= 0, cp.abs(v["A"])], "a penalty is one number"),
        (lambda v: v["A"][0, 0] >= v["C"][0, 0], "couples A and C, which no single block holds.*A, B, b, or C, D, d"),
        (lambda v: v["B"] + v["D"] <= 1, "couples B and D"),
        (lambda v: v["X"] >= 0, "asks for X, which the equilibrium decides. Choose from A, B, b, or C, D, d"),
        (lambda v: v["Q"] >= 0, "asks for Q, which is no variable. Choose from A, B, b, or C, D, d"),
        (lambda v: True, "returned True, not a CVXPY constraint or penalty. Return a comparison"),
        (lambda v: 0.5, "returned 0.5, not a CVXPY constraint or penalty"),
        (lambda v: v["A"] >= 0 if "A" in v else None, "returned None, not a CVXPY constraint"),
        (lambda v: 1 / 0, "failed: ZeroDivisionError: division by zero. CVXPY variables have the shapes"),
        (lambda v: v["A"] <= np.ones((2, 2)), r"failed: ValueError.*shapes A \(4, 4\), B \(4, 5\), b \(4,\), C"),
        (lambda v: 0 <= v["A"] <= 1, "failed: Exception: .*chain constraints"),
        (lambda v: v["A"] <= cp.Variable(name="t"), "has variables of its own, t. Write it in the variables"),
        (lambda v: cp.Constant(1.0) >= 0, "depends on none of the variables"),
        (lambda v: v["A"] <= cp.Parameter(name="w"), "parameter w has no value. Set its .value first"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_which_and_why(function, message):
    with pytest.raises(ConstraintError, match=f"constraint 'mine': .*{message}"):
        random_problem(SIZE, constraints={"mine": function})
    with pytest.raises(ConstraintError, match=r"^constraints\[1\]: "):
        random_problem(SIZE, constraints=[lambda v: v["A"] <= 1, function])


def test_a_parameter_may_change_between_solves():
    bound = cp.Parameter(nonneg=True, value=1e-3)
    problem = problem_with(lambda v: cp.norm(v["C"], "fro") <= bound)
    it = start_of(problem, "output")
    assert np.linalg.norm(solve_block(problem, it, "output").iterate.C) == pytest.approx(1e-3, rel=1e-3)
    bound.value = 0.1
    assert np.linalg.norm(solve_block(problem, it, "output").iterate.C) == pytest.approx(0.1, rel=1e-3)


# Penalties -----------------------------------------------------------------------------------------------------------

PENALTIES = {"A": lambda v: 0.1 * cp.norm(v["A"], "fro"), "C": lambda v: [0.2 * cp.sum(cp.abs(v["C"]))]}


class TestPenalties:
    def test_they_are_part_of_the_objective(self):
        free = problem_with()
        problem = free.replace(constraints=PENALTIES)
        it = random_iterate(problem)
        extra = 0.1 * np.linalg.norm(it.A) + 0.2 * np.abs(it.C).sum()
        assert problem.user_penalty(it) == pytest.approx(extra)
        assert problem.user_penalty(it, without=("A", "B", "b")) == pytest.approx(0.2 * np.abs(it.C).sum())
        for name in ("objective", "objective_at_states", "equilibrium_objective"):
            assert getattr(problem, name)(it) == pytest.approx(getattr(free, name)(it) + extra)
        assert list(problem.violations(it)) == ["norm_bound"]

    @pytest.mark.parametrize("block", bi.BLOCKS)
    def test_cvxpy_and_numpy_agree_on_every_block(self, block):
        problem = problem_with().replace(constraints=PENALTIES)
        prepared = make_block(problem, start_of(problem, block), block)
        posed = prepared.cvxpy_problem()
        for letter, variable in posed.var_dict.items():
            variable.value = getattr(prepared.it, letter)
        assert posed.objective.value == pytest.approx(prepared.objective(prepared.it), rel=1e-9)
        solution = solve_block(problem, prepared.it, block)
        assert solution.solver == "native" if block == "state" else solution.solver in SOLVERS
        assert solution.objective <= prepared.objective(prepared.it) + 1e-9

    @pytest.mark.parametrize("method", METHODS)
    def test_a_model_trained_with_a_penalty(self, method):
        free, result = train(problem_with(), method), train(problem_with(ready.l1_penalty("C", 1.0)), method)
        assert np.abs(result.iterate.C).sum() < 0.5 * np.abs(free.iterate.C).sum()
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        assert result.objective == pytest.approx(
            free.problem.objective_at_states(result.iterate) + np.abs(result.iterate.C).sum()
        )

    def test_a_penalty_equals_the_constraint_whose_dual_value_is_its_weight(self):
        bound = problem_with(ready.l1_bound("C", 0.5))
        it = start_of(bound, "output")
        constrained = solve_block(bound, it, "output", "CLARABEL")
        weight = float(constrained.dual_values["l1_bound(C)"])
        assert weight > 1e-2
        penalised = solve_block(problem_with(ready.l1_penalty("C", weight)), it, "output", "CLARABEL")
        np.testing.assert_allclose(penalised.iterate.C, constrained.iterate.C, atol=1e-4)

    def test_the_weight_of_the_ridge_as_a_penalty_is_the_ridge(self):
        ridge, own = problem_with(ridge=0.3), problem_with(
            lambda v: 0.15 * (cp.sum_squares(v["C"]) + cp.sum_squares(v["D"])), ridge=0.0
        )  # fmt: skip
        it = start_of(ridge, "output")
        native, conic = solve_block(ridge, it, "output", "native"), solve_block(own, it, "output", "CLARABEL")
        assert conic.objective == pytest.approx(native.objective, rel=1e-6)

    def test_a_barrier_finds_a_start_where_it_is_finite(self):
        problem = problem_with(lambda v: -0.01 * cp.sum(cp.log(v["C"])))
        assert problem.user_penalty(problem.initial()) == np.inf
        result = train(problem)
        assert result.iterate.C.min() > 0
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_negative_objective_is_not_taken_for_zero(self, method):
        problem = problem_with(lambda v: cp.sum_squares(v["d"]) - 50)
        result = train(problem, method, max_cycles=6, tol=1e-9)
        assert result.objective < 0
        assert result.n_cycles > 1


# What they do to solving -------------------------------------------------------------------------------------------


class TestBlocks:
    @pytest.mark.parametrize("solver", ["native", "auto"])
    @pytest.mark.parametrize("constraint", [lambda v: v["A"] >= 0, lambda v: cp.norm(v["A"], "fro")])
    def test_blocks_that_they_touch_go_through_cvxpy_and_others_stay_native(self, constraint, solver):
        problem = problem_with(constraint)
        for block in ("hidden", "prox-linear"):
            bound = solve_block(problem, start_of(problem, block), block, solver)
            assert bound.solver in SOLVERS
            assert not bound.certificate.known
        for block in ("output", "state"):
            free = solve_block(problem, start_of(problem, block), block, solver)
            assert free.solver == "native"
            assert free.certificate.holds(1e-6)

    @pytest.mark.parametrize("method", METHODS)
    def test_the_model_changes_as_it_should(self, method):
        free, signed = train(problem_with(), method), train(problem_with(lambda v: v["B"] >= 0), method)
        assert free.model.B.min() < -1e-2
        assert signed.model.B.min() >= -1e-6
        assert signed.model.B.max() > 1e-2
        assert signed.certificates["output"].holds(1e-6)  # solved natively, so its gap is known

    @pytest.mark.parametrize("block", ["hidden", "prox-linear", "output"])
    def test_they_hold_and_cost_something(self, block):
        letter = "C" if block == "output" else "B"
        free = problem_with()
        problem = free.replace(constraints=[lambda v: v[letter] >= 0])
        it = start_of(free, block)
        bound, loose = solve_block(problem, it, block), solve_block(free, it, block)
        assert getattr(bound.iterate, letter).min() >= -1e-6
        assert getattr(loose.iterate, letter).min() < -1e-3
        assert bound.objective >= loose.objective - 1e-9
        assert bound.certificate.violation <= 1e-6

    @pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
    def test_the_cleaning_of_small_columns_respects_them(self, method):
        # With this kappa a zero column would be better, and is what the constraints forbid.
        rng = np.random.default_rng(0)
        U = rng.standard_normal((60, 4))
        wanted = [lambda v: v["B"][0, 0] >= 0.5, lambda v: v["B"][:, 1] == 0.01]
        problem = bi.TrainingProblem(U, np.sin(U[:, :2]), 3, kappa=0.5, constraints=wanted)
        block = "hidden" if method == "fenchel" else method
        solution = solve_block(problem, problem.initial(), block, "CLARABEL")
        assert solution.iterate.B[0, 0] == pytest.approx(0.5, abs=1e-5)
        np.testing.assert_allclose(solution.iterate.B[:, 1], 0.01, atol=1e-6)
        assert not solution.iterate.B[:, 2:].any()  # free columns still become exact zeros
        result = bi.solve(problem, method, max_cycles=30, tol=1e-2)
        assert max(result.violations.values()) <= 1e-6
        assert result.history["violation"].max() <= 1e-6

    def test_the_violation_is_that_of_the_returned_point(self):
        problem = problem_with(lambda v: v["B"][0, 0] >= 0.5, lambda v: [v["A"] <= 0.1, cp.sum(v["A"]) == 1])
        block = make_block(problem, random_iterate(problem), "hidden")
        it = block.it.replace(B=np.zeros((N, P)), A=0.2 * np.eye(N))
        assert block.user_violations(it) == pytest.approx({"constraints[0]": 0.5, "constraints[1]": 0.2})

    def test_a_violation_that_is_not_defined_is_infinite(self):
        problem = problem_with(lambda v: -cp.log(v["A"][0, 0]) <= 1)
        it = problem.initial()
        assert problem.violations(it.replace(A=-np.eye(N)))["constraints[0]"] == np.inf
        with pytest.raises(BlockSolveError, match=r"infeasible"):  # log 0.3 < -1
            bi.solve(problem.replace(norm_bound=0.3))
        assert train(problem).iterate.A[0, 0] >= np.exp(-1) - 1e-6

    def test_solvers_are_tried_until_one_is_feasible(self, monkeypatch):
        problem = problem_with(ready.nonnegative("A"))
        it = start_of(problem, "hidden")
        assert solve_block(problem, it, "hidden").solver == "SCS"
        monkeypatch.setitem(SOLVERS, "SCS", lambda tol: {"max_iters": 3})
        solution = solve_block(problem, it, "hidden")
        assert solution.solver in ("CLARABEL", "ECOS")
        assert solution.certificate.violation <= 1e-6
        with pytest.warns(bi.ConvergenceWarning, match=r"violation .* of 'nonnegative\(A\)'. Try another solver"):
            starved = solve_block(problem, it, "hidden", "SCS")
        assert not starved.feasible
        monkeypatch.setitem(SOLVERS, "CLARABEL", lambda tol: {"max_iter": 4})
        monkeypatch.setitem(SOLVERS, "ECOS", lambda tol: {"max_iters": 6})
        with pytest.warns(bi.ConvergenceWarning):
            best, *others = (solve_block(problem, it, "hidden", s) for s in ("auto", "CLARABEL", "ECOS"))
        assert best.feasible
        assert best.objective == min(other.objective for other in others if other.feasible)

    @pytest.mark.parametrize("letter", ["B", "C"])
    def test_semidefinite_cones_are_not_for_ecos_and_auto_copes(self, letter):
        problem, block = problem_with(ready.nuclear_norm_bound(letter, 0.5)), BLOCK_OF[letter]
        it = start_of(problem, block)
        for solver in ("auto", "native", "cvxpy", "CLARABEL", "SCS"):
            assert solve_block(problem, it, block, solver).certificate.violation <= 1e-6
        with pytest.raises(BlockSolveError, match="ECOS lacks a cone that the block needs.*: use SCS or CLARABEL"):
            solve_block(problem, it, block, "ECOS")

    def test_block_problem_shows_them(self):
        problem = problem_with(ready.box("C", upper=0.1), ready.l1_penalty("C", 1.0))
        posed = block_problem(problem, problem.initial(), "output")
        assert len(posed.constraints) == 1
        assert posed.solve(solver="CLARABEL") == pytest.approx(
            solve_block(problem, problem.initial(), "output", "CLARABEL").objective, rel=1e-6
        )


class TestLoops:
    @pytest.mark.parametrize("method", METHODS)
    def test_a_step_that_violates_one_is_not_taken(self, method, monkeypatch):
        problem = problem_with(ready.nonnegative("C"))
        solve = bcd._Loop.solve

        def spoilt(loop, block):
            solution = solve(loop, block)
            if block.name == "output":
                solution = replace(solution, iterate=solution.iterate.replace(C=-np.ones((Q, N))))
                bad = replace(solution.certificate, violation=1.0)
                loop.certificates["output"] = bad
                return replace(solution, certificate=bad)
            return solution

        monkeypatch.setattr(bcd._Loop, "solve", spoilt)
        with pytest.warns(bi.ConvergenceWarning, match="stopped without progress while a block missed its tolerance"):
            result = train(problem, method, max_cycles=10, tol=1e-1)
        assert result.violations["nonnegative(C)"] == 0
        assert result.status is Status.STALLED

    def test_a_feasible_start_stays_as_it_is(self):
        problem = problem_with(ready.nonnegative("B"))
        it = problem.initial()
        it = it.replace(B=np.abs(it.B) * [0, 1, 1, 0, 1])
        np.testing.assert_array_equal(bcd.feasible_start(problem, it).B, it.B)
        moved = bcd.feasible_start(problem, it.replace(B=it.B - 0.1)).B
        np.testing.assert_allclose(moved, np.maximum(it.B - 0.1, 0), atol=1e-6)

    def test_a_feasible_start_is_found_where_a_solver_fails(self, monkeypatch):
        run, asked = feasibility.run_solver, []

        def failing(posed, name, solver, tol):
            asked.append(solver)
            if solver == "CLARABEL":
                raise BlockSolveError(name, solver, "failed: no progress", "Try another")
            return run(posed, name, solver, tol)

        monkeypatch.setattr(feasibility, "run_solver", failing)
        problem = problem_with(ready.nuclear_norm_bound("B", 0.1))
        it = bcd.feasible_start(problem, problem.initial())
        assert problem.violations(it)["nuclear_norm_bound(B)"] <= 1e-6
        assert asked == ["CLARABEL", "ECOS", "SCS"]  # ECOS lacks the cone
        monkeypatch.setattr(feasibility, "SOLVERS", ["CLARABEL", "ECOS"])
        with pytest.raises(BlockSolveError, match="failed: no progress"):
            bcd.feasible_start(problem, problem.initial())

    @pytest.mark.parametrize("method", METHODS)
    def test_several_at_once(self, method):
        problem = problem_with(lambda v: [v["A"][0] == 0, v["B"] >= 0], lambda v: v["C"] <= 1, ready.symmetric())
        result = train(problem, method, max_cycles=4)
        assert np.abs(result.iterate.A[0]).max() <= 1e-6
        assert np.abs(result.iterate.A[:, 0]).max() <= 1e-6
        assert result.iterate.B.min() >= -1e-6
        assert result.iterate.C.max() <= 1 + 1e-6
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        assert set(result.dual_values) == {"norm_bound", "constraints[0]", "constraints[1]", "symmetric(A)"}
        assert [len(d) for d in result.dual_values["constraints[0]"]] == [N, N]


# Infeasible ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraints", "options", "message"),
    [
        ({"large": lambda v: v["A"] >= 1}, {}, "No point meets norm_bound=0.8 and 'large' together: relax one of them"),
        ({"odd": lambda v: [v["C"] >= 1, v["C"] <= 0]}, {}, "No point meets 'odd': relax it"),
        (
            {
                "up": lambda v: v["B"][0, 0] >= 1,
                "loose": lambda v: v["B"] <= 9,
                "down": lambda v: v["B"][0, 0] <= 0,
                "sign": ready.nonnegative("A"),
            },
            {},
            "No point meets 'up' and 'down' together",
        ),
        (
            {"up": lambda v: v["B"] >= 1, "down": lambda v: v["B"] <= 0, "large": lambda v: v["A"] >= 1},
            {},
            "No point meets norm_bound=0.8 and 'large' together",  # the one that fails alone, before the two
        ),
        ({"D": lambda v: v["D"] >= 1}, {"pass_through": False}, "No point meets pass_through=False and 'D' together"),
        ({"b": lambda v: v["b"] >= 1}, {"fit_intercept": False}, "No point meets fit_intercept=False and 'b' together"),
        ({"B": lambda v: v["B"] >= 1}, {"group_form": "constraint"}, "No point meets kappa=0.02 as a bound and 'B'"),
        ({"log": lambda v: -cp.log(v["A"][0, 0] - 1)}, {}, "No point meets norm_bound=0.8 and 'log' together"),
    ],
)  # fmt: skip
def test_constraints_in_conflict_are_named(constraints, options, message):
    problem = problem_with(**options).replace(constraints=constraints)
    block = "output" if {"odd", "D"} & constraints.keys() else "hidden"
    for act in (lambda: bi.solve(problem), lambda: solve_block(problem, random_iterate(problem), block)):
        with pytest.raises(BlockSolveError, match=message) as caught:
            act()
        assert caught.value.infeasible


def test_radii_of_zero_have_the_same_dual_values_by_all_solvers():
    it = random_iterate(random_problem(SIZE))
    it = it.replace(A=0 * it.A)
    for options in ({"norm_bound": 0.0}, {"norm_bound": 0.0, "group_form": "constraint"}):
        problem = random_problem(SIZE, **{"kappa": 0.3} | options)
        native, conic = (solve_block(problem, it, "hidden", solver).dual_values for solver in ("native", "CLARABEL"))
        assert native["norm_bound"].shape == (N,)
        assert native["norm_bound"].max() > 1e-3
        for name in native:
            np.testing.assert_allclose(native[name], conic[name], rtol=1e-3, atol=1e-5)


def test_a_group_bound_of_zero_has_one_dual_value():
    problem = random_problem(SIZE, kappa=0.0, group_form="constraint")
    it = random_iterate(random_problem(SIZE)).replace(B=np.zeros((N, P)))  # states that only inputs could explain
    native, conic = (solve_block(problem, it, "hidden", s).dual_values["group_lasso"] for s in ("native", "CLARABEL"))
    assert float(native) == pytest.approx(float(conic), rel=1e-3)
    assert native > 1e-3


@pytest.mark.parametrize("solver", SOLVERS)
def test_any_solver_says_that_a_block_is_infeasible(solver):
    problem = problem_with(lambda v: v["A"] >= 1)
    with pytest.raises(BlockSolveError, match=rf"'hidden': solver {solver}.*infeasible.*constraints\[0\]") as caught:
        solve_block(problem, random_iterate(problem), "hidden", solver)
    assert caught.value.infeasible


# Dual values ---------------------------------------------------------------------------------------------------------


def slope(make, value, block, step=5e-3):
    """Change of the block's optimal objective per unit of a constraint's bound, and the dual values there."""
    problems = [problem_with(make(value + shift)) for shift in (-step, 0.0, step)]
    it = start_of(problems[1], block)
    low, here, high = (solve_block(p, it, block, "CLARABEL") for p in problems)
    (name,) = problems[1].constraints
    return (high.objective - low.objective) / (2 * step), here.dual_values[name]


@pytest.mark.parametrize(
    ("make", "value", "block", "sign"),
    [
        (lambda t: ready.box("C", upper=t), 0.2, "output", -1),
        (lambda t: ready.box("B", lower=t), 0.05, "hidden", 1),
        (lambda t: ready.box("A", upper=t), 0.02, "prox-linear", -1),
        (lambda t: ready.nuclear_norm_bound("C", t), 0.5, "output", -1),
        (lambda t: ready.nuclear_norm_bound("B", t), 0.5, "hidden", -1),
        (lambda t: ready.spectral_norm_bound("A", t), 0.1, "prox-linear", -1),
        (lambda t: ready.l1_bound("D", t), 0.3, "output", -1),
        (lambda t: ready.l1_bound("B", t), 0.5, "prox-linear", -1),
        (lambda t: ready.fixed_entries("D", MASK, t), 0.2, "output", -1),
        (lambda t: ready.column_norm_bound("C", t), 0.2, "output", -1),
        (lambda t: lambda v: cp.sum(v["A"]) == t, 0.3, "hidden", -1),
    ],
)
def test_dual_values_are_the_sensitivities_of_the_blocks_optimum(make, value, block, sign):
    rate, duals = slope(make, value, block)
    assert abs(rate) > 1e-3
    assert sign * float(np.sum(duals)) == pytest.approx(rate, rel=2e-2)


def test_dual_values_of_inequalities_are_nonnegative_and_zero_where_slack():
    problem = problem_with(ready.box("C", -0.3, 0.3))
    solution = solve_block(problem, start_of(problem, "output"), "output", "CLARABEL")
    lower, upper = solution.dual_values["box(C)"]
    C = solution.iterate.C
    assert lower.shape == upper.shape == (Q, N)
    assert min(lower.min(), upper.min()) >= -1e-9
    assert max(lower[C > -0.29].max(initial=0), upper[C < 0.29].max(initial=0)) <= 1e-6
    assert max(lower.max(), upper.max()) > 5e-3


@pytest.mark.parametrize("method", METHODS)
def test_dual_values_of_a_run_are_those_of_the_last_solved_blocks(method):
    problem = problem_with(ready.box("B", -0.1, 0.1), ready.l1_bound("C", 0.5), ready.l1_penalty("b", 0.1))
    result = train(problem, method)
    assert set(result.dual_values) == {"norm_bound", "box(B)", "l1_bound(C)"}
    assert [part.shape for part in result.dual_values["box(B)"]] == [(N, P), (N, P)]
    # The loops end with the output block at the final states, so its dual value can be had again.
    again = solve_block(problem, result.iterate, "output")
    assert float(result.dual_values["l1_bound(C)"]) == pytest.approx(float(again.dual_values["l1_bound(C)"]), rel=1e-3)
