"""The path over the weight of the penalty of A: where it begins, what it tells, and how it ends."""

import signal

import numpy as np
import pytest
from problems import FOR_SPARSE_A, random_problem

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, architecture_path, solve, solve_block
from bcd_implicit.selection.architecture import factors, least_empty_weight

SIZE = (4, 3, 2, 60)


@pytest.fixture(scope="module")
def problem():
    return random_problem(SIZE, **FOR_SPARSE_A)


@pytest.fixture(scope="module")
def unseen():
    other = random_problem((4, 3, 2, 100), seed=5)
    return other.U.T, other.Y.T


@pytest.fixture(scope="module")
def path(problem, unseen):
    return architecture_path(problem, 4, unseen=unseen, tol=1e-3)


def test_it_begins_without_connections_and_lets_them_in(path, problem):
    A = [each.penalised.iterate.A for each in path]
    assert len(path) == len(path.kappas) == 4
    np.testing.assert_allclose(path.kappas, path.least_empty * np.geomspace(1, 1e-2, 4))
    assert np.count_nonzero(A[0]) <= 1
    assert np.count_nonzero(A[-1]) >= 3
    for each in path:
        assert each.gap <= 1e-6
        # Refitted on what was found, and on nothing else.
        assert not each.refitted.iterate.A[each.penalised.iterate.A == 0].any()
        assert each.refitted.problem.row_set.weights is None
        assert each.refitted.objective <= each.penalised.objective
        assert each.result is each.refitted
    np.testing.assert_array_equal(path.model(-1).A, path[-1].refitted.iterate.A)
    with pytest.raises(InvalidInputError, match="k: got 4"):
        path.model(4)


def test_from_its_first_weight_on_no_connection_is_stationary(problem, path):
    empty = solve(problem.replace(pattern={"A": np.zeros((4, 4), dtype=bool)}), tol=1e-6).iterate
    least = least_empty_weight(problem, empty)
    assert least == pytest.approx(np.abs(bi.gradient(problem, empty).A).max())
    assert least == pytest.approx(path.least_empty, rel=0.3)
    above, below = (solve_block(problem.replace(kappa_A=f * least), empty, "prox-linear") for f in (1.05, 0.9))
    assert not above.iterate.A.any()
    assert above.objective == pytest.approx(problem.objective_at_states(empty), rel=1e-3)
    assert below.iterate.A.any()
    assert below.objective < problem.objective_at_states(empty)


def test_the_table_counts_what_it_says(path, unseen):
    table = path.table
    for k, row in table.iterrows():
        model = path.model(k)
        assert row["A"] == np.count_nonzero(model.A)
        assert row["total"] == sum(np.count_nonzero(getattr(model, letter)) for letter in "ABCD")
        assert row["on cycles"] == sum(map(len, model.structure().cycles))
        assert row["stages"] == model.structure().depth
        loss = 0.5 * np.mean(np.sum((model.predict(unseen[0]) - unseen[1]) ** 2, axis=1))
        assert row["refitted unseen loss"] == pytest.approx(loss)
        assert row["status"] == "CONVERGED"
    smallest = path.smallest(0.1)
    good = table["refitted unseen loss"] <= 1.1 * table["refitted unseen loss"].min()
    assert table["A"][smallest] == table["A"][good].min()
    assert "4 weights" in repr(path)
    assert "least weight with A = 0" in path._repr_html_()


def test_factors_by_hand(problem):
    A = np.array([[0.0, 2, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    # Sizes have the mean 1/4, the rows' means are 1/2, 1/2, 0 and 0, and 1/4 on average.
    of_entries = 1 / (4 * A + 0.3)
    of_rows = np.repeat([1 / 2.3, 1 / 2.3, 1 / 0.3, 1 / 0.3], 4).reshape(4, 4)
    np.testing.assert_allclose(factors(problem, A, "entries"), of_entries)
    np.testing.assert_allclose(factors(problem, A, "rows"), of_rows)
    np.testing.assert_allclose(factors(problem, A, "both"), np.sqrt(of_entries * of_rows))
    np.testing.assert_array_equal(factors(problem, 0 * A, "both"), np.ones((4, 4)))


def test_rows_without_refit_at_given_weights(problem):
    path = architecture_path(problem, kappas=[1e-3, 1e-2], by="rows", refit=False, tol=1e-3)
    np.testing.assert_array_equal(path.kappas, [1e-2, 1e-3])
    assert path[0].refitted is None
    assert path[0].result is path[0].penalised
    assert "refitted loss" not in path.table
    weights = path[1].penalised.problem.kappa_A
    assert (weights == weights[:, :1]).all()
    with pytest.raises(InvalidInputError, match="unseen: was not given"):
        path.smallest()


def test_it_keeps_to_a_pattern_and_to_the_measure(problem):
    upper = np.triu(np.ones((4, 4), dtype=bool))
    options = {"kappas": [10.0, 1e-3], "refit": False, "reweight": 0, "tol": 1e-3}
    path = architecture_path(problem.replace(pattern={"A": upper}, well_posedness="measure"), **options)
    first, second = (each.penalised.iterate.A for each in path)
    assert not first[~upper].any()
    assert not second[~upper].any()
    # The diagonal is not penalised: it is free from the start.
    off_diagonal = upper & ~np.eye(4, dtype=bool)
    assert np.diagonal(first).any()
    assert not first[off_diagonal].any()
    assert second[off_diagonal].any()


def test_ctrl_c_ends_it_with_what_there_is(problem):
    def press(share, text):
        if 0.11 < share < 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(bi.ConvergenceWarning, match="architecture_path: interrupted by Ctrl-C; the path has 1 weights"):
        path = architecture_path(problem, 4, progress=press, refit=False, tol=1e-3)
    assert path.cut_short is bi.Status.INTERRUPTED
    assert len(path) == 1
    assert "interrupted" in repr(path)
    assert "cut short" in path._repr_html_()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_kappas": 1}, "n_kappas"),
        ({"kappas": [-1.0]}, "kappas"),
        ({"kappas": []}, "kappas"),
        ({"by": "columns"}, "by"),
        ({"reweight": -1}, "reweight"),
        ({"refit": 2}, "refit"),
        ({"unseen": 3}, "unseen"),
        ({"unseen": (np.zeros((3, 3)), np.zeros((2, 2)))}, "unseen"),
    ],
)
def test_bad_arguments_are_named(problem, options, named):
    with pytest.raises(InvalidInputError, match=named):
        architecture_path(problem, **options)


@pytest.mark.parametrize("name", ["start", "checkpoint", "resume"])
def test_options_of_one_solve_are_refused(problem, name, tmp_path):
    with pytest.raises(InvalidInputError, match=f"^{name}: is an option of solve, not of a path"):
        architecture_path(problem, 2, **{name: tmp_path / "kept"})
    assert not list(tmp_path.iterdir())


def test_a_start_whose_states_are_constants_is_told(problem):
    with pytest.warns(
        UserWarning, match=r"do not vary with the inputs, so no weight gives .* kappa \(now 30\)"
    ) as told:
        path = architecture_path(problem.replace(kappa=30.0), 2)
    assert told[0].filename == __file__
    assert path.least_empty == 0
    np.testing.assert_allclose(path.kappas, [1, 0.01])
    assert not path.table["A"].any()


def test_a_weight_given_twice_is_walked_once(problem):
    assert list(architecture_path(problem, kappas=[0.1, 0.2, 0.1], tol=0.1, refit=False).kappas) == [0.2, 0.1]
