"""The pattern: what is taken for one, what is refused, and that every change of a problem keeps it."""

import numpy as np
import pandas as pd
import pytest
from patterns import entries_held, network_masks, random_masks
from problems import random_iterate, random_problem
from scipy import sparse

import bcd_implicit as bi
from bcd_implicit.terms.activations import LeakyRelu
from bcd_implicit.training.checkpoint import described

SIZE = (4, 5, 3, 30)
SHAPES = {"A": (4, 4), "B": (4, 5), "C": (3, 4), "D": (3, 5)}
MASKS = random_masks(SHAPES)


def free_of(problem):
    return {letter: mask.tolist() for letter, mask in problem.pattern.free.items()}


@pytest.mark.parametrize(
    "as_given",
    [
        lambda mask: mask,
        lambda mask: mask.astype(int),
        lambda mask: mask.astype(float).tolist(),
        sparse.csr_array,
        sparse.coo_matrix,
    ],
    ids=["bool", "0 and 1", "lists", "csr", "coo"],
)
def test_masks_of_all_kinds_are_the_same(as_given):
    problem = random_problem(SIZE, pattern={letter: as_given(mask) for letter, mask in MASKS.items()})
    assert free_of(problem) == {letter: mask.tolist() for letter, mask in MASKS.items()}


def test_absent_letters_and_masks_of_true_are_free():
    problem = random_problem(SIZE, pattern={"A": MASKS["A"], "B": np.ones(SHAPES["B"])})
    assert problem.pattern.free.keys() == {"A"}
    assert not random_problem(SIZE).pattern
    assert not random_problem(SIZE, pattern={}).pattern


def test_a_model_stands_for_its_entries_that_are_not_zero():
    given = random_problem(SIZE, pattern=MASKS)
    dense = random_iterate(given).replace(A=np.full((4, 4), 0.1))
    model = given.model(given.pattern.applied(dense))
    assert free_of(random_problem(SIZE, pattern=model)) == free_of(given)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (np.ones((4, 4)), "pattern: is of type ndarray. Pass a mapping such as"),
        ({"X": np.ones((4, 30))}, "pattern: has 'X', which is not a matrix. Use A, B, C, D"),
        ({"b": np.ones(4)}, "pattern: has 'b', which is not a matrix"),
        ({"A": np.ones((4, 5))}, "pattern: of A has shape (4, 5), (4, 4) needed"),
        ({"B": np.ones(5)}, "pattern: of B has shape (5,), (4, 5) needed"),
        ({"C": np.full((3, 4), 2)}, "pattern: of C has entries other than True and False, 0 and 1"),
        ({"C": np.full((3, 4), np.nan)}, "pattern: of C has entries other than"),
        ({"A": [["yes"] * 4] * 4}, "pattern: of A has entries other than"),
        ({"A": [[1, 0], [1]]}, "pattern: of A has rows of different lengths. Give a mask of A's shape"),
        ({"A": None}, "pattern: of A is None, not a table. Give a mask of A's shape"),
        ({"A": "upper"}, "pattern: of A is one str, not a table"),
        (
            {"C": [[True, True, "no", 2]] * 3},
            "pattern: of C has entries other than True and False, 0 and 1, such as",
        ),
        ({"B": np.zeros((4, 5)), "D": np.zeros((3, 5))}, "pattern: leaves no entry of B and D free: no input is used"),
    ],
)
def test_bad_patterns_are_named(pattern, message):
    with pytest.raises(bi.InvalidInputError) as error:
        random_problem(SIZE, pattern=pattern)
    assert str(error.value).startswith(message)


def named(**settings):
    rng = np.random.default_rng(0)
    U, Y = (pd.DataFrame(rng.standard_normal((20, len(names))), columns=list(names)) for names in ("abc", "pq"))
    return bi.TrainingProblem(U, Y, 2, **settings)


def network(inputs, outputs, activation="relu", D=((1, 0, 0), (0, 0, 0))):
    names = {"input_names": inputs, "output_names": outputs}
    return bi.ImplicitModel(
        [[0, 0.1], [0, 0]], [[1, 0, 0], [0, 0, 0]], None, [[1, 0], [0, 2]], D, [3, 4], activation, **names
    )


