"""Whether x = phi(Ax + c) has one solution for every c, and in which units Picard's iteration contracts.

For phi with Lipschitz constants L, a diagonal matrix, it is enough that the spectral radius of the gains G = ``L |A|``,
their Perron-Frobenius root, is below 1 (El Ghaoui et al., arXiv 1908.06315, theorem 2.2, for L = 1); ||G||_inf < 1
implies it. A positive vector v with ``G v < v`` proves it (Collatz and Wielandt) and gives the units: in
``max_i |x_i| / v_i`` a step contracts by ``max_i (G v)_i / v_i``.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model.rounding import EPS, near_one, rounded_up

# Where units are farther apart, states and predictions could overflow.
WIDEST = 1e40
# In place of a margin that is lost in rounding.
LEAST_MARGIN = 1e-30
REMEDY = "Scale A down, or train with norm_bound < 1"


def gains_of(A: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """G = ``L |A|`` of a dense A, L the diagonal matrix of the largest slopes; ``inf`` where phi is not Lipschitz."""
    sizes = np.abs(A)
    # Not inf * 0, where a state's function has no Lipschitz constant.
    return np.multiply(slopes[:, None], sizes, where=sizes != 0, out=np.zeros_like(sizes))


def spectral_radius(gains: np.ndarray) -> float:
    """The Perron-Frobenius root of a matrix without negative entries, shape (n, n)."""
    # The root is real and not negative, but others may be as large in absolute value, or rounding make it complex.
    return float(np.abs(np.linalg.eigvals(gains)).max())


def contraction(gains: np.ndarray, v: np.ndarray) -> float:
    """The factor by which x <- phi(Ax + c) contracts in the units v: ``max_i (G v)_i / v_i``."""
    return float(np.max(gains @ v / v))


def norm_is_below_one(norm: float, n: int) -> bool:
    """Whether ||G||_inf of n states is below 1, whatever the rounding in it and in what solvers find for it."""
    return rounded_up(norm, 4 * n) < 1


def radius_is_below_one(radius: float, n: int) -> bool:
    """The same of a spectral radius; units that prove it come from a solve, which rounds more."""
    return rounded_up(radius, 16 * n) < 1


def room(gains: np.ndarray) -> np.ndarray | None:
    """For each state a number r > 0: every x >= 0 with ``x <= G x + s`` is at most ``max_i s_i / r``; shape (n,).

    It is ``1 / v`` for ``v = (I - G)^-1 1``. Any v > 0 and t > 0 with ``v - G v >= t`` prove it, but for the factor t:
    ``(I - G)^-1`` has no negative entries, so that ``(I - G) x <= s <= max_i s_i (I - G) v / t`` can be multiplied by
    it. None where there is no such v: the spectral radius is 1 or more.
    """
    try:
        v = np.linalg.solve(np.eye(len(gains)) - gains, np.ones(len(gains)))
    except np.linalg.LinAlgError:  # the radius is 1 exactly
        return None
    if not (v > 0).all() or not np.isfinite(v).all():
        return None
    rounding = (len(v) + 2) * EPS * v.max()
    # Where rounding hides t, next to nothing is known.
    return np.asarray(max(float((v - gains @ v).min()) - rounding, LEAST_MARGIN) / v)


def not_below_one(radius: float) -> str:
    """A spectral radius that is not, as messages tell it."""
    return f"{near_one(radius)}, not below 1" + (" by more than rounding" if radius < 1 else "")


def weights(gains: np.ndarray) -> np.ndarray:
    """Positive v with ``G v < v``: ones where ||G||_inf < 1 by more than rounding, else ``v = (I - G/s)^-1 1``.

    Then ``G v = s (v - 1)``. s lies half-way between the spectral radius of G and 1, so that the contraction is no
    weaker than s.

    Parameters
    ----------
    gains : ndarray of shape (n, n)
        G, without negative entries.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    NotWellPosedError
        The spectral radius of G is 1 or more, to rounding, or entries of v would be beyond 1e40.
    """
    norm = float(gains.sum(axis=1).max())
    # Trained models always pass: no eigenvalues, and error bounds in the states' own units.
    if norm_is_below_one(norm, len(gains)):
        return np.ones(len(gains))
    radius = spectral_radius(gains)
    if not radius_is_below_one(radius, len(gains)):
        raise NotWellPosedError(
            f"A: spectral radius of |A| times the activation's largest slope is {not_below_one(radius)}, so an "
            f"equilibrium need not exist. {REMEDY}."
        )
    s = (1 + radius) / 2
    # The inverse is a series of matrices without negative entries that begins with I, so v >= 1: it can be divided by.
    v = np.linalg.solve(np.eye(len(gains)) - gains / s, np.ones(len(gains)))
    if not v.max() <= WIDEST:
        raise NotWellPosedError(
            f"A: spectral radius of |A| times the activation's largest slope is {radius:.6g}, but the largest row sum "
            f"{norm:.6g}, and the states' units would be {v.max():.1e} apart, {WIDEST:.0e} at most. Choose units in "
            "which entries of A are smaller."
        )
    return v
