"""Predictions Cx + Du + d at the equilibrium, one part of the samples after the other: not all states are kept."""

from __future__ import annotations

import numpy as np

from bcd_implicit.model.fixed_point import FixedPoint
from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states
from bcd_implicit.support.notices import told_once
from bcd_implicit.support.parts import parts

# By this share of the largest the states' tolerance may move predictions.
ACCURATE = 1e-8
# Samples that are predicted together, at the least: with fewer, the calls of a stage take longer than its products.
AT_LEAST = 256


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
    found = np.empty((len(U), len(d)))
    with told_once():
        for part in parts(len(U), structure.n_states, AT_LEAST):
            # By rows, as the products read it.
            inputs = np.ascontiguousarray(U[part].T)
            given = D @ inputs + d[:, None]
            states = solve_states(structure, inputs, b, solver=solver)
            outputs = C @ states.X + given
            if not structure.acyclic and _worth_all_digits(states, C, outputs):
                outputs = C @ solve_states(structure, inputs, b, solver=solver, tol=0.0).X + given
            found[part] = outputs.T
    return found


def _worth_all_digits(states: FixedPoint, C: Matrix, outputs: np.ndarray) -> bool:
    """Whether a large C makes too much of what the states are off; without a cycle they have all digits anyway."""
    largest = float(np.abs(C).sum(axis=1).max())
    return bool(np.any(states.error_bound * largest > ACCURATE * np.abs(outputs).max(initial=0)))
