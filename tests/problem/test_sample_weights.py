"""Sample weights in a problem: the objective, the start, which weights are refused."""

import numpy as np
import pandas as pd
import pytest
from problems import random_iterate, random_problem
from weights import FORMS, SIZE, random_weights, weighted_and_repeated

from bcd_implicit import InvalidInputError, TrainingProblem


def test_objective_by_hand():
    weights = random_weights(30)
    problem = random_problem(SIZE, sample_weight=weights, kappa=0.0, ridge=0.0, ridge_hidden=0.0, fenchel_weight=2.5)
    it = random_iterate(problem)
    total = 0.0
    for k in range(30):
        x, u = it.X[:, k], problem.U[:, k]
        z = it.A @ x + it.B @ u + it.b
        loss = 0.5 * np.sum((problem.Y[:, k] - it.C @ x - it.D @ u - it.d) ** 2)
        fenchel = np.sum(0.5 * x**2 + 0.5 * np.maximum(z, 0) ** 2 - x * z)
        total += weights[k] * (loss + 2.5 * fenchel) / weights.sum()
    assert problem.objective(it) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_start_and_objectives_are_those_of_repeated_samples(options):
    weighted, repeated, rows = weighted_and_repeated(**options)
    for part in ("A", "B", "b"):
        expected = getattr(repeated.initial(3), part)
        np.testing.assert_allclose(getattr(weighted.initial(3), part), expected, atol=1e-12)
    it = random_iterate(weighted)
    same = it.replace(X=it.X[:, rows])
    for value in ("mean_loss", "fenchel_term", "objective", "equilibrium_objective"):
        assert getattr(weighted, value)(it) == pytest.approx(getattr(repeated, value)(same), rel=1e-12)


def test_a_sample_of_weight_zero_is_left_out():
    rng = np.random.default_rng(0)
    U, Y, weights = rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), random_weights(20)
    weights[[0, 7, 19]] = 0.0
    U[7], Y[7] = 1e9, -1e9
    kept = weights > 0
    whole = TrainingProblem(U, Y, 3, sample_weight=weights)
    fewer = TrainingProblem(U[kept], Y[kept], 3, sample_weight=weights[kept])
    assert whole.n_samples == 17
    for array in ("U", "Y", "shares"):
        np.testing.assert_array_equal(getattr(whole, array), getattr(fewer, array))


@pytest.mark.parametrize("factor", [1e-300, 0.3, 1e307])
def test_only_ratios_of_weights_matter(factor):
    weights = random_weights(30) + 0.1
    one, other = (random_problem(SIZE, sample_weight=w) for w in (weights, factor * weights))
    np.testing.assert_allclose(one.shares, weights / weights.sum(), rtol=1e-14)
    np.testing.assert_allclose(other.shares, one.shares, rtol=1e-12)


def test_equal_weights_are_no_weights():
    for equal in (np.ones(30), [2.5] * 30, pd.Series(np.full(30, 7))):
        np.testing.assert_array_equal(random_problem(SIZE, sample_weight=equal).shares, random_problem(SIZE).shares)


def test_replace_and_subset_keep_the_weights():
    weights = random_weights(30)
    problem = random_problem(SIZE, sample_weight=weights)
    np.testing.assert_array_equal(problem.replace(kappa=0.5).shares, problem.shares)
    some = np.array([3, 0, 12])
    inputs = np.array([True, False, True, True, False, True])
    smaller = problem.subset(some, inputs)
    np.testing.assert_allclose(smaller.shares, weights[some] / weights[some].sum())
    np.testing.assert_array_equal(problem.subset(inputs=inputs).shares, problem.shares)
    np.testing.assert_allclose(problem.shares, weights / weights.sum())  # the original stays
    assert "n_samples=30 (weighted), " in repr(problem)
    assert "n_samples=30, " in repr(random_problem(SIZE))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0, 3.0], "sample_weight: has 3 weights for 4 samples. Give one number for each sample"),
        (2.0, "sample_weight: has 1 weights for 4 samples"),
        (np.ones((4, 2)), r"sample_weight: has shape \(4, 2\) for 4 samples"),
        ([1.0, -0.5, 1.0, 1.0], "sample_weight: is -0.5 at row 1. Weights are 0 or more"),
        ([1.0, 1.0, np.nan, 1.0], r"sample_weight: contains missing values \(NaN\): 1 \(first at row 2\)"),
        ([1.0, 1.0, 1.0, np.inf], r"sample_weight: contains infinity: 1 \(first at row 3\)"),
        ([0.0, 0.0, 0.0, 0.0], r"sample_weight: is positive for 0 sample\(s\), at least 2 needed"),
        ([0.0, 0.0, 3.0, 0.0], r"sample_weight: is positive for 1 sample\(s\).*A sample of weight zero is dropped"),
        (["a", "b", "c", "d"], "sample_weight: is not numeric: text, row 0 holds 'a'"),
        ("balanced", "sample_weight: is not numeric: text, row 0 holds 'balanced'"),
    ],
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(InvalidInputError, match=message):
        TrainingProblem(np.arange(8.0).reshape(4, 2), np.arange(4.0), 2, sample_weight=weights)


def test_weights_belong_to_the_data():
    with pytest.raises(InvalidInputError, match="sample_weight: cannot be replaced.*build a new problem"):
        random_problem(SIZE).replace(sample_weight=np.ones(30))
