"""A choice from a path: by a number of inputs, under constraints, and with bad arguments."""

import pickle

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, kappa_path


def test_selection_finds_the_true_inputs_and_refits(path, data, problem):
    chosen = path.select(random_state=0)
    np.testing.assert_array_equal(chosen.support, data.support)
    assert chosen.names == [f"u{j}" for j in np.flatnonzero(data.support)]
    assert chosen.kappa == path.kappas[chosen.index]
    np.testing.assert_array_equal(path.supports[chosen.index], chosen.support)
    assert not chosen.model.B[:, ~data.support].any()
    assert not chosen.model.D.any()
    U, Y = data.sample(500, 1)
    refit = np.mean((chosen.model.predict(U) - Y) ** 2)
    penalised = np.mean((path.results[chosen.index].model.predict(U) - Y) ** 2)
    assert refit < penalised < 1
    table = chosen.table
    assert table["chosen"].sum() == 1
    assert table.loc[table["chosen"], "n_selected"].item() == 2
    assert table.loc[table["chosen"], "error"].item() == table["error"].min()
    assert table["n_selected"].iloc[-1] == 0
    assert repr(chosen).startswith("Selection(2 of 8 inputs: ")
    assert chosen.changed_by_tests == {"entered": [], "left": []}


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_a_number_of_features_is_taken_by_the_ranking(path, n_features):
    chosen = path.select(n_features=n_features, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.names == sorted(path.ranking()["input"][:n_features])
    assert chosen.rule == "n_features"
    assert chosen.model.B.any(axis=0).sum() == n_features


def test_number_of_features_with_groups(data):
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 3, groups=[0, 0, 0, 1, 1, 1, 2, 2], pass_through=False), 4)
    first = path.ranking()["input"][0]
    size = 2 if first in ("u6", "u7") else 3
    assert path.select(n_features=size, grow_hidden=False, ridges=[1e-4], tol=0.2).support.sum() == size
    with pytest.raises(InvalidInputError, match="n_features: 1 is less than group '.' has"):
        path.select(n_features=1)


def test_the_empty_model_is_judged_by_the_mean(problem):
    with pytest.warns(UserWarning, match="no input is in even at the first kappa"):
        empty = kappa_path(problem, kappas=[1e4])
    assert not empty.supports.any()
    chosen = empty.select(level=None)
    assert chosen.table["error"].item() == pytest.approx(1.0, abs=0.1)
    assert not chosen.support.any()
    assert not chosen.model.B.any()
    predictions = chosen.model.predict(problem.U.T)
    np.testing.assert_allclose(predictions, np.broadcast_to(problem.Y.mean(axis=1), predictions.shape), atol=1e-3)


@pytest.mark.slow
def test_an_input_of_weight_zero_stays_in_every_choice(data):
    never = int(np.flatnonzero(~data.support)[0])
    weights = np.ones(8)
    weights[never] = 0
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 3, pass_through=False, group_weights=weights), 4)
    for options in ({}, {"n_features": 1}, {"max_features": 1}, {"rule": "bic"}):
        assert path.select(**options).support[never]


