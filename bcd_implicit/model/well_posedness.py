"""Whether x = phi(Ax + c) has one solution for every c, and in which units its solvers contract.

For phi with Lipschitz constants L, a diagonal matrix, it is enough that the spectral radius of the gains G = ``L |A|``,
their Perron-Frobenius root, is below 1 (El Ghaoui et al., arXiv 1908.06315, theorem 2.2, for L = 1); ||G||_inf < 1
implies it. A positive vector v with ``G v < v`` proves it (Collatz and Wielandt) and gives the units: in
``max_i |x_i| / v_i`` a step contracts by ``max_i (G v)_i / v_i``.

If phi never falls, negative entries on the diagonal of A hold states back: G may have L A_ii there, instead of
``L |A_ii|``. The same condition is then one on the matrix measure, mu(L A) < 1 in the units v (Jafarpour et al., arXiv
2106.03194; with v = 1 it is ``L (A_ii + sum_{j != i} |A_ij|) < 1`` for every row). For two states and s, the most by
which either misses the equation, their difference e has ``(1 - d_i A_ii) |e_i| <= d_i sum_{j != i} |A_ij| |e_j| + s_i``
with slopes ``0 <= d_i <= L_i``, whence ``max_i |e_i| / v_i <= max_i s_i / v_i / (1 - nu)`` with nu the largest
``(G v)_i / v_i``, or 0. Picard's own steps need not contract then, but damped ones do
(:class:`~bcd_implicit.model.state_map.StateMap`).
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model.rounding import EPS, near_one, summation_error
from bcd_implicit.terms.function import ElementwiseFunction

# Where units are farther apart, states and predictions could overflow.
WIDEST = 1e40
# Where L A_ii is farther below zero than this, damped steps are so short that rounding would hide what they do. Such
# entries prove nothing, for the verdict as for the solvers.
MOST_HELD = 1e12
# In place of a margin that is lost in rounding.
LEAST_MARGIN = 1e-30
REMEDY = "Scale A down, or train with norm_bound < 1"


def gains_of(A: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """G = ``L |A|`` of a dense A, L the diagonal matrix of the largest slopes; ``inf`` where phi is not Lipschitz."""
    sizes = np.abs(A)
    # Not inf * 0, where a state's function has no Lipschitz constant.
    return np.multiply(slopes[:, None], sizes, where=sizes != 0, out=np.zeros_like(sizes))


def comparison(A: np.ndarray, function: ElementwiseFunction) -> np.ndarray:
    """The gains G by which a dense A is judged, of shape (n, n).

    ``L |A|`` where that proves A well-posed. Else, in the rows of functions that never fall, negative entries on the
    diagonal are what they are, times L: which proves more.
    """
    gains = gains_of(A, function.slopes(len(A)))
    if not held_back(A, function).any() or not np.isfinite(gains).all() or is_below_one(gains):
        return gains
    return signed(gains, A, function)


def held_back(A: np.ndarray, function: ElementwiseFunction) -> np.ndarray:
    """The states that a negative entry on the diagonal of A holds back, as their function never falls: bool, (n,)."""
    diagonal = np.diagonal(A)
    found = np.asarray((diagonal < 0) & function.rises(len(A)))
    found[found] = function.slopes(len(A))[found] * diagonal[found] >= -MOST_HELD
    return found


def signed(gains: np.ndarray, A: np.ndarray, function: ElementwiseFunction) -> np.ndarray:
    """Gains ``L |A|`` with the negative entries on the diagonal of A as they are, where they hold states back."""
    return np.where(np.diag(held_back(A, function)), -gains, gains)


def gains_for_bounds(A: np.ndarray, function: ElementwiseFunction) -> np.ndarray:
    """Gains G for bounds, which hold whatever proves A well-posed: ``L |A|`` if its row sums do, else signed ones."""
    gains = gains_of(A, function.slopes(len(A)))
    return gains if gains.sum(axis=1).max() < 1 else signed(gains, A, function)


def spectral_radius(gains: np.ndarray) -> float:
    """The Perron-Frobenius root of a matrix without negative entries off the diagonal, shape (n, n).

    That is the spectral radius, or, with negative entries on the diagonal, the largest real part of an eigenvalue.
    """
    shift = _shift(gains)
    # The root is real, but others may be as large in absolute value, or rounding make it complex.
    return float(np.abs(np.linalg.eigvals(gains + shift * np.eye(len(gains)))).max()) - shift


def _shift(gains: np.ndarray) -> float:
    """What has to be added to the diagonal so that no entry is negative."""
    return max(0.0, -float(np.diagonal(gains).min(initial=0.0)))


def damping(gains: np.ndarray) -> np.ndarray:
    """The alpha_i with which steps ``(1 - alpha) x + alpha phi(Ax + c)`` contract: 1 where G_ii >= 0; shape (n,)."""
    return 1 / holding(np.diagonal(gains))


def holding(diagonal: np.ndarray) -> np.ndarray:
    """What states multiply what they miss their equations by, from the diagonal of G: ``1 - min(G_ii, 0)``, (n,).

    States that miss them by s are off by e with ``(I - G) |e| <= holding s + L |change of what phi takes|``. The factor
    is there because e_i has a slope d_i of its own: with h = -L A_ii > 0, o what others and inputs add to phi's
    argument, ``(1 + h d_i / L) |e_i| <= s_i + d_i o``. So ``|e_i| <= max(s_i, (s_i + L o) / (1 + h))``: at slope 0
    nothing holds the state back, and s_i is not divided by 1 + h. What goes through phi is.
    """
    return np.asarray(1 - np.minimum(diagonal, 0.0))


def contraction(gains: np.ndarray, v: np.ndarray) -> float:
    """The factor by which a step contracts in the units v: ``max_i (G v)_i / v_i``, and of a damped step more."""
    alpha, most = damping(gains), np.maximum(gains @ v / v, 0.0)
    steps = (1 - alpha) + alpha * most
    # Next to diagonals of -1e16 this is lost in rounding.
    return float(np.where((alpha < 1) & (most < 1), np.minimum(steps, 1 - EPS), steps).max())


def nu(gains: np.ndarray, v: np.ndarray, n_terms: int) -> float:
    """``max_i (G v)_i / v_i``, or 0 if that is negative, the most that it may be if sums of so many terms are rounded.

    States that miss their equations by s are off by ``s / (1 - nu)``, in the units v.
    """
    # The terms may have both signs: it is their sizes that rounding goes by.
    return max(0.0, float(np.max((gains @ v + summation_error(n_terms) * (np.abs(gains) @ v)) / v)))


def norm_is_below_one(gains: np.ndarray) -> bool:
    """Whether the largest row sum of G is below 1, whatever the rounding in it and in what solvers find for it."""
    n = len(gains)
    return nu(gains, np.ones(n), 4 * n) < 1


def radius_is_below_one(gains: np.ndarray, radius: float) -> bool:
    """The same of the root of G; units that prove it come from a solve, which rounds more."""
    return radius + summation_error(16 * len(gains)) * (radius + 2 * _shift(gains)) < 1


def is_below_one(gains: np.ndarray) -> bool:
    """Whether G proves that there is one solution, by its row sums or its root, and not by rounding."""
    # The row sums first: they are cheap and mostly decide.
    return norm_is_below_one(gains) or radius_is_below_one(gains, spectral_radius(gains))


def room(gains: np.ndarray) -> np.ndarray | None:
    """For each state a number r > 0: states that miss the equation by s_i at the most are off by ``max_i s_i / r``.

    It has shape (n,) and is ``t / v`` for ``v = (I - G)^-1 1``, with a t > 0 for which ``v - G v >= t`` and ``v >= t``.
    With slopes ``0 <= d_i <= L_i`` such v and t have ``v - d/L G v >= t``, too: the left side lies between v and
    ``v - G v``. So ``(I - d/L G) |e| <= s <= max_i s_i (I - d/L G) v / t``, which can be multiplied by the inverse, as
    that has no negative entries. None where there is no such v: the root of G is 1 or more.
    """
    try:
        v = np.linalg.solve(np.eye(len(gains)) - gains, np.ones(len(gains)))
    except np.linalg.LinAlgError:  # the radius is 1 exactly
        return None
    if not (v > 0).all() or not np.isfinite(v).all():
        return None
    rounding = (len(v) + 2) * EPS * max(v.max(), float((np.abs(gains) @ v).max()))
    # Where rounding hides t, next to nothing is known.
    t = min(float((v - gains @ v).min()) - rounding, float(v.min()))
    return np.asarray(max(t, LEAST_MARGIN) / v)


def inverse_bound(gains: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """V >= 0 with ``(I - G) V >= asked >= 0``, by column, whatever the rounding in whoever checks it.

    That is hardly more than ``(I - G)^-1 asked``, which has no negative entries if the root of G is below 1. Of the
    transpose of G it bounds rows: ``V' (I - G) >= asked'``.

    Parameters
    ----------
    gains : ndarray of shape (n, n)
        G, of a root below 1.
    asked : ndarray of shape (n, k)
    """
    n = len(asked)
    M = np.eye(n) - gains
    V = np.maximum(np.linalg.solve(M, np.column_stack([asked, np.ones(n)])), 0.0)
    V, tau = V[:, :-1], V[:, -1:]
    # Not |I - G|: on the diagonal that may be a small difference.
    share, sizes = 6 * summation_error(n), np.eye(n) + np.abs(gains)
    # (I - G) tau is about 1: so many times tau make up for what is missed.
    least = (M @ tau - share * (sizes @ tau)).min()
    missed = np.maximum(asked - M @ V + share * (sizes @ V + asked), 0.0).max(axis=0)
    return np.asarray(V + tau * (missed / max(least, LEAST_MARGIN)))


def not_below_one(radius: float) -> str:
    """A spectral radius that is not, as messages tell it."""
    return f"{near_one(radius)}, not below 1" + (" by more than rounding" if radius < 1 else "")


def weights(gains: np.ndarray) -> np.ndarray:
    """Positive v with ``G v < v``: ones where ||G||_inf < 1 by more than rounding, else ``v = (I - G/s)^-1 1``.

    Then ``G v = s (v - 1)``. s lies half-way between the root of G, if that is positive, and 1, so that the contraction
    is no weaker than s. Only the ratios of v matter.

    Parameters
    ----------
    gains : ndarray of shape (n, n)
        G, without negative entries off the diagonal.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    NotWellPosedError
        The root of G is 1 or more, to rounding, or entries of v would be beyond 1e40 times the least.
    """
    n = len(gains)
    # Trained models always pass: no eigenvalues, and error bounds in the states' own units.
    if norm_is_below_one(gains):
        return np.ones(n)
    radius, what = spectral_radius(gains), root_name(gains)
    if not radius_is_below_one(gains, radius):
        raise NotWellPosedError(f"A: {what} is {not_below_one(radius)}, so an equilibrium need not exist. {REMEDY}.")
    s = (1 + max(radius, 0.0)) / 2
    v = np.linalg.solve(np.eye(n) - gains / s, np.ones(n))
    # Without negative entries the inverse is a series that begins with I, so v >= 1; with some the least may be less.
    v /= min(float(v.min()), 1.0)
    if not v.max() <= WIDEST:
        raise NotWellPosedError(
            f"A: {what} is {radius:.6g}, but the largest row sum {float(gains.sum(axis=1).max()):.6g}, and the states' "
            f"units would be {v.max():.1e} apart, {WIDEST:.0e} at most. Choose units in which entries of A are smaller."
        )
    return v


def root_name(gains: np.ndarray, of: str = "L |A|") -> str:
    """The root of gains, in words."""
    held = ", with the negative entries of A's diagonal as they are," if _shift(gains) > 0 else ""
    return f"{'largest eigenvalue' if held else 'spectral radius'} of {of}{held}"
