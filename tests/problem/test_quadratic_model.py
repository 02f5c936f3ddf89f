"""The quadratic model of the loss against the loss itself."""

import numpy as np
import pytest
from problems import random_iterate, table_of

from bcd_implicit import LOSSES, TrainingProblem
from bcd_implicit.problem.quadratic_model import QuadraticModel

SIZE = (3, 4, 3, 30)
SMOOTH = [name for name, loss in LOSSES.items() if loss.smooth]


def problem_of(name, **options):
    problem = TrainingProblem(*table_of(name, SIZE), 3, loss=name, **options)
    return problem, random_iterate(problem, relaxed=False)


def modelled(problem, model, change):
    """The model in its own coordinates: half the squared distance to the target, plus the constant."""
    distance = model.scaled(change) - model.target
    return model.constant + 0.5 * float(np.sum(distance**2 @ problem.shares))


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_loss_where_nothing_changes_and_has_its_slope(name):
    problem, it = problem_of(name, sample_weight=np.linspace(0.5, 2, 30))
    model, zero = QuadraticModel(problem, it), np.zeros_like(problem.Y)
    assert modelled(problem, model, zero) == pytest.approx(problem.mean_loss(it), rel=1e-12)
    change = np.random.default_rng(0).standard_normal(problem.Y.shape)
    slope = (modelled(problem, model, 1e-6 * change) - modelled(problem, model, -1e-6 * change)) / 2e-6
    assert slope == pytest.approx(float(np.sum(model.gradient * change @ problem.shares)), rel=1e-6)
    if problem.loss.smooth:
        np.testing.assert_array_equal(model.gradient, problem.loss.gradient(problem.prediction(it), problem.Y))


def test_of_the_squared_loss_it_is_exact():
    problem, it = problem_of("squared")
    model, change = QuadraticModel(problem, it), np.random.default_rng(0).standard_normal(problem.Y.shape)
    moved = problem.loss.value(problem.prediction(it) + change, problem.Y) @ problem.shares
    assert model.scales is None
    assert modelled(problem, model, change) == pytest.approx(float(moved), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in SMOOTH if name not in ("squared", "huber")])
def test_near_by_it_is_above_the_loss(name):
    problem, it = problem_of(name)
    model, rng = QuadraticModel(problem, it), np.random.default_rng(0)
    for _ in range(20):
        change = 1e-3 * rng.standard_normal(problem.Y.shape)
        moved = float(problem.loss.value(problem.prediction(it) + change, problem.Y) @ problem.shares)
        # The third derivative may be on the other side.
        assert modelled(problem, model, change) >= moved - 1e-3 * float(np.sum(change**2 @ problem.shares))


def test_of_hubers_loss_it_is_above_everywhere():
    problem, it = problem_of("huber")
    model, rng = QuadraticModel(problem, it), np.random.default_rng(0)
    for size in (1e-2, 1.0, 100.0):
        change = size * rng.standard_normal(problem.Y.shape)
        moved = float(problem.loss.value(problem.prediction(it) + change, problem.Y) @ problem.shares)
        assert modelled(problem, model, change) >= moved * (1 - 1e-12)


def test_its_parts_fit_each_other():
    problem, it = problem_of("logistic")
    model, J = QuadraticModel(problem, it), np.random.default_rng(0).standard_normal((3, 2, 30))
    Q, R = model.basis(it.C)
    np.testing.assert_array_equal(Q @ R, it.C)
    rows = model.rows(R, slice(0, 30))
    np.testing.assert_allclose(rows[:, :, 7], np.diag(model.scales[:, 7]) @ R)
    by_hand = sum(w * np.diag(model.scales[:, k]) @ J[:, :, k] for k, w in enumerate(problem.shares))
    np.testing.assert_allclose(model.mean_of(J, slice(0, 30)), by_hand)
    curvature = problem.loss.curvature(problem.prediction(it), problem.Y)
    np.testing.assert_allclose(model.mean_curvature(), curvature @ problem.shares)
    assert model.largest_scale == model.scales.max()
