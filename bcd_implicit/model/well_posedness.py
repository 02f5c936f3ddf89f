"""Whether x = phi(Ax + c) has one solution for every c, and in which units Picard's iteration contracts.

For phi with slopes in [0, L], L the activation's ``max_slope``, it is enough that the spectral radius of ``L |A|``, its
Perron-Frobenius root, is below 1 (El Ghaoui et al., arXiv 1908.06315, theorem 2.2, for L = 1); L ||A||_inf < 1 implies
it. A positive vector v with ``L |A| v < v`` proves it (Collatz and Wielandt) and gives the units: in
``max_i |x_i| / v_i`` a step contracts by ``L max_i (|A| v)_i / v_i``.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import NotWellPosedError

# Where units are farther apart, states and predictions could overflow.
WIDEST = 1e40


def norm_inf(A: np.ndarray) -> float:
    """||A||_inf, the largest absolute row sum of A (n, n)."""
    return float(np.abs(A).sum(axis=1).max())


def spectral_radius(A: np.ndarray) -> float:
    """The Perron-Frobenius root of ``|A|``, for A (n, n)."""
    # The root is real and not negative, but others may be as large in absolute value, or rounding make it complex.
    return float(np.abs(np.linalg.eigvals(np.abs(A))).max())


def contraction(A: np.ndarray, v: np.ndarray, max_slope: float) -> float:
    """The factor by which x <- phi(Ax + c) contracts in the units v: ``max_slope max_i (|A| v)_i / v_i``."""
    return max_slope * float(np.max(np.abs(A) @ v / v))


def weights(A: np.ndarray, max_slope: float) -> np.ndarray:
    """Positive v with ``G v < v``, G = max_slope ``|A|``: ones where ||G||_inf < 1, else ``v = (I - G/s)^-1 1``.

    Then ``G v = s (v - 1)``. s lies half-way between the spectral radius of G and 1, so that the contraction is no
    weaker than s.

    Parameters
    ----------
    A : ndarray of shape (n, n)
    max_slope : float
        Of the activation.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    NotWellPosedError
        The spectral radius of G is 1 or more, or entries of v would be beyond 1e40.
    """
    # Trained models always pass: no eigenvalues, and error bounds in the states' own units.
    if max_slope * norm_inf(A) < 1:
        return np.ones(len(A))
    radius = spectral_radius(A)
    if max_slope * radius >= 1:
        raise NotWellPosedError(
            f"A: spectral radius of |A| is {radius:.6g} (||A||_inf = {norm_inf(A):.6g}), "
            f"not below {1 / max_slope:g}, so an equilibrium need not exist. "
            "Scale A down, or train with norm_bound < 1."
        )
    s = (1 + max_slope * radius) / 2
    # The inverse is a series of matrices without negative entries that begins with I, so v >= 1: it can be divided by.
    v = np.linalg.solve(np.eye(len(A)) - max_slope * np.abs(A) / s, np.ones(len(A)))
    if not v.max() <= WIDEST:
        raise NotWellPosedError(
            f"A: spectral radius of |A| is {radius:.6g}, but ||A||_inf = {norm_inf(A):.6g}, and the states' units "
            f"would be {v.max():.1e} apart, {WIDEST:.0e} at most. Choose units in which entries of A are smaller."
        )
    return v
