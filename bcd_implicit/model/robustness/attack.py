"""Inputs in a box that move predictions as far as they are found to: what no bound may exclude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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
        In the boxes.
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


def climb(asked: _Asked, center: np.ndarray, radius: np.ndarray, n_inputs: int | None) -> np.ndarray:
    """Inputs in boxes with about the largest value, never a smaller one than in the middle: shape (m, p).

    Parameters
    ----------
    asked : callable
        Of inputs (m, p): the values (m,) and their gradients (m, p).
    center, radius : ndarray of shape (m, p)
    n_inputs : int or None
        So many inputs of each sample may move, those with the largest ``|gradient| radius`` in the middle.
    """
    best, (value, slope) = center.copy(), asked(center)
    if n_inputs is not None and n_inputs < center.shape[1]:
        worth = np.argsort(-np.abs(slope) * radius, axis=1, kind="stable")
        radius = radius.copy()
        np.put_along_axis(radius, worth[:, n_inputs:], 0.0, axis=1)
    # A step of 1 from the middle leads to a corner.
    steps = [(1.0, True)] * CORNERS + [(float(share), False) for share in np.geomspace(FIRST_STEP, LAST_STEP, STEPS)]
    at = center
    for share, from_middle in steps:
        at = (center if from_middle else at) + share * radius * np.sign(slope)
        at = np.clip(at, center - radius, center + radius)
        here, slope = asked(at)
        better = here > value
        best[better], value = at[better], np.maximum(value, here)
    return best
