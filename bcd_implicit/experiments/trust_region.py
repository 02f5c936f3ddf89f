"""One step of the trust-region Newton method, by the eigenvalues of the Hessian."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, eigh, solve_triangular
from scipy.optimize import brentq

# Where there is no curvature, a gradient of this share is no gradient.
ROUNDING = 1e-10


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
    flat = sizes <= len(sizes) * np.finfo(float).eps * sizes[-1]
    inside = -np.divide(c, sizes, out=np.zeros_like(c), where=~flat)
    if np.linalg.norm(c[flat]) <= ROUNDING * np.linalg.norm(c) and np.linalg.norm(inside) <= radius:
        u = inside
    else:

        def excess(mu: float) -> float:
            # The reciprocal of the length is nearly a line; it is zero where there is no curvature and mu is zero.
            with np.errstate(over="ignore"):
                return 1 / float(np.linalg.norm(c / np.maximum(sizes + mu, np.finfo(float).tiny))) - 1 / radius

        mu = brentq(excess, 0.0, np.linalg.norm(c) / radius, xtol=1e-300, rtol=1e-15)
        u = -c / (sizes + mu)
    return np.asarray(solve_triangular(L, Q @ u, lower=True, trans="T"))
