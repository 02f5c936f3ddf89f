"""Certificate of the output block (C, D, d)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from bcd_implicit.certificates.certificate import Certificate, ratio
from bcd_implicit.certificates.matrices import regressors
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem


def output_certificate(problem: TrainingProblem, it: Iterate) -> Certificate:
    """Certificate of (C, D, d) for fixed X: a ridge regression, so the gap is exact, 1/2 tr(G H^-1 G').

    G is the gradient and H the Hessian of one output row, the mean of [x; u; 1] times its transpose, plus the ridge.
    """
    roots = np.sqrt(problem.shares)
    W = regressors(it.X, problem.U if problem.D_is_output else None, problem.fit_intercept) * roots
    n_penalised = len(W) - int(problem.fit_intercept)
    ridge = problem.ridge * (np.arange(len(W)) < n_penalised)
    theta = _coefficients(it.C, it.D if problem.D_is_output else None, it.d if problem.fit_intercept else None)
    G = problem.loss.gradient(problem.prediction(it), problem.Y) * roots @ W.T + theta * ridge
    G_zero = problem.loss.gradient(np.zeros_like(problem.Y), problem.Y) * roots @ W.T
    gap = 0.5 * float(np.sum(G * divided(G, W @ W.T, ridge)))
    return Certificate(
        gap=gap,
        scale=max(problem.output_objective(it), problem.loss_of_zero),
        kkt_residual=ratio(float(np.linalg.norm(G)), float(np.linalg.norm(G_zero))),
        violation=0.0,
    )


def divided(G: np.ndarray, H: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """G (H + diag(ridge))^+ for positive semidefinite H, by eigenvalues where that is not safely positive definite.

    Rounding hides eigenvalues below n eps. With a ridge they are taken for the least that the ridge leaves them, so
    that the quadratic form G (..)^+ G' is never too small; without, they are the directions that leave the loss alone.
    """
    diagonal = np.diag(H) + ridge
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))  # so that a small column does not pass for a zero one
    scaled, floor = (H + np.diag(ridge)) / unit / unit[:, None], len(H) * np.finfo(float).eps
    try:
        factor = np.linalg.cholesky(scaled)
        if np.diag(factor).min() ** 2 > 1e3 * floor:
            half = solve_triangular(factor, (G / unit).T, lower=True, check_finite=False)
            return solve_triangular(factor, half, lower=True, trans=1, check_finite=False).T / unit
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(scaled)
    hidden = values <= 2 * floor * values.max(initial=0.0)
    if ridge.any():
        least = float((ridge / unit**2)[ridge > 0].min())
        values, hidden = np.where(hidden, least, values), np.zeros_like(hidden)
    kept = ~hidden
    return (G / unit @ vectors[:, kept] / values[kept]) @ vectors[:, kept].T / unit


def _coefficients(C: np.ndarray, D: np.ndarray | None, d: np.ndarray | None) -> np.ndarray:
    return np.hstack([C, *([] if D is None else [D]), *([] if d is None else [d[:, None]])])
