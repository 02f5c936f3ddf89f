"""Projections on convex sets, for many rows at once."""

from __future__ import annotations

import numpy as np


def l1_multipliers(size: np.ndarray, radius: float | np.ndarray, steps: np.ndarray | None = None) -> np.ndarray:
    """The t >= 0 of each row with sum_j max(size_j - t steps_j, 0) = radius; 0 where the row's sum is no larger.

    By sorting (Held, Wolfe, Crowder 1974).

    Parameters
    ----------
    size : ndarray of shape (n, k)
        0 or more.
    radius : float, or ndarray of shape (n,)
        0 or more; one for all rows, or one each.
    steps : ndarray of shape (k,), optional
        Positive; ones by default.

    Returns
    -------
    ndarray of shape (n,)
    """
    multipliers = np.zeros(len(size))
    outside = size.sum(axis=1) > radius
    if not outside.any():
        return multipliers
    size = size[outside]
    radius = np.asarray(radius)[outside, None] if np.ndim(radius) else radius
    steps = np.ones(size.shape[1]) if steps is None else steps
    # Entry j is zero from the multiplier size_j / steps_j on: take the entries in that order.
    leaves = size / steps
    rows, order = np.arange(len(size)), np.argsort(-leaves, axis=1)
    in_order = rows[:, None], order  # plain indexing: np.take_along_axis costs more than the sort
    candidates = (np.cumsum(size[in_order], axis=1) - radius) / np.cumsum(steps[order], axis=1)
    # The entries kept are as many as still exceed the multiplier that they would need among themselves.
    # At least one: rounding can hide the first when the radius is tiny.
    kept = np.maximum(np.sum(leaves[in_order] > candidates, axis=1), 1)
    multipliers[outside] = candidates[rows, kept - 1]
    return multipliers


def project_l1_rows(A: np.ndarray, radius: float | np.ndarray, steps: np.ndarray | None = None) -> np.ndarray:
    """Project every row of A (n, k) on the l1 ball of a radius.

    Parameters
    ----------
    A : ndarray of shape (n, k)
    radius : float, or ndarray of shape (n,)
        One for all rows, or one each.
    steps : ndarray of shape (k,), optional
        Positive. Distances are then measured by sum_j (a_j - b_j)^2 / steps_j, and entry j shrinks by
        ``steps_j`` times the row's multiplier.
    """
    size = np.abs(A)
    outside = size.sum(axis=1) > radius
    if not outside.any():
        return A.copy()
    P = A.copy()
    if np.ndim(radius) == 0 and radius == 0:
        # By the multiplier rounding would leave some entries next to zero instead.
        P[outside] = 0.0
        return P
    size = size[outside]
    multiplier = l1_multipliers(size, np.asarray(radius)[outside] if np.ndim(radius) else radius, steps)[:, None]
    P[outside] = np.sign(A[outside]) * np.maximum(size - multiplier * (1.0 if steps is None else steps), 0.0)
    return P
