"""What the certificates of the two blocks in (A, B, b) share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bcd_implicit.certificates.certificate import ratio
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem


@dataclass(frozen=True)
class Gradients:
    """Of the smooth part: with respect to A, to what the group lasso sees, and to the intercepts."""

    A: np.ndarray
    groups: np.ndarray
    intercepts: np.ndarray


def data_gradient(problem: TrainingProblem, P: np.ndarray, P_outputs: np.ndarray, X: np.ndarray) -> Gradients:
    """From those with respect to the preactivations, and to DU + d where that is a variable: (n, m) and (q, m)."""
    both = np.vstack([P, P_outputs])
    return Gradients(P @ X.T, both @ problem.U.T, both.sum(axis=1))


def best_dual(problem: TrainingProblem, dual_data: Callable[[float], float], G_A: np.ndarray, G: np.ndarray) -> float:
    """Best dual value over the scalings worth trying: s = 1, and those that make the groups' part finite."""
    ridge, lasso, ridges = problem.ridge_hidden, problem.group_lasso, _ridges(problem)
    # Rows with a ridge are finite anyway.
    free = G[ridges == 0]
    if len(free) and lasso.dual_scale(np.ones_like(free)) == 0:
        return -np.inf  # every dual point near this one is infeasible, and s = 0 says nothing
    values = []
    # Where only some rows have a ridge, a little inside: on the boundary the conjugate is all rounding.
    inside = 1 - 1e-9 if 0 < len(free) < len(G) else 1.0
    for s in {1.0, lasso.dual_scale(G), inside * lasso.dual_scale(free) if len(free) else 1.0}:
        conjugate = problem.row_ball.conjugate(s * G_A, ridge) + lasso.conjugate(s * G, ridges)
        values.append(dual_data(s) - conjugate)
    return max(values)


def _ridges(problem: TrainingProblem) -> np.ndarray:
    """The ridge on each row of what the group lasso sees."""
    of_D = [problem.ridge] * problem.n_outputs if problem.stacked else []
    return np.array([problem.ridge_hidden] * problem.n_hidden + of_D)


def ridge_of_D(problem: TrainingProblem, it: Iterate) -> float:
    """The ridge on D, where that is a variable of the block."""
    return 0.5 * problem.ridge * float(np.sum(it.D**2)) if problem.stacked else 0.0


def prox_residual(
    problem: TrainingProblem, it: Iterate, gradients: Gradients, at_zero: Gradients, curvature: float
) -> float:
    """|| T - prox(T - grad/L) || L, relative to the gradient at T = 0, for h = row balls + group lasso."""
    W = regressors(it.X, problem.U, problem.fit_intercept) * np.sqrt(problem.shares)
    ridges, G = _ridges(problem), problem.grouped(it)
    L = curvature * float(np.linalg.eigvalsh(W @ W.T)[-1]) + ridges.max()
    if L == 0:
        return 0.0
    A = it.A - problem.row_ball.prox(it.A - (gradients.A + problem.ridge_hidden * it.A) / L)
    B = G - problem.group_lasso.prox(G - (gradients.groups + ridges[:, None] * G) / L, 1 / L)
    b = gradients.intercepts / L if problem.fit_intercept else np.zeros(0)
    size = np.sqrt(np.sum(A**2) + np.sum(B**2) + np.sum(b**2))
    squares = sum(float(np.sum(g**2)) for g in (at_zero.A, at_zero.groups, at_zero.intercepts))
    return ratio(float(L * size), float(np.sqrt(squares)) + problem.kappa)


def regressors(X: np.ndarray, U: np.ndarray | None, intercept: bool) -> np.ndarray:
    """The rows [X; U; 1] that a block's matrices multiply, without those that it lacks."""
    return np.vstack([X, *([] if U is None else [U]), *([np.ones((1, X.shape[1]))] if intercept else [])])
