"""Permutation: its moments by enumeration, its orders, and that it keeps the level where the formula does not."""

from itertools import permutations

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.selection.family_wise import by_permutation, excess_variance, family_wise
from bcd_implicit.selection.permutation import (
    Exchange,
    permutation_moments,
    permutation_p_values,
    shuffled_statistics,
)
from bcd_implicit.selection.significance import Scores, entry_p_values


def centred(rng, shape):
    rows = rng.standard_normal(shape) ** 3
    return rows - rows.mean(axis=-1, keepdims=True)


def test_moments_are_those_of_all_orders():
    rng = np.random.default_rng(0)
    residuals, features = centred(rng, (2, 6)), rng.standard_normal((3, 6)) ** 3 + 1
    found = [np.sum((residuals[:, list(order)] @ features.T) ** 2, axis=0) for order in permutations(range(6))]
    mean, variance = permutation_moments(residuals, features)
    np.testing.assert_allclose(mean, np.mean(found, axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, np.var(found, axis=0), rtol=1e-10)


def test_shuffled_statistics_begin_with_the_order_given_and_depend_on_the_seed_alone(monkeypatch):
    rng = np.random.default_rng(0)
    residuals, features, exchange = centred(rng, (2, 30)), rng.standard_normal((4, 30)), Exchange.of(30)
    found = shuffled_statistics(residuals, features, exchange, 0.05, 3)
    assert found.shape == (200, 4)
    np.testing.assert_allclose(found[0], np.sum((residuals @ features.T) ** 2, axis=0))
    np.testing.assert_array_equal(found, shuffled_statistics(residuals, features, exchange, 0.05, 3))
    assert (found[1:] != shuffled_statistics(residuals, features, exchange, 0.05, 4)[1:]).all()
    mean = permutation_moments(residuals, features)[0]
    np.testing.assert_allclose(found.mean(axis=0), mean, rtol=0.3)
    # Dear ones try fewer orders, and no fewer than show half the level.
    monkeypatch.setattr("bcd_implicit.selection.permutation.WORK", 1.0)
    assert len(shuffled_statistics(residuals, features, exchange, 0.01, 3)) == 200


def test_p_values_are_shares_of_the_largest():
    statistics = np.array([[9.0, 1.0], [1.0, 2.0], [2.0, 1.0], [4.0, 3.0]])
    usual = np.quantile(statistics, 0.95, axis=0)
    largest = (statistics / usual).max(axis=1)
    expected = [np.mean(largest >= statistics[0, j] / usual[j]) for j in range(2)]
    np.testing.assert_allclose(permutation_p_values(statistics), expected)
    assert expected == [0.25, 1.0]
    assert (permutation_p_values(statistics, 10.0) >= expected).all()
    np.testing.assert_array_equal(permutation_p_values(np.zeros((4, 2))), [1.0, 1.0])


def test_groups_change_places_whole():
    groups = np.array([2, 2, 0, 0, 0, 1, 1, 3, 3, 4, 4, 5, 5])
    exchange = Exchange.of(13, groups)
    # One group has a sample more, which it loses: too few are of its size.
    np.testing.assert_array_equal(exchange.samples, np.delete(np.arange(13), 4))
    assert exchange.n_units == 6
    kept = groups[exchange.samples]
    for order in exchange.orders(50, np.random.default_rng(0)):
        moved = kept[order].reshape(6, 2)
        assert (moved[:, 0] == moved[:, 1]).all()
        assert (np.diff(order.reshape(6, 2), axis=1) == 1).all()
    assert exchange.least_p_value == pytest.approx(1 / 720)


def test_sizes_of_groups_are_divided_so_that_most_samples_stay():
    sizes = np.repeat([9, 8, 3, 1], [5, 1, 5, 2])
    exchange = Exchange.of(sizes.sum(), np.repeat(np.arange(13), sizes))
    assert sorted(block.shape for block in exchange.classes) == [(6, 8), (7, 1)]


def draw(seed, m=100, p=10):
    """Rare inputs beside heavy noise, with nothing in common."""
    rng = np.random.default_rng(seed)
    U = (rng.random((m, p)) < 0.03).astype(float)
    U[rng.integers(m, size=p), np.arange(p)] = 1.0
    return bi.TrainingProblem(U, rng.standard_t(2, m), 2, pass_through=False)


def test_rare_inputs_and_heavy_noise_are_kept_at_the_level_by_permutation_and_more_often_by_the_formula():
    nothing, exchange = np.zeros(10, dtype=bool), Exchange.of(100)
    by_formula = kept = 0
    for seed in range(300):
        problem = draw(seed)
        by_formula += 10 * entry_p_values(problem, None, nothing).min() < 0.05
        kept += family_wise(problem, None, nothing, level=0.05, exchange=exchange).p_values.min() < 0.05
    assert by_formula >= 30
    # 15 are to be expected at most; more than this with probability 0.001.
    assert kept <= 28


def test_the_formula_is_trusted_where_no_sample_decides_alone():
    rng = np.random.default_rng(0)
    nothing, U = np.zeros(4, dtype=bool), rng.uniform(size=(200, 4))
    calm = bi.TrainingProblem(U, U[:, 0] + 0.2 * rng.uniform(size=200), 2)
    wild = bi.TrainingProblem(U**9, U[:, 0] + 0.2 * rng.standard_t(1, 200), 2)
    assert excess_variance(Scores.of(calm, None, nothing)) < 0.05 < excess_variance(Scores.of(wild, None, nothing))
    tested = family_wise(calm, None, nothing, level=0.05, exchange=Exchange.of(200))
    assert tested.by == "formula"
    np.testing.assert_allclose(tested.p_values, np.minimum(1, 4 * entry_p_values(calm, None, nothing)))
    # In groups it never is; and a clear input is found all the same.
    grouped = family_wise(calm, None, nothing, level=0.01, exchange=Exchange.of(200, np.arange(200) // 4))
    assert grouped.by == "permutation"
    assert grouped.p_values[0] == 0.001
    assert (grouped.p_values[1:] > 0.01).all()


def test_units_and_order_of_the_samples_play_no_part():
    problem, nothing, rng = draw(3), np.zeros(10, dtype=bool), np.random.default_rng(0)
    scaled = bi.TrainingProblem(problem.U.T * 1e3 + 5, problem.Y[0] * 1e-3 + 7, 2, pass_through=False)
    one, other = (by_permutation(Scores.of(each, None, nothing), Exchange.of(100), 0.05) for each in (problem, scaled))
    np.testing.assert_allclose(one, other)
    order = rng.permutation(100)
    moved = bi.TrainingProblem(problem.U.T[order], problem.Y[0][order], 2, pass_through=False)
    again = by_permutation(Scores.of(moved, None, nothing), Exchange.of(100), 0.05)
    # Other orders are drawn from the same ones.
    np.testing.assert_allclose(again, one, atol=0.2)