def test_labels_of_masks_are_matched_by_name():
    B = pd.DataFrame([[1, 0, 0]] * 2, columns=list("cab"))
    D = pd.DataFrame([[1, 0, 0], [0, 0, 0]], index=["q", "p"], columns=list("cab"), dtype=object)
    masks = named(pattern={"B": B, "C": pd.DataFrame([[1, 0], [0, 0]], index=["q", "p"]), "D": D}).pattern.free
    assert masks["B"].tolist() == [[False, False, True]] * 2
    assert masks["C"].tolist() == [[False, False], [True, False]]
    assert masks["D"].tolist() == [[False] * 3, [False, False, True]]
    # Without names on one side the order counts, and so do labels that only count.
    for frame in (B.to_numpy(), B.set_axis(range(3), axis=1)):
        assert named(pattern={"B": frame}).pattern.free["B"].tolist() == [[True, False, False]] * 2
    for matrix, mask, message in [
        (
            "B",
            B.set_axis(list("xyz"), axis=1),
            "of B has the inputs 'x', 'y', 'z', but the problem 'a', 'b', 'c'. Give",
        ),
        ("D", D.set_axis(["p", "r"]), "of D has the outputs 'p', 'r', but the problem 'p', 'q'. Give"),
    ]:
        with pytest.raises(bi.InvalidInputError, match=f"^pattern: {message}"):
            named(pattern={matrix: mask})


def test_names_of_a_model_are_matched_in_patterns_and_starts():
    model, problem = network(list("cab"), ["q", "p"]), named()
    free = named(pattern=model).pattern.free
    assert free["B"].tolist() == [[False, False, True], [False] * 3]
    assert free["C"].tolist() == [[False, True], [True, False]]
    assert free["D"].tolist() == [[False] * 3, [False, False, True]]
    it = problem.iterate(model)
    U = pd.DataFrame(problem.U.T, columns=list("abc"))
    np.testing.assert_allclose(problem.prediction(it).T, model.predict(U)[:, ::-1])
    by_order = problem.iterate(network(None, None))
    np.testing.assert_array_equal(by_order.B, [[1, 0, 0], [0, 0, 0]])
    for inputs, outputs in [(list("xyz"), None), (None, ["p", "r"])]:
        for use in (lambda model: named(pattern=model), problem.iterate):
            with pytest.raises(bi.InvalidInputError, match="has the (in|out)puts .*, but the problem .* Give them"):
                use(network(inputs, outputs))


def test_a_model_of_other_functions_is_no_pattern():
    for activation, message in [
        ("tanh", "has states of tanh, but the problem of relu. Set the problem's activation='tanh'"),
        (LeakyRelu(0.2), "has states of leaky_relu .*, but the problem of relu. .*activation=model.activation"),
        (
            [("tanh", 1), ("relu", 1)],
            "has states of tanh .1., relu .1., but the problem of relu. Problems have one activ",
        ),
    ]:
        with pytest.raises(bi.InvalidInputError, match=f"^pattern: {message}"):
            named(pattern=network(None, None, activation))
    assert named(pattern=network(None, None, "tanh"), activation="tanh").pattern


def test_without_pass_through_b_has_to_be_open():
    with pytest.raises(bi.InvalidInputError, match="leaves no entry of B free"):
        random_problem(SIZE, pattern={"B": np.zeros((4, 5))}, pass_through=False)
    # With it the inputs act through D: a linear model, if no entry of C is free either.
    problem = random_problem(SIZE, pattern={"B": np.zeros((4, 5))})
    with pytest.raises(bi.InvalidInputError, match="leaves no entry of B free"):
        problem.replace(pass_through=False)


@pytest.mark.parametrize("mask", [np.ones((3, 5)), MASKS["D"]], ids=["all", "some"])
def test_without_pass_through_no_entry_of_d_can_be_free(mask):
    with pytest.raises(bi.InvalidInputError, match="pattern: has free entries of D, but pass_through=False keeps"):
        random_problem(SIZE, pattern={"D": mask}, pass_through=False)
    closed = np.zeros((3, 5))
    assert random_problem(SIZE, pattern={"A": MASKS["A"], "D": closed}, pass_through=False).pattern
    # Of a problem that stands D goes as a whole.
    through = random_problem(SIZE, pattern={"D": mask})
    assert not through.replace(pass_through=False).initial(0).D.any()


def test_a_model_without_pass_through_is_a_pattern_without_it():
    given = random_problem(SIZE, pattern=MASKS | {"D": np.zeros((3, 5))})
    model = given.model(given.pattern.applied(random_iterate(given)))
    assert random_problem(SIZE, pattern=model, pass_through=False).pattern
    through = bi.ImplicitModel(model.A, model.B, None, model.C, np.ones((3, 5)))
    with pytest.raises(bi.InvalidInputError, match=r"has free entries of D.*in a model, make it zero"):
        random_problem(SIZE, pattern=through, pass_through=False)


