"""One row as a convex problem: CVXPY finds the same, and the gap is what it is said to be."""

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from bcd_implicit import ACTIVATIONS, LOSSES
from bcd_implicit.compression.fits import FenchelFit, LossFit
from bcd_implicit.compression.rows import certify, solve_rows
from bcd_implicit.terms.entrywise import Entrywise

M, P = 40, 6


def regressors(seed=0):
    W = np.random.default_rng(seed).standard_normal((P, M))
    return np.vstack([W - W.mean(axis=1, keepdims=True), np.ones(M)])


def penalty(weight, radius=np.inf, rows=1, held=()):
    weights = np.full((rows, P + 1), weight)
    weights[:, -1] = 0.0
    free = np.ones((rows, P + 1), dtype=bool)
    free[:, list(held)] = False
    inside = np.arange(3) if np.isfinite(radius) else np.zeros(0, dtype=int)
    return Entrywise(weights, np.full((rows, P + 1), 1e-3), free, inside, radius)


def states(phi, seed=1):
    rng = np.random.default_rng(seed)
    return phi(rng.standard_normal((1, P + 1)) @ regressors() + 0.3 * rng.standard_normal((1, M)))


def posed(fit, W, terms):
    """The row in CVXPY: the problem and its variable."""
    T = cp.Variable(terms.weights.shape)
    Z = T @ W
    if isinstance(fit, FenchelFit):
        smooth = fit.phi.cvxpy_g_conjugate(Z) - cp.sum(cp.multiply(fit.x, Z)) + float(fit.phi.g(fit.x).sum())
    else:
        smooth = fit.loss.cvxpy(Z, fit.Y)
    penalties = cp.sum(cp.multiply(terms.weights, cp.abs(T))) + 0.5 * cp.sum_squares(
        cp.multiply(np.sqrt(terms.ridge), T)
    )
    constraints = [T[:, j] == 0 for j in np.flatnonzero(~terms.free[0])]
    if terms.bounded:
        constraints.append(cp.norm1(T[:, terms.inside], axis=1) <= terms.radius)
    return cp.Problem(cp.Minimize(smooth / W.shape[1] + penalties), constraints), T


def objective(fit, W, terms, T):
    return fit.value(T @ W) + terms.value(T)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "clip", "sigmoid"])
@pytest.mark.parametrize(("weight", "radius", "held"), [(0.05, np.inf, ()), (0.01, 0.3, (4,)), (0.0, 0.2, ())])
def test_a_row_is_what_cvxpy_finds(name, weight, radius, held):
    fit, W, terms = (
        FenchelFit(ACTIVATIONS[name], states(ACTIVATIONS[name])),
        regressors(),
        penalty(weight, radius, 1, held),
    )
    T = solve_rows(fit, W, terms, np.zeros((1, P + 1)), 1e-9)
    found = certify(fit, W, terms, T)
    assert found.relative_gap <= 1e-9
    problem, variable = posed(fit, W, terms)
    problem.solve(solver="CLARABEL")
    assert objective(fit, W, terms, T) == pytest.approx(problem.value, abs=1e-7)
    assert_allclose(T, variable.value, atol=2e-3)
    assert not T[0, list(held)].any()
    assert np.abs(T[0, terms.inside]).sum() <= radius * (1 + 1e-12)


@pytest.mark.parametrize("name", ["squared", "logistic", "cross-entropy"])
def test_rows_under_a_loss_are_what_cvxpy_finds(name):
    rng = np.random.default_rng(2)
    Y = np.eye(3)[rng.integers(0, 3, M)].T
    fit, W, terms = LossFit(LOSSES[name], Y), regressors(), penalty(0.03, rows=3)
    T = solve_rows(fit, W, terms, np.zeros((3, P + 1)), 1e-9)
    assert certify(fit, W, terms, T).relative_gap <= 1e-9
    problem, _ = posed(fit, W, terms)
    problem.solve(solver="CLARABEL")
    assert objective(fit, W, terms, T) == pytest.approx(problem.value, abs=1e-7)


def test_the_gap_is_that_of_the_dual_point_and_wrong_points_fail():
    fit, W, terms = FenchelFit(ACTIVATIONS["relu"], states(ACTIVATIONS["relu"])), regressors(), penalty(0.02, 0.4)
    T = solve_rows(fit, W, terms, np.zeros((1, P + 1)), 1e-10)
    optimum = objective(fit, W, terms, T)
    rng = np.random.default_rng(3)
    for size in (1e-3, 1e-2, 0.1):
        wrong = terms.feasible(T + size * rng.standard_normal(T.shape))
        found = certify(fit, W, terms, wrong)
        # The dual objective at v = phi(z), written out: minus g at it, minus the penalty's conjugate.
        v = fit.phi(wrong @ W)
        assert (v >= 0).all()
        G = ((v - fit.x) / M) @ W.T
        beyond = np.maximum(np.abs(G[0]) - terms.weights[0], 0)
        inside = np.zeros(P + 1, dtype=bool)
        inside[:3] = True
        free = np.sum(beyond[~inside] ** 2 / (2 * terms.ridge[0, ~inside]))
        grid = np.linspace(0, beyond.max(), 20001)[:, None]
        ball = np.min(0.4 * grid[:, 0] + np.sum(np.maximum(beyond[inside] - grid, 0) ** 2 / 2e-3, axis=1))
        dual = np.mean(0.5 * fit.x**2 - 0.5 * v**2) - free - ball
        assert found.gap == pytest.approx(objective(fit, W, terms, wrong) - dual, rel=1e-3)
        assert found.gap >= objective(fit, W, terms, wrong) - optimum
        assert found.relative_gap > 1e-6
    outside = T.copy()
    outside[0, 0] += 0.5
    assert certify(fit, W, terms, outside).gap == np.inf
    held = Entrywise(terms.weights, terms.ridge, np.zeros_like(terms.free), terms.inside, terms.radius)
    assert certify(fit, W, held, T).gap == np.inf


def test_the_proximal_map_is_the_minimum():
    rng, terms = np.random.default_rng(4), penalty(0.3, 0.5, 2, (4,))
    V, step = rng.standard_normal((2, P + 1)), rng.uniform(0.5, 2, (2, P + 1))
    T = cp.Variable((2, P + 1))
    cost = cp.sum(cp.multiply(terms.weights, cp.abs(T))) + 0.5 * cp.sum_squares(cp.multiply(np.sqrt(terms.ridge), T))
    distance = 0.5 * cp.sum_squares(cp.multiply(1 / np.sqrt(step), T - V))
    cp.Problem(cp.Minimize(cost + distance), [T[:, 4] == 0, cp.norm1(T[:, :3], axis=1) <= 0.5]).solve("CLARABEL")
    assert_allclose(terms.prox(V, step), T.value, atol=1e-6)
