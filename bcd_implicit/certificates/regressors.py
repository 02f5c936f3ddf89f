"""The regressors of the matrices, centred, and how far floating point may be off in products with them.

Certificates are evaluated in coordinates in which means are taken out of X and U where there are intercepts,
Z = A (X - mean) + B (U - mean) + shift: an offset of the inputs, large beside their spread, costs no digits then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import svds

from bcd_implicit.problem import statistics
from bcd_implicit.problem.training_problem import TrainingProblem

EPS = float(np.finfo(float).eps)
# Eigenvalues of larger Gram matrices cost more than the certificate's other parts.
FEW = 100


def rms(rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The weighted root mean square of each row over the samples: (k, m) to (k,)."""
    return np.sqrt(np.einsum("ij,ij,j->i", rows, rows, shares))


def largest_square(W: np.ndarray) -> float:
    """The largest eigenvalue of W W', to a hundredth."""
    if min(W.shape) <= FEW:
        gram = W @ W.T if len(W) <= W.shape[1] else W.T @ W
        return float(np.linalg.eigvalsh(gram)[-1])
    # Lanczos' method, always from the same start. One of ones would be orthogonal to the difference of an input and its
    # complement, and to all that such differences span.
    start = np.random.default_rng(0).standard_normal(min(W.shape))
    return float(svds(W, k=1, tol=1e-2, v0=start, return_singular_vectors=False)[0] ** 2)


def free_coefficients(problem: TrainingProblem) -> np.ndarray:
    """The entries of the output block's (C | D), or of C alone, that the pattern leaves free: bool."""
    letters = "CD" if problem.D_is_output else "C"
    return np.hstack([problem.pattern.entries(letter, problem.shapes[letter]) for letter in letters])


@dataclass(frozen=True)
class Gradients:
    """Of the smooth part: with respect to A, to what the group lasso sees, and to the intercepts."""

    A: np.ndarray
    groups: np.ndarray
    intercepts: np.ndarray


class CentredRegressors:
    """[X; U] less its means where there are intercepts, else as it is.

    Attributes
    ----------
    X, U : ndarray of shape (n, m) and (p, m)
    x_mean, u_mean : ndarray of shape (n,) and (p,)
    x_size, u_size : ndarray of shape (n,) and (p,)
        Root mean squares of the rows of X and U.
    unit : float
        Bounds the relative rounding of sums over samples or regressors.
    """

    def __init__(self, problem: TrainingProblem, X: np.ndarray) -> None:
        self.shares, centred = problem.shares, problem.fit_intercept
        self.x_mean, self.u_mean = (statistics.centre(part, self.shares, centred) for part in (X, problem.U))
        self.X, self.U = X - self.x_mean[:, None], problem.U - self.u_mean[:, None]
        self.x_size, self.u_size = rms(self.X, self.shares), rms(self.U, self.shares)
        self.unit = EPS * (sum(X.shape) + len(self.U) + 10)

    def image(self, A: np.ndarray, B: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AX + BU + b, shape (rows, m), and a bound on the root mean square of the rounding of each row."""
        shift = b + A @ self.x_mean + B @ self.u_mean
        rounding = np.abs(A) @ (self.x_size + np.abs(self.x_mean)) + np.abs(B) @ (self.u_size + np.abs(self.u_mean))
        Z = np.repeat(shift[:, None], self.X.shape[1], axis=1)
        for matrix, rows in ((A, self.X), (B, self.U)):
            if matrix.any():  # without pass-through D is zero, and its product most of the work
                Z += matrix @ rows
        return Z, self.unit * (rounding + np.abs(b))

    def pull(self, P: np.ndarray, P_outputs: np.ndarray) -> tuple[Gradients, Gradients]:
        """Gradients from those with respect to AX + BU + b, (n, m), and to DU + d where that is a variable, (q, m).

        Also bounds on the rounding of every entry.
        """
        both = np.vstack([P, P_outputs])
        # Cauchy and Schwarz: |P| |W'| without forming it. A share that underflows has a gradient that does too.
        sizes = np.sqrt(np.sum(both**2 / np.maximum(self.shares, np.finfo(float).tiny), axis=1))
        sizes *= self.unit
        return (
            Gradients(P @ self.X.T, both @ self.U.T, both.sum(axis=1)),
            Gradients(np.outer(sizes[: len(P)], self.x_size), np.outer(sizes, self.u_size), sizes),
        )

    def uncentred(self, gradients: Gradients) -> Gradients:
        """The same with respect to the matrices of the regressors as they are."""
        n = len(gradients.A)
        return Gradients(
            gradients.A + np.outer(gradients.intercepts[:n], self.x_mean),
            gradients.groups + np.outer(gradients.intercepts, self.u_mean),
            gradients.intercepts,
        )
