"""Schedules raise the Fenchel weights, and nothing else, while the fenchel loop runs."""

import warnings

import numpy as np
import pytest
from problems import random_problem

from bcd_implicit import Continuation, ConvergenceWarning, DualAscent, InvalidInputError, solve
from bcd_implicit.training.fenchel_weights import SCHEDULES, FenchelSchedule, relative_divergences


def problem_of(**options):
    return random_problem((4, 5, 2, 60), kappa=0.01, **options)


def run(problem, schedule, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(problem, "fenchel", fenchel_schedule=schedule, **{"max_cycles": 60} | options)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_objective_falls_while_weights_stay(schedule):
    history = run(problem_of(), schedule, max_cycles=30).history
    stays = history["fenchel_weight"].diff().to_numpy()[1:] == 0
    change = history["objective"].diff().to_numpy()[1:] / history["objective"].to_numpy()[:-1]
    assert stays.any()
    assert (change[stays] <= 1e-12).all()
    raised = history["fenchel_weight"].diff().to_numpy()[1:] > 0
    assert raised.any() == (schedule != "fixed")
    assert (history["fenchel_weight"].diff().dropna() >= 0).all()


def test_the_fixed_one_is_the_default():
    default, fixed = solve(problem_of(), "fenchel", max_cycles=100, tol=1e-2), run(problem_of(), "fixed", tol=1e-2)
    np.testing.assert_array_equal(default.iterate.A, fixed.iterate.A)
    assert fixed.problem.fenchel_weight == 1.0


def test_continuation_is_geometric_and_ends_at_the_largest_weight():
    result = run(problem_of(fenchel_weight=2.0), Continuation(factor=3, most=18, settled=0.5))
    weights = result.history["fenchel_weight"].drop_duplicates().to_numpy()
    np.testing.assert_allclose(weights, [2, 6, 18, 36][: len(weights)])
    np.testing.assert_array_equal(result.problem.fenchel_weights, 36.0)


def test_dual_ascent_brings_every_feature_near_equilibrium():
    problem, seen = problem_of(fenchel_weight=0.1), []
    schedule = DualAscent(tolerance=1e-2, most=1e6)
    # The loop waits for every feature; how little the objective may change in the end is another matter.
    result = run(problem, schedule, max_cycles=400, tol=1e-3, callback=lambda cycle, _, it: seen.append(it))
    assert result.status.ok
    assert relative_divergences(problem, seen[0]).max() > 1e-2
    # What the loop stops at, in its own states.
    assert (relative_divergences(problem, seen[-1]) <= 1e-2).all()
    # Features that were near it by themselves keep smaller weights.
    assert np.ptp(result.problem.fenchel_weights) > 0


def test_factors_by_hand():
    divergences = np.array([0.0, 0.9e-3, 1.5e-3, 1.0])
    np.testing.assert_allclose(DualAscent(tolerance=1e-3, step=2.0).factors(divergences), [1, 1, 2, 3])
    np.testing.assert_array_equal(Continuation(factor=5).factors(divergences), 5)
    np.testing.assert_array_equal(FenchelSchedule().factors(divergences), 1)


def test_relative_divergences_by_hand():
    problem = problem_of(sample_weight=np.linspace(1, 2, 60))
    it = problem.initial(0)
    it = it.replace(X=it.X + 0.3)
    Z = it.A @ it.X + it.B @ problem.U + it.b[:, None]
    F = 0.5 * it.X**2 + 0.5 * np.maximum(Z, 0) ** 2 - it.X * Z
    expected = (F @ problem.shares) / (0.5 * it.X**2 @ problem.shares)
    np.testing.assert_allclose(relative_divergences(problem, it), expected)
    np.testing.assert_array_equal(relative_divergences(problem, it.replace(X=0 * it.X, B=0 * it.B, b=0 * it.b)), 0)


def test_a_run_goes_on_from_its_file_as_without_the_break(tmp_path):
    problem, schedule, file = problem_of(), Continuation(settled=0.1), tmp_path / "run"
    whole = run(problem, schedule, max_cycles=30)
    run(problem, schedule, max_cycles=12, checkpoint=file)
    rest = run(problem, schedule, max_cycles=30, checkpoint=file)
    assert len(rest.history) == len(whole.history)
    np.testing.assert_array_equal(rest.iterate.B, whole.iterate.B)
    np.testing.assert_array_equal(rest.problem.fenchel_weights, whole.problem.fenchel_weights)
    with pytest.raises(InvalidInputError, match="fenchel_schedule"):
        run(problem, Continuation(settled=0.2), checkpoint=file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "fenchel", "fenchel_schedule": "dual"}, "unknown fenchel_schedule 'dual'.*dual-ascent"),
        (
            {"method": "fenchel", "fenchel_schedule": 3},
            "fenchel_schedule: unknown fenchel_schedule 3. Use one of fixed, continuation, dual-ascent",
        ),
        ({"method": "prox-linear", "fenchel_schedule": "continuation"}, "no Fenchel term"),
    ],
)
def test_bad_schedules_are_named(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        solve(problem_of(), **arguments)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Continuation(factor=1.0), "factor"),
        (lambda: Continuation(most=0.5), "most"),
        (lambda: DualAscent(tolerance=0), "tolerance"),
        (lambda: DualAscent(step=-1), "step"),
        (lambda: DualAscent(settled=1), "settled"),
    ],
)
def test_bad_numbers_are_named(make, name):
    with pytest.raises(InvalidInputError, match=name):
        make()


@pytest.mark.parametrize("weight", [[1.0, 2.0], [1.0, 2.0, 0.0, 1.0], "much", -1.0])
def test_bad_weights_are_named(weight):
    with pytest.raises(InvalidInputError, match="fenchel_weight"):
        problem_of(fenchel_weight=weight)


def test_a_weight_for_each_feature_weighs_its_divergence():
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    problem, it = problem_of(fenchel_weight=weights), problem_of().initial(0)
    it = it.replace(X=it.X + 0.2)
    assert problem.fenchel_term(it) == pytest.approx(weights @ problem_of().mean_divergences(it))
    assert "fenchel_weight=1 to 4" in repr(problem)
