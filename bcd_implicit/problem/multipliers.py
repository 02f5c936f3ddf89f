"""Dual points of the loss that belong to an iterate: the gradients, and what takes their place at kinks."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# Where a residual is this share of their mean, a multiplier is half way to the end of its interval: the solvers know
# which residuals are zero to about as many digits.
NEAR_KINK = 1e-9
# Multipliers are found among so many times the number of regressors of smallest residuals: at a solution, no more
# residuals than regressors need be zero. Where more of them are, those of up to so many of these shares are with them.
CANDIDATES, ALL_NEAR = 4, 10
# What is added to the unit diagonal of a matrix that may be singular: the first of these that is enough.
LIFTS = 10.0 ** np.arange(-14, 1)
# Rounds, each of which finds more multipliers that are at an end of their interval.
ROUNDS = 20


def multipliers(problem: TrainingProblem, it: Iterate) -> np.ndarray:
    """A dual point of each sample, near a subgradient of the loss at its prediction, shape (q, m).

    For a smooth loss it is the gradient. One with a kink has an interval of subgradients where a residual is zero, and
    the solution of the output block has as many zero residuals as regressors. There, those are taken at which the
    gradient with respect to (C, D, d) is least, in the sense of the block's duality gap.
    """
    loss, prediction = problem.loss, problem.prediction(it)
    if loss.smooth:
        return loss.gradient(prediction, problem.Y)
    miss = np.abs(prediction - problem.Y)
    # Where all targets are met, residuals are rounding.
    rounding = np.finfo(float).eps * (np.abs(prediction) + np.abs(problem.Y)) @ problem.shares
    width = np.maximum(NEAR_KINK * (miss @ problem.shares) + rounding, np.finfo(float).tiny)[:, None]
    V = loss.smoothed(np.zeros_like(miss), width).gradient(prediction, problem.Y)
    W, ridge = regressors(problem, it.X)
    theta = np.hstack([it.C, it.D]) if problem.D_is_output else it.C
    theta = np.pad(theta, ((0, 0), (0, len(W) - theta.shape[1])))
    gradient = (V * problem.shares) @ W.T + ridge * theta
    for i, distance in enumerate(miss + width):
        farthest = np.sort(distance)[: CANDIDATES * len(W)][-1]
        near = np.flatnonzero(distance <= max(farthest, ALL_NEAR * width[i, 0]))
        V[i, near] = _balanced(problem, i, near, V, gradient[i], W[:, near], ridge, distance[near])
    return V


def _balanced(
    problem: TrainingProblem,
    output: int,
    near: np.ndarray,
    V: np.ndarray,
    gradient: np.ndarray,
    W: np.ndarray,
    ridge: np.ndarray,
    distance: np.ndarray,
) -> np.ndarray:
    """Multipliers v of some samples of an output that minimise distance (v - v_0)^2 / 2 + gradient^2 / (2 ridge).

    Those that leave their interval are held at its end, and the rest is minimised over the others.
    """
    loss, Y, shares = problem.loss, problem.Y[output : output + 1, near], problem.shares[near]
    v, free = V[output, near], np.ones(len(near), dtype=bool)
    for _ in range(ROUNDS):
        step = solve_lifted((W * (shares * free / distance)) @ W.T + np.diag(ridge), gradient)
        wanted = v - step @ W / distance
        ends = loss.inside(wanted[None], Y)[0]
        new = np.where(free, ends, v)
        gradient = gradient + (W * shares) @ (new - v)
        v, inside = new, wanted == ends
        if np.array_equal(free, inside):
            break
        free = inside
    return v


def regressors(problem: TrainingProblem, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What C, D and d multiply where they are variables of the output block, and the ridge on each.

    X and U less their means where there is an intercept, whose regressor of ones comes last.
    """
    rows = np.vstack([X, problem.U]) if problem.D_is_output else X
    W = rows - statistics.centre(rows, problem.shares, problem.fit_intercept)[:, None]
    ridge = np.full(len(W), float(problem.ridge))
    if problem.fit_intercept:
        W, ridge = np.vstack([W, np.ones(W.shape[1])]), np.append(ridge, 0.0)
    return W, ridge


def solve_lifted(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a symmetric positive semidefinite system, lifted as far as it needs to have a factor.

    Raises
    ------
    LinAlgError
        The matrix is not finite.
    """
    diagonal = np.diag(matrix)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix / np.outer(unit, unit)
    for lift in LIFTS:
        with suppress(LinAlgError):
            factor = cho_factor(scaled + lift * np.eye(len(scaled)), check_finite=False)
            return cho_solve(factor, right / unit, check_finite=False) / unit
    raise LinAlgError("a matrix of sums over samples is not finite")
