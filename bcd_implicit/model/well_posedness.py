"""Whether x = phi(Ax + c) has one solution for every c, and in which units Picard's iteration contracts.

For phi with Lipschitz constants L, a diagonal matrix, it is enough that the spectral radius of the gains G = ``L |A|``,
their Perron-Frobenius root, is below 1 (El Ghaoui et al., arXiv 1908.06315, theorem 2.2, for L = 1); ||G||_inf < 1
implies it. A positive vector v with ``G v < v`` proves it (Collatz and Wielandt) and gives the units: in
``max_i |x_i| / v_i`` a step contracts by ``max_i (G v)_i / v_i``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.errors import NotWellPosedError

# Where units are farther apart, states and predictions could overflow.
WIDEST = 1e40


@dataclass(frozen=True)
class Contraction:
    """By which factor a step x <- phi(Ax + c) contracts, in ``max_i |x_i| / v_i``.

    Attributes
    ----------
    factor : float
        Of 1 or more, nothing is known.
    v : ndarray of shape (n,)
        Positive.
    """

    factor: float
    v: np.ndarray

    @property
    def room(self) -> float:
        """``||(I - SA)^-1||_inf`` is at most 1 divided by this, for slopes S up to L."""
        return (1 - self.factor) * float(self.v.min() / self.v.max())

    def bound(self, size: np.ndarray) -> np.ndarray:
        """A bound on every x >= 0 with ``x <= L |A| x + size``, all of shape (n, m)."""
        v = self.v[:, None]
        return np.asarray(v * ((size / v).max(axis=0) / (1 - self.factor)))


def spectral_radius(gains: np.ndarray) -> float:
    """The Perron-Frobenius root of a matrix without negative entries, shape (n, n)."""
    # The root is real and not negative, but others may be as large in absolute value, or rounding make it complex.
    return float(np.abs(np.linalg.eigvals(gains)).max())


def contraction(gains: np.ndarray, v: np.ndarray) -> float:
    """The factor by which x <- phi(Ax + c) contracts in the units v: ``max_i (G v)_i / v_i``."""
    return float(np.max(gains @ v / v))


def contracting(gains: np.ndarray, radius: float) -> Contraction | None:
    """The contraction in units that suit a G whose spectral radius is at most ``radius``, below 1, and no eigenvalues.

    It is checked: None if the radius is larger after all, or entries of v are beyond 1e40.
    """
    v = _units(gains, radius)
    if not (v > 0).all() or not v.max() <= WIDEST:
        return None
    found = Contraction(contraction(gains, v), v)
    return found if found.factor < 1 else None


def _units(gains: np.ndarray, radius: float) -> np.ndarray:
    """``v = (I - G/s)^-1 1`` for s half-way between the spectral radius of G and 1.

    Then ``G v = s (v - 1)``, so that the contraction is no weaker than s.
    """
    return np.linalg.solve(np.eye(len(gains)) - gains / ((1 + radius) / 2), np.ones(len(gains)))


def weights(gains: np.ndarray) -> np.ndarray:
    """Positive v with ``G v < v``: ones where ||G||_inf < 1, else ``v = (I - G/s)^-1 1``, s between its radius and 1.

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
        The spectral radius of G is 1 or more, or entries of v would be beyond 1e40.
    """
    norm = float(gains.sum(axis=1).max())
    # Trained models always pass: no eigenvalues, and error bounds in the states' own units.
    if norm < 1:
        return np.ones(len(gains))
    radius = spectral_radius(gains)
    if radius >= 1:
        raise NotWellPosedError(
            f"A: spectral radius of |A| times the activation's largest slope is {radius:.6g}, not below 1, so an "
            "equilibrium need not exist. Scale A down, or train with norm_bound < 1."
        )
    # The inverse is a series of matrices without negative entries that begins with I, so v >= 1: it can be divided by.
    v = _units(gains, radius)
    if not v.max() <= WIDEST:
        raise NotWellPosedError(
            f"A: spectral radius of |A| times the activation's largest slope is {radius:.6g}, but the largest row sum "
            f"{norm:.6g}, and the states' units would be {v.max():.1e} apart, {WIDEST:.0e} at most. Choose units in "
            "which entries of A are smaller."
        )
    return v
