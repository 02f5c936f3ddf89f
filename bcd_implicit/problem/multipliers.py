"""Dual points of the loss that belong to an iterate: the gradients, and what takes their place at kinks."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.newton_system import NewtonSystem
from bcd_implicit.problem.output_parts import output_parts, splits
from bcd_implicit.problem.parted_regression import regression_of
from bcd_implicit.problem.regression import EPS, Regression
from bcd_implicit.problem.training_problem import TrainingProblem

# Where a residual is this share of their mean, a multiplier is half way to the end of its interval: the solvers know
# which residuals are zero to about as many digits.
NEAR_KINK = 1e-9
# Multipliers are found among so many times the number of regressors of smallest residuals: at a solution, no more
# residuals than regressors need be zero. Where more of them are, those of up to this share of the predictions' and the
# targets' size are with them.
CANDIDATES, MET = 4, 1e-8
# What is added to a matrix that may have no inverse, in units of its size.
LIFT = 1e-11
# Rounds, each of which finds more multipliers that are at an end of their interval.
ROUNDS = 20
# Newton's corrections of gradients, and the relative accuracy of each.
CORRECTIONS, ACCURACY = 3, 1e-8


def multipliers(problem: TrainingProblem, it: Iterate) -> np.ndarray:
    """A dual point of each sample, near a subgradient of the loss at its prediction, shape (q, m).

    For a smooth loss it is the gradient. One with a kink has an interval of subgradients where a residual is zero, and
    the solution of the output block has as many zero residuals as regressors, and more where states were chosen so as
    to meet the targets. There, those are taken at which the gradient with respect to (C, D, d) is least, in the sense
    of the block's duality gap.
    """
    if problem.loss.smooth:
        return problem.loss.gradient(problem.prediction(it), problem.Y)
    parts = output_parts(problem, it)
    if not parts:
        return _at_kinks(problem, it)
    V = np.empty_like(problem.Y)
    for part in parts:
        V[part.outputs] = _at_kinks(part.problem, part.it)
    return V


def corrected(problem: TrainingProblem, it: Iterate, V: np.ndarray) -> np.ndarray:
    """The multipliers of a smooth loss, changed as a Newton step of the output block would change them.

    The gradient with respect to (C, D, d) is next to zero at these, where it was small.
    """
    if splits(problem) and (parts := output_parts(problem, it)):
        V = V.copy()
        for part in parts:
            V[part.outputs] = corrected(part.problem, part.it, V[part.outputs])
        return V
    loss, regression, prediction = problem.loss, regression_of(problem, it), problem.prediction(it)
    theta = regression.coefficients(it)
    system = NewtonSystem(
        regression,
        lambda change: loss.second_derivative(prediction, problem.Y, change),
        loss.second_diagonal(prediction, problem.Y),
        loss.separable,
    )
    for _ in range(CORRECTIONS):
        step = system.solve(regression.gradient(V, theta), ACCURACY)
        V = loss.inside(V - system.second_derivative(regression.image(step)), problem.Y)
    return V


def _at_kinks(problem: TrainingProblem, it: Iterate) -> np.ndarray:
    regression, prediction = Regression(problem, it), problem.prediction(it)
    miss = np.abs(prediction - problem.Y)
    # Where all targets are met, residuals are rounding.
    sizes = (np.abs(prediction) + np.abs(problem.Y)) @ problem.shares
    rounding = EPS * sizes
    width = np.maximum(NEAR_KINK * (miss @ problem.shares) + rounding, np.finfo(float).tiny)
    V = problem.loss.smoothed(np.zeros_like(miss), width[:, None]).gradient(prediction, problem.Y)
    gradients = regression.gradient(V, regression.coefficients(it))
    for i, gradient in enumerate(gradients):
        distance = miss[i] + width[i]
        farthest = np.sort(distance)[: CANDIDATES * len(regression.W)][-1]
        near = np.flatnonzero(distance <= max(farthest, MET * sizes[i]))
        V[i, near] = _balanced(regression, near, V[i, near], problem.Y[i, near], gradient, distance[near])
    return V


def _balanced(
    regression: Regression, near: np.ndarray, v: np.ndarray, y: np.ndarray, gradient: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Multipliers v of some samples of an output that minimise distance (v - v_0)^2 / 2 + gradient^2 / (2 ridge).

    Those that leave their interval are held at its end, and the rest is minimised over the others.
    """
    loss, shares, W = regression.problem.loss, regression.problem.shares[near], regression.W[:, near]
    free, settled = np.ones(len(near), dtype=bool), False
    for _ in range(ROUNDS):
        rows = np.sqrt(shares * free / distance)[:, None] * W.T
        wanted = v - _normal_solution(rows, regression.root, gradient) @ W / distance
        ends = loss.inside(wanted[None], y[None])[0]
        new = np.where(free, ends, v)
        gradient = gradient + (W * shares) @ (new - v)
        v, inside = new, wanted == ends
        # Once more when all is settled: that takes what rounding has left.
        if settled and np.array_equal(free, inside):
            break
        free, settled = inside, np.array_equal(free, inside)
    return v


def _normal_solution(rows: np.ndarray, root: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution x of (rows' rows + root' root) x = right.

    By an orthogonal factorisation: weights that differ by nine powers of ten would leave few right digits in a product.
    """
    lift = LIFT * np.linalg.norm(rows) or 1.0
    triangle = np.linalg.qr(np.vstack([rows, root, lift * np.eye(len(root))]), mode="r")
    half = solve_triangular(triangle, right, trans=1, check_finite=False)
    return solve_triangular(triangle, half, check_finite=False)
