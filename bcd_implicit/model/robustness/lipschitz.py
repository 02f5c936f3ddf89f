"""The Lipschitz constant of a model in the Euclidean norm, by a semidefinite program.

If phi never falls and has slopes up to L, two equilibria have ``dx_i (L_i dz_i - dx_i) >= 0`` for every state. With
weights Lambda >= 0, a diagonal matrix, and dz = A dx + B du, twice the sum of these is taken off from ``g |du|^2 -
|C dx + D du|^2``. If what is left is never negative, outputs move by ``sqrt(g) |du|`` at most. That is

    [[K^T + K - 2 Lambda + C^T C,  Lambda L B + C^T D], [.,  D^T D - g I]] <= 0,    K = Lambda L A,

LipSDP (Fazlyab et al., arXiv 1906.04893) at equilibrium. The program finds Lambda; the constant that it proves follows
from it by a Cholesky factor and a norm. It is never above the norm of S, the gains of
:mod:`~bcd_implicit.model.robustness.gains`, which is another bound, and the only one where the program finds nothing.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.rounding import summation_error
from bcd_implicit.support import cvxpy as cp

# The program keeps so far from the edge of the cone, relative to the outputs' own size, that its Lambda proves a bound.
MARGIN = 1e-7


def euclidean(system: BoundedSystem, C: Matrix, D: Matrix, S: np.ndarray) -> float:
    """A bound on ``|dy| / |du|`` in the Euclidean norm, from S, (q, p), which bounds them entry by entry.

    If a function falls somewhere it is the norm of S.
    """
    if not np.isfinite(S).all():
        return np.inf
    # A largest singular value is off by a few roundings of itself times the size.
    of_gains = float(np.linalg.norm(S, 2)) * (1 + summation_error(16 * sum(S.shape)))
    if not of_gains or not system.activation.rises(len(system.b)).all():
        return of_gains
    A, B, C, D = (dense(M) for M in (system.slopes[:, None] * dense(system.A), system.B, C, D))
    B = system.slopes[:, None] * B
    # Units of inputs and outputs in which B and C have size 1.
    of_inputs, of_outputs = (float(np.linalg.norm(M, 2)) or 1.0 for M in (B, C))
    parts = A, B / of_inputs, C / of_outputs, D / (of_inputs * of_outputs)
    weights = _weights(*parts)
    if weights is None:
        return of_gains
    return min(proved(*parts, weights) * of_inputs * of_outputs, of_gains)


def _weights(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray) -> np.ndarray | None:
    """Lambda, (n,); None where the solver finds none."""
    n = len(A)
    # Inputs act through the row space of [B; D]: the others of their directions need no place in the program.
    _, values, rows = np.linalg.svd(np.vstack([B, D]), full_matrices=False)
    rows = rows[values > 1e-12 * values.max(initial=1e-300)]
    B, D = B @ rows.T, D @ rows.T
    lam, g = cp.Variable(n, nonneg=True), cp.Variable()
    K = cp.diag(lam) @ A
    corner = K.T + K - 2 * cp.diag(lam) + C.T @ C
    side = cp.diag(lam) @ B + C.T @ D
    whole = cp.bmat([[corner, side], [side.T, D.T @ D - g * np.eye(len(rows))]])
    problem = cp.Problem(cp.Minimize(g), [whole + MARGIN * np.eye(n + len(rows)) << 0])
    try:
        problem.solve(solver="CLARABEL")
    except cp.error.SolverError:
        return None
    return None if lam.value is None else np.maximum(lam.value, 0.0)


def proved(A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, weights: np.ndarray) -> float:
    """The constant that weights prove: ``|[D; R^-T (Lambda B + C^T D)]|`` with R^T R = 2 Lambda - K^T - K - C^T C.

    By the Schur complement it is the least for these weights, to a part in 1e9 for rounding. Infinity where the matrix
    is not positive definite.
    """
    n, K = len(A), weights[:, None] * A
    P = 2 * np.diag(weights) - K - K.T - C.T @ C
    sizes = 2 * np.diag(weights) + np.abs(K) + np.abs(K.T) + np.abs(C.T) @ np.abs(C)
    try:
        # Less than P by more than rounding: what R^T R may be above it.
        R = np.linalg.cholesky(P - 4 * summation_error(n) * np.linalg.norm(sizes) * np.eye(n)).T
    except np.linalg.LinAlgError:
        return np.inf
    through = scipy.linalg.solve_triangular(R, weights[:, None] * B + C.T @ D, trans="T")
    return float(np.linalg.norm(np.vstack([D, through]), 2) * (1 + 1e-9))
