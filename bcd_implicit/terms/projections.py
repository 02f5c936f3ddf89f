"""Projections on convex sets, for many rows at once."""

from __future__ import annotations

import numpy as np

# Sums of terms that are not negative, rounded down at most by so much, are bounds again.
UPWARDS = 1 + 1e-13
# No row's diagonal entry counts with its sign.
NONE = np.zeros(0, dtype=int)


def l1_multipliers(
    size: np.ndarray, radius: float | np.ndarray, steps: np.ndarray | None = None, signed: np.ndarray = NONE
) -> np.ndarray:
    """The t >= 0 of each row with sum_j max(size_j - t steps_j, 0) = radius; 0 where the row's sum is no larger.

    By sorting (Held, Wolfe, Crowder 1974).

    Parameters
    ----------
    size : ndarray of shape (n, k)
        0 or more, but for signed entries.
    radius : float, or ndarray of shape (n,)
        0 or more; one for all rows, or one each.
    steps : ndarray of shape (k,) or (n, k), optional
        Positive; ones by default.
    signed : ndarray of int
        Rows i whose entry (i, i) is ``size_i - t steps_i`` in the sum, also below zero.

    Returns
    -------
    ndarray of shape (n,)
    """
    radius = radius[:, None] if isinstance(radius, np.ndarray) else radius
    # Entry j is zero from the multiplier size_j / steps_j on: take the entries in that order.
    leaves = size.copy() if steps is None else size / steps
    leaves[signed, signed] = np.inf  # never
    rows, order = np.arange(len(size)), np.argsort(-leaves, axis=1)
    in_order = rows[:, None], order  # plain indexing: np.take_along_axis costs more than the sort
    steps = np.broadcast_to(1.0 if steps is None else steps, size.shape)
    leaves = leaves[in_order]
    candidates = (np.cumsum(size[in_order], axis=1) - radius) / np.cumsum(steps[in_order], axis=1)
    # The entries kept are as many as still exceed the multiplier that they would need among themselves.
    # At least one: rounding can hide the first when the radius is tiny.
    kept = np.maximum(np.sum(leaves > candidates, axis=1), 1)
    # And the next is zero: where steps differ by many powers of ten its own rounding may have decided that, and what
    # the others need be far below.
    following = np.where(kept < size.shape[1], leaves[rows, np.minimum(kept, size.shape[1] - 1)], 0.0)
    return np.maximum(candidates[rows, kept - 1], following)


def shrunk(A: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Every entry nearer to zero by so much, and zero where that would turn it round."""
    return np.asarray(np.sign(A) * np.maximum(np.abs(A) - by, 0.0))


def clipping_multiplier(size: np.ndarray, weights: np.ndarray, metric: np.ndarray, radius: float) -> float:
    """The multiplier at which the weighted sum of rows' largest entries is a radius: of the l1 / l-infinity ball.

    At the multiplier s each row is clipped at the t >= 0 with ``sum_j metric_j max(size_j - t, 0) = weight s``, or is
    zero where no t is that large. The sum of ``weight t`` is then piecewise linear and convex in s. Its knots are where
    one more entry is clipped: by sorting them all (Quattoni, Carreras, Collins, Darrell 2009), the root is exact. The
    sums begin at the largest knot, from where all is zero, and have no negative terms: no digits cancel, however far
    apart the metric's numbers are.

    Parameters
    ----------
    size : ndarray of shape (n, k)
        0 or more; not all zero.
    weights : ndarray of shape (n,)
        Positive.
    metric : ndarray of shape (n, k)
        Positive.
    radius : float
        0 or more, and less than the weighted sum of the rows' largest entries.
    """
    in_order = np.arange(len(size))[:, None], np.argsort(-size, axis=1)
    size, above, weights = size[in_order], np.cumsum(metric[in_order], axis=1), weights[:, None]
    # Where the first j entries of a row are clipped its share of the sum falls by weight^2 / above_j.
    knots = np.cumsum(above * -np.diff(size, axis=1, append=0.0), axis=1) / weights
    changes = -np.diff(weights**2 / above, axis=1, append=0.0)
    order = np.argsort(-knots, axis=None)
    knots, slopes = knots.ravel()[order], np.cumsum(changes.ravel()[order])
    next_knots = np.append(knots[1:], 0.0)
    sums = np.cumsum(slopes * (knots - next_knots))
    # The last is the sum at s = 0, which rounding may hide.
    j = min(int(np.searchsorted(sums, radius)), len(sums) - 1)
    return max(float(next_knots[j] + (sums[j] - radius) / slopes[j]), 0.0)


def sizes(A: np.ndarray, signed: np.ndarray = NONE) -> np.ndarray:
    """``|A|``, and A itself at the entries (i, i) of the rows ``signed``."""
    size = np.abs(A)
    size[signed, signed] = A[signed, signed]
    return size


def project_l1_rows(
    A: np.ndarray, radius: float | np.ndarray, steps: np.ndarray | None = None, signed: np.ndarray = NONE
) -> np.ndarray:
    """Project every row of A (n, k) on the l1 ball of a radius, or, if signed, on the set with A_ii for ``|A_ii|``.

    Parameters
    ----------
    A : ndarray of shape (n, k)
    radius : float, or ndarray of shape (n,)
        One for all rows, or one each.
    steps : ndarray of shape (k,) or (n, k), optional
        Positive. Distances are then measured by sum_j (a_j - b_j)^2 / steps_j, and entry j shrinks by
        ``steps_j`` times the row's multiplier.
    signed : ndarray of int
        Rows i whose entry (i, i) counts with its sign: it falls by as much as others shrink, to below zero if need be.
    """
    size = sizes(A, signed)
    outside = size.sum(axis=1) > radius
    if not outside.any():
        return A.copy()
    # Rows inside have the multiplier 0 and stay as they are (but for rounding, on the boundary).
    shrinkage = l1_multipliers(size, radius, steps, signed)[:, None]
    shrinkage = np.broadcast_to(shrinkage if steps is None else shrinkage * steps, A.shape)
    projected = np.sign(A) * np.maximum(size - shrinkage, 0.0)
    # By the multiplier rounding would leave some entries next to zero.
    empty = outside & (radius == 0)
    empty[signed] = False
    projected[empty] = 0.0
    # What is left of the radius, which is the same but for rounding: on the boundary to the last digit.
    projected[signed, signed] = 0.0
    left = radius - np.abs(projected).sum(axis=1)
    projected[signed, signed] = np.where(outside[signed], left[signed], A[signed, signed])
    return projected
