"""Inputs in a box or a ball that move predictions as far as they are found to: what no bound may exclude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from bcd_implicit.model.robustness.box import Box
from bcd_implicit.support.display import facts_table

# Corners of the box that the gradient points to, one after the other; then so many steps of projected gradient.
CORNERS, STEPS = 5, 25
# The first and the last of these steps, as shares of the radius.
FIRST_STEP, LAST_STEP = 0.5, 0.05
# On balls these steps begin anew so many times, each from the best of so many points.
STARTS, TRIED = 4, 4

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


class _Points(NamedTuple):
    """Inputs (m, p), what is asked of them, (m,), and its gradients, (m, p)."""

    at: np.ndarray
    value: np.ndarray
    slope: np.ndarray

    def or_better(self, other: _Points) -> _Points:
        """Those of the other where it has a larger value."""
        better = other.value > self.value
        rows = better[:, None]
        return _Points(
            np.where(rows, other.at, self.at),
            np.where(better, other.value, self.value),
            np.where(rows, other.slope, self.slope),
        )


def climb(asked: _Asked, box: Box, n_inputs: int | None) -> np.ndarray:
    """Inputs in boxes with about the largest value, never a smaller one than in the middle: shape (m, p).

    Parameters
    ----------
    asked : callable
        Of inputs (m, p): the values (m,) and their gradients (m, p).
    box : Box
        If it is one of balls, steps lead as far along the gradient, in units of the radius.
    n_inputs : int or None
        So many inputs of each sample may move, those with the largest ``|gradient| radius`` in the middle.
    """
    center, radius = box.center.T, box.radius.T
    middle = _Points(center, *asked(center))
    if n_inputs is not None and n_inputs < center.shape[1]:
        worth = np.argsort(-np.abs(middle.slope) * radius, axis=1, kind="stable")
        radius = radius.copy()
        np.put_along_axis(radius, worth[:, n_inputs:], 0.0, axis=1)

    def reached(at: np.ndarray) -> _Points:
        at = _inside(at, center, radius, box.euclidean)
        return _Points(at, *asked(at))

    def followed(here: _Points, steps: list[tuple[float, bool]]) -> _Points:
        """The best on the way uphill."""
        best = here
        for share, from_middle in steps:
            uphill = radius * _uphill(here.slope * radius, box.euclidean)
            here = reached((center if from_middle else here.at) + share * uphill)
            best = best.or_better(here)
        return best

    steps = [(float(share), False) for share in np.geomspace(FIRST_STEP, LAST_STEP, STEPS)]
    # A step of 1 from the middle leads to a corner, or to the sphere.
    best = followed(middle, [(1.0, True)] * CORNERS + steps)
    if box.euclidean:
        # Where a corner is one of a few, a sphere has many places to end at. All samples have the same directions, so
        # that what is found does not depend on the others.
        for ways in np.random.default_rng(0).normal(size=(STARTS, TRIED, center.shape[1])):
            start = reduce(_Points.or_better, (reached(center + radius * way) for way in ways))
            best = best.or_better(followed(start, steps))
    return best.at


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
