"""Inputs in a box or a ball that move predictions as far as they are found to: what no bound may exclude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bcd_implicit.model.robustness.box import Box
from bcd_implicit.support.display import facts_table

# Corners of the box that the gradient points to, one after the other; then so many steps of projected gradient.
CORNERS, STEPS = 5, 25
# The first and the last of these steps, as shares of the radius.
FIRST_STEP, LAST_STEP = 0.5, 0.05

_Asked = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, repr=False)
class Attack:
    """Inputs that were found to move predictions.

    Attributes
    ----------
    inputs : ndarray of shape (m, p)
        In the boxes, or balls.
    predictions : ndarray of shape (m, q)
        Of these.
    before : ndarray of shape (m, q)
        In the middle of the boxes.
    gained : ndarray of shape (m,)
        By how much what was asked rose: ``<towards, y>``, or minus the margin of the class that is predicted.
    moved : ndarray of shape (m, p)
        Which inputs are not where they were, bool.
    """

    inputs: np.ndarray
    predictions: np.ndarray
    before: np.ndarray
    gained: np.ndarray
    moved: np.ndarray

    def __repr__(self) -> str:
        moved, gain = self.moved.sum(axis=1).mean(), np.median(self.gained)
        return f"Attack(n_samples={len(self.inputs)}, inputs moved={moved:.4g} a sample, median gain={gain:.4g})"

    def _repr_html_(self) -> str:
        facts = {
            "samples": f"{len(self.inputs)}",
            "inputs moved": f"{self.moved.sum(axis=1).mean():.4g} a sample",
            "median gain": f"{np.median(self.gained):.4g}",
            "largest gain": f"{self.gained.max(initial=0.0):.4g}",
        }
        return facts_table("Attack", facts)


def climb(asked: _Asked, box: Box, n_inputs: int | None) -> np.ndarray:
    """Inputs in boxes with about the largest value, never a smaller one than in the middle: shape (m, p).

    Parameters
    ----------
    asked : callable
        Of inputs (m, p): the values (m,) and their gradients (m, p).
    box : Box
        Where it is one of balls, steps lead as far along the gradient, in units of the radius.
    n_inputs : int or None
        So many inputs of each sample may move, those with the largest ``|gradient| radius`` in the middle.
    """
    center, radius = box.center.T, box.radius.T
    best, (value, slope) = center.copy(), asked(center)
    if n_inputs is not None and n_inputs < center.shape[1]:
        worth = np.argsort(-np.abs(slope) * radius, axis=1, kind="stable")
        radius = radius.copy()
        np.put_along_axis(radius, worth[:, n_inputs:], 0.0, axis=1)
    # A step of 1 from the middle leads to a corner, or to the sphere.
    steps = [(1.0, True)] * CORNERS + [(float(share), False) for share in np.geomspace(FIRST_STEP, LAST_STEP, STEPS)]
    at = center
    for share, from_middle in steps:
        at = (center if from_middle else at) + share * radius * _uphill(slope * radius, box.euclidean)
        at = _inside(at, center, radius, box.euclidean)
        here, slope = asked(at)
        better = here > value
        best[better], value = at[better], np.maximum(value, here)
    return best


def _uphill(slope: np.ndarray, euclidean: bool) -> np.ndarray:
    """The step of size 1 that gains most, in units of the radius; (m, p)."""
    if not euclidean:
        return np.sign(slope)
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return slope / np.where(length > 0, length, 1.0)


def _inside(at: np.ndarray, center: np.ndarray, radius: np.ndarray, euclidean: bool) -> np.ndarray:
    """The nearest inputs in the boxes, or those in the direction of the middle that are in the balls."""
    if euclidean:
        shares = np.divide(at - center, radius, out=np.zeros_like(at), where=radius > 0)
        length = np.linalg.norm(shares, axis=1, keepdims=True)
        at = np.where(length > 1, center + radius * shares / np.maximum(length, 1.0), at)
    return np.clip(at, center - radius, center + radius)
