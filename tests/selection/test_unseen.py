"""What held out samples say of inputs that leave."""

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.selection.adjustment import _ScoreTests
from bcd_implicit.selection.evidence import Evidence, Settings
from bcd_implicit.selection.refits import folds
from bcd_implicit.selection.unseen import UnseenSamples

TRUTH = np.arange(6) < 2


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Of 150 samples on which the first two of six inputs have a part."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((150, 6))
    Y = np.maximum(U[:, :2] @ rng.standard_normal((2, 3)), 0) + 0.3 * rng.standard_normal((150, 3))
    path = bi.kappa_path(bi.TrainingProblem(U, Y, 4, pass_through=False), 4)
    options = path.solve_options | {"max_cycles": 50, "tol": 5e-2, "block_tol": None}
    return Evidence(path, Settings(3, 6, 2, 0, None, [1e-4], options))


def one(j: int) -> np.ndarray:
    return np.arange(6) == j


@pytest.mark.slow
def test_errors_are_those_of_models_that_have_not_seen_the_sample(evidence):
    """Against a fit on each fold's training samples by hand."""
    problem, errors = evidence.path.problem, UnseenSamples(evidence, TRUTH).errors
    for fold in folds(problem, 3, 0):
        train = problem.subset(fold.train)
        small = bi.TrainingProblem(
            train.U[TRUTH].T, train.Y.T, 4, pass_through=False, group_over="B", ridge_hidden=1e-4, norm_bound=0.5
        )
        model = bi.solve(small, tol=1e-5, block_tol=None, max_cycles=500).model
        missed = model.predict(problem.U[TRUTH][:, fold.test].T) - problem.Y[:, fold.test].T
        by_hand = np.mean(missed**2 / problem.Y.var(axis=1), axis=1)
        assert np.mean(errors[fold.test]) == pytest.approx(np.mean(by_hand), rel=0.15)


@pytest.mark.slow
def test_true_inputs_are_missed_and_false_ones_are_not(evidence):
    everything = np.ones(6, dtype=bool)
    unseen = UnseenSamples(evidence, everything)
    left = unseen.let_go([one(j) for j in (5, 0, 4, 1, 3, 2)], 4.0, 10)
    np.testing.assert_array_equal(left, ~TRUTH)
    np.testing.assert_array_equal(unseen.missed, TRUTH)
    # In one group with a true input a false one is missed too.
    np.testing.assert_array_equal(UnseenSamples(evidence, everything).let_go([one(5) | one(0)], 4.0, 1), ~everything)


@pytest.mark.slow
def test_no_more_leave_at_once_than_asked_for(evidence):
    unseen = UnseenSamples(evidence, np.ones(6, dtype=bool))
    np.testing.assert_array_equal(unseen.let_go([one(0), one(4), one(5), one(3)], 4.0, 2), one(4) | one(5))


@pytest.mark.slow
def test_with_a_limit_below_what_a_false_input_gains_nothing_leaves(evidence):
    unseen = UnseenSamples(evidence, np.ones(6, dtype=bool))
    assert not unseen.let_go([one(j) for j in range(6)], -50.0, 10).any()
    assert unseen.missed.all()


@pytest.mark.slow
def test_those_missed_on_an_earlier_support_are_asked_again(evidence):
    unseen = UnseenSamples(evidence, np.ones(6, dtype=bool))
    unseen.let_go([one(0), one(1)], 4.0, 10)
    assert not unseen.ask_again()  # they were asked just now
    unseen.move(TRUTH | one(3))
    unseen.let_go([one(3)], -50.0, 1)
    assert unseen.ask_again()
    np.testing.assert_array_equal(unseen.missed, one(3))
    assert not unseen.ask_again()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles:bcd_implicit.errors.ConvergenceWarning")
def test_what_a_constraint_asks_for_stays_also_where_several_leave_at_once():
    """Of the inputs 2 and 3 either may leave, and not both; none of them has a part."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 4))
    Y = np.maximum(U[:, :2] @ rng.standard_normal((2, 3)), 0)
    either = {"either": lambda v: v["B"][0, 2] + v["B"][0, 3] >= 0.05}
    path = bi.kappa_path(bi.TrainingProblem(U, Y, 2, pass_through=False, constraints=either), 3)
    options = path.solve_options | {"max_cycles": 20, "tol": 5e-2, "block_tol": None}
    evidence = Evidence(path, Settings(2, 4, 2, 0, None, [1e-4], options))
    everything, groups = np.ones(4, dtype=bool), [np.arange(4) == 2, np.arange(4) == 3]
    unseen = UnseenSamples(evidence, everything)
    np.testing.assert_array_equal(unseen.let_go(groups, 100.0, 2), groups[0])
    np.testing.assert_array_equal(unseen.missed, groups[1])
    tests = _ScoreTests(evidence, 0.05)
    (errors,) = tests.errors_on_unseen_samples([everything])
    left, _ = tests.those_that_may_all_leave(everything, groups, errors + 10.0)
    np.testing.assert_array_equal(left, groups[0])