def test_where_all_supports_are_too_large_the_longest_inputs_are_the_candidate(data, problem):
    crowded = kappa_path(problem, kappas=[1e-4])
    assert crowded.supports.sum() == 8
    chosen = crowded.select(max_features=3, level=None, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.support.sum() == 3


@pytest.mark.slow
def test_an_input_that_a_constraint_asks_for_stays(small):
    false = int(np.flatnonzero(~small.support)[0])
    problem = bi.TrainingProblem(
        small.U, small.Y, 1, pass_through=False, constraints={"asked for": lambda v: v["B"][0, false] >= 0.1}
    )
    path = kappa_path(problem, kappas=[0.05], tol=1e-2)
    chosen = path.select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.support[false]
    assert chosen.model.B[0, false] >= 0.1 - 1e-6


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_a_choice_under_constraints_can_be_pickled(small):
    constraints = [bi.constraints.nonnegative("B")]
    problem = bi.TrainingProblem(small.U, small.Y, 2, pass_through=False, constraints=constraints)
    path = kappa_path(problem, kappas=[0.02], max_cycles=2)
    chosen = path.select(n_features=2, ridges=[1e-4], grow_hidden=False, max_cycles=2)
    again = pickle.loads(pickle.dumps(chosen))
    assert chosen.model.B.any()
    np.testing.assert_array_equal(again.model.B, chosen.model.B)
    assert again.result.violations == chosen.result.violations


@pytest.mark.slow
def test_user_constraints_stay_in_force_through_the_refit(small):
    free, bounded = (
        bi.TrainingProblem(small.U, small.Y, 2, pass_through=False, constraints=constraints)
        for constraints in ((), [lambda v: v["B"] >= -0.2 * np.ones((2, 4))])
    )
    chosen = (
        kappa_path(p, kappas=[0.01], tol=1e-2).select(n_features=4, n_folds=2, ridges=[1e-4], tol=0.1)
        for p in (free, bounded)
    )
    loose, tight = (choice.model.B.min() for choice in chosen)
    assert loose < -0.21  # or the bound would mean nothing
    assert tight >= -0.2 - 1e-6


def test_progress_is_told(problem):
    told = []
    path = kappa_path(problem, kappas=[1.0, 2.0], progress=lambda share, text: told.append(share))
    path.select(n_folds=2, ridges=[1e-4, 1e-2], tol=0.2, progress=lambda share, text: told.append(1 + share))
    assert told == sorted(told)
    assert told[-1] == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, path: kappa_path(p, 1), "n_kappas: got 1"),
        (lambda p, path: kappa_path(p, kappas=[]), "kappas: is empty"),
        (lambda p, path: kappa_path(p, kappas=1.0), "kappas: must be a list of numbers, got 1.0"),
        (lambda p, path: path.select(random_state=-1), "random_state: got -1"),
        (lambda p, path: kappa_path(p, kappas=[0.1, -1]), "kappas: got -1"),
        (lambda p, path: kappa_path(p, 2, method="adam"), "method: unknown method 'adam'"),
        (lambda p, path: kappa_path(p, 2, solver="x"), "solver: unknown solver 'x'"),
        (
            lambda p, path: path.select("aic"),
            "rule: unknown rule 'aic'. Use one of min, ",
        ),
        (lambda p, path: path.select(n_folds=1), "n_folds: got 1"),
        (lambda p, path: path.select(n_features=9), "n_features: got 9"),
        (lambda p, path: path.select(level=1.5), "level: got 1.5"),
        (lambda p, path: path.select(level="x"), "level: must be a number, got 'x'. Choose a level such as 0.05, or"),
        (
            lambda p, path: path.select("min", 2),
            "rule: min does not choose a number of inputs, n_features=2 does. Use",
        ),
        (
            lambda p, path: path.select(n_features=2, level=0.05),
            "level: got 0.05, but score tests would change the number of inputs, which n_features=2 fixes. Use",
        ),
        (lambda p, path: path.select(ridges=[-1]), "ridges: got -1"),
        (lambda p, path: path.select(ridges=()), "ridges: is empty"),
        (lambda p, path: path.select(n_jobs=0), "n_jobs: got 0"),
        (lambda p, path: path.select(grow_hidden="x"), "grow_hidden: must be True or False, got 'x'"),
        (lambda p, path: path.select(max_features=0), "max_features: got 0, must be >= 1. Give 1 or more"),
        (lambda p, path: path.ranking(kappa=-1), "kappa: got -1, must be >= 0. Give one of the path"),
        (lambda p, path: kappa_path(p, "x", kappas=[1.0]), "n_kappas: must be a whole number, got 'x'. A path has 2"),
        (lambda p, path: path.frequencies(1), "n_subsamples: got 1"),
        (
            lambda p, path: path.select(n_folds=100),
            "n_folds: 120 samples are too few for 100 folds, of which each needs 2. Choose n_folds=60 or fewer",
        ),
        (
            lambda p, path: kappa_path(p.subset(np.arange(5)), kappas=[1e-3]).select(),
            "n_folds: 5 samples are too few for 3 folds, of which each needs 2. Choose n_folds=2 or fewer",
        ),
        (
            lambda p, path: kappa_path(p.subset(np.arange(3)), kappas=[1e-3]).select(n_folds=2),
            "n_folds: 3 samples are too few for cross-validation: each of 2 folds or more needs 2. Give 4",
        ),
    ],
)
def test_bad_arguments_are_named(problem, path, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(problem, path)


def test_targets_without_variation_select_nothing():
    rng = np.random.default_rng(0)
    problem = bi.TrainingProblem(rng.standard_normal((30, 4)), np.full(30, 7.0), 2, pass_through=False)
    with pytest.warns(UserWarning, match="check that the targets vary"):
        path = kappa_path(problem, 4)
    assert np.all(path.kappas > 0)
    chosen = path.select()
    assert not chosen.support.any()
    np.testing.assert_allclose(chosen.model.predict(np.ones((1, 4))), 7.0, atol=1e-4)
    assert repr(path).startswith("PathResult(n_kappas=1, ")
