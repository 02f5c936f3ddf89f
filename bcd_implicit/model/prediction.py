"""Predictions Cx + Du + d at the equilibrium, one part of the samples after the other: not all states are kept."""

from __future__ import annotations

import math

import numpy as np

from bcd_implicit.model.fixed_point import FixedPoint
from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states

# By this share of the largest the states' tolerance may move predictions.
ACCURATE = 1e-8
# A part's states are at most so many numbers (8 MB), so that memory is reused from part to part ...
STATES = 1_000_000
# ... but of so many samples at the least: with fewer, the calls of a stage take longer than its products.
AT_LEAST = 64


def predictions(
    structure: Structure, U: np.ndarray, b: np.ndarray, C: Matrix, D: Matrix, d: np.ndarray, solver: str
) -> np.ndarray:
    """The outputs for each sample.

    Parameters
    ----------
    structure : Structure
        Of A, B and the activation.
    U : ndarray of shape (m, p)
        Inputs.
    b, C, D, d : ndarray or sparse array
        Of the model.
    solver : str
        Of the components with a cycle.

    Returns
    -------
    ndarray of shape (m, q)
    """
    n_parts = min(math.ceil(len(U) * structure.n_states / STATES), len(U) // AT_LEAST)
    return np.concatenate(
        [
            # By rows, as products read it.
            _predicted(structure, np.ascontiguousarray(some.T), b, C, D, d, solver).T
            for some in np.array_split(U, max(n_parts, 1))
        ]
    )


def _predicted(
    structure: Structure, U: np.ndarray, b: np.ndarray, C: Matrix, D: Matrix, d: np.ndarray, solver: str
) -> np.ndarray:
    """The outputs (q, m) for inputs (p, m)."""
    given = D @ U + d[:, None]
    states = solve_states(structure, U, b, solver=solver)
    outputs = C @ states.X + given
    # Without a cycle states have all digits.
    if not structure.acyclic and _worth_all_digits(states, C, outputs):
        outputs = C @ solve_states(structure, U, b, start=states.X, solver=solver, tol=0.0).X + given
    return np.asarray(outputs)


def _worth_all_digits(states: FixedPoint, C: Matrix, outputs: np.ndarray) -> bool:
    """Whether a large C makes too much of what the states are off."""
    largest = float(np.abs(C).sum(axis=1).max())
    return bool(np.any(states.error_bound * largest > ACCURATE * np.abs(outputs).max(initial=0)))
