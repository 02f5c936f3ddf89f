"""The smooth pieces of a sum of group norms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Facet:
    """Where the weighted sum of norms is smooth: the part of a face that the group lasso shapes.

    Attributes
    ----------
    kept : ndarray of bool, shape (p,)
        Columns that may move.
    slope : ndarray of shape (n, p)
        Gradient of the weighted sum of norms.
    units : ndarray of shape (n, p)
        Directions in which a group's norm does not bend, of length 1 a group; zero where it bends nowhere.
    bend : ndarray of shape (p,)
        Curvature of the weighted sum across them.
    ties : ndarray of shape (n_ties, n, p)
        Normals of the further conditions that hold on the facet.
    """

    kept: np.ndarray
    slope: np.ndarray
    units: np.ndarray
    bend: np.ndarray
    ties: np.ndarray