def test_replace_keeps_exchanges_and_drops_it():
    problem = random_problem(SIZE, pattern=MASKS)
    assert free_of(problem.replace(kappa=0.3)) == free_of(problem)
    assert free_of(problem.replace(pattern={"A": MASKS["A"]})) == {"A": MASKS["A"].tolist()}
    assert not problem.replace(pattern=None).pattern
    with pytest.raises(bi.InvalidInputError, match=r"pattern: of A has shape \(4, 4\), \(7, 7\) needed.*new n_hidden"):
        problem.replace(n_hidden=7)
    assert problem.replace(n_hidden=7, pattern=None).n_hidden == 7


def test_a_part_of_the_inputs_keeps_its_columns():
    problem = random_problem(SIZE, pattern=MASKS)
    inputs = np.array([True, False, False, True, True])
    smaller = problem.subset(inputs=inputs)
    np.testing.assert_array_equal(smaller.pattern.free["B"], MASKS["B"][:, inputs])
    np.testing.assert_array_equal(smaller.pattern.free["D"], MASKS["D"][:, inputs])
    np.testing.assert_array_equal(smaller.pattern.free["A"], MASKS["A"])
    assert problem.subset(samples=np.arange(10)).pattern is problem.pattern


def test_it_is_shown_only_where_there_is_one():
    problem = random_problem(SIZE, pattern={"C": MASKS["C"]})
    words = f"pattern=Pattern(C: {MASKS['C'].sum()} of 12 free)"
    assert words in repr(problem)
    assert words[8:] in problem._repr_html_()
    assert "pattern" not in repr(random_problem(SIZE))
    assert "pattern" not in random_problem(SIZE)._repr_html_()


def test_a_checkpoint_tells_patterns_apart():
    one, other = (described(random_problem(SIZE, pattern=p))["pattern"] for p in (MASKS, MASKS | {"A": ~MASKS["A"]}))
    assert {letter for letter in MASKS if one[letter] != other[letter]} == {"A"}
    # Files written before there were patterns.
    assert "pattern" not in described(random_problem(SIZE))


def test_violations_are_relative_and_named():
    problem = random_problem(SIZE, pattern=MASKS)
    it = problem.pattern.applied(random_iterate(problem))
    assert problem.violations(it)["pattern"] == 0
    assert "pattern" not in random_problem(SIZE).violations(it)
    B = 1e9 * it.B
    B[1, 0] = 1e-3 * np.abs(B).max()
    assert not MASKS["B"][1, 0]
    assert problem.violations(it.replace(B=B))["pattern"] == pytest.approx(1e-3)
    assert problem.violation(it.replace(B=B)) >= 1e-3


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_every_layer_of_a_start_varies(fit_intercept):
    problem = random_problem((9, 5, 2, 40), pattern=network_masks(5, [3, 3, 3], 2), fit_intercept=fit_intercept)
    it = problem.initial(0)
    assert np.all(it.X.std(axis=1) > 0)
    assert problem.violation(it) <= 1e-12
    assert not entries_held(problem, it).any()
    # Later layers begin with preactivations of unit variance, and through the centre of what they see.
    Z = (it.A @ it.X + it.b[:, None])[:6]
    np.testing.assert_allclose(Z.std(axis=1), 1)
    if fit_intercept:
        np.testing.assert_allclose(Z.mean(axis=1), 0, atol=1e-12)
    # The first layer's rows are those that it would have without others.
    alone = random_problem((9, 5, 2, 40), fit_intercept=fit_intercept).initial(0)
    np.testing.assert_array_equal(it.B[6:], alone.B[6:])


def test_a_cycle_of_features_without_inputs_has_a_start_as_well():
    masks = {"A": ~np.eye(3, dtype=bool), "B": np.array([[True] * 5, [False] * 5, [False] * 5])}
    problem = random_problem((3, 5, 2, 40), pattern=masks)
    it = problem.initial(0)
    assert np.all(it.X.std(axis=1) > 0)
    assert not entries_held(problem, it).any()
    np.testing.assert_allclose(np.abs(it.A[1:]).sum(axis=1), problem.norm_bound)


def test_a_cycle_behind_a_layer_begins_at_the_norm_bound_and_its_links_at_unit_variance():
    # Two states see the inputs, three lie on a cycle and see these, one sees the cycle.
    A = np.zeros((6, 6), dtype=bool)
    A[2:5, 2:5], A[2:5, :2], A[5, 2:5] = ~np.eye(3, dtype=bool), True, True
    problem = random_problem((6, 5, 2, 40), pattern={"A": A, "B": np.outer(np.arange(6) < 2, np.ones(5))})
    it = problem.initial(0)
    assert not entries_held(problem, it).any()
    np.testing.assert_allclose(np.abs(it.A[2:5, 2:5]).sum(axis=1), problem.norm_bound)
    links = it.A.copy()
    links[2:5, 2:5] = 0
    np.testing.assert_allclose((links @ it.X)[2:].std(axis=1), 1, rtol=1e-2)
