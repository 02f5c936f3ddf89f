"""After the rule: score tests and more hidden features."""

from dataclasses import replace

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit import kappa_path
from bcd_implicit.problem import statistics
from bcd_implicit.selection.adjustment import _ScoreTests, polish
from bcd_implicit.selection.evidence import Evidence, Settings


@pytest.mark.slow
def test_the_refit_grows_where_more_hidden_features_explain_more(data):
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 1, pass_through=False), 3)
    small, grown = (path.select(grow_hidden=grow, ridges=[1e-4]) for grow in (False, True))
    assert small.model.n_hidden == 1
    assert grown.model.n_hidden in (2, 4, 8)
    U, Y = data.sample(500, 1)
    errors = [np.mean((chosen.model.predict(U) - Y) ** 2) for chosen in (small, grown)]
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.slow
def test_inputs_without_a_part_are_not_selected_even_if_all_candidates_hold_them(path, data, problem):
    crowded = path.supports.copy()
    extra = int(np.flatnonzero(~data.support)[0])
    crowded[:, extra] |= crowded[:, data.support].any(axis=1)
    evidence = Evidence(path, Settings(3, 8, 2, 0, None, [1e-4], path.solve_options | {"max_cycles": 50, "tol": 5e-2}))
    np.testing.assert_array_equal(polish(evidence, crowded[path.nearest(data.support)], 0.05)[0], data.support)
    missing = data.support.copy()
    missing[np.flatnonzero(data.support)[0]] = False
    np.testing.assert_array_equal(polish(evidence, missing, 0.05)[0], data.support)


@pytest.mark.slow
def test_data_without_any_signal_select_nothing():
    kept = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        problem = bi.TrainingProblem(rng.standard_normal((60, 5)), rng.standard_normal(60), 2, pass_through=False)
        kept += kappa_path(problem, 4).select(grow_hidden=False).support.any()
    assert kept <= 2  # at most 1 in 20 of them is to be expected


def test_what_the_score_tests_change_is_named(path):
    everything = replace(path, results=path.results[:1])  # all inputs, or none
    before = everything.select(level=None, n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    after = everything.select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert before.changed_by_tests == {"entered": [], "left": []}
    assert after.changed_by_tests["left"] == [name for name in before.names if name not in after.names] != []
    assert "Score tests at level 0.05 dropped " in after._repr_html_()


def test_a_strong_false_input_is_not_shielded_by_a_weak_true_one():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((100, 5))
    U[:, 1] = U[:, 0] + 0.3 * rng.standard_normal(100)
    y = 2 * np.maximum(U[:, 0], 0) + 0.2 * U[:, 2] + 0.2 * rng.standard_normal(100)
    path = kappa_path(bi.TrainingProblem(U, y, 3), 4)
    assert path.select(grow_hidden=False, ridges=[1e-4]).names == ["u0", "u2"]


def test_score_tests_find_the_inputs_even_from_an_empty_path(problem, data):
    with pytest.warns(UserWarning, match="no input is in even at the first kappa"):
        path = kappa_path(problem, kappas=[1e4])
    chosen = path.select()
    np.testing.assert_array_equal(chosen.support, data.support)
    U, Y = data.sample(500, 1)
    assert np.mean((chosen.model.predict(U) - Y) ** 2) < 0.5


@pytest.mark.slow
def test_with_few_samples_unseen_ones_decide_how_many_leave():
    """The tests are blind here: false inputs leave and true ones stay, as unseen samples say."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((25, 8))
    Y = np.maximum(U[:, :3] @ rng.standard_normal((3, 6)), 0) + 0.05 * rng.standard_normal((25, 6))
    path = kappa_path(bi.TrainingProblem(U, Y, 4, pass_through=False), 6)
    told = []
    options = path.solve_options | {"max_cycles": 50, "tol": 5e-2, "block_tol": None}
    settings = Settings(3, 8, 2, 0, None, [1e-4], options, lambda share, text: told.append(text))
    evidence = Evidence(path, settings)
    truth, crowded = np.arange(8) < 3, np.arange(8) < 6
    tests = _ScoreTests(evidence, 0.05)
    start = path.results[0].iterate
    (unseen,) = tests.errors_on_unseen_samples([truth])
    assert tests.are_blind(tests.fit(truth, start), unseen)
    # Without a true input the error on unseen samples is clearly larger: nothing leaves, though this list says so.
    left, least = tests.those_that_may_all_leave(truth, [np.arange(8) == j for j in range(3)], unseen)
    assert not left.any()
    assert statistics.mean(least, path.problem.shares) <= statistics.mean(unseen, path.problem.shares)
    # Three false ones may go, and a true one after them may not.
    (unseen,) = tests.errors_on_unseen_samples([crowded])
    leaving = [np.arange(8) == j for j in (5, 4, 3, 2)]
    left, _ = tests.those_that_may_all_leave(crowded, leaving, unseen)
    np.testing.assert_array_equal(left, crowded & ~truth)
    np.testing.assert_array_equal(polish(evidence, crowded, 0.05)[0], truth)
    assert any("fold" in text for text in told)


def test_with_many_samples_the_tests_are_not_blind(path, data):
    options = path.solve_options | {"max_cycles": 50, "tol": 5e-2, "block_tol": None}
    tests = _ScoreTests(Evidence(path, Settings(3, 8, 2, 0, None, [1e-4], options)), 0.05)
    (unseen,) = tests.errors_on_unseen_samples([data.support])
    assert not tests.are_blind(tests.fit(data.support, path.results[0].iterate), unseen)


@pytest.mark.slow
def test_inputs_that_tell_something_only_together_stay():
    """Two traits act as their product, each measured four times with as much noise as it varies.

    Next to a model that lacks one trait, no measurement of the other has anything to say; and next to the others none
    has much to add. Score tests alone sent all of them away here.
    """
    rng = np.random.default_rng(0)
    traits = rng.standard_normal((400, 2))
    U = np.hstack([np.repeat(traits, 4, axis=1) + rng.standard_normal((400, 8)), rng.standard_normal((400, 8))])
    y = traits[:, 0] * traits[:, 1] + 0.3 * rng.standard_normal(400)
    problem = bi.TrainingProblem(
        U / U.std(axis=0), y / y.std(), 8, norm_bound=0.0, pass_through=False, ridge=0.1, ridge_hidden=0.05
    )
    chosen = kappa_path(problem).select(grow_hidden=False)
    assert chosen.support[:4].any()
    assert chosen.support[4:8].any()
    assert chosen.support[8:].sum() <= 1
    assert chosen.table["error"].min() < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 8])
def test_score_tests_send_no_true_input_away_where_refits_nearly_interpolate(seed):
    """With 50 samples a refit without a true input leaves small residuals too, so that score tests are blind."""
    data = bi.datasets.make_column_sparse(50, noise=0.5, random_state=seed)
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 10, pass_through=False), 20, random_state=seed)
    chosen = path.select(random_state=seed, grow_hidden=False)
    np.testing.assert_array_equal(chosen.support, data.support)


@pytest.mark.slow
def test_an_input_whose_p_value_is_near_the_level_enters_only_after_a_finer_fit():
    """Here a coarse fit gives a false input a p-value below the level, and one ten times finer does not."""
    data = bi.datasets.make_column_sparse(400, noise=0.5, random_state=8)
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 10, pass_through=False), random_state=8)
    np.testing.assert_array_equal(path.select(random_state=8, grow_hidden=False).support, data.support)
