"""One step of the trust-region Newton method, by the eigenvalues of the Hessian."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, eigh, solve_triangular
from scipy.optimize import brentq


def trust_region_step(gradient: np.ndarray, hessian: np.ndarray, metric: np.ndarray, radius: float) -> np.ndarray:
    """The v that minimises gradient'v + 1/2 v' hessian v, subject to v' metric v <= radius^2.

    It solves (hessian + mu metric) v = -gradient with the smallest mu >= 0 that keeps v inside.

    Parameters
    ----------
    gradient : ndarray of shape (N,)
        In the range of the Hessian.
    hessian : ndarray of shape (N, N)
        Symmetric, positive semidefinite.
    metric : ndarray of shape (N, N)
        Symmetric, positive definite.
    radius : float
        Positive.

    Raises
    ------
    numpy.linalg.LinAlgError
        The metric is not positive definite.
    """
    L = np.tril(cho_factor(metric, lower=True)[0])
    # In u = L' v the ball is round.
    g = solve_triangular(L, gradient, lower=True)
    half = solve_triangular(L, hessian, lower=True)
    sizes, Q = eigh(solve_triangular(L, half.T, lower=True))
    sizes, c = np.maximum(sizes, 0.0), Q.T @ g
    # Rounding alone has a part where there is no curvature.
    flat = sizes <= len(sizes) * np.finfo(float).eps * sizes[-1]
    c[flat] = 0.0
    sizes[flat] = 1.0

    def length(mu: float) -> float:
        return float(np.linalg.norm(c / (sizes + mu)))

    mu = 0.0
    if length(0.0) > radius:
        # The reciprocal of the length is nearly a line.
        largest = float(np.linalg.norm(c)) / radius
        mu = brentq(lambda mu: 1 / length(mu) - 1 / radius, 0.0, largest, xtol=1e-300, rtol=1e-15)
    return np.asarray(solve_triangular(L, Q @ (-c / (sizes + mu)), lower=True, trans="T"))
