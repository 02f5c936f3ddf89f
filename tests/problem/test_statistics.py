"""Weighted means, variances and standard errors."""

import numpy as np
import pytest
from problems import random_problem
from weights import SIZE, random_weights

from bcd_implicit.problem import statistics


def test_statistics_by_hand():
    rng, weights = np.random.default_rng(0), random_weights(30)
    values = rng.standard_normal((4, 30)) + 1e3
    plain, weighted = random_problem(SIZE), random_problem(SIZE, sample_weight=weights)
    np.testing.assert_allclose(statistics.mean(values, plain.shares), values.mean(axis=1), rtol=1e-14)
    np.testing.assert_allclose(statistics.variance(values, plain.shares), values.var(axis=1), rtol=1e-10)
    np.testing.assert_allclose(
        statistics.standard_error(values, plain.shares), values.std(axis=1, ddof=1) / np.sqrt(30), rtol=1e-10
    )
    assert statistics.effective_samples(plain.shares) == pytest.approx(30)
    mean = np.average(values, axis=1, weights=weights)
    np.testing.assert_allclose(statistics.mean(values, weighted.shares), mean, rtol=1e-14)
    spread = np.average((values - mean[:, None]) ** 2, axis=1, weights=weights)
    np.testing.assert_allclose(statistics.variance(values, weighted.shares), spread, rtol=1e-10)
    assert statistics.effective_samples(weighted.shares) == pytest.approx(weights.sum() ** 2 / np.sum(weights**2))
    assert statistics.mean(np.full(30, 1 / 3), weighted.shares) == 1 / 3
    assert (statistics.variance(np.array([[0.1], [1e6 / 3]]) + np.zeros(30), weighted.shares) == 0).all()


def test_the_standard_error_is_the_spread_of_weighted_means():
    problem = random_problem(SIZE, sample_weight=random_weights(30))
    values = np.random.default_rng(0).standard_normal((20_000, 30))
    estimated = np.sqrt(np.mean(statistics.standard_error(values, problem.shares) ** 2))
    assert estimated == pytest.approx(statistics.mean(values, problem.shares).std(), rel=0.05)
    assert estimated > 1.2 / np.sqrt(30)  # not that of 30 samples of equal weight


def test_near_the_least_is_measured_by_the_difference():
    shares = np.full(4, 0.25)
    least = np.array([1.0, 5.0, 2.0, 8.0])
    # Differences of mean 1 and standard error 0; of mean 0.5 and standard error 1; none.
    errors = np.vstack([least + 1.0, least + 0.5 + np.sqrt(3) * np.array([1, -1, 1, -1]), least])
    np.testing.assert_allclose(statistics.standard_error(errors[1] - least, shares), 1.0)
    np.testing.assert_array_equal(statistics.near_least(errors, shares), [False, True, True])
