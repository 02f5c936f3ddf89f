"""Training under a loss with kinks begins on the smoothed loss."""

import warnings

import numpy as np
import pytest
from problems import random_problem

from bcd_implicit import ConvergenceWarning, QuantileLoss, solve
from bcd_implicit.training import bcd
from bcd_implicit.training.start import smoothed, wants_smoothed


def problem_of(**options):
    return random_problem((5, 4, 2, 80), kappa=0.003, **options)


def trained(problem, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(problem, max_cycles=40, block_tol=None, **options)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["absolute", QuantileLoss(0.9)])
def test_it_leads_to_a_better_model(loss, monkeypatch):
    objectives = {}
    for begins in (True, False):
        if not begins:
            monkeypatch.setattr(bcd, "wants_smoothed", lambda problem, it: False)
        objectives[begins] = np.mean([trained(problem_of(loss=loss), random_state=s).objective for s in range(3)])
    assert objectives[True] < 0.95 * objectives[False]


def test_only_untrained_starts_under_a_loss_with_kinks_want_it():
    kinked, smooth = problem_of(loss="absolute"), problem_of(loss="huber")
    assert wants_smoothed(kinked, kinked.initial(0))
    assert not wants_smoothed(smooth, smooth.initial(0))
    assert not wants_smoothed(kinked, trained(kinked).iterate)


def test_the_smoothed_problem_is_the_same_but_for_its_loss():
    problem = problem_of(loss=QuantileLoss(0.9), sample_weight=np.linspace(1, 3, 80))
    other, it = smoothed(problem), problem.initial(0)
    assert other.loss.smooth
    difference = problem.objective(it) - other.objective(it)
    assert difference == pytest.approx(problem.mean_loss(it) - other.mean_loss(it))
    # As wide as the targets' mean deviations from their quantiles.
    constant = problem.loss.best_constant(problem.Y, problem.shares)[:, None]
    np.testing.assert_allclose(other.loss.width[:, 0], np.abs(problem.Y - constant) @ problem.shares)


def test_targets_that_do_not_vary_have_a_width():
    problem = random_problem((5, 4, 2, 80), loss="absolute")
    constant = problem.replace()
    constant.Y = np.ones_like(problem.Y)
    np.testing.assert_array_equal(smoothed(constant).loss.width, 1.0)


def test_it_takes_no_longer_than_it_may():
    with pytest.warns(ConvergenceWarning, match="stopped at max_seconds"):
        result = solve(problem_of(loss="absolute"), max_seconds=1e-3)
    assert result.status.name == "TIME_LIMIT"
    assert np.isfinite(result.objective)
