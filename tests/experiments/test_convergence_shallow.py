"""The shallow problem: its loss around a point, its constants, its optimum."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from shallow_problems import classes, differences, squared

PROBLEMS = {
    "squared": squared(),
    "fewer samples than features": squared(6, 3, 4),
    "rank 2 of 5": squared(5, 3, 9, rank=2),
    "cross-entropy": classes(),
    "cross-entropy, fewer samples": classes(6, 3, 5),
}
each = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def by_hand(problem, W):
    F = W @ problem.Psi
    if problem.loss.quadratic:
        return np.sum((F - problem.Y) ** 2)
    return -np.sum(problem.Y * log_softmax(F, axis=0))


def with_positive_features(problem):
    return replace(problem, Psi=np.abs(problem.Psi))


def random_W(problem, seed=0, size=1.0):
    return size * np.random.default_rng(seed).standard_normal((len(problem.Y), len(problem.Psi)))


@each
def test_value_gradient_and_hessian(problem):
    W = random_W(problem)
    assert problem.value(W) == pytest.approx(by_hand(problem, W), rel=1e-12)
    G = differences(lambda W: by_hand(problem, W), W)
    # All of the gradient is in T.
    np.testing.assert_allclose(problem.lift(problem.gradient(W)), G, atol=1e-7)
    w = problem.part(W)
    for i in range(w.size):
        e = np.zeros(w.size)
        e[i] = 1e-5
        step = problem.lift(e.reshape(w.shape, order="F"))
        column = (problem.gradient(W + step) - problem.gradient(W - step)).ravel(order="F") / 2e-5
        np.testing.assert_allclose(problem.hessian(W)[:, i], column, atol=1e-7)


@each
@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 300.0])
def test_the_loss_around_a_point_is_exact_at_any_distance(problem, size):
    around = problem.expand(random_W(problem))
    w = problem.part(random_W(problem, 1, size))
    there = around.W + problem.lift(w)
    if size >= 1:
        assert problem.rise(w, around) == pytest.approx(by_hand(problem, there) - around.loss, rel=1e-10, abs=1e-10)
        np.testing.assert_allclose(problem.gradient_near(w, around), problem.gradient(there), atol=1e-10 * size)
    else:
        flat = problem.rise(w, around) - np.vdot(around.slope, w)
        middle = problem.hessian(around.W + problem.lift(w / 3))
        vector = w.ravel(order="F")
        # Taylor, with the second derivative at a third of the way: right to the third order.
        expected, rounding = vector @ middle @ vector / 2, 1e-15 * abs(np.vdot(around.slope, w))
        assert flat == pytest.approx(expected, rel=1e-4 + 10 * size, abs=rounding)
    both = problem.gradient_near(np.stack([w, 2 * w]), around)
    np.testing.assert_array_equal(both[0], problem.gradient_near(w, around))
    np.testing.assert_array_equal(both[1], problem.gradient_near(2 * w, around))


def test_near_an_optimum_a_distance_keeps_its_digits():
    for problem in (squared(), classes()):
        best = problem.minimize()
        w = problem.part(random_W(problem, 1))
        vector, H = w.ravel(order="F"), problem.hessian(best.W)
        tiny = 1e-25
        assert problem.rise(tiny * w, best) == pytest.approx(tiny**2 * vector @ H @ vector / 2, rel=1e-12)
        gradient = problem.gradient_near(tiny * w, best).ravel(order="F")
        np.testing.assert_allclose(gradient, tiny * H @ vector, rtol=1e-10)


@each
def test_the_constant_is_a_bound_at_random_points_and_of_the_squared_loss_the_best(problem):
    if not problem.is_attained():
        return
    best, least = problem.minimize(), np.inf
    for seed in range(50):
        W = random_W(problem, seed, 10.0 ** (seed % 4 - 2))
        w = problem.part(W - best.W)
        k = problem.constant(np.minimum(problem.least_curvatures(W), problem.least_curvatures(best.W)))
        radius = max(np.linalg.norm(problem.part(V)) for V in (W, best.W))
        ratio = np.sum(problem.gradient(W) ** 2) / 2 / problem.rise(w, best)
        assert ratio >= k * (1 - 1e-9)
        assert k >= problem.constant_of_ball(radius) * (1 - 1e-9)
        least = min(least, ratio / k)
    if problem.loss.quadratic:
        P, sizes, _ = np.linalg.svd(problem.Psi)
        smallest = sizes[sizes > 1e-10].min()
        assert k == pytest.approx(2 * smallest**2, rel=1e-9)
        # Along the last left singular vector the inequality is an equality.
        W = best.W + np.outer(np.arange(1.0, len(problem.Y) + 1), P[:, len(problem.features) - 1])
        gap = by_hand(problem, W) - best.loss
        assert np.sum(problem.gradient(W) ** 2) / 2 == pytest.approx(k * gap, rel=1e-9)


def test_the_least_probability_bounds_the_curvature():
    problem = classes()
    W = random_W(problem)
    p = softmax(W @ problem.Psi, axis=0)
    Z = problem.outputs
    for k, least in enumerate(problem.least_curvatures(W)):
        H = Z.T @ (np.diag(p[:, k]) - np.outer(p[:, k], p[:, k])) @ Z
        assert p[:, k].min() == pytest.approx(least)
        assert np.linalg.eigvalsh(H)[0] >= least


@each
def test_the_optimum_is_that_of_cvxpy(problem):
    if not problem.is_attained():
        return
    best, W = problem.minimize(), cp.Variable((len(problem.Y), len(problem.Psi)))
    F = W @ problem.Psi
    if problem.loss.quadratic:
        loss = cp.sum_squares(F - problem.Y)
        lstsq = np.linalg.lstsq(problem.Psi.T, problem.Y.T, rcond=None)[0].T
        np.testing.assert_allclose(best.W, lstsq, atol=1e-10)
    else:
        loss = cp.sum(cp.log_sum_exp(F, axis=0)) - cp.sum(cp.multiply(problem.Y, F))
    cp.Problem(cp.Minimize(loss)).solve(solver="CLARABEL")
    assert best.loss == pytest.approx(loss.value, rel=1e-6, abs=1e-7)
    assert best.loss <= by_hand(problem, W.value) + 1e-9
    assert np.abs(problem.gradient(best.W)).max() < 1e-11


def test_a_ball_ends_the_search_where_cvxpy_says():
    problem = classes(6, 3, 5)
    assert not problem.is_attained()
    best, W = problem.minimize(radius=2.5), cp.Variable((3, 6))
    F = W @ problem.Psi
    loss = cp.sum(cp.log_sum_exp(F, axis=0)) - cp.sum(cp.multiply(problem.Y, F))
    cp.Problem(cp.Minimize(loss), [cp.norm(W, "fro") <= 2.5]).solve(solver="CLARABEL")
    assert best.loss == pytest.approx(loss.value, rel=1e-6)
    assert np.linalg.norm(best.W) == pytest.approx(2.5, rel=1e-9)
    np.testing.assert_allclose(best.W, W.value, atol=1e-4)
    np.testing.assert_allclose(best.slope, problem.gradient(best.W), atol=1e-8)


@pytest.mark.parametrize(
    ("problem", "attained"),
    [
        (squared(10, 3, 4), True),
        (classes(), True),
        (classes(6, 3, 5), False),  # as many features as samples: any labels can be told apart
        # A class without a sample, and features all around zero, or on one side of it.
        (classes(3, 4, 40, labels=np.arange(40) % 3), True),
        (with_positive_features(classes(3, 4, 40, labels=np.arange(40) % 3)), False),
        (classes(1, 2, 4, labels=[0, 0, 1, 1], seed=3), True),
    ],
)
def test_whether_an_optimum_exists(problem, attained):
    assert problem.is_attained() is attained
